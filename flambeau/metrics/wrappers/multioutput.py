"""MultioutputWrapper: a metric for each output of a regression."""

from __future__ import annotations

import copy
import functools
from typing import Any

from flambeau.metrics._torch import ModuleList, Tensor, stack
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import mapped
from flambeau.metrics.wrappers.abstract import WrapperMetric


class MultioutputWrapper(WrapperMetric):
    """`num_outputs` copies of a metric, each for one index of `output_dim`.

    `remove_nans` leaves out rows with NaN, which reads the batch.
    """

    is_differentiable = False

    def __init__(
        self,
        base_metric: Metric,
        num_outputs: int,
        output_dim: int = -1,
        remove_nans: bool = True,
        squeeze_outputs: bool = True,
    ) -> None:
        super().__init__()
        self.metrics = ModuleList([copy.deepcopy(base_metric) for _ in range(num_outputs)])
        self.output_dim = output_dim
        self.remove_nans = remove_nans
        self.squeeze_outputs = squeeze_outputs

    def _outputs(self, args: Any, kwargs: Any) -> list[tuple[Any, Any]]:
        made = []
        for i in range(len(self.metrics)):
            part = mapped((args, kwargs), functools.partial(self._output, i))
            if self.remove_nans:
                part = self._without_nan(part)
            if self.squeeze_outputs:
                part = mapped(part, lambda x: x.squeeze(self.output_dim))
            made.append(part)
        return made

    def _output(self, i: int, x: Tensor) -> Tensor:
        return x.narrow(self.output_dim, i, 1)

    def _without_nan(self, part: Any) -> Any:
        found: list[Tensor] = []
        mapped(part, lambda x: found.append(x.flatten(start_dim=1).isnan().any(dim=1)))
        if not found:
            raise ValueError("Must pass at least one tensor as argument")
        wrong = found[0]
        for more in found[1:]:
            wrong = wrong | more
        return mapped(part, lambda x: x[~wrong])

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates the metric of each output."""
        for metric, (some, named) in zip(self.metrics, self._outputs(args, kwargs)):
            metric.update(*some, **named)

    def compute(self) -> Tensor:
        """The values of the outputs."""
        return stack([metric.compute() for metric in self.metrics], 0)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Updates the metric of each output; the values of this batch."""
        pairs = zip(self.metrics, self._outputs(args, kwargs))
        values = [metric(*some, **named) for metric, (some, named) in pairs]
        return None if values[0] is None else stack(values, 0)

    def reset(self) -> None:
        """Resets the metric of each output."""
        for metric in self.metrics:
            metric.reset()
        super().reset()
