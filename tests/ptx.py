"""What the text of a compiled CUDA kernel tells: its loops, and the loads, products and divisions in them."""

import re
from bisect import bisect_right
from functools import cached_property
from typing import NamedTuple

from numbarnn.kernels.jit_cuda import VECTOR_BYTES


class Instruction(NamedTuple):
    operation: str
    operands: str
    predicated: bool

    def access(self, how, space):
        """Bytes, if it loads ("ld") or stores ("st") in one kind of memory, or 0."""
        match = LOAD_OR_STORE.fullmatch(self.operation)
        if not match or (match["how"], match["space"]) != (how, space):
            return 0
        return int(match["count"] or 1) * int(match["bits"]) // 8


REGISTER = re.compile(r"%[a-z]+\d+")
LOAD_OR_STORE = re.compile(
    r"(?P<how>ld|st)\.(?P<space>\w+)(?:\.nc)?\.(?:v(?P<count>\d)\.)?[a-z](?P<bits>\d+)"
)
STATEMENT = re.compile(r"(?P<unless>@!?%p\d+\s+)?(?P<operation>[a-z][\w.]*)\s*(?P<operands>.*)", re.DOTALL)


class Ptx:
    """A kernel's PTX as instructions and loops; see `facts`."""

    def __init__(self, text, parameters):
        body = re.sub(r"//.*", "", text[text.index(".entry") :])
        self.parameters, self.instructions, labels = parameters, [], {}
        for statement in re.split(r"[;{](?=\s)|(?<=:)(?=\s)|}\s", body[body.index("{") + 1 :]):
            statement = statement.strip()
            if statement.startswith("$"):
                labels[statement.rstrip(":")] = len(self.instructions)
            elif match := STATEMENT.fullmatch(statement):
                unless, operation, operands = match.groups()
                self.instructions.append(Instruction(operation, operands, unless is not None))
        ends = {n + 1 for n, each in enumerate(self.instructions) if each.operation.startswith("bra")}
        self.starts = sorted({0, *labels.values(), *ends} - {len(self.instructions)})
        self.labels = labels
        self.depot = sum(map(int, re.findall(r"\.local .*__local_depot\d+\[(\d+)\]", text)))

    def block_of(self, n):
        return bisect_right(self.starts, n) - 1

    @cached_property
    def successors(self):
        """Of each block, those that may come next."""
        following = []
        for b, end in enumerate([*self.starts[1:], len(self.instructions)]):
            last, after = self.instructions[end - 1], set()
            jumps = last.operation.startswith("bra")
            if jumps:
                after.add(self.block_of(self.labels[last.operands.strip()]))
            if last.predicated or not (jumps or last.operation in ("ret", "exit", "trap")):
                after.add(b + 1)
            following.append(after - {len(self.starts)})
        return following

    @cached_property
    def loops(self):
        """Sets of blocks: of each block that is jumped back to, all that lead there without leaving."""
        count = len(self.starts)
        before = [[a for a in range(count) if b in self.successors[a]] for b in range(count)]
        dominators, changed = [{0}] + [set(range(count)) for _ in range(count - 1)], True
        while changed:
            changed = False
            for b in range(1, count):
                common = set.intersection(*(dominators[a] for a in before[b])) if before[b] else set()
                changed |= common | {b} != dominators[b]
                dominators[b] = common | {b}
        back = [(b, header) for b in range(count) for header in self.successors[b] & dominators[b]]
        found = {}
        for last, header in back:
            body, open_ends = found.setdefault(header, {header}), [last]
            while open_ends:
                if (block := open_ends.pop()) not in body:
                    body.add(block)
                    open_ends += before[block]
        return list(found.values())

    def within(self, blocks):
        """Instructions of a set of blocks."""
        return [each for n, each in enumerate(self.instructions) if self.block_of(n) in blocks]

    def innermost(self, wanted):
        """Loops that ``wanted(loop)`` holds of, and of none inside them."""
        found = [loop for loop in self.loops if wanted(loop)]
        return [loop for loop in found if not any(other < loop for other in found)]

    def around(self, loop):
        """The smallest loop around a loop, or it itself."""
        return min((other for other in self.loops if loop < other), key=len, default=loop)

    @cached_property
    def _sources(self):
        """Of each register, the registers that it is computed from, and parameters."""
        sources = {}
        for operation, operands, _ in self.instructions:
            if operation.startswith(("ld.param", "mov", "add", "sub", "mul", "mad", "shl", "cvta", "selp")):
                target, *others = operands.split(",")
                read = [*REGISTER.findall(",".join(others)), *re.findall(r"_param_(\d+)\]", operands)]
                sources.setdefault(target.strip(), set()).update(read)
        return sources

    def arrays(self, address):
        """Names of the arrays that an address is computed from."""
        seen, open_ends = set(), REGISTER.findall(address)
        while open_ends:
            if (source := open_ends.pop()) not in seen:
                seen.add(source)
                open_ends += self._sources.get(source, ())
        names, position = set(), 0
        for name, kind in self.parameters.items():
            words = 7 if hasattr(kind, "ndim") else 1  # of an array: the fifth is its address
            names |= {name} if words == 7 and str(position + 4) in seen else set()
            position += words
        return names


def _are(pattern, instructions):
    return sum(bool(re.match(pattern, each.operation)) for each in instructions)


FUSED, DIVISION, DOUBLE = r"fma\.rn\.f\d\d", r"(div|rem)\.[su]\d\d", r".*\.f64\b"


class Facts(NamedTuple):
    """Of a kernel's PTX. Widths are in bytes, each that occurs."""

    fused_per_load: list  # of each innermost loop that multiplies vectors
    weights: list  # widths of loads where they are put into shared memory
    values: list
    shared: list  # widths of loads where vectors are multiplied
    divisions: int  # of integers, where vectors are multiplied and fetched
    outer_divisions: int  # in the loops around that
    local_bytes: int
    doubles: int  # instructions on float64


def facts(ptx, parameters):
    """The `Facts` of a kernel's PTX."""
    read = Ptx(ptx, parameters)

    def multiplies(loop):
        body = read.within(loop)
        return _are(FUSED, body) and any(each.access("ld", "shared") == VECTOR_BYTES for each in body)

    def stores(loop):
        return any(each.access("st", "shared") for each in read.within(loop))

    multiplying, fetching = read.innermost(multiplies), read.innermost(stores)
    near = set().union(*map(read.around, multiplying))
    around = set().union(*(loop for loop in read.loops if _are(FUSED, read.within(loop)))) - near
    bodies = [read.within(loop) for loop in multiplying]
    loads = [[size for each in body if (size := each.access("ld", "shared"))] for body in bodies]
    widths = {"weights": set(), "values": set(), "x": set()}
    for each in read.within(set().union(*fetching)):
        if size := each.access("ld", "global"):
            for name in read.arrays(each.operands[each.operands.index("[") :]) & set(widths):
                widths[name].add(size)
    return Facts(
        sorted(_are(FUSED, body) / len(each) for body, each in zip(bodies, loads, strict=True)),
        weights=sorted(widths["weights"], reverse=True),
        values=sorted(widths["values"] | widths["x"], reverse=True),
        shared=sorted({size for each in loads for size in each}, reverse=True),
        divisions=_are(DIVISION, read.within(near)),
        outer_divisions=_are(DIVISION, read.within(around)),
        local_bytes=read.depot,
        doubles=_are(DOUBLE, read.instructions),
    )
