"""Whether somebody outside can write to a tensor's memory: as long as an array of it is held."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau


def array() -> Any:
    return np.arange(60.0).reshape(20, 3)


def held_by(kind: str) -> tuple[Any, Any]:
    """A tensor, and what the program keeps beside it."""
    x = array()
    if kind == "an array's tensor":
        return flambeau.from_numpy(x), None
    if kind == "a part's tensor":
        return flambeau.from_numpy(x[3:]), None
    if kind == "a part's part's tensor":
        part = x[3:]
        return flambeau.from_numpy(part[2:]), None
    if kind == "the array":
        return flambeau.from_numpy(x), x
    if kind == "the whole of the part":
        return flambeau.from_numpy(x[3:]), x
    if kind == "another part":
        return flambeau.from_numpy(x[3:]), x[5:]
    if kind == "a buffer":
        return flambeau.from_numpy(x), memoryview(x)
    if kind == "bytes":
        data = bytearray(80)
        return flambeau.frombuffer(data, dtype=flambeau.float32), data
    tensor = flambeau.from_numpy(x)
    return tensor, tensor[2:].numpy()


@pytest.mark.parametrize("kind", ["an array's tensor", "a part's tensor", "a part's part's tensor"])
def test_nobody_holds_it(kind: str) -> None:
    tensor, _ = held_by(kind)
    assert tensor._storage.exposed
    assert not tensor._storage.still_exposed()
    assert not tensor._storage.exposed
    skipped = 3 * (kind != "an array's tensor") + 2 * (kind == "a part's part's tensor")
    np.testing.assert_array_equal(tensor.numpy(), array()[skipped:])


@pytest.mark.parametrize(
    "kind",
    ["the array", "the whole of the part", "another part", "a buffer", "bytes", "a view's array"],
)
def test_somebody_holds_it(kind: str) -> None:
    tensor, held = held_by(kind)
    assert tensor._storage.still_exposed()
    del held
    if kind != "bytes":  # what holds no array cannot be asked who holds it
        assert not tensor._storage.still_exposed()
        seen = tensor.numpy()
        assert tensor._storage.still_exposed()
        seen[0] = -1
        assert tensor[0, 0].item() == -1


def test_memory_that_nobody_sees_any_more_serves_again():
    x = flambeau.ones(4)
    places = set()
    for number in range(12):
        y = x + number
        seen = y.numpy()
        assert y._storage.still_exposed()
        part = seen[1:]
        del seen
        assert y._storage.still_exposed()
        assert part.tolist() == [1.0 + number] * 3
        del part
        assert not y._storage.still_exposed()
        places.add(y.data_ptr())
        del y
    assert len(places) <= 4
