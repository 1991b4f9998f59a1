"""Workers of the data loader: what each does, and those that are threads."""

from __future__ import annotations

import copy
import queue
import threading
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flambeau.core.workers import start_thread
from flambeau.utils.data._utils import seeding
from flambeau.utils.data._utils.fetch import Fetcher, Source

_local = threading.local()


@dataclass
class WorkerInfo:
    """What `get_worker_info` tells a worker about itself."""

    id: int
    num_workers: int
    seed: int
    dataset: Any


def get_worker_info() -> WorkerInfo | None:
    """Return the info of the worker this is called in; None in the main thread."""
    return getattr(_local, "info", None)


@dataclass
class Exhausted:
    """A worker's answer when its part of an iterable dataset has ended."""

    worker: int


@dataclass
class Failed:
    """A worker's answer when fetching raised: the exception, with its traceback."""

    error: BaseException

    def raised(self) -> BaseException:
        """What the main thread raises."""
        return self.error


class KeyErrorMessage(str):
    """A text that a KeyError shows as it is, its lines being lines."""

    __slots__ = ()

    def __repr__(self) -> str:
        return str(self)


@dataclass
class Reported:
    """A worker process's answer when fetching raised: the exception's class and its text."""

    kind: type
    text: str

    def raised(self) -> BaseException:
        """An exception of the same class, if it can be made of a text; else a RuntimeError."""
        message = KeyErrorMessage(self.text) if self.kind is KeyError else self.text
        try:
            error: BaseException = self.kind(message)
        except Exception:
            return RuntimeError(self.text)
        return error


@dataclass
class Died:
    """Stands for the answers of a worker process that is no more."""

    worker: int
    text: str


def reported(error: BaseException, worker: int) -> Reported:
    """What a worker process sends of an exception."""
    lines = "".join(traceback.format_exception(type(error), error, error.__traceback__))
    return Reported(
        type(error),
        f"Caught {type(error).__name__} in DataLoader worker process {worker}.\nOriginal {lines}",
    )


@dataclass
class Work:
    """What a worker is told when it starts."""

    source: Source
    info: WorkerInfo
    init: Callable[[int], object] | None


class Loop:
    """Fetches what is asked for, and says what became of it."""

    def __init__(self, work: Work, wrap: Callable[[BaseException], Any]) -> None:
        source, info = work.source, work.info
        # An iterable dataset is commonly told its part by attributes: each worker has its own.
        self._dataset = copy.copy(source.dataset) if source.iterable else source.dataset
        self._source = source
        self._wrap = wrap
        self._worker = info.id
        self._failure: BaseException | None = None
        self._reason = ""
        self._fetcher: Fetcher | None = None
        info.dataset = self._dataset
        _local.info = info
        try:
            if work.init is not None:
                work.init(info.id)
        except BaseException as error:  # it is raised again in the main thread
            self._failure = error

    def _start_failure(self) -> BaseException:
        """The exception of the start, once: its traceback will refer to the loader."""
        failure = self._failure
        assert failure is not None
        self._reason = self._reason or f"worker {self._worker} did not start: {failure!r}"
        self._failure = RuntimeError(self._reason)
        return failure

    def answer(self, task: Any) -> Any:
        """The answer to (number, indices); None for (None, None), which begins an epoch."""
        number, indices = task
        if number is None:
            self._fetcher = None
            return None
        if self._failure is not None:
            return number, self._wrap(self._start_failure())
        try:
            if self._fetcher is None:
                self._fetcher = Fetcher(self._source, self._dataset)
            return number, self._fetcher.fetch(indices)
        except StopIteration as end:
            # Of an indexed dataset this is no end but a mistake of its own.
            wrapped = self._wrap(RuntimeError(f"the dataset raised {end!r}"))
            return number, Exhausted(self._worker) if self._source.iterable else wrapped
        except BaseException as error:  # it is raised again in the main thread
            return number, self._wrap(error)


def run_thread(
    work: Work, base: int, tasks: queue.SimpleQueue[Any], results: queue.SimpleQueue[Any]
) -> None:
    """Fetch what arrives in `tasks`, until None arrives."""
    seeding.enter_thread(base, work.info.id)
    try:
        loop = Loop(work, Failed)
        while (task := tasks.get()) is not None:
            answer = loop.answer(task)
            if answer is not None:
                results.put(answer)
            del answer  # the batch belongs to the main thread now
    finally:
        seeding.leave_thread()


class ThreadWorker:
    """A worker that is a thread."""

    def __init__(self, work: Work, base: int, results: queue.SimpleQueue[Any]) -> None:
        self._tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
        # The thread must not refer to the iterator, or that would never be collected.
        thread = threading.Thread(
            target=run_thread,
            args=(work, base, self._tasks, results),
            name=f"flambeau-data-{work.info.id}",
            daemon=True,
        )
        start_thread(thread)

    def put(self, task: Any) -> None:
        """Give the worker a task; None ends it."""
        self._tasks.put(task)

    def stop(self) -> None:
        """End the worker when it has finished what it does."""
        self._tasks.put(None)
