"""Swin: attention in windows that shift from block to block (arXiv:2103.14030, 2111.09883)."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import flambeau.nn as nn
from flambeau.functional.creation import full, zeros
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import builder, published
from flambeau.vision.models.drawing import constant
from flambeau.vision.ops.layers import MLP, Layer, Permute
from flambeau.vision.ops.stochastic_depth import StochasticDepth

__all__ = [
    "SwinTransformer", "Swin_B_Weights", "Swin_S_Weights", "Swin_T_Weights", "Swin_V2_B_Weights",
    "Swin_V2_S_Weights", "Swin_V2_T_Weights", "swin_b", "swin_s", "swin_t", "swin_v2_b",
    "swin_v2_s", "swin_v2_t",
]  # fmt: skip

MASKED = -100.0  # what is added to logits between places that only a shift made neighbours
LARGEST_SCALE = math.log(100.0)


# ---- patches -------------------------------------------------------------------------------------


def _quarters(x: Tensor) -> Tensor:
    """(..., H, W, C) with every 2x2 of places as the channels of one: (..., H/2, W/2, 4C)."""
    height, width = x.shape[-3:-1]
    x = nn.functional.pad(x, (0, 0, 0, width % 2, 0, height % 2))
    parts = [x[..., i::2, j::2, :] for j in (0, 1) for i in (0, 1)]
    return cat(parts, -1)


class PatchMerging(nn.Module):
    """Half of the places on each side, twice the channels: (..., H, W, C)."""

    def __init__(self, dim: int, norm_layer: Layer = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(4 * dim)

    def forward(self, x: Tensor) -> Tensor:
        merged: Tensor = self.reduction(self.norm(_quarters(x)))
        return merged


class PatchMergingV2(nn.Module):
    """PatchMerging with the norm at the end."""

    def __init__(self, dim: int, norm_layer: Layer = nn.LayerNorm) -> None:
        super().__init__()
        self.dim = dim
        self.reduction = nn.Linear(4 * dim, 2 * dim, bias=False)
        self.norm = norm_layer(2 * dim)

    def forward(self, x: Tensor) -> Tensor:
        merged: Tensor = self.norm(self.reduction(_quarters(x)))
        return merged


# ---- attention -----------------------------------------------------------------------------------


@functools.lru_cache(maxsize=64)
def _mask(
    size: tuple[int, int], window: tuple[int, int], shift: tuple[int, int]
) -> NDArray[np.float32]:
    """(windows, places, places): MASKED between places that were not neighbours before the roll."""
    regions = np.zeros(size, np.int64)
    for axis in (0, 1):
        places = np.arange(size[axis])
        region = (places >= size[axis] - window[axis]).astype(np.int64)
        region += places >= size[axis] - shift[axis]
        if not shift[axis]:
            region[:] = 0
        regions = regions * 3 + (region[:, None] if axis == 0 else region)
    rows, columns = size[0] // window[0], size[1] // window[1]
    tiles = regions.reshape(rows, window[0], columns, window[1]).transpose(0, 2, 1, 3)
    tiles = tiles.reshape(rows * columns, -1)
    return np.where(tiles[:, None] != tiles[:, :, None], MASKED, 0.0).astype(np.float32)


def _windows(x: Tensor, window: tuple[int, int]) -> Tensor:
    """(N, H, W, C) as (N * windows, places, C)."""
    count, height, width, channels = x.shape
    x = x.view(
        count, height // window[0], window[0], width // window[1], window[1], channels
    ).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, window[0] * window[1], channels)


def _joined(x: Tensor, window: tuple[int, int], size: tuple[int, int]) -> Tensor:
    """_windows undone: (N, H, W, C)."""
    rows, columns = size[0] // window[0], size[1] // window[1]
    channels = x.shape[-1]
    x = x.view(-1, rows, columns, *window, channels).permute(0, 1, 3, 2, 4, 5)
    return x.reshape(-1, *size, channels)


def _attended(
    windows: Tensor,
    qkv: Tensor,
    heads: int,
    bias: Tensor,
    logit_scale: Tensor | None,
    mask: Tensor | None,
    dropout: tuple[float, bool],
) -> Tensor:
    """What the places of each window see of each other: (windows, places, C)."""
    count, places, channels = windows.shape
    parts = qkv.reshape(count, places, 3, heads, channels // heads).permute(2, 0, 3, 1, 4)
    query, key, value = parts[0], parts[1], parts[2]
    if logit_scale is None:
        query = query * (channels // heads) ** -0.5
        logits = query @ key.transpose(-2, -1)
    else:
        alike = nn.functional.normalize(query, dim=-1) @ nn.functional.normalize(
            key, dim=-1
        ).transpose(-2, -1)
        logits = alike * logit_scale.clamp(max=LARGEST_SCALE).exp()
    logits = logits + bias
    if mask is not None:
        each = mask.shape[0]
        logits = logits.view(count // each, each, heads, places, places)
        logits = (logits + mask.unsqueeze(1).unsqueeze(0)).view(-1, heads, places, places)
    weights = nn.functional.dropout(logits.softmax(-1), *dropout)
    return (weights @ value).transpose(1, 2).reshape(count, places, channels)


def shifted_window_attention(
    input: Tensor,
    qkv_weight: Tensor,
    proj_weight: Tensor,
    relative_position_bias: Tensor,
    window_size: Sequence[int],
    num_heads: int,
    shift_size: Sequence[int],
    attention_dropout: float = 0.0,
    dropout: float = 0.0,
    qkv_bias: Tensor | None = None,
    proj_bias: Tensor | None = None,
    logit_scale: Tensor | None = None,
    training: bool = True,
) -> Tensor:
    """Attention of (N, H, W, C) inside windows, which are rolled by shift_size before.

    With a logit_scale the logits are cosines (the second paper), and keys have no bias.
    """
    height, width = input.shape[1:3]
    window = (window_size[0], window_size[1])
    below, right = -height % window[0], -width % window[1]
    x = nn.functional.pad(input, (0, 0, 0, right, 0, below))
    size = (height + below, width + right)
    # A window that holds everything along an axis has nothing to be shifted against.
    down = 0 if window[0] >= size[0] else shift_size[0]
    over = 0 if window[1] >= size[1] else shift_size[1]
    mask = None
    if down or over:
        x = x.roll((-down, -over), (1, 2))
        mask = from_numpy(_mask(size, window, (down, over))).to(input.dtype)
    windows = _windows(x, window)
    if logit_scale is not None and qkv_bias is not None:
        third = qkv_bias.shape[0] // 3
        qkv_bias = cat([qkv_bias[:third], zeros(third).to(qkv_bias.dtype), qkv_bias[2 * third :]])
    qkv = nn.functional.linear(windows, qkv_weight, qkv_bias)
    seen = _attended(
        windows,
        qkv,
        num_heads,
        relative_position_bias,
        logit_scale,
        mask,
        (attention_dropout, training),
    )
    seen = nn.functional.dropout(
        nn.functional.linear(seen, proj_weight, proj_bias), dropout, training
    )
    out = _joined(seen, window, size)
    if down or over:
        out = out.roll((down, over), (1, 2))
    return out[:, :height, :width]


class ShiftedWindowAttention(nn.Module):
    """Attention of (N, H, W, C) in windows, with a learned bias for each offset in one.

    ValueError where window_size or shift_size has not two numbers.
    """

    relative_position_index: Tensor

    def __init__(
        self,
        dim: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__()
        if len(window_size) != 2 or len(shift_size) != 2:
            raise ValueError("window_size and shift_size must be of length 2")
        self.window_size = window_size
        self.shift_size = shift_size
        self.num_heads = num_heads
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.qkv = nn.Linear(dim, dim * 3, bias=qkv_bias)
        self.proj = nn.Linear(dim, dim, bias=proj_bias)
        self.define_relative_position_bias_table()
        self.define_relative_position_index()

    def define_relative_position_bias_table(self) -> None:
        """A bias for each offset between two places of a window, for each head."""
        down, over = self.window_size
        offsets = (2 * down - 1) * (2 * over - 1)
        self.relative_position_bias_table = nn.Parameter(zeros(offsets, self.num_heads))
        nn.init.trunc_normal_(self.relative_position_bias_table, std=0.02)

    def define_relative_position_index(self) -> None:
        """Which offset lies between every two places of a window, in order of rows."""
        down, over = self.window_size
        row, column = (grid.ravel() for grid in np.indices((down, over)))
        rows = row[:, None] - row + down - 1
        columns = column[:, None] - column + over - 1
        index = (rows * (2 * over - 1) + columns).ravel()
        self.register_buffer("relative_position_index", from_numpy(index.astype(np.int64)))

    def _biases(self) -> Tensor:
        return self.relative_position_bias_table

    def get_relative_position_bias(self) -> Tensor:
        """The bias of every two places: (1, heads, places, places)."""
        places = self.window_size[0] * self.window_size[1]
        chosen = self._biases()[self.relative_position_index]
        return chosen.view(places, places, -1).permute(2, 0, 1).unsqueeze(0)

    def _scale(self) -> Tensor | None:
        return None

    def forward(self, x: Tensor) -> Tensor:
        return shifted_window_attention(
            x,
            self.qkv.weight,
            self.proj.weight,
            self.get_relative_position_bias(),
            self.window_size,
            self.num_heads,
            self.shift_size,
            self.attention_dropout,
            self.dropout,
            self.qkv.bias,
            self.proj.bias,
            self._scale(),
            self.training,
        )


class ShiftedWindowAttentionV2(ShiftedWindowAttention):
    """Cosines for logits, and biases that a small network makes of the offsets' logarithms."""

    relative_coords_table: Tensor

    def __init__(
        self,
        dim: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        num_heads: int,
        qkv_bias: bool = True,
        proj_bias: bool = True,
        attention_dropout: float = 0.0,
        dropout: float = 0.0,
    ) -> None:
        super().__init__(
            dim,
            window_size,
            shift_size,
            num_heads,
            qkv_bias,
            proj_bias,
            attention_dropout,
            dropout,
        )
        self.logit_scale = nn.Parameter(full((num_heads, 1, 1), math.log(10.0)))
        self.cpb_mlp = nn.Sequential(
            nn.Linear(2, 512, bias=True),
            nn.ReLU(inplace=True),
            nn.Linear(512, num_heads, bias=False),
        )
        if self.qkv.bias is not None:
            third = self.qkv.bias.shape[0] // 3
            self.qkv.bias.data[third : 2 * third] = 0

    def define_relative_position_bias_table(self) -> None:
        """Offsets on a scale of logarithms (the second paper's equation 4), -1..1 near there."""
        down, over = self.window_size
        grid = np.indices((2 * down - 1, 2 * over - 1)).transpose(1, 2, 0).astype(np.float32)
        ends = np.array([down - 1, over - 1], np.float32)
        offsets = (grid - ends) / ends * 8
        table = np.sign(offsets) * np.log2(np.abs(offsets) + 1) / np.float32(3)
        self.register_buffer("relative_coords_table", from_numpy(table[None].astype(np.float32)))

    def _biases(self) -> Tensor:
        made: Tensor = self.cpb_mlp(self.relative_coords_table)
        return made.view(-1, self.num_heads)

    def get_relative_position_bias(self) -> Tensor:
        """The bias of every two places, in 0..16: (1, heads, places, places)."""
        return 16 * super().get_relative_position_bias().sigmoid()

    def _scale(self) -> Tensor | None:
        return self.logit_scale


