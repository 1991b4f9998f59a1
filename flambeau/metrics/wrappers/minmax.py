"""MinMaxMetric: the smallest and largest value that a metric has had."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.metric import Metric
from flambeau.metrics.wrappers.abstract import WrapperMetric, check_metric


class MinMaxMetric(WrapperMetric):
    """The value of a metric ("raw"), and the extremes of its values at each `compute`."""

    full_state_update = True
    min_val: Tensor
    max_val: Tensor

    def __init__(self, base_metric: Metric, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        check_metric(base_metric, "base metric", "received")
        self._base_metric = base_metric
        self.min_val = tensor(float("inf"))
        self.max_val = tensor(float("-inf"))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates the metric."""
        self._base_metric.update(*args, **kwargs)

    def compute(self) -> dict[str, Any]:
        """RuntimeError where the metric's value is not one number."""
        value = self._base_metric.compute()
        if isinstance(value, (int, float)):
            value = tensor(float(value))
        if not (isinstance(value, Tensor) and value.numel() == 1):
            raise RuntimeError(
                "Returned value from base metric should be a float or scalar tensor, but got "
                f"{value}."
            )
        self.max_val = value.maximum(self.max_val)
        self.min_val = value.minimum(self.min_val)
        return {"raw": value, "max": self.max_val, "min": self.min_val}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Updates the metric; its value for this batch and the extremes."""
        return Metric.forward(self, *args, **kwargs)

    def reset(self) -> None:
        """Resets the metric; the extremes stay."""
        super().reset()
        self._base_metric.reset()
