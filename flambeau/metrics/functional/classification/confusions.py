"""Which class was taken for which: confusion matrices of batches, and the checks before them.

What is to be ignored is left out by a weight of 0, so that nothing is read.
"""

from __future__ import annotations

from flambeau.metrics._torch import Tensor, int64, stack
from flambeau.metrics.functional.classification import arguments as args
from flambeau.metrics.utilities.checks import Doubt
from flambeau.metrics.utilities.compute import probabilities
from flambeau.metrics.utilities.data import counts

_NORMALIZE = ("true", "pred", "all", "none", None)


def check_binary_arguments(
    threshold: float = 0.5, ignore_index: int | None = None, normalize: str | None = None
) -> None:
    """ValueError for what is not known."""
    args.check_threshold(threshold)
    args.check_ignored(ignore_index)
    args.one_of("normalize", normalize, _NORMALIZE, ".")


def check_multiclass_arguments(
    num_classes: int, ignore_index: int | None = None, normalize: str | None = None
) -> None:
    """ValueError for what is not known."""
    args.check_count("num_classes", num_classes)
    args.check_ignored(ignore_index)
    args.one_of("normalize", normalize, _NORMALIZE, ".")


def check_multilabel_arguments(
    num_labels: int,
    threshold: float = 0.5,
    ignore_index: int | None = None,
    normalize: str | None = None,
) -> None:
    """ValueError for what is not known."""
    args.check_count("num_labels", num_labels)
    args.check_threshold(threshold, "a float")
    args.check_ignored(ignore_index)
    args.one_of("normalize", normalize, _NORMALIZE, ".")


def check_binary_batch(
    preds: Tensor, target: Tensor, ignore_index: int | None, doubt: Doubt | None = None
) -> None:
    """RuntimeError for shapes that differ and for other values than 0 and 1."""
    args.check_binary(preds, target, ignore_index, doubt)


def check_multiclass_batch(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    ignore_index: int | None,
    doubt: Doubt | None = None,
) -> None:
    """ValueError for shapes that do not fit, RuntimeError for labels that are no classes."""
    args.check_class_shapes(preds, target, num_classes)
    if preds.ndim == target.ndim and preds.shape != target.shape:
        raise ValueError(
            "The `preds` and `target` should have the same shape,",
            f" got `preds` with shape={preds.shape} and `target` with shape={target.shape}.",
        )
    args.check_class_values(preds, target, num_classes, ignore_index, doubt, True, "target")


def check_multilabel_batch(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    ignore_index: int | None,
    doubt: Doubt | None = None,
) -> None:
    """ValueError for shapes that do not fit, RuntimeError for other values than 0 and 1."""
    if preds.shape == target.shape:
        args.check_labels(preds, num_labels)
    args.check_binary(preds, target, ignore_index, doubt)


def kept_of(target: Tensor, ignore_index: int | None) -> Tensor | None:
    """Where the target counts; None: everywhere."""
    return None if ignore_index is None else target != ignore_index


def _cells(said: Tensor, target: Tensor, kept: Tensor | None, over: list[int]) -> Tensor:
    """[[tn, fp], [fn, tp]] in the last two dimensions, summed over some."""
    positive, negative, said = target == 1, target == 0, said != 0
    if kept is not None:
        positive, negative = positive & kept, negative & kept
    tp, fp = (positive & said).sum(over), (negative & said).sum(over)
    fn, tn = positive.sum(over) - tp, negative.sum(over) - fp
    return stack([tn, fp, fn, tp], dim=-1).reshape(*tp.shape, 2, 2)


def binary_confusion(
    preds: Tensor, target: Tensor, threshold: float, ignore_index: int | None
) -> Tensor:
    """(2, 2): how often target i was taken for j."""
    preds, target = preds.flatten(), target.flatten()
    kept = kept_of(target, ignore_index)
    if preds.is_floating_point():
        preds = probabilities(preds, "sigmoid", kept) > threshold
    return _cells(preds, target, kept, [0])


def multiclass_confusion(
    preds: Tensor, target: Tensor, num_classes: int, ignore_index: int | None
) -> Tensor:
    """(C, C): how often class i was taken for j."""
    if preds.ndim == target.ndim + 1:
        preds = preds.argmax(dim=1)
    preds, target = preds.flatten(), target.flatten()
    place = target.to(int64) * num_classes + preds.to(int64)
    found = counts(place, num_classes**2, kept_of(target, ignore_index))
    return found.reshape(num_classes, num_classes)


def multilabel_confusion(
    preds: Tensor, target: Tensor, num_labels: int, threshold: float, ignore_index: int | None
) -> Tensor:
    """(L, 2, 2): for each label, how often target i was taken for j."""
    if preds.is_floating_point():
        preds = probabilities(preds, "sigmoid") > threshold
    preds, target = (x.movedim(1, -1).reshape(-1, num_labels) for x in (preds, target))
    return _cells(preds, target, kept_of(target, ignore_index), [0])
