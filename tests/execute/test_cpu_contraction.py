"""Contractions as native code against NumPy's einsum in double precision, on strided views."""

from __future__ import annotations

import ctypes
import itertools
import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from math import prod
from typing import Any

import numpy as np
import pytest

from flambeau.core import dtypes
from flambeau.execute.cpu import bounds
from flambeau.execute.cpu import contraction_plan as plan
from flambeau.execute.cpu.contraction import (
    ARGS,
    TABLE,
    Axis,
    Contraction,
    choose,
    collapse,
    emit_contraction,
    operand_pointer,
    plain_store,
    weighted_sum,
)
from flambeau.execute.cpu.contraction_plan import stores_rows
from flambeau.execute.cpu.contraction_schedule import COLS, ROWS, Schedule
from flambeau.execute.cpu.contraction_spec import BYTES, StoreCallback
from flambeau.execute.cpu.emit import Emitter, Reg, vector_registers
from flambeau.execute.cpu.engine import kernel_addresses
from flambeau.execute.cpu.target import AVX2, AVX512, NEON, SSE2, Target, compile_object

HOST_BITS = Target.host().vector_bits
LETTERS = "abcdefghijklmnop"
KERNEL = ctypes.CFUNCTYPE(
    ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64
)
NUMPY = {
    "float": np.float32,
    "double": np.float64,
    "half": np.float16,
    "bfloat": np.uint16,
    "i32": np.int32,
    "i64": np.int64,
}
ROUNDING = {
    "half": 1e-3,
    "bfloat": 8e-3,
    "float": 1.2e-7,
    "double": 2.3e-16,
    "i32": 0.0,
    "i64": 0.0,
}
UNTOUCHED = 77
KINDS = ("batch", "m", "n", "k")
OPERANDS = {"a": ("batch", "m", "k"), "b": ("batch", "n", "k"), "out": ("batch", "m", "n")}


def aligned(size: int, dtype: Any) -> np.ndarray:
    raw = np.zeros(size * np.dtype(dtype).itemsize + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + size * np.dtype(dtype).itemsize].view(dtype)


class Memory:
    """The buffer of an operand of a spec and the view of it that the spec describes."""

    def __init__(self, spec: Contraction, side: str, rng: np.random.Generator) -> None:
        element = spec.out_element if side == "out" else spec.element
        self.bfloat = element == "bfloat"
        self.axes = [axis for axis in spec.axes if axis.kind in OPERANDS[side]]
        self.letters = "".join(
            LETTERS[i] for i, axis in enumerate(spec.axes) if axis.kind in OPERANDS[side]
        )
        reach = [getattr(axis, side) * (axis.extent - 1) for axis in self.axes if axis.extent]
        low = sum(min(r, 0) for r in reach)
        size = sum(max(r, 0) for r in reach) - low + 1
        dtype = NUMPY[element]
        self.buffer = aligned(size, dtype)
        if side == "out":
            self.buffer[:] = UNTOUCHED
        elif self.bfloat:
            values = rng.standard_normal(size).astype(np.float32)
            self.buffer[:] = dtypes.bfloat16_from_float32(values)
        elif np.dtype(dtype).kind == "f":
            self.buffer[:] = rng.standard_normal(size)
        else:
            self.buffer[:] = rng.integers(-50, 50, size)
        self.start = -low
        self.strides = [getattr(axis, side) for axis in self.axes]

    def view(self, buffer: np.ndarray | None = None) -> np.ndarray:
        buffer = self.buffer if buffer is None else buffer
        shape = [axis.extent for axis in self.axes]
        strides = [stride * buffer.itemsize for stride in self.strides]
        return np.lib.stride_tricks.as_strided(buffer[self.start :], shape, strides)

    def exact(self) -> np.ndarray:
        if self.bfloat:
            return dtypes.float32_from_bfloat16(self.view()).astype(np.float64)
        view = self.view()
        return view.astype(np.float64 if view.dtype.kind == "f" else np.int64)


