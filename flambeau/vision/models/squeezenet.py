"""SqueezeNet: fire modules, few parameters (Iandola et al., arXiv:1602.07360)."""

from __future__ import annotations

from typing import Any

import flambeau.nn as nn
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.models.drawing import constant

__all__ = [
    "SqueezeNet", "SqueezeNet1_0_Weights", "SqueezeNet1_1_Weights", "squeezenet1_0",
    "squeezenet1_1",
]  # fmt: skip

# Fire modules by (channels in, squeezed to, expanded to by 1x1 and by 3x3); None is a pooling.
FIRES: dict[str, tuple[tuple[int, int, int] | None, ...]] = {
    "1_0": (
        (96, 16, 64), (128, 16, 64), (128, 32, 128), None, (256, 32, 128), (256, 48, 192),
        (384, 48, 192), (384, 64, 256), None, (512, 64, 256),
    ),
    "1_1": (
        (64, 16, 64), (128, 16, 64), None, (128, 32, 128), (256, 32, 128), None,
        (256, 48, 192), (384, 48, 192), (384, 64, 256), (512, 64, 256),
    ),
}  # fmt: skip
STEM = {"1_0": (96, 7), "1_1": (64, 3)}


class Fire(nn.Module):
    """A narrow 1x1 convolution, then 1x1 and 3x3 ones side by side."""

    def __init__(
        self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int
    ) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, 1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, 1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, 3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        squeezed = self.squeeze_activation(self.squeeze(x))
        small = self.expand1x1_activation(self.expand1x1(squeezed))
        return cat([small, self.expand3x3_activation(self.expand3x3(squeezed))], 1)


class SqueezeNet(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes). ValueError for unknown versions."""

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes
        if version not in FIRES:
            raise ValueError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        planes, kernel = STEM[version]
        layers: list[nn.Module] = [
            nn.Conv2d(3, planes, kernel, stride=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(3, 2, ceil_mode=True),
        ]
        for row in FIRES[version]:
            if row is None:
                layers.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            else:
                inside, squeezed, expanded = row
                layers.append(Fire(inside, squeezed, expanded, expanded))
        self.features = nn.Sequential(*layers)
        last = nn.Conv2d(512, num_classes, 1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), last, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for module in self.modules():
            if not isinstance(module, nn.Conv2d):
                continue
            if module is last:
                nn.init.normal_(module.weight, mean=0.0, std=0.01)
            else:
                nn.init.kaiming_uniform_(module.weight)
            constant(module)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.features(x)).flatten(1)
        return scores


SqueezeNet1_0_Weights = published("SqueezeNet1_0_Weights")
SqueezeNet1_1_Weights = published("SqueezeNet1_1_Weights")


@builder(SqueezeNet1_0_Weights)
def squeezenet1_0(**kwargs: Any) -> SqueezeNet:
    """SqueezeNet as in the paper; other arguments are SqueezeNet's."""
    return SqueezeNet("1_0", **kwargs)


@builder(SqueezeNet1_1_Weights)
def squeezenet1_1(**kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.1, less than half of the work; other arguments are SqueezeNet's."""
    return SqueezeNet("1_1", **kwargs)
