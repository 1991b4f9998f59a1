"""MetricTracker: the values of a metric over several runs, such as epochs."""

from __future__ import annotations

import copy
from typing import Any

from flambeau.metrics._torch import ModuleList, Tensor, stack
from flambeau.metrics.collections import MetricCollection
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.prints import rank_zero_warn
from flambeau.metrics.wrappers.classwise import ClasswiseWrapper

_NESTED = (
    "Encountered nested structure. You are probably using a metric collection inside a metric "
    "collection, or a metric wrapper inside a metric collection, which is not supported by "
    "`.best_metric()` method. Returning `None` instead."
)


def _direction(metric: Any, name: str) -> bool:
    if getattr(metric, "higher_is_better", None) is None:
        raise AttributeError(
            f"The metric '{name}'{{}} does not have a 'higher_is_better' attribute. Please "
            "provide the `maximize` argument explicitly."
        )
    return bool(metric.higher_is_better)


def _directions(metric: Any) -> bool | list[bool]:
    """Which way is better, as the metrics themselves say."""
    if isinstance(metric, Metric):
        try:
            return _direction(metric, type(metric).__name__)
        except AttributeError as error:
            raise AttributeError(str(error).format("")) from None
    found: list[bool] = []
    for name, member in metric.items():
        try:
            better = _direction(member, name)
        except AttributeError as error:
            raise AttributeError(str(error).format(" in the MetricCollection")) from None
        classes = getattr(getattr(member, "metric", None), "num_classes", None)
        split = isinstance(member, ClasswiseWrapper) and isinstance(classes, int)
        found += [better] * (classes if split else 1)  # type: ignore[operator]
    return found


def _check_maximize(maximize: Any, metric: Any) -> None:
    if not isinstance(maximize, (bool, list)):
        raise ValueError("Argument `maximize` should either be a single bool or list of bool")
    if isinstance(maximize, list) and not all(isinstance(m, bool) for m in maximize):
        raise ValueError("Argument `maximize` is list but not type of bool.")
    if (
        isinstance(maximize, list)
        and isinstance(metric, MetricCollection)
        and len(maximize) != len(metric)
    ):
        raise ValueError(
            "The len of argument `maximize` should match the length of the metric collection"
        )
    if isinstance(metric, Metric) and not isinstance(maximize, bool):
        raise ValueError(
            "Argument `maximize` should be a single bool when `metric` is a single Metric"
        )


class MetricTracker(ModuleList):
    """A copy of a metric (or collection) for each step that `increment` begins.

    ValueError for calls before the first `increment` and for a `maximize` that does not fit.
    """

    def __init__(self, metric: Any, maximize: bool | list[bool] | None = None) -> None:
        super().__init__()
        if not isinstance(metric, (Metric, MetricCollection)):
            raise TypeError(
                "Metric arg need to be an instance of a torchmetrics `Metric` or "
                f"`MetricCollection` but got {metric}"
            )
        self._base_metric = metric
        if maximize is None:
            self.maximize = _directions(metric)
        else:
            _check_maximize(maximize, metric)
            self.maximize = maximize
        self._increment_called = False

    def _steps(self) -> list[Any]:
        return [m for name, m in self._modules.items() if name != "_base_metric"]

    def __len__(self) -> int:
        return len(self._modules)

    @property
    def n_steps(self) -> int:
        """How often `increment` was called."""
        return len(self._steps())

    def increment(self) -> None:
        """Begins a step."""
        self._increment_called = True
        self.add_module(str(len(self._modules)), copy.deepcopy(self._base_metric))

    def _current(self, method: str) -> Any:
        if not self._increment_called:
            raise ValueError(f"`{method}` cannot be called before `.increment()` has been called.")
        return self._steps()[-1]

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Updates the current metric; its value for this batch."""
        return self._current("forward")(*args, **kwargs)

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates the current metric."""
        self._current("update").update(*args, **kwargs)

    def compute(self) -> Any:
        """The value of the current metric."""
        return self._current("compute").compute()

    def compute_all(self) -> Any:
        """The values of all steps, stacked; a list where they cannot be."""
        self._current("compute_all")
        values = [metric.compute() for metric in self._steps()]
        try:
            if isinstance(values[0], dict):
                return {key: stack([value[key] for value in values]) for key in values[0]}
            if isinstance(values[0], list):
                return stack([stack(value) for value in values])
            return stack(values)
        except TypeError:
            return values

    def reset(self) -> None:
        """Resets the current metric."""
        (self._steps() or [self._base_metric])[-1].reset()

    def reset_all(self) -> None:
        """Resets the metrics of all steps."""
        for metric in (self._base_metric, *self._steps()):
            metric.reset()

    def best_metric(self, return_step: bool = False) -> Any:
        """The best value (of each metric of a collection), and with `return_step` where it was."""
        found = self.compute_all()
        if isinstance(found, list):
            rank_zero_warn(_NESTED)
            return (None, None) if return_step else None
        single = isinstance(self._base_metric, Metric)
        if single and not isinstance(self._base_metric, ClasswiseWrapper):
            value, step = self._best(found, bool(self.maximize), "")
            return (value, step) if return_step else value
        better = self.maximize
        if not isinstance(better, list):
            better = [better] * len(found)
        pairs = {
            key: self._best(values, way, f" for metric {key}:")
            for (key, values), way in zip(found.items(), better)
        }
        best = {key: pair[0] for key, pair in pairs.items()}
        return (best, {key: pair[1] for key, pair in pairs.items()}) if return_step else best

    @staticmethod
    def _best(values: Tensor, largest: bool, what: str) -> tuple[Any, Any]:
        try:
            value, step = values.max(dim=0) if largest else values.min(dim=0)
            return value.item(), step.item()
        except (ValueError, RuntimeError) as error:
            rank_zero_warn(
                f"Encountered the following error when trying to get the best metric{what or ': '}"
                f"{error}this is probably due to the 'best' not being defined for this metric."
                "Returning `None` instead.",
                UserWarning,
            )
            return None, None
