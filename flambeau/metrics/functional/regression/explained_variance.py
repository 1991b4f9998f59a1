"""Explained variance."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, where
from flambeau.metrics.functional.regression.r2 import averaged
from flambeau.metrics.functional.regression.sums import MULTIOUTPUT
from flambeau.metrics.utilities.checks import check_same_shape

Sums = tuple[Any, Tensor, Tensor, Tensor, Tensor]


def check_multioutput(multioutput: Any) -> None:
    """ValueError for what is not known."""
    if multioutput not in MULTIOUTPUT:
        raise ValueError(
            f"Invalid input to argument `multioutput`. Choose one of the following: {MULTIOUTPUT}"
        )


def _explained_variance_update(preds: Tensor, target: Tensor) -> Sums:
    """How many; sums over the samples: errors, their squares, targets, their squares."""
    check_same_shape(preds, target)
    error = target - preds
    return (
        preds.shape[0],
        error.sum(dim=0),
        (error * error).sum(dim=0),
        target.sum(dim=0),
        (target * target).sum(dim=0),
    )


def _explained_variance_compute(
    num_obs: Any,
    sum_error: Tensor,
    sum_squared_error: Tensor,
    sum_target: Tensor,
    sum_squared_target: Tensor,
    multioutput: str = "uniform_average",
) -> Tensor:
    """1 - variance of the errors / variance of the targets."""
    mean_error, mean = sum_error / num_obs, sum_target / num_obs
    left = sum_squared_error / num_obs - mean_error * mean_error
    whole = sum_squared_target / num_obs - mean * mean
    score = where(left != 0, where(whole != 0, 1.0 - left / whole, 0.0), 1.0)
    return averaged(score.to(mean_error.dtype), whole, multioutput)


def explained_variance(
    preds: Tensor, target: Tensor, multioutput: str = "uniform_average"
) -> Tensor:
    """Explained variance, of each output ("raw_values") or their mean. ValueError."""
    check_multioutput(multioutput)
    return _explained_variance_compute(*_explained_variance_update(preds, target), multioutput)
