"""A light head of two maps: the coarse one gated, the fine one as it is (arXiv:1905.02244)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import Ask, builder_on, published
from flambeau.vision.models.detection.backbones import stages
from flambeau.vision.models.intermediate import IntermediateLayerGetter
from flambeau.vision.models.mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large
from flambeau.vision.models.segmentation.fcn import FIRST, VOC
from flambeau.vision.models.segmentation.shared import enlarged

__all__ = ["LRASPP", "LRASPP_MobileNet_V3_Large_Weights", "lraspp_mobilenet_v3_large"]


class LRASPPHead(nn.Module):
    """Maps "low" (fine) and "high" (coarse) to scores as fine as "low"."""

    def __init__(
        self, low_channels: int, high_channels: int, num_classes: int, inter_channels: int
    ) -> None:
        super().__init__()
        self.cbr = nn.Sequential(
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.BatchNorm2d(inter_channels),
            nn.ReLU(inplace=True),
        )
        self.scale = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Conv2d(high_channels, inter_channels, 1, bias=False),
            nn.Sigmoid(),
        )
        self.low_classifier = nn.Conv2d(low_channels, num_classes, 1)
        self.high_classifier = nn.Conv2d(inter_channels, num_classes, 1)

    def forward(self, input: Mapping[str, Tensor]) -> Tensor:
        low, high = input["low"], input["high"]
        gated = enlarged(self.cbr(high) * self.scale(high), low)
        scores: Tensor = self.low_classifier(low) + self.high_classifier(gated)
        return scores


class LRASPP(nn.Module):
    """Images (N, 3, H, W) to {"out": scores (N, num_classes, H, W)}.

    The backbone gives maps "low" and "high".
    """

    def __init__(
        self,
        backbone: nn.Module,
        low_channels: int,
        high_channels: int,
        num_classes: int,
        inter_channels: int = 128,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = LRASPPHead(low_channels, high_channels, num_classes, inter_channels)

    def forward(self, input: Tensor) -> OrderedDict[str, Tensor]:
        return OrderedDict(out=enlarged(self.classifier(self.backbone(input)), input))


LRASPP_MobileNet_V3_Large_Weights = published("LRASPP_MobileNet_V3_Large_Weights")


@builder_on(LRASPP_MobileNet_V3_Large_Weights, MobileNet_V3_Large_Weights, FIRST, VOC)
def lraspp_mobilenet_v3_large(ask: Ask, rest: dict[str, Any]) -> LRASPP:
    """LR-ASPP on a MobileNetV3. NotImplementedError for aux_loss, which it does not have."""
    if rest.pop("aux_loss", False):
        raise NotImplementedError("This model does not use auxiliary loss")
    if rest:
        raise TypeError(f"unexpected keyword arguments: {sorted(rest)}")
    features: Any = mobilenet_v3_large(weights=ask.backbone, dilated=True).features
    places = stages(features)
    low, high = places[-4], places[-1]
    trunk = IntermediateLayerGetter(features, {str(low): "low", str(high): "high"})
    return LRASPP(trunk, features[low].out_channels, features[high].out_channels, ask.classes)
