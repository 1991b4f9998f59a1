"""Metrics of segmentation are those of torchmetrics."""

from __future__ import annotations

import importlib
from typing import Any

import pytest

from tests.metrics.reference import both, place, streamed, theirs, torch, valued

pytestmark = [pytest.mark.parity, pytest.mark.filterwarnings("ignore::UserWarning")]
importlib.import_module("torchmetrics.segmentation")
importlib.import_module("torchmetrics.functional.segmentation")
G = torch.Generator().manual_seed(2)


def classes(count: int) -> Any:
    target = torch.randint(0, 3, (count, 5, 6), generator=G)
    noise = torch.randint(0, 4, (count, 5, 6), generator=G)
    return torch.where(noise < 2, target, noise % 3), target


def hot(labels: Any) -> Any:
    return torch.nn.functional.one_hot(labels, 4).movedim(-1, 1)  # class 3 is nowhere


BATCHES = [classes(2), classes(3)]
FORMATS: dict[str, Any] = {
    "index": BATCHES,
    "one-hot": [(hot(a), hot(b)) for a, b in BATCHES],
    "mixed": [(hot(a).float() * 0.5, b) for a, b in BATCHES],
}
DICE: list[dict[str, Any]] = [
    {},
    {"average": "micro"},
    {"average": "weighted", "include_background": False},
    {"average": "none", "aggregation_level": "global"},
    {"average": "macro", "aggregation_level": "global", "include_background": False},
]
GENERAL: list[dict[str, Any]] = [
    {"weight_type": kind, "per_class": each, "include_background": not each}
    for kind in ("square", "simple", "linear")
    for each in (True, False)
]
IOU: list[dict[str, Any]] = [{}, {"per_class": True}, {"include_background": False}]
METRICS = [("dice_score", "DiceScore", DICE), ("mean_iou", "MeanIoU", IOU),
           ("generalized_dice_score", "GeneralizedDiceScore", GENERAL)]  # fmt: skip


@pytest.mark.parametrize("kind", FORMATS)
@pytest.mark.parametrize(("function", "name", "options"), METRICS)
def test_metrics(function: str, name: str, options: Any, kind: str) -> None:
    for one in options:
        told = {"num_classes": 4, "input_format": kind, **one}
        valued(f"functional.segmentation.{function}", *FORMATS[kind][0], **told, rtol=1e-5)
        streamed(f"segmentation.{name}", told, FORMATS[kind], rtol=1e-5)
    assert place(theirs, f"segmentation.{name}")


@pytest.mark.parametrize("function", ["dice_score", "mean_iou", "generalized_dice_score"])
def test_mistakes(function: str) -> None:
    call, batch = f"functional.segmentation.{function}", FORMATS["one-hot"][0]
    for wrong in ({"num_classes": 0}, {"include_background": 3}, {"input_format": "nope"}):
        assert isinstance(both(call, *batch, **{"num_classes": 4, **wrong}), str)
    assert isinstance(both(call, batch[0], batch[1][1:], num_classes=4), str)
    if function == "dice_score":
        for wrong in ({"average": "nope"}, {"aggregation_level": "nope"}):
            assert isinstance(both(call, *batch, num_classes=4, **wrong), str)
    else:
        assert isinstance(both(call, *batch, num_classes=4, per_class=3), str)
