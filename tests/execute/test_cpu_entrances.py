"""Native functions as builtin ones: what they answer, and what they make of wrong arguments."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from flambeau.execute.cpu.entrances import entrances

found = entrances()
pytestmark = pytest.mark.skipif(found is None, reason="the interpreter has no such calls")


def test_the_first_pair_that_has_moved() -> None:
    assert found is not None
    rng = np.random.default_rng(0)
    data = rng.integers(-(1 << 62), 1 << 62, 20)
    start = data.__array_interface__["data"][0]
    pairs = np.stack([start + 8 * np.arange(20), data], 1)
    first = pairs.__array_interface__["data"][0]
    end = first + 16 * 20
    assert found.first_moved(first, end) == end
    assert found.first_moved(first, first) == first
    data[7] += 1
    data[3] += 1
    assert found.first_moved(first, end) == first + 16 * 3
    pairs[4, 0] = 0  # an address that must not be read: it rests on the pair before
    assert found.first_moved(first, end) == first + 16 * 3


@pytest.mark.parametrize(
    "arguments", [(), (1,), (1, 2, 3), ("a", 0), (0, None), (1 << 64, 0), (0, -(1 << 64))]
)
def test_wrong_arguments_raise(arguments: tuple[object, ...]) -> None:
    assert found is not None
    before = [sys.getrefcount(value) for value in arguments]
    with pytest.raises((TypeError, OverflowError, SystemError)):
        found.first_moved(*arguments)  # type: ignore[arg-type]
    assert [sys.getrefcount(value) for value in arguments] == before
    with pytest.raises((TypeError, OverflowError)):
        found.run(*arguments, None)  # type: ignore[arg-type]
