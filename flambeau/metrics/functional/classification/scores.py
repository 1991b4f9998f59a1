"""True and false positives and negatives: what most classification metrics are made of.

They are always (tp, fp, tn, fn), integers: of all samples together ("global") or of each
("samplewise"), of all classes together or of each.
"""

from __future__ import annotations

from flambeau.metrics._torch import F, Tensor, int64, where
from flambeau.metrics.functional.classification import arguments as args
from flambeau.metrics.utilities.checks import Doubt
from flambeau.metrics.utilities.compute import probabilities
from flambeau.metrics.utilities.data import counts

Scores = tuple[Tensor, Tensor, Tensor, Tensor]

# ---- binary ------------------------------------------------------------------------------------


def check_binary_arguments(
    threshold: float = 0.5,
    multidim_average: str = "global",
    ignore_index: int | None = None,
    zero_division: float = 0,
) -> None:
    """ValueError for what is not known."""
    args.check_threshold(threshold)
    args.check_averages(multidim_average, ignore_index, zero_division)


def check_binary_batch(
    preds: Tensor,
    target: Tensor,
    multidim_average: str,
    ignore_index: int | None,
    doubt: Doubt | None = None,
) -> None:
    """RuntimeError for other values than 0 and 1, ValueError for too few dimensions."""
    args.check_binary(preds, target, ignore_index, doubt, "`preds`")
    if multidim_average != "global" and preds.ndim < 2:
        raise ValueError(
            "Expected input to be at least 2D when multidim_average is set to `samplewise`"
        )


def thresholded(preds: Tensor, threshold: float) -> Tensor:
    """Scores as labels; labels as they are."""
    return probabilities(preds, "sigmoid") > threshold if preds.is_floating_point() else preds


def _agreement(preds: Tensor, target: Tensor, ignore_index: int | None, dims: list[int]) -> Scores:
    right, positive, negative = target == preds, target == 1, target == 0
    if ignore_index is not None:
        kept = target != ignore_index
        positive, negative = positive & kept, negative & kept
    tp, tn = (right & positive).sum(dims), (right & negative).sum(dims)
    return tp, negative.sum(dims) - tn, tn, positive.sum(dims) - tp


def binary_scores(
    preds: Tensor,
    target: Tensor,
    threshold: float = 0.5,
    multidim_average: str = "global",
    ignore_index: int | None = None,
) -> Scores:
    """The counts of a batch: no dimension, or (N,) for "samplewise"."""
    preds = thresholded(preds, threshold)
    preds, target = preds.reshape(preds.shape[0], -1), target.reshape(target.shape[0], -1)
    return _agreement(preds, target, ignore_index, [0, 1] if multidim_average == "global" else [1])


# ---- several classes -----------------------------------------------------------------------------


def check_multiclass_arguments(
    num_classes: int | None,
    top_k: int = 1,
    average: str | None = "macro",
    multidim_average: str = "global",
    ignore_index: int | None = None,
    zero_division: float = 0,
) -> None:
    """ValueError for what is not known."""
    if num_classes is None and average != "micro":
        raise ValueError(
            "Argument `num_classes` can only be `None` for `average='micro'`, but got "
            f"`average={average}`."
        )
    if num_classes is not None:
        args.check_count("num_classes", num_classes)
    if not isinstance(top_k, int) or top_k < 1:
        raise ValueError(
            f"Expected argument `top_k` to be an integer larger than or equal to 1, but got {top_k}"
        )
    if top_k > (num_classes if num_classes is not None else 1):
        raise ValueError(
            "Expected argument `top_k` to be smaller or equal to `num_classes` but got "
            f"{top_k} and {num_classes}"
        )
    args.one_of("average", average, args.AVERAGES)
    args.check_averages(multidim_average, ignore_index, zero_division)


def check_multiclass_batch(
    preds: Tensor,
    target: Tensor,
    num_classes: int | None,
    multidim_average: str,
    ignore_index: int | None,
    doubt: Doubt | None = None,
    all_in_range: bool = False,
) -> None:
    """ValueError for shapes that do not fit, RuntimeError for labels that are no classes."""
    args.check_class_shapes(preds, target, num_classes)
    if preds.ndim == target.ndim and preds.shape != target.shape:
        raise ValueError(
            "The `preds` and `target` should have the same shape, got `preds` with "
            f"shape={preds.shape} and `target` with shape={target.shape}."
        )
    if multidim_average != "global" and target.ndim < 2:
        raise ValueError(
            "If `preds` have one dimension more than `target`, the shape of `preds` should be at "
            "least 3D when multidim_average is set to `samplewise`"
            if preds.ndim > target.ndim
            else "When `preds` and `target` have the same shape, the shape of `preds` should be "
            "at least 2D when multidim_average is set to `samplewise`"
        )
    args.check_class_values(preds, target, num_classes, ignore_index, doubt, all_in_range)


