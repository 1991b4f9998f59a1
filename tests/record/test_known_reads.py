"""Arrays over plain data, and their numbers, as native calls: what Python makes of them."""

from __future__ import annotations

import math
import sys
from typing import Any

import numpy as np
import pytest

import flambeau as torch
from flambeau.record.entering import PLAIN
from flambeau.record.known_reads import MOST_AXES
from flambeau.record.native_calls import plain_calls
from flambeau.record.options import OPTIONS

CALLS: Any = plain_calls()
pytestmark = pytest.mark.skipif(CALLS is None or OPTIONS.sync, reason="no native calls")
DTYPES = [
    "float32", "float64", "float16", "int64", "int32", "int16", "int8", "uint8", "bool",
    "complex64", "complex128", "uint16", "uint32", "uint64",
]  # fmt: skip


@pytest.fixture(autouse=True)
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PLAIN, "array", CALLS.known_array)
    monkeypatch.setattr(PLAIN, "number", CALLS.known_number)


def shown_by_python(x: Any) -> Any:
    return x._array()


def layouts(x: Any) -> list[Any]:
    """Views of a matrix of 4 x 6."""
    return [
        x, x.t(), x[1:3, ::2], x[2], x[:, 5], x[3, 4], x.unsqueeze(1), x.expand(2, 4, 6), x[:, :0],
        x.reshape(2, 2, 3, 2).permute(3, 1, 0, 2), x[1:2], x.diagonal(),
    ]  # fmt: skip


@pytest.mark.parametrize("dtype", DTYPES)
def test_an_array_is_what_numpy_makes_of_the_memory(dtype: str) -> None:
    x = (torch.arange(24).reshape(4, 6) - (0 if dtype[0] in "ub" else 7)).to(getattr(torch, dtype))
    x.tolist()
    for y in layouts(x):
        found, expected = CALLS.known_array(y, False), shown_by_python(y)
        if not y.numel():
            assert found is None
            continue
        assert type(found) is np.ndarray
        assert (found.dtype, found.shape, found.strides) == (
            expected.dtype,
            expected.shape,
            expected.strides,
        )
        assert found.flags == expected.flags
        assert found.base is expected.base
        assert np.array_equal(found, expected)
        assert y.tolist() == expected.tolist()
        assert not y._storage.exposed
    array = x.numpy()
    assert x._storage.exposed
    array[0, 0] = 1
    assert x[0, 0].item() == 1
    x[1, 1] = 0
    assert array[1, 1] == 0


def test_memory_is_held_by_its_arrays_and_free_after_them() -> None:
    x = torch.arange(6.0) + 1
    array = x.numpy()
    owner = x._storage.buffer.owner
    held = sys.getrefcount(owner)
    more = [x.numpy() for _ in range(5)]
    assert sys.getrefcount(owner) == held + 5
    kinds = sys.getrefcount(np.dtype(np.float32))
    for _ in range(200):
        x.numpy()
    assert abs(sys.getrefcount(np.dtype(np.float32)) - kinds) < 20
    assert x._storage.still_exposed()
    del more
    assert sys.getrefcount(owner) == held and x._storage.still_exposed()
    y = x * 2  # a copy of what NumPy may write
    array[0] = 50
    assert y.tolist() == [2, 4, 6, 8, 10, 12]
    del array, owner
    assert not x._storage.still_exposed()


def test_results_whose_arrays_are_kept_are_left_alone() -> None:
    x = torch.arange(12.0).reshape(3, 4)
    x.tolist()
    kept = []
    for step in range(60):
        kept.append((x + step).numpy())
    for step, array in enumerate(kept):
        assert array.tolist() == (np.arange(12.0).reshape(3, 4) + step).tolist()


