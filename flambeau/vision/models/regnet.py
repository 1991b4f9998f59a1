"""RegNet: networks whose widths follow a line, in steps (Radosavovic et al., arXiv:2003.13678)."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

import numpy as np

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.models.drawing import constant
from flambeau.vision.models.widths import divisible
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer, SqueezeExcitation

__all__ = [
    "RegNet", "RegNet_X_16GF_Weights", "RegNet_X_1_6GF_Weights", "RegNet_X_32GF_Weights",
    "RegNet_X_3_2GF_Weights", "RegNet_X_400MF_Weights", "RegNet_X_800MF_Weights",
    "RegNet_X_8GF_Weights", "RegNet_Y_128GF_Weights", "RegNet_Y_16GF_Weights",
    "RegNet_Y_1_6GF_Weights", "RegNet_Y_32GF_Weights", "RegNet_Y_3_2GF_Weights",
    "RegNet_Y_400MF_Weights", "RegNet_Y_800MF_Weights", "RegNet_Y_8GF_Weights", "regnet_x_16gf",
    "regnet_x_1_6gf", "regnet_x_32gf", "regnet_x_3_2gf", "regnet_x_400mf", "regnet_x_800mf",
    "regnet_x_8gf", "regnet_y_128gf", "regnet_y_16gf", "regnet_y_1_6gf", "regnet_y_32gf",
    "regnet_y_3_2gf", "regnet_y_400mf", "regnet_y_800mf", "regnet_y_8gf",
]  # fmt: skip


class SimpleStemIN(Conv2dNormActivation):
    """A 3x3 convolution of stride 2, a norm, an activation."""

    def __init__(
        self, width_in: int, width_out: int, norm_layer: Layer, activation_layer: Layer
    ) -> None:
        super().__init__(
            width_in, width_out, 3, 2, norm_layer=norm_layer, activation_layer=activation_layer
        )


class BottleneckTransform(nn.Sequential):
    """1x1, grouped 3x3 with the stride, a gate where se_ratio is given, 1x1."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        norm_layer: Layer,
        activation_layer: Layer,
        group_width: int,
        bottleneck_multiplier: float,
        se_ratio: float | None,
    ) -> None:
        wide = round(width_out * bottleneck_multiplier)
        told: dict[str, Any] = {"norm_layer": norm_layer, "activation_layer": activation_layer}
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        layers["a"] = Conv2dNormActivation(width_in, wide, 1, **told)
        layers["b"] = Conv2dNormActivation(
            wide, wide, 3, stride, groups=wide // group_width, **told
        )
        if se_ratio:
            # A share of the block's input, not of its bottleneck.
            layers["se"] = SqueezeExcitation(wide, round(se_ratio * width_in), activation_layer)
        told["activation_layer"] = None
        layers["c"] = Conv2dNormActivation(wide, width_out, 1, **told)
        super().__init__(layers)


