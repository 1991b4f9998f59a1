"""Fully convolutional networks (Long et al., arXiv:1411.4038)."""

from __future__ import annotations

from typing import Any

import flambeau.nn as nn
from flambeau.vision.models._api import Ask, builder_on, published
from flambeau.vision.models.resnet import (
    ResNet50_Weights,
    ResNet101_Weights,
    resnet50,
    resnet101,
)
from flambeau.vision.models.segmentation.shared import SegmentationModel, auxiliary, residual

__all__ = ["FCN", "FCN_ResNet101_Weights", "FCN_ResNet50_Weights", "fcn_resnet101", "fcn_resnet50"]

DILATED = [False, True, True]
VOC = 21  # classes of Pascal VOC, the background with them
FIRST = "COCO_WITH_VOC_LABELS_V1"


class FCN(SegmentationModel):
    """A backbone, a head for its last maps, and one for earlier ones in training."""


class FCNHead(nn.Sequential):
    """Maps (N, in_channels, h, w) to scores (N, channels, h, w)."""

    def __init__(self, in_channels: int, channels: int) -> None:
        inner = in_channels // 4
        super().__init__(
            nn.Conv2d(in_channels, inner, 3, padding=1, bias=False),
            nn.BatchNorm2d(inner),
            nn.ReLU(),
            nn.Dropout(0.1),
            nn.Conv2d(inner, channels, 1),
        )


def _fcn(resnet: Any, ask: Ask, rest: dict[str, Any]) -> FCN:
    aux = auxiliary(ask, rest)
    if rest:
        raise TypeError(f"unexpected keyword arguments: {sorted(rest)}")
    trunk = resnet(weights=ask.backbone, replace_stride_with_dilation=DILATED)
    second = FCNHead(1024, ask.classes) if aux else None
    return FCN(residual(trunk, aux), FCNHead(2048, ask.classes), second)


FCN_ResNet50_Weights = published("FCN_ResNet50_Weights")
FCN_ResNet101_Weights = published("FCN_ResNet101_Weights")


@builder_on(FCN_ResNet50_Weights, ResNet50_Weights, FIRST, VOC)
def fcn_resnet50(ask: Ask, rest: dict[str, Any]) -> FCN:
    """FCN on a ResNet-50; aux_loss adds the second head."""
    return _fcn(resnet50, ask, rest)


@builder_on(FCN_ResNet101_Weights, ResNet101_Weights, FIRST, VOC)
def fcn_resnet101(ask: Ask, rest: dict[str, Any]) -> FCN:
    """FCN on a ResNet-101; aux_loss adds the second head."""
    return _fcn(resnet101, ask, rest)
