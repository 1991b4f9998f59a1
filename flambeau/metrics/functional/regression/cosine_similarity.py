"""The cosine of the angle between predictions and targets."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.utilities.checks import check_same_shape


def _cosine_similarity_update(preds: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The batch in float32. RuntimeError, ValueError for shapes that are not (N, D)."""
    check_same_shape(preds, target)
    if preds.ndim != 2:
        raise ValueError(
            "Expected input to cosine similarity to be 2D tensors of shape `[N,D]` where `N` is "
            "the number of samples and `D` is the number of dimensions, but got tensor of shape "
            f"{preds.shape}"
        )
    return preds.float(), target.float()


def _cosine_similarity_compute(
    preds: Tensor, target: Tensor, reduction: str | None = "sum"
) -> Tensor:
    """The cosines (N,), their sum or mean."""
    norms = preds.norm(dim=-1) * target.norm(dim=-1)
    found: Tensor = (preds * target).sum(dim=-1) / norms
    if reduction is None or reduction == "none":
        return found
    return {"sum": found.sum, "mean": found.mean}[reduction]()


def cosine_similarity(preds: Tensor, target: Tensor, reduction: str | None = "sum") -> Tensor:
    """The cosines of (N, D) rows: their "sum", "mean", or each ("none")."""
    return _cosine_similarity_compute(*_cosine_similarity_update(preds, target), reduction)