class ResBottleneckBlock(nn.Module):
    """A bottleneck beside a shortcut, which is a convolution where the shape changes."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        norm_layer: Layer,
        activation_layer: Layer,
        group_width: int = 1,
        bottleneck_multiplier: float = 1.0,
        se_ratio: float | None = None,
    ) -> None:
        super().__init__()
        self.proj: nn.Module | None = None
        if width_in != width_out or stride != 1:
            self.proj = Conv2dNormActivation(
                width_in, width_out, 1, stride, norm_layer=norm_layer, activation_layer=None
            )
        self.f = BottleneckTransform(
            width_in,
            width_out,
            stride,
            norm_layer,
            activation_layer,
            group_width,
            bottleneck_multiplier,
            se_ratio,
        )
        self.activation = activation_layer(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.proj is None else self.proj(x)
        out: Tensor = self.activation(shortcut + self.f(x))
        return out


class AnyStage(nn.Sequential):
    """Blocks of one width, the first of which has the stride."""

    def __init__(
        self,
        width_in: int,
        width_out: int,
        stride: int,
        depth: int,
        block_constructor: Layer,
        norm_layer: Layer,
        activation_layer: Layer,
        group_width: int,
        bottleneck_multiplier: float,
        se_ratio: float | None = None,
        stage_index: int = 0,
    ) -> None:
        super().__init__()
        for index in range(depth):
            block = block_constructor(
                width_out if index else width_in,
                width_out,
                1 if index else stride,
                norm_layer,
                activation_layer,
                group_width,
                bottleneck_multiplier,
                se_ratio,
            )
            self.add_module(f"block{stage_index}-{index}", block)


class BlockParams:
    """The shape of every stage."""

    def __init__(
        self,
        depths: list[int],
        widths: list[int],
        group_widths: list[int],
        bottleneck_multipliers: list[float],
        strides: list[int],
        se_ratio: float | None = None,
    ) -> None:
        self.depths = depths
        self.widths = widths
        self.group_widths = group_widths
        self.bottleneck_multipliers = bottleneck_multipliers
        self.strides = strides
        self.se_ratio = se_ratio

    @classmethod
    def from_init_params(
        cls,
        depth: int,
        w_0: int,
        w_a: float,
        w_m: float,
        group_width: int,
        bottleneck_multiplier: float = 1.0,
        se_ratio: float | None = None,
    ) -> BlockParams:
        """Stages of a line w_0 + w_a * block, rounded to powers of w_m times w_0 (equations 2-4).

        ValueError for a falling line, steps that do not rise, or a w_0 that is no multiple of 8.
        """
        if w_a < 0 or w_0 <= 0 or w_m <= 1 or w_0 % 8:
            raise ValueError("Invalid RegNet settings")
        line = np.arange(depth) * w_a + w_0
        steps = np.rint(np.log(line / w_0) / math.log(w_m))
        each = (np.rint(w_0 * w_m**steps / 8) * 8).astype(np.int64)
        widths, depths = np.unique(each, return_counts=True)
        # Groups must fit: those wider than a bottleneck shrink, bottlenecks become multiples.
        inner = [int(width * bottleneck_multiplier) for width in widths.tolist()]
        groups = [min(group_width, width) for width in inner]
        inner = [divisible(width, group) for width, group in zip(inner, groups, strict=True)]
        count = len(inner)
        return cls(
            depths.tolist(),
            [int(width / bottleneck_multiplier) for width in inner],
            groups,
            [bottleneck_multiplier] * count,
            [2] * count,
            se_ratio,
        )

    def _stages(self) -> Iterator[tuple[int, int, int, int, float]]:
        return zip(
            self.widths,
            self.strides,
            self.depths,
            self.group_widths,
            self.bottleneck_multipliers,
            strict=True,
        )


class RegNet(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes)."""

    def __init__(
        self,
        block_params: BlockParams,
        num_classes: int = 1000,
        stem_width: int = 32,
        stem_type: Layer | None = None,
        block_type: Layer | None = None,
        norm_layer: Layer | None = None,
        activation: Layer | None = None,
    ) -> None:
        super().__init__()
        norm = norm_layer or nn.BatchNorm2d
        active = activation or nn.ReLU
        self.stem = (stem_type or SimpleStemIN)(3, stem_width, norm, active)
        width = stem_width
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        for index, (outside, stride, depth, group, ratio) in enumerate(block_params._stages(), 1):
            stages[f"block{index}"] = AnyStage(
                width,
                outside,
                stride,
                depth,
                block_type or ResBottleneckBlock,
                norm,
                active,
                group,
                ratio,
                block_params.se_ratio,
                index,
            )
            width = outside
        self.trunk_output = nn.Sequential(stages)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(width, num_classes)
        for module in self.modules():
            _draw(module)

    def forward(self, x: Tensor) -> Tensor:
        x = self.avgpool(self.trunk_output(self.stem(x)))
        scores: Tensor = self.fc(x.flatten(1))
        return scores


def _draw(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        fan_out = math.prod(module.kernel_size) * module.out_channels  # groups are not counted
        nn.init.normal_(module.weight, mean=0.0, std=math.sqrt(2.0 / fan_out))
    elif isinstance(module, nn.BatchNorm2d):
        constant(module, 1.0)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, mean=0.0, std=0.01)
        constant(module)


# Blocks, w_0, w_a, w_m, width of groups; those named y have gates.
LINES = {
    "y_400mf": (16, 48, 27.89, 2.09, 8),
    "y_800mf": (14, 56, 38.84, 2.4, 16),
    "y_1_6gf": (27, 48, 20.71, 2.65, 24),
    "y_3_2gf": (21, 80, 42.63, 2.66, 24),
    "y_8gf": (17, 192, 76.82, 2.19, 56),
    "y_16gf": (18, 200, 106.23, 2.48, 112),
    "y_32gf": (20, 232, 115.89, 2.53, 232),
    "y_128gf": (27, 456, 160.83, 2.52, 264),
    "x_400mf": (22, 24, 24.48, 2.54, 16),
    "x_800mf": (16, 56, 35.73, 2.28, 16),
    "x_1_6gf": (18, 80, 34.01, 2.25, 24),
    "x_3_2gf": (25, 88, 26.31, 2.25, 48),
    "x_8gf": (23, 80, 49.56, 2.88, 120),
    "x_16gf": (22, 216, 55.59, 2.1, 128),
    "x_32gf": (23, 320, 69.86, 2.0, 168),
}


def _regnet(name: str, kwargs: dict[str, Any]) -> RegNet:
    gate = 0.25 if name.startswith("y") else None
    return RegNet(BlockParams.from_init_params(*LINES[name], se_ratio=gate), **kwargs)


