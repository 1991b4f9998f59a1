"""The cosine of the angle between predictions and targets."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.cosine_similarity import (
    _cosine_similarity_compute,
    _cosine_similarity_update,
)
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat


class CosineSimilarity(Metric):
    """The cosines of (N, D) rows: their "sum", "mean", or each ("none"). ValueError."""

    is_differentiable = True
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _update_depends_on = ()
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(self, reduction: str | None = "sum", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        allowed = ("sum", "mean", "none", None)
        if reduction not in allowed:
            raise ValueError(
                f"Expected argument `reduction` to be one of {allowed} but got {reduction}"
            )
        self.reduction = reduction
        self.add_state("preds", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N, D)."""
        preds, target = _cosine_similarity_update(preds, target)
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Tensor:
        """The value of all batches."""
        found = (dim_zero_cat(self.preds), dim_zero_cat(self.target))
        return _cosine_similarity_compute(*found, self.reduction)
