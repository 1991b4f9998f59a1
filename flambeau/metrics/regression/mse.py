"""The mean squared error, and its root."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor, zeros
from flambeau.metrics.functional.regression.mse import (
    _mean_squared_error_compute,
    _mean_squared_error_update,
)
from flambeau.metrics.metric import Metric


class MeanSquaredError(Metric):
    """The mean squared error of each output, or (`squared` False) its root. ValueError."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    _update_depends_on = ("num_outputs",)
    sum_squared_error: Tensor
    total: Tensor

    def __init__(self, squared: bool = True, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(squared, bool):
            raise ValueError(f"Expected argument `squared` to be a boolean but got {squared}")
        if not (isinstance(num_outputs, int) and num_outputs > 0):
            raise ValueError(f"Expected num_outputs to be a positive integer but got {num_outputs}")
        self.squared = squared
        self.num_outputs = num_outputs
        self.add_state("sum_squared_error", default=zeros(num_outputs), dist_reduce_fx="sum")
        self.add_state("total", default=tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: any shape for one output, (N, D) for several."""
        error, count = _mean_squared_error_update(preds, target, self.num_outputs)
        self.sum_squared_error += error
        self.total += count

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _mean_squared_error_compute(self.sum_squared_error, self.total, self.squared)
