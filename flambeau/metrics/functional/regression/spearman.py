"""Spearman's correlation: Pearson's of the ranks."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor, float32, from_array
from flambeau.metrics.functional.regression.sums import check_outputs, outputs_of
from flambeau.metrics.utilities.checks import check_same_shape


def _spearman_corrcoef_update(
    preds: Tensor, target: Tensor, num_outputs: int
) -> tuple[Tensor, Tensor]:
    """The batch. TypeError for integers, RuntimeError and ValueError for shapes."""
    if not (preds.is_floating_point() and target.is_floating_point()):
        raise TypeError(
            "Expected `preds` and `target` both to be floating point tensors, but got "
            "{pred.dtype} and {target.dtype}"
        )
    check_same_shape(preds, target)
    check_outputs(preds, target, num_outputs)
    return preds, target


def ranks(values: Any) -> Any:
    """1, 2, .. in order of size; equal values share the mean of theirs."""
    _, inverse, count = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(count)
    return (last - (count - 1) / 2)[inverse.reshape(-1)]


def _spearman_corrcoef_compute(preds: Tensor, target: Tensor, eps: float = 1e-6) -> Tensor:
    """The correlation of each output. Reads the data."""
    x, y = (part._values().reshape(part.shape[0], -1) for part in (preds, target))
    found = []
    for column in range(x.shape[1]):
        a, b = ranks(x[:, column]), ranks(y[:, column])
        a, b = a - a.mean(), b - b.mean()
        scale = np.sqrt((a * a).mean()) * np.sqrt((b * b).mean())
        found.append(np.clip((a * b).mean() / (scale + eps), -1.0, 1.0))
    result = np.asarray(found, np.float32)
    return from_array(result[0] if preds.ndim == 1 else result, float32)


def spearman_corrcoef(preds: Tensor, target: Tensor) -> Tensor:
    """Spearman's correlation of (N,) or of each output (N, D). TypeError for integers."""
    given = _spearman_corrcoef_update(preds, target, outputs_of(preds))
    return _spearman_corrcoef_compute(*given)
