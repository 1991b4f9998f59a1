"""Negative predictive value: the share of negative answers that are right."""

from __future__ import annotations

from flambeau.metrics.functional.classification.family import family_with_zero
from flambeau.metrics.utilities.compute import reducer

_negative_predictive_value_reduce = reducer("tn", "fn")

(
    binary_negative_predictive_value,
    multiclass_negative_predictive_value,
    multilabel_negative_predictive_value,
    negative_predictive_value,
) = family_with_zero(
    "negative_predictive_value",
    "share of negative answers that are right",
    _negative_predictive_value_reduce,
)
