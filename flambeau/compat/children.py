"""Child processes of a script that runs with the aliases have them too.

A forked child inherits the hook. A spawned child starts a new interpreter and imports the user's
script as `__mp_main__` before anything else runs, so the hook must be there earlier: it rides on
the preparation data, the first object that the child unpickles.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

SPAWN = "multiprocessing.spawn"
_FUNCTION = "get_preparation_data"
_KEY = "flambeau"

_left: list[str] = []
_original: Callable[[str], dict[str, Any]] | None = None


class _InstallOnArrival:
    """Unpickles to nothing, and installs the aliases by being unpickled."""

    def __reduce__(self) -> tuple[Callable[..., None], tuple[list[str]]]:
        from flambeau.compat.finder import install

        return (install, (_left,))


def watch(left: list[str]) -> None:
    """Extend the preparation data if the spawn module is loaded; else its import will do it.

    `left` are the packages that children leave alone too.
    """
    global _left
    _left = left
    spawn = sys.modules.get(SPAWN)
    if spawn is not None:
        _extend(spawn)


def unwatch() -> None:
    """Put the standard library's own function back."""
    global _original
    spawn = sys.modules.get(SPAWN)
    if spawn is not None and _original is not None:
        setattr(spawn, _FUNCTION, _original)
    _original = None


def _extend(spawn: ModuleType) -> None:
    global _original
    original: Callable[[str], dict[str, Any]] = getattr(spawn, _FUNCTION)
    _original = original

    def get_preparation_data(name: str) -> dict[str, Any]:
        data = original(name)
        if name == "ignore":
            # The fork server itself asks: it takes no extra objects, so it must not import the
            # script. The children that it forks get the full data and import it themselves.
            data.pop("init_main_from_path", None)
        else:
            data[_KEY] = _InstallOnArrival()
        return data

    setattr(spawn, _FUNCTION, get_preparation_data)


class _ThenExtend(Loader):
    """Loads multiprocessing.spawn as its own loader would, then extends it."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        if module.__spec__ is not None:
            module.__spec__.loader = self._own
        module.__loader__ = self._own
        self._own.exec_module(module)
        _extend(module)


def spawn_spec(
    asker: MetaPathFinder,
    fullname: str,
    path: Sequence[str] | None,
    target: ModuleType | None,
) -> ModuleSpec | None:
    """The spec of multiprocessing.spawn from the other finders, with our loader around its own."""
    for finder in sys.meta_path:
        if finder is asker:
            continue
        spec = finder.find_spec(fullname, path, target)
        if spec is not None and spec.loader is not None:
            spec.loader = _ThenExtend(spec.loader)
            return spec
    return None
