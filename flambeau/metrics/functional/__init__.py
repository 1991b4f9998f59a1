"""The functions of the metrics, without states."""

from __future__ import annotations

from flambeau.metrics.functional import classification
from flambeau.metrics.functional.classification import (
    accuracy,
    auroc,
    average_precision,
    calibration_error,
    cohen_kappa,
    confusion_matrix,
    exact_match,
    f1_score,
    fbeta_score,
    hamming_distance,
    hinge_loss,
    jaccard_index,
    matthews_corrcoef,
    negative_predictive_value,
    precision,
    precision_recall_curve,
    recall,
    roc,
    specificity,
    stat_scores,
)

__all__ = [
    "accuracy",
    "auroc",
    "average_precision",
    "calibration_error",
    "classification",
    "cohen_kappa",
    "confusion_matrix",
    "exact_match",
    "f1_score",
    "fbeta_score",
    "hamming_distance",
    "hinge_loss",
    "jaccard_index",
    "matthews_corrcoef",
    "negative_predictive_value",
    "precision",
    "precision_recall_curve",
    "recall",
    "roc",
    "specificity",
    "stat_scores",
]
