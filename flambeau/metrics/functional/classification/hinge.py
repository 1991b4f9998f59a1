"""The mean hinge loss."""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import F, Tensor, int64, tensor, where
from flambeau.metrics.functional.classification import arguments as args
from flambeau.metrics.functional.classification import confusions as c
from flambeau.metrics.utilities.checks import Doubt
from flambeau.metrics.utilities.compute import probabilities

_MODES = ("crammer-singer", "one-vs-all")


def check_binary_arguments(squared: Any, ignore_index: Any = None) -> None:
    """ValueError for what is not known."""
    if not isinstance(squared, bool):
        raise ValueError(f"Expected argument `squared` to be an bool but got {squared}")
    args.check_ignored(ignore_index)


def check_multiclass_arguments(
    num_classes: Any, squared: Any, multiclass_mode: Any, ignore_index: Any
) -> None:
    """ValueError for what is not known."""
    check_binary_arguments(squared, ignore_index)
    args.check_count("num_classes", num_classes)
    args.one_of("multiclass_mode", multiclass_mode, _MODES, ".")


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


def _summed(margin: Tensor, squared: bool, kept: Tensor | None) -> tuple[Tensor, Tensor]:
    """The sum of the losses over dimension 0, and of how many."""
    loss: Any = (1 - margin).clamp(min=0)
    if squared:
        loss = loss * loss
    if kept is None:
        return loss.sum(dim=0), tensor(margin.shape[0])
    loss = where(kept if loss.ndim == 1 else kept.unsqueeze(1), loss, 0.0)
    return loss.sum(dim=0), kept.sum()


def binary_losses(
    preds: Tensor, target: Tensor, squared: bool, ignore_index: int | None
) -> tuple[Tensor, Tensor]:
    """The sum of max(0, 1 - margin), and of how many."""
    preds, target = preds.flatten(), target.flatten()
    kept = c.kept_of(target, ignore_index)
    preds = probabilities(preds, "sigmoid", kept)
    return _summed(where(target.bool(), preds, -preds), squared, kept)


def multiclass_losses(
    preds: Tensor, target: Tensor, squared: bool, multiclass_mode: str, ignore_index: int | None
) -> tuple[Tensor, Tensor]:
    """The sum of the losses (C,) of the classes, or of all of them (no dimension)."""
    preds = preds.movedim(1, -1).reshape(-1, preds.shape[1])
    target = target.flatten()
    kept = c.kept_of(target, ignore_index)
    preds = probabilities(preds, "softmax", None if kept is None else kept.unsqueeze(1))
    target = target.to(int64) if kept is None else target.to(int64) * kept
    hot = F.one_hot(target, max(2, preds.shape[1])) == 1
    if multiclass_mode == "crammer-singer":
        own = where(hot, preds, 0.0).sum(dim=1)
        margin = own - where(hot, float("-inf"), preds).amax(dim=1)
    else:
        margin = where(hot, preds, -preds)
    return _summed(margin, squared, kept)


def _hinge_loss_compute(measure: Tensor, total: Tensor) -> Tensor:
    """measure / total."""
    return measure / total


def binary_hinge_loss(
    preds: Tensor,
    target: Tensor,
    squared: bool = False,
    ignore_index: int | None = None,
    validate_args: bool = False,
) -> Tensor:
    """The mean hinge loss, for targets of 0 and 1; scores outside [0, 1] are logits."""
    if validate_args:
        check_binary_arguments(squared, ignore_index)
        check_binary_batch(preds, target, ignore_index)
    return _hinge_loss_compute(*binary_losses(preds, target, squared, ignore_index))


def multiclass_hinge_loss(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    squared: bool = False,
    multiclass_mode: str = "crammer-singer",
    ignore_index: int | None = None,
    validate_args: bool = False,
) -> Tensor:
    """The mean hinge loss against the best other class ("crammer-singer"), or of each class."""
    if validate_args:
        check_multiclass_arguments(num_classes, squared, multiclass_mode, ignore_index)
        check_multiclass_batch(preds, target, num_classes, ignore_index)
    losses = multiclass_losses(preds, target, squared, multiclass_mode, ignore_index)
    return _hinge_loss_compute(*losses)


def hinge_loss(
    preds: Tensor,
    target: Tensor,
    task: str,
    num_classes: int | None = None,
    squared: bool = False,
    multiclass_mode: str = "crammer-singer",
    ignore_index: int | None = None,
    validate_args: bool = True,
) -> Tensor:
    """The mean hinge loss; `task`: "binary" or "multiclass"."""
    end = (ignore_index, validate_args)
    return args.by_task(
        task,
        binary=lambda: binary_hinge_loss(preds, target, squared, *end),
        multiclass=lambda: multiclass_hinge_loss(
            preds,
            target,
            args.required("num_classes", num_classes),
            squared,
            multiclass_mode,
            *end,
        ),
    )
