"""Integers and truths where PyTorch has no kernel for them, or gives a dtype of its own: the same
errors, dtypes and numbers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

DTYPES = ("int64", "int32", "uint8", "bool")
Call = Callable[[Any, Any, Any], Any]

UNARY = ("floor", "ceil", "trunc", "round", "frac", "positive", "neg", "abs", "sign", "square")
BINARY = (
    "add", "sub", "mul", "div", "floor_divide", "remainder", "fmod", "pow", "nextafter", "hypot",
    "logaddexp", "logaddexp2", "atan2", "copysign", "maximum", "fmax", "igamma", "igammac", "xlogy",
    "heaviside", "ldexp", "float_power", "bitwise_and", "logical_and", "eq", "lt", "dist",
)  # fmt: skip
LOSSES = (
    "l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss", "binary_cross_entropy",
    "binary_cross_entropy_with_logits", "poisson_nll_loss", "hinge_embedding_loss",
    "soft_margin_loss", "multilabel_soft_margin_loss", "kl_div",
)  # fmt: skip


def unary(name: str) -> Call:
    return lambda t, x, y: getattr(t, name)(x)


def binary(name: str) -> Call:
    return lambda t, x, y: getattr(t, name)(x, y)


def loss(name: str, reduction: str) -> Call:
    return lambda t, x, y: getattr(t.nn.functional, name)(x, y, reduction=reduction)


def images(name: str, *arguments: Any) -> Call:
    return lambda t, x, y: getattr(t.nn.functional, name)(x.reshape(1, 1, 2, 4), *arguments)


CALLS: dict[str, Call] = {
    **{name: unary(name) for name in UNARY},
    **{name: binary(name) for name in BINARY},
    **{f"{name}({r})": loss(name, r) for name in LOSSES for r in ("none", "mean", "sum")},
    "round(decimals)": lambda t, x, y: t.round(x, decimals=2),
    "div(floor)": lambda t, x, y: t.div(x, y, rounding_mode="floor"),
    "div(trunc)": lambda t, x, y: t.div(x, y, rounding_mode="trunc"),
    "clamp": lambda t, x, y: t.clamp(x, y, y),
    "clamp_min": lambda t, x, y: t.clamp_min(x, y),
    "addcmul": lambda t, x, y: t.addcmul(x, x, y),
    "lerp": lambda t, x, y: t.lerp(x, y, 0.5),
    "mvlgamma": lambda t, x, y: t.mvlgamma(x + 3, 1),
    "trapezoid": lambda t, x, y: t.trapezoid(x, y),
    "cumulative_trapezoid": lambda t, x, y: t.cumulative_trapezoid(x),
    "trace": lambda t, x, y: t.trace(x.reshape(2, 4)),
    "cross": lambda t, x, y: t.linalg.cross(x[:3], y[:3]),
    "vecdot": lambda t, x, y: t.linalg.vecdot(x, y),
    "bucketize": lambda t, x, y: t.bucketize(x, y),
    "index_reduce": lambda t, x, y: t.index_reduce(x, 0, t.arange(8), y, "mean"),
    "scatter_reduce": lambda t, x, y: t.scatter_reduce(x, 0, t.arange(8), y, "mean"),
    "gradient": lambda t, x, y: t.gradient(x),
    "softmin": lambda t, x, y: t.nn.functional.softmin(x, 0, dtype=t.float64),
    "softsign": lambda t, x, y: t.nn.functional.softsign(x),
    "tanhshrink": lambda t, x, y: t.nn.functional.tanhshrink(x),
    "hardtanh": lambda t, x, y: t.nn.functional.hardtanh(x),
    "linear": lambda t, x, y: t.nn.functional.linear(x, y.reshape(1, 8)),
    "adaptive_avg_pool1d": lambda t, x, y: t.nn.functional.adaptive_avg_pool1d(x[None], 3),
    "adaptive_avg_pool2d": images("adaptive_avg_pool2d", 2),
    "adaptive_max_pool2d": images("adaptive_max_pool2d", 2),
    "avg_pool2d": images("avg_pool2d", 2),
    "max_pool1d": lambda t, x, y: t.nn.functional.max_pool1d(x[None], 2),
    "max_pool2d": images("max_pool2d", 2),
    "pad(reflect)": images("pad", (1, 1), "reflect"),
    "pad(replicate)": images("pad", (1, 1), "replicate"),
    "conv_transpose2d": lambda t, x, y: t.nn.functional.conv_transpose2d(
        x.reshape(1, 1, 2, 4), y.reshape(1, 1, 4, 2)
    ),
    "embedding(max_norm)": lambda t, x, y: t.nn.functional.embedding(
        t.tensor([0, 1]), x.reshape(4, 2), max_norm=1.0
    ),
    "embedding_bag": lambda t, x, y: t.nn.functional.embedding_bag(
        t.tensor([[0, 1]]), x.reshape(4, 2)
    ),
    "pairwise_distance": lambda t, x, y: t.nn.functional.pairwise_distance(x, y),
    "triplet_margin_loss": lambda t, x, y: t.nn.functional.triplet_margin_loss(
        x[None], y[None], x[None]
    ),
    "margin_ranking_loss": lambda t, x, y: t.nn.functional.margin_ranking_loss(
        x, y, y, reduction="none", margin=0.5
    ),
    "gaussian_nll_loss": lambda t, x, y: t.nn.functional.gaussian_nll_loss(x, y, y),
    "gaussian_nll_loss(var)": lambda t, x, y: t.nn.functional.gaussian_nll_loss(x, y, y.float()),
    "gaussian_nll_loss(1.5)": lambda t, x, y: t.nn.functional.gaussian_nll_loss(x, y, 1.5),
    "kl_div(float)": lambda t, x, y: t.nn.functional.kl_div(x.float(), y, reduction="sum"),
    "cholesky": lambda t, x, y: t.cholesky(x[:4].reshape(2, 2)),
    "cholesky_solve": lambda t, x, y: t.cholesky_solve(x[:2, None], y[:4].reshape(2, 2)),
    "cholesky_inverse": lambda t, x, y: t.cholesky_inverse(x[:4].reshape(2, 2)),
    "geqrf": lambda t, x, y: t.geqrf(x.reshape(2, 4)),
    "orgqr": lambda t, x, y: t.orgqr(x.reshape(4, 2), y[:2]),
    "triangular_solve": lambda t, x, y: t.triangular_solve(x[:2, None], y[:4].reshape(2, 2)),
    "lstsq": lambda t, x, y: t.linalg.lstsq(x.reshape(4, 2), y.reshape(4, 2)),
    "full_like": lambda t, x, y: t.full_like(x, -1.5),
    "new_full": lambda t, x, y: x.new_full((2,), -1),
}


def outcome(library: Any, call: Call, dtype: str) -> Any:
    numbers = ([3, 1, 0, 2, 1, 5, 4, 1], [1, 2, 1, 3, 1, 1, 2, 1])
    try:
        result = call(library, *[library.tensor(n).to(getattr(library, dtype)) for n in numbers])
        results = result if isinstance(result, (list, tuple)) else [result]
        return [(str(r.dtype), r.tolist()) for r in results]
    except Exception as error:
        return type(error), str(error).split("\n")[0]


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("name", CALLS)
@pytest.mark.filterwarnings("ignore")
def test_whole_numbers(name: str, dtype: str) -> None:
    ours, theirs = [outcome(library, CALLS[name], dtype) for library in (flambeau, torch)]
    if isinstance(theirs, tuple):
        assert isinstance(ours, tuple), ours
        assert ours[0] is theirs[0], (ours, theirs)
        return
    assert isinstance(ours, list), ours
    assert [d for d, _ in ours] == [d for d, _ in theirs]
    for (_, mine), (_, wanted) in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=1e-5, atol=1e-6)
