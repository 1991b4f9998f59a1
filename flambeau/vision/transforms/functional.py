"""torchvision.transforms.functional: one operation each, on Pillow images and tensors."""

from __future__ import annotations

import math
import numbers
import warnings
from typing import Any

import numpy as np

from flambeau.vision._torch import Tensor, float32
from flambeau.vision._torch import dtype as DType
from flambeau.vision.pillow import is_pil_image
from flambeau.vision.transforms import pil_images as on_pil
from flambeau.vision.transforms import tensor_colors as colors
from flambeau.vision.transforms import tensor_images as on_tensor
from flambeau.vision.transforms import tensor_warps as warps
from flambeau.vision.transforms.conversion import pil_to_tensor, to_pil_image, to_tensor
from flambeau.vision.transforms.interpolation import (
    PILLOW_NUMBERS,
    InterpolationMode,
    checked_mode,
)

__all__ = [
    "InterpolationMode", "adjust_brightness", "adjust_contrast", "adjust_gamma", "adjust_hue",
    "adjust_saturation", "adjust_sharpness", "affine", "autocontrast", "center_crop",
    "convert_image_dtype", "crop", "elastic_transform", "equalize", "erase", "five_crop",
    "gaussian_blur", "get_dimensions", "get_image_num_channels", "get_image_size", "hflip",
    "invert", "normalize", "pad", "perspective", "pil_to_tensor", "posterize", "resize",
    "resized_crop", "rgb_to_grayscale", "rotate", "solarize", "ten_crop", "to_grayscale",
    "to_pil_image", "to_tensor", "vflip",
]  # fmt: skip


def get_dimensions(img: Any) -> list[int]:
    """Channels, height and width."""
    return on_tensor.dimensions(img) if isinstance(img, Tensor) else on_pil.dimensions(img)


def get_image_size(img: Any) -> list[int]:
    """Width and height."""
    return get_dimensions(img)[:0:-1]


def get_image_num_channels(img: Any) -> int:
    """The number of channels."""
    return get_dimensions(img)[0]


def _check_tensor(img: Any, text: str = "img should be Tensor Image. Got {}") -> None:
    if not isinstance(img, Tensor):
        raise TypeError(text.format(type(img)))


def convert_image_dtype(image: Tensor, dtype: DType = float32) -> Tensor:
    """A tensor image in another dtype, scaled so that black and white stay."""
    _check_tensor(image, "Input img should be Tensor Image")
    return on_tensor.convert_image_dtype(image, dtype)


def normalize(tensor: Tensor, mean: Any, std: Any, inplace: bool = False) -> Tensor:
    """(tensor - mean) / std for each channel of a float tensor (..., C, H, W)."""
    _check_tensor(tensor)
    return on_tensor.normalize(tensor, mean, std, inplace)


# ---- sizes and windows ---------------------------------------------------------------------------


def resized_size(height: int, width: int, size: Any, max_size: int | None) -> list[int]:
    """Height and width for a `size` of one or two elements."""
    if len(size) == 2:
        return [size[0], size[1]]
    short, long = min(height, width), max(height, width)
    new_short, new_long = size[0], int(size[0] * long / short)
    if max_size is not None:
        if max_size <= size[0]:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the "
                f"smaller edge size = {size}"
            )
        if new_long > max_size:
            new_short, new_long = int(max_size * new_short / new_long), max_size
    return [new_long, new_short] if width <= height else [new_short, new_long]


