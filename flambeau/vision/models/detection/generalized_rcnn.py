"""What all detectors do with images and targets, and those of two stages altogether."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import numpy as np

import flambeau.nn as nn
from flambeau.tensor.tensor import Tensor

Target = dict[str, Any]


def check_boxes(targets: list[Target] | None) -> None:
    """AssertionError where the targets of a training step are missing or hold no corners."""
    if targets is None:
        raise AssertionError("targets should not be none when in training mode")
    for target in targets:
        boxes = target["boxes"]
        if not isinstance(boxes, Tensor):
            raise AssertionError(f"Expected target boxes to be of type Tensor, got {type(boxes)}.")
        if boxes.dim() != 2 or boxes.shape[-1] != 4:
            raise AssertionError(
                f"Expected target boxes to be a tensor of shape [N, 4], got {boxes.shape}."
            )


def check_sides(targets: list[Target] | None) -> None:
    """AssertionError where a box of a target has no area."""
    for index, target in enumerate(targets or []):
        boxes = target["boxes"].detach()._values()
        wrong = np.flatnonzero((boxes[:, 2:] <= boxes[:, :2]).any(1))
        if wrong.size:
            raise AssertionError(
                "All bounding boxes should have positive height and width. Found invalid box "
                f"{boxes[wrong[0]].tolist()} for target at index {index}."
            )


def sizes_of(images: list[Tensor]) -> list[tuple[int, int]]:
    """The images' (height, width)."""
    return [(int(image.shape[-2]), int(image.shape[-1])) for image in images]


def maps_of(backbone: nn.Module, batch: Tensor) -> OrderedDict[str, Tensor]:
    """What a backbone gives, by name; a single map is "0"."""
    found = backbone(batch)
    return OrderedDict([("0", found)]) if isinstance(found, Tensor) else found


class GeneralizedRCNN(nn.Module):
    """Proposals by rpn, told apart and moved by roi_heads.

    In training, images (C, H, W) and targets to losses by name; else to boxes (N, 4), labels and
    scores of each image, which carry no gradient.
    """

    def __init__(
        self, backbone: nn.Module, rpn: nn.Module, roi_heads: nn.Module, transform: nn.Module
    ) -> None:
        super().__init__()
        self.transform = transform
        self.backbone = backbone
        self.rpn = rpn
        self.roi_heads = roi_heads

    def forward(self, images: list[Tensor], targets: list[Target] | None = None) -> Any:
        if self.training:
            check_boxes(targets)
        originals = sizes_of(images)
        batch, targets = self.transform(images, targets)
        check_sides(targets)
        maps = maps_of(self.backbone, batch.tensors)
        proposals, losses = self.rpn(batch, maps, targets)
        found, further = self.roi_heads(maps, proposals, batch.image_sizes, targets)
        transform: Any = self.transform
        found = transform.postprocess(found, batch.image_sizes, originals)
        return {**further, **losses} if self.training else found
