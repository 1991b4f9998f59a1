"""AlexNet in the one-tower form of Krizhevsky, "One weird trick" (arXiv:1404.5997)."""

from __future__ import annotations

from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published

__all__ = ["AlexNet", "AlexNet_Weights", "alexnet"]


def _features() -> nn.Sequential:
    # (channels in, channels out, kernel, stride, padding, pooled afterwards)
    rows = [
        (3, 64, 11, 4, 2, True),
        (64, 192, 5, 1, 2, True),
        (192, 384, 3, 1, 1, False),
        (384, 256, 3, 1, 1, False),
        (256, 256, 3, 1, 1, True),
    ]
    layers: list[nn.Module] = []
    for inside, outside, kernel, stride, padding, pooled in rows:
        layers.append(nn.Conv2d(inside, outside, kernel, stride, padding))
        layers.append(nn.ReLU(inplace=True))
        if pooled:
            layers.append(nn.MaxPool2d(3, 2))
    return nn.Sequential(*layers)


class AlexNet(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes)."""

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = _features()
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return scores


AlexNet_Weights = published("AlexNet_Weights")


@builder(AlexNet_Weights)
def alexnet(**kwargs: Any) -> AlexNet:
    """An AlexNet; other arguments are AlexNet's."""
    return AlexNet(**kwargs)
