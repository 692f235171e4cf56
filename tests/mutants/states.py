"""Faults of states: of a step, a call, a wave, a stateful layer, a stepper."""

from .mutation import Mutation

SEQUENCE, STATEFUL, RECURRENT = "kernels/sequence_cpu.py", "numbarnn/stateful.py", "numbarnn/recurrent.py"

MUTATIONS = [
    Mutation(
        "a step reads the states that it is to write",
        "kernels/program.py",
        "(self.vectors.index(name), int(name in earlier))]",
        "(self.vectors.index(name), 1)]",
    ),
    Mutation(
        "only the first state is carried over to the next call",
        RECURRENT,
        "initial = state.current if initial is None else initial",
        "initial = [state.current[0], *[None] * (len(state.fields) - 1)] if initial is None else initial",
        ("edges", "golden", "states"),
    ),
    Mutation(
        "a stateful layer ignores the initial state that it is given",
        RECURRENT,
        "initial = state.current if initial is None else initial",
        "initial = state.current",
        ("states",),
    ),
    Mutation(
        "a call writes over the state that it reads",
        STATEFUL,
        " for field in self.fields] for _ in range(2)\n        ]\n",
        " for field in self.fields]\n        ] * 2\n",
        ("states",),
    ),
    Mutation(
        "every entry of a kernel starts from the initial states",
        SEQUENCE,
        "    if step == 0:\n        begin(",
        "    if step >= 0:\n        begin(",
        ("bits",),
    ),
    Mutation(
        "every wave has the states of the first",
        SEQUENCE,
        "return integer(call, word.WAVE_BEGIN) + integer(own, word.ROW_FIRST) + row",
        "return integer(own, word.ROW_FIRST) + row",
        ("bits",),
    ),
    Mutation(
        "a stepper takes the sides of its state the other way round",
        STATEFUL,
        "first, last = self._calls[state.side]",
        "first, last = self._calls[1 - state.side]",
        ("bits", "states"),
    ),
    Mutation(
        "a stepper keeps the weights that it began with",
        STATEFUL,
        "if cell.program is not program:",
        "if program is None:",
        ("states",),
    ),
    Mutation(
        "a layer hands out its states, not copies",
        STATEFUL,
        'return [np.array(places.to_host("state", array)) for array in self.current]',
        "return list(self.current)",
        ("memory", "states"),
    ),
]
