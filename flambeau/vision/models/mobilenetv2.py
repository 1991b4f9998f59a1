"""MobileNetV2: inverted residuals with linear bottlenecks (Sandler et al., arXiv:1801.04381)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.models.drawing import kaiming_and_heads
from flambeau.vision.models.widths import divisible
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer

__all__ = ["MobileNetV2", "MobileNet_V2_Weights", "mobilenet_v2"]

# The paper's table 2: expansion, channels, repeats, stride of the first.
SETTING = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


class InvertedResidual(nn.Module):
    """Widened, convolved channel by channel, narrowed without an activation."""

    def __init__(
        self, inp: int, oup: int, stride: int, expand_ratio: int, norm_layer: Layer | None = None
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm = norm_layer or nn.BatchNorm2d
        wide = round(inp * expand_ratio)
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(
                Conv2dNormActivation(inp, wide, 1, norm_layer=norm, activation_layer=nn.ReLU6)
            )
        layers += [
            Conv2dNormActivation(
                wide, wide, stride=stride, groups=wide, norm_layer=norm, activation_layer=nn.ReLU6
            ),
            nn.Conv2d(wide, oup, 1, bias=False),
            norm(oup),
        ]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup
        self._is_cn = stride > 1

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.conv(x)
        return x + out if self.use_res_connect else out


class MobileNetV2(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes).

    ValueError where inverted_residual_setting is empty or its rows have not four numbers.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        make = block or InvertedResidual
        norm = norm_layer or nn.BatchNorm2d
        setting = SETTING if inverted_residual_setting is None else inverted_residual_setting
        if not setting or len(setting[0]) != 4:
            raise ValueError(
                "inverted_residual_setting should be non-empty or a 4-element list, "
                f"got {inverted_residual_setting}"
            )
        inside = divisible(32 * width_mult, round_nearest)
        self.last_channel = divisible(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, inside, stride=2, norm_layer=norm, activation_layer=nn.ReLU6)
        ]
        for expansion, channels, repeats, first in setting:
            outside = divisible(channels * width_mult, round_nearest)
            for index in range(repeats):
                stride = 1 if index else first
                layers.append(
                    make(inside, outside, stride, expand_ratio=expansion, norm_layer=norm)
                )
                inside = outside
        layers.append(
            Conv2dNormActivation(
                inside, self.last_channel, 1, norm_layer=norm, activation_layer=nn.ReLU6
            )
        )
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        for module in self.modules():
            kaiming_and_heads(module)

    def _forward_impl(self, x: Tensor) -> Tensor:
        pooled = nn.functional.adaptive_avg_pool2d(self.features(x), (1, 1))
        scores: Tensor = self.classifier(pooled.flatten(1))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        return self._forward_impl(x)


MobileNet_V2_Weights = published("MobileNet_V2_Weights")


@builder(MobileNet_V2_Weights)
def mobilenet_v2(**kwargs: Any) -> MobileNetV2:
    """MobileNetV2; other arguments are MobileNetV2's."""
    return MobileNetV2(**kwargs)
