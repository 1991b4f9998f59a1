"""Mean absolute percentage errors."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.utilities.checks import check_same_shape

EPSILON = 1.17e-06


def _mean_absolute_percentage_error_update(preds: Tensor, target: Tensor) -> tuple[Tensor, int]:
    """The sum of |error| / |target|, and of how many."""
    check_same_shape(preds, target)
    return ((preds - target).abs() / target.abs().clamp(min=EPSILON)).sum(), target.numel()


def mean_absolute_percentage_error(preds: Tensor, target: Tensor) -> Tensor:
    """The mean of |error| / |target|. RuntimeError for shapes that differ."""
    total, count = _mean_absolute_percentage_error_update(preds, target)
    return total / count
