"""SSD: default boxes of many maps (Liu et al., arXiv:1512.02325)."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np

import flambeau.nn as nn
from flambeau.functional.creation import ones
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat, stack
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import Ask, builder_on, published
from flambeau.vision.models.detection.anchors import DefaultBoxGenerator
from flambeau.vision.models.detection.backbones import freeze, trained_layers
from flambeau.vision.models.detection.faster_rcnn import COCO, MEAN, STD
from flambeau.vision.models.detection.matching import (
    BoxCoder,
    SSDMatcher,
    box_losses,
    retrieve_out_channels,
)
from flambeau.vision.models.detection.retinanet import (
    DenseDetector,
    boxes_of,
    classes_of,
    matched,
)
from flambeau.vision.models.detection.rpn import by_place
from flambeau.vision.models.detection.selection import best_of, clipped
from flambeau.vision.models.detection.transform import GeneralizedRCNNTransform
from flambeau.vision.models.drawing import constant
from flambeau.vision.models.vgg import VGG16_Weights, vgg16

__all__ = ["SSD300_VGG16_Weights", "ssd300_vgg16"]

Target = dict[str, Any]


def _draw(module: nn.Module) -> None:
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
            constant(layer)


class SSDScoringHead(nn.Module):
    """A layer for each map; what they give, as rows of boxes: (N, boxes, num_columns)."""

    def __init__(self, module_list: nn.ModuleList, num_columns: int) -> None:
        super().__init__()
        self.module_list = module_list
        self.num_columns = num_columns

    def forward(self, x: Sequence[Tensor]) -> Tensor:
        pairs = zip(self.module_list, x, strict=True)
        return cat([by_place(layer(map), self.num_columns) for layer, map in pairs], 1)


def _layers(channels: Sequence[int], boxes: Sequence[int], columns: int) -> nn.ModuleList:
    pairs = zip(channels, boxes, strict=False)
    made = nn.ModuleList([nn.Conv2d(c, columns * count, 3, padding=1) for c, count in pairs])
    _draw(made)
    return made


class SSDClassificationHead(SSDScoringHead):
    """Logits of every box and class."""

    def __init__(
        self, in_channels: Sequence[int], num_anchors: Sequence[int], num_classes: int
    ) -> None:
        super().__init__(_layers(in_channels, num_anchors, num_classes), num_classes)


class SSDRegressionHead(SSDScoringHead):
    """Moves of every box."""

    def __init__(self, in_channels: Sequence[int], num_anchors: Sequence[int]) -> None:
        super().__init__(_layers(in_channels, num_anchors, 4), 4)


class SSDHead(nn.Module):
    """Maps to logits and moves of all their boxes."""

    def __init__(
        self, in_channels: Sequence[int], num_anchors: Sequence[int], num_classes: int
    ) -> None:
        super().__init__()
        self.classification_head = SSDClassificationHead(in_channels, num_anchors, num_classes)
        self.regression_head = SSDRegressionHead(in_channels, num_anchors)

    def forward(self, x: Sequence[Tensor]) -> dict[str, Tensor]:
        return {
            "bbox_regression": self.regression_head(x),
            "cls_logits": self.classification_head(x),
        }


class SSD(DenseDetector):
    """A DenseDetector of images resized to size (width, height), with a class for nothing, 0.

    ValueError where the backbone does not give as many maps as there are aspect ratios.
    """

    def __init__(
        self,
        backbone: nn.Module,
        anchor_generator: DefaultBoxGenerator,
        size: tuple[int, int],
        num_classes: int,
        image_mean: list[float] | None = None,
        image_std: list[float] | None = None,
        head: nn.Module | None = None,
        score_thresh: float = 0.01,
        nms_thresh: float = 0.45,
        detections_per_img: int = 200,
        iou_thresh: float = 0.5,
        topk_candidates: int = 400,
        positive_fraction: float = 0.25,
        **kwargs: Any,
    ) -> None:
        super().__init__(backbone, score_thresh, nms_thresh, detections_per_img, topk_candidates)
        self.anchor_generator = anchor_generator
        self.box_coder = BoxCoder((10.0, 10.0, 5.0, 5.0))
        if head is None:
            told = getattr(backbone, "out_channels", None)
            channels = retrieve_out_channels(backbone, size) if told is None else told
            check_maps(channels, anchor_generator)
            head = SSDHead(channels, anchor_generator.num_anchors_per_location(), num_classes)
        self.head = head
        self.proposal_matcher = SSDMatcher(iou_thresh)
        self.transform = GeneralizedRCNNTransform(
            min(size),
            max(size),
            image_mean or MEAN,
            image_std or STD,
            size_divisible=1,
            fixed_size=size,
            **kwargs,
        )
        self.neg_to_pos_ratio = (1.0 - positive_fraction) / positive_fraction

    def losses(
        self,
        targets: list[Target],
        outputs: dict[str, Tensor],
        anchors: list[Tensor],
        levels: list[int],
    ) -> dict[str, Tensor]:
        codes, logits = outputs["bbox_regression"], outputs["cls_logits"]
        apart, kinds, count = [], [], 0
        for target, own, moves in zip(targets, anchors, codes, strict=True):
            index = matched(own, target, self.proposal_matcher)
            truth = boxes_of(target, index, own)
            lost = box_losses("smooth_l1", self.box_coder, own, truth, moves)
            apart.append(lost.where(from_numpy(index >= 0), 0.0).sum())
            kinds.append(np.maximum(classes_of(target, index), 0))
            count += int((index >= 0).sum())
        wanted = np.stack(kinds)
        chance = nn.functional.cross_entropy(
            logits.reshape(-1, logits.shape[-1]), from_numpy(wanted.reshape(-1)), reduction="none"
        ).view(wanted.shape)
        # Of the boxes with nothing those count that are mistaken most, so many for each other.
        holds = from_numpy(wanted > 0)
        doubtful = chance.detach().where(~holds, -float("inf"))
        rank = doubtful.argsort(1, descending=True).argsort(1)
        most = from_numpy(self.neg_to_pos_ratio * (wanted > 0).sum(1, keepdims=True))
        counted = holds | (rank < most)
        total = max(1, count)
        return {
            "bbox_regression": stack(apart).sum() / total,
            "classification": chance.where(counted, 0.0).sum() / total,
        }

    def candidates(
        self, outputs: dict[str, Tensor], anchors: list[Tensor]
    ) -> tuple[Tensor, Tensor, int]:
        codes = outputs["bbox_regression"]
        corners = self.box_coder.decode_single(codes.reshape(-1, 4), cat(anchors, 0))
        scores = nn.functional.softmax(outputs["cls_logits"], dim=-1)
        return scores[..., 1:], corners.view(codes.shape), 1

    def detections(
        self,
        scores: Any,
        corners: Any,
        levels: list[int],
        size: tuple[int, int],
        first: int,
    ) -> tuple[Any, Any, Any]:
        """Of one image the best boxes of every class."""
        rows, kinds = [], []
        for kind in range(scores.shape[1]):
            kept = np.flatnonzero(scores[:, kind] > self.score_thresh)
            kept = kept[best_of(scores[kept, kind], self.topk_candidates)]
            rows.append(kept)
            kinds.append(np.full(kept.size, kind))
        places, classes = np.concatenate(rows), np.concatenate(kinds)
        boxes = clipped(corners, size)[places]
        return boxes, scores[places, classes], classes + first


def check_maps(channels: Sequence[int], generator: DefaultBoxGenerator) -> None:
    """ValueError where a backbone does not give as many maps as a generator makes boxes for."""
    if len(channels) != len(generator.aspect_ratios):
        raise ValueError(
            f"The length of the output channels from the backbone ({len(channels)}) do not match "
            "the length of the anchor generator aspect ratios "
            f"({len(generator.aspect_ratios)})"
        )


# ---- VGG -----------------------------------------------------------------------------------------


def _further(inside: int, middle: int, outside: int, kernel: int, stride: int) -> nn.Sequential:
    last = nn.Conv2d(middle, outside, kernel, stride, padding=1 if stride == 2 else 0)
    first = nn.Conv2d(inside, middle, 1)
    return nn.Sequential(first, nn.ReLU(inplace=True), last, nn.ReLU(inplace=True))


class SSDFeatureExtractorVGG(nn.Module):
    """VGG's convolutions and more: six maps by number, seven with highres."""

    def __init__(self, backbone: Any, highres: bool) -> None:
        super().__init__()
        pools = [i for i, layer in enumerate(backbone) if isinstance(layer, nn.MaxPool2d)]
        third, fourth = pools[2], pools[3]
        backbone[third].ceil_mode = True
        self.scale_weight = nn.Parameter(ones(512) * 20)
        self.features = nn.Sequential(*backbone[:fourth])
        extra = nn.ModuleList(
            [
                _further(1024, 256, 512, 3, 2),
                _further(512, 128, 256, 3, 2),
                _further(256, 128, 256, 3, 1),
                _further(256, 128, 256, 3, 1),
            ]
        )
        if highres:
            extra.append(_further(256, 128, 256, 4, 1))
        _draw(extra)
        linear = nn.Sequential(
            nn.MaxPool2d(3, 1, 1),
            nn.Conv2d(512, 1024, 3, padding=6, dilation=6),
            nn.ReLU(inplace=True),
            nn.Conv2d(1024, 1024, 1),
            nn.ReLU(inplace=True),
        )
        _draw(linear)
        extra.insert(0, nn.Sequential(*backbone[fourth:-1], linear))
        self.extra = extra

    def forward(self, x: Tensor) -> OrderedDict[str, Tensor]:
        x = self.features(x)
        maps = [self.scale_weight.view(1, -1, 1, 1) * nn.functional.normalize(x)]
        for block in self.extra:
            x = block(x)
            maps.append(x)
        return OrderedDict((str(index), map) for index, map in enumerate(maps))


