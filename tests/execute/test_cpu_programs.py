"""Whole programs against the reference executor: updates, random programs, simplification,
random draws, requirements.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import Builder, flat, run

from flambeau.core import dtypes, random_streams
from flambeau.core.dtypes import DType
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.reference.executor import execute
from flambeau.graph.simplify import simplify
from flambeau.graph.verify import ProgramError, verify
from flambeau.ops import arithmetic as ar
from flambeau.ops import (
    contraction,
    elementwise,
    ordered,
    randomness,
    reduction,
    view,
    window,
)
from flambeau.ops.value import Value

# ---- updates -------------------------------------------------------------------------------------


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
    assert gw is not None
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


def test_a_base_that_an_alias_widens() -> None:
    """What was read before an alias that reaches further came in is read as it was known then."""
    import flambeau
    from tests.programs.modes import mode

    with mode("compiled"):
        data = flambeau.arange(9.0)
        assert data.sum().item() == 36
        pairs = data[:-1] * 2 - data[1:]  # the second view reaches one element further
        assert pairs.tolist() == [n - 1.0 for n in range(8)]
        first = data[:-1].flip(0)
        data.add_(1)
        assert first.tolist() == [7.0, 6, 5, 4, 3, 2, 1, 0]
        assert data.tolist() == [n + 1.0 for n in range(9)]
