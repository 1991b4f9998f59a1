"""What the mobile and efficient families share: torchvision.ops.misc's layers of these names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor

Layer = Callable[..., nn.Module]


def divisible(width: float, divisor: int = 8) -> int:
    """The multiple of a divisor nearest to a width, never more than a tenth below it."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


class Conv2dNormActivation(nn.Sequential):
    """A convolution that keeps the size but for its stride, a norm, an activation."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: int = 1,
        padding: int | None = None,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        around = (kernel_size - 1) // 2 * dilation if padding is None else padding
        biased = norm_layer is None if bias is None else bias
        layers: list[nn.Module] = [
            nn.Conv2d(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                around,
                dilation=dilation,
                groups=groups,
                bias=biased,
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            told: dict[str, Any] = {} if inplace is None else {"inplace": inplace}
            layers.append(activation_layer(**told))
        super().__init__(*layers)
        self.out_channels = out_channels


class SqueezeExcitation(nn.Module):
    """Channels weighed by what all places together say of them (arXiv:1709.01507)."""

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Layer = nn.ReLU,
        scale_activation: Layer = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        squeezed = self.activation(self.fc1(self.avgpool(input)))
        weighed: Tensor = self.scale_activation(self.fc2(squeezed)) * input
        return weighed


class StochasticDepth(nn.Module):
    """Leaves out, in training, whole rows (examples) with probability p (arXiv:1603.09382).

    ValueError where p is not in 0..1 or the mode is not "row" or "batch".
    """

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        if not 0.0 <= p <= 1.0:
            raise ValueError(f"drop probability has to be between 0 and 1, but got {p}")
        if mode not in ("batch", "row"):
            raise ValueError(f"mode has to be either 'batch' or 'row', but got {mode}")
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        if not self.training or self.p == 0.0:
            return input
        rows = input.shape[0] if self.mode == "row" else 1
        kept = 1.0 - self.p
        noise = input.new_empty((rows, *[1] * (input.ndim - 1))).bernoulli_(kept)
        if kept > 0.0:
            noise.div_(kept)
        return input * noise

    def extra_repr(self) -> str:
        return f"p={self.p}, mode={self.mode}"
