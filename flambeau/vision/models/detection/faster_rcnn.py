"""Faster R-CNN (Ren et al., arXiv:1506.01497) on feature pyramids (1612.03144)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor
from flambeau.vision.models._api import Ask, WeightsEnum, builder_on, load, published
from flambeau.vision.models.detection.anchors import AnchorGenerator
from flambeau.vision.models.detection.backbones import (
    BackboneWithFPN,
    mobilenet_pyramid,
    resnet_pyramid,
    trained_layers,
)
from flambeau.vision.models.detection.generalized_rcnn import GeneralizedRCNN
from flambeau.vision.models.detection.matching import overwrite_eps
from flambeau.vision.models.detection.roi_heads import RoIHeads
from flambeau.vision.models.detection.rpn import RegionProposalNetwork, RPNHead
from flambeau.vision.models.detection.transform import GeneralizedRCNNTransform
from flambeau.vision.models.drawing import constant
from flambeau.vision.models.mobilenetv3 import MobileNet_V3_Large_Weights, mobilenet_v3_large
from flambeau.vision.models.resnet import ResNet50_Weights, resnet50
from flambeau.vision.ops.layers import Conv2dNormActivation, FrozenBatchNorm2d, Layer
from flambeau.vision.ops.poolers import MultiScaleRoIAlign
from flambeau.vision.ops.pyramids import LastLevelP6P7

__all__ = [
    "FasterRCNN", "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights",
    "FasterRCNN_MobileNet_V3_Large_FPN_Weights", "FasterRCNN_ResNet50_FPN_V2_Weights",
    "FasterRCNN_ResNet50_FPN_Weights", "fasterrcnn_mobilenet_v3_large_320_fpn",
    "fasterrcnn_mobilenet_v3_large_fpn", "fasterrcnn_resnet50_fpn", "fasterrcnn_resnet50_fpn_v2",
]  # fmt: skip

COCO = 91  # classes of COCO, the background and unused numbers with them
MEAN, STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
Quadruple = tuple[float, float, float, float]


def default_anchors() -> AnchorGenerator:
    """One size for each of five maps, in three shapes."""
    return AnchorGenerator(((32,), (64,), (128,), (256,), (512,)), ((0.5, 1.0, 2.0),) * 5)


def pool(size: int) -> MultiScaleRoIAlign:
    """Regions of the four largest maps of a pyramid."""
    return MultiScaleRoIAlign(["0", "1", "2", "3"], size, 2)


def check_backbone(backbone: nn.Module) -> None:
    """ValueError where a backbone does not say how many channels its maps have."""
    if not hasattr(backbone, "out_channels"):
        raise ValueError(
            "backbone should contain an attribute out_channels specifying the number of output "
            "channels (assumed to be the same for all the levels)"
        )


def check_kind(name: str, value: Any, kind: type) -> None:
    """TypeError where an argument is neither None nor of a class."""
    if value is not None and not isinstance(value, kind):
        raise TypeError(
            f"{name} should be of type {kind.__name__} or None instead of {type(value)}"
        )


class FasterRCNN(GeneralizedRCNN):
    """A GeneralizedRCNN of the usual parts, each of which can be given.

    ValueError, TypeError where parts do not fit: the backbone needs out_channels, num_classes
    (the background with them) stands for box_predictor.
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int | None = None,
        min_size: Any = 800,
        max_size: int = 1333,
        image_mean: list[float] | None = None,
        image_std: list[float] | None = None,
        rpn_anchor_generator: AnchorGenerator | None = None,
        rpn_head: nn.Module | None = None,
        rpn_pre_nms_top_n_train: int = 2000,
        rpn_pre_nms_top_n_test: int = 1000,
        rpn_post_nms_top_n_train: int = 2000,
        rpn_post_nms_top_n_test: int = 1000,
        rpn_nms_thresh: float = 0.7,
        rpn_fg_iou_thresh: float = 0.7,
        rpn_bg_iou_thresh: float = 0.3,
        rpn_batch_size_per_image: int = 256,
        rpn_positive_fraction: float = 0.5,
        rpn_score_thresh: float = 0.0,
        box_roi_pool: MultiScaleRoIAlign | None = None,
        box_head: nn.Module | None = None,
        box_predictor: nn.Module | None = None,
        box_score_thresh: float = 0.05,
        box_nms_thresh: float = 0.5,
        box_detections_per_img: int = 100,
        box_fg_iou_thresh: float = 0.5,
        box_bg_iou_thresh: float = 0.5,
        box_batch_size_per_image: int = 512,
        box_positive_fraction: float = 0.25,
        bbox_reg_weights: Quadruple | None = None,
        **kwargs: Any,
    ) -> None:
        check_backbone(backbone)
        check_kind("rpn_anchor_generator", rpn_anchor_generator, AnchorGenerator)
        check_kind("box_roi_pool", box_roi_pool, MultiScaleRoIAlign)
        if num_classes is not None and box_predictor is not None:
            raise ValueError("num_classes should be None when box_predictor is specified")
        if num_classes is None and box_predictor is None:
            raise ValueError("num_classes should not be None when box_predictor is not specified")
        width: int = backbone.out_channels
        anchors = rpn_anchor_generator or default_anchors()
        head = rpn_head or RPNHead(width, anchors.num_anchors_per_location()[0])
        rpn = RegionProposalNetwork(
            anchors,
            head,
            rpn_fg_iou_thresh,
            rpn_bg_iou_thresh,
            rpn_batch_size_per_image,
            rpn_positive_fraction,
            {"training": rpn_pre_nms_top_n_train, "testing": rpn_pre_nms_top_n_test},
            {"training": rpn_post_nms_top_n_train, "testing": rpn_post_nms_top_n_test},
            rpn_nms_thresh,
            rpn_score_thresh,
        )
        regions = box_roi_pool or pool(7)
        if box_head is None:
            box_head = TwoMLPHead(width * regions.output_size[0] ** 2, 1024)
        if box_predictor is None:
            assert num_classes is not None
            box_predictor = FastRCNNPredictor(1024, num_classes)
        heads = RoIHeads(
            regions,
            box_head,
            box_predictor,
            box_fg_iou_thresh,
            box_bg_iou_thresh,
            box_batch_size_per_image,
            box_positive_fraction,
            bbox_reg_weights,
            box_score_thresh,
            box_nms_thresh,
            box_detections_per_img,
        )
        transform = GeneralizedRCNNTransform(
            min_size, max_size, image_mean or MEAN, image_std or STD, **kwargs
        )
        super().__init__(backbone, rpn, heads, transform)


