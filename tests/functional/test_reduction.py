"""Reductions against PyTorch: values, dtypes, strides, gradients of both orders, errors."""

from __future__ import annotations

import math
import pickle
from typing import Any

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from against_torch import (
    MINE,
    Case,
    check_error,
    check_gradients,
    check_values,
    draw,
    mine_of,
    same,
)

import flambeau
from flambeau.core import dtypes
from flambeau.functional import reduction
from flambeau.functional.conversion import complex as make_complex
from flambeau.tensor.tensor import Tensor, from_array

pytestmark = pytest.mark.parity

INF = math.inf
DIFFERENTIABLE: dict[str, Case] = {
    "sum": lambda t, x: t.sum(x),
    "sum dim": lambda t, x: t.sum(x, 0),
    "sum dims": lambda t, x: t.sum(x, (0, -1), keepdim=True),
    "sum axis": lambda t, x: t.sum(x, axis=-1, keepdims=True),
    "sum dtype": lambda t, x: t.sum(x, -1, dtype=t.float64),
    "sum of all dims": lambda t, x: t.sum(x, ()),
    "mean": lambda t, x: t.mean(x),
    "mean dim": lambda t, x: t.mean(x, -1),
    "mean dims": lambda t, x: t.mean(x, (0, -1), True),
    "mean dtype": lambda t, x: t.mean(x, dtype=t.float32),
    "prod": lambda t, x: t.prod(x),
    "prod dim": lambda t, x: t.prod(x, -1),
    "amax": lambda t, x: t.amax(x, (0, -1)),
    "amax all": lambda t, x: t.amax(x),
    "amin": lambda t, x: t.amin(x, -1, True),
    "max": lambda t, x: t.max(x),
    "max dim": lambda t, x: t.max(x, -1),
    "max keepdim": lambda t, x: t.max(x, 0, keepdim=True),
    "min": lambda t, x: t.min(x),
    "min dim": lambda t, x: t.min(x, dim=0),
    "max of two": lambda t, x: t.max(x, t.add(t.mul(x, 0.5), 0.1)),
    "min of two": lambda t, x: t.min(x, other=t.add(t.mul(x, 0.5), 0.1)),
    "aminmax": lambda t, x: t.aminmax(x),
    "aminmax dim": lambda t, x: t.aminmax(x, dim=0, keepdim=True),
    "var": lambda t, x: t.var(x),
    "var dim": lambda t, x: t.var(x, 0),
    "var biased": lambda t, x: t.var(x, -1, False, True),
    "var unbiased flag": lambda t, x: t.var(x, False),
    "var correction": lambda t, x: t.var(x, (0, -1), correction=2),
    "std": lambda t, x: t.std(x),
    "std dim": lambda t, x: t.std(x, dim=-1, unbiased=False, keepdim=True),
    "std correction 0": lambda t, x: t.std(x, correction=0),
    "var_mean": lambda t, x: t.var_mean(x, -1),
    "std_mean": lambda t, x: t.std_mean(x, dim=0, keepdim=True),
    "norm": lambda t, x: t.norm(x),
    "norm 1": lambda t, x: t.norm(x, 1),
    "norm 3 dim": lambda t, x: t.norm(x, 3, dim=-1),
    "norm 2.5": lambda t, x: t.norm(x, p=2.5, dim=(0, -1), keepdim=True),
    "norm 0.5": lambda t, x: t.norm(x, 0.5, dim=0),
    "norm inf": lambda t, x: t.norm(x, INF, dim=-1),
    "norm -inf": lambda t, x: t.norm(x, -INF),
    "norm dim": lambda t, x: t.norm(x, dim=0, keepdim=True),
    "logsumexp": lambda t, x: t.logsumexp(x, -1),
    "logsumexp dims": lambda t, x: t.logsumexp(x, (0, -1), keepdim=True),
    "nansum": lambda t, x: t.nansum(x, 0),
    "nanmean": lambda t, x: t.nanmean(x, -1),
    "dist": lambda t, x: t.dist(x, t.mul(x, 0.5)),
    "dist 1": lambda t, x: t.dist(x, t.mul(x, 0.5), 1),
}
OTHERS: dict[str, Case] = {
    "argmax": lambda t, x: t.argmax(x),
    "argmax dim": lambda t, x: t.argmax(x, -1),
    "argmax keepdim": lambda t, x: t.argmax(x, keepdim=True),
    "argmin dim": lambda t, x: t.argmin(x, 0, True),
    "all": lambda t, x: t.all(x),
    "all dim": lambda t, x: t.all(x, -1, keepdim=True),
    "any dims": lambda t, x: t.any(x, (0, -1)),
    "any": lambda t, x: t.any(x),
    "count_nonzero": lambda t, x: t.count_nonzero(x),
    "count_nonzero dim": lambda t, x: t.count_nonzero(x, -1),
    "norm 0": lambda t, x: t.norm(x, 0, dim=-1),
    "isclose": lambda t, x: t.isclose(x, t.add(x, 0)),
    "isclose nan": lambda t, x: t.isclose(x, x, equal_nan=True),
    "allclose": lambda t, x: t.allclose(x, t.mul(x, 1 + 1e-7)),
    "equal": lambda t, x: (t.equal(x, x), t.equal(x, t.add(x, 1))),
}
INTEGRAL = ["sum", "sum dims", "sum dtype", "mean dtype", "prod", "prod dim", "amax", "max",
            "max dim", "min dim",
            "aminmax", "nansum", "logsumexp", "argmax", "argmin dim", "all", "all dim",
            "any dims", "count_nonzero",
            "isclose", "equal"]  # fmt: skip
