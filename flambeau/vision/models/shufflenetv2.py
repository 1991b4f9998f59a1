"""ShuffleNet V2: half of the channels pass by, then all are shuffled (arXiv:1807.11164)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published

__all__ = [
    "ShuffleNetV2", "ShuffleNet_V2_X0_5_Weights", "ShuffleNet_V2_X1_0_Weights",
    "ShuffleNet_V2_X1_5_Weights", "ShuffleNet_V2_X2_0_Weights", "shufflenet_v2_x0_5",
    "shufflenet_v2_x1_0", "shufflenet_v2_x1_5", "shufflenet_v2_x2_0",
]  # fmt: skip


def channel_shuffle(x: Tensor, groups: int) -> Tensor:
    """Channels of (N, C, H, W) taken in turn from each of the groups."""
    count, channels, height, width = x.shape
    grouped = x.view(count, groups, channels // groups, height, width)
    return grouped.transpose(1, 2).contiguous().view(count, channels, height, width)


class InvertedResidual(nn.Module):
    """Both halves of the channels, or all of them twice where the stride is 2. ValueError else."""

    def __init__(self, inp: int, oup: int, stride: int) -> None:
        super().__init__()
        if not 1 <= stride <= 3:
            raise ValueError("illegal stride value")
        half = oup // 2
        if stride == 1 and inp != half << 1:
            raise ValueError(
                f"Invalid combination of stride {stride}, inp {inp} and oup {oup} values. If "
                "stride == 1 then inp should be equal to oup // 2 << 1."
            )
        self.stride = stride
        self.branch1 = nn.Sequential()
        if stride > 1:
            self.branch1 = nn.Sequential(
                self.depthwise_conv(inp, inp, 3, stride, 1),
                nn.BatchNorm2d(inp),
                nn.Conv2d(inp, half, 1, bias=False),
                nn.BatchNorm2d(half),
                nn.ReLU(inplace=True),
            )
        self.branch2 = nn.Sequential(
            nn.Conv2d(inp if stride > 1 else half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
            self.depthwise_conv(half, half, 3, stride, 1),
            nn.BatchNorm2d(half),
            nn.Conv2d(half, half, 1, bias=False),
            nn.BatchNorm2d(half),
            nn.ReLU(inplace=True),
        )

    @staticmethod
    def depthwise_conv(
        i: int, o: int, kernel_size: int, stride: int = 1, padding: int = 0, bias: bool = False
    ) -> nn.Conv2d:
        """A convolution of each channel by itself."""
        return nn.Conv2d(i, o, kernel_size, stride, padding, bias=bias, groups=i)

    def forward(self, x: Tensor) -> Tensor:
        if self.stride == 1:
            kept, changed = x.chunk(2, dim=1)
            return channel_shuffle(cat([kept, self.branch2(changed)], 1), 2)
        return channel_shuffle(cat([self.branch1(x), self.branch2(x)], 1), 2)


class ShuffleNetV2(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes).

    ValueError where there are not 3 repeats and 5 widths.
    """

    def __init__(
        self,
        stages_repeats: Sequence[int],
        stages_out_channels: Sequence[int],
        num_classes: int = 1000,
        inverted_residual: Callable[..., nn.Module] = InvertedResidual,
    ) -> None:
        super().__init__()
        if len(stages_repeats) != 3:
            raise ValueError("expected stages_repeats as list of 3 positive ints")
        if len(stages_out_channels) != 5:
            raise ValueError("expected stages_out_channels as list of 5 positive ints")
        first, *widths, last = stages_out_channels
        self.conv1 = self._convolved(3, first, 3, 2, 1)
        self.maxpool = nn.MaxPool2d(3, 2, 1)
        stages = []
        inside = first
        for repeats, width in zip(stages_repeats, widths, strict=True):
            stage = [inverted_residual(inside, width, 2)]
            stage += [inverted_residual(width, width, 1) for _ in range(repeats - 1)]
            stages.append(nn.Sequential(*stage))
            inside = width
        self.stage2, self.stage3, self.stage4 = stages
        self.conv5 = self._convolved(inside, last, 1, 1, 0)
        self.fc = nn.Linear(last, num_classes)

    @staticmethod
    def _convolved(
        inside: int, outside: int, kernel: int, stride: int, padding: int
    ) -> nn.Sequential:
        return nn.Sequential(
            nn.Conv2d(inside, outside, kernel, stride, padding, bias=False),
            nn.BatchNorm2d(outside),
            nn.ReLU(inplace=True),
        )

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = self.stage2(self.maxpool(self.conv1(x)))
        x = self.conv5(self.stage4(self.stage3(x)))
        scores: Tensor = self.fc(x.mean([2, 3]))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        return self._forward_impl(x)


ShuffleNet_V2_X0_5_Weights = published("ShuffleNet_V2_X0_5_Weights")
ShuffleNet_V2_X1_0_Weights = published("ShuffleNet_V2_X1_0_Weights")
ShuffleNet_V2_X1_5_Weights = published("ShuffleNet_V2_X1_5_Weights")
ShuffleNet_V2_X2_0_Weights = published("ShuffleNet_V2_X2_0_Weights")


@builder(ShuffleNet_V2_X0_5_Weights)
def shufflenet_v2_x0_5(**kwargs: Any) -> ShuffleNetV2:
    """ShuffleNet V2 of width 0.5; other arguments are ShuffleNetV2's."""
    return ShuffleNetV2([4, 8, 4], [24, 48, 96, 192, 1024], **kwargs)


@builder(ShuffleNet_V2_X1_0_Weights)
def shufflenet_v2_x1_0(**kwargs: Any) -> ShuffleNetV2:
    """ShuffleNet V2 of width 1.0; other arguments are ShuffleNetV2's."""
    return ShuffleNetV2([4, 8, 4], [24, 116, 232, 464, 1024], **kwargs)


@builder(ShuffleNet_V2_X1_5_Weights)
def shufflenet_v2_x1_5(**kwargs: Any) -> ShuffleNetV2:
    """ShuffleNet V2 of width 1.5; other arguments are ShuffleNetV2's."""
    return ShuffleNetV2([4, 8, 4], [24, 176, 352, 704, 1024], **kwargs)


@builder(ShuffleNet_V2_X2_0_Weights)
def shufflenet_v2_x2_0(**kwargs: Any) -> ShuffleNetV2:
    """ShuffleNet V2 of width 2.0; other arguments are ShuffleNetV2's."""
    return ShuffleNetV2([4, 8, 4], [24, 244, 488, 976, 2048], **kwargs)
