"""The correlation coefficient of Matthews."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.classification.confusion_matrix import (
    BinaryConfusionMatrix,
    MulticlassConfusionMatrix,
    MultilabelConfusionMatrix,
)
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.matthews_corrcoef import _matthews_corrcoef_reduce
from flambeau.metrics.metric import Metric


class BinaryMatthewsCorrCoef(BinaryConfusionMatrix):
    """Matthews' coefficient, for targets of 0 and 1. ValueError for unknown options."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(threshold, ignore_index, None, validate_args, **kwargs)

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _matthews_corrcoef_reduce(self.confmat)


class MulticlassMatthewsCorrCoef(MulticlassConfusionMatrix):
    """Matthews' coefficient, for several classes. ValueError for unknown options."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Class"

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, ignore_index, None, validate_args, **kwargs)

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _matthews_corrcoef_reduce(self.confmat)


class MultilabelMatthewsCorrCoef(MultilabelConfusionMatrix):
    """Matthews' coefficient, for several labels. ValueError for unknown options."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Label"

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_labels, threshold, ignore_index, None, validate_args, **kwargs)

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _matthews_corrcoef_reduce(self.confmat)


class MatthewsCorrCoef(_ClassificationTaskWrapper):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (ignore_index, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryMatthewsCorrCoef(threshold, *end, **kwargs),
            multiclass=lambda: MulticlassMatthewsCorrCoef(
                required("num_classes", num_classes), *end, **kwargs
            ),
            multilabel=lambda: MultilabelMatthewsCorrCoef(
                required("num_labels", num_labels), threshold, *end, **kwargs
            ),
        )
