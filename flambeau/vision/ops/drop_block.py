"""Squares and cubes of maps left out at random in training (Ghiasi et al., arXiv:1810.12890)."""

from __future__ import annotations

import math

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor


def _drop(
    input: Tensor, p: float, block_size: int, inplace: bool, eps: float, training: bool, axes: int
) -> Tensor:
    if not 0.0 <= p <= 1.0:
        raise ValueError(f"drop probability has to be between 0 and 1, but got {p}.")
    if input.ndim != axes + 2:
        raise ValueError(f"input should be {axes + 2} dimensional. Got {input.ndim} dimensions.")
    if not training or p == 0.0:
        return input
    sides = tuple(input.shape[2:])
    block = min(block_size, *sides)
    if block % 2 == 0:
        raise ValueError(f"block size should be odd. Got {block} which is even.")
    centres = [side - block + 1 for side in sides]
    chance = p * math.prod(sides) / (block**axes * math.prod(centres))
    noise = input.new_empty((*input.shape[:2], *centres)).bernoulli_(chance)
    noise = nn.functional.pad(noise, [block // 2] * (2 * axes))
    pool = nn.functional.max_pool2d if axes == 2 else nn.functional.max_pool3d
    kept = 1 - pool(noise, block, 1, block // 2)
    scale = kept.numel() / (eps + kept.sum())
    if inplace:
        return input.mul_(kept).mul_(scale)
    scaled: Tensor = input * kept * scale
    return scaled


def drop_block2d(
    input: Tensor,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
) -> Tensor:
    """Maps (N, C, H, W) with about p of their places zero, in squares; the rest grows for it.

    ValueError where p is not in 0..1, another number of axes, an even block_size.
    """
    return _drop(input, p, block_size, inplace, eps, training, 2)


def drop_block3d(
    input: Tensor,
    p: float,
    block_size: int,
    inplace: bool = False,
    eps: float = 1e-6,
    training: bool = True,
) -> Tensor:
    """drop_block2d of (N, C, D, H, W), in cubes."""
    return _drop(input, p, block_size, inplace, eps, training, 3)


class DropBlock2d(nn.Module):
    """drop_block2d as a layer: nothing happens outside of training."""

    _axes = 2

    def __init__(self, p: float, block_size: int, inplace: bool = False, eps: float = 1e-6) -> None:
        super().__init__()
        self.p = p
        self.block_size = block_size
        self.inplace = inplace
        self.eps = eps

    def forward(self, input: Tensor) -> Tensor:
        return _drop(
            input, self.p, self.block_size, self.inplace, self.eps, self.training, self._axes
        )

    def __repr__(self) -> str:
        name = type(self).__name__
        return f"{name}(p={self.p}, block_size={self.block_size}, inplace={self.inplace})"


class DropBlock3d(DropBlock2d):
    """drop_block3d as a layer: nothing happens outside of training."""

    _axes = 3
