"""The CPU compiler against the reference executor, primitive by primitive."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from against_reference import FLOATS, INTEGERS, Builder, run

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.target import Target, assembly
from flambeau.execute.reference.executor import execute
from flambeau.ops import arithmetic as ar
from flambeau.ops import (
    contraction,
    elementwise,
    indexed,
    ordered,
    randomness,
    reduction,
    view,
    window,
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


def test_complex_scalars_beside_others() -> None:
    b = Builder()
    x, lr = b.random((5, 9)), b.scalar(0.125, dtypes.float64)
    c, n = b.scalar(1.5 - 2.5j, dtypes.complex128), b.scalar(7, dtypes.int64)
    z = ar.mul(ar.cast(x, dtypes.complex128), ar.expand(c, (5, 9)))
    b.check([x * lr, elementwise.real(z), elementwise.imag(z), z, c, x * ar.cast(n, x.dtype)])


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


@pytest.mark.parametrize("size", [1024, 1040, 4096, 4103, 20000], ids=str)
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64, dtypes.int64], ids=str)
def test_long_rows(dtype: DType, size: int) -> None:
    """Rows of many vectors have eight accumulators, whose addresses are pointers that move on."""
    b = Builder(f"{dtype} {size}")
    x = b.random((5, size), dtype)
    folds = [reduction.sum_, reduction.max_, reduction.min_]
    rows = view.slice_(x, starts=(1, 3), sizes=(3, size - 3), steps=(1, 1))
    b.check([fold(t, axes=(1,)) for fold in folds for t in (x, rows)], tolerance=3.0)


def test_long_rows_have_addresses_of_one_register() -> None:
    """Intel's processors make two operations of an addition to memory that has two."""
    b = Builder()
    compiled = b.check([reduction.sum_(b.random((8, 4096)), axes=(1,))], tolerance=3.0)
    host = Target.host()
    (kernel,) = compiled.kernels
    if not host.triple.startswith("x86_64") or host.vector_bits < 256:
        pytest.skip("additions read no memory there, or in another way")
    adds = re.findall(r"vaddps\s+(\S*)\(([^)]*)\)", assembly(kernel.text, host))
    assert len(adds) == 8 and all("," not in registers for _, registers in adds)


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
