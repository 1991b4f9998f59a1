"""Many images as one, and images to files."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.vision._torch import Tensor, from_array, stack
from flambeau.vision.pillow import pillow


def _as_batch(images: Any) -> Tensor:
    """Images as [N, 3, H, W] (or with as many channels as they have, if not one)."""
    if isinstance(images, list):
        for each in images:
            if not isinstance(each, Tensor):
                raise TypeError(
                    f"tensor or list of tensors expected, got a list containing {type(each)}"
                )
        images = stack(images, dim=0)
    elif not isinstance(images, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(images)}")
    if images.ndim == 2:
        images = images.unsqueeze(0)
    if images.ndim == 3:
        images = images.unsqueeze(0)
    if images.ndim == 4 and images.shape[1] == 1:
        images = images.expand(-1, 3, -1, -1)
    return images  # type: ignore[no-any-return]


def _scaled(array: Any, value_range: Any) -> Any:
    """Values to [0, 1]: from the given range, or from that of the array."""
    low, high = value_range if value_range is not None else (float(array.min()), float(array.max()))
    number = array.dtype.type
    return (array.clip(number(low), number(high)) - number(low)) / number(max(high - low, 1e-5))


def make_grid(
    tensor: Any,
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images [N, C, H, W] side by side, `nrow` in a row, as one image; one image stays as it is.

    `normalize` takes `value_range` (default: from the smallest to the largest value, of each image
    with `scale_each`) to [0, 1].
    """
    batch = _as_batch(tensor).detach()
    array = batch._array()
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(
                "value_range has to be a tuple (min, max) if specified. min and max are numbers"
            )
        if scale_each:
            array = np.stack([_scaled(each, value_range) for each in array])
        else:
            array = _scaled(array, value_range)
    count, channels, height, width = array.shape
    if count == 1:
        return from_array(array[0], batch.dtype)
    columns = min(nrow, count)
    rows = -(-count // columns)
    height, width = height + padding, width + padding
    shape = (channels, height * rows + padding, width * columns + padding)
    grid = np.full(shape, pad_value).astype(array.dtype)
    for place, image in enumerate(array):
        top, left = (place // columns) * height + padding, (place % columns) * width + padding
        grid[:, top : top + height - padding, left : left + width - padding] = image
    return from_array(grid, batch.dtype)


def save_image(tensor: Any, fp: Any, format: str | None = None, **kwargs: Any) -> None:
    """Writes an image, or a grid of images (`make_grid` takes `kwargs`), with values in [0, 1]."""
    grid = make_grid(tensor, **kwargs)._values()
    number = grid.dtype.type if np.issubdtype(grid.dtype, np.floating) else np.float32
    levels = (grid * number(255) + number(0.5)).clip(0, 255).astype(np.uint8)
    pixels = np.ascontiguousarray(levels.transpose(1, 2, 0))
    pillow().fromarray(pixels).save(fp, format=format)
