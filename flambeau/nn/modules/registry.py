"""The dictionaries in which a module keeps its parameters, buffers and submodules.

Note: mirrored registries
    PyTorch finds `self.fc1` through `Module.__getattr__`, after an ordinary look-up has failed.
    Here every write to `_parameters`, `_buffers` or `_modules` also goes to the module's own
    `__dict__`, so that `self.fc1` is an ordinary attribute and costs what one costs.
    The registry stays the truth: it may be edited directly, and the mirror follows.
    A name the class itself defines is not mirrored, because in PyTorch the class attribute wins.
    Copies and pickles are plain dictionaries, without mirror and without owner; a module that
    comes back from one adopts its registries again (`Module._adopt`).
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import Any

from flambeau.record.changes import CHANGES

_MISSING = object()


class Registry(dict[str, Any]):
    """A dictionary that shows its entries as attributes of `owner`, a module."""

    __slots__ = ("_owner",)

    def __init__(self, owner: Any, items: Mapping[str, Any] | None = None) -> None:
        # A weak reference: an instance that points to itself would wait for the cycle collector.
        self._owner = weakref.ref(owner)
        super().__init__()
        if items:
            self.update(items)

    def belongs_to(self, module: Any) -> bool:
        """Whether writes to this registry are shown on `module`."""
        return self._owner() is module

    def _show(self, key: str, value: Any) -> None:
        owner = self._owner()
        if owner is not None and not hasattr(type(owner), key):
            owner.__dict__[key] = value

    def _hide(self, key: str, value: Any) -> None:
        CHANGES.count += 1
        owner = self._owner()
        if owner is not None and owner.__dict__.get(key, _MISSING) is value:
            del owner.__dict__[key]

    def __setitem__(self, key: str, value: Any) -> None:
        CHANGES.count += 1
        super().__setitem__(key, value)
        self._show(key, value)

    def __delitem__(self, key: str) -> None:
        value = self[key]
        super().__delitem__(key)
        self._hide(key, value)

    def pop(self, key: str, *default: Any) -> Any:
        """Remove `key` and return its value, as `dict.pop`."""
        known = key in self
        value = super().pop(key, *default)
        if known:
            self._hide(key, value)
        return value

    def popitem(self) -> tuple[str, Any]:
        """Remove and return the last entry, as `dict.popitem`."""
        key, value = super().popitem()
        self._hide(key, value)
        return key, value

    def clear(self) -> None:
        """Remove every entry."""
        for key in list(self):
            del self[key]

    def setdefault(self, key: str, default: Any = None) -> Any:
        """Return the value of `key`, entering `default` if it has none."""
        if key not in self:
            self[key] = default
        return self[key]

    def update(self, *others: Any, **more: Any) -> None:
        """Enter every item of a mapping or of an iterable of pairs, as `dict.update`."""
        for key, value in dict(*others, **more).items():
            self[key] = value

    def __ior__(self, other: Any) -> Registry:  # type: ignore[override,misc]
        self.update(other)
        return self

    def copy(self) -> dict[str, Any]:
        """Return a plain dictionary: a copy does not write to the owner."""
        return dict(self)

    def __copy__(self) -> dict[str, Any]:
        return dict(self)

    def __reduce__(self) -> tuple[type, tuple[()], None, None, Iterable[tuple[str, Any]]]:
        return dict, (), None, None, iter(self.items())

    def __reduce_ex__(self, protocol: object) -> Any:
        return self.__reduce__()
