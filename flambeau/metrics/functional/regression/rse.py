"""The relative squared error."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, finfo
from flambeau.metrics.functional.regression.r2 import _r2_score_update


def _relative_squared_error_compute(
    sum_squared_obs: Tensor, sum_obs: Tensor, rss: Tensor, num_obs: Any, squared: bool = True
) -> Tensor:
    """The squared errors over those of the mean, or the root of that; the mean of the outputs."""
    tss: Any = sum_squared_obs - sum_obs * sum_obs / num_obs
    ratio: Any = rss / tss.clamp(min=finfo(rss.dtype).eps)
    mean: Tensor = (ratio if squared else ratio.sqrt()).mean()
    return mean


def relative_squared_error(preds: Tensor, target: Tensor, squared: bool = True) -> Tensor:
    """The squared errors over those of the mean. RuntimeError, ValueError for other shapes."""
    return _relative_squared_error_compute(*_r2_score_update(preds, target), squared=squared)
