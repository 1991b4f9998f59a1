"""The threads that share a program's parallel records: how many, how they start, sleep and end.

Workers are daemon threads that stay inside one native call, without the interpreter's lock (see the
Notes in runner.py). They start with the first parallel record and end with the interpreter.
"""

from __future__ import annotations

import atexit
import ctypes
import math
import os
import platform
import sys
import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from flambeau.core import settings
from flambeau.core.workers import start_thread
from flambeau.execute.cpu import runner
from flambeau.execute.cpu.engine import engine

SPIN_SECONDS = 40e-6
NAP_WAITING_MICROSECONDS = 50
NAP_IDLE_MICROSECONDS = 1000
FUTEX_NUMBERS = {"x86_64": 202, "aarch64": 98, "riscv64": 98, "ppc64le": 221, "s390x": 238}

State = ctypes.Array[ctypes.c_int64]


class Native(NamedTuple):
    """The loaded runner: raw addresses, and the words of its state."""

    run: int
    worker: Callable[[int], int]
    stop: Callable[[], int]
    pause_many: Callable[[int], int]
    state: State


@cache
def native() -> Native:
    """Compiles (or loads) the runner and sets its state up; no thread is started."""
    text = runner.runner_module(engine().target)
    run, worker, stop, state, pause = engine().load([text], runner.SYMBOLS)[0]
    with_index = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_int64)
    loaded = Native(
        run,
        with_index(worker),
        ctypes.CFUNCTYPE(ctypes.c_int64)(stop),
        with_index(pause),
        (ctypes.c_int64 * runner.STATE_WORDS).from_address(state),
    )
    _configure(loaded)
    return loaded


def begin() -> None:
    """Compiles the runner on another thread, where the disk has it not."""
    engine().begin(runner.runner_module(engine().target))


def _configure(loaded: Native) -> None:
    """Fills in the system's functions and the length of a spin."""
    state = loaded.state
    if os.name == "nt":
        system: Any = ctypes.CDLL("kernel32")
        state[runner.YIELD] = _address(system.SwitchToThread)
        state[runner.SLEEP] = _address(system.Sleep)
        state[runner.SLEEP_WAITING] = state[runner.SLEEP_IDLE] = 1  # milliseconds
    else:
        system = ctypes.CDLL(None)
        state[runner.YIELD] = _address(system.sched_yield)
        state[runner.SLEEP] = _address(system.usleep)
        state[runner.SLEEP_WAITING] = NAP_WAITING_MICROSECONDS
        state[runner.SLEEP_IDLE] = NAP_IDLE_MICROSECONDS
    number = FUTEX_NUMBERS.get(platform.machine())
    if sys.platform == "linux" and number is not None and ctypes.sizeof(ctypes.c_void_p) == 8:
        state[runner.FUTEX] = number
        state[runner.SYSCALL] = _address(system.syscall)
    state[runner.SPINS] = _spins(loaded.pause_many)
    state[runner.START] = _address(_start_callback)


def _address(function: Any) -> int:
    return ctypes.cast(function, ctypes.c_void_p).value or 0


def _spins(pause_many: Callable[[int], int]) -> int:
    """How many polls of a waiting thread take SPIN_SECONDS (the machine may be busy: best of 5)."""
    count = 256
    best = math.inf
    for _ in range(5):
        before = time.perf_counter()
        pause_many(count)
        best = min(best, time.perf_counter() - before)
    return max(64, min(1 << 16, int(SPIN_SECONDS * count / max(best, 1e-9))))


