"""MNASNet: searched on a telephone (Tan et al., arXiv:1807.11626)."""

from __future__ import annotations

from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.models.drawing import constant, kaiming
from flambeau.vision.models.widths import divisible

__all__ = [
    "MNASNet", "MNASNet0_5_Weights", "MNASNet0_75_Weights", "MNASNet1_0_Weights",
    "MNASNet1_3_Weights", "mnasnet0_5", "mnasnet0_75", "mnasnet1_0", "mnasnet1_3",
]  # fmt: skip

MOMENTUM = 1 - 0.9997  # TensorFlow's moving averages count the other way round
WIDTHS = (32, 16, 24, 40, 80, 96, 192, 320)
# Figure 7 of the paper: kernel, stride of the first block, widened by, blocks.
STAGES = ((3, 2, 3, 3), (5, 2, 3, 3), (5, 2, 6, 3), (3, 1, 6, 2), (5, 2, 6, 4), (3, 1, 6, 1))


class _InvertedResidual(nn.Module):
    """Widened, convolved channel by channel, narrowed without an activation."""

    def __init__(
        self,
        in_ch: int,
        out_ch: int,
        kernel_size: int,
        stride: int,
        expansion_factor: int,
        bn_momentum: float = 0.1,
    ) -> None:
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        if kernel_size not in (3, 5):
            raise ValueError(f"kernel_size should be 3 or 5 instead of {kernel_size}")
        wide = in_ch * expansion_factor
        self.apply_residual = in_ch == out_ch and stride == 1
        self.layers = nn.Sequential(
            nn.Conv2d(in_ch, wide, 1, bias=False),
            nn.BatchNorm2d(wide, momentum=bn_momentum),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, wide, kernel_size, stride, kernel_size // 2, groups=wide, bias=False),
            nn.BatchNorm2d(wide, momentum=bn_momentum),
            nn.ReLU(inplace=True),
            nn.Conv2d(wide, out_ch, 1, bias=False),
            nn.BatchNorm2d(out_ch, momentum=bn_momentum),
        )

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.layers(input)
        return out + input if self.apply_residual else out


def _stage(
    inside: int, outside: int, kernel: int, stride: int, expansion: int, depth: int
) -> nn.Sequential:
    first = _InvertedResidual(inside, outside, kernel, stride, expansion, MOMENTUM)
    others = [
        _InvertedResidual(outside, outside, kernel, 1, expansion, MOMENTUM)
        for _ in range(depth - 1)
    ]
    return nn.Sequential(first, *others)


class MNASNet(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes); alpha scales the widths.

    ValueError where alpha is not positive.
    """

    _version = 2

    def __init__(self, alpha: float, num_classes: int = 1000, dropout: float = 0.2) -> None:
        super().__init__()
        if alpha <= 0.0:
            raise ValueError(f"alpha should be greater than 0.0 instead of {alpha}")
        self.alpha = alpha
        self.num_classes = num_classes
        widths = [divisible(width * alpha, 8) for width in WIDTHS]
        first, second = widths[:2]
        layers: list[nn.Module] = [
            nn.Conv2d(3, first, 3, 2, 1, bias=False),
            nn.BatchNorm2d(first, momentum=MOMENTUM),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, first, 3, 1, 1, groups=first, bias=False),
            nn.BatchNorm2d(first, momentum=MOMENTUM),
            nn.ReLU(inplace=True),
            nn.Conv2d(first, second, 1, bias=False),
            nn.BatchNorm2d(second, momentum=MOMENTUM),
        ]
        for inside, outside, stage in zip(widths[1:-1], widths[2:], STAGES, strict=True):
            layers.append(_stage(inside, outside, *stage))
        layers += [
            nn.Conv2d(widths[-1], 1280, 1, bias=False),
            nn.BatchNorm2d(1280, momentum=MOMENTUM),
            nn.ReLU(inplace=True),
        ]
        self.layers = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(1280, num_classes)
        )
        for module in self.modules():
            kaiming(module)
            if isinstance(module, nn.Linear):
                nn.init.kaiming_uniform_(module.weight, mode="fan_out", nonlinearity="sigmoid")
                constant(module)

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.layers(x).mean([2, 3]))
        return scores


MNASNet0_5_Weights = published("MNASNet0_5_Weights")
MNASNet0_75_Weights = published("MNASNet0_75_Weights")
MNASNet1_0_Weights = published("MNASNet1_0_Weights")
MNASNet1_3_Weights = published("MNASNet1_3_Weights")


@builder(MNASNet0_5_Weights)
def mnasnet0_5(**kwargs: Any) -> MNASNet:
    """MNASNet, half as wide; other arguments are MNASNet's."""
    return MNASNet(0.5, **kwargs)


@builder(MNASNet0_75_Weights)
def mnasnet0_75(**kwargs: Any) -> MNASNet:
    """MNASNet, three quarters as wide; other arguments are MNASNet's."""
    return MNASNet(0.75, **kwargs)


@builder(MNASNet1_0_Weights)
def mnasnet1_0(**kwargs: Any) -> MNASNet:
    """MNASNet as in the paper; other arguments are MNASNet's."""
    return MNASNet(1.0, **kwargs)


@builder(MNASNet1_3_Weights)
def mnasnet1_3(**kwargs: Any) -> MNASNet:
    """MNASNet, 1.3 times as wide; other arguments are MNASNet's."""
    return MNASNet(1.3, **kwargs)
