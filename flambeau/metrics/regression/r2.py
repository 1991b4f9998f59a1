"""R2: the share of the variance that predictions explain."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.regression.explained_variance import check_multioutput
from flambeau.metrics.functional.regression.r2 import (
    _r2_score_compute,
    _r2_score_update,
    check_adjusted,
)
from flambeau.metrics.metric import Metric


class R2Score(Metric):
    """R2, of each output ("raw_values") or their mean; adjusted for so many regressors.

    ValueError for unknown options, and by `compute` for fewer than two samples.
    """

    is_differentiable = True
    higher_is_better = True
    full_state_update = False
    plot_upper_bound = 1.0
    _update_depends_on = ()
    sum_squared_error: Tensor
    sum_error: Tensor
    residual: Tensor
    total: Tensor

    def __init__(
        self, adjusted: int = 0, multioutput: str = "uniform_average", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        check_adjusted(adjusted)
        check_multioutput(multioutput)
        self.adjusted = adjusted
        self.multioutput = multioutput
        self._last = 0  # samples of the last batch
        for name in ("sum_squared_error", "sum_error", "residual"):
            self.add_state(name, default=tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", default=tensor(0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N,) or (N, D)."""
        squares, targets, residual, self._last = _r2_score_update(preds, target)
        self.sum_squared_error = self.sum_squared_error + squares
        self.sum_error = self.sum_error + targets
        self.residual = self.residual + residual
        self.total = self.total + self._last

    def reset(self) -> None:
        """The states of before the first update."""
        super().reset()
        self._last = 0

    def compute(self) -> Tensor:
        """The value of all batches."""
        # The total is read, but not for the value of a batch alone that this metric has seen.
        count = (self._last if self._in_forward else 0) or int(self.total)
        sums = (self.sum_squared_error, self.sum_error, self.residual)
        return _r2_score_compute(*sums, count, self.adjusted, self.multioutput)
