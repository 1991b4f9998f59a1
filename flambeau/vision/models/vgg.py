"""VGG: stacks of 3x3 convolutions (Simonyan and Zisserman, arXiv:1409.1556)."""

from __future__ import annotations

from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import WeightsEnum, builder, published
from flambeau.vision.models.drawing import kaiming_and_heads

__all__ = [
    "VGG", "VGG11_BN_Weights", "VGG11_Weights", "VGG13_BN_Weights", "VGG13_Weights",
    "VGG16_BN_Weights", "VGG16_Weights", "VGG19_BN_Weights", "VGG19_Weights", "vgg11", "vgg11_bn",
    "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn",
]  # fmt: skip

CHANNELS = (64, 128, 256, 512, 512)
# Convolutions between poolings, for columns A, B, D and E of the paper's table 1.
A, B, D, E = (1, 1, 2, 2, 2), (2, 2, 2, 2, 2), (2, 2, 3, 3, 3), (2, 2, 4, 4, 4)


class VGG(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes), for the features given."""

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            for module in self.modules():
                kaiming_and_heads(module)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return scores


def _features(depths: tuple[int, ...], normalised: bool) -> nn.Sequential:
    layers: list[nn.Module] = []
    inside = 3
    for outside, depth in zip(CHANNELS, depths, strict=True):
        for _ in range(depth):
            layers.append(nn.Conv2d(inside, outside, 3, padding=1))
            if normalised:
                layers.append(nn.BatchNorm2d(outside))
            layers.append(nn.ReLU(inplace=True))
            inside = outside
        layers.append(nn.MaxPool2d(2, 2))
    return nn.Sequential(*layers)


def _without_draws(weights: WeightsEnum, kwargs: dict[str, Any]) -> None:
    kwargs["init_weights"] = False


VGG11_Weights = published("VGG11_Weights")
VGG13_Weights = published("VGG13_Weights")
VGG16_Weights = published("VGG16_Weights")
VGG19_Weights = published("VGG19_Weights")
VGG11_BN_Weights = published("VGG11_BN_Weights")
VGG13_BN_Weights = published("VGG13_BN_Weights")
VGG16_BN_Weights = published("VGG16_BN_Weights")
VGG19_BN_Weights = published("VGG19_BN_Weights")


@builder(VGG11_Weights, prepared=_without_draws)
def vgg11(**kwargs: Any) -> VGG:
    """VGG-11; other arguments are VGG's."""
    return VGG(_features(A, False), **kwargs)


@builder(VGG11_BN_Weights, prepared=_without_draws)
def vgg11_bn(**kwargs: Any) -> VGG:
    """VGG-11 with batch normalisation; other arguments are VGG's."""
    return VGG(_features(A, True), **kwargs)


@builder(VGG13_Weights, prepared=_without_draws)
def vgg13(**kwargs: Any) -> VGG:
    """VGG-13; other arguments are VGG's."""
    return VGG(_features(B, False), **kwargs)


@builder(VGG13_BN_Weights, prepared=_without_draws)
def vgg13_bn(**kwargs: Any) -> VGG:
    """VGG-13 with batch normalisation; other arguments are VGG's."""
    return VGG(_features(B, True), **kwargs)


@builder(VGG16_Weights, prepared=_without_draws)
def vgg16(**kwargs: Any) -> VGG:
    """VGG-16; other arguments are VGG's."""
    return VGG(_features(D, False), **kwargs)


@builder(VGG16_BN_Weights, prepared=_without_draws)
def vgg16_bn(**kwargs: Any) -> VGG:
    """VGG-16 with batch normalisation; other arguments are VGG's."""
    return VGG(_features(D, True), **kwargs)


@builder(VGG19_Weights, prepared=_without_draws)
def vgg19(**kwargs: Any) -> VGG:
    """VGG-19; other arguments are VGG's."""
    return VGG(_features(E, False), **kwargs)


@builder(VGG19_BN_Weights, prepared=_without_draws)
def vgg19_bn(**kwargs: Any) -> VGG:
    """VGG-19 with batch normalisation; other arguments are VGG's."""
    return VGG(_features(E, True), **kwargs)
