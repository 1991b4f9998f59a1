"""ConvNeXt: a convolutional network shaped like a transformer (Liu et al., arXiv:2201.03545)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.functional.creation import full
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.models.drawing import constant
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer, Permute
from flambeau.vision.ops.stochastic_depth import StochasticDepth

__all__ = [
    "ConvNeXt", "ConvNeXt_Base_Weights", "ConvNeXt_Large_Weights", "ConvNeXt_Small_Weights",
    "ConvNeXt_Tiny_Weights", "convnext_base", "convnext_large", "convnext_small", "convnext_tiny",
]  # fmt: skip


class LayerNorm2d(nn.LayerNorm):
    """Layer normalisation of (N, C, H, W) over the channels of every place."""

    def forward(self, input: Tensor) -> Tensor:
        return super().forward(input.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class CNBlock(nn.Module):
    """A 7x7 convolution channel by channel, a perceptron at every place, beside a shortcut."""

    def __init__(
        self,
        dim: int,
        layer_scale: float,
        stochastic_depth_prob: float,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or functools.partial(nn.LayerNorm, eps=1e-6)
        self.block = nn.Sequential(
            nn.Conv2d(dim, dim, 7, padding=3, groups=dim),
            Permute([0, 2, 3, 1]),
            norm(dim),
            nn.Linear(dim, 4 * dim),
            nn.GELU(),
            nn.Linear(4 * dim, dim),
            Permute([0, 3, 1, 2]),
        )
        self.layer_scale = nn.Parameter(full((dim, 1, 1), float(layer_scale)))
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.stochastic_depth(self.layer_scale * self.block(input))
        return out + input


class CNBlockConfig:
    """One stage: its channels, those of the next one (None at the end) and how many blocks."""

    def __init__(self, input_channels: int, out_channels: int | None, num_layers: int) -> None:
        self.input_channels = input_channels
        self.out_channels = out_channels
        self.num_layers = num_layers

    def __repr__(self) -> str:
        told = ", ".join(f"{name}={value}" for name, value in vars(self).items())
        return f"{type(self).__name__}({told})"


class ConvNeXt(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes).

    ValueError where block_setting is empty, TypeError where it is not of CNBlockConfig.
    """

    def __init__(
        self,
        block_setting: Sequence[CNBlockConfig],
        stochastic_depth_prob: float = 0.0,
        layer_scale: float = 1e-6,
        num_classes: int = 1000,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        if not block_setting:
            raise ValueError("The block_setting should not be empty")
        if not isinstance(block_setting, Sequence) or not all(
            isinstance(stage, CNBlockConfig) for stage in block_setting
        ):
            raise TypeError("The block_setting should be List[CNBlockConfig]")
        make = block or CNBlock
        norm = norm_layer or functools.partial(LayerNorm2d, eps=1e-6)
        first = block_setting[0].input_channels
        layers: list[nn.Module] = [
            Conv2dNormActivation(
                3, first, 4, 4, 0, norm_layer=norm, activation_layer=None, bias=True
            )
        ]
        last = max(1, sum(stage.num_layers for stage in block_setting) - 1)
        done = 0
        for stage in block_setting:
            inside, outside = stage.input_channels, stage.out_channels
            blocks = []
            for _ in range(stage.num_layers):
                blocks.append(make(inside, layer_scale, stochastic_depth_prob * done / last))
                done += 1
            layers.append(nn.Sequential(*blocks))
            if outside is not None:
                layers.append(nn.Sequential(norm(inside), nn.Conv2d(inside, outside, 2, 2)))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        width = inside if outside is None else outside
        self.classifier = nn.Sequential(norm(width), nn.Flatten(1), nn.Linear(width, num_classes))
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.trunc_normal_(module.weight, std=0.02)
                constant(module)

    def _forward_impl(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(self.features(x)))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        return self._forward_impl(x)


def _stages(width: int, third: int) -> list[CNBlockConfig]:
    """The paper's four stages, of which the third has most of the blocks."""
    widths = [width, 2 * width, 4 * width, 8 * width, None]
    return [
        CNBlockConfig(width << index, widths[index + 1], blocks)
        for index, blocks in enumerate((3, 3, third, 3))
    ]


ConvNeXt_Tiny_Weights = published("ConvNeXt_Tiny_Weights")
ConvNeXt_Small_Weights = published("ConvNeXt_Small_Weights")
ConvNeXt_Base_Weights = published("ConvNeXt_Base_Weights")
ConvNeXt_Large_Weights = published("ConvNeXt_Large_Weights")


@builder(ConvNeXt_Tiny_Weights)
def convnext_tiny(**kwargs: Any) -> ConvNeXt:
    """The tiny ConvNeXt; other arguments are ConvNeXt's."""
    return ConvNeXt(_stages(96, 9), kwargs.pop("stochastic_depth_prob", 0.1), **kwargs)


@builder(ConvNeXt_Small_Weights)
def convnext_small(**kwargs: Any) -> ConvNeXt:
    """The small ConvNeXt; other arguments are ConvNeXt's."""
    return ConvNeXt(_stages(96, 27), kwargs.pop("stochastic_depth_prob", 0.4), **kwargs)


@builder(ConvNeXt_Base_Weights)
def convnext_base(**kwargs: Any) -> ConvNeXt:
    """The base ConvNeXt; other arguments are ConvNeXt's."""
    return ConvNeXt(_stages(128, 27), kwargs.pop("stochastic_depth_prob", 0.5), **kwargs)


@builder(ConvNeXt_Large_Weights)
def convnext_large(**kwargs: Any) -> ConvNeXt:
    """The large ConvNeXt; other arguments are ConvNeXt's."""
    return ConvNeXt(_stages(192, 27), kwargs.pop("stochastic_depth_prob", 0.5), **kwargs)
