"""Keypoint R-CNN: Faster R-CNN that also finds joints of people (arXiv:1703.06870)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import Ask, builder_on, fix, published
from flambeau.vision.models.detection.faster_rcnn import (
    FasterRCNN,
    check_kind,
    frozen_resnet,
    pool,
    with_zero_eps,
)
from flambeau.vision.models.drawing import constant
from flambeau.vision.models.resnet import ResNet50_Weights
from flambeau.vision.ops.poolers import MultiScaleRoIAlign

__all__ = ["KeypointRCNN", "KeypointRCNN_ResNet50_FPN_Weights", "keypointrcnn_resnet50_fpn"]

PEOPLE = 2  # classes: the background and people
JOINTS = 17
SIDES = (640, 672, 704, 736, 768, 800)


class KeypointRCNN(FasterRCNN):
    """FasterRCNN, whose arguments the others are, with key points (N, K, 3) of what is found.

    In training targets need keypoints (n, K, 3): x, y and whether one can be seen.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int | None = None,
        min_size: Any = None,
        *args: Any,
        keypoint_roi_pool: MultiScaleRoIAlign | None = None,
        keypoint_head: nn.Module | None = None,
        keypoint_predictor: nn.Module | None = None,
        num_keypoints: int | None = None,
        **kwargs: Any,
    ) -> None:
        check_kind("keypoint_roi_pool", keypoint_roi_pool, MultiScaleRoIAlign)
        if num_keypoints is not None and keypoint_predictor is not None:
            raise ValueError("num_keypoints should be None when keypoint_predictor is specified")
        regions = keypoint_roi_pool or pool(14)
        if keypoint_head is None:
            keypoint_head = KeypointRCNNHeads(backbone.out_channels, (512,) * 8)
        if keypoint_predictor is None:
            keypoint_predictor = KeypointRCNNPredictor(512, num_keypoints or JOINTS)
        super().__init__(
            backbone, num_classes, SIDES if min_size is None else min_size, *args, **kwargs
        )
        heads: Any = self.roi_heads
        heads.keypoint_roi_pool = regions
        heads.keypoint_head = keypoint_head
        heads.keypoint_predictor = keypoint_predictor


class KeypointRCNNHeads(nn.Sequential):
    """Regions (N, C, M, M) through convolutions that keep the size."""

    def __init__(self, in_channels: int, layers: Sequence[int]) -> None:
        blocks: list[nn.Module] = []
        for channels in layers:
            blocks += [nn.Conv2d(in_channels, channels, 3, padding=1), nn.ReLU(inplace=True)]
            in_channels = channels
        super().__init__(*blocks)
        for module in self.children():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
                constant(module)


class KeypointRCNNPredictor(nn.Module):
    """Regions (N, C, M, M) to a heat map of every point: (N, num_keypoints, 4M, 4M)."""

    def __init__(self, in_channels: int, num_keypoints: int) -> None:
        super().__init__()
        self.kps_score_lowres = nn.ConvTranspose2d(in_channels, num_keypoints, 4, 2, 1)
        nn.init.kaiming_normal_(self.kps_score_lowres.weight, mode="fan_out", nonlinearity="relu")
        constant(self.kps_score_lowres)
        self.up_scale = 2
        self.out_channels = num_keypoints

    def forward(self, x: Tensor) -> Tensor:
        maps: Tensor = nn.functional.interpolate(
            self.kps_score_lowres(x),
            scale_factor=float(self.up_scale),
            mode="bilinear",
            align_corners=False,
            recompute_scale_factor=False,
        )
        return maps


KeypointRCNN_ResNet50_FPN_Weights = published("KeypointRCNN_ResNet50_FPN_Weights")


@builder_on(KeypointRCNN_ResNet50_FPN_Weights, ResNet50_Weights, "COCO_V1", PEOPLE, with_zero_eps)
def keypointrcnn_resnet50_fpn(ask: Ask, rest: dict[str, Any]) -> KeypointRCNN:
    """Keypoint R-CNN on a ResNet-50; arguments are KeypointRCNN's, trainable_backbone_layers."""
    if rest.get("num_keypoints") is None:
        rest["num_keypoints"] = JOINTS
    if ask.weights is not None:
        fix(rest, "num_keypoints", JOINTS)
    return KeypointRCNN(frozen_resnet(ask, rest), ask.classes, **rest)
