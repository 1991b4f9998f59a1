"""EfficientNet (Tan and Le, arXiv:1905.11946) and EfficientNetV2 (arXiv:2104.00298)."""

from __future__ import annotations

import copy
import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.models.drawing import constant, kaiming
from flambeau.vision.models.widths import divisible
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer, SqueezeExcitation
from flambeau.vision.ops.stochastic_depth import StochasticDepth

__all__ = [
    "EfficientNet", "EfficientNet_B0_Weights", "EfficientNet_B1_Weights",
    "EfficientNet_B2_Weights", "EfficientNet_B3_Weights", "EfficientNet_B4_Weights",
    "EfficientNet_B5_Weights", "EfficientNet_B6_Weights", "EfficientNet_B7_Weights",
    "EfficientNet_V2_L_Weights", "EfficientNet_V2_M_Weights", "EfficientNet_V2_S_Weights",
    "efficientnet_b0", "efficientnet_b1", "efficientnet_b2", "efficientnet_b3", "efficientnet_b4",
    "efficientnet_b5", "efficientnet_b6", "efficientnet_b7", "efficientnet_v2_l",
    "efficientnet_v2_m", "efficientnet_v2_s",
]  # fmt: skip


@dataclass
class _MBConvConfig:
    """One stage: blocks of the same width, the first of which has the stride."""

    expand_ratio: float
    kernel: int
    stride: int
    input_channels: int
    out_channels: int
    num_layers: int
    block: Layer

    @staticmethod
    def adjust_channels(channels: int, width_mult: float, min_value: int | None = None) -> int:
        """A multiple of 8 near channels times width_mult."""
        return divisible(channels * width_mult, 8, min_value)


class MBConvConfig(_MBConvConfig):
    """A stage of the first paper's blocks, made wider and deeper by two factors."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        width_mult: float = 1.0,
        depth_mult: float = 1.0,
        block: Layer | None = None,
    ) -> None:
        super().__init__(
            expand_ratio,
            kernel,
            stride,
            self.adjust_channels(input_channels, width_mult),
            self.adjust_channels(out_channels, width_mult),
            self.adjust_depth(num_layers, depth_mult),
            MBConv if block is None else block,
        )

    @staticmethod
    def adjust_depth(num_layers: int, depth_mult: float) -> int:
        """How many blocks a stage has that is depth_mult times as deep."""
        return math.ceil(num_layers * depth_mult)


class FusedMBConvConfig(_MBConvConfig):
    """A stage of the second paper's blocks."""

    def __init__(
        self,
        expand_ratio: float,
        kernel: int,
        stride: int,
        input_channels: int,
        out_channels: int,
        num_layers: int,
        block: Layer | None = None,
    ) -> None:
        made = FusedMBConv if block is None else block
        super().__init__(
            expand_ratio, kernel, stride, input_channels, out_channels, num_layers, made
        )


class _Residual(nn.Module):
    """What both kinds of block share: the shortcut, left out at random in training."""

    block: nn.Sequential

    def __init__(self, cnf: _MBConvConfig) -> None:
        super().__init__()
        if cnf.stride not in (1, 2):
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels

    def _finish(self, layers: list[nn.Module], cnf: _MBConvConfig, dropped: float) -> None:
        self.block = nn.Sequential(*layers)
        self.stochastic_depth = StochasticDepth(dropped, "row")
        self.out_channels = cnf.out_channels

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.block(input)
        if self.use_res_connect:
            out = self.stochastic_depth(out) + input
        return out


