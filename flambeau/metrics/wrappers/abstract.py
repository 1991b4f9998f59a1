"""WrapperMetric: what metrics around metrics have in common."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Module
from flambeau.metrics.metric import Metric


class WrapperMetric(Metric):
    """A metric whose updates and values are those of others: they count and keep themselves."""

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super(Module, cls).__init_subclass__(**kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """A subclass says what a batch gives."""
        raise NotImplementedError


def check_metric(metric: Any, what: str = "argument `metric`", verb: str = "got") -> None:
    """ValueError for what is no metric."""
    if not isinstance(metric, Metric):
        raise ValueError(
            f"Expected {what} to be an instance of `torchmetrics.Metric` but {verb} {metric}"
        )
