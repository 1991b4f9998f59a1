"""`%load_ext flambeau`: the magic `%flambeau`, aliases in a notebook."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

from flambeau.compat import finder, names
from flambeau.version import FLAMBEAU_VERSION

USAGE = """\
%flambeau [--leave packages]: `import torch` (torchvision, torchmetrics) means Flambeau
%flambeau off: no longer
%flambeau status: which of the two it is"""


def load_ipython_extension(ipython: Any) -> None:
    """What `%load_ext flambeau` calls: adds the magic `%flambeau`; it may be called again."""

    def flambeau(line: str) -> None:
        magic(line, ipython)

    flambeau.__doc__ = USAGE
    ipython.register_magic_function(flambeau, "line", "flambeau")


def unload_ipython_extension(ipython: Any) -> None:
    """What `%unload_ext flambeau` calls."""
    finder.uninstall()
    ipython.magics_manager.magics["line"].pop("flambeau", None)


def magic(line: str, ipython: Any) -> None:
    """Does what `%flambeau line` says; UsageError, shown in a line, if it cannot."""
    words = line.split()
    if words == ["off"]:
        finder.uninstall()
    elif words[:1] == ["--leave"] or not words:
        _install(words[1:] if words else None, ipython)
    elif words != ["status"]:
        raise _usage_error(f"%flambeau does not know {line!r}\n{USAGE}")
    print(_status())


def _install(leave: list[str] | None, ipython: Any) -> None:
    if finder.installed():
        if leave is not None:
            raise _usage_error("it is on already: %flambeau off, then %flambeau --leave ...")
        return
    loaded = _foreign(sys.modules.get(root) for root in names.ROOTS)
    if loaded:
        raise _usage_error(_too_late(loaded, _held(ipython.user_ns)))
    left = None if leave is None else [w for word in leave for w in word.split(",") if w]
    try:
        finder.install(left)
    except ValueError as error:
        raise _usage_error(str(error)) from None


def _foreign(modules: Any) -> list[str]:
    """The names of those that are not Flambeau's."""
    return [
        m.__name__ for m in modules if m is not None and m.__name__.split(".")[0] in names.ROOTS
    ]


def _held(namespace: dict[str, Any]) -> list[str]:
    """The notebook's names that stand for PyTorch's modules, classes or objects."""
    found = []
    for name, value in namespace.items():
        home = value.__name__ if isinstance(value, ModuleType) else type(value).__module__
        if isinstance(value, type):
            bases = [base.__module__ for base in value.__mro__]
            home = next((b for b in bases if str(b).split(".")[0] in names.ROOTS), "")
        if not name.startswith("_") and str(home).split(".")[0] in names.ROOTS:
            found.append(name)
    return found


def _too_late(loaded: list[str], held: list[str]) -> str:
    known = f" (names in use here: {', '.join(held[:8])})" if held else ""
    return (
        f"{' and '.join(loaded)} of PyTorch is imported in this kernel already{known}. What was "
        "made with it would not go together with Flambeau. Restart the kernel, and run "
        "`%load_ext flambeau` and `%flambeau` before the first `import torch`"
    )


def _status() -> str:
    if finder.installed():
        return f"import torch means Flambeau {FLAMBEAU_VERSION} here"
    return "import torch means PyTorch here, if it is installed"


def _usage_error(text: str) -> Exception:
    error: Exception = importlib.import_module("IPython.core.error").UsageError(text)
    return error