class MBConv(_Residual):
    """Widened, convolved channel by channel, gated, narrowed. ValueError for strides above 2."""

    def __init__(
        self,
        cnf: _MBConvConfig,
        stochastic_depth_prob: float,
        norm_layer: Layer,
        se_layer: Layer = SqueezeExcitation,
    ) -> None:
        super().__init__(cnf)
        made = functools.partial(
            Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU
        )
        inside = cnf.input_channels
        wide = cnf.adjust_channels(inside, cnf.expand_ratio)
        layers: list[nn.Module] = [made(inside, wide, 1)] if wide != inside else []
        layers += [
            made(wide, wide, cnf.kernel, cnf.stride, groups=wide),
            se_layer(wide, max(1, inside // 4), functools.partial(nn.SiLU, inplace=True)),
            made(wide, cnf.out_channels, 1, activation_layer=None),
        ]
        self._finish(layers, cnf, stochastic_depth_prob)


class FusedMBConv(_Residual):
    """Widened by a whole convolution, narrowed. ValueError for strides above 2."""

    def __init__(self, cnf: _MBConvConfig, stochastic_depth_prob: float, norm_layer: Layer) -> None:
        super().__init__(cnf)
        made = functools.partial(
            Conv2dNormActivation, norm_layer=norm_layer, activation_layer=nn.SiLU
        )
        inside, outside = cnf.input_channels, cnf.out_channels
        wide = cnf.adjust_channels(inside, cnf.expand_ratio)
        layers: list[nn.Module]
        if wide == inside:
            layers = [made(inside, outside, cnf.kernel, cnf.stride)]
        else:
            layers = [
                made(inside, wide, cnf.kernel, cnf.stride),
                made(wide, outside, 1, activation_layer=None),
            ]
        self._finish(layers, cnf, stochastic_depth_prob)


class EfficientNet(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes).

    ValueError where inverted_residual_setting is empty, TypeError where it is not of
    MBConvConfig and FusedMBConvConfig.
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[_MBConvConfig],
        dropout: float,
        stochastic_depth_prob: float = 0.2,
        num_classes: int = 1000,
        norm_layer: Layer | None = None,
        last_channel: int | None = None,
    ) -> None:
        super().__init__()
        setting = inverted_residual_setting
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not isinstance(setting, Sequence) or not all(
            isinstance(row, _MBConvConfig) for row in setting
        ):
            raise TypeError("The inverted_residual_setting should be List[MBConvConfig]")
        norm = norm_layer or nn.BatchNorm2d
        made = functools.partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.SiLU)
        layers: list[nn.Module] = [made(3, setting[0].input_channels, 3, 2)]
        depth = sum(row.num_layers for row in setting)
        done = 0
        for row in setting:
            stage: list[nn.Module] = []
            for index in range(row.num_layers):
                block = copy.copy(row)
                if index:
                    block.input_channels, block.stride = row.out_channels, 1
                stage.append(row.block(block, stochastic_depth_prob * done / depth, norm))
                done += 1
            layers.append(nn.Sequential(*stage))
        narrow = setting[-1].out_channels
        wide = last_channel if last_channel is not None else 4 * narrow
        layers.append(made(narrow, wide, 1))
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout, inplace=True), nn.Linear(wide, num_classes)
        )
        for module in self.modules():
            kaiming(module)
            if isinstance(module, nn.Linear):
                bound = 1.0 / math.sqrt(module.out_features)
                nn.init.uniform_(module.weight, -bound, bound)
                constant(module)

    def _forward_impl(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        return self._forward_impl(x)


# ---- the models ----------------------------------------------------------------------------------

# Stages: widened by, kernel, stride, channels in and out, blocks. Table 1 of the first paper.
B0 = (
    (1, 3, 1, 32, 16, 1),
    (6, 3, 2, 16, 24, 2),
    (6, 5, 2, 24, 40, 2),
    (6, 3, 2, 40, 80, 3),
    (6, 5, 1, 80, 112, 3),
    (6, 5, 2, 112, 192, 4),
    (6, 3, 1, 192, 320, 1),
)
# Wider by, deeper by, dropout.
SCALES = {
    "b0": (1.0, 1.0, 0.2),
    "b1": (1.0, 1.1, 0.2),
    "b2": (1.1, 1.2, 0.3),
    "b3": (1.2, 1.4, 0.3),
    "b4": (1.4, 1.8, 0.4),
    "b5": (1.6, 2.2, 0.4),
    "b6": (1.8, 2.6, 0.5),
    "b7": (2.0, 3.1, 0.5),
}
# The second paper's: the first three stages are fused. Then dropout.
V2 = {
    "v2_s": (
        (1, 3, 1, 24, 24, 2),
        (4, 3, 2, 24, 48, 4),
        (4, 3, 2, 48, 64, 4),
        (4, 3, 2, 64, 128, 6),
        (6, 3, 1, 128, 160, 9),
        (6, 3, 2, 160, 256, 15),
    ),
    "v2_m": (
        (1, 3, 1, 24, 24, 3),
        (4, 3, 2, 24, 48, 5),
        (4, 3, 2, 48, 80, 5),
        (4, 3, 2, 80, 160, 7),
        (6, 3, 1, 160, 176, 14),
        (6, 3, 2, 176, 304, 18),
        (6, 3, 1, 304, 512, 5),
    ),
    "v2_l": (
        (1, 3, 1, 32, 32, 4),
        (4, 3, 2, 32, 64, 7),
        (4, 3, 2, 64, 96, 7),
        (4, 3, 2, 96, 192, 10),
        (6, 3, 1, 192, 224, 19),
        (6, 3, 2, 224, 384, 25),
        (6, 3, 1, 384, 640, 7),
    ),
}
FUSED = 3
V2_DROPOUT = {"v2_s": 0.2, "v2_m": 0.3, "v2_l": 0.4}


def _scaled(name: str, kwargs: dict[str, Any], norm: Layer | None = None) -> EfficientNet:
    width, depth, dropout = SCALES[name]
    stages = [MBConvConfig(*row, width_mult=width, depth_mult=depth) for row in B0]
    told: dict[str, Any] = {} if norm is None else {"norm_layer": norm}
    return EfficientNet(stages, kwargs.pop("dropout", dropout), **told, **kwargs)


def _second(name: str, kwargs: dict[str, Any]) -> EfficientNet:
    stages: list[_MBConvConfig] = [FusedMBConvConfig(*row) for row in V2[name][:FUSED]]
    stages += [MBConvConfig(*row) for row in V2[name][FUSED:]]
    norm = functools.partial(nn.BatchNorm2d, eps=0.001)
    dropout = kwargs.pop("dropout", V2_DROPOUT[name])
    return EfficientNet(stages, dropout, last_channel=1280, norm_layer=norm, **kwargs)


# The three largest of the first paper were trained with the norms of its own code.
_SLOW_NORM = functools.partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)

