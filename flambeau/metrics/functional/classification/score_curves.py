"""What curves over thresholds are made of, and the checks before them.

A state is either the counts at fixed thresholds, [[tn, fp], [fn, tp]] in the last two dimensions,
or all scores and targets. Those are read when a curve is made of them, and computed with in NumPy:
how many points a curve has depends on the data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.metrics._torch import F, Tensor, int64, linspace, stack, tensor
from flambeau.metrics.functional.classification import arguments as args
from flambeau.metrics.functional.classification.confusions import kept_of
from flambeau.metrics.utilities.checks import (
    Doubt,
    check_binary_target,
    check_same_shape,
    distinct,
)
from flambeau.metrics.utilities.compute import probabilities
from flambeau.metrics.utilities.prints import rank_zero_warn

State = Any  # the counts, or (scores, targets)
Thresholds = Any  # None, an int, a list of floats or a tensor

# ---- checks ------------------------------------------------------------------------------------


def check_binary_arguments(thresholds: Thresholds = None, ignore_index: Any = None) -> None:
    """ValueError for what is not known."""
    if thresholds is not None and not isinstance(thresholds, (list, int, Tensor)):
        raise ValueError(
            "Expected argument `thresholds` to either be an integer, list of floats or tensor of "
            f"floats, but got {thresholds}"
        )
    if isinstance(thresholds, int) and thresholds < 2:
        raise ValueError(
            "If argument `thresholds` is an integer, expected it to be larger than 1, but got "
            f"{thresholds}"
        )
    if isinstance(thresholds, list) and not all(
        isinstance(t, float) and 0 <= t <= 1 for t in thresholds
    ):
        raise ValueError(
            "If argument `thresholds` is a list, expected all elements to be floats in the [0,1] "
            f"range, but got {thresholds}"
        )
    if isinstance(thresholds, Tensor) and thresholds.ndim != 1:
        raise ValueError("If argument `thresholds` is an tensor, expected the tensor to be 1d")
    args.check_ignored(ignore_index)


def check_multiclass_arguments(
    num_classes: Any, thresholds: Thresholds = None, ignore_index: Any = None, average: Any = None
) -> None:
    """ValueError for what is not known."""
    args.check_count("num_classes", num_classes)
    if average not in (None, "micro", "macro"):
        raise ValueError(
            f"Expected argument `average` to be one of None, 'micro' or 'macro', but got {average}"
        )
    check_binary_arguments(thresholds, ignore_index)


def check_average(average: Any, allowed: tuple[Any, ...]) -> None:
    """ValueError for averages that are not known."""
    if average not in allowed:
        raise ValueError(f"Expected argument `average` to be one of {allowed} but got {average}")


def check_binary_batch(
    preds: Tensor, target: Tensor, ignore_index: int | None, doubt: Doubt | None = None
) -> None:
    """ValueError for dtypes that do not fit, RuntimeError for shapes and values."""
    check_same_shape(preds, target)
    if target.is_floating_point():
        raise ValueError(
            "Expected argument `target` to be an int or long tensor with ground truth labels but "
            f"got tensor with dtype {target.dtype}"
        )
    if not preds.is_floating_point():
        raise ValueError(
            "Expected argument `preds` to be an floating tensor with probability/logit scores, "
            f"but got tensor with dtype {preds.dtype}"
        )
    check_binary_target(target, ignore_index, doubt)


def check_multiclass_batch(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    ignore_index: int | None,
    doubt: Doubt | None = None,
) -> None:
    """ValueError for shapes and dtypes that do not fit, RuntimeError for labels."""
    if preds.ndim != target.ndim + 1:
        raise ValueError(
            "Expected `preds` to have one more dimension than `target` but got "
            f"{preds.ndim} and {target.ndim}"
        )
    if target.is_floating_point():
        raise ValueError(
            "Expected argument `target` to be an int or long tensor, but got tensor with dtype "
            f"{target.dtype}"
        )
    if not preds.is_floating_point():
        raise ValueError(f"Expected `preds` to be a float tensor, but got {preds.dtype}")
    if preds.shape[1] != num_classes:
        raise ValueError(
            "Expected `preds.shape[1]` to be equal to the number of classes but got "
            f"{preds.shape[1]} and {num_classes}."
        )
    if preds.shape[0] != target.shape[0] or preds.shape[2:] != target.shape[1:]:
        raise ValueError(
            "Expected the shape of `preds` should be (N, C, ...) and the shape of `target` should "
            f"be (N, ...) but got {preds.shape} and {target.shape}"
        )
    most = num_classes if ignore_index is None else num_classes + 1
    found = distinct(target, most, doubt)
    if found is not None:
        raise RuntimeError(
            "Detected more unique values in `target` than `num_classes`. Expected only "
            f"{most} but found {found.size} in `target`."
        )


def check_multilabel_batch(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    ignore_index: int | None,
    doubt: Doubt | None = None,
) -> None:
    """ValueError for shapes and dtypes that do not fit, RuntimeError for values."""
    check_binary_batch(preds, target, ignore_index, doubt)
    args.check_labels(preds, num_labels)


# ---- batches -------------------------------------------------------------------------------------


def as_thresholds(thresholds: Thresholds) -> Tensor | None:
    """A number of equal steps from 0 to 1, or those given."""
    if isinstance(thresholds, int):
        return linspace(0, 1, thresholds)
    return tensor(thresholds) if isinstance(thresholds, list) else thresholds


def _binned(preds: Tensor, positive: Tensor, negative: Tensor, thresholds: Tensor) -> Tensor:
    """(T, K, 2, 2) counts of scores (N, K) at or above each threshold."""
    above = preds.unsqueeze(0) >= thresholds.reshape(-1, 1, 1)
    tp = (above & positive).sum(dim=1)
    fp = (above & negative).sum(dim=1)
    fn, tn = positive.sum(dim=0) - tp, negative.sum(dim=0) - fp
    return stack([tn, fp, fn, tp], dim=-1).reshape(*tp.shape, 2, 2)


def binary_state(
    preds: Tensor,
    target: Tensor,
    thresholds: Tensor | None,
    ignore_index: int | None,
    normalization: str | None = "sigmoid",
) -> State:
    """The state of a batch: (T, 2, 2), or scores and targets in one dimension."""
    preds, target = preds.flatten(), target.flatten()
    kept = kept_of(target, ignore_index)
    preds = probabilities(preds, normalization, kept)
    if thresholds is None:
        return preds, target
    return _marks(preds.unsqueeze(1), (target == 1).unsqueeze(1), kept, thresholds).squeeze(1)


def _marks(preds: Tensor, positive: Tensor, kept: Tensor | None, thresholds: Tensor) -> Tensor:
    if kept is None:
        return _binned(preds, positive, ~positive, thresholds)
    kept = kept.unsqueeze(1) if kept.ndim == 1 else kept
    return _binned(preds, positive & kept, ~positive & kept, thresholds)


def multiclass_state(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    thresholds: Tensor | None,
    ignore_index: int | None,
    average: str | None = None,
) -> State:
    """The state of a batch: (T, C, 2, 2), (T, 2, 2) for "micro", or (N, C) scores and targets."""
    preds = preds.transpose(0, 1).reshape(num_classes, -1).T
    target = target.flatten()
    kept = kept_of(target, ignore_index)
    preds = probabilities(preds, "softmax", None if kept is None else kept.unsqueeze(1))
    if thresholds is None:
        return preds, target
    index = target.to(int64) if kept is None else target.to(int64) * kept
    counts = _marks(preds, F.one_hot(index, num_classes) == 1, kept, thresholds)
    return counts.sum(1) if average == "micro" else counts


def multilabel_state(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    thresholds: Tensor | None,
    ignore_index: int | None,
) -> State:
    """The state of a batch: (T, L, 2, 2), or (N, L) scores and targets."""
    preds, target = (x.transpose(0, 1).reshape(num_labels, -1).T for x in (preds, target))
    kept = kept_of(target, ignore_index)
    preds = probabilities(preds, "sigmoid")
    if thresholds is None:
        return preds, target
    return _marks(preds, target == 1, kept, thresholds)


# ---- all scores, on the host ---------------------------------------------------------------------


def read(state: State, ignore_index: int | None) -> tuple[Any, Any]:
    """Scores and targets as arrays; rows with a target that is ignored are left out."""
    preds, target = (part._values() for part in state)
    if ignore_index is not None and target.ndim == 1:
        kept = target != ignore_index
        preds, target = preds[kept], target[kept]
    return preds, target


def columns(state: State, ignore_index: int | None, classes: int | None) -> list[tuple[Any, Any]]:
    """(scores, whether positive) of each class; of each label where `classes` is None."""
    preds, target = read(state, ignore_index)
    if classes is not None:
        return [(preds[:, i], target == i) for i in range(classes)]
    pairs = [(preds[:, i], target[:, i]) for i in range(preds.shape[1])]
    if ignore_index is not None:
        pairs = [(p[t != ignore_index], t[t != ignore_index]) for p, t in pairs]
    return [(p, t == 1) for p, t in pairs]


def together(state: State, ignore_index: int | None, classes: int | None) -> tuple[Any, Any]:
    """(scores, whether positive) of all classes or labels."""
    pairs = columns(state, ignore_index, classes)
    if classes is not None:  # in the order of the samples
        both = (np.stack([pair[k] for pair in pairs], axis=1).ravel() for k in (0, 1))
        return tuple(both)  # type: ignore[return-value]
    return np.concatenate([p for p, _ in pairs]), np.concatenate([t for _, t in pairs])


def cumulative(scores: Any, positive: Any) -> tuple[Any, Any, Any]:
    """(false positives, true positives, threshold) at each distinct score, from the largest."""
    order = np.argsort(scores, kind="stable")[::-1]
    scores, positive = scores[order], positive[order]
    ends = np.append(np.flatnonzero(np.diff(scores)), scores.size - 1)
    tps = np.cumsum(positive)[ends]
    return 1 + ends - tps, tps, scores[ends]


def share(part: Any, whole: Any) -> Any:
    """part / whole in float32; NaN where it is 0 / 0."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return part.astype(np.float32) / np.float32(whole)


