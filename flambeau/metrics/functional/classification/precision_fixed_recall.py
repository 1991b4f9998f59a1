"""The best precision where recall is at least what is asked for, and at which threshold."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification import score_curves as c
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.precision_recall_curve import (
    _binary_precision_recall_curve_compute,
    _multiclass_precision_recall_curve_compute,
    _multilabel_precision_recall_curve_compute,
    tensors,
)
from flambeau.metrics.functional.classification.recall_fixed_precision import (
    _recall_at_precision,
    check_minimum,
)

Pair = tuple[Tensor, Tensor]


def _precision_at_recall(
    precision: Tensor, recall: Tensor, thresholds: Tensor, minimum: float
) -> tuple[Any, Any]:
    """The best precision and its threshold; NaN where there is none."""
    return _recall_at_precision(recall, precision, thresholds, minimum)


def _binary_precision_at_fixed_recall_compute(
    state: Any, thresholds: Tensor | None, minimum: float, ignore_index: int | None
) -> Pair:
    """(precision, threshold) of a state."""
    precision, recall, at = _binary_precision_recall_curve_compute(state, thresholds, ignore_index)
    found = _precision_at_recall(precision, recall, at, minimum)
    made: Pair = tensors(tuple(np.asarray(x) for x in found))
    return made


def _each(curves: Any, thresholds: Tensor | None, minimum: float) -> Pair:
    precision, recall, at = curves
    limits = at if thresholds is None else [at] * len(precision)
    rows = zip(precision, recall, limits)
    found = [_precision_at_recall(p, r, t, minimum) for p, r, t in rows]
    made: Pair = tensors(tuple(np.asarray(x) for x in zip(*found)))
    return made


def _multiclass_precision_at_fixed_recall_compute(
    state: Any,
    num_classes: int,
    thresholds: Tensor | None,
    minimum: float,
    ignore_index: int | None,
) -> Pair:
    """(precision, threshold) of each class."""
    curves = _multiclass_precision_recall_curve_compute(
        state, num_classes, thresholds, None, ignore_index
    )
    return _each(curves, thresholds, minimum)


def _multilabel_precision_at_fixed_recall_compute(
    state: Any,
    num_labels: int,
    thresholds: Tensor | None,
    minimum: float,
    ignore_index: int | None,
) -> Pair:
    """(precision, threshold) of each label."""
    curves = _multilabel_precision_recall_curve_compute(state, num_labels, thresholds, ignore_index)
    return _each(curves, thresholds, minimum)


def binary_precision_at_fixed_recall(
    preds: Tensor,
    target: Tensor,
    min_recall: float,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(precision, threshold), for targets of 0 and 1. ValueError, RuntimeError."""
    if validate_args:
        c.check_binary_arguments(thresholds, ignore_index)
        check_minimum(min_recall)
        c.check_binary_batch(preds, target, ignore_index)
    limits = c.as_thresholds(thresholds)
    state = c.binary_state(preds, target, limits, ignore_index)
    return _binary_precision_at_fixed_recall_compute(state, limits, min_recall, ignore_index)


def multiclass_precision_at_fixed_recall(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    min_recall: float,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(precision, threshold) of each class. ValueError, RuntimeError."""
    if validate_args:
        c.check_multiclass_arguments(num_classes, thresholds, ignore_index)
        check_minimum(min_recall)
        c.check_multiclass_batch(preds, target, num_classes, ignore_index)
    limits = c.as_thresholds(thresholds)
    state = c.multiclass_state(preds, target, num_classes, limits, ignore_index)
    return _multiclass_precision_at_fixed_recall_compute(
        state, num_classes, limits, min_recall, ignore_index
    )


def multilabel_precision_at_fixed_recall(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    min_recall: float,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(precision, threshold) of each label. ValueError, RuntimeError."""
    if validate_args:
        c.check_multiclass_arguments(num_labels, thresholds, ignore_index)
        check_minimum(min_recall)
        c.check_multilabel_batch(preds, target, num_labels, ignore_index)
    limits = c.as_thresholds(thresholds)
    state = c.multilabel_state(preds, target, num_labels, limits, ignore_index)
    return _multilabel_precision_at_fixed_recall_compute(
        state, num_labels, limits, min_recall, ignore_index
    )


def precision_at_fixed_recall(
    preds: Tensor,
    target: Tensor,
    task: str,
    min_recall: float,
    thresholds: Any = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(precision, threshold); `task`: "binary", "multiclass" or "multilabel"."""
    end = (min_recall, thresholds, ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_precision_at_fixed_recall(preds, target, *end),
        multiclass=lambda: multiclass_precision_at_fixed_recall(
            preds, target, required("num_classes", num_classes), *end
        ),
        multilabel=lambda: multilabel_precision_at_fixed_recall(
            preds, target, required("num_labels", num_labels), *end
        ),
    )
