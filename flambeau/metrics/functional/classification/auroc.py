"""The area under the receiver operating characteristic."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor, float32, from_array
from flambeau.metrics.functional.classification import score_curves as c
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.roc import _at_thresholds, curves
from flambeau.metrics.utilities.compute import trapezoids

ALLOWED = ("macro", "weighted", "none", None)


def check_max_fpr(max_fpr: Any) -> None:
    """ValueError for what is no float."""
    if max_fpr is not None and not isinstance(max_fpr, float) and 0 < max_fpr <= 1:
        raise ValueError(
            f"Arguments `max_fpr` should be a float in range (0, 1], but got: {max_fpr}"
        )


def _number(value: Any) -> Tensor:
    return from_array(np.asarray(value, np.float32), float32)


def _partial(fpr: Any, tpr: Any, max_fpr: float) -> Any:
    """The area up to a false positive rate, scaled: 0.5 for chance, 1 at best."""
    stop = int(np.searchsorted(fpr, max_fpr, side="right"))
    part = (max_fpr - fpr[stop - 1]) / (fpr[stop] - fpr[stop - 1])
    last = tpr[stop - 1] + part * (tpr[stop] - tpr[stop - 1])
    found = c.area(np.append(fpr[:stop], max_fpr), np.append(tpr[:stop], last))
    least = 0.5 * max_fpr**2
    return 0.5 * (1 + (found - least) / (max_fpr - least))


def _binary_auroc_compute(
    state: Any,
    thresholds: Tensor | None,
    max_fpr: float | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """The area of a state."""
    whole = max_fpr is None or max_fpr == 1
    if thresholds is not None:
        rates = _at_thresholds(state)
        if whole:
            return trapezoids(*rates)
        fpr, tpr = (rate._values() for rate in rates)
    else:
        preds, target = c.read(state, ignore_index)
        fpr, tpr, _ = c.rates(preds, target == 1)
    if whole or max_fpr is None or fpr.sum() == 0 or tpr.sum() == 0:
        return _number(c.area(fpr, tpr))
    return _number(_partial(fpr, tpr, max_fpr))


def _areas(state: Any, thresholds: Tensor | None, ignore_index: Any, classes: Any) -> Any:
    """The area (C,) of each class or label."""
    if thresholds is not None:
        return trapezoids(*(x.T for x in _at_thresholds(state)))._values()
    fpr, tpr, _ = curves(state, ignore_index, classes)
    return np.array([c.area(x, y) for x, y in zip(fpr, tpr)], np.float32)


def supports(state: Any, thresholds: Tensor | None, ignore_index: Any, classes: Any) -> Any:
    """How many positives each class or label has."""
    if thresholds is not None:
        return state._values()[0][:, 1, :].sum(-1)
    pairs = c.columns(state, ignore_index, classes)
    return np.array([float(positive.sum()) for _, positive in pairs])


def _multiclass_auroc_compute(
    state: Any,
    num_classes: int,
    average: str | None = "macro",
    thresholds: Tensor | None = None,
    ignore_index: int | None = None,
) -> Tensor:
    """The areas (C,) of a state, or their mean."""
    given = (state, thresholds, ignore_index, num_classes)
    weights = supports(*given) if average == "weighted" else None
    return _number(c.over_classes(_areas(*given), average, weights))


def _multilabel_auroc_compute(
    state: Any,
    num_labels: int,
    average: str | None,
    thresholds: Tensor | None,
    ignore_index: int | None = None,
) -> Tensor:
    """The areas (L,) of a state, or their mean; of all labels together for "micro"."""
    given = (state, thresholds, ignore_index, None)
    if average == "micro":
        if thresholds is not None:
            return _binary_auroc_compute(state.sum(1), thresholds)
        fpr, tpr, _ = c.rates(*c.together(state, ignore_index, None))
        return _number(c.area(fpr, tpr))
    weights = supports(*given) if average == "weighted" else None
    return _number(c.over_classes(_areas(*given), average, weights))


def binary_auroc(
    preds: Tensor,
    target: Tensor,
    max_fpr: float | None = None,
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The area (up to `max_fpr`), for targets of 0 and 1. ValueError, RuntimeError."""
    state, limits = c.binary_input(
        preds, target, thresholds, ignore_index, validate_args, lambda: check_max_fpr(max_fpr)
    )
    return _binary_auroc_compute(state, limits, max_fpr, ignore_index)


def multiclass_auroc(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    average: str | None = "macro",
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The area of each class against the others, or their mean. ValueError, RuntimeError."""
    state, limits = c.multiclass_input(
        preds,
        target,
        num_classes,
        thresholds,
        ignore_index,
        validate_args,
        lambda: c.check_average(average, ALLOWED),
    )
    return _multiclass_auroc_compute(state, num_classes, average, limits, ignore_index)


def multilabel_auroc(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    average: str | None = "macro",
    thresholds: Any = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The area of each label, or their mean. ValueError, RuntimeError."""
    state, limits = c.multilabel_input(
        preds,
        target,
        num_labels,
        thresholds,
        ignore_index,
        validate_args,
        lambda: c.check_average(average, ("micro", *ALLOWED)),
    )
    return _multilabel_auroc_compute(state, num_labels, average, limits, ignore_index)


def auroc(
    preds: Tensor,
    target: Tensor,
    task: str,
    thresholds: Any = None,
    num_classes: int | None = None,
    num_labels: int | None = None,
    average: str | None = "macro",
    max_fpr: float | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The area; `task`: "binary", "multiclass" or "multilabel"."""
    end = (thresholds, ignore_index, validate_args)
    return by_task(
        task,
        binary=lambda: binary_auroc(preds, target, max_fpr, *end),
        multiclass=lambda: multiclass_auroc(
            preds, target, required("num_classes", num_classes), average, *end
        ),
        multilabel=lambda: multilabel_auroc(
            preds, target, required("num_labels", num_labels), average, *end
        ),
    )
