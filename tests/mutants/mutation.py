"""What a mutation is, and which tests there are to see it."""

from pathlib import Path
from typing import NamedTuple

import numbarnn
from numbarnn import kernels

TESTS = Path(__file__).parents[1]
FOLDERS = {"numbarnn": Path(numbarnn.__file__).parent, "kernels": Path(kernels.__file__).parent}

SUITES = {  # arguments of pytest
    "oracle": ["test_oracle_agreement.py"],
    "edges": ["test_oracle_edges.py"],
    "golden": ["test_golden.py"],
    "bits": ["test_bits.py", "test_batch_invariance.py"],
    "threads": ["test_team.py"],
    "modes": ["test_team.py", "-k", "floating_point_mode"],
    "memory": ["test_memory.py"],
    "states": ["test_stateful.py"],
    "functions": ["test_mathfn.py"],
    "products": ["test_lowering.py"],
    "ahead": ["test_ahead.py"],
    "schedules": ["test_schedules.py"],
    "checks": ["test_checks.py"],
    "layers": ["test_layers.py"],
    "users": ["test_users_cells.py"],
}
TRUTH = ("oracle", "golden")


class Mutation(NamedTuple):
    """`old`, which stands once in `file`, becomes `new`; each of `suites` must fail then."""

    name: str
    file: str
    old: str
    new: str
    suites: tuple = TRUTH

    def source(self):
        """The text of the file as it is."""
        folder, name = self.file.split("/", 1)
        return (FOLDERS[folder] / name).read_text(encoding="utf-8")

    def applied(self, text):
        """The text of the file with the fault."""
        if text.count(self.old) != 1:
            raise ValueError(f"{self.name!r}: `old` stands {text.count(self.old)} times in {self.file}")
        return text.replace(self.old, self.new)