class Run:
    """A compiled contraction on random operands."""

    def __init__(
        self,
        spec: Contraction,
        seed: int = 0,
        bits: int = HOST_BITS,
        extra: Any = (),
        **keywords: Any,
    ) -> None:
        rng = np.random.default_rng(seed)
        self.spec = spec
        self.kernels = emit_contraction(bits, spec, **keywords)
        self.functions = [KERNEL(a) for a in kernel_addresses([k.text for k in self.kernels])]
        self.a, self.b, self.out = (Memory(spec, side, rng) for side in ("a", "b", "out"))
        scratch = max([kernel.scratch_bytes for kernel in self.kernels], default=0)
        self.scratch = aligned(scratch + 64, np.uint8)
        self.scratch[:] = 255  # NaN, to whoever reads what nobody wrote
        buffers = [self.a.buffer, self.b.buffer, self.scratch, self.out.buffer, *extra]
        self.table = np.array([buffer.ctypes.data for buffer in buffers], np.int64)
        starts = [self.a.start, self.b.start, 0, self.out.start, *[0] * len(extra)]
        words = [(i, s * b.itemsize) for i, (s, b) in enumerate(zip(starts, buffers, strict=True))]
        self.arguments = np.array(words, np.int64).ravel()
        self.ranges = [bounds.array_range(x) for x in (*buffers, self.table, self.arguments)]

    def run(self, backwards: bool = False, at_once: bool = True) -> np.ndarray:
        for kernel, function in zip(self.kernels, self.functions, strict=True):
            order = [(task, task + 1) for task in range(kernel.tasks)]
            if at_once:
                order = [(0, kernel.tasks)]
            for first, last in reversed(order) if backwards else order:
                table, arguments = self.table.ctypes.data, self.arguments.ctypes.data
                with bounds.allowed(self.ranges, kernel.text, str(self.spec)):
                    assert function(table, arguments, first, last) == 0
        return self.out.view().copy()

    def expected(self) -> tuple[np.ndarray, np.ndarray]:
        """The exact result, and the sum of the sizes of its terms."""
        formula = f"{self.a.letters},{self.b.letters}->{self.out.letters}"
        a, b = self.a.exact(), self.b.exact()
        both = [(a, b), (abs(a), abs(b))]
        exact, size = (np.einsum(formula, x, y, optimize=True) for x, y in both)
        return exact, size

    def check(self) -> None:
        exact, size = self.expected()
        self.run()
        got = self.out.exact()
        terms = prod(axis.extent for axis in self.spec.axes if axis.kind == "k")
        bound = ROUNDING[self.spec.accumulator] * (2 + terms**0.5) * size
        bound = bound + ROUNDING[self.spec.out_element] * abs(exact) + 1e-7 * bool(size.any())
        if self.spec.accumulator.startswith("i"):
            bound = np.zeros_like(size)
        assert (abs(got - exact) <= bound).all(), (self.spec, abs(got - exact).max())
        touched = np.zeros(self.out.buffer.size, bool)
        self.out.view(touched)[...] = True
        assert (self.out.buffer[~touched] == UNTOUCHED).all()


def matmul(
    m: int,
    n: int,
    k: int,
    ta: bool = False,
    tb: bool = False,
    batch: int = 0,
    element: str = "float",
) -> Contraction:
    axes = [
        Axis("m", m, 1 if ta else k, 0, n),
        Axis("n", n, 0, k if tb else 1, 1),
        Axis("k", k, m if ta else 1, 1 if tb else n, 0),
    ]
    if batch:
        axes.insert(0, Axis("batch", batch, m * k, n * k, m * n))
    return Contraction(tuple(axes), element, element)


def strides(names: str, sizes: dict[str, int], inner: bool) -> dict[str, int]:
    """Strides of a tensor whose axes are `names`, outermost first ("N" goes last if `inner`)."""
    order = names.replace("N", "") + "N" if inner else names
    found, total = {}, 1
    for name in reversed(order):
        found[name] = total
        total *= sizes[name]
    return found


