"""Regions of feature maps as maps of one size.

roi_align: He et al., Mask R-CNN, arXiv:1703.06870; roi_pool: Girshick, arXiv:1504.08083.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

import flambeau.nn as nn
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat
from flambeau.functional.linear_algebra import einsum
from flambeau.tensor.tensor import Tensor
from flambeau.vision.ops.boxes import _wide, flat_boxes

Pair = int | tuple[int, int]


def _pair(size: Pair) -> tuple[int, int]:
    down, across = (size, size) if isinstance(size, int) else size
    return down, across


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


def _corners(boxes: Any, scale: float, offset: float) -> tuple[NDArray[Any], NDArray[Any]]:
    """The images (K,) that boxes lie on, int64, and their corners (K, 4) on the maps' scale."""
    rows = _wide(_checked(boxes).detach())._values()
    return rows[:, 0].astype(np.int64), (rows[:, 1:] * scale - offset).astype(rows.dtype)


def _taps(
    start: NDArray[Any], length: NDArray[Any], bins: int, samples: int, size: int
) -> tuple[NDArray[np.int64], NDArray[Any]]:
    """(K, bins, taps): places of an axis, and how much each counts for a bin of a region.

    A bin is the mean of samples, each of which lies between two places; samples farther than
    one outside the axis count as zero.
    """
    step = length / length.dtype.type(bins)
    counts = np.full(step.shape, samples) if samples > 0 else np.ceil(step).astype(np.int64)
    number = np.arange(max(int(counts.max(initial=0)), 1))
    share = np.maximum(counts, 1)[:, None, None]
    at = (
        start[:, None, None]
        + np.arange(bins)[:, None] * step[:, None, None]
        + (number + 0.5) * step[:, None, None] / share
    )
    counted = (number < counts[:, None, None]) & (at >= -1.0) & (at <= size)
    at = np.clip(at, 0, size - 1)
    low = np.minimum(at.astype(np.int64), size - 1)
    high = np.minimum(low + 1, size - 1)
    part = at - low
    places = np.concatenate([low, high], -1)
    weights = np.concatenate([counted * (1 - part), counted * part], -1) / share
    first = low.min(-1, keepdims=True)
    window = int((high - first).max(initial=0)) + 1
    if window >= places.shape[-1]:
        return places, weights
    # Samples share places: fewer taps do, one for each place between the first and the last.
    merged = np.zeros((*places.shape[:-1], window))
    region, row = np.ogrid[: len(places), :bins]
    np.add.at(merged, (region[..., None], row[..., None], places - first), weights)
    return np.minimum(first + np.arange(window), size - 1), merged


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
    height, width = _pair(output_size)
    images, corners = _corners(boxes, spatial_scale, 0.5 if aligned else 0.0)
    sizes = corners[:, 2:] - corners[:, :2]
    if not aligned:
        sizes = np.maximum(sizes, sizes.dtype.type(1))
    _, channels, down, across = input.shape
    if not len(images):
        return input.new_zeros((0, channels, height, width))
    rows, row_weights = _taps(corners[:, 1], sizes[:, 1], height, sampling_ratio, down)
    columns, column_weights = _taps(corners[:, 0], sizes[:, 0], width, sampling_ratio, across)
    rows = rows + (images * down)[:, None, None]
    # Taps come first, so that the sum over them runs along rows of channels.
    places = rows[:, :, None, :, None] * across + columns[:, None, :, None, :]
    weights = row_weights[:, :, None, :, None] * column_weights[:, None, :, None, :]
    taps = places.shape[-2] * places.shape[-1]
    places = places.reshape(-1, taps).T.copy()
    chosen = from_numpy(weights.reshape(-1, taps).T.copy()).to(input.dtype)
    table = input.permute(0, 2, 3, 1).reshape(-1, channels)
    sums = (table[from_numpy(places)] * chosen.unsqueeze(-1)).sum(0)
    return sums.view(-1, height, width, channels).permute(0, 3, 1, 2).contiguous()


# ---- bins of whole places ------------------------------------------------------------------------


