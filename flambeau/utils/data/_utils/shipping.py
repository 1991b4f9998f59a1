"""Objects on their way to a worker process: what pickle takes by name goes by value where it must.

Functions and classes of the main script, of functions' insides, and lambdas cannot be imported by a
process that does not run the script. They travel as what they are made of: code, defaults, cells
and the global names that the code mentions.
"""

from __future__ import annotations

import dataclasses
import importlib
import io
import marshal
import pickle
import sys
from contextlib import suppress
from types import CellType, CodeType, FunctionType, MappingProxyType, ModuleType
from typing import Any

_Base: Any = pickle.Pickler
# Made anew by the class statement itself, or the base's own.
_NOT_COPIED = frozenset({"__dict__", "__weakref__", "__module__", "_abc_impl"})
_NOT_COPIED |= {"__annotate_func__", "__annotations_cache__"}


def dumps(value: Any, answer: bool = False) -> bytes:
    """The pickle of a value for another process of this program.

    An answer goes back to where the main script ran: what that defines has a name there.
    """
    file = io.BytesIO()
    _Shipper(file, pickle.HIGHEST_PROTOCOL, answer).dump(value)
    return file.getvalue()


def _is_importable(obj: Any, answer: bool) -> bool:
    """Whether the other process finds this very object under its name."""
    module = getattr(obj, "__module__", None)
    if module is None or module not in sys.modules:
        return False
    if module in ("__main__", "__mp_main__") and not answer:
        return False
    found: Any = sys.modules[module]
    for part in obj.__qualname__.split("."):
        found = getattr(found, part, None)
    return found is obj


class _Shipper(_Base):  # type: ignore[misc]
    def __init__(self, file: io.BytesIO, protocol: int, answer: bool) -> None:
        super().__init__(file, protocol)
        self._answer = answer

    def reducer_override(self, obj: Any) -> Any:
        kind = type(obj)
        if kind is FunctionType:
            return NotImplemented if self._named(obj) else _function(obj)
        if isinstance(obj, type):
            return _class(obj) if obj.__flags__ & _MADE and not self._named(obj) else NotImplemented
        if kind is CellType:
            return _make_cell, (), _contents(obj), None, None, _fill_cell
        if kind is ModuleType:
            return importlib.import_module, (obj.__name__,)
        if kind is property:
            return property, (obj.fget, obj.fset, obj.fdel, obj.__doc__)
        if kind in (staticmethod, classmethod):
            return kind, (obj.__func__,)
        if kind is MappingProxyType:
            return _read_only, (dict(obj),)
        if kind.__module__ == "dataclasses":  # the marks in a dataclass's fields are known by id
            return next((n for n in _MARKS if getattr(dataclasses, n, None) is obj), NotImplemented)
        return NotImplemented

    def _named(self, obj: Any) -> bool:
        return _is_importable(obj, self._answer)


_MARKS = ("MISSING", "KW_ONLY", "_FIELD", "_FIELD_CLASSVAR", "_FIELD_INITVAR")
_MADE = 1 << 9  # a type that a class statement made, not the interpreter's own


def _read_only(content: dict[Any, Any]) -> Any:
    return MappingProxyType(content)


def _mentioned(code: CodeType) -> set[str]:
    """The names that a function's code, and the functions in it, may look up globally."""
    names = set(code.co_names)
    for constant in code.co_consts:
        if isinstance(constant, CodeType):
            names |= _mentioned(constant)
    return names


def _function(function: FunctionType) -> Any:
    code = function.__code__
    space = function.__globals__
    state = {
        "globals": {name: space[name] for name in sorted(_mentioned(code)) if name in space},
        "defaults": function.__defaults__,
        "kwdefaults": function.__kwdefaults__,
        "cells": function.__closure__,
        "dict": dict(function.__dict__),
        "qualname": function.__qualname__,
        "doc": function.__doc__,
    }
    made = (marshal.dumps(code), function.__module__, len(code.co_freevars))
    return _make_function, made, state, None, None, _fill_function


def _make_function(code: bytes, module: str, cells: int) -> Any:
    closure = tuple(CellType() for _ in range(cells))
    name = module or "__main__"
    return FunctionType(marshal.loads(code), _space(name), None, None, closure)


def _space(module: str) -> dict[str, Any]:
    """The global names of a module's travelled functions."""
    if module in ("__main__", "__mp_main__"):
        return vars(sys.modules["__main__"])
    if module not in _spaces:
        _spaces[module] = {"__name__": module, "__builtins__": __builtins__}
    return _spaces[module]


_spaces: dict[str, dict[str, Any]] = {}


def _fill_function(function: Any, state: dict[str, Any]) -> None:
    for name, value in state["globals"].items():
        if not name.startswith("__"):
            function.__globals__[name] = value
    function.__defaults__ = state["defaults"]
    function.__kwdefaults__ = state["kwdefaults"]
    function.__qualname__ = state["qualname"]
    function.__doc__ = state["doc"]
    function.__dict__.update(state["dict"])
    for cell, given in zip(function.__closure__ or (), state["cells"] or ()):
        _share(cell, given)


def _share(cell: CellType, given: CellType) -> None:
    """Fill a function's cell. (Functions that shared one before have one each.)"""
    try:
        cell.cell_contents = given.cell_contents
    except ValueError:
        _waiting.setdefault(id(given), (given, []))[1].append(cell)


# Cells that are empty when a function is made: their contents are still on the way.
_waiting: dict[int, tuple[CellType, list[CellType]]] = {}


def _contents(cell: CellType) -> tuple[Any, ...]:
    try:
        return (cell.cell_contents,)
    except ValueError:
        return (_EMPTY,)


class _Empty:
    def __reduce__(self) -> str:
        return "_EMPTY"


_EMPTY = _Empty()


def _make_cell() -> CellType:
    return CellType()


def _fill_cell(cell: CellType, contents: tuple[Any, ...]) -> None:
    if contents[0] is _EMPTY:
        return
    cell.cell_contents = contents[0]
    for other in _waiting.pop(id(cell), (cell, []))[1]:
        other.cell_contents = contents[0]


def _class(kind: type) -> Any:
    body = {name: value for name, value in vars(kind).items() if name not in _NOT_COPIED}
    if "__annotate_func__" in vars(kind):  # from 3.14 on; it holds all of `kind`
        with suppress(NameError):
            body["__annotations__"] = kind.__annotations__
    slots = body.get("__slots__", ())
    for name in [slots] if isinstance(slots, str) else slots:
        body.pop(name, None)
    first = {"__module__": kind.__module__, "__qualname__": kind.__qualname__}
    if "__slots__" in body:
        first["__slots__"] = body.pop("__slots__")
    made = (type(kind), kind.__name__, kind.__bases__, first)
    return _make_class, made, body, None, None, _fill_class


def _make_class(meta: Any, name: str, bases: tuple[type, ...], first: dict[str, Any]) -> Any:
    made = meta(name, bases, first)
    if first["__module__"] in ("__main__", "__mp_main__") and "." not in first["__qualname__"]:
        # Under this name its instances find their way back.
        setattr(sys.modules["__main__"], name, made)
    return made


def _fill_class(made: Any, body: dict[str, Any]) -> None:
    for name, value in body.items():
        if name not in ("__doc__", "__static_attributes__", "__firstlineno__"):
            setattr(made, name, value)
    if body.get("__doc__") is not None:
        made.__doc__ = body["__doc__"]
