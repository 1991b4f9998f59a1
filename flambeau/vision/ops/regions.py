"""Regions of feature maps as maps of one size (He et al., Mask R-CNN, arXiv:1703.06870)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import flambeau.nn as nn
from flambeau.functional.creation import from_numpy
from flambeau.functional.joining import cat
from flambeau.functional.linear_algebra import einsum
from flambeau.tensor.tensor import Tensor
from flambeau.vision.ops.boxes import _wide, flat_boxes

Pair = int | tuple[int, int]


def _checked(boxes: Any) -> Tensor:
    if isinstance(boxes, (list, tuple)):
        if any(one.shape[1] != 4 for one in boxes):
            raise AssertionError(
                "The shape of the tensor in the boxes list is not correct as List[Tensor[L, 4]]"
            )
        return flat_boxes(list(boxes))
    if not isinstance(boxes, Tensor):
        raise AssertionError("boxes is expected to be a Tensor[L, 5] or a List[Tensor[K, 4]]")
    if boxes.shape[1] != 5:
        raise AssertionError("The boxes tensor shape is not correct as Tensor[K, 5]")
    return boxes


def _weights(start: Any, length: Any, bins: int, samples: int, size: int) -> NDArray[Any]:
    """(bins, size): how much each place of an axis counts for each bin of one region.

    Every bin is the mean of samples, each of which lies between two places; samples farther than
    one outside the axis count as zero.
    """
    weights = np.zeros((bins, size))
    step = length / length.dtype.type(bins)
    count = samples if samples > 0 else int(np.ceil(step))
    if count <= 0:
        return weights
    at = start + np.arange(bins)[:, None] * step + (np.arange(count) + 0.5) * step / count
    inside = (at >= -1.0) & (at <= size)
    at = np.clip(at, 0, size - 1)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    part = at - low
    row = np.broadcast_to(np.arange(bins)[:, None], at.shape)
    np.add.at(weights, (row, low), inside * (1 - part) / count)
    np.add.at(weights, (row, high), inside * part / count)
    return weights


def roi_align(
    input: Tensor,
    boxes: Tensor | list[Tensor],
    output_size: Pair,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
    aligned: bool = False,
) -> Tensor:
    """Regions of maps (N, C, H, W), each resampled to output_size: (K, C, height, width).

    boxes are corners on a scale on which maps are 1 / spatial_scale as large: (K, 5) with the
    number of the image in front, or (L, 4) for each image. sampling_ratio samples a bin and axis,
    -1 as many as places. No gradient reaches the boxes. AssertionError for other shapes of boxes.
    """
    height, width = (output_size,) * 2 if isinstance(output_size, int) else tuple(output_size)
    rows = _wide(_checked(boxes).detach())._values()
    offset = 0.5 if aligned else 0.0
    corners = (rows[:, 1:] * spatial_scale - offset).astype(rows.dtype)
    sizes = corners[:, 2:] - corners[:, :2]
    if not aligned:
        sizes = np.maximum(sizes, sizes.dtype.type(1))
    count = rows.shape[0]
    down = np.zeros((count, height, input.shape[2]))
    over = np.zeros((count, width, input.shape[3]))
    for index in range(count):
        (left, top), (wide, high) = corners[index, :2], sizes[index]
        down[index] = _weights(top, high, height, sampling_ratio, input.shape[2])
        over[index] = _weights(left, wide, width, sampling_ratio, input.shape[3])
    images = rows[:, 0].astype(np.int64)
    parts, order = [], []
    for image in np.unique(images):
        chosen = np.flatnonzero(images == image)
        order.append(chosen)
        rows_of = from_numpy(down[chosen]).to(input.dtype)
        columns_of = from_numpy(over[chosen]).to(input.dtype)
        narrow = einsum("chw,kqw->kchq", input[int(image)], columns_of)
        parts.append(einsum("kph,kchq->kcpq", rows_of, narrow))
    if not parts:
        return input.new_zeros((0, input.shape[1], height, width))
    back = np.argsort(np.concatenate(order), kind="stable")
    joined = cat(parts, 0)
    return joined if (np.diff(back) > 0).all() else joined[from_numpy(back)]


class RoIAlign(nn.Module):
    """roi_align as a layer."""

    def __init__(
        self,
        output_size: Pair,
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool = False,
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Tensor | list[Tensor]) -> Tensor:
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )

    def __repr__(self) -> str:
        names = ("output_size", "spatial_scale", "sampling_ratio", "aligned")
        told = ", ".join(f"{name}={getattr(self, name)}" for name in names)
        return f"{type(self).__name__}({told})"
