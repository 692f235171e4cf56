"""Every mutation still applies: its original text stands exactly once in its file, and its suites exist."""

import pytest
from mutants import MUTATIONS
from mutants.mutation import SUITES, TESTS


@pytest.mark.parametrize("mutation", MUTATIONS, ids=lambda mutation: mutation.name)
def test_the_original_text_stands_once(mutation):
    """And what takes its place is another text that Python can read."""
    text = mutation.source()
    mutated = mutation.applied(text)
    assert mutated != text
    compile(mutated, mutation.file, "exec")


def test_suites_exist():
    for words in SUITES.values():
        assert all((TESTS / word).is_file() for word in words if word.endswith(".py"))
    for mutation in MUTATIONS:
        assert mutation.suites
        assert set(mutation.suites) <= set(SUITES)


def test_names_differ():
    assert len({mutation.name for mutation in MUTATIONS}) == len(MUTATIONS)
