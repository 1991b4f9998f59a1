"""Nested tuples, lists and dicts of tensors, as flat lists and back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any


def flatten(tree: Any) -> tuple[list[Any], Callable[[list[Any]], Any]]:
    """The leaves of a nest, and a function that makes the same nest of other leaves."""
    leaves: list[Any] = []
    build = _collect(tree, leaves)
    return leaves, lambda values: build(iter(values))


def _collect(tree: Any, leaves: list[Any]) -> Callable[[Any], Any]:
    if isinstance(tree, dict):
        kind, keys = type(tree), list(tree)
        parts = [_collect(tree[key], leaves) for key in keys]
        return lambda values: kind((k, part(values)) for k, part in zip(keys, parts, strict=True))
    if isinstance(tree, (list, tuple)):
        made, named = type(tree), hasattr(tree, "_fields")
        inner = [_collect(part, leaves) for part in tree]
        if named:
            return lambda values: made(*[part(values) for part in inner])
        return lambda values: made([part(values) for part in inner])
    leaves.append(tree)
    return lambda values: next(values)
