"""`DataLoader`: batches of a dataset, fetched here or ahead of time by worker threads."""

from __future__ import annotations

import itertools
import queue
import threading
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flambeau.nn._torch import Generator
from flambeau.utils.data._utils.collate import default_collate, default_convert
from flambeau.utils.data._utils.fetch import Fetcher, Source
from flambeau.utils.data._utils.worker import (
    Exhausted,
    Failed,
    WorkerInfo,
    get_worker_info,
    run_worker,
)
from flambeau.utils.data.dataset import IterableDataset
from flambeau.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
    draw_seed,
)

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


class _Endless(Sampler[None]):
    """None for ever: the sampler of iterable datasets."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader:
    """Iterates over batches of `dataset`; a new order each time where `shuffle`.

    With `num_workers` > 0 batches are fetched by that many threads, `prefetch_factor` batches per
    worker ahead, in PyTorch's order. Threads share the dataset object (each works on a shallow copy
    of an iterable one), start at once and need no pickling.
    """

    _initialized = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[Any] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[Any], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], object] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        _check_workers(num_workers, timeout, prefetch_factor, persistent_workers)
        if multiprocessing_context is not None:
            if num_workers == 0:
                raise ValueError(
                    "multiprocessing_context can only be used with multi-process loading "
                    f"(num_workers > 0), but got num_workers={num_workers}"
                )
            raise NotImplementedError(
                "multiprocessing_context is not supported: workers are threads"
            )
        iterable = isinstance(dataset, IterableDataset)
        if iterable:
            _check_iterable(shuffle, sampler, batch_sampler)
        shuffle = bool(shuffle)
        if sampler is not None and shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ValueError(
                    "batch_sampler option is mutually exclusive with batch_size, shuffle, "
                    "sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ValueError(
                "batch_size=None option disables auto-batching "
                "and is mutually exclusive with drop_last"
            )
        if sampler is None:
            sampler = _default_sampler(dataset, iterable, shuffle, generator)
        if batch_size is not None and batch_sampler is None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)
        self.dataset = dataset
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.pin_memory = pin_memory
        self.pin_memory_device = pin_memory_device
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.multiprocessing_context = multiprocessing_context
        self.in_order = in_order
        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.generator = generator
        if collate_fn is None:
            collate_fn = default_convert if batch_sampler is None else default_collate
        self.collate_fn = collate_fn
        self.persistent_workers = persistent_workers
        self._iterable = iterable
        self._iterator: _ThreadedIterator | None = None
        self._length_asked: int | None = None
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Iterable[Any]:
        return self.batch_sampler if self.batch_sampler is not None else self.sampler

    def _source(self) -> Source:
        return Source(
            self.dataset,
            self._iterable,
            self._auto_collation,
            self.collate_fn,
            self.drop_last,
        )

    def __iter__(self) -> Iterator[Any]:
        if self.pin_memory:
            if self.pin_memory_device:
                warnings.warn(
                    "pin_memory_device is deprecated, the current accelerator will be used as the "
                    f"device,ignore pin_memory_device='{self.pin_memory_device}'.",
                    stacklevel=2,
                )
            warnings.warn(
                "'pin_memory' argument is set as true but no accelerator is found, "
                "then device pinned memory won't be used.",
                stacklevel=2,
            )
        if self.num_workers == 0:
            return _DirectIterator(self)
        if not self.persistent_workers:
            return _ThreadedIterator(self)
        if self._iterator is None:
            self._iterator = _ThreadedIterator(self)
        else:
            self._iterator.restart(self)
        return self._iterator

    def __len__(self) -> int:
        if not self._iterable:
            return len(self._index_sampler)  # type: ignore[arg-type]
        length = self._length_asked = len(self.dataset)
        if self.batch_size is None:
            return length
        if self.drop_last:
            return length // self.batch_size
        return (length + self.batch_size - 1) // self.batch_size


def _check_workers(
    num_workers: int, timeout: float, prefetch_factor: int | None, persistent: bool
) -> None:
    if num_workers < 0:
        raise ValueError(
            "num_workers option should be non-negative; "
            "use num_workers=0 to disable multiprocessing."
        )
    if timeout < 0:
        raise ValueError("timeout option should be non-negative")
    if num_workers == 0 and prefetch_factor is not None:
        raise ValueError(
            "prefetch_factor option could only be specified in multiprocessing."
            "let num_workers > 0 to enable multiprocessing, otherwise set prefetch_factor to None."
        )
    if prefetch_factor is not None and prefetch_factor < 0:
        raise ValueError("prefetch_factor option should be non-negative")
    if persistent and num_workers == 0:
        raise ValueError("persistent_workers option needs num_workers > 0")


def _check_iterable(shuffle: Any, sampler: Any, batch_sampler: Any) -> None:
    given = {"shuffle": shuffle or None, "sampler": sampler, "batch_sampler": batch_sampler}
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"DataLoader with IterableDataset: expected unspecified {name} option, "
                f"but got {name}={value}"
            )


def _default_sampler(
    dataset: Any, iterable: bool, shuffle: bool, generator: Generator | None
) -> Iterable[Any]:
    if iterable:
        return _Endless()
    if shuffle:
        return RandomSampler(dataset, generator=generator)
    return SequentialSampler(dataset)


class _Counted:
    """Counts what was yielded, and warns when an iterable dataset is longer than it said."""

    def __init__(self, loader: DataLoader) -> None:
        self._loader = loader
        self._num_yielded = 0

    def __iter__(self) -> Any:
        return self

    def __len__(self) -> int:
        return len(self._loader._index_sampler)  # type: ignore[arg-type]

    def _count(self) -> None:
        self._num_yielded += 1
        loader = self._loader
        asked = loader._length_asked
        if not loader._iterable or asked is None:
            return
        batches = asked if loader.batch_size is None else len(loader)
        if self._num_yielded > batches:
            warnings.warn(
                f"Length of IterableDataset {loader.dataset} was reported to be {batches} (when "
                f"accessing len(dataloader)), but {self._num_yielded} samples have been fetched. ",
                stacklevel=3,
            )


class _DirectIterator(_Counted):
    """Fetches each batch when it is asked for."""

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        if loader.timeout != 0:
            raise AssertionError("timeout needs num_workers > 0")
        self._indices = iter(loader._index_sampler)
        # The seed of the workers: drawn here as well, so that the generator moves on as PyTorch's.
        draw_seed(loader.generator)
        self._fetcher = Fetcher(loader._source(), loader.dataset)

    def __next__(self) -> Any:
        batch = self._fetcher.fetch(next(self._indices))
        self._count()
        return batch


class _ThreadedIterator(_Counted):
    """Hands batches out to worker threads, ahead of time and in turn."""

    def __init__(self, loader: DataLoader) -> None:
        super().__init__(loader)
        if not loader.prefetch_factor:
            raise AssertionError("prefetch_factor must be greater than 0")
        self._results: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._tasks: list[queue.SimpleQueue[Any]] = []
        self._epoch = 0
        self._indices = iter(loader._index_sampler)
        seed = draw_seed(loader.generator)
        for i in range(loader.num_workers):
            tasks: queue.SimpleQueue[Any] = queue.SimpleQueue()
            self._tasks.append(tasks)
            info = WorkerInfo(i, loader.num_workers, seed + i, loader.dataset)
            # Threads must not refer to this object, or it would never be collected.
            threading.Thread(
                target=run_worker,
                args=(loader._source(), info, loader.worker_init_fn, tasks, self._results),
                name=f"flambeau-data-{i}",
                daemon=True,
            ).start()
        self._begin()

    def restart(self, loader: DataLoader) -> None:
        """Begin another epoch with the workers that are there (`persistent_workers`)."""
        self._epoch += 1
        self._indices = iter(loader._index_sampler)
        self._num_yielded = 0
        for tasks in self._tasks:
            tasks.put((None, None))
        self._begin()

    def _begin(self) -> None:
        workers = len(self._tasks)
        self._sent = 0
        self._next_number = 0
        self._owner: dict[int, int] = {}  # of each batch that is under way or not yet yielded
        self._arrived: dict[int, Any] = {}
        self._turn = 0
        self._alive = [True] * workers
        for _ in range(workers * int(self._loader.prefetch_factor or 1)):
            self._send()

    def _send(self) -> None:
        """Give the next batch to the next worker that is not exhausted."""
        if not any(self._alive):
            return
        try:
            indices = next(self._indices)
        except StopIteration:
            return
        while not self._alive[self._turn]:
            self._turn = (self._turn + 1) % len(self._tasks)
        self._tasks[self._turn].put(((self._epoch, self._sent), indices))
        self._owner[self._sent] = self._turn
        self._sent += 1
        self._turn = (self._turn + 1) % len(self._tasks)

    def _receive(self) -> None:
        """Wait for one answer of this epoch."""
        timeout = self._loader.timeout
        while True:
            try:
                (epoch, number), answer = self._results.get(timeout=timeout or None)
            except queue.Empty:
                raise RuntimeError(f"DataLoader timed out after {timeout} seconds") from None
            if epoch == self._epoch:
                break
        if isinstance(answer, Exhausted):
            del self._owner[number]
            self._alive[answer.worker] = False
            self._send()
        else:
            self._arrived[number] = answer

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
        self._finish()
        raise StopIteration

    def __next__(self) -> Any:
        answer = self._take()
        self._send()
        if isinstance(answer, Failed):
            raise answer.error
        self._count()
        return answer

    def _finish(self) -> None:
        if not self._loader.persistent_workers:
            self._stop()

    def _stop(self) -> None:
        for tasks in self._tasks:
            tasks.put(None)

    def __del__(self) -> None:
        # A failed constructor leaves no list.
        if "_tasks" in self.__dict__:
            self._stop()
