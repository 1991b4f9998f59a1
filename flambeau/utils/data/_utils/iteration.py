"""The iterators of a DataLoader: batches fetched here, or by workers ahead of time."""

from __future__ import annotations

import itertools
import queue
import warnings
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from flambeau.record.observing import WATCH
from flambeau.utils.data._utils import gathering
from flambeau.utils.data._utils.fetch import Fetcher
from flambeau.utils.data._utils.worker import (
    Died,
    Exhausted,
    Failed,
    Reported,
    ThreadWorker,
    Work,
    WorkerInfo,
)
from flambeau.utils.data.sampler import draw_seed

if TYPE_CHECKING:
    from flambeau.utils.data.dataloader import DataLoader


class LoaderIterator:
    """Counts what was yielded, and warns when an iterable dataset is longer than it said."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._num_yielded = 0
        self.ended = False
        self._promised = loader.promised_batches()

    def __iter__(self) -> Any:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)  # type: ignore[arg-type]

    def __next__(self) -> Any:
        observer = WATCH.observer
        return self._advance() if observer is None else observer.loading(self._advance)

    def _advance(self) -> Any:
        raise NotImplementedError

    @property
    def yielded(self) -> int:
        """How many batches of this epoch the program has seen."""
        return self._num_yielded

    def _count(self) -> None:
        self._num_yielded += 1
        promised = self._promised
        if promised is not None and self._num_yielded > promised:
            warnings.warn(
                f"Length of IterableDataset {self._loader.dataset} was reported to be {promised} "
                f"(when accessing len(dataloader)), but {self._num_yielded} samples have been "
                "fetched. ",
                stacklevel=3,
            )


def _skip(indices: Iterator[Any], count: int) -> None:
    """Draw, and forget, the indices of `count` batches."""
    next(itertools.islice(indices, count, count), None)


class DirectIterator(LoaderIterator):
    """Fetches each batch when it is asked for."""

    def __init__(self, loader: DataLoader, skip: int = 0) -> None:
        super().__init__(loader)
        if loader.timeout != 0:
            raise AssertionError("_SingleProcessDataLoaderIter requires timeout == 0")
        indices = iter(loader._index_sampler)
        # The seed of the workers: drawn here as well, so that the generator moves on as PyTorch's.
        draw_seed(loader.generator)
        fetcher = Fetcher(loader.source())
        if fetcher.gathers and gathering.serves(loader):
            self._batches: Iterator[Any] = gathering.gathered(loader, skip)
        else:
            if fetcher.iterator is None:
                _skip(indices, skip)
            self._batches = map(fetcher.fetch, indices)
            if fetcher.iterator is not None:
                _skip(self._batches, skip)
        self._num_yielded = skip

    def _advance(self) -> Any:
        try:
            batch = next(self._batches)
        except StopIteration:
            self.ended = True
            raise
        if self._promised is None:
            self._num_yielded += 1
        else:
            self._count()
        return batch


class WorkerIterator(LoaderIterator):
    """Hands batches out to workers, ahead of time and in turn."""

    def __init__(self, loader: DataLoader, skip: int = 0) -> None:
        super().__init__(loader)
        if not loader.prefetch_factor:
            raise AssertionError("prefetch_factor must be greater than 0")
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._workers: list[Any] = []
        self._finalizer = weakref.finalize(self, _stop_all, self._workers)
        # At the interpreter's end threads are gone anyway, and processes are ended at once.
        self._finalizer.atexit = False
        self._died: str | None = None
        self._epoch = 0
        self._indices = iter(loader._index_sampler)
        base = draw_seed(loader.generator)
        for number in range(loader.num_workers):
            info = WorkerInfo(number, loader.num_workers, base + number, loader.dataset)
            work = Work(loader.source(), info, loader.worker_init_fn)
            self._workers.append(self._start(work, base))
        self._begin(skip)

    def _start(self, work: Work, base: int) -> Any:
        context = self._loader.multiprocessing_context
        if context is None:
            return ThreadWorker(work, base, self._results)
        from flambeau.utils.data._utils.process import ProcessWorker

        return ProcessWorker(work, base, self._results, context.get_start_method())

    def restart(self, loader: DataLoader, skip: int = 0) -> None:
        """Begin another epoch with the workers that are there (`persistent_workers`)."""
        self._epoch += 1
        self._indices = iter(loader._index_sampler)
        self._num_yielded = 0
        self.ended = False
        for worker in self._workers:
            worker.put((None, None))
        self._begin(skip)

    def _begin(self, skip: int) -> None:
        self._sent = 0
        self._next_number = 0
        self._owner: dict[int, int] = {}  # of each batch that is under way or not yet yielded
        self._arrived: dict[int, Any] = {}
        self._turn = 0
        self._alive = [True] * len(self._workers)
        iterable = self._loader.is_iterable()
        if not iterable:
            _skip(self._indices, skip)
            self._num_yielded = skip
        for _ in range(len(self._workers) * int(self._loader.prefetch_factor or 1)):
            self._send()
        if iterable:
            _skip(self, skip)

    def _send(self) -> None:
        """Give the next batch to the next worker that is not exhausted."""
        if not any(self._alive):
            return
        try:
            indices = next(self._indices)
        except StopIteration:
            return
        while not self._alive[self._turn]:
            self._turn = (self._turn + 1) % len(self._workers)
        self._workers[self._turn].put(((self._epoch, self._sent), indices))
        self._owner[self._sent] = self._turn
        self._sent += 1
        self._turn = (self._turn + 1) % len(self._workers)

    def _receive(self) -> None:
        """Wait for one answer of this epoch."""
        if self._died is not None:
            raise RuntimeError(self._died)
        timeout = self._loader.timeout
        while True:
            try:
                number, answer = self._results.get(timeout=timeout or None)
            except queue.Empty:
                raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
            if isinstance(answer, Died):
                self._died = answer.text
                self._stop()
                raise RuntimeError(answer.text)
            if number[0] == self._epoch:
                break
        if isinstance(answer, Exhausted):
            del self._owner[number[1]]
            self._alive[answer.worker] = False
            self._send()
        else:
            self._arrived[number[1]] = answer

    def _take(self) -> Any:
        """Return the next answer: the oldest batch's, or with in_order=False any."""
        while self._owner:
            if self._loader.in_order:
                while self._next_number not in self._owner and self._owner:
                    self._next_number += 1
                number = self._next_number
            else:
                number = next(iter(self._arrived), self._next_number)
            if number in self._arrived:
                del self._owner[number]
                return self._arrived.pop(number)
            self._receive()
        self.ended = True
        if not self._loader.persistent_workers:
            self._stop()
        raise StopIteration

    def _advance(self) -> Any:
        answer = self._take()
        self._send()
        if isinstance(answer, (Failed, Reported)):
            error = answer.raised()
            del answer
            try:
                raise error
            finally:
                del error  # its traceback refers to this frame
        self._count()
        return answer

    def _stop(self) -> None:
        self._finalizer()


def _stop_all(workers: list[Any]) -> None:
    for worker in workers:
        worker.stop()
