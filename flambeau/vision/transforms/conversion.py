"""Images of Pillow's, NumPy arrays and tensors, turned into one another."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.vision._torch import (
    Tensor,
    dtype_of_array,
    float32,
    float64,
    from_array,
    get_default_dtype,
    uint8,
)
from flambeau.vision.pillow import image_from_array, is_pil_image

# The modes of Pillow whose pixels are not bytes.
_ELEMENTS = {"I": np.int32, "I;16": np.int16, "I;16B": np.int16, "F": np.float32}
_GRAY_MODES = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}
# Channels: the modes that may be asked for, the one for bytes where none is.
_COLOR_MODES = {
    2: (["LA"], "LA"),
    3: (["RGB", "YCbCr", "HSV"], "RGB"),
    4: (["RGBA", "CMYK", "RGBX"], "RGBA"),
}


def scaled(levels: Any) -> Tensor:
    """Bytes as floats in [0, 1] of the default dtype; a contiguous tensor."""
    kind = get_default_dtype()
    if kind in (float32, float64):
        return from_array(np.divide(levels, kind.numpy.type(255), dtype=kind.numpy), kind)
    return from_array(levels, uint8).to(kind).div(255)


def pixels(img: Any) -> Any:
    """An image of Pillow's as an array (channels, height, width) that owns its memory."""
    array = np.array(img, _ELEMENTS.get(img.mode, np.uint8))
    if img.mode == "1":
        array *= np.uint8(255)
    return array.reshape(img.height, img.width, len(img.getbands())).transpose(2, 0, 1)


def to_tensor(pic: Any) -> Tensor:
    """A Pillow image or an array (H, W[, C]) as a tensor (C, H, W); bytes become [0, 1]."""
    if isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = (pic[:, :, None] if pic.ndim == 2 else pic).transpose(2, 0, 1)
    elif is_pil_image(pic):
        array = pixels(pic)
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    if array.dtype == np.uint8:
        return scaled(np.ascontiguousarray(array))
    return from_array(array, dtype_of_array(array.dtype))


def pil_to_tensor(pic: Any) -> Tensor:
    """A Pillow image as a tensor (C, H, W) of its own dtype; values are not scaled."""
    if not is_pil_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    array = np.array(pic)
    array = array.reshape(pic.height, pic.width, len(pic.getbands())).transpose(2, 0, 1)
    return from_array(array, dtype_of_array(array.dtype))


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (C, H, W) or an array (H, W, C), or (H, W), as a Pillow image; floats are [0, 1]."""
    if isinstance(pic, Tensor):
        array = pic.detach()._values()
        array = array.transpose(1, 2, 0) if pic.ndim == 3 else array
    elif isinstance(pic, np.ndarray):
        array = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    channels = array.shape[-1]
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if np.issubdtype(array.dtype, np.floating) and mode != "F":
        array = (array * 255).astype(np.uint8)
    if channels == 1:
        array = array[:, :, 0]
        expected = _GRAY_MODES.get(array.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {np.dtype}. Should be {expected}"
            )
        mode = expected
    else:
        permitted, usual = _COLOR_MODES[channels]
        if mode is not None and mode not in permitted:
            raise ValueError(f"Only modes {permitted} are supported for {channels}D inputs")
        if mode is None and array.dtype == np.uint8:
            mode = usual
    if mode is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    return image_from_array(array, mode)
