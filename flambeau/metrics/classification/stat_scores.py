"""Metrics of the counts of right and wrong answers, and what all metrics made of them share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.metrics._torch import Tensor, int64, zeros
from flambeau.metrics.classification.base import _ClassificationTaskWrapper
from flambeau.metrics.functional.classification import scores
from flambeau.metrics.functional.classification.stat_scores import _stat_scores_reduce
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import dim_zero_cat
from flambeau.metrics.utilities.enums import ClassificationTask


class _AbstractStatScores(Metric):
    """States tp, fp, tn and fn; `_reduce` makes the value of them."""

    is_differentiable = False
    full_state_update = False
    tp: Any
    fp: Any
    tn: Any
    fn: Any
    multidim_average: str
    ignore_index: int | None
    validate_args: bool
    zero_division: float
    # What of the options the reduction takes.
    _options: tuple[str, ...] = ()
    _reduce: Callable[..., Tensor] = staticmethod(_stat_scores_reduce)

    def _create_state(self, size: int, multidim_average: str = "global") -> None:
        samplewise = multidim_average == "samplewise"
        for name in ("tp", "fp", "tn", "fn"):
            default: Any = [] if samplewise else zeros(size, dtype=int64)
            self.add_state(name, default, "cat" if samplewise else "sum")

    def _update_state(self, tp: Tensor, fp: Tensor, tn: Tensor, fn: Tensor) -> None:
        if self.multidim_average == "samplewise":
            for name, part in (("tp", tp), ("fp", fp), ("tn", tn), ("fn", fn)):
                getattr(self, name).append(part)
        else:
            self.tp, self.fp = self.tp + tp, self.fp + fp
            self.tn, self.fn = self.tn + tn, self.fn + fn

    def _value(self, average: str | None, **options: Any) -> Tensor:
        found = (dim_zero_cat(state) for state in (self.tp, self.fp, self.tn, self.fn))
        options.update({name: getattr(self, name) for name in self._options})
        return self._reduce(*found, average, multidim_average=self.multidim_average, **options)


class BinaryStatScores(_AbstractStatScores):
    """The counts [tp, fp, tn, fn, support], for targets of 0 and 1.

    Scores outside [0, 1] are logits. ValueError for options that are not known.
    """

    _update_depends_on = ("threshold", "multidim_average", "ignore_index", "validate_args")

    def __init__(
        self,
        threshold: float = 0.5,
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        zero_division = kwargs.pop("zero_division", 0)
        super().__init__(**kwargs)
        if validate_args:
            scores.check_binary_arguments(threshold, multidim_average, ignore_index, zero_division)
        self.threshold = threshold
        self.multidim_average = multidim_average
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self.zero_division = zero_division
        self._create_state(1, multidim_average)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores or labels (N, ...), and targets of that shape."""
        how = (self.multidim_average, self.ignore_index)
        if self.validate_args:
            scores.check_binary_batch(preds, target, *how, self._doubt)
        self._update_state(*scores.binary_scores(preds, target, self.threshold, *how))

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self._value("binary")