EVERY = {**DIFFERENTIABLE, **OTHERS}
ONE_AXIS_REPEATED = {
    "sum dims",
    "mean dims",
    "amax",
    "var correction",
    "norm 2.5",
    "logsumexp dims",
    "any dims",
}


@pytest.mark.parametrize("name", EVERY)
def test_values(name: str) -> None:
    case = EVERY[name]
    check_values(case, draw(3, 5, dtype=torch.float32))
    check_values(case, draw(2, 3, 4).permute(2, 0, 1))
    check_values(case, draw(4, 6, dtype=torch.float16))
    check_values(case, draw(4, 6, dtype=torch.bfloat16))
    if name not in ONE_AXIS_REPEATED:
        check_values(case, draw())
        check_values(case, draw(1))


@pytest.mark.parametrize("name", EVERY)
def test_nan(name: str) -> None:
    x = draw(3, 5)
    x[1, 2] = math.nan
    if not name.endswith("_mean"):  # PyTorch's running mean turns infinities into NaN
        x[2, 0] = math.inf
    check_values(EVERY[name], x)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name: str) -> None:
    check_gradients(DIFFERENTIABLE[name], draw(3, 4))
    check_gradients(DIFFERENTIABLE[name], draw(2, 3, 2).transpose(0, 2), names=False)


@pytest.mark.parametrize("name", INTEGRAL)
@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8, torch.bool])
def test_integers(name: str, dtype: Any) -> None:
    x = draw(3, 4, dtype=dtype) if dtype is torch.bool else draw(3, 4).abs().to(dtype)
    if dtype is torch.bool and name in ("argmax", "argmin dim", "isclose", "equal"):
        return
    check_values(EVERY[name], x)


ZERO_GRADIENTS = [
    "std",
    "norm",
    "norm 3 dim",
    "norm 1",
    "norm inf",
    "prod",
    "prod dim",
    "logsumexp",
    "max",
    "amax all",
]


@pytest.mark.parametrize("name", ZERO_GRADIENTS)
def test_gradients_at_zero_and_ties(name: str) -> None:
    check_gradients(DIFFERENTIABLE[name], torch.zeros(3, 4, dtype=torch.float64), second=False)
    x = draw(3, 4)
    x[0] = 0
    x[1, 2] = 0
    check_gradients(DIFFERENTIABLE[name], x, second=False)


def test_gradient_of_logsumexp_at_minus_infinity() -> None:
    x = draw(3, 4)
    x[1] = -math.inf
    check_gradients(lambda t, x: t.logsumexp(x, -1), x, second=False)


def test_empty() -> None:
    x = torch.empty(0, 3)
    cases: list[Case] = [
        lambda t, x: t.sum(x), lambda t, x: t.sum(x, 0), lambda t, x: t.sum(x, 1), lambda t,
        x: t.mean(x),
        lambda t, x: t.mean(x, 0), lambda t, x: t.prod(x, 0), lambda t, x: t.amax(x, 1), lambda t,
        x: t.max(x, 1),
        lambda t, x: t.argmax(x, 1), lambda t, x: t.all(x), lambda t, x: t.any(x, 0), lambda t,
        x: t.std(x),
        lambda t, x: t.var(x, 0), lambda t, x: t.norm(x), lambda t, x: t.logsumexp(x, 0),
        lambda t, x: t.nansum(x),
        lambda t, x: t.count_nonzero(x, 0), lambda t, x: t.equal(x, x), lambda t,
        x: t.all(x, 0, keepdim=True),
    ]  # fmt: skip
    for case in cases:
        check_values(case, x)


