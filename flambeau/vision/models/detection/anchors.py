"""Boxes that detectors start from: torchvision.models.detection.anchor_utils."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import flambeau.nn as nn
from flambeau.core.dtypes import float32
from flambeau.functional.from_data import from_numpy
from flambeau.tensor.tensor import Tensor, from_array
from flambeau.vision.models.detection.image_list import ImageList


def _places(size: tuple[int, int]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Rows and columns of the places of a map, one after the other."""
    rows, columns = np.divmod(np.arange(size[0] * size[1]), size[1])
    return rows, columns


class AnchorGenerator(nn.Module):
    """Boxes of every size and shape (height / width) around every place of every map.

    sizes and aspect_ratios have one row for each map. forward takes the images and the maps
    (N, C, h, w), and gives corners (anchors, 4) for each image, all alike.
    """

    def __init__(self, sizes: Any = ((128, 256, 512),), aspect_ratios: Any = ((0.5, 1.0, 2.0),)):
        super().__init__()
        if not isinstance(sizes[0], (list, tuple)):
            sizes = tuple((size,) for size in sizes)
        if not isinstance(aspect_ratios[0], (list, tuple)):
            aspect_ratios = (aspect_ratios,) * len(sizes)
        self.sizes = sizes
        self.aspect_ratios = aspect_ratios
        self.cell_anchors = [
            self.generate_anchors(size, ratios)
            for size, ratios in zip(sizes, aspect_ratios, strict=False)
        ]

    def generate_anchors(
        self, scales: Sequence[float], aspect_ratios: Sequence[float], dtype: Any = float32
    ) -> Tensor:
        """Corners around the origin, rounded: (shapes * sizes, 4)."""
        kind = dtype.numpy
        down = np.sqrt(np.asarray(aspect_ratios, kind))
        across = 1 / down
        sides = np.asarray(scales, kind)
        heights = (down[:, None] * sides[None]).reshape(-1)
        widths = (across[:, None] * sides[None]).reshape(-1)
        corners = np.stack([-widths, -heights, widths, heights], 1) / 2
        return from_array(corners.round(), dtype)

    def num_anchors_per_location(self) -> list[int]:
        """How many anchors a place of each map has."""
        pairs = zip(self.sizes, self.aspect_ratios, strict=False)
        return [len(sizes) * len(ratios) for sizes, ratios in pairs]

    def grid_anchors(
        self, grid_sizes: Sequence[Any], strides: Sequence[Sequence[Any]]
    ) -> list[Tensor]:
        """Corners for each map (h, w), whose places lie strides (down, across) apart."""
        if not len(grid_sizes) == len(strides) == len(self.cell_anchors):
            raise AssertionError(
                "Anchors should be Tuple[Tuple[int]] because each feature map could potentially "
                "have different sizes and aspect ratios. There needs to be a match between the "
                "number of feature maps passed and the number of sizes / aspect ratios specified."
            )
        found = []
        for size, stride, cell in zip(grid_sizes, strides, self.cell_anchors, strict=True):
            rows, columns = _places((int(size[0]), int(size[1])))
            rows, columns = rows * int(stride[0]), columns * int(stride[1])
            base = cell._values()
            shifts = np.stack([columns, rows, columns, rows], 1).astype(base.dtype)
            corners = (shifts[:, None] + base[None]).reshape(-1, 4)
            found.append(from_array(corners, cell.dtype))
        return found

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        height, width = image_list.tensors.shape[-2:]
        dtype = feature_maps[0].dtype
        self.cell_anchors = [cell.to(dtype) for cell in self.cell_anchors]
        sizes = [tuple(map.shape[-2:]) for map in feature_maps]
        strides = [(height // down, width // across) for down, across in sizes]
        levels = [one._values() for one in self.grid_anchors(sizes, strides)]
        whole = from_array(np.concatenate(levels), dtype)
        return [whole for _ in image_list.image_sizes]


class DefaultBoxGenerator(nn.Module):
    """SSD's boxes: a square and a larger one for every place, and two for each aspect ratio.

    scales are shares of the images' sides, one more than there are maps, or lie evenly between
    min_ratio and max_ratio; steps say how many pixels the places of each map lie apart.
    ValueError where there are not as many steps as rows of aspect_ratios.
    """

    def __init__(
        self,
        aspect_ratios: list[list[int]],
        min_ratio: float = 0.15,
        max_ratio: float = 0.9,
        scales: list[float] | None = None,
        steps: list[int] | None = None,
        clip: bool = True,
    ) -> None:
        super().__init__()
        if steps is not None and len(aspect_ratios) != len(steps):
            raise ValueError("aspect_ratios and steps should have the same length")
        self.aspect_ratios = aspect_ratios
        self.steps = steps
        self.clip = clip
        count = len(aspect_ratios)
        if scales is not None:
            self.scales = scales
        elif count > 1:
            spread = max_ratio - min_ratio
            self.scales = [min_ratio + spread * k / (count - 1.0) for k in range(count)] + [1.0]
        else:
            self.scales = [min_ratio, max_ratio]
        self._wh_pairs = [from_numpy(self._sides(k)) for k in range(count)]

    def _sides(self, k: int) -> NDArray[np.float32]:
        scale = self.scales[k]
        between = math.sqrt(scale * self.scales[k + 1])
        sides = [[scale, scale], [between, between]]
        for ratio in self.aspect_ratios[k]:
            long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            sides += [[long, short], [short, long]]
        return np.array(sides, np.float32)

    def num_anchors_per_location(self) -> list[int]:
        """How many boxes a place of each map has."""
        return [2 + 2 * len(ratios) for ratios in self.aspect_ratios]

    def _grid_default_boxes(
        self, grid_sizes: Sequence[Any], image_size: Sequence[int], dtype: Any = float32
    ) -> Tensor:
        """Centres and sides as shares of the images: (boxes, 4)."""
        found = []
        for k, (down, across) in enumerate(grid_sizes):
            rows, columns = _places((down, across))
            apart = (down, across)
            divisors: tuple[float, float] = apart
            if self.steps is not None:
                divisors = image_size[0] / self.steps[k], image_size[1] / self.steps[k]
            single = np.float32
            y = (rows.astype(single) + single(0.5)) / single(divisors[0])
            x = (columns.astype(single) + single(0.5)) / single(divisors[1])
            sides = self._wh_pairs[k]._values()
            if self.clip:
                sides = sides.clip(0, 1)
            centres = np.repeat(np.stack([x, y], 1), len(sides), 0)
            found.append(np.concatenate([centres, np.tile(sides, (len(rows), 1))], 1))
        return from_array(np.concatenate(found), dtype)

    def forward(self, image_list: ImageList, feature_maps: list[Tensor]) -> list[Tensor]:
        height, width = image_list.tensors.shape[-2:]
        dtype = feature_maps[0].dtype
        sizes = [tuple(map.shape[-2:]) for map in feature_maps]
        boxes = self._grid_default_boxes(sizes, (height, width), dtype)._values()
        pixels = np.array([width, height], boxes.dtype)
        half = boxes.dtype.type(0.5) * boxes[:, 2:]
        corners = np.concatenate(
            [(boxes[:, :2] - half) * pixels, (boxes[:, :2] + half) * pixels], 1
        )
        whole = from_array(corners, dtype)
        return [whole for _ in image_list.image_sizes]

    def __repr__(self) -> str:
        names = ("aspect_ratios", "clip", "scales", "steps")
        return f"{type(self).__name__}({', '.join(f'{n}={getattr(self, n)}' for n in names)})"
