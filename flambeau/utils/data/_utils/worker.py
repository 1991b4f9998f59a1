"""Worker threads of the data loader."""

from __future__ import annotations

import copy
import queue
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flambeau.utils.data._utils import worker_random
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


def run_worker(
    source: Source,
    info: WorkerInfo,
    init: Callable[[int], object] | None,
    tasks: queue.SimpleQueue[Any],
    results: queue.SimpleQueue[Any],
) -> None:
    """Fetch what arrives in `tasks` as (number, indices), until None arrives."""
    # An iterable dataset is commonly told its part by setting attributes: each worker has its own.
    dataset = copy.copy(source.dataset) if source.iterable else source.dataset
    info.dataset = dataset
    _local.info = info
    worker_random.begin(info.seed - info.id, info.id)
    failure: BaseException | None = None
    fetcher: Fetcher | None = None
    try:
        if init is not None:
            init(info.id)
    except BaseException as error:  # it is raised again in the main thread
        failure = error
    while (task := tasks.get()) is not None:
        number, indices = task
        if failure is not None:
            results.put((number, Failed(failure)))
            continue
        if number is None:  # a new epoch
            fetcher = None
            continue
        try:
            if fetcher is None:
                fetcher = Fetcher(source, dataset)
            results.put((number, fetcher.fetch(indices)))
        except StopIteration as end:
            # Of an indexed dataset this is no end but a mistake of its own.
            answer = Exhausted(info.id) if source.iterable else Failed(end)
            results.put((number, answer))
        except BaseException as error:  # it is raised again in the main thread
            results.put((number, Failed(error)))
