"""Sizes given once for all dimensions, or one per dimension."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any


def expand(value: Any, n: int) -> tuple[Any, ...]:
    """Return `value` as n sizes: an iterable as it is, anything else repeated n times."""
    if isinstance(value, Iterable):
        return tuple(value)
    return (value,) * n


def reversed_twice(sizes: Iterable[int]) -> tuple[int, ...]:
    """Return every size twice, last dimension first: the order `pad` takes its amounts in."""
    return tuple(size for size in reversed(tuple(sizes)) for _ in range(2))


# The names of torch.nn.modules.utils, which layers outside of PyTorch are written with.


def _ntuple(n: int, name: str = "parse") -> Callable[[Any], tuple[Any, ...]]:
    def parse(x: Any) -> tuple[Any, ...]:
        return expand(x, n)

    parse.__name__ = name
    return parse


_single = _ntuple(1, "_single")
_pair = _ntuple(2, "_pair")
_triple = _ntuple(3, "_triple")
_quadruple = _ntuple(4, "_quadruple")


def _reverse_repeat_tuple(t: tuple[Any, ...], n: int) -> tuple[Any, ...]:
    return tuple(x for x in reversed(t) for _ in range(n))


def _list_with_default(out_size: Any, defaults: list[int]) -> Any:
    """The sizes, those that are None taken from the end of the others."""
    if isinstance(out_size, int):
        return out_size
    if len(defaults) <= len(out_size):
        raise ValueError(f"Input dimension should be at least {len(out_size) + 1}")
    return [
        given if given is not None else default
        for given, default in zip(out_size, defaults[-len(out_size) :])
    ]
