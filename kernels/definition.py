"""What a cell is, and the table that it is entered in; `declaration` makes them.

A cell is a tuple of phases. A phase first forms, for every unit, sums of products (its *slots*), then applies
one scalar function. Slots are written ``name:sources``: ``i:x+h`` is one sum over the inputs and the state h;
``n:x|h`` keeps two sums apart, which the function receives as ``n_x`` and ``n_h``. A source is ``x``, a
state, or a result of an earlier phase. The function's parameters name what it reads: sums, states, earlier
results, weights of each unit (*parameters*), inputs of the step that are not multiplied (*extra*); its
results are new states, the output, or values for later phases.
"""

import inspect
from functools import cached_property
from typing import NamedTuple

from .trace import trace, vjp

UNITS, PER_ROW = "units", "1"  # sizes: of most vectors, and of one value for a whole row


class Sum(NamedTuple):
    """One accumulator of a phase: the sum of products over `sources`, plus a bias."""

    name: str
    slot: str
    sources: tuple


class Phase(NamedTuple):
    """See `phase`."""

    sums: tuple
    function: object
    parameters: tuple
    options: tuple  # its keyword-only parameters: activations and the like
    results: tuple  # empty: the states that no other phase computes
    units: str = UNITS  # name of the size of what it computes
    use_bias: bool = True

    @property
    def sources(self):
        """Vectors this phase multiplies, x first, in the order in which their products are added."""
        named = [source for total in self.sums for source in total.sources]
        return tuple(sorted(dict.fromkeys(named), key=lambda source: source != "x"))


class Parameter(NamedTuple):
    """Weights that a cell's functions read, one for each unit."""

    size: str
    constant: float  # what they begin with


class Cell:
    """A cell of the table: states, output, phases, and the choices (`options`) its functions take by keyword.
    Made by `cell`.

    Attributes
    ----------
    states : dict of str to float
        Names and initial constants, in the order users see.
    output : str
        The state or result that is the cell's output.
    phases : tuple of Phase
    parameters : dict of str to Parameter
    extra : dict of str to str
        Inputs of each step that functions read: names and sizes, `PER_ROW` for one value per row.
    two_biases : bool
        Whether the bias has a row for the inputs and one for the recurrent products (a slot with ``|``).
    """

    def __init__(self, name, states, output, phases, parameters=None, extra=None):
        self.name, self.states, self.output, self.phases = name, states, output, phases
        self.parameters, self.extra = parameters or {}, extra or {}

    def __repr__(self):
        return f"<numbarnn cell {self.name}: states {' '.join(self.states)}>"

    def __reduce__(self):
        """A built-in cell is itself again in another process; a user's is rebuilt from its functions."""
        if BUILT_IN.get(self.name) is self:
            return cell_named, (self.name,)
        return Cell, (self.name, self.states, self.output, self.phases, self.parameters, self.extra)

    @property
    def two_biases(self):
        with_bias = (phase for phase in self.phases if phase.use_bias)
        return any(total.name != total.slot for phase in with_bias for total in phase.sums)

    @cached_property
    def size_of(self):
        """Names of the sizes of all vectors: inputs, states, results, parameters and extra inputs."""
        computed = {result: phase.units for phase in self.phases for result in phase.results}
        of_parameters = {name: parameter.size for name, parameter in self.parameters.items()}
        return {"x": "inputs"} | computed | of_parameters | self.extra

    @property
    def sizes(self):
        """Names of the sizes that a user gives beside the number of units."""
        named = dict.fromkeys(self.size_of.values())
        return tuple(name for name in named if name not in ("inputs", UNITS, PER_ROW))

    @cached_property
    def options(self):
        """Keyword-only parameters of the functions with their defaults: activations and the like."""
        found = {}
        for given in self.phases:
            for name, parameter in inspect.signature(given.function).parameters.items():
                if name in given.options and found.setdefault(name, parameter.default) != parameter.default:
                    raise ValueError(
                        f"cell {self.name!r}: phases give option {name!r} the defaults {found[name]!r} and "
                        f"{parameter.default!r}; expected one default, or two names"
                    )
        return found

    def graphs(self, options):
        """One traced graph per phase, with `options` (a dict) in place of the defaults."""
        traced = []
        for phase in self.phases:
            chosen = {
                name: value for name, value in (self.options | options).items() if name in phase.options
            }
            traced.append(trace(phase.function, phase.parameters, phase.results, chosen))
        return tuple(traced)

    def derivatives(self, options):
        """The derivative of each phase's function, by reverse mode on its graph.

        Parameters
        ----------
        options : dict
            As of `graphs`.

        Returns
        -------
        tuple of Graph
            Inputs: what the function reads, then a cotangent ``d_<k>`` of each result k. Outputs: a cotangent
            of each value that it reads. `numbarnn.kernels.trace.evaluate` computes one on arrays.

        Examples
        --------
        >>> import numbarnn as nr
        >>> cell = nr.cell("squares", states="h", phases=[nr.phase("a:x", lambda a, h: a * a + h)])
        >>> [derivative] = cell.derivatives({})
        >>> nr.kernels.trace.evaluate(derivative, {"a": 3.0, "h": 1.0, "d_0": 0.5})
        [3.0, 0.5]
        """
        return tuple(vjp(graph) for graph in self.graphs(options))


TABLE, BUILT_IN = {}, {}  # name -> Cell; those that `cells` has entered are built in


def cell_named(name):
    """The entry of the table: what a pickled built-in cell becomes again."""
    return TABLE[name]
