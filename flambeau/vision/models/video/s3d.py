"""S3D: inception blocks of convolutions separated into space and time (arXiv:1712.04851)."""

from __future__ import annotations

import functools
from typing import Any

import flambeau.nn as nn
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.ops.layers import Conv3dNormActivation, Layer

__all__ = ["S3D", "S3D_Weights", "s3d"]

# Channels: in, of branch 0, of branch 1 between and out, of branch 2 between and out, of branch 3;
# None: a pooling that halves time and places.
BLOCKS: tuple[tuple[int, int, int, int, int, int, int] | None, ...] = (
    (192, 64, 96, 128, 16, 32, 32),
    (256, 128, 128, 192, 32, 96, 64),
    None,
    (480, 192, 96, 208, 16, 48, 64),
    (512, 160, 112, 224, 24, 64, 64),
    (512, 128, 128, 256, 24, 64, 64),
    (512, 112, 144, 288, 32, 64, 64),
    (528, 256, 160, 320, 32, 128, 128),
    None,
    (832, 256, 160, 320, 32, 128, 128),
    (832, 384, 192, 384, 48, 128, 128),
)


class TemporalSeparableConv(nn.Sequential):
    """A convolution over places, then one over time, each with a norm and an activation."""

    def __init__(
        self,
        in_planes: int,
        out_planes: int,
        kernel_size: int,
        stride: int,
        padding: int,
        norm_layer: Layer,
    ) -> None:
        made = functools.partial(Conv3dNormActivation, norm_layer=norm_layer, bias=False)
        super().__init__(
            made(
                in_planes,
                out_planes,
                (1, kernel_size, kernel_size),
                (1, stride, stride),
                (0, padding, padding),
            ),
            made(out_planes, out_planes, (kernel_size, 1, 1), (stride, 1, 1), (padding, 0, 0)),
        )


class SepInceptionBlock3D(nn.Module):
    """Four branches side by side, joined along the channels."""

    def __init__(
        self,
        in_planes: int,
        b0_out: int,
        b1_mid: int,
        b1_out: int,
        b2_mid: int,
        b2_out: int,
        b3_out: int,
        norm_layer: Layer,
    ) -> None:
        super().__init__()
        one = functools.partial(Conv3dNormActivation, kernel_size=1, norm_layer=norm_layer)
        self.branch0 = one(in_planes, b0_out)
        self.branch1 = nn.Sequential(
            one(in_planes, b1_mid), TemporalSeparableConv(b1_mid, b1_out, 3, 1, 1, norm_layer)
        )
        self.branch2 = nn.Sequential(
            one(in_planes, b2_mid), TemporalSeparableConv(b2_mid, b2_out, 3, 1, 1, norm_layer)
        )
        self.branch3 = nn.Sequential(nn.MaxPool3d(3, 1, 1), one(in_planes, b3_out))

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.branch0(x), self.branch1(x), self.branch2(x), self.branch3(x)], 1)


class S3D(nn.Module):
    """Clips (N, 3, T, H, W) to class scores (N, num_classes); T from 14, H and W from 224 on."""

    def __init__(
        self, num_classes: int = 400, dropout: float = 0.2, norm_layer: Layer | None = None
    ) -> None:
        super().__init__()
        norm = norm_layer or functools.partial(nn.BatchNorm3d, eps=0.001, momentum=0.001)

        def pool() -> nn.Module:
            return nn.MaxPool3d((1, 3, 3), (1, 2, 2), (0, 1, 1))

        layers = [
            TemporalSeparableConv(3, 64, 7, 2, 3, norm),
            pool(),
            Conv3dNormActivation(64, 64, 1, norm_layer=norm),
            TemporalSeparableConv(64, 192, 3, 1, 1, norm),
            pool(),
        ]
        pools = [
            nn.MaxPool3d((3, 3, 3), (2, 2, 2), (1, 1, 1)),
            nn.MaxPool3d((2, 2, 2), (2, 2, 2), (0, 0, 0)),
        ]
        for row in BLOCKS:
            layers.append(pools.pop(0) if row is None else SepInceptionBlock3D(*row, norm))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AvgPool3d((2, 7, 7), 1)
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Conv3d(1024, num_classes, 1))

    def forward(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(self.features(x)))
        return scores.mean((2, 3, 4))


S3D_Weights = published("S3D_Weights")


@builder(S3D_Weights, first="KINETICS400_V1", classes=400)
def s3d(**kwargs: Any) -> S3D:
    """S3D; other arguments are S3D's."""
    return S3D(**kwargs)
