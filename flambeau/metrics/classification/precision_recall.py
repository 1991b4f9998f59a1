"""Precision and recall."""

from __future__ import annotations

from flambeau.metrics.classification.stat_scores import (
    BinaryStatScores,
    MulticlassStatScores,
    MultilabelStatScores,
    _AbstractStatScores,
    _StatScoresByTask,
)
from flambeau.metrics.functional.classification.precision_recall import (
    _precision_reduce,
    _recall_reduce,
)


class _Precision(_AbstractStatScores):
    """The share of positive answers that are right."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _reduce = staticmethod(_precision_reduce)
    _options = ("zero_division",)


class BinaryPrecision(_Precision, BinaryStatScores):
    """Binary form, for targets of 0 and 1; options as for `BinaryStatScores`."""


class MulticlassPrecision(_Precision, MulticlassStatScores):
    """Multiclass form, for several classes; options as for `MulticlassStatScores`."""

    plot_legend_name = "Class"


class MultilabelPrecision(_Precision, MultilabelStatScores):
    """Multilabel form, for several labels; options as for `MultilabelStatScores`."""

    plot_legend_name = "Label"


class Precision(_StatScoresByTask):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinaryPrecision, MulticlassPrecision, MultilabelPrecision)


class _Recall(_AbstractStatScores):
    """The share of positives that are found."""

    higher_is_better = True
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _reduce = staticmethod(_recall_reduce)
    _options = ("zero_division",)


class BinaryRecall(_Recall, BinaryStatScores):
    """Binary form, for targets of 0 and 1; options as for `BinaryStatScores`."""


class MulticlassRecall(_Recall, MulticlassStatScores):
    """Multiclass form, for several classes; options as for `MulticlassStatScores`."""

    plot_legend_name = "Class"


class MultilabelRecall(_Recall, MultilabelStatScores):
    """Multilabel form, for several labels; options as for `MultilabelStatScores`."""

    plot_legend_name = "Label"


class Recall(_StatScoresByTask):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinaryRecall, MulticlassRecall, MultilabelRecall)
