"""What is worth what: when a program is compiled, and when the reference executor gets kernels.

Costs are estimated, never measured: when a program is compiled decides about the last bits of its
results, and they must not hang on the clock.
"""

from __future__ import annotations

from flambeau.graph.program import Program
from flambeau.ops.primitive import ELEMENTWISE, SOURCE, VIEW
from flambeau.ops.value import Value
from flambeau.record.statistics import STATISTICS

HEAVY_PER_NODE = 5_000
LONG_PER_NODE = 4_000  # elements that take a kernel much less time than NumPy
HEAVY = 1_000_000  # multiply-adds from which a program is compiled before its first run


# Seconds, as seen: compiling a program, each of its nodes, and each kind of them (LLVM's part; few
# kernels for what goes element by element); a run in NumPy, each of its calls, a multiply-add of a
# matrix product, any other or an element.
COMPILING, COMPILING_PER_NODE = 1e-2, 1e-4
COMPILING_PER_KIND, COMPILING_PER_ELEMENTWISE = 1e-2, 1e-3
RUNNING, RUNNING_PER_NODE = 1e-4, 5e-6
RUNNING_PER_PRODUCT, RUNNING_PER_UNIT = 1e-10, 5e-10
MANY_PROGRAMS = 64
OFTEN, OFTEN_SHARE = 16, 0.2  # one run in so many is often


class Costs:
    """What a program costs: its nodes, multiply-adds and elements (`work`; without matrix products
    `elements`), and the runs in the reference executor that cost what compiling does (`pays`).
    """

    __slots__ = ("elements", "nodes", "pays", "work")

    def __init__(self, program: Program) -> None:
        nodes = program.nodes()
        self.nodes = len(nodes)
        self.work = self.elements = 0
        elementwise, others = set(), set()
        for v in nodes:
            units = work(v)
            self.work += units
            if v.primitive.name != "dot":
                self.elements += units
            # Nodes that differ in no more than lengths that kernels are told as they run are one.
            if v.primitive.family in (ELEMENTWISE, VIEW):
                elementwise.add((v.primitive, v.dtype, *[x.primitive for x in v.inputs]))
            elif v.primitive.family != SOURCE:
                others.add((v.primitive, v.dtype, v.shape, *[x.shape for x in v.inputs]))
        compiling = COMPILING + COMPILING_PER_NODE * len(nodes)
        compiling += COMPILING_PER_ELEMENTWISE * len(elementwise) + COMPILING_PER_KIND * len(others)
        running = RUNNING + RUNNING_PER_NODE * len(nodes) + RUNNING_PER_UNIT * self.elements
        running += RUNNING_PER_PRODUCT * (self.work - self.elements)
        self.pays = compiling / running

    @property
    def heavy(self) -> bool:
        """Whether it is worth compiling before it has come back: it has work, and enough of it for
        each node to pay for compiling it.
        """
        return self.work >= HEAVY and self.work >= HEAVY_PER_NODE * self.nodes

    def joins_pay(self, runs: int) -> bool:
        """Whether to look for kernels in its schedule when it has run so often.

        To look costs about what it saves of NumPy's calls in two runs.
        """
        return runs >= 2 or self.elements >= LONG_PER_NODE * self.nodes


def work(value: Value) -> int:
    """Multiply-adds or elements that a node computes."""
    name = value.primitive.name
    if name == "dot":
        return value.size * value.inputs[0].shape[-1]
    if name == "conv":
        kernel = value.inputs[1]
        return value.size * (kernel.size // max(kernel.shape[0] * kernel.shape[1], 1))
    if name == "strided_scatter":
        return value.inputs[1].size
    return value.size


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

    def compiles(self, costs: Costs) -> bool:
        """Whether to compile a program before its first run; counts it."""
        if not costs.heavy or (self.many and costs.pays >= 0.5):
            return False
        self.waiting += 1
        self.many = self.many or self.waiting >= self.most
        return True

    def came_back(self) -> None:
        """One of them runs for the second time."""
        self.waiting -= self.part if self.many else 1
        self.many = self.many and self.waiting > 0


EARLY = Early()


def waiting_share(runs: int, since: int) -> float:
    """What part of the cost of compiling a small program has to have been spent in NumPy first,
    where it has run so often while all programs together have run `since` times.

    None for the first ones: a training loop has a few programs, and comes back to them. Where
    programs are many, as with sequences of ever new lengths, each has to have cost about that, and
    so do all once several have been compiled for nothing; less do those that come back all the
    time, as the optimizer of such a training does.
    """
    count = STATISTICS.compiled_programs
    share = 0.0 if count < MANY_PROGRAMS // 4 else min(count / MANY_PROGRAMS, 1.0)
    if EARLY.many:
        share = 1.0
    return share * OFTEN_SHARE if runs * OFTEN >= since else share


def runs_so_far() -> int:
    """How many programs have run."""
    return STATISTICS.reference_runs + STATISTICS.compiled_runs