def resize(
    img: Any,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Any:
    """The image at `size`: (height, width), or the length of the shorter side."""
    mode = checked_mode(interpolation)
    if isinstance(size, (list, tuple)):
        if len(size) not in (1, 2):
            raise ValueError(
                "Size must be an int or a 1 or 2 element tuple/list, not a "
                f"{len(size)} element tuple/list"
            )
        if max_size is not None and len(size) != 1:
            raise ValueError(
                "max_size should only be passed if size specifies the length of the smaller edge, "
                "i.e. size should be an int or a sequence of length 1 in torchscript mode."
            )
    _, height, width = get_dimensions(img)
    new = resized_size(height, width, [size] if isinstance(size, int) else size, max_size)
    if [height, width] == new:
        return img
    if isinstance(img, Tensor):
        return on_tensor.resize(img, new, mode.value, antialias)
    if antialias is False:
        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. Argument antialias is "
            "ignored.",
            stacklevel=2,
        )
    return on_pil.resize(img, new, PILLOW_NUMBERS[mode])


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """The image with borders: one width, (left and right, top and bottom), or all four."""
    return (on_tensor if isinstance(img, Tensor) else on_pil).pad(img, padding, fill, padding_mode)


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    """The window whose top left corner is at (top, left); black outside the image."""
    place = on_tensor if isinstance(img, Tensor) else on_pil
    return place.crop(img, top, left, height, width)


def _pair(size: Any) -> Any:
    if isinstance(size, numbers.Number):
        return int(size), int(size)  # type: ignore[call-overload]
    if isinstance(size, (tuple, list)) and len(size) == 1:
        return size[0], size[0]
    return size


