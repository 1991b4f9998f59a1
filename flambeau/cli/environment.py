"""`flambeau env`: what Flambeau finds on this machine, one fact a line."""

from __future__ import annotations

import importlib
import os
import platform
from collections.abc import Callable
from functools import partial

from flambeau.core import settings


def version() -> str:
    """Flambeau's own version (`flambeau.__version__` begins with the PyTorch it stands for)."""
    import flambeau

    return flambeau.FLAMBEAU_VERSION


def describe() -> str:
    """All facts, aligned; a fact that cannot be found says why instead of failing."""
    facts: list[tuple[str, Callable[[], str]]] = [
        ("flambeau", lambda: f"{version()} in {_folder()}"),
        ("python", lambda: f"{platform.python_version()} ({platform.python_implementation()})"),
        ("numpy", lambda: _version_of("numpy")),
        ("llvmlite", lambda: f"{_version_of('llvmlite')}, LLVM {_llvm()}"),
        ("system", lambda: platform.platform()),
        ("cpu", _cpu),
        ("vector width", _vector_width),
        ("threads", _threads),
        ("recorder", _recorder),
        ("kernel cache", _cache),
        *_settings(),
    ]
    width = max(len(name) for name, _ in facts)
    return "\n".join(f"{name:{width}}  {_found(fact)}" for name, fact in facts)


def _found(fact: Callable[[], str]) -> str:
    # Whatever is broken is what the reader looks for: name it, and go on to the next fact.
    try:
        return fact()
    except Exception as error:
        return f"not known: {type(error).__name__}: {error}"


def _version_of(module: str) -> str:
    return str(importlib.import_module(module).__version__)


def _folder() -> str:
    return os.path.dirname(os.path.dirname(os.path.abspath(__file__)))


def _llvm() -> str:
    from flambeau.execute.cpu.target import llvm_version

    return llvm_version()


def _cpu() -> str:
    from flambeau.execute.cpu.target import Target

    host = Target.host()
    return f"{host.cpu} ({host.triple}), {os.cpu_count()} logical CPUs"


def _vector_width() -> str:
    from flambeau.execute.cpu.target import Target

    return f"{Target.host().vector_bits} bits"


def _threads() -> str:
    from flambeau.execute.cpu.pool import get_num_threads

    return str(get_num_threads())


def _recorder() -> str:
    """Whether what is known of a step is recorded by native code."""
    from flambeau.record import native_calls, replay

    found = native_calls.native_calls(), native_calls.plain_calls(), replay.native()
    if None in found:
        return "Python (the layout of this interpreter is not known)"
    return "native"


def _cache() -> str:
    from flambeau.execute.cpu.objects import default_cache

    cache = default_cache()
    return "off" if cache is None else str(cache.directory)


def _settings() -> list[tuple[str, Callable[[], str]]]:
    return [(name, partial(str, value)) for name, value in settings.named().items()]
