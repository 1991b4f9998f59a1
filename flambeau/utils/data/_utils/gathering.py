"""Whole epochs of tensors: many batches are gathered at once, each with memory of its own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from flambeau.record.meta import Meta, meta_of
from flambeau.record.storage import Buffer, Storage, allocate
from flambeau.tensor.tensor import Tensor
from flambeau.utils.data.dataset import Subset, gather, is_gathered
from flambeau.utils.data.sampler import BatchSampler, RandomSampler, SequentialSampler, random_order

# What is gathered at once: small enough for the processor's cache.
_CHUNK_BYTES = 1 << 18
_CHUNK_BATCHES = 64


def serves(loader: Any) -> bool:
    """Whether a loader's batches are rows of tensors in an order known from the start."""
    batches, dataset = loader.batch_sampler, loader.dataset
    if type(batches) is not BatchSampler or not is_gathered(dataset):
        return False
    sampler: Any = batches.sampler
    if type(sampler) is RandomSampler:
        whole = not sampler.replacement and sampler.num_samples == len(sampler.data_source)
    else:
        whole = type(sampler) is SequentialSampler
    fits = whole and sampler.data_source is dataset
    while type(dataset) is Subset:
        dataset = dataset.dataset
    return fits and not any(t.requires_grad for t in dataset.tensors)


def gathered(loader: Any, skip: int) -> Iterator[list[Tensor]]:
    """The batches of an epoch from number `skip` on.

    The order is drawn when the first batch is asked for, as samplers do; at once where batches
    are skipped.
    """
    sampler = loader.batch_sampler.sampler
    return _gathered(loader, skip, random_order(sampler) if skip else None)


def _gathered(loader: Any, skip: int, drawn: Any) -> Iterator[list[Tensor]]:
    batches, dataset = loader.batch_sampler, loader.dataset
    length, size = len(dataset), batches.batch_size
    order, finish = drawn or random_order(batches.sampler)
    indices = _below(dataset, order, length)
    while type(dataset) is Subset:
        dataset = dataset.dataset
    total = length // size if batches.drop_last else -(-length // size)
    columns = [_Column(tensor, size) for tensor in dataset.tensors]
    widest = max([1, *(column.nbytes for column in columns)])
    several = max(1, min(_CHUNK_BATCHES, _CHUNK_BYTES // widest))
    number = skip
    while number < total:
        first = number * size
        count = min(several, (length - first) // size)
        if count == 0 and finish is not None:  # the last, smaller batch ends the sampler as well
            finish()
            finish = None
        if any(column.moving() for column in columns):
            places = _part(indices, first, min(first + size, length)).tolist()
            yield gather(dataset, places) or [t[places] for t in dataset.tensors]
            number += 1
            continue
        last = min(first + max(count, 1) * size, length)
        places = _part(indices, first, last)
        rows = size if count else last - first
        if any(column.exposed() for column in columns):
            empty = [column.prepare(max(count, 1), rows) for column in columns]
            for rows_of_one, *parts in zip(places.reshape(-1, rows), *empty):
                batch = []
                for column, (array, tensor) in zip(columns, parts):
                    if column.replaced():
                        break
                    column.copy(rows_of_one, 0, array, "clip")
                    batch.append(tensor)
                else:
                    yield batch
                    number += 1
                    continue
                break
            continue
        made = [column.take(places, rows) for column in columns]
        for tensors in zip(*made):
            for column in columns:
                if column.changed():
                    break
            else:
                yield list(tensors)
                number += 1
                continue
            break
    if finish is not None:
        finish()


def _below(dataset: Any, order: Any, length: int) -> Any:
    """Indices into the tensors themselves: an array, or None for 0, 1, 2, ..."""
    chain = []
    while type(dataset) is Subset:
        chain.append(np.asarray(dataset.indices, np.int64).reshape(-1))
        dataset = dataset.dataset
    indices = order
    for place, mapping in enumerate(chain):
        indices = mapping[:length] if indices is None and place == 0 else mapping[indices]
    rows = len(dataset)
    if indices is not None and len(indices) and not 0 <= indices.min() <= indices.max() < rows:
        if not -rows <= indices.min() <= indices.max() < rows:
            raise IndexError(f"index out of range for a dataset of {rows} rows")
        indices = np.where(indices < 0, indices + rows, indices)
    return indices


def _part(indices: Any, first: int, last: int) -> Any:
    return np.arange(first, last) if indices is None else indices[first:last]


class _Column:
    """One tensor of the dataset, whose rows are copied into batches."""

    def __init__(self, tensor: Tensor, size: int) -> None:
        self.tensor = tensor
        self.row = tuple(tensor.shape[1:])
        self.nbytes = size * int(np.prod(self.row, dtype=np.int64)) * tensor.dtype.itemsize
        self._version = -1
        self._storage: Any = None
        self._buffer: Any = None
        self.copy: Any = None  # numpy.ndarray.take of its rows

    def moving(self) -> bool:
        """Whether a program under way knows the memory: its data may not be there yet."""
        storage = self.tensor._storage
        return storage is None or storage.recording is not None

    def exposed(self) -> bool:
        """Whether others may write to the memory, unseen, while a batch waits."""
        storage: Any = self.tensor._storage
        return bool(storage.exposed and storage.still_exposed())

    def changed(self) -> bool:
        """Whether the tensor is, or may be, another than when `take` looked."""
        storage: Any = self.tensor._storage
        return (
            storage is not self._storage
            or storage.version != self._version
            or storage.recording is not None
            or storage.exposed
        )

    def take(self, places: Any, rows: int) -> list[Tensor]:
        """Tensors of `rows` rows each: the rows at `places`."""
        dtype = self.tensor.dtype
        storage: Any = self.tensor._storage
        self._storage, self._version = storage, storage.version
        source = self.tensor._array()
        shape = (rows, *self.row)
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        count = len(places) // rows
        memory = allocate(nbytes * count)
        if nbytes:
            flat = np.asarray(memory).view(dtype.numpy).reshape(len(places), *self.row)
            np.take(source, places, 0, flat, "clip")
        meta = meta_of(dtype, shape)
        owner, start = memory.owner, memory.address
        return [_over(Buffer(owner, start + k * nbytes, nbytes), meta) for k in range(count)]

    def prepare(self, count: int, rows: int) -> Iterator[tuple[Any, Tensor]]:
        """`count` batches without their rows: arrays to copy them into (`copy`), and tensors over
        these.
        """
        dtype = self.tensor.dtype
        storage: Any = self.tensor._storage
        self._storage, self._buffer = storage, storage.buffer
        self.copy = self.tensor._array().take
        shape = (rows, *self.row)
        nbytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        memory = allocate(nbytes * count)
        flat = np.asarray(memory)[: nbytes * count]
        owner, start, meta = memory.owner, memory.address, meta_of(dtype, shape)
        tensors = [_over(Buffer(owner, start + k * nbytes, nbytes), meta) for k in range(count)]
        return zip(flat.view(dtype.numpy).reshape(count, *shape), tensors)

    def replaced(self) -> bool:
        """Whether the tensor's memory is, or may be, another than when `prepare` looked."""
        storage: Any = self.tensor._storage
        return (
            storage is not self._storage
            or storage.recording is not None
            or storage.buffer is not self._buffer
        )


_new: Callable[[Any], Any] = object.__new__


def _over(buffer: Buffer, meta: Meta) -> Tensor:
    out = _new(Tensor)
    out._meta, out._rec, out._num = meta, None, -1
    out._storage = Storage(buffer)
    return out  # type: ignore[no-any-return]
