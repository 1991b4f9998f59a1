"""Specificity: the share of negatives that are found."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification.family import family
from flambeau.metrics.utilities.compute import averaged, safe_divide


def _specificity_reduce(
    tp: Tensor,
    fp: Tensor,
    tn: Tensor,
    fn: Tensor,
    average: str | None,
    multidim_average: str = "global",
    multilabel: bool = False,
    top_k: int = 1,
) -> Tensor:
    """tn / (tn + fp)."""
    if average == "micro":
        dim = 0 if multidim_average == "global" else 1
        tn, fp = tn.sum(dim=dim), fp.sum(dim=dim)
    score = safe_divide(tn, tn + fp)
    return score if average in ("binary", "micro") else averaged(
        score, average, multilabel, tp, fp, fn
    )  # fmt: skip


binary_specificity, multiclass_specificity, multilabel_specificity, specificity = family(
    "specificity", "share of negatives that are found", _specificity_reduce
)
