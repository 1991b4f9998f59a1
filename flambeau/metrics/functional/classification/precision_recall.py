"""Precision (the share of positive answers that are right), recall (of positives found)."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification.family import family_with_zero
from flambeau.metrics.utilities.compute import averaged, safe_divide


def _precision_reduce(
    tp: Tensor,
    fp: Tensor,
    tn: Tensor,
    fn: Tensor,
    average: str | None,
    multidim_average: str = "global",
    multilabel: bool = False,
    top_k: int = 1,
    zero_division: float = 0,
) -> Tensor:
    """tp / (tp + fp)."""
    if average == "micro":
        dim = 0 if multidim_average == "global" else 1
        tp, fp = tp.sum(dim=dim), fp.sum(dim=dim)
    score = safe_divide(tp, tp + fp, zero_division)
    if average in ("binary", "micro"):
        return score
    return averaged(score, average, multilabel, tp, fp, fn, top_k)


def _recall_reduce(
    tp: Tensor,
    fp: Tensor,
    tn: Tensor,
    fn: Tensor,
    average: str | None,
    multidim_average: str = "global",
    multilabel: bool = False,
    top_k: int = 1,
    zero_division: float = 0,
) -> Tensor:
    """tp / (tp + fn)."""
    if average == "micro":
        dim = 0 if multidim_average == "global" else 1
        tp, fn = tp.sum(dim=dim), fn.sum(dim=dim)
    score = safe_divide(tp, tp + fn, zero_division)
    if average in ("binary", "micro"):
        return score
    return averaged(score, average, multilabel, tp, fp, fn, top_k)


binary_precision, multiclass_precision, multilabel_precision, precision = family_with_zero(
    "precision", "share of positive answers that are right", _precision_reduce
)
binary_recall, multiclass_recall, multilabel_recall, recall = family_with_zero(
    "recall", "share of positives that are found", _recall_reduce
)
