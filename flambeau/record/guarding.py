"""What a function's Python code may have read, beside its arguments: a kept call rests on it.

A compiled function's body does not run again, so what it read must still be what it was: values in
dictionaries and lists, attributes of objects, defaults, what the functions that it calls read. All
of it is found by a walk from the function, not by watching it run: what cannot be looked into (an
iterator, a large container) makes the walk incomplete, and the call is not kept. Modules count
their edits themselves (`record/changes.py`), optimizers and tensors are looked at by others.
"""

from __future__ import annotations

import enum
import functools
import random
import re
import types
import weakref
from collections import deque
from collections.abc import Iterable
from operator import is_
from typing import Any

import numpy as np

from flambeau.core.device import device
from flambeau.core.dtypes import DType
from flambeau.core.notice import PACKAGE
from flambeau.record import words
from flambeau.record.handle import Handle
from flambeau.record.words import Pairs

MOST = 2000  # things that a walk looks at
LONGEST = 500  # elements of a container
LARGEST = 4096  # bytes of an array
MISSING = object()
OURS = ("flambeau", "builtins")
PLAIN = (int, float, complex, bool, str, bytes, type(None), DType, device)
# What does not change, or is no business of numbers.
FIXED = (
    enum.Enum, range, slice, frozenset, re.Pattern, np.generic, np.dtype, weakref.ref,
    type(Ellipsis), type(NotImplemented), types.MethodDescriptorType, types.WrapperDescriptorType,
    types.MethodWrapperType, types.GetSetDescriptorType, types.MemberDescriptorType, types.CodeType,
    staticmethod, classmethod, property,
)  # fmt: skip


