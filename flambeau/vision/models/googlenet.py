"""GoogLeNet: convolutions of several sizes side by side (Szegedy et al., arXiv:1409.4842).

With batch normalisation, and 3x3 convolutions where the paper has 5x5 ones.
"""

from __future__ import annotations

import warnings
from typing import Any, NamedTuple

import flambeau.nn as nn
from flambeau.functional.joining import cat, stack
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import WeightsEnum, builder, fix, published
from flambeau.vision.models.drawing import constant
from flambeau.vision.ops.layers import Layer

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "GoogLeNet_Weights", "_GoogLeNetOutputs", "googlenet"]

# What images normalised by ImageNet's statistics become: as if by mean 0.5 and deviation 0.5.
RENORMALISED = (
    (0.229 / 0.5, (0.485 - 0.5) / 0.5),
    (0.224 / 0.5, (0.456 - 0.5) / 0.5),
    (0.225 / 0.5, (0.406 - 0.5) / 0.5),
)
LATER = (
    "The default weight initialization of {} will be changed in future releases of torchvision. "
    "If you wish to keep the old behavior (which leads to long initialization times due to "
    "scipy/scipy#11299), please set init_weights=True."
)


class GoogLeNetOutputs(NamedTuple):
    """Scores (N, num_classes): those of the network, and of two heads inside it."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


_GoogLeNetOutputs = GoogLeNetOutputs


def renormalised(x: Tensor) -> Tensor:
    """Images (N, 3, H, W) normalised by ImageNet's statistics, as the first training had them."""
    return stack([x[:, i] * scale + shift for i, (scale, shift) in enumerate(RENORMALISED)], 1)


