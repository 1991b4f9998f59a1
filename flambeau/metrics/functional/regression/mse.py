"""The mean squared error, and its root."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.sums import paired


def _mean_squared_error_update(
    preds: Tensor, target: Tensor, num_outputs: int
) -> tuple[Tensor, int]:
    """The sum of squared errors over the samples, and of how many."""
    preds, target = paired(preds, target, num_outputs)
    error = preds - target
    return (error * error).sum(dim=0), target.shape[0]


def _mean_squared_error_compute(total: Tensor, count: Any, squared: bool = True) -> Tensor:
    """The mean, or its root."""
    mean: Tensor = total / count
    return mean if squared else mean.sqrt()


def mean_squared_error(
    preds: Tensor, target: Tensor, squared: bool = True, num_outputs: int = 1
) -> Tensor:
    """The mean squared error of each output, or (`squared` False) its root. RuntimeError."""
    found = _mean_squared_error_update(preds, target, num_outputs)
    return _mean_squared_error_compute(*found, squared)
