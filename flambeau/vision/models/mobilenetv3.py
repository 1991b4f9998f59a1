"""MobileNetV3: searched inverted residuals with gates, hard swish (Howard et al., 1905.02244)."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.models.drawing import kaiming_and_heads
from flambeau.vision.models.widths import divisible
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer, SqueezeExcitation

__all__ = [
    "MobileNetV3", "MobileNet_V3_Large_Weights", "MobileNet_V3_Small_Weights",
    "mobilenet_v3_large", "mobilenet_v3_small",
]  # fmt: skip

# The paper's tables 1 and 2: channels in, kernel, expanded to, channels out, gated, activation
# (RE or HS), stride; then the width of the last linear layer.
Row = tuple[int, int, int, int, bool, str, int]
LARGE: tuple[Row, ...] = (
    (16, 3, 16, 16, False, "RE", 1),
    (16, 3, 64, 24, False, "RE", 2),
    (24, 3, 72, 24, False, "RE", 1),
    (24, 5, 72, 40, True, "RE", 2),
    (40, 5, 120, 40, True, "RE", 1),
    (40, 5, 120, 40, True, "RE", 1),
    (40, 3, 240, 80, False, "HS", 2),
    (80, 3, 200, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 184, 80, False, "HS", 1),
    (80, 3, 480, 112, True, "HS", 1),
    (112, 3, 672, 112, True, "HS", 1),
    (112, 5, 672, 160, True, "HS", 2),
    (160, 5, 960, 160, True, "HS", 1),
    (160, 5, 960, 160, True, "HS", 1),
)
SMALL: tuple[Row, ...] = (
    (16, 3, 16, 16, True, "RE", 2),
    (16, 3, 72, 24, False, "RE", 2),
    (24, 3, 88, 24, False, "RE", 1),
    (24, 5, 96, 40, True, "HS", 2),
    (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 240, 40, True, "HS", 1),
    (40, 5, 120, 48, True, "HS", 1),
    (48, 5, 144, 48, True, "HS", 1),
    (48, 5, 288, 96, True, "HS", 2),
    (96, 5, 576, 96, True, "HS", 1),
    (96, 5, 576, 96, True, "HS", 1),
)
SETTINGS = {"mobilenet_v3_large": (LARGE, 1280), "mobilenet_v3_small": (SMALL, 1024)}
TAIL = 3  # the blocks at the end that reduced_tail halves and dilated spreads


class InvertedResidualConfig:
    """One block: its widths (made multiples of 8), kernel, gate, activation and stride."""

    def __init__(
        self,
        input_channels: int,
        kernel: int,
        expanded_channels: int,
        out_channels: int,
        use_se: bool,
        activation: str,
        stride: int,
        dilation: int,
        width_mult: float,
    ) -> None:
        self.input_channels = self.adjust_channels(input_channels, width_mult)
        self.kernel = kernel
        self.expanded_channels = self.adjust_channels(expanded_channels, width_mult)
        self.out_channels = self.adjust_channels(out_channels, width_mult)
        self.use_se = use_se
        self.use_hs = activation == "HS"
        self.stride = stride
        self.dilation = dilation

    @staticmethod
    def adjust_channels(channels: int, width_mult: float) -> int:
        """Channels of a network that is width_mult times as wide."""
        return divisible(channels * width_mult, 8)


GATE: Layer = functools.partial(SqueezeExcitation, scale_activation=nn.Hardsigmoid)


class InvertedResidual(nn.Module):
    """Widened, convolved channel by channel, gated, narrowed. ValueError for strides above 2."""

    def __init__(
        self,
        cnf: InvertedResidualConfig,
        norm_layer: Layer,
        se_layer: Layer = GATE,
    ) -> None:
        super().__init__()
        if cnf.stride not in (1, 2):
            raise ValueError("illegal stride value")
        self.use_res_connect = cnf.stride == 1 and cnf.input_channels == cnf.out_channels
        wide = cnf.expanded_channels
        made = functools.partial(
            Conv2dNormActivation,
            norm_layer=norm_layer,
            activation_layer=nn.Hardswish if cnf.use_hs else nn.ReLU,
        )
        layers: list[nn.Module] = []
        if wide != cnf.input_channels:
            layers.append(made(cnf.input_channels, wide, 1))
        layers.append(
            made(
                wide,
                wide,
                cnf.kernel,
                cnf.stride if cnf.dilation == 1 else 1,
                groups=wide,
                dilation=cnf.dilation,
            )
        )
        if cnf.use_se:
            layers.append(se_layer(wide, divisible(wide // 4, 8)))
        layers.append(made(wide, cnf.out_channels, 1, activation_layer=None))
        self.block = nn.Sequential(*layers)
        self.out_channels = cnf.out_channels
        self._is_cn = cnf.stride > 1

    def forward(self, input: Tensor) -> Tensor:
        out: Tensor = self.block(input)
        return out + input if self.use_res_connect else out


class MobileNetV3(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes).

    ValueError where inverted_residual_setting is empty, TypeError where it is not of
    InvertedResidualConfig.
    """

    def __init__(
        self,
        inverted_residual_setting: Sequence[InvertedResidualConfig],
        last_channel: int,
        num_classes: int = 1000,
        block: Layer | None = None,
        norm_layer: Layer | None = None,
        dropout: float = 0.2,
    ) -> None:
        super().__init__()
        setting = inverted_residual_setting
        if not setting:
            raise ValueError("The inverted_residual_setting should not be empty")
        if not isinstance(setting, Sequence) or not all(
            isinstance(row, InvertedResidualConfig) for row in setting
        ):
            raise TypeError("The inverted_residual_setting should be List[InvertedResidualConfig]")
        make = block or InvertedResidual
        norm = norm_layer or functools.partial(nn.BatchNorm2d, eps=0.001, momentum=0.01)
        made = functools.partial(
            Conv2dNormActivation, norm_layer=norm, activation_layer=nn.Hardswish
        )
        narrow = setting[-1].out_channels
        wide = 6 * narrow
        self.features = nn.Sequential(
            made(3, setting[0].input_channels, 3, 2),
            *(make(row, norm) for row in setting),
            made(narrow, wide, 1),
        )
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.classifier = nn.Sequential(
            nn.Linear(wide, last_channel),
            nn.Hardswish(inplace=True),
            nn.Dropout(p=dropout, inplace=True),
            nn.Linear(last_channel, num_classes),
        )
        for module in self.modules():
            kaiming_and_heads(module)

    def _forward_impl(self, x: Tensor) -> Tensor:
        scores: Tensor = self.classifier(self.avgpool(self.features(x)).flatten(1))
        return scores

    def forward(self, x: Tensor) -> Tensor:
        return self._forward_impl(x)


