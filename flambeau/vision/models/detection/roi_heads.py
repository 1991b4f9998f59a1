"""What proposals hold: classes, corners, masks and key points (arXiv:1506.01497, 1703.06870)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

import flambeau.nn as nn
from flambeau.core.dtypes import float16, float32, float64, int64
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor, from_array
from flambeau.vision.models.detection.matching import (
    Array,
    BalancedPositiveNegativeSampler,
    BoxCoder,
    Matcher,
    overlaps,
)
from flambeau.vision.models.detection.pasting import heatmaps_to_keypoints, paste_masks_in_image
from flambeau.vision.models.detection.selection import clipped, inside, suppressed
from flambeau.vision.ops.boxes import box_iou
from flambeau.vision.ops.regions import roi_align

__all__ = [
    "RoIHeads", "fastrcnn_loss", "heatmaps_to_keypoints", "keypointrcnn_inference",
    "keypointrcnn_loss", "keypoints_to_heatmap", "maskrcnn_inference", "maskrcnn_loss",
    "paste_masks_in_image", "project_masks_on_boxes",
]  # fmt: skip

Target = dict[str, Any]
F = nn.functional


def fastrcnn_loss(
    class_logits: Tensor,
    box_regression: Tensor,
    labels: Sequence[Tensor],
    regression_targets: Sequence[Tensor],
) -> tuple[Tensor, Tensor]:
    """Losses of the classes of proposals, and of their moves where they hold something."""
    kinds = cat(list(labels), 0)
    count = class_logits.shape[0]
    moves = box_regression.reshape(count, -1, 4)[from_numpy(np.arange(count)), kinds]
    # All proposals take part, so that steps with more or fewer positive ones stay alike.
    holds = (kinds > 0).unsqueeze(1)
    wanted = cat(list(regression_targets), 0).where(holds, 0.0)
    apart = F.smooth_l1_loss(moves.where(holds, 0.0), wanted, beta=1 / 9, reduction="sum")
    return F.cross_entropy(class_logits, kinds), apart / kinds.numel()


# ---- masks ---------------------------------------------------------------------------------------


def maskrcnn_inference(x: Tensor, labels: Sequence[Tensor]) -> tuple[Tensor, ...]:
    """Masks (N, classes, M, M) of all images as those of their classes, for each: (n, 1, M, M)."""
    counts = [len(one) for one in labels]
    kinds = cat(list(labels), 0)
    chosen = x.sigmoid()[from_numpy(np.arange(len(x))), kinds].unsqueeze(1)
    return tuple(chosen.split(counts, 0))


def project_masks_on_boxes(gt_masks: Tensor, boxes: Tensor, matched_idxs: Tensor, M: int) -> Tensor:
    """The true masks (n, H, W) that belong to boxes (N, 4), within them: (N, M, M)."""
    rows = cat([matched_idxs.to(boxes.dtype).unsqueeze(1), boxes], 1)
    return roi_align(gt_masks.unsqueeze(1).to(boxes.dtype), rows, (M, M), 1.0)[:, 0]


def maskrcnn_loss(
    mask_logits: Tensor,
    proposals: Sequence[Tensor],
    gt_masks: Sequence[Tensor],
    gt_labels: Sequence[Tensor],
    mask_matched_idxs: Sequence[Tensor],
) -> Tensor:
    """The loss of masks (N, classes, M, M) of proposals, those of their classes."""
    side = mask_logits.shape[-1]
    kinds = cat([own[i] for own, i in zip(gt_labels, mask_matched_idxs, strict=True)], 0)
    parts = zip(gt_masks, proposals, mask_matched_idxs, strict=True)
    wanted = cat([project_masks_on_boxes(m, p, i, side) for m, p, i in parts], 0)
    if not wanted.numel():
        return mask_logits.sum() * 0
    chosen = mask_logits[from_numpy(np.arange(len(kinds))), kinds]
    loss: Tensor = F.binary_cross_entropy_with_logits(chosen, wanted)
    return loss


# ---- key points ----------------------------------------------------------------------------------


def keypoints_to_heatmap(
    keypoints: Tensor, rois: Tensor, heatmap_size: int
) -> tuple[Tensor, Tensor]:
    """Where points (N, K, 3) lie among the places of their boxes' maps, and which do: int64."""
    points, boxes = keypoints.detach()._values(), rois.detach()._values()
    places, valid = [], points[..., 2] > 0
    with np.errstate(divide="ignore", invalid="ignore"):
        for axis in (0, 1):
            low, high = boxes[:, axis, None], boxes[:, axis + 2, None]
            at = np.floor((points[..., axis] - low) * (heatmap_size / (high - low)))
            at = np.where(points[..., axis] == high, heatmap_size - 1, at)
            valid = valid & (at >= 0) & (at < heatmap_size)
            places.append(at)
    place = np.where(valid, places[1] * heatmap_size + places[0], 0).astype(np.int64)
    return from_array(place, int64), from_array(valid.astype(np.int64), int64)


