"""The best of what was found, on the host: detections have other numbers in every image."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from flambeau.vision.ops.boxes import suppress

Array = NDArray[Any]


def sigmoid(x: Array) -> Array:
    """1 / (1 + exp(-x))."""
    with np.errstate(over="ignore"):
        one = x.dtype.type(1)
        chance: Array = one / (one + np.exp(-x))
    return chance


def best_of(scores: Array, count: int) -> NDArray[np.int64]:
    """Where the count highest scores (or all) are, the highest first."""
    if count < scores.size:
        chosen = np.argpartition(-scores, count)[:count]
        chosen.sort()
    else:
        chosen = np.arange(scores.size)
    return chosen[np.argsort(-scores[chosen], kind="stable")]


def clipped(boxes: Array, size: tuple[int, int]) -> Array:
    """Corners (..., 4) moved into an image (height, width)."""
    limits = np.array([size[1], size[0], size[1], size[0]], boxes.dtype)
    return np.clip(boxes, 0, limits)


def inside(boxes: Array, least: float) -> NDArray[np.bool_]:
    """Which corners (N, 4) have both sides at least so long."""
    sides = boxes[:, 2:] - boxes[:, :2]
    return np.asarray((sides >= least).all(1))


def suppressed(boxes: Array, scores: Array, classes: Array, threshold: float) -> NDArray[np.int64]:
    """The boxes that none of their class with a higher score overlaps, best first."""
    kept: NDArray[np.int64] = suppress(boxes, scores, classes, threshold)
    return kept
