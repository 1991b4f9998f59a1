"""The best recall where precision is at least what is asked for, and at which threshold."""

from __future__ import annotations

from collections.abc import Callable
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

Pair = tuple[Tensor, Tensor]


def check_minimum(minimum: Any) -> None:
    """ValueError for what is neither a float nor in [0, 1]."""
    if not isinstance(minimum, float) and not 0 <= minimum <= 1:
        raise ValueError(
            "Expected argument `min_precision` to be an float in the [0,1] range, but got "
            f"{minimum}"
        )


def _recall_at_precision(
    precision: Tensor, recall: Tensor, thresholds: Tensor, minimum: float
) -> tuple[Any, Any]:
    """The best recall and its threshold; NaN where there is none."""
    limit, score, at = (x._values()[: len(thresholds)] for x in (precision, recall, thresholds))
    fit = limit >= minimum
    if not fit.any():
        return score.dtype.type(0), at.dtype.type("nan")
    limit, score, at = limit[fit], score[fit], at[fit]
    best = np.lexsort((at, limit, score))[-1]
    return score[best], at[best] if score[best] else at.dtype.type("nan")


def pair(found: Any) -> Pair:
    """A score (or those of the classes) and its threshold as tensors."""
    made: Pair = tensors(tuple(np.asarray(x) for x in found))
    return made


def each(
    curves: Any, thresholds: Tensor | None, minimum: float, best: Callable[..., tuple[Any, Any]]
) -> Pair:
    """What `best` finds on the curve of each class or label."""
    precision, recall, at = curves
    limits = at if thresholds is None else [at] * len(precision)
    rows = zip(precision, recall, limits)
    return pair(zip(*[best(p, r, t, minimum) for p, r, t in rows]))


def _binary_recall_at_fixed_precision_compute(
    state: Any, thresholds: Tensor | None, minimum: float, ignore_index: int | None
) -> Pair:
    """(recall, threshold) of a state."""
    precision, recall, at = _binary_precision_recall_curve_compute(state, thresholds, ignore_index)
    return pair(_recall_at_precision(precision, recall, at, minimum))


def _multiclass_recall_at_fixed_precision_compute(
    state: Any,
    num_classes: int,
    thresholds: Tensor | None,
    minimum: float,
    ignore_index: int | None,
) -> Pair:
    """(recall, threshold) of each class."""
    curves = _multiclass_precision_recall_curve_compute(
        state, num_classes, thresholds, None, ignore_index
    )
    return each(curves, thresholds, minimum, _recall_at_precision)


def _multilabel_recall_at_fixed_precision_compute(
    state: Any,
    num_labels: int,
    thresholds: Tensor | None,
    minimum: float,
    ignore_index: int | None,
) -> Pair:
    """(recall, threshold) of each label."""
    curves = _multilabel_precision_recall_curve_compute(state, num_labels, thresholds, ignore_index)
    return each(curves, thresholds, minimum, _recall_at_precision)


def binary_recall_at_fixed_precision(
    preds: Tensor,
    target: Tensor,
    min_precision: float,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(recall, threshold), for targets of 0 and 1. ValueError, RuntimeError."""
    state, limits = c.binary_input(
        preds, target, thresholds, ignore_index, validate_args, lambda: check_minimum(min_precision)
    )
    return _binary_recall_at_fixed_precision_compute(state, limits, min_precision, ignore_index)


def multiclass_recall_at_fixed_precision(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    min_precision: float,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(recall, threshold) of each class. ValueError, RuntimeError."""
    state, limits = c.multiclass_input(
        preds,
        target,
        num_classes,
        thresholds,
        ignore_index,
        validate_args,
        lambda: check_minimum(min_precision),
    )
    return _multiclass_recall_at_fixed_precision_compute(
        state, num_classes, limits, min_precision, ignore_index
    )


def multilabel_recall_at_fixed_precision(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    min_precision: float,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(recall, threshold) of each label. ValueError, RuntimeError."""
    state, limits = c.multilabel_input(
        preds,
        target,
        num_labels,
        thresholds,
        ignore_index,
        validate_args,
        lambda: check_minimum(min_precision),
    )
    return _multilabel_recall_at_fixed_precision_compute(
        state, num_labels, limits, min_precision, ignore_index
    )


def recall_at_fixed_precision(
    preds: Tensor,
    target: Tensor,
    task: str,
    min_precision: float,
    thresholds: Any = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Pair:
    """(recall, threshold); `task`: "binary", "multiclass" or "multilabel"."""
    end = (min_precision, thresholds, ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_recall_at_fixed_precision(preds, target, *end),
        multiclass=lambda: multiclass_recall_at_fixed_precision(
            preds, target, required("num_classes", num_classes), *end
        ),
        multilabel=lambda: multilabel_recall_at_fixed_precision(
            preds, target, required("num_labels", num_labels), *end
        ),
    )
