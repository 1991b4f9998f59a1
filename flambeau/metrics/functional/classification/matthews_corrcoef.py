"""The correlation coefficient of Matthews."""

from __future__ import annotations

import numpy as np

from flambeau.metrics._torch import Tensor, finfo, float32, tensor
from flambeau.metrics.functional.classification import confusions as c
from flambeau.metrics.functional.classification.arguments import by_task, required

_EPS = finfo(float32).eps


def _matthews_corrcoef_reduce(confmat: Tensor) -> Tensor:
    """The coefficient of a confusion matrix; reads it, since which case it is decides.

    All right or all wrong give +-1, and a denominator of 0 gives 0, as integers.
    """
    matrix = confmat._values()
    matrix = matrix.sum(0) if matrix.ndim == 3 else matrix
    binary = matrix.size == 4
    tn, fp, fn, tp = (float(x) for x in matrix.reshape(-1)) if binary else (0.0,) * 4
    if binary and tp + tn != 0 and fp + fn == 0:
        return tensor(1.0, dtype=confmat.dtype)
    if binary and tp + tn == 0 and fp + fn != 0:
        return tensor(-1.0, dtype=confmat.dtype)
    matrix = matrix.astype(np.float64)
    rows, columns, whole = matrix.sum(1), matrix.sum(0), matrix.sum()
    above = np.trace(matrix) * whole - (rows * columns).sum()
    below = (whole**2 - (columns**2).sum()) * (whole**2 - (rows**2).sum())
    if below == 0 and not binary:
        return tensor(0, dtype=confmat.dtype)
    if below == 0:
        above = _in_the_limit(tn, fp, fn, tp)
        below = (tp + fp + _EPS) * (tp + fn + _EPS) * (tn + fp + _EPS) * (tn + fn + _EPS)
    return tensor(float(above / np.sqrt(below)), dtype=float32)


def _in_the_limit(tn: float, fp: float, fn: float, tp: float) -> float:
    """The numerator where a row or a column is empty."""
    root = float(np.sqrt(np.float32(_EPS)))
    if fn == 0 and tn == 0:
        return root * (tp - fp)
    if fp == 0 and tn == 0:
        return root * (tp - fn)
    if tp == 0 and fn == 0:
        return root * (tn - fp)
    if tp == 0 and fp == 0:
        return root * (tn - fn)
    if tp == 0:
        return tn - fp * fn
    return tp - fp * fn if tn == 0 else tp * tn


def binary_matthews_corrcoef(
    preds: Tensor,
    target: Tensor,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """Matthews' coefficient, for targets of 0 and 1. ValueError for unknown arguments."""
    if validate_args:
        c.check_binary_arguments(threshold, ignore_index)
        c.check_binary_batch(preds, target, ignore_index)
    return _matthews_corrcoef_reduce(c.binary_confusion(preds, target, threshold, ignore_index))


def multiclass_matthews_corrcoef(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """Matthews' coefficient, for several classes. ValueError for unknown arguments."""
    if validate_args:
        c.check_multiclass_arguments(num_classes, ignore_index)
        c.check_multiclass_batch(preds, target, num_classes, ignore_index)
    found = c.multiclass_confusion(preds, target, num_classes, ignore_index)
    return _matthews_corrcoef_reduce(found)


def multilabel_matthews_corrcoef(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """Matthews' coefficient, for several labels. ValueError for unknown arguments."""
    if validate_args:
        c.check_multilabel_arguments(num_labels, threshold, ignore_index)
        c.check_multilabel_batch(preds, target, num_labels, ignore_index)
    found = c.multilabel_confusion(preds, target, num_labels, threshold, ignore_index)
    return _matthews_corrcoef_reduce(found)


def matthews_corrcoef(
    preds: Tensor,
    target: Tensor,
    task: str,
    threshold: float = 0.5,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """Matthews' coefficient; `task`: "binary", "multiclass" or "multilabel"."""
    end = (ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_matthews_corrcoef(preds, target, threshold, *end),
        multiclass=lambda: multiclass_matthews_corrcoef(
            preds, target, required("num_classes", num_classes), *end
        ),
        multilabel=lambda: multilabel_matthews_corrcoef(
            preds, target, required("num_labels", num_labels), threshold, *end
        ),
    )
