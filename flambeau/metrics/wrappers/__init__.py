"""Metrics around metrics."""

from __future__ import annotations

from flambeau.metrics.wrappers.abstract import WrapperMetric
from flambeau.metrics.wrappers.bootstrapping import BootStrapper
from flambeau.metrics.wrappers.classwise import ClasswiseWrapper
from flambeau.metrics.wrappers.minmax import MinMaxMetric
from flambeau.metrics.wrappers.multioutput import MultioutputWrapper
from flambeau.metrics.wrappers.multitask import MultitaskWrapper
from flambeau.metrics.wrappers.running import Running
from flambeau.metrics.wrappers.tracker import MetricTracker

__all__ = [
    "BootStrapper",
    "ClasswiseWrapper",
    "MetricTracker",
    "MinMaxMetric",
    "MultioutputWrapper",
    "MultitaskWrapper",
    "Running",
    "WrapperMetric",
]
