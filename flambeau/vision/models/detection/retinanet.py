"""RetinaNet: dense detection with a focal loss (Lin et al., arXiv:1708.02002)."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau.nn as nn
from flambeau.core.dtypes import int64
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat, stack
from flambeau.tensor.tensor import Tensor, from_array
from flambeau.vision.models._api import Ask, builder_on, published
from flambeau.vision.models.detection.anchors import AnchorGenerator
from flambeau.vision.models.detection.faster_rcnn import (
    COCO,
    MEAN,
    STD,
    check_backbone,
    check_kind,
    frozen_resnet,
    resnet_of_v2,
    with_zero_eps,
)
from flambeau.vision.models.detection.generalized_rcnn import (
    check_boxes,
    check_sides,
    maps_of,
    sizes_of,
)
from flambeau.vision.models.detection.matching import BoxCoder, Matcher, box_losses, overlaps
from flambeau.vision.models.detection.rpn import by_place, rename
from flambeau.vision.models.detection.selection import best_of, clipped, suppressed
from flambeau.vision.models.detection.transform import GeneralizedRCNNTransform
from flambeau.vision.models.resnet import ResNet50_Weights
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer
from flambeau.vision.ops.losses import sigmoid_focal_loss

__all__ = [
    "RetinaNet", "RetinaNet_ResNet50_FPN_V2_Weights", "RetinaNet_ResNet50_FPN_Weights",
    "retinanet_resnet50_fpn", "retinanet_resnet50_fpn_v2",
]  # fmt: skip

Target = dict[str, Any]


def default_anchors() -> AnchorGenerator:
    """Three sizes for each of five maps, in three shapes."""
    sizes = tuple(
        (side, int(side * 2 ** (1.0 / 3)), int(side * 2 ** (2.0 / 3)))
        for side in (32, 64, 128, 256, 512)
    )
    return AnchorGenerator(sizes, ((0.5, 1.0, 2.0),) * len(sizes))


def draw(module: nn.Module) -> None:
    """Convolutions normal with deviation 0.01, without a bias."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def doubt(layer: nn.Conv2d, prior_probability: float) -> None:
    """Draws a layer of logits that begin by saying that hardly anything is there."""
    assert layer.bias is not None
    nn.init.normal_(layer.weight, std=0.01)
    nn.init.constant_(layer.bias, -math.log((1 - prior_probability) / prior_probability))


def matched(anchors: Tensor, target: Target, matcher: Matcher) -> Any:
    """The true box of every anchor of an image, an array; below 0 where there is none."""
    truth = target["boxes"].detach()._values()
    if not len(truth):
        return np.full(len(anchors), Matcher.BELOW_LOW_THRESHOLD, np.int64)
    return matcher.match(overlaps(truth, anchors._values()))


def classes_of(target: Target, index: Any) -> Any:
    """The class of every anchor, by its true box; -1 where there is none."""
    kinds = target["labels"]._values()
    if not len(kinds):
        return np.full(len(index), -1, np.int64)
    return np.where(index >= 0, kinds[np.maximum(index, 0)], -1)


def boxes_of(target: Target, index: Any, anchors: Tensor) -> Tensor:
    """The true corners of every anchor, its own where there are none."""
    own, truth = anchors._values(), target["boxes"].detach()._values()
    if not len(truth):
        return anchors
    chosen = np.where(index[:, None] >= 0, truth[np.maximum(index, 0)], own)
    return from_array(chosen, anchors.dtype)


def one_hot(kinds: Any, logits: Tensor) -> Tensor:
    """Classes (...,) as logits (..., classes) should have them; nothing for -1."""
    every = from_numpy(np.arange(logits.shape[-1]))
    return (from_numpy(kinds).unsqueeze(-1) == every).to(logits.dtype)


class _Versioned(nn.Module):
    _version = 2

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if (local_metadata.get("version") or 0) < 2:
            for index in range(4):
                rename(state_dict, f"{prefix}conv.{2 * index}", f"{prefix}conv.{index}.0")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args, **kwargs)


class RetinaNetClassificationHead(_Versioned):
    """Maps (N, C, h, w) to logits of all their anchors: (N, anchors, num_classes)."""

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_classes: int,
        prior_probability: float = 0.01,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(Conv2dNormActivation(in_channels, in_channels, norm_layer=norm_layer) for _ in "1234")
        )
        draw(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, 3, padding=1)
        doubt(self.cls_logits, prior_probability)
        self.num_classes = num_classes
        self.num_anchors = num_anchors
        self.BETWEEN_THRESHOLDS = Matcher.BETWEEN_THRESHOLDS

    def compute_loss(
        self, targets: list[Target], head_outputs: dict[str, Tensor], matched_idxs: list[Tensor]
    ) -> Tensor:
        """The focal loss, over the anchors that hold something, of the mean image."""
        losses = []
        rows = zip(targets, head_outputs["cls_logits"], matched_idxs, strict=True)
        for target, logits, own in rows:
            index = own._values()
            wanted = one_hot(classes_of(target, index), logits)
            valid = from_numpy(index != self.BETWEEN_THRESHOLDS).unsqueeze(1)
            loss = sigmoid_focal_loss(logits, wanted).where(valid, 0.0).sum()
            losses.append(loss / max(1, int((index >= 0).sum())))
        return stack(losses).sum() / len(targets)

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        logits = [self.cls_logits(self.conv(map)) for map in x]
        return cat([by_place(one, self.num_classes) for one in logits], 1)


