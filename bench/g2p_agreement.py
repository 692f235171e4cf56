"""Does numbarnn pronounce as g2p-en itself does, and how fast? Words go through both, differences are judged.

    python bench/g2p_agreement.py [WORDS_FILE]

Without a file the words are those of the language reference that Python itself carries (`pydoc_data.topics`).
g2p-en's own `predict` is called, on its module loaded with its text dependencies stubbed, since none of them
takes part in it. A differing word is a tie if at the first differing phoneme the two candidates, evaluated in
float64, are closer than float32 rounding has moved them: the weights alone do not say which is right there.
Exit status 1 if a word differs that is no tie.
"""

import importlib
import operator
import re
import sys
import types
from pathlib import Path

import numpy as np

from numbarnn import demo


def words_of_language_reference():
    """Distinct lower-case words of the prose; what touches code marks, digits or underscores is left out."""
    from pydoc_data.topics import topics

    prose = re.findall(r"(?<![\w'`*.\"-])[A-Za-z]{2,}(?![\w'`*\"(-]|\.\w)", "\n".join(topics.values()))
    return sorted({word.lower() for word in prose})


def load_g2p_en():
    """g2p-en's own model object; its dictionary and tagger, unused by `predict`, are empty."""
    stubs = {
        "nltk": {"pos_tag": None, "data": types.SimpleNamespace(find=str)},
        "nltk.corpus": {"cmudict": types.SimpleNamespace(dict=dict)},
        "nltk.tokenize": {"TweetTokenizer": lambda: types.SimpleNamespace(tokenize=None)},
        "inflect": {"engine": object},
    }
    for name, members in stubs.items():
        sys.modules[name] = types.ModuleType(name)
        vars(sys.modules[name]).update(members)
    return importlib.import_module("g2p_en.g2p").G2p()


def is_tie(model, word, one, other):
    """Whether float32 rounding decides between two pronunciations where they first differ."""
    one, other = [*one, "</s>"], [*other, "</s>"]
    common = next(i for i, (a, b) in enumerate(zip(one, other, strict=False)) if a != b)
    candidates = [demo.PHONEMES.index(one[common]), demo.PHONEMES.index(other[common])]
    exact = {name: array.astype(np.float64) for name, array in model.items()}
    single, double = (scores_after(weights, word, one[:common])[candidates] for weights in (model, exact))
    return abs(double[0] - double[1]) <= 2 * np.abs(single - double).max()


def scores_after(model, word, phonemes):
    """The model's scores of the next phoneme of a word of which some have been spoken."""
    loop = demo.PlainLoop(model)
    state = np.zeros((1, model["enc_w_hh"].shape[1]), model["enc_w_hh"].dtype)
    for number in demo.letter_numbers(word):
        state = loop.step("enc", number, state)
    for phoneme in ["<s>", *phonemes]:
        state = loop.step("dec", demo.PHONEMES.index(phoneme), state)
    return (state @ model["fc_w"].T + model["fc_b"])[0]


def main(arguments):
    """Compare on the file's words, or the default ones; print the counts; the exit status."""
    if arguments:
        pairs = demo.split(Path(arguments[0]).read_text(encoding="utf-8"))
        words = sorted({word for _, word in pairs if word})
    else:
        words = words_of_language_reference()
    model = demo.load_model()
    g2p_en, batched = load_g2p_en(), demo.Batched(model)
    batched(words[:1])  # compiles or loads the kernels
    ours, our_seconds = demo.timed(batched, words, "numbarnn")
    plain, plain_seconds = demo.timed(demo.PlainLoop(model), words, "plain loop")
    theirs, their_seconds = demo.timed(lambda batch: list(map(g2p_en.predict, batch)), words, "g2p-en")

    different = [i for i in range(len(words)) if ours[i] != theirs[i]]
    ties = [i for i in different if is_tie(model, words[i], ours[i], theirs[i])]
    count = len(words)
    print(f"{count} distinct words, from {arguments[0] if arguments else 'pydoc_data.topics'}")
    print(f"like g2p-en: {count - len(different)}; different: {len(different)}, of which ties: {len(ties)}")
    print(f"plain loop like g2p-en: {sum(map(operator.eq, plain, theirs))}")
    for i in different:
        print(f"  {words[i]}: {ours[i]} against {theirs[i]}{', a tie' if i in ties else ''}")
    for name, seconds in ("numbarnn", our_seconds), ("g2p-en", their_seconds), ("plain loop", plain_seconds):
        print(f"{name:<10} {count / seconds:>8.0f} words/s {their_seconds / seconds:>6.2f} times g2p-en")
    return 0 if len(different) == len(ties) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
