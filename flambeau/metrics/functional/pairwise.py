"""All rows beside all rows: torchmetrics.functional.pairwise.

x is (N, D), y (M, D) or None for x itself, whose diagonal is zero unless zero_diagonal is False;
the result (N, M), or with a reduction (N,). ValueError for other shapes and reductions.
"""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.utilities.exceptions import TorchMetricsUserError

__all__ = [
    "pairwise_cosine_similarity", "pairwise_euclidean_distance", "pairwise_linear_similarity",
    "pairwise_manhattan_distance", "pairwise_minkowski_distance",
]  # fmt: skip


def _checked(x: Tensor, y: Tensor | None, zero: bool | None) -> tuple[Tensor, Tensor, bool]:
    if x.ndim != 2:
        raise ValueError(
            f"Expected argument `x` to be a 2D tensor of shape `[N, d]` but got {x.shape}"
        )
    if y is None:
        return x, x, zero is None or zero
    if y.ndim != 2 or y.shape[1] != x.shape[1]:
        raise ValueError(
            "Expected argument `y` to be a 2D tensor of shape `[M, d]` where `d` should be same as "
            "the last dimension of `x`"
        )
    return x, y, bool(zero)


def _given(table: Tensor, zero: bool, reduction: str | None) -> Tensor:
    if zero:
        table = table.clone().fill_diagonal_(0)
    if reduction == "mean":
        return table.mean(dim=-1)
    if reduction == "sum":
        return table.sum(dim=-1)
    if reduction is None or reduction == "none":
        return table
    raise ValueError(f"Expected reduction to be one of `['mean', 'sum', None]` but got {reduction}")


def pairwise_linear_similarity(
    x: Tensor,
    y: Tensor | None = None,
    reduction: str | None = None,
    zero_diagonal: bool | None = None,
) -> Tensor:
    """The product of every two rows."""
    x, y, zero = _checked(x, y, zero_diagonal)
    return _given(x @ y.T, zero, reduction)


def pairwise_cosine_similarity(
    x: Tensor,
    y: Tensor | None = None,
    reduction: str | None = None,
    zero_diagonal: bool | None = None,
) -> Tensor:
    """The cosine of the angle of every two rows."""
    x, y, zero = _checked(x, y, zero_diagonal)
    x, y = x / x.norm(dim=1, keepdim=True), y / y.norm(dim=1, keepdim=True)
    return _given(x @ y.T, zero, reduction)


def pairwise_euclidean_distance(
    x: Tensor,
    y: Tensor | None = None,
    reduction: str | None = None,
    zero_diagonal: bool | None = None,
) -> Tensor:
    """The Euclidean distance of every two rows."""
    x, y, zero = _checked(x, y, zero_diagonal)
    dtype = x.dtype
    x, y = x.double(), y.double()
    squares = (x * x).sum(dim=1, keepdim=True) + (y * y).sum(dim=1) - 2 * (x @ y.T)
    squares = squares.to(dtype)
    return _given(squares.fill_diagonal_(0).sqrt() if zero else squares.sqrt(), False, reduction)


def pairwise_manhattan_distance(
    x: Tensor,
    y: Tensor | None = None,
    reduction: str | None = None,
    zero_diagonal: bool | None = None,
) -> Tensor:
    """The sum of absolute differences of every two rows."""
    x, y, zero = _checked(x, y, zero_diagonal)
    return _given((x.unsqueeze(1) - y.unsqueeze(0)).abs().sum(dim=-1), zero, reduction)


def pairwise_minkowski_distance(
    x: Tensor,
    y: Tensor | None = None,
    exponent: float = 2,
    reduction: str | None = None,
    zero_diagonal: bool | None = None,
) -> Tensor:
    """The distance of an exponent (at least 1, or TorchMetricsUserError) of every two rows."""
    x, y, zero = _checked(x, y, zero_diagonal)
    if not (isinstance(exponent, (float, int)) and exponent >= 1):
        raise TorchMetricsUserError(
            f"Argument ``p`` must be a float or int greater than 1, but got {exponent}"
        )
    apart = (x.double().unsqueeze(1) - y.double().unsqueeze(0)).abs().pow(exponent).sum(-1)
    return _given(apart.pow(1.0 / exponent).to(x.dtype), zero, reduction)
