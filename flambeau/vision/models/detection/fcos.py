"""FCOS: dense detection without anchors' shapes (Tian et al., arXiv:1904.01355, 2006.09214)."""

from __future__ import annotations

import functools
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
)
from flambeau.vision.models.detection.matching import BoxLinearCoder
from flambeau.vision.models.detection.retinanet import (
    DenseDetector,
    boxes_of,
    classes_of,
    doubt,
    draw,
    one_hot,
)
from flambeau.vision.models.detection.rpn import by_place
from flambeau.vision.models.detection.transform import GeneralizedRCNNTransform
from flambeau.vision.models.resnet import ResNet50_Weights
from flambeau.vision.ops.layers import Layer
from flambeau.vision.ops.losses import generalized_box_iou_loss, sigmoid_focal_loss

__all__ = ["FCOS", "FCOS_ResNet50_FPN_Weights", "fcos_resnet50_fpn"]

Target = dict[str, Any]
GROUPS: Layer = functools.partial(nn.GroupNorm, 32)


def _tower(channels: int, count: int, norm: Layer) -> nn.Sequential:
    layers: list[nn.Module] = []
    for _ in range(count):
        layers += [nn.Conv2d(channels, channels, 3, padding=1), norm(channels), nn.ReLU()]
    return nn.Sequential(*layers)


class FCOSClassificationHead(nn.Module):
    """Maps (N, C, h, w) to logits of all their places: (N, places, num_classes)."""

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_classes: int,
        num_convs: int = 4,
        prior_probability: float = 0.01,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.num_anchors = num_anchors
        self.conv = _tower(in_channels, num_convs, norm_layer or GROUPS)
        draw(self.conv)
        self.cls_logits = nn.Conv2d(in_channels, num_anchors * num_classes, 3, padding=1)
        doubt(self.cls_logits, prior_probability)

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        return cat([by_place(self.cls_logits(self.conv(m)), self.num_classes) for m in x], 1)


