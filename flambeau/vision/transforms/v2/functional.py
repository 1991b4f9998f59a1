"""torchvision.transforms.v2.functional: v1's operations under v2's names and arguments."""

from __future__ import annotations

import io
from typing import Any

import numpy as np

from flambeau.functional.array_resize import resize_array
from flambeau.vision._torch import (
    Tensor,
    dtype_of_array,
    float32,
    from_array,
    int16,
    randn,
    stack,
    tensor,
    uint8,
)
from flambeau.vision._torch import dtype as DType
from flambeau.vision.pillow import is_pil_image, pillow
from flambeau.vision.transforms import functional as v1
from flambeau.vision.transforms import pil_images, tensor_images, tensor_warps
from flambeau.vision.transforms.conversion import pil_to_tensor, to_pil_image, to_tensor
from flambeau.vision.transforms.functional import (
    adjust_brightness,
    adjust_contrast,
    adjust_gamma,
    adjust_hue,
    adjust_saturation,
    adjust_sharpness,
    autocontrast,
    center_crop,
    crop,
    equalize,
    erase,
    five_crop,
    gaussian_blur,
    get_dimensions,
    get_image_num_channels,
    get_image_size,
    invert,
    normalize,
    posterize,
    solarize,
    ten_crop,
    to_grayscale,
)
from flambeau.vision.transforms.functional import hflip as horizontal_flip
from flambeau.vision.transforms.functional import vflip as vertical_flip
from flambeau.vision.transforms.interpolation import (
    PILLOW_NUMBERS,
    InterpolationMode,
    mode_from_number,
)

__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
    "adjust_saturation", "adjust_sharpness", "affine", "autocontrast", "center_crop",
    "convert_image_dtype", "crop", "elastic", "elastic_transform", "equalize", "erase",
    "five_crop", "gaussian_blur", "gaussian_noise", "get_dimensions", "get_image_num_channels",
    "get_image_size", "get_num_channels", "get_size", "grayscale_to_rgb", "hflip",
    "horizontal_flip", "invert", "jpeg", "normalize", "pad", "permute_channels", "perspective",
    "pil_to_tensor", "posterize", "resize", "resized_crop", "rgb_to_grayscale", "rotate",
    "solarize", "ten_crop", "to_dtype", "to_grayscale", "to_image", "to_pil_image", "to_tensor",
    "uniform_temporal_subsample", "vertical_flip", "vflip",
]  # fmt: skip

hflip, vflip = horizontal_flip, vertical_flip
get_num_channels = get_image_num_channels


def get_size(inpt: Any) -> list[int]:
    """Height and width."""
    return get_dimensions(inpt)[1:]


def mode_of(interpolation: Any) -> InterpolationMode:
    """The mode of its name, of one of Pillow's numbers, or of itself."""
    mode = mode_from_number(interpolation)
    if isinstance(mode, str):
        return InterpolationMode(mode)
    if not isinstance(mode, InterpolationMode):
        raise ValueError(f"Argument interpolation should be a mode or its name, got {mode!r}")
    return mode


