"""Whether a program is worth compiling, or kernels for any lengths in the reference executor's
schedule: what that costs, and what a run in NumPy costs.

Both are estimated, never measured: when a program is compiled decides about the last bits of its
results, and they must not hang on the clock, nor on what lies in the cache of kernels.
"""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any
from weakref import WeakSet

from flambeau.core.dtypes import uint32
from flambeau.graph.outline import Outline
from flambeau.graph.program import Program
from flambeau.ops.primitive import ATTENTION, CONTRACTION, ELEMENTWISE, RANDOM, SOURCE, VIEW
from flambeau.ops.value import Value
from flambeau.record.statistics import MANY, STATISTICS, TALLY

if TYPE_CHECKING:
    from flambeau.record.tree import State

HEAVY_PER_NODE = 5_000
HEAVY = 1_000_000  # multiply-adds from which a program counts as heavy
LONG_PER_NODE = 4_000  # elements that take a kernel much less time than NumPy
MANY_PROGRAMS = 64
OFTEN, OFTEN_SHARE = 16, 0.2  # one run in so many is often
RARE_SHARE = 0.5  # where there are few programs: of those that come back less often
JOINING_PAYS = 2  # runs in which kernels for any lengths save what looking for them costs
# Seconds, as seen: compiling a program and each of its nodes; NumPy's call for a node, and its time
# for a multiply-add.
COMPILING, COMPILING_PER_NODE = 0.03, 1e-3
RUNNING_PER_NODE, RUNNING_PER_UNIT = 5e-6, 5e-10
# The same of programs that have run before, see `Costs`: few kernels for what goes element by
# element; a run, and a multiply-add of a matrix product.
COMPILING_AGAIN, COMPILING_AGAIN_PER_NODE = 1e-2, 1e-4
COMPILING_PER_KIND, COMPILING_PER_ELEMENTWISE = 1e-2, 1e-3
RUNNING, RUNNING_PER_PRODUCT = 1e-4, 1e-10
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
PRODUCTS_PER_BYTE = 500  # multiply-adds that take a hundred times as long as to write a byte
COLUMN = 4  # multiply-adds that copying an element costs, for all columns of a weight


class Early:
    """Heavy programs that have run once: `waiting` is how many of them have not come back.

    Once those are `most`, as with batches of ever new lengths, programs are `many`: the next will
    hardly come back either, and is compiled before its first run only where that alone is worth
    it. From then on it takes many that come back, and few new ones, to say otherwise; or so many
    runs (`quiet`) without a new one as a loop over a few lengths has.
    """

    most = 4
    part = 0.25
    quiet = 48

    def __init__(self) -> None:
        self.waiting = 0.0
        self.known = 0  # runs since the last new one
        self.paid = 0  # compiled programs that have run so often that it was worth it

    @property
    def many(self) -> bool:
        return bool(TALLY[MANY])

    @many.setter
    def many(self, many: bool) -> None:
        TALLY[MANY] = many

    def waits(self, program: Program) -> bool:
        """Counts a program before its first run, if it is one of these.

        What only draws (a model's first weights) is not expected back, and says nothing of others.
        """
        if not (heavy(program) and reads_data(program)):
            return False
        self.known = 0
        self.waiting = min(self.waiting + 1, self.most)
        self.many = self.many or self.waiting >= self.most
        return True

    def came_back(self) -> None:
        """One of them runs for the second time."""
        self.waiting = max(self.waiting - (self.part if self.many else 1), 0)
        self.many = self.many and self.waiting > 0

    def ran_again(self) -> None:
        """One of them runs that is known, while programs are many."""
        self.known += 1
        if self.known >= self.quiet:
            self.waiting, self.many = 0, False


EARLY = Early()


class FirstSteps:
    """Programs that end with one of the first steps of an optimizer: they will come back (which the
    last batch of an epoch may not), so that nothing is gained by a first run in NumPy. What makes
    data of nothing beside will not, unless the second step does the same.

    Once `most` of them have not come back, as where many optimizers take a step each, there are no
    more.
    """

    most = 4

    def __init__(self) -> None:
        self.waiting = 0
        self._ends: WeakSet[State] = WeakSet()
        self._made_data: Counter[Any] = Counter()  # the nodes of the last that made data

    def end_at(self, state: State) -> None:
        """An optimizer's first step ends at this place of the tree."""
        self._ends.add(state)

    def take(self, program: Program, state: State) -> bool:
        """Counts what runs at a place for the first time, if it is one of these."""
        if self.waiting >= self.most or state not in self._ends:
            return False
        if makes_data(program):
            nodes = Counter((v.primitive, v.shape, v.dtype) for v in program.nodes())
            seen, self._made_data = self._made_data, nodes
            if seen != nodes:
                return False
        self.waiting += 1
        return True

    def came_back(self) -> None:
        """One of them runs for the second time."""
        self.waiting -= 1


