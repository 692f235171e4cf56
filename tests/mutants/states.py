"""Faults of states: of a step, a call, a wave, a stateful layer, a stepper."""

from .mutation import Mutation

SEQUENCE, STATEFUL, RNN = "kernels/sequence_cpu.py", "numbarnn/stateful.py", "numbarnn/rnn.py"

MUTATIONS = [
    Mutation(
        "a step reads the states that it is to write",
        "kernels/program.py",
        "(self.vectors.index(name), int(name in earlier))]",
        "(self.vectors.index(name), 1)]",
    ),
    Mutation(
        "only the first state is carried over to the next call",
        RNN,
        "initial = state.current if initial_state is None else initial",
        "initial = [state.current[0], *initial[1:]] if initial_state is None else initial",
        ("edges", "golden", "states"),
    ),
    Mutation(
        "a stateful layer ignores the initial state that it is given",
        RNN,
        "initial = state.current if initial_state is None else initial",
        "initial = state.current",
        ("states",),
    ),
    Mutation(
        "a call writes over the state that it reads",
        STATEFUL,
        "[[dispatch.empty(shape, cell.dtype) for _ in self.names] for _ in range(2)]",
        "[[dispatch.empty(shape, cell.dtype) for _ in self.names]] * 2",
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
        "a stepper changes the sides of its state before the step",
        STATEFUL,
        """            self._calls[state.side].step(x_t, out)
            state.swap()
""",
        """            state.swap()
            self._calls[state.side].step(x_t, out)
""",
        ("bits", "states"),
    ),
    Mutation(
        "a stepper keeps the weights that it began with",
        STATEFUL,
        "self._program is not self._cell.program",
        "self._program is None",
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
