"""How well scores order what belongs to a query: torchmetrics.functional.retrieval.

All are computed on the host: of one query, from scores and targets of one shape. Of equal scores
the first counts as the higher.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flambeau.metrics._torch import Tensor, bool_, float32, from_array, int32, int64
from flambeau.metrics.functional.classification.auroc import binary_auroc

Array = NDArray[Any]

__all__ = [
    "retrieval_auroc", "retrieval_average_precision", "retrieval_fall_out", "retrieval_hit_rate",
    "retrieval_normalized_dcg", "retrieval_precision", "retrieval_precision_recall_curve",
    "retrieval_r_precision", "retrieval_recall", "retrieval_reciprocal_rank",
]  # fmt: skip


def check_kinds(preds: Tensor, target: Tensor, graded: bool) -> tuple[Array, Array]:
    """Scores as float32 and targets as int64 or float32, flat. ValueError for other kinds."""
    if target.dtype not in (bool_, int64, int32) and not target.is_floating_point():
        raise ValueError("`target` must be a tensor of booleans, integers or floats")
    if not preds.is_floating_point():
        raise ValueError("`preds` must be a tensor of floats")
    truth = target.detach()._values()
    if not graded and (truth.max() > 1 or truth.min() < 0):
        raise ValueError("`target` must contain `binary` values")
    kind: Any = np.float32 if target.is_floating_point() else np.int64
    scores = preds.detach()._values().astype(np.float32)
    return scores.reshape(-1), truth.astype(kind).reshape(-1)


def _query(preds: Tensor, target: Tensor, graded: bool = False) -> tuple[Array, Array]:
    if preds.shape != target.shape:
        raise ValueError("`preds` and `target` must be of the same shape")
    if not preds.numel() or not preds.ndim:
        raise ValueError("`preds` and `target` must be non-empty and non-scalar tensors")
    return check_kinds(preds, target, graded)


def _count(k: Any, size: int) -> int:
    if k is None:
        return size
    if not (isinstance(k, int) and k > 0):
        raise ValueError("`top_k` has to be a positive integer or None")
    return k


def _ordered(scores: Array) -> NDArray[np.int64]:
    return np.argsort(-scores, kind="stable")


def _single(value: Any) -> Tensor:
    return from_array(np.float32(value), float32)


def _found(scores: Array, truth: Array, k: int) -> Array:
    """The targets of the k best scores; those of scores that are not above 0 count as 0."""
    if k < 0:
        raise RuntimeError("selected index k out of range")
    return np.where(scores > 0, truth, 0)[_ordered(scores)][:k]


def retrieval_average_precision(preds: Tensor, target: Tensor, top_k: int | None = None) -> Tensor:
    """The mean precision at the places of what belongs to the query, among the top_k."""
    scores, truth = _query(preds, target)
    places = np.flatnonzero(_found(scores, truth, top_k or scores.size) > 0)
    if not places.size:
        return _single(0)
    return _single(((np.arange(places.size, dtype=np.float32) + 1) / (places + 1)).mean())


def retrieval_reciprocal_rank(preds: Tensor, target: Tensor, top_k: int | None = None) -> Tensor:
    """One over the place of the first that belongs to the query, among the top_k."""
    scores, truth = _query(preds, target)
    places = np.flatnonzero(_found(scores, truth, top_k or scores.size))
    return _single(1 / (places[0] + 1) if places.size else 0)


def retrieval_precision(
    preds: Tensor, target: Tensor, top_k: int | None = None, adaptive_k: bool = False
) -> Tensor:
    """The share of the top_k that belongs to the query; adaptive_k has no more than there are."""
    scores, truth = _query(preds, target)
    if not isinstance(adaptive_k, bool):
        raise ValueError("`adaptive_k` has to be a boolean")
    if adaptive_k and top_k is not None and top_k > scores.size:
        top_k = None
    k = _count(top_k, scores.size)
    return _single(_found(scores, truth, k).sum() / k)


def retrieval_recall(preds: Tensor, target: Tensor, top_k: int | None = None) -> Tensor:
    """The share of what belongs to the query that is among the top_k."""
    scores, truth = _query(preds, target)
    k, total = _count(top_k, scores.size), truth.sum()
    return _single(_found(scores, truth, k).sum() / total if total else 0)


def retrieval_fall_out(preds: Tensor, target: Tensor, top_k: int | None = None) -> Tensor:
    """The share of what does not belong to the query that is among the top_k."""
    scores, truth = _query(preds, target)
    k, wrong = _count(top_k, scores.size), 1 - truth
    total = wrong.sum()
    return _single(wrong[_ordered(scores)][:k].sum() / total if total else 0)


def retrieval_hit_rate(preds: Tensor, target: Tensor, top_k: int | None = None) -> Tensor:
    """1 where something among the top_k belongs to the query, else 0."""
    scores, truth = _query(preds, target)
    return _single(truth[_ordered(scores)][: _count(top_k, scores.size)].sum() > 0)


def retrieval_r_precision(preds: Tensor, target: Tensor) -> Tensor:
    """The precision of as many as belong to the query."""
    scores, truth = _query(preds, target)
    total = truth.sum()
    return _single(truth[_ordered(scores)][: int(total)].sum() / total if total else 0)


def _gain(scores: Array, truth: Array, discount: Array) -> Any:
    """Discounted targets in the order of the scores; equal scores share their discounts."""
    _, group, sizes = np.unique(-scores, return_inverse=True, return_counts=True)
    means = np.bincount(group, truth, sizes.size) / sizes
    return (means * np.add.reduceat(discount, np.cumsum(sizes) - sizes)).sum()


def retrieval_normalized_dcg(preds: Tensor, target: Tensor, top_k: int | None = None) -> Tensor:
    """The discounted gain of the top_k over the greatest possible; targets may be any grades."""
    scores, truth = _query(preds, target, graded=True)
    discount = 1.0 / np.log2(np.arange(scores.size) + 2.0)
    discount[_count(top_k, scores.size) :] = 0.0
    best = (discount * -np.sort(-truth)).sum()
    return _single(_gain(scores, truth, discount) / best if best != 0 else 0)


def retrieval_auroc(
    preds: Tensor, target: Tensor, top_k: int | None = None, max_fpr: float | None = None
) -> Tensor:
    """The area under the ROC curve of the top_k; 0 where they are all alike."""
    scores, truth = _query(preds, target)
    chosen = _ordered(scores)[: _count(top_k or None, scores.size)]
    if len(set((truth[chosen] > 0).tolist())) < 2:
        return _single(0)
    kept = from_array(truth[chosen].astype(np.int32), int32)
    area: Tensor = binary_auroc(from_array(scores[chosen], float32), kept, max_fpr=max_fpr)
    return area


def retrieval_precision_recall_curve(
    preds: Tensor, target: Tensor, max_k: int | None = None, adaptive_k: bool = False
) -> tuple[Tensor, Tensor, Tensor]:
    """Precision and recall of the best 1 to max_k, and those numbers."""
    scores, truth = _query(preds, target)
    if not isinstance(adaptive_k, bool):
        raise ValueError("`adaptive_k` has to be a boolean")
    most = scores.size if max_k is None else max_k
    if not (isinstance(most, int) and most > 0):
        raise ValueError("`max_k` has to be a positive integer or None")
    numbers = np.arange(1, most + 1)
    if adaptive_k:
        numbers = np.minimum(numbers, scores.size)
    counts = from_array(numbers, int64)
    total = truth.sum()
    if not total:
        none = from_array(np.zeros(most, np.float32), float32)
        return none, none.clone(), counts
    hits = np.zeros(most, np.float32)
    best = truth[_ordered(scores)][:most]
    hits[: best.size] = best
    hits = hits.cumsum(dtype=np.float32)
    precision, recall = hits / numbers, hits / total
    return from_array(precision, float32), from_array(recall, float32), counts
