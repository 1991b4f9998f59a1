"""Pipes that are iterated: torch.utils.data.datapipes.iter."""

from __future__ import annotations

import contextlib
import copy
import random
from collections import defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from flambeau.utils.data._utils.collate import default_collate
from flambeau.utils.data.datapipes.pipe import DataChunk, IterDataPipe, functional_datapipe
from flambeau.utils.data.sampler import SequentialSampler

__all__ = [
    "Batcher",
    "Collator",
    "Concater",
    "Demultiplexer",
    "FileLister",
    "FileOpener",
    "Filter",
    "Forker",
    "Grouper",
    "IterableWrapper",
    "Mapper",
    "Multiplexer",
    "Sampler",
    "ShardingFilter",
    "Shuffler",
    "StreamReader",
    "UnBatcher",
    "Zipper",
]


def _length(pipe: Any, of: Any) -> int:
    if hasattr(type(pipe), "__len__"):
        return len(pipe)
    raise TypeError(f"{type(of).__name__} instance doesn't have valid length")


class IterableWrapper(IterDataPipe):
    """Anything that can be iterated, as a pipe; by default a copy is, each time."""

    def __init__(self, iterable: Iterable[Any], deepcopy: bool = True) -> None:
        self.iterable = iterable
        self.deepcopy = deepcopy

    def __iter__(self) -> Iterator[Any]:
        source = self.iterable
        if self.deepcopy:
            with contextlib.suppress(TypeError):  # a generator, say, is iterated as it is
                source = copy.deepcopy(source)
        yield from source

    def __len__(self) -> int:
        return _length(self.iterable, self)


@functional_datapipe("map")
class Mapper(IterDataPipe):
    """fn of each element, or of its columns input_col; the result replaces it, or goes to
    output_col (-1: appended).
    """

    def __init__(
        self, datapipe: Any, fn: Callable[..., Any], input_col: Any = None, output_col: Any = None
    ) -> None:
        if input_col is None and output_col is not None:
            raise ValueError("`output_col` must be None when `input_col` is None.")
        if isinstance(output_col, (list, tuple)):
            if len(output_col) > 1:
                raise ValueError("`output_col` must be a single-element list or tuple")
            output_col = output_col[0]
        self.datapipe, self.fn = datapipe, fn
        self.input_col, self.output_col = input_col, output_col

    def _applied(self, element: Any) -> Any:
        if self.input_col is None:
            return self.fn(element)
        several = isinstance(self.input_col, (list, tuple))
        columns = tuple(self.input_col) if several else (self.input_col,)
        result = self.fn(*(element[column] for column in columns))
        kind = type(element)
        changed = list(element) if kind is tuple else copy.copy(element)
        if self.output_col == -1:
            changed.append(result)
        elif self.output_col is not None:
            changed[self.output_col] = result
        else:
            changed[columns[0]] = result
            for column in sorted(columns[1:], reverse=True):
                del changed[column]
        return tuple(changed) if kind is tuple else changed

    def __iter__(self) -> Iterator[Any]:
        for element in self.datapipe:
            yield self._applied(element)

    def __len__(self) -> int:
        return _length(self.datapipe, self)


@functional_datapipe("collate")
class Collator(Mapper):
    """Batches as tensors, by collate_fn."""

    def __init__(
        self, datapipe: Any, conversion: Any = default_collate, collate_fn: Any = None
    ) -> None:
        function = collate_fn or conversion
        if not callable(function):
            raise NotImplementedError("datapipes.Collator: conversion by columns")
        super().__init__(datapipe, function)


@functional_datapipe("filter")
class Filter(IterDataPipe):
    """The elements for which filter_fn (of the columns input_col) is true."""

    def __init__(self, datapipe: Any, filter_fn: Callable[..., Any], input_col: Any = None) -> None:
        self.datapipe, self.filter_fn, self.input_col = datapipe, filter_fn, input_col

    def _holds(self, element: Any) -> bool:
        if self.input_col is None:
            kept = self.filter_fn(element)
        elif isinstance(self.input_col, (list, tuple)):
            kept = self.filter_fn(*(element[column] for column in self.input_col))
        else:
            kept = self.filter_fn(element[self.input_col])
        if not isinstance(kept, bool):
            raise ValueError(
                "Boolean output is required for `filter_fn` of FilterIterDataPipe, got "
                f"{type(kept)}"
            )
        return kept

    def __iter__(self) -> Iterator[Any]:
        for element in self.datapipe:
            if self._holds(element):
                yield element


