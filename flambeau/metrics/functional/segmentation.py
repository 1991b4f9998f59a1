"""How well places are given classes: torchmetrics.functional.segmentation.

preds and target are one-hot (N, C, ...), or classes (N, ...) with input_format "index"; "mixed"
takes one of each. Without include_background class 0 is left out.
"""

from __future__ import annotations

from typing import Any

from flambeau.metrics._torch import F, Tensor, where
from flambeau.metrics.utilities.checks import check_same_shape
from flambeau.metrics.utilities.prints import rank_zero_warn

__all__ = ["dice_score", "generalized_dice_score", "mean_iou"]

FORMATS = ("one-hot", "index", "mixed")
AVERAGES = ["micro", "macro", "weighted", "none"]
OLD_DEFAULT = (
    " metric currently defaults to `average=micro`, but will change to`average=macro` in the v1.9 "
    "release. If you've explicitly set this parameter, you can ignore this warning."
)


def _check_common(num_classes: Any, include_background: Any) -> None:
    if not isinstance(num_classes, int) or num_classes <= 0:
        raise ValueError(
            f"Expected argument `num_classes` must be a positive integer, but got {num_classes}."
        )
    if not isinstance(include_background, bool):
        raise ValueError(
            "Expected argument `include_background` must be a boolean, but got "
            f"{include_background}."
        )


def _check_format(input_format: str) -> None:
    if input_format not in FORMATS:
        raise ValueError(
            "Expected argument `input_format` to be one of 'one-hot', 'index', 'mixed', but got "
            f"{input_format}."
        )


def check_dice(
    num_classes: int,
    include_background: bool,
    average: str | None,
    input_format: str,
    aggregation_level: str | None,
) -> None:
    """ValueError for arguments that dice_score does not know."""
    _check_common(num_classes, include_background)
    if average is not None and average not in AVERAGES:
        raise ValueError(
            f"Expected argument `average` to be one of {AVERAGES} or None, but got {average}."
        )
    _check_format(input_format)
    if aggregation_level not in ("samplewise", "global"):
        raise ValueError(
            "Expected argument `aggregation_level` to be one of `samplewise`, `global`, but got "
            f"{aggregation_level}"
        )


def check_generalized(
    num_classes: int,
    include_background: bool,
    per_class: bool,
    weight_type: str,
    input_format: str,
) -> None:
    """ValueError for arguments that generalized_dice_score does not know."""
    _check_common(num_classes, include_background)
    if not isinstance(per_class, bool):
        raise ValueError(f"Expected argument `per_class` must be a boolean, but got {per_class}.")
    if weight_type not in ("square", "simple", "linear"):
        raise ValueError(
            "Expected argument `weight_type` to be one of 'square', 'simple', 'linear', but got "
            f"{weight_type}."
        )
    _check_format(input_format)


def check_iou(
    num_classes: int | None, include_background: bool, per_class: bool, input_format: str
) -> None:
    """ValueError for arguments that mean_iou does not know."""
    if input_format == "index" and num_classes is None:
        raise ValueError("Argument `num_classes` must be provided when `input_format` is 'index'.")
    if num_classes is not None and num_classes <= 0:
        raise ValueError(
            "Expected argument `num_classes` must be `None` or a positive integer, but got "
            f"{num_classes}."
        )
    if not isinstance(include_background, bool):
        raise ValueError(
            "Expected argument `include_background` must be a boolean, but got "
            f"{include_background}."
        )
    if not isinstance(per_class, bool):
        raise ValueError(f"Expected argument `per_class` must be a boolean, but got {per_class}.")
    _check_format(input_format)


def _hot(labels: Tensor, num_classes: int) -> Tensor:
    hot: Tensor = F.one_hot(labels, num_classes=num_classes).movedim(-1, 1)
    return hot


def _decided(x: Tensor, num_classes: int | None) -> Tensor:
    """Scores (N, C, ...) as one-hot; what is one-hot as it is."""
    return _hot(x.argmax(1), num_classes or x.shape[1]) if x.is_floating_point() else x


def overlaps(
    preds: Tensor,
    target: Tensor,
    num_classes: int | None,
    include_background: bool,
    input_format: str,
) -> tuple[Tensor, Tensor, Tensor]:
    """Places that are in both, in preds and in target, of each class: (N, C) int64."""
    if input_format == "mixed":
        if preds.dim() == target.dim() + 1:
            target = _hot(target, num_classes or preds.shape[1])
            preds = _decided(preds, num_classes)
        elif preds.dim() + 1 == target.dim():
            preds = _hot(preds, num_classes or target.shape[1])
            target = _decided(target, num_classes)
        else:
            raise ValueError(
                "Predictions and targets are expected to have the same shape,"
                f"got {preds.shape} and {target.shape}."
            )
    elif input_format == "index":
        check_same_shape(preds, target)
        assert num_classes is not None
        preds, target = _hot(preds, num_classes), _hot(target, num_classes)
    else:
        check_same_shape(preds, target)
        preds, target = _decided(preds, num_classes), _decided(target, num_classes)
    check_same_shape(preds, target)
    if preds.ndim < 3:
        raise ValueError(
            "Expected both `preds` and `target` to have at least 3 dimensions, but got "
            f"{preds.ndim}."
        )
    if not include_background:
        preds, target = preds[:, 1:], target[:, 1:]
    axes = list(range(2, preds.ndim))
    preds, target = preds.bool(), target.bool()
    return (preds & target).sum(axes), preds.sum(axes), target.sum(axes)


