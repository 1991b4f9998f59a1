"""The functions of the metrics, without states."""

from __future__ import annotations

from flambeau.metrics.functional import classification as classification
from flambeau.metrics.functional.classification import (
    accuracy,
    f1_score,
    fbeta_score,
    hamming_distance,
    negative_predictive_value,
    precision,
    recall,
    specificity,
    stat_scores,
)
