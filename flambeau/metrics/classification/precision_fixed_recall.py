"""The best precision where recall is at least what is asked for, and at which threshold."""

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
from flambeau.metrics.functional.classification.precision_fixed_recall import (
    _binary_precision_at_fixed_recall_compute,
    _multiclass_precision_at_fixed_recall_compute,
    _multilabel_precision_at_fixed_recall_compute,
)
from flambeau.metrics.functional.classification.recall_fixed_precision import check_minimum
from flambeau.metrics.metric import Metric


class BinaryPrecisionAtFixedRecall(BinaryPrecisionRecallCurve):
    """(precision, threshold), for targets of 0 and 1. ValueError for unknown options."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        min_recall: float,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(thresholds, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_minimum(min_recall)
        self.min_recall = min_recall

    def compute(self) -> tuple[Tensor, Tensor]:
        """The value of all batches."""
        return _binary_precision_at_fixed_recall_compute(
            self._state(), self.thresholds, self.min_recall, self.ignore_index
        )


class MulticlassPrecisionAtFixedRecall(MulticlassPrecisionRecallCurve):
    """(precision, threshold) of each class. ValueError for unknown options."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Class"

    def __init__(
        self,
        num_classes: int,
        min_recall: float,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, thresholds, None, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_minimum(min_recall)
        self.min_recall = min_recall

    def compute(self) -> tuple[Tensor, Tensor]:
        """The value of all batches."""
        given = (self.num_classes, self.thresholds, self.min_recall, self.ignore_index)
        return _multiclass_precision_at_fixed_recall_compute(self._state(), *given)


class MultilabelPrecisionAtFixedRecall(MultilabelPrecisionRecallCurve):
    """(precision, threshold) of each label. ValueError for unknown options."""

    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Label"

    def __init__(
        self,
        num_labels: int,
        min_recall: float,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_labels, thresholds, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_minimum(min_recall)
        self.min_recall = min_recall

    def compute(self) -> tuple[Tensor, Tensor]:
        """The value of all batches."""
        given = (self.num_labels, self.thresholds, self.min_recall, self.ignore_index)
        return _multilabel_precision_at_fixed_recall_compute(self._state(), *given)


class PrecisionAtFixedRecall(_ClassificationTaskWrapper):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        min_recall: float,
        thresholds: Any = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (min_recall, thresholds, ignore_index, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryPrecisionAtFixedRecall(*end, **kwargs),
            multiclass=lambda: MulticlassPrecisionAtFixedRecall(
                required("num_classes", num_classes), *end, **kwargs
            ),
            multilabel=lambda: MultilabelPrecisionAtFixedRecall(
                required("num_labels", num_labels), *end, **kwargs
            ),
        )
