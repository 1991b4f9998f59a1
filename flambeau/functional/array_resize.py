"""Arrays of images resized with antialiasing, at once: across, then down, as PyTorch does it.

Samples of ever other sizes would be ever new programs; here one kernel serves all sizes. Bytes are
rounded after each axis, with PyTorch's weights of 16 bits; float32 is summed up in its order.
"""

from __future__ import annotations

import ctypes
from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

from flambeau.core import dtypes
from flambeau.core.addresses import address_of

Array = Any
MOST_BITS = 22


def _triangle(x: Array) -> Array:
    return np.maximum(0, 1 - np.abs(x))


def _cubic(x: Array) -> Array:
    """Keys' cubic convolution, a = -0.5."""
    x = np.abs(x)
    near = (x * x.dtype.type(1.5) - x.dtype.type(2.5)) * x * x + 1
    far = x.dtype.type(-0.5) * (((x - 5) * x + 8) * x - 4)
    return np.where(x < 1, near, np.where(x < 2, far, x.dtype.type(0)))


_FILTERS = {"bilinear": (_triangle, 1.0), "bicubic": (_cubic, 2.0)}


class Taps(NamedTuple):
    """What the places of an axis are made of: elements from `first` to before `last`, with weights
    [o, most]. Those of bytes are integers over 2 to the power of `bits`.
    """

    first: Array
    last: Array
    weights: Array
    bits: int


@lru_cache(maxsize=32)
def taps(n: int, o: int, mode: str, dtype: Any) -> Taps:
    """The taps of an axis of n places that gets o; dtype: uint8 or float32."""
    kind: Any = np.float64 if dtype == np.uint8 else np.float32
    shape, reach = _FILTERS[mode]
    step = n / o
    wide = max(step, 1.0) * reach
    centre = (np.arange(o, dtype=kind) + kind(0.5)) * kind(step)
    first = np.maximum((centre - kind(wide) + kind(0.5)).astype(np.int64), 0)
    last = np.minimum((centre + kind(wide) + kind(0.5)).astype(np.int64), n)
    place = first[:, None] + np.arange((last - first).max())
    away = (place.astype(kind) - centre[:, None] + kind(0.5)) * kind(min(1.0 / step, 1.0))
    weights = shape(away) * (place < last[:, None])
    weights = weights / weights.sum(1, keepdims=True)
    if dtype != np.uint8:
        return Taps(first, last, np.ascontiguousarray(weights, np.float32), 0)
    bits = sum(np.floor(weights.max() * 2.0 ** (p + 1) + 0.5) < 1 << 15 for p in range(MOST_BITS))
    scaled = weights * 2.0**bits
    whole = np.trunc(scaled + np.where(scaled < 0, -0.5, 0.5)).astype(np.int32)
    return Taps(first, last, np.ascontiguousarray(whole), int(bits))


class _Pass:
    """A kernel, the arrays it works on, and its words."""

    def __init__(self, kernel: int, arrays: tuple[Array, ...], *words: int) -> None:
        kind = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int64)
        self.kernel = kind(kernel)
        self.arrays = arrays
        self.addresses = np.array([address_of(array) for array in arrays], np.int64)
        self.words = np.array(words, np.int64)
        self.places = address_of(self.addresses), address_of(self.words)

    def run(self) -> None:
        self.kernel(*self.places, 0)


def _turn(source: Array, target: Array) -> _Pass:
    """Transposes a matrix."""
    from flambeau.execute.cpu.data_kernels import turned

    return _Pass(turned(dtypes.from_numpy(source.dtype)), (source, target), *source.shape)


def _mix(source: Array, target: Array, known: Taps) -> _Pass:
    """Makes the rows of `target` [o, columns] of those of `source` [n, columns]."""
    from flambeau.execute.cpu.data_kernels import mixed_rows

    arrays = source, target, known.first, known.last, known.weights
    shapes = source.shape[0], target.shape[0], source.shape[1], known.weights.shape[1]
    return _Pass(mixed_rows(source.dtype == np.uint8), arrays, 1, *shapes, known.bits)


def resize_array(images: Array, size: list[int], mode: str) -> Array:
    """Images [..., H, W] of bytes or float32 at (height, width); `mode`: bilinear or bicubic.

    One plane after another, so that what lies between stays in the caches.
    """
    (height, width), (tall, wide) = images.shape[-2:], size
    dtype = images.dtype
    planes = np.ascontiguousarray(images.reshape(-1, height, width))
    results = np.empty((len(planes), tall, wide), dtype)
    shape = *images.shape[:-2], tall, wide
    if (height, width) == (tall, wide):
        results[...] = planes
    if not results.size or (height, width) == (tall, wide):
        return results.reshape(shape)
    passes = []
    plane, result = planes[0], results[0]
    if width != wide:
        columns, narrow = np.empty((width, height), dtype), np.empty((wide, height), dtype)
        passes += [_turn(plane, columns), _mix(columns, narrow, taps(width, wide, mode, dtype))]
        plane = result if height == tall else np.empty((height, wide), dtype)
        passes.append(_turn(narrow, plane))
    if height != tall:
        passes.append(_mix(plane, result, taps(height, tall, mode, dtype)))
    for _ in planes:
        for one in passes:
            one.run()
        passes[0].addresses[0] += planes[0].nbytes
        passes[-1].addresses[1] += results[0].nbytes
    return results.reshape(shape)
