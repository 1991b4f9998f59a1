"""The distance of Minkowski."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.utilities.checks import check_same_shape
from flambeau.metrics.utilities.exceptions import TorchMetricsUserError


def check_power(p: Any) -> None:
    """TorchMetricsUserError for powers below 1."""
    if not (isinstance(p, (float, int)) and p >= 1):
        raise TorchMetricsUserError(
            f"Argument ``p`` must be a float or int greater than 1, but got {p}"
        )


def _minkowski_distance_update(preds: Tensor, targets: Tensor, p: float) -> Tensor:
    """The sum of |error|^p."""
    check_same_shape(preds, targets)
    check_power(p)
    return ((preds - targets).abs() ** p).sum()


def minkowski_distance(preds: Tensor, targets: Tensor, p: float) -> Tensor:
    """The sum of |error|^p to the power 1/p. RuntimeError, TorchMetricsUserError."""
    return _minkowski_distance_update(preds, targets, p) ** (1.0 / p)