@functional_datapipe("batch")
class Batcher(IterDataPipe):
    """Lists of batch_size elements; the last may be shorter, or is left out with drop_last."""

    def __init__(
        self, datapipe: Any, batch_size: int, drop_last: bool = False,
        wrapper_class: type = DataChunk,
    ) -> None:  # fmt: skip
        if batch_size <= 0:
            raise AssertionError("Batch size is required to be larger than 0!")
        self.datapipe, self.batch_size, self.drop_last = datapipe, batch_size, drop_last
        self.wrapper_class = wrapper_class

    def __iter__(self) -> Iterator[Any]:
        batch: list[Any] = []
        for element in self.datapipe:
            batch.append(element)
            if len(batch) == self.batch_size:
                yield self.wrapper_class(batch)
                batch = []
        if batch and not self.drop_last:
            yield self.wrapper_class(batch)

    def __len__(self) -> int:
        count = _length(self.datapipe, self)
        return count // self.batch_size if self.drop_last else -(-count // self.batch_size)


@functional_datapipe("unbatch")
class UnBatcher(IterDataPipe):
    """The elements of batches, unbatch_level deep (-1: as deep as there are batches)."""

    def __init__(self, datapipe: Any, unbatch_level: int = 1) -> None:
        self.datapipe, self.unbatch_level = datapipe, unbatch_level

    def _parts(self, element: Any, level: int) -> Iterator[Any]:
        if level < -1:
            raise ValueError("unbatch_level must be -1 or >= 0")
        batched = isinstance(element, (list, DataChunk))
        if level == 0 or (level == -1 and not batched):
            yield element
            return
        if not batched:
            raise IndexError(
                f"unbatch_level {self.unbatch_level} exceeds the depth of the DataPipe"
            )
        for part in element:
            yield from self._parts(part, level - 1 if level > 0 else -1)

    def __iter__(self) -> Iterator[Any]:
        for element in self.datapipe:
            yield from self._parts(element, self.unbatch_level)


@functional_datapipe("shuffle")
class Shuffler(IterDataPipe):
    """The elements in random order, as far as a buffer of buffer_size allows."""

    def __init__(self, datapipe: Any, *, buffer_size: int = 10000, unbatch_level: int = 0) -> None:
        if buffer_size <= 0:
            raise ValueError("buffer_size should be larger than 0")
        self.datapipe = datapipe
        if unbatch_level:
            self.datapipe = UnBatcher(datapipe, unbatch_level)
        self.buffer_size = buffer_size
        self._enabled, self._seed = True, None

    def set_shuffle(self, shuffle: bool = True) -> Shuffler:
        """Turns shuffling on or off."""
        self._enabled = shuffle
        return self

    def set_seed(self, seed: Any) -> Shuffler:
        """The seed of the next iteration."""
        self._seed = seed
        return self

    def __iter__(self) -> Iterator[Any]:
        if not self._enabled:
            yield from self.datapipe
            return
        from flambeau.nn._torch import randint

        seed = int(randint(0, 2**31, ()).item()) if self._seed is None else self._seed
        self._seed = None
        draw = random.Random(seed)
        buffer: list[Any] = []
        for element in self.datapipe:
            if len(buffer) < self.buffer_size:
                buffer.append(element)
                continue
            place = draw.randint(0, len(buffer) - 1)
            element, buffer[place] = buffer[place], element
            yield element
        while buffer:
            yield buffer.pop(draw.randint(0, len(buffer) - 1))

    def __len__(self) -> int:
        return _length(self.datapipe, self)


@functional_datapipe("concat")
class Concater(IterDataPipe):
    """Pipes one after another."""

    def __init__(self, *datapipes: Any) -> None:
        if not datapipes:
            raise ValueError("Expected at least one DataPipe, but got nothing")
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        for pipe in self.datapipes:
            yield from pipe

    def __len__(self) -> int:
        return sum(_length(pipe, self) for pipe in self.datapipes)


@functional_datapipe("zip")
class Zipper(IterDataPipe):
    """Tuples of the pipes' elements, until one ends."""

    def __init__(self, *datapipes: Any) -> None:
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[tuple[Any, ...]]:
        yield from zip(*self.datapipes)

    def __len__(self) -> int:
        return min(_length(pipe, self) for pipe in self.datapipes)


@functional_datapipe("mux")
class Multiplexer(IterDataPipe):
    """One element of each pipe in turn, until one ends."""

    def __init__(self, *datapipes: Any) -> None:
        self.datapipes = datapipes

    def __iter__(self) -> Iterator[Any]:
        for row in zip(*self.datapipes):
            yield from row

    def __len__(self) -> int:
        return min(_length(pipe, self) for pipe in self.datapipes) * len(self.datapipes)


