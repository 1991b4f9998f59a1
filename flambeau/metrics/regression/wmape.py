"""The weighted mean absolute percentage error."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.regression.wmape import (
    _weighted_mean_absolute_percentage_error_compute,
    _weighted_mean_absolute_percentage_error_update,
)
from flambeau.metrics.metric import Metric


class WeightedMeanAbsolutePercentageError(Metric):
    """The sum of |error| over that of |target|."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    _update_depends_on = ()
    sum_abs_error: Tensor
    sum_scale: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("sum_abs_error", default=tensor(0.0), dist_reduce_fx="sum")
        self.add_state("sum_scale", default=tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: predictions and targets of one shape."""
        error, scale = _weighted_mean_absolute_percentage_error_update(preds, target)
        self.sum_abs_error += error
        self.sum_scale += scale

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _weighted_mean_absolute_percentage_error_compute(self.sum_abs_error, self.sum_scale)
