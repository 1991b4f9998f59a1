"""BootStrapper: how much a metric varies between samples of its data."""

from __future__ import annotations

import copy
import functools
from typing import Any

from flambeau.metrics._torch import (
    ModuleList,
    Tensor,
    arange,
    int64,
    multinomial,
    ones,
    poisson,
    stack,
)
from flambeau.metrics.metric import Metric
from flambeau.metrics.utilities.data import mapped
from flambeau.metrics.wrappers.abstract import WrapperMetric, check_metric


def _sample(size: int, strategy: str) -> Tensor:
    if strategy == "poisson":
        return arange(size).repeat_interleave(poisson(ones(size)).to(int64), dim=0)
    return multinomial(ones(size), num_samples=size, replacement=True)


def _chosen(index: Tensor, x: Tensor) -> Tensor:
    return x.index_select(0, index)


class BootStrapper(WrapperMetric):
    """Copies of a metric, each updated with another sample of every batch.

    `compute` returns a dictionary with the "mean", "std", "quantile" and "raw" values that were
    asked for. ValueError for other sampling strategies than "poisson" and "multinomial".
    """

    full_state_update = True

    def __init__(
        self,
        base_metric: Metric,
        num_bootstraps: int = 10,
        mean: bool = True,
        std: bool = True,
        quantile: float | Tensor | None = None,
        raw: bool = False,
        sampling_strategy: str = "poisson",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_metric(base_metric, "base metric", "received")
        self.metrics = ModuleList([copy.deepcopy(base_metric) for _ in range(num_bootstraps)])
        self.num_bootstraps = num_bootstraps
        self.mean = mean
        self.std = std
        self.quantile = quantile
        self.raw = raw
        allowed = ("poisson", "multinomial")
        if sampling_strategy not in allowed:
            raise ValueError(
                f"Expected argument ``sampling_strategy`` to be one of {allowed} but received "
                f"{sampling_strategy}"
            )
        self.sampling_strategy = sampling_strategy

    def update(self, *args: Any, **kwargs: Any) -> None:
        """Updates every copy. ValueError where no argument is a tensor."""
        sizes: list[int] = []
        mapped((args, kwargs), lambda x: sizes.append(len(x)))
        if not sizes:
            raise ValueError(
                "None of the input contained tensors, so could not determine the sampling size"
            )
        for metric in self.metrics:
            index = _sample(sizes[0], self.sampling_strategy)
            if index.numel():
                some, named = mapped((args, kwargs), functools.partial(_chosen, index))
                metric.update(*some, **named)

    def compute(self) -> dict[str, Tensor]:
        """The statistics of the values of the copies."""
        values = stack([metric.compute() for metric in self.metrics], 0)
        made: dict[str, Tensor] = {}
        if self.mean:
            made["mean"] = values.mean(dim=0)
        if self.std:
            made["std"] = values.std(dim=0)
        if self.quantile is not None:
            made["quantile"] = values.quantile(self.quantile)
        if self.raw:
            made["raw"] = values
        return made

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """Updates every copy; the statistics of this batch."""
        return Metric.forward(self, *args, **kwargs)

    def reset(self) -> None:
        """Resets every copy."""
        for metric in self.metrics:
            metric.reset()
        super().reset()
