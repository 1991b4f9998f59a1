"""Checks that the regression metrics share."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor
from flambeau.metrics.utilities.checks import check_same_shape

MULTIOUTPUT = ("raw_values", "uniform_average", "variance_weighted")


def check_outputs(preds: Tensor, target: Tensor, num_outputs: int) -> None:
    """RuntimeError for shapes that differ, ValueError for shapes that are not (N,) or (N, D)."""
    check_same_shape(preds, target)
    if preds.ndim > 2:
        raise ValueError(
            "Expected both predictions and target to be either 1- or 2-dimensional tensors, but "
            f"got {target.ndim} and {preds.ndim}."
        )
    one = num_outputs == 1 and preds.ndim == 2 and preds.shape[1] != 1
    if one or (num_outputs > 1 and preds.ndim > 1 and num_outputs != preds.shape[1]):
        raise ValueError(
            "Expected argument `num_outputs` to match the second dimension of input, but got "
            f"{num_outputs} and {preds.shape[1]}."
        )


def outputs_of(preds: Tensor) -> int:
    """How many outputs a batch has."""
    return 1 if preds.ndim == 1 else int(preds.shape[-1])


def paired(preds: Tensor, target: Tensor, num_outputs: int) -> tuple[Tensor, Tensor]:
    """Two batches of one shape, in one dimension where there is one output. RuntimeError."""
    check_same_shape(preds, target)
    return (preds.view(-1), target.view(-1)) if num_outputs == 1 else (preds, target)
