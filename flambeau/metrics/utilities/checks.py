"""Checks of batches: shapes at once; values at once where they are at hand.

A tensor whose program has not run yet has no values. Metrics then pass `doubt`, which records the
check: the update does not wait, and `compute` raises (see `Metric._doubt`). Functions read.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.metrics._torch import Tensor, dtype_of_array, from_array

Doubt = Callable[[str, Tensor], None]


def at_hand(x: Tensor) -> bool:
    """Whether the values can be read without running anything."""
    storage = x._storage
    return storage is not None and (storage.recording is None or storage.recording.done)


def _check_same_shape(preds: Tensor, target: Tensor) -> None:
    """RuntimeError where the shapes differ."""
    if preds.shape != target.shape:
        raise RuntimeError(
            "Predictions and targets are expected to have the same shape, but got "
            f"{preds.shape} and {target.shape}."
        )


check_same_shape = _check_same_shape


def shown(values: Any) -> str:
    """The distinct values, as a tensor prints them."""
    return str(from_array(np.unique(values), dtype_of_array(values.dtype)))


def check_values(
    x: Tensor, name: str, allowed: tuple[int, ...], expected: str, doubt: Doubt | None
) -> None:
    """RuntimeError where values other than those allowed occur."""
    if x.dtype.kind == "b":
        return
    if doubt is not None and not at_hand(x):
        wrong = x != allowed[0]
        for value in allowed[1:]:
            wrong = wrong & (x != value)
        doubt(f"Detected values in `{name}` but expected only the following values {expected}",
              wrong.any())  # fmt: skip
        return
    values = x._values()
    right = values == allowed[0]
    for value in allowed[1:]:
        right |= values == value
    if not right.all():
        raise RuntimeError(
            f"Detected the following values in `{name}`: {shown(values)} but expected only the "
            f"following values {expected}"
        )


def check_binary_target(target: Tensor, ignore_index: int | None, doubt: Doubt | None) -> None:
    """RuntimeError where a target is neither 0 nor 1 nor ignored."""
    if ignore_index is None:
        check_values(target, "target", (0, 1), "[0, 1].", doubt)
    else:
        check_values(target, "target", (0, 1, ignore_index), f"[{ignore_index}].", doubt)


def check_binary_labels(preds: Tensor, what: str, doubt: Doubt | None) -> None:
    """RuntimeError where predictions that are labels are neither 0 nor 1."""
    if not preds.is_floating_point():
        check_values(preds, "preds", (0, 1), f"[0,1] since {what} is a label tensor.", doubt)


def distinct(x: Tensor, most: int, doubt: Doubt | None) -> Any:
    """The distinct values where there are more than `most`; None otherwise.

    Values that are not at hand are not counted for a metric: those that are no class make the
    program fail that adds them to the states.
    """
    if x.dtype.kind == "b" or (doubt is not None and not at_hand(x)):
        return None
    values = x._values()
    if not values.size or (values.min() >= 0 and values.max() < most):
        return None
    found = np.unique(values)
    return found if found.size > most else None
