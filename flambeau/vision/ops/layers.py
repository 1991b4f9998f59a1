"""Layers that many image models are built from: torchvision.ops.layers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.functional.creation import ones, zeros
from flambeau.tensor.tensor import Tensor

Layer = Callable[..., nn.Module]
Size = int | tuple[int, ...]


def _each(size: Size, count: int) -> tuple[int, ...]:
    return (size,) * count if isinstance(size, int) else tuple(size)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation (N, C, H, W) whose statistics and affine map are fixed buffers."""

    weight: Tensor
    bias: Tensor
    running_mean: Tensor
    running_var: Tensor

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", ones(num_features))
        self.register_buffer("bias", zeros(num_features))
        self.register_buffer("running_mean", zeros(num_features))
        self.register_buffer("running_var", ones(num_features))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # States of true batch norms have a count of batches, which nothing here needs.
        state_dict.pop(f"{prefix}num_batches_tracked", None)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        scale = self.weight * (self.running_var + self.eps).rsqrt()
        shift = self.bias - self.running_mean * scale
        return x * scale.reshape(1, -1, 1, 1) + shift.reshape(1, -1, 1, 1)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.weight.shape[0]}, eps={self.eps})"


class _ConvNormActivation(nn.Sequential):
    _dimensions: int
    _convolution: Layer

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str | None,
        groups: int,
        norm_layer: Layer | None,
        activation_layer: Layer | None,
        dilation: Size,
        inplace: bool | None,
        bias: bool | None,
    ) -> None:
        if padding is None:
            sizes = _each(kernel_size, self._dimensions)
            spread = _each(dilation, self._dimensions)
            padding = tuple((k - 1) // 2 * d for k, d in zip(sizes, spread, strict=True))
        layers: list[nn.Module] = [
            self._convolution(
                in_channels,
                out_channels,
                kernel_size,
                stride,
                padding,
                dilation=dilation,
                groups=groups,
                bias=norm_layer is None if bias is None else bias,
            )
        ]
        if norm_layer is not None:
            layers.append(norm_layer(out_channels))
        if activation_layer is not None:
            told: dict[str, Any] = {} if inplace is None else {"inplace": inplace}
            layers.append(activation_layer(**told))
        super().__init__(*layers)
        self.out_channels = out_channels


class Conv2dNormActivation(_ConvNormActivation):
    """A convolution that keeps the size but for its stride, then a norm, then an activation.

    Without a norm the convolution has a bias; `inplace=None` is for activations that know no such
    argument.
    """

    _dimensions = 2
    _convolution = nn.Conv2d

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Size | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm2d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Size = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            groups,
            norm_layer,
            activation_layer,
            dilation,
            inplace,
            bias,
        )


class Conv3dNormActivation(_ConvNormActivation):
    """Conv2dNormActivation over three axes."""

    _dimensions = 3
    _convolution = nn.Conv3d

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size = 3,
        stride: Size = 1,
        padding: Size | str | None = None,
        groups: int = 1,
        norm_layer: Layer | None = nn.BatchNorm3d,
        activation_layer: Layer | None = nn.ReLU,
        dilation: Size = 1,
        inplace: bool | None = True,
        bias: bool | None = None,
    ) -> None:
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            groups,
            norm_layer,
            activation_layer,
            dilation,
            inplace,
            bias,
        )


class SqueezeExcitation(nn.Module):
    """Channels of (N, C, H, W) weighed by what all places say of them (arXiv:1709.01507)."""

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


class MLP(nn.Sequential):
    """Linear layers with a norm, an activation and dropout between them, over the last axis."""

    def __init__(
        self,
        in_channels: int,
        hidden_channels: Sequence[int],
        norm_layer: Layer | None = None,
        activation_layer: Layer | None = nn.ReLU,
        inplace: bool | None = None,
        bias: bool = True,
        dropout: float = 0.0,
    ) -> None:
        told: dict[str, Any] = {} if inplace is None else {"inplace": inplace}
        *inner, last = hidden_channels
        layers: list[nn.Module] = []
        for width in inner:
            layers.append(nn.Linear(in_channels, width, bias=bias))
            if norm_layer is not None:
                layers.append(norm_layer(width))
            if activation_layer is None:
                raise TypeError("MLP: hidden layers need an activation_layer")
            layers += [activation_layer(**told), nn.Dropout(dropout, **told)]
            in_channels = width
        layers += [nn.Linear(in_channels, last, bias=bias), nn.Dropout(dropout, **told)]
        super().__init__(*layers)


class Permute(nn.Module):
    """Axes in another order."""

    def __init__(self, dims: list[int]) -> None:
        super().__init__()
        self.dims = dims

    def forward(self, x: Tensor) -> Tensor:
        return x.permute(self.dims)
