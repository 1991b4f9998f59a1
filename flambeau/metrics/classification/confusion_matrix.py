"""Confusion matrices, and what the metrics made of them share."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, int64, zeros
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.functional.classification import confusions
from flambeau.metrics.functional.classification.arguments import by_task, required
from flambeau.metrics.functional.classification.confusion_matrix import _confusion_matrix_reduce
from flambeau.metrics.metric import Metric


class _AbstractConfusion(Metric):
    """The state `confmat`, counts."""

    is_differentiable = False
    full_state_update = False
    confmat: Tensor

    def _create_state(self, *shape: int) -> None:
        self.add_state("confmat", zeros(shape, dtype=int64), dist_reduce_fx="sum")


class BinaryConfusionMatrix(_AbstractConfusion):
    """(2, 2): how often target i was taken for j; `normalize`: None, "true", "pred" or "all".

    ValueError for options that are not known.
    """

    _update_depends_on = ("threshold", "ignore_index", "validate_args")

    def __init__(
        self,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        normalize: str | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            confusions.check_binary_arguments(threshold, ignore_index, normalize)
        self.threshold = threshold
        self.ignore_index = ignore_index
        self.normalize = normalize
        self.validate_args = validate_args
        self._create_state(2, 2)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores or labels, and targets of that shape."""
        if self.validate_args:
            confusions.check_binary_batch(preds, target, self.ignore_index, self._doubt)
        self.confmat += confusions.binary_confusion(
            preds, target, self.threshold, self.ignore_index
        )

    def compute(self) -> Any:
        """The value of all batches."""
        return _confusion_matrix_reduce(self.confmat, self.normalize)


class MulticlassConfusionMatrix(_AbstractConfusion):
    """(C, C): how often class i was taken for j; `normalize`: None, "true", "pred" or "all".

    ValueError for options that are not known.
    """

    _update_depends_on = ("num_classes", "ignore_index", "validate_args")

    def __init__(
        self,
        num_classes: int,
        ignore_index: int | None = None,
        normalize: str | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            confusions.check_multiclass_arguments(num_classes, ignore_index, normalize)
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        self.normalize = normalize
        self.validate_args = validate_args
        self._create_state(num_classes, num_classes)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores (N, C, ...) or labels (N, ...), and targets (N, ...)."""
        if self.validate_args:
            confusions.check_multiclass_batch(
                preds, target, self.num_classes, self.ignore_index, self._doubt
            )
        self.confmat += confusions.multiclass_confusion(
            preds, target, self.num_classes, self.ignore_index
        )

    def compute(self) -> Any:
        """The value of all batches."""
        return _confusion_matrix_reduce(self.confmat, self.normalize)


class MultilabelConfusionMatrix(_AbstractConfusion):
    """(L, 2, 2): a matrix for each label; `normalize`: None, "true", "pred" or "all".

    ValueError for options that are not known.
    """

    _update_depends_on = ("num_labels", "threshold", "ignore_index", "validate_args")

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        ignore_index: int | None = None,
        normalize: str | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if validate_args:
            confusions.check_multilabel_arguments(num_labels, threshold, ignore_index, normalize)
        self.num_labels = num_labels
        self.threshold = threshold
        self.ignore_index = ignore_index
        self.normalize = normalize
        self.validate_args = validate_args
        self._create_state(num_labels, 2, 2)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores or labels (N, L, ...), and targets of that shape."""
        if self.validate_args:
            confusions.check_multilabel_batch(
                preds, target, self.num_labels, self.ignore_index, self._doubt
            )
        self.confmat += confusions.multilabel_confusion(
            preds, target, self.num_labels, self.threshold, self.ignore_index
        )

    def compute(self) -> Any:
        """The value of all batches."""
        return _confusion_matrix_reduce(self.confmat, self.normalize)


class ConfusionMatrix(_ClassificationTaskWrapper):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        normalize: str | None = None,
        validate_args: bool = True,
        ignore_index: int | None = None,
        **kwargs: Any,
    ) -> Metric:
        end = (ignore_index, normalize, validate_args)
        return by_task(
            task,
            binary=lambda: BinaryConfusionMatrix(threshold, *end, **kwargs),
            multiclass=lambda: MulticlassConfusionMatrix(
                required("num_classes", num_classes), *end, **kwargs
            ),
            multilabel=lambda: MultilabelConfusionMatrix(
                required("num_labels", num_labels), threshold, *end, **kwargs
            ),
        )
