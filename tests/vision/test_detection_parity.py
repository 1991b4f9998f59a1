"""Detectors beside torchvision's: draws, losses, gradients, and what is found."""

from __future__ import annotations

import importlib
from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
import flambeau.nn
from flambeau.vision import models

torch: Any = pytest.importorskip("torch")
from tests.vision.reference import torchvision

pytestmark = pytest.mark.parity

DRAWS = "kaiming_normal_ kaiming_uniform_ normal_ uniform_ xavier_uniform_".split()
Make = Callable[[Any], Any]


def _nms(boxes: Any, scores: Any, threshold: float) -> Any:
    """What the compiled op does."""
    left, kept = scores.argsort(stable=True, descending=True).tolist(), []
    overlap = torchvision.ops.box_iou(boxes, boxes)
    while left:
        best = left.pop(0)
        kept.append(best)
        left = [one for one in left if not overlap[best, one] > threshold]
    return torch.tensor(kept, dtype=torch.int64)


@pytest.fixture(autouse=True)
def _without_compiled_ops(monkeypatch: pytest.MonkeyPatch) -> None:
    if not torchvision.extension._has_ops():
        align = importlib.import_module("torchvision.ops.roi_align")
        monkeypatch.setattr(align, "_roi_align", align._roi_align.__wrapped__)
        monkeypatch.setattr(torchvision.ops.boxes, "nms", _nms)


def _part(library: Any, name: str) -> Any:
    """A module of torchvision's name."""
    if library is torch:
        return importlib.import_module(f"torchvision.models.detection.{name}")
    name = {"anchor_utils": "anchors", "_utils": "matching"}.get(name, name)
    return importlib.import_module(f"flambeau.vision.models.detection.{name}")


