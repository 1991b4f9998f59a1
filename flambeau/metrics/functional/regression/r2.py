"""R2: the share of the variance that predictions explain."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, where
from flambeau.metrics.functional.regression.sums import MULTIOUTPUT
from flambeau.metrics.utilities.checks import check_same_shape
from flambeau.metrics.utilities.prints import rank_zero_warn


def _r2_score_update(preds: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor, int]:
    """Sums over the samples: of squared targets, of targets, of squared errors; how many."""
    check_same_shape(preds, target)
    if preds.ndim > 2:
        raise ValueError(
            "Expected both prediction and target to be 1D or 2D tensors, but received tensors "
            f"with dimension {preds.shape}"
        )
    error = target - preds
    squares = (target * target).sum(dim=0)
    return squares, target.sum(dim=0), (error * error).sum(dim=0), target.shape[0]


def check_adjusted(adjusted: Any) -> None:
    """ValueError unless it is a number of regressors."""
    if adjusted < 0 or not isinstance(adjusted, int):
        raise ValueError("`adjusted` parameter should be an integer larger or equal to 0.")


def averaged(scores: Tensor, weights: Tensor, multioutput: str) -> Tensor:
    """Scores of outputs, or their mean."""
    if multioutput == "raw_values":
        return scores
    if multioutput == "uniform_average":
        return scores.mean()
    return (weights / weights.sum() * scores).sum()


def _r2_score_compute(
    sum_squared_obs: Tensor,
    sum_obs: Tensor,
    rss: Tensor,
    num_obs: int,
    adjusted: int = 0,
    multioutput: str = "uniform_average",
) -> Tensor:
    """1 - residual / total sum of squares. ValueError for fewer than two samples."""
    if num_obs < 2:
        raise ValueError("Needs at least two samples to calculate r2 score.")
    tss: Any = sum_squared_obs - sum_obs * (sum_obs / num_obs)
    some_rss, some_tss = rss.abs() > 1e-4, tss.abs() > 1e-4
    raw = where(some_rss, where(some_tss, 1 - rss / tss, 0.0), 1.0).to(rss.dtype)
    if multioutput not in MULTIOUTPUT:
        raise ValueError(
            "Argument `multioutput` must be either `raw_values`, `uniform_average` or "
            f"`variance_weighted`. Received {multioutput}."
        )
    r2 = averaged(raw, tss, multioutput)
    check_adjusted(adjusted)
    if adjusted == 0:
        return r2
    if adjusted > num_obs - 1:
        rank_zero_warn(
            "More independent regressions than data points in adjusted r2 score. Falls back to "
            "standard r2 score.",
            UserWarning,
        )
    elif adjusted == num_obs - 1:
        rank_zero_warn(
            "Division by zero in adjusted r2 score. Falls back to standard r2 score.", UserWarning
        )
    else:
        return 1 - (1 - r2) * (num_obs - 1) / (num_obs - adjusted - 1)
    return r2


def r2_score(
    preds: Tensor, target: Tensor, adjusted: int = 0, multioutput: str = "uniform_average"
) -> Tensor:
    """R2, of each output ("raw_values") or their mean; adjusted for so many regressors."""
    return _r2_score_compute(*_r2_score_update(preds, target), adjusted, multioutput)
