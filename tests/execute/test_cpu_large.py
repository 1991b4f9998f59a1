"""Kernels for large arrays: folds down columns, transposed copies, results past the caches."""

from __future__ import annotations

import weakref

import numpy as np
import pytest

import flambeau
from flambeau.execute.cpu import column_folds
from flambeau.execute.cpu.pool import get_num_threads, set_num_threads
from flambeau.record.native import ARENA
from flambeau.record.options import OPTIONS


@pytest.fixture(autouse=True)
def small_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(column_folds, "LARGE", 1 << 14)
    monkeypatch.setattr(OPTIONS, "executor", "compiled")


SHAPES = [(64, 128), (257, 259), (1000, 129), (67, 40_003)]
FOLDS = {
    "sum": lambda x: x.sum(0),
    "mean": lambda x: x.mean(0),
    "max": lambda x: x.amax(0),
    "prod": lambda x: (x * 0.01 + 1).prod(0),
    "of a chain": lambda x: ((x - 1) * x).relu().sum(0) * 2 + 1,
    "of rows": lambda x: (x * x[:, :1]).sum(0),
    "two": lambda x: flambeau.stack([x.sum(0), (x * x).sum(0)]),
    "double": lambda x: x.double().sum(0),
    "half": lambda x: x.bfloat16().sum(0),
    "a row by a matrix": lambda x: (x[:, 3] @ x + 1).relu(),
    "a matrix by a column": lambda x: (x.T @ x[:, 1:2]).sum(1),
    "double products": lambda x: x[:, 3].double() @ x.double(),
    "whole numbers": lambda x: (x * 8).round().long().sum(0),
}


@pytest.mark.parametrize("shape", SHAPES, ids=str)
@pytest.mark.parametrize("name", FOLDS)
def test_folds_down_columns_are_numpys_whatever_the_threads(
    name: str, shape: tuple[int, int]
) -> None:
    values = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    x = flambeau.from_numpy(values.copy())
    found = []
    before = get_num_threads()
    try:
        for threads in (1, 3):
            set_num_threads(threads)
            found.append(FOLDS[name](x).float().numpy())
    finally:
        set_num_threads(before)
    OPTIONS.executor = "reference"
    expected = FOLDS[name](flambeau.from_numpy(values.astype(np.float64))).float().numpy()
    np.testing.assert_array_equal(found[0], found[1])
    tolerance = 2e-2 if name == "half" else 1e-5
    scale = np.abs(expected).max() + 1
    np.testing.assert_allclose(found[0], expected, rtol=tolerance, atol=tolerance * scale)


def test_nan_in_a_column_is_its_maximum() -> None:
    values = np.random.default_rng(1).standard_normal((128, 256)).astype(np.float32)
    values[77, 5] = np.nan
    found = flambeau.from_numpy(values).amax(0).numpy()
    np.testing.assert_array_equal(np.isnan(found), np.arange(256) == 5)


TURNS = {
    "copy": lambda x: x.transpose(-1, -2).contiguous(),
    "sum with what is not turned": lambda x: x.transpose(-1, -2) * 2 + x.flatten().view(
        *x.shape[:-2], x.shape[-1], x.shape[-2]
    ),
    "row and column": lambda x: x.transpose(-1, -2) + x[..., None, :, 0] - x[..., 0, :, None],
    "all axes": lambda x: x.permute(*range(x.dim() - 1, -1, -1)).contiguous(),
    "double": lambda x: x.double().transpose(-1, -2).exp(),
    "narrower": lambda x: x.transpose(-1, -2).bfloat16(),
    "two": lambda x: x.transpose(-1, -2) * (x * 2 + 1).transpose(-1, -2).clone(),
}  # fmt: skip


@pytest.mark.parametrize(
    "shape", [(16, 16), (33, 47), (5, 19, 40), (2, 3, 64, 65), (700, 17)], ids=str
)
@pytest.mark.parametrize("name", TURNS)
def test_what_is_turned_is_numpys(name: str, shape: tuple[int, ...]) -> None:
    values = np.random.default_rng(2).standard_normal(shape).astype(np.float32)
    x = flambeau.from_numpy(values)
    found = TURNS[name](x).double().numpy()
    OPTIONS.executor = "reference"
    np.testing.assert_allclose(found, TURNS[name](x).double().numpy(), rtol=1e-6, atol=1e-7)


def test_a_transposed_update_reads_before_it_writes() -> None:
    values = np.random.default_rng(3).standard_normal((48, 48)).astype(np.float32)
    x = flambeau.tensor(values.tolist())
    x.copy_(x + x.t())
    np.testing.assert_allclose(x.numpy(), values + values.T, rtol=1e-6)


def test_memory_for_intermediates_is_given_up_when_a_program_needs_more() -> None:
    def chain(size: int) -> float:
        x = flambeau.full((size, 64), 0.5)
        y = (x @ flambeau.ones(64, 64)).softmax(0)
        return float((y @ flambeau.ones(64, 64)).sum().item())

    count = 1024
    while ARENA.buffer.nbytes >= 256 * count:
        count *= 2
    for _ in range(2):
        chain(count)
    old = weakref.ref(ARENA.buffer)
    for _ in range(2):
        chain(4 * count)
    assert ARENA.buffer is not old()
    assert old() is None
