"""Mask R-CNN: Faster R-CNN that also draws what it finds (He et al., arXiv:1703.06870)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import flambeau.nn as nn
from flambeau.vision.models._api import Ask, builder_on, published
from flambeau.vision.models.detection.faster_rcnn import (
    COCO,
    FasterRCNN,
    check_kind,
    frozen_resnet,
    heads_of_v2,
    pool,
    resnet_of_v2,
    with_zero_eps,
)
from flambeau.vision.models.detection.rpn import rename
from flambeau.vision.models.drawing import constant
from flambeau.vision.models.resnet import ResNet50_Weights
from flambeau.vision.ops.layers import Conv2dNormActivation, Layer
from flambeau.vision.ops.poolers import MultiScaleRoIAlign

__all__ = [
    "MaskRCNN", "MaskRCNN_ResNet50_FPN_V2_Weights", "MaskRCNN_ResNet50_FPN_Weights",
    "maskrcnn_resnet50_fpn", "maskrcnn_resnet50_fpn_v2",
]  # fmt: skip


class MaskRCNN(FasterRCNN):
    """FasterRCNN, whose arguments the others are, with masks (N, 1, H, W) of what is found.

    In training targets need masks (n, H, W).
    """

    def __init__(
        self,
        backbone: nn.Module,
        num_classes: int | None = None,
        *args: Any,
        mask_roi_pool: MultiScaleRoIAlign | None = None,
        mask_head: nn.Module | None = None,
        mask_predictor: nn.Module | None = None,
        **kwargs: Any,
    ) -> None:
        check_kind("mask_roi_pool", mask_roi_pool, MultiScaleRoIAlign)
        if num_classes is not None and mask_predictor is not None:
            raise ValueError("num_classes should be None when mask_predictor is specified")
        regions = mask_roi_pool or pool(14)
        if mask_head is None:
            mask_head = MaskRCNNHeads(backbone.out_channels, (256, 256, 256, 256), 1)
        if mask_predictor is None:
            if num_classes is None:
                raise ValueError(
                    "num_classes should not be None when mask_predictor is not specified"
                )
            mask_predictor = MaskRCNNPredictor(256, 256, num_classes)
        super().__init__(backbone, num_classes, *args, **kwargs)
        heads: Any = self.roi_heads
        heads.mask_roi_pool = regions
        heads.mask_head = mask_head
        heads.mask_predictor = mask_predictor


class MaskRCNNHeads(nn.Sequential):
    """Regions (N, C, M, M) through convolutions that keep the size."""

    _version = 2

    def __init__(
        self,
        in_channels: int,
        layers: Sequence[int],
        dilation: int,
        norm_layer: Layer | None = None,
    ) -> None:
        blocks: list[nn.Module] = []
        for channels in layers:
            blocks.append(
                Conv2dNormActivation(
                    in_channels,
                    channels,
                    3,
                    padding=dilation,
                    dilation=dilation,
                    norm_layer=norm_layer,
                )
            )
            in_channels = channels
        super().__init__(*blocks)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                constant(layer)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> None:
        if (local_metadata.get("version") or 0) < 2:
            for index in range(len(self)):
                rename(state_dict, f"{prefix}mask_fcn{index + 1}", f"{prefix}{index}.0")
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *args, **kwargs)


class MaskRCNNPredictor(nn.Sequential):
    """Regions (N, C, M, M) to masks of every class, twice as large: (N, num_classes, 2M, 2M)."""

    def __init__(self, in_channels: int, dim_reduced: int, num_classes: int) -> None:
        super().__init__(
            OrderedDict[str, nn.Module](
                conv5_mask=nn.ConvTranspose2d(in_channels, dim_reduced, 2, 2, 0),
                relu=nn.ReLU(inplace=True),
                mask_fcn_logits=nn.Conv2d(dim_reduced, num_classes, 1, 1, 0),
            )
        )
        for name, parameter in self.named_parameters():
            if "weight" in name:
                nn.init.kaiming_normal_(parameter, mode="fan_out", nonlinearity="relu")


MaskRCNN_ResNet50_FPN_Weights = published("MaskRCNN_ResNet50_FPN_Weights")
MaskRCNN_ResNet50_FPN_V2_Weights = published("MaskRCNN_ResNet50_FPN_V2_Weights")


@builder_on(MaskRCNN_ResNet50_FPN_Weights, ResNet50_Weights, "COCO_V1", COCO, with_zero_eps)
def maskrcnn_resnet50_fpn(ask: Ask, rest: dict[str, Any]) -> MaskRCNN:
    """Mask R-CNN on a ResNet-50; other arguments are MaskRCNN's and trainable_backbone_layers."""
    return MaskRCNN(frozen_resnet(ask, rest), ask.classes, **rest)


@builder_on(MaskRCNN_ResNet50_FPN_V2_Weights, ResNet50_Weights, "COCO_V1", COCO, backed=False)
def maskrcnn_resnet50_fpn_v2(ask: Ask, rest: dict[str, Any]) -> MaskRCNN:
    """Mask R-CNN with more layers and norms in its heads; arguments as for the first version."""
    backbone = resnet_of_v2(ask, rest)
    parts = heads_of_v2(backbone.out_channels)
    head = MaskRCNNHeads(backbone.out_channels, [256] * 4, 1, nn.BatchNorm2d)
    return MaskRCNN(backbone, num_classes=ask.classes, mask_head=head, **parts, **rest)
