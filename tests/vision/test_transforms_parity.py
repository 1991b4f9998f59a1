"""Transforms on Pillow images and tensors give torchvision's results for the same seed."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")
from PIL import Image

import flambeau
import flambeau.vision.transforms as ours
from tests.vision.reference import torch, torchvision

theirs = torchvision.transforms
pytestmark = pytest.mark.parity

Make = Callable[[Any], Any]
# Name: the transform, and how far a result may be away: (share of the pixels, levels).
EXACT = (0.0, 0)
CASES: dict[str, tuple[Make, tuple[float, float]]] = {
    "resize": (lambda T: T.Resize(17), EXACT),
    "resize both": (lambda T: T.Resize((40, 31)), EXACT),
    "resize long": (lambda T: T.Resize(20, max_size=25), EXACT),
    "resize nearest": (lambda T: T.Resize((13, 50), T.InterpolationMode.NEAREST), EXACT),
    "resize cubic": (lambda T: T.Resize((13, 50), 3), EXACT),
    "center crop": (lambda T: T.CenterCrop(19), EXACT),
    "center crop larger": (lambda T: T.CenterCrop((50, 21)), EXACT),
    "pad": (lambda T: T.Pad(3, fill=7), EXACT),
    "pad reflect": (lambda T: T.Pad((2, 5), padding_mode="reflect"), EXACT),
    "pad edge": (lambda T: T.Pad((2, 5, 1, 0), padding_mode="edge"), EXACT),
    "pad symmetric": (lambda T: T.Pad(4, padding_mode="symmetric"), EXACT),
    "random crop": (lambda T: T.RandomCrop(24, padding=4), EXACT),
    "random crop reflect": (lambda T: T.RandomCrop(24, 4, padding_mode="reflect"), EXACT),
    "random crop small": (lambda T: T.RandomCrop((40, 48), pad_if_needed=True), EXACT),
    "resized crop": (lambda T: T.RandomResizedCrop(16), EXACT),
    "resized crop tall": (lambda T: T.RandomResizedCrop(16, (0.9, 1.0), (3.0, 4.0)), EXACT),
    "horizontal flip": (lambda T: T.RandomHorizontalFlip(), EXACT),
    "vertical flip": (lambda T: T.RandomVerticalFlip(0.3), EXACT),
    "five crop": (lambda T: T.Compose([T.FiveCrop(9), list]), EXACT),
    "ten crop": (lambda T: T.Compose([T.TenCrop((9, 11), True), list]), EXACT),
    "rotation": (lambda T: T.RandomRotation(40), (0.01, 255)),
    "rotation bilinear": (lambda T: T.RandomRotation((10, 60), 2, True, fill=9), (0.01, 255)),
    "rotation centre": (lambda T: T.RandomRotation(30, center=(3, 5), fill=(1, 2, 3)), (0.01, 255)),
    "affine": (lambda T: T.RandomAffine(20, (0.1, 0.2), (0.8, 1.2), 5, 2, fill=5), (0.01, 255)),
    "affine shears": (lambda T: T.RandomAffine(0, shear=(1, 5, -9, 4), center=(1, 2)), (0.01, 255)),
    "perspective": (lambda T: T.RandomPerspective(p=0.9, fill=3), (0.01, 255)),
    "perspective nearest": (lambda T: T.RandomPerspective(0.3, 0.9, 0), (0.01, 255)),
    "elastic": (lambda T: T.ElasticTransform(50.0, 2.0), (0.01, 1)),
    "jitter": (lambda T: T.ColorJitter(0.4, 0.4, 0.4, 0.3), (0.02, 3)),
    "jitter ranges": (lambda T: T.ColorJitter((0.2, 0.9), saturation=(0.5, 2.0)), (0.01, 1)),
    "grayscale": (lambda T: T.Grayscale(), EXACT),
    "grayscale 3": (lambda T: T.Grayscale(3), EXACT),
    "random grayscale": (lambda T: T.RandomGrayscale(0.6), EXACT),
    "blur": (lambda T: T.GaussianBlur((3, 5)), (0.01, 1)),
    "blur sigma": (lambda T: T.GaussianBlur(5, 1.5), (0.01, 1)),
    "invert": (lambda T: T.RandomInvert(), EXACT),
    "posterize": (lambda T: T.RandomPosterize(3), EXACT),
    "solarize": (lambda T: T.RandomSolarize(100), EXACT),
    "sharpness": (lambda T: T.RandomAdjustSharpness(2.5), (0.01, 1)),
    "autocontrast": (lambda T: T.RandomAutocontrast(), (0.01, 1)),
    "equalize": (lambda T: T.RandomEqualize(), EXACT),
    "apply": (lambda T: T.RandomApply([T.Pad(1), T.RandomVerticalFlip()], 0.6), EXACT),
    "choice": (lambda T: T.RandomChoice([T.Pad(1), T.Pad(2)], [0.3, 0.7]), EXACT),
    "order": (lambda T: T.RandomOrder([T.Pad(1), T.Resize(9), T.CenterCrop(8)]), EXACT),
    "auto imagenet": (lambda T: T.AutoAugment(), (0.04, 255)),
    "auto cifar": (lambda T: T.AutoAugment(T.AutoAugmentPolicy.CIFAR10), (0.04, 255)),
    "auto svhn": (lambda T: T.AutoAugment(T.AutoAugmentPolicy.SVHN, fill=4), (0.04, 255)),
    "rand augment": (lambda T: T.RandAugment(), (0.02, 255)),
    "trivial": (lambda T: T.TrivialAugmentWide(fill=(1, 2, 3)), (0.02, 255)),
    "augmix": (lambda T: T.AugMix(), (0.03, 255)),
}
# They differ where the two draw a tensor's numbers apart from how they draw a Pillow image's.
SEEDS = range(3)


def _run(T: Any, transform: Any, image: Any, seed: int) -> Any:
    (flambeau if T is ours else torch).manual_seed(seed)
    random.seed(seed)
    return transform(image)


def _arrays(result: Any) -> list[Any]:
    if isinstance(result, list):
        return [array for each in result for array in _arrays(each)]
    return [np.asarray(result)]


def _check(mine: Any, right: Any, share: float, levels: float) -> None:
    for got, want in zip(_arrays(mine), _arrays(right), strict=True):
        assert got.shape == want.shape and got.dtype == want.dtype
        away = np.abs(got.astype(np.float64) - want.astype(np.float64))
        assert away.max() <= levels, (away.max(), (away > 0).mean())
        assert (away > 0).mean() <= share, (away > 0).mean()


@pytest.mark.parametrize("name", CASES)
def test_pillow_images(name: str) -> None:
    make, (share, levels) = CASES[name]
    for seed in SEEDS:
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 37, 3), dtype=np.uint8)
        image = Image.fromarray(pixels)
        mine, right = make(ours), make(theirs)
        assert repr(mine) == repr(right)
        _check(_run(ours, mine, image, seed), _run(theirs, right, image, seed), share, levels)
        assert flambeau.rand(1).item() == torch.rand(1).item()


@pytest.mark.parametrize("name", CASES)
def test_byte_tensors(name: str) -> None:
    make, (share, levels) = CASES[name]
    for seed in SEEDS:
        pixels = np.random.default_rng(seed).integers(0, 256, (3, 32, 37), dtype=np.uint8)
        mine, right = make(ours), make(theirs)
        got = _run(ours, mine, flambeau.from_numpy(pixels.copy()), seed)
        want = _run(theirs, right, torch.from_numpy(pixels.copy()), seed)
        _check(got, want, max(share, 0.01), max(levels, 1))
        assert flambeau.rand(1).item() == torch.rand(1).item()


FLOATS = set(CASES) - {
    "posterize", "equalize", "solarize", "auto imagenet", "auto cifar", "auto svhn", "rand augment",
    "trivial", "augmix",
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(FLOATS))
def test_float_tensors(name: str) -> None:
    make, (share, levels) = CASES[name]
    pixels = np.random.default_rng(1).random((2, 3, 32, 37), dtype=np.float32)
    got = _run(ours, make(ours), flambeau.from_numpy(pixels.copy()), 5)
    want = _run(theirs, make(theirs), torch.from_numpy(pixels.copy()), 5)
    for a, b in zip(_arrays(got), _arrays(want), strict=True):
        assert a.shape == b.shape
        far = ~np.isclose(a, b, rtol=1e-4, atol=1e-4 if levels == 255 else 1e-5)
        assert far.mean() <= (share if levels == 255 else 0)
