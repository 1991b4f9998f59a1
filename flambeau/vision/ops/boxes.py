"""Boxes (..., 4): areas, formats, overlaps, suppression of those that overlap."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.autograd.modes import no_grad
from flambeau.core.dtypes import float32, float64, int32, int64
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat, stack
from flambeau.functional.pointwise import maximum, minimum
from flambeau.tensor.tensor import Tensor, from_array

FORMATS = ("xyxy", "xywh", "cxcywh")
ROTATED = ("cxcywhr", "xywhr", "xyxyxyxy")


def _wide(x: Tensor) -> Tensor:
    """A dtype in which products of coordinates do not overflow."""
    if x.is_floating_point():
        return x if x.dtype in (float32, float64) else x.float()
    return x if x.dtype in (int32, int64) else x.int()


# ---- formats and areas ---------------------------------------------------------------------------


def box_convert(boxes: Tensor, in_fmt: str, out_fmt: str) -> Tensor:
    """Boxes (..., 4) in another format: corners xyxy, corner and size xywh, centre and size cxcywh.

    ValueError for unknown formats, NotImplementedError for those of rotated boxes.
    """
    if not {in_fmt, out_fmt} <= {*FORMATS, *ROTATED}:
        raise ValueError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
        )
    if in_fmt == out_fmt:
        return boxes.clone()
    if not {in_fmt, out_fmt} <= set(FORMATS):
        raise NotImplementedError(
            f"Unsupported Bounding Box Conversions for given in_fmt {in_fmt} and out_fmt {out_fmt}"
            ": rotated boxes are not supported"
        )
    first, second, third, fourth = boxes.unbind(-1)
    if in_fmt == "xyxy":
        left, top, right, bottom = first, second, third, fourth
    elif in_fmt == "xywh":
        left, top, right, bottom = first, second, first + third, second + fourth
    else:
        left, top = first - 0.5 * third, second - 0.5 * fourth
        right, bottom = first + 0.5 * third, second + 0.5 * fourth
    if out_fmt == "xyxy":
        return stack([left, top, right, bottom], -1)
    if out_fmt == "xywh":
        return stack([left, top, right - left, bottom - top], -1)
    return stack([(left + right) / 2, (top + bottom) / 2, right - left, bottom - top], -1)


def box_area(boxes: Tensor, fmt: str = "xyxy") -> Tensor:
    """The areas (...) of boxes (..., 4). ValueError for unknown formats."""
    if fmt in ROTATED:
        raise NotImplementedError("box_area: rotated boxes are not supported")
    if fmt not in FORMATS:
        raise ValueError(f"Unsupported Bounding Box area for given format {fmt}")
    boxes = _wide(boxes)
    if fmt != "xyxy":
        return boxes[..., 2] * boxes[..., 3]
    return (boxes[..., 2] - boxes[..., 0]) * (boxes[..., 3] - boxes[..., 1])


def clip_boxes_to_image(boxes: Tensor, size: tuple[int, int]) -> Tensor:
    """Corners (..., 4) moved into an image of a size (height, width)."""
    height, width = size
    across, down = boxes[..., 0::2].clamp(0, width), boxes[..., 1::2].clamp(0, height)
    return stack([across, down], boxes.dim()).reshape(boxes.shape)


def remove_small_boxes(boxes: Tensor, min_size: float) -> Tensor:
    """Which of the corners (N, 4) have both sides at least min_size long: indices, int64."""
    kept = ((boxes[:, 2:] - boxes[:, :2]) >= min_size).all(1)
    places: Tensor = kept.nonzero()
    return places.squeeze(1)


def masks_to_boxes(masks: Tensor) -> Tensor:
    """The least boxes (N, 4) around what is not zero in masks (N, H, W); zeros where all is."""
    given = masks._values() != 0
    boxes = np.zeros((given.shape[0], 4), np.float32)
    for box, mask in zip(boxes, given, strict=True):
        rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
        if rows.size:
            box[:] = columns[0], rows[0], columns[-1], rows[-1]
    return from_numpy(boxes)


# ---- overlaps ------------------------------------------------------------------------------------


def _sides(low: Tensor, high: Tensor) -> tuple[Tensor, Tensor]:
    lengths = _wide(high - low).clamp(min=0)
    return lengths[..., 0], lengths[..., 1]


def _pairs(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Corners of all pairs: the lower and the upper ones of both, to be broadcast."""
    return (
        boxes1[..., None, :2],
        boxes1[..., None, 2:],
        boxes2[..., None, :, :2],
        boxes2[..., None, :, 2:],
    )


