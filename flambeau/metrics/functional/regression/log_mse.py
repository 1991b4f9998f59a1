"""The mean squared error of logarithms."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.utilities.checks import check_same_shape


def _mean_squared_log_error_update(preds: Tensor, target: Tensor) -> tuple[Tensor, int]:
    """The sum of (log(1 + prediction) - log(1 + target))^2, and of how many."""
    check_same_shape(preds, target)
    error = preds.log1p() - target.log1p()
    return (error * error).sum(), target.numel()


def mean_squared_log_error(preds: Tensor, target: Tensor) -> Tensor:
    """The mean of (log(1 + prediction) - log(1 + target))^2. RuntimeError for other shapes."""
    total, count = _mean_squared_log_error_update(preds, target)
    return total / count
