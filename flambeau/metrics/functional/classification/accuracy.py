"""Accuracy: the share of right answers."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification.family import family
from flambeau.metrics.utilities.compute import averaged, safe_divide


def _accuracy_reduce(
    tp: Tensor,
    fp: Tensor,
    tn: Tensor,
    fn: Tensor,
    average: str | None,
    multidim_average: str = "global",
    multilabel: bool = False,
    top_k: int = 1,
) -> Tensor:
    """(tp + tn) / all, or for classes tp / support."""
    if average == "binary":
        return safe_divide(tp + tn, tp + tn + fp + fn)
    if average == "micro":
        dim = 0 if multidim_average == "global" else 1
        tp, fp, tn, fn = (x.sum(dim=dim) for x in (tp, fp, tn, fn))
    score = safe_divide(tp + tn, tp + tn + fp + fn) if multilabel else safe_divide(tp, tp + fn)
    return score if average == "micro" else averaged(score, average, multilabel, tp, fp, fn, top_k)


binary_accuracy, multiclass_accuracy, multilabel_accuracy, accuracy = family(
    "accuracy",
    "share of right answers",
    _accuracy_reduce,
    "Optional arg `{name}` must be type `int` when task is {task}. Got {kind}",
)