def _vgg(features: Any, trainable_layers: int) -> SSDFeatureExtractorVGG:
    pools = [i for i, block in enumerate(features) if isinstance(block, nn.MaxPool2d)]
    starts = [0, *pools[:-1]]
    first = starts[len(starts) - trainable_layers] if trainable_layers else len(features)
    freeze(features[:first])
    return SSDFeatureExtractorVGG(features, False)


def warn_of_size(rest: dict[str, Any]) -> None:
    """Says that an argument has no effect."""
    if "size" in rest:
        warnings.warn(
            "The size of the model is already fixed; ignoring the parameter.", stacklevel=4
        )


SSD300_VGG16_Weights = published("SSD300_VGG16_Weights")
SCALES = [0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05]


@builder_on(
    SSD300_VGG16_Weights,
    VGG16_Weights,
    "COCO_V1",
    COCO,
    first_backbone="IMAGENET1K_FEATURES",
)
def ssd300_vgg16(ask: Ask, rest: dict[str, Any]) -> SSD:
    """SSD on VGG-16, of 300x300; other arguments are SSD's and trainable_backbone_layers."""
    warn_of_size(rest)
    layers = trained_layers(ask.trained, rest.pop("trainable_backbone_layers", None), 5, 4)
    trunk = vgg16(weights=ask.backbone, progress=ask.progress)
    backbone = _vgg(trunk.features, layers)
    ratios = [[2], [2, 3], [2, 3], [2, 3], [2], [2]]
    boxes = DefaultBoxGenerator(ratios, scales=SCALES, steps=[8, 16, 32, 64, 100, 300])
    # Features that expect bytes: 1/255 makes bytes again of what lies in 0..1.
    usual = {"image_mean": [0.48235, 0.45882, 0.40784], "image_std": [1.0 / 255.0] * 3}
    return SSD(backbone, boxes, (300, 300), ask.classes, **{**usual, **rest})
