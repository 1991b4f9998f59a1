"""Where in the user's program an event is recorded: file, line, and module of the model."""

from __future__ import annotations

import sys
import warnings
import weakref
from collections.abc import Iterable
from types import CodeType, FrameType
from typing import Any, NamedTuple

from flambeau.core.notice import PACKAGE
from flambeau.ops.value import leave_to_reference_counts


class ModuleCall:
    """The code of `Module.__call__`: the floor of modules puts it here."""

    code: CodeType | None = None


_warned: dict[Any, Any] = {}
# Code is known by its address here: its hash goes through all the constants that it holds.
# By the code that calls the outermost module, and all modules: their path, what they were, and that
# code.
_paths: dict[tuple[int, ...], tuple[str, tuple[weakref.ref[Any], ...], CodeType | None]] = {}
# By the user's code, the place in it and the path of the modules: what was found, and that code.
_places: dict[tuple[int, int, str], tuple[Place, CodeType]] = {}
MANY_PATHS = 10_000


class Place(NamedTuple):
    """A line of the user's program; `module` is the path of the innermost module (`net.fc1`)."""

    file: str
    line: int
    module: str = ""

    def __str__(self) -> str:
        within = f", in {self.module}" if self.module else ""
        return f"{self.file}:{self.line}{within}"


def users_place() -> Place | None:
    """The place outside this package that the caller was called from."""
    frame: FrameType | None = sys._getframe(1)
    module_call = ModuleCall.code
    users: FrameType | None = None
    calls: list[FrameType] = []
    while frame is not None:
        code = frame.f_code
        if code is module_call:
            calls.append(frame)
        elif users is None and not code.co_filename.startswith(PACKAGE):
            users = frame
        frame = frame.f_back
    if users is None:
        return None
    code, path = users.f_code, _path(calls) if calls else ""
    key = (id(code), users.f_lasti, path)
    known = _places.get(key)
    if known is None:
        known = Place(code.co_filename, users.f_lineno, path), code
        leave_to_reference_counts(known[0])
        if len(_places) >= MANY_PATHS:
            _places.clear()
        _places[key] = known
    return known[0]


def warn_user(words: str, category: type[Warning] = UserWarning) -> None:
    """A warning at the line outside this package; given once a line unless filters say else."""
    place = users_place()
    if place is None:
        warnings.warn(words, category, stacklevel=2)
    else:
        warnings.warn_explicit(words, category, place.file, place.line, registry=_warned)


def _path(calls: list[FrameType]) -> str:
    """The names of the modules that the frames, the innermost first, call."""
    caller = calls[-1].f_back
    while caller is not None and caller.f_code.co_filename.startswith(PACKAGE):
        caller = caller.f_back
    modules = [frame.f_locals.get("self") for frame in calls]
    code = None if caller is None else caller.f_code
    key = (id(code), *map(id, modules))
    known = _paths.get(key)
    if known is not None and all(ref() is module for ref, module in zip(known[1], modules)):
        return known[0]
    module = modules[-1]
    parts = [_variable(module, caller)]
    for child in reversed(modules[:-1]):
        parts.append(_child(module, child) or type(child).__name__)
        module = child
    path = ".".join(parts)
    if len(_paths) >= MANY_PATHS:
        _paths.clear()
    _paths[key] = path, tuple(map(weakref.ref, modules)), code
    return path


def _variable(module: Any, caller: FrameType | None) -> str:
    """The name that a module has where it was called; that of its class if it has none there."""
    if caller is not None:
        name = _named(module, caller.f_locals.items()) or _named(module, caller.f_globals.items())
        if name and name != "self":
            return name
        owner = caller.f_locals.get("self")
        name = _named(module, getattr(owner, "__dict__", {}).items())
        if name:
            return f"self.{name}"
    return type(module).__name__


def _named(wanted: Any, pairs: Iterable[tuple[str, Any]]) -> str:
    """The name that stands for a value; IPython's own (`_`, `___`, `_12`) only if there is none."""
    names = [name for name, value in list(pairs) if value is wanted]
    spoken = [name for name in names if name.strip("_0123456789")]
    return next(iter(spoken or names), "")


def _child(parent: Any, wanted: Any) -> str:
    """The path from a module to one below it: its own children first, then all."""
    name = _named(wanted, parent._modules.items())
    if name:
        return name
    return next((path for path, module in parent.named_modules() if module is wanted), "")
