"""Accuracy: the share of right answers."""

from __future__ import annotations

from flambeau.metrics.classification.stat_scores import (
    BinaryStatScores,
    MulticlassStatScores,
    MultilabelStatScores,
    _AbstractStatScores,
    _StatScoresByTask,
)
from flambeau.metrics.functional.classification.accuracy import _accuracy_reduce


class _Accuracy(_AbstractStatScores):
    """The share of right answers."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _reduce = staticmethod(_accuracy_reduce)


class BinaryAccuracy(_Accuracy, BinaryStatScores):
    """Binary form, for targets of 0 and 1; options as for `BinaryStatScores`."""


class MulticlassAccuracy(_Accuracy, MulticlassStatScores):
    """Multiclass form, for several classes; options as for `MulticlassStatScores`."""

    plot_legend_name = "Class"


class MultilabelAccuracy(_Accuracy, MultilabelStatScores):
    """Multilabel form, for several labels; options as for `MultilabelStatScores`."""

    plot_legend_name = "Label"


class Accuracy(_StatScoresByTask):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinaryAccuracy, MulticlassAccuracy, MultilabelAccuracy)
    _needed = "Optional arg `{name}` must be type `int` when task is {task}. Got {kind}"
