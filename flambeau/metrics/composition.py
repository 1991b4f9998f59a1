"""CompositionalMetric: an operator applied to the values of one or two metrics."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.metric import Metric
from flambeau.metrics.watching import unwatched


class CompositionalMetric(Metric):
    """`operator(metric_a, metric_b)`; either may be a number or a tensor, the second None.

    Updating it updates its metrics; arguments by name go to those that take them.
    """

    def __init__(self, operator: Callable[..., Any], metric_a: Any, metric_b: Any) -> None:
        super().__init__()
        self.op = operator
        for name, part in (("metric_a", metric_a), ("metric_b", metric_b)):
            if isinstance(part, Tensor):
                self.register_buffer(name, part, persistent=False)
            else:
                setattr(self, name, part)

    def _metrics(self) -> list[Metric]:
        return [part for part in (self.metric_a, self.metric_b) if isinstance(part, Metric)]

    def _sync_dist(self, gather: Callable[..., Any], group: Any = None) -> None:
        """Nothing: its metrics synchronise themselves."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates its metrics."""
        for metric in self._metrics():
            metric.update(*args, **metric._filter_kwargs(**kwargs))

    @unwatched  # the values of its metrics change behind its back
    def compute(self) -> Any:
        """The operator applied to the values of its metrics."""
        return self._applied(lambda metric: metric.compute())

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Updates its metrics; the operator applied to their values for this batch."""
        value = self._applied(lambda metric: metric(*args, **metric._filter_kwargs(**kwargs)))
        self._forward_cache = value
        return value

    def _applied(self, valued: Callable[[Metric], Any]) -> Any:
        a, b = (
            valued(part) if isinstance(part, Metric) else part
            for part in (self.metric_a, self.metric_b)
        )
        if a is None or (b is None and isinstance(self.metric_b, Metric)):
            return None
        return self.op(a) if b is None else self.op(a, b)

    def reset(self) -> None:
        """Resets its metrics."""
        for metric in self._metrics():
            metric.reset()

    def persistent(self, mode: bool = False) -> None:
        """Whether the states of its metrics are part of `state_dict()`."""
        for metric in self._metrics():
            metric.persistent(mode)

    def __repr__(self) -> str:
        parts = f"(\n  {self.op.__name__}(\n    {self.metric_a!r},\n    {self.metric_b!r}\n  )\n)"
        return type(self).__name__ + parts