def _trunk(library: Any, channels: int, maps: int, named: bool = True) -> Any:
    nn = library.nn

    class Trunk(nn.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.layers = nn.ModuleList(
                nn.Conv2d(channels if i else 3, channels, 3, 2, 1) for i in range(maps)
            )
            self.out_channels = channels if named else [channels] * maps

        def forward(self, x: Any) -> Any:
            found = OrderedDict()
            for index, layer in enumerate(self.layers):
                x = layer(x).relu()
                found[str(index)] = x
            return found

    return Trunk()


SMALL: dict[str, Any] = {"min_size": (30, 40), "max_size": 60}


def _two_stage(
    library: Any, kind: str = "FasterRCNN", file: str = "faster_rcnn", **more: Any
) -> Any:
    generator = _part(library, "anchor_utils").AnchorGenerator(((8,), (16,)), ((0.5, 1.0),) * 2)
    pool = (torchvision.ops if library is torch else flambeau.vision.ops).MultiScaleRoIAlign
    return getattr(_part(library, file), kind)(
        _trunk(library, 6, 2),
        num_classes=4,
        rpn_anchor_generator=generator,
        rpn_batch_size_per_image=16,
        rpn_pre_nms_top_n_train=60,
        rpn_post_nms_top_n_train=30,
        rpn_pre_nms_top_n_test=50,
        rpn_post_nms_top_n_test=20,
        box_roi_pool=pool(["0", "1"], 3, 2),
        box_head=_part(library, "faster_rcnn").FastRCNNConvFCHead((6, 3, 3), [5], [1024]),
        box_batch_size_per_image=12,
        box_score_thresh=0.2,
        **{name: make(library, pool) for name, make in more.items()},
        **SMALL,
    )


def _faster(library: Any) -> Any:
    return _two_stage(library)


def _mask(library: Any) -> Any:
    return _two_stage(
        library,
        "MaskRCNN",
        "mask_rcnn",
        mask_roi_pool=lambda lib, pool: pool(["0", "1"], 4, 2),
        mask_head=lambda lib, pool: _part(lib, "mask_rcnn").MaskRCNNHeads(6, (5, 256), 1),
    )


def _keypoint(library: Any) -> Any:
    return _two_stage(
        library,
        "KeypointRCNN",
        "keypoint_rcnn",
        keypoint_roi_pool=lambda lib, pool: pool(["0", "1"], 4, 2),
        keypoint_head=lambda lib, pool: _part(lib, "keypoint_rcnn").KeypointRCNNHeads(6, (5, 512)),
        num_keypoints=lambda lib, pool: 3,
    )


def _retina(library: Any) -> Any:
    generator = _part(library, "anchor_utils").AnchorGenerator(
        ((8, 11), (16, 22)), ((0.5, 1.0),) * 2
    )
    file = _part(library, "retinanet")
    trunk = _trunk(library, 6, 2)
    return file.RetinaNet(
        trunk, 4, anchor_generator=generator, topk_candidates=50, score_thresh=0.005, **SMALL
    )


def _retina_of_overlaps(library: Any) -> Any:
    model = _retina(library)
    model.head.regression_head._loss_type = "giou"
    return model


def _fcos(library: Any) -> Any:
    generator = _part(library, "anchor_utils").AnchorGenerator(((8,), (16,)), ((1.0,),) * 2)
    return _part(library, "fcos").FCOS(
        _trunk(library, 32, 2), 4, anchor_generator=generator, topk_candidates=50, **SMALL
    )


def _ssd(library: Any) -> Any:
    boxes = _part(library, "anchor_utils").DefaultBoxGenerator([[2], [2, 3]], steps=[8, 16])
    trunk = _trunk(library, 6, 2, named=False)
    return _part(library, "ssd").SSD(trunk, boxes, (32, 24), 4, topk_candidates=50)


SMALLS: list[Make] = [_faster, _mask, _keypoint, _retina, _retina_of_overlaps, _fcos, _ssd]


def _images() -> list[Any]:
    random = np.random.default_rng(3)
    return [random.random((3, *size), dtype=np.float32) for size in ((36, 44), (40, 33))]


def _targets(library: Any, empty: bool) -> list[dict[str, Any]]:
    random = np.random.default_rng(4)
    found = []
    for index, (height, width) in enumerate(((36, 44), (40, 33))):
        count = 0 if empty and index else 3
        start = random.uniform(0, 18, (count, 2))
        end = start + random.uniform(6, 14, (count, 2))
        boxes = np.concatenate([start, end], 1).astype(np.float32)
        inside = random.random((count, 3, 1)) < 0.8
        points = start[:, None] + random.random((count, 3, 2)) * (end - start)[:, None]
        target = {
            "boxes": boxes,
            "labels": random.integers(1, 4, count),
            "masks": (random.random((count, height, width)) < 0.5).astype(np.uint8),
            "keypoints": np.concatenate([points, inside], 2).astype(np.float32),
        }
        found.append({key: library.from_numpy(value) for key, value in target.items()})
    return found


def _pair(make: Make) -> tuple[Any, Any]:
    made = []
    for library in (torch, flambeau):
        library.manual_seed(5)
        made.append(make(library))
    theirs, ours = made
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for key, value in theirs.state_dict().items():
        np.testing.assert_array_equal(ours.state_dict()[key].numpy(), value.numpy(), key)
    with torch.no_grad():
        for parameter in theirs.parameters():  # so that models say something
            parameter += 0.1 * torch.randn(parameter.shape)
    state = {key: flambeau.tensor(value.numpy()) for key, value in theirs.state_dict().items()}
    ours.load_state_dict(state)
    assert repr(ours) == repr(theirs)
    return theirs, ours


EMPTY = [(make, True) for make in (_mask, _retina, _fcos, _ssd)]
LOSSES = [*((make, False) for make in SMALLS), *EMPTY]


@pytest.mark.parametrize(
    ("make", "empty"),
    LOSSES,
    ids=[make.__name__[1:] + ", one empty" * empty for make, empty in LOSSES],
)
def test_losses(make: Make, empty: bool) -> None:
    theirs, ours = _pair(make)
    losses = []
    for library, model in ((torch, theirs), (flambeau, ours)):
        library.manual_seed(6)
        images = [library.from_numpy(image) for image in _images()]
        told = model(images, _targets(library, empty))
        sum(told.values()).backward()
        losses.append({key: value.item() for key, value in told.items()})
    expected, found = losses
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key] == pytest.approx(value, rel=1e-4), key
    gradients = dict(ours.named_parameters())
    for key, parameter in theirs.named_parameters():
        if parameter.grad is None:
            continue
        wanted, given = parameter.grad.numpy(), gradients[key].grad.numpy()
        scale = max(1e-3, float(np.abs(wanted).max()))
        assert np.abs(given - wanted).max() <= 2e-3 * scale, key


