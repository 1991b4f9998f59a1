"""The relative squared error."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor, zeros
from flambeau.metrics.functional.regression.r2 import _r2_score_update
from flambeau.metrics.functional.regression.rse import _relative_squared_error_compute
from flambeau.metrics.metric import Metric


class RelativeSquaredError(Metric):
    """The squared errors over those of the mean, or (`squared` False) the root of that."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    _update_depends_on = ("num_outputs",)
    sum_squared_error: Tensor
    sum_error: Tensor
    residual: Tensor
    total: Tensor

    def __init__(self, num_outputs: int = 1, squared: bool = True, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.num_outputs = num_outputs
        self.squared = squared
        for name in ("sum_squared_error", "sum_error", "residual"):
            self.add_state(name, default=zeros(num_outputs), dist_reduce_fx="sum")
        self.add_state("total", default=tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N,) or (N, D)."""
        squares, targets, residual, count = _r2_score_update(preds, target)
        self.sum_squared_error += squares
        self.sum_error += targets
        self.residual += residual
        self.total += count

    def compute(self) -> Tensor:
        """The value of all batches."""
        sums = (self.sum_squared_error, self.sum_error, self.residual, self.total)
        return _relative_squared_error_compute(*sums, squared=self.squared)
