"""Members of `Tensor` and names of the torch namespace whose modules are imported when used.

A member that nobody has used yet is a `LazyMember`: the first use imports its module and puts the
real function in its place, so that later ones pay nothing.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from flambeau.core.calls import as_method
from flambeau.functional import catalogue, operators
from flambeau.tensor.tensor import Tensor


class LazyMember:
    """Stands in Tensor for a function until it is used."""

    def __init__(self, name: str, load: Callable[[], Any]) -> None:
        self.name = name
        self.load = load

    def member(self) -> Any:
        """What this stands for, now in its place."""
        found = as_method(self.load())
        setattr(Tensor, self.name, found)
        return found

    def __get__(self, tensor: Any, owner: Any = None) -> Any:
        return self.member().__get__(tensor, owner)


class LazyProperty(LazyMember):
    """Stands in Tensor for a property until it is used."""

    def __set__(self, tensor: Any, value: Any) -> None:
        self.member().__set__(tensor, value)


def resolve(module: str, place: str) -> Any:
    """What a module of this package has at `attribute` or `table[name]`."""
    found = importlib.import_module(f"flambeau.functional.{module}")
    table, _, name = place.partition("[")
    value = getattr(found, table)
    return value[name[:-1]] if name else value


def _loader(module: str, table: str, name: str) -> Callable[[], Any]:
    def load() -> Any:
        found = getattr(importlib.import_module(f"flambeau.functional.{module}"), table)[name]
        if table == "PROPERTIES" and not isinstance(found, property):
            found = property(found)
        return found

    return load


def _matmul_operator(name: str) -> Callable[[], Any]:
    return lambda: operators.matmul_operators()[name]


def bind() -> None:
    """Gives Tensor its members. Runs once, when flambeau is imported."""
    operators.bind()
    for table, kind in (("METHODS", LazyMember), ("PROPERTIES", LazyProperty)):
        for module, names in getattr(catalogue, table).items():
            for name in names.split():
                setattr(Tensor, name, kind(name, _loader(module, table, name)))
    for name in ("__matmul__", "__rmatmul__"):
        setattr(Tensor, name, LazyMember(name, _matmul_operator(name)))


def places() -> dict[str, tuple[str, str]]:
    """Each name of the torch namespace: its module, and where it is there (see `resolve`)."""
    found = {}
    for module, names in catalogue.NAMES.items():
        for entry in names.split():
            name, _, place = entry.partition("=")
            found[name] = (module, place or name)
    return found
