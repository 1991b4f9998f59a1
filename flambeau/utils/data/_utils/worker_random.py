"""Random numbers in worker threads as in PyTorch's worker processes: each has streams of its own.

A worker is seeded with the loader's base seed and its number: flambeau's default generator,
`random` and `numpy.random`. The global functions of the last two belong to the process; when the
first worker starts they are replaced by ones that ask which thread calls. What a program has taken
out before (`from random import random`) stays the process's.
"""

from __future__ import annotations

import random
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.functional.generators import use_own_stream


class _Streams(threading.local):
    """Per thread: its own `random.Random` and `numpy.random.RandomState`; None outside workers."""

    python: Any = None
    numpy: Any = None


_streams = _Streams()
_lock = threading.Lock()
_installed: list[bool] = []


def begin(base_seed: int, worker: int) -> None:
    """Gives this thread the streams of a worker."""
    with _lock:
        if not _installed:
            _install()
            _installed.append(True)
    use_own_stream(base_seed + worker)
    _streams.python = random.Random(base_seed + worker)
    _streams.numpy = np.random.RandomState(numpy_seed(base_seed, worker))


def numpy_seed(base_seed: int, worker: int) -> Any:
    """PyTorch's seed of `numpy.random` in a worker: four 32-bit words."""
    entropy = [worker, base_seed & 0xFFFF_FFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(entropy).generate_state(4)


# Functions of numpy.random that are no methods of its RandomState by that name.
_RENAMED = {"ranf": "random_sample", "sample": "random_sample"}


def _install() -> None:
    for module, kind in ((random, "python"), (np.random, "numpy")):
        shared = random.Random if module is random else np.random.RandomState
        for name, function in list(vars(module).items()):
            method = _RENAMED.get(name, name) if module is np.random else name
            plain = callable(function) and not isinstance(function, type)
            if plain and not name.startswith("_") and hasattr(shared, method):
                setattr(module, name, _dispatch(function, method, kind))


def _dispatch(function: Callable[..., Any], name: str, kind: str) -> Callable[..., Any]:
    """The function for the thread that calls it."""

    def call(*args: Any, **kwargs: Any) -> Any:
        own = getattr(_streams, kind)
        if own is None:
            return function(*args, **kwargs)
        return getattr(own, name)(*args, **kwargs)

    call.__name__ = call.__qualname__ = function.__name__
    call.__doc__ = function.__doc__
    call.__module__ = getattr(function, "__module__", None) or call.__module__
    call.__wrapped__ = function  # type: ignore[attr-defined]
    return call
