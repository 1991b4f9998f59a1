"""The ratio of an image's peak signal to its noise, in decibels."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor, cat, tensor
from flambeau.metrics.functional.image.psnr import (
    _psnr_compute,
    _psnr_update,
    check_reduction,
    clamped,
)
from flambeau.metrics.metric import Metric


class PeakSignalNoiseRatio(Metric):
    """The ratio of images of values in `data_range` (an extent, or two ends), in decibels.

    With `dim` it is that of each index of the other dimensions, reduced by `reduction`.
    """

    is_differentiable = True
    higher_is_better = True
    full_state_update = False
    plot_lower_bound = 0.0
    sum_squared_error: Any
    total: Any
    data_range: Tensor

    def __init__(
        self,
        data_range: Any,
        base: float = 10.0,
        reduction: str | None = "elementwise_mean",
        dim: Any = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        check_reduction(reduction, dim)
        whole = dim is None
        self.add_state("sum_squared_error", tensor(0.0) if whole else [], "sum" if whole else "cat")
        self.add_state("total", tensor(0) if whole else [], "sum" if whole else "cat")
        self.add_state("data_range", tensor(clamped(data_range)[0]), dist_reduce_fx="mean")
        self._range = data_range
        self.base = base
        self.reduction = reduction
        self.dim = tuple(dim) if isinstance(dim, (list, tuple)) else dim

    def update(self, preds: Tensor, target: Tensor) -> None:
        """Adds a batch: images and targets of one shape."""
        _, (preds, target) = clamped(self._range, preds, target)
        squares, count = _psnr_update(preds, target, self.dim)
        if self.dim is None:
            self.sum_squared_error += squares
            self.total += count
        else:
            self.sum_squared_error.append(squares)
            self.total.append(count)

    def compute(self) -> Tensor:
        """The value of all batches."""
        squares, count = (
            cat([part.flatten() for part in state]) if isinstance(state, list) else state
            for state in (self.sum_squared_error, self.total)
        )
        return _psnr_compute(squares, count, self.data_range, self.base, self.reduction)