class RetinaNetRegressionHead(_Versioned):
    """Maps (N, C, h, w) to moves of all their anchors: (N, anchors, 4)."""

    def __init__(self, in_channels: int, num_anchors: int, norm_layer: Layer | None = None) -> None:
        super().__init__()
        self.conv = nn.Sequential(
            *(Conv2dNormActivation(in_channels, in_channels, norm_layer=norm_layer) for _ in "1234")
        )
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, 3, padding=1)
        draw(self.bbox_reg)
        draw(self.conv)
        self.box_coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
        self._loss_type = "l1"

    def compute_loss(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> Tensor:
        """What anchors that hold something miss of it, of the mean image."""
        losses = []
        rows = zip(targets, head_outputs["bbox_regression"], anchors, matched_idxs, strict=True)
        for target, codes, own, match in rows:
            index = match._values()
            truth = boxes_of(target, index, own)
            apart = box_losses(self._loss_type, self.box_coder, own, truth, codes)
            found = from_numpy(index >= 0)
            losses.append(apart.where(found, 0.0).sum() / max(1, int((index >= 0).sum())))
        return stack(losses).sum() / max(1, len(targets))

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        return cat([by_place(self.bbox_reg(self.conv(map)), 4) for map in x], 1)


class RetinaNetHead(nn.Module):
    """Maps to logits and moves of all their anchors."""

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_classes: int,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        self.classification_head = RetinaNetClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer=norm_layer
        )
        self.regression_head = RetinaNetRegressionHead(in_channels, num_anchors, norm_layer)

    def compute_loss(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses of both heads."""
        chance = self.classification_head.compute_loss(targets, head_outputs, matched_idxs)
        apart = self.regression_head.compute_loss(targets, head_outputs, anchors, matched_idxs)
        return {"classification": chance, "bbox_regression": apart}

    def forward(self, x: Sequence[Tensor]) -> dict[str, Tensor]:
        return {
            "cls_logits": self.classification_head(x),
            "bbox_regression": self.regression_head(x),
        }


class DenseDetector(nn.Module):
    """What detectors have in common that ask every anchor of every map.

    In training, images (C, H, W) and targets to losses by name; else to boxes (N, 4), scores and
    labels of each image, which carry no gradient.
    """

    def __init__(
        self,
        backbone: nn.Module,
        score_thresh: float,
        nms_thresh: float,
        detections_per_img: int,
        topk_candidates: int,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.topk_candidates = topk_candidates

    def losses(
        self,
        targets: list[Target],
        outputs: dict[str, Tensor],
        anchors: list[Tensor],
        levels: list[int],
    ) -> dict[str, Tensor]:
        """The losses of all anchors, of which there are so many in each map."""
        raise NotImplementedError(f"{type(self).__name__} has no losses")

    def candidates(
        self, outputs: dict[str, Tensor], anchors: list[Tensor]
    ) -> tuple[Tensor, Tensor, int]:
        """Scores (N, anchors, classes), corners (N, anchors, 4), and the number of class 0."""
        raise NotImplementedError(f"{type(self).__name__} has no candidates")

    def detections(
        self,
        scores: Any,
        corners: Any,
        levels: list[int],
        size: tuple[int, int],
        first: int,
    ) -> tuple[Any, Any, Any]:
        """Of one image the best of every map, and of these those that do not overlap."""
        edges = np.cumsum([0, *levels])
        boxes, values, kinds = [], [], []
        for begin, end in itertools.pairwise(edges):
            flat = scores[begin:end].reshape(-1)
            kept = np.flatnonzero(flat > self.score_thresh)
            kept = kept[best_of(flat[kept], self.topk_candidates)]
            rows, classes = np.divmod(kept, scores.shape[1])
            boxes.append(clipped(corners[begin:end][rows], size))
            values.append(flat[kept])
            kinds.append(classes + first)
        return np.concatenate(boxes), np.concatenate(values), np.concatenate(kinds)

    def _found(
        self,
        outputs: dict[str, Tensor],
        anchors: list[Tensor],
        levels: list[int],
        sizes: list[tuple[int, int]],
    ) -> list[Target]:
        scores, corners, first = self.candidates(outputs, anchors)
        chances, places = scores.detach()._values(), corners.detach()._values()
        result = []
        for own, boxes, size in zip(chances, places, sizes, strict=True):
            boxes, values, kinds = self.detections(own, boxes, levels, size, first)
            best = suppressed(boxes, values, kinds, self.nms_thresh)[: self.detections_per_img]
            result.append(
                {
                    "boxes": from_array(boxes[best], corners.dtype),
                    "scores": from_array(values[best], scores.dtype),
                    "labels": from_array(kinds[best], int64),
                }
            )
        return result

    def forward(self, images: list[Tensor], targets: list[Target] | None = None) -> Any:
        if self.training:
            check_boxes(targets)
        originals = sizes_of(images)
        batch, targets = self.transform(images, targets)
        check_sides(targets)
        maps = list(maps_of(self.backbone, batch.tensors).values())
        head: Any = self.head
        outputs: dict[str, Tensor] = head(maps)
        generator: Any = self.anchor_generator
        anchors = generator(batch, maps)
        places = [map.shape[2] * map.shape[3] for map in maps]
        share = generator.num_anchors_per_location()
        levels = [count * own for count, own in zip(places, share, strict=True)]
        if self.training:
            assert targets is not None
            return self.losses(targets, outputs, anchors, levels)
        found = self._found(outputs, anchors, levels, batch.image_sizes)
        transform: Any = self.transform
        return transform.postprocess(found, batch.image_sizes, originals)


class RetinaNet(DenseDetector):
    """A DenseDetector with two heads over every map of a pyramid.

    ValueError, TypeError where parts do not fit: the backbone needs out_channels.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int,
        min_size: Any = 800,
        max_size: int = 1333,
        image_mean: list[float] | None = None,
        image_std: list[float] | None = None,
        anchor_generator: AnchorGenerator | None = None,
        head: nn.Module | None = None,
        proposal_matcher: Matcher | None = None,
        score_thresh: float = 0.05,
        nms_thresh: float = 0.5,
        detections_per_img: int = 300,
        fg_iou_thresh: float = 0.5,
        bg_iou_thresh: float = 0.4,
        topk_candidates: int = 1000,
        **kwargs: Any,
    ) -> None:
        check_backbone(backbone)
        check_kind("anchor_generator", anchor_generator, AnchorGenerator)
        super().__init__(backbone, score_thresh, nms_thresh, detections_per_img, topk_candidates)
        self.anchor_generator = anchor_generator or default_anchors()
        count = self.anchor_generator.num_anchors_per_location()[0]
        self.head = head or RetinaNetHead(backbone.out_channels, count, num_classes)
        self.proposal_matcher = proposal_matcher or Matcher(
            fg_iou_thresh, bg_iou_thresh, allow_low_quality_matches=True
        )
        self.box_coder = BoxCoder((1.0, 1.0, 1.0, 1.0))
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or MEAN, image_std or STD, **kwargs
        )

    def losses(
        self,
        targets: list[Target],
        outputs: dict[str, Tensor],
        anchors: list[Tensor],
        levels: list[int],
    ) -> dict[str, Tensor]:
        index = [
            from_array(matched(own, target, self.proposal_matcher), int64)
            for own, target in zip(anchors, targets, strict=True)
        ]
        head: Any = self.head
        losses: dict[str, Tensor] = head.compute_loss(targets, outputs, anchors, index)
        return losses

    def candidates(
        self, outputs: dict[str, Tensor], anchors: list[Tensor]
    ) -> tuple[Tensor, Tensor, int]:
        codes = outputs["bbox_regression"]
        corners = self.box_coder.decode_single(codes.reshape(-1, 4), cat(anchors, 0))
        return outputs["cls_logits"].sigmoid(), corners.view(codes.shape), 0


