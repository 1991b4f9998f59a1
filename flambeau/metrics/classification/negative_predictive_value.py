"""Negative predictive value: the share of negative answers that are right."""

from __future__ import annotations

from flambeau.metrics.classification.stat_scores import (
    BinaryStatScores,
    MulticlassStatScores,
    MultilabelStatScores,
    _AbstractStatScores,
    _StatScoresByTask,
)
from flambeau.metrics.functional.classification.negative_predictive_value import (
    _negative_predictive_value_reduce,
)


class _NegativePredictiveValue(_AbstractStatScores):
    """The share of negative answers that are right."""

    higher_is_better = None
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _reduce = staticmethod(_negative_predictive_value_reduce)
    _options = ("zero_division",)


class BinaryNegativePredictiveValue(_NegativePredictiveValue, BinaryStatScores):
    """Binary form, for targets of 0 and 1; options as for `BinaryStatScores`."""


class MulticlassNegativePredictiveValue(_NegativePredictiveValue, MulticlassStatScores):
    """Multiclass form, for several classes; options as for `MulticlassStatScores`."""

    plot_legend_name = "Class"


class MultilabelNegativePredictiveValue(_NegativePredictiveValue, MultilabelStatScores):
    """Multilabel form, for several labels; options as for `MultilabelStatScores`."""

    plot_legend_name = "Label"


class NegativePredictiveValue(_StatScoresByTask):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (
        BinaryNegativePredictiveValue,
        MulticlassNegativePredictiveValue,
        MultilabelNegativePredictiveValue,
    )
