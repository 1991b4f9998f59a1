"""The concordance correlation of Lin."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.functional.regression import pearson
from flambeau.metrics.functional.regression.sums import outputs_of


def _concordance_corrcoef_compute(moments: pearson.Moments) -> Tensor:
    """2 r s_x s_y / (s_x^2 + s_y^2 + (mean_x - mean_y)^2)."""
    mean_x, mean_y, _, _, var_x, var_y, _, n = moments
    correlation = pearson._pearson_corrcoef_compute(moments)
    var_x, var_y = var_x / (n - 1), var_y / (n - 1)
    apart = mean_x - mean_y
    above = 2.0 * correlation * var_x.sqrt() * var_y.sqrt()
    result: Tensor = above / (var_x + var_y + apart * apart)
    return result


def concordance_corrcoef(preds: Tensor, target: Tensor) -> Tensor:
    """Lin's concordance correlation of (N,) or of each output (N, D). RuntimeError, ValueError."""
    before = pearson.start(preds)
    found = pearson._pearson_corrcoef_update(preds, target, before, outputs_of(preds))
    return _concordance_corrcoef_compute(found)