def _overlap(boxes1: Tensor, boxes2: Tensor) -> tuple[Tensor, Tensor]:
    """Areas of what pairs of boxes share and of what they cover: (..., N, M)."""
    low1, high1, low2, high2 = _pairs(boxes1, boxes2)
    width, height = _sides(maximum(low1, low2), minimum(high1, high2))
    shared = width * height
    return shared, box_area(boxes1)[..., None] + box_area(boxes2)[..., None, :] - shared


def box_iou(boxes1: Tensor, boxes2: Tensor, fmt: str = "xyxy") -> Tensor:
    """Intersection over union of every pair: (..., N, 4), (..., M, 4) to (..., N, M).

    ValueError for unknown formats.
    """
    if fmt in ROTATED:
        raise NotImplementedError("box_iou: rotated boxes are not supported")
    if fmt not in FORMATS:
        raise ValueError(
            f"Unsupported format '{fmt}'. Supported axis-aligned formats: {FORMATS}. "
            f"Supported rotated formats: {ROTATED}."
        )
    if fmt != "xyxy":
        boxes1, boxes2 = (box_convert(boxes, fmt, "xyxy") for boxes in (boxes1, boxes2))
    shared, covered = _overlap(boxes1, boxes2)
    return shared / covered


def generalized_box_iou(boxes1: Tensor, boxes2: Tensor) -> Tensor:
    """box_iou less the empty part of the hull of each pair (arXiv:1902.09630)."""
    shared, covered = _overlap(boxes1, boxes2)
    low1, high1, low2, high2 = _pairs(boxes1, boxes2)
    width, height = _sides(minimum(low1, low2), maximum(high1, high2))
    hull = width * height
    return shared / covered - (hull - covered) / hull


