"""The best precision where recall is at least what is asked for, and at which threshold."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.classification import score_curves as c
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.precision_recall_curve import (
    _binary_precision_recall_curve_compute,
    _multiclass_precision_recall_curve_compute,
    _multilabel_precision_recall_curve_compute,
)
from flambeau.metrics.functional.classification.recall_fixed_precision import (
    Pair,
    _recall_at_precision,
    check_minimum,
    each,
    pair,
)


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
    return pair(_precision_at_recall(precision, recall, at, minimum))


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
    return each(curves, thresholds, minimum, _precision_at_recall)


def _multilabel_precision_at_fixed_recall_compute(
    state: Any,
    num_labels: int,
    thresholds: Tensor | None,
    minimum: float,
    ignore_index: int | None,
) -> Pair:
    """(precision, threshold) of each label."""
    curves = _multilabel_precision_recall_curve_compute(state, num_labels, thresholds, ignore_index)
    return each(curves, thresholds, minimum, _precision_at_recall)


def binary_precision_at_fixed_recall(
    preds: Tensor,
    target: Tensor,
    min_recall: float,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(precision, threshold), for targets of 0 and 1. ValueError, RuntimeError."""
    state, limits = c.binary_input(
        preds, target, thresholds, ignore_index, validate_args, lambda: check_minimum(min_recall)
    )
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
    state, limits = c.multiclass_input(
        preds,
        target,
        num_classes,
        thresholds,
        ignore_index,
        validate_args,
        lambda: check_minimum(min_recall),
    )
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
    state, limits = c.multilabel_input(
        preds,
        target,
        num_labels,
        thresholds,
        ignore_index,
        validate_args,
        lambda: check_minimum(min_recall),
    )
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