def _rounded(corners: NDArray[Any]) -> NDArray[Any]:
    """The nearest whole numbers; halves go away from zero."""
    whole: NDArray[np.int64] = np.trunc(corners + np.copysign(0.5, corners)).astype(np.int64)
    return whole


def _bins(
    first: NDArray[Any], sides: NDArray[Any], count: int, size: int, dtype: Any
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(K, count): where bins of whole places begin and end; they may share places."""
    step = (sides.astype(dtype) / dtype.type(count))[:, None]
    number = np.arange(count + 1, dtype=dtype)
    begins = np.floor(number[:-1] * step).astype(np.int64) + first[:, None]
    ends = np.ceil(number[1:] * step).astype(np.int64) + first[:, None]
    return np.clip(begins, 0, size), np.clip(ends, 0, size)


def roi_pool(
    input: Tensor,
    boxes: Tensor | list[Tensor],
    output_size: Pair,
    spatial_scale: float = 1.0,
) -> Tensor:
    """The greatest elements in bins of regions of maps (N, C, H, W): (K, C, height, width).

    boxes are as for roi_align, but count whole places; a bin without a place is 0. No gradient
    reaches the boxes. AssertionError for other shapes of boxes.
    """
    height, width = _pair(output_size)
    images, corners = _corners(boxes, spatial_scale, 0.0)
    dtype = corners.dtype
    whole = _rounded(corners)
    sides = np.maximum(whole[:, 2:] - whole[:, :2] + 1, 1)
    channels, down, across = input.shape[1:]
    tops, bottoms = _bins(whole[:, 1], sides[:, 1], height, down, dtype)
    lefts, rights = _bins(whole[:, 0], sides[:, 0], width, across, dtype)
    values = input.detach()._values()
    places = np.zeros((len(images), channels, height, width), np.int64)
    starts = np.arange(channels) * (down * across)
    for k, row, column in np.ndindex(len(images), height, width):
        top, left = tops[k, row], lefts[k, column]
        part = values[images[k], :, top : bottoms[k, row], left : rights[k, column]]
        if part.size:
            best = part.reshape(channels, -1).argmax(1)
            inner_row, inner_column = np.divmod(best, part.shape[2])
            place = (top + inner_row) * across + left + inner_column
            places[k, :, row, column] = images[k] * channels * down * across + starts + place
    filled = (bottoms > tops)[:, None, :, None] & (rights > lefts)[:, None, None, :]
    chosen = input.reshape(-1)[from_numpy(places)]
    return chosen.where(from_numpy(filled), 0.0)


# ---- regions by position -------------------------------------------------------------------------


def _by_position(input: Tensor, height: int, width: int) -> Tensor:
    if input.shape[1] % (height * width):
        raise RuntimeError("input channels must be a multiple of pooling height * pooling width")
    return input.view(input.shape[0], -1, height, width, *input.shape[2:])


def _mixed(
    input: Tensor, images: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any]
) -> Tensor:
    """Sums over maps whose channels belong to bins, weighed by (K, bins, size) along both axes."""
    height, width = rows.shape[1], columns.shape[1]
    maps = _by_position(input, height, width)
    parts, order = [], []
    for image in np.unique(images):
        chosen = np.flatnonzero(images == image)
        order.append(chosen)
        across = from_numpy(columns[chosen]).to(input.dtype)
        down = from_numpy(rows[chosen]).to(input.dtype)
        narrow = einsum("cijhw,kjw->kcijh", maps[int(image)], across)
        parts.append(einsum("kcijh,kih->kcij", narrow, down))
    if not parts:
        return input.new_zeros((0, maps.shape[1], height, width))
    back = np.argsort(np.concatenate(order), kind="stable")
    joined = cat(parts, 0)
    return joined if (np.diff(back) > 0).all() else joined[from_numpy(back)]


def _dense(places: NDArray[Any], weights: NDArray[Any], size: int) -> NDArray[Any]:
    """(K, bins, size): taps as weights of all places of an axis."""
    whole = np.zeros((*places.shape[:2], size))
    region, row = np.ogrid[: len(places), : places.shape[1]]
    np.add.at(whole, (region[..., None], row[..., None], places), weights)
    return whole


def ps_roi_align(
    input: Tensor,
    boxes: Tensor | list[Tensor],
    output_size: Pair,
    spatial_scale: float = 1.0,
    sampling_ratio: int = -1,
) -> Tensor:
    """roi_align in which every bin has maps of its own: (K, C / height / width, height, width).

    RuntimeError where height * width does not divide the channels (arXiv:1711.07264).
    """
    height, width = _pair(output_size)
    images, corners = _corners(boxes, spatial_scale, 0.5)
    sizes = corners[:, 2:] - corners[:, :2]
    down, across = input.shape[2:]
    rows = _taps(corners[:, 1], sizes[:, 1], height, sampling_ratio, down)
    columns = _taps(corners[:, 0], sizes[:, 0], width, sampling_ratio, across)
    return _mixed(input, images, _dense(*rows, down), _dense(*columns, across))


def ps_roi_pool(
    input: Tensor,
    boxes: Tensor | list[Tensor],
    output_size: Pair,
    spatial_scale: float = 1.0,
) -> Tensor:
    """Means in bins of whole places, of maps that every bin has of its own, as for ps_roi_align.

    RuntimeError where height * width does not divide the channels (arXiv:1605.06409).
    """
    height, width = _pair(output_size)
    images, corners = _corners(boxes, spatial_scale, 0.0)
    whole = _rounded(corners)
    sides = np.maximum(whole[:, 2:] - whole[:, :2], 1)
    means = []
    for axis, bins, size in ((1, height, input.shape[2]), (0, width, input.shape[3])):
        # As in torchvision, no bin reaches the last row or column of the maps.
        begins, ends = _bins(whole[:, axis], sides[:, axis], bins, size - 1, corners.dtype)
        place = np.arange(size)
        inside = (place >= begins[..., None]) & (place < ends[..., None])
        means.append(inside / np.maximum(ends - begins, 1)[..., None])
    return _mixed(input, images, *means)


# ---- layers --------------------------------------------------------------------------------------


class _Region(nn.Module):
    _names: tuple[str, ...] = ("output_size", "spatial_scale")

    def __init__(self, output_size: Pair, spatial_scale: float) -> None:
        super().__init__()
        self.output_size = output_size
        self.spatial_scale = spatial_scale

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={getattr(self, name)}" for name in self._names)
        return f"{type(self).__name__}({told})"


class RoIAlign(_Region):
    """roi_align as a layer."""

    _names = ("output_size", "spatial_scale", "sampling_ratio", "aligned")

    def __init__(
        self,
        output_size: Pair,
        spatial_scale: float,
        sampling_ratio: int,
        aligned: bool = False,
    ) -> None:
        super().__init__(output_size, spatial_scale)
        self.sampling_ratio = sampling_ratio
        self.aligned = aligned

    def forward(self, input: Tensor, rois: Tensor | list[Tensor]) -> Tensor:
        return roi_align(
            input, rois, self.output_size, self.spatial_scale, self.sampling_ratio, self.aligned
        )


class RoIPool(_Region):
    """roi_pool as a layer."""

    def forward(self, input: Tensor, rois: Tensor | list[Tensor]) -> Tensor:
        return roi_pool(input, rois, self.output_size, self.spatial_scale)


class PSRoIAlign(_Region):
    """ps_roi_align as a layer."""

    _names = ("output_size", "spatial_scale", "sampling_ratio")

    def __init__(self, output_size: Pair, spatial_scale: float, sampling_ratio: int) -> None:
        super().__init__(output_size, spatial_scale)
        self.sampling_ratio = sampling_ratio

    def forward(self, input: Tensor, rois: Tensor | list[Tensor]) -> Tensor:
        return ps_roi_align(input, rois, self.output_size, self.spatial_scale, self.sampling_ratio)


class PSRoIPool(_Region):
    """ps_roi_pool as a layer."""

    def forward(self, input: Tensor, rois: Tensor | list[Tensor]) -> Tensor:
        return ps_roi_pool(input, rois, self.output_size, self.spatial_scale)
