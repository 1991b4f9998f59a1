"""vision.ops beside torchvision's: layers, boxes, losses, regions, with gradients."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
import flambeau.vision.ops

torch: Any = pytest.importorskip("torch")
from tests.vision.reference import torchvision

pytestmark = pytest.mark.parity

RANDOM = np.random.default_rng(3)


def _boxes(count: int) -> Any:
    corners = RANDOM.uniform(0, 9, (count, 2))
    return np.concatenate([corners, corners + RANDOM.uniform(0.5, 6, (count, 2))], 1)


A, B, C = _boxes(5), _boxes(4), _boxes(5)
MAPS = RANDOM.standard_normal((2, 3, 9, 11))
LOGITS, TARGETS = RANDOM.standard_normal((4, 3)), (RANDOM.random((4, 3)) < 0.4) * 1.0
MASKS = np.pad(RANDOM.random((3, 4, 5)) < 0.3, ((0, 1), (1, 0), (0, 2)))

# (what to call in ops, arrays; those of floating point get gradients)
Call = Callable[..., Any]
CASES: list[tuple[str, Call, list[Any]]] = [
    *((f"area {f}", lambda o, x, f=f: o.box_area(x, f), [A]) for f in ("xyxy", "xywh", "cxcywh")),
    *(
        (f"convert {a} {b}", lambda o, x, a=a, b=b: o.box_convert(x, a, b), [A])
        for a in ("xyxy", "xywh", "cxcywh")
        for b in ("xyxy", "xywh", "cxcywh")
    ),
    *((f"iou {f}", lambda o, x, y, f=f: o.box_iou(x, y, f), [A, B]) for f in ("xyxy", "cxcywh")),
    ("giou", lambda o, x, y: o.generalized_box_iou(x, y), [A, B]),
    ("diou", lambda o, x, y: o.distance_box_iou(x, y), [A, B]),
    ("ciou", lambda o, x, y: o.complete_box_iou(x, y), [A, B]),
    ("iou, some equal", lambda o, x, y: o.box_iou(x, y), [A.round(), B.round()]),
    ("areas of bytes", lambda o, x: o.box_area(x), [(A * 9).astype(np.uint8)]),
    ("clipped", lambda o, x: o.clip_boxes_to_image(x, (6, 8)), [A]),
    ("clipped batch", lambda o, x: o.clip_boxes_to_image(x, (6, 8)), [A[None]]),
    ("not small", lambda o, x: o.remove_small_boxes(x, 3.0), [A]),
    ("around masks", lambda o, x: o.masks_to_boxes(x), [MASKS]),
    *(
        (f"{name} {r}", lambda o, x, y, name=name, r=r: getattr(o, name)(x, y, reduction=r), [A, C])
        for name in ("generalized_box_iou_loss", "distance_box_iou_loss", "complete_box_iou_loss")
        for r in ("none", "mean", "sum")
    ),
    ("focal", lambda o, x, y: o.sigmoid_focal_loss(x, y), [LOGITS, TARGETS]),
    ("focal mean", lambda o, x, y: o.sigmoid_focal_loss(x, y, -1, 1.5, "mean"), [LOGITS, TARGETS]),
    ("depth by rows", lambda o, x: o.stochastic_depth(x, 0.4, "row"), [MAPS]),
    ("depth of all", lambda o, x: o.StochasticDepth(0.4, "batch")(x), [MAPS]),
    ("permuted", lambda o, x: o.Permute([0, 2, 3, 1])(x), [MAPS]),
    ("frozen norm", lambda o, x: o.FrozenBatchNorm2d(3).double()(x), [MAPS]),
    ("perceptron", lambda o, x: o.MLP(11, [5, 4], dropout=0.5).double()(x), [MAPS]),
    (
        "convolution",
        lambda o, x: o.Conv2dNormActivation(3, 6, (3, 5), 2, groups=3, dilation=(2, 1)).double()(x),
        [MAPS],
    ),
    ("in 3d", lambda o, x: o.Conv3dNormActivation(2, 4, bias=True).double()(x[None]), [MAPS]),
    ("gate", lambda o, x: o.SqueezeExcitation(3, 2).double()(x), [MAPS]),
]  # fmt: skip


@pytest.mark.parametrize(("call", "arrays"), [row[1:] for row in CASES], ids=[r[0] for r in CASES])
def test_values_and_gradients(call: Call, arrays: list[Any]) -> None:
    found = []
    for library, ops in ((torch, torchvision.ops), (flambeau, flambeau.vision.ops)):
        library.manual_seed(4)
        given = [library.from_numpy(array.copy()) for array in arrays]
        for one in given:
            one.requires_grad_(one.is_floating_point())
        result = call(ops, *given)
        told = [result.detach().numpy()]
        if result.requires_grad:
            weight = np.random.default_rng(1).standard_normal(tuple(result.shape))
            (result * library.from_numpy(np.asarray(weight))).sum().backward()
            told += [one.grad.numpy() for one in given if one.grad is not None]
        found.append(told)
    assert len(found[0]) == len(found[1])
    for expected, value in zip(*found, strict=True):
        assert expected.dtype == value.dtype
        np.testing.assert_allclose(value, expected, 1e-9, 1e-9)


LAST = {2: (3.0, 3.0, 2.0, 1.0), -1: (2.0, 1.0, 3.0, 3.0)}  # corners by sampling_ratio


@pytest.mark.parametrize("aligned", [False, True])
@pytest.mark.parametrize(("scale", "ratio", "size"), [(1.0, 2, (2, 3)), (0.5, -1, (3, 3))])
def test_regions(aligned: bool, scale: float, ratio: int, size: tuple[int, int]) -> None:
    # The compiled op may be absent; its twin in Python is the same for samples inside the maps.
    reference = importlib.import_module("torchvision.ops.roi_align")._roi_align.__wrapped__
    images = np.array([1, 0, 1, 0, 0, 1.0])
    corners = np.concatenate([_boxes(5) - 0.7, [LAST[ratio]]]).clip(-0.7, 9) / scale
    rows = np.concatenate([images[:, None], corners], 1)
    theirs, ours = torch.from_numpy(MAPS.copy()), flambeau.from_numpy(MAPS.copy())
    theirs.requires_grad_(), ours.requires_grad_()
    expected = reference(theirs, torch.from_numpy(rows), scale, *size, ratio, aligned)
    found = flambeau.vision.ops.roi_align(
        ours, flambeau.from_numpy(rows), size, scale, ratio, aligned
    )
    np.testing.assert_allclose(found.detach().numpy(), expected.detach().numpy(), 1e-9, 1e-9)
    weight = RANDOM.standard_normal(tuple(expected.shape))
    (expected * torch.from_numpy(weight)).sum().backward()
    (found * flambeau.from_numpy(weight)).sum().backward()
    np.testing.assert_allclose(ours.grad.numpy(), theirs.grad.numpy(), 1e-9, 1e-9)
    by_image = [flambeau.from_numpy(corners[images == i]) for i in (0, 1)]
    layer = flambeau.vision.ops.RoIAlign(size, scale, ratio, aligned)
    again = layer(ours, by_image).detach().numpy()
    np.testing.assert_allclose(again[:3], found.detach().numpy()[images == 0], 1e-9, 1e-9)


@pytest.mark.parametrize("extra", ["LastLevelMaxPool", "LastLevelP6P7", None])
def test_pyramids(extra: str | None) -> None:
    arrays = [RANDOM.standard_normal((2, 3, 9, 7)), RANDOM.standard_normal((2, 4, 5, 4))]
    results = []
    for library, name in (
        (torch, "torchvision.ops.feature_pyramid_network"),
        (flambeau, "flambeau.vision.ops.pyramids"),
    ):
        library.manual_seed(2)
        part = importlib.import_module(name)
        sizes = (4, 6) if extra == "LastLevelP6P7" else ()
        more = None if extra is None else getattr(part, extra)(*sizes)
        pyramid = part.FeaturePyramidNetwork([3, 4], 6, more).double()
        x = [library.from_numpy(array.copy()).requires_grad_() for array in arrays]
        given = pyramid(dict(zip("ab", x, strict=True)))
        sum((one * one).sum() for one in given.values()).backward()
        told = [*given.values(), *(one.grad for one in x), *pyramid.state_dict().values()]
        results.append((list(given), [one.detach().numpy() for one in told]))
    assert results[0][0] == results[1][0]
    for expected, value in zip(results[0][1], results[1][1], strict=True):
        np.testing.assert_allclose(value, expected, 1e-9, 1e-9)
