"""Proposals: anchors that hold something, moved towards it (Ren et al., arXiv:1506.01497)."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import flambeau.nn as nn
from flambeau.core.dtypes import float32
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor, from_array
from flambeau.vision.models.detection.anchors import AnchorGenerator
from flambeau.vision.models.detection.image_list import ImageList
from flambeau.vision.models.detection.matching import (
    Array,
    BalancedPositiveNegativeSampler,
    BoxCoder,
    Matcher,
    overlaps,
)
from flambeau.vision.models.detection.selection import best_of, clipped, inside, sigmoid, suppressed
from flambeau.vision.models.drawing import constant
from flambeau.vision.ops.boxes import box_iou
from flambeau.vision.ops.layers import Conv2dNormActivation

Target = dict[str, Any]


def rename(state_dict: dict[str, Any], old: str, new: str) -> None:
    """Gives a layer's weight and bias in a state another name."""
    for kind in ("weight", "bias"):
        if f"{old}.{kind}" in state_dict:
            state_dict[f"{new}.{kind}"] = state_dict.pop(f"{old}.{kind}")


class RPNHead(nn.Module):
    """For every map (N, C, h, w): scores (N, anchors, h, w) and moves (N, anchors * 4, h, w)."""

    _version = 2

    def __init__(self, in_channels: int, num_anchors: int, conv_depth: int = 1) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(
                Conv2dNormActivation(in_channels, in_channels, norm_layer=None)
                for _ in range(conv_depth)
            )
        )
        self.cls_logits = nn.Conv2d(in_channels, num_anchors, 1)
        self.bbox_pred = nn.Conv2d(in_channels, num_anchors * 4, 1)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.normal_(layer.weight, std=0.01)
                constant(layer)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if (local_metadata.get("version") or 0) < 2:
            rename(state_dict, f"{prefix}conv", f"{prefix}conv.0.0")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args, **kwargs)

    def forward(self, x: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        inner = [self.conv(map) for map in x]
        return [self.cls_logits(one) for one in inner], [self.bbox_pred(one) for one in inner]


def by_place(x: Tensor, columns: int) -> Tensor:
    """Maps (N, anchors * columns, h, w) as rows of anchors, place by place: (N, rows, columns)."""
    count, _, height, width = x.shape
    rows = x.view(count, -1, columns, height, width).permute(0, 3, 4, 1, 2)
    return rows.reshape(count, -1, columns)


class RegionProposalNetwork(nn.Module):
    """The boxes in which something is, for each image: (proposals, 4); in training also losses."""

    def __init__(
        self,
        anchor_generator: AnchorGenerator,
        head: nn.Module,
        fg_iou_thresh: float,
        bg_iou_thresh: float,
        batch_size_per_image: int,
        positive_fraction: float,
        pre_nms_top_n: dict[str, int],
        post_nms_top_n: dict[str, int],
        nms_thresh: float,
        score_thresh: float = 0.0,
    ) -> None:
        super().__init__()
        self.anchor_generator = anchor_generator
        self.head = head
        self.box_coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
        self.box_similarity = box_iou
        self.proposal_matcher = Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True
        )
        self.fg_bg_sampler = BalancedPositiveNegativeSampler(
            batch_size_per_image, positive_fraction
        )
        self._pre_nms_top_n = pre_nms_top_n
        self._post_nms_top_n = post_nms_top_n
        self.nms_thresh = nms_thresh
        self.score_thresh = score_thresh
        self.min_size = 1e-3

    def pre_nms_top_n(self) -> int:
        """How many of the best anchors of each map are looked at."""
        return self._pre_nms_top_n["training" if self.training else "testing"]

    def post_nms_top_n(self) -> int:
        """How many proposals an image has at most."""
        return self._post_nms_top_n["training" if self.training else "testing"]

    def assign_targets_to_anchors(
        self, anchors: list[Tensor], targets: list[Target]
    ) -> tuple[list[Tensor], list[Tensor]]:
        """For each image what anchors are (1: something, 0: nothing, -1: neither), and where."""
        labels, boxes = [], []
        for own, target in zip(anchors, targets, strict=True):
            here, truth = own._values(), target["boxes"].detach()._values()
            if not len(truth):
                labels.append(np.zeros(len(here), np.float32))
                boxes.append(np.zeros(here.shape, np.float32))
                continue
            matches = self.proposal_matcher.match(overlaps(truth, here))
            found = (matches >= 0).astype(np.float32)
            found[matches == Matcher.BETWEEN_THRESHOLDS] = -1.0
            labels.append(found)
            boxes.append(truth[np.maximum(matches, 0)])
        return [from_array(one, float32) for one in labels], [from_numpy(one) for one in boxes]

    def filter_proposals(
        self,
        proposals: Tensor,
        objectness: Tensor,
        image_shapes: list[tuple[int, int]],
        num_anchors_per_level: list[int],
    ) -> tuple[list[Tensor], list[Tensor]]:
        """The best of moved anchors (N, rows, 4) that do not overlap: boxes and scores by image."""
        corners = proposals.detach()._values()
        logits = objectness.detach()._values().reshape(len(corners), -1)
        edges = np.cumsum([0, *num_anchors_per_level])
        boxes, scores = [], []
        for own, values, shape in zip(corners, logits, image_shapes, strict=True):
            kept = np.concatenate(
                [
                    first + best_of(values[first:last], self.pre_nms_top_n())
                    for first, last in itertools.pairwise(edges)
                ]
            )
            level = np.searchsorted(edges, kept, "right")
            candidates, chances = clipped(own[kept], shape), sigmoid(values[kept])
            chosen = np.flatnonzero(
                inside(candidates, self.min_size) & (chances >= self.score_thresh)
            )
            candidates, chances = candidates[chosen], chances[chosen]
            best = suppressed(candidates, chances, level[chosen], self.nms_thresh)
            best = best[: self.post_nms_top_n()]
            boxes.append(from_array(candidates[best], proposals.dtype))
            scores.append(from_array(chances[best], objectness.dtype))
        return boxes, scores

    def compute_loss(
        self,
        objectness: Tensor,
        pred_bbox_deltas: Tensor,
        labels: list[Tensor],
        regression_targets: list[Tensor],
    ) -> tuple[Tensor, Tensor]:
        """Losses of drawn anchors: of what they hold, and of their moves where it is something."""
        kinds = [one._values() for one in labels]
        drawn = [self.fg_bg_sampler.draw(one) for one in kinds]
        positive = np.flatnonzero(np.concatenate([pair[0] for pair in drawn]))
        negative = np.flatnonzero(np.concatenate([pair[1] for pair in drawn]))
        sampled = np.concatenate([positive, negative])
        truth: Array = np.concatenate(kinds)[sampled]
        rows = from_numpy(sampled)
        F = nn.functional
        # All drawn rows take part, so that steps with more or fewer positive ones stay alike.
        holds = from_numpy(np.arange(sampled.size) < positive.size)[:, None]
        wanted = cat(list(regression_targets), 0)[rows]
        apart = F.smooth_l1_loss(
            pred_bbox_deltas[rows].where(holds, 0.0),
            wanted.where(holds, 0.0),
            beta=1 / 9,
            reduction="sum",
        )
        chance = F.binary_cross_entropy_with_logits(
            objectness.flatten()[rows], from_numpy(truth).to(objectness.dtype)
        )
        return chance, apart / sampled.size

    def forward(
        self,
        images: ImageList,
        features: Mapping[str, Tensor],
        targets: list[Target] | None = None,
    ) -> tuple[list[Tensor], dict[str, Tensor]]:
        maps = list(features.values())
        scores, moves = self.head(maps)
        anchors = self.anchor_generator(images, maps)
        levels = [one.shape[1] * one.shape[2] * one.shape[3] for one in scores]
        objectness = cat([by_place(one, 1) for one in scores], 1).flatten(0, -2)
        deltas = cat([by_place(one, 4) for one in moves], 1).reshape(-1, 4)
        moved = self.box_coder.decode(deltas.detach(), anchors).view(len(anchors), -1, 4)
        boxes, _ = self.filter_proposals(moved, objectness, images.image_sizes, levels)
        if not self.training:
            return boxes, {}
        if targets is None:
            raise ValueError("targets should not be None")
        labels, matched = self.assign_targets_to_anchors(anchors, targets)
        wanted = self.box_coder.encode(matched, anchors)
        chance, apart = self.compute_loss(objectness, deltas, labels, list(wanted))
        return boxes, {"loss_objectness": chance, "loss_rpn_box_reg": apart}
