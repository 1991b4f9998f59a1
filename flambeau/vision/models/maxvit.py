"""MaxViT: convolutions, attention in windows, attention across a grid (arXiv:2204.01697)."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau.nn as nn
from flambeau.functional.creation import empty
from flambeau.functional.from_data import from_numpy
from flambeau.functional.linear_algebra import einsum
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import WeightsEnum, builder, fix, published
from flambeau.vision.models.drawing import constant
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer, SqueezeExcitation
from flambeau.vision.ops.stochastic_depth import StochasticDepth

__all__ = ["MaxVit", "MaxVit_T_Weights", "maxvit_t"]

Grid = tuple[int, int]


def _halved(size: Grid) -> Grid:
    """The size that a 3x3 convolution of stride 2 leaves."""
    return (size[0] - 1) // 2 + 1, (size[1] - 1) // 2 + 1


def _offsets(side: int) -> Tensor:
    """Which row of a table of biases belongs to each pair of places of a square: int64."""
    rows, columns = np.divmod(np.arange(side * side), side)
    down = rows[:, None] - rows[None] + side - 1
    across = columns[:, None] - columns[None] + side - 1
    return from_numpy(down * (2 * side - 1) + across)


class MBConv(nn.Module):
    """A gated inverted residual, narrowed before and after, beside a shortcut."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        expansion_ratio: float,
        squeeze_ratio: float,
        stride: int,
        activation_layer: Layer,
        norm_layer: Layer,
        p_stochastic_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.proj: nn.Module = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            pooled = [nn.AvgPool2d(3, stride, 1)] if stride == 2 else []
            self.proj = nn.Sequential(*pooled, nn.Conv2d(in_channels, out_channels, 1))
        self.stochastic_depth: nn.Module = nn.Identity()
        if p_stochastic_dropout:
            self.stochastic_depth = StochasticDepth(p_stochastic_dropout, "row")
        wide, narrow = int(out_channels * expansion_ratio), int(out_channels * squeeze_ratio)
        made = functools.partial(
            Conv2dNormActivation,
            activation_layer=activation_layer,
            norm_layer=norm_layer,
            inplace=None,
        )
        self.layers = nn.Sequential(
            OrderedDict[str, nn.Module](
                pre_norm=norm_layer(in_channels),
                conv_a=made(in_channels, wide, 1),
                conv_b=made(wide, wide, 3, stride, groups=wide),
                squeeze_excitation=SqueezeExcitation(wide, narrow, nn.SiLU),
                conv_c=nn.Conv2d(wide, out_channels, 1),
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        shortcut: Tensor = self.proj(x)
        inner: Tensor = self.stochastic_depth(self.layers(x))
        return shortcut + inner


class RelativePositionalMultiHeadAttention(nn.Module):
    """Attention among the places (B, G, P, D) of every group, with a bias for their offsets.

    P must be max_seq_len, a square. ValueError where heads do not divide the features.
    """

    relative_position_index: Tensor

    def __init__(self, feat_dim: int, head_dim: int, max_seq_len: int) -> None:
        super().__init__()
        if feat_dim % head_dim != 0:
            raise ValueError(f"feat_dim: {feat_dim} must be divisible by head_dim: {head_dim}")
        self.n_heads = feat_dim // head_dim
        self.head_dim = head_dim
        self.size = int(math.sqrt(max_seq_len))
        self.max_seq_len = max_seq_len
        self.to_qkv = nn.Linear(feat_dim, feat_dim * 3)
        self.scale_factor = feat_dim**-0.5
        self.merge = nn.Linear(feat_dim, feat_dim)
        self.relative_position_bias_table = nn.Parameter(
            empty((2 * self.size - 1) ** 2, self.n_heads)
        )
        self.register_buffer("relative_position_index", _offsets(self.size))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def get_relative_positional_bias(self) -> Tensor:
        """What is added to the scores of every head: (1, heads, P, P)."""
        table = self.relative_position_bias_table[self.relative_position_index.view(-1)]
        return table.view(self.max_seq_len, self.max_seq_len, -1).permute(2, 0, 1).unsqueeze(0)

    def forward(self, x: Tensor) -> Tensor:
        batch, groups, places, width = x.shape
        heads = (batch, groups, places, 3, self.n_heads, self.head_dim)
        queries, keys, values = self.to_qkv(x).view(heads).permute(3, 0, 1, 4, 2, 5).unbind(0)
        scores = einsum("bghid,bghjd->bghij", queries, keys * self.scale_factor)
        weights = nn.functional.softmax(scores + self.get_relative_positional_bias(), dim=-1)
        mixed = einsum("bghij,bghjd->bgihd", weights, values).reshape(batch, groups, places, width)
        merged: Tensor = self.merge(mixed)
        return merged


class SwapAxes(nn.Module):
    """Two axes in each other's place."""

    def __init__(self, a: int, b: int) -> None:
        super().__init__()
        self.a = a
        self.b = b

    def forward(self, x: Tensor) -> Tensor:
        return x.swapaxes(self.a, self.b)


class WindowPartition(nn.Module):
    """Maps (B, C, H, W) as windows of p x p places: (B, H/p * W/p, p * p, C)."""

    def forward(self, x: Tensor, p: int) -> Tensor:
        batch, channels, height, width = x.shape
        cut = x.reshape(batch, channels, height // p, p, width // p, p).permute(0, 2, 4, 3, 5, 1)
        return cut.reshape(batch, (height // p) * (width // p), p * p, channels)


class WindowDepartition(nn.Module):
    """The maps that WindowPartition cut, from so many windows down and across."""

    def forward(self, x: Tensor, p: int, h_partitions: int, w_partitions: int) -> Tensor:
        batch, _, _, channels = x.shape
        windows = x.reshape(batch, h_partitions, w_partitions, p, p, channels)
        whole = windows.permute(0, 5, 1, 3, 2, 4)
        return whole.reshape(batch, channels, h_partitions * p, w_partitions * p)


class PartitionAttentionLayer(nn.Module):
    """Attention and an MLP in windows ("window"), or among one place of each window ("grid").

    ValueError for another partition_type.
    """

    def __init__(
        self,
        in_channels: int,
        head_dim: int,
        partition_size: int,
        partition_type: str,
        grid_size: Grid,
        mlp_ratio: int,
        activation_layer: Layer,
        norm_layer: Layer,
        attention_dropout: float,
        mlp_dropout: float,
        p_stochastic_dropout: float,
    ) -> None:
        super().__init__()
        self.n_heads = in_channels // head_dim
        self.head_dim = head_dim
        self.n_partitions = grid_size[0] // partition_size
        self.partition_type = partition_type
        self.grid_size = grid_size
        if partition_type not in ("grid", "window"):
            raise ValueError("partition_type must be either 'grid' or 'window'")
        across = partition_type == "grid"
        self.p, self.g = partition_size, self.n_partitions
        if across:
            self.p, self.g = self.g, self.p
        self.partition_op = WindowPartition()
        self.departition_op = WindowDepartition()
        self.partition_swap = SwapAxes(-2, -3) if across else nn.Identity()
        self.departition_swap = SwapAxes(-2, -3) if across else nn.Identity()
        self.attn_layer = nn.Sequential(
            norm_layer(in_channels),
            RelativePositionalMultiHeadAttention(in_channels, head_dim, partition_size**2),
            nn.Dropout(attention_dropout),
        )
        self.mlp_layer = nn.Sequential(
            nn.LayerNorm(in_channels),
            nn.Linear(in_channels, in_channels * mlp_ratio),
            activation_layer(),
            nn.Linear(in_channels * mlp_ratio, in_channels),
            nn.Dropout(mlp_dropout),
        )
        self.stochastic_dropout = StochasticDepth(p_stochastic_dropout, "row")

    def forward(self, x: Tensor) -> Tensor:
        height, width = self.grid_size
        if height % self.p or width % self.p:
            raise AssertionError(
                "Grid size must be divisible by partition size. Got grid size of "
                f"{self.grid_size} and partition size of {self.p}"
            )
        x = self.partition_swap(self.partition_op(x, self.p))
        x = x + self.stochastic_dropout(self.attn_layer(x))
        x = x + self.stochastic_dropout(self.mlp_layer(x))
        x = self.departition_swap(x)
        whole: Tensor = self.departition_op(x, self.p, height // self.p, width // self.p)
        return whole


class MaxVitLayer(nn.Module):
    """An MBConv, then attention in windows, then attention across the grid."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        squeeze_ratio: float,
        expansion_ratio: float,
        stride: int,
        norm_layer: Layer,
        activation_layer: Layer,
        head_dim: int,
        mlp_ratio: int,
        mlp_dropout: float,
        attention_dropout: float,
        p_stochastic_dropout: float,
        partition_size: int,
        grid_size: Grid,
    ) -> None:
        super().__init__()
        convolution = MBConv(
            in_channels,
            out_channels,
            expansion_ratio,
            squeeze_ratio,
            stride,
            activation_layer,
            norm_layer,
            p_stochastic_dropout,
        )
        attention = [
            PartitionAttentionLayer(
                out_channels,
                head_dim,
                partition_size,
                kind,
                grid_size,
                mlp_ratio,
                activation_layer,
                nn.LayerNorm,
                attention_dropout,
                mlp_dropout,
                p_stochastic_dropout,
            )
            for kind in ("window", "grid")
        ]
        self.layers = nn.Sequential(
            OrderedDict[str, nn.Module](
                MBconv=convolution, window_attention=attention[0], grid_attention=attention[1]
            )
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = self.layers(x)
        return out


class MaxVitBlock(nn.Module):
    """Layers of one size, the first of which halves the maps.

    ValueError where there are not n_layers probabilities.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        squeeze_ratio: float,
        expansion_ratio: float,
        norm_layer: Layer,
        activation_layer: Layer,
        head_dim: int,
        mlp_ratio: int,
        mlp_dropout: float,
        attention_dropout: float,
        partition_size: int,
        input_grid_size: Grid,
        n_layers: int,
        p_stochastic: list[float],
    ) -> None:
        super().__init__()
        if len(p_stochastic) != n_layers:
            raise ValueError(
                f"p_stochastic must have length n_layers={n_layers}, "
                f"got p_stochastic={p_stochastic}."
            )
        self.layers = nn.ModuleList()
        self.grid_size = _halved(input_grid_size)
        for index, chance in enumerate(p_stochastic):
            self.layers.append(
                MaxVitLayer(
                    out_channels if index else in_channels,
                    out_channels,
                    squeeze_ratio,
                    expansion_ratio,
                    1 if index else 2,
                    norm_layer,
                    activation_layer,
                    head_dim,
                    mlp_ratio,
                    mlp_dropout,
                    attention_dropout,
                    chance,
                    partition_size,
                    self.grid_size,
                )
            )

    def forward(self, x: Tensor) -> Tensor:
        for layer in self.layers:
            x = layer(x)
        return x


def _check_sizes(input_size: Grid, blocks: int, partition_size: int) -> None:
    sizes = [_halved(_halved(input_size))]
    while len(sizes) < blocks:
        sizes.append(_halved(sizes[-1]))
    for index, size in enumerate(sizes):
        if size[0] % partition_size or size[1] % partition_size:
            raise ValueError(
                f"Input size {size} of block {index} is not divisible by partition size "
                f"{partition_size}. Consider changing the partition size or the input size.\n"
                f"Current configuration yields the following block input sizes: {sizes}."
            )


class MaxVit(nn.Module):
    """Images (N, 3, *input_size) to class scores (N, num_classes).

    ValueError where windows of partition_size do not fill the maps of every block.
    """

    def __init__(
        self,
        input_size: Grid,
        stem_channels: int,
        partition_size: int,
        block_channels: list[int],
        block_layers: list[int],
        head_dim: int,
        stochastic_depth_prob: float,
        norm_layer: Layer | None = None,
        activation_layer: Layer = nn.GELU,
        squeeze_ratio: float = 0.25,
        expansion_ratio: float = 4,
        mlp_ratio: int = 4,
        mlp_dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
    ) -> None:
        super().__init__()
        norm = norm_layer or functools.partial(nn.BatchNorm2d, eps=1e-3, momentum=0.01)
        _check_sizes(input_size, len(block_channels), partition_size)
        made = functools.partial(Conv2dNormActivation, inplace=None)
        self.stem = nn.Sequential(
            made(
                3,
                stem_channels,
                3,
                2,
                norm_layer=norm,
                activation_layer=activation_layer,
                bias=False,
            ),
            made(stem_channels, stem_channels, norm_layer=None, activation_layer=None, bias=True),
        )
        self.partition_size = partition_size
        self.blocks = nn.ModuleList()
        size = _halved(input_size)
        chances = np.linspace(0, stochastic_depth_prob, sum(block_layers)).tolist()
        inside = stem_channels
        for outside, depth in zip(block_channels, block_layers, strict=True):
            chosen, chances = chances[:depth], chances[depth:]
            block = MaxVitBlock(
                inside,
                outside,
                squeeze_ratio,
                expansion_ratio,
                norm,
                activation_layer,
                head_dim,
                mlp_ratio,
                mlp_dropout,
                attention_dropout,
                partition_size,
                size,
                depth,
                chosen,
            )
            self.blocks.append(block)
            size, inside = block.grid_size, outside
        self.classifier = nn.Sequential(
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.LayerNorm(inside),
            nn.Linear(inside, inside),
            nn.Tanh(),
            nn.Linear(inside, num_classes, bias=False),
        )
        for module in self.modules():
            if isinstance(module, (nn.Conv2d, nn.Linear)):
                nn.init.normal_(module.weight, std=0.02)
                constant(module)
            elif isinstance(module, nn.BatchNorm2d):
                constant(module, 1.0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            x = block(x)
        scores: Tensor = self.classifier(x)
        return scores


MaxVit_T_Weights = published("MaxVit_T_Weights")


def _of_their_size(weights: WeightsEnum, kwargs: dict[str, Any]) -> None:
    fix(kwargs, "input_size", weights.meta["min_size"])


@builder(MaxVit_T_Weights, prepared=_of_their_size)
def maxvit_t(**kwargs: Any) -> MaxVit:
    """The tiny MaxViT; other arguments are MaxVit's."""
    size: Sequence[int] = kwargs.pop("input_size", (224, 224))
    return MaxVit(
        (size[0], size[1]),
        stem_channels=64,
        partition_size=7,
        block_channels=[64, 128, 256, 512],
        block_layers=[2, 2, 5, 2],
        head_dim=32,
        stochastic_depth_prob=0.2,
        **kwargs,
    )