@pytest.mark.parametrize("make", SMALLS, ids=[make.__name__[1:] for make in SMALLS])
def test_found(make: Make) -> None:
    theirs, ours = _pair(make)
    theirs.eval(), ours.eval()
    with torch.no_grad():
        expected = theirs([torch.from_numpy(image) for image in _images()])
    with flambeau.no_grad():
        found = ours([flambeau.from_numpy(image) for image in _images()])
    assert sum(len(one["boxes"]) for one in expected) > 0
    for one, other in zip(found, expected, strict=True):
        assert set(one) == set(other)
        for key, value in other.items():
            wanted = value.numpy()
            np.testing.assert_allclose(one[key].numpy(), wanted, 2e-3, 2e-3, err_msg=key)
            assert one[key].numpy().dtype == wanted.dtype, key


NAMES = models.list_models(models.detection)


@pytest.mark.parametrize("name", NAMES)
def test_structure(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for draw in DRAWS:
        for library in (torch, flambeau):
            monkeypatch.setattr(library.nn.init, draw, lambda tensor, *args, **kwargs: tensor)
    theirs = torchvision.models.get_model(name, weights_backbone=None)
    ours = models.get_model(name, weights_backbone=None)
    assert repr(ours) == repr(theirs)
    shapes = {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert {key: tuple(value.shape) for key, value in ours.state_dict().items()} == shapes
    weights: Any = models.get_model_weights(name)["DEFAULT"]
    preset = torchvision.models.get_model_weights(name)["DEFAULT"]
    assert (weights.url, weights.meta["num_params"]) == (preset.url, preset.meta["num_params"])
    count = sum(parameter.numel() for parameter in ours.parameters())
    assert count == sum(parameter.numel() for parameter in theirs.parameters())


def test_mistakes() -> None:
    model = _faster(flambeau)
    images = [flambeau.zeros(3, 30, 30)]
    with pytest.raises(AssertionError, match="targets should not be none"):
        model(images)
    flat = flambeau.tensor([[3.0, 3, 3, 9]])
    with pytest.raises(AssertionError, match="positive height and width"):
        model(images, [{"boxes": flat, "labels": flambeau.tensor([1])}])
    with pytest.raises(AssertionError, match=r"shape \[N, 4\]"):
        model(images, [{"boxes": flat[0], "labels": flambeau.tensor([1])}])
    with pytest.raises(TypeError, match="floating type"):
        model.eval()([flambeau.zeros(3, 30, 30, dtype=flambeau.uint8)])
    detection: Any = models.detection
    with pytest.raises(ValueError, match="attribute out_channels"):
        detection.FasterRCNN(flambeau.nn.Identity(), 3)
    with pytest.raises(ValueError, match="num_classes should be None when box_predictor"):
        detection.FasterRCNN(_trunk(flambeau, 4, 2), 3, box_predictor=flambeau.nn.Identity())
    with pytest.raises(TypeError, match="box_roi_pool should be of type MultiScaleRoIAlign"):
        detection.FasterRCNN(_trunk(flambeau, 4, 2), 3, box_roi_pool=3)
    with pytest.raises(TypeError, match="unexpected keyword"):
        detection.FasterRCNN(_trunk(flambeau, 4, 2), 3, nope=3)
