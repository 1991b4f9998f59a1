"""What is worth what: when a program is compiled, and when the reference executor gets kernels.

Costs are estimated, never measured: when a program is compiled decides about the last bits of its
results, and they must not hang on the clock.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.graph.program import Program
from flambeau.ops.primitive import ELEMENTWISE, SOURCE, VIEW
from flambeau.ops.value import Value
from flambeau.record.statistics import STATISTICS

HEAVY_PER_NODE = 5_000
LONG_PER_NODE = 4_000  # elements that take a kernel much less time than NumPy
HEAVY = 1_000_000  # multiply-adds from which a program is compiled before its first run


class Early:
    """Programs that were compiled before their first run: `waiting` is how many have not come back.

    Once those are `most`, as with batches of ever new lengths, programs are `many`: the next will
    hardly come back either, and waits for its second run unless the first alone is worth it. From
    then on each that comes back after all counts for a part only.
    """

    most = 4
    part = 0.25

    def __init__(self) -> None:
        self.waiting = 0.0
        self.many = False

    def compiles(self, program: Program) -> bool:
        """Whether to compile a program before its first run; counts it."""
        if not heavy(program) or (self.many and runs_that_pay(program) >= 0.5):
            return False
        self.waiting += 1
        self.many = self.many or self.waiting >= self.most
        return True

    def came_back(self) -> None:
        """One of them runs for the second time."""
        self.waiting -= self.part if self.many else 1
        self.many = self.many and self.waiting > 0


EARLY = Early()
MANY_PROGRAMS = 64
# Seconds, as seen: compiling a program, each of its nodes, and each kind of them (LLVM's part; few
# kernels for what goes element by element); NumPy's call for a node, and its time for a
# multiply-add or an element.
COMPILING, COMPILING_PER_NODE = 0.03, 1e-4
COMPILING_PER_KIND, COMPILING_PER_ELEMENTWISE = 1.5e-2, 2e-3
RUNNING_PER_NODE, RUNNING_PER_UNIT = 5e-6, 5e-10


def waiting_share() -> float:
    """What part of the cost of compiling a small program has to have been spent in NumPy first.

    None for the first ones: a training loop has a few programs, and comes back to them. Where
    programs are many, as with sequences of ever new lengths, each has to have cost about that, and
    so do all once several have been compiled for nothing.
    """
    if EARLY.many:
        return 1.0
    count = STATISTICS.compiled_programs
    return 0.0 if count < MANY_PROGRAMS // 4 else min(count / MANY_PROGRAMS, 1.0)


def runs_that_pay(program: Program) -> float:
    """The runs in the reference executor that cost what compiling the program does."""
    nodes = program.nodes()
    compiling = COMPILING + COMPILING_PER_NODE * len(nodes) + compiling_kinds(nodes)
    return compiling / (RUNNING_PER_NODE * len(nodes) + RUNNING_PER_UNIT * work(nodes))


def compiling_kinds(nodes: Sequence[Value]) -> float:
    """Seconds for the nodes that differ in more than lengths that kernels are told as they run."""
    elementwise, others = set(), set()
    for v in nodes:
        if v.primitive.family in (ELEMENTWISE, VIEW):
            elementwise.add((v.primitive, v.dtype, *[x.primitive for x in v.inputs]))
        elif v.primitive.family != SOURCE:
            others.add((v.primitive, v.dtype, v.shape, *[x.shape for x in v.inputs]))
    return COMPILING_PER_ELEMENTWISE * len(elementwise) + COMPILING_PER_KIND * len(others)


def joins_pay(program: Program, runs: int) -> bool:
    """Whether to look for kernels in the schedule of a program that has run so often.

    To look costs about what it saves of NumPy's calls in two runs.
    """
    if runs >= 2:
        return True
    nodes = program.nodes()
    return work([v for v in nodes if v.primitive.name != "dot"]) >= LONG_PER_NODE * len(nodes)


def heavy(program: Program) -> bool:
    """Whether a program is worth compiling before it has come back.

    It must have work, counted in multiply-adds and elements, and enough of it for each node to
    pay for compiling it.
    """
    nodes = program.nodes()
    total = work(nodes)
    return total >= HEAVY and total >= HEAVY_PER_NODE * len(nodes)


def work(nodes: Sequence[Value]) -> int:
    """Multiply-adds and elements that the nodes of a program compute."""
    total = 0
    for value in nodes:
        name = value.primitive.name
        if name == "dot":
            total += value.size * value.inputs[0].shape[-1]
        elif name == "conv":
            kernel = value.inputs[1]
            total += value.size * (kernel.size // max(kernel.shape[0] * kernel.shape[1], 1))
        elif name == "strided_scatter":
            total += value.inputs[1].size
        else:
            total += value.size
    return total
