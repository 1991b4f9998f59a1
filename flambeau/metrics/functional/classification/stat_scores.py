"""The counts of right and wrong answers as a metric."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor, stack
from flambeau.metrics.functional.classification.family import family


def _stat_scores_reduce(
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
    """[tp, fp, tn, fn, support] in the last dimension."""
    result = stack([tp, fp, tn, fn, tp + fn], dim=-1)
    if average == "binary":
        return result.squeeze(0) if multidim_average == "global" and result.ndim > 1 else result
    dim = 0 if multidim_average == "global" else 1
    if average == "micro":
        return result.sum(dim) if result.ndim > 1 else result
    if average == "macro":
        return result.float().mean(dim)
    if average == "weighted":
        support = tp + fn
        apart = not multilabel and multidim_average == "samplewise"
        whole = support.sum(-1, keepdim=True) if apart else support.sum()
        return (result * (support / whole).unsqueeze(-1)).sum(dim)
    return result


binary_stat_scores, multiclass_stat_scores, multilabel_stat_scores, stat_scores = family(
    "stat_scores", "counts of right and wrong answers", _stat_scores_reduce
)
