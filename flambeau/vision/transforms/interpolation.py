"""The ways to read an image between its pixels."""

from __future__ import annotations

from enum import Enum
from typing import Any


class InterpolationMode(Enum):
    """How pixels are interpolated; the last three are for Pillow images only."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


# Pillow's constants (Image.Resampling); it has no second nearest.
PILLOW_NUMBERS = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}
_BY_NUMBER = {
    number: mode
    for mode, number in PILLOW_NUMBERS.items()
    if mode is not InterpolationMode.NEAREST_EXACT
}


def mode_from_number(interpolation: Any) -> Any:
    """The mode of one of Pillow's numbers; anything else as it is."""
    return _BY_NUMBER[int(interpolation)] if isinstance(interpolation, int) else interpolation


def checked_mode(interpolation: Any) -> InterpolationMode:
    """The mode that is meant by a mode or one of Pillow's numbers; TypeError for others."""
    mode = mode_from_number(interpolation)
    if not isinstance(mode, InterpolationMode):
        raise TypeError(
            "Argument interpolation should be a InterpolationMode or a corresponding Pillow "
            "integer constant"
        )
    return mode