# ---- blocks and the network ----------------------------------------------------------------------


class SwinTransformerBlock(nn.Module):
    """Attention in windows, then a perceptron, each after its norm: (N, H, W, C)."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.0,
        norm_layer: Layer = nn.LayerNorm,
        attn_layer: Layer = ShiftedWindowAttention,
    ) -> None:
        super().__init__()
        self.norm1 = norm_layer(dim)
        self.attn = attn_layer(
            dim,
            window_size,
            shift_size,
            num_heads,
            attention_dropout=attention_dropout,
            dropout=dropout,
        )
        self.stochastic_depth = StochasticDepth(stochastic_depth_prob, "row")
        self.norm2 = norm_layer(dim)
        self.mlp = MLP(dim, [int(dim * mlp_ratio), dim], activation_layer=nn.GELU, dropout=dropout)
        for module in self.mlp.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.stochastic_depth(self.attn(self.norm1(x)))
        out: Tensor = x + self.stochastic_depth(self.mlp(self.norm2(x)))
        return out


class SwinTransformerBlockV2(SwinTransformerBlock):
    """SwinTransformerBlock with the norms behind attention and perceptron."""

    def __init__(
        self,
        dim: int,
        num_heads: int,
        window_size: Sequence[int],
        shift_size: Sequence[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.0,
        norm_layer: Layer = nn.LayerNorm,
        attn_layer: Layer = ShiftedWindowAttentionV2,
    ) -> None:
        super().__init__(
            dim,
            num_heads,
            window_size,
            shift_size,
            mlp_ratio,
            dropout,
            attention_dropout,
            stochastic_depth_prob,
            norm_layer,
            attn_layer,
        )

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.stochastic_depth(self.norm1(self.attn(x)))
        out: Tensor = x + self.stochastic_depth(self.norm2(self.mlp(x)))
        return out


class SwinTransformer(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes)."""

    def __init__(
        self,
        patch_size: Sequence[int],
        embed_dim: int,
        depths: Sequence[int],
        num_heads: Sequence[int],
        window_size: Sequence[int],
        mlp_ratio: float = 4.0,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        stochastic_depth_prob: float = 0.1,
        num_classes: int = 1000,
        norm_layer: Layer | None = None,
        block: Layer | None = None,
        downsample_layer: Layer = PatchMerging,
    ) -> None:
        super().__init__()
        self.num_classes = num_classes
        make = block or SwinTransformerBlock
        norm = norm_layer or functools.partial(nn.LayerNorm, eps=1e-5)
        patch = (patch_size[0], patch_size[1])
        layers: list[nn.Module] = [
            nn.Sequential(
                nn.Conv2d(3, embed_dim, patch, patch), Permute([0, 2, 3, 1]), norm(embed_dim)
            )
        ]
        last = max(1, sum(depths) - 1)
        done = 0
        width = embed_dim
        for stage, (depth, heads) in enumerate(zip(depths, num_heads, strict=True)):
            blocks = []
            for index in range(depth):
                blocks.append(
                    make(
                        width,
                        heads,
                        window_size=window_size,
                        shift_size=[side // 2 if index % 2 else 0 for side in window_size],
                        mlp_ratio=mlp_ratio,
                        dropout=dropout,
                        attention_dropout=attention_dropout,
                        stochastic_depth_prob=stochastic_depth_prob * done / last,
                        norm_layer=norm,
                    )
                )
                done += 1
            layers.append(nn.Sequential(*blocks))
            if stage < len(depths) - 1:
                layers.append(downsample_layer(width, norm))
                width *= 2
        self.features = nn.Sequential(*layers)
        self.norm = norm(width)
        self.permute = Permute([0, 3, 1, 2])
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.flatten: Callable[[Tensor], Tensor] = nn.Flatten(1)
        self.head = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                constant(module)

    def forward(self, x: Tensor) -> Tensor:
        x = self.permute(self.norm(self.features(x)))
        scores: Tensor = self.head(self.flatten(self.avgpool(x)))
        return scores


# ---- the models ----------------------------------------------------------------------------------

# Width of the first stage, depths, heads; how often blocks are left out in training.
SIZES = {
    "t": (96, [2, 2, 6, 2], [3, 6, 12, 24], 0.2),
    "s": (96, [2, 2, 18, 2], [3, 6, 12, 24], 0.3),
    "b": (128, [2, 2, 18, 2], [4, 8, 16, 32], 0.5),
}


def _first(size: str, kwargs: dict[str, Any]) -> SwinTransformer:
    width, depths, heads, dropped = SIZES[size]
    kwargs.setdefault("stochastic_depth_prob", dropped)
    return SwinTransformer([4, 4], width, depths, heads, [7, 7], **kwargs)


def _second(size: str, kwargs: dict[str, Any]) -> SwinTransformer:
    width, depths, heads, dropped = SIZES[size]
    kwargs.setdefault("stochastic_depth_prob", dropped)
    return SwinTransformer(
        [4, 4],
        width,
        depths,
        heads,
        [8, 8],
        block=SwinTransformerBlockV2,
        downsample_layer=PatchMergingV2,
        **kwargs,
    )


Swin_T_Weights = published("Swin_T_Weights")
Swin_S_Weights = published("Swin_S_Weights")
Swin_B_Weights = published("Swin_B_Weights")
Swin_V2_T_Weights = published("Swin_V2_T_Weights")
Swin_V2_S_Weights = published("Swin_V2_S_Weights")
Swin_V2_B_Weights = published("Swin_V2_B_Weights")


@builder(Swin_T_Weights)
def swin_t(**kwargs: Any) -> SwinTransformer:
    """The tiny Swin transformer; other arguments are SwinTransformer's."""
    return _first("t", kwargs)


@builder(Swin_S_Weights)
def swin_s(**kwargs: Any) -> SwinTransformer:
    """The small Swin transformer; other arguments are SwinTransformer's."""
    return _first("s", kwargs)


@builder(Swin_B_Weights)
def swin_b(**kwargs: Any) -> SwinTransformer:
    """The base Swin transformer; other arguments are SwinTransformer's."""
    return _first("b", kwargs)


@builder(Swin_V2_T_Weights)
def swin_v2_t(**kwargs: Any) -> SwinTransformer:
    """The tiny Swin transformer V2; other arguments are SwinTransformer's."""
    return _second("t", kwargs)


@builder(Swin_V2_S_Weights)
def swin_v2_s(**kwargs: Any) -> SwinTransformer:
    """The small Swin transformer V2; other arguments are SwinTransformer's."""
    return _second("s", kwargs)


@builder(Swin_V2_B_Weights)
def swin_v2_b(**kwargs: Any) -> SwinTransformer:
    """The base Swin transformer V2; other arguments are SwinTransformer's."""
    return _second("b", kwargs)
