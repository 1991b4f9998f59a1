"""DeepLabV3: dilated convolutions of several rates side by side (Chen et al., 1706.05587)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import Ask, builder_on, published
from flambeau.vision.models.detection.backbones import stages
from flambeau.vision.models.intermediate import IntermediateLayerGetter
from flambeau.vision.models.mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large
from flambeau.vision.models.resnet import (
    ResNet50_Weights,
    ResNet101_Weights,
    resnet50,
    resnet101,
)
from flambeau.vision.models.segmentation.fcn import DILATED, FIRST, VOC, FCNHead
from flambeau.vision.models.segmentation.shared import (
    SegmentationModel,
    auxiliary,
    enlarged,
    residual,
)

__all__ = [
    "DeepLabV3", "DeepLabV3_MobileNet_V3_Large_Weights", "DeepLabV3_ResNet101_Weights",
    "DeepLabV3_ResNet50_Weights", "deeplabv3_mobilenet_v3_large", "deeplabv3_resnet101",
    "deeplabv3_resnet50",
]  # fmt: skip


class DeepLabV3(SegmentationModel):
    """A backbone, a head for its last maps, and one for earlier ones in training."""


class ASPPConv(nn.Sequential):
    """A dilated 3x3 convolution that keeps the size, a norm, an activation."""

    def __init__(self, in_channels: int, out_channels: int, dilation: int) -> None:
        super().__init__(
            nn.Conv2d(in_channels, out_channels, 3, 1, dilation, dilation, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )


class ASPPPooling(nn.Sequential):
    """What all places say, at every place."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(in_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
        )

    def forward(self, x: Tensor) -> Tensor:
        return enlarged(super().forward(x), x)


class ASPP(nn.Module):
    """Maps (N, in_channels, h, w) seen at several rates: (N, out_channels, h, w)."""

    def __init__(
        self, in_channels: int, atrous_rates: Sequence[int], out_channels: int = 256
    ) -> None:
        super().__init__()
        narrow = nn.Conv2d(in_channels, out_channels, 1, bias=False)
        self.convs = nn.ModuleList(
            [
                nn.Sequential(narrow, nn.BatchNorm2d(out_channels), nn.ReLU()),
                *(ASPPConv(in_channels, out_channels, rate) for rate in atrous_rates),
                ASPPPooling(in_channels, out_channels),
            ]
        )
        self.project = nn.Sequential(
            nn.Conv2d(len(self.convs) * out_channels, out_channels, 1, bias=False),
            nn.BatchNorm2d(out_channels),
            nn.ReLU(),
            nn.Dropout(0.5),
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.project(cat([branch(x) for branch in self.convs], 1))
        return out


class DeepLabHead(nn.Sequential):
    """Maps (N, in_channels, h, w) to scores (N, num_classes, h, w)."""

    def __init__(
        self, in_channels: int, num_classes: int, atrous_rates: Sequence[int] = (12, 24, 36)
    ) -> None:
        super().__init__(
            ASPP(in_channels, atrous_rates),
            nn.Conv2d(256, 256, 3, padding=1, bias=False),
            nn.BatchNorm2d(256),
            nn.ReLU(),
            nn.Conv2d(256, num_classes, 1),
        )


def _deeplab(resnet: Any, ask: Ask, rest: dict[str, Any]) -> DeepLabV3:
    aux = auxiliary(ask, rest)
    if rest:
        raise TypeError(f"unexpected keyword arguments: {sorted(rest)}")
    trunk = resnet(weights=ask.backbone, replace_stride_with_dilation=DILATED)
    second = FCNHead(1024, ask.classes) if aux else None
    return DeepLabV3(residual(trunk, aux), DeepLabHead(2048, ask.classes), second)


DeepLabV3_ResNet50_Weights = published("DeepLabV3_ResNet50_Weights")
DeepLabV3_ResNet101_Weights = published("DeepLabV3_ResNet101_Weights")
DeepLabV3_MobileNet_V3_Large_Weights = published("DeepLabV3_MobileNet_V3_Large_Weights")


@builder_on(DeepLabV3_ResNet50_Weights, ResNet50_Weights, FIRST, VOC)
def deeplabv3_resnet50(ask: Ask, rest: dict[str, Any]) -> DeepLabV3:
    """DeepLabV3 on a ResNet-50; aux_loss adds the second head."""
    return _deeplab(resnet50, ask, rest)


@builder_on(DeepLabV3_ResNet101_Weights, ResNet101_Weights, FIRST, VOC)
def deeplabv3_resnet101(ask: Ask, rest: dict[str, Any]) -> DeepLabV3:
    """DeepLabV3 on a ResNet-101; aux_loss adds the second head."""
    return _deeplab(resnet101, ask, rest)


@builder_on(DeepLabV3_MobileNet_V3_Large_Weights, MobileNet_V3_Large_Weights, FIRST, VOC)
def deeplabv3_mobilenet_v3_large(ask: Ask, rest: dict[str, Any]) -> DeepLabV3:
    """DeepLabV3 on a MobileNetV3; aux_loss adds the second head."""
    aux = auxiliary(ask, rest)
    if rest:
        raise TypeError(f"unexpected keyword arguments: {sorted(rest)}")
    features: Any = mobilenet_v3_large(weights=ask.backbone, dilated=True).features
    places = stages(features)
    early, last = places[-4], places[-1]
    layers = {str(last): "out", **({str(early): "aux"} if aux else {})}
    second = FCNHead(features[early].out_channels, ask.classes) if aux else None
    head = DeepLabHead(features[last].out_channels, ask.classes)
    return DeepLabV3(IntermediateLayerGetter(features, layers), head, second)
