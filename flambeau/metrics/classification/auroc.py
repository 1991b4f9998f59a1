"""The area under the receiver operating characteristic."""

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
from flambeau.metrics.functional.classification.auroc import (
    ALLOWED,
    _binary_auroc_compute,
    _multiclass_auroc_compute,
    _multilabel_auroc_compute,
    check_max_fpr,
)
from flambeau.metrics.functional.classification.score_curves import check_average
from flambeau.metrics.metric import Metric


class BinaryAUROC(BinaryPrecisionRecallCurve):
    """The area (up to `max_fpr`), for targets of 0 and 1. ValueError for unknown options."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        max_fpr: float | None = None,
        thresholds: Any = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(thresholds, ignore_index, validate_args, **kwargs)
        if validate_args:
            check_max_fpr(max_fpr)
        self.max_fpr = max_fpr

    def compute(self) -> Tensor:
        """The area of all batches."""
        return _binary_auroc_compute(
            self._state(), self.thresholds, self.max_fpr, self.ignore_index
        )


class MulticlassAUROC(MulticlassPrecisionRecallCurve):
    """The area of each class against the others, or their mean. ValueError."""

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
        """The areas of all batches."""
        return _multiclass_auroc_compute(
            self._state(), self.num_classes, self.average, self.thresholds, self.ignore_index
        )


class MultilabelAUROC(MultilabelPrecisionRecallCurve):
    """The area of each label, or their mean. ValueError for unknown options."""

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
        """The areas of all batches."""
        return _multilabel_auroc_compute(
            self._state(), self.num_labels, self.average, self.thresholds, self.ignore_index
        )


class AUROC(_ClassificationTaskWrapper):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        thresholds: Any = None,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: str | None = "macro",
        max_fpr: float | None = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (thresholds, ignore_index, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryAUROC(max_fpr, *end, **kwargs),
            multiclass=lambda: MulticlassAUROC(
                required("num_classes", num_classes), average, *end, **kwargs
            ),
            multilabel=lambda: MultilabelAUROC(
                required("num_labels", num_labels), average, *end, **kwargs
            ),
        )
