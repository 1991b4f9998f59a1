"""What the classification metrics share: the choice of a form by `task`."""

from __future__ import annotations

from typing import Any

from flambeau.metrics.metric import Metric


class _ClassificationTaskWrapper(Metric):
    """A name that stands for the forms of a metric: making it makes the form of a task."""

    def update(self, *args: Any, **kwargs: Any) -> None:
        """NotImplementedError: the forms update."""
        raise NotImplementedError(
            f"{type(self).__name__} metric does not have a global `update` method. "
            "Use the task specific metric."
        )

    def compute(self) -> None:
        """NotImplementedError: the forms compute."""
        raise NotImplementedError(
            f"{type(self).__name__} metric does not have a global `compute` method. "
            "Use the task specific metric."
        )
