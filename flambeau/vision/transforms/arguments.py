"""The checks that several transforms share."""

from __future__ import annotations

import numbers
import warnings
from collections.abc import Sequence
from typing import Any

from flambeau.vision._torch import Tensor

SIZE = "Please provide only two dimensions (h, w) for size."


def pair(size: Any, text: str = SIZE) -> Any:
    """A size of one number or one element as two. ValueError for other lengths."""
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(text)
    return size


def check_sequence(value: Any, name: str, lengths: tuple[int, ...]) -> None:
    """TypeError unless a sequence, ValueError unless of one of the lengths."""
    text = f"{name} should be a sequence of length {' or '.join(map(str, lengths))}."
    if not isinstance(value, Sequence):
        raise TypeError(text)
    if len(value) not in lengths:
        raise ValueError(text)


def angles(value: Any, name: str, lengths: tuple[int, ...] = (2,)) -> list[float]:
    """A range of angles; one number stands for both directions."""
    if isinstance(value, numbers.Number):
        if value < 0:  # type: ignore[operator]
            raise ValueError(f"If {name} is a single number, it must be positive.")
        value = [-value, value]  # type: ignore[operator]
    else:
        check_sequence(value, name, lengths)
    return [float(each) for each in value]


def checked_fill(fill: Any) -> Any:
    """The colour for what is outside; None is 0."""
    if fill is None:
        return 0
    if not isinstance(fill, (Sequence, numbers.Number)):
        raise TypeError("Fill should be either a sequence or a number.")
    return fill


def fill_for(img: Any, fill: Any, channels: int) -> Any:
    """`fill` as the functions for this kind of image take it."""
    if not isinstance(img, Tensor) or fill is None:
        return fill
    if isinstance(fill, (int, float)):
        return [float(fill)] * channels
    return [float(each) for each in fill]


def check_ranges(scale: Any, ratio: Any) -> None:
    """TypeError unless sequences; a warning where a range is upside down."""
    if not isinstance(scale, Sequence):
        raise TypeError("Scale should be a sequence")
    if not isinstance(ratio, Sequence):
        raise TypeError("Ratio should be a sequence")
    if scale[0] > scale[1] or ratio[0] > ratio[1]:
        warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=3)
