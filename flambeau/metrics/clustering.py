"""How good clusterings are: torchmetrics.clustering, but for ClusterAccuracy."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional import clustering as F
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat

__all__ = [
    "AdjustedMutualInfoScore", "AdjustedRandScore", "CalinskiHarabaszScore", "CompletenessScore",
    "DaviesBouldinScore", "DunnIndex", "FowlkesMallowsIndex", "HomogeneityScore",
    "MutualInfoScore", "NormalizedMutualInfoScore", "RandScore", "VMeasureScore",
]  # fmt: skip


class _Kept(Metric):
    """Two states that keep everything, and a function of them."""

    is_differentiable = True
    higher_is_better: bool | None = True
    full_state_update = False
    plot_lower_bound = 0.0
    _function: Any
    _states: tuple[str, str]

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        for state in self._states:
            self.add_state(state, default=[], dist_reduce_fx="cat")

    def _value(self, *options: Any) -> Tensor:
        first, second = (dim_zero_cat(getattr(self, state)) for state in self._states)
        value: Tensor = type(self)._function(first, second, *options)
        return value

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self._value()


class _Labels(_Kept):
    _states = ("preds", "target")

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds labels and true labels (N,)."""
        self.preds.append(preds)
        self.target.append(target)


class _Data(_Kept):
    _states = ("data", "labels")

    def update(self, data: Tensor, labels: Tensor) -> None:
        """Adds rows (N, D) and their labels (N,)."""
        self.data.append(data)
        self.labels.append(labels)


class MutualInfoScore(_Labels):
    """What labels say about true labels, in nats."""

    _function = staticmethod(F.mutual_info_score)


class _Averaged(_Labels):
    def __init__(self, average_method: str = "arithmetic", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if average_method not in F.MEANS:
            raise ValueError(
                "Expected argument `average_method` to be one of  `min`, `geometric`, "
                f"`arithmetic`, `max`,but got {average_method}"
            )
        self.average_method = average_method

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self._value(self.average_method)


class NormalizedMutualInfoScore(_Averaged):
    """The mutual information over a mean of both entropies."""

    _function = staticmethod(F.normalized_mutual_info_score)


class AdjustedMutualInfoScore(_Averaged):
    """The mutual information above that of chance."""

    _function = staticmethod(F.adjusted_mutual_info_score)


class RandScore(_Labels):
    """The share of pairs that both clusterings treat alike."""

    _function = staticmethod(F.rand_score)


class AdjustedRandScore(_Labels):
    """RandScore above that of chance."""

    _function = staticmethod(F.adjusted_rand_score)


class FowlkesMallowsIndex(_Labels):
    """The geometric mean of precision and recall of pairs."""

    _function = staticmethod(F.fowlkes_mallows_index)


class HomogeneityScore(_Labels):
    """1 where every cluster holds one true label only."""

    _function = staticmethod(F.homogeneity_score)


class CompletenessScore(_Labels):
    """1 where every true label is in one cluster only."""

    _function = staticmethod(F.completeness_score)


class VMeasureScore(_Labels):
    """The harmonic mean of homogeneity and completeness."""

    _function = staticmethod(F.v_measure_score)

    def __init__(self, beta: float = 1.0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not (isinstance(beta, float) and beta > 0):
            raise ValueError(f"Argument `beta` should be a positive float. Got {beta}.")
        self.beta = beta

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self._value(self.beta)


class CalinskiHarabaszScore(_Data):
    """How far clusters lie apart over how far they spread."""

    _function = staticmethod(F.calinski_harabasz_score)


class DaviesBouldinScore(_Data):
    """How much clusters are like each other."""

    higher_is_better = False
    _function = staticmethod(F.davies_bouldin_score)


class DunnIndex(_Data):
    """The least distance of two centres over the greatest within a cluster."""

    _function = staticmethod(F.dunn_index)

    def __init__(self, p: float = 2, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.p = p

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self._value(self.p)
