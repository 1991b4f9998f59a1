"""Scans, sorts, ranks, searches, sets and counts against PyTorch."""

from __future__ import annotations

import math
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

from flambeau.functional import ordering

pytestmark = pytest.mark.parity

DIFFERENTIABLE: dict[str, Case] = {
    "cumsum": lambda t, x: t.cumsum(x, 0),
    "cumsum dtype": lambda t, x: t.cumsum(x, -1, dtype=t.float64),
    "cumprod": lambda t, x: t.cumprod(x, -1),
    "cummax": lambda t, x: t.cummax(x, -1),
    "cummin": lambda t, x: t.cummin(x, dim=0),
    "logcumsumexp": lambda t, x: t.logcumsumexp(x, 0),
    "diff": lambda t, x: t.diff(x),
    "diff 2": lambda t, x: t.diff(x, 2, 0),
    "diff ends": lambda t, x: t.diff(x, dim=-1, prepend=x, append=x),
    "trapezoid": lambda t, x: t.trapezoid(x),
    "trapezoid dx": lambda t, x: t.trapezoid(x, dx=0.5, dim=0),
    "trapezoid x": lambda t, x: t.trapezoid(x, x),
    "cumulative_trapezoid": lambda t, x: t.cumulative_trapezoid(x, dim=-1),
    "sort": lambda t, x: t.sort(x),
    "sort dim": lambda t, x: t.sort(x, 0, descending=True),
    "sort stable": lambda t, x: t.sort(x, dim=-1, stable=True),
    "msort": lambda t, x: t.msort(x),
    "topk": lambda t, x: t.topk(x, 2),
    "topk least": lambda t, x: t.topk(x, 2, dim=0, largest=False),
    "kthvalue": lambda t, x: t.kthvalue(x, 2),
    "kthvalue keepdim": lambda t, x: t.kthvalue(x, 1, 0, keepdim=True),
    "median": lambda t, x: t.median(x),
    "median dim": lambda t, x: t.median(x, -1),
    "median keepdim": lambda t, x: t.median(x, dim=0, keepdim=True),
    "nanmedian": lambda t, x: t.nanmedian(x),
    "nanmedian dim": lambda t, x: t.nanmedian(x, 0),
    "mode": lambda t, x: t.mode(x),
    "quantile": lambda t, x: t.quantile(x, 0.3),
    "quantile dim": lambda t, x: t.quantile(x, 0.6, dim=0, keepdim=True),
    "quantile lower": lambda t, x: t.quantile(x, 0.4, dim=-1, interpolation="lower"),
    "quantile higher": lambda t, x: t.quantile(x, 0.4, dim=-1, interpolation="higher"),
    "quantile nearest": lambda t, x: t.quantile(x, 0.7, dim=-1, interpolation="nearest"),
    "quantile midpoint": lambda t, x: t.quantile(x, 0.7, interpolation="midpoint"),
    "nanquantile": lambda t, x: t.nanquantile(x, 0.25, dim=-1),
}
OTHERS: dict[str, Case] = {
    "argsort": lambda t, x: t.argsort(x, 0, descending=True),
    "argsort last": lambda t, x: t.argsort(x, stable=True),
    "unique": lambda t, x: t.unique(x),
    "unique all": lambda t, x: t.unique(x, return_inverse=True, return_counts=True),
    "unique_consecutive": lambda t, x: t.unique_consecutive(
        x, return_inverse=True, return_counts=True
    ),
}
EVERY = {**DIFFERENTIABLE, **OTHERS}
INTEGRAL = ["cumsum", "cumprod", "cummax", "cummin", "diff", "diff ends", "sort stable",
            "argsort last", "median",
            "median dim", "nanmedian", "mode", "unique all", "unique_consecutive"]  # fmt: skip
FLOAT_ONLY = ("quantile", "nanquantile")


@pytest.mark.parametrize("name", EVERY)
def test_values(name: str) -> None:
    case = EVERY[name]
    check_values(case, draw(3, 5, dtype=torch.float32))
    check_values(
        case, draw(2, 3, 4).permute(2, 0, 1), strides="sort" in name and "msort" not in name
    )
    if not name.startswith(FLOAT_ONLY):
        check_values(case, draw(4, 6, dtype=torch.float16))


@pytest.mark.parametrize(
    "name", [n for n in EVERY if not n.startswith(("diff", "trap", "cumulative", "topk", "msort"))]
)
def test_zero_dimensional(name: str) -> None:
    if name == "kthvalue":
        return
    check_values(EVERY[name], draw())