class FCOSRegressionHead(nn.Module):
    """Maps to distances (N, places, 4) to the sides, and to whether places are in the middle."""

    def __init__(
        self,
        in_channels: int,
        num_anchors: int,
        num_convs: int = 4,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        self.conv = _tower(in_channels, num_convs, norm_layer or GROUPS)
        self.bbox_reg = nn.Conv2d(in_channels, num_anchors * 4, 3, padding=1)
        self.bbox_ctrness = nn.Conv2d(in_channels, num_anchors, 3, padding=1)
        for layer in (self.bbox_reg, self.bbox_ctrness, self.conv):
            draw(layer)

    def forward(self, x: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
        inner = [self.conv(map) for map in x]
        far = [by_place(nn.functional.relu(self.bbox_reg(one)), 4) for one in inner]
        middle = [by_place(self.bbox_ctrness(one), 1) for one in inner]
        return cat(far, 1), cat(middle, 1)


class FCOSHead(nn.Module):
    """Maps to logits, distances and middles of all their places."""

    def __init__(
        self, in_channels: int, num_anchors: int, num_classes: int, num_convs: int = 4
    ) -> None:
        super().__init__()
        self.box_coder = BoxLinearCoder(normalize_by_size=True)
        self.classification_head = FCOSClassificationHead(
            in_channels, num_anchors, num_classes, num_convs
        )
        self.regression_head = FCOSRegressionHead(in_channels, num_anchors, num_convs)

    def compute_loss(
        self,
        targets: list[Target],
        head_outputs: dict[str, Tensor],
        anchors: list[Tensor],
        matched_idxs: list[Tensor],
    ) -> dict[str, Tensor]:
        """The losses of both heads, over the places that lie in something."""
        indices = [index._values() for index in matched_idxs]
        rows = list(zip(targets, indices, anchors, strict=True))
        kinds = np.stack([classes_of(target, index) for target, index, _ in rows])
        truth = stack([boxes_of(target, index, own) for target, index, own in rows])
        places = stack(list(anchors))
        holds, count = from_numpy(kinds >= 0), max(1, int((kinds >= 0).sum()))
        logits = head_outputs["cls_logits"]
        chance = sigmoid_focal_loss(logits, one_hot(kinds, logits), reduction="sum")
        found = self.box_coder.decode(head_outputs["bbox_regression"], places)
        # Places outside of everything get their own boxes, so that nothing there is NaN.
        found = found.where(holds.unsqueeze(-1), places)
        apart = generalized_box_iou_loss(found, truth).where(holds, 0.0).sum()
        left, top, right, bottom = self.box_coder.encode(places, truth).unbind(-1)
        across = left.minimum(right) / left.maximum(right)
        down = top.minimum(bottom) / top.maximum(bottom)
        wanted = (across * down).where(holds, 0.0).sqrt()
        middle = nn.functional.binary_cross_entropy_with_logits(
            head_outputs["bbox_ctrness"].squeeze(2), wanted, reduction="none"
        )
        return {
            "classification": chance / count,
            "bbox_regression": apart / count,
            "bbox_ctrness": middle.where(holds, 0.0).sum() / count,
        }

    def forward(self, x: Sequence[Tensor]) -> dict[str, Tensor]:
        logits = self.classification_head(x)
        far, middle = self.regression_head(x)
        return {"cls_logits": logits, "bbox_regression": far, "bbox_ctrness": middle}


class FCOS(DenseDetector):
    """A DenseDetector whose anchors are the places of its maps.

    ValueError, TypeError where parts do not fit: the backbone needs out_channels, the generator
    one anchor for each place.
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
        center_sampling_radius: float = 1.5,
        score_thresh: float = 0.2,
        nms_thresh: float = 0.6,
        detections_per_img: int = 100,
        topk_candidates: int = 1000,
        **kwargs: Any,
    ) -> None:
        check_backbone(backbone)
        check_kind("anchor_generator", anchor_generator, AnchorGenerator)
        super().__init__(backbone, score_thresh, nms_thresh, detections_per_img, topk_candidates)
        self.anchor_generator = anchor_generator or AnchorGenerator(
            ((8,), (16,), (32,), (64,), (128,)), ((1.0,),) * 5
        )
        count = self.anchor_generator.num_anchors_per_location()[0]
        if count != 1:
            raise ValueError(
                f"anchor_generator.num_anchors_per_location()[0] should be 1 instead of {count}"
            )
        self.head = head or FCOSHead(backbone.out_channels, count, num_classes)
        self.box_coder = BoxLinearCoder(normalize_by_size=True)
        self.transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or MEAN, image_std or STD, **kwargs
        )
        self.center_sampling_radius = center_sampling_radius

    def _matched(self, anchors: Tensor, target: Target, levels: list[int]) -> Any:
        """The smallest true box of a suitable size in whose middle every place lies, or -1."""
        own, truth = anchors._values(), target["boxes"].detach()._values()
        if not len(truth):
            return np.full(len(own), -1, np.int64)
        centres, sides = (own[:, :2] + own[:, 2:]) / 2, own[:, 2] - own[:, 0]
        middles = (truth[:, :2] + truth[:, 2:]) / 2
        off = np.abs(centres[:, None] - middles[None]).max(2)
        fits = off < own.dtype.type(self.center_sampling_radius) * sides[:, None]
        far = np.concatenate(
            [centres[:, None] - truth[None, :, :2], truth[None, :, 2:] - centres[:, None]], 2
        )
        fits &= far.min(2) > 0
        least, most = sides * 4, sides * 8
        least[: levels[0]] = 0
        most[-levels[-1] :] = np.inf
        largest = far.max(2)
        fits &= (largest > least[:, None]) & (largest < most[:, None])
        areas = (truth[:, 2] - truth[:, 0]) * (truth[:, 3] - truth[:, 1])
        rank = np.where(fits, np.float32(1e8) - areas[None], 0)
        best = rank.argmax(1)
        return np.where(rank[np.arange(len(best)), best] < 1e-5, -1, best)

    def losses(
        self,
        targets: list[Target],
        outputs: dict[str, Tensor],
        anchors: list[Tensor],
        levels: list[int],
    ) -> dict[str, Tensor]:
        index = [
            from_array(self._matched(own, target, levels), int64)
            for own, target in zip(anchors, targets, strict=True)
        ]
        head: Any = self.head
        losses: dict[str, Tensor] = head.compute_loss(targets, outputs, anchors, index)
        return losses

    def candidates(
        self, outputs: dict[str, Tensor], anchors: list[Tensor]
    ) -> tuple[Tensor, Tensor, int]:
        corners = self.box_coder.decode(outputs["bbox_regression"], stack(list(anchors)))
        scores = (outputs["cls_logits"].sigmoid() * outputs["bbox_ctrness"].sigmoid()).sqrt()
        return scores, corners, 0


FCOS_ResNet50_FPN_Weights = published("FCOS_ResNet50_FPN_Weights")


@builder_on(FCOS_ResNet50_FPN_Weights, ResNet50_Weights, "COCO_V1", COCO)
def fcos_resnet50_fpn(ask: Ask, rest: dict[str, Any]) -> FCOS:
    """FCOS on a ResNet-50; other arguments are FCOS's and trainable_backbone_layers."""
    return FCOS(frozen_resnet(ask, rest, dense=256), ask.classes, **rest)
