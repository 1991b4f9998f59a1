"""The mean of log(cosh(error))."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression.sums import check_outputs, outputs_of


def _log_cosh_error_update(preds: Tensor, target: Tensor, num_outputs: int) -> tuple[Tensor, int]:
    """The sum over the samples, and of how many."""
    check_outputs(preds, target, num_outputs)
    error = preds - target
    value: Any = ((error.exp() + (-error).exp()) / 2).log()
    return value.sum(0).squeeze(), target.shape[0]


def log_cosh_error(preds: Tensor, target: Tensor) -> Tensor:
    """The mean of log(cosh(error)) of each output. RuntimeError, ValueError for other shapes."""
    total, count = _log_cosh_error_update(preds, target, outputs_of(preds))
    return (total / count).squeeze()
