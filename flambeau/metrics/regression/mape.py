"""The mean absolute percentage error."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.regression.mape import _mean_absolute_percentage_error_update
from flambeau.metrics.metric import Metric


class MeanAbsolutePercentageError(Metric):
    """The mean of |error| / |target|."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    _update_depends_on = ()
    sum_abs_per_error: Tensor
    total: Tensor

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.add_state("sum_abs_per_error", default=tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", default=tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: predictions and targets of one shape."""
        error, count = _mean_absolute_percentage_error_update(preds, target)
        self.sum_abs_per_error += error
        self.total += count

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self.sum_abs_per_error / self.total
