"""Masks and heat maps of boxes, enlarged to the boxes' sizes on the host.

Every box has another size; programs for each of them would be used once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flambeau.core.dtypes import float32
from flambeau.tensor.tensor import Tensor, from_array

Array = NDArray[Any]
CUBIC = -0.75  # the slope that makes the cubic kernel PyTorch's


def _at(size: int, out: int) -> Array:
    """Where the middles of out places lie among those of size places."""
    single = np.float32
    at: Array = (np.arange(out, dtype=single) + single(0.5)) * single(size / out) - single(0.5)
    return at


def linear_weights(size: int, out: int) -> Array:
    """(out, size): linear interpolation between places, the border continued."""
    at = np.maximum(_at(size, out), 0)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    part = (at - low).astype(np.float32)
    weights = np.zeros((out, size), np.float32)
    rows = np.arange(out)
    np.add.at(weights, (rows, low), 1 - part)
    np.add.at(weights, (rows, high), part)
    return weights


def cubic_weights(size: int, out: int) -> Array:
    """(out, size): cubic interpolation between places, the border continued."""
    at = _at(size, out)
    first = np.floor(at)
    part = (at - first).astype(np.float32)
    weights = np.zeros((out, size), np.float32)
    rows = np.arange(out)
    for offset in (-1, 0, 1, 2):
        far = np.abs(part - offset)
        near_weight = ((CUBIC + 2) * far - (CUBIC + 3)) * far * far + 1
        far_weight = ((CUBIC * far - 5 * CUBIC) * far + 8 * CUBIC) * far - 4 * CUBIC
        share = np.where(far <= 1, near_weight, far_weight).astype(np.float32)
        places = np.clip(first + offset, 0, size - 1).astype(np.int64)
        np.add.at(weights, (rows, places), share)
    return weights


def _expanded(boxes: Array, scale: float) -> NDArray[np.int64]:
    half = (boxes[:, 2:] - boxes[:, :2]) * boxes.dtype.type(0.5) * boxes.dtype.type(scale)
    centres = (boxes[:, 2:] + boxes[:, :2]) * boxes.dtype.type(0.5)
    return np.concatenate([centres - half, centres + half], 1).astype(np.int64)


def paste_masks_in_image(
    masks: Tensor, boxes: Tensor, img_shape: tuple[int, int], padding: int = 1
) -> Tensor:
    """Masks (N, 1, M, M) of boxes (N, 4) where they lie on an image: (N, 1, height, width)."""
    given = masks.detach()._values()
    height, width = img_shape
    side = given.shape[-1]
    places = _expanded(boxes.detach()._values(), (side + 2 * padding) / side)
    whole = np.zeros((len(given), 1, height, width), given.dtype)
    border = np.pad(given[:, 0], ((0, 0), (padding, padding), (padding, padding)))
    for mask, (left, top, right, bottom), out in zip(border, places, whole[:, 0], strict=True):
        wide, high = max(int(right - left + 1), 1), max(int(bottom - top + 1), 1)
        x0, x1 = max(left, 0), min(right + 1, width)
        y0, y1 = max(top, 0), min(bottom + 1, height)
        if x1 <= x0 or y1 <= y0:
            continue
        rows = linear_weights(mask.shape[0], high)[y0 - top : y1 - top]
        columns = linear_weights(mask.shape[1], wide)[x0 - left : x1 - left]
        out[y0:y1, x0:x1] = rows @ mask @ columns.T
    return from_array(whole, masks.dtype)


def heatmaps_to_keypoints(maps: Tensor, rois: Tensor) -> tuple[Tensor, Tensor]:
    """The highest places of heat maps (N, K, M, M) of boxes (N, 4): (N, K, 3) and scores (N, K).

    Columns are x, y and 1; scores are the heights, unscaled.
    """
    heat, boxes = maps.detach()._values(), rois.detach()._values()
    count, points = heat.shape[:2]
    found = np.ones((count, points, 3), np.float32)
    scores = np.zeros((count, points), np.float32)
    sides = np.maximum(boxes[:, 2:] - boxes[:, :2], 1)
    for index in range(count):
        wide, high = (int(np.ceil(side)) for side in sides[index])
        rows = cubic_weights(heat.shape[2], high)
        columns = cubic_weights(heat.shape[3], wide)
        large = (rows @ heat[index] @ columns.T).reshape(points, -1)
        best = large.argmax(1)
        y, x = np.divmod(best, wide)
        found[index, :, 0] = (x + 0.5) * (sides[index, 0] / wide) + boxes[index, 0]
        found[index, :, 1] = (y + 0.5) * (sides[index, 1] / high) + boxes[index, 1]
        scores[index] = large[np.arange(points), best]
    return from_array(found, float32), from_array(scores, float32)
