"""Regions of a feature pyramid, each from the level that suits its size (arXiv:1612.03144)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

import flambeau.nn as nn
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.vision.ops.boxes import _wide, flat_boxes
from flambeau.vision.ops.regions import roi_align


class LevelMapper:
    """Equation 1 of the paper: the level of every box, counted from k_min, int64 (K,)."""

    def __init__(
        self,
        k_min: int,
        k_max: int,
        canonical_scale: int = 224,
        canonical_level: int = 4,
        eps: float = 1e-6,
    ) -> None:
        self.k_min = k_min
        self.k_max = k_max
        self.s0 = canonical_scale
        self.lvl0 = canonical_level
        self.eps = eps

    def __call__(self, boxlists: Sequence[Tensor]) -> Tensor:
        return from_numpy(self.levels(boxlists))

    def levels(self, boxlists: Sequence[Tensor]) -> NDArray[np.int64]:
        """As an array."""
        boxes = np.concatenate([_wide(boxes.detach())._values() for boxes in boxlists])
        areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
        with np.errstate(divide="ignore", invalid="ignore"):
            level = np.floor(
                self.lvl0 + np.log2(np.sqrt(areas) / areas.dtype.type(self.s0)) + self.eps
            )
        chosen: NDArray[np.int64] = np.clip(
            np.nan_to_num(level, nan=self.k_min), self.k_min, self.k_max
        ).astype(np.int64)
        return chosen - self.k_min


def _scale(map: Tensor, size: tuple[int, int]) -> float:
    """How much smaller a map is than the images, as a power of two."""
    return float(2.0 ** round(math.log2(map.shape[-2] / size[0])))


class MultiScaleRoIAlign(nn.Module):
    """Regions of maps by name, (N, C, H_i, W_i), each to (C, *output_size): (K, C, ...).

    forward takes the maps, corners (L, 4) for each image, and the images' sizes (height, width),
    of which the first call infers how much smaller each map is. ValueError without images.
    """

    def __init__(
        self,
        featmap_names: list[str],
        output_size: int | Sequence[int],
        sampling_ratio: int,
        *,
        canonical_scale: int = 224,
        canonical_level: int = 4,
    ) -> None:
        super().__init__()
        both = (output_size, output_size) if isinstance(output_size, int) else tuple(output_size)
        self.featmap_names = featmap_names
        self.sampling_ratio = sampling_ratio
        self.output_size = (both[0], both[1])
        self.scales: list[float] | None = None
        self.map_levels: LevelMapper | None = None
        self.canonical_scale = canonical_scale
        self.canonical_level = canonical_level

    def _inferred(
        self, maps: list[Tensor], image_shapes: Sequence[Sequence[int]]
    ) -> tuple[list[float], LevelMapper]:
        if self.scales is None or self.map_levels is None:
            if not image_shapes:
                raise ValueError("images list should not be empty")
            largest = (max(s[0] for s in image_shapes), max(s[1] for s in image_shapes))
            self.scales = [_scale(map, largest) for map in maps]
            low, high = (-int(math.log2(scale)) for scale in (self.scales[0], self.scales[-1]))
            self.map_levels = LevelMapper(low, high, self.canonical_scale, self.canonical_level)
        return self.scales, self.map_levels

    def forward(
        self,
        x: Mapping[str, Tensor],
        boxes: list[Tensor],
        image_shapes: Sequence[Sequence[int]],
    ) -> Tensor:
        maps = [map for name, map in x.items() if name in self.featmap_names]
        scales, mapper = self._inferred(maps, image_shapes)
        rows = flat_boxes(boxes)

        def aligned(level: int, chosen: Tensor) -> Tensor:
            return roi_align(
                maps[level], chosen, self.output_size, scales[level], self.sampling_ratio
            )

        if len(maps) == 1:
            return aligned(0, rows)
        levels = mapper.levels(boxes)
        parts, order = [], []
        for level in np.unique(levels):
            places = np.flatnonzero(levels == level)
            order.append(places)
            found = aligned(
                int(level), rows if len(places) == len(levels) else rows[from_numpy(places)]
            )
            parts.append(found.to(maps[0].dtype))
        if not parts:
            return maps[0].new_zeros((0, maps[0].shape[1], *self.output_size))
        if len(parts) == 1:
            return parts[0]
        return cat(parts, 0)[from_numpy(np.argsort(np.concatenate(order)))]

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(featmap_names={self.featmap_names}, "
            f"output_size={self.output_size}, sampling_ratio={self.sampling_ratio})"
        )
