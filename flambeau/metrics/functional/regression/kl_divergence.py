"""The divergence of Kullback and Leibler."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, where
from flambeau.metrics.utilities.checks import check_same_shape


def _kld_update(p: Tensor, q: Tensor, log_prob: bool) -> tuple[Tensor, int]:
    """The divergence of each row of (N, D). RuntimeError, ValueError for other shapes."""
    check_same_shape(p, q)
    if p.ndim != 2 or q.ndim != 2:
        raise ValueError(
            f"Expected both p and q distribution to be 2D but got {p.ndim} and {q.ndim} "
            "respectively"
        )
    if log_prob:
        return (p.exp() * (p - q)).sum(dim=-1), p.shape[0]
    p = p / p.sum(dim=-1, keepdim=True)
    q = q / q.sum(dim=-1, keepdim=True)
    each: Tensor = where(p == 0, 0.0, p * (p / q).log())
    found: Tensor = each.sum(dim=-1)
    return found, p.shape[0]


def _kld_compute(measures: Tensor, total: Any, reduction: str | None = "mean") -> Tensor:
    """The divergences, their sum or mean."""
    if reduction == "sum":
        return measures.sum()
    if reduction == "mean":
        mean: Tensor = measures.sum() / total
        return mean
    each: Tensor = measures / total
    return measures if reduction is None or reduction == "none" else each


def kl_divergence(
    p: Tensor, q: Tensor, log_prob: bool = False, reduction: str | None = "mean"
) -> Tensor:
    """The divergence of p from q, (N, D): "mean", "sum" or of each row ("none")."""
    return _kld_compute(*_kld_update(p, q, log_prob), reduction)
