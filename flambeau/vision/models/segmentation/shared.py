"""What models of segmentation share: a backbone, a head, and scores as large as the images."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import Ask, fix
from flambeau.vision.models.intermediate import IntermediateLayerGetter


def enlarged(scores: Tensor, images: Tensor) -> Tensor:
    """Scores (N, classes, h, w), resampled to the size of images (N, C, H, W)."""
    size = tuple(images.shape[-2:])
    whole: Tensor = nn.functional.interpolate(
        scores, size=size, mode="bilinear", align_corners=False
    )
    return whole


class SegmentationModel(nn.Module):
    """Images (N, 3, H, W) to scores by name: "out", and "aux" with an aux_classifier.

    The backbone gives maps by the same names; scores are (N, classes, H, W).
    """

    def __init__(
        self,
        backbone: nn.Module,
        classifier: nn.Module,
        aux_classifier: nn.Module | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.classifier = classifier
        self.aux_classifier = aux_classifier

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        maps = self.backbone(x)
        result = OrderedDict(out=enlarged(self.classifier(maps["out"]), x))
        if self.aux_classifier is not None:
            result["aux"] = enlarged(self.aux_classifier(maps["aux"]), x)
        return result


def auxiliary(ask: Ask, rest: dict[str, Any]) -> bool:
    """Whether a call asks for the second head, which published weights have."""
    asked = rest.pop("aux_loss", None)
    if ask.weights is None:
        return bool(asked)
    fix({} if asked is None else {"aux_loss": asked}, "aux_loss", True)
    return True


def residual(resnet: nn.Module, aux: bool) -> nn.Module:
    """A ResNet that gives the maps of its last layer, and of the one before it."""
    layers = {"layer4": "out", **({"layer3": "aux"} if aux else {})}
    return IntermediateLayerGetter(resnet, layers)
