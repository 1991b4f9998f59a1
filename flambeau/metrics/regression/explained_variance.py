"""Explained variance."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.regression.explained_variance import (
    _explained_variance_compute,
    _explained_variance_update,
    check_multioutput,
)
from flambeau.metrics.metric import Metric

_SUMS = ("sum_error", "sum_squared_error", "sum_target", "sum_squared_target")


class ExplainedVariance(Metric):
    """Explained variance, of each output ("raw_values") or their mean. ValueError."""

    is_differentiable = True
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _update_depends_on = ()
    num_obs: Tensor

    def __init__(self, multioutput: str = "uniform_average", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_multioutput(multioutput)
        self.multioutput = multioutput
        for name in (*_SUMS, "num_obs"):
            self.add_state(name, default=tensor(0.0), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: samples in the first dimension."""
        count, *sums = _explained_variance_update(preds, target)
        self.num_obs = self.num_obs + count
        for name, more in zip(_SUMS, sums):
            setattr(self, name, getattr(self, name) + more)

    def compute(self) -> Tensor:
        """The value of all batches."""
        error, error2, target, target2 = (getattr(self, name) for name in _SUMS)
        return _explained_variance_compute(
            self.num_obs, error, error2, target, target2, self.multioutput
        )
