"""Results that are made when somebody looks at them.

The gradient of a large table is zero but for the rows that a batch has touched. What a program
computes of it is these rows (see `flambeau.graph.sparse_rows`), and most programs throw it away
before anybody has looked: its storage has no memory until then.
"""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.dtypes import int64
from flambeau.record.storage import ALIGNMENT, Buffer, Storage, no_memory

if TYPE_CHECKING:
    from flambeau.graph.sparse_rows import Late
    from flambeau.record.plan import Plan

# Runs whose late results were wanted, after which the plan makes them itself (if they are half of
# all).
PATIENCE = 2
_making = threading.RLock()


class LateStorage(Storage):
    """A storage that gets its memory when that is first asked for."""

    __slots__ = ("_nbytes", "_plan", "_rows", "_table")

    def __init__(self, plan: Plan, late: Late, rows: Storage, table: Storage) -> None:
        self.version = self.silent = 0
        self.exposed = False
        self.foreign = self.recording = self.dtype = None
        self.base, self.offset, self.readers = -1, 0, ()
        self._nbytes = late.nbytes
        self._rows: Storage | None = rows
        self._table: Storage | None = table
        self._plan = weakref.ref(plan)

    @property
    def nbytes(self) -> int:
        return self._nbytes

    def __getattr__(self, name: str) -> Any:
        """`buffer`, while the slot is empty."""
        if name != "buffer":
            raise AttributeError(name)
        with _making:
            rows, table = self._rows, self._table
            if rows is not None and table is not None:
                self.buffer = _scattered(rows, table, self._nbytes)
                self._rows = self._table = None
                plan = self._plan()
                if plan is not None:
                    plan.wanted += 1
            return object.__getattribute__(self, name)


def _scattered(rows: Storage, table: Storage, nbytes: int) -> Buffer:
    """The whole table: row `places[r]` of the rows at r."""
    places = table.array(int64)
    try:
        raw = np.zeros(nbytes + ALIGNMENT, np.uint8)
    except MemoryError:
        raise no_memory(nbytes) from None
    address = address_of(raw)
    start = -address % ALIGNMENT
    width = nbytes // places.size
    compact = np.asarray(rows.buffer).reshape(-1, width)
    (touched,) = places.nonzero()
    whole = raw[start : start + nbytes].reshape(-1, width)
    if compact[0].any():  # (scaled by what is no number)
        whole[:] = compact[0]
    whole[touched] = compact[places[touched]]
    return Buffer(raw, address + start, nbytes, start)
