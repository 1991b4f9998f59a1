"""Cohen's kappa: agreement beyond what chance gives."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, arange, ones_like
from flambeau.metrics.functional.classification import confusions as c
from flambeau.metrics.functional.classification.arguments import by_task, one_of, required
from flambeau.metrics.utilities.compute import floating


def check_weights(weights: Any) -> None:
    """ValueError for weights that are not known."""
    one_of("weight", weights, ("linear", "quadratic", "none", None), ".")


def _cohen_kappa_reduce(confmat: Tensor, weights: str | None = None) -> Tensor:
    """1 - observed disagreement / disagreement by chance."""
    confmat = floating(confmat)
    rows, columns = confmat.sum(dim=1, keepdim=True), confmat.sum(dim=0, keepdim=True)
    expected = rows @ columns / columns.sum()
    place: Any = arange(confmat.shape[0], dtype=confmat.dtype, device=confmat.device)
    apart = place.unsqueeze(0) - place.unsqueeze(1)
    if weights == "linear":
        weight = apart.abs()
    elif weights == "quadratic":
        weight = apart * apart
    elif weights is None or weights == "none":
        weight = ones_like(confmat) * (apart != 0)
    else:
        raise ValueError(
            f"Received {weights} for argument ``weights`` but should be either None, 'linear' or "
            "'quadratic'"
        )
    result: Tensor = 1 - (weight * confmat).sum() / (weight * expected).sum()
    return result


def binary_cohen_kappa(
    preds: Tensor,
    target: Tensor,
    threshold: float = 0.5,
    weights: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """Cohen's kappa, for targets of 0 and 1. ValueError for arguments that are not known."""
    if validate_args:
        c.check_binary_arguments(threshold, ignore_index)
        check_weights(weights)
        c.check_binary_batch(preds, target, ignore_index)
    found = c.binary_confusion(preds, target, threshold, ignore_index)
    return _cohen_kappa_reduce(found, weights)


def multiclass_cohen_kappa(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    weights: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """Cohen's kappa, for several classes. ValueError for arguments that are not known."""
    if validate_args:
        c.check_multiclass_arguments(num_classes, ignore_index)
        check_weights(weights)
        c.check_multiclass_batch(preds, target, num_classes, ignore_index)
    found = c.multiclass_confusion(preds, target, num_classes, ignore_index)
    return _cohen_kappa_reduce(found, weights)


def cohen_kappa(
    preds: Tensor,
    target: Tensor,
    task: str,
    threshold: float = 0.5,
    num_classes: int | None = None,
    weights: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """Cohen's kappa; `task`: "binary" or "multiclass"."""
    end = (weights, ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_cohen_kappa(preds, target, threshold, *end),
        multiclass=lambda: multiclass_cohen_kappa(
            preds, target, required("num_classes", num_classes), *end
        ),
    )
