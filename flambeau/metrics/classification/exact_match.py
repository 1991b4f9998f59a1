"""Exact match: the share of samples with nothing wrong."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, int64, zeros
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.functional.classification import scores
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.exact_match import (
    _exact_match_reduce,
    multiclass_matches,
    multilabel_matches,
)
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat


class _AbstractExactMatch(Metric):
    """States `correct` and `total`."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    correct: Any
    total: Tensor
    multidim_average: str

    def _create_state(self) -> None:
        samplewise = self.multidim_average == "samplewise"
        default: Any = [] if samplewise else zeros(1, dtype=int64)
        self.add_state("correct", default, "cat" if samplewise else "sum")
        self.add_state("total", zeros(1, dtype=int64), "mean" if samplewise else "sum")

    def _update_state(self, correct: Tensor, total: Tensor) -> None:
        if self.multidim_average == "samplewise":
            self.correct.append(correct)
            self.total = total
        else:
            self.correct = self.correct + correct
            self.total = self.total + total

    def compute(self) -> Tensor:
        """The value of all batches."""
        return _exact_match_reduce(dim_zero_cat(self.correct), self.total)


class MulticlassExactMatch(_AbstractExactMatch):
    """The share of samples (N, ...) all of whose labels are right. ValueError."""

    plot_legend_name = "Class"
    _update_depends_on = ("num_classes", "multidim_average", "ignore_index", "validate_args")

    def __init__(
        self,
        num_classes: int,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            scores.check_multiclass_arguments(num_classes, 1, None, multidim_average, ignore_index)
        self.num_classes = num_classes
        self.multidim_average = multidim_average
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self._create_state()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores (N, C, ...) or labels (N, ...), and targets (N, ...)."""
        how = (self.multidim_average, self.ignore_index)
        if self.validate_args:
            scores.check_multiclass_batch(preds, target, self.num_classes, *how, self._doubt)
        self._update_state(*multiclass_matches(preds, target, *how))


class MultilabelExactMatch(_AbstractExactMatch):
    """The share of samples (N, L, ...) all of whose labels are right. ValueError."""

    plot_legend_name = "Label"
    _update_depends_on = (
        *("num_labels", "threshold", "multidim_average", "ignore_index", "validate_args"),
    )

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            scores.check_multilabel_arguments(
                num_labels, threshold, None, multidim_average, ignore_index
            )
        self.num_labels = num_labels
        self.threshold = threshold
        self.multidim_average = multidim_average
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self._create_state()

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores or labels (N, L, ...), and targets of that shape."""
        how = (self.multidim_average, self.ignore_index)
        if self.validate_args:
            scores.check_multilabel_batch(preds, target, self.num_labels, *how, self._doubt)
        self._update_state(*multilabel_matches(preds, target, self.threshold, *how))


class ExactMatch(_ClassificationTaskWrapper):
    """The form of a task: "multiclass" or "multilabel"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (multidim_average, ignore_index, validate_args)
        return by_task(
            task,
            multiclass=lambda: MulticlassExactMatch(
                required("num_classes", num_classes), *end, **kwargs
            ),
            multilabel=lambda: MultilabelExactMatch(
                required("num_labels", num_labels), threshold, *end, **kwargs
            ),
        )