def predicted(preds: Tensor, target: Tensor, top_k: int = 1) -> Tensor:
    """Scores as labels: the target where it is among the `top_k`, else the best."""
    if preds.ndim != target.ndim + 1:
        return preds
    if top_k == 1:
        return preds.argmax(dim=1)
    best = preds.topk(top_k, dim=1).indices
    found = (best == target.unsqueeze(1)).any(dim=1)
    labels: Tensor = where(found, target.to(int64), best.select(1, 0))
    return labels


def multiclass_scores(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    top_k: int = 1,
    average: str | None = "macro",
    multidim_average: str = "global",
    ignore_index: int | None = None,
) -> Scores:
    """The counts of a batch: (C,), or (N, C) for "samplewise"; of all classes for "micro".

    RuntimeError (when the program runs) for labels that are no classes, except for "micro".
    """
    preds = predicted(preds, target, top_k)
    if multidim_average == "samplewise":
        return _samplewise(preds, target, num_classes, ignore_index)
    preds, target = preds.flatten(), target.flatten()
    kept = None if ignore_index is None else target != ignore_index
    total = target.numel() if kept is None else kept.sum()
    right = target == preds
    if kept is not None:
        right = right & kept
    if average == "micro" and top_k == 1:
        tp = right.sum()
        wrong = total - tp
        return tp, wrong, num_classes * total - wrong - total, wrong
    tp = counts(target, num_classes, right)
    fn = counts(target, num_classes, kept) - tp
    fp = counts(preds, num_classes, kept) - tp
    return tp, fp, total - (fp + fn + tp), fn


def _samplewise(
    preds: Tensor, target: Tensor, num_classes: int, ignore_index: int | None
) -> Scores:
    preds, target = (x.reshape(x.shape[0], -1).to(int64) for x in (preds, target))
    kept = None if ignore_index is None else target != ignore_index
    if kept is not None:
        preds, target = preds * kept, target * kept
    given = F.one_hot(target, num_classes) == 1
    said = F.one_hot(preds, num_classes) == 1
    neither = ~given & ~said
    if kept is not None:
        given, said, neither = (x & kept.unsqueeze(-1) for x in (given, said, neither))
    tp = (given & said).sum(1)
    return tp, said.sum(1) - tp, neither.sum(1), given.sum(1) - tp


# ---- several labels ------------------------------------------------------------------------------


def check_multilabel_arguments(
    num_labels: int,
    threshold: float = 0.5,
    average: str | None = "macro",
    multidim_average: str = "global",
    ignore_index: int | None = None,
    zero_division: float = 0,
) -> None:
    """ValueError for what is not known."""
    args.check_count("num_labels", num_labels)
    args.check_threshold(threshold, "a float")
    args.one_of("average", average, args.AVERAGES)
    args.check_averages(multidim_average, ignore_index, zero_division)


def check_multilabel_batch(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    multidim_average: str,
    ignore_index: int | None,
    doubt: Doubt | None = None,
) -> None:
    """ValueError for shapes that do not fit, RuntimeError for other values than 0 and 1."""
    if preds.shape == target.shape:
        args.check_labels(preds, num_labels)
    args.check_binary(preds, target, ignore_index, doubt)
    if multidim_average != "global" and preds.ndim < 3:
        raise ValueError(
            "Expected input to be at least 3D when multidim_average is set to `samplewise`"
        )


def multilabel_scores(
    preds: Tensor,
    target: Tensor,
    threshold: float = 0.5,
    multidim_average: str = "global",
    ignore_index: int | None = None,
) -> Scores:
    """The counts of a batch: (L,), or (N, L) for "samplewise"."""
    preds = thresholded(preds, threshold)
    preds, target = (x.reshape(*x.shape[:2], -1) for x in (preds, target))
    dims = [0, 2] if multidim_average == "global" else [2]
    return _agreement(preds, target, ignore_index, dims)