class MulticlassStatScores(_AbstractStatScores):
    """The counts [tp, fp, tn, fn, support], for several classes.

    ValueError for options that are not known.
    """

    _update_depends_on = (
        *("num_classes", "top_k", "_together", "multidim_average"),
        *("ignore_index", "validate_args"),
    )

    def __init__(
        self,
        num_classes: int | None = None,
        top_k: int = 1,
        average: str | None = "macro",
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        zero_division = kwargs.pop("zero_division", 0)
        super().__init__(**kwargs)
        if validate_args:
            scores.check_multiclass_arguments(
                num_classes, top_k, average, multidim_average, ignore_index, zero_division
            )
        self.num_classes = num_classes
        self.top_k = top_k
        self.average = average
        self.multidim_average = multidim_average
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self.zero_division = zero_division
        # Whether the classes are counted together.
        self._together = average == "micro" and top_k == 1
        self._create_state(1 if self._together else num_classes or 1, multidim_average)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores (N, C, ...) or labels (N, ...), and targets (N, ...)."""
        how = (self.multidim_average, self.ignore_index)
        if self.validate_args:
            apart = self.average != "micro"
            scores.check_multiclass_batch(preds, target, self.num_classes, *how, self._doubt, apart)
        self._update_state(
            *scores.multiclass_scores(
                preds, target, self.num_classes or 1, self.top_k, self.average, *how
            )
        )

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self._value(self.average, top_k=self.top_k)


class MultilabelStatScores(_AbstractStatScores):
    """The counts [tp, fp, tn, fn, support], for several labels.

    Scores outside [0, 1] are logits. ValueError for options that are not known.
    """

    _update_depends_on = (
        *("num_labels", "threshold", "multidim_average", "ignore_index", "validate_args"),
    )

    def __init__(
        self,
        num_labels: int,
        threshold: float = 0.5,
        average: str | None = "macro",
        multidim_average: str = "global",
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> None:
        zero_division = kwargs.pop("zero_division", 0)
        super().__init__(**kwargs)
        if validate_args:
            scores.check_multilabel_arguments(
                num_labels, threshold, average, multidim_average, ignore_index, zero_division
            )
        self.num_labels = num_labels
        self.threshold = threshold
        self.average = average
        self.multidim_average = multidim_average
        self.ignore_index = ignore_index
        self.validate_args = validate_args
        self.zero_division = zero_division
        self._create_state(num_labels, multidim_average)

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: scores or labels (N, L, ...), and targets of that shape."""
        how = (self.multidim_average, self.ignore_index)
        if self.validate_args:
            scores.check_multilabel_batch(preds, target, self.num_labels, *how, self._doubt)
        self._update_state(*scores.multilabel_scores(preds, target, self.threshold, *how))

    def compute(self) -> Tensor:
        """The value of all batches."""
        return self._value(self.average, multilabel=True)


class _StatScoresByTask(_ClassificationTaskWrapper):
    """The choice among three forms whose states are these counts."""

    _forms: tuple[Any, Any, Any]
    _needed = "`{name}` is expected to be `int` but `{kind} was passed.`"

    def __new__(  # type: ignore[misc]
        cls,
        task: str,
        threshold: float = 0.5,
        num_classes: int | None = None,
        num_labels: int | None = None,
        average: str | None = "micro",
        multidim_average: str = "global",
        top_k: int | None = 1,
        ignore_index: int | None = None,
        validate_args: bool = True,
        **kwargs: Any,
    ) -> Metric:
        given = (threshold, num_classes, num_labels, average, top_k)
        kwargs["multidim_average"] = multidim_average
        kwargs["ignore_index"] = ignore_index
        kwargs["validate_args"] = validate_args
        return cls._form(task, (), *given, **kwargs)

    @classmethod
    def _form(
        cls,
        task: str,
        leading: tuple[Any, ...],
        threshold: float,
        num_classes: int | None,
        num_labels: int | None,
        average: str | None,
        top_k: int | None,
        **kwargs: Any,
    ) -> Metric:
        kind = ClassificationTask.from_str(task)
        binary, multiclass, multilabel = cls._forms

        def check(name: str, value: Any) -> None:
            if not isinstance(value, int):
                raise ValueError(cls._needed.format(name=name, task=kind, kind=type(value)))

        made: Metric
        if kind is ClassificationTask.BINARY:
            made = binary(*leading, threshold, **kwargs)
        elif kind is ClassificationTask.MULTICLASS:
            check("num_classes", num_classes)
            check("top_k", top_k)
            made = multiclass(*leading, num_classes, top_k, average, **kwargs)
        else:
            check("num_labels", num_labels)
            made = multilabel(*leading, num_labels, threshold, average, **kwargs)
        return made


class StatScores(_StatScoresByTask):
    """The counts of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinaryStatScores, MulticlassStatScores, MultilabelStatScores)
