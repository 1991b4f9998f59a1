"""The distance of Minkowski."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.regression.minkowski import (
    _minkowski_distance_update,
    check_power,
)
from flambeau.metrics.metric import Metric


class MinkowskiDistance(Metric):
    """The sum of |error|^p to the power 1/p. TorchMetricsUserError for p below 1."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    _update_depends_on = ("p",)
    minkowski_dist_sum: Tensor

    def __init__(self, p: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_power(p)
        self.p = p
        self.add_state("minkowski_dist_sum", default=tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, targets: Tensor) -> None:
        """Adds a batch: predictions and targets of one shape."""
        self.minkowski_dist_sum += _minkowski_distance_update(preds, targets, self.p)

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self.minkowski_dist_sum ** (1.0 / self.p)
