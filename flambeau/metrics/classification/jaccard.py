"""The index of Jaccard: intersection over union."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.classification.confusion_matrix import (
    BinaryConfusionMatrix,
    MulticlassConfusionMatrix,
    MultilabelConfusionMatrix,
)
from flambeau.metrics.functional.classification.arguments import (
    AVERAGES,
    by_task,
    one_of,
    required,
)
from flambeau.metrics.functional.classification.jaccard import _jaccard_index_reduce
from flambeau.metrics.metric import Metric


class BinaryJaccardIndex(BinaryConfusionMatrix):
    """Jaccard's index, for targets of 0 and 1. ValueError for unknown options."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(threshold, ignore_index, None, validate_args, **kwargs)
        self.zero_division = zero_division

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _jaccard_index_reduce(self.confmat, "binary", zero_division=self.zero_division)


class MulticlassJaccardIndex(MulticlassConfusionMatrix):
    """Jaccard's index, for several classes. ValueError for unknown options."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Class"

    def __init__(
        self,
        num_classes: int,
        average: str | None = "macro",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, ignore_index, None, validate_args, **kwargs)
        if validate_args:
            one_of("average", average, AVERAGES, ".")
        self.average = average
        self.zero_division = zero_division

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _jaccard_index_reduce(
            self.confmat, self.average, self.ignore_index, self.zero_division
        )


class MultilabelJaccardIndex(MultilabelConfusionMatrix):
    """Jaccard's index, for several labels. ValueError for unknown options."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Label"

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        average: str | None = "macro",
        ignore_index: int | None = None,
        validate_args: bool = True,
        zero_division: float = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_labels, threshold, ignore_index, None, validate_args, **kwargs)
        if validate_args:
            one_of("average", average, AVERAGES, ".")
        self.average = average
        self.zero_division = zero_division

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _jaccard_index_reduce(self.confmat, self.average, zero_division=self.zero_division)


class JaccardIndex(_ClassificationTaskWrapper):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: str | None = "macro",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (ignore_index, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryJaccardIndex(threshold, *end, **kwargs),
            multiclass=lambda: MulticlassJaccardIndex(
                required("num_classes", num_classes), average, *end, **kwargs
            ),
            multilabel=lambda: MultilabelJaccardIndex(
                required("num_labels", num_labels), threshold, average, *end, **kwargs
            ),
        )
