"""`DataLoader`: batches of a dataset, fetched here or ahead of time by worker threads."""

from __future__ import annotations

import itertools
import multiprocessing
import multiprocessing.context
import warnings
import weakref
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from flambeau.functional.generators import default_generator
from flambeau.nn._torch import Generator
from flambeau.utils.data._utils.collate import default_collate, default_convert
from flambeau.utils.data._utils.fetch import Source
from flambeau.utils.data._utils.iteration import DirectIterator, LoaderIterator, WorkerIterator
from flambeau.utils.data._utils.worker import get_worker_info
from flambeau.utils.data.dataset import IterableDataset
from flambeau.utils.data.sampler import (
    BatchSampler,
    RandomSampler,
    Sampler,
    SequentialSampler,
)

__all__ = ["DataLoader", "default_collate", "default_convert", "get_worker_info"]

_FIXED = ("batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers")


# PyTorch's names of these, for programs that ask what an iterator is.
_BaseDataLoaderIter = LoaderIterator
_SingleProcessDataLoaderIter = DirectIterator
_MultiProcessingDataLoaderIter = WorkerIterator


class _DatasetKind:
    """What a loader's `_dataset_kind` says."""

    Map = 0
    Iterable = 1


class _Endless(Sampler[None]):
    """None for ever: the sampler of iterable datasets."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)


class DataLoader:
    """Iterates over batches of `dataset`; a new order each time where `shuffle`.

    With `num_workers` > 0 batches are fetched by that many threads, `prefetch_factor` batches per
    worker ahead, in PyTorch's order. Threads share the dataset object (each works on a shallow copy
    of an iterable one), start at once and need no pickling. With `multiprocessing_context` ("fork",
    "spawn", "forkserver" or a context) the workers are processes; the main script is not run again
    in them, and lambdas reach them too.
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
        self._iterator: WorkerIterator | None = None
        self._current: weakref.ref[LoaderIterator] | None = None
        self._began: list[Any] = []
        self._resume: dict[str, Any] | None = None
        self._length_asked: int | None = None
        self._initialized = True

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ValueError(
                f"{name} attribute should not be set after {type(self).__name__} is initialized"
            )
        super().__setattr__(name, value)

    @property
    def _dataset_kind(self) -> int:
        return _DatasetKind.Iterable if self._iterable else _DatasetKind.Map

    @property
    def _auto_collation(self) -> bool:
        return self.batch_sampler is not None

    @property
    def _index_sampler(self) -> Iterable[Any]:
        return self.batch_sampler if self.batch_sampler is not None else self.sampler

    @property
    def multiprocessing_context(self) -> Any:
        """The context of worker processes; None: workers are threads."""
        return self._context

    @multiprocessing_context.setter
    def multiprocessing_context(self, context: Any) -> None:
        self._context = _checked_context(context, self.num_workers)

    def source(self) -> Source:
        """What the iterators read."""
        return Source(
            self.dataset,
            self._iterable,
            self._auto_collation,
            self.collate_fn,
            self.drop_last,
        )

    def is_iterable(self) -> bool:
        """Whether the dataset is iterated, not indexed."""
        return self._iterable

    def promised_batches(self) -> int | None:
        """How many batches an iterable dataset said, when asked for its length, that it has."""
        asked = self._length_asked
        if not self._iterable or asked is None:
            return None
        return asked if self.batch_size is None else len(self)

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
        resume, self._resume = self._resume, None
        if resume is None:
            self._began = [g.get_state() for g in self._generators()]
            return self._iterate(0)
        # The epoch's order is drawn again; the default generator goes on from where it is.
        now = default_generator.get_state()
        self._began = resume["began"]
        for generator, state in zip(self._generators(), resume["began"]):
            generator.set_state(state)
        iterator = self._iterate(resume["yielded"])
        for generator, state in zip(self._generators(), [now, *resume["now"][1:]]):
            generator.set_state(state)
        return iterator

    def _iterate(self, skip: int) -> LoaderIterator:
        if self.num_workers == 0:
            iterator: LoaderIterator = DirectIterator(self, skip)
        elif not self.persistent_workers:
            iterator = WorkerIterator(self, skip)
        elif self._iterator is None:
            iterator = self._iterator = WorkerIterator(self, skip)
        else:
            self._iterator.restart(self, skip)
            iterator = self._iterator
        self._current = weakref.ref(iterator)
        return iterator

    def _generators(self) -> list[Any]:
        """The generators that decide an epoch's order: the default one, and the program's own."""
        found: list[Any] = [default_generator]
        samplers = (self.sampler, getattr(self.batch_sampler, "sampler", None), self.batch_sampler)
        for holder in (self, *samplers):
            generator = getattr(holder, "generator", None)
            if isinstance(generator, Generator) and all(generator is not g for g in found):
                found.append(generator)
        return found

    def state_dict(self) -> dict[str, Any]:
        """Where the loader stands: the batches seen of this epoch, and how its order was drawn.

        Between epochs it says so. Random draws of the dataset itself are not part of it.
        """
        iterator = None if self._current is None else self._current()
        if iterator is None or iterator.ended or self._resume is not None:
            resume = self._resume
            return {"yielded": 0, "began": [], "now": []} if resume is None else dict(resume)
        return {
            "yielded": iterator.yielded,
            "began": list(self._began),
            "now": [g.get_state() for g in self._generators()],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """The next iteration goes on where `state_dict` was taken. ValueError for another loader's.

        Restore the default generator's state as well, if what follows draws from it.
        """
        if not {"yielded", "began", "now"} <= set(state_dict):
            raise ValueError("this is not the state_dict of a DataLoader")
        began = state_dict["began"]
        if began and len(began) != len(self._generators()):
            raise ValueError("the state is of a DataLoader with other generators")
        self._resume = dict(state_dict) if state_dict["yielded"] or began else None
        self._current = None

    def check_worker_number_rationality(self) -> None:
        """Does nothing: threads cost little, and more than there are cores may still help."""

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


def _checked_context(context: Any, num_workers: int) -> Any:
    if context is None:
        return None
    if num_workers == 0:
        raise ValueError(
            "multiprocessing_context can only be used with multi-process loading "
            f"(num_workers > 0), but got num_workers={num_workers}"
        )
    if isinstance(context, str):
        methods = multiprocessing.get_all_start_methods()
        if context not in methods:
            raise ValueError(
                "multiprocessing_context option should specify a valid start method in "
                f"{methods!r}, but got multiprocessing_context={context!r}"
            )
        return multiprocessing.get_context(context)
    if not isinstance(context, multiprocessing.context.BaseContext):
        raise TypeError(
            "multiprocessing_context option should be a valid context object or a string "
            f"specifying the start method, but got multiprocessing_context={context}"
        )
    return context


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