class _Branch(IterDataPipe):
    """One of several pipes that read the same one; what another has read first waits for it."""

    def __init__(self, trunk: _Trunk, number: int) -> None:
        self.trunk, self.number = trunk, number

    def __iter__(self) -> Iterator[Any]:
        self.trunk.begin(self.number)
        yield from self.trunk.elements(self.number)

    def __len__(self) -> int:
        if self.trunk.classify is not None:
            raise TypeError("_ChildDataPipe instance doesn't have valid length")
        return _length(self.trunk.datapipe, self)


class _Trunk:
    """Reads a pipe for its branches, each element for all of them or the one it belongs to."""

    def __init__(
        self, datapipe: Any, count: int, buffer_size: int, classify: Any, drop_none: bool
    ) -> None:
        if count < 1:
            raise ValueError(f"Expected `num_instances` larger than 0, but {count} is found")
        self.datapipe, self.count, self.buffer_size = datapipe, count, buffer_size
        self.classify, self.drop_none = classify, drop_none
        self.waiting: list[deque[Any]] = [deque() for _ in range(count)]
        self.source: Iterator[Any] | None = None
        self.begun: set[int] = set()

    def begin(self, number: int) -> None:
        """A branch starts; one that starts again starts all anew."""
        if number in self.begun or self.source is None:
            self.source, self.begun = iter(self.datapipe), set()
            for waiting in self.waiting:
                waiting.clear()
        self.begun.add(number)

    def elements(self, number: int) -> Iterator[Any]:
        """A branch's elements."""
        while True:
            if not self.waiting[number]:
                assert self.source is not None
                try:
                    self._take(next(self.source))
                except StopIteration:
                    return
                continue
            yield self.waiting[number].popleft()

    def _take(self, element: Any) -> None:
        places: Iterable[int] = range(self.count)
        if self.classify is not None:
            chosen = self.classify(element)
            if chosen is None and self.drop_none:
                return
            if chosen is None or not 0 <= chosen < self.count:
                raise ValueError(
                    f"Output of the classification fn should be between 0 and {self.count - 1}. "
                    f"{chosen} is returned."
                )
            places = [int(chosen)]
        for place in places:
            self.waiting[place].append(element)
            if 0 <= self.buffer_size < len(self.waiting[place]):
                raise BufferError(
                    f"DemultiplexerIterDataPipe buffer overflow, buffer size {self.buffer_size} is "
                    "insufficient."
                )


@functional_datapipe("fork")
def Forker(
    datapipe: Any, num_instances: int, buffer_size: int = 1000, copy: str | None = None
) -> list[IterDataPipe]:
    """Several pipes with the elements of one."""
    if copy not in (None, "shallow", "deep"):
        raise ValueError(f"Unknown copy method `{copy}` to create a copy of the data")
    pipe = datapipe if copy is None else datapipe.map(_copier(copy))
    trunk = _Trunk(pipe, num_instances, buffer_size, None, False)
    return [_Branch(trunk, number) for number in range(num_instances)]


def _copier(kind: str) -> Callable[[Any], Any]:
    return copy.copy if kind == "shallow" else copy.deepcopy


@functional_datapipe("demux")
def Demultiplexer(
    datapipe: Any, num_instances: int, classifier_fn: Callable[[Any], Any],
    drop_none: bool = False, buffer_size: int = 1000,
) -> list[IterDataPipe]:  # fmt: skip
    """Several pipes; classifier_fn says to which each element goes."""
    trunk = _Trunk(datapipe, num_instances, buffer_size, classifier_fn, drop_none)
    return [_Branch(trunk, number) for number in range(num_instances)]


@functional_datapipe("groupby")
class Grouper(IterDataPipe):
    """Lists of elements with the same key, of group_size at most."""

    def __init__(
        self, datapipe: Any, group_key_fn: Callable[[Any], Any], *, keep_key: bool = False,
        buffer_size: int = 10000, group_size: int | None = None,
        guaranteed_group_size: int | None = None, drop_remaining: bool = False,
    ) -> None:  # fmt: skip
        self.datapipe, self.key = datapipe, group_key_fn
        self.keep_key, self.buffer_size, self.group_size = keep_key, buffer_size, group_size
        self.least = guaranteed_group_size or group_size
        self.drop_remaining = drop_remaining

    def _shown(self, key: Any, group: list[Any]) -> Any:
        return (key, DataChunk(group)) if self.keep_key else DataChunk(group)

    def __iter__(self) -> Iterator[Any]:
        groups: dict[Any, list[Any]] = defaultdict(list)
        held = 0
        for element in self.datapipe:
            key = self.key(element)
            groups[key].append(element)
            held += 1
            if self.group_size is not None and len(groups[key]) == self.group_size:
                held -= self.group_size
                yield self._shown(key, groups.pop(key))
            if held == self.buffer_size:
                biggest = max(groups, key=lambda k: len(groups[k]))
                group = groups.pop(biggest)
                held -= len(group)
                if self.least is None or len(group) >= self.least:
                    yield self._shown(biggest, group)
                elif not self.drop_remaining:
                    raise RuntimeError("Failed to group items")
        for key, group in groups.items():
            if not (self.drop_remaining and self.least and len(group) < self.least):
                yield self._shown(key, group)


