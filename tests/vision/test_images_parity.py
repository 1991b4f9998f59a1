"""Grids and drawings are torchvision's."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")
import flambeau
from flambeau.vision import utils as ours
from tests.vision.reference import torch, torchvision

theirs = torchvision.utils
pytestmark = pytest.mark.parity
RNG = np.random.default_rng(0)
FLOATS = RNG.random((7, 3, 9, 8), dtype=np.float32)
GRAY = RNG.standard_normal((5, 1, 6, 6), dtype=np.float32)
BYTES = RNG.integers(0, 256, (3, 24, 30), dtype=np.uint8)


def both(function: str, *arrays: Any, **kwargs: Any) -> None:
    """The function gives the same with tensors of these arrays."""

    def given(T: Any, value: Any) -> Any:
        return T.from_numpy(value.copy()) if isinstance(value, np.ndarray) else value

    results = []
    for V, T in ((ours, flambeau), (theirs, torch)):
        named = {key: given(T, value) for key, value in kwargs.items()}
        results.append(np.asarray(getattr(V, function)(*[given(T, a) for a in arrays], **named)))
    got, want = results
    assert got.dtype == want.dtype and got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=1e-6, atol=1e-6 if got.dtype.kind == "f" else 0)


@pytest.mark.parametrize(
    "images, options",
    [
        (FLOATS, {}),
        (FLOATS, {"nrow": 3, "padding": 0}),
        (FLOATS, {"nrow": 2, "pad_value": 0.5, "normalize": True}),
        (GRAY, {"normalize": True, "scale_each": True}),
        (GRAY, {"normalize": True, "value_range": (-1, 1)}),
        (GRAY[0], {}),
        (GRAY[0, 0], {}),
        (FLOATS[:1], {}),
        (BYTES[None].repeat(4, 0), {"padding": 1, "pad_value": 9}),
    ],
)
def test_make_grid(images: Any, options: dict[str, Any]) -> None:
    both("make_grid", images, **options)


def test_save_image() -> None:
    files = [io.BytesIO(), io.BytesIO()]
    ours.save_image(flambeau.from_numpy(FLOATS.copy()), files[0], "png", nrow=3)
    theirs.save_image(torch.from_numpy(FLOATS.copy()), files[1], "png", nrow=3)
    assert files[0].getvalue() == files[1].getvalue()


BOXES = np.array([[1, 2, 9, 8], [5, 5, 20, 22.7], [0, 0, 29, 23]], np.float32)
MASKS = RNG.random((3, 24, 30)) < 0.3
POINTS = RNG.integers(0, 24, (2, 4, 2)).astype(np.float32)


@pytest.mark.parametrize(
    "function, arrays, options",
    [
        ("draw_bounding_boxes", (BYTES, BOXES), {}),
        ("draw_bounding_boxes", (BYTES[:1], BOXES), {"colors": "red", "width": 2, "fill": True}),
        ("draw_bounding_boxes", (FLOATS[0], BOXES / 4), {"colors": ["blue", "#00ff00", (1, 2, 3)]}),
        ("draw_bounding_boxes", (BYTES, BOXES), {"labels": ["a", "bc", "d"]}),
        ("draw_segmentation_masks", (BYTES, MASKS), {}),
        ("draw_segmentation_masks", (BYTES, MASKS[0]), {"alpha": 0.3, "colors": "yellow"}),
        ("draw_segmentation_masks", (BYTES / np.float32(255), MASKS), {}),
        ("draw_keypoints", (BYTES, POINTS), {"colors": "red", "radius": 3}),
        ("draw_keypoints", (BYTES, POINTS), {"connectivity": [(0, 1), (2, 3)], "width": 2}),
        ("flow_to_image", (RNG.standard_normal((2, 2, 11, 13), dtype=np.float32),), {}),
    ],
)
def test_drawings(function: str, arrays: tuple[Any, ...], options: dict[str, Any]) -> None:
    both(function, *arrays, **options)
