"""The v2 transforms give torchvision's results for the same seed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")
from PIL import Image

import flambeau
from flambeau.vision.transforms import v2 as ours
from tests.vision.reference import torch, torchvision
from tests.vision.test_transforms_parity import CASES, EXACT, Make, _check

theirs = pytest.importorskip("torchvision.transforms.v2")
pytestmark = pytest.mark.parity

OWN: dict[str, tuple[Make, tuple[float, float]]] = {
    "rgb": (lambda T: T.RGB(), EXACT),
    "longest": (lambda T: T.Resize(None, max_size=20), EXACT),
    "permutation": (lambda T: T.RandomChannelPermutation(), EXACT),
    "distort": (lambda T: T.RandomPhotometricDistort(), (0.03, 3)),
    "zoom out": (lambda T: T.RandomZoomOut(fill=3, p=0.8), EXACT),
    "scale jitter": (lambda T: T.ScaleJitter((30, 40)), EXACT),
    "shortest": (lambda T: T.RandomShortestSize([12, 20, 31], 35), EXACT),
    "random resize": (lambda T: T.RandomResize(9, 40), EXACT),
    "jpeg": (lambda T: T.JPEG((30, 90)), EXACT),
    "identity": (lambda T: T.Identity(), EXACT),
    "pad by channel": (lambda T: T.Pad(2, fill=[1, 2, 3]), EXACT),
}
# Their v1 forms take what v2 does not (a mode's number where a name is, ...), or draw otherwise.
ALL = {**CASES, **OWN}


def _run(T: Any, make: Make, image: Any, seed: int) -> Any:
    (flambeau if T is ours else torch).manual_seed(seed)
    return make(T)(image)


@pytest.mark.parametrize("name", ALL)
def test_pillow_images(name: str) -> None:
    make, (share, levels) = ALL[name]
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 37, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        _check(_run(ours, make, image, seed), _run(theirs, make, image, seed), share, levels)
        assert flambeau.rand(1).item() == torch.rand(1).item()


@pytest.mark.parametrize("name", sorted(set(ALL) - {"jpeg"}))
def test_byte_tensors(name: str) -> None:
    make, (_, levels) = ALL[name]
    for seed in range(3):
        pixels = np.random.default_rng(seed).integers(0, 256, (3, 32, 37), dtype=np.uint8)
        got = _run(ours, make, flambeau.from_numpy(pixels.copy()), seed)
        want = _run(theirs, make, torch.from_numpy(pixels.copy()), seed)
        # Their weights for bytes are rounded too: a level here and there.
        _check(got, want, 0.1, max(levels, 1))
        assert flambeau.rand(1).item() == torch.rand(1).item()


def test_samples_of_any_structure() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (20, 20, 3), dtype=np.uint8)
    for T, F in ((ours, flambeau), (theirs, torch)):
        F.manual_seed(1)
        make = T.Compose([T.RandomCrop(9), T.ToImage(), T.ToDtype(F.float32, scale=True)])
        sample = {"image": Image.fromarray(pixels), "rest": ("text", [F.arange(3), 5])}
        out = make(sample)
        assert out["image"].shape == (3, 9, 9) and out["rest"][0] == "text"
        assert out["rest"][1][0].dtype == F.int64 and out["rest"][1][1] == 5
        if T is ours:
            mine = np.asarray(out["image"])
    np.testing.assert_array_equal(mine, out["image"].numpy())


@pytest.mark.parametrize("kind", ["MixUp", "CutMix"])
def test_mixing(kind: str) -> None:
    rng = np.random.default_rng(3)
    images, labels = rng.random((6, 3, 8, 9), dtype=np.float32), rng.integers(0, 4, 6)
    results = []
    for T, F in ((ours, flambeau), (theirs, torch)):
        F.manual_seed(5)
        mix = getattr(T, kind)(alpha=0.7, num_classes=4)
        results.append(mix(F.from_numpy(images.copy()), F.from_numpy(labels.copy())))
    for got, want in zip(*results, strict=True):
        np.testing.assert_allclose(np.asarray(got), want.numpy(), rtol=1e-5, atol=1e-6)


def test_values() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 12, 13), dtype=np.uint8)
    for make in (
        lambda T, F: T.ToDtype(F.float32, scale=True),
        lambda T, F: T.ToDtype(F.float32),
        lambda T, F: T.ConvertImageDtype(F.float64),
        lambda T, F: T.Compose([T.ToDtype(F.float32, True), T.Normalize([0.5], [0.2])]),
        lambda T, F: T.Compose([T.ToDtype(F.float32, True), T.RandomErasing(0.9)]),
        lambda T, F: T.Compose([T.ToDtype(F.float32, True), T.RandomErasing(0.9, value="random")]),
        lambda T, F: T.GaussianNoise(0.1, 0.2),
    ):
        results = []
        for T, F in ((ours, flambeau), (theirs, torch)):
            F.manual_seed(2)
            results.append(np.asarray(make(T, F)(F.from_numpy(pixels.copy()))))
        assert results[0].dtype == results[1].dtype
        np.testing.assert_allclose(results[0], results[1], rtol=1e-6, atol=1e-6)


def test_names() -> None:
    missing = {name for name in vars(theirs) if name[0].isupper()} - set(vars(ours))
    boxes = "BoundingBox KeyPoints Clamping IoU"  # no boxes here
    assert all(any(word in name for word in boxes.split()) for name in missing), missing
    assert torchvision.__version__
