"""Pearson's correlation."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, zeros
from flambeau.metrics.functional.regression import pearson as f
from flambeau.metrics.metric import Metric

_MOMENTS = (
    *("mean_x", "mean_y", "max_abs_dev_x", "max_abs_dev_y", "var_x", "var_y", "corr_xy"),
    "n_total",
)


class PearsonCorrCoef(Metric):
    """Pearson's correlation of each output. ValueError for other numbers of outputs."""

    is_differentiable = True
    full_state_update = True
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    _update_depends_on = ("num_outputs",)

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not isinstance(num_outputs, int) or num_outputs < 1:
            raise ValueError(
                "Expected argument `num_outputs` to be an int larger than 0, but got {num_outputs}"
            )
        self.num_outputs = num_outputs
        for name in _MOMENTS:
            self.add_state(name, default=zeros(num_outputs), dist_reduce_fx=None)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N,) or (N, D)."""
        before: Any = tuple(getattr(self, name) for name in _MOMENTS)
        after = f._pearson_corrcoef_update(preds, target, before, self.num_outputs)
        for name, value in zip(_MOMENTS, after):
            setattr(self, name, value)

    def _moments(self) -> f.Moments:
        """Those of all processes as those of one."""
        found: Any = tuple(getattr(self, name) for name in _MOMENTS)
        several = found[0].numel() > 1 if self.num_outputs == 1 else found[0].ndim > 1
        return f.merged(found) if several else found

    def compute(self) -> Tensor:
        """The value of all batches."""
        return f._pearson_corrcoef_compute(self._moments())
