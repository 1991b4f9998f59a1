"""Whole batches of in-memory data sets: the per-sample results to the bit, draws included."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PIL")
import flambeau
from flambeau.utils.data import default_collate
from flambeau.vision import datasets
from flambeau.vision import transforms as T
from flambeau.vision.datasets.vision import ImagesInMemory
from flambeau.vision.transforms import v2
from flambeau.vision.transforms.batch import planned


class Pictures(ImagesInMemory):
    """Random bytes as a data set."""

    def __init__(self, shape: tuple[int, ...], transform: Any, target_transform: Any = None):
        super().__init__(transform=transform, target_transform=target_transform)
        rng = np.random.default_rng(0)
        self.data = rng.integers(0, 256, (40, *shape), dtype=np.uint8)
        if len(shape) == 3:  # as CIFAR has it: channels first in memory
            self.data = np.ascontiguousarray(self.data.transpose(0, 3, 1, 2)).transpose(0, 2, 3, 1)
        self.labels = rng.integers(0, 10, 40)

    def _pixels(self) -> Any:
        return self.data

    def _target(self, index: int) -> int:
        return int(self.labels[index])

    def __len__(self) -> int:
        return len(self.data)


RGB, GRAY = (14, 12, 3), (14, 12)
NORM = T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.1))
NORM2 = v2.Normalize([0.5] * 3, [0.2, 0.3, 0.1])
KNOWN: list[tuple[tuple[int, ...], Callable[[], Any]]] = [
    (GRAY, T.ToTensor),
    (GRAY, T.PILToTensor),
    (GRAY, lambda: T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))])),
    (GRAY, lambda: T.Compose([T.RandomCrop(12, 3), T.ToTensor(), T.Normalize(0.5, 0.5)])),
    (GRAY, lambda: T.Compose([T.Grayscale(3), T.ToTensor(), NORM])),
    (RGB, lambda: T.Compose([T.RandomCrop(12, 2), T.RandomHorizontalFlip(), T.ToTensor(), NORM])),
    (RGB, lambda: T.Compose([T.ToTensor(), T.RandomHorizontalFlip(0.3), T.RandomVerticalFlip()])),
    (RGB, lambda: T.Compose([T.ToTensor(), NORM, T.RandomCrop((9, 8), padding=(1, 2), fill=3)])),
    (RGB, lambda: T.Compose([T.CenterCrop(9), T.Compose([T.ToTensor()]), T.Pad(2)])),
    (RGB, lambda: T.Compose([T.Pad(2, padding_mode="edge"), T.RandomVerticalFlip(), T.ToTensor()])),
    (RGB, lambda: T.Compose([T.RandomCrop(20, pad_if_needed=True, fill=9), T.ToTensor()])),
    (RGB, lambda: T.Compose([T.RandomCrop(12, 4, padding_mode="reflect"), T.ToTensor()])),
    (RGB, lambda: T.Compose([T.RandomCrop((14, 12)), T.Grayscale(), T.ToTensor()])),
    (RGB, lambda: T.Compose([T.PILToTensor(), T.ConvertImageDtype(flambeau.float64)])),
    (RGB, lambda: v2.Compose([v2.ToImage(), v2.ToDtype(flambeau.float32, True), NORM2])),
    (RGB, lambda: v2.Compose([v2.RandomCrop((14, 9)), v2.RandomHorizontalFlip(), v2.ToImage()])),
    (RGB, lambda: v2.Compose([v2.RandomCrop(10, 2), v2.ToImage(), v2.ToDtype(flambeau.float32)])),
]  # fmt: skip
UNKNOWN: list[Callable[[], Any]] = [
    lambda: T.Compose([T.RandomResizedCrop(9), T.ToTensor()]),
    lambda: T.Compose([T.RandomApply([T.RandomVerticalFlip()]), T.ToTensor(), NORM]),
    lambda: T.Compose([T.ToTensor(), T.RandomErasing(0.7, value="random")]),
    lambda: T.Compose([T.ToTensor(), T.Lambda(lambda x: x * 2)]),
    lambda: T.Compose([T.RandomRotation(20), T.ToTensor()]),
]
INDICES = [5, 0, 39, 5, 17, 22, 8]


def _same(made: Any, right: Any) -> None:
    if isinstance(right, (list, tuple)):
        assert type(made) is type(right) and len(made) == len(right)
        for a, b in zip(made, right):
            _same(a, b)
    elif isinstance(right, flambeau.Tensor):
        assert made.dtype is right.dtype and made.shape == right.shape
        assert made.is_contiguous()
        np.testing.assert_array_equal(np.asarray(made), np.asarray(right))
    else:
        assert type(made) is type(right) and made == right


def _check(data: Pictures) -> None:
    flambeau.manual_seed(3)
    samples = [data[i] for i in INDICES]
    after = flambeau.rand(1).item()
    flambeau.manual_seed(3)
    _same(data.__getitems__(INDICES), samples)
    assert flambeau.rand(1).item() == after
    flambeau.manual_seed(3)
    batch = data.__getbatch__(INDICES)
    if batch is None:
        return
    _same(batch, default_collate(samples))
    assert flambeau.rand(1).item() == after


@pytest.mark.parametrize("case", range(len(KNOWN)))
def test_known_transforms_make_whole_batches(case: int) -> None:
    shape, make = KNOWN[case]
    data = Pictures(shape, make())
    planes = data.data[:, None] if len(shape) == 2 else data.data.transpose(0, 3, 1, 2)
    assert planned(data.transform, planes) is not None
    assert data.__getbatch__(INDICES) is not None
    _check(data)


@pytest.mark.parametrize("case", range(len(UNKNOWN)))
def test_others_are_made_sample_by_sample(case: int) -> None:
    data = Pictures(RGB, UNKNOWN[case]())
    assert planned(data.transform, data.data.transpose(0, 3, 1, 2)) is None
    assert data.__getbatch__(INDICES) is None
    _check(data)


def test_many_samples_are_drawn_like_few() -> None:
    data = Pictures(RGB, T.Compose([T.RandomCrop(12, 2), T.RandomHorizontalFlip(), T.ToTensor()]))
    data.data, data.labels = np.repeat(data.data, 30, 0), np.repeat(data.labels, 30)
    indices = list(range(1200))  # more words than the generator renews at once
    flambeau.manual_seed(1)
    whole = data.__getbatch__(indices)[0]
    flambeau.manual_seed(1)
    parts = [data.__getbatch__(indices[i : i + 7])[0] for i in range(0, 1200, 7)]
    np.testing.assert_array_equal(np.asarray(whole), np.asarray(flambeau.cat(parts)))


def test_target_transforms_take_their_turn() -> None:
    def noisy(target: int) -> float:
        return target + flambeau.rand(1).item()

    random = T.Compose([T.RandomVerticalFlip(), T.ToTensor()])
    _check(Pictures(RGB, random, noisy))
    _check(Pictures(RGB, T.ToTensor(), noisy))
    _check(Pictures(RGB, T.ToTensor(), str))


def test_what_a_subclass_or_a_hook_says_counts() -> None:
    class Doubled(Pictures):
        def __getitem__(self, index: int) -> Any:
            image, target = super().__getitem__(index)
            return image * 2, target

    class Brighter(T.ToTensor):
        def __call__(self, pic: Any) -> Any:
            return super().__call__(pic) + 1

    _check(Doubled(RGB, T.ToTensor()))
    _check(Pictures(RGB, Brighter()))
    hooked = T.Normalize([0.5] * 3, [0.5] * 3)
    hooked.register_forward_hook(lambda module, args, out: out + 1)
    _check(Pictures(RGB, T.Compose([T.ToTensor(), hooked])))


def test_a_changed_transform_is_seen() -> None:
    flip = T.RandomHorizontalFlip(0.0)
    data = Pictures(RGB, T.Compose([flip, T.ToTensor()]))
    before = np.asarray(data.__getbatch__([1])[0])
    flip.p = 1.1
    np.testing.assert_array_equal(np.asarray(data.__getbatch__([1])[0]), before[..., ::-1])


def test_without_a_transform_there_is_no_batch() -> None:
    data = Pictures(RGB, None)
    assert data.__getitems__([0, 1])[1][0].size == (12, 14)
    assert data.__getbatch__([0, 1]) is None
    assert datasets.MNIST.__getbatch__ is ImagesInMemory.__getbatch__
