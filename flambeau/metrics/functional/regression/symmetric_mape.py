"""The symmetric mean absolute percentage error."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.mape import EPSILON
from flambeau.metrics.utilities.checks import check_same_shape


def _symmetric_mean_absolute_percentage_error_update(
    preds: Tensor, target: Tensor
) -> tuple[Tensor, int]:
    """The sum of 2 |error| / (|target| + |prediction|), and of how many."""
    check_same_shape(preds, target)
    scale = (target.abs() + preds.abs()).clamp(min=EPSILON)
    return 2 * ((preds - target).abs() / scale).sum(), target.numel()


def symmetric_mean_absolute_percentage_error(preds: Tensor, target: Tensor) -> Tensor:
    """The mean of 2 |error| / (|target| + |prediction|). RuntimeError for other shapes."""
    total, count = _symmetric_mean_absolute_percentage_error_update(preds, target)
    return total / count