def keypointrcnn_loss(
    keypoint_logits: Tensor,
    proposals: Sequence[Tensor],
    gt_keypoints: Sequence[Tensor],
    keypoint_matched_idxs: Sequence[Tensor],
) -> Tensor:
    """The loss of heat maps (N, K, M, M) of proposals. ValueError where they are not square."""
    count, points, height, width = keypoint_logits.shape
    if height != width:
        raise ValueError(
            "keypoint_logits height and width (last two elements of shape) should be equal. "
            f"Instead got H = {height} and W = {width}"
        )
    parts = zip(proposals, gt_keypoints, keypoint_matched_idxs, strict=True)
    maps = [keypoints_to_heatmap(own[index], boxes, height) for boxes, own, index in parts]
    wanted = np.concatenate([place._values().reshape(-1) for place, _ in maps])
    valid = np.concatenate([mask._values().reshape(-1) for _, mask in maps]) > 0
    if not valid.any():
        return keypoint_logits.sum() * 0
    rows = keypoint_logits.reshape(count * points, height * width)
    aimed = from_numpy(np.where(valid, wanted, -100))  # which cross_entropy leaves out
    loss: Tensor = F.cross_entropy(rows, aimed)
    return loss


def keypointrcnn_inference(x: Tensor, boxes: Sequence[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
    """Points (n, K, 3) and scores (n, K) of the boxes of each image."""
    parts = x.split([len(own) for own in boxes], 0)
    found = [heatmaps_to_keypoints(m, own) for m, own in zip(parts, boxes, strict=True)]
    return [points for points, _ in found], [scores for _, scores in found]


# ---- heads ---------------------------------------------------------------------------------------


class RoIHeads(nn.Module):
    """Proposals of each image to what they hold; in training to losses by name.

    Masks and key points come with their three parts each: a pool, a head and a predictor.
    """

    def __init__(
        self,
        box_roi_pool: Any,
        box_head: Any,
        box_predictor: Any,
        fg_iou_thresh: float,
        bg_iou_thresh: float,
        batch_size_per_image: int,
        positive_fraction: float,
        bbox_reg_weights: tuple[float, float, float, float] | None,
        score_thresh: float,
        nms_thresh: float,
        detections_per_img: int,
        mask_roi_pool: Any = None,
        mask_head: Any = None,
        mask_predictor: Any = None,
        keypoint_roi_pool: Any = None,
        keypoint_head: Any = None,
        keypoint_predictor: Any = None,
    ) -> None:
        super().__init__()
        self.box_similarity = box_iou
        self.proposal_matcher = Matcher(fg_iou_thresh, bg_iou_thresh)
        self.fg_bg_sampler = BalancedPositiveNegativeSampler(
            batch_size_per_image, positive_fraction
        )
        self.box_coder = BoxCoder(bbox_reg_weights or (10.0, 10.0, 5.0, 5.0))
        self.box_roi_pool = box_roi_pool
        self.box_head = box_head
        self.box_predictor = box_predictor
        self.score_thresh = score_thresh
        self.nms_thresh = nms_thresh
        self.detections_per_img = detections_per_img
        self.mask_roi_pool = mask_roi_pool
        self.mask_head = mask_head
        self.mask_predictor = mask_predictor
        self.keypoint_roi_pool = keypoint_roi_pool
        self.keypoint_head = keypoint_head
        self.keypoint_predictor = keypoint_predictor

    def has_mask(self) -> bool:
        """Whether masks are found."""
        return None not in (self.mask_roi_pool, self.mask_head, self.mask_predictor)

    def has_keypoint(self) -> bool:
        """Whether key points are found."""
        parts = (self.keypoint_roi_pool, self.keypoint_head, self.keypoint_predictor)
        return None not in parts

    def _assigned(self, boxes: Array, truth: Array, kinds: Array) -> tuple[Array, Array]:
        """The true box of every proposal, and its class: 0 for background, -1 for neither."""
        if not len(truth):
            return np.zeros(len(boxes), np.int64), np.zeros(len(boxes), np.int64)
        matches = self.proposal_matcher.match(overlaps(truth, boxes))
        own = np.maximum(matches, 0)
        labels = kinds[own].astype(np.int64)
        labels[matches == Matcher.BELOW_LOW_THRESHOLD] = 0
        labels[matches == Matcher.BETWEEN_THRESHOLDS] = -1
        return own, labels

    def check_targets(self, targets: list[Target] | None) -> None:
        """ValueError where a target has no boxes, labels or masks that are needed."""
        if targets is None:
            raise ValueError("targets should not be None")
        for key in ("boxes", "labels", *(["masks"] if self.has_mask() else [])):
            if not all(key in target for target in targets):
                raise ValueError(f"Every element of targets should have a {key} key")

    def select_training_samples(
        self, proposals: Sequence[Tensor], targets: list[Target] | None
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor], list[Tensor]]:
        """Drawn proposals of each image, the true boxes they belong to, classes, and moves."""
        self.check_targets(targets)
        assert targets is not None
        boxes, matched, labels, wanted = [], [], [], []
        for own, target in zip(proposals, targets, strict=True):
            truth = target["boxes"].detach().to(own.dtype)._values()
            # True boxes are proposals too.
            all_boxes = np.concatenate([own.detach()._values(), truth])
            index, kinds = self._assigned(all_boxes, truth, target["labels"]._values())
            positive, negative = self.fg_bg_sampler.draw(kinds)
            chosen = np.flatnonzero(positive | negative)
            held = truth if len(truth) else np.zeros((1, 4), truth.dtype)
            boxes.append(from_array(all_boxes[chosen], own.dtype))
            matched.append(from_array(index[chosen], int64))
            labels.append(from_array(kinds[chosen], int64))
            wanted.append(from_array(held[index[chosen]], own.dtype))
        return boxes, matched, labels, list(self.box_coder.encode(wanted, boxes))

    def postprocess_detections(
        self,
        class_logits: Tensor,
        box_regression: Tensor,
        proposals: Sequence[Tensor],
        image_shapes: list[tuple[int, int]],
    ) -> tuple[list[Tensor], list[Tensor], list[Tensor]]:
        """Boxes, scores and labels of each image: of every class those that do not overlap."""
        moved = self.box_coder.decode(box_regression, list(proposals)).detach()
        chances = F.softmax(class_logits, -1).detach()
        edges = np.cumsum([0, *(len(own) for own in proposals)])
        classes = class_logits.shape[-1]
        boxes, scores, labels = [], [], []
        all_boxes, all_scores = moved._values().reshape(-1, classes, 4), chances._values()
        for first, last, shape in zip(edges[:-1], edges[1:], image_shapes, strict=True):
            corners = clipped(all_boxes[first:last, 1:], shape).reshape(-1, 4)
            values = all_scores[first:last, 1:].reshape(-1)
            kinds = np.tile(np.arange(1, classes), last - first)
            kept = np.flatnonzero((values > self.score_thresh) & inside(corners, 0.01))
            best = suppressed(corners[kept], values[kept], kinds[kept], self.nms_thresh)
            kept = kept[best[: self.detections_per_img]]
            boxes.append(from_array(corners[kept], moved.dtype))
            scores.append(from_array(values[kept], chances.dtype))
            labels.append(from_array(kinds[kept], int64))
        return boxes, scores, labels

    def _check_kinds(self, targets: list[Target]) -> None:
        for target in targets:
            if target["boxes"].dtype not in (float32, float64, float16):
                raise TypeError(
                    f"target boxes must of float type, instead got {target['boxes'].dtype}"
                )
            if target["labels"].dtype is not int64:
                raise TypeError(
                    f"target labels must of int64 type, instead got {target['labels'].dtype}"
                )
            if self.has_keypoint() and target["keypoints"].dtype is not float32:
                raise TypeError(
                    f"target keypoints must of float type, instead got {target['keypoints'].dtype}"
                )

    def forward(
        self,
        features: Mapping[str, Tensor],
        proposals: list[Tensor],
        image_shapes: list[tuple[int, int]],
        targets: list[Target] | None = None,
    ) -> tuple[list[Target], dict[str, Tensor]]:
        if targets is not None:
            self._check_kinds(targets)
        if not self.training:
            return self._found(features, proposals, image_shapes), {}
        proposals, matched, labels, wanted = self.select_training_samples(proposals, targets)
        assert targets is not None
        seen = self.box_head(self.box_roi_pool(features, proposals, image_shapes))
        logits, moves = self.box_predictor(seen)
        class_loss, box_loss = fastrcnn_loss(logits, moves, labels, wanted)
        losses = {"loss_classifier": class_loss, "loss_box_reg": box_loss}
        if not (self.has_mask() or self.has_keypoint()):
            return [], losses
        places = [from_numpy(np.flatnonzero(kinds._values() > 0)) for kinds in labels]
        held = [own[place] for own, place in zip(proposals, places, strict=True)]
        index = [own[place] for own, place in zip(matched, places, strict=True)]
        if self.has_mask():
            masks = self._masks(features, held, image_shapes)
            truth = [target["masks"] for target in targets]
            kinds = [target["labels"] for target in targets]
            losses["loss_mask"] = maskrcnn_loss(masks, held, truth, kinds, index)
        if self.has_keypoint():
            maps = self._points(features, held, image_shapes)
            truth = [target["keypoints"] for target in targets]
            losses["loss_keypoint"] = keypointrcnn_loss(maps, held, truth, index)
        return [], losses

    def _masks(self, features: Mapping[str, Tensor], boxes: list[Tensor], sizes: Any) -> Tensor:
        seen = self.mask_head(self.mask_roi_pool(features, boxes, sizes))
        masks: Tensor = self.mask_predictor(seen)
        return masks

    def _points(self, features: Mapping[str, Tensor], boxes: list[Tensor], sizes: Any) -> Tensor:
        seen = self.keypoint_head(self.keypoint_roi_pool(features, boxes, sizes))
        maps: Tensor = self.keypoint_predictor(seen)
        return maps

    def _found(
        self, features: Mapping[str, Tensor], proposals: list[Tensor], sizes: Any
    ) -> list[Target]:
        seen = self.box_head(self.box_roi_pool(features, proposals, sizes))
        logits, moves = self.box_predictor(seen)
        boxes, scores, labels = self.postprocess_detections(logits, moves, proposals, sizes)
        result: list[Target] = [
            {"boxes": own, "labels": kinds, "scores": values}
            for own, kinds, values in zip(boxes, labels, scores, strict=True)
        ]
        if self.has_mask():
            masks = maskrcnn_inference(self._masks(features, boxes, sizes), labels)
            for found, mask in zip(result, masks, strict=True):
                found["masks"] = mask
        if self.has_keypoint():
            points, heights = keypointrcnn_inference(self._points(features, boxes, sizes), boxes)
            for found, own, values in zip(result, points, heights, strict=True):
                found["keypoints"], found["keypoints_scores"] = own, values
        return result
