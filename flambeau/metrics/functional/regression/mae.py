"""The mean absolute error."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.sums import paired


def _mean_absolute_error_update(
    preds: Tensor, target: Tensor, num_outputs: int
) -> tuple[Tensor, int]:
    """The sum of absolute errors over the samples, and of how many."""
    preds, target = paired(preds, target, num_outputs)
    return (preds - target).abs().sum(dim=0), target.shape[0]


def mean_absolute_error(preds: Tensor, target: Tensor, num_outputs: int = 1) -> Tensor:
    """The mean absolute error of each output. RuntimeError for shapes that differ."""
    total, count = _mean_absolute_error_update(preds, target, num_outputs)
    return total / count
