"""Pillow, imported when it is used; where it is absent, the error names the extra to install."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import numpy as np


def pillow(part: str = "Image") -> Any:
    """The module `PIL.<part>`. Raises ImportError with the way to install Pillow."""
    try:
        return importlib.import_module(f"PIL.{part}")
    except ModuleNotFoundError as error:
        if error.name not in ("PIL", f"PIL.{part}"):
            raise
        raise ImportError(
            "this needs Pillow, which is not installed: pip install 'flambeau[vision]'"
        ) from error


def is_pil_image(value: Any) -> bool:
    """Whether `value` is an image of Pillow's; does not import Pillow."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def image_from_array(array: Any, mode: str | None = None) -> Any:
    """A Pillow image of a row-major (height, width[, channels]) array, in `mode`.

    The image has memory of its own.
    """
    Image = pillow()
    if mode is None:
        return Image.fromarray(array)
    if not array.flags.c_contiguous:
        array = np.ascontiguousarray(array)
    return Image.frombytes(mode, (array.shape[1], array.shape[0]), array.tobytes())