@pytest.mark.parametrize("name", EVERY)
def test_nan(name: str) -> None:
    if name in ("mode", "unique all", "unique_consecutive") or name.startswith("trap"):
        return
    x = draw(3, 5)
    x[1, 2] = math.nan
    x[1, 4] = math.nan
    check_values(EVERY[name], x)


@pytest.mark.parametrize("name", DIFFERENTIABLE)
def test_gradients(name: str) -> None:
    named = not name.startswith(("diff", "trapezoid", "quantile", "nanquantile"))
    check_gradients(DIFFERENTIABLE[name], draw(3, 4), names=named)
    check_gradients(DIFFERENTIABLE[name], draw(3, 2, 3).transpose(0, 2), names=False)


@pytest.mark.parametrize("name", INTEGRAL)
@pytest.mark.parametrize("dtype", [torch.int64, torch.uint8, torch.bool])
def test_integers_and_ties(name: str, dtype: Any) -> None:
    if dtype is torch.bool and "median" in name:
        return
    x = draw(3, 9, dtype=dtype) if dtype is torch.bool else draw(3, 9).abs().to(dtype)
    result = EVERY[name](torch, x)
    if "median" in name and not isinstance(
        result, torch.Tensor
    ):  # which of equal elements is left open
        same(EVERY[name](MINE, mine_of(x))[0], result[0], name)
        return
    check_values(EVERY[name], x)


def test_median_shares_its_gradient_among_ties() -> None:
    x = torch.tensor([3.0, 1.0, 3.0, 5.0, 3.0], dtype=torch.float64)
    check_gradients(lambda t, x: t.median(x), x)
    x[0] = math.nan
    check_gradients(lambda t, x: t.median(x), x, second=False)
    check_gradients(lambda t, x: t.nanmedian(x), x, second=False)


def test_products_of_zeros() -> None:
    x = draw(3, 5)
    x[0, 1] = 0
    x[1, 1] = x[1, 3] = 0
    check_gradients(lambda t, x: t.cumprod(x, 1), x)


@pytest.mark.parametrize("weights", [(), (3,), (0,)])
def test_quantile_of_tensors(weights: tuple[int, ...]) -> None:
    q = torch.rand(weights, dtype=torch.float64)
    x = draw(3, 4, 2)
    for case in (
        lambda t, x, q: t.quantile(x, q), lambda t, x, q: t.quantile(x, q, dim=1),
        lambda t, x, q: t.quantile(x, q, dim=-1, keepdim=True), lambda t, x,
        q: t.quantile(x, q, keepdim=True),
    ):  # fmt: skip
        check_values(case, x, q, strides=False)


@pytest.mark.parametrize("right", [False, True])
def test_searchsorted(right: bool) -> None:
    rows = draw(3, 7).sort(-1).values
    x = draw(3, 5, seed=2)
    x[0, 0] = math.nan
    x[1, 1] = rows[1, 3]
    check_values(lambda t, r, x: t.searchsorted(r, x, right=right), rows, x)
    check_values(lambda t, r, x: t.bucketize(x, r, right=right, out_int32=True), rows[0], x)
    line = rows[0].contiguous()
    check_values(lambda t, r, x: t.searchsorted(r, x, side="right" if right else "left"), line, x)
    check_values(lambda t, r, x: t.searchsorted(r, 0.5, right=right), line, x)
    ints = torch.tensor([1, 2, 2, 2, 5])
    check_values(lambda t, r, x: t.bucketize(x, r, right=right), ints, torch.arange(7))
    mixed = draw(6, seed=3)
    check_values(
        lambda t, r, x, s: t.searchsorted(r, x, sorter=s, right=right),
        mixed,
        draw(4),
        mixed.argsort(),
    )


def test_sets() -> None:
    x = draw(6, 3).abs().long()
    x[3] = x[1]
    for dim in (0, 1, -1):
        check_values(
            lambda t, x, d=dim: t.unique(x, dim=d, return_inverse=True, return_counts=True),
            x,
            strides=False,
        )
        check_values(
            lambda t, x, d=dim: t.unique_consecutive(x, True, True, d),
            x.repeat_interleave(2, 0),
            strides=False,
        )
    check_values(
        lambda t, x: t.unique(x, return_counts=True), torch.tensor([1.0, math.nan, math.nan, 2.0])
    )
    check_values(lambda t, x: t.unique_consecutive(x), torch.empty(0))


