"""What primitives mean in NumPy, where there is a shorter way to it for the usual case: the same
numbers as by the definition.
"""

from __future__ import annotations

from itertools import product
from typing import Any

import numpy as np
import pytest

from flambeau.ops import contraction, indexed, view, window
from flambeau.ops.window import MANY_IN_WINDOW


def drawn(*shape: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


@pytest.mark.parametrize("lead", [(), (2,), (2, 3)])
@pytest.mark.parametrize(
    ("size", "step", "extent"),
    [(8, 2, 30), (8, 2, 31), (8, 8, 64), (1, 1, 9), (6, 4, 22), (4, 6, 22)],
)
def test_fold(lead: tuple[int, ...], size: int, step: int, extent: int) -> None:
    count = (extent - size) // step + 1
    parts = drawn(*lead, count, size)
    attrs = {"sizes": (size,), "steps": (step,), "dilations": (1,)}
    expected = np.zeros((*lead, extent), np.float32)
    for element, place in product(range(size), range(count)):
        expected[..., place * step + element] += parts[..., place, element]
    found = view.fold.reference(parts, extents=(extent,), **attrs)
    assert np.array_equal(found, expected)


@pytest.mark.parametrize("size", [1, 2, 3, 9])
def test_max_pool(size: int) -> None:
    x = drawn(2, 3, 20, 18)
    x[0, 0, 5, 5] = np.nan
    found = window.max_pool.reference(x, sizes=(size, size), steps=(2, 2), dilations=(1, 1))
    assert (size * size > MANY_IN_WINDOW) == (size == 9)
    for i, j in product(range(found.shape[2]), range(found.shape[3])):
        part = x[:, :, 2 * i : 2 * i + size, 2 * j : 2 * j + size]
        assert np.array_equal(found[:, :, i, j], part.max((2, 3)), equal_nan=True)


@pytest.mark.parametrize(("images", "side"), [(1, 6), (3, 6), (3, 12), (0, 12), (2, 3)])
@pytest.mark.parametrize("groups", [1, 2])
def test_convolution(images: int, side: int, groups: int) -> None:
    x, w = drawn(images, groups, 3, side, side + 1), drawn(groups, 4, 3, 3, 2, seed=1)
    found = contraction.conv.reference(x, w, strides=(1, 2), dilations=(1, 1))
    expected = np.zeros(found.shape, np.float64)
    for i, j in product(range(found.shape[3]), range(found.shape[4])):
        part = x[:, :, :, i : i + 3, 2 * j : 2 * j + 2].astype(np.float64)
        expected[:, :, :, i, j] = np.einsum("ngchw,gochw->ngo", part, w)
    assert found.shape == (images, groups, 4, side - 2, (side + 1) // 2)
    assert np.allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_rows_taken_and_written() -> None:
    rng = np.random.default_rng(0)
    for _ in range(100):
        count, many = int(rng.integers(1, 8)), int(rng.integers(0, 9))
        index = rng.integers(-count, count, many)
        if rng.random() < 0.3:
            index = np.unique(index % count)
        x, rows = drawn(count, 3), drawn(len(index), 3, seed=1)
        expected, added = x.copy(), x.copy()
        for place, row in zip(index, rows, strict=True):
            expected[place] = row
            added[place] += row
        assert np.array_equal(indexed.put_set.reference(x, index, rows, what="index"), expected)
        assert np.allclose(indexed.put_add.reference(x, index, rows, what="index"), added)
        assert np.array_equal(indexed.take.reference(x, index, what="index"), x[index])
        turned = drawn(3, count).T
        assert np.array_equal(indexed.take.reference(turned, index, what="index"), turned[index])
    with pytest.raises(IndexError, match="index 4 is out of bounds"):
        indexed.take.reference(drawn(4, 2), np.array([0, 4]), what="index")
    with pytest.raises(IndexError, match="index -5 is out of bounds"):
        indexed.take.reference(drawn(4, 2), np.array([-5, 0]), what="index")
    with pytest.raises(RuntimeError, match="index -1 is out of bounds"):
        indexed.take.reference(drawn(4, 2), np.array([-1, 0]), what="gather 0")


@pytest.mark.parametrize("dtype", [np.float32, np.bool_, np.int64])
def test_layouts(dtype: Any) -> None:
    flat = (np.arange(24) % 5).astype(dtype)
    attrs = {"shape": (3, 2), "strides": (4, 1), "offset": 5}
    ready = view.as_strided.ready(flat, attrs)
    assert ready is not None
    expected = view.as_strided.reference(flat, **attrs)
    assert np.array_equal(ready(flat), expected)
    assert np.array_equal(ready(np.repeat(flat, 2)[::2]), expected)
    row = flat[:4].reshape(1, 4, 1)
    attrs = {"shape": (3, 4, 2)}
    ready = view.expand.ready(row, attrs)
    assert ready is not None
    assert np.array_equal(ready(row), np.broadcast_to(row, (3, 4, 2)))
    scattered = np.repeat(flat, 2)[:8:2].reshape(1, 4, 1)
    assert np.array_equal(ready(scattered), np.broadcast_to(scattered, (3, 4, 2)))
    assert view.expand.ready(row, {"shape": (0, 4, 1)}) is None
