"""What a kept call rests on, and whether it still is so: one look at many words of memory.

A statement says something of tensors or other objects that is true when it is made. It can be
asked (`look`), and it can say which words of memory are proof of it (`pairs`; see `words.py`,
Unknown where there are none). `Facts` looks at the words of many statements in one native call.
Where one of them has moved, the statements are asked: what they say may be true all the same (an
equal number in another place), and then the words are noted anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import is_
from typing import Any, Protocol

from flambeau.record import words
from flambeau.record.plan import getrefcount
from flambeau.record.statistics import STATISTICS
from flambeau.record.storage import DEAD_COUNT
from flambeau.record.words import Pairs, Unknown

MOST_PAIRS = 20_000
OFTEN = 8  # runs within which words that move again are restless,
PATIENCE = 8  # and how often they may be before they are left alone


class Statement(Protocol):
    """Something that is true of objects."""

    def look(self) -> bool:
        """Whether it still is."""

    def pairs(self) -> Pairs:
        """The words that are proof of it; it is true now."""


class Held:
    """That each of some objects has so many holders beside this statement."""

    def __init__(self, things: list[Any], holders: list[int]) -> None:
        self.things = things
        self.counts = [number + DEAD_COUNT for number in holders]

    def look(self) -> bool:
        return list(map(getrefcount, self.things)) == self.counts

    def pairs(self) -> Pairs:
        found: Pairs = []
        for thing, count in zip(self.things, self.counts):
            found += words.held(thing, count - DEAD_COUNT + 1)
        return found


class Unmade:
    """That late storages have no memory yet (see `late.py`): what they are made of may change."""

    def __init__(self, storages: Sequence[Any]) -> None:
        self.storages = storages

    def look(self) -> bool:
        return not any(storage.made for storage in self.storages)

    def pairs(self) -> Pairs:
        return [pair for storage in self.storages for pair in words.empty_slot(storage, "buffer")]


class Metas:
    """That tensors have the metas that they have."""

    def __init__(self, tensors: Sequence[Any]) -> None:
        self.tensors = list(tensors)
        self.metas = [tensor._meta for tensor in tensors]

    def look(self) -> bool:
        return all(map(is_, [tensor._meta for tensor in self.tensors], self.metas))

    def pairs(self) -> Pairs:
        found: Pairs = []
        for tensor, meta in zip(self.tensors, self.metas):
            found += words.attribute(tensor, "_meta", meta)
        return found


class Placed(Metas):
    """That tensors of one class have the metas and the storages that they have."""

    def __init__(self, tensors: Sequence[Any]) -> None:
        super().__init__(tensors)
        self.storages = [tensor._storage for tensor in tensors]

    def look(self) -> bool:
        storages = [tensor._storage for tensor in self.tensors]
        return super().look() and all(map(is_, storages, self.storages))

    def pairs(self) -> Pairs:
        found = super().pairs()
        for tensor, storage in zip(self.tensors, self.storages):
            found += words.attribute(tensor, "_storage", storage)
        return found


class Gradients:
    """That leaves have these gradients, or none."""

    def __init__(self, leaves: list[Any], gradients: list[Any]) -> None:
        self.leaves = leaves
        self.gradients = gradients

    def look(self) -> bool:
        return all(map(is_, [leaf._grad for leaf in self.leaves], self.gradients))

    def pairs(self) -> Pairs:
        found: Pairs = []
        for leaf, gradient in zip(self.leaves, self.gradients):
            found += words.attribute(leaf, "_grad", gradient)
        return found


class Untouched:
    """That nobody has left anything on tensors: their dictionaries are as long as now."""

    def __init__(self, tensors: Sequence[Any]) -> None:
        self.tensors = list(tensors)
        self.sizes = [len(tensor.__dict__) for tensor in tensors]

    def look(self) -> bool:
        return [len(tensor.__dict__) for tensor in self.tensors] == self.sizes

    def pairs(self) -> Pairs:
        found: Pairs = []
        for tensor in self.tensors:
            found += words.dictionary_of(tensor) + words.length(tensor.__dict__)
        return found


class Facts:
    """Statements, and the words of memory that are proof of them. `seals` counts how often these
    were noted; `rest` is what has to be asked.
    """

    def __init__(self, statements: Sequence[Statement]) -> None:
        self.statements = statements
        self.native = words.native()
        self.seals = 0
        self.strikes = 0  # how often words have moved again soon
        self.rest: list[Callable[[], bool]] = []
        self.moved: Any = _never if self.native is None else self.native.first_moved
        self.sealed_at = STATISTICS.compiled_runs - OFTEN
        self.seal()

    def hold(self) -> bool:
        """Whether all are still true."""
        if self.moved(self.first, self.end) != self.end:
            return self.look_again()
        return all(look() for look in self.rest)

    def look_again(self) -> bool:
        """Asks the statements; where they are true, their words are noted anew."""
        if not all(statement.look() for statement in self.statements):
            return False
        self.strikes = max(0, self.strikes + 1 if self.restless() else self.strikes - 1)
        self.seal()
        return True

    def restless(self) -> bool:
        return STATISTICS.compiled_runs - self.sealed_at <= OFTEN

    def seal(self) -> None:
        """Notes the words as they are now."""
        found: Pairs = []
        rest: list[Callable[[], bool]] = []
        for statement in self.statements:
            pairs = None
            if self.native is not None and self.strikes < PATIENCE:
                try:
                    pairs = statement.pairs()
                except Unknown:
                    pairs = None
            if pairs is None or len(found) + len(pairs) > MOST_PAIRS:
                rest.append(statement.look)
            else:
                found += pairs
        self.table = words.Table(list(dict.fromkeys(found)))
        self.first, self.end = self.table.first, self.table.end
        self.rest = rest
        self.seals += 1
        self.sealed_at = STATISTICS.compiled_runs


def _never(first: int, end: int) -> int:
    return end