def test_counts() -> None:
    x, w = draw(20).abs().long(), draw(20)
    check_values(lambda t, x: t.bincount(x), x)
    check_values(lambda t, x, w: t.bincount(x, w, minlength=30), x, w)
    check_values(lambda t, x, w: t.bincount(x, w), x, w.float())
    check_values(lambda t, x: t.histc(x), w)
    check_values(lambda t, x: t.histc(x, bins=5, min=-1, max=2), w.float())
    check_values(lambda t, x: t.histc(x, bins=3), torch.ones(4))


def test_in_place_and_out() -> None:
    x = draw(3, 4)
    ours = mine_of(x)
    assert ordering.cumsum_(ours, 1) is ours
    same(ours, x.cumsum(1), "cumsum_")
    ordering.cumprod_(ours, 0)
    same(ours, x.cumsum(1).cumprod(0), "cumprod_")
    values, indices = mine_of(torch.zeros(3, 4).double()), mine_of(torch.zeros(3, 4).long())
    result = ordering.sort(mine_of(x), out=(values, indices))
    assert result.values is values
    same(indices, x.sort().indices, "out")


def test_printing() -> None:
    x = draw(2, 3)
    for name in ("sort", "mode", "median", "cummax"):
        args = () if name in ("sort", "mode") else (1,)
        assert repr(getattr(ordering, name)(mine_of(x), *args)) == repr(
            getattr(torch, name)(x, *args)
        )


ERRORS: list[Case] = [
    lambda t, x, e, i: t.cumsum(x, 3),
    lambda t, x, e, i: t.topk(x, 9),
    lambda t, x, e, i: t.kthvalue(x, 9),
    lambda t, x, e, i: t.kthvalue(x, 0),
    lambda t, x, e, i: t.topk(t.gt(x, 0), 2),
    lambda t, x, e, i: t.median(t.gt(x, 0)),
    lambda t, x, e, i: t.median(e, 0),
    lambda t, x, e, i: t.mode(e, 0),
    lambda t, x, e, i: t.quantile(e, 0.5),
    lambda t, x, e, i: t.quantile(x, 1.5),
    lambda t, x, e, i: t.quantile(i, 0.5),
    lambda t, x, e, i: t.quantile(x, x),
    lambda t, x, e, i: t.quantile(x, 0.5, interpolation="f"),
    lambda t, x, e, i: t.diff(x, n=-1),
    lambda t, x, e, i: t.diff(t.sum(x)),
    lambda t, x, e, i: t.logcumsumexp(i, 0),
    lambda t, x, e, i: t.searchsorted(t.diff(x, dim=0), x),
    lambda t, x, e, i: t.searchsorted(x, x, side="foo"),
    lambda t, x, e, i: t.searchsorted(x, x, side="left", right=True),
    lambda t, x, e, i: t.bucketize(x, x),
    lambda t, x, e, i: t.bincount(x),
    lambda t, x, e, i: t.bincount(i),
    lambda t, x, e, i: t.histc(i),
    lambda t, x, e, i: t.histc(x, bins=0),
    lambda t, x, e, i: t.histc(x, min=3, max=1),
    lambda t, x, e, i: t.unique(x, dim=5),
]


@pytest.mark.parametrize("place", range(len(ERRORS)))
def test_errors(place: int) -> None:
    check_error(
        ERRORS[place],
        draw(3, 4, dtype=torch.float32),
        torch.empty(0, 3),
        torch.arange(12).reshape(3, 4),
    )


@pytest.mark.parametrize("name", ["int8", "uint8", "int16", "int32", "int64"])
@pytest.mark.parametrize("spread", [1, 100, 511, 512, 600, 10**9])
def test_unique_of_many_integers(name: str, spread: int) -> None:
    # Marked in a table where they lie together, sorted elsewhere.
    dtype = np.dtype(name)
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(spread)
    low = max(limits.min, -spread // 2)
    array = rng.integers(low, min(low + spread, limits.max), (8, 64), dtype, endpoint=True)
    x = MINE.tensor(array)
    values, places, counts = np.unique(array, return_inverse=True, return_counts=True)
    found, inverse, times = MINE.unique(x, return_inverse=True, return_counts=True)
    assert found.dtype is x.dtype
    assert inverse.dtype is times.dtype is MINE.int64
    np.testing.assert_array_equal(found.numpy(), values)
    np.testing.assert_array_equal(inverse.numpy(), places.reshape(array.shape))
    np.testing.assert_array_equal(times.numpy(), counts)
    np.testing.assert_array_equal(MINE.unique(x).numpy(), values)
    np.testing.assert_array_equal(MINE.unique(x, return_inverse=True)[1].numpy(), inverse.numpy())