NUMBERS: list[tuple[str, list[Any]]] = [
    (
        "float32",
        [0.0, -0.0, 1.5, 2.0**-149, -(2.0**-130), 3.4028234663852886e38, math.inf, -math.inf],
    ),
    ("float64", [0.0, -0.0, 0.1, 5e-324, -1.7976931348623157e308, math.inf]),
    ("float16", [0.5, -2.0, math.inf]),
    ("bfloat16", [0.5, -2.0, math.inf]),
    ("int64", [0, -1, 2**63 - 1, -(2**63)]),
    ("int32", [0, -1, 2**31 - 1, -(2**31)]),
    ("int16", [-300, 300]),
    ("uint8", [0, 255]),
    ("bool", [True, False]),
    ("complex64", [1 + 2j]),
]


@pytest.mark.parametrize(("dtype", "numbers"), NUMBERS)
def test_numbers(dtype: str, numbers: list[Any]) -> None:
    x = torch.tensor(numbers, dtype=getattr(torch, dtype))
    x.tolist()
    for part, number in zip(x, numbers, strict=True):
        for found in (part.item(), part.unsqueeze(0).item(), (part.clone()).item()):
            assert type(found) is type(number) and found == number
            assert str(found) == str(number)  # the sign of 0
        if dtype != "complex64":
            assert float(part) == float(number) and type(float(part)) is float
            assert bool(part) == bool(number)


def test_nan_and_its_bits() -> None:
    x = torch.from_numpy(np.array([0x7FC00001, 0xFF800001], np.uint32).view(np.float32))
    assert all(math.isnan(part.item()) and math.isnan(float(part)) for part in x)


def test_what_waits_runs_first() -> None:
    x = torch.arange(4.0)
    x.tolist()
    for step in range(40):  # known, and native, after some of them
        y = x + step
        assert CALLS.known_array(y, False) is None and CALLS.known_number(y) is None
        assert y.numpy().tolist() == [step, step + 1, step + 2, step + 3]
        assert (x.sum() + step).item() == 6 + step
        assert float(x.sum() * step) == 6 * step
        x.add_(1)
        assert CALLS.known_array(x, False) is None
        assert x.numpy()[0] == 1
        x.sub_(1)
        assert x.tolist() == [0, 1, 2, 3]


def test_who_goes_through_python() -> None:
    leaf = torch.arange(3.0, requires_grad=True)
    with pytest.raises(RuntimeError, match="requires grad"):
        leaf.numpy()
    with torch.no_grad():
        assert leaf.numpy().tolist() == [0, 1, 2]
    assert leaf.numpy(force=True).tolist() == [0, 1, 2]
    result = leaf * 2
    with pytest.raises(RuntimeError, match="requires grad"):
        result.numpy()
    assert result.tolist() == [0, 2, 4] and result[1].item() == 2
    half = torch.arange(3.0).to(torch.bfloat16)
    half.tolist()
    assert CALLS.known_array(half, False) is None
    with pytest.raises(TypeError, match="BFloat16"):
        half.numpy()
    with pytest.raises(RuntimeError, match="3 elements"):
        torch.arange(3.0).item()
    deep = torch.ones((1,) * MOST_AXES)
    deep.tolist()
    assert CALLS.known_array(deep, False).shape == (1,) * MOST_AXES
    assert CALLS.known_array(deep.unsqueeze(0), False) is None
    assert deep.unsqueeze(0).numpy().shape == (1,) * (MOST_AXES + 1)
    assert torch.empty(0, 3).numpy().shape == (0, 3)


def test_memory_that_is_not_ours_alone() -> None:
    whole = np.arange(6.0)
    for array in (whole, whole[1:4], whole[::2]):
        x = torch.from_numpy(array)
        shown = x.numpy()
        assert shown.tolist() == array.tolist()
        shown[0] = 7
        assert array[0] == 7
    still = np.arange(3.0)
    still.flags.writeable = False
    with pytest.warns(UserWarning, match="not writable"):
        x = torch.from_numpy(still)
    assert x.numpy().tolist() == [0, 1, 2]
    y = torch.frombuffer(bytearray(8), dtype=torch.int32)
    assert y.numpy().tolist() == [0, 0]


def test_calls_with_other_arguments_are_refused() -> None:
    for call in (CALLS.known_array, CALLS.known_number):
        with pytest.raises(TypeError):
            call()
    assert CALLS.known_array(3, False) is None
    assert CALLS.known_number("x") is None
