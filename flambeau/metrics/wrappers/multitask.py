"""MultitaskWrapper: metrics for each of several tasks."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

from flambeau.metrics._torch import ModuleDict
from flambeau.metrics.collections import MetricCollection
from flambeau.metrics.metric import Metric
from flambeau.metrics.wrappers.abstract import WrapperMetric


class MultitaskWrapper(WrapperMetric):
    """A metric or collection for each task; predictions and targets are dictionaries by task.

    TypeError for what is no dictionary of metrics, ValueError for keys that do not fit.
    """

    is_differentiable = False

    def __init__(
        self, task_metrics: Any, prefix: str | None = None, postfix: str | None = None
    ) -> None:
        super().__init__()
        if not isinstance(task_metrics, dict):
            raise TypeError(
                "Expected argument `task_metrics` to be a dict. Found task_metrics = "
                f"{task_metrics}"
            )
        for metric in task_metrics.values():
            if not isinstance(metric, (Metric, MetricCollection)):
                raise TypeError(
                    "Expected each task's metric to be a Metric or a MetricCollection. Found a "
                    f"metric of type {type(metric)}"
                )
        for name, part in (("prefix", prefix), ("postfix", postfix)):
            if part is not None and not isinstance(part, str):
                raise ValueError(
                    f"Expected argument `{name}` to either be `None` or a string but got {part}"
                )
        self.task_metrics = ModuleDict(task_metrics)
        self._prefix = prefix or ""
        self._postfix = postfix or ""

    def _named(self, values: dict[str, Any]) -> dict[str, Any]:
        return {f"{self._prefix}{task}{self._postfix}": value for task, value in values.items()}

    def items(self, flatten: bool = True) -> Iterator[tuple[str, Any]]:
        """Names and metrics; those in collections one by one if `flatten`."""
        for task, metric in self.task_metrics.items():
            if flatten and isinstance(metric, MetricCollection):
                for name, part in metric.items():
                    yield f"{self._prefix}{task}_{name}{self._postfix}", part
            else:
                yield f"{self._prefix}{task}{self._postfix}", metric

    def keys(self, flatten: bool = True) -> Iterator[str]:
        """The names, see `items`."""
        return (name for name, _ in self.items(flatten))

    def values(self, flatten: bool = True) -> Iterator[Any]:
        """The metrics, see `items`."""
        return (metric for _, metric in self.items(flatten))

    def update(self, task_preds: dict[str, Any], task_targets: dict[str, Any]) -> None:
        """Updates the metric of each task."""
        if not self.task_metrics.keys() == task_preds.keys() == task_targets.keys():
            raise ValueError(
                "Expected arguments `task_preds` and `task_targets` to have the same keys as the "
                f"wrapped `task_metrics`. Found task_preds.keys() = {task_preds.keys()}, "
                f"task_targets.keys() = {task_targets.keys()} and self.task_metrics.keys() = "
                f"{self.task_metrics.keys()}"
            )
        for task, metric in self._metrics():
            metric.update(task_preds[task], task_targets[task])

    def _metrics(self) -> list[tuple[str, Any]]:
        return list(self.task_metrics.items())

    def compute(self) -> dict[str, Any]:
        """The values of the tasks."""
        return self._named({task: metric.compute() for task, metric in self._metrics()})

    def forward(self, task_preds: dict[str, Any], task_targets: dict[str, Any]) -> Any:
        """Updates the metric of each task; the values of this batch."""
        return self._named(
            {task: metric(task_preds[task], task_targets[task]) for task, metric in self._metrics()}
        )

    def reset(self) -> None:
        """Resets the metric of each task."""
        for _, metric in self._metrics():
            metric.reset()
        super().reset()

    def clone(self, prefix: str | None = None, postfix: str | None = None) -> Any:
        """A copy that shares nothing with this metric, under other names."""
        made = copy.deepcopy(self)
        made._prefix = MetricCollection._check_arg(prefix, "prefix") or ""
        made._postfix = MetricCollection._check_arg(postfix, "prefix") or ""
        return made
