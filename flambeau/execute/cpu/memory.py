"""Aligned memory for buffers and arenas, with blocks kept for the next buffer of the same size.

Fresh pages cost a page fault each, more than most kernels take per page: a training step asks for
the same sizes again and again, and gets the same blocks.
"""

from __future__ import annotations

import math
import threading
from collections import OrderedDict
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from flambeau.core.addresses import address_of

ALIGNMENT = 64
KEPT_GRANULE = 1 << 16
"""Blocks of at least this size are rounded up to a multiple of it, and kept when freed."""
KEPT_LIMIT = 512 << 20

Block = npt.NDArray[np.uint8]


class _KeptBlocks:
    """Freed blocks by size, least recently freed dropped first beyond a limit in bytes.

    Blocks come back from `__del__`, which may run anywhere, even inside these methods: whoever does
    not get the lock at once goes without. An interrupt may end them anywhere, even where the lock
    was just taken: addresses without a block, and blocks without an address, do no harm.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.total = 0
        self._blocks: OrderedDict[int, Block] = OrderedDict()
        self._by_size: dict[int, list[int]] = {}
        self._lock = threading.Lock()

    def take(self, size: int) -> Block | None:
        if not self._lock.acquire(blocking=False):
            return None
        try:
            addresses = self._by_size.get(size)
            while addresses:
                block = self._blocks.pop(addresses.pop(), None)
                if block is not None and block.nbytes == size:
                    self.total -= size
                    return block
            return None
        finally:
            self._lock.release()

    def give(self, block: Block) -> None:
        if block.nbytes > self.limit or not self._lock.acquire(blocking=False):
            return
        try:
            address = address_of(block)
            self._blocks[address] = block
            self._by_size.setdefault(block.nbytes, []).append(address)
            self.total += block.nbytes
            while self.total > self.limit:
                oldest, dropped = self._blocks.popitem(last=False)
                self.total -= dropped.nbytes
                addresses = self._by_size.get(dropped.nbytes, [])
                if oldest in addresses:
                    addresses.remove(oldest)
        finally:
            self._lock.release()

    def clear(self) -> None:
        held = self._lock.acquire(timeout=1)
        try:
            blocks = list(self._blocks.values())
            self._blocks.clear()
            self._by_size.clear()
            self.total = 0
        finally:
            if held:
                self._lock.release()
            else:  # an interrupt came before it could be given back
                self._lock = threading.Lock()
        del blocks


_kept = _KeptBlocks(KEPT_LIMIT)


class Memory:
    """`nbytes` of uninitialised memory at `address`, a multiple of 64; freed with its last view."""

    __slots__ = ("__weakref__", "_block", "address", "nbytes")

    def __init__(self, nbytes: int, block: Block) -> None:
        self.nbytes = nbytes
        self._block = block
        start = address_of(block)
        self.address = start + -start % ALIGNMENT

    def __repr__(self) -> str:
        return f"Memory(nbytes={self.nbytes}, address={self.address:#x})"

    @property
    def __array_interface__(self) -> dict[str, Any]:
        """NumPy's array protocol: the array made from it keeps this object and its memory alive."""
        return {
            "version": 3,
            "typestr": "|u1",
            "shape": (self.nbytes,),
            "data": (self.address, False),
        }

    def ndarray(
        self, dtype: npt.DTypeLike, shape: int | Sequence[int], offset: int = 0
    ) -> npt.NDArray[Any]:
        """A C-contiguous array of these bytes from byte `offset` on, which keeps the memory alive.

        Raises ValueError if it would reach past the end.
        """
        kind = np.dtype(dtype)
        sizes = (shape,) if isinstance(shape, int) else tuple(shape)
        needed = kind.itemsize * math.prod(sizes)
        if offset < 0 or needed < 0 or offset + needed > self.nbytes:
            raise ValueError(
                f"an array of shape {sizes} and dtype {kind} at byte {offset} "
                f"does not fit into {self.nbytes} bytes"
            )
        array: npt.NDArray[Any] = np.ndarray(sizes, kind, np.asarray(self), offset)
        return array

    def __del__(self, _kept: _KeptBlocks = _kept, _granule: int = KEPT_GRANULE) -> None:
        if self.nbytes >= _granule:
            _kept.give(self._block)


def allocate(nbytes: int) -> Memory:
    """Uninitialised memory of `nbytes` bytes, aligned to 64.

    Raises MemoryError naming the size if the system has no room, ValueError for a negative size.
    """
    if nbytes < 0:
        raise ValueError(f"cannot allocate {nbytes} bytes")
    size = nbytes
    if size >= KEPT_GRANULE:
        size = -(-size // KEPT_GRANULE) * KEPT_GRANULE
        block = _kept.take(size + ALIGNMENT)
        if block is not None:
            return Memory(nbytes, block)
    try:
        return Memory(nbytes, np.empty(size + ALIGNMENT, np.uint8))
    except (MemoryError, ValueError):
        pass  # What is kept for later may be what is missing now.
    _kept.clear()
    try:
        return Memory(nbytes, np.empty(size + ALIGNMENT, np.uint8))
    except (MemoryError, ValueError):
        raise MemoryError(f"cannot allocate {nbytes} bytes ({nbytes / 2**30:.2f} GiB)") from None


def release_kept_memory() -> None:
    """Gives the memory kept for later buffers back to the system."""
    _kept.clear()
