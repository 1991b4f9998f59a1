"""The mean hinge loss."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor, zeros
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.functional.classification import hinge as f
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.metric import Metric


class _AbstractHingeLoss(Metric):
    """States `measures` and `total`."""

    is_differentiable = True
    higher_is_better = False
    full_state_update = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    measures: Tensor
    total: Tensor

    def _create_state(self, measures: Tensor) -> None:
        self.add_state("measures", measures, dist_reduce_fx="sum")
        self.add_state("total", tensor(0), dist_reduce_fx="sum")

    def _update_state(self, measures: Tensor, total: Tensor) -> None:
        self.measures = self.measures + measures
        self.total = self.total + total

    def compute(self) -> Tensor:
        """The value of all batches."""
        return f._hinge_loss_compute(self.measures, self.total)


class BinaryHingeLoss(_AbstractHingeLoss):
    """The mean hinge loss, for targets of 0 and 1. ValueError for unknown options."""

    _update_depends_on = ("squared", "ignore_index", "validate_args")

    def __init__(
        self,
        squared: bool = False,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            f.check_binary_arguments(squared, ignore_index)
        self.squared = squared
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self._create_state(tensor(0.0))

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores, and targets of that shape."""
        if self.validate_args:
            f.check_binary_batch(preds, target, self.ignore_index, self._doubt)
        self._update_state(*f.binary_losses(preds, target, self.squared, self.ignore_index))


class MulticlassHingeLoss(_AbstractHingeLoss):
    """The mean hinge loss, for several classes. ValueError for unknown options.

    `multiclass_mode`: "crammer-singer" (against the best other class) or "one-vs-all" (of each).
    """

    plot_legend_name = "Class"
    _update_depends_on = (
        *("num_classes", "squared", "multiclass_mode", "ignore_index", "validate_args"),
    )

    def __init__(
        self,
        num_classes: int,
        squared: bool = False,
        multiclass_mode: str = "crammer-singer",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            f.check_multiclass_arguments(num_classes, squared, multiclass_mode, ignore_index)
        self.num_classes = num_classes
        self.squared = squared
        self.multiclass_mode = multiclass_mode
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        one = multiclass_mode == "crammer-singer"
        self._create_state(tensor(0.0) if one else zeros(num_classes))

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores (N, C, ...), and targets (N, ...)."""
        if self.validate_args:
            f.check_multiclass_batch(
                preds, target, self.num_classes, self.ignore_index, self._doubt
            )
        how = (self.squared, self.multiclass_mode, self.ignore_index)
        self._update_state(*f.multiclass_losses(preds, target, *how))


class HingeLoss(_ClassificationTaskWrapper):
    """The form of a task: "binary" or "multiclass"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        num_classes: int | None = None,
        squared: bool = False,
        multiclass_mode: str = "crammer-singer",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        end = (ignore_index, validate_args)

        def multiclass() -> Metric:
            count = required("num_classes", num_classes)
            if multiclass_mode not in ("crammer-singer", "one-vs-all"):
                raise ValueError(
                    "`multiclass_mode` is expected to be one of 'crammer-singer' or 'one-vs-all' "
                    f"but `{multiclass_mode}` was passed."
                )
            return MulticlassHingeLoss(count, squared, multiclass_mode, *end, **kwargs)

        return by_task(
            task, binary=lambda: BinaryHingeLoss(squared, *end, **kwargs), multiclass=multiclass
        )