def center_crop(img: Any, output_size: Any) -> Any:
    """The middle of the image; where it is smaller than that, black around it."""
    height, width = _pair(output_size)
    _, rows, columns = get_dimensions(img)
    if width > columns or height > rows:
        more_x, more_y = max(width - columns, 0), max(height - rows, 0)
        img = pad(img, [more_x // 2, more_y // 2, (more_x + 1) // 2, (more_y + 1) // 2])
        _, rows, columns = get_dimensions(img)
        if (width, height) == (columns, rows):
            return img
    top, left = round((rows - height) / 2.0), round((columns - width) / 2.0)
    return crop(img, top, left, height, width)


def resized_crop(
    img: Any,
    top: int,
    left: int,
    height: int,
    width: int,
    size: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Any:
    """A window of the image, resized."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Any, size: Any) -> tuple[Any, ...]:
    """The corners (top left, top right, bottom left, bottom right) and the centre."""
    size = _pair(size)
    if len(size) != 2:
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    height, width = size
    _, rows, columns = get_dimensions(img)
    if width > columns or height > rows:
        raise ValueError(f"Requested crop size {size} is bigger than input size {(rows, columns)}")
    corners = [(top, left) for top in (0, rows - height) for left in (0, columns - width)]
    windows = [crop(img, top, left, height, width) for top, left in corners]
    return (*windows, center_crop(img, [height, width]))


def ten_crop(img: Any, size: Any, vertical_flip: bool = False) -> tuple[Any, ...]:
    """`five_crop` of the image and of its mirror image."""
    mirrored = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(mirrored, size)


def hflip(img: Any) -> Any:
    """The image with left and right exchanged."""
    return (on_tensor if isinstance(img, Tensor) else on_pil).hflip(img)


def vflip(img: Any) -> Any:
    """The image upside down."""
    return (on_tensor if isinstance(img, Tensor) else on_pil).vflip(img)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """A tensor image with the window at row i, column j replaced by `v`."""
    _check_tensor(img)
    return on_tensor.erase(img, i, j, h, w, v, inplace)


# ---- turned and bent -----------------------------------------------------------------------------


def _perspective_coefficients(startpoints: Any, endpoints: Any) -> list[float]:
    """Of the map that takes the end points to the start points: (ax+by+c, dx+ey+f)/(gx+hy+1)."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
            f"{len(endpoints)} endpoints."
        )
    rows = []
    for (x, y), (u, v) in zip(endpoints, startpoints):
        rows.append([x, y, 1, 0, 0, 0, -u * x, -u * y])
        rows.append([0, 0, 0, x, y, 1, -v * x, -v * y])
    wanted = np.array(startpoints, np.float64).reshape(8)
    found = np.linalg.lstsq(np.array(rows, np.float64), wanted, rcond=None)[0]
    coefficients: list[float] = found.astype(np.float32).tolist()
    return coefficients


def perspective(
    img: Any,
    startpoints: Any,
    endpoints: Any,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The image with its corners `startpoints` (x, y) moved to `endpoints`."""
    coefficients = _perspective_coefficients(startpoints, endpoints)
    mode = checked_mode(interpolation)
    if isinstance(img, Tensor):
        return warps.perspective(img, coefficients, mode.value, fill)
    return on_pil.perspective(img, coefficients, PILLOW_NUMBERS[mode], fill)


def _inverse_matrix(
    center: Any, angle: float, translate: Any, scale: float, shear: Any
) -> list[float]:
    """The two rows that take a place of the result to its place in the image.

    The map shears, turns and scales about the centre, then translates.
    """
    turn, x_shear, y_shear = (math.radians(each) for each in (angle, *shear))
    a = math.cos(turn - y_shear) / math.cos(y_shear)
    b = -a * math.tan(x_shear) - math.sin(turn)
    c = math.sin(turn - y_shear) / math.cos(y_shear)
    d = -c * math.tan(x_shear) + math.cos(turn)
    # Its determinant is 1.
    (p, q), (r, s) = (d / scale, -b / scale), (-c / scale, a / scale)
    x, y = -center[0] - translate[0], -center[1] - translate[1]
    return [p, q, p * x + q * y + center[0], r, s, r * x + s * y + center[1]]


def _check_turn(angle: Any, center: Any) -> None:
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, (list, tuple)):
        raise TypeError("Argument center should be a sequence")


def _from_middle(img: Tensor, center: Any) -> list[float]:
    if center is None:
        return [0.0, 0.0]
    _, height, width = get_dimensions(img)
    return [center[0] - width * 0.5, center[1] - height * 0.5]


def rotate(
    img: Any,
    angle: float,
    interpolation: Any = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Any = None,
    fill: Any = None,
) -> Any:
    """The image turned counter-clockwise by `angle` degrees."""
    mode = checked_mode(interpolation)
    _check_turn(angle, center)
    if not isinstance(img, Tensor):
        return on_pil.rotate(img, angle, PILLOW_NUMBERS[mode], expand, center, fill)
    matrix = _inverse_matrix(_from_middle(img, center), -angle, (0.0, 0.0), 1.0, (0.0, 0.0))
    return warps.rotate(img, matrix, mode.value, expand, fill)


def _checked_shear(shear: Any) -> list[float]:
    if not isinstance(shear, (numbers.Number, list, tuple)):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    values: list[Any] = [shear, 0.0] if isinstance(shear, numbers.Number) else list(shear)
    if len(values) == 1:
        values *= 2
    if len(values) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {values}")
    return values


def affine(
    img: Any,
    angle: float,
    translate: Any,
    scale: float,
    shear: Any,
    interpolation: Any = InterpolationMode.NEAREST,
    fill: Any = None,
    center: Any = None,
) -> Any:
    """The image turned (degrees, clockwise), moved (pixels), scaled and sheared (degrees)."""
    mode = checked_mode(interpolation)
    if not isinstance(angle, (int, float)):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, (list, tuple)):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    shears = _checked_shear(shear)
    _check_turn(angle, center)
    if isinstance(img, Tensor):
        matrix = _inverse_matrix(_from_middle(img, center), angle, translate, scale, shears)
        return warps.affine(img, matrix, mode.value, fill)
    _, height, width = get_dimensions(img)
    middle = [width * 0.5, height * 0.5] if center is None else center
    matrix = _inverse_matrix(middle, angle, translate, scale, shears)
    return on_pil.affine(img, matrix, PILLOW_NUMBERS[mode], fill)


def _through_tensor(img: Any, make: Any) -> Any:
    """`make` of a tensor, for both kinds of image."""
    if isinstance(img, Tensor):
        return make(img)
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image or Tensor. Got {type(img)}")
    return to_pil_image(make(pil_to_tensor(img)), img.mode)


def elastic_transform(
    img: Any,
    displacement: Tensor,
    interpolation: Any = InterpolationMode.BILINEAR,
    fill: Any = None,
) -> Any:
    """The image read at places moved by `displacement` [1, H, W, 2], in halves of the image."""
    mode = checked_mode(interpolation)
    _check_tensor(displacement, "Argument displacement should be a Tensor")
    shape = (1, *get_dimensions(img)[1:], 2)
    if tuple(displacement.shape) != shape:
        raise ValueError(
            f"Argument displacement shape should be {shape}, but given {displacement.shape}"
        )
    return _through_tensor(
        img, lambda t: warps.elastic_transform(t, displacement, mode.value, fill)
    )


# ---- colours -------------------------------------------------------------------------------------


def adjust_brightness(img: Any, brightness_factor: float) -> Any:
    """0 is black, 1 the image."""
    place = colors if isinstance(img, Tensor) else on_pil
    return place.adjust_brightness(img, brightness_factor)


def adjust_contrast(img: Any, contrast_factor: float) -> Any:
    """0 is gray, 1 the image."""
    return (colors if isinstance(img, Tensor) else on_pil).adjust_contrast(img, contrast_factor)


def adjust_saturation(img: Any, saturation_factor: float) -> Any:
    """0 is without colour, 1 the image."""
    place = colors if isinstance(img, Tensor) else on_pil
    return place.adjust_saturation(img, saturation_factor)


def adjust_hue(img: Any, hue_factor: float) -> Any:
    """The colours turned round; -0.5 and 0.5 are the complements. ValueError beyond."""
    return (colors if isinstance(img, Tensor) else on_pil).adjust_hue(img, hue_factor)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    """gain * img ** gamma, white being 1."""
    return (colors if isinstance(img, Tensor) else on_pil).adjust_gamma(img, gamma, gain)


def adjust_sharpness(img: Any, sharpness_factor: float) -> Any:
    """0 is blurred, 1 the image, 2 sharper."""
    place = colors if isinstance(img, Tensor) else on_pil
    return place.adjust_sharpness(img, sharpness_factor)


def to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """A Pillow image in gray, with one or three channels."""
    if not is_pil_image(img):
        raise TypeError("Input should be PIL Image")
    return on_pil.to_grayscale(img, num_output_channels)


def rgb_to_grayscale(img: Any, num_output_channels: int = 1) -> Any:
    """The image in gray, with one or three channels."""
    if isinstance(img, Tensor):
        return colors.rgb_to_grayscale(img, num_output_channels)
    return on_pil.to_grayscale(img, num_output_channels)


def invert(img: Any) -> Any:
    """The negative."""
    return (colors if isinstance(img, Tensor) else on_pil).invert(img)


def posterize(img: Any, bits: int) -> Any:
    """Only the upper `bits` of each byte."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    return (colors if isinstance(img, Tensor) else on_pil).posterize(img, bits)


def solarize(img: Any, threshold: float) -> Any:
    """Values from the threshold on inverted."""
    return (colors if isinstance(img, Tensor) else on_pil).solarize(img, threshold)


def autocontrast(img: Any) -> Any:
    """Each channel stretched from black to white."""
    return (colors if isinstance(img, Tensor) else on_pil).autocontrast(img)


def equalize(img: Any) -> Any:
    """Each channel with an even histogram (uint8)."""
    return (colors if isinstance(img, Tensor) else on_pil).equalize(img)


def _checked_blur(kernel_size: Any, sigma: Any) -> tuple[Any, Any]:
    if not isinstance(kernel_size, (int, list, tuple)):
        raise TypeError(
            f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}"
        )
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else kernel_size
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        return sizes, [size * 0.15 + 0.35 for size in sizes]
    if not isinstance(sigma, (int, float, list, tuple)):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigmas = [float(sigma)] * 2 if isinstance(sigma, (int, float)) else sigma
    if len(sigmas) == 1:
        sigmas = [sigmas[0]] * 2
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if any(each <= 0.0 for each in sigmas):
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    return sizes, sigmas


def gaussian_blur(img: Any, kernel_size: Any, sigma: Any = None) -> Any:
    """The image blurred; sizes (odd) and deviations are numbers, or pairs for x and y."""
    sizes, sigmas = _checked_blur(kernel_size, sigma)
    return _through_tensor(img, lambda t: colors.gaussian_blur(t, sizes, sigmas))
