"""Average precision: precision at every step of recall."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor, float32, from_array
from flambeau.metrics.functional.classification import score_curves as c
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.auroc import ALLOWED, supports
from flambeau.metrics.functional.classification.precision_recall_curve import (
    _at_thresholds,
    _curves,
)


def _number(value: Any) -> Tensor:
    return from_array(np.asarray(value, np.float32), float32)


def _summed(precision: Any, recall: Any) -> Any:
    """Precision times the steps of recall, over the last dimension."""
    return -(np.diff(recall.astype(np.float64)) * precision[..., :-1]).sum(-1)


def _without_nan(x: Any) -> Any:
    return np.where(np.isnan(x), np.float32(0), x)


def _binary_average_precision_compute(
    state: Any, thresholds: Tensor | None, ignore_index: int | None = None
) -> Tensor:
    """The average precision of a state."""
    if thresholds is not None:
        precision, recall = (x._values() for x in _at_thresholds(state))
    else:
        preds, target = c.read(state, ignore_index)
        empty = bool((target == 0).all())
        precision, recall, _ = c.precision_recall(preds, target == 1, empty)
    return _number(_summed(_without_nan(precision), _without_nan(recall)))


def _each(state: Any, thresholds: Tensor | None, ignore_index: Any, classes: Any) -> Any:
    """The average precision (C,) of each class or label."""
    if thresholds is not None:
        return _summed(*(_without_nan(x.T._values()) for x in _at_thresholds(state)))
    precision, recall, _ = _curves(state, ignore_index, classes)
    return np.array([_summed(p, r) for p, r in zip(precision, recall)], np.float32)


def _multiclass_average_precision_compute(
    state: Any,
    num_classes: int,
    average: str | None = "macro",
    thresholds: Tensor | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """The average precision (C,) of a state, or their mean."""
    given = (state, thresholds, ignore_index, num_classes)
    weights = supports(*given) if average == "weighted" else None
    return _number(c.over_classes(_each(*given), average, weights))


def _multilabel_average_precision_compute(
    state: Any,
    num_labels: int,
    average: str | None,
    thresholds: Tensor | None,
    ignore_index: int | None = None,
) -> Tensor:
    """The average precision (L,) of a state, or their mean; of all together for "micro"."""
    given = (state, thresholds, ignore_index, None)
    if average == "micro":
        if thresholds is not None:
            return _binary_average_precision_compute(state.sum(1), thresholds)
        preds, positive = c.together(state, ignore_index, None)
        precision, recall, _ = c.precision_recall(preds, positive, not positive.any())
        return _number(_summed(_without_nan(precision), _without_nan(recall)))
    weights = supports(*given) if average == "weighted" else None
    return _number(c.over_classes(_each(*given), average, weights))


def binary_average_precision(
    preds: Tensor,
    target: Tensor,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The average precision, for targets of 0 and 1. ValueError, RuntimeError."""
    state, limits = c.binary_input(preds, target, thresholds, ignore_index, validate_args)
    return _binary_average_precision_compute(state, limits, ignore_index)


def multiclass_average_precision(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    average: str | None = "macro",
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The average precision of each class, or their mean. ValueError, RuntimeError."""
    state, limits = c.multiclass_input(
        preds,
        target,
        num_classes,
        thresholds,
        ignore_index,
        validate_args,
        lambda: c.check_average(average, ALLOWED),
    )
    return _multiclass_average_precision_compute(state, num_classes, average, limits, ignore_index)


def multilabel_average_precision(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    average: str | None = "macro",
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The average precision of each label, or their mean. ValueError, RuntimeError."""
    state, limits = c.multilabel_input(
        preds,
        target,
        num_labels,
        thresholds,
        ignore_index,
        validate_args,
        lambda: c.check_average(average, ("micro", *ALLOWED)),
    )
    return _multilabel_average_precision_compute(state, num_labels, average, limits, ignore_index)


def average_precision(
    preds: Tensor,
    target: Tensor,
    task: str,
    thresholds: Any = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: str | None = "macro",
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The average precision; `task`: "binary", "multiclass" or "multilabel"."""
    end = (thresholds, ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_average_precision(preds, target, *end),
        multiclass=lambda: multiclass_average_precision(
            preds, target, required("num_classes", num_classes), average, *end
        ),
        multilabel=lambda: multilabel_average_precision(
            preds, target, required("num_labels", num_labels), average, *end
        ),
    )
