"""What the transforms do to Pillow images."""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np

from flambeau.vision.pillow import image_from_array, is_pil_image, pillow

PADDING_MODES = ("constant", "edge", "reflect", "symmetric")
_WITHOUT_HUE = frozenset({"L", "1", "I", "F"})


def check(img: Any) -> None:
    """TypeError unless `img` is an image of Pillow's."""
    if not is_pil_image(img):
        raise TypeError(f"img should be PIL Image. Got {type(img)}")


def dimensions(img: Any) -> list[int]:
    """Channels, height and width."""
    if not is_pil_image(img):
        raise TypeError(f"Unexpected type {type(img)}")
    return [len(img.getbands()), img.height, img.width]


def filling(fill: Any, img: Any) -> Any:
    """`fill` as Pillow takes it: a number for one channel, a tuple for several."""
    channels = len(img.getbands())
    if fill is None:
        fill = 0
    if isinstance(fill, (int, float)) and channels > 1:
        fill = (fill,) * channels
    if isinstance(fill, (list, tuple)):
        if len(fill) == 1:
            fill = tuple(fill) * channels
        elif len(fill) != channels:
            raise ValueError(
                "The number of elements in 'fill' does not match the number of channels of the "
                f"image ({len(fill)} != {channels})"
            )
        return tuple(fill) if img.mode == "F" else tuple(int(each) for each in fill)
    return fill if img.mode == "F" else int(fill)


def sides(padding: Any) -> tuple[int, int, int, int]:
    """Left, top, right and bottom of a padding of one, two or four numbers."""
    if isinstance(padding, numbers.Number):
        return (int(padding),) * 4  # type: ignore[call-overload]
    if len(padding) == 1:
        return (padding[0],) * 4
    if len(padding) == 2:
        return (padding[0], padding[1]) * 2
    left, top, right, bottom = padding
    return left, top, right, bottom


def check_padding(padding: Any, fill: Any, mode: Any) -> None:
    """The exceptions for arguments that `pad` does not take."""
    if not isinstance(padding, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate padding arg")
    if fill is not None and not isinstance(fill, (numbers.Number, tuple, list)):
        raise TypeError("Got inappropriate fill arg")
    if not isinstance(mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if isinstance(padding, (tuple, list)) and len(padding) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element tuple, not a "
            f"{len(padding)} element tuple"
        )
    if mode not in PADDING_MODES:
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")


def pad(img: Any, padding: Any, fill: Any = 0, padding_mode: str = "constant") -> Any:
    """The image with borders; negative ones cut it (outside of mode "constant")."""
    check(img)
    check_padding(padding, fill, padding_mode)
    left, top, right, bottom = sides(padding)
    palette = img.getpalette() if img.mode == "P" else None
    if padding_mode == "constant":
        border = (left, top, right, bottom)
        out = pillow("ImageOps").expand(img, border=border, fill=filling(fill, img))
    else:
        if min(left, top, right, bottom) < 0:
            box = (-min(left, 0), -min(top, 0))
            img = img.crop((*box, img.width + min(right, 0), img.height + min(bottom, 0)))
        array = np.asarray(img)
        widths = [(max(top, 0), max(bottom, 0)), (max(left, 0), max(right, 0)), (0, 0)]
        padded: Any = np.pad(array, widths[: array.ndim], padding_mode)  # type: ignore[call-overload]
        out = pillow().fromarray(padded)
    if palette is not None:
        out.putpalette(palette)
    return out


def crop(img: Any, top: int, left: int, height: int, width: int) -> Any:
    check(img)
    return img.crop((left, top, left + width, top + height))


def resize(img: Any, size: list[int], interpolation: int) -> Any:
    check(img)
    return img.resize((size[1], size[0]), interpolation)


def hflip(img: Any) -> Any:
    check(img)
    return img.transpose(pillow().Transpose.FLIP_LEFT_RIGHT)


def vflip(img: Any) -> Any:
    check(img)
    return img.transpose(pillow().Transpose.FLIP_TOP_BOTTOM)


def rotate(img: Any, angle: float, interpolation: int, expand: bool, center: Any, fill: Any) -> Any:
    check(img)
    return img.rotate(angle, interpolation, expand, center, fillcolor=filling(fill, img))


def affine(img: Any, matrix: list[float], interpolation: int, fill: Any) -> Any:
    check(img)
    kind = pillow().Transform.AFFINE
    return img.transform(img.size, kind, matrix, interpolation, fillcolor=filling(fill, img))


def perspective(img: Any, coefficients: list[float], interpolation: int, fill: Any) -> Any:
    check(img)
    kind = pillow().Transform.PERSPECTIVE
    return img.transform(img.size, kind, coefficients, interpolation, fillcolor=filling(fill, img))


# ---- colours -------------------------------------------------------------------------------------


def _enhanced(img: Any, kind: str, factor: float) -> Any:
    check(img)
    return getattr(pillow("ImageEnhance"), kind)(img).enhance(factor)


def adjust_brightness(img: Any, factor: float) -> Any:
    return _enhanced(img, "Brightness", factor)


def adjust_contrast(img: Any, factor: float) -> Any:
    return _enhanced(img, "Contrast", factor)


def adjust_saturation(img: Any, factor: float) -> Any:
    return _enhanced(img, "Color", factor)


def adjust_sharpness(img: Any, factor: float) -> Any:
    return _enhanced(img, "Sharpness", factor)


def adjust_hue(img: Any, factor: float) -> Any:
    """The colours turned round by `factor` of the circle, in steps of 1/255."""
    if not -0.5 <= factor <= 0.5:
        raise ValueError(f"hue_factor ({factor}) is not in [-0.5, 0.5].")
    check(img)
    if img.mode in _WITHOUT_HUE:
        return img
    hue, saturation, value = img.convert("HSV").split()
    turned = np.array(hue, np.uint8) + np.uint8(int(factor * 255) & 0xFF)
    parts = (image_from_array(turned, "L"), saturation, value)
    return pillow().merge("HSV", parts).convert(img.mode)


def adjust_gamma(img: Any, gamma: float, gain: float = 1) -> Any:
    check(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    # Just below 256, so that 255 stays 255 and every output has an equal share of the inputs.
    levels = [int((256 - 0.001) * gain * pow(level / 255.0, gamma)) for level in range(256)]
    return img.convert("RGB").point(levels * 3).convert(img.mode)


def to_grayscale(img: Any, channels: int) -> Any:
    check(img)
    if channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    gray = img.convert("L")
    return gray if channels == 1 else pillow().merge("RGB", (gray, gray, gray))


def invert(img: Any) -> Any:
    check(img)
    return pillow("ImageOps").invert(img)


def posterize(img: Any, bits: int) -> Any:
    check(img)
    return pillow("ImageOps").posterize(img, bits)


def solarize(img: Any, threshold: float) -> Any:
    check(img)
    return pillow("ImageOps").solarize(img, threshold)


def autocontrast(img: Any) -> Any:
    check(img)
    return pillow("ImageOps").autocontrast(img)


def equalize(img: Any) -> Any:
    check(img)
    return pillow("ImageOps").equalize(img)