class Survey:
    """Python state that was looked at: a statement (`facts.py`) that it is as it was."""

    def __init__(self, function: Any, arguments: Iterable[Any] = ()) -> None:
        self.complete = True
        self.mappings: list[tuple[dict[Any, Any], list[Any], list[Any]]] = []
        self.sequences: list[tuple[Any, list[Any]]] = []
        self.names: list[tuple[dict[str, Any], str, Any]] = []
        self.attributes: list[tuple[Any, str, Any]] = []
        self.cells: list[tuple[types.CellType, Any]] = []
        self.arrays: list[tuple[np.ndarray[Any, Any], bytes]] = []
        self._seen: dict[int, Any] = {}
        self._used: dict[str, None] = {}  # names in the code that was looked at
        self._spaces: list[Any] = []  # what they may be names of: modules and classes
        # What the function itself names is part of a call's key, by identity: it must live on.
        self.root = getattr(function, "__func__", function)
        self.held: list[Any] = []
        self._walk(function)
        for value in arguments:
            self._walk(value)
        self._look_up()
        self._seen.clear()
        self._spaces.clear()
        found = (
            self.mappings,
            self.sequences,
            self.names,
            self.attributes,
            self.cells,
            self.arrays,
        )
        self.empty = not any(found)

    def pairs(self) -> Pairs:
        """The words of memory that say so. Unknown where there is more.

        Plain values may be other objects by now, equal to those before: these are held instead.
        """
        if self.attributes or self.arrays:
            raise words.Unknown
        found: Pairs = []
        for mapping, keys, values in self.mappings:
            values[:] = _equals(mapping.values(), values)
            found += words.items(mapping, keys, values)
        for sequence, values in self.sequences:
            values[:] = _equals(sequence, values)
            found += words.elements(sequence, values)
        for place, (namespace, name, value) in enumerate(self.names):
            (value,) = _equals((namespace.get(name, MISSING),), (value,))
            self.names[place] = namespace, name, value
            found += words.item(namespace, name, value)
        for place, (cell, value) in enumerate(self.cells):
            (value,) = _equals((cell.cell_contents,), (value,))
            self.cells[place] = cell, value
            found += words.content(cell, value)
        return found

    def look(self) -> bool:
        """Whether all of it is as it was."""
        for mapping, keys, values in self.mappings:
            if len(mapping) != len(keys) or list(mapping) != keys:
                return False
            if not all(map(is_, mapping.values(), values)) and not same(mapping.values(), values):
                return False
        for sequence, values in self.sequences:
            if len(sequence) != len(values):
                return False
            if not all(map(is_, sequence, values)) and not same(sequence, values):
                return False
        for namespace, name, value in self.names:
            now = namespace.get(name, MISSING)
            if now is not value and not same((now,), (value,)):
                return False
        for thing, name, value in self.attributes:
            if not same((getattr(thing, name, MISSING),), (value,)):
                return False
        for cell, value in self.cells:
            if not same((cell.cell_contents,), (value,)):
                return False
        return all(array.tobytes() == content for array, content in self.arrays)

    def _walk(self, value: Any) -> None:
        if isinstance(value, (*PLAIN, *FIXED, Handle)):
            return
        if id(value) in self._seen or not self.complete:
            return
        self._seen[id(value)] = value
        if len(self._seen) > MOST:
            self.complete = False
        elif isinstance(value, types.FunctionType):
            self._function(value)
        elif isinstance(value, types.BuiltinFunctionType):
            self._walk(value.__self__)  # a module's function, or an object's method
        elif isinstance(value, types.MethodType):
            self._walk(value.__func__)
            self._walk(value.__self__)
        elif isinstance(value, random.Random):
            self.complete = False
        elif isinstance(value, functools.partial):
            self._all((value.func, *value.args, *value.keywords.values()))
        elif isinstance(value, (types.ModuleType, type)):
            self._namespace(value)
        elif isinstance(value, dict):
            self._mapping(value)
        elif isinstance(value, (list, tuple, deque, set)):
            self._sequence(value)
        elif isinstance(value, np.ndarray):
            self._array(value)
        else:
            self._object(value)

    def _all(self, values: Iterable[Any]) -> None:
        for value in values:
            self._walk(value)

    def _function(self, function: types.FunctionType) -> None:
        code = function.__code__
        if code.co_filename.startswith(PACKAGE):
            return
        names, space = _names(code), function.__globals__
        self._used.update(dict.fromkeys(names))
        for name in names:
            if name in space:
                if function is self.root and name in code.co_names:
                    self.held.append(space[name])
                else:
                    self.names.append((space, name, space[name]))
                self._walk(space[name])
        for cell in function.__closure__ or ():
            try:
                if function is self.root:
                    self.held.append(cell.cell_contents)
                else:
                    self.cells.append((cell, cell.cell_contents))
                self._walk(cell.cell_contents)
            except ValueError:  # empty as yet
                self.complete = False
        self._all(function.__defaults__ or ())
        self._all((function.__kwdefaults__ or {}).values())

    def _namespace(self, value: Any) -> None:
        """A module or a class: what code names of it is looked up when all code is known."""
        where = getattr(value, "__module__", "") if isinstance(value, type) else value.__name__
        file = getattr(value, "__file__", None) or ""
        if where == "time":
            self.complete = False  # never the same
        elif where == "numpy":
            self._spaces.append(np)
        elif where.partition(".")[0] not in OURS and not file.startswith(PACKAGE):
            kinds = value.__mro__ if isinstance(value, type) else (value,)
            self._spaces += [vars(kind) for kind in kinds]

    def _look_up(self) -> None:
        """Guards what any code names of modules and classes; more code may be found that way."""
        done: set[tuple[int, str]] = set()
        while self.complete:
            missing = [
                (space, name)
                for space in self._spaces
                for name in self._used
                if (id(space), name) not in done
            ]
            if not missing:
                return
            for space, name in missing:
                done.add((id(space), name))
                if space is np:
                    self.complete = self.complete and name != "random"
                elif name in space:
                    self.names.append((space, name, space[name]))
                    self._walk(space[name])

    def _mapping(self, value: dict[Any, Any]) -> None:
        if len(value) > LONGEST:
            self.complete = False
            return
        self.mappings.append((value, list(value), list(value.values())))
        self._all(value.values())

    def _sequence(self, value: Any) -> None:
        if len(value) > LONGEST:
            self.complete = False
            return
        if not isinstance(value, tuple):
            self.sequences.append((value, list(value)))
        self._all(value)

    def _array(self, value: np.ndarray[Any, Any]) -> None:
        if value.nbytes > LARGEST or value.dtype.hasobject:
            self.complete = False
            return
        self.arrays.append((value, value.tobytes()))

    def _object(self, value: Any) -> None:
        kind = type(value)
        own = getattr(value, "__dict__", None)
        if hasattr(value, "_parameters") and hasattr(value, "_modules"):
            self._module(value)
            return
        if hasattr(value, "param_groups"):  # an optimizer: its updates are looked at in each call
            return
        slots = [name for one in kind.__mro__ for name in _slots(one)]
        if own is None and not slots:
            if not callable(value):
                self.complete = False  # what it holds cannot be seen
            return
        if own is not None:
            self._mapping(own)
        for name in slots:
            part = getattr(value, name, MISSING)
            self.attributes.append((value, name, part))
            self._walk(part)
        self._namespace(kind)

    def _module(self, value: Any) -> None:
        """A module counts its edits; what is edited without it are containers in its attributes."""
        for name, part in vars(value).items():
            if not name.startswith("_"):
                self._walk(part)
        self._all(value._modules.values())
        forward = getattr(type(value), "forward", None)
        if isinstance(forward, types.FunctionType):
            self._walk(forward)


def _equals(found: Iterable[Any], before: Iterable[Any]) -> list[Any]:
    """What is found, which is the same as before. Unknown where it is not."""
    now, then = list(found), list(before)
    if len(now) != len(then) or not same(now, then):
        raise words.Unknown
    return now


def _names(code: types.CodeType) -> tuple[str, ...]:
    """The names that code uses, with those of functions inside it."""
    found = dict.fromkeys(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, types.CodeType):
            found.update(dict.fromkeys(_names(constant)))
    return tuple(found)


def _slots(kind: type) -> tuple[str, ...]:
    slots = kind.__dict__.get("__slots__", ())
    names = (slots,) if isinstance(slots, str) else tuple(slots)
    return tuple(name for name in names if name not in ("__dict__", "__weakref__"))


def same(found: Iterable[Any], before: Iterable[Any]) -> bool:
    """Whether values are the very ones, or plain and equal."""
    return all(
        now is then or (type(now) is type(then) and isinstance(now, PLAIN) and now == then)
        for now, then in zip(found, before)
    )
