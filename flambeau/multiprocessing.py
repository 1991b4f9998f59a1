"""torch.multiprocessing: the standard library's, and `spawn`.

Tensors in shared memory (`share_memory_`) are the same in all processes that get them. Others
travel by value (they are pickled), where PyTorch shares the memory of all: such a tensor, changed
in one process, does not change in the other.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import multiprocessing.connection
import os
import signal
import time
import traceback
from collections.abc import Callable
from multiprocessing import *  # noqa: F403  (all of the library's is public here)
from multiprocessing import reducer as reducer
from typing import Any

__all__ = [
    *multiprocessing.__all__, "ProcessContext", "ProcessException", "ProcessExitedException",
    "ProcessRaisedException", "SpawnContext", "get_all_sharing_strategies", "get_sharing_strategy",
    "set_sharing_strategy", "spawn", "start_processes",
]  # fmt: skip

_STRATEGIES = ("file_descriptor", "file_system")


class _Sharing:
    strategy = _STRATEGIES[0]


def get_all_sharing_strategies() -> set[str]:
    """The names that set_sharing_strategy takes."""
    return set(_STRATEGIES)


def get_sharing_strategy() -> str:
    """The name that was set; it changes nothing."""
    return _Sharing.strategy


def set_sharing_strategy(new_strategy: str) -> None:
    """Keeps the name; it changes nothing. AssertionError for unknown names."""
    if new_strategy not in _STRATEGIES:
        raise AssertionError(f"invalid sharing strategy {new_strategy}")
    _Sharing.strategy = new_strategy


class ProcessException(Exception):
    """A process of `spawn` did not end well."""

    def __init__(self, msg: str, error_index: int, pid: int) -> None:
        super().__init__(msg)
        self.msg, self.error_index, self.pid = msg, error_index, pid

    def __reduce__(self) -> Any:
        return type(self), (self.msg, self.error_index, self.pid)


class ProcessRaisedException(ProcessException):
    """The function raised in one of the processes."""

    def __init__(self, msg: str, error_index: int, error_pid: int) -> None:
        super().__init__(msg, error_index, error_pid)


class ProcessExitedException(ProcessException):
    """One of the processes ended by a signal or with an exit code."""

    def __init__(
        self, msg: str, error_index: int, error_pid: int, exit_code: int,
        signal_name: str | None = None,
    ) -> None:  # fmt: skip
        super().__init__(msg, error_index, error_pid)
        self.exit_code, self.signal_name = exit_code, signal_name

    def __reduce__(self) -> Any:
        return type(self), (
            self.msg, self.error_index, self.pid, self.exit_code, self.signal_name,
        )  # fmt: skip


def _run(fn: Callable[..., Any], place: int, args: tuple[Any, ...], pipe: Any) -> None:
    """What a process does: the function, or its traceback into the pipe and exit code 1."""
    try:
        fn(place, *args)
    except KeyboardInterrupt:
        pass
    except Exception:
        pipe.send(traceback.format_exc())
        os._exit(1)


class ProcessContext:
    """The processes that `start_processes` started."""

    def __init__(self, processes: list[Any], pipes: list[Any]) -> None:
        self.processes = processes
        self._pipes = pipes
        self.sentinels = {process.sentinel: place for place, process in enumerate(processes)}

    def pids(self) -> list[int]:
        """The process ids."""
        return [int(process.pid) for process in self.processes]

    def join(self, timeout: float | None = None, grace_period: float | None = None) -> bool:
        """Waits until one has ended; whether all have. What one raised is raised here."""
        if not self.sentinels:
            return True
        ended = multiprocessing.connection.wait(list(self.sentinels), timeout=timeout)
        failed = None
        for sentinel in ended:
            place = self.sentinels.pop(sentinel)
            self.processes[place].join()
            if self.processes[place].exitcode != 0:
                failed = place
                break
        if failed is None:
            return not self.sentinels
        self._end_others(grace_period)
        return self._raise(failed)

    def _end_others(self, grace_period: float | None) -> None:
        for process in self.processes:
            if process.is_alive():
                process.terminate()
        limit = time.monotonic() + (30 if grace_period is None else grace_period)
        for process in self.processes:
            process.join(max(0.0, limit - time.monotonic()))
            if process.is_alive():
                process.kill()
                process.join()

    def _raise(self, place: int) -> bool:
        process = self.processes[place]
        with contextlib.suppress(EOFError):  # it ended without a word
            told = self._pipes[place].recv()
            message = f"\n\n-- Process {place} terminated with the following error:\n{told}"
            raise ProcessRaisedException(message, place, process.pid)
        code = process.exitcode
        if code < 0:
            name = signal.Signals(-code).name
            raise ProcessExitedException(
                f"process {place} terminated with signal {name}", place, process.pid, code, name
            )
        raise ProcessExitedException(
            f"process {place} terminated with exit code {code}", place, process.pid, code
        )


class SpawnContext(ProcessContext):
    """The processes that `spawn` started."""


def start_processes(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """Runs fn(0, *args), fn(1, *args), ... in a process each; the context where join is False."""
    started: Any = multiprocessing.get_context(start_method)
    processes, pipes = [], []
    for place in range(nprocs):
        ours, theirs = started.Pipe(duplex=False)
        process = started.Process(target=_run, args=(fn, place, args, theirs), daemon=daemon)
        process.start()
        theirs.close()
        processes.append(process)
        pipes.append(ours)
    context = SpawnContext(processes, pipes)
    if not join:
        return context
    while not context.join():
        pass
    return None


def spawn(
    fn: Callable[..., Any],
    args: tuple[Any, ...] = (),
    nprocs: int = 1,
    join: bool = True,
    daemon: bool = False,
    start_method: str = "spawn",
) -> ProcessContext | None:
    """start_processes with fresh interpreters. ValueError for other ways of starting."""
    if start_method != "spawn":
        raise ValueError(
            f"This method only supports start_method=spawn (got: {start_method}). To use a "
            "different start_method use start_processes(...) instead."
        )
    return start_processes(fn, args, nprocs, join, daemon, start_method)
