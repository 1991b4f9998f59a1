"""Sizes given once for all dimensions, or one per dimension."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any


def expand(value: Any, n: int) -> tuple[Any, ...]:
    """Return `value` as n sizes: an iterable as it is, anything else repeated n times."""
    if isinstance(value, Iterable):
        return tuple(value)
    return (value,) * n


def reversed_twice(sizes: Iterable[int]) -> tuple[int, ...]:
    """Return every size twice, last dimension first: the order `pad` takes its amounts in."""
    return tuple(size for size in reversed(tuple(sizes)) for _ in range(2))
