"""Folding a batch normalisation in evaluation mode into the layer before it."""

from __future__ import annotations

import copy
from typing import Any, TypeVar

from flambeau.nn._torch import Parameter, Tensor, ones_like, zeros_like

__all__ = [
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
]

T = TypeVar("T")


def _only_eval(layer: Any, bn: Any) -> None:
    if layer.training or bn.training:
        raise AssertionError("Fusion only for eval!")


def fuse_conv_bn_eval(conv: T, bn: Any, transpose: bool = False) -> T:
    """Return a copy of the convolution that does what conv and then bn do."""
    _only_eval(conv, bn)
    fused: Any = copy.deepcopy(conv)
    if bn.running_mean is None or bn.running_var is None:
        raise AssertionError("bn.running_mean and bn.running_var must not be None")
    fused.weight, fused.bias = fuse_conv_bn_weights(
        fused.weight,
        fused.bias,
        bn.running_mean,
        bn.running_var,
        bn.eps,
        bn.weight,
        bn.bias,
        transpose,
    )
    result: T = fused
    return result


def _scale_and_shift(
    bias: Tensor | None,
    mean: Tensor,
    variance: Tensor,
    eps: float,
    weight: Tensor | None,
    shift: Tensor | None,
) -> tuple[Tensor, Tensor]:
    bias = zeros_like(mean) if bias is None else bias
    weight = ones_like(mean) if weight is None else weight
    shift = zeros_like(mean) if shift is None else shift
    scale = weight * (variance + eps).rsqrt()
    return scale, (bias - mean) * scale + shift


def fuse_conv_bn_weights(
    conv_w: Tensor,
    conv_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor | None,
    bn_b: Tensor | None,
    transpose: bool = False,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of the fused convolution; `transpose` for transposed ones."""
    scale, bias = _scale_and_shift(conv_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    shape = [1, -1] if transpose else [-1, 1]
    weight = conv_w * scale.reshape(shape + [1] * (conv_w.dim() - 2)).to(conv_w.dtype)
    kept = True if conv_b is None else conv_b.requires_grad
    return (
        Parameter(weight.detach(), conv_w.requires_grad),
        Parameter(bias.detach().to(conv_w.dtype), kept),
    )


def fuse_linear_bn_eval(linear: T, bn: Any) -> T:
    """Return a copy of the linear layer that does what linear and then bn do."""
    _only_eval(linear, bn)
    fused: Any = copy.deepcopy(linear)
    if fused.out_features != bn.num_features and bn.num_features != 1:
        raise AssertionError(
            "To fuse, linear.out_features == bn.num_features or bn.num_features == 1"
        )
    fused.weight, fused.bias = fuse_linear_bn_weights(
        fused.weight, fused.bias, bn.running_mean, bn.running_var, bn.eps, bn.weight, bn.bias
    )
    result: T = fused
    return result


def fuse_linear_bn_weights(
    linear_w: Tensor,
    linear_b: Tensor | None,
    bn_rm: Tensor,
    bn_rv: Tensor,
    bn_eps: float,
    bn_w: Tensor,
    bn_b: Tensor,
) -> tuple[Parameter, Parameter]:
    """Return weight and bias of the fused linear layer."""
    scale, bias = _scale_and_shift(linear_b, bn_rm, bn_rv, bn_eps, bn_w, bn_b)
    weight = linear_w * scale.unsqueeze(-1).to(linear_w.dtype)
    kept = True if linear_b is None else linear_b.requires_grad
    return (
        Parameter(weight.detach(), linear_w.requires_grad),
        Parameter(bias.detach().to(linear_w.dtype), kept),
    )
