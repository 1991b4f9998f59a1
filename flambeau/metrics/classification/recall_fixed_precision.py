"""The best recall where precision is at least what is asked for, and at which threshold."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.classification.precision_recall_curve import (
    BinaryPrecisionRecallCurve,
    MulticlassPrecisionRecallCurve,
    MultilabelPrecisionRecallCurve,
)
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.recall_fixed_precision import (
    _binary_recall_at_fixed_precision_compute,
    _multiclass_recall_at_fixed_precision_compute,
    _multilabel_recall_at_fixed_precision_compute,
    check_minimum,
)
from flambeau.metrics.metric import Metric


class BinaryRecallAtFixedPrecision(BinaryPrecisionRecallCurve):
    """(recall, threshold), for targets of 0 and 1. ValueError for unknown options."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        min_precision: float,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(thresholds, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_minimum(min_precision)
        self.min_precision = min_precision

    def compute(self) -> tuple[Tensor, Tensor]:
        """The value of all batches."""
        return _binary_recall_at_fixed_precision_compute(
            self._state(), self.thresholds, self.min_precision, self.ignore_index
        )


class MulticlassRecallAtFixedPrecision(MulticlassPrecisionRecallCurve):
    """(recall, threshold) of each class. ValueError for unknown options."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Class"

    def __init__(
        self,
        num_classes: int,
        min_precision: float,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, thresholds, None, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_minimum(min_precision)
        self.min_precision = min_precision

    def compute(self) -> tuple[Tensor, Tensor]:
        """The value of all batches."""
        given = (self.num_classes, self.thresholds, self.min_precision, self.ignore_index)
        return _multiclass_recall_at_fixed_precision_compute(self._state(), *given)


class MultilabelRecallAtFixedPrecision(MultilabelPrecisionRecallCurve):
    """(recall, threshold) of each label. ValueError for unknown options."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Label"

    def __init__(
        self,
        num_labels: int,
        min_precision: float,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_labels, thresholds, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_minimum(min_precision)
        self.min_precision = min_precision

    def compute(self) -> tuple[Tensor, Tensor]:
        """The value of all batches."""
        given = (self.num_labels, self.thresholds, self.min_precision, self.ignore_index)
        return _multilabel_recall_at_fixed_precision_compute(self._state(), *given)


class RecallAtFixedPrecision(_ClassificationTaskWrapper):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        min_precision: float,
        thresholds: Any = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (min_precision, thresholds, ignore_index, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryRecallAtFixedPrecision(*end, **kwargs),
            multiclass=lambda: MulticlassRecallAtFixedPrecision(
                required("num_classes", num_classes), *end, **kwargs
            ),
            multilabel=lambda: MultilabelRecallAtFixedPrecision(
                required("num_labels", num_labels), *end, **kwargs
            ),
        )
