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
    Accuracy,
    F1Score,
    FBetaScore,
    HammingDistance,
    NegativePredictiveValue,
    Precision,
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
    "BootStrapper",
    "CatMetric",
    "ClasswiseWrapper",
    "MaxMetric",
    "MeanMetric",
    "Metric",
    "MetricCollection",
    "MetricTracker",
    "MinMaxMetric",
    "MinMetric",
    "MultioutputWrapper",
    "RunningMean",
    "RunningSum",
    "SumMetric",
]
