"""Cohen's kappa: agreement beyond what chance gives."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.classification.confusion_matrix import (
    BinaryConfusionMatrix,
    MulticlassConfusionMatrix,
)
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.cohen_kappa import (
    _cohen_kappa_reduce,
    check_weights,
)
from flambeau.metrics.metric import Metric


class BinaryCohenKappa(BinaryConfusionMatrix):
    """Cohen's kappa, for targets of 0 and 1; `weights`: None, "linear" or "quadratic"."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        weights: str | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(threshold, ignore_index, None, validate_args, **kwargs)
        if validate_args:
            check_weights(weights)
        self.weights = weights

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _cohen_kappa_reduce(self.confmat, self.weights)


class MulticlassCohenKappa(MulticlassConfusionMatrix):
    """Cohen's kappa, for several classes; `weights`: None, "linear" or "quadratic"."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    plot_legend_name = "Class"

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        weights: str | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(num_classes, ignore_index, None, validate_args, **kwargs)
        if validate_args:
            check_weights(weights)
        self.weights = weights

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _cohen_kappa_reduce(self.confmat, self.weights)


class CohenKappa(_ClassificationTaskWrapper):
    """The form of a task: "binary" or "multiclass"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        weights: str | None = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (ignore_index, weights, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryCohenKappa(threshold, *end, **kwargs),
            multiclass=lambda: MulticlassCohenKappa(
                required("num_classes", num_classes), *end, **kwargs
            ),
        )
