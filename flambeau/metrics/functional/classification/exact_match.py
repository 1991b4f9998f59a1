"""Exact match: the share of samples with nothing wrong."""

from __future__ import annotations

from flambeau.metrics._torch import Tensor, tensor
from flambeau.metrics.functional.classification import scores as s
from flambeau.metrics.functional.classification.arguments import by_task
from flambeau.metrics.utilities.compute import safe_divide


def _exact_match_reduce(correct: Tensor, total: Tensor) -> Tensor:
    """correct / total."""
    return safe_divide(correct, total)


def multiclass_matches(
    preds: Tensor, target: Tensor, multidim_average: str, ignore_index: int | None
) -> tuple[Tensor, Tensor]:
    """How many samples are right (or which: "samplewise"), and of how many."""
    preds = s.predicted(preds, target)
    preds, target = (x.reshape(x.shape[0], -1) for x in (preds, target))
    right = preds == target
    if ignore_index is not None:
        right = right | (target == ignore_index)
    correct = right.all(dim=1)
    if multidim_average == "samplewise":
        return correct, tensor(1)
    return correct.sum(), tensor(preds.shape[0])


def multilabel_matches(
    preds: Tensor,
    target: Tensor,
    threshold: float,
    multidim_average: str,
    ignore_index: int | None,
) -> tuple[Tensor, Tensor]:
    """How many samples are right (or of each: "samplewise"), and of how many."""
    preds = s.thresholded(preds, threshold)
    preds, target = (x.reshape(*x.shape[:2], -1) for x in (preds, target))
    right = preds == target
    if ignore_index is not None:
        right = right | (target == ignore_index)
    correct = right.all(dim=1)
    if multidim_average == "samplewise":
        return correct.sum(dim=-1), tensor(preds.shape[2])
    return correct.sum(), tensor(correct.numel())


def multiclass_exact_match(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    multidim_average: str = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The share of samples (N, ...) all of whose labels are right. ValueError, RuntimeError."""
    if validate_args:
        s.check_multiclass_arguments(num_classes, 1, None, multidim_average, ignore_index)
        s.check_multiclass_batch(preds, target, num_classes, multidim_average, ignore_index)
    matches = multiclass_matches(preds, target, multidim_average, ignore_index)
    return _exact_match_reduce(*matches)


def multilabel_exact_match(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    threshold: float = 0.5,
    multidim_average: str = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The share of samples (N, L, ...) all of whose labels are right. ValueError, RuntimeError."""
    if validate_args:
        s.check_multilabel_arguments(num_labels, threshold, None, multidim_average, ignore_index)
        s.check_multilabel_batch(preds, target, num_labels, multidim_average, ignore_index)
    matches = multilabel_matches(preds, target, threshold, multidim_average, ignore_index)
    return _exact_match_reduce(*matches)


def exact_match(
    preds: Tensor,
    target: Tensor,
    task: str,
    num_classes: int | None = None,
    num_labels: int | None = None,
    threshold: float = 0.5,
    multidim_average: str = "global",
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The share of samples with nothing wrong; `task`: "multiclass" or "multilabel"."""
    end = (multidim_average, ignore_index, validate_args)

    def multiclass() -> Tensor:
        assert num_classes is not None
        return multiclass_exact_match(preds, target, num_classes, *end)

    def multilabel() -> Tensor:
        assert num_labels is not None
        return multilabel_exact_match(preds, target, num_labels, threshold, *end)

    return by_task(task, multilabel=multilabel, multiclass=multiclass)
