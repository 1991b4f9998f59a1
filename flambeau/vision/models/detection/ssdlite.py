"""SSDlite: SSD of separable convolutions (arXiv:1801.04381, 1905.02244)."""

from __future__ import annotations

import functools
import itertools
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import Ask, builder_on, published
from flambeau.vision.models.detection.anchors import DefaultBoxGenerator
from flambeau.vision.models.detection.backbones import freeze, stages, trained_layers
from flambeau.vision.models.detection.faster_rcnn import COCO
from flambeau.vision.models.detection.matching import retrieve_out_channels
from flambeau.vision.models.detection.ssd import SSD, SSDScoringHead, check_maps, warn_of_size
from flambeau.vision.models.drawing import constant
from flambeau.vision.models.mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer

__all__ = ["SSDLite320_MobileNet_V3_Large_Weights", "ssdlite320_mobilenet_v3_large"]


def _made(norm: Layer) -> Callable[..., nn.Module]:
    return functools.partial(Conv2dNormActivation, norm_layer=norm, activation_layer=nn.ReLU6)


def _prediction(inside: int, outside: int, norm: Layer) -> nn.Sequential:
    by_channel = _made(norm)(inside, inside, 3, groups=inside)
    return nn.Sequential(by_channel, nn.Conv2d(inside, outside, 1))


def _further(inside: int, outside: int, norm: Layer) -> nn.Sequential:
    made, middle = _made(norm), outside // 2
    return nn.Sequential(
        made(inside, middle, 1),
        made(middle, middle, 3, stride=2, groups=middle),
        made(middle, outside, 1),
    )


def _draw(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.normal_(layer.weight, mean=0.0, std=0.03)
            constant(layer)


def _layers(
    channels: Sequence[int], boxes: Sequence[int], columns: int, norm: Layer
) -> nn.ModuleList:
    pairs = zip(channels, boxes, strict=False)
    made = nn.ModuleList([_prediction(c, columns * count, norm) for c, count in pairs])
    _draw(made)
    return made


class SSDLiteClassificationHead(SSDScoringHead):
    """Logits of every box and class."""

    def __init__(
        self,
        in_channels: Sequence[int],
        num_anchors: Sequence[int],
        num_classes: int,
        norm_layer: Layer,
    ) -> None:
        super().__init__(_layers(in_channels, num_anchors, num_classes, norm_layer), num_classes)


class SSDLiteRegressionHead(SSDScoringHead):
    """Moves of every box."""

    def __init__(
        self, in_channels: Sequence[int], num_anchors: Sequence[int], norm_layer: Layer
    ) -> None:
        super().__init__(_layers(in_channels, num_anchors, 4, norm_layer), 4)


class SSDLiteHead(nn.Module):
    """Maps to logits and moves of all their boxes."""

    def __init__(
        self,
        in_channels: Sequence[int],
        num_anchors: Sequence[int],
        num_classes: int,
        norm_layer: Layer,
    ) -> None:
        super().__init__()
        self.classification_head = SSDLiteClassificationHead(
            in_channels, num_anchors, num_classes, norm_layer
        )
        self.regression_head = SSDLiteRegressionHead(in_channels, num_anchors, norm_layer)

    def forward(self, x: Sequence[Tensor]) -> dict[str, Tensor]:
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSDLiteFeatureExtractorMobileNet(nn.Module):
    """A MobileNet's features, cut within the block c4_pos, and more: six maps by number.

    ValueError where that block has a shortcut.
    """

    def __init__(
        self,
        backbone: Any,
        c4_pos: int,
        norm_layer: Layer,
        width_mult: float = 1.0,
        min_depth: int = 16,
    ) -> None:
        super().__init__()
        if backbone[c4_pos].use_res_connect:
            raise ValueError("backbone[c4_pos].use_res_connect should be False")
        block = backbone[c4_pos].block
        self.features = nn.Sequential(
            nn.Sequential(*backbone[:c4_pos], block[0]),
            nn.Sequential(block[1:], *backbone[c4_pos + 1 :]),
        )
        widths = [backbone[-1].out_channels]
        widths += [max(min_depth, int(width * width_mult)) for width in (512, 256, 256, 128)]
        pairs = itertools.pairwise(widths)
        self.extra = nn.ModuleList([_further(a, b, norm_layer) for a, b in pairs])
        _draw(self.extra)

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        maps = []
        for block in (*self.features, *self.extra):
            x = block(x)
            maps.append(x)
        return OrderedDict((str(index), map) for index, map in enumerate(maps))


SSDLite320_MobileNet_V3_Large_Weights = published("SSDLite320_MobileNet_V3_Large_Weights")


@builder_on(SSDLite320_MobileNet_V3_Large_Weights, MobileNet_V3_Large_Weights, "COCO_V1", COCO)
def ssdlite320_mobilenet_v3_large(ask: Ask, rest: dict[str, Any]) -> SSD:
    """SSDlite on a MobileNetV3, of 320x320; arguments are SSD's, norm_layer and the usual one."""
    warn_of_size(rest)
    layers = trained_layers(ask.trained, rest.pop("trainable_backbone_layers", None), 6, 6)
    norm = rest.pop("norm_layer", None)
    if norm is None:
        norm = functools.partial(nn.BatchNorm2d, eps=0.001, momentum=0.03)
    shape = {key: rest.pop(key) for key in ("width_mult", "dilated") if key in rest}
    trunk = mobilenet_v3_large(
        weights=ask.backbone,
        progress=ask.progress,
        norm_layer=norm,
        reduced_tail=ask.backbone is None,
        **shape,
    )
    if ask.backbone is None:
        _draw(trunk)
    features: Any = trunk.features
    places = stages(features)
    freeze(features[: places[len(places) - layers] if layers else len(features)])
    backbone = SSDLiteFeatureExtractorMobileNet(features, places[-2], norm)
    boxes = DefaultBoxGenerator([[2, 3] for _ in range(6)], min_ratio=0.2, max_ratio=0.95)
    channels = retrieve_out_channels(backbone, (320, 320))
    check_maps(channels, boxes)
    head = SSDLiteHead(channels, boxes.num_anchors_per_location(), ask.classes, norm)
    usual = {
        "score_thresh": 0.001,
        "nms_thresh": 0.55,
        "detections_per_img": 300,
        "topk_candidates": 300,
        "image_mean": [0.5, 0.5, 0.5],
        "image_std": [0.5, 0.5, 0.5],
    }
    return SSD(backbone, boxes, (320, 320), ask.classes, head=head, **{**usual, **rest})
