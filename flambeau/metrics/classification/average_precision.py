"""Average precision: precision at every step of recall."""

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
from flambeau.metrics.functional.classification.auroc import ALLOWED
from flambeau.metrics.functional.classification.average_precision import (
    _binary_average_precision_compute,
    _multiclass_average_precision_compute,
    _multilabel_average_precision_compute,
)
from flambeau.metrics.functional.classification.score_curves import check_average
from flambeau.metrics.metric import Metric


class BinaryAveragePrecision(BinaryPrecisionRecallCurve):
    """The average precision; options as for `BinaryPrecisionRecallCurve`."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _binary_average_precision_compute(self._state(), self.thresholds, self.ignore_index)


class MulticlassAveragePrecision(MulticlassPrecisionRecallCurve):
    """The average precision of each class, or their mean. ValueError."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Class"

    def __init__(
        self,
        num_classes: int,
        average: str | None = "macro",
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, thresholds, None, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_average(average, ALLOWED)
        self.average = average

    def compute(self) -> Tensor:
        """The values of all batches."""
        return _multiclass_average_precision_compute(
            self._state(), self.num_classes, self.average, self.thresholds, self.ignore_index
        )


class MultilabelAveragePrecision(MultilabelPrecisionRecallCurve):
    """The average precision of each label, or their mean. ValueError for unknown options."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Label"

    def __init__(
        self,
        num_labels: int,
        average: str | None = "macro",
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_labels, thresholds, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_average(average, ("micro", *ALLOWED))
        self.average = average

    def compute(self) -> Tensor:
        """The values of all batches."""
        return _multilabel_average_precision_compute(
            self._state(), self.num_labels, self.average, self.thresholds, self.ignore_index
        )


class AveragePrecision(_ClassificationTaskWrapper):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        thresholds: Any = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: str | None = "macro",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (thresholds, ignore_index, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryAveragePrecision(*end, **kwargs),
            multiclass=lambda: MulticlassAveragePrecision(
                required("num_classes", num_classes), average, *end, **kwargs
            ),
            multilabel=lambda: MultilabelAveragePrecision(
                required("num_labels", num_labels), average, *end, **kwargs
            ),
        )