FIRST_STEPS = FirstSteps()


def waiting_share(runs: int, since: int) -> float:
    """What part of the cost of compiling a small program has to have been spent in NumPy first,
    where it has run so often while all programs together have run `since` times.

    None for the first ones: a training loop has a few programs, and comes back to them. (Where one
    comes back after many others, as with boxes of which each time some are left, these are not
    few.) Those that have run often enough since they were compiled do not count, however many a
    long process has.
    Where the others are many, as with sequences of ever new lengths, each has to have cost about
    that, and so do all once several heavy ones have not come back; less do those that come back all
    the time, as the optimizer of such a training does.
    """
    count = STATISTICS.compiled_programs - EARLY.paid
    share = 0.0 if count < MANY_PROGRAMS // 4 else min(count / MANY_PROGRAMS, 1.0)
    if EARLY.many:
        share = 1.0
    if runs * OFTEN >= since:
        return share * OFTEN_SHARE
    return max(share, RARE_SHARE)


def runs_so_far() -> int:
    """How many programs have run."""
    return STATISTICS.reference_runs + STATISTICS.compiled_runs


class _Weights:
    """What the programs of a structure cost, as far as that is known without sizes.

    Costs that go by elements are factors of the sizes of shapes; of products there are the numbers
    of the values.
    """

    __slots__ = (
        "compiling_again", "convolutions", "counts", "factors", "products", "reads_data",
    )  # fmt: skip

    def __init__(self, outline: Outline) -> None:
        nodes, shapes = outline.nodes, outline.of_nodes
        counts: dict[int, int] = {}  # by shape: of values that cost their elements
        factors: dict[int, float] = {}  # by shape: the same in NumPy, in multiply-adds
        self.products: list[int] = []
        self.convolutions: list[int] = []
        self.reads_data = False
        elementwise, others = set(), set()
        for number, v in enumerate(nodes):
            primitive, family, shape = v.primitive, v.primitive.family, shapes[number]
            if family in (CONTRACTION, ATTENTION):
                (self.convolutions if primitive.name == "conv" else self.products).append(number)
            else:
                if primitive.name == "strided_scatter":
                    shape = shapes[outline.numbers[v.inputs[1]]]
                counts[shape] = counts.get(shape, 0) + 1
                factors[shape] = factors.get(shape, 0) + _in_numpy_each(v)
            # Nodes that differ in no more than lengths that kernels are told as they run are one.
            if family in (ELEMENTWISE, VIEW):
                elementwise.add((primitive, v.dtype, *[x.primitive for x in v.inputs]))
            elif family != SOURCE:
                others.add((primitive, v.dtype, v.shape, *[x.shape for x in v.inputs]))
            elif primitive.name == "input" and not self.reads_data:
                self.reads_data = v.attrs["role"] == "base" and v.dtype is not uint32
        compiling = COMPILING_AGAIN + COMPILING_AGAIN_PER_NODE * len(nodes)
        compiling += COMPILING_PER_ELEMENTWISE * len(elementwise) + COMPILING_PER_KIND * len(others)
        self.compiling_again = compiling
        self.counts, self.factors = list(counts.items()), list(factors.items())


def _weights(outline: Outline) -> _Weights:
    found: _Weights | None = outline.structure.kept.get(_Weights)
    if found is None:
        found = outline.structure.kept[_Weights] = _Weights(outline)
    return found


class Costs:
    """What a program that has run before costs: its nodes, the elements it computes without matrix
    products, and the runs in the reference executor that cost what compiling it does (`pays`).

    Of that executor with its kernels for any lengths, and of a compiler that has seen programs like
    it: what is new for that are kinds of nodes.
    """

    __slots__ = ("elements", "nodes", "pays")

    def __init__(self, program: Program) -> None:
        outline = program.outline
        nodes, sizes, weights = outline.nodes, outline.sizes, _weights(outline)
        self.nodes = len(nodes)
        self.elements = sum([sizes[shape] * count for shape, count in weights.counts])
        self.elements += sum([products(nodes[number]) for number in weights.convolutions])
        multiplications = sum([products(nodes[number]) for number in weights.products])
        running = RUNNING + RUNNING_PER_NODE * len(nodes)
        running += RUNNING_PER_UNIT * self.elements + RUNNING_PER_PRODUCT * multiplications
        self.pays = weights.compiling_again / running

    def joins_pay(self, runs: int) -> bool:
        """Whether to look for kernels in its schedule when it has run so often.

        To look costs about what it saves of NumPy's calls in two runs.
        """
        return runs >= JOINING_PAYS or self.elements >= LONG_PER_NODE * self.nodes


