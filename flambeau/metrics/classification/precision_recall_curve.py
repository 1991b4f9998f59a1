"""Precision-recall curves, and what the metrics made of curves share."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, int64, zeros
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.functional.classification import score_curves
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.precision_recall_curve import (
    _binary_precision_recall_curve_compute,
    _multiclass_precision_recall_curve_compute,
    _multilabel_precision_recall_curve_compute,
)
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat


class _AbstractCurve(Metric):
    """States `preds` and `target`; with thresholds the counts `confmat` instead.

    What is to be ignored is in `preds` and `target` still: it is left out by `compute`.
    """

    is_differentiable = False
    full_state_update = False
    preds: list[Tensor]
    target: list[Tensor]
    confmat: Tensor
    thresholds: Tensor | None
    ignore_index: int | None
    validate_args: bool

    def _create_state(self, thresholds: Any, *shape: int) -> None:
        limits = score_curves.as_thresholds(thresholds)
        self._limits = None if limits is None else tuple(limits.tolist())
        if limits is None:
            self.thresholds = None
            self.add_state("preds", default=[], dist_reduce_fx="cat")
            self.add_state("target", default=[], dist_reduce_fx="cat")
        else:
            self.register_buffer("thresholds", limits, persistent=False)
            counts = zeros((len(limits), *shape, 2, 2), dtype=int64)
            self.add_state("confmat", default=counts, dist_reduce_fx="sum")

    def _update_state(self, state: Any) -> None:
        if isinstance(state, Tensor):
            self.confmat += state
        else:
            self.preds.append(state[0])
            self.target.append(state[1])

    def _state(self) -> Any:
        if self.thresholds is not None:
            return self.confmat
        return dim_zero_cat(self.preds), dim_zero_cat(self.target)


class BinaryPrecisionRecallCurve(_AbstractCurve):
    """(precision, recall, thresholds), for targets of 0 and 1. ValueError for unknown options.

    With `thresholds` (how many, or which) the metric keeps counts instead of all scores.
    """

    _update_depends_on = ("_limits", "ignore_index", "validate_args", "normalization")

    def __init__(
        self,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        normalization: str | None = "sigmoid",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            score_curves.check_binary_arguments(thresholds, ignore_index)
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self.normalization = normalization
        self._create_state(thresholds)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores, and targets of that shape."""
        if self.validate_args:
            score_curves.check_binary_batch(preds, target, self.ignore_index, self._doubt)
        self._update_state(
            score_curves.binary_state(
                preds, target, self.thresholds, self.ignore_index, self.normalization
            )
        )

    def compute(self) -> Any:
        """The curve of all batches."""
        return _binary_precision_recall_curve_compute(
            self._state(), self.thresholds, self.ignore_index
        )


class MulticlassPrecisionRecallCurve(_AbstractCurve):
    """(precision, recall, thresholds) of each class; "micro", "macro": of all. ValueError."""

    _update_depends_on = (
        *("num_classes", "_limits", "ignore_index", "validate_args", "_together"),
    )

    def __init__(
        self,
        num_classes: int,
        thresholds: Any = None,
        average: str | None = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            score_curves.check_multiclass_arguments(num_classes, thresholds, ignore_index, average)
        self.num_classes = num_classes
        self.average = average
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self._together = average == "micro"
        self._create_state(thresholds, *([] if self._together else [num_classes]))

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores (N, C, ...), and targets (N, ...)."""
        if self.validate_args:
            score_curves.check_multiclass_batch(
                preds, target, self.num_classes, self.ignore_index, self._doubt
            )
        how = (self.num_classes, self.thresholds, self.ignore_index)
        together = "micro" if self._together else None
        self._update_state(score_curves.multiclass_state(preds, target, *how, together))

    def compute(self) -> Any:
        """The curves of all batches."""
        return _multiclass_precision_recall_curve_compute(
            self._state(), self.num_classes, self.thresholds, self.average, self.ignore_index
        )


class MultilabelPrecisionRecallCurve(_AbstractCurve):
    """(precision, recall, thresholds) of each label. ValueError for unknown options."""

    _update_depends_on = ("num_labels", "_limits", "ignore_index", "validate_args")

    def __init__(
        self,
        num_labels: int,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            score_curves.check_multiclass_arguments(num_labels, thresholds, ignore_index)
        self.num_labels = num_labels
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self._create_state(thresholds, num_labels)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores (N, L, ...), and targets of that shape."""
        if self.validate_args:
            score_curves.check_multilabel_batch(
                preds, target, self.num_labels, self.ignore_index, self._doubt
            )
        how = (self.num_labels, self.thresholds, self.ignore_index)
        self._update_state(score_curves.multilabel_state(preds, target, *how))

    def compute(self) -> Any:
        """The curves of all batches."""
        return _multilabel_precision_recall_curve_compute(
            self._state(), self.num_labels, self.thresholds, self.ignore_index
        )


class _CurveByTask(_ClassificationTaskWrapper):
    """The choice among three forms."""

    _forms: tuple[Any, Any, Any]

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        thresholds: Any = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        kwargs.update(thresholds=thresholds, ignore_index=ignore_index, validate_args=validate_args)
        binary, multiclass, multilabel = cls._forms
        made: Metric = by_task(
            task,
            binary=lambda: binary(**kwargs),
            multiclass=lambda: multiclass(required("num_classes", num_classes), **kwargs),
            multilabel=lambda: multilabel(required("num_labels", num_labels), **kwargs),
        )
        return made


class PrecisionRecallCurve(_CurveByTask):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (
        BinaryPrecisionRecallCurve,
        MulticlassPrecisionRecallCurve,
        MultilabelPrecisionRecallCurve,
    )