RegNet_Y_400MF_Weights = published("RegNet_Y_400MF_Weights")
RegNet_Y_800MF_Weights = published("RegNet_Y_800MF_Weights")
RegNet_Y_1_6GF_Weights = published("RegNet_Y_1_6GF_Weights")
RegNet_Y_3_2GF_Weights = published("RegNet_Y_3_2GF_Weights")
RegNet_Y_8GF_Weights = published("RegNet_Y_8GF_Weights")
RegNet_Y_16GF_Weights = published("RegNet_Y_16GF_Weights")
RegNet_Y_32GF_Weights = published("RegNet_Y_32GF_Weights")
RegNet_Y_128GF_Weights = published("RegNet_Y_128GF_Weights")
RegNet_X_400MF_Weights = published("RegNet_X_400MF_Weights")
RegNet_X_800MF_Weights = published("RegNet_X_800MF_Weights")
RegNet_X_1_6GF_Weights = published("RegNet_X_1_6GF_Weights")
RegNet_X_3_2GF_Weights = published("RegNet_X_3_2GF_Weights")
RegNet_X_8GF_Weights = published("RegNet_X_8GF_Weights")
RegNet_X_16GF_Weights = published("RegNet_X_16GF_Weights")
RegNet_X_32GF_Weights = published("RegNet_X_32GF_Weights")


@builder(RegNet_Y_400MF_Weights)
def regnet_y_400mf(**kwargs: Any) -> RegNet:
    """RegNetY of 400 MF; other arguments are RegNet's."""
    return _regnet("y_400mf", kwargs)


@builder(RegNet_Y_800MF_Weights)
def regnet_y_800mf(**kwargs: Any) -> RegNet:
    """RegNetY of 800 MF; other arguments are RegNet's."""
    return _regnet("y_800mf", kwargs)


@builder(RegNet_Y_1_6GF_Weights)
def regnet_y_1_6gf(**kwargs: Any) -> RegNet:
    """RegNetY of 1.6 GF; other arguments are RegNet's."""
    return _regnet("y_1_6gf", kwargs)


@builder(RegNet_Y_3_2GF_Weights)
def regnet_y_3_2gf(**kwargs: Any) -> RegNet:
    """RegNetY of 3.2 GF; other arguments are RegNet's."""
    return _regnet("y_3_2gf", kwargs)


@builder(RegNet_Y_8GF_Weights)
def regnet_y_8gf(**kwargs: Any) -> RegNet:
    """RegNetY of 8 GF; other arguments are RegNet's."""
    return _regnet("y_8gf", kwargs)


@builder(RegNet_Y_16GF_Weights)
def regnet_y_16gf(**kwargs: Any) -> RegNet:
    """RegNetY of 16 GF; other arguments are RegNet's."""
    return _regnet("y_16gf", kwargs)


@builder(RegNet_Y_32GF_Weights)
def regnet_y_32gf(**kwargs: Any) -> RegNet:
    """RegNetY of 32 GF; other arguments are RegNet's."""
    return _regnet("y_32gf", kwargs)


@builder(RegNet_Y_128GF_Weights, first=None)
def regnet_y_128gf(**kwargs: Any) -> RegNet:
    """RegNetY of 128 GF; other arguments are RegNet's."""
    return _regnet("y_128gf", kwargs)


@builder(RegNet_X_400MF_Weights)
def regnet_x_400mf(**kwargs: Any) -> RegNet:
    """RegNetX of 400 MF; other arguments are RegNet's."""
    return _regnet("x_400mf", kwargs)


@builder(RegNet_X_800MF_Weights)
def regnet_x_800mf(**kwargs: Any) -> RegNet:
    """RegNetX of 800 MF; other arguments are RegNet's."""
    return _regnet("x_800mf", kwargs)


@builder(RegNet_X_1_6GF_Weights)
def regnet_x_1_6gf(**kwargs: Any) -> RegNet:
    """RegNetX of 1.6 GF; other arguments are RegNet's."""
    return _regnet("x_1_6gf", kwargs)


@builder(RegNet_X_3_2GF_Weights)
def regnet_x_3_2gf(**kwargs: Any) -> RegNet:
    """RegNetX of 3.2 GF; other arguments are RegNet's."""
    return _regnet("x_3_2gf", kwargs)


@builder(RegNet_X_8GF_Weights)
def regnet_x_8gf(**kwargs: Any) -> RegNet:
    """RegNetX of 8 GF; other arguments are RegNet's."""
    return _regnet("x_8gf", kwargs)


@builder(RegNet_X_16GF_Weights)
def regnet_x_16gf(**kwargs: Any) -> RegNet:
    """RegNetX of 16 GF; other arguments are RegNet's."""
    return _regnet("x_16gf", kwargs)


@builder(RegNet_X_32GF_Weights)
def regnet_x_32gf(**kwargs: Any) -> RegNet:
    """RegNetX of 32 GF; other arguments are RegNet's."""
    return _regnet("x_32gf", kwargs)
