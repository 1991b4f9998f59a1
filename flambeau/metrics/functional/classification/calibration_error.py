"""Calibration error: how far confidences are from the share of right answers."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import (
    Tensor,
    bucketize,
    linspace,
    no_grad,
    ones_like,
    scatter_add,
    where,
    zeros,
)
from flambeau.metrics.functional.classification import arguments as args
from flambeau.metrics.functional.classification import confusions as c
from flambeau.metrics.utilities.checks import Doubt
from flambeau.metrics.utilities.compute import probabilities


def check_binary_arguments(n_bins: Any, norm: Any = "l1", ignore_index: Any = None) -> None:
    """ValueError for what is not known."""
    if not isinstance(n_bins, int) or n_bins < 1:
        raise ValueError(
            f"Expected argument `n_bins` to be an integer larger than 0, but got {n_bins}"
        )
    args.one_of("norm", norm, ("l1", "l2", "max"), ".")
    args.check_ignored(ignore_index)


def check_binary_batch(
    preds: Tensor, target: Tensor, ignore_index: int | None, doubt: Doubt | None = None
) -> None:
    """ValueError and RuntimeError for what does not fit."""
    c.check_binary_batch(preds, target, ignore_index, doubt)
    args.check_scores(preds)


def check_multiclass_batch(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    ignore_index: int | None,
    doubt: Doubt | None = None,
) -> None:
    """ValueError and RuntimeError for what does not fit."""
    c.check_multiclass_batch(preds, target, num_classes, ignore_index, doubt)
    args.check_scores(preds)


def _marked(right: Tensor, kept: Tensor | None) -> Tensor:
    """1 where right, 0 where wrong, -1 where it does not count."""
    right = right.float()
    return right if kept is None else where(kept, right, -1.0)


def binary_confidences(
    preds: Tensor, target: Tensor, ignore_index: int | None
) -> tuple[Tensor, Tensor]:
    """Confidences, and whether the answers are right (-1: does not count)."""
    preds, target = preds.flatten(), target.flatten()
    kept = c.kept_of(target, ignore_index)
    return probabilities(preds, "sigmoid", kept), _marked(target, kept)


def multiclass_confidences(
    preds: Tensor, target: Tensor, ignore_index: int | None
) -> tuple[Tensor, Tensor]:
    """Confidences, and whether the answers are right (-1: does not count)."""
    preds = preds.movedim(1, -1).reshape(-1, preds.shape[1])
    target = target.flatten()
    kept = c.kept_of(target, ignore_index)
    preds = probabilities(preds, "softmax", None if kept is None else kept.unsqueeze(1))
    best = preds.max(dim=1)
    return best.values.float(), _marked(best.indices == target, kept)


def _ce_compute(confidences: Tensor, accuracies: Tensor, n_bins: int, norm: str = "l1") -> Tensor:
    """The distance between confidence and accuracy in equal bins of [0, 1].

    "l1": the mean, "l2": the root of the mean square, "max": the largest.
    """
    with no_grad():
        edges = linspace(0, 1, n_bins + 1, dtype=confidences.dtype, device=confidences.device)
        kept = accuracies >= 0
        weight = ones_like(confidences) * kept
        # What does not count may be NaN or lie outside.
        confidences = where(kept, confidences, 0.0)
        index = bucketize(confidences, edges, right=True) - 1
        empty = zeros(n_bins + 1, dtype=confidences.dtype, device=confidences.device)
        count = scatter_add(empty, 0, index, weight)
        mean = (scatter_add(empty, 0, index, confidences * weight) / count).nan_to_num()
        right = accuracies.to(confidences.dtype) * weight
        hits = (scatter_add(empty, 0, index, right) / count).nan_to_num()
        share = count / count.sum()
        apart = (hits - mean).abs()
    if norm == "l1":
        mean_gap: Tensor = (apart * share).sum()
        return mean_gap
    if norm == "max":
        largest: Tensor = apart.max()
        return largest
    if norm == "l2":
        root: Tensor = (apart * apart * share).sum().sqrt()
        return root
    raise ValueError(f"Argument `norm` is expected to be one of 'l1', 'l2', 'max' but got {norm}")


def binary_calibration_error(
    preds: Tensor,
    target: Tensor,
    n_bins: int = 15,
    norm: str = "l1",
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The calibration error, for targets of 0 and 1. ValueError for unknown arguments."""
    if validate_args:
        check_binary_arguments(n_bins, norm, ignore_index)
        check_binary_batch(preds, target, ignore_index)
    return _ce_compute(*binary_confidences(preds, target, ignore_index), n_bins, norm)


def multiclass_calibration_error(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    n_bins: int = 15,
    norm: str = "l1",
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The calibration error of the best class. ValueError for unknown arguments."""
    if validate_args:
        args.check_count("num_classes", num_classes)
        check_binary_arguments(n_bins, norm, ignore_index)
        check_multiclass_batch(preds, target, num_classes, ignore_index)
    return _ce_compute(*multiclass_confidences(preds, target, ignore_index), n_bins, norm)


def calibration_error(
    preds: Tensor,
    target: Tensor,
    task: str,
    n_bins: int = 15,
    norm: str = "l1",
    num_classes: int | None = None,
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The calibration error; `task`: "binary" or "multiclass"."""
    end = (n_bins, norm, ignore_index, validate_args)
    return args.by_task(
        task,
        binary=lambda: binary_calibration_error(preds, target, *end),
        multiclass=lambda: multiclass_calibration_error(
            preds, target, args.required("num_classes", num_classes), *end
        ),
    )
