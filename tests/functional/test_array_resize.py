"""Images that are resized at once give what the program of the same step gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.functional import resizing
from flambeau.functional.array_resize import _turn, resize_array, taps
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS

SIZES = [((1, 3, 37, 50), (22, 29)), ((2, 1, 90, 300), (9, 200)), ((3, 2, 7, 5), (64, 80))]
SIZES += [((1, 4, 20, 30), (20, 11)), ((1, 1, 16, 9), (5, 9)), ((2, 3, 1, 1), (4, 3))]
SIZES += [((1, 3, 40, 6000), (10, 20))]


def images(shape: tuple[int, ...], dtype: str) -> Any:
    draws = np.random.default_rng(sum(shape))
    if dtype == "uint8":
        return draws.integers(0, 256, shape, dtype=np.uint8)
    return draws.standard_normal(shape).astype(np.float32)


def resized(module: Any, array: Any, size: tuple[int, int], mode: str) -> Any:
    image = module.from_numpy(array.copy())
    made = module.nn.functional.interpolate(image, size=size, mode=mode, antialias=True)
    return made.numpy()


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
@pytest.mark.parametrize(("shape", "size"), SIZES)
def test_as_the_program_does(
    shape: tuple[int, ...],
    size: tuple[int, int],
    dtype: str,
    mode: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    array = images(shape, dtype)
    before = STATISTICS.compiled_runs + STATISTICS.reference_runs
    at_once = resized(flambeau, array, size, mode)
    if not OPTIONS.sync:  # op by op each op is a program, this one, too
        assert STATISTICS.compiled_runs + STATISTICS.reference_runs == before
    before = STATISTICS.compiled_runs + STATISTICS.reference_runs
    monkeypatch.setattr(resizing, "writable", lambda tensor: False)
    recorded = resized(flambeau, array, size, mode)
    assert STATISTICS.compiled_runs + STATISTICS.reference_runs > before
    assert at_once.dtype == recorded.dtype == array.dtype
    assert at_once.shape == (*shape[:2], *size)
    if dtype == "uint8":
        assert (at_once == recorded).all()
    else:
        np.testing.assert_allclose(at_once, recorded, rtol=1e-4, atol=2e-5)


@pytest.mark.parity
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_as_pytorch_does(dtype: str, mode: str) -> None:
    torch = pytest.importorskip("torch")
    draws = np.random.default_rng(5)
    for _ in range(40):
        # (To the width of 1 PyTorch itself gives two answers, by how the image lies in memory.)
        height, width, tall, wide = (int(n) for n in draws.integers(2, 120, 4))
        array = images((2, 3, height, width), dtype)
        wanted = resized(torch, array, (tall, wide), mode)
        found = resize_array(array, [tall, wide], mode)
        if dtype == "uint8":
            assert (found == wanted).all()
        else:
            np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=2e-5)


def test_what_is_not_finite_stays_within_reach() -> None:
    array = np.zeros((1, 1, 8, 8), np.float32)
    array[0, 0, 0, 0], array[0, 0, 7, 7] = np.nan, np.inf
    found = resized(flambeau, array, (4, 4), "bilinear")[0, 0]
    assert np.isnan(found[0, 0]) and np.isinf(found[3, 3])
    assert (found[2, :2] == 0).all() and (found[:2, 3] == 0).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_weights_sum_to_one(dtype: Any) -> None:
    known = taps(100, 33, "bicubic", dtype)
    sums = known.weights.sum(1) / 2.0**known.bits
    np.testing.assert_allclose(sums, 1, atol=1e-4)
    assert ((known.last - known.first) <= known.weights.shape[1]).all()
    assert (known.first >= 0).all() and (known.last <= 100).all()


def test_what_keeps_to_programs() -> None:
    """Gradients, other layouts and other dtypes."""
    array = images((1, 3, 12, 10), "float32")
    x = flambeau.from_numpy(array).requires_grad_()
    out = flambeau.nn.functional.interpolate(x, size=(5, 4), mode="bilinear", antialias=True)
    out.sum().backward()
    assert x.grad is not None
    np.testing.assert_allclose(x.grad.sum().item(), 3 * 5 * 4, rtol=1e-5)
    image = flambeau.from_numpy(array).to(memory_format=flambeau.channels_last)
    made = flambeau.nn.functional.interpolate(image, size=(5, 4), mode="bilinear", antialias=True)
    assert made.is_contiguous(memory_format=flambeau.channels_last)
    np.testing.assert_allclose(made.numpy(), out.detach().numpy(), rtol=1e-4, atol=1e-5)
    wide = flambeau.from_numpy(array.astype(np.float64))
    double = flambeau.nn.functional.interpolate(wide, size=(5, 4), mode="bilinear", antialias=True)
    assert double.dtype is flambeau.float64
    np.testing.assert_allclose(double.numpy(), made.numpy(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_axes_that_stay(dtype: Any) -> None:
    array = images((2, 3, 21, 34), np.dtype(dtype).name)
    same = resize_array(array, [21, 34], "bilinear")
    assert (same == array).all() and same.base is not array
    assert resize_array(array[:0], [5, 7], "bilinear").shape == (0, 3, 5, 7)
    wide, tall = (resize_array(array, size, "bicubic") for size in ([21, 15], [9, 34]))
    lying = resize_array(np.ascontiguousarray(array.swapaxes(2, 3)), [15, 21], "bicubic")
    assert (wide == lying.swapaxes(2, 3)).all()
    parts = [resize_array(image, [9, 34], "bicubic") for image in array]
    assert (tall == np.stack(parts)).all()
    strided = np.ascontiguousarray(array.transpose(2, 3, 0, 1)).transpose(2, 3, 0, 1)
    assert (
        resize_array(strided, [9, 15], "bilinear") == resize_array(array, [9, 15], "bilinear")
    ).all()


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
@pytest.mark.parametrize("rows", [1, 7, 8, 16, 17, 45])
@pytest.mark.parametrize("columns", [1, 15, 16, 40, 47])
def test_matrices_are_transposed(dtype: Any, rows: int, columns: int) -> None:
    array = images((rows, columns), np.dtype(dtype).name)
    target = np.full((columns + 2, rows), 99, dtype)
    _turn(array, target[1:-1]).run()
    assert (target[1:-1] == array.T).all()
    assert (target[[0, -1]] == 99).all()