def precision_recall(scores: Any, positive: Any, none_positive: bool) -> tuple[Any, Any, Any]:
    """Precision, recall and thresholds of all scores; a warning where nothing is positive."""
    fps, tps, thresholds = cumulative(scores, positive)
    precision, recall = share(tps, tps + fps), share(tps, tps[-1])
    if none_positive:
        rank_zero_warn(
            "No positive samples found in target, recall is undefined. Setting recall to one for "
            "all thresholds.",
            UserWarning,
        )
        recall = np.ones_like(recall)
    one, zero = np.ones(1, np.float32), np.zeros(1, np.float32)
    return (
        np.concatenate([precision[::-1], one]),
        np.concatenate([recall[::-1], zero]),
        thresholds[::-1].copy(),
    )


def rates(scores: Any, positive: Any) -> tuple[Any, Any, Any]:
    """False and true positive rates and thresholds of all scores; warnings where undefined."""
    fps, tps, thresholds = cumulative(scores, positive)
    fps, tps = np.append(0, fps), np.append(0, tps)
    thresholds = np.concatenate([np.ones(1, thresholds.dtype), thresholds])
    made = []
    for count, sign, rate in ((fps, "negative", "false"), (tps, "positive", "true")):
        if count[-1] <= 0:
            rank_zero_warn(
                f"No {sign} samples in targets, {rate} positive value should be meaningless. "
                f"Returning zero tensor in {rate} positive score",
                UserWarning,
            )
            made.append(np.zeros_like(thresholds))
        else:
            made.append(share(count, count[-1]))
    return made[0], made[1], thresholds