def _share(part: Tensor, whole: Tensor, nothing: float) -> Tensor:
    part, whole = part.float(), whole.float()
    empty = whole == 0
    share: Tensor = where(empty, nothing, part / where(empty, 1.0, whole))
    return share


# ---- Dice ----------------------------------------------------------------------------------------


def dice_values(
    numerator: Tensor,
    denominator: Tensor,
    average: str | None,
    aggregation_level: str | None,
    support: Tensor | None,
) -> Tensor:
    """The scores of samples, or of all as one, from sums (N, C)."""
    if aggregation_level == "global":
        numerator, denominator = numerator.sum(0, keepdim=True), denominator.sum(0, keepdim=True)
        support = None if support is None else support.sum(0)
    nan = float("nan")
    if average == "micro":
        return _share(numerator.sum(-1), denominator.sum(-1), nan)
    scores = _share(numerator, denominator, nan)
    if average == "macro":
        return scores.nanmean(dim=-1)
    if average == "weighted":
        assert support is not None
        weights = _share(support, support.sum(-1, keepdim=True).expand(support.shape), nan)
        whole = (scores * weights).nansum(dim=-1)
        given: Tensor = where(scores.isnan().all(dim=-1), nan, whole)
        return given
    return scores


def dice_score(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    include_background: bool = True,
    average: str | None = "macro",
    input_format: str = "one-hot",
    aggregation_level: str | None = "samplewise",
) -> Tensor:
    """Twice what is in both over the sum of both, of each sample; NaN where there is nothing."""
    if average == "micro":
        rank_zero_warn(f"dice_score{OLD_DEFAULT}", UserWarning)
    check_dice(num_classes, include_background, average, input_format, aggregation_level)
    both, said, meant = overlaps(preds, target, num_classes, include_background, input_format)
    return dice_values(2 * both, said + meant, average, aggregation_level, meant)


def generalized_sums(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    include_background: bool,
    weight_type: str,
    input_format: str,
) -> tuple[Tensor, Tensor]:
    """Numerators and denominators (N, C), weighed by how rare classes are."""
    both, said, meant = overlaps(preds, target, num_classes, include_background, input_format)
    size = meant.float()
    if weight_type == "linear":
        weights = size * 0 + 1
    else:
        weights = 1.0 / (size if weight_type == "simple" else size**2)
        # Classes that are not there weigh as much as the rarest in the batch.
        absent = weights.isinf()
        weights = where(absent, 0.0, weights)
        weights = where(absent, weights.amax(0, keepdim=True), weights)
    return 2.0 * both * weights, (said + meant) * weights


def generalized_values(numerator: Tensor, denominator: Tensor, per_class: bool) -> Tensor:
    """The scores of samples (and classes)."""
    if not per_class:
        numerator, denominator = numerator.sum(1), denominator.sum(1)
    return _share(numerator, denominator, 0.0)


def generalized_dice_score(
    preds: Tensor,
    target: Tensor,
    num_classes: int,
    include_background: bool = True,
    per_class: bool = False,
    weight_type: str = "square",
    input_format: str = "one-hot",
) -> Tensor:
    """The Dice score of each sample, classes weighed by how rare they are (arXiv:1707.03237)."""
    check_generalized(num_classes, include_background, per_class, weight_type, input_format)
    sums = generalized_sums(
        preds, target, num_classes, include_background, weight_type, input_format
    )
    return generalized_values(*sums, per_class)


# ---- intersection over union ---------------------------------------------------------------------


def iou_sums(
    preds: Tensor,
    target: Tensor,
    num_classes: int | None,
    include_background: bool,
    input_format: str,
) -> tuple[Tensor, Tensor]:
    """Places that are in both, and in either: (N, C)."""
    if input_format != "one-hot":
        preds, target = (t.reshape(1, *t.shape) if t.dim() < 3 else t for t in (preds, target))
        preds, target = (t.reshape(1, *t.shape) if t.dim() < 3 else t for t in (preds, target))
    both, said, meant = overlaps(preds, target, num_classes, include_background, input_format)
    return both, said + meant - both


def mean_iou(
    preds: Tensor,
    target: Tensor,
    num_classes: int | None = None,
    include_background: bool = True,
    per_class: bool = False,
    input_format: str = "one-hot",
) -> Tensor:
    """What is in both over what is in either, of each sample; -1 for classes that are not there."""
    check_iou(num_classes, include_background, per_class, input_format)
    both, either = iou_sums(preds, target, num_classes, include_background, input_format)
    scores, there = _share(both, either, 0.0), either > 0
    if per_class:
        each: Tensor = where(there, scores, -1.0)
        return each
    return scores.sum(-1) / there.sum(-1)
