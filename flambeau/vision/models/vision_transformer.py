"""The vision transformer: an image as a sequence of patches (Dosovitskiy et al., 2010.11929)."""

from __future__ import annotations

import functools
import math
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, NamedTuple

import flambeau.nn as nn
from flambeau._C import _assert
from flambeau.functional.creation import empty, zeros
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import WeightsEnum, builder, fix, published
from flambeau.vision.models.drawing import constant
from flambeau.vision.ops.layers import MLP, Conv2dNormActivation, Layer

__all__ = [
    "ViT_B_16_Weights", "ViT_B_32_Weights", "ViT_H_14_Weights", "ViT_L_16_Weights",
    "ViT_L_32_Weights", "VisionTransformer", "vit_b_16", "vit_b_32", "vit_h_14", "vit_l_16",
    "vit_l_32",
]  # fmt: skip

NORM: Layer = functools.partial(nn.LayerNorm, eps=1e-6)


class ConvStemConfig(NamedTuple):
    """One convolution before the transformer, in the place of one large patch."""

    out_channels: int
    kernel_size: int
    stride: int
    norm_layer: Layer = nn.BatchNorm2d
    activation_layer: Layer = nn.ReLU


class MLPBlock(MLP):
    """Two linear layers with GELU between them."""

    def __init__(self, in_dim: int, mlp_dim: int, dropout: float) -> None:
        super().__init__(in_dim, [mlp_dim, in_dim], activation_layer=nn.GELU, dropout=dropout)
        for module in self.modules():
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.xavier_uniform_(module.weight)
                nn.init.normal_(module.bias, std=1e-6)

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, *args: Any, **kwargs: Any
    ) -> None:
        # Older states, the published ones among them, call the layers linear_1 and linear_2.
        for old, new in (("linear_1", "0"), ("linear_2", "3")):
            for kind in ("weight", "bias"):
                key = f"{prefix}{old}.{kind}"
                if key in state_dict:
                    state_dict[f"{prefix}{new}.{kind}"] = state_dict.pop(key)
        super()._load_from_state_dict(state_dict, prefix, *args, **kwargs)


def _check_sequence(input: Tensor) -> None:
    _assert(input.dim() == 3, f"Expected (batch_size, seq_length, hidden_dim) got {input.shape}")


class EncoderBlock(nn.Module):
    """Attention, then a perceptron, each after its norm and beside a shortcut: (N, S, D)."""

    def __init__(
        self,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = NORM,
    ) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.ln_1 = norm_layer(hidden_dim)
        self.self_attention = nn.MultiheadAttention(
            hidden_dim, num_heads, dropout=attention_dropout, batch_first=True
        )
        self.dropout = nn.Dropout(dropout)
        self.ln_2 = norm_layer(hidden_dim)
        self.mlp = MLPBlock(hidden_dim, mlp_dim, dropout)

    def forward(self, input: Tensor) -> Tensor:
        _check_sequence(input)
        x = self.ln_1(input)
        x, _ = self.self_attention(x, x, x, need_weights=False)
        x = self.dropout(x) + input
        out: Tensor = x + self.mlp(self.ln_2(x))
        return out


class Encoder(nn.Module):
    """Learned positions, blocks, a last norm: (N, S, D) with S = seq_length."""

    def __init__(
        self,
        seq_length: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float,
        attention_dropout: float,
        norm_layer: Layer = NORM,
    ) -> None:
        super().__init__()
        self.pos_embedding = nn.Parameter(empty(1, seq_length, hidden_dim).normal_(std=0.02))
        self.dropout = nn.Dropout(dropout)
        layers: OrderedDict[str, nn.Module] = OrderedDict()
        for index in range(num_layers):
            layers[f"encoder_layer_{index}"] = EncoderBlock(
                num_heads, hidden_dim, mlp_dim, dropout, attention_dropout, norm_layer
            )
        self.layers = nn.Sequential(layers)
        self.ln = norm_layer(hidden_dim)

    def forward(self, input: Tensor) -> Tensor:
        _check_sequence(input)
        out: Tensor = self.ln(self.layers(self.dropout(input + self.pos_embedding)))
        return out


