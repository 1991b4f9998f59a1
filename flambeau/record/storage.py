"""Storages: the memory that tensors view, with a version and the question who else can see it."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.dtypes import DType
from flambeau.ops.primitive import Array

ALIGNMENT = 64
# Bytes that no result has: refused where it is recorded, not only where it is needed.
HOPELESS = 1 << 44


class Buffer:
    """Memory with an address. Whoever shows it to others (NumPy, a program's cache) holds a
    reference to it or, where it begins at byte `start` of an array of its own, to that: `owner`.
    """

    __slots__ = ("__weakref__", "address", "nbytes", "owner", "start")

    def __init__(self, owner: Array, address: int, nbytes: int, start: int = -1) -> None:
        self.owner = owner
        self.address = address
        self.nbytes = nbytes
        self.start = start

    def shown(self, shape: Any, dtype: Any, offset: int, steps: tuple[int, ...] | None) -> Array:
        """The elements from byte `offset` on as an array (`steps`: strides in bytes)."""
        if offset > self.nbytes:
            offset = self.nbytes  # of a view without elements, which may begin anywhere
        start, owner = self.start, self.owner
        if start < 0:
            start, owner = 0, np.asarray(self)
        found: Array = np.ndarray(shape, dtype, owner, start + offset, steps)
        return found

    @property
    def __array_interface__(self) -> dict[str, Any]:
        return {
            "shape": (self.nbytes,),
            "typestr": "|u1",
            "data": (self.address, False),
            "version": 3,
        }


def out_of_memory(nbytes: int | None) -> str:
    """PyTorch's message where the system has no room for so many bytes (None: not known)."""
    size = "" if nbytes is None else f" you tried to allocate {nbytes} bytes."
    return (
        "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
        f"memory:{size} Error code 12 (Cannot allocate memory)"
    )


def too_large(shape: tuple[int, ...], nbytes: int) -> str:
    """PyTorch's message for a tensor of so many bytes that no machine has room for it."""
    if nbytes >= 1 << 63:
        return f"Storage size calculation overflowed with sizes={list(shape)}"
    return out_of_memory(nbytes)


def allocate(nbytes: int) -> Buffer:
    """Uninitialised memory, aligned to 64 bytes.

    RuntimeError names what was asked for, and the largest holders of memory.
    """
    try:
        raw = np.empty(nbytes + ALIGNMENT, np.uint8)
    except (MemoryError, ValueError):
        raw = _last_memory(nbytes + ALIGNMENT)
        if raw is None:
            raise no_memory(nbytes) from None
    start = address_of(raw)
    return Buffer(raw, start + -start % ALIGNMENT, nbytes, -start % ALIGNMENT)


NO_MEMORY = allocate(0)


def _last_memory(nbytes: int) -> Any:
    """Memory after all that can be given back was; None where that is too little."""
    if nbytes >= HOPELESS:
        return None
    from flambeau.record.shortage import give_back

    give_back()
    try:
        return np.empty(nbytes, np.uint8)
    except (MemoryError, ValueError):
        return None


def no_memory(nbytes: int | None) -> RuntimeError:
    """PyTorch's error, with a line about who holds the memory."""
    from flambeau.record.shortage import explained

    error = RuntimeError(explained(out_of_memory(nbytes)))
    error.__dict__["short_of_memory"] = True
    return error


class Storage:
    """A tensor's memory: shared by all its views.

    `version` counts in-place writes, `silent` those that autograd does not. `exposed` says that
    something outside (a NumPy array) may read or write the memory at any time. `recording` and
    `base` say where the storage stands in the recording under way. `readers` are the recordings
    that read it as what an earlier program has saved: it does not stand in them.
    """

    __slots__ = (
        "__weakref__",
        "base",
        "buffer",
        "dtype",
        "exposed",
        "foreign",
        "offset",
        "readers",
        "recording",
        "silent",
        "version",
    )

    def __init__(self, buffer: Buffer) -> None:
        self.buffer = buffer
        self.version = self.silent = 0
        self.exposed = False
        self.foreign: Any = None  # the NumPy array whose memory this is
        self.recording: Any = None
        self.readers: tuple[Any, ...] = ()
        self.base = -1
        self.dtype: DType | None = None  # and the dtype, with
        self.offset = 0  # the byte offset by which the recording under way knows this storage

    @property
    def nbytes(self) -> int:
        return self.buffer.nbytes

    def read_by(self, rec: Any, alone: tuple[Any]) -> None:
        """Notes that a recording reads it as what an earlier program has saved; `alone` is (rec,),
        made once for many storages.
        """
        others = [r for r in self.readers if not r.done and r is not rec] if self.readers else ()
        self.readers = (*others, rec) if others else alone

    def array(self, dtype: DType) -> Array:
        """The memory as a flat array of `dtype` (storage form); it keeps the buffer alive."""
        return self.buffer.shown(self.buffer.nbytes // dtype.itemsize, dtype.numpy, 0, None)

    def still_exposed(self) -> bool:
        """Whether anybody outside still holds the memory; forgets the exposure when nobody does."""
        if sys.getrefcount(self.buffer) > BUFFER_BASELINE:
            return True
        if self.foreign is None:
            if self.buffer.start >= 0 and sys.getrefcount(self.buffer.owner) > OWNER_BASELINE:
                return True
        else:
            held = _foreign_count(self) > FOREIGN_BASELINE
            array = self.foreign
            if held or array is not self.buffer.owner:
                return True
            while isinstance(array.base, np.ndarray):
                if _base_count(array) > BASE_BASELINE:
                    return True
                array = array.base
            if array.base is not None:
                return True
        self.exposed = False
        return False


# How often what nobody else holds is counted: measured, since interpreters differ.


def _foreign_count(storage: Storage) -> int:
    return sys.getrefcount(storage.foreign)


def _base_count(array: Array) -> int:
    return sys.getrefcount(array.base)


DEAD_COUNT = next(map(sys.getrefcount, [object()]))
"""That of what a list alone holds, as `map` finds it: no frame adds to that in any interpreter."""


def _buffer_baseline() -> int:
    storage = Storage(allocate(0))
    return sys.getrefcount(storage.buffer)


def _owner_baseline() -> int:
    storage = Storage(allocate(0))
    return sys.getrefcount(storage.buffer.owner)


def _foreign_baseline() -> int:
    return _foreign_count(storage_over_array(np.empty(1))[0])


BUFFER_BASELINE = _buffer_baseline()
OWNER_BASELINE = _owner_baseline()


def storage_from_array(array: Array) -> Storage:
    """A new storage with a copy of the array's elements, row-major."""
    storage = Storage(allocate(array.nbytes))
    if array.nbytes:
        storage.buffer.shown(array.shape, array.dtype, 0, None)[...] = array
    return storage


def storage_of_fresh(array: Array) -> Storage:
    """A storage whose memory is that of an array that nobody else knows (or a copy, where it is a
    part of something larger, or not row-major).
    """
    owner = array if array.base is None else array.base
    if (
        type(owner) is not np.ndarray
        or owner.base is not None
        or owner.nbytes != array.nbytes
        or not (array.flags.c_contiguous and owner.flags.c_contiguous)
        or not array.nbytes
    ):
        return storage_from_array(array)
    return Storage(Buffer(owner, address_of(owner), owner.nbytes, 0))


def storage_over_array(array: Array) -> tuple[Storage, int]:
    """A storage that is the array's memory, and the byte offset of the first element in it."""
    low = high = start = 0
    if array.size and array.flags.c_contiguous:
        low = start = address_of(array)
        high = low + array.nbytes
    elif array.size:
        low, high = np.lib.array_utils.byte_bounds(array)
        start = array.__array_interface__["data"][0]
    storage = Storage(Buffer(array, low, high - low))
    storage.exposed = True
    storage.foreign = array
    return storage, start - low


def snapshot(source: Storage, start: int, size: int) -> Storage:
    """A copy of `size` bytes of a storage."""
    copy = Storage(allocate(size))
    np.asarray(copy.buffer)[:size] = np.asarray(source.buffer)[start : start + size]
    return copy


FOREIGN_BASELINE = _foreign_baseline()
BASE_BASELINE = _base_count(np.empty(2)[:1])
