"""Samplers: the order in which a dataset's samples are taken."""

from __future__ import annotations

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from typing import Any, Generic, TypeVar

from flambeau.core import random_streams
from flambeau.core.dtypes import uint32
from flambeau.functional.generators import default_generator
from flambeau.nn._torch import (
    Generator,
    Tensor,
    as_tensor,
    empty,
    float64,
    int64,
    multinomial,
    randint,
    randperm,
)
from flambeau.record import recorder

COMPILER = "flambeau.execute.cpu.compiler"
# Indices drawn in this process from which drawing them is compiled: where the compiler has been
# imported anyway, and where it has not.
SEVERAL, ENOUGH = 1_000_000, 10_000_000
T_co = TypeVar("T_co", covariant=True)


def _drawn(generator: Generator | None, kind: str, n: int, **attributes: Any) -> Any:
    """What a recorded draw of `kind` would give, as an array, without a program for it."""
    drawn_from: Any = default_generator if generator is None else generator
    if not isinstance(drawn_from, Generator):
        empty((), dtype=int64).random_(generator=drawn_from)  # which refuses it
    storage = drawn_from._state._settled()
    recorder.flush()
    state = storage.array(uint32)
    drawn, after = random_streams.draw_and_advance(kind, state.copy(), n, **attributes)
    state[:] = after
    storage.version += 1
    return drawn


def draw_seed(generator: Generator | None = None) -> int:
    """Draw a seed: one 64-bit integer of the generator (None: the default one)."""
    attributes = random_streams.range_attributes("int64", None, None)
    return int(_drawn(generator, "random_range", 1, **attributes)[0])


class _Orders:
    drawn = 0  # how many indices this process has drawn


def random_permutation(n: int, generator: Generator) -> Any:
    """randperm(n, generator=generator) as an array.

    Compiled it is several times as fast, but a program that only loads data would import the
    compiler for it, which takes as long as drawing millions of indices here, and one that has it
    would compile for one epoch's sake.
    """
    _Orders.drawn += n
    if _Orders.drawn > (SEVERAL if COMPILER in sys.modules else ENOUGH):
        return randperm(n, generator=generator).numpy()
    return _drawn(generator, "permutation", n)


class Sampler(Generic[T_co]):
    """Base class of samplers: define `__iter__`, and `__len__` where it is known."""

    def __iter__(self) -> Iterator[T_co]:
        raise NotImplementedError


class SequentialSampler(Sampler[int]):
    """0, 1, 2, ..."""

    def __init__(self, data_source: Sized) -> None:
        self.data_source = data_source

    def __iter__(self) -> Iterator[int]:
        return iter(range(len(self.data_source)))

    def __len__(self) -> int:
        return len(self.data_source)


class RandomSampler(Sampler[int]):
    """The indices in random order, or draws with replacement."""

    def __init__(
        self,
        data_source: Sized,
        replacement: bool = False,
        num_samples: int | None = None,
        generator: Generator | None = None,
    ) -> None:
        self.data_source = data_source
        self.replacement = replacement
        self._num_samples = num_samples
        self.generator = generator
        if not isinstance(replacement, bool):
            raise TypeError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        if not isinstance(self.num_samples, int) or self.num_samples <= 0:
            raise ValueError(
                "num_samples should be a positive integer value, "
                f"but got num_samples={self.num_samples}"
            )

    @property
    def num_samples(self) -> int:
        """How many indices an iteration yields; by default one per sample."""
        return len(self.data_source) if self._num_samples is None else self._num_samples

    def __iter__(self) -> Iterator[int]:
        n = len(self.data_source)
        generator, own = self.generator, self.generator is None
        if generator is None:
            # One draw of the default generator seeds the whole order, as in PyTorch.
            seed = draw_seed()
            generator = Generator()
            generator.manual_seed(seed)
        if self.replacement:
            left = self.num_samples
            for size in [32] * (left // 32) + [left % 32]:
                drawn = randint(0, n, (size,), dtype=int64, generator=generator)
                yield from drawn.tolist()
            return
        for _ in range(self.num_samples // n):
            yield from random_permutation(n, generator).tolist()
        if left := self.num_samples % n:
            yield from random_permutation(n, generator).tolist()[:left]
        elif not own:
            randperm(n, generator=generator)  # nothing of it is used, but the state is visible

    def __len__(self) -> int:
        return self.num_samples


def random_order(sampler: Any) -> tuple[Any, Callable[[], object] | None]:
    """The whole order of a sequential (None) or random sampler, and what to call at its end.

    An iteration's end draws a permutation of which nothing is used: visible where the generator is
    the program's own.
    """
    if type(sampler) is SequentialSampler:
        return None, None
    n, generator = len(sampler.data_source), sampler.generator
    if generator is not None:
        order = random_permutation(n, generator)
        return order, lambda: randperm(n, generator=generator)
    own = Generator()
    own.manual_seed(draw_seed())
    return random_permutation(n, own), None


class SubsetRandomSampler(Sampler[int]):
    """The given indices in random order."""

    def __init__(self, indices: Sequence[int], generator: Generator | None = None) -> None:
        self.indices = indices
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        for i in randperm(len(self.indices), generator=self.generator).tolist():
            yield self.indices[i]

    def __len__(self) -> int:
        return len(self.indices)


class WeightedRandomSampler(Sampler[int]):
    """Draws of indices with probabilities proportional to `weights`."""

    def __init__(
        self,
        weights: Sequence[float] | Tensor,
        num_samples: int,
        replacement: bool = True,
        generator: Generator | None = None,
    ) -> None:
        if not isinstance(num_samples, int) or isinstance(num_samples, bool) or num_samples <= 0:
            raise ValueError(
                f"num_samples should be a positive integer value, but got num_samples={num_samples}"
            )
        if not isinstance(replacement, bool):
            raise ValueError(
                f"replacement should be a boolean value, but got replacement={replacement}"
            )
        self.weights = as_tensor(weights, dtype=float64)
        if self.weights.dim() != 1:
            raise ValueError(
                "weights should be a 1d sequence but given weights have shape "
                f"{tuple(self.weights.shape)}"
            )
        self.num_samples = num_samples
        self.replacement = replacement
        self.generator = generator

    def __iter__(self) -> Iterator[int]:
        drawn = multinomial(
            self.weights, self.num_samples, self.replacement, generator=self.generator
        )
        yield from iter(drawn.tolist())

    def __len__(self) -> int:
        return self.num_samples


class BatchSampler(Sampler[list[int]]):
    """Lists of `batch_size` indices of another sampler."""

    def __init__(self, sampler: Iterable[int], batch_size: int, drop_last: bool) -> None:
        if not isinstance(batch_size, int) or isinstance(batch_size, bool) or batch_size <= 0:
            raise ValueError(
                f"batch_size should be a positive integer value, but got batch_size={batch_size}"
            )
        if not isinstance(drop_last, bool):
            raise ValueError(f"drop_last should be a boolean value, but got drop_last={drop_last}")
        self.sampler = sampler
        self.batch_size = batch_size
        self.drop_last = drop_last

    def __iter__(self) -> Iterator[list[int]]:
        indices = iter(self.sampler)
        while batch := list(itertools.islice(indices, self.batch_size)):
            if len(batch) < self.batch_size and self.drop_last:
                return
            yield batch

    def __len__(self) -> int:
        samples: Any = self.sampler
        if self.drop_last:
            return len(samples) // self.batch_size
        return (len(samples) + self.batch_size - 1) // self.batch_size
