"""Losses of detectors: focal cross entropy, and what boxes lack of overlapping."""

from __future__ import annotations

import flambeau.nn as nn
from flambeau.autograd.modes import no_grad
from flambeau.functional.pointwise import maximum, minimum
from flambeau.tensor.tensor import Tensor
from flambeau.vision.ops.boxes import _wide, shape_penalty


def _reduced(loss: Tensor, reduction: str) -> Tensor:
    if reduction == "none":
        return loss
    if reduction == "mean":
        return loss.mean() if loss.numel() else 0.0 * loss.sum()
    if reduction == "sum":
        return loss.sum()
    raise ValueError(
        f"Invalid Value for arg 'reduction': '{reduction} \n Supported reduction modes: 'none', "
        "'mean', 'sum'"
    )


def sigmoid_focal_loss(
    inputs: Tensor,
    targets: Tensor,
    alpha: float = 0.25,
    gamma: float = 2,
    reduction: str = "none",
) -> Tensor:
    """Cross entropy of logits that counts clear cases less (arXiv:1708.02002).

    alpha weighs targets 1, 1 - alpha targets 0; -1 weighs none. ValueError for other alphas.
    """
    if not (0 <= alpha <= 1 or alpha == -1):
        raise ValueError(
            f"Invalid alpha value: {alpha}. alpha must be in the range [0,1] or -1 for ignore."
        )
    chance = inputs.sigmoid()
    entropy: Tensor = nn.functional.binary_cross_entropy_with_logits(
        inputs, targets, reduction="none"
    )
    right = chance * targets + (1 - chance) * (1 - targets)
    loss = entropy * (1 - right) ** gamma
    if alpha >= 0:
        loss = (alpha * targets + (1 - alpha) * (1 - targets)) * loss
    return _reduced(loss, reduction)


def _overlap(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of what two boxes of each row share and of what they cover."""
    low, high = maximum(boxes1[..., :2], boxes2[..., :2]), minimum(boxes1[..., 2:], boxes2[..., 2:])
    sides = high - low
    shared = (sides[..., 0] * sides[..., 1]).where((sides > 0).all(-1), 0.0)
    own1, own2 = boxes1[..., 2:] - boxes1[..., :2], boxes2[..., 2:] - boxes2[..., :2]
    return shared, own1[..., 0] * own1[..., 1] + own2[..., 0] * own2[..., 1] - shared


def _hull(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    low, high = minimum(boxes1[..., :2], boxes2[..., :2]), maximum(boxes1[..., 2:], boxes2[..., 2:])
    return (high - low)[..., 0], (high - low)[..., 1]


def generalized_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - generalized_box_iou of the corners in each row of two (..., 4)."""
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    shared, covered = _overlap(boxes1, boxes2)
    width, height = _hull(boxes1, boxes2)
    hull = width * height
    iou = shared / (covered + eps)
    return _reduced(1 - (iou - (hull - covered) / (hull + eps)), reduction)


def _distance_loss(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    shared, covered = _overlap(boxes1, boxes2)
    iou = shared / (covered + eps)
    width, height = _hull(boxes1, boxes2)
    centres = (boxes1[..., :2] + boxes1[..., 2:]) / 2 - (boxes2[..., :2] + boxes2[..., 2:]) / 2
    return 1 - iou + (centres**2).sum(-1) / (width**2 + height**2 + eps), iou


def distance_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - distance_box_iou of the corners in each row of two (..., 4)."""
    loss, _ = _distance_loss(_wide(boxes1), _wide(boxes2), eps)
    return _reduced(loss, reduction)


def complete_box_iou_loss(
    boxes1: Tensor, boxes2: Tensor, reduction: str = "none", eps: float = 1e-7
) -> Tensor:
    """1 - complete_box_iou of the corners in each row of two (..., 4)."""
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    loss, iou = _distance_loss(boxes1, boxes2, eps)
    sides1, sides2 = boxes1[..., 2:] - boxes1[..., :2], boxes2[..., 2:] - boxes2[..., :2]
    penalty = shape_penalty((sides1[..., 0], sides1[..., 1]), (sides2[..., 0], sides2[..., 1]))
    with no_grad():
        weight = penalty / (1 - iou + penalty + eps)
    return _reduced(loss + weight * penalty, reduction)
