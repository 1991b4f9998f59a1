"""Receiver operating characteristics: true against false positive rates."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification import score_curves as c
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.precision_recall_curve import macro, tensors
from flambeau.metrics.utilities.compute import safe_divide


def _at_thresholds(counts: Tensor) -> tuple[Tensor, Tensor]:
    """False and true positive rates (T, ...) of counts (T, ..., 2, 2), from the last threshold."""
    tps, fps = counts[..., 1, 1], counts[..., 0, 1]
    fpr = safe_divide(fps, fps + counts[..., 0, 0])
    return fpr.flip(0), safe_divide(tps, tps + counts[..., 1, 0]).flip(0)


def _binary_roc_compute(
    state: Any, thresholds: Tensor | None, ignore_index: int | None = None
) -> Any:
    """(fpr, tpr, thresholds) of a state."""
    if thresholds is not None:
        return (*_at_thresholds(state), thresholds.flip(0))
    preds, target = c.read(state, ignore_index)
    return tensors(c.rates(preds, target == 1))


def curves(state: Any, ignore_index: int | None, classes: int | None) -> tuple[Any, Any, Any]:
    """Lists of fpr, tpr, thresholds: arrays for each class or label."""
    made = [c.rates(*pair) for pair in c.columns(state, ignore_index, classes)]
    return tuple(list(part) for part in zip(*made))  # type: ignore[return-value]


def _multiclass_roc_compute(
    state: Any,
    num_classes: int,
    thresholds: Tensor | None,
    average: str | None = None,
    ignore_index: int | None = None,
) -> Any:
    """(fpr, tpr, thresholds): (C, T) or lists of a tensor a class; of the mean."""
    if average == "micro":
        if thresholds is not None:
            return _binary_roc_compute(state, thresholds)
        return tensors(c.rates(*c.together(state, ignore_index, num_classes)))
    if thresholds is not None:
        fpr, tpr = (x.T for x in _at_thresholds(state))
        if average is None:
            return fpr, tpr, thresholds.flip(0)
        limits = [thresholds._values()] * num_classes
        return macro(list(fpr._values()), list(tpr._values()), limits, downwards=True)
    found = curves(state, ignore_index, num_classes)
    return tensors(found) if average is None else macro(*found, downwards=True)


def _multilabel_roc_compute(
    state: Any, num_labels: int, thresholds: Tensor | None, ignore_index: int | None = None
) -> Any:
    """(fpr, tpr, thresholds): (L, T), or lists of a tensor a label."""
    if thresholds is not None:
        fpr, tpr = (x.T for x in _at_thresholds(state))
        return fpr, tpr, thresholds.flip(0)
    return tensors(curves(state, ignore_index, None))


def binary_roc(
    preds: Tensor,
    target: Tensor,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Any:
    """(fpr, tpr, thresholds), for targets of 0 and 1. ValueError, RuntimeError."""
    state, limits = c.binary_input(preds, target, thresholds, ignore_index, validate_args)
    return _binary_roc_compute(state, limits, ignore_index)


def multiclass_roc(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    thresholds: Any = None,
    average: str | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Any:
    """(fpr, tpr, thresholds) of each class ("micro", "macro": of all). ValueError, RuntimeError."""
    state, limits = c.multiclass_input(
        preds, target, num_classes, thresholds, ignore_index, validate_args, average=average
    )
    return _multiclass_roc_compute(state, num_classes, limits, average, ignore_index)


def multilabel_roc(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Any:
    """(fpr, tpr, thresholds) of each label. ValueError, RuntimeError."""
    state, limits = c.multilabel_input(
        preds, target, num_labels, thresholds, ignore_index, validate_args
    )
    return _multilabel_roc_compute(state, num_labels, limits, ignore_index)


def roc(
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
    """(fpr, tpr, thresholds); `task`: "binary", "multiclass" or "multilabel"."""
    end = (ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_roc(preds, target, thresholds, *end),
        multiclass=lambda: multiclass_roc(
            preds, target, required("num_classes", num_classes), thresholds, average, *end
        ),
        multilabel=lambda: multilabel_roc(
            preds, target, required("num_labels", num_labels), thresholds, *end
        ),
    )