def resize(
    inpt: Any,
    size: Any,
    interpolation: Any = "bilinear",
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image at `size`: (height, width), the shorter side, or None (the longer: max_size)."""
    if size is None:
        if not isinstance(max_size, int):
            raise ValueError(f"max_size must be an integer when size is None, but got {max_size}.")
        height, width = get_size(inpt)
        short = int(max_size * min(height, width) / max(height, width))
        size, max_size = ([max_size, short] if width <= height else [short, max_size]), None
    mode = mode_of(interpolation)
    if not isinstance(inpt, Tensor) or inpt.dtype is not uint8 or not antialias:
        return v1.resize(inpt, size, mode, max_size, antialias)
    host = tensor_images.on_host(inpt)
    if host is None or mode not in (InterpolationMode.BILINEAR, InterpolationMode.BICUBIC):
        return v1.resize(inpt, size, mode, max_size, antialias)
    height, width = get_size(inpt)
    new = v1.resized_size(height, width, [size] if isinstance(size, int) else size, max_size)
    return from_array(resize_array(host, new, mode.value), uint8)


def pad(inpt: Any, padding: Any, fill: Any = None, padding_mode: str = "constant") -> Any:
    """The image with borders; `fill` may have a number for each channel."""
    if not isinstance(inpt, Tensor) or not isinstance(fill, (list, tuple)):
        return v1.pad(inpt, padding, 0 if fill is None else fill, padding_mode)
    if len(fill) == 1:
        return v1.pad(inpt, padding, fill[0], padding_mode)
    channels = zip(inpt.unbind(-3), fill)
    return stack([v1.pad(channel, padding, level, padding_mode) for channel, level in channels], -3)


def resized_crop(
    inpt: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = "bilinear",
    antialias: bool | None = True,
) -> Any:
    """A window of the image, resized."""
    window = crop(inpt, top, left, height, width)
    return resize(window, size, interpolation, antialias=antialias)


def affine(
    inpt: Any,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = "nearest",
    fill: Any = None,
    center: Any = None,
) -> Any:
    """The image turned (degrees, clockwise), moved (pixels), scaled and sheared (degrees)."""
    mode = mode_of(interpolation)
    return v1.affine(inpt, angle, translate, scale, shear, mode, fill, center)


def rotate(
    inpt: Any,
    angle: float,
    interpolation: Any = "nearest",
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """The image turned counter-clockwise by `angle` degrees."""
    return v1.rotate(inpt, angle, mode_of(interpolation), expand, center, fill)


def perspective(
    inpt: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = "bilinear",
    fill: Any = None,
    coefficients: Any = None,
) -> Any:
    """The image with its corners `startpoints` (x, y) moved to `endpoints`."""
    mode = mode_of(interpolation)
    if coefficients is None:
        return v1.perspective(inpt, startpoints, endpoints, mode, fill)
    if startpoints is not None or endpoints is not None:
        raise ValueError("The startpoints/endpoints and the coefficients are mutually exclusive.")
    if isinstance(inpt, Tensor):
        return tensor_warps.perspective(inpt, list(coefficients), mode.value, fill)
    return pil_images.perspective(inpt, list(coefficients), PILLOW_NUMBERS[mode], fill)


def elastic(
    inpt: Any, displacement: Tensor, interpolation: Any = "bilinear", fill: Any = None
) -> Any:
    """The image read at places moved by `displacement` [1, H, W, 2], in halves of the image."""
    return v1.elastic_transform(inpt, displacement, mode_of(interpolation), fill)


elastic_transform = elastic


# ---- kind and values -----------------------------------------------------------------------------


def to_image(inpt: Any) -> Tensor:
    """A Pillow image or an array (H, W[, C]) as a tensor (C, H, W) of its own dtype."""
    if isinstance(inpt, Tensor):
        return inpt
    if isinstance(inpt, np.ndarray):
        array = inpt[:, :, None] if inpt.ndim == 2 else inpt
        return from_array(array.transpose(2, 0, 1), dtype_of_array(array.dtype))
    if is_pil_image(inpt):
        return pil_to_tensor(inpt)
    raise TypeError(
        f"Input can either be a pure Tensor, a numpy array, or a PIL image, but got {type(inpt)} "
        "instead."
    )


def to_dtype(inpt: Tensor, dtype: DType = float32, scale: bool = False) -> Tensor:
    """A tensor in another dtype; `scale` keeps black and white."""
    if inpt.dtype is dtype:
        return inpt
    if not scale:
        return inpt.to(dtype)
    if dtype.is_floating_point and not inpt.is_floating_point():
        factor = 1.0 / tensor_images.largest(inpt.dtype)
        host = tensor_images.on_host(inpt)
        if host is not None and dtype is float32 and inpt.dtype is uint8:
            return from_array(np.multiply(host, np.float32(factor), dtype=np.float32), float32)
        return inpt.to(dtype) * factor
    return tensor_images.convert_image_dtype(inpt, dtype)


def convert_image_dtype(image: Tensor, dtype: DType = float32) -> Tensor:
    """A tensor image in another dtype, scaled so that black and white stay."""
    return to_dtype(image, dtype, scale=True)


def rgb_to_grayscale(inpt: Any, num_output_channels: int = 1) -> Any:
    """The image in gray, with one or three channels."""
    if isinstance(inpt, Tensor) and inpt.shape[-3] == 1 and num_output_channels == 3:
        return inpt.repeat_interleave(3, dim=-3)
    return v1.rgb_to_grayscale(inpt, num_output_channels)


def grayscale_to_rgb(inpt: Any) -> Any:
    """The image with three channels."""
    if isinstance(inpt, Tensor):
        return inpt if inpt.shape[-3] >= 3 else rgb_to_grayscale(inpt, 3)
    return inpt.convert("RGB")


def permute_channels(inpt: Any, permutation: Any) -> Any:
    """The channels in another order. ValueError where their numbers differ."""
    order = permutation.tolist() if isinstance(permutation, Tensor) else list(permutation)
    if is_pil_image(inpt):
        return to_pil_image(permute_channels(pil_to_tensor(inpt), order), inpt.mode)
    if inpt.shape[-3] != len(order):
        raise ValueError(
            f"Length of permutation does not match number of channels: {len(order)} != "
            f"{inpt.shape[-3]}"
        )
    return inpt.index_select(-3, tensor(order))


def gaussian_noise(inpt: Any, mean: float = 0.0, sigma: float = 0.1, clip: bool = True) -> Tensor:
    """The image (floats in [0, 1] or bytes) with normal noise; `sigma` is in units of white."""
    if not isinstance(inpt, Tensor):
        raise ValueError("Gaussian Noise is not implemented for PIL images.")
    if sigma < 0:
        raise ValueError(f"sigma shouldn't be negative. Got {sigma}")
    if inpt.is_floating_point():
        out: Tensor = inpt + (mean + randn(*inpt.shape, dtype=inpt.dtype) * sigma)
        return out.clamp(0, 1) if clip else out
    if inpt.dtype is not uint8:
        raise ValueError(
            f"Input tensor is expected to be in uint8 or float dtype, got dtype={inpt.dtype}"
        )
    noise = (mean * 255 + randn(*inpt.shape, dtype=float32) * (sigma * 255)).to(int16)
    out = inpt + noise
    return (out.clamp(0, 255) if clip else out).to(uint8)


def jpeg(image: Any, quality: int) -> Any:
    """The image as JPEG at that quality (1 to 100) shows it."""
    if isinstance(image, Tensor):
        if image.ndim > 3:
            flat = image.reshape(-1, *image.shape[-3:])
            shown = [jpeg(each, quality)._array() for each in flat]
            return from_array(np.stack(shown).reshape(image.shape), uint8)
        return pil_to_tensor(jpeg(to_pil_image(image), quality))
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality)
    return pillow().open(file).convert(image.mode)


def uniform_temporal_subsample(inpt: Tensor, num_samples: int) -> Tensor:
    """`num_samples` frames of a video (..., T, C, H, W), evenly spaced."""
    places = np.linspace(0, inpt.shape[-4] - 1, num_samples).astype(np.int64)
    return inpt.index_select(-4, from_array(places, tensor([0]).dtype))
