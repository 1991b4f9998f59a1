"""What the transforms do to the colours of tensor images [..., C, H, W]."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.vision._torch import (
    F,
    Tensor,
    float32,
    from_array,
    ones,
    stack,
    uint8,
    where,
    zeros_like,
)
from flambeau.vision.transforms.tensor_images import (
    check,
    check_channels,
    check_rank,
    convert_image_dtype,
    dimensions,
    largest,
    squeezed,
    unsqueezed,
)


def _floating(img: Tensor) -> Any:
    return img.dtype if img.is_floating_point() else float32


def _check_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")


def _blend(img: Tensor, other: Tensor, ratio: float) -> Tensor:
    """ratio * img + (1 - ratio) * other, within black and white."""
    ratio = float(ratio)
    mixed = ratio * img + (1.0 - ratio) * other
    return mixed.clamp(0, largest(img.dtype)).to(img.dtype)


def rgb_to_grayscale(img: Tensor, channels: int = 1) -> Tensor:
    """The luma (ITU-R 601) in one or three channels."""
    if img.ndim < 3:
        check_rank(img)
    check_channels(img)
    if channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if img.shape[-3] == 3:
        r, g, b = img.unbind(dim=-3)
        gray = (0.2989 * r + 0.587 * g + 0.114 * b).to(img.dtype).unsqueeze(dim=-3)
    else:
        gray = img.clone()
    return gray.expand(img.shape) if channels == 3 else gray


def adjust_brightness(img: Tensor, factor: float) -> Tensor:
    _check_factor("brightness_factor", factor)
    check_channels(img)
    return _blend(img, zeros_like(img), factor)


def adjust_contrast(img: Tensor, factor: float) -> Tensor:
    _check_factor("contrast_factor", factor)
    check_channels(img, (3, 1))
    gray = rgb_to_grayscale(img) if dimensions(img)[0] == 3 else img
    mean = gray.to(_floating(img)).mean(dim=(-3, -2, -1), keepdim=True)
    return _blend(img, mean, factor)


def adjust_saturation(img: Tensor, factor: float) -> Tensor:
    _check_factor("saturation_factor", factor)
    check_channels(img)
    return img if dimensions(img)[0] == 1 else _blend(img, rgb_to_grayscale(img), factor)


def adjust_hue(img: Tensor, factor: float) -> Tensor:
    """The colours turned round by `factor` of the circle."""
    if not -0.5 <= factor <= 0.5:
        raise ValueError(f"hue_factor ({factor}) is not in [-0.5, 0.5].")
    check_channels(img)
    if dimensions(img)[0] == 1:
        return img
    hue, saturation, value = _rgb_to_hsv(convert_image_dtype(img, float32))
    return convert_image_dtype(_hsv_to_rgb((hue + factor) % 1.0, saturation, value), img.dtype)


def _rgb_to_hsv(img: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    r, g, b = img.unbind(dim=-3)
    top, bottom = img.amax(-3), img.amin(-3)
    gray = top == bottom
    span = top - bottom
    saturation = span / where(gray, 1.0, top)
    divisor = where(gray, 1.0, span)
    red, green, blue = ((top - each) / divisor for each in (r, g, b))
    is_red, is_green = top == r, top == g
    sixth = (
        is_red * (blue - green)
        + (is_green & ~is_red) * (2.0 + red - blue)
        + (~is_green & ~is_red) * (4.0 + green - red)
    )
    return (sixth / 6.0 + 1.0).fmod(1.0), saturation, top


def _hsv_to_rgb(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    sixth = (hue * 6.0).floor()
    f = hue * 6.0 - sixth
    p = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    q = (value * (1.0 - saturation * f)).clamp(0.0, 1.0)
    t = (value * (1.0 - saturation * (1.0 - f))).clamp(0.0, 1.0)
    sector = sixth % 6

    def chosen(*of_sector: Tensor) -> Tensor:
        out = of_sector[0]
        for number, each in enumerate(of_sector[1:], 1):
            out = where(sector == number, each, out)
        return out

    red = chosen(value, q, p, p, t, value)
    green = chosen(t, value, value, q, p, p)
    blue = chosen(p, p, t, value, value, q)
    return stack((red, green, blue), dim=-3)


def adjust_gamma(img: Tensor, gamma: float, gain: float = 1) -> Tensor:
    check_channels(img)
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    scaled = img if img.is_floating_point() else convert_image_dtype(img, float32)
    return convert_image_dtype((gain * scaled.pow(gamma)).clamp(0, 1), img.dtype)


def invert(img: Tensor) -> Tensor:
    check_rank(img)
    check_channels(img)
    out: Tensor = largest(img.dtype) - img
    return out


def _check_bytes(img: Tensor) -> None:
    if img.dtype is not uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {img.dtype}")
    check_channels(img)


def posterize(img: Tensor, bits: int) -> Tensor:
    check_rank(img)
    _check_bytes(img)
    out: Tensor = img & ((256 - 2 ** (8 - bits)) & 0xFF)
    return out


def solarize(img: Tensor, threshold: float) -> Tensor:
    check_rank(img)
    check_channels(img)
    if threshold > largest(img.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    out: Tensor = where(img >= threshold, invert(img), img)
    return out


def adjust_sharpness(img: Tensor, factor: float) -> Tensor:
    _check_factor("sharpness_factor", factor)
    check_channels(img)
    if min(img.shape[-2:]) <= 2:
        return img
    weights = ones(3, 3, dtype=_floating(img))
    weights[1, 1] = 5.0
    weights /= weights.sum()
    channels = img.shape[-3]
    batch = unsqueezed(img, (weights.dtype,))
    inner = squeezed(F.conv2d(batch, weights.expand(channels, 1, 3, 3), groups=channels), img)
    smooth = img.clone()
    smooth[..., 1:-1, 1:-1] = inner
    return _blend(img, smooth, factor)


def autocontrast(img: Tensor) -> Tensor:
    """Each channel stretched to black and white; a channel of one value stays."""
    check_rank(img)
    check_channels(img)
    bound, kind = largest(img.dtype), _floating(img)
    low = img.amin(dim=(-2, -1), keepdim=True).to(kind)
    high = img.amax(dim=(-2, -1), keepdim=True).to(kind)
    scale = bound / (high - low)
    flat = ~scale.isfinite()
    low, scale = where(flat, 0.0, low), where(flat, 1.0, scale)
    out: Tensor = ((img - low) * scale).clamp(0, bound).to(img.dtype)
    return out


def _equal_levels(channel: Any) -> Any:
    """A channel (uint8 array) with an even histogram."""
    counts = np.bincount(channel.ravel(), minlength=256)
    used = counts[counts != 0]
    step = int(used[:-1].sum()) // 255
    if step == 0:
        return channel
    levels = (np.cumsum(counts) + step // 2) // step
    shifted = np.concatenate([[0], levels[:-1]]).clip(0, 255).astype(np.uint8)
    return shifted[channel]


def equalize(img: Tensor) -> Tensor:
    """Each channel with an even histogram (uint8)."""
    check(img)
    if not 3 <= img.ndim <= 4:
        raise TypeError(f"Input image tensor should have 3 or 4 dimensions, but found {img.ndim}")
    _check_bytes(img)
    array = img._array()
    planes = array.reshape(-1, *array.shape[-2:])
    return from_array(np.stack([_equal_levels(p) for p in planes]).reshape(array.shape), uint8)


def gaussian_kernel(size: int, sigma: float, kind: Any) -> Any:
    """The weights of one axis, as an array."""
    half = (size - 1) * 0.5
    x = np.linspace(-half, half, size).astype(kind.numpy)
    weights = np.exp(kind.numpy.type(-0.5) * (x / kind.numpy.type(sigma)) ** 2)
    return weights / weights.sum()


def gaussian_blur(img: Tensor, kernel_size: Any, sigma: Any) -> Tensor:
    """`kernel_size` and `sigma` are for x and y."""
    check(img)
    kind = _floating(img)
    across, down = (gaussian_kernel(k, s, kind) for k, s in zip(kernel_size, sigma))
    channels = img.shape[-3]
    weights = from_array(np.outer(down, across), kind)
    weights = weights.expand(channels, 1, kernel_size[1], kernel_size[0])
    x, y = kernel_size[0] // 2, kernel_size[1] // 2
    batch = F.pad(unsqueezed(img, (kind,)), [x, x, y, y], mode="reflect")
    return squeezed(F.conv2d(batch, weights, groups=channels), img)
