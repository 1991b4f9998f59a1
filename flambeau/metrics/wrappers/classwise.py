"""ClasswiseWrapper: the values of the classes by name."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.metric import Metric
from flambeau.metrics.wrappers.abstract import WrapperMetric, check_metric


class ClasswiseWrapper(WrapperMetric):
    """A metric with a value for each class, as a dictionary {prefix + label + postfix: value}.

    ValueError for what is no metric and for labels, prefixes and postfixes that are no strings.
    """

    def __init__(
        self,
        metric: Metric,
        labels: list[str] | None = None,
        prefix: str | None = None,
        postfix: str | None = None,
    ) -> None:
        super().__init__()
        check_metric(metric)
        if labels is not None and not (
            isinstance(labels, list) and all(isinstance(label, str) for label in labels)
        ):
            raise ValueError(
                "Expected argument `labels` to either be `None` or a list of strings but got "
                f"{labels}"
            )
        for name, part in (("prefix", prefix), ("postfix", postfix)):
            if part is not None and not isinstance(part, str):
                raise ValueError(
                    f"Expected argument `{name}` to either be `None` or a string but got {part}"
                )
        self.metric = metric
        self.labels = labels
        self._prefix = prefix
        self._postfix = postfix
        self._update_count = 1

    @property
    def higher_is_better(self) -> bool | None:  # type: ignore[override]
        """As for the metric."""
        return self.metric.higher_is_better

    def _filter_kwargs(self, **kwargs: Any) -> dict[str, Any]:
        return self.metric._filter_kwargs(**kwargs)

    def _convert_output(self, x: Tensor) -> dict[str, Any]:
        before, after = self._prefix or "", self._postfix or ""
        if not before and not after:
            before = f"{type(self.metric).__name__.lower()}_"
        labels: Any = range(len(x)) if self.labels is None else self.labels
        return {f"{before}{label}{after}": value for label, value in zip(labels, x)}

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Updates the metric; the values of this batch."""
        return self._convert_output(self.metric(*args, **kwargs))

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates the metric."""
        self.metric.update(*args, **kwargs)

    def compute(self) -> dict[str, Any]:
        """The values of the classes."""
        return self._convert_output(self.metric.compute())

    def reset(self) -> None:
        """Resets the metric."""
        self.metric.reset()
