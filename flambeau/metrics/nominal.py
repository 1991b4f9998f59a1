"""How much categories say about each other: torchmetrics.nominal."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, float32, from_array, zeros
from flambeau.metrics.functional import nominal as F
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat

__all__ = ["CramersV", "FleissKappa", "PearsonsContingencyCoefficient", "TheilsU", "TschuprowsT"]


class _Table(Metric):
    """A state: how often categories (0 to num_classes - 1) meet."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    confmat: Tensor

    def __init__(
        self,
        num_classes: int,
        nan_strategy: str = "replace",
        nan_replace_value: float | None = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.num_classes = num_classes
        F.check_nan(nan_strategy, nan_replace_value)
        self.nan_strategy = nan_strategy
        self.nan_replace_value = nan_replace_value
        self.add_state("confmat", zeros(num_classes, num_classes), dist_reduce_fx="sum")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds categories (N,) or scores (N, C)."""
        counts = F.table(
            F._decided(preds),
            F._decided(target),
            self.num_classes,
            self.nan_strategy,
            self.nan_replace_value,
        )
        self.confmat += from_array(counts, float32)

    def _value(self, counts: Any) -> Any:
        raise NotImplementedError(f"{type(self).__name__}._value")

    def compute(self) -> Tensor:
        """The value of all batches."""
        return F._single(self._value(self.confmat._values().astype("float64")))


class _Corrected(_Table):
    def __init__(
        self,
        num_classes: int,
        bias_correction: bool = True,
        nan_strategy: str = "replace",
        nan_replace_value: float | None = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, nan_strategy, nan_replace_value, **kwargs)
        self.bias_correction = bias_correction


class CramersV(_Corrected):
    """Cramer's V."""

    def _value(self, counts: Any) -> Any:
        return F.cramers_value(counts, self.bias_correction)


class TschuprowsT(_Corrected):
    """Tschuprow's T."""

    def _value(self, counts: Any) -> Any:
        return F.tschuprows_value(counts, self.bias_correction)


class PearsonsContingencyCoefficient(_Table):
    """Pearson's contingency coefficient."""

    def _value(self, counts: Any) -> Any:
        return F.pearsons_value(counts)


class TheilsU(_Table):
    """Theil's U."""

    def _value(self, counts: Any) -> Any:
        return F.theils_value(counts)


class FleissKappa(Metric):
    """How much raters agree above chance; keeps all counts."""

    full_state_update = False
    is_differentiable = False
    higher_is_better = True
    plot_upper_bound = 1.0
    counts: list[Tensor]

    def __init__(self, mode: str = "counts", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if mode not in ("counts", "probs"):
            raise ValueError("Argument ``mode`` must be one of 'counts' or 'probs'.")
        self.mode = mode
        self.add_state("counts", default=[], dist_reduce_fx="cat")

    def update(self, ratings: Tensor) -> None:
        """Adds counts (N, C), or scores (N, C, raters)."""
        self.counts.append(F.rating_counts(ratings, self.mode))

    def compute(self) -> Tensor:
        """The value of all ratings."""
        return F.agreement(dim_zero_cat(self.counts))
