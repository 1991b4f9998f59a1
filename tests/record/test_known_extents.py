"""Extents of shapes asked for by a native method: what tuples give, and slices that stay shapes."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Any

import pytest

from flambeau.core.size import Size
from flambeau.record import known_extents, words

pytestmark = pytest.mark.skipif(not words.known(), reason="no native calls")


@pytest.fixture(autouse=True)
def native() -> Iterator[None]:
    before = Size.__getitem__
    Size.__getitem__ = known_extents.BY_PYTHON  # type: ignore[method-assign]
    known_extents.begin()
    assert Size.__getitem__ is not known_extents.BY_PYTHON
    yield
    Size.__getitem__ = before  # type: ignore[method-assign]


class Place:
    def __init__(self, place: Any) -> None:
        self.place = place

    def __index__(self) -> Any:
        if isinstance(self.place, Exception):
            raise self.place
        return self.place


KEYS: list[Any] = [
    *range(-5, 5), True, False, 2**40, -(2**40), 2**63 - 1, -(2**63), 2**63, 2**70, -(2**70),
    slice(None), slice(1, 3), slice(None, None, -1), slice(9, 2), slice(None, 10**30), Place(1),
    Place(-9), Place(ValueError("no")), "a", 1.0, None, (0,),
]  # fmt: skip


def told(sequence: Any, key: Any) -> Any:
    try:
        found = sequence[key]
    except Exception as error:
        return type(error), str(error).replace("Size", "tuple")
    return type(found), found


@pytest.mark.parametrize("extents", [(), (7,), (3, 0, 10**12), (2, 3, 4, 5)])
def test_as_tuples_do(extents: tuple[int, ...]) -> None:
    size = Size(extents)
    for key in KEYS:
        found, expected = told(size, key), told(extents, key)
        if expected[0] is tuple:
            expected = Size, Size(expected[1])
        assert found == expected, key
    assert told(size, slice(0, "a"))[0] is TypeError


def test_references_are_kept() -> None:
    size = Size((10**15, 5))
    number, held = size[0], sys.getrefcount(size)
    before = sys.getrefcount(number)
    many = [size[0] for _ in range(10)]
    assert sys.getrefcount(number) == before + 10
    for _ in range(10):
        size[:1]
        with pytest.raises(IndexError):
            size[2]
    del many
    assert sys.getrefcount(number) == before
    assert sys.getrefcount(size) == held


def test_calls_of_the_method_itself() -> None:
    size = Size((2, 3))
    assert Size.__getitem__(size, 1) == 3 and size.__getitem__(slice(1)) == (2,)
    call: Any = Size.__getitem__
    for arguments in ((), ((2, 3), 0), (size,), (size, 0, 1)):
        with pytest.raises(TypeError):
            call(*arguments)
    assert call.__name__ == "__getitem__"
