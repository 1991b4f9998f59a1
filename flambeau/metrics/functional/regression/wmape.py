"""The weighted mean absolute percentage error."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.mape import EPSILON
from flambeau.metrics.utilities.checks import check_same_shape


def _weighted_mean_absolute_percentage_error_update(
    preds: Tensor, target: Tensor
) -> tuple[Tensor, Tensor]:
    """The sums of |error| and of |target|."""
    check_same_shape(preds, target)
    return (preds - target).abs().sum(), target.abs().sum()


def _weighted_mean_absolute_percentage_error_compute(error: Tensor, scale: Tensor) -> Tensor:
    """error / scale."""
    result: Tensor = error / scale.clamp(min=EPSILON)
    return result


def weighted_mean_absolute_percentage_error(preds: Tensor, target: Tensor) -> Tensor:
    """The sum of |error| over that of |target|. RuntimeError for shapes that differ."""
    found = _weighted_mean_absolute_percentage_error_update(preds, target)
    return _weighted_mean_absolute_percentage_error_compute(*found)