def convolutions(
    spatial: Sequence[int],
    kernel: Sequence[int],
    *,
    images: int,
    channels: int,
    outputs: int,
    stride: int = 1,
    dilation: int = 1,
    groups: int = 1,
    inner: bool = False,
) -> dict[str, Contraction]:
    """Forward, weight gradient and (for stride 1) input gradient of a convolution.

    The input gradient reads an output gradient padded by dilation * (kernel - 1), flipped filters.
    """
    dims = "XYZ"[: len(spatial)]
    taps = dims.lower()
    reach = [dilation * (k - 1) for k in kernel]
    result = [(s - r - 1) // stride + 1 for s, r in zip(spatial, reach, strict=True)]
    base = {"N": images, "G": groups}
    x = strides("NGC" + dims, {**base, "C": channels, **dict(zip(dims, spatial))}, inner)
    y = strides("NGO" + dims, {**base, "O": outputs, **dict(zip(dims, result))}, inner)
    wide = [r + 2 * q for r, q in zip(result, reach, strict=True)]
    p = strides("NGO" + dims, {**base, "O": outputs, **dict(zip(dims, wide))}, inner)
    w_sizes = {"G": groups, "O": outputs, "C": channels, **dict(zip(taps, kernel))}
    w = strides("GOC" + taps, w_sizes, False)
    pairs = list(zip(dims, taps, result, kernel, strict=True))
    forward = [Axis("batch", groups, w["G"], x["G"], y["G"])]
    forward += [Axis("m", outputs, w["O"], 0, y["O"]), Axis("n", images, 0, x["N"], y["N"])]
    forward += [Axis("n", size, 0, x[d] * stride, y[d]) for d, _, size, _ in pairs]
    forward += [Axis("k", channels, w["C"], x["C"], 0)]
    forward += [Axis("k", size, w[t], x[d] * dilation, 0) for d, t, _, size in pairs]
    weight = [Axis("batch", groups, y["G"], x["G"], w["G"]), Axis("m", outputs, y["O"], 0, w["O"])]
    weight += [Axis("n", channels, 0, x["C"], w["C"])]
    weight += [Axis("n", size, 0, x[d] * dilation, w[t]) for d, t, _, size in pairs]
    weight += [Axis("k", size, y[d], x[d] * stride, 0) for d, _, size, _ in pairs]
    weight += [Axis("k", images, y["N"], x["N"], 0)]
    source = [Axis("batch", groups, w["G"], p["G"], x["G"]), Axis("m", channels, w["C"], 0, x["C"])]
    source += [Axis("n", images, 0, p["N"], x["N"])]
    source += [Axis("n", size, 0, p[d], x[d]) for d, size in zip(dims, spatial)]
    source += [Axis("k", outputs, w["O"], p["O"], 0)]
    source += [Axis("k", size, -w[t], p[d] * dilation, 0) for d, t, _, size in pairs]
    found = {"forward": forward, "weight": weight}
    if stride == 1:
        found["input"] = source
    return {name: Contraction(tuple(axes)) for name, axes in found.items()}


@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize("tb", [False, True])
@pytest.mark.parametrize("ta", [False, True])
def test_matrix_products_of_all_transpositions(ta: bool, tb: bool, element: str) -> None:
    for number, sizes in enumerate([(1, 1, 1), (32, 6, 8), (37, 50, 23), (70, 33, 130)]):
        Run(matmul(*sizes, ta, tb, element=element), seed=number).check()
    Run(matmul(9, 17, 20, ta, tb, batch=3, element=element), seed=9).check()


@pytest.mark.parametrize(
    "sizes", [(1, 300, 70), (300, 1, 70), (1, 1, 999), (5, 3, 1), (20, 50, 2048)]
)
def test_thin_shapes(sizes: tuple[int, int, int]) -> None:
    for ta, tb in [(False, False), (True, False), (False, True)]:
        Run(matmul(*sizes, ta, tb)).check()


@pytest.mark.parametrize("element", ["half", "bfloat", "i32", "i64"])
def test_other_elements(element: str) -> None:
    for ta, tb in [(False, False), (True, True), (False, True)]:
        Run(matmul(19, 35, 40, ta, tb, element=element)).check()
    if element in ("half", "bfloat"):
        Run(replace(matmul(19, 35, 40, element=element), out_element="float")).check()


@pytest.mark.parametrize("inner", [False, True], ids=["images_outermost", "images_innermost"])
@pytest.mark.parametrize("name", ["forward", "weight", "input"])
def test_convolutions(name: str, inner: bool) -> None:
    cases = [
        convolutions((14,), (3,), images=18, channels=3, outputs=5, inner=inner),
        convolutions((9, 11), (3, 5), images=17, channels=4, outputs=7, inner=inner),
        convolutions((10, 9), (3, 2), images=4, channels=3, outputs=6, dilation=2, inner=inner),
        convolutions((8, 8), (3, 3), images=33, channels=1, outputs=1, groups=5, inner=inner),
        convolutions((9, 9), (3, 3), images=5, channels=2, outputs=3, groups=2, inner=inner),
        convolutions((5, 6, 7), (2, 3, 2), images=3, channels=2, outputs=4, inner=inner),
    ]
    for number, case in enumerate(cases):
        Run(case[name], seed=number).check()


@pytest.mark.parametrize("name", ["forward", "weight"])
def test_strided_convolutions(name: str) -> None:
    for inner in (False, True):
        shape: dict[str, Any] = {"images": 6, "channels": 3, "outputs": 8, "stride": 2}
        case = convolutions((15, 13), (3, 3), inner=inner, **shape)
        Run(case[name]).check()


def random_spec(source: random.Random) -> Contraction:
    kinds = [source.choice(KINDS) for _ in range(source.randint(0, 6))]
    sizes = [source.choice([1, 2, 3, 4, 5, 7, 8, 13, 16, 17, 20, 33, 40]) for _ in kinds]
    while prod(sizes) > 100_000:
        sizes[source.randrange(len(sizes))] = source.choice([1, 2, 3])
    if sizes and source.random() < 0.04:
        sizes[source.randrange(len(sizes))] = 0
    columns: dict[str, dict[int, int]] = {}
    for side, those in OPERANDS.items():
        numbers = [i for i, kind in enumerate(kinds) if kind in those]
        source.shuffle(numbers)
        step, found = source.choice([1, 1, 1, 1, 2]), {}
        for i in numbers:
            found[i] = step * source.choice([1, 1, 1, 1, -1])
            if side != "out" and source.random() < 0.2:
                found[i] = source.choice([0, 1, 2, 3])
            step *= max(1, sizes[i])
            step += source.choice([0, 0, 0, 0, 1, 3])
        columns[side] = found
    axes = [
        Axis(kind, size, *(columns[side].get(i, 0) for side in ("a", "b", "out")))
        for i, (kind, size) in enumerate(zip(kinds, sizes, strict=True))
    ]
    element = source.choice(["float", "float", "float", "double", "half", "i64"])
    return Contraction(tuple(axes), element, element)


def any_choice(spec: Contraction, bits: int, source: random.Random) -> plan.Choice | None:
    """Some candidate rather than the best, so that every form meets every shape."""
    if any(axis.extent == 0 for axis in spec.out_axes) or source.random() < 0.3:
        return None
    lanes, registers = bits // (8 * BYTES[spec.accumulator]), 32 if bits == 512 else 16
    found = []
    for swap in (False, True):
        found += list(plan._candidates(plan.roles_of(spec, swap), lanes, registers))
    choice = source.choice(found)
    axes = plan.roles_of(spec, choice.swap).axes
    row, col = axes.get(choice.row), axes.get(choice.col)
    if not choice.dot and choice.lanes > 1 and row and col and (row.kind, col.kind) == ("m", "n"):
        packs = [source.random() < 0.5, choice.pack_b or source.random() < 0.5]
        choice = replace(choice, pack_a=packs[0], pack_b=packs[1])
    return replace(choice, parts=source.choice([1, 1, 2, 3, 8]))


@pytest.mark.parametrize("start", range(0, 120, 30))
def test_random_contractions_in_every_form(start: int) -> None:
    for seed in range(start, start + 30):
        source = random.Random(seed)
        spec = random_spec(source)
        bits = source.choice([b for b in (128, 256, 512) if b <= HOST_BITS])
        choice, size = any_choice(spec, bits, source), source.choice([4, 200])
        Run(spec, seed, bits, choice=choice, store_size=size).check()


def test_no_terms_give_zeros() -> None:
    run = Run(matmul(20, 33, 0))
    assert (run.run() == 0).all()


def test_empty_results_need_no_kernel() -> None:
    assert emit_contraction(HOST_BITS, matmul(0, 33, 4)) == []


@pytest.mark.parametrize(
    "spec",
    [
        matmul(200, 300, 100),
        matmul(20, 30, 4096),
        matmul(1, 1, 1_500_000),
        convolutions((12, 12), (5, 5), images=32, channels=6, outputs=8, inner=True)["weight"],
    ],
    ids=["wide", "thin", "dot", "weight_gradient"],
)
def test_results_do_not_depend_on_how_tasks_are_run(spec: Contraction) -> None:
    run = Run(spec)
    assert any(kernel.tasks > 1 and kernel.parallel for kernel in run.kernels)
    run.check()
    whole = run.run()
    for backwards in (False, True):
        run.scratch[:] = 255
        run.out.buffer[:] = UNTOUCHED
        np.testing.assert_array_equal(run.run(backwards, at_once=False), whole)


def test_rows_that_leave_the_cache_are_cut_in_panels() -> None:
    """Each task has some rows and all columns, last tiles among them; sums stay the same."""
    spec = matmul(1003, 700, 400, element="double")
    choice = plan.Choice(False, False, HOST_BITS // 64, 0, 6, 1, 2, pack_b=True)
    schedule = Schedule(spec, choice)
    cuts = {key: dimension.cut for key, dimension in schedule.dimensions}
    halves = HOST_BITS == 512 and Target.host().cpu == "znver4"
    assert cuts == ({COLS: 8, ROWS: 1} if halves else {COLS: 1, ROWS: 8})
    run = Run(spec, choice=choice)
    run.check()
    assert (run.run() == run.run(backwards=True, at_once=False)).all()
    assert Schedule(matmul(200, 700, 400, element="double"), choice).row_panels == 1
    assert Schedule(spec, replace(choice, pack_a=True)).row_panels == 1


def test_equal_contractions_give_equal_texts() -> None:
    first, second = (emit_contraction(512, matmul(64, 100, 80, tb=True)) for _ in range(2))
    assert [kernel.text for kernel in first] == [kernel.text for kernel in second]


@pytest.mark.parametrize("size", [1, 400], ids=["inline", "looped"])
@pytest.mark.parametrize("tb", [False, True])
def test_fused_bias_activation_and_second_store(tb: bool, size: int) -> None:
    m, n, k = 37, 45, 29
    spec = matmul(m, n, k, tb=tb)
    rng = np.random.default_rng(3)
    bias, mask = rng.standard_normal(n).astype(np.float32), np.full((m, n), 9, np.float32)

    def store(e: Emitter, index: Sequence[Reg], value: Reg, lane_axis: int) -> None:
        lanes, zero = value.type.lanes, e.const(0, value.type)
        flat = weighted_sum(e, [(index[0], n), (index[1], 1)])
        step = n if lane_axis == 0 else 1
        for lane in range(lanes):
            one = e.extract(value, lane) if lanes > 1 else value
            column = weighted_sum(e, [(index[1], 1), (e.i64(lane), lane_axis)])
            b = e.load(e.gep(operand_pointer(e, TABLE, ARGS, 4), "float", column), one.type)
            total = e.op("fadd", one, b)
            zero = e.const(0, one.type)
            positive = e.cmp("fcmp ogt", total, zero)
            place = weighted_sum(e, [(flat, 1), (e.i64(lane), step)])
            e.store(
                e.gep(operand_pointer(e, TABLE, ARGS, 3), "float", place),
                e.select(positive, total, zero),
            )
            e.store(
                e.gep(operand_pointer(e, TABLE, ARGS, 5), "float", place),
                e.cast("uitofp", positive, "float"),
            )

    run = Run(spec, extra=(bias, mask), store=store, store_size=size)
    got = run.run()
    exact = run.expected()[0] + bias
    np.testing.assert_allclose(got, np.maximum(exact, 0), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(mask, got > 0)


def test_updates_in_place_happen_once() -> None:
    """An epilogue that reads what it overwrites must meet every element exactly once."""
    spec = matmul(45, 83, 31)

    def store(e: Emitter, index: Sequence[Reg], value: Reg, lane_axis: int) -> None:
        assert lane_axis == 1
        at = weighted_sum(e, [(index[0], 83), (index[1], 1)])
        pointer = e.gep(operand_pointer(e, TABLE, ARGS, 3), "float", at)
        e.store(pointer, e.op("fsub", e.load(pointer, value.type), value))

    run = Run(spec, store=store)
    got = run.run()
    np.testing.assert_allclose(got, UNTOUCHED - run.expected()[0], rtol=1e-5, atol=1e-4)


@dataclass
class Asking:
    """Stores as `plain_store` does, and notes for which axis it is told what comes."""

    store: StoreCallback
    asked: list[int] = field(default_factory=list)

    def __call__(self, e: Emitter, index: Sequence[Reg], value: Reg, lane_axis: int) -> None:
        self.store(e, index, value, lane_axis)

    def prefetch(self, e: Emitter, index: Sequence[Reg], lane_axis: int) -> None:
        assert len(index) == 2
        self.asked.append(lane_axis)


def test_what_long_sums_meet_is_asked_for() -> None:
    """A vector of a tile's row at a time; not where sums are short or of parts."""
    for depth, parts, asks in [(200, 1, True), (20, 1, False), (2000, 4, False)]:
        spec = matmul(40, 64, depth)
        asking = Asking(plain_store(spec))
        choice = replace(choose(spec, HOST_BITS, 32), parts=parts)
        if choice.dot or stores_rows(plan.roles_of(spec, choice.swap), choice):
            pytest.skip("no tile of whole vectors")
        Run(spec, store=asking, choice=choice).check()
        assert bool(asking.asked) == asks
        assert set(asking.asked) <= {1}


def test_collapse_merges_what_is_one_in_memory() -> None:
    spec = convolutions((9, 9), (1, 1), images=16, channels=4, outputs=3, inner=True)["forward"]
    merged, origins = collapse(spec)
    assert [axis.kind for axis in merged.axes] == ["m", "n", "n", "k"]
    assert [len(origin) for origin in origins] == [1, 1, 2, 1]
    assert merged.flops == spec.flops
    last = Contraction((*spec.axes[:2], *spec.axes[3:5], spec.axes[2], *spec.axes[5:]))
    whole, _ = collapse(replace(spec, axes=last.axes))
    assert [axis.extent for axis in whole.axes] == [3, 9 * 9 * 16, 4]
    Run(merged).check()
    Run(whole).check()


def test_layouts_pick_their_forms() -> None:
    """Images innermost: lanes run along them, unpacked; weight gradients use dot products."""
    layers = convolutions((12, 12), (5, 5), images=64, channels=10, outputs=20, inner=True)
    for name in ("forward", "input"):
        choice = choose(layers[name], 512, 32)
        assert not (choice.dot or choice.pack_a or choice.pack_b)
        assert layers[name].axes[choice.col].extent == 64
    assert choose(layers["weight"], 512, 32).dot


def test_what_few_rows_read_again_from_the_caches_is_not_packed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A long sum is cut, so that a strip of B stays where it is for the next rows; not where its
    lines are more than the cache has, or B's rows lie too far apart.
    """
    monkeypatch.setattr(plan, "streaming", lambda *_: None)
    near = matmul(32, 128, 16384)
    choice = choose(near, 256, 16)
    assert (choice.pack_b, choice.parts) == (False, 32)
    assert choose(matmul(32, 124, 16384), 256, 16).pack_b  # half of the lines are cut in two
    assert choose(matmul(32, 16384, 128), 256, 16).parts == 1
    for columns in (128, 124):
        spec = matmul(32, columns, 2048)
        Run(spec, choice=choose(spec, 256, 16)).check()


@pytest.mark.parametrize("bits", [b for b in (128, 256, 512) if b <= HOST_BITS])
@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize(
    "sizes", [(2, 1024, 520), (3, 1057, 1031), (8, 150, 4000), (13, 1064, 777), (20, 700, 900)]
)
def test_a_large_matrix_streams_by(sizes: tuple[int, int, int], element: str, bits: int) -> None:
    """A few rows by a matrix that lies row by row, in both orders of the operands."""
    m, n, k = sizes
    swapped = [Axis("m", n, 1, 0, m), Axis("n", m, 0, 1, 1), Axis("k", k, n, m, 0)]
    specs = matmul(m, n, k, element=element), matmul(m, n, k, True, element=element)
    for spec in (*specs, Contraction(tuple(swapped), element, element)):
        choice = choose(spec, bits, vector_registers(bits))
        assert choice.streams and choice.parts == 8
        Run(spec, bits=bits, choice=choice).check()


def test_what_does_not_stream_by() -> None:
    """Small or packed matrices, short sums, many rows, sums along the rows of memory."""
    assert choose(matmul(8, 4096, 4096), 512, 32).streams
    others = [matmul(8, 512, 512), matmul(8, 16384, 128), matmul(48, 4096, 4096)]
    others += [matmul(8, 4096, 4096, False, True), matmul(8, 4096, 4096, element="half")]
    others += [matmul(8, 4096, 4096, batch=2), matmul(8, 60000, 4096)]
    assert not any(choose(spec, 512, 32).streams for spec in others)


@pytest.mark.parametrize("bits", [b for b in (128, 256, 512) if b <= HOST_BITS])
@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize(
    "sizes", [(150, 170, 700), (61, 1033, 257), (7, 140, 600), (130, 129, 300), (49, 192, 512)]
)
def test_large_sides_are_packed_block_by_block(
    sizes: tuple[int, int, int], element: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one loop over the terms would: whole and rest tiles, results by rows and by columns."""
    monkeypatch.setattr(plan, "has_half_units", lambda _: False)
    monkeypatch.setattr(plan, "NEAR_B_BYTES", {"float": 1, "double": 1})
    monkeypatch.setattr(plan, "NEAR_ROWS", {"float": (1, 999), "double": (1, 999)})
    for name, value in (("NEAR_TERM_BYTES", 1), ("NEAR_TERMS", 1)):
        monkeypatch.setattr(plan, name, value)
    monkeypatch.setattr(plan, "NEAR_ROWS_FEW_REGISTERS", (1, 999))
    m, n, k = sizes
    for ta, transposed in itertools.product((False, True), repeat=2):
        plain = matmul(m, n, k, ta, element=element)
        outs = (1, m, 0) if transposed else (n, 1, 0)
        axes = [replace(axis, out=out) for axis, out in zip(plain.axes, outs, strict=True)]
        spec = replace(plain, axes=tuple(axes))
        choice = choose(spec, bits, vector_registers(bits))
        assert (choice.depth, choice.pack_b, choice.parts) == (128, False, 1)
        run, whole = (Run(spec, bits=bits, choice=c) for c in (choice, replace(choice, depth=0)))
        run.check()
        assert (run.run(backwards=True, at_once=False) == whole.run()).all()


def test_which_large_sides_are_packed_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    """Weights' gradients of layers of middle size; not short sums, few or very many rows, nor what
    is small.
    """
    monkeypatch.setattr(plan, "has_half_units", lambda _: False)
    for m, n, k in ((128, 512, 1600), (512, 128, 1600), (64, 1000, 768), (512, 640, 800)):
        for bits, registers in ((512, 32), (256, 16)):
            choice = choose(matmul(m, n, k, True), bits, registers)
            if bits == 256 and min(m, n) > 160:
                assert not choice.depth
                continue
            assert (choice.depth, choice.pack_a, choice.pack_b) == (128, True, False)
            assert choice.swap == (m > n)
    others = [(128, 512, 256), (16, 512, 1600), (700, 800, 1600), (128, 256, 800)]
    assert not any(choose(matmul(m, n, k, True), 512, 32).depth for m, n, k in others)


def test_long_sums_of_matrices_beyond_the_caches_are_taken_in_blocks() -> None:
    """Of two large matrices in any order; not of small ones, short sums or other types."""
    for ta, tb in ((False, False), (True, False), (False, True)):
        choice = choose(matmul(4096, 4096, 4096, ta, tb), 512, 32)
        assert (choice.depth, choice.pack_a, choice.pack_b, choice.parts) == (256, True, True, 1)
    others = [matmul(2048, 2048, 2048), matmul(40960, 40960, 400), matmul(512, 40960, 40960)]
    others += [matmul(4096, 4096, 4096, element="i32"), matmul(4096, 4096, 4096, batch=2)]
    assert not any(choose(spec, 512, 32).depth for spec in others)


@pytest.mark.parametrize("bits", [b for b in (128, 256, 512) if b <= HOST_BITS])
@pytest.mark.parametrize("element", ["float", "double"])
@pytest.mark.parametrize(
    "sizes", [(150, 170, 700), (401, 1033, 257), (7, 64, 600), (1300, 49, 300), (96, 128, 512)]
)
def test_sums_in_blocks_have_the_bits_of_whole_ones(
    sizes: tuple[int, int, int], element: str, bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of whole and rest tiles, panels and blocks, in all orders of the operands."""
    for least in ("BLOCKED_BYTES", "BLOCKED_SIDE", "BLOCKED_TERMS"):
        monkeypatch.setattr(plan, least, 1)
    m, n, k = sizes
    swapped = [Axis("m", n, 1, 0, 1), Axis("n", m, 0, k, n), Axis("k", k, n, 1, 0)]
    orders = [(ta, tb) for ta in (False, True) for tb in (False, True)]
    specs = [matmul(m, n, k, ta, tb, element=element) for ta, tb in orders]
    for spec in (*specs, Contraction(tuple(swapped), element, element)):
        choice = choose(spec, bits, vector_registers(bits))
        assert choice.depth == 256
        run, whole = (Run(spec, bits=bits, choice=c) for c in (choice, replace(choice, depth=0)))
        run.check()
        assert (run.run(backwards=True, at_once=False) == whole.run()).all()


@pytest.mark.parametrize("columns", [2, 5, 8, 10, 11, 12, 23])
def test_many_rows_meet_a_few_that_are_near(columns: int) -> None:
    """Each row of a large matrix goes by once: a tile has all columns, or the next tile is of other
    columns of the same rows.
    """
    for m, k in ((5000, 130), (1500, 784)):
        spec = matmul(m, columns, k, False, True)
        roles = plan.roles_of(spec, False)
        registers, lanes = vector_registers(HOST_BITS), HOST_BITS // 32
        dots = [c for c in plan._dot_candidates(roles, lanes, registers) if c.row == 0]
        best = min(dots, key=lambda c: c.cycles)
        assert plan.passes_rows(roles, best) or m * k * 4 <= plan.PANEL_BYTES
        Run(spec, choice=best).check()


@pytest.mark.skipif(HOST_BITS != 512, reason="vectors of 512 bits")
def test_units_of_half_a_vector_read_weight_gradients_where_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The larger operand is not packed and met once; the smaller one stays in the level-2 cache."""
    axes = [Axis("m", 128, 1, 0, 1), Axis("n", 330, 0, 1, 128), Axis("k", 1300, 128, 330, 0)]
    spec = Contraction(tuple(axes))
    monkeypatch.setattr(plan, "has_half_units", lambda bits: bits == 512)
    choice = choose(spec, 512, 32)
    roles = plan.roles_of(spec, choice.swap)
    assert plan.reads_once(roles, choice) and choice.swap and not choice.pack_a
    assert choice.parts == 2  # of 128 x 1300 numbers
    run = Run(spec)
    run.check()
    assert any("@llvm.prefetch" in kernel.text for kernel in run.kernels)
    assert (run.run() == run.run(backwards=True, at_once=False)).all()
    short = Contraction((*axes[:2], Axis("k", 60, 128, 330, 0)))
    assert not plan.reads_once(plan.roles_of(short, False), choose(short, 512, 32))
    monkeypatch.setattr(plan, "has_half_units", lambda bits: False)
    choice = choose(spec, 512, 32)
    assert not plan.reads_once(plan.roles_of(spec, choice.swap), choice)


@pytest.mark.parametrize(
    "target", [SSE2, AVX2, AVX512, NEON], ids=["sse2", "avx2", "avx512", "neon"]
)
def test_every_target_compiles(target: Target) -> None:
    specs = [matmul(37, 45, 50, tb=True), matmul(37, 45, 50), matmul(9, 21, 40, element="bfloat")]
    shape: dict[str, Any] = {"images": 16, "channels": 3, "outputs": 5, "inner": True}
    specs.append(convolutions((8, 8), (3, 3), **shape)["weight"])
    for spec in specs:
        for kernel in emit_contraction(target.vector_bits, spec):
            assert compile_object(kernel.text, target)


def test_wrong_specs_are_refused() -> None:
    with pytest.raises(ValueError, match="occurs in one operand only"):
        Axis("m", 3, 1, 1, 1)
    with pytest.raises(ValueError, match="does not occur in out"):
        Axis("k", 3, 1, 1, 1)
    with pytest.raises(ValueError, match="one of"):
        Axis("j", 3, 1, 1, 1)
    with pytest.raises(NotImplementedError, match="not supported"):
        Contraction((), "i1", "i1")
    with pytest.raises(NotImplementedError, match="accumulates in float"):
        Contraction((), "float", "double")
