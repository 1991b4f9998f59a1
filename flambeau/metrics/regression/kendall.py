"""Kendall's rank correlation."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.kendall import (
    _kendall_corrcoef_compute,
    check_arguments,
    check_batch,
)
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat


class KendallRankCorrCoef(Metric):
    """tau of each output, with `t_test` also the p-value; keeps all predictions and targets.

    `variant`: "a", "b" or "c"; `alternative`: "two-sided", "less" or "greater". ValueError.
    """

    is_differentiable = False
    higher_is_better = None
    full_state_update = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _update_depends_on = ("num_outputs",)
    preds: list[Tensor]
    target: list[Tensor]

    def __init__(
        self,
        variant: str = "b",
        t_test: bool = False,
        alternative: str | None = "two-sided",
        num_outputs: int = 1,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.variant, self.alternative = check_arguments(variant, t_test, alternative)
        self.num_outputs = num_outputs
        self.add_state("preds", [], dist_reduce_fx="cat")
        self.add_state("target", [], dist_reduce_fx="cat")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch (N,) or (N, D)."""
        preds, target = check_batch(preds, target, self.num_outputs)
        self.preds.append(preds)
        self.target.append(target)

    def compute(self) -> Any:
        """The value of all batches."""
        found = (dim_zero_cat(self.preds), dim_zero_cat(self.target))
        tau, p_value = _kendall_corrcoef_compute(*found, self.variant, self.alternative)
        return tau if p_value is None else (tau, p_value)
