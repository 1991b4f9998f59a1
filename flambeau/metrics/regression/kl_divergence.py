"""The divergence of Kullback and Leibler."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.regression.kl_divergence import _kld_compute, _kld_update
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat


class KLDivergence(Metric):
    """The divergence of p from q, (N, D): "mean", "sum" or of each row ("none").

    TypeError and ValueError for options that are not known.
    """

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    measures: Any
    total: Tensor

    def __init__(
        self, log_prob: bool = False, reduction: str | None = "mean", **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(log_prob, bool):
            raise TypeError(f"Expected argument `log_prob` to be bool but got {log_prob}")
        allowed = ["mean", "sum", "none", None]
        if reduction not in allowed:
            raise ValueError(
                f"Expected argument `reduction` to be one of {allowed} but got {reduction}"
            )
        self.log_prob = log_prob
        self.reduction = reduction
        self._apart = reduction in ("none", None)
        if self._apart:
            self.add_state("measures", [], dist_reduce_fx="cat")
        else:
            self.add_state("measures", tensor(0.0), dist_reduce_fx="sum")
        self.add_state("total", tensor(0), dist_reduce_fx="sum")

    def update(self, p: Tensor, q: Tensor) -> None:
        """Adds a batch (N, D) of distributions."""
        measures, count = _kld_update(p, q, self.log_prob)
        if self._apart:
            self.measures.append(measures)
        else:
            self.measures = self.measures + measures.sum()
            self.total += count

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _kld_compute(dim_zero_cat(self.measures), self.total, self.reduction)
