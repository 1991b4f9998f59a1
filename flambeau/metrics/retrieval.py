"""How well scores order what belongs to queries: torchmetrics.retrieval."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor, arange, from_array, int64, ones, stack, tensor, zeros
from flambeau.metrics._torch import dtype as DType
from flambeau.metrics.functional import retrieval as F
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat

__all__ = [
    "RetrievalAUROC", "RetrievalFallOut", "RetrievalHitRate", "RetrievalMAP", "RetrievalMRR",
    "RetrievalMetric", "RetrievalNormalizedDCG", "RetrievalPrecision",
    "RetrievalPrecisionRecallCurve", "RetrievalRPrecision", "RetrievalRecall",
    "RetrievalRecallAtFixedPrecision",
]  # fmt: skip

Aggregation = str | Callable[..., Tensor]
FOLDS = ("mean", "median", "min", "max")


def _folded(values: Tensor, how: Aggregation, dim: int | None = None) -> Tensor:
    if callable(how):
        given: Tensor = how(values, dim=dim)
        return given
    if dim is None:
        whole: Tensor = getattr(values, how)()
        return whole
    found: Any = getattr(values, how)(dim)
    kept: Tensor = found if how == "mean" else found.values
    return kept


def _positive(k: Any, name: str) -> None:
    if k is not None and not (isinstance(k, int) and k > 0):
        raise ValueError(f"`{name}` has to be a positive integer or None")


class _Queries(Metric):
    """States: the numbers of queries, scores and targets, all of them kept."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    indexes: list[Tensor]
    preds: list[Tensor]
    target: list[Tensor]
    _missing = "positive"  # what a query must not lack

    def __init__(
        self,
        empty_target_action: str = "neg",
        ignore_index: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.allow_non_binary_target = False
        if empty_target_action not in ("error", "skip", "neg", "pos"):
            raise ValueError(
                f"Argument `empty_target_action` received a wrong value `{empty_target_action}`."
            )
        self.empty_target_action = empty_target_action
        if ignore_index is not None and not isinstance(ignore_index, int):
            raise ValueError("Argument `ignore_index` must be an integer or None.")
        self.ignore_index = ignore_index
        if not (aggregation in FOLDS or callable(aggregation)):
            raise ValueError(
                "Argument `aggregation` must be one of `mean`, `median`, `min`, `max` or a custom "
                f"callable functionwhich takes tensor of values, but got {aggregation}."
            )
        self.aggregation = aggregation
        for state in ("indexes", "preds", "target"):
            self.add_state(state, default=[], dist_reduce_fx=None)

    def update(self, preds: Tensor, target: Tensor, indexes: Tensor) -> None:
        """Adds scores, targets and the number of the query of each, of one shape."""
        if indexes is None:
            raise ValueError("Argument `indexes` cannot be None")
        if indexes.shape != preds.shape or preds.shape != target.shape:
            raise ValueError("`indexes`, `preds` and `target` must be of the same shape")
        if indexes.dtype is not int64:
            raise ValueError("`indexes` must be a tensor of long integers")
        if self.ignore_index is not None:
            kept = target != self.ignore_index
            indexes, preds, target = indexes[kept], preds[kept], target[kept]
        if not indexes.numel() or not indexes.ndim:
            raise ValueError(
                "`indexes`, `preds` and `target` must be non-empty and non-scalar tensors"
            )
        F.check_kinds(preds, target, self.allow_non_binary_target)
        self.indexes.append(indexes.flatten())
        self.preds.append(preds.float().flatten())
        kind: DType | None = None if target.is_floating_point() else int64
        self.target.append((target.float() if kind is None else target.to(kind)).flatten())

    def _queries(self) -> Iterator[tuple[Tensor, Tensor] | float]:
        """Scores and targets of each query, or what stands for one that lacks something."""
        numbers = dim_zero_cat(self.indexes)._values()
        preds, target = dim_zero_cat(self.preds), dim_zero_cat(self.target)
        scores, truth = preds._values(), target._values()
        order = np.argsort(numbers, kind="stable")
        edges = np.flatnonzero(np.diff(numbers[order])) + 1
        for place in np.split(order, edges):
            own = truth[place]
            if (own if self._missing == "positive" else 1 - own).sum():
                yield from_array(scores[place], preds.dtype), from_array(own, target.dtype)
            elif self.empty_target_action == "error":
                raise ValueError(
                    f"`compute` method was provided with a query with no {self._missing} target."
                )
            elif self.empty_target_action != "skip":
                yield float(self.empty_target_action == "pos")


class RetrievalMetric(_Queries):
    """The base of metrics of queries: `_metric` of each, aggregated.

    empty_target_action says what a query counts where nothing belongs to it: 0 ("neg"), 1
    ("pos"), nothing ("skip"), a ValueError ("error").
    """

    def compute(self) -> Tensor:
        """The value of all queries."""
        values = [
            tensor(one) if isinstance(one, float) else self._metric(*one) for one in self._queries()
        ]
        return _folded(stack(values), self.aggregation) if values else tensor(0.0)

    def _metric(self, preds: Tensor, target: Tensor) -> Tensor:
        raise NotImplementedError(f"{type(self).__name__}._metric")


class _Top(RetrievalMetric):
    """A RetrievalMetric that looks at the best top_k."""

    _function: Any

    def __init__(
        self,
        empty_target_action: str = "neg",
        ignore_index: int | None = None,
        top_k: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, aggregation, **kwargs)
        _positive(top_k, "top_k")
        self.top_k = top_k

    def _metric(self, preds: Tensor, target: Tensor) -> Tensor:
        value: Tensor = type(self)._function(preds, target, top_k=self.top_k)
        return value


class RetrievalMAP(_Top):
    """The mean average precision."""

    _function = staticmethod(F.retrieval_average_precision)


class RetrievalMRR(_Top):
    """The mean reciprocal rank."""

    _function = staticmethod(F.retrieval_reciprocal_rank)


class RetrievalRecall(_Top):
    """The mean recall."""

    _function = staticmethod(F.retrieval_recall)


class RetrievalHitRate(_Top):
    """The share of queries with something that belongs to them among the top_k."""

    _function = staticmethod(F.retrieval_hit_rate)


class RetrievalFallOut(_Top):
    """The mean share of what does not belong to queries among the top_k."""

    higher_is_better = False
    _missing = "negative"
    _function = staticmethod(F.retrieval_fall_out)

    def __init__(
        self,
        empty_target_action: str = "pos",
        ignore_index: int | None = None,
        top_k: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, top_k, aggregation, **kwargs)


class RetrievalNormalizedDCG(_Top):
    """The mean normalised discounted cumulative gain; targets may be any grades."""

    _function = staticmethod(F.retrieval_normalized_dcg)

    def __init__(
        self,
        empty_target_action: str = "neg",
        ignore_index: int | None = None,
        top_k: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, top_k, aggregation, **kwargs)
        self.allow_non_binary_target = True


class RetrievalPrecision(_Top):
    """The mean precision."""

    def __init__(
        self,
        empty_target_action: str = "neg",
        ignore_index: int | None = None,
        top_k: int | None = None,
        adaptive_k: bool = False,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, top_k, aggregation, **kwargs)
        if not isinstance(adaptive_k, bool):
            raise ValueError("`adaptive_k` has to be a boolean")
        self.adaptive_k = adaptive_k

    def _metric(self, preds: Tensor, target: Tensor) -> Tensor:
        return F.retrieval_precision(preds, target, self.top_k, self.adaptive_k)


class RetrievalAUROC(_Top):
    """The mean area under ROC curves."""

    def __init__(
        self,
        empty_target_action: str = "neg",
        ignore_index: int | None = None,
        top_k: int | None = None,
        max_fpr: float | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, top_k, aggregation, **kwargs)
        if max_fpr is not None and not (isinstance(max_fpr, float) and 0 < max_fpr <= 1):
            raise ValueError(
                f"Arguments `max_fpr` should be a float in range (0, 1], but got: {max_fpr}"
            )
        self.max_fpr = max_fpr

    def _metric(self, preds: Tensor, target: Tensor) -> Tensor:
        return F.retrieval_auroc(preds, target, self.top_k, self.max_fpr)


class RetrievalRPrecision(RetrievalMetric):
    """The mean R-precision."""

    def _metric(self, preds: Tensor, target: Tensor) -> Tensor:
        return F.retrieval_r_precision(preds, target)


class RetrievalPrecisionRecallCurve(_Queries):
    """Precision and recall of the best 1 to max_k of all queries, and those numbers."""

    def __init__(
        self,
        max_k: int | None = None,
        adaptive_k: bool = False,
        empty_target_action: str = "neg",
        ignore_index: int | None = None,
        aggregation: Aggregation = "mean",
        **kwargs: Any,
    ) -> None:
        super().__init__(empty_target_action, ignore_index, aggregation, **kwargs)
        _positive(max_k, "max_k")
        self.max_k = max_k
        if not isinstance(adaptive_k, bool):
            raise ValueError("`adaptive_k` has to be a boolean")
        self.adaptive_k = adaptive_k

    def compute(self) -> Any:
        """The curve of all queries."""
        numbers = dim_zero_cat(self.indexes)._values()
        most = self.max_k or int(np.unique(numbers, return_counts=True)[1].max())
        precisions, recalls = [], []
        for one in self._queries():
            if isinstance(one, float):
                precision = recall = (ones if one else zeros)(most)
            else:
                precision, recall, _ = F.retrieval_precision_recall_curve(
                    *one, most, self.adaptive_k
                )
            precisions.append(precision)
            recalls.append(recall)
        folded = [
            _folded(stack(values), self.aggregation, 0) if values else zeros(most)
            for values in (precisions, recalls)
        ]
        return folded[0], folded[1], arange(1, most + 1)


class RetrievalRecallAtFixedPrecision(RetrievalPrecisionRecallCurve):
    """The greatest recall where precision is at least min_precision, and for how many."""

    def __init__(
        self,
        min_precision: float = 0.0,
        max_k: int | None = None,
        adaptive_k: bool = False,
        empty_target_action: str = "neg",
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(max_k, adaptive_k, empty_target_action, ignore_index, **kwargs)
        if not (isinstance(min_precision, float) and 0.0 <= min_precision <= 1.0):
            raise ValueError("`min_precision` has to be a positive float between 0 and 1")
        self.min_precision = min_precision

    def compute(self) -> tuple[Tensor, Tensor]:
        """The recall, and the number it is reached with."""
        precision, recall, counts = (one._values() for one in super().compute())
        fits = [(r, k) for p, r, k in zip(precision, recall, counts, strict=True)
                if p >= self.min_precision]  # fmt: skip
        best, k = max(fits, default=(0.0, len(counts)))
        return tensor(float(best)), tensor(int(k) if best > 0 else len(counts))
