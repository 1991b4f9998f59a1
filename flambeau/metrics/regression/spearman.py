"""Spearman's correlation."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.spearman import (
    _spearman_corrcoef_compute,
    _spearman_corrcoef_update,
)
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat
from flambeau.metrics.utilities.prints import rank_zero_warn


class SpearmanCorrCoef(Metric):
    """Spearman's correlation of each output; keeps all predictions and targets."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = -1.0
    plot_upper_bound = 1.0
    _update_depends_on = ("num_outputs",)
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, num_outputs: int = 1, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        rank_zero_warn(
            "Metric `SpearmanCorrcoef` will save all targets and predictions in the buffer. For "
            "large datasets, this may lead to large memory footprint."
        )
        if not isinstance(num_outputs, int) or num_outputs < 1:
            raise ValueError(
                f"Expected argument `num_outputs` to be an int larger than 0, but got {num_outputs}"
            )
        self.num_outputs = num_outputs
        self.add_state("preds", default=[], dist_reduce_fx="cat")
        self.add_state("target", default=[], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N,) or (N, D)."""
        preds, target = _spearman_corrcoef_update(preds, target, self.num_outputs)
        self.preds.append(preds.to(self.dtype))
        self.target.append(target.to(self.dtype))

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _spearman_corrcoef_compute(dim_zero_cat(self.preds), dim_zero_cat(self.target))
