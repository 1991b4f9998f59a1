"""Classifiers as backbones of detectors: torchvision.models.detection.backbone_utils."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models import mobilenetv2, mobilenetv3, resnet
from flambeau.vision.models._api import get_model_weights
from flambeau.vision.models.intermediate import IntermediateLayerGetter
from flambeau.vision.ops.layers import FrozenBatchNorm2d, Layer
from flambeau.vision.ops.pyramids import (
    ExtraFPNBlock,
    FeaturePyramidNetwork,
    LastLevelMaxPool,
)

OUT = 256  # channels of every map of a pyramid


class BackboneWithFPN(nn.Module):
    """The named layers of a model, made a pyramid of out_channels: maps by name."""

    def __init__(
        self,
        backbone: nn.Module,
        return_layers: dict[str, str],
        in_channels_list: list[int],
        out_channels: int,
        extra_blocks: ExtraFPNBlock | None = None,
        norm_layer: Layer | None = None,
    ) -> None:
        super().__init__()
        self.body = IntermediateLayerGetter(backbone, return_layers)
        self.fpn = FeaturePyramidNetwork(
            in_channels_list, out_channels, extra_blocks or LastLevelMaxPool(), norm_layer
        )
        self.out_channels = out_channels

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        maps: OrderedDict[str, Tensor] = self.fpn(self.body(x))
        return maps


def freeze(blocks: Any) -> None:
    """Takes the parameters of some layers out of training."""
    for block in blocks:
        for parameter in block.parameters():
            parameter.requires_grad_(False)


def resnet_pyramid(
    backbone: resnet.ResNet,
    trainable_layers: int,
    returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
    norm_layer: Layer | None = None,
) -> BackboneWithFPN:
    """A ResNet as a pyramid of some of its layers 1 to 4, the last of which are trained.

    ValueError where there are no such layers.
    """
    if not 0 <= trainable_layers <= 5:
        raise ValueError(f"Trainable layers should be in the range [0,5], got {trainable_layers}")
    trained = ["layer4", "layer3", "layer2", "layer1", "conv1"][:trainable_layers]
    if trainable_layers == 5:
        trained.append("bn1")
    for name, parameter in backbone.named_parameters():
        if not name.startswith(tuple(trained)):
            parameter.requires_grad_(False)
    chosen = [1, 2, 3, 4] if returned_layers is None else returned_layers
    if min(chosen) <= 0 or max(chosen) >= 5:
        raise ValueError(f"Each returned layer should be in the range [1,4]. Got {chosen}")
    names = {f"layer{layer}": str(index) for index, layer in enumerate(chosen)}
    first = backbone.inplanes // 8
    widths = [first * 2 ** (layer - 1) for layer in chosen]
    return BackboneWithFPN(backbone, names, widths, OUT, extra_blocks, norm_layer)


def stages(features: Any) -> list[int]:
    """The layers of a MobileNet's features at which maps become smaller, and its last."""
    inner = [index for index, block in enumerate(features) if getattr(block, "_is_cn", False)]
    return [0, *inner, len(features) - 1]


def mobilenet_pyramid(
    backbone: Any,
    fpn: bool,
    trainable_layers: int,
    returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
    norm_layer: Layer | None = None,
) -> nn.Module:
    """A MobileNet as a pyramid of some of its stages, or (fpn False) as one map.

    ValueError where there are no such stages.
    """
    features = backbone.features
    places = stages(features)
    count = len(places)
    if not 0 <= trainable_layers <= count:
        raise ValueError(
            f"Trainable layers should be in the range [0,{count}], got {trainable_layers} "
        )
    freeze(features[: places[count - trainable_layers] if trainable_layers else len(features)])
    if not fpn:
        narrow: Any = nn.Sequential(features, nn.Conv2d(features[-1].out_channels, OUT, 1))
        narrow.out_channels = OUT
        whole: nn.Module = narrow
        return whole
    chosen = [count - 2, count - 1] if returned_layers is None else returned_layers
    if min(chosen) < 0 or max(chosen) >= count:
        raise ValueError(
            f"Each returned layer should be in the range [0,{count - 1}], got {chosen} "
        )
    names = {str(places[stage]): str(index) for index, stage in enumerate(chosen)}
    widths = [features[places[stage]].out_channels for stage in chosen]
    return BackboneWithFPN(features, names, widths, OUT, extra_blocks, norm_layer)


def _made(module: Any, name: str, weights: Any, norm_layer: Layer) -> Any:
    make = getattr(module, name, None)
    if make is None:
        raise ValueError(f"Unknown backbone {name}")
    if weights is not None:
        weights = get_model_weights(name).verify(weights)
    return make(weights=weights, norm_layer=norm_layer)


def resnet_fpn_backbone(
    *,
    backbone_name: str,
    weights: Any,
    norm_layer: Layer = FrozenBatchNorm2d,
    trainable_layers: int = 3,
    returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
) -> BackboneWithFPN:
    """A ResNet by its name as a pyramid, with published weights or None."""
    made = _made(resnet, backbone_name, weights, norm_layer)
    return resnet_pyramid(made, trainable_layers, returned_layers, extra_blocks)


def mobilenet_backbone(
    *,
    backbone_name: str,
    weights: Any,
    fpn: bool,
    norm_layer: Layer = FrozenBatchNorm2d,
    trainable_layers: int = 2,
    returned_layers: list[int] | None = None,
    extra_blocks: ExtraFPNBlock | None = None,
) -> nn.Module:
    """A MobileNet by its name as a pyramid or as one map, with published weights or None."""
    module = mobilenetv2 if hasattr(mobilenetv2, backbone_name) else mobilenetv3
    made = _made(module, backbone_name, weights, norm_layer)
    return mobilenet_pyramid(made, fpn, trainable_layers, returned_layers, extra_blocks)


def trained_layers(trained: bool, asked: int | None, most: int, usual: int) -> int:
    """How many layers of a backbone are trained: all of one that begins with random weights.

    ValueError where there are not so many.
    """
    if not trained:
        if asked is not None:
            warnings.warn(
                "Changing trainable_backbone_layers has no effect if neither pretrained nor "
                "pretrained_backbone have been set to True, falling back to "
                f"trainable_backbone_layers={most} so that all layers are trainable",
                stacklevel=3,
            )
        return most
    count = usual if asked is None else asked
    if not 0 <= count <= most:
        raise ValueError(
            f"Trainable backbone layers should be in the range [0,{most}], got {count} "
        )
    return count


_resnet_fpn_extractor = resnet_pyramid
_mobilenet_extractor = mobilenet_pyramid
_validate_trainable_layers = trained_layers
