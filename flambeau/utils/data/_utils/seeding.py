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

from flambeau.functional.randomness import manual_seed, seed_thread

_local = threading.local()
_lock = threading.Lock()
_threads = 0
_originals: list[tuple[ModuleType, str, Any]] = []


def numpy_seed(base: int, worker: int) -> list[int]:
    """Four words for NumPy's generator, mixed from the epoch's seed and the worker's number."""
    entropy = [worker, base & 0xFFFFFFFF, (base >> 32) & 0xFFFFFFFF]
    words: list[int] = np.random.SeedSequence(entropy).generate_state(4).tolist()
    return words


def seed_process(base: int, worker: int) -> None:
    """Seed the generators of a worker process."""
    manual_seed(base + worker)
    random.seed(base + worker)
    np.random.seed(numpy_seed(base, worker))


def enter_thread(base: int, worker: int) -> None:
    """Give a worker thread generators of its own; `leave_thread` when it ends."""
    global _threads
    seed_thread(base + worker)
    _local.random = random.Random(base + worker)
    _local.numpy = np.random.RandomState(numpy_seed(base, worker))
    with _lock:
        _threads += 1
        if _threads == 1:
            _replace(random, "random", getattr(random, "_inst", None))
            _replace(np.random, "numpy", getattr(np.random.mtrand, "_rand", None))


def leave_thread() -> None:
    """The thread draws no more: with the last one the modules are what they were."""
    global _threads
    with _lock:
        _threads -= 1
        if _threads == 0:
            for module, name, original in _originals:
                setattr(module, name, original)
            _originals.clear()


def _replace(module: ModuleType, place: str, owner: Any) -> None:
    for name, function in list(vars(module).items()):
        if owner is not None and getattr(function, "__self__", None) is owner:
            _originals.append((module, name, function))
            setattr(module, name, _own_first(place, name, function))


def _own_first(place: str, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    def draw(*args: Any, **kwargs: Any) -> Any:
        own = getattr(_local, place, None)
        return function(*args, **kwargs) if own is None else getattr(own, name)(*args, **kwargs)

    draw.__module__ = "random" if place == "random" else "numpy.random"
    return draw