RetinaNet_ResNet50_FPN_Weights = published("RetinaNet_ResNet50_FPN_Weights")
RetinaNet_ResNet50_FPN_V2_Weights = published("RetinaNet_ResNet50_FPN_V2_Weights")


@builder_on(RetinaNet_ResNet50_FPN_Weights, ResNet50_Weights, "COCO_V1", COCO, with_zero_eps)
def retinanet_resnet50_fpn(ask: Ask, rest: dict[str, Any]) -> RetinaNet:
    """RetinaNet on a ResNet-50; other arguments are RetinaNet's and trainable_backbone_layers."""
    return RetinaNet(frozen_resnet(ask, rest, dense=256), ask.classes, **rest)


@builder_on(RetinaNet_ResNet50_FPN_V2_Weights, ResNet50_Weights, "COCO_V1", COCO, backed=False)
def retinanet_resnet50_fpn_v2(ask: Ask, rest: dict[str, Any]) -> RetinaNet:
    """RetinaNet with norms in its heads and a loss of overlaps; arguments as for the first."""
    backbone = resnet_of_v2(ask, rest, dense=2048)
    anchors = default_anchors()
    head = RetinaNetHead(
        backbone.out_channels,
        anchors.num_anchors_per_location()[0],
        ask.classes,
        functools.partial(nn.GroupNorm, 32),
    )
    head.regression_head._loss_type = "giou"
    return RetinaNet(backbone, ask.classes, anchor_generator=anchors, head=head, **rest)
