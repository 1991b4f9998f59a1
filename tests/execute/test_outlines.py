"""What programs of one outline share: the same steps, chains and costs as if each were alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from against_reference import Builder

from flambeau.core import dtypes
from flambeau.execute.cpu import chains, sequences
from flambeau.execute.reference import schedule as schedules
from flambeau.execute.reference.schedule import Recipe, Schedule
from flambeau.graph.outline import MOST, STRUCTURES
from flambeau.graph.program import Program
from flambeau.graph.reverse import Reverse
from flambeau.ops import arithmetic as ar
from flambeau.ops import contraction, indexed, reduction, source, view
from flambeau.ops import elementwise as el
from flambeau.ops.value import Value
from flambeau.record import worth


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STRUCTURES, "known", {})
    monkeypatch.setattr(chains, "OFTEN", 1)
    monkeypatch.setattr(schedules, "COMES_BACK", 1)


def row_sum(x: Value) -> Value:
    return reduction.spread(reduction.sum_(x, axes=(x.ndim - 1,)), x, (x.ndim - 1,))


def layer(b: Builder, rows: int, columns: int) -> list[Value]:
    """A layer, its normalisation and a softmax, with gradients."""
    x = b.random((rows, 8))
    w = source.leaf(b.random((8, columns)), 0)
    bias = view.expand(source.leaf(b.random((1, columns)), 1), shape=(rows, columns))
    y = contraction.dot(x, w) + bias
    y = y - row_sum(y) / columns
    y = el.tanh(y / el.sqrt(row_sum(y * y) / columns + 1e-5)) * bias
    p = el.exp(y - row_sum(y))
    total = reduction.sum_(p / (row_sum(p) + 1.0), axes=(0, 1))
    back = Reverse()
    back.seed(total, b.random(()))
    back.run()
    return [total, *back.leaves.values()]


def windows(b: Builder, rows: int, columns: int) -> list[Value]:
    """Constants of the sizes, padding, slices and functions that NumPy lacks."""
    x = b.random((rows, columns))
    steps = view.reshape(source.iota(size=columns), shape=(1, columns))
    places = view.expand(ar.cast(steps, dtype=dtypes.float32), shape=(rows, columns))
    wide = view.pad(el.erf(x * places), low=(0, 1), high=(0, 1), interior=(0, 0), value=0.5)
    part = view.slice_(wide, starts=(0, 0), sizes=(rows, columns), steps=(1, 1))
    rest = view.reshape(part, shape=(rows, 1, columns))
    return [part + x, view.reshape(rest * 2.0, shape=(columns * rows,)), wide]


PROGRAMS: dict[str, Callable[[Builder, int, int], list[Value]]] = {
    "layer": layer,
    "windows": windows,
}
SIZES = [(3, 5), (4, 7), (5, 9), (6, 4), (50, 30), (9, 9), (8, 6), (2000, 40), (5, 3)]


def steps_of(schedule: Schedule) -> list[Any]:
    """All of the steps that can be compared."""
    found = []
    for node, function, given, attrs, place, dtype, shape, dead in schedule.steps:
        call: Any = attrs
        if isinstance(function, sequences.Call):
            call = function.sequence.steps, function.outputs, function.buffers, function.nbytes
            call = (*call, function.words.tolist(), function.program.tolist(), function.releases)
        if isinstance(function, chains.Call):
            words = function.program.tolist()
            call = function.chain, function.inputs, function.outputs, function.results
            call = (*call, function.scratch, function.releases, words)
        found.append((node, call, given, place, dtype, shape, set(dead)))
    return found


def same(a: Any, b: Any) -> bool:
    return len(a) == len(b) and all(
        x.dtype == y.dtype and x.shape == y.shape and x.tobytes() == y.tobytes()
        for x, y in zip(a, b, strict=True)
    )


@pytest.mark.parametrize("name", PROGRAMS)
def test_schedules_of_an_outline_are_those_that_each_program_has_by_itself(name: str) -> None:
    taken, joined = 0, 0
    for number, (rows, columns) in enumerate((*SIZES, *SIZES)):
        b = Builder(number)
        program = b.program(PROGRAMS[name](b, rows, columns))
        bases = [array for _, array in b.bases]
        known, STRUCTURES.known = STRUCTURES.known, {}
        alone = Schedule(program)  # of a structure that nobody else has
        STRUCTURES.known = known
        del program.__dict__["outline"]
        shared = Schedule(program)
        taken += shared._steps is None
        assert steps_of(shared) == steps_of(alone)
        assert (shared.bases, shared.results, shared.updates, shared.scalars) == (
            alone.bases, alone.results, alone.updates, alone.scalars,
        )  # fmt: skip
        assert shared.long == alone.long
        assert shared.multiplies == alone.multiplies
        assert same(shared.run(bases, []), alone.run(bases, []))
        assert set(shared.places.items()) == set(alone.places.items())
        shared = Schedule(program)
        fast = shared._steps is None
        assert chains.join(shared)
        assert chains.join(alone)
        joined += fast
        assert steps_of(shared) == steps_of(alone)
        assert same(shared.run(bases, []), alone.run(bases, []))
    assert taken >= len(SIZES)
    assert joined >= len(SIZES)


def structure(results: Callable[[Builder], list[Value]]) -> object:
    b = Builder()
    return b.program(results(b)).outline.structure


def test_only_sizes_may_differ_between_programs_of_an_outline() -> None:
    def product(rows: int, columns: int, dtype: Any = dtypes.float32) -> Any:
        return structure(lambda b: [b.random((rows, columns), dtype) * 2.0])

    assert product(3, 4) is product(5, 6)
    assert product(3, 4) is product(7, 7)
    assert product(3, 4) is not product(3, 1)
    assert product(3, 4) is not product(0, 4)
    assert product(3, 4) is not product(3, 4, dtypes.float64)

    def sums(axis: int) -> Any:
        return structure(lambda b: [reduction.sum_(b.random((3, 4)), axes=(axis,))])

    assert sums(0) is not sums(1)
    assert sums(1) is sums(1)

    def flattened(*shape: int) -> Any:
        return structure(lambda b: [view.reshape(b.random((3, 4)), shape=shape)])

    assert flattened(4, 3) is flattened(6, 2)
    assert flattened(4, 3) is not flattened(1, 12)

    def twice(first: tuple[int, int], second: tuple[int, int]) -> Any:
        return structure(lambda b: [b.random(first) * 2.0, b.random(second) * 2.0])

    assert twice((3, 4), (5, 6)) is twice((2, 9), (8, 9))
    assert twice((3, 4), (5, 6)) is not twice((3, 4), (3, 4))

    def order(turned: bool) -> Any:
        def made(b: Builder) -> list[Value]:
            x = b.random((3, 4))
            pair = [x * 2.0, x + 1.0]
            return pair[::-1] if turned else pair

        return structure(made)

    assert order(False) is not order(True)


def test_a_recipe_is_not_taken_where_a_constant_cannot_be_computed() -> None:
    """Reading at a place that is not there raises when the program runs, whoever came before."""

    def program(place: int) -> tuple[Program, list[Any]]:
        b = Builder()
        x = b.random((4,))
        steps = source.iota(size=3)
        at = view.reshape(source.constant(place, dtypes.int64), shape=(1,))
        found = indexed.take(steps, at, what="index")
        return b.program([found, x * 2.0]), [array for _, array in b.bases]

    for _ in range(3):
        made, bases = program(2)
        assert Schedule(made).run(bases, [])[0].tolist() == [2]
    recipe = made.outline.structure.kept[Recipe]
    assert Schedule(made).recipe is recipe
    made, bases = program(7)
    assert made.outline.structure.kept[Recipe] is recipe
    schedule = Schedule(made)
    assert schedule.recipe is None
    with pytest.raises(Exception, match=r"out of (range|bounds)"):
        schedule.run(bases, [])


@pytest.mark.parametrize("name", PROGRAMS)
def test_costs_are_those_of_the_nodes(name: str) -> None:
    for rows, columns in SIZES:
        b = Builder()
        program = b.program(PROGRAMS[name](b, rows, columns))
        total = elements = 0
        for v in program.nodes():
            one = worth.products(v) if v.primitive.name in ("dot", "conv") else v.size
            total += one
            elements += 0 if v.primitive.name == "dot" else one
        assert worth.work(program) == total
        costs = worth.Costs(program)
        assert (costs.nodes, costs.elements) == (len(program.nodes()), elements)
        assert worth.reads_data(program)
    few, many = [worth.runs_that_pay(p) for p in _of_sizes("layer", 4, 4000)]
    assert few > many  # what takes long in NumPy is worth compiling sooner
    assert few == pytest.approx(_in_numpy_by_nodes(_of_sizes("layer", 4, 4)[0]))


def _of_sizes(name: str, *rows: int) -> list[Program]:
    found = []
    for count in rows:
        b = Builder()
        found.append(b.program(PROGRAMS[name](b, count, 16)))
    return found


def _in_numpy_by_nodes(program: Program) -> float:
    nodes = program.nodes()
    computed = sum(
        worth.products(v)
        if v.primitive.name == "dot"
        else v.size * worth.ELEMENTS.get(v.primitive.family, 1)
        for v in nodes
    )
    running = worth.RUNNING_PER_NODE * len(nodes) + worth.RUNNING_PER_UNIT * computed
    return (worth.COMPILING + worth.COMPILING_PER_NODE * len(nodes)) / running


def test_structures_are_few() -> None:
    for number in range(MOST + 10):
        b = Builder()
        x = b.random((2,))
        assert b.program([x] * (number + 1)).outline.nodes
    assert len(STRUCTURES.known) == MOST
    assert np.all([s.seen == 1 for s in STRUCTURES.known.values()])
