"""Negative predictive value: the share of negative answers that are right."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification.family import family_with_zero
from flambeau.metrics.utilities.compute import averaged, safe_divide


def _negative_predictive_value_reduce(
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
    """tn / (tn + fn)."""
    if average == "micro":
        dim = 0 if multidim_average == "global" else 1
        tn, fn = tn.sum(dim=dim), fn.sum(dim=dim)
    score = safe_divide(tn, tn + fn, zero_division)
    if average in ("binary", "micro"):
        return score
    return averaged(score, average, multilabel, tp, fp, fn, top_k)


(
    binary_negative_predictive_value,
    multiclass_negative_predictive_value,
    multilabel_negative_predictive_value,
    negative_predictive_value,
) = family_with_zero(
    "negative_predictive_value",
    "share of negative answers that are right",
    _negative_predictive_value_reduce,
)
