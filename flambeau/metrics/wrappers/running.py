"""Running: a metric of the last updates only."""

from __future__ import annotations

from typing import Any

from flambeau.metrics.metric import Metric
from flambeau.metrics.wrappers.abstract import WrapperMetric, check_metric


class Running(WrapperMetric):
    """The value of a metric over its last `window` updates.

    ValueError for a window that is not positive and for metrics whose states cannot be merged.
    """

    def __init__(self, base_metric: Metric, window: int = 5) -> None:
        super().__init__()
        check_metric(base_metric)
        if not (isinstance(window, int) and window > 0):
            raise ValueError(
                f"Expected argument `window` to be a positive integer but got {window}"
            )
        self.base_metric = base_metric
        self.window = window
        if base_metric.full_state_update is not False:
            raise ValueError(
                "Expected attribute `full_state_update` set to `False` but got "
                f"{base_metric.full_state_update}"
            )
        self._num_vals_seen = 0
        for name, default in base_metric._defaults.items():
            for i in range(window):
                self.add_state(f"{name}_{i}", default, base_metric._reductions[name])

    def _keep(self) -> None:
        place = self._num_vals_seen % self.window
        for name, state in self.base_metric.metric_state.items():
            setattr(self, f"{name}_{place}", state)
        self.base_metric.reset()
        self._num_vals_seen += 1
        self._computed = None

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Adds a batch in the place of the oldest."""
        self.base_metric.update(*args, **kwargs)
        self._keep()

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Adds a batch in the place of the oldest and returns its value."""
        value = self.base_metric(*args, **kwargs)
        self._keep()
        return value

    def compute(self) -> Any:
        """The value of the batches in the window."""
        base = self.base_metric
        for i in range(self.window):
            part = {name: getattr(self, f"{name}_{i}") for name in base._defaults}
            base._take(base._merged(part, base.metric_state, self._num_vals_seen), 0)
        base._update_count = self._num_vals_seen
        value = base.compute()
        base.reset()
        return value

    def reset(self) -> None:
        """Forgets all batches."""
        super().reset()
        self._num_vals_seen = 0
