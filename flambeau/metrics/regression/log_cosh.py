"""The mean of log(cosh(error))."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor, zeros
from flambeau.metrics.functional.regression.log_cosh import _log_cosh_error_update
from flambeau.metrics.metric import Metric


class LogCoshError(Metric):
    """The mean of log(cosh(error)) of each output."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    _update_depends_on = ("num_outputs",)
    sum_log_cosh_error: Tensor
    total: Tensor

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(num_outputs, int) or num_outputs < 1:
            raise ValueError(
                f"Expected argument `num_outputs` to be an int larger than 0, but got {num_outputs}"
            )
        self.num_outputs = num_outputs
        self.add_state("sum_log_cosh_error", default=zeros(num_outputs), dist_reduce_fx="sum")
        self.add_state("total", default=tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N,) or (N, D)."""
        error, count = _log_cosh_error_update(preds, target, self.num_outputs)
        self.sum_log_cosh_error += error
        self.total += count

    def compute(self) -> Tensor:
        """The value of all batches."""
        return (self.sum_log_cosh_error / self.total).squeeze()
