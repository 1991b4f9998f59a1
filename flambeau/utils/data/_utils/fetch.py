"""Getting the samples of one batch and collating them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flambeau.core.errors import add_note
from flambeau.record.observing import WATCH
from flambeau.record.recorder import flush
from flambeau.utils.data._utils.collate import default_collate
from flambeau.utils.data.dataset import is_gathered, whole_batch


@dataclass
class Source:
    """What a fetcher reads, and how it makes batches of it."""

    dataset: Any
    iterable: bool
    auto_collation: bool
    collate: Callable[[Any], Any]
    drop_last: bool


class Fetcher:
    """Fetches batches from one dataset (for an iterable one: continues one iteration)."""

    def __init__(self, source: Source, dataset: Any = None) -> None:
        self.source = source
        self.dataset = source.dataset if dataset is None else dataset
        self.iterator = iter(self.dataset) if source.iterable else None
        self.ended = False
        whole = not source.iterable and source.auto_collation and source.collate is default_collate
        self.gathers = whole and is_gathered(self.dataset)
        self.whole = whole

    def fetch(self, indices: Any) -> Any:
        """Return the batch of `indices`; StopIteration where an iterable dataset has ended."""
        if WATCH.observer is not None:
            return WATCH.observer.fetching(self.dataset, indices, self._fetch)
        return self._fetch(indices)

    def _fetch(self, indices: Any) -> Any:
        if self.iterator is not None:
            return self._next(indices)
        if self.whole:
            batch = whole_batch(self.dataset, indices)
            if batch is not None:
                return batch
        if not self.source.auto_collation:
            return self.source.collate(self._sample(indices))
        if callable(getattr(self.dataset, "__getitems__", None)):
            return self.source.collate(self.dataset.__getitems__(indices))
        return self.source.collate(self._samples(indices))

    def _sample(self, index: Any) -> Any:
        try:
            return self.dataset[index]
        except Exception as error:
            add_note(error, f"(DataLoader: while the dataset made sample {index!r})")
            raise

    def _samples(self, indices: Any) -> list[Any]:
        """The samples one by one; one whose making records ops is computed at once.

        Which sample it is (an offset into the data) is then no part of a program, and a single
        small program makes them all.
        """
        samples = []
        for index in indices:
            flush()
            samples.append(self._sample(index))
        flush()
        return samples

    def _next(self, indices: Any) -> Any:
        if self.ended:
            raise StopIteration
        assert self.iterator is not None
        if not self.source.auto_collation:
            return self.source.collate(next(self.iterator))
        samples = []
        for _ in indices:
            try:
                samples.append(next(self.iterator))
            except StopIteration:
                self.ended = True
                break
        if not samples or (self.source.drop_last and len(samples) < len(indices)):
            raise StopIteration
        return self.source.collate(samples)
