"""Arithmetic that metrics share: quotients, averages over classes, areas, probabilities."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.metrics._torch import F, Tensor, no_grad, ones_like, where


def floating(x: Tensor) -> Tensor:
    """The tensor as float32 unless it has decimals."""
    return x if x.is_floating_point() else x.float()


def _safe_divide(num: Tensor, denom: Tensor, zero_division: float | str = 0.0) -> Tensor:
    """num / denom, and `zero_division` where the denominator is 0 ("nan": as it comes)."""
    num, denom = floating(num), floating(denom)
    quotient: Tensor = num / denom
    return quotient if zero_division == "nan" else where(denom != 0, quotient, zero_division)


safe_divide = _safe_divide


def averaged(
    score: Tensor,
    average: str | None,
    multilabel: bool,
    tp: Tensor,
    fp: Tensor,
    fn: Tensor,
    top_k: int = 1,
) -> Tensor:
    """Scores of classes (last dimension) as their mean, weighted by support if asked.

    Classes that occur neither in targets nor in predictions do not count.
    """
    if average is None or average == "none":
        return score
    if average == "weighted":
        weights = tp + fn
    else:
        weights = ones_like(score)
        if not multilabel:
            absent = (tp + fp + fn if top_k == 1 else tp + fn) == 0
            weights = where(absent, 0.0, weights)
    return safe_divide(weights * score, weights.sum(-1, keepdim=True)).sum(-1)


def reducer(right: str, wrong: str) -> Callable[..., Tensor]:
    """What makes of the counts of a task right / (right + wrong); `right` and `wrong` are two of
    "tp", "fp", "tn", "fn".
    """

    def reduce(
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
        counts = {"tp": tp, "fp": fp, "tn": tn, "fn": fn}
        share, rest = counts[right], counts[wrong]
        if average == "micro":
            dim = 0 if multidim_average == "global" else 1
            share, rest = share.sum(dim=dim), rest.sum(dim=dim)
        score = safe_divide(share, share + rest, zero_division)
        if average in ("binary", "micro"):
            return score
        return averaged(score, average, multilabel, tp, fp, fn, top_k)

    return reduce


def probabilities(x: Tensor, how: str | None, kept: Tensor | None = None) -> Tensor:
    """Scores as probabilities: unchanged if all (that are kept) lie in [0, 1].

    `how` is "sigmoid", "softmax" (over dimension 1) or None (unchanged). Nothing is read.
    """
    if not how:
        return x
    inside = (x >= 0) & (x <= 1)
    if kept is not None:
        inside = inside | ~kept
    made: Tensor = where(inside.all(), x, x.sigmoid() if how == "sigmoid" else F.softmax(x, dim=1))
    return made


def auc(x: Tensor, y: Tensor, reorder: bool = False) -> Tensor:
    """The area under the curve y(x), by trapezoids. ValueError unless x is sorted."""
    x, y = (part.squeeze() if part.ndim > 1 else part for part in (x, y))
    if x.ndim > 1 or y.ndim > 1:
        raise ValueError(
            "Expected both `x` and `y` tensor to be 1d, but got tensors with dimension "
            f"{x.ndim} and {y.ndim}"
        )
    if x.numel() != y.numel():
        raise ValueError(
            "Expected the same number of elements in `x` and `y` tensor but received "
            f"{x.numel()} and {y.numel()}"
        )
    with no_grad():
        if reorder:
            x, order = x.sort(stable=True)
            y = y[order]
        steps = x._values()[1:] - x._values()[:-1]
        sign = 1.0
        if (steps < 0).any():
            if not (steps <= 0).all():
                raise ValueError(
                    "The `x` tensor is neither increasing or decreasing. Try setting the reorder "
                    "argument to `True`."
                )
            sign = -1.0
        return trapezoids(x, y) * sign


def trapezoids(x: Tensor, y: Tensor) -> Tensor:
    """The areas under the curves y(x) of the last dimension."""
    area: Any = ((x[..., 1:] - x[..., :-1]) * (y[..., 1:] + y[..., :-1]) / 2.0).sum(-1)
    made: Tensor = area
    return made
