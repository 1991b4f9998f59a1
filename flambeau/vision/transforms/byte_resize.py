"""Bytes resized as bytes: across, rounded, then down, rounded (as Pillow and PyTorch do it)."""

from __future__ import annotations

from typing import Any

import numpy as np


def _triangle(x: Any) -> Any:
    return np.maximum(0.0, 1.0 - np.abs(x))


def _cubic(x: Any) -> Any:
    """Keys' cubic convolution, a = -0.5."""
    x = np.abs(x)
    near = (1.5 * x - 2.5) * x * x + 1
    far = -0.5 * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))


_FILTERS = {"bilinear": (_triangle, 1.0), "bicubic": (_cubic, 2.0)}


def _weights(n: int, o: int, mode: str) -> Any:
    """[o, n]: what each of n places gives to each of o, widened where the image shrinks."""
    shape, reach = _FILTERS[mode]
    step = n / o
    wide = max(step, 1.0)
    centers = (np.arange(o) + 0.5) * step
    low = np.maximum((centers - reach * wide + 0.5).astype(np.int64), 0)
    high = np.minimum((centers + reach * wide + 0.5).astype(np.int64), n)
    places = np.arange(n)
    weights = shape((places - centers[:, None] + 0.5) / wide)
    weights *= (places >= low[:, None]) & (places < high[:, None])
    return weights / weights.sum(1, keepdims=True)


def resize_bytes(images: Any, size: list[int], mode: str) -> Any:
    """Bytes [..., H, W] at (height, width), antialiased; `mode` is bilinear or bicubic."""
    for axis, target in ((-1, size[1]), (-2, size[0])):
        if images.shape[axis] == target:
            continue
        weights = _weights(images.shape[axis], target, mode)
        mixed = images @ weights.T if axis == -1 else weights @ images
        images = np.floor(mixed + 0.5).clip(0, 255).astype(np.uint8)
    return images