class Sampler(IterDataPipe):
    """The elements of a data set in the order of a sampler."""

    def __init__(
        self, datapipe: Any, sampler: Any = SequentialSampler, sampler_args: Any = None,
        sampler_kwargs: Any = None,
    ) -> None:  # fmt: skip
        self.datapipe = datapipe
        given = {"data_source": datapipe, **(sampler_kwargs or {})}
        self.sampler = sampler(*(sampler_args or ()), **given)

    def __iter__(self) -> Iterator[Any]:
        return iter(self.sampler)

    def __len__(self) -> int:
        return len(self.sampler)


@functional_datapipe("sharding_filter")
class ShardingFilter(IterDataPipe):
    """Each num_of_instances-th element, from instance_id on (see apply_sharding)."""

    def __init__(self, source_datapipe: Any, sharding_group_filter: Any = None) -> None:
        self.source_datapipe = source_datapipe
        self.num_of_instances, self.instance_id = 1, 0

    def apply_sharding(self, num_of_instances: int, instance_id: int, *_: Any) -> None:
        """Says which part of the elements is this one's."""
        if instance_id >= num_of_instances:
            raise ValueError(f"instance_id({instance_id}) should be smaller than num_of_instances"
                             f"({num_of_instances})")  # fmt: skip
        self.num_of_instances, self.instance_id = num_of_instances, instance_id

    def __iter__(self) -> Iterator[Any]:
        for number, element in enumerate(self.source_datapipe):
            if number % self.num_of_instances == self.instance_id:
                yield element

    def __len__(self) -> int:
        count = _length(self.source_datapipe, self)
        more = self.instance_id < count % self.num_of_instances
        return count // self.num_of_instances + more


@functional_datapipe("list_files")
class FileLister(IterDataPipe):
    """The paths of files in folders, whose names match masks."""

    def __init__(
        self, root: Any = ".", masks: Any = "", *, recursive: bool = False, abspath: bool = False,
        non_deterministic: bool = False, length: int = -1,
    ) -> None:  # fmt: skip
        self.roots = [root] if isinstance(root, str) else root
        self.masks = [masks] if isinstance(masks, str) else list(masks)
        self.recursive, self.abspath, self.length = recursive, abspath, length

    def __iter__(self) -> Iterator[str]:
        for root in self.roots:
            folder = Path(root).resolve() if self.abspath else Path(root)
            found = folder.rglob("*") if self.recursive else folder.glob("*")
            for path in sorted(found):
                if path.is_file() and any(not m or path.match(m) for m in self.masks):
                    yield str(path)

    def __len__(self) -> int:
        if self.length == -1:
            raise TypeError(f"{type(self).__name__} instance doesn't have valid length")
        return self.length


@functional_datapipe("open_files")
class FileOpener(IterDataPipe):
    """(path, open file) of each path."""

    def __init__(
        self, datapipe: Any, mode: str = "r", encoding: str | None = None, length: int = -1
    ) -> None:
        if mode not in ("b", "t", "rb", "rt", "r"):
            raise ValueError(f"Invalid mode {mode}")
        self.datapipe, self.encoding, self.length = datapipe, encoding, length
        self.mode = mode if mode.startswith("r") else f"r{mode}"

    def __iter__(self) -> Iterator[Any]:
        for path in self.datapipe:
            yield path, Path(path).open(self.mode, encoding=self.encoding)  # noqa: SIM115  (its reader closes it)

    def __len__(self) -> int:
        return self.length if self.length != -1 else _length(self.datapipe, self)


@functional_datapipe("read_from_stream")
class StreamReader(IterDataPipe):
    """(path, bytes) of each (path, open file), whole or in chunks."""

    def __init__(self, datapipe: Any, chunk: int | None = None) -> None:
        self.datapipe, self.chunk = datapipe, chunk

    def __iter__(self) -> Iterator[Any]:
        for path, stream in self.datapipe:
            with stream:
                while data := stream.read(self.chunk if self.chunk is not None else -1):
                    yield path, data
