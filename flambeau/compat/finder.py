"""The import hook: finders on sys.meta_path that answer for torch, torchvision, torchmetrics.

Note: same object, two names. The import system insists on writing `__spec__` of whatever a loader
creates. Our loader hands it the Flambeau module that exists already, so it puts the module's own
spec back at once: `import torch; torch.__spec__.name` stays 'flambeau', `importlib.reload(torch)`
reloads flambeau, and sys.modules holds the one object under both names.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Iterator, Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from flambeau.compat import children, names
from flambeau.core import settings

_ABSENT = object()
ON_TOP = names.LEAVABLE | set(names.IN_PLACE)


class _Alias(Loader):
    """Gives an existing module to the import system under a second name."""

    def __init__(self, module: ModuleType) -> None:
        self._module = module
        self._own_spec = module.__spec__

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        return self._module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own_spec


class _Aliases(MetaPathFinder):
    """First on sys.meta_path: names of PyTorch's packages, and the spawn module of the library."""

    def __init__(self, left: frozenset[str]) -> None:
        self._left = left
        # (parent module, attribute, what it was): attributes that the import system is about to
        # set and that were not this module before.
        self._bound: list[tuple[ModuleType, str, object]] = []
        self.given: set[str] = set()

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname == children.SPAWN:
            return children.spawn_spec(self, fullname, path, target)
        root = fullname.partition(".")[0]
        if root not in names.ROOTS or root in self._left:
            return None
        module = _answer(fullname)
        if module is None:
            if _asked_by("importlib.util", "find_spec"):
                return None
            raise ModuleNotFoundError(names.missing(fullname), name=fullname)
        parent, _, leaf = fullname.rpartition(".")
        if parent:
            holder = sys.modules[parent]
            before = vars(holder).get(leaf, _ABSENT)
            if before is not module:
                self._bound.append((holder, leaf, before))
        self.given.add(fullname)
        return ModuleSpec(fullname, _Alias(module), is_package=hasattr(module, "__path__"))

    def find_distributions(self, context: Any) -> Iterator[Any]:
        """What importlib.metadata asks a finder: packages look for the version of torch there."""
        from flambeau.compat import distributions

        return distributions.find(context.name, self._left)

    def undo(self) -> None:
        """Take back the names given and the attributes set for them."""
        for holder, leaf, before in reversed(self._bound):
            if before is _ABSENT:
                vars(holder).pop(leaf, None)
            else:
                setattr(holder, leaf, before)
        for name in self.given:
            sys.modules.pop(name, None)


class _Missing(MetaPathFinder):
    """Last on sys.meta_path: `from torch import export` asks for flambeau.export; says what is
    missing. Where a package is not installed that Flambeau has a part in place of, gives that.
    """

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None,
        target: ModuleType | None = None,
    ) -> ModuleSpec | None:
        if fullname in names.IN_PLACE:
            module = importlib.import_module(names.IN_PLACE[fullname])
            return ModuleSpec(fullname, _Alias(module))
        package, _, leaf = fullname.partition(".")
        if package != "flambeau" or leaf not in names.PYTORCH:
            return None
        # Only the statement: `hasattr(torch, "export")` must stay an ordinary no, and the package
        # tries to import its parts behind it.
        if not _asked_by("importlib._bootstrap", "_handle_fromlist"):
            return None
        # With name=fullname the import system would replace this by "cannot import name".
        raise ModuleNotFoundError(names.missing(f"torch.{leaf}"), name=f"torch.{leaf}")


def _asked_by(module: str, function: str) -> bool:
    """Whether that function of the import system is behind the question put to a finder.

    The finders' protocol does not tell who asks, but the answer differs: importlib.util.find_spec
    expects None where an import statement should get an error that explains.
    """
    frame = sys._getframe(2).f_back
    while frame is not None and frame.f_globals.get("__name__", "").startswith("importlib"):
        if (frame.f_globals["__name__"], frame.f_code.co_name) == (module, function):
            return True
        frame = frame.f_back
    return False


def _answer(fullname: str) -> ModuleType | None:
    """The Flambeau module for a PyTorch name; None where Flambeau has none."""
    if not names.is_internal(fullname):
        own = names.target(fullname)
        try:
            return importlib.import_module(own)
        except ModuleNotFoundError as error:
            # Absent is one thing; a module that exists and fails on its own import is another.
            if error.name is None or not _lies_on(error.name, own, fullname):
                raise
    gathered = names.GATHERED.get(fullname)
    return importlib.import_module(gathered) if gathered else None


def _lies_on(absent: str, own: str, alias: str) -> bool:
    return any(name == absent or name.startswith(absent + ".") for name in (own, alias))


_active: tuple[_Aliases, _Missing] | None = None
_set_aside: dict[str, ModuleType] = {}


def installed() -> bool:
    """Whether `import torch` means Flambeau in this process."""
    return _active is not None


def install(leave: Iterable[str] | None = None) -> None:
    """Make `import torch` (torchvision, torchmetrics) mean Flambeau from here on.

    The packages named in `leave` ("torchmetrics", "torchvision"; by default those of the variable
    FLAMBEAU_LEAVE) keep their names: they are imported as they are installed, and run on Flambeau.
    Raises ValueError for other names.

    A real torch that was imported before keeps working for whoever holds it; its entries in
    sys.modules are set aside until `uninstall()`, and so is all of a package left. Calling it twice
    changes nothing.
    """
    global _active
    if _active is not None:
        return
    left = frozenset(settings.left_packages() if leave is None else leave)
    if not left <= names.LEAVABLE:
        raise ValueError(
            f"only {' and '.join(sorted(names.LEAVABLE))} can be left to what is installed, "
            f"got {', '.join(map(repr, sorted(left - names.LEAVABLE)))}"
        )
    _set_aside_all()
    _active = (_Aliases(left), _Missing())
    sys.meta_path.insert(0, _active[0])
    sys.meta_path.append(_active[1])
    children.watch(sorted(left))


def _set_aside_all() -> None:
    for name in [name for name in sys.modules if name.partition(".")[0] in names.ROOTS]:
        _set_aside[name] = sys.modules.pop(name)


def uninstall() -> None:
    """Take the aliases back: sys.meta_path and sys.modules are as before `install()`."""
    global _active
    if _active is None:
        return
    aliases, missing = _active
    _active = None
    sys.meta_path.remove(aliases)
    sys.meta_path.remove(missing)
    aliases.undo()
    children.unwatch()
    for name in [name for name in sys.modules if name.partition(".")[0] in ON_TOP]:
        del sys.modules[name]  # it was imported on top of Flambeau
    sys.modules.update(_set_aside)
    _set_aside.clear()
