"""The memory of results, and a bound on what plans keep of it between their runs.

A plan gives its results the memory of an earlier run where nobody holds that any more. Programs of
many shapes would so keep the results of all of them: the plans that have not run for long give
theirs back.
"""

from __future__ import annotations

import os
import sys
import weakref
from operator import attrgetter
from typing import Any
from weakref import getweakrefcount

import numpy as np

from flambeau.record import words
from flambeau.record.statistics import TALLY, TICKS
from flambeau.record.storage import DEAD_COUNT, Storage, allocate

getrefcount = sys.getrefcount
# The reference counts of a storage in a list, and of its buffer and of that one's owner, which are
# in another list, too.
FREE = DEAD_COUNT, DEAD_COUNT + 1, DEAD_COUNT + 1
UNKNOWN = FREE, 0  # and nobody has a weak reference to the storage
BUFFER, OWNER = map(attrgetter, ("buffer", "owner"))
LARGE = 1 << 16  # bytes of results from which a plan counts
FIRST = 1 << 20  # bytes of results from which first runs give way
TURNS = 4  # lots of small results that take turns, where the last ones are still held
SOFT = 1 << 28  # bytes that plans may keep that have not run lately
RECENT = 32  # runs of large plans that are "lately"


def _quarter_of_memory() -> int:
    try:
        return max(SOFT, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)
    except (AttributeError, OSError, ValueError):
        return 4 * SOFT


HARD = _quarter_of_memory()  # bytes that all plans may keep


class Lot:
    """The storages of one run's results, and words of memory that say that nobody else holds them
    (see `seal`).
    """

    __slots__ = ("first_moved", "sealed", "storages")

    def __init__(self, storages: list[Storage]) -> None:
        self.storages = storages
        self.sealed: words.Table | None = None
        self.first_moved: Any = None  # the native function that looks at the words

    def held(self) -> list[int]:
        """The places of those that somebody else holds, or knows (copies that were taken from such
        memory ask how often it was written); the others count as never written.
        """
        storages = self.storages
        buffers = list(map(BUFFER, storages))
        owners = list(map(OWNER, buffers))
        counts = zip(*[map(getrefcount, things) for things in (storages, buffers, owners)])
        weak = map(getweakrefcount, storages)
        found = [place for place, known in enumerate(zip(counts, weak)) if known != UNKNOWN]
        for place in set(range(len(storages))).difference(found):
            storages[place].version = storages[place].silent = 0
        return found

    def as_sealed(self) -> bool:
        """Whether words say that nobody else holds the storages."""
        table = self.sealed
        if table is None:
            return False
        end = table.end
        unmoved: bool = self.first_moved(table.first, end) == end
        return unmoved

    def seal(self) -> None:
        """Notes the words that say that nobody else holds the storages, which is so now, and that
        they were not written. Nothing where no native function can look at them.
        """
        native = words.native()
        if native is None:
            return
        found: words.Pairs = []
        for storage in self.storages:
            buffer = storage.buffer
            found += words.held(storage, 1) + words.no_weak_references(storage)
            found += words.attribute(storage, "buffer", buffer)
            found += words.held(buffer, 1) + words.attribute(buffer, "owner", buffer.owner)
            found += words.held(buffer.owner, 1)
            found += words.attribute(storage, "version", storage.version)
            found += words.attribute(storage, "silent", storage.silent)
        self.first_moved, self.sealed = native.first_moved, words.Table(found)


