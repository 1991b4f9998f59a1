"""Whether a program is worth compiling: what that costs, and what a run in NumPy costs.

Both are estimated, never measured: when a program is compiled decides about the last bits of its
results, and they must not hang on the clock, nor on what lies in the cache of kernels.
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.core.dtypes import uint32
from flambeau.graph.program import Program
from flambeau.ops.value import Value
from flambeau.record.statistics import STATISTICS

HEAVY_PER_NODE = 5_000
HEAVY = 1_000_000  # multiply-adds from which a program counts as heavy
MANY_PROGRAMS = 64
# Seconds, as seen: compiling a program and each of its nodes; NumPy's call for a node, and its time
# for a multiply-add.
COMPILING, COMPILING_PER_NODE = 0.03, 2e-3
RUNNING_PER_NODE, RUNNING_PER_UNIT = 5e-6, 5e-10
# In multiply-adds, as seen: an element of the primitives of a family, and of some of them.
ELEMENTS = {
    "elementwise": 3,
    "view": 2,
    "reduction": 3,
    "window": 30,
    "indexed": 20,
    "scan": 20,
    "sort": 150,
    "random": 30,
}
SLOW = {"put_add": 300, "put_set": 300, "logcumsumexp": 70}
DRAWS = (("normal", 300), ("permutation", 300), ("uniform", 30), ("random_range", 20), ("bits", 20))
SLOWEST_DRAW = 400
HALF = 5  # times as long: 16-bit floats
COLUMN = 4  # multiply-adds that copying an element costs, for all columns of a weight


class Early:
    """Heavy programs that have run once: `waiting` is how many of them have not come back.

    Where those are many, as with batches of ever new lengths, the next will hardly come back
    either, and is compiled before its first run only where that alone is worth it.
    """

    most = 4

    def __init__(self) -> None:
        self.waiting = 0

    def waits(self, program: Program) -> bool:
        """Counts a program before its first run, if it is one of these.

        What only draws (a model's first weights) is not expected back, and says nothing of others.
        """
        counts = self.waiting < self.most and heavy(program) and reads_data(program)
        self.waiting += counts
        return counts


EARLY = Early()


def waiting_share() -> float:
    """What part of the cost of compiling a small program has to have been spent in NumPy first.

    None for the first ones: a training loop has a few programs, and comes back to them. Where
    programs are many, as with sequences of ever new lengths, each has to have cost about that, and
    so do all once several heavy ones have not come back.
    """
    if EARLY.waiting >= EARLY.most:
        return 1.0
    count = STATISTICS.compiled_programs
    return 0.0 if count < MANY_PROGRAMS // 4 else min(count / MANY_PROGRAMS, 1.0)


def runs_that_pay(program: Program) -> float:
    """The runs in the reference executor that cost what compiling the program does."""
    nodes = program.nodes()
    compiling = COMPILING + COMPILING_PER_NODE * len(nodes)
    running = RUNNING_PER_NODE * len(nodes) + RUNNING_PER_UNIT * sum(map(in_numpy, nodes))
    return compiling / running


def in_numpy(value: Value) -> float:
    """What a value costs in the reference executor, in multiply-adds."""
    primitive = value.primitive
    if primitive.name == "dot":
        return products(value)
    if primitive.name == "conv":
        return products(value) * (1 + COLUMN / max(value.inputs[1].shape[1], 1))
    if primitive.family == "random":
        kind: str = value.attrs["kind"]
        each = next((cost for start, cost in DRAWS if kind.startswith(start)), SLOWEST_DRAW)
        return value.size * each
    if primitive.name == "strided_scatter":
        value = value.inputs[1]
    each = SLOW.get(primitive.name) or ELEMENTS.get(primitive.family, 1)
    return value.size * each * (HALF if value.dtype.itemsize == 2 else 1)


def heavy(program: Program) -> bool:
    """Whether a program has work, counted in multiply-adds and elements, and enough of it for each
    of its nodes.
    """
    nodes = program.nodes()
    total = work(nodes)
    return total >= HEAVY and total >= HEAVY_PER_NODE * len(nodes)


def reads_data(program: Program) -> bool:
    """Whether a program reads more than the states of generators."""
    return any(
        v.primitive.name == "input" and v.attrs["role"] == "base" and v.dtype is not uint32
        for v in program.nodes()
    )


def work(nodes: Sequence[Value]) -> int:
    """Multiply-adds and elements that the nodes of a program compute."""
    total = 0
    for value in nodes:
        if value.primitive.family == "contraction":
            total += products(value)
        elif value.primitive.name == "strided_scatter":
            total += value.inputs[1].size
        else:
            total += value.size
    return total


def products(value: Value) -> int:
    """The multiply-adds of a matrix product or a convolution."""
    if value.primitive.name == "dot":
        return value.size * value.inputs[0].shape[-1]
    kernel = value.inputs[1]
    return value.size * (kernel.size // max(kernel.shape[0] * kernel.shape[1], 1))
