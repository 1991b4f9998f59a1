"""The CPU compiler against the reference executor: primitives, fused programs, updates, random
programs.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
import pytest

from flambeau.core import dtypes, random_streams
from flambeau.core.dtypes import DType
from flambeau.execute.cpu.compiler import CompiledProgram, compile_program
from flambeau.execute.cpu.expansion import expand_primitives
from flambeau.execute.cpu.memory import allocate
from flambeau.execute.reference.executor import decode, execute, to_array
from flambeau.graph.program import Program, Update
from flambeau.graph.simplify import simplify
from flambeau.graph.verify import ProgramError, verify
from flambeau.ops import arithmetic as ar
from flambeau.ops import (
    contraction,
    elementwise,
    indexed,
    ordered,
    randomness,
    reduction,
    source,
    view,
    window,
)
from flambeau.ops.value import Value

FLOATS = (dtypes.float32, dtypes.float64, dtypes.float16, dtypes.bfloat16)
INTEGERS = (dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)


class Builder:
    """Makes program inputs with random contents, then runs the program both ways."""

    def __init__(self, seed: int | str = 0) -> None:
        number = zlib.crc32(seed.encode()) if isinstance(seed, str) else seed
        self.rng = np.random.default_rng(number)
        self.bases: list[tuple[DType, np.ndarray[Any, Any]]] = []
        self.scalars: list[tuple[DType, Any]] = []
        self.flat: list[Value] = []

    def data(self, array: Any, dtype: DType) -> Value:
        """A base with the given contents, shown in its shape."""
        array = np.asarray(array)
        stored = to_array(array.ravel(), dtype)
        index = len(self.bases)
        self.bases.append((dtype, np.array(stored)))
        flat = source.program_input("base", index, (stored.size,), dtype)
        self.flat.append(flat)
        strides = (
            tuple(int(s) for s in np.zeros(array.shape, np.int8).strides)
            if array.size
            else (0,) * array.ndim
        )
        return view.as_strided(flat, shape=array.shape, strides=strides, offset=0)

    def random(self, shape: tuple[int, ...], dtype: DType = dtypes.float32) -> Value:
        if dtype.kind == "b":
            return self.data(self.rng.random(shape) < 0.5, dtype)
        if dtype.kind == "i":
            low = 0 if not dtype.is_signed else -9
            return self.data(self.rng.integers(low, 10, shape), dtype)
        return self.data(self.rng.standard_normal(shape), dtype)

    def scalar(self, number: Any, dtype: DType) -> Value:
        self.scalars.append((dtype, number))
        return source.program_input("scalar", len(self.scalars) - 1, (), dtype)

    def program(
        self, results: list[Value], updates: list[tuple[int, Value]] | None = None
    ) -> Program:
        found = tuple(Update(b, v) for b, v in updates or [])
        return Program(
            tuple((d, a.size) for d, a in self.bases),
            tuple(d for d, _ in self.scalars),
            tuple(results),
            found,
        )

    def check(
        self,
        results: list[Value],
        updates: list[tuple[int, Value]] | None = None,
        tolerance: float = 4.0,
    ) -> CompiledProgram:
        """Both executors; results and updated bases must agree to `tolerance` units of
        precision.
        """
        program = self.program(results, updates)
        verify(program)
        verify(simplify(program))
        verify(expand_primitives(simplify(program)))
        compiled = compile_program(program)
        expected_bases = [a.copy() for _, a in self.bases]
        expected = execute(program, expected_bases, [v for _, v in self.scalars])
        got, got_bases, code = run(
            compiled, program, [a for _, a in self.bases], [v for _, v in self.scalars]
        )
        assert code == 0
        for value, a, b in zip(program.results, got, expected, strict=True):
            agree(a, b, value.dtype, tolerance)
        for (dtype, _), a, b in zip(self.bases, got_bases, expected_bases, strict=True):
            agree(a, b, dtype, tolerance)
        return compiled


def run(
    compiled: CompiledProgram, program: Program, bases: list[Any], scalars: list[Any]
) -> tuple[list[Any], list[Any], int]:
    """Runs a compiled program on copies of the bases; (results, bases after it, code)."""
    memories = []
    for array in bases:
        memory = allocate(max(array.nbytes, 1))
        memory.ndarray(array.dtype, array.shape)[...] = array
        memories.append(memory)
    outs = [allocate(max(v.size * v.dtype.itemsize, 1)) for v in program.results]
    words = allocate(8 * max(len(scalars), 1))
    for i, (dtype, number) in enumerate(zip(program.scalars, scalars, strict=True)):
        kind = np.float64 if dtype.kind == "f" else np.int64
        words.ndarray(kind, (1,), 8 * i)[0] = number
    arena = allocate(max(compiled.arena_bytes, 1))
    arena.ndarray(np.uint8, (max(compiled.arena_bytes, 1),))[...] = (
        0xFF  # NaN where nothing was written
    )
    code = compiled.run(
        [m.address for m in memories], [m.address for m in outs], words.address, arena.address
    )
    results = [
        m.ndarray(v.dtype.numpy, v.shape).copy() for m, v in zip(outs, program.results, strict=True)
    ]
    after = [m.ndarray(a.dtype, a.shape).copy() for m, a in zip(memories, bases, strict=True)]
    return results, after, code


def agree(a: Any, b: Any, dtype: DType, tolerance: float) -> None:
    a, b = decode(a, dtype), decode(b, dtype)
    if dtype.kind not in "fc":
        np.testing.assert_array_equal(a, b.reshape(a.shape))
        return
    precision = {"float16": 1e-3, "bfloat16": 8e-3, "float32": 2.4e-7, "float64": 4.5e-16}.get(
        dtype.name, 2.4e-7
    )
    scale = np.nanmax(np.abs(np.where(np.isfinite(b), b, 0)), initial=0.0)
    np.testing.assert_allclose(
        a,
        b.reshape(a.shape),
        rtol=tolerance * precision,
        atol=tolerance * precision * max(float(scale), 1e-30),
        equal_nan=True,
    )


# ---- elementwise ---------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
@pytest.mark.parametrize("shape", [(), (0, 3), (1,), (7,), (5, 33), (2, 1, 64)], ids=str)
def test_float_arithmetic(dtype: DType, shape: tuple[int, ...]) -> None:
    b = Builder(f"{dtype.name}{shape}")
    x, y = b.random(shape, dtype), b.random(shape, dtype)
    z = x * y + x - y
    b.check(
        [
            z,
            ar.div(x, y),
            elementwise.maximum(x, y),
            elementwise.neg(x),
            elementwise.abs_(y),
            ar.where(x > y, z, elementwise.minimum(x, y)),
            elementwise.sqrt(elementwise.abs_(x)),
        ]
    )


@pytest.mark.parametrize(
    "name",
    [
        "exp",
        "log",
        "tanh",
        "sigmoid",
        "sin",
        "floor",
        "round_",
        "sign",
        "rsqrt",
        "reciprocal",
        "erf",
        "expm1",
        "log1p",
    ],
)
@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_float_functions(name: str, dtype: DType) -> None:
    b = Builder(name + dtype.name)
    special = [0.0, -0.0, np.inf, -np.inf, np.nan, 1.0, -1.0, 0.5, 2.5]
    x = b.data(np.concatenate([special, b.rng.standard_normal(44) * 3]), dtype)
    b.check([getattr(elementwise, name)(x)])


@pytest.mark.parametrize("dtype", (*INTEGERS, dtypes.bool_), ids=lambda d: d.name)
def test_integer_arithmetic(dtype: DType) -> None:
    b = Builder(dtype.name)
    x, y = b.random((3, 21), dtype), b.random((3, 21), dtype)
    results = [
        x + y,
        x * y,
        x & y,
        x | y,
        ~x,
        x < y,
        elementwise.maximum(x, y),
        elementwise.eq(x, y),
    ]
    if dtype.kind == "i":
        safe = ar.where(ar.eq(y, 0), ar.full_like(y, 3), y)
        results += [
            x - y,
            -x,
            elementwise.floor_divide(x, safe),
            elementwise.trunc_divide(x, safe),
            elementwise.remainder(x, safe),
            elementwise.fmod(x, safe),
            elementwise.pow_(x, y),
            elementwise.shift_left(x, y),
            elementwise.shift_right(x, y),
            elementwise.abs_(x),
        ]
    b.check(results)


@pytest.mark.parametrize("source_", (*FLOATS, *INTEGERS, dtypes.bool_), ids=lambda d: d.name)
def test_casts(source_: DType) -> None:
    b = Builder(source_.name)
    x = b.random((77,), source_)
    if source_.kind == "f":
        x = x * 10.0
    b.check([ar.cast(x, d) for d in (*FLOATS, *INTEGERS, dtypes.bool_)])


def test_run_time_scalars() -> None:
    b = Builder()
    x = b.random((5, 9))
    lr, n = b.scalar(0.125, dtypes.float64), b.scalar(7, dtypes.int64)
    on = b.scalar(True, dtypes.bool_)
    b.check([x * lr, x * ar.cast(n, dtypes.float32), ar.where(on, x, x * 2.0), lr, n])


def test_division_by_zero_is_reported_and_nothing_is_updated() -> None:
    b = Builder()
    x = b.data(np.arange(20), dtypes.int64)
    y = b.data(np.arange(20) - 7, dtypes.int64)
    program = b.program([elementwise.floor_divide(x, y)], [(0, x + y)])
    bases = [a for _, a in b.bases]
    _, after, code = run(compile_program(program), program, bases, [])
    assert code != 0
    for a, c in zip(after, bases, strict=True):
        np.testing.assert_array_equal(a, c)


# ---- views ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", [dtypes.float32, dtypes.bfloat16, dtypes.int64, dtypes.bool_], ids=lambda d: d.name
)
def test_views(dtype: DType) -> None:
    b = Builder(dtype.name)
    x = b.random((4, 6, 10), dtype)
    b.check(
        [
            view.permute(x, order=(2, 0, 1)),
            view.reshape(view.permute(x, order=(1, 0, 2)), shape=(12, 20)),
            view.slice_(x, starts=(1, 0, 3), steps=(2, 1, 3), sizes=(2, 6, 2)),
            view.flip(x, axes=(0, 2)),
            view.expand(view.reshape(x, shape=(4, 1, 60)), shape=(4, 3, 60)),
            view.pad(x, low=(1, 0, 2), high=(0, -2, 3), interior=(0, 1, 2), value=1),
            view.concat(x, view.flip(x, axes=(1,)), x, axis=1),
            view.windows(x, sizes=(3, 2), steps=(1, 3), dilations=(2, 1)),
            view.reshape(x, shape=(240,)),
            ar.full((3, 40), 2, dtype),
        ]
    )


def test_views_of_arithmetic() -> None:
    b = Builder()
    x, y = b.random((8, 12)), b.random((12,))
    z = elementwise.exp(x + y) * 0.5
    t = view.permute(z, order=(1, 0))
    b.check(
        [
            t,
            view.reshape(t, shape=(3, 32)) + 1.0,
            view.pad(z, low=(0, 1), high=(2, 0), interior=(0, 0), value=-1.5) * 2.0,
        ]
    )


def test_overlapping_writes_and_folds() -> None:
    b = Builder()
    x = b.random((3, 9, 8))
    w = view.windows(x, sizes=(3, 3), steps=(2, 1), dilations=(1, 2))
    flat = b.random((50,))
    part = b.random((4, 5))
    b.check(
        [
            view.fold(w * 2.0, extents=(9, 8), sizes=(3, 3), steps=(2, 1), dilations=(1, 2)),
            view.strided_scatter(flat, part, strides=(10, 2), offset=3),
            view.strided_sum(part, size=20, strides=(1, 3), offset=2),
            view.strided_scatter(
                view.strided_scatter(flat, part, strides=(1, 4), offset=0),
                part + 1.0,
                strides=(5, 1),
                offset=25,
            ),
        ]
    )


# ---- reductions ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dtype", (*FLOATS, dtypes.int64, dtypes.int32, dtypes.bool_), ids=lambda d: d.name
)
@pytest.mark.parametrize("axes", [(0,), (1,), (2,), (0, 2), (0, 1, 2), ()], ids=str)
def test_reductions(dtype: DType, axes: tuple[int, ...]) -> None:
    b = Builder(f"{dtype.name}{axes}")
    x = b.random((5, 7, 37), dtype)
    results = [
        reduction.sum_(x, axes=axes),
        reduction.max_(x, axes=axes),
        reduction.min_(x, axes=axes),
        reduction.prod(x, axes=axes),
    ]
    if len(axes) == 1:
        results += [reduction.argmax(x, axes=axes), reduction.argmin(x, axes=axes)]
    b.check(results, tolerance=16.0)


@pytest.mark.parametrize("shape", [(0, 4), (4, 0), (1, 1), (3, 16), (16, 3), (2, 65)], ids=str)
def test_reduction_shapes(shape: tuple[int, ...]) -> None:
    b = Builder(str(shape))
    x = b.random(shape)
    results = [
        reduction.prod(x, axes=(0,)),
        reduction.prod(x, axes=(1,)),
        reduction.prod(x, axes=(0, 1)),
    ]
    if x.size:
        results += [reduction.sum_(x, axes=(0,)), reduction.sum_(x, axes=(1,))]
    b.check(results)


def test_extrema_with_nan_and_ties() -> None:
    b = Builder()
    data = b.rng.integers(0, 4, (9, 40)).astype(np.float32)
    data[2, 17] = data[2, 30] = np.nan
    data[5] = -np.inf
    x = b.data(data, dtypes.float32)
    for axes in ((0,), (1,)):
        b.check(
            [
                f(x, axes=axes)
                for f in (reduction.max_, reduction.min_, reduction.argmax, reduction.argmin)
            ]
        )


def test_long_sums_are_accurate() -> None:
    b = Builder()
    x = b.random((1 << 18,))
    y = b.random((4096, 24))
    total = b.check(
        [
            reduction.sum_(x * x, axes=(0,)),
            reduction.sum_(y + 1.0, axes=(0,)),
            reduction.sum_(x + 1.0, axes=(0,)),
        ],
        tolerance=3.0,
    )
    assert total.native


def test_softmax_and_normalisation() -> None:
    b = Builder()
    x = b.random((32, 10))
    top = view.expand(view.reshape(reduction.max_(x, axes=(1,)), shape=(32, 1)), shape=(32, 10))
    e = elementwise.exp(x - top)
    total = reduction.sum_(e, axes=(1,))
    soft = e / view.expand(view.reshape(total, shape=(32, 1)), shape=(32, 10))
    mean = reduction.sum_(x, axes=(0,)) * (1 / 32)
    centred = x - ar.expand(mean, (32, 10))
    variance = reduction.sum_(centred * centred, axes=(0,)) * (1 / 32)
    b.check(
        [
            soft,
            elementwise.log(soft),
            centred * ar.expand(elementwise.rsqrt(variance + 1e-5), (32, 10)),
        ],
        tolerance=16.0,
    )


# ---- contractions --------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", (*FLOATS, dtypes.int32, dtypes.int64), ids=lambda d: d.name)
@pytest.mark.parametrize(
    "sizes", [(3, 4, 5), (1, 7, 1), (33, 17, 40), (4, 0, 3), (0, 4, 3)], ids=str
)
def test_dot(dtype: DType, sizes: tuple[int, int, int]) -> None:
    m, k, n = sizes
    b = Builder(f"{dtype.name}{sizes}")
    x, y = b.random((m, k), dtype), b.random((n, k), dtype)
    z = contraction.dot(x, view.permute(y, order=(1, 0)))
    bias = b.random((n,), dtype)
    out = z + ar.expand(bias, (m, n))
    b.check(
        [out, ar.maximum(out, 0), contraction.dot(view.permute(x, order=(1, 0)), z)], tolerance=64.0
    )


def test_batched_dot() -> None:
    b = Builder()
    x, y = b.random((3, 2, 5, 6)), b.random((3, 2, 6, 7))
    b.check([contraction.dot(x, y), contraction.dot(elementwise.exp(x), y * 2.0)], tolerance=64.0)


@pytest.mark.parametrize("strides,dilations", [((1, 1), (1, 1)), ((2, 1), (1, 2))], ids=str)
def test_convolution_and_gradients(strides: tuple[int, int], dilations: tuple[int, int]) -> None:
    b = Builder()
    x, w = b.random((2, 2, 3, 9, 8)), b.random((2, 4, 3, 3, 2))
    attrs = {"strides": strides, "dilations": dilations}
    padded = view.pad(x, low=(0, 0, 0, 1, 1), high=(0, 0, 0, 1, 1), interior=(0,) * 5, value=0)
    out = contraction.conv(padded, w, **attrs)
    ct = b.random(out.shape)
    gx, gw = contraction.conv.vjp(ct, out, padded, w, **attrs)
    b.check([ar.maximum(out, 0.0), gx, gw], tolerance=64.0)


# ---- windows, gathers, scans, host steps ---------------------------------------------------------


@pytest.mark.parametrize(
    "attrs",
    [
        {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)},
        {"sizes": (3, 2), "steps": (2, 1), "dilations": (1, 2)},
    ],
    ids=str,
)
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.int64], ids=lambda d: d.name)
def test_pooling(attrs: dict[str, tuple[int, ...]], dtype: DType) -> None:
    b = Builder()
    x = b.random((2, 3, 9, 11), dtype)
    out = window.max_pool(x, **attrs)
    ct = b.random(out.shape, dtype)
    other = b.random(x.shape, dtype)
    b.check(
        [
            out,
            window.max_pool_gradient(x, ct, **attrs),
            window.max_pool_take(x, other, **attrs),
            window.max_pool_index(x, **attrs),
            ar.maximum(out, 0),
        ]
    )


def test_gathers_and_scatters() -> None:
    b = Builder()
    table = b.random((6, 9))
    index = b.data(np.array([[0, 5, -1], [2, 2, -6]]), dtypes.int64)
    rows = b.random((2, 3, 9))
    ones = b.random((2, 3))
    line = b.random((6,))
    b.check(
        [
            indexed.take(table, index, what="index") * 2.0,
            indexed.put_add(table, index, rows, what="index"),
            indexed.put_set(table * 3.0, index, rows, what="index"),
            indexed.put_add(line, index, ones, what="index"),
            indexed.take(line, index, what="index"),
        ]
    )


@pytest.mark.parametrize("primitive", [indexed.take, indexed.put_add])
def test_index_out_of_range_is_reported(primitive: Any) -> None:
    b = Builder()
    table, index = b.random((6, 4)), b.data(np.array([1, 3, 6]), dtypes.int64)
    value = (
        primitive(table, index, what="index")
        if primitive is indexed.take
        else primitive(table, index, b.random((3, 4)), what="index")
    )
    program = b.program([value], [(0, view.reshape(table * 2.0, shape=(24,)))])
    bases = [a for _, a in b.bases]
    _, after, code = run(compile_program(program), program, bases, [])
    assert code != 0
    np.testing.assert_array_equal(after[0], bases[0])
    with pytest.raises(IndexError):
        execute(program, bases, [])


def test_host_steps_in_between() -> None:
    b = Builder()
    x = b.random((4, 9))
    order = ordered.argsort(x * 2.0, axis=1, descending=False)
    running = ordered.cumsum(elementwise.exp(x), axis=1)
    checked = randomness.require(x, x < 100.0, error=("ValueError", "too large"))
    c = elementwise.complex_(x, running)
    b.check([running + 1.0, order + 1, checked * 2.0, elementwise.imag(c * c), c], tolerance=32.0)


# ---- updates -------------------------------------------------------------------------------------


def flat(v: Value) -> Value:
    return view.reshape(v, shape=(v.size,))


def test_updates_in_place() -> None:
    b = Builder()
    w, g, m = b.random((12, 5)), b.random((12, 5)), b.random((12, 5))
    new_m = m * 0.9 + g
    new_w = w - new_m * 0.1
    b.check(
        [reduction.sum_(w * w, axes=(0, 1))], [(0, flat(new_w)), (2, flat(new_m))], tolerance=16.0
    )


def test_updates_that_exchange_and_transpose() -> None:
    b = Builder()
    x, y = b.random((6, 6)), b.random((6, 6))
    b.check([x + y], [(0, flat(y)), (1, flat(view.permute(x, order=(1, 0))))])


def test_update_read_elsewhere_by_the_same_kernel() -> None:
    b = Builder()
    x = b.random((8, 8))
    shifted = view.pad(
        view.slice_(x, starts=(0, 0), steps=(1, 1), sizes=(8, 7)),
        low=(0, 1),
        high=(0, 0),
        interior=(0, 0),
        value=0,
    )
    b.check([], [(0, flat(x + shifted))])


def test_update_of_a_part() -> None:
    b = Builder()
    x = b.random((40,))
    part = view.as_strided(b.flat[0], shape=(4, 3), strides=(10, 2), offset=1)
    new = view.strided_scatter(b.flat[0], part * 2.0, strides=(10, 2), offset=1)
    b.check([x], [(0, new)])


def test_linear_regression_step() -> None:
    b = Builder()
    x, y, w, bias = b.random((32, 3)), b.random((32, 1)), b.random((1, 3)), b.random((1,))
    out = contraction.dot(x, view.permute(w, order=(1, 0))) + ar.expand(bias, (32, 1))
    error = out - y
    loss = reduction.sum_(error * error, axes=(0, 1)) * (1 / 32)
    ct = error * (2 / 32)
    gw = view.permute(contraction.dot(view.permute(x, order=(1, 0)), ct), order=(1, 0))
    gb = reduction.sum_(ct, axes=(0,))
    lr = b.scalar(0.05, dtypes.float64)
    b.check([loss, gw], [(2, flat(w - gw * lr)), (3, flat(bias - gb * lr))], tolerance=64.0)


# ---- random programs -----------------------------------------------------------------------------


def grow(b: Builder, pool: list[Value], steps: int) -> list[Value]:
    """Random values made from `pool` by random primitives."""
    rng = b.rng
    for _ in range(steps):
        x = pool[rng.integers(len(pool))]
        choice = rng.integers(12)
        if choice == 0 and x.ndim:
            x = view.permute(x, order=tuple(int(a) for a in rng.permutation(x.ndim)))
        elif choice == 1 and x.ndim:
            axis = int(rng.integers(x.ndim))
            total = reduction.sum_(x, axes=(axis,)) * 0.1
            x = x + reduction.spread(total, x, (axis,))
        elif choice == 2 and x.ndim:
            x = view.flip(x, axes=(int(rng.integers(x.ndim)),))
        elif choice == 3 and x.ndim >= 2:
            x = view.reshape(x, shape=(x.shape[0] * x.shape[1], *x.shape[2:]))
        elif choice == 4 and x.ndim and x.shape[0] > 2:
            x = view.slice_(
                x,
                starts=(1,) + (0,) * (x.ndim - 1),
                steps=(1,) * x.ndim,
                sizes=(x.shape[0] - 1, *x.shape[1:]),
            )
        elif choice == 5 and x.ndim:
            x = view.pad(
                x, low=(1,) * x.ndim, high=(0,) * x.ndim, interior=(0,) * x.ndim, value=0.5
            )
        elif choice == 6 and x.ndim == 2 and x.shape[0] < 40:
            x = contraction.dot(x, view.permute(x, order=(1, 0))) * 0.05
        elif choice == 7 and x.ndim:
            x = reduction.max_(x, axes=(x.ndim - 1,))
        elif choice == 8:
            x = elementwise.tanh(x)
        else:
            same = [v for v in pool if v.shape == x.shape]
            y = same[rng.integers(len(same))]
            x = x * y if choice == 9 else ar.where(x > y, x, y - x) if choice == 10 else x + y
        if x.size <= 4000:
            pool.append(x)
    return pool


@pytest.mark.parametrize("seed", range(30))
def test_random_programs(seed: int) -> None:
    b = Builder(seed)
    shapes = [(5, 6), (5, 6), (17,), (2, 3, 4), (), (1, 20)]
    pool = grow(b, [b.random(s, dtypes.float64) for s in shapes], 25)
    picks = sorted({int(i) for i in b.rng.integers(0, len(pool), 6)} | {len(pool) - 1})
    updates = []
    for number, (_, array) in enumerate(b.bases):
        fitting = [v for v in pool if v.size == array.size]
        if b.rng.random() < 0.6:
            updates.append((number, flat(fitting[b.rng.integers(len(fitting))])))
    b.check([pool[i] for i in picks], updates, tolerance=1e4)


def test_batch_innermost_training_step() -> None:
    b = Builder()
    x, w, bias = b.random((16, 1, 2, 9, 9)), b.random((1, 5, 2, 3, 3)), b.random((5,))
    padded = view.pad(x, low=(0, 0, 0, 1, 1), high=(0, 0, 0, 1, 1), interior=(0,) * 5, value=0)
    out = contraction.conv(padded, w, strides=(1, 1), dilations=(1, 1))
    z = view.reshape(out, shape=(16, 5, 9, 9)) + ar.expand(
        view.reshape(bias, shape=(1, 5, 1, 1)), (16, 5, 9, 9)
    )
    y = ar.maximum(z, 0.0)
    attrs = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    pooled = window.max_pool(y, **attrs)
    v = b.random((80, 7))
    last = contraction.dot(view.reshape(pooled, shape=(16, 80)), v)
    ct = contraction.dot(last, view.permute(v, order=(1, 0)))
    ct = window.max_pool_gradient(y, view.reshape(ct, shape=(16, 5, 4, 4)), **attrs)
    ct = ar.where(z > 0.0, ct, 0.0)
    gx, gw = contraction.conv.vjp(
        view.reshape(ct, shape=(16, 1, 5, 9, 9)), out, padded, w, strides=(1, 1), dilations=(1, 1)
    )
    host = ordered.cumsum(pooled, axis=1)
    b.check(
        [y, pooled, last, gx, host, reduction.sum_(ct, axes=(0, 2, 3))],
        [(1, flat(w - gw * 0.1))],
        tolerance=256.0,
    )


@pytest.mark.parametrize("seed", range(12))
def test_random_programs_of_single_precision(seed: int) -> None:
    b = Builder(1000 + seed)
    pool = grow(b, [b.random(s) for s in [(4, 3, 5), (4, 3, 5), (16, 20), (7,), (7,)]], 14)
    b.check(pool[-5:], [(0, flat(pool[1] * 2.0)), (3, flat(pool[3] + pool[4]))], tolerance=1e5)


def test_deep_and_wide_programs() -> None:
    b = Builder()
    x, y = b.random((6, 5)), b.random((6, 5))
    deep = x
    for step in range(700):
        deep = (
            deep * 0.5 + y if step % 3 else view.flip(view.permute(deep, order=(0, 1)), axes=(0,))
        )
    wide = x
    for _ in range(60):
        wide = wide + elementwise.tanh(wide * y)
    b.check([deep, wide, view.permute(wide, order=(1, 0))], tolerance=1e4)


# ---- simplification and verification -------------------------------------------------------------


def test_in_place_writes_read_back_vanish() -> None:
    b = Builder()
    x = b.random((30,))
    base = b.flat[0]
    row = view.as_strided(base, shape=(5,), strides=(1,), offset=10)
    written = view.strided_scatter(base, row + 1.0, strides=(1,), offset=10)
    again = view.as_strided(written, shape=(5,), strides=(1,), offset=10)
    program = simplify(b.program([again * 2.0, x]))
    assert all(v.primitive.name != "strided_scatter" for v in program.nodes())
    b.check(
        [again * 2.0, x], [(0, view.strided_scatter(written, again * 3.0, strides=(1,), offset=10))]
    )


def test_equal_values_and_constants_are_joined() -> None:
    b = Builder()
    x = b.random((4, 5))
    two = ar.full((4, 5), 2.0, dtypes.float32) * ar.full((4, 5), 1.0, dtypes.float32)
    a = elementwise.exp(x * two) * 1.0
    c = elementwise.exp(x * 2.0)
    program = simplify(b.program([a + c]))
    assert sum(v.primitive.name == "exp" for v in program.nodes()) == 1
    assert sum(v.primitive.name == "mul" for v in program.nodes()) == 1
    b.check([a + c])


def test_zero_keeps_its_sign() -> None:
    b = Builder()
    x = b.data(np.array([-0.0, 0.0, 1.0]), dtypes.float32)
    results = [x + 0.0, x - 0.0, x * 1.0, elementwise.neg(elementwise.neg(x))]
    program = b.program([1.0 / v for v in results])
    got, _, _ = run(compile_program(program), program, [a for _, a in b.bases], [])
    expected = execute(program, [a for _, a in b.bases], [])
    for a, c in zip(got, expected, strict=True):
        np.testing.assert_array_equal(a, c)


def test_verifier_refuses_broken_programs() -> None:
    b = Builder()
    x = b.random((4, 5))
    wrong = Value(x.primitive, x.inputs, x.attrs, (5, 4), x.dtype, False)
    with pytest.raises(ProgramError, match="should be"):
        verify(b.program([wrong]))
    with pytest.raises(ProgramError, match="updated twice"):
        verify(b.program([], [(0, b.flat[0]), (0, b.flat[0])]))
    outside = view.as_strided(b.flat[0], shape=(4, 5), strides=(5, 1), offset=1)
    with pytest.raises(ProgramError, match="reaches"):
        verify(b.program([outside]))


def test_equal_kernels_share_their_text() -> None:
    b = Builder()
    results = [elementwise.tanh(b.random((n,)) * 3.0) for n in (50, 6000, 7001)]
    compiled = b.check(results)
    assert len({k.text for k in compiled.kernels}) == 1


def test_fusion_keeps_kernels_few() -> None:
    b = Builder()
    x, w, bias = b.random((32, 9)), b.random((16, 9)), b.random((16,))
    out = contraction.dot(x, view.permute(w, order=(1, 0))) + ar.expand(bias, (32, 16))
    y = elementwise.tanh(ar.maximum(out, 0.0))
    compiled = b.check([y, out], tolerance=64.0)
    assert len({k.label for k in compiled.kernels}) == 1


# ---- random draws --------------------------------------------------------------------------------


def test_draws_and_generator_states() -> None:
    b = Builder()
    seeded = np.asarray(random_streams.seed_state(7))
    state = b.data(seeded, dtypes.uint32)
    b.bases[0][1][...] = seeded
    state = b.flat[0]
    x = b.random((40, 5))

    def draw(kind: str, count: int, dtype: DType, **parameters: Any) -> Value:
        nonlocal state
        attrs = {"kind": kind, "count": count, "dtype": dtype}
        attrs["parameters"] = tuple(sorted(parameters.items()))
        values = randomness.random_draw(state, **attrs)
        state = randomness.random_advance(state, **attrs)
        return values

    keep = view.reshape(draw("bernoulli", 200, dtypes.bool_, p=0.75), shape=(40, 5))
    normal = draw("normal_float32", 64, dtypes.float32)
    uniform = draw("uniform32", 33, dtypes.float32)
    few = draw("normal_float32", 5, dtypes.float32)
    b.check(
        [x * ar.cast(keep, dtypes.float32), keep, normal + 1.0, uniform, few, state],
        [(0, state)],
        tolerance=16.0,
    )


# ---- requirements --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(), (1,), (5,), (67,), (9, 33), (40, 300)], ids=str)
def test_requirements_are_kernels(shape: tuple[int, ...]) -> None:
    b = Builder(f"require{shape}")
    x, y = b.random(shape), b.random(shape)
    size = x.size
    ok = ar.logical_and(x >= ar.full(shape, -50.0, dtypes.float32), ar.lt(x, 50.0))
    z = randomness.require(x * y, ok, error=("RuntimeError", "out of range"))
    total = reduction.sum_(z, axes=tuple(range(z.ndim)))
    step = view.reshape(x - z * 0.5, shape=(size,))
    compiled = b.check([z, total], [(0, step)], tolerance=64.0)
    assert compiled.native
    program = b.program([z, total], [(0, step)])
    bases = [a.copy() for _, a in b.bases]
    for place in {0, size // 2, size - 1}:
        spoilt = [bases[0].copy(), bases[1]]
        spoilt[0][place] = 77.0
        _, after, code = run(compiled, program, spoilt, [])
        assert code != 0
        for a, c in zip(after, spoilt, strict=True):
            np.testing.assert_array_equal(a, c)


def test_requirements_of_other_shapes() -> None:
    b = Builder()
    x, w = b.random((6, 8)), b.random((8, 5))
    count = reduction.sum_(
        ar.cast(x > ar.full((6, 8), 90.0, dtypes.float32), dtypes.int64), axes=(0, 1)
    )
    y = contraction.dot(x, w)
    z = randomness.require(y, ar.eq(count, 0), error=("ValueError", "too large"))
    never = randomness.require(z, ar.full((0,), False, dtypes.bool_), error=("ValueError", "empty"))
    flat = view.reshape(ar.full((48,), 2.0, dtypes.float32), shape=(48,))
    compiled = b.check([never + 1.0], [(0, flat)])
    assert compiled.native
    program = b.program([never + 1.0], [(0, flat)])
    spoilt = [b.bases[0][1] * 100, b.bases[1][1]]
    _, after, code = run(compiled, program, spoilt, [])
    assert code != 0
    np.testing.assert_array_equal(after[0], spoilt[0])


def test_a_requirement_that_never_holds() -> None:
    b = Builder()
    x = b.random((3,))
    z = randomness.require(x, ar.full((3,), False, dtypes.bool_), error=("ValueError", "never"))
    program = b.program([z])
    _, _, code = run(compile_program(program), program, [a for _, a in b.bases], [])
    assert code != 0


# ---- scans and sorts -----------------------------------------------------------------------------

SHAPES_AND_AXES = [((1,), 0), ((0, 3), 0), ((3, 0), 0), ((7,), 0), ((300,), 0)]
SHAPES_AND_AXES += [((5, 33), 0), ((5, 33), 1), ((4, 1, 9), 1), ((3, 70, 18), 1), ((2, 3, 5), 2)]


@pytest.mark.parametrize(("shape", "axis"), SHAPES_AND_AXES, ids=str)
@pytest.mark.parametrize("dtype", (*FLOATS, *INTEGERS, dtypes.bool_), ids=lambda d: d.name)
def test_scans(dtype: DType, shape: tuple[int, ...], axis: int) -> None:
    b = Builder(f"scan{dtype.name}{shape}{axis}")
    x = b.random(shape, dtype)
    if dtype.itemsize == 2 and dtype.kind == "f":
        # Sums that a half type holds exactly: the reference rounds at every step.
        x = ar.cast(ar.cast(x * 2.0, dtypes.int8), dtype)
    results = [ordered.cumsum(x, axis=axis), ordered.cum_argmax(x, axis=axis)]
    results.append(ordered.cum_argmin(x, axis=axis))
    if dtype.kind == "i" or dtype.itemsize >= 4:
        results.append(ordered.cumprod(x, axis=axis))
    if dtype.kind == "f" and dtype.itemsize >= 4:
        results.append(ordered.logcumsumexp(elementwise.neg(x), axis=axis))
    compiled = b.check(results, tolerance=16.0)
    assert compiled.native


@pytest.mark.parametrize("dtype", FLOATS, ids=lambda d: d.name)
def test_scans_of_special_numbers(dtype: DType) -> None:
    b = Builder(dtype.name)
    numbers = [[1.0, np.inf, 2.0, -np.inf, 3.0], [1.0, np.nan, 2.0, np.nan, np.inf]]
    numbers += [[-0.0, -0.0, 0.0, 1.0, 1.0], [-np.inf, -np.inf, 1.0, 1.0, -np.inf]]
    x = b.data(numbers, dtype)
    names = ("cumsum", "cumprod", "cum_argmax", "cum_argmin", "logcumsumexp")
    results = [getattr(ordered, name)(x, axis=axis) for name in names for axis in (0, 1)]
    sign = elementwise.copysign(ar.full_like(x, 1.0), results[0])
    b.check([*results, ar.where(elementwise.eq(results[0], results[0]), sign, x * 0.0)])


@pytest.mark.parametrize(
    ("shape", "axis"), [*SHAPES_AND_AXES, ((), 0), ((2, 5000), 1), ((64,), 0)], ids=str
)
@pytest.mark.parametrize("dtype", (*FLOATS, *INTEGERS, dtypes.bool_), ids=lambda d: d.name)
def test_sorts(dtype: DType, shape: tuple[int, ...], axis: int) -> None:
    b = Builder(f"sort{dtype.name}{shape}{axis}")
    x = b.random(shape, dtype)
    if dtype.kind == "f":
        x = ar.where(x > 1.2, ar.full_like(x, np.nan), elementwise.round_(x * 4.0))
        x = ar.where(ar.eq(x, 1.0), ar.full_like(x, -np.inf), x)
    up = ordered.argsort(x, axis=axis, descending=False)
    down = ordered.argsort(x, axis=axis, descending=True)
    compiled = b.check([up, down, down + 1])
    assert compiled.native


@pytest.mark.parametrize("strides", [(3, 1), (1, 1), (0, 2), (0, 0), (1, 4), (5, 0)], ids=str)
def test_sums_at_the_places_of_a_layout(strides: tuple[int, int]) -> None:
    b = Builder(str(strides))
    x, n = b.random((4, 19)), b.random((4, 19), dtypes.int32)
    sums = [view.strided_sum(v * 2, size=120, strides=strides, offset=3) for v in (x, n)]
    compiled = b.check([*sums, sums[0] + 1.0])
    assert compiled.native


def test_indices_into_equal_rows_are_checked() -> None:
    b = Builder()
    index = b.data([0, 3, 2], dtypes.int64)
    ones = ar.full((4, 5), 1.0, dtypes.float32)
    same = view.expand(b.random((1, 5)), shape=(4, 5))
    rows = [indexed.take(x, index, what="index") for x in (ones, same)]
    b.check(rows)
    for row in rows:
        program = b.program([row])
        bases = [np.array([0, 9, 2]), b.bases[1][1]]
        _, _, code = run(compile_program(program), program, bases, [])
        assert code != 0


def test_products_of_empty_operands() -> None:
    b = Builder()
    for left, right in [((2, 0, 3), (2, 3, 4)), ((2, 3, 0), (2, 0, 4)), ((2, 3, 4), (2, 4, 0))]:
        b.check([contraction.dot(b.random(left), b.random(right))])
    x = view.reshape(b.random((2, 0, 3)), shape=(0, 6))
    b.check([view.reshape(contraction.dot(x, b.random((6, 4))), shape=(2, 0, 4))])
    b.check([view.reshape(x + 1.0, shape=(3, 0, 5)), reduction.sum_(x, axes=(0,))])