class TwoMLPHead(nn.Module):
    """Regions (N, C, h, w) through two linear layers: (N, representation_size)."""

    def __init__(self, in_channels: int, representation_size: int) -> None:
        super().__init__()
        self.fc6 = nn.Linear(in_channels, representation_size)
        self.fc7 = nn.Linear(representation_size, representation_size)

    def forward(self, x: Tensor) -> Tensor:
        x = nn.functional.relu(self.fc6(x.flatten(1)))
        seen: Tensor = nn.functional.relu(self.fc7(x))
        return seen


class FastRCNNConvFCHead(nn.Sequential):
    """Regions of input_size (C, h, w) through convolutions, then through linear layers."""

    def __init__(
        self,
        input_size: tuple[int, int, int],
        conv_layers: Sequence[int],
        fc_layers: Sequence[int],
        norm_layer: Layer | None = None,
    ) -> None:
        width, height, across = input_size
        blocks: list[nn.Module] = []
        for channels in conv_layers:
            blocks.append(Conv2dNormActivation(width, channels, norm_layer=norm_layer))
            width = channels
        blocks.append(nn.Flatten())
        width = width * height * across
        for features in fc_layers:
            blocks += [nn.Linear(width, features), nn.ReLU(inplace=True)]
            width = features
        super().__init__(*blocks)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                constant(layer)


class FastRCNNPredictor(nn.Module):
    """What regions are, as (N, in_channels): scores (N, classes), moves (N, classes * 4)."""

    def __init__(self, in_channels: int, num_classes: int) -> None:
        super().__init__()
        self.cls_score = nn.Linear(in_channels, num_classes)
        self.bbox_pred = nn.Linear(in_channels, num_classes * 4)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.dim() == 4 and list(x.shape[2:]) != [1, 1]:
            raise AssertionError(
                "x has the wrong shape, expecting the last two dimensions to be [1,1] instead of "
                f"{list(x.shape[2:])}"
            )
        x = x.flatten(1)
        return self.cls_score(x), self.bbox_pred(x)


# ---- builders ------------------------------------------------------------------------------------


def with_zero_eps(model: nn.Module, weights: WeightsEnum, progress: bool) -> None:
    """As load; the frozen norms of these weights were trained without an eps."""
    load(model, weights, progress)
    if weights.name == "COCO_V1":
        overwrite_eps(model, 0.0)


def frozen_resnet(ask: Ask, rest: dict[str, Any], dense: int | None = None) -> BackboneWithFPN:
    """A ResNet-50 as a pyramid; norms of published weights are frozen, and the first layers.

    `dense` is for detectors of one stage, which leave out the largest map and add two small ones
    that are made of as many channels.
    """
    layers = trained_layers(ask.trained, rest.pop("trainable_backbone_layers", None), 5, 3)
    norm = FrozenBatchNorm2d if ask.trained else nn.BatchNorm2d
    trunk = resnet50(weights=ask.backbone, progress=ask.progress, norm_layer=norm)
    if dense is None:
        return resnet_pyramid(trunk, layers)
    return resnet_pyramid(trunk, layers, [2, 3, 4], LastLevelP6P7(dense, 256))