def area(x: Any, y: Any) -> Any:
    """The area under y(x), by trapezoids, over the last dimension."""
    steps = np.diff(x.astype(np.float64))
    return (steps * (y[..., 1:] + y[..., :-1]) / 2).sum(-1).astype(np.float32)


def interpolated(x: Any, xp: Any, fp: Any) -> Any:
    """The polygon through (xp, fp) at x; beyond its ends the first or last line goes on."""
    rise, run = np.diff(fp), np.diff(xp)
    slope = np.divide(rise, run, out=np.zeros_like(rise), where=run != 0)
    place = np.clip((x[:, None] >= xp[None, :]).sum(1) - 1, 0, len(slope) - 1)
    return slope[place] * x + (fp[:-1] - slope * xp[:-1])[place]


def over_classes(values: Any, average: str | None, weights: Any) -> Any:
    """Values of classes as their mean; those that are NaN do not count, with a warning."""
    if average is None or average == "none":
        return values
    known = ~np.isnan(values)
    if not known.all():
        rank_zero_warn(
            "Average precision score for one or more classes was `nan`. Ignoring these classes in "
            f"{average}-average",
            UserWarning,
        )
    if average == "macro":
        return values[known].mean(dtype=np.float32) if known.any() else np.float32("nan")
    whole = weights[known].sum()
    weights = weights[known] / whole if whole else weights[known] * 0.0
    return (values[known] * weights).sum().astype(np.float32)


# ---- the input of functions --------------------------------------------------------------------


def binary_input(
    preds: Tensor,
    target: Tensor,
    thresholds: Thresholds,
    ignore_index: int | None,
    checked: bool,
    more: Callable[[], None] | None = None,
) -> tuple[State, Tensor | None]:
    """A state and its thresholds; ValueError, RuntimeError if `checked`, also by `more`."""
    if checked:
        check_binary_arguments(thresholds, ignore_index)
        if more is not None:
            more()
        check_binary_batch(preds, target, ignore_index)
    limits = as_thresholds(thresholds)
    return binary_state(preds, target, limits, ignore_index), limits


def multiclass_input(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    thresholds: Thresholds,
    ignore_index: int | None,
    checked: bool,
    more: Callable[[], None] | None = None,
    average: str | None = None,
) -> tuple[State, Tensor | None]:
    """As `binary_input`, of scores of classes."""
    if checked:
        check_multiclass_arguments(num_classes, thresholds, ignore_index, average)
        if more is not None:
            more()
        check_multiclass_batch(preds, target, num_classes, ignore_index)
    limits = as_thresholds(thresholds)
    return multiclass_state(preds, target, num_classes, limits, ignore_index, average), limits


def multilabel_input(
    preds: Tensor,
    target: Tensor,
    num_labels: int,
    thresholds: Thresholds,
    ignore_index: int | None,
    checked: bool,
    more: Callable[[], None] | None = None,
) -> tuple[State, Tensor | None]:
    """As `binary_input`, of scores of labels."""
    if checked:
        check_multiclass_arguments(num_labels, thresholds, ignore_index)
        if more is not None:
            more()
        check_multilabel_batch(preds, target, num_labels, ignore_index)
    limits = as_thresholds(thresholds)
    return multilabel_state(preds, target, num_labels, limits, ignore_index), limits
