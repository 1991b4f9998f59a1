"""Hamming distance: the share of wrong answers."""

from __future__ import annotations

from flambeau.metrics.classification.stat_scores import (
    BinaryStatScores,
    MulticlassStatScores,
    MultilabelStatScores,
    _AbstractStatScores,
    _StatScoresByTask,
)
from flambeau.metrics.functional.classification.hamming import _hamming_distance_reduce


class _HammingDistance(_AbstractStatScores):
    """The share of wrong answers."""

    higher_is_better = False
    plot_lower_bound = 0.0
    plot_upper_bound = 1.0
    _reduce = staticmethod(_hamming_distance_reduce)


class BinaryHammingDistance(_HammingDistance, BinaryStatScores):
    """Binary form, for targets of 0 and 1; options as for `BinaryStatScores`."""


class MulticlassHammingDistance(_HammingDistance, MulticlassStatScores):
    """Multiclass form, for several classes; options as for `MulticlassStatScores`."""

    plot_legend_name = "Class"


class MultilabelHammingDistance(_HammingDistance, MultilabelStatScores):
    """Multilabel form, for several labels; options as for `MultilabelStatScores`."""

    plot_legend_name = "Label"


class HammingDistance(_StatScoresByTask):
    """The form of a task: "binary", "multiclass" or "multilabel"."""

    _forms = (BinaryHammingDistance, MulticlassHammingDistance, MultilabelHammingDistance)