def resnet_of_v2(ask: Ask, rest: dict[str, Any], dense: int | None = None) -> BackboneWithFPN:
    """A ResNet-50 as a pyramid (with norms, but for a dense one); all norms are trained."""
    layers = trained_layers(ask.trained, rest.pop("trainable_backbone_layers", None), 5, 3)
    trunk = resnet50(weights=ask.backbone, progress=ask.progress)
    if dense is None:
        return resnet_pyramid(trunk, layers, norm_layer=nn.BatchNorm2d)
    return resnet_pyramid(trunk, layers, [2, 3, 4], LastLevelP6P7(dense, 256))


def heads_of_v2(width: int) -> dict[str, Any]:
    """The parts of the second versions (arXiv:2111.11429)."""
    anchors = default_anchors()
    count = anchors.num_anchors_per_location()[0]
    return {
        "rpn_anchor_generator": anchors,
        "rpn_head": RPNHead(width, count, conv_depth=2),
        "box_head": FastRCNNConvFCHead((width, 7, 7), [256] * 4, [1024], nn.BatchNorm2d),
    }


FasterRCNN_ResNet50_FPN_Weights = published("FasterRCNN_ResNet50_FPN_Weights")
FasterRCNN_ResNet50_FPN_V2_Weights = published("FasterRCNN_ResNet50_FPN_V2_Weights")
FasterRCNN_MobileNet_V3_Large_FPN_Weights = published("FasterRCNN_MobileNet_V3_Large_FPN_Weights")
FasterRCNN_MobileNet_V3_Large_320_FPN_Weights = published(
    "FasterRCNN_MobileNet_V3_Large_320_FPN_Weights"
)


@builder_on(FasterRCNN_ResNet50_FPN_Weights, ResNet50_Weights, "COCO_V1", COCO, with_zero_eps)
def fasterrcnn_resnet50_fpn(ask: Ask, rest: dict[str, Any]) -> FasterRCNN:
    """Faster R-CNN on a ResNet-50; other arguments are FasterRCNN's, trainable_backbone_layers."""
    return FasterRCNN(frozen_resnet(ask, rest), ask.classes, **rest)


@builder_on(FasterRCNN_ResNet50_FPN_V2_Weights, ResNet50_Weights, "COCO_V1", COCO, backed=False)
def fasterrcnn_resnet50_fpn_v2(ask: Ask, rest: dict[str, Any]) -> FasterRCNN:
    """Faster R-CNN with more layers and norms in its heads; arguments as for the first version."""
    backbone = resnet_of_v2(ask, rest)
    parts = heads_of_v2(backbone.out_channels)
    return FasterRCNN(backbone, num_classes=ask.classes, **parts, **rest)


def _on_mobilenet(ask: Ask, rest: dict[str, Any]) -> FasterRCNN:
    layers = trained_layers(ask.trained, rest.pop("trainable_backbone_layers", None), 6, 3)
    norm = FrozenBatchNorm2d if ask.trained else nn.BatchNorm2d
    trunk = mobilenet_v3_large(weights=ask.backbone, progress=ask.progress, norm_layer=norm)
    backbone = mobilenet_pyramid(trunk, True, layers)
    anchors = AnchorGenerator(((32, 64, 128, 256, 512),) * 3, ((0.5, 1.0, 2.0),) * 3)
    return FasterRCNN(backbone, ask.classes, rpn_anchor_generator=anchors, **rest)


@builder_on(
    FasterRCNN_MobileNet_V3_Large_320_FPN_Weights, MobileNet_V3_Large_Weights, "COCO_V1", COCO
)
def fasterrcnn_mobilenet_v3_large_320_fpn(ask: Ask, rest: dict[str, Any]) -> FasterRCNN:
    """Faster R-CNN on a MobileNetV3, for small images; arguments as for the others."""
    usual = {
        "min_size": 320,
        "max_size": 640,
        "rpn_pre_nms_top_n_test": 150,
        "rpn_post_nms_top_n_test": 150,
        "rpn_score_thresh": 0.05,
    }
    return _on_mobilenet(ask, {**usual, **rest})


@builder_on(FasterRCNN_MobileNet_V3_Large_FPN_Weights, MobileNet_V3_Large_Weights, "COCO_V1", COCO)
def fasterrcnn_mobilenet_v3_large_fpn(ask: Ask, rest: dict[str, Any]) -> FasterRCNN:
    """Faster R-CNN on a MobileNetV3; arguments as for the others."""
    return _on_mobilenet(ask, {"rpn_score_thresh": 0.05, **rest})
