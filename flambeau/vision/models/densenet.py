"""DenseNet: every layer sees all before it (Huang et al., arXiv:1608.06993)."""

from __future__ import annotations

import re
from typing import Any

import flambeau.nn as nn
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor
from flambeau.utils.checkpoint import checkpoint
from flambeau.vision.models._api import WeightsEnum, builder, published
from flambeau.vision.models.drawing import constant

__all__ = [
    "DenseNet", "DenseNet121_Weights", "DenseNet161_Weights", "DenseNet169_Weights",
    "DenseNet201_Weights", "densenet121", "densenet161", "densenet169", "densenet201",
]  # fmt: skip


class _DenseLayer(nn.Module):
    def __init__(
        self, inside: int, growth_rate: int, bn_size: int, drop_rate: float, memory_efficient: bool
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(inside)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(inside, bn_size * growth_rate, 1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, 3, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def _narrowed(self, *before: Tensor) -> Tensor:
        narrow: Tensor = self.conv1(self.relu1(self.norm1(cat(list(before), 1))))
        return narrow

    def forward(self, input: Tensor | list[Tensor]) -> Tensor:
        before = [input] if isinstance(input, Tensor) else input
        if self.memory_efficient and any(one.requires_grad for one in before):
            narrow = checkpoint(self._narrowed, *before, use_reentrant=False)
        else:
            narrow = self._narrowed(*before)
        new: Tensor = self.conv2(self.relu2(self.norm2(narrow)))
        if self.drop_rate > 0:
            new = nn.functional.dropout(new, p=self.drop_rate, training=self.training)
        return new


class _DenseBlock(nn.ModuleDict):
    def __init__(
        self,
        num_layers: int,
        inside: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool,
    ) -> None:
        super().__init__()
        rest = (growth_rate, bn_size, drop_rate, memory_efficient)
        for index in range(num_layers):
            layer = _DenseLayer(inside + index * growth_rate, *rest)
            self.add_module(f"denselayer{index + 1}", layer)

    def forward(self, init_features: Tensor) -> Tensor:
        seen = [init_features]
        for layer in self.values():
            seen.append(layer(seen))
        return cat(seen, 1)


class _Transition(nn.Sequential):
    def __init__(self, inside: int, outside: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(inside)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(inside, outside, 1, bias=False)
        self.pool = nn.AvgPool2d(2, 2)


class DenseNet(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes).

    memory_efficient leaves it to utils.checkpoint whether the joined maps of layers are kept.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: tuple[int, ...] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        self.features = nn.Sequential()
        self.features.add_module("conv0", nn.Conv2d(3, num_init_features, 7, 2, 3, bias=False))
        self.features.add_module("norm0", nn.BatchNorm2d(num_init_features))
        self.features.add_module("relu0", nn.ReLU(inplace=True))
        self.features.add_module("pool0", nn.MaxPool2d(3, 2, 1))
        width = num_init_features
        for index, layers in enumerate(block_config, 1):
            block = _DenseBlock(layers, width, bn_size, growth_rate, drop_rate, memory_efficient)
            self.features.add_module(f"denseblock{index}", block)
            width += layers * growth_rate
            if index != len(block_config):
                self.features.add_module(f"transition{index}", _Transition(width, width // 2))
                width //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(width))
        self.classifier = nn.Linear(width, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                constant(module, 1.0)
            elif isinstance(module, nn.Linear):
                constant(module)

    def forward(self, x: Tensor) -> Tensor:
        features = nn.functional.relu(self.features(x), inplace=True)
        pooled = nn.functional.adaptive_avg_pool2d(features, (1, 1))
        scores: Tensor = self.classifier(pooled.flatten(1))
        return scores


# The files were saved when layers' names still had a point: norm.1 is norm1 here.
_OLD_NAME = re.compile(r"(\.denselayer\d+\.(?:norm|relu|conv))\.(?=[12]\.)")


def _load(model: DenseNet, weights: WeightsEnum, progress: bool) -> None:
    state = weights.get_state_dict(progress=progress, check_hash=True)
    model.load_state_dict({_OLD_NAME.sub(r"\1", name): value for name, value in state.items()})


DenseNet121_Weights = published("DenseNet121_Weights")
DenseNet161_Weights = published("DenseNet161_Weights")
DenseNet169_Weights = published("DenseNet169_Weights")
DenseNet201_Weights = published("DenseNet201_Weights")


@builder(DenseNet121_Weights, _load)
def densenet121(**kwargs: Any) -> DenseNet:
    """DenseNet-121; other arguments are DenseNet's."""
    return DenseNet(32, (6, 12, 24, 16), 64, **kwargs)


@builder(DenseNet161_Weights, _load)
def densenet161(**kwargs: Any) -> DenseNet:
    """DenseNet-161; other arguments are DenseNet's."""
    return DenseNet(48, (6, 12, 36, 24), 96, **kwargs)


@builder(DenseNet169_Weights, _load)
def densenet169(**kwargs: Any) -> DenseNet:
    """DenseNet-169; other arguments are DenseNet's."""
    return DenseNet(32, (6, 12, 32, 32), 64, **kwargs)


@builder(DenseNet201_Weights, _load)
def densenet201(**kwargs: Any) -> DenseNet:
    """DenseNet-201; other arguments are DenseNet's."""
    return DenseNet(32, (6, 12, 48, 32), 64, **kwargs)
