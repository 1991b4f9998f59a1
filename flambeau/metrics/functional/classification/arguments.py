"""Checks of arguments and shapes that the classification metrics share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from flambeau.metrics._torch import Tensor
from flambeau.metrics.utilities.checks import (
    Doubt,
    at_hand,
    check_binary_labels,
    check_binary_target,
    check_same_shape,
    distinct,
    shown,
)
from flambeau.metrics.utilities.enums import (
    ClassificationTask,
    ClassificationTaskNoBinary,
    ClassificationTaskNoMultilabel,
)

R = TypeVar("R")
AVERAGES = ("micro", "macro", "weighted", "none", None)
_MORE = "If `preds` have one dimension more than `target`, "


def one_of(name: str, value: Any, allowed: Sequence[Any], end: str = "") -> None:
    """ValueError unless the value is allowed."""
    if value not in allowed:
        raise ValueError(f"Expected argument `{name}` to be one of {allowed}, but got {value}{end}")


def check_threshold(threshold: Any, text: str = "a float in the [0,1] range") -> None:
    """ValueError unless the threshold is a float in [0, 1]."""
    if not (isinstance(threshold, float) and 0 <= threshold <= 1):
        raise ValueError(f"Expected argument `threshold` to be {text}, but got {threshold}.")


def check_count(name: str, value: Any) -> None:
    """ValueError unless there are two or more classes or labels."""
    if not isinstance(value, int) or value < 2:
        raise ValueError(
            f"Expected argument `{name}` to be an integer larger than 1, but got {value}"
        )


def check_ignored(ignore_index: Any) -> None:
    """ValueError unless the index is an integer or None."""
    if ignore_index is not None and not isinstance(ignore_index, int):
        raise ValueError(
            "Expected argument `ignore_index` to either be `None` or an integer, but got "
            f"{ignore_index}"
        )


def check_averages(multidim_average: Any, ignore_index: Any, zero_division: Any) -> None:
    """ValueError for what the metrics of counts do not know."""
    one_of("multidim_average", multidim_average, ("global", "samplewise"))
    check_ignored(ignore_index)
    if zero_division not in (0, 1):
        raise ValueError(
            f"Expected argument `zero_division` to be 0 or 1, but got {zero_division}."
        )


def required(name: str, value: Any) -> int:
    """The integer that a task needs. ValueError for anything else."""
    if not isinstance(value, int):
        raise ValueError(f"`{name}` is expected to be `int` but `{type(value)} was passed.`")
    return value


def by_task(task: str, **forms: Callable[[], R]) -> R:
    """What the form of a task gives. ValueError for tasks without a form."""
    if "binary" not in forms:
        kind: str = ClassificationTaskNoBinary.from_str(task).value
    elif "multilabel" not in forms:
        kind = ClassificationTaskNoMultilabel.from_str(task).value
    else:
        kind = ClassificationTask.from_str(task).value
    return forms[kind]()


def check_scores(preds: Tensor) -> None:
    """ValueError for predictions that are labels."""
    if not preds.is_floating_point():
        raise ValueError(
            "Expected argument `preds` to be floating tensor with probabilities/logits but got "
            f"tensor with dtype {preds.dtype}"
        )


def check_binary(
    preds: Tensor,
    target: Tensor,
    ignore_index: int | None,
    doubt: Doubt | None,
    labels: str = "preds",
) -> None:
    """Shapes and values of a binary (or multilabel) batch. RuntimeError."""
    check_same_shape(preds, target)
    check_binary_target(target, ignore_index, doubt)
    check_binary_labels(preds, labels, doubt)


def check_labels(preds: Tensor, num_labels: int) -> None:
    """ValueError unless dimension 1 holds the labels."""
    if preds.shape[1] != num_labels:
        raise ValueError(
            "Expected both `target.shape[1]` and `preds.shape[1]` to be equal to the number of "
            f"labels but got {preds.shape[1]} and expected {num_labels}"
        )


def check_class_shapes(preds: Tensor, target: Tensor, num_classes: int | None) -> None:
    """ValueError unless predictions are (N, ...) labels or (N, C, ...) scores."""
    if preds.ndim == target.ndim + 1:
        if not preds.is_floating_point():
            raise ValueError(f"{_MORE}`preds` should be a float tensor.")
        if num_classes is not None and preds.shape[1] != num_classes:
            raise ValueError(f"{_MORE}`preds.shape[1]` should be equal to number of classes.")
        if preds.shape[2:] != target.shape[1:]:
            raise ValueError(
                f"{_MORE}the shape of `preds` should be (N, C, ...), and the shape of `target` "
                "should be (N, ...)."
            )
    elif preds.ndim != target.ndim:
        raise ValueError(
            "Either `preds` and `target` both should have the (same) shape (N, ...), or `target` "
            "should be (N, ...) and `preds` should be (N, C, ...)."
        )


def check_class_values(
    preds: Tensor,
    target: Tensor,
    num_classes: int | None,
    ignore_index: int | None,
    doubt: Doubt | None,
    all_in_range: bool,
    end: str = "",
) -> None:
    """RuntimeError for labels that are more than the classes or (`all_in_range`) none of them."""
    if num_classes is None:
        return
    most = num_classes if ignore_index is None else num_classes + 1
    pairs = ((target, "target"), (preds, "preds"))
    for x, name in pairs if not preds.is_floating_point() else ():
        found = distinct(x, most, doubt)
        if found is not None:
            raise RuntimeError(
                f"Detected more unique values in `{name}` than expected. Expected only {most} but "
                f"found {found.size} in `{end or name}`."
                + ("" if end else f" Found values: {shown(found)}.")
            )
    if all_in_range and at_hand(target) and target.dtype.kind != "b" and target.numel():
        values = target._values()
        if values.min() < 0 or values.max() >= num_classes:
            values = values if ignore_index is None else values[values != ignore_index]
            if values.size and (values.min() < 0 or values.max() >= num_classes):
                raise RuntimeError(
                    f"Detected values in `target` that are no class: {shown(values)}, where there "
                    f"are {num_classes} classes"
                )