class _Workers:
    """The pool threads of this process; `lock` guards starting them."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.threads: list[threading.Thread] = []
        self.closed = False

    def grow(self, wanted: int) -> None:
        """Starts workers until there are `wanted`, or the system has no more threads to give."""
        with self.lock:
            loaded = native()
            if self.closed or loaded.state[runner.ASKED] >= wanted:
                return
            while len(self.threads) < min(wanted, runner.MAX_WORKERS):
                index = len(self.threads)
                thread = threading.Thread(
                    target=loaded.worker, args=(index,), name=f"flambeau-{index}", daemon=True
                )
                self.threads.append(thread)  # first: an interrupt may come while it begins
                try:
                    start_thread(thread)
                except RuntimeError:  # No more threads: the ones there are will do.
                    self.threads.pop()
                    break
            loaded.state[runner.WORKERS] = len(self.threads)
            loaded.state[runner.ASKED] = wanted

    def close(self) -> None:
        """Ends the workers and waits for them; later parallel records run on their caller alone."""
        with self.lock:
            if self.closed:
                return
            self.closed = True
            if not self.threads:
                return
            loaded = native()
            loaded.state[runner.ASKED] = runner.MAX_TASKS
            loaded.state[runner.WORKERS] = 0
            loaded.stop()
            for thread in self.threads:
                if thread.is_alive():
                    thread.join()


_workers = _Workers()
atexit.register(lambda: _workers.close())


def _start(wanted: int) -> None:
    """Called by the native runner when a record wants more workers than were ever asked for."""
    _workers.grow(wanted)


_start_callback = ctypes.CFUNCTYPE(None, ctypes.c_int64)(_start)


def _after_fork_in_child() -> None:
    """The child has none of the parent's workers, and perhaps a job that was under way."""
    global _workers
    _workers = _Workers()
    if native.cache_info().currsize:
        loaded = native()
        spins = loaded.state[runner.SPINS]
        kept = {word: loaded.state[word] for word in range(runner.SYSCALL, runner.STATE_WORDS)}
        ctypes.memset(loaded.state, 0, ctypes.sizeof(loaded.state))
        for word, value in kept.items():
            loaded.state[word] = value
        loaded.state[runner.SPINS] = spins
        loaded.state[runner.START] = _address(_start_callback)


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)


def cgroup_cpus(root: Path = Path("/")) -> float | None:
    """The CPU time that this process's control group (v1 or v2) grants, in CPUs; None: no limit."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return None
    limits = []
    for line in lines:
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if controllers == "":
            base, read = root / "sys/fs/cgroup", _quota_v2
        elif "cpu" in controllers.split(","):
            base, read = root / "sys/fs/cgroup" / controllers, _quota_v1
            if not base.is_dir():
                base = root / "sys/fs/cgroup/cpu"
        else:
            continue
        # A limit on any ancestor binds; inside a container the path may not exist below the mount.
        folder = base / path.lstrip("/")
        folders = [folder, *folder.parents]
        limits += [read(f) for f in folders if f == base or base in f.parents]
    return min((limit for limit in limits if limit is not None), default=None)


def _quota_v2(folder: Path) -> float | None:
    try:
        quota, period = (folder / "cpu.max").read_text().split()
        return None if quota == "max" else int(quota) / int(period)
    except (OSError, ValueError, ZeroDivisionError):
        return None


def _quota_v1(folder: Path) -> float | None:
    try:
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        period = int((folder / "cpu.cfs_period_us").read_text())
        return quota / period if quota > 0 else None
    except (OSError, ValueError, ZeroDivisionError):
        return None


def default_num_threads() -> int:
    """FLAMBEAU_NUM_THREADS, else OMP_NUM_THREADS, else the CPUs this process may use.

    Raises ValueError when FLAMBEAU_NUM_THREADS is not a positive number.
    """
    requested = settings.requested_threads()
    if requested is not None:
        return min(requested, runner.MAX_WORKERS + 1)
    if hasattr(os, "sched_getaffinity"):
        cpus = len(os.sched_getaffinity(0))
    else:
        cpus = os.cpu_count() or 1
    quota = cgroup_cpus() if sys.platform == "linux" else None
    if quota is not None:
        cpus = min(cpus, math.ceil(quota))
    return max(1, min(cpus, runner.MAX_WORKERS + 1))


NUM_THREADS = (ctypes.c_int64 * 1)()  # 0: not asked for yet; native code knows its address


def get_num_threads() -> int:
    """How many threads a program may use, its caller included."""
    if NUM_THREADS[0] == 0:
        NUM_THREADS[0] = default_num_threads()
    return NUM_THREADS[0]


def set_num_threads(threads: int) -> None:
    """Sets how many threads programs use from now on, in all of this process.

    Results do not depend on it. Raises RuntimeError unless `threads` is a positive int.
    """
    if isinstance(threads, bool) or not isinstance(threads, int):
        raise TypeError(f"set_num_threads expects an int, but got {type(threads).__name__}")
    if threads <= 0:
        raise RuntimeError("set_num_threads expects a positive integer")
    NUM_THREADS[0] = min(threads, runner.MAX_WORKERS + 1)