ERRORS: list[Case] = [
    lambda t, x, e, i: t.sum(x, 5),
    lambda t, x, e, i: t.sum(x, (0, 0)),
    lambda t, x, e, i: t.sum([1]),
    lambda t, x, e, i: t.mean(i),
    lambda t, x, e, i: t.mean(x, dtype=t.int64),
    lambda t, x, e, i: t.nanmean(i),
    lambda t, x, e, i: t.max(e),
    lambda t, x, e, i: t.max(e, 0),
    lambda t, x, e, i: t.amax(e),
    lambda t, x, e, i: t.amax(e, 0),
    lambda t, x, e, i: t.argmax(e),
    lambda t, x, e, i: t.argmax(e, 0),
    lambda t, x, e, i: t.aminmax(e),
    lambda t, x, e, i: t.argmax(t.gt(x, 0)),
    lambda t, x, e, i: t.var(i),
    lambda t, x, e, i: t.std_mean(i),
    lambda t, x, e, i: t.norm(i),
    lambda t, x, e, i: t.dist(i, i),
    lambda t, x, e, i: t.isclose(x, i),
    lambda t, x, e, i: t.isclose(x, x, rtol=-1),
    lambda t, x, e, i: t.norm(e, INF),
]


@pytest.mark.parametrize("place", range(len(ERRORS)))
def test_errors(place: int) -> None:
    check_error(
        ERRORS[place],
        draw(3, 4, dtype=torch.float32),
        torch.empty(0, 3),
        torch.arange(12).reshape(3, 4),
    )


def test_named_results_print_and_pickle() -> None:
    x = draw(2, 3)
    theirs, ours = torch.max(x, 1), reduction.max(mine_of(x), 1)
    assert repr(ours) == repr(theirs)
    assert ours.values is ours[0] and ours.indices is ours[1]
    again = pickle.loads(pickle.dumps(ours))
    assert type(again) is type(ours) and again.indices.tolist() == theirs.indices.tolist()
    assert repr(reduction.aminmax(mine_of(x))) == repr(torch.aminmax(x))


def test_out() -> None:
    x = draw(3, 4)
    out, index = from_array(np.zeros(3), dtypes.float64), from_array(np.zeros(4), dtypes.int64)
    assert reduction.sum(mine_of(x), 1, out=out) is out
    same(out, x.sum(1), "out")
    out = from_array(np.zeros(4), dtypes.float64)
    values = reduction.max(mine_of(x), 0, out=(out, index))
    assert values.values is out and values.indices is index
    same(index, x.max(0).indices, "out")
    # As in PyTorch, which folds in the dtype of out: the numbers are converted first.
    same(reduction.sum(mine_of(x), 0, out=index), torch.sum(x, 0, out=x.max(0).indices), "out")
    with pytest.raises(RuntimeError, match="can't be cast"):
        flambeau.logsumexp(mine_of(x), 0, out=index)


def test_complex_sums() -> None:
    x, y = draw(3, 4), draw(3, 4, seed=1)
    z = torch.complex(x, y)
    ours = make_complex(mine_of(x), mine_of(y))
    for case in (
        lambda t, z: t.sum(z, 0),
        lambda t, z: t.mean(z),
        lambda t, z: t.norm(z),
        lambda t, z: t.prod(z, 1),
    ):
        np.testing.assert_allclose(case(MINE, ours)._values(), case(torch, z).numpy(), rtol=1e-12)
    with pytest.raises(NotImplementedError):
        reduction.max(ours)


def test_result_is_never_the_operand() -> None:
    x = mine_of(draw())
    for name in ("sum", "amax", "prod"):
        result: Tensor = getattr(MINE, name)(x)
        assert result is not x and result.data_ptr() != x.data_ptr()


@pytest.mark.parametrize("size", [1e15, 3e19, 1e27, 1e37])
@pytest.mark.parametrize("name", ["var", "std", "var_mean", "std_mean"])
def test_spread_of_large_numbers(name: str, size: float) -> None:
    """Squares that float32 cannot hold: random program 1,086,931."""
    for case in (
        lambda t, x: getattr(t, name)(x * size),
        lambda t, x: getattr(t, name)(x * size, 0),
        lambda t, x: getattr(t, name)(x * size + size, -1, keepdim=True),
    ):
        check_values(case, draw(5, 7, seed=3).float().clamp(-1, 1))


@pytest.mark.parametrize("dtype", [flambeau.float32, flambeau.float64])
@pytest.mark.parametrize("count", [2, 3, 5, 7, 10, 100, 1000])
def test_equal_numbers_do_not_spread(dtype: flambeau.dtype, count: int) -> None:
    """Nor do they get a gradient, whatever their sum is rounded to."""
    for number in (0.1, -1.894, 3.3, 1e10 / 3):
        x = flambeau.full((2, count), number, dtype=dtype, requires_grad=True)
        assert x.var(1).tolist() == [0, 0]
        assert x.std(1).tolist() == [0, 0]
        x.std(1).sum().backward()
        assert not x.grad.any()