class VisionTransformer(nn.Module):
    """Images (N, 3, image_size, image_size) to class scores (N, num_classes).

    AssertionError where image_size is no multiple of patch_size, or images have another size.
    """

    def __init__(
        self,
        image_size: int,
        patch_size: int,
        num_layers: int,
        num_heads: int,
        hidden_dim: int,
        mlp_dim: int,
        dropout: float = 0.0,
        attention_dropout: float = 0.0,
        num_classes: int = 1000,
        representation_size: int | None = None,
        norm_layer: Layer = NORM,
        conv_stem_configs: list[ConvStemConfig] | None = None,
    ) -> None:
        super().__init__()
        if image_size % patch_size:
            raise AssertionError("Input shape indivisible by patch size!")
        self.image_size = image_size
        self.patch_size = patch_size
        self.hidden_dim = hidden_dim
        self.mlp_dim = mlp_dim
        self.attention_dropout = attention_dropout
        self.dropout = dropout
        self.num_classes = num_classes
        self.representation_size = representation_size
        self.norm_layer = norm_layer
        self.conv_proj = _stem(conv_stem_configs, patch_size, hidden_dim)
        self.seq_length = (image_size // patch_size) ** 2 + 1
        self.class_token = nn.Parameter(zeros(1, 1, hidden_dim))
        self.encoder = Encoder(
            self.seq_length,
            num_layers,
            num_heads,
            hidden_dim,
            mlp_dim,
            dropout,
            attention_dropout,
            norm_layer,
        )
        heads: OrderedDict[str, nn.Module] = OrderedDict()
        inside = hidden_dim
        if representation_size is not None:
            heads["pre_logits"] = nn.Linear(hidden_dim, representation_size)
            heads["act"] = nn.Tanh()
            inside = representation_size
        heads["head"] = nn.Linear(inside, num_classes)
        self.heads = nn.Sequential(heads)
        self._draw()

    def _draw(self) -> None:
        last = self.conv_proj
        if isinstance(last, nn.Conv2d):
            fan_in = last.in_channels * math.prod(last.kernel_size)
            nn.init.trunc_normal_(last.weight, std=math.sqrt(1 / fan_in))
        else:
            last = self.conv_proj.conv_last
            nn.init.normal_(last.weight, mean=0.0, std=math.sqrt(2.0 / last.out_channels))
        constant(last)
        if self.representation_size is not None:
            first = self.heads.pre_logits
            nn.init.trunc_normal_(first.weight, std=math.sqrt(1 / first.in_features))
            constant(first)
        constant(self.heads.head, 0.0)

    def _process_input(self, x: Tensor) -> Tensor:
        """Images as sequences of patches: (N, S, D)."""
        _, _, height, width = x.shape
        for name, size in (("height", height), ("width", width)):
            told = f"Wrong image {name}! Expected {self.image_size} but got {size}!"
            _assert(size == self.image_size, told)
        patches: Tensor = self.conv_proj(x)
        return patches.flatten(2).permute(0, 2, 1)

    def forward(self, x: Tensor) -> Tensor:
        x = self._process_input(x)
        token = self.class_token.expand(x.shape[0], -1, -1)
        scores: Tensor = self.heads(self.encoder(cat([token, x], 1))[:, 0])
        return scores


def _stem(stages: list[ConvStemConfig] | None, patch_size: int, hidden_dim: int) -> Any:
    if stages is None:
        return nn.Conv2d(3, hidden_dim, patch_size, patch_size)
    layers: OrderedDict[str, nn.Module] = OrderedDict()
    inside = 3
    for index, stage in enumerate(stages):
        layers[f"conv_bn_relu_{index}"] = Conv2dNormActivation(
            inside,
            stage.out_channels,
            stage.kernel_size,
            stage.stride,
            norm_layer=stage.norm_layer,
            activation_layer=stage.activation_layer,
        )
        inside = stage.out_channels
    layers["conv_last"] = nn.Conv2d(inside, hidden_dim, 1)
    return nn.Sequential(layers)


def interpolate_embeddings(
    image_size: int,
    patch_size: int,
    model_state: Mapping[str, Tensor],
    interpolation_mode: str = "bicubic",
    reset_heads: bool = False,
) -> Mapping[str, Tensor]:
    """A state whose positions fit images of another size; reset_heads leaves the heads out.

    ValueError where the positions are not (1, a square and one, D).
    """
    key = "encoder.pos_embedding"
    held = model_state[key]
    count, length, width = held.shape
    if count != 1:
        raise ValueError(f"Unexpected position embedding shape: {held.shape}")
    side = image_size // patch_size
    if side**2 + 1 == length:
        return model_state
    before = math.isqrt(length - 1)
    if before**2 != length - 1:
        raise ValueError(
            "seq_length is not a perfect square! Instead got seq_length_1d * seq_length_1d = "
            f"{before**2} and seq_length = {length}"
        )
    token, grid = held[:, :1], held[:, 1:]
    grid = grid.permute(0, 2, 1).reshape(1, width, before, before)
    resized: Tensor = nn.functional.interpolate(
        grid, size=side, mode=interpolation_mode, align_corners=True
    )
    places = resized.reshape(1, width, side**2).permute(0, 2, 1)
    state = OrderedDict(model_state)
    state[key] = cat([token, places], 1)
    if reset_heads:
        for name in [name for name in state if name.startswith("heads")]:
            del state[name]
    return state


# ---- the models ----------------------------------------------------------------------------------


def _sized(weights: WeightsEnum, kwargs: dict[str, Any]) -> None:
    fix(kwargs, "image_size", weights.meta["min_size"][0])


ViT_B_16_Weights = published("ViT_B_16_Weights")
ViT_B_32_Weights = published("ViT_B_32_Weights")
ViT_L_16_Weights = published("ViT_L_16_Weights")
ViT_L_32_Weights = published("ViT_L_32_Weights")
ViT_H_14_Weights = published("ViT_H_14_Weights")


@builder(ViT_B_16_Weights, prepared=_sized)
def vit_b_16(image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """The base transformer, patches of 16; other arguments are VisionTransformer's."""
    return VisionTransformer(image_size, 16, 12, 12, 768, 3072, **kwargs)


@builder(ViT_B_32_Weights, prepared=_sized)
def vit_b_32(image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """The base transformer, patches of 32; other arguments are VisionTransformer's."""
    return VisionTransformer(image_size, 32, 12, 12, 768, 3072, **kwargs)


@builder(ViT_L_16_Weights, prepared=_sized)
def vit_l_16(image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """The large transformer, patches of 16; other arguments are VisionTransformer's."""
    return VisionTransformer(image_size, 16, 24, 16, 1024, 4096, **kwargs)


@builder(ViT_L_32_Weights, prepared=_sized)
def vit_l_32(image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """The large transformer, patches of 32; other arguments are VisionTransformer's."""
    return VisionTransformer(image_size, 32, 24, 16, 1024, 4096, **kwargs)


@builder(ViT_H_14_Weights, prepared=_sized, first=None)
def vit_h_14(image_size: int = 224, **kwargs: Any) -> VisionTransformer:
    """The huge transformer, patches of 14; other arguments are VisionTransformer's."""
    return VisionTransformer(image_size, 14, 32, 16, 1280, 5120, **kwargs)
