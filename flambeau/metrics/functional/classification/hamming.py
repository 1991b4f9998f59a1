"""Hamming distance: the share of wrong answers."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification.family import family
from flambeau.metrics.utilities.compute import averaged, safe_divide


def _hamming_distance_reduce(
    tp: Tensor,
    fp: Tensor,
    tn: Tensor,
    fn: Tensor,
    average: str | None,
    multidim_average: str = "global",
    multilabel: bool = False,
    top_k: int = 1,
) -> Tensor:
    """1 - accuracy."""
    if average == "binary":
        return 1 - safe_divide(tp + tn, tp + fp + tn + fn)
    if average == "micro":
        dim = 0 if multidim_average == "global" else 1
        tp, fp, tn, fn = (x.sum(dim=dim) for x in (tp, fp, tn, fn))
    right = safe_divide(tp + tn, tp + tn + fp + fn) if multilabel else safe_divide(tp, tp + fn)
    return 1 - right if average == "micro" else averaged(1 - right, average, multilabel, tp, fp, fn)


(
    binary_hamming_distance,
    multiclass_hamming_distance,
    multilabel_hamming_distance,
    hamming_distance,
) = family("hamming_distance", "share of wrong answers", _hamming_distance_reduce)
