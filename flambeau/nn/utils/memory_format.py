"""Convolution weights in another memory format."""

from __future__ import annotations

from typing import Any, TypeVar

from flambeau.nn.modules.conv import Conv2d, Conv3d, ConvTranspose2d, ConvTranspose3d

__all__ = ["convert_conv2d_weight_memory_format", "convert_conv3d_weight_memory_format"]

M = TypeVar("M")


def _converted(module: Any, kinds: tuple[type[Any], ...], memory_format: Any) -> None:
    if isinstance(module, kinds):
        weight = module.weight.detach().clone(memory_format=memory_format)
        module.weight.data = weight
    for child in module.children():
        _converted(child, kinds, memory_format)


def convert_conv2d_weight_memory_format(module: M, memory_format: Any) -> M:
    """Lay out the weights of all 2-d convolutions below `module`; return it."""
    _converted(module, (Conv2d, ConvTranspose2d), memory_format)
    return module


def convert_conv3d_weight_memory_format(module: M, memory_format: Any) -> M:
    """Lay out the weights of all 3-d convolutions below `module`; return it."""
    _converted(module, (Conv3d, ConvTranspose3d), memory_format)
    return module
