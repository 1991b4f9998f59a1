"""Pearson's correlation, from sums that are kept up to date batch by batch.

The state of a stream: means and largest deviations of x and y, the sums of squared deviations
and of their products, and how many (Chan, Golub and LeVeque, 1979).
"""

from __future__ import annotations

import math
from typing import Any

from flambeau.metrics._torch import Tensor, bfloat16, finfo, float16, where, zeros
from flambeau.metrics.functional.regression.sums import check_outputs, outputs_of
from flambeau.metrics.utilities.prints import rank_zero_warn

# mean_x, mean_y, max_abs_dev_x, max_abs_dev_y, var_x, var_y, corr_xy, n_total
Moments = tuple[Any, Any, Any, Any, Any, Any, Any, Any]


def _pearson_corrcoef_update(
    preds: Tensor, target: Tensor, before: Moments, num_outputs: int
) -> Moments:
    """The moments with a batch (N,) or (N, D). RuntimeError, ValueError for other shapes."""
    check_outputs(preds, target, num_outputs)
    mean_x, mean_y, far_x, far_y, var_x, var_y, corr, n = before
    count = preds.shape[0]
    own_x, own_y = preds.mean(0), target.mean(0)
    dx, dy, total = own_x - mean_x, own_y - mean_y, n + count
    mean_x, mean_y = mean_x + dx * count / total, mean_y + dy * count / total
    x, y, both = preds - own_x, target - own_y, n * count / total
    return (
        mean_x,
        mean_y,
        far_x.maximum((preds - mean_x).abs().amax(dim=0)),
        far_y.maximum((target - mean_y).abs().amax(dim=0)),
        var_x + (x * x).sum(0) + dx * dx * both,
        var_y + (y * y).sum(0) + dy * dy * both,
        corr + (x * y).sum(0) + dx * dy * both,
        total,
    )


def merged(moments: Moments) -> Moments:
    """The moments of several streams, stacked in the first dimension, as those of one."""
    mx, my, far_x, far_y, vx, vy, corr, n = (part[0] for part in moments)
    for i in range(1, len(moments[0])):
        mx2, my2, far_x2, far_y2, vx2, vy2, corr2, n2 = (part[i] for part in moments)
        total = (n + n2).clamp(min=1e-10)
        dx, dy, both = mx2 - mx, my2 - my, n * n2 / total
        mx, my = (n * mx + n2 * mx2) / total, (n * my + n2 * my2) / total
        far_x, far_y = far_x.maximum(far_x2), far_y.maximum(far_y2)
        vx, vy = vx + vx2 + both * dx * dx, vy + vy2 + both * dy * dy
        corr, n = corr + corr2 + both * dx * dy, total
    return mx, my, far_x, far_y, vx, vy, corr, n


def _pearson_corrcoef_compute(moments: Moments) -> Tensor:
    """The correlation of each output; NaN and a warning where a variance is (nearly) zero."""
    _, _, far_x, far_y, var_x, var_y, corr, n = moments
    var_x, var_y, corr = var_x / (n - 1), var_y / (n - 1), corr / (n - 1)
    if var_x.dtype is float16:
        var_x, var_y = var_x.to(bfloat16), var_y.to(bfloat16)
    var_x, var_y = var_x / (far_x * far_x), var_y / (far_y * far_y)
    corr = corr / (far_x * far_y)
    bound = math.sqrt(finfo(var_x.dtype).eps)
    small = (var_x < bound) | (var_y < bound)
    finite = var_x.isfinite() & var_y.isfinite() & corr.isfinite()
    if bool(small.any()) or not bool(finite.any()):
        rank_zero_warn(
            "The variance of predictions or target is close to zero. This can cause instability "
            "in Pearson correlationcoefficient, leading to wrong results. Consider re-scaling the "
            "input if possible or computing using alarger dtype (currently using "
            f"{var_x.dtype}). Setting the correlation coefficient to nan.",
            UserWarning,
        )
    value = (corr / (var_x * var_y).sqrt()).clamp(-1.0, 1.0).to(corr.dtype)
    result: Tensor = where(finite & ~small, value, float("nan")).squeeze()
    return result


def start(preds: Tensor) -> Moments:
    """The moments of nothing yet."""
    nothing = zeros(outputs_of(preds), dtype=preds.dtype, device=preds.device)
    return (nothing,) * 8


def pearson_corrcoef(preds: Tensor, target: Tensor) -> Tensor:
    """Pearson's correlation of (N,) or of each output (N, D). RuntimeError, ValueError."""
    moments = _pearson_corrcoef_update(preds, target, start(preds), outputs_of(preds))
    return _pearson_corrcoef_compute(moments)
