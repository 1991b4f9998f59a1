"""Which boxes belong together, and boxes in terms of others: torchvision.models.detection._utils.

What decides (matching, sampling) is computed on the host and has no gradient; its results have
the sizes of what was given, so that training steps stay alike although matches change.
"""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import flambeau.nn as nn
from flambeau.autograd.modes import no_grad
from flambeau.core.dtypes import int64, uint8
from flambeau.functional.creation import zeros
from flambeau.functional.joining import cat, stack
from flambeau.functional.random_integers import randperm
from flambeau.tensor.tensor import Tensor, from_array
from flambeau.vision.ops.layers import FrozenBatchNorm2d
from flambeau.vision.ops.losses import (
    complete_box_iou_loss,
    distance_box_iou_loss,
    generalized_box_iou_loss,
)

Array = NDArray[Any]


def overlaps(boxes1: Array, boxes2: Array) -> Array:
    """Intersection over union of all pairs of corners: (N, 4), (M, 4) to (N, M)."""
    areas = [(b[:, 2] - b[:, 0]) * (b[:, 3] - b[:, 1]) for b in (boxes1, boxes2)]
    low = np.maximum(boxes1[:, None, :2], boxes2[None, :, :2])
    sides = np.maximum(np.minimum(boxes1[:, None, 2:], boxes2[None, :, 2:]) - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        share: Array = shared / (areas[0][:, None] + areas[1][None] - shared)
    return share


class Matcher:
    """For every box the best of some true ones: its index, or one of the constants.

    Called with the overlaps (true, boxes); ValueError where there are none. With
    allow_low_quality_matches the boxes that overlap a true one most keep it in any case.
    """

    BELOW_LOW_THRESHOLD = -1
    BETWEEN_THRESHOLDS = -2

    def __init__(
        self, high_threshold: float, low_threshold: float, allow_low_quality_matches: bool = False
    ) -> None:
        if low_threshold > high_threshold:
            raise AssertionError("low_threshold should be <= high_threshold")
        self.high_threshold = high_threshold
        self.low_threshold = low_threshold
        self.allow_low_quality_matches = allow_low_quality_matches

    def match(self, quality: Array) -> NDArray[np.int64]:
        """As when called, for arrays."""
        if not quality.size:
            missing = "proposal" if quality.shape[0] else "ground-truth"
            raise ValueError(f"No {missing} boxes available for one of the images during training")
        best: NDArray[np.int64] = quality.argmax(0)
        values = quality[best, np.arange(quality.shape[1])]
        matches = np.where(values < self.low_threshold, self.BELOW_LOW_THRESHOLD, best)
        between = (values >= self.low_threshold) & (values < self.high_threshold)
        matches[between] = self.BETWEEN_THRESHOLDS
        if self.allow_low_quality_matches:
            kept = (quality == quality.max(1)[:, None]).any(0)
            matches[kept] = best[kept]
        return matches

    def __call__(self, match_quality_matrix: Tensor) -> Tensor:
        return from_array(self.match(match_quality_matrix.detach()._values()), int64)


class SSDMatcher(Matcher):
    """A Matcher that gives every true box the box that overlaps it most."""

    def __init__(self, threshold: float) -> None:
        super().__init__(threshold, threshold)

    def match(self, quality: Array) -> NDArray[np.int64]:
        matches = super().match(quality)
        # One at a time: of true boxes with the same best box the last has it.
        for index, box in enumerate(quality.argmax(1)):
            matches[box] = index
        return matches


class BalancedPositiveNegativeSampler:
    """Draws some boxes with a label above 0, and as many others as fill the number asked for.

    Called with the labels of each image (0: background, below: neither); gives two lists of masks.
    """

    def __init__(self, batch_size_per_image: int, positive_fraction: float) -> None:
        self.batch_size_per_image = batch_size_per_image
        self.positive_fraction = positive_fraction

    def draw(self, labels: Array) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The masks of one image."""
        positive, negative = np.flatnonzero(labels >= 1), np.flatnonzero(labels == 0)
        most = int(self.batch_size_per_image * self.positive_fraction)
        wanted = min(positive.size, most)
        rest = min(negative.size, self.batch_size_per_image - wanted)
        masks = []
        for places, count in ((positive, wanted), (negative, rest)):
            chosen = randperm(places.size)._values()[:count]
            mask = np.zeros(labels.shape, np.uint8)
            mask[places[chosen]] = 1
            masks.append(mask)
        return masks[0], masks[1]

    def __call__(self, matched_idxs: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        drawn = [self.draw(labels._values()) for labels in matched_idxs]
        positive, negative = ([from_array(pair[i], uint8) for pair in drawn] for i in (0, 1))
        return positive, negative


# ---- boxes in terms of others --------------------------------------------------------------------


def _centred(boxes: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Centres and sides, in columns that can be broadcast: (N, 1) each."""
    left, top, right, bottom = boxes.unsqueeze(-1).unbind(1)
    width, height = right - left, bottom - top
    return left + 0.5 * width, top + 0.5 * height, width, height


class BoxCoder:
    """Corners as offsets and logarithms of sides, relative to other corners, and back."""

    def __init__(
        self,
        weights: tuple[float, float, float, float],
        bbox_xform_clip: float = math.log(1000.0 / 16),
    ) -> None:
        self.weights = weights
        self.bbox_xform_clip = bbox_xform_clip

    def encode(
        self, reference_boxes: Sequence[Tensor], proposals: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """encode_single of the boxes of each image."""
        counts = [len(boxes) for boxes in reference_boxes]
        codes = self.encode_single(cat(list(reference_boxes), 0), cat(list(proposals), 0))
        return tuple(codes.split(counts, 0))

    def encode_single(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """Corners (N, 4) in terms of proposals (N, 4)."""
        x, y, width, height = _centred(proposals)
        to_x, to_y, to_width, to_height = _centred(reference_boxes)
        wx, wy, ww, wh = self.weights
        codes = [
            wx * (to_x - x) / width,
            wy * (to_y - y) / height,
            ww * (to_width / width).log(),
            wh * (to_height / height).log(),
        ]
        return cat(codes, 1)

    def decode(self, rel_codes: Tensor, boxes: Sequence[Tensor]) -> Tensor:
        """decode_single of the boxes of all images: (N, classes, 4)."""
        if not isinstance(boxes, (list, tuple)):
            raise AssertionError("This function expects boxes of type list or tuple.")
        if not isinstance(rel_codes, Tensor):
            raise AssertionError("This function expects rel_codes of type torch.Tensor.")
        whole = cat(list(boxes), 0)
        if not len(whole):
            return self.decode_single(rel_codes, whole)
        found = self.decode_single(rel_codes.reshape(len(whole), -1), whole)
        return found.reshape(len(whole), -1, 4)

    def decode_single(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """Codes (N, classes * 4) of boxes (N, 4) as corners (N, classes * 4)."""
        x, y, width, height = _centred(boxes.to(rel_codes.dtype))
        wx, wy, ww, wh = self.weights
        # exp() of more would be a box larger than any image.
        wide = (rel_codes[:, 2::4] / ww).clamp(max=self.bbox_xform_clip).exp() * width
        high = (rel_codes[:, 3::4] / wh).clamp(max=self.bbox_xform_clip).exp() * height
        centre_x = rel_codes[:, 0::4] / wx * width + x
        centre_y = rel_codes[:, 1::4] / wy * height + y
        corners = [
            centre_x - 0.5 * wide,
            centre_y - 0.5 * high,
            centre_x + 0.5 * wide,
            centre_y + 0.5 * high,
        ]
        return stack(corners, 2).flatten(1)


class BoxLinearCoder:
    """Corners as distances from the centres of other boxes, in their sides if normalize_by_size."""

    def __init__(self, normalize_by_size: bool = True) -> None:
        self.normalize_by_size = normalize_by_size

    def _scale(self, boxes: Tensor) -> tuple[Tensor, Tensor, Tensor | None]:
        left, top, right, bottom = boxes.unbind(-1)
        x, y = 0.5 * (left + right), 0.5 * (top + bottom)
        if not self.normalize_by_size:
            return x, y, None
        width, height = right - left, bottom - top
        return x, y, stack([width, height, width, height], -1)

    def encode(self, reference_boxes: Tensor, proposals: Tensor) -> Tensor:
        """How far the sides of proposals (..., 4) are from the centres of reference_boxes."""
        x, y, scale = self._scale(reference_boxes)
        left, top, right, bottom = proposals.unbind(-1)
        far = stack([x - left, y - top, right - x, bottom - y], -1)
        return far if scale is None else far / scale

    def decode(self, rel_codes: Tensor, boxes: Tensor) -> Tensor:
        """The corners (..., 4) of codes in terms of boxes (..., 4)."""
        x, y, scale = self._scale(boxes.to(rel_codes.dtype))
        left, top, right, bottom = (rel_codes if scale is None else rel_codes * scale).unbind(-1)
        return stack([x - left, y - top, x + right, y + bottom], -1)


# ---- losses and models ---------------------------------------------------------------------------

_OVERLAPS = {
    "ciou": complete_box_iou_loss,
    "diou": distance_box_iou_loss,
    "giou": generalized_box_iou_loss,
}


def box_losses(kind: str, coder: BoxCoder, anchors: Tensor, truth: Tensor, codes: Tensor) -> Tensor:
    """What each row of codes (N, 4) misses of its true corners: (N,).

    kind is l1, smooth_l1 (of codes), ciou, diou or giou (of corners); AssertionError for others.
    """
    if kind not in ("l1", "smooth_l1", *_OVERLAPS):
        raise AssertionError(f"Unsupported loss: {kind}")
    if kind in _OVERLAPS:
        return _OVERLAPS[kind](coder.decode_single(codes, anchors), truth)
    of_codes = nn.functional.l1_loss if kind == "l1" else nn.functional.smooth_l1_loss
    apart: Tensor = of_codes(codes, coder.encode_single(truth, anchors), reduction="none")
    return apart.sum(1)


def overwrite_eps(model: nn.Module, eps: float) -> None:
    """Gives all frozen norms another eps: some published weights were trained with 0."""
    for module in model.modules():
        if isinstance(module, FrozenBatchNorm2d):
            module.eps = eps


def retrieve_out_channels(model: nn.Module, size: tuple[int, int]) -> list[int]:
    """The channels of the maps that a model gives for an image of size (width, height)."""
    training = model.training
    model.eval()
    with no_grad():
        found = model(zeros(1, 3, size[1], size[0]))
    model.train(training)
    maps = OrderedDict([("0", found)]) if isinstance(found, Tensor) else found
    return [map.shape[1] for map in maps.values()]