def _distances(boxes1: Tensor, boxes2: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """box_iou, and squared distances of centres over those across the hulls."""
    low1, high1, low2, high2 = _pairs(boxes1, boxes2)
    width, height = _sides(minimum(low1, low2), maximum(high1, high2))
    across = width**2 + height**2 + eps
    between = _wide((low1 + high1) / 2) - _wide((low2 + high2) / 2)
    shared, covered = _overlap(boxes1, boxes2)
    return shared / covered, (between**2).sum(-1) / across


def distance_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """box_iou less how far apart the centres are (arXiv:1911.08287)."""
    overlap, distance = _distances(_wide(boxes1), _wide(boxes2), eps)
    return overlap - distance


def shape_penalty(ratio1: tuple[Tensor, Tensor], ratio2: tuple[Tensor, Tensor]) -> Tensor:
    """How much two pairs of (width, height) differ in shape: 0..1 (arXiv:1911.08287)."""
    difference = (ratio2[0] / ratio2[1]).atan() - (ratio1[0] / ratio1[1]).atan()
    return (4 / math.pi**2) * difference**2


def complete_box_iou(boxes1: Tensor, boxes2: Tensor, eps: float = 1e-7) -> Tensor:
    """distance_box_iou less a penalty for other proportions; its weight has no gradient."""
    boxes1, boxes2 = _wide(boxes1), _wide(boxes2)
    overlap, distance = _distances(boxes1, boxes2, eps)
    low1, high1, low2, high2 = _pairs(boxes1, boxes2)
    sides1, sides2 = high1 - low1, high2 - low2
    penalty = shape_penalty((sides1[..., 0], sides1[..., 1]), (sides2[..., 0], sides2[..., 1]))
    with no_grad():
        weight = penalty / (1 - overlap + penalty + eps)
    return overlap - distance - weight * penalty


# ---- suppression ---------------------------------------------------------------------------------


def _check_suppression(boxes: Tensor, scores: Tensor) -> None:
    if boxes.dim() != 2:
        raise RuntimeError(f"boxes should be a 2d tensor, got {boxes.dim()}D")
    if boxes.shape[1] != 4:
        raise RuntimeError(f"boxes should have 4 elements in dimension 1, got {boxes.shape[1]}")
    if scores.dim() != 1:
        raise RuntimeError(f"scores should be a 1d tensor, got {scores.dim()}D")
    if boxes.shape[0] != scores.shape[0]:
        raise RuntimeError(
            "boxes and scores should have same number of elements in dimension 0, got "
            f"{boxes.shape[0]} and {scores.shape[0]}"
        )


WHOLE = 2048  # boxes of which all pairs are compared at once


def _too_much(boxes: Any, areas: Any, one: Any, others: Any, threshold: float) -> Any:
    """Which boxes overlap some by more than a threshold; indices may be arrays."""
    low = np.maximum(boxes[one, :2], boxes[others, :2])
    sides = np.maximum(np.minimum(boxes[one, 2:], boxes[others, 2:]) - low, 0)
    shared = sides[..., 0] * sides[..., 1]
    with np.errstate(divide="ignore", invalid="ignore"):
        return shared / (areas[one] + areas[others] - shared) > threshold


def _greedy(boxes: Any, scores: Any, threshold: float) -> list[int]:
    """The best box stays, those that overlap it more than threshold go, and so on."""
    areas = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    left = np.argsort(-scores, kind="stable")
    kept: list[int] = []
    if left.size <= WHOLE:
        free = ~_too_much(boxes, areas, left[:, None], left[None], threshold)
        alive = np.ones(left.size, bool)
        for place, index in enumerate(left.tolist()):
            if alive[place]:
                kept.append(index)
                alive &= free[place]
        return kept
    while left.size:
        best, left = left[0], left[1:]
        kept.append(int(best))
        left = left[~_too_much(boxes, areas, best, left, threshold)]
    return kept


def suppress(boxes: Any, scores: Any, classes: Any, threshold: float) -> Any:
    """The places of boxes that no better one (of their class) overlaps, best first: int64."""
    if classes is None:
        return np.array(_greedy(boxes, scores, threshold), np.int64)
    kept = []
    for one in np.unique(classes):
        own = np.flatnonzero(classes == one)
        kept.append(own[_greedy(boxes[own], scores[own], threshold)])
    places = np.sort(np.concatenate(kept)) if kept else np.zeros(0, np.int64)
    return places[np.argsort(-scores[places], kind="stable")]


def nms(boxes: Tensor, scores: Tensor, iou_threshold: float) -> Tensor:
    """Corners (N, 4) that no better one overlaps by more than a threshold: indices, best first.

    RuntimeError for other shapes.
    """
    _check_suppression(boxes, scores)
    kept = suppress(_wide(boxes)._values(), _wide(scores)._values(), None, iou_threshold)
    return from_array(kept, int64)


def batched_nms(boxes: Tensor, scores: Tensor, idxs: Tensor, iou_threshold: float) -> Tensor:
    """nms among the boxes of each class (idxs, (N,)) by themselves; all indices, best first."""
    _check_suppression(boxes, scores)
    classes = idxs._values()
    kept = suppress(_wide(boxes)._values(), _wide(scores)._values(), classes, iou_threshold)
    return from_array(kept, int64)


def flat_boxes(boxes: list[Tensor]) -> Tensor:
    """Boxes (L, 4) of each image as one (K, 5), in front the number of the image."""
    numbered = [
        cat([one.new_full((one.shape[0], 1), float(index)), one], 1)
        for index, one in enumerate(boxes)
    ]
    return cat(numbered, 0)
