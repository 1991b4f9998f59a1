"""Precision (the share of positive answers that are right), recall (of positives found)."""

from __future__ import annotations

from flambeau.metrics.functional.classification.family import family_with_zero
from flambeau.metrics.utilities.compute import reducer

_precision_reduce = reducer("tp", "fp")
_recall_reduce = reducer("tp", "fn")

binary_precision, multiclass_precision, multilabel_precision, precision = family_with_zero(
    "precision", "share of positive answers that are right", _precision_reduce
)
binary_recall, multiclass_recall, multilabel_recall, recall = family_with_zero(
    "recall", "share of positives that are found", _recall_reduce
)
