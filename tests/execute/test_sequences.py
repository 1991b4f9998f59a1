"""Steps that are one native call give what NumPy gives, for all programs of an outline."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from against_reference import Builder

from flambeau.core import dtypes
from flambeau.execute.cpu import bounds, chains, sequences
from flambeau.execute.reference import schedule as schedules
from flambeau.execute.reference.blas import product_address
from flambeau.execute.reference.schedule import Schedule
from flambeau.graph.outline import STRUCTURES
from flambeau.graph.program import Program
from flambeau.ops import arithmetic as ar
from flambeau.ops import contraction, indexed, reduction, view, window
from flambeau.ops import elementwise as el
from flambeau.ops.value import Value
from flambeau.record.storage import Storage, storage_from_array

pytestmark = [
    pytest.mark.skipif(bounds.switched_on(), reason="steps stay single there"),
    pytest.mark.skipif(not product_address("s"), reason="NumPy brings no library of products"),
]


@pytest.fixture(autouse=True)
def nothing_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(STRUCTURES, "known", {})
    monkeypatch.setattr(chains, "OFTEN", 1)
    monkeypatch.setattr(schedules, "COMES_BACK", 1)


def plain(b: Builder, shape: tuple[int, ...], dtype: Any = dtypes.float32) -> Value:
    """Data as recordings have them: a reshape of a base."""
    b.random(shape, dtype)
    return view.reshape(b.flat[-1], shape=shape)


def places(b: Builder, found: list[int]) -> Value:
    b.data(np.array(found), dtypes.int64)
    return b.flat[-1]


def expert(b: Builder, n: int, m: int) -> list[Value]:
    """Rows by index through a layer, added back; and the way back."""
    x, w, bias = plain(b, (n, 5)), plain(b, (m, 5)), plain(b, (1, m))
    index = places(b, sorted(b.rng.permutation(n)[: n // 2 + 1].tolist()))
    rows = indexed.take(x, index, what="index 0")
    hidden = contraction.dot(rows, contraction.swap_last(w)) + view.expand(
        bias, shape=(rows.shape[0], m)
    )
    y = contraction.dot(el.tanh(hidden) * 0.5, w)
    out = indexed.put_add(x, index, y, what="index_add 0")
    back = contraction.dot(contraction.swap_last(hidden), y)
    return [out, back, reduction.sum_(hidden, axes=(0,)), contraction.swap_last(back)]


def negative(b: Builder, n: int, m: int) -> list[Value]:
    """Indices from the end, repeated ones, rows of one element, whole numbers."""
    x, lone = plain(b, (n, m)), plain(b, (n,), dtypes.float64)
    index = places(b, [-1, 0, n - 1, -n, 0])
    rows = indexed.take(x, index, what="index 0")
    whole = plain(b, (n, 3), dtypes.int64)
    return [
        indexed.put_add(x, index, rows * 2.0, what="index 0"),
        indexed.put_set(x, index, rows + 1.0, what="index 0"),
        indexed.put_add(lone, index, indexed.take(lone, index, what="index 0"), what="index 0"),
        indexed.put_set(whole, index, indexed.take(whole, index, what="index 0"), what="index 0"),
        rows,
    ]


def turned(b: Builder, n: int, m: int) -> list[Value]:
    """Permuted values as factors, as results, reshaped, and permuted twice."""
    x, y = plain(b, (n, m, 4)), plain(b, (n, m, 4))
    scores = contraction.dot(x * 2.0, contraction.swap_last(y))
    heads = view.permute(scores, order=(1, 0, 2))
    again = view.permute(view.permute(x, order=(2, 0, 1)), order=(1, 2, 0))
    flat = view.reshape(view.permute(x, order=(1, 0, 2)), shape=(n * m, 4))
    sums = contraction.dot(view.permute(heads, order=(1, 2, 0)), scores)
    return [heads, again, flat + 1.0, sums]


def laid_out(b: Builder, n: int, m: int) -> list[Value]:
    """Slices, flips, padding inside and out, and cutting; broadcasts in the middle."""
    x = plain(b, (2, n, m))
    wide = view.pad(x, low=(0, 2, 1), high=(1, 0, 3), interior=(0, 1, 2), value=-0.5)
    cut = view.pad(wide, low=(0, -1, 2), high=(0, 1, -2), interior=(1, 0, 0), value=7.0)
    part = view.slice_(wide, starts=(0, 1, 1), sizes=(2, n, m), steps=(1, 1, 1))
    middle = view.expand(plain(b, (2, 1, m)), shape=(2, n, m))
    flags = view.pad(ar.gt(x, 0.0), low=(0, 0, 1), high=(0, 0, 0), interior=(0, 0, 0), value=True)
    return [cut, view.flip(part, axes=(0, 2)) * middle + x, part, flags]


def images(b: Builder, n: int, m: int) -> list[Value]:
    """Convolutions with strides, dilations and groups, a bias for each channel, and a mean."""
    image = view.reshape(plain(b, (2, 6, n + 6, m + 6)), shape=(2, 2, 3, n + 6, m + 6))
    found = contraction.conv(image, plain(b, (2, 4, 3, 3, 2)), strides=(2, 1), dilations=(1, 2))
    shape = (1, 8, *found.shape[3:])
    one = view.reshape(
        view.slice_(found, starts=(0,) * 5, sizes=(1, *found.shape[1:]), steps=(1,) * 5),
        shape=shape,
    )
    moved = one * view.expand(plain(b, (1, 8, 1, 1)), shape=shape) + 0.25
    positive = ar.where(ar.gt(moved, 0.0), moved, ar.full_like(moved, 0.0))
    return [found, reduction.sum_(positive, axes=(2, 3)), positive]


def pools(b: Builder, n: int, m: int) -> list[Value]:
    """Windows of one and two axes, that overlap, with holes, of NaN and infinities."""
    x = plain(b, (2, 3, n + 4, m + 5))
    x = ar.where(ar.gt(x, 1.5), x / 0.0, x)
    x = ar.where(ar.gt(ar.full_like(x, -1.7), x), x - x / 0.0 - x / 0.0, x)
    flat = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    odd = {"sizes": (3, 2), "steps": (1, 3), "dilations": (1, 4)}
    line = {"sizes": (3,), "steps": (2,), "dilations": (2,)}
    double = ar.cast(x, dtypes.float64)
    return [
        window.max_pool(x, **flat),
        window.max_pool(x, **odd),
        window.max_pool(view.reshape(double, shape=(6, n + 4, m + 5)), **line),
    ]


def folds(b: Builder, n: int, m: int) -> list[Value]:
    """Sums of everything, truths, and the places of winners, also of NaN."""
    x = plain(b, (n, m))
    y = ar.where(ar.gt(x, 1.2), x / 0.0 - x / 0.0, x * 3.0)
    flags = ar.gt(x, 0.5)
    none = ar.gt(x, 50.0)
    ties = ar.cast(flags, dtypes.float64)
    return [
        *(fold(v, axes=(0, 1)) for v in (flags, none) for fold in (reduction.max_, reduction.min_)),
        *(reduction.argmax(v, axes=(1,)) for v in (y, ties, x)),
        *(reduction.argmin(v, axes=(1,)) for v in (y, ties, x)),
        reduction.sum_(view.reshape(x * 2.0, shape=(n * m,)), axes=(0,)),
        reduction.max_(view.reshape(y, shape=(n * m,)), axes=(0,)),
        reduction.sum_(x, axes=(0, 1)),
    ]


def shared(b: Builder, n: int, m: int) -> list[Value]:
    """Results that are operands, the same value in several shapes, and twice the same result."""
    x = plain(b, (n, m))
    y = ar.where(ar.gt(x, 0.0), x, x * 0.1)
    line = view.reshape(y, shape=(n * m,))
    return [x, y, line, view.reshape(y, shape=(m, n)), y, contraction.swap_last(y), line * 2.0]


def empty(b: Builder, n: int, m: int) -> list[Value]:
    """No rows are taken."""
    x, index = plain(b, (n, m)), places(b, [])
    rows = indexed.take(x, index, what="index 0")
    product = contraction.dot(rows, contraction.swap_last(x))
    nothing = contraction.dot(contraction.swap_last(rows), rows)
    return [indexed.put_add(x, index, rows, what="index 0") * 2.0, product, nothing + 1.0]


PROGRAMS: dict[str, Callable[[Builder, int, int], list[Value]]] = {
    f.__name__: f for f in (expert, negative, turned, laid_out, images, pools, folds, shared, empty)
}
SIZES = [(3, 5), (4, 7), (6, 4), (50, 30), (9, 9), (2, 3), (300, 40), (5, 3), (7, 130)]


def joined(program: Program) -> Schedule:
    schedule = Schedule(program)
    assert chains.join(schedule)
    return schedule


def calls(schedule: Schedule) -> list[sequences.Call]:
    return [step[1] for step in schedule.steps if isinstance(step[1], sequences.Call)]


def close(found: list[Any], wanted: list[Any]) -> None:
    for have, want in zip(found, wanted, strict=True):
        assert (have.dtype, have.shape) == (want.dtype, want.shape)
        assert have.flags.c_contiguous
        if want.dtype.kind == "f":
            finite = np.isfinite(want)
            assert np.array_equal(have[~finite], want[~finite], equal_nan=True)
            scale = np.abs(want[finite]).max(initial=1.0)
            assert np.abs(have[finite] - want[finite]).max(initial=0.0) <= 3e-6 * scale
        else:
            assert (have == want).all()


@pytest.mark.parametrize("name", PROGRAMS)
def test_sequences_of_all_sizes_give_what_numpy_gives(name: str) -> None:
    outlines = set()
    for number, (n, m) in enumerate((*SIZES, *SIZES)):
        b = Builder(number)
        program = b.program(PROGRAMS[name](b, n, m))
        bases = [array for _, array in b.bases]
        before = [array.copy() for array in bases]
        wanted = Schedule(program).run(bases, [])
        schedule = joined(program)
        assert calls(schedule)
        outlines.add(id(program.outline.structure))
        into = [np.full(array.size, 3, array.dtype) for array in wanted]
        for _ in range(2):
            close(schedule.run(bases, []), wanted)
            found, _ = schedule.compute(bases, [], None, into)
            close(found, wanted)
            assert all(np.shares_memory(x, y) for x, y in zip(found, into) if x.size)
        for array, was in zip(bases, before, strict=True):
            assert array.tobytes() == was.tobytes()
    assert len(outlines) < len(SIZES)


def stored(array: Any) -> Storage:
    return storage_from_array(np.ascontiguousarray(array).reshape(-1))


@pytest.mark.parametrize("name", PROGRAMS)
def test_whole_programs_run_on_the_memory_of_bases_and_results(name: str) -> None:
    ran = 0
    for number, (n, m) in enumerate((*SIZES, *SIZES)):
        b = Builder(number)
        results = PROGRAMS[name](b, n, m)
        b.random((results[0].size + 3,), results[0].dtype)  # (written, not read)
        updates = []
        if results[0].dtype.kind == "f":
            changed = view.reshape(results[0] * -1.0, shape=(results[0].size,))
            updates.append((len(b.bases) - 1, changed))
        program = b.program(results, updates)
        bases = [array for _, array in b.bases]
        expected = [array.copy() for array in bases]
        wanted = Schedule(program).run(expected, [])
        whole = joined(program).whole
        if whole is None:
            continue
        ran += 1
        storages = [stored(np.full(array.shape, 1, array.dtype)) for array in wanted]
        # Bases may lie anywhere in their memory.
        memory = [(stored(np.concatenate([np.ones(1, a.dtype), a])), a.itemsize) for a in bases]
        for _ in range(2):
            written = whole.run(memory, [], storages)
            assert written is not None
            found = [
                storage.array(v.dtype).reshape(v.shape)
                for storage, v in zip(storages, program.results, strict=True)
            ]
            close(found, wanted)
            assert [k for k, _ in written] == [k for k, _ in updates]
            for k, array in written:
                close([array], [expected[k][: array.size]])
        for (storage, _), array in zip(memory, bases, strict=True):
            left = storage.buffer.shown(array.size, array.dtype, array.itemsize, None)
            assert left.tobytes() == array.tobytes()
    assert ran or name in ("laid_out", "images")


def test_a_whole_program_reads_no_memory_that_is_not_there() -> None:
    b = Builder(3)
    x = plain(b, (4, 5))
    program = b.program([el.exp(x * 2.0) + 1.0, x * 3.0 - 1.0])
    whole = joined(program).whole
    assert whole is not None
    results = [stored(np.zeros(20, np.float32)) for _ in range(2)]
    short = stored(np.zeros(19, np.float32))
    assert whole.run([(short, 0)], [], results) is None
    assert whole.run([(stored(np.zeros(20, np.float32)), 4)], [], results) is None
    assert whole.run([(stored(np.zeros(20, np.float32)), 0)], [], results) == []


def test_run_time_numbers_of_whole_programs_are_those_of_each_run() -> None:
    b = Builder(3)
    factor = b.scalar(2.0, dtypes.float64)
    x = plain(b, (4, 5))
    scaled = x * view.expand(
        view.reshape(ar.cast(factor, dtypes.float32), shape=(1, 1)), shape=(4, 5)
    )
    program = b.program([scaled + 1.0, el.exp(scaled * 0.5)])
    whole = joined(program).whole
    assert whole is not None
    bases = [array for _, array in b.bases]
    for number in (2.0, -0.5, 2.0):
        wanted = Schedule(program).run(bases, [number])
        results = [stored(np.zeros(20, np.float32)) for _ in range(2)]
        assert whole.run([(stored(bases[0]), 0)], [number], results) == []
        close([r.array(dtypes.float32).reshape(4, 5) for r in results], wanted)


def test_a_program_is_one_call_where_all_its_steps_are_known() -> None:
    for n, m in SIZES[:4]:
        b = Builder(n)
        schedule = joined(b.program(expert(b, n, m)))
    (call,) = calls(schedule)
    assert len(schedule.steps) == 1
    assert len(call.sequence.own) >= 3


@pytest.mark.parametrize("index", [5, -6])
@pytest.mark.parametrize("name", ["take", "put_set", "put_add"])
def test_an_index_that_is_out_of_range_raises_what_it_raises_in_numpy(
    name: str, index: int
) -> None:
    for wrong in (False, True):
        b = Builder(3)
        x, at = plain(b, (5, 4)), places(b, [1, index if wrong else -5])
        rows = plain(b, (2, 4))
        y = {
            "take": lambda: indexed.take(x * 2.0, at, what="index 1"),
            "put_set": lambda: indexed.put_set(x * 2.0, at, rows, what="index 1"),
            "put_add": lambda: indexed.put_add(x * 2.0, at, rows, what="index 1"),
        }[name]()
        program = b.program([y + 1.0])
        bases = [array for _, array in b.bases]
        schedule = joined(program)
        assert calls(schedule)
        if wrong:
            with pytest.raises(IndexError, match=f"index {index} is out of bounds") as caught:
                schedule.run(bases, [])
            assert caught.value.__dict__["node"].primitive.name == name
        else:
            close(schedule.run(bases, []), Schedule(program).run(bases, []))


def test_operations_without_negative_indices_refuse_them() -> None:
    b = Builder(3)
    x, at = plain(b, (5, 4)), places(b, [1, -1])
    schedule = joined(b.program([indexed.take(x * 2.0, at, what="embedding") + 1.0]))
    assert calls(schedule)
    with pytest.raises(IndexError, match="out of range in self"):
        schedule.run([array for _, array in b.bases], [])


def test_memory_is_shared_by_values_that_are_not_there_at_the_same_time() -> None:
    b = Builder(3)
    x, w = plain(b, (400, 64)), plain(b, (64, 64))
    y = x
    for _ in range(6):
        y = contraction.dot(el.tanh(y) * 0.5, w)
    program = b.program([reduction.sum_(y, axes=(1,))])
    (call,) = calls(joined(program))
    assert call.nbytes <= 3 * 4 * x.size
    bases = [array for _, array in b.bases]
    close(joined(program).run(bases, []), Schedule(program).run(bases, []))


def test_operands_that_do_not_lie_by_rows_are_copied() -> None:
    b = Builder(3)
    x = b.data(np.arange(12.0).reshape(3, 4), dtypes.float32)
    odd = view.as_strided(b.flat[-1], shape=(3, 2), strides=(4, 2), offset=1)
    y = contraction.dot(odd * 2.0, contraction.swap_last(odd)) + 1.0
    program = b.program([y, reduction.sum_(x * 3.0 - 1.0, axes=(1,))])
    bases = [array for _, array in b.bases]
    schedule = joined(program)
    assert calls(schedule)
    close(schedule.run(bases, []), Schedule(program).run(bases, []))


def test_permutations_belong_to_the_outline() -> None:
    found = []
    for order in ((0, 2, 1), (1, 0, 2), (0, 2, 1)):
        b = Builder(3)
        x = plain(b, (4, 4, 4))
        program = b.program([view.permute(x * 2.0, order=order), x + 1.0])
        bases = [array for _, array in b.bases]
        close(joined(program).run(bases, []), Schedule(program).run(bases, []))
        found.append(program.outline.structure)
    assert found[0] is found[2]
    assert found[0] is not found[1]


def test_reused_memory_is_no_part_of_what_was_computed() -> None:
    """A result stays as it is when the sequence is called again."""
    b = Builder(3)
    x = plain(b, (40, 8))
    program = b.program([el.exp(x * 0.5), contraction.dot(x, contraction.swap_last(x * 0.5))])
    schedule = joined(program)
    bases = [array for _, array in b.bases]
    first = schedule.run(bases, [])
    kept = [array.copy() for array in first]
    bases[0][:] = 1.0
    schedule.run(bases, [])
    for have, want in zip(first, kept, strict=True):
        assert have.tobytes() == want.tobytes()
