"""Calibration error: how far confidences are from the share of right answers."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.functional.classification.arguments import by_task, check_count, required
from flambeau.metrics.functional.classification.calibration_error import (
    _ce_compute,
    binary_confidences,
    check_binary_arguments,
    check_binary_batch,
    check_multiclass_batch,
    multiclass_confidences,
)
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat


class _AbstractCalibrationError(Metric):
    """States `confidences`, and `accuracies`: right 1, wrong 0, to be ignored -1."""

    is_differentiable = False
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    confidences: Any
    accuracies: Any
    n_bins: int
    norm: str

    def _create_state(self) -> None:
        self.add_state("confidences", [], dist_reduce_fx="cat")
        self.add_state("accuracies", [], dist_reduce_fx="cat")

    def _update_state(self, confidences: Tensor, accuracies: Tensor) -> None:
        self.confidences.append(confidences)
        self.accuracies.append(accuracies)

    def compute(self) -> Tensor:
        """The value of all batches."""
        found = (dim_zero_cat(self.confidences), dim_zero_cat(self.accuracies))
        return _ce_compute(*found, self.n_bins, self.norm)


class BinaryCalibrationError(_AbstractCalibrationError):
    """The calibration error, for targets of 0 and 1; `norm`: "l1", "l2" or "max"."""

    _update_depends_on = ("ignore_index", "validate_args")

    def __init__(
        self,
        n_bins: int = 15,
        norm: str = "l1",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            check_binary_arguments(n_bins, norm, ignore_index)
        self.n_bins = n_bins
        self.norm = norm
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self._create_state()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores, and targets of that shape."""
        if self.validate_args:
            check_binary_batch(preds, target, self.ignore_index, self._doubt)
        self._update_state(*binary_confidences(preds, target, self.ignore_index))


class MulticlassCalibrationError(_AbstractCalibrationError):
    """The calibration error of the best class; `norm`: "l1", "l2" or "max"."""

    plot_legend_name = "Class"
    _update_depends_on = ("num_classes", "ignore_index", "validate_args")

    def __init__(
        self,
        num_classes: int,
        n_bins: int = 15,
        norm: str = "l1",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            check_count("num_classes", num_classes)
            check_binary_arguments(n_bins, norm, ignore_index)
        self.num_classes = num_classes
        self.n_bins = n_bins
        self.norm = norm
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self._create_state()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores (N, C, ...), and targets (N, ...)."""
        if self.validate_args:
            check_multiclass_batch(preds, target, self.num_classes, self.ignore_index, self._doubt)
        self._update_state(*multiclass_confidences(preds, target, self.ignore_index))


class CalibrationError(_ClassificationTaskWrapper):
    """The form of a task: "binary" or "multiclass"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        n_bins: int = 15,
        norm: str = "l1",
        num_classes: int | None = None,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (n_bins, norm, ignore_index, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryCalibrationError(*end, **kwargs),
            multiclass=lambda: MulticlassCalibrationError(
                required("num_classes", num_classes), *end, **kwargs
            ),
        )
