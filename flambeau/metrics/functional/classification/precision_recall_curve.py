"""Precision-recall curves."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor, cat, from_array, ones, zeros
from flambeau.metrics._torch import dtype_of_array as dtype_of
from flambeau.metrics.functional.classification import score_curves as c
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.utilities.compute import safe_divide


def tensors(arrays: Any) -> Any:
    """Arrays, in whatever tuples and lists, as tensors."""
    if isinstance(arrays, np.ndarray):
        return from_array(arrays, dtype_of(arrays.dtype))
    return type(arrays)(tensors(part) for part in arrays)


def _at_thresholds(counts: Tensor) -> tuple[Tensor, Tensor]:
    """Precision and recall (T + 1, ...) of counts (T, ..., 2, 2)."""
    tps, fps, fns = counts[..., 1, 1], counts[..., 0, 1], counts[..., 1, 0]
    precision = safe_divide(tps, tps + fps, "nan")
    recall = safe_divide(tps, tps + fns, "nan")
    last = (1, *precision.shape[1:])
    return cat([precision, ones(last)]), cat([recall, zeros(last)])


def _binary_precision_recall_curve_compute(
    state: Any, thresholds: Tensor | None, ignore_index: int | None = None
) -> Any:
    """(precision, recall, thresholds) of a state."""
    if thresholds is not None:
        return (*_at_thresholds(state), thresholds)
    preds, target = c.read(state, ignore_index)
    return tensors(c.precision_recall(preds, target == 1, bool((target == 0).all())))


def _curves(state: Any, ignore_index: int | None, classes: int | None) -> tuple[Any, Any, Any]:
    """Lists of precision, recall, thresholds: arrays for each class or label."""
    none = [not positive.any() for _, positive in c.columns(state, ignore_index, classes)]
    if classes is not None:  # decided by the targets of all classes
        none = [bool((c.read(state, ignore_index)[1] == 0).all())] * classes
    pairs = zip(c.columns(state, ignore_index, classes), none)
    made = [c.precision_recall(*pair, empty) for pair, empty in pairs]
    return tuple(list(part) for part in zip(*made))  # type: ignore[return-value]


def macro(x: Any, y: Any, thresholds: Any, downwards: bool = False) -> Any:
    """The mean of the curves y(x), at all of their x."""
    limits = np.sort(np.concatenate(thresholds))
    points = np.sort(np.concatenate(x))
    mean = sum(c.interpolated(points, xp, fp) for xp, fp in zip(x, y)) / len(x)
    return tensors((points, mean.astype(points.dtype), limits[::-1] if downwards else limits))


def _multiclass_precision_recall_curve_compute(
    state: Any,
    num_classes: int,
    thresholds: Tensor | None,
    average: str | None = None,
    ignore_index: int | None = None,
) -> Any:
    """(precision, recall, thresholds): (C, T + 1) or lists of a tensor a class; of the mean."""
    if average == "micro":
        if thresholds is not None:
            return _binary_precision_recall_curve_compute(state, thresholds)
        preds, positive = c.together(state, ignore_index, num_classes)
        return tensors(c.precision_recall(preds, positive, not positive.any()))
    if thresholds is not None:
        precision, recall = (x.T for x in _at_thresholds(state))
        if average is None:
            return precision, recall, thresholds
        limits = [thresholds._values()] * num_classes
        return macro(list(precision._values()), list(recall._values()), limits)
    found = _curves(state, ignore_index, num_classes)
    return tensors(found) if average is None else macro(*found)


def _multilabel_precision_recall_curve_compute(
    state: Any, num_labels: int, thresholds: Tensor | None, ignore_index: int | None = None
) -> Any:
    """(precision, recall, thresholds): (L, T + 1), or lists of a tensor a label."""
    if thresholds is not None:
        precision, recall = (x.T for x in _at_thresholds(state))
        return precision, recall, thresholds
    return tensors(_curves(state, ignore_index, None))


def binary_precision_recall_curve(
    preds: Tensor,
    target: Tensor,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Any:
    """(precision, recall, thresholds), for targets of 0 and 1. ValueError, RuntimeError."""
    state, limits = c.binary_input(preds, target, thresholds, ignore_index, validate_args)
    return _binary_precision_recall_curve_compute(state, limits, ignore_index)


def multiclass_precision_recall_curve(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    thresholds: Any = None,
    average: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Any:
    """(precision, recall, thresholds) of each class ("micro", "macro": of all)."""
    state, limits = c.multiclass_input(
        preds, target, num_classes, thresholds, ignore_index, validate_args, average=average
    )
    return _multiclass_precision_recall_curve_compute(
        state, num_classes, limits, average, ignore_index
    )


def multilabel_precision_recall_curve(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Any:
    """(precision, recall, thresholds) of each label. ValueError, RuntimeError."""
    state, limits = c.multilabel_input(
        preds, target, num_labels, thresholds, ignore_index, validate_args
    )
    return _multilabel_precision_recall_curve_compute(state, num_labels, limits, ignore_index)


def precision_recall_curve(
    preds: Tensor,
    target: Tensor,
    task: str,
    thresholds: Any = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Any:
    """(precision, recall, thresholds); `task`: "binary", "multiclass" or "multilabel"."""
    end = (ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_precision_recall_curve(preds, target, thresholds, *end),
        multiclass=lambda: multiclass_precision_recall_curve(
            preds, target, required("num_classes", num_classes), thresholds, average, *end
        ),
        multilabel=lambda: multilabel_precision_recall_curve(
            preds, target, required("num_labels", num_labels), thresholds, *end
        ),
    )
