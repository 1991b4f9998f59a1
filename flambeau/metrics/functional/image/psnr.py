"""The ratio of an image's peak signal to its noise, in decibels."""

from __future__ import annotations

import math
from typing import Any

from flambeau.metrics._torch import Tensor, full_like, tensor
from flambeau.metrics.utilities.compute import floating
from flambeau.metrics.utilities.prints import rank_zero_warn


def reduced(values: Tensor, reduction: str | None) -> Tensor:
    """Values, their mean ("elementwise_mean") or "sum". ValueError for other words."""
    if reduction == "elementwise_mean":
        return values.mean()
    if reduction is None or reduction == "none":
        return values
    if reduction == "sum":
        return values.sum()
    raise ValueError("Reduction parameter unknown.")


def clamped(data_range: Any, *images: Tensor) -> tuple[float, tuple[Tensor, ...]]:
    """The extent of the range, and the images cut to it where it has two ends."""
    if not isinstance(data_range, tuple):
        return float(data_range), images
    low, high = data_range
    return high - low, tuple(x.clamp(min=low, max=high) for x in images)


def check_reduction(reduction: str | None, dim: Any) -> None:
    """A warning where the reduction has nothing to reduce."""
    if dim is None and reduction != "elementwise_mean":
        rank_zero_warn(f"The `reduction={reduction}` will not have any effect when `dim` is None.")


def _psnr_update(preds: Tensor, target: Tensor, dim: Any = None) -> tuple[Tensor, Tensor]:
    """The sum of squared errors over the dimensions (default: all), and of how many."""
    error = floating(preds) - floating(target)
    squares = error * error
    axes = () if dim is None else (dim,) if isinstance(dim, int) else tuple(dim)
    if not axes:
        return squares.sum(), tensor(target.numel())
    total = squares.sum(dim=axes)
    return total, full_like(total, math.prod(target.shape[a] for a in axes))


def _psnr_compute(
    squares: Tensor, count: Tensor, extent: Any, base: float, reduction: str | None
) -> Tensor:
    """10 log(extent^2 / mean squared error)."""
    ratio: Any = 2 * extent.log() - (squares / count).log()
    return reduced(ratio * (10 / math.log(base)), reduction)


def peak_signal_noise_ratio(
    preds: Tensor,
    target: Tensor,
    data_range: Any,
    base: float = 10.0,
    reduction: str | None = "elementwise_mean",
    dim: Any = None,
) -> Tensor:
    """The ratio of images of values in `data_range` (an extent, or two ends), in decibels."""
    check_reduction(reduction, dim)
    extent, (preds, target) = clamped(data_range, preds, target)
    squares, count = _psnr_update(preds, target, dim)
    return _psnr_compute(squares, count, tensor(extent), base, reduction)
