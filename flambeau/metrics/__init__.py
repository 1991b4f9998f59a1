"""torchmetrics: metrics with states, and their functions in `functional`."""

from __future__ import annotations

from flambeau.metrics import functional
from flambeau.metrics.aggregation import (
    CatMetric,
    MaxMetric,
    MeanMetric,
    MinMetric,
    RunningMean,
    RunningSum,
    SumMetric,
)
from flambeau.metrics.classification import (
    AUROC,
    ROC,
    Accuracy,
    AveragePrecision,
    CalibrationError,
    CohenKappa,
    ConfusionMatrix,
    ExactMatch,
    F1Score,
    FBetaScore,
    HammingDistance,
    HingeLoss,
    JaccardIndex,
    MatthewsCorrCoef,
    NegativePredictiveValue,
    Precision,
    PrecisionRecallCurve,
    Recall,
    Specificity,
    StatScores,
)
from flambeau.metrics.collections import MetricCollection
from flambeau.metrics.metric import Metric
from flambeau.metrics.wrappers import (
    BootStrapper,
    ClasswiseWrapper,
    MetricTracker,
    MinMaxMetric,
    MultioutputWrapper,
)

__version__ = "1.9.0"

__all__ = [
    "AUROC",
    "Accuracy",
    "AveragePrecision",
    "BootStrapper",
    "CalibrationError",
    "CatMetric",
    "ClasswiseWrapper",
    "CohenKappa",
    "ConfusionMatrix",
    "ExactMatch",
    "F1Score",
    "FBetaScore",
    "HammingDistance",
    "HingeLoss",
    "JaccardIndex",
    "MatthewsCorrCoef",
    "MaxMetric",
    "MeanMetric",
    "Metric",
    "MetricCollection",
    "MetricTracker",
    "MinMaxMetric",
    "MinMetric",
    "MultioutputWrapper",
    "NegativePredictiveValue",
    "Precision",
    "PrecisionRecallCurve",
    "ROC",
    "Recall",
    "RunningMean",
    "RunningSum",
    "Specificity",
    "StatScores",
    "SumMetric",
    "functional",
]
