"""`Size`: the shape of a tensor as users see it."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterable
from typing import Any, SupportsIndex, overload

_item: Callable[[Any, Any], Any] = tuple.__getitem__


class Size(tuple[int, ...]):
    """A tuple of extents that prints as `torch.Size([2, 3])`.

    It stays a Size when sliced, added or repeated. TypeError for elements that are no integers.
    """

    __slots__ = ()

    def __new__(cls, extents: Iterable[SupportsIndex] = ()) -> Size:
        if type(extents) is Size:
            return extents
        values = tuple(extents)
        if set(map(type, values)) <= _PLAIN:
            return tuple.__new__(cls, values)
        return tuple.__new__(cls, [_extent(v, i) for i, v in enumerate(values)])

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __reduce__(self) -> tuple[Any, ...]:
        return Size, (tuple(self),)

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        return math.prod(self)

    @overload
    def __getitem__(self, key: SupportsIndex) -> int: ...
    @overload
    def __getitem__(self, key: slice) -> Size: ...
    def __getitem__(self, key: SupportsIndex | slice) -> int | Size:
        if type(key) is not int and isinstance(key, slice):
            return tuple.__new__(Size, _item(self, key))
        return _item(self, key)  # type: ignore[no-any-return]

    def __add__(self, other: tuple[int, ...]) -> Size:  # type: ignore[override]
        if not isinstance(other, tuple):
            raise TypeError(
                f"can only concatenate tuple (not {type(other).__name__}) to torch.Size"
            )
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: tuple[int, ...]) -> Size:
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(other, tuple(self)))

    def __mul__(self, count: SupportsIndex) -> Size:
        return tuple.__new__(Size, tuple.__mul__(self, count))

    __rmul__ = __mul__


_PLAIN = {int}


def _extent(value: Any, at: int) -> int:
    try:
        return int(operator.index(value))
    except TypeError:
        raise TypeError(
            f"torch.Size() takes an iterable of 'int' (item {at} is '{type(value).__name__}')"
        ) from None