class BasicConv2d(nn.Module):
    """A convolution without bias, a norm, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.relu(self.bn(self.conv(x)), inplace=True)


class Inception(nn.Module):
    """Four branches over the same input, their channels side by side."""

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: Layer | None = None,
    ) -> None:
        super().__init__()
        made = conv_block or BasicConv2d
        self.branch1 = made(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            made(in_channels, ch3x3red, kernel_size=1),
            made(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            made(in_channels, ch5x5red, kernel_size=1),
            made(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(3, 1, 1, ceil_mode=True), made(in_channels, pool_proj, kernel_size=1)
        )

    def forward(self, x: Tensor) -> Tensor:
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A head inside the network, (N, C, H, W) to scores (N, num_classes), for training."""

    def __init__(
        self,
        in_channels: int,
        num_classes: int,
        conv_block: Layer | None = None,
        dropout: float = 0.7,
    ) -> None:
        super().__init__()
        self.conv = (conv_block or BasicConv2d)(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(128 * 4 * 4, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv(nn.functional.adaptive_avg_pool2d(x, (4, 4)))
        x = nn.functional.relu(self.fc1(x.flatten(1)), inplace=True)
        scores: Tensor = self.fc2(self.dropout(x))
        return scores


# The paper's table 1: channels in; 1x1; 3x3, reduced and whole; 5x5, reduced and whole; pooled.
TABLE = {
    "3a": (192, 64, 96, 128, 16, 32, 32),
    "3b": (256, 128, 128, 192, 32, 96, 64),
    "4a": (480, 192, 96, 208, 16, 48, 64),
    "4b": (512, 160, 112, 224, 24, 64, 64),
    "4c": (512, 128, 128, 256, 24, 64, 64),
    "4d": (512, 112, 144, 288, 32, 64, 64),
    "4e": (528, 256, 160, 320, 32, 128, 128),
    "5a": (832, 256, 160, 320, 32, 128, 128),
    "5b": (832, 384, 192, 384, 48, 128, 128),
}


class GoogLeNet(nn.Module):
    """Images (N, 3, H, W) to class scores (N, num_classes), in training to GoogLeNetOutputs.

    transform_input takes images normalised by ImageNet's statistics. ValueError where blocks are
    not three.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        blocks: list[Layer] | None = None,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        conv, block, head = blocks_of(
            blocks, [BasicConv2d, Inception, InceptionAux], "blocks length"
        )
        if init_weights is None:
            warnings.warn(LATER.format("GoogleNet"), FutureWarning, stacklevel=2)
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.conv2 = conv(64, 64, kernel_size=1)
        self.conv3 = conv(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception3a = block(*TABLE["3a"])
        self.inception3b = block(*TABLE["3b"])
        self.maxpool3 = nn.MaxPool2d(3, 2, ceil_mode=True)
        self.inception4a = block(*TABLE["4a"])
        self.inception4b = block(*TABLE["4b"])
        self.inception4c = block(*TABLE["4c"])
        self.inception4d = block(*TABLE["4d"])
        self.inception4e = block(*TABLE["4e"])
        self.maxpool4 = nn.MaxPool2d(2, 2, ceil_mode=True)
        self.inception5a = block(*TABLE["5a"])
        self.inception5b = block(*TABLE["5b"])
        self.aux1: nn.Module | None = None
        self.aux2: nn.Module | None = None
        if aux_logits:
            self.aux1 = head(512, num_classes, dropout=dropout_aux)
            self.aux2 = head(528, num_classes, dropout=dropout_aux)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights is None or init_weights:
            for module in self.modules():
                draw(module, 0.01)

    def _transform_input(self, x: Tensor) -> Tensor:
        return renormalised(x) if self.transform_input else x

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        x = self.maxpool1(self.conv1(x))
        x = self.maxpool2(self.conv3(self.conv2(x)))
        x = self.maxpool3(self.inception3b(self.inception3a(x)))
        x = self.inception4a(x)
        heads = self.training and self.aux_logits
        first = self.aux1(x) if heads and self.aux1 is not None else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))
        second = self.aux2(x) if heads and self.aux2 is not None else None
        x = self.maxpool4(self.inception4e(x))
        x = self.inception5b(self.inception5a(x))
        return self.fc(self.dropout(self.avgpool(x).flatten(1))), second, first

    def forward(self, x: Tensor) -> GoogLeNetOutputs | Tensor:
        scores, second, first = self._forward(self._transform_input(x))
        if self.training and self.aux_logits:
            return GoogLeNetOutputs(scores, second, first)
        return scores


def blocks_of(given: list[Layer] | None, own: list[Layer], told: str) -> list[Layer]:
    """The classes a network is built from. ValueError where there are too few or too many."""
    if given is not None and len(given) != len(own):
        raise ValueError(f"{told} should be {len(own)} instead of {len(given)}")
    return own if given is None else given


def draw(module: nn.Module, deviation: float) -> None:
    """Weights normal within -2..2, norms the identity; biases stay as they are."""
    if isinstance(module, (nn.Conv2d, nn.Linear)):
        nn.init.trunc_normal_(module.weight, mean=0.0, std=deviation, a=-2, b=2)
    elif isinstance(module, nn.BatchNorm2d):
        constant(module, 1.0)


def _prepared(weights: WeightsEnum, kwargs: dict[str, Any]) -> None:
    kwargs.setdefault("transform_input", True)
    if "aux_logits" in kwargs:
        fix(kwargs, "aux_logits", True)
        told = "auxiliary heads in the pretrained googlenet model are NOT pretrained"
        warnings.warn(f"{told}, so make sure to train them", stacklevel=3)
    else:
        kwargs["aux_logits"] = False
    fix(kwargs, "init_weights", False)


def _load(model: GoogLeNet, weights: WeightsEnum, progress: bool) -> None:
    state = weights.get_state_dict(progress=progress, check_hash=True)
    if not model.aux_logits:
        state = {name: value for name, value in state.items() if not name.startswith("aux")}
    model.load_state_dict(state)


GoogLeNet_Weights = published("GoogLeNet_Weights")


@builder(GoogLeNet_Weights, _load, _prepared)
def googlenet(**kwargs: Any) -> GoogLeNet:
    """GoogLeNet; arguments are GoogLeNet's. With weights, heads only where aux_logits=True."""
    return GoogLeNet(**kwargs)