EfficientNet_B0_Weights = published("EfficientNet_B0_Weights")
EfficientNet_B1_Weights = published("EfficientNet_B1_Weights")
EfficientNet_B2_Weights = published("EfficientNet_B2_Weights")
EfficientNet_B3_Weights = published("EfficientNet_B3_Weights")
EfficientNet_B4_Weights = published("EfficientNet_B4_Weights")
EfficientNet_B5_Weights = published("EfficientNet_B5_Weights")
EfficientNet_B6_Weights = published("EfficientNet_B6_Weights")
EfficientNet_B7_Weights = published("EfficientNet_B7_Weights")
EfficientNet_V2_S_Weights = published("EfficientNet_V2_S_Weights")
EfficientNet_V2_M_Weights = published("EfficientNet_V2_M_Weights")
EfficientNet_V2_L_Weights = published("EfficientNet_V2_L_Weights")


@builder(EfficientNet_B0_Weights)
def efficientnet_b0(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B0; other arguments are EfficientNet's."""
    return _scaled("b0", kwargs)


@builder(EfficientNet_B1_Weights)
def efficientnet_b1(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B1; other arguments are EfficientNet's."""
    return _scaled("b1", kwargs)


@builder(EfficientNet_B2_Weights)
def efficientnet_b2(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B2; other arguments are EfficientNet's."""
    return _scaled("b2", kwargs)


@builder(EfficientNet_B3_Weights)
def efficientnet_b3(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B3; other arguments are EfficientNet's."""
    return _scaled("b3", kwargs)


@builder(EfficientNet_B4_Weights)
def efficientnet_b4(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B4; other arguments are EfficientNet's."""
    return _scaled("b4", kwargs)


@builder(EfficientNet_B5_Weights)
def efficientnet_b5(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B5; other arguments are EfficientNet's."""
    return _scaled("b5", kwargs, _SLOW_NORM)


@builder(EfficientNet_B6_Weights)
def efficientnet_b6(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B6; other arguments are EfficientNet's."""
    return _scaled("b6", kwargs, _SLOW_NORM)


@builder(EfficientNet_B7_Weights)
def efficientnet_b7(**kwargs: Any) -> EfficientNet:
    """EfficientNet-B7; other arguments are EfficientNet's."""
    return _scaled("b7", kwargs, _SLOW_NORM)


@builder(EfficientNet_V2_S_Weights)
def efficientnet_v2_s(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2-S; other arguments are EfficientNet's."""
    return _second("v2_s", kwargs)


@builder(EfficientNet_V2_M_Weights)
def efficientnet_v2_m(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2-M; other arguments are EfficientNet's."""
    return _second("v2_m", kwargs)


@builder(EfficientNet_V2_L_Weights)
def efficientnet_v2_l(**kwargs: Any) -> EfficientNet:
    """EfficientNetV2-L; other arguments are EfficientNet's."""
    return _second("v2_l", kwargs)
