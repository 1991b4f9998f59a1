"""Specificity: the share of negatives that are found."""

from __future__ import annotations

from flambeau.metrics.classification.stat_scores import (
    BinaryStatScores,
    MulticlassStatScores,
    MultilabelStatScores,
    _AbstractStatScores,
    _StatScoresByTask,
)
from flambeau.metrics.functional.classification.specificity import _specificity_reduce


class _Specificity(_AbstractStatScores):
    """The share of negatives that are found."""

    higher_is_better = None
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _reduce = staticmethod(_specificity_reduce)


class BinarySpecificity(_Specificity, BinaryStatScores):
    """Binary form, for targets of 0 and 1; options as for `BinaryStatScores`."""


class MulticlassSpecificity(_Specificity, MulticlassStatScores):
    """Multiclass form, for several classes; options as for `MulticlassStatScores`."""

    plot_legend_name = "Class"


class MultilabelSpecificity(_Specificity, MultilabelStatScores):
    """Multilabel form, for several labels; options as for `MultilabelStatScores`."""

    plot_legend_name = "Label"


class Specificity(_StatScoresByTask):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinarySpecificity, MulticlassSpecificity, MultilabelSpecificity)