class Results:
    """The memory of a plan's results: that of the last run where nobody holds it any more, else of
    one before it (lots take turns), else new memory.
    """

    __slots__ = (
        "__weakref__",
        "clock",
        "gave_way",
        "lot",
        "lots",
        "moved",
        "nbytes",
        "retry_at",
        "seal_at",
        "sealings",
        "seals",
        "sizes",
    )

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.nbytes = sum(sizes)
        self.lots: list[Lot] = []
        self.lot = Lot([])  # that of the last run
        self.moved = True  # it is another one than in the last compiled run in Python
        # The lots that have words; another tuple whenever these, or their storages, are others.
        self.seals: tuple[Lot, ...] = ()
        # The runs from which on sealing, and one more lot, are worth trying again.
        self.seal_at = self.retry_at = 0
        self.sealings = 0
        self.gave_way = False  # see ResultMemory.first
        # The last run, among those of plans with large results; native code writes it, too.
        self.clock = np.zeros(1, np.int64)

    @property
    def tick(self) -> int:
        return int(self.clock[0])

    def take(self, runs: int, compiled: bool) -> list[Storage]:
        """The storages for the results of the run that comes after so many."""
        if not self.sizes:
            return self.lot.storages
        if self.nbytes > LARGE:
            TALLY[TICKS] += 1
            self.clock[0] = TALLY[TICKS]
        if not self.lots:
            return self.another().storages
        lot, held = self.lot, []
        if lot.as_sealed():
            return lot.storages
        for candidate in [lot, *[other for other in self.lots if other is not lot]]:
            if candidate.as_sealed():
                break
            places = candidate.held()
            if not places:
                self.seal(candidate, runs, compiled)
                break
            if candidate is lot:
                held = places
        else:
            if self.nbytes <= LARGE and len(self.lots) < TURNS and runs >= self.retry_at:
                return self.another().storages
            return self.renewed(lot, held, runs)
        if candidate is not lot:
            self.lot, self.moved = candidate, True
        return candidate.storages

    def another(self) -> Lot:
        """One more lot, for the coming run."""
        if self.nbytes > FIRST:
            RESULT_MEMORY.comes_first(self)
        lot = Lot([Storage(allocate(size)) for size in self.sizes])
        self.lots.append(lot)
        self.lot, self.moved = lot, True
        if self.nbytes > LARGE:
            RESULT_MEMORY.keep(self)
        return lot

    def renewed(self, lot: Lot, held: list[int], runs: int) -> list[Storage]:
        """The lot's storages, other ones where they are held; lots that were of no use go."""
        self.seals, self.moved = (), True  # (first: what is sealed has to be there)
        lot.sealed = None
        if len(self.lots) > 1:
            self.lots = [lot]
            self.retry_at = 2 * runs
        for place in held:
            lot.storages[place] = Storage(allocate(self.sizes[place]))
        return lot.storages

    def seal(self, lot: Lot, runs: int, compiled: bool) -> None:
        """Lets native code see that a lot is free, which it is, where that is worth it."""
        if not compiled or runs < self.seal_at or not words.known():
            return
        self.sealings += 1
        if self.sealings >= TURNS:
            self.seal_at = 2 * runs  # it takes its time, where results are many
        self.seals = ()
        lot.seal()
        self.seals = tuple(lot for lot in self.lots if lot.sealed is not None)

    def release(self) -> list[Storage]:
        """Gives up the memory of the last results, which is returned."""
        given = self.lot.storages
        self.seals = ()
        self.lots, self.lot, self.moved = [], Lot([]), True
        return given


class ResultMemory:
    """The results of large plans that keep memory, and how much they do (at most `held` bytes)."""

    def __init__(self) -> None:
        self.results: list[weakref.ref[Results]] = []
        self.held = 0
        self.trigger = SOFT
        self.first: tuple[weakref.ref[Results], int] | None = None

    def comes_first(self, current: Results) -> None:
        """A plan asks for memory. The one that did so before it, and has run but once, gives way:
        the first step of a training is often another program than the second, and the last of its
        kind. It does so once: where it does come again, it keeps its memory.
        """
        previous = None if self.first is None else self.first[0]()
        if previous is not None and previous is not current and not previous.gave_way:
            assert self.first is not None
            if previous.tick == self.first[1]:
                previous.gave_way = True
                previous.release()
        self.first = weakref.ref(current), current.tick

    def keep(self, results: Results) -> None:
        """Notes that a plan keeps memory from its run on that comes now."""
        self.results.append(weakref.ref(results))
        self.held += results.nbytes
        if self.held > self.trigger:
            self.sweep(results)

    def give_back(self) -> None:
        """Takes memory from all plans."""
        for reference in self.results:
            results = reference()
            if results is not None:
                results.release()
        self.results, self.held, self.trigger = [], 0, SOFT

    def sweep(self, current: Results) -> None:
        """Takes memory from the plans whose last run is longest ago."""
        alive = {id(r): r for r in (reference() for reference in self.results) if r is not None}
        keeping = sorted((r for r in alive.values() if r.lots), key=lambda r: r.tick)
        held = sum(results.nbytes for results in keeping)
        left = []
        for results in keeping:
            old = results.tick < current.tick - RECENT and held > SOFT
            if results is not current and (old or held > HARD):
                results.release()
                held -= results.nbytes
            else:
                left.append(weakref.ref(results))
        self.results, self.held = left, held
        self.trigger = max(SOFT, held + held // 4)


RESULT_MEMORY = ResultMemory()
