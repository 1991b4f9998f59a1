"""Random numbers in workers: each worker and epoch has other ones, the same ones every run.

Note: threads share `random` and `numpy.random`, whose functions belong to one generator each. While
worker threads run, those functions look first whether the thread has generators of its own. In the
other threads they are what they were. (`from random import random`, done before, keeps the shared
generator: its order of draws is then the threads' own affair.)
"""

from __future__ import annotations

import functools
import random
import threading
from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from flambeau.functional.generators import manual_seed, use_own_stream

_local = threading.local()
_lock = threading.Lock()
_threads = 0
_originals: list[tuple[ModuleType, str, Any]] = []


def numpy_seed(base: int, worker: int) -> Any:
    """PyTorch's seed of `numpy.random` in a worker: four 32-bit words."""
    entropy = [worker, base & 0xFFFF_FFFF, base >> 32, 0]
    return np.random.SeedSequence(entropy).generate_state(4)


def seed_process(base: int, worker: int) -> None:
    """Seed the generators of a worker process."""
    manual_seed(base + worker)
    random.seed(base + worker)
    np.random.seed(numpy_seed(base, worker))


def enter_thread(base: int, worker: int) -> None:
    """Give a worker thread generators of its own; `leave_thread` when it ends."""
    global _threads
    use_own_stream(base + worker)
    _local.random = random.Random(base + worker)
    _local.numpy = np.random.RandomState(numpy_seed(base, worker))
    with _lock:
        _threads += 1
        if _threads == 1:
            _replace(random, "random", random.Random)
            _replace(np.random, "numpy", np.random.RandomState)


def leave_thread() -> None:
    """The thread draws no more: with the last one the modules are what they were."""
    global _threads
    with _lock:
        _threads -= 1
        if _threads == 0:
            for module, name, original in _originals:
                setattr(module, name, original)
            _originals.clear()


# Functions of numpy.random that are no methods of its RandomState by that name.
_RENAMED = {"ranf": "random_sample", "sample": "random_sample"}


def _replace(module: ModuleType, place: str, kind: type) -> None:
    for name, function in list(vars(module).items()):
        method = _RENAMED.get(name, name) if place == "numpy" else name
        plain = callable(function) and not isinstance(function, type)
        if plain and not name.startswith("_") and hasattr(kind, method):
            _originals.append((module, name, function))
            setattr(module, name, _own_first(place, method, function))


def _own_first(place: str, method: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def draw(*args: Any, **kwargs: Any) -> Any:
        own = getattr(_local, place, None)
        return function(*args, **kwargs) if own is None else getattr(own, method)(*args, **kwargs)

    draw.__module__ = "random" if place == "random" else "numpy.random"
    return draw