def _mobilenet_v3_conf(
    arch: str, width_mult: float = 1.0, reduced_tail: bool = False, dilated: bool = False
) -> tuple[list[InvertedResidualConfig], int]:
    """The blocks and the last width of a model. ValueError for unknown names."""
    if arch not in SETTINGS:
        raise ValueError(f"Unsupported model type {arch}")
    rows, last = SETTINGS[arch]
    halved = 2 if reduced_tail else 1
    blocks = []
    for index, (inside, kernel, wide, outside, gated, activation, stride) in enumerate(rows):
        tail = index - (len(rows) - TAIL)
        if tail >= 0:
            wide, outside = wide // halved if tail else wide, outside // halved
            inside = inside // halved if tail else inside
        dilation = 2 if dilated and tail >= 0 else 1
        blocks.append(
            InvertedResidualConfig(
                inside, kernel, wide, outside, gated, activation, stride, dilation, width_mult
            )
        )
    return blocks, InvertedResidualConfig.adjust_channels(last // halved, width_mult)


def _mobilenet_v3(arch: str, kwargs: dict[str, Any]) -> MobileNetV3:
    shape = {
        name: kwargs.pop(name)
        for name in ("width_mult", "reduced_tail", "dilated")
        if name in kwargs
    }
    return MobileNetV3(*_mobilenet_v3_conf(arch, **shape), **kwargs)


MobileNet_V3_Large_Weights = published("MobileNet_V3_Large_Weights")
MobileNet_V3_Small_Weights = published("MobileNet_V3_Small_Weights")


@builder(MobileNet_V3_Large_Weights)
def mobilenet_v3_large(**kwargs: Any) -> MobileNetV3:
    """The large MobileNetV3; arguments are MobileNetV3's, width_mult, reduced_tail, dilated."""
    return _mobilenet_v3("mobilenet_v3_large", kwargs)


@builder(MobileNet_V3_Small_Weights)
def mobilenet_v3_small(**kwargs: Any) -> MobileNetV3:
    """The small MobileNetV3; arguments are MobileNetV3's, width_mult, reduced_tail, dilated."""
    return _mobilenet_v3("mobilenet_v3_small", kwargs)