def runs_that_pay(program: Program) -> float:
    """The runs in the reference executor that cost what compiling the program does, all of it being
    new.
    """
    outline = program.outline
    nodes, sizes, weights = outline.nodes, outline.sizes, _weights(outline)
    computed = sum([sizes[shape] * factor for shape, factor in weights.factors])
    for number in weights.products:
        computed += products(nodes[number])
    for number in weights.convolutions:
        v = nodes[number]
        computed += products(v) * (1 + COLUMN / max(v.inputs[1].shape[1], 1))
    compiling = COMPILING + COMPILING_PER_NODE * len(nodes)
    running = RUNNING_PER_NODE * len(nodes) + RUNNING_PER_UNIT * computed
    return compiling / running


def _in_numpy_each(value: Value) -> float:
    """What an element of a value costs in the reference executor, in multiply-adds."""
    primitive = value.primitive
    if primitive.family == RANDOM:
        kind: str = value.attrs["kind"]
        return next((cost for start, cost in DRAWS if kind.startswith(start)), SLOWEST_DRAW)
    if primitive.name == "strided_scatter":
        value = value.inputs[1]
        primitive = value.primitive
    each = SLOW.get(primitive.name) or ELEMENTS.get(primitive.family, 1)
    return each * (HALF if value.dtype.itemsize == 2 else 1)


def heavy(program: Program) -> bool:
    """Whether a program has work, counted in multiply-adds and elements, and enough of it for each
    of its nodes.
    """
    total = work(program)
    return total >= HEAVY and total >= HEAVY_PER_NODE * len(program.nodes())


def leaving_pays(program: Program, nbytes: int) -> bool:
    """Whether not to write so many bytes is a notable part of a program's time. (Where somebody
    looks at them in every step after all, it is compiled once more.)
    """
    return PRODUCTS_PER_BYTE * nbytes >= work(program)


def reads_data(program: Program) -> bool:
    """Whether a program reads more than the states of generators."""
    return _weights(program.outline).reads_data


def makes_data(program: Program) -> bool:
    """Whether a result of a program hangs on none of its data."""
    told = set()
    for v in program.nodes():
        given = v.primitive.name == "input" and v.dtype is not uint32
        if given or any(operand in told for operand in v.inputs):
            told.add(v)
    return any(v not in told for v in program.results)


def work(program: Program) -> int:
    """Multiply-adds and elements that a program computes."""
    outline = program.outline
    nodes, sizes, weights = outline.nodes, outline.sizes, _weights(outline)
    total = sum([sizes[shape] * count for shape, count in weights.counts])
    for number in (*weights.products, *weights.convolutions):
        total += products(nodes[number])
    return total


def operations(value: Value) -> int:
    """Float operations of products: two for each multiply-add of matrix products, of attention, of
    convolutions and of the state's matrix in recurrent layers; 0 for what is none of these.
    """
    if value.primitive.family in ("contraction", "attention"):
        return 2 * products(value)
    if value.primitive.family != "recurrence" or value.primitive.name == "recurrence_saved":
        return 0  # (what is saved comes with the layer's outputs)
    steps: int = sum(value.attrs["sizes"])
    return 2 * steps * value.inputs[1].size


def products(value: Value) -> int:
    """The multiply-adds of a matrix product, of attention or a convolution."""
    name = value.primitive.name
    if name == "dot":
        return value.size * value.inputs[0].shape[-1]
    if value.primitive.family == "attention":
        q, _, v = value.inputs[1:4] if name == "attention_grad" else value.inputs[:3]
        scores: int = q.shape[0] * q.shape[1] * q.shape[2] * v.shape[2]
        if name == "attention":
            return scores * (q.shape[3] + v.shape[3])
        return scores * (3 * q.shape[3] + 2 * v.shape[3])
    kernel = value.inputs[1]
    return value.size * (kernel.size // max(kernel.shape[0] * kernel.shape[1], 1))
