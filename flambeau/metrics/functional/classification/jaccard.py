"""The index of Jaccard: intersection over union."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor, arange, ones_like, where
from flambeau.metrics.functional.classification import confusions as c
from flambeau.metrics.functional.classification.arguments import (
    AVERAGES,
    by_task,
    one_of,
    required,
)
from flambeau.metrics.utilities.compute import safe_divide


def _jaccard_index_reduce(
    confmat: Tensor,
    average: str | None,
    ignore_index: int | None = None,
    zero_division: float = 0.0,
) -> Tensor:
    """Intersection over union of a confusion matrix, averaged over classes."""
    allowed = ["binary", "micro", "macro", "weighted", "none", None]
    if average not in allowed:
        raise ValueError(f"The `average` has to be one of {allowed}, got {average}.")
    confmat = confmat.float()
    multilabel = confmat.ndim == 3
    if average == "binary" or multilabel:
        hit = confmat[..., 1, 1]
        union = confmat[..., 0, 1] + confmat[..., 1, 0] + hit
    else:
        hit = confmat.diagonal()
        union = confmat.sum(0) + confmat.sum(1) - hit
    if average == "binary":
        return safe_divide(hit, union, zero_division)
    ignored = ignore_index is not None and 0 <= ignore_index < confmat.shape[0]
    if average == "micro":
        hit, union = hit.sum(), union.sum() - (union[ignore_index] if ignored else 0.0)
    index = safe_divide(hit, union, zero_division)
    if average in (None, "none", "micro"):
        return index
    if average == "weighted":
        weights = confmat[:, 1, 1] + confmat[:, 1, 0] if multilabel else confmat.sum(1)
    else:
        weights = ones_like(index)
        if ignored:
            weights = where(arange(len(index)) == ignore_index, 0.0, weights)
        if not multilabel:
            weights = where(confmat.sum(1) + confmat.sum(0) == 0, 0.0, weights)
    return (weights * index / weights.sum()).sum()


def binary_jaccard_index(
    preds: Tensor,
    target: Tensor,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0.0,
) -> Tensor:
    """Jaccard's index, for targets of 0 and 1. ValueError for arguments that are not known."""
    if validate_args:
        c.check_binary_arguments(threshold, ignore_index)
        c.check_binary_batch(preds, target, ignore_index)
    found = c.binary_confusion(preds, target, threshold, ignore_index)
    return _jaccard_index_reduce(found, "binary", zero_division=zero_division)


def multiclass_jaccard_index(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    average: str | None = "macro",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0.0,
) -> Tensor:
    """Jaccard's index, for several classes. ValueError for arguments that are not known."""
    if validate_args:
        c.check_multiclass_arguments(num_classes, ignore_index)
        one_of("average", average, AVERAGES, ".")
        c.check_multiclass_batch(preds, target, num_classes, ignore_index)
    found = c.multiclass_confusion(preds, target, num_classes, ignore_index)
    return _jaccard_index_reduce(found, average, ignore_index, zero_division)


def multilabel_jaccard_index(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    threshold: float = 0.5,
    average: str | None = "macro",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0.0,
) -> Tensor:
    """Jaccard's index, for several labels. ValueError for arguments that are not known."""
    if validate_args:
        c.check_multilabel_arguments(num_labels, threshold, ignore_index)
        c.check_multilabel_batch(preds, target, num_labels, ignore_index)
    found = c.multilabel_confusion(preds, target, num_labels, threshold, ignore_index)
    return _jaccard_index_reduce(found, average, ignore_index, zero_division)


def jaccard_index(
    preds: Tensor,
    target: Tensor,
    task: str,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: str | None = "macro",
    ignore_index: int | None = None,
    validate_args: bool = True,
    zero_division: float = 0.0,
) -> Tensor:
    """Jaccard's index; `task`: "binary", "multiclass" or "multilabel"."""
    end = (ignore_index, validate_args, zero_division)
    return by_task(
        task,
        binary=lambda: binary_jaccard_index(preds, target, threshold, *end),
        multiclass=lambda: multiclass_jaccard_index(
            preds, target, required("num_classes", num_classes), average, *end
        ),
        multilabel=lambda: multilabel_jaccard_index(
            preds, target, required("num_labels", num_labels), threshold, average, *end
        ),
    )
