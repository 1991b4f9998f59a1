"""vision.ops: suppression by its definition, boxes and their errors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
import flambeau.nn as nn
from flambeau.vision import ops


def _boxes(seed: int, count: int) -> Any:
    random = np.random.default_rng(seed)
    corners = random.uniform(0, 20, (count, 2))
    return np.concatenate([corners, corners + random.uniform(1, 9, (count, 2))], 1).astype("f")


def _overlap(one: Any, other: Any) -> float:
    sides = np.minimum(one[2:], other[2:]) - np.maximum(one[:2], other[:2])
    shared = sides.clip(0).prod()
    return float(shared / ((one[2:] - one[:2]).prod() + (other[2:] - other[:2]).prod() - shared))


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.7, 1.0])
def test_suppression(threshold: float) -> None:
    boxes = _boxes(1, 60)
    random = np.random.default_rng(2)
    scores, classes = random.permutation(60).astype("f"), random.integers(0, 3, 60)
    for apart in (False, True):
        kept: list[int] = []
        for index in np.argsort(-scores):
            rivals = [k for k in kept if not apart or classes[k] == classes[index]]
            if all(_overlap(boxes[index], boxes[k]) <= threshold for k in rivals):
                kept.append(int(index))
        given = (flambeau.tensor(boxes), flambeau.tensor(scores))
        if apart:
            found = ops.batched_nms(*given, flambeau.tensor(classes), threshold)
        else:
            found = ops.nms(*given, threshold)
        assert found.tolist() == kept and found.dtype == flambeau.int64


def test_nothing_to_suppress() -> None:
    empty = flambeau.zeros(0, 4)
    assert ops.nms(empty, flambeau.zeros(0), 0.5).shape == (0,)
    assert ops.batched_nms(empty, flambeau.zeros(0), flambeau.zeros(0), 0.5).shape == (0,)
    assert ops.remove_small_boxes(empty, 1.0).shape == (0,)
    assert ops.masks_to_boxes(flambeau.zeros(0, 3, 3)).shape == (0, 4)
    assert ops.roi_align(flambeau.zeros(1, 2, 4, 4), flambeau.zeros(0, 5), 3).shape == (0, 2, 3, 3)


def test_samples_outside_of_the_maps_are_zero() -> None:
    boxes = flambeau.tensor([[0, -6.0, 0.0, -2.0, 4.0], [0, 0.0, 0.0, 4.0, 4.0]])
    found = ops.roi_align(flambeau.ones(1, 1, 4, 4), boxes, 2, sampling_ratio=2)
    assert found[:, 0].tolist() == [[[0.0, 0.0], [0.0, 0.0]], [[1.0, 1.0], [1.0, 1.0]]]


BOXES = flambeau.zeros(2, 4)
MISTAKES: list[tuple[Callable[[], Any], type[Exception], str]] = [
    (lambda: ops.nms(BOXES[0], BOXES[0], 0.5), RuntimeError, "boxes should be a 2d tensor, got 1D"),
    (lambda: ops.nms(BOXES[:, :3], BOXES[:, 0], 0.5), RuntimeError, "boxes should have 4 elements"),
    (lambda: ops.nms(BOXES, BOXES, 0.5), RuntimeError, "scores should be a 1d tensor, got 2D"),
    (lambda: ops.nms(BOXES, BOXES[0], 0.5), RuntimeError, "same number of elements"),
    (lambda: ops.box_convert(BOXES, "a", "xyxy"), ValueError, "in_fmt a and out_fmt xyxy"),
    (lambda: ops.box_convert(BOXES, "xyxy", "xywhr"), NotImplementedError, "rotated"),
    (lambda: ops.box_area(BOXES, "a"), ValueError, "area for given format a"),
    (lambda: ops.box_iou(BOXES, BOXES, "a"), ValueError, "Unsupported format 'a'"),
    (lambda: ops.box_iou(BOXES, BOXES, "xywhr"), NotImplementedError, "rotated"),
    (lambda: ops.sigmoid_focal_loss(BOXES, BOXES, 1.5), ValueError, "Invalid alpha value: 1.5"),
    (lambda: ops.sigmoid_focal_loss(BOXES, BOXES, reduction="a"), ValueError, "arg 'reduction'"),
    (lambda: ops.stochastic_depth(BOXES, 1.5, "row"), ValueError, "between 0 and 1, but got 1.5"),
    (lambda: ops.stochastic_depth(BOXES, 0.5, "a"), ValueError, "but got a"),
    (lambda: ops.roi_align(BOXES, BOXES, 2), AssertionError, r"Tensor\[K, 5\]"),
    (lambda: ops.roi_align(BOXES, [BOXES[:, :3]], 2), AssertionError, r"List\[Tensor\[L, 4\]\]"),
    (lambda: ops.FeaturePyramidNetwork([4, 0], 6), ValueError, "in_channels=0 is currently not"),
    (lambda: ops.roi_align(BOXES, 3, 2), AssertionError, "boxes is expected"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("call", "kind", "told"), MISTAKES)
def test_mistakes(call: Callable[[], Any], kind: type[Exception], told: str) -> None:
    with pytest.raises(kind, match=told):
        call()


def test_a_frozen_norm_is_the_norm_in_eval_and_reads_its_state() -> None:
    norm = nn.BatchNorm2d(3)
    for value in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        assert isinstance(value, flambeau.Tensor)
        value.data = flambeau.rand(3) + 0.5
    frozen = ops.FrozenBatchNorm2d(3)
    frozen.load_state_dict(norm.state_dict())
    x = flambeau.randn(2, 3, 4, 4)
    assert flambeau.allclose(frozen(x), norm.eval()(x), atol=1e-5)
    assert not list(frozen.parameters())
