"""Inception v3: large convolutions as several small ones (Szegedy et al., arXiv:1512.00567)."""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import flambeau.nn as nn
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import WeightsEnum, builder, fix, published
from flambeau.vision.models.googlenet import LATER, BasicConv2d, blocks_of, draw, renormalised
from flambeau.vision.ops.layers import Layer

__all__ = [
    "Inception3", "InceptionOutputs", "Inception_V3_Weights", "_InceptionOutputs", "inception_v3",
]  # fmt: skip


class InceptionOutputs(NamedTuple):
    """Scores (N, num_classes): those of the network, and of a head inside it."""

    logits: Tensor
    aux_logits: Tensor | None


_InceptionOutputs = InceptionOutputs


def average(x: Tensor) -> Tensor:
    """The mean around every place."""
    mean: Tensor = nn.functional.avg_pool2d(x, kernel_size=3, stride=1, padding=1)
    return mean


def halved(x: Tensor) -> Tensor:
    """The maximum around every second place."""
    greatest: Tensor = nn.functional.max_pool2d(x, kernel_size=3, stride=2)
    return greatest


class InceptionA(nn.Module):
    """Branches of 1x1, 5x5, two of 3x3 and an average, their channels side by side."""

    def __init__(
        self, in_channels: int, pool_features: int, conv_block: Layer | None = None
    ) -> None:
        super().__init__()
        made = conv_block or BasicConv2d
        self.branch1x1 = made(in_channels, 64, kernel_size=1)
        self.branch5x5_1 = made(in_channels, 48, kernel_size=1)
        self.branch5x5_2 = made(48, 64, kernel_size=5, padding=2)
        self.branch3x3dbl_1 = made(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = made(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = made(96, 96, kernel_size=3, padding=1)
        self.branch_pool = made(in_channels, pool_features, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        five = self.branch5x5_2(self.branch5x5_1(x))
        return cat([self.branch1x1(x), five, twice, self.branch_pool(average(x))], 1)


class InceptionB(nn.Module):
    """Half of the places on each side: branches of 3x3, two of 3x3 and a maximum."""

    def __init__(self, in_channels: int, conv_block: Layer | None = None) -> None:
        super().__init__()
        made = conv_block or BasicConv2d
        self.branch3x3 = made(in_channels, 384, kernel_size=3, stride=2)
        self.branch3x3dbl_1 = made(in_channels, 64, kernel_size=1)
        self.branch3x3dbl_2 = made(64, 96, kernel_size=3, padding=1)
        self.branch3x3dbl_3 = made(96, 96, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        twice = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return cat([self.branch3x3(x), twice, halved(x)], 1)


class InceptionC(nn.Module):
    """Branches of 1x1, 7x7, two of 7x7 and an average, each 7x7 as a row and a column."""

    def __init__(
        self, in_channels: int, channels_7x7: int, conv_block: Layer | None = None
    ) -> None:
        super().__init__()
        made = conv_block or BasicConv2d
        row: dict[str, Any] = {"kernel_size": (1, 7), "padding": (0, 3)}
        column: dict[str, Any] = {"kernel_size": (7, 1), "padding": (3, 0)}
        width = channels_7x7
        self.branch1x1 = made(in_channels, 192, kernel_size=1)
        self.branch7x7_1 = made(in_channels, width, kernel_size=1)
        self.branch7x7_2 = made(width, width, **row)
        self.branch7x7_3 = made(width, 192, **column)
        self.branch7x7dbl_1 = made(in_channels, width, kernel_size=1)
        self.branch7x7dbl_2 = made(width, width, **column)
        self.branch7x7dbl_3 = made(width, width, **row)
        self.branch7x7dbl_4 = made(width, width, **column)
        self.branch7x7dbl_5 = made(width, 192, **row)
        self.branch_pool = made(in_channels, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        twice = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        twice = self.branch7x7dbl_5(self.branch7x7dbl_4(twice))
        return cat([self.branch1x1(x), once, twice, self.branch_pool(average(x))], 1)


class InceptionD(nn.Module):
    """Half of the places on each side: branches of 3x3, 7x7 and a maximum."""

    def __init__(self, in_channels: int, conv_block: Layer | None = None) -> None:
        super().__init__()
        made = conv_block or BasicConv2d
        self.branch3x3_1 = made(in_channels, 192, kernel_size=1)
        self.branch3x3_2 = made(192, 320, kernel_size=3, stride=2)
        self.branch7x7x3_1 = made(in_channels, 192, kernel_size=1)
        self.branch7x7x3_2 = made(192, 192, kernel_size=(1, 7), padding=(0, 3))
        self.branch7x7x3_3 = made(192, 192, kernel_size=(7, 1), padding=(3, 0))
        self.branch7x7x3_4 = made(192, 192, kernel_size=3, stride=2)

    def forward(self, x: Tensor) -> Tensor:
        small = self.branch3x3_2(self.branch3x3_1(x))
        large = self.branch7x7x3_2(self.branch7x7x3_1(x))
        large = self.branch7x7x3_4(self.branch7x7x3_3(large))
        return cat([small, large, halved(x)], 1)


class InceptionE(nn.Module):
    """Branches that end in a row and a column side by side; 2048 channels."""

    def __init__(self, in_channels: int, conv_block: Layer | None = None) -> None:
        super().__init__()
        made = conv_block or BasicConv2d
        row: dict[str, Any] = {"kernel_size": (1, 3), "padding": (0, 1)}
        column: dict[str, Any] = {"kernel_size": (3, 1), "padding": (1, 0)}
        self.branch1x1 = made(in_channels, 320, kernel_size=1)
        self.branch3x3_1 = made(in_channels, 384, kernel_size=1)
        self.branch3x3_2a = made(384, 384, **row)
        self.branch3x3_2b = made(384, 384, **column)
        self.branch3x3dbl_1 = made(in_channels, 448, kernel_size=1)
        self.branch3x3dbl_2 = made(448, 384, kernel_size=3, padding=1)
        self.branch3x3dbl_3a = made(384, 384, **row)
        self.branch3x3dbl_3b = made(384, 384, **column)
        self.branch_pool = made(in_channels, 192, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        once = self.branch3x3_1(x)
        twice = self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [
            self.branch1x1(x),
            self.branch3x3_2a(once),
            self.branch3x3_2b(once),
            self.branch3x3dbl_3a(twice),
            self.branch3x3dbl_3b(twice),
            self.branch_pool(average(x)),
        ]
        return cat(parts, 1)


class InceptionAux(nn.Module):
    """A head inside the network, (N, C, H, W) to scores (N, num_classes), for training."""

    def __init__(self, in_channels: int, num_classes: int, conv_block: Layer | None = None) -> None:
        super().__init__()
        made = conv_block or BasicConv2d
        self.conv0 = made(in_channels, 128, kernel_size=1)
        self.conv1 = made(128, 768, kernel_size=5)
        self.fc = nn.Linear(768, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.avg_pool2d(x, kernel_size=5, stride=3)
        x = nn.functional.adaptive_avg_pool2d(self.conv1(self.conv0(x)), (1, 1))
        scores: Tensor = self.fc(x.flatten(1))
        return scores


BLOCKS: list[Layer] = [
    BasicConv2d,
    InceptionA,
    InceptionB,
    InceptionC,
    InceptionD,
    InceptionE,
    InceptionAux,
]


class Inception3(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes), in training to InceptionOutputs.

    transform_input takes images normalised by ImageNet's statistics. ValueError where
    inception_blocks are not seven.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        inception_blocks: list[Layer] | None = None,
        init_weights: bool | None = None,
        dropout: float = 0.5,
    ) -> None:
        super().__init__()
        conv, *kinds, head = blocks_of(inception_blocks, BLOCKS, "length of inception_blocks")
        first, second, third, fourth, fifth = kinds
        if init_weights is None:
            warnings.warn(LATER.format("inception_v3"), FutureWarning, stacklevel=2)
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.Conv2d_1a_3x3 = conv(3, 32, kernel_size=3, stride=2)
        self.Conv2d_2a_3x3 = conv(32, 32, kernel_size=3)
        self.Conv2d_2b_3x3 = conv(32, 64, kernel_size=3, padding=1)
        self.maxpool1 = nn.MaxPool2d(3, 2)
        self.Conv2d_3b_1x1 = conv(64, 80, kernel_size=1)
        self.Conv2d_4a_3x3 = conv(80, 192, kernel_size=3)
        self.maxpool2 = nn.MaxPool2d(3, 2)
        self.Mixed_5b = first(192, pool_features=32)
        self.Mixed_5c = first(256, pool_features=64)
        self.Mixed_5d = first(288, pool_features=64)
        self.Mixed_6a = second(288)
        self.Mixed_6b = third(768, channels_7x7=128)
        self.Mixed_6c = third(768, channels_7x7=160)
        self.Mixed_6d = third(768, channels_7x7=160)
        self.Mixed_6e = third(768, channels_7x7=192)
        self.AuxLogits: nn.Module | None = head(768, num_classes) if aux_logits else None
        self.Mixed_7a = fourth(768)
        self.Mixed_7b = fifth(1280)
        self.Mixed_7c = fifth(2048)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(2048, num_classes)
        if init_weights is None or init_weights:
            inner = getattr(self.AuxLogits, "fc", None)
            for module in self.modules():
                draw(module, 0.001 if module is inner else 0.1)

    def _transform_input(self, x: Tensor) -> Tensor:
        return renormalised(x) if self.transform_input else x

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor | None]:
        x = self.maxpool1(self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x))))
        x = self.maxpool2(self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(x)))
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(x))))
        x = self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x))))
        aux = self.AuxLogits(x) if self.training and self.AuxLogits is not None else None
        x = self.avgpool(self.Mixed_7c(self.Mixed_7b(self.Mixed_7a(x))))
        return self.fc(self.dropout(x).flatten(1)), aux

    def forward(self, x: Tensor) -> InceptionOutputs | Tensor:
        scores, aux = self._forward(self._transform_input(x))
        return InceptionOutputs(scores, aux) if self.training and self.aux_logits else scores


def _prepared(weights: WeightsEnum, kwargs: dict[str, Any]) -> None:
    kwargs.setdefault("transform_input", True)
    fix(kwargs, "aux_logits", True)
    fix(kwargs, "init_weights", False)


Inception_V3_Weights = published("Inception_V3_Weights")


@builder(Inception_V3_Weights, prepared=_prepared)
def inception_v3(**kwargs: Any) -> Inception3:
    """Inception v3; arguments are Inception3's."""
    return Inception3(**kwargs)
