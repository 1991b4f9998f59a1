"""Confusion matrices, as counts or normalised."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor, where
from flambeau.metrics.functional.classification import confusions as c
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.utilities.compute import floating
from flambeau.metrics.utilities.prints import rank_zero_warn


def _confusion_matrix_reduce(confmat: Tensor, normalize: str | None = None) -> Tensor:
    """The matrix, its rows ("true"), columns ("pred") or all of it as shares."""
    allowed = ("true", "pred", "all", "none", None)
    if normalize not in allowed:
        raise ValueError(f"Argument `normalize` needs to one of the following: {allowed}")
    if normalize is None or normalize == "none":
        return confmat
    over = {"true": [-1], "pred": [-2], "all": [-2, -1]}[normalize]
    share = floating(confmat) / floating(confmat).sum(dim=over, keepdim=True)
    missing = share.isnan()
    found = int(missing.sum().item())
    if found:
        rank_zero_warn(
            f"{found} NaN values found in confusion matrix have been replaced with zeros."
        )
        share = where(missing, 0.0, share)
    return share


def binary_confusion_matrix(
    preds: Tensor,
    target: Tensor,
    threshold: float = 0.5,
    normalize: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """(2, 2): how often target i was taken for j. ValueError for arguments that are not known."""
    if validate_args:
        c.check_binary_arguments(threshold, ignore_index, normalize)
        c.check_binary_batch(preds, target, ignore_index)
    found = c.binary_confusion(preds, target, threshold, ignore_index)
    return _confusion_matrix_reduce(found, normalize)


def multiclass_confusion_matrix(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    normalize: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """(C, C): how often class i was taken for j. ValueError for arguments that are not known."""
    if validate_args:
        c.check_multiclass_arguments(num_classes, ignore_index, normalize)
        c.check_multiclass_batch(preds, target, num_classes, ignore_index)
    found = c.multiclass_confusion(preds, target, num_classes, ignore_index)
    return _confusion_matrix_reduce(found, normalize)


def multilabel_confusion_matrix(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    threshold: float = 0.5,
    normalize: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """(L, 2, 2): for each label, how often target i was taken for j."""
    if validate_args:
        c.check_multilabel_arguments(num_labels, threshold, ignore_index, normalize)
        c.check_multilabel_batch(preds, target, num_labels, ignore_index)
    found = c.multilabel_confusion(preds, target, num_labels, threshold, ignore_index)
    return _confusion_matrix_reduce(found, normalize)


def confusion_matrix(
    preds: Tensor,
    target: Tensor,
    task: str,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    normalize: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The confusion matrix; `task`: "binary", "multiclass" or "multilabel"."""
    end = (normalize, ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_confusion_matrix(preds, target, threshold, *end),
        multiclass=lambda: multiclass_confusion_matrix(
            preds, target, required("num_classes", num_classes), *end
        ),
        multilabel=lambda: multilabel_confusion_matrix(
            preds, target, required("num_labels", num_labels), threshold, *end
        ),
    )
