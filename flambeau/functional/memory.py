"""Storages as users see them, and what tensors say of their memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType, bfloat16, bfloat16_from_float32
from flambeau.core.notice import warn_once
from flambeau.core.shapes import contiguous_strides, storage_extent
from flambeau.functional.creation import empty_strided
from flambeau.functional.from_data import as_tensor, frombuffer
from flambeau.functional.legacy_types import LEGACY_TYPES
from flambeau.functional.options import checked_dtype
from flambeau.record import recorder
from flambeau.record.changes import CHANGES
from flambeau.record.meta import meta_of
from flambeau.record.storage import Storage, allocate, storage_from_array, storage_over_array
from flambeau.tensor.tensor import CPU, Tensor, from_storage


class UntypedStorage:
    """The bytes that a tensor and its views share. len() and indices count bytes."""

    is_cuda = is_sparse = is_sparse_csr = is_hpu = False
    filename = None

    def __init__(self, *size: Any, device: Any = None, _of: Tensor | None = None) -> None:
        if _of is None:
            given = size[0] if size else 0
            if isinstance(given, int):
                data = np.zeros(given, np.uint8)
            else:
                data = np.array(given, np.uint8)
            _of = from_storage(storage_from_array(data), meta_of(dtypes.uint8, data.shape))
        self._tensor = _of

    @property
    def _storage(self) -> Storage:
        return self._tensor._settled()

    def _as_bytes(self) -> Tensor:
        """All of the memory as a tensor of bytes."""
        whole = self._storage.nbytes // self._tensor.dtype.itemsize
        flat: Tensor = self._tensor.detach().as_strided((whole,), (1,), 0).view(dtypes.uint8)
        return flat

    def _bytes(self) -> Any:
        """All of the memory as a writable array; others may see what is written there."""
        storage = self._storage
        recorder.flush()
        return np.asarray(storage.buffer)

    @staticmethod
    def from_file(filename: Any, shared: bool = False, nbytes: int = 0) -> UntypedStorage:
        """A file's bytes, mapped: what is written reaches the file where `shared`.

        RuntimeError where the file has fewer bytes (a shared one grows, and is made if needed).
        """
        path = os.fspath(filename)
        if shared:
            with Path(path).open("ab") as file:
                if file.tell() < nbytes:
                    file.truncate(nbytes)
        elif os.path.getsize(path) < nbytes:
            raise RuntimeError(
                f"file <{path}> size <{os.path.getsize(path)}> is smaller than the required "
                f"mapping size <{nbytes}>"
            )
        if nbytes == 0:
            return UntypedStorage(0)
        mapped: Any = np.memmap(path, np.uint8, "r+" if shared else "c", shape=(nbytes,))
        storage, _ = storage_over_array(mapped)
        return UntypedStorage(_of=from_storage(storage, meta_of(dtypes.uint8, (nbytes,))))

    def nbytes(self) -> int:
        """Size in bytes."""
        return self._storage.nbytes

    size = nbytes

    def __len__(self) -> int:
        return self.nbytes()

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def element_size(self) -> int:
        return 1

    def data_ptr(self) -> int:
        """The address of the first byte (0 where there is none)."""
        storage = self._storage
        return storage.buffer.address if storage.nbytes else 0

    @property
    def device(self) -> Device:
        return CPU

    def get_device(self) -> int:
        return -1

    def tolist(self) -> list[Any]:
        """The bytes as a list."""
        listed: list[Any] = self._bytes().tolist()
        return listed

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return UntypedStorage(self._bytes()[index])
        return int(self._bytes()[index])

    def __setitem__(self, index: Any, value: Any) -> None:
        self._write(lambda memory: memory.__setitem__(index, value))

    def _write(self, change: Callable[[Any], Any]) -> None:
        storage = self._storage
        change(self._bytes())
        storage.version += 1

    def fill_(self, value: int) -> UntypedStorage:
        """Overwrites every byte."""
        self._write(lambda memory: memory.fill(value))
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Overwrites the bytes with those of another storage of the same size."""
        given = source.untyped()._bytes()
        if len(given) != self.nbytes():
            raise RuntimeError("size does not match")
        self._write(lambda memory: memory.__setitem__(slice(None), given))
        return self

    def clone(self) -> UntypedStorage:
        """A copy with its own memory."""
        return UntypedStorage(self._bytes())

    def resize_(self, size: int) -> UntypedStorage:
        """Another number of bytes; what fits of the old ones stays."""
        storage = self._storage
        recorder.flush()
        if storage.exposed and storage.still_exposed():
            raise RuntimeError("Trying to resize storage that is not resizable")
        grown = allocate(size)
        kept = min(size, storage.nbytes)
        np.asarray(grown)[:kept] = np.asarray(storage.buffer)[:kept]
        storage.buffer = grown
        CHANGES.count += 1  # addresses that are known are not right any more
        # A program reuses the storages of its last results unless somebody holds their memory: it
        # must not find one whose size is no longer what it was.
        storage.foreign = grown
        return self

    def resizable(self) -> bool:
        storage = self._storage
        return not (storage.exposed and storage.still_exposed())

    def is_shared(self) -> bool:
        from flambeau.functional.shared_memory import is_shared

        return is_shared(self._storage)

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def cpu(self) -> UntypedStorage:
        return self

    def untyped(self) -> UntypedStorage:
        return self

    def share_memory_(self) -> UntypedStorage:
        from flambeau.functional.shared_memory import share

        share(self._storage)
        return self

    def type(self) -> str:
        return "torch.storage.UntypedStorage"

    def __eq__(self, other: Any) -> bool:
        return isinstance(other, UntypedStorage) and other._storage is self._storage

    def __hash__(self) -> int:
        return id(self._storage)

    def __repr__(self) -> str:
        lines = "\n ".join(str(v) for v in self.tolist())
        return f" {lines}\n[torch.storage.UntypedStorage(device=cpu) of size {self.nbytes()}]"


class TypedStorage:
    """A storage's bytes as elements of a dtype: what `Tensor.storage()` gives."""

    is_cuda = is_sparse = False
    dtype: DType

    def __init__(
        self, *args: Any, dtype: Any = None, device: Any = None, wrap_storage: Any = None
    ) -> None:
        self.dtype = checked_dtype(dtype)
        if wrap_storage is not None:
            self._untyped: UntypedStorage = wrap_storage
            return
        given = args[0] if args else 0
        data = np.zeros(given) if isinstance(given, int) else np.asarray(given)
        if self.dtype is bfloat16:  # which NumPy knows as bits only
            array: Any = bfloat16_from_float32(data.astype(np.float32))
        else:
            array = data.astype(self.dtype.numpy)
        self._untyped = UntypedStorage(
            _of=from_storage(storage_from_array(array), meta_of(self.dtype, array.shape))
        )

    def _elements(self) -> Any:
        memory = self._untyped._bytes()
        count = len(memory) // self.dtype.itemsize
        return memory[: count * self.dtype.itemsize].view(self.dtype.numpy)

    def untyped(self) -> UntypedStorage:
        return self._untyped

    def size(self) -> int:
        """Number of elements."""
        return self._untyped.nbytes() // self.dtype.itemsize

    def __len__(self) -> int:
        return self.size()

    def nbytes(self) -> int:
        return self._untyped.nbytes()

    def element_size(self) -> int:
        return self.dtype.itemsize

    def data_ptr(self) -> int:
        return self._untyped.data_ptr()

    @property
    def device(self) -> Device:
        return CPU

    def get_device(self) -> int:
        return -1

    def tolist(self) -> list[Any]:
        """The elements as a list."""
        whole = self._as_tensor()
        listed: list[Any] = whole.tolist()
        return listed

    def _as_tensor(self) -> Tensor:
        return from_storage(self._untyped._storage, meta_of(self.dtype, (self.size(),)))

    def __iter__(self) -> Iterator[Any]:
        return iter(self.tolist())

    def __getitem__(self, index: Any) -> Any:
        shown = self._as_tensor()[index]
        return storage(shown) if isinstance(index, slice) else shown.item()

    def __setitem__(self, index: Any, value: Any) -> None:
        self._as_tensor()[index] = value

    def fill_(self, value: Any) -> TypedStorage:
        """Overwrites every element."""
        self._as_tensor().fill_(value)
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> TypedStorage:
        """Overwrites the elements with those of another storage of the same size."""
        self._as_tensor().copy_(source._as_tensor())
        return self

    def resize_(self, size: int) -> TypedStorage:
        """Another number of elements."""
        self._untyped.resize_(size * self.dtype.itemsize)
        return self

    def clone(self) -> TypedStorage:
        """A copy with its own memory."""
        return TypedStorage(wrap_storage=self._untyped.clone(), dtype=self.dtype)

    def cpu(self) -> TypedStorage:
        return self

    def is_shared(self) -> bool:
        return self._untyped.is_shared()

    def share_memory_(self) -> TypedStorage:
        self._untyped.share_memory_()
        return self

    def is_pinned(self, device: Any = None) -> bool:
        return False

    def type(self) -> str:
        return "torch." + _storage_name(self.dtype)

    pickle_storage_type = type

    def __repr__(self) -> str:
        lines = "\n ".join(str(v) for v in self.tolist())
        return (
            f" {lines}\n[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size "
            f"{self.size()}]"
        )


_TENSOR_NAMES = {kind.dtype: name for name, kind in LEGACY_TYPES.items()}


def _storage_name(dtype: DType) -> str:
    return _TENSOR_NAMES[dtype].replace("Tensor", "Storage")


def asarray(
    obj: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    copy: bool | None = None,
    requires_grad: bool | None = None,
) -> Tensor:
    """`obj` as a tensor: a tensor, an array, numbers, or what has bytes (of `dtype`).

    Memory is shared where it can be, unless `copy`. ValueError for copy=False where it cannot.
    """
    if isinstance(obj, UntypedStorage):
        made = obj._as_bytes().view(checked_dtype(dtype or dtypes.int64))
    elif isinstance(obj, (bytes, bytearray, memoryview)):  # of numbers that only the caller knows
        made = frombuffer(obj, dtype=dtype or dtypes.get_default_dtype())
    else:
        made = as_tensor(obj, dtype=dtype, device=device)
        shared = isinstance(obj, (Tensor, np.ndarray)) and made.dtype == as_tensor(obj).dtype
        if copy is False and not shared:
            raise ValueError("can't alias this into a tensor: its numbers have to be copied")
        if copy and not shared:
            copy = False  # it is one
    if copy:
        made = made.detach().clone()
    if requires_grad is not None and requires_grad != made.requires_grad:
        made = made.detach().requires_grad_(requires_grad)
    return made


class _LegacyStorage(type):
    """The type of torch.FloatStorage and its like: isinstance looks at the dtype."""

    dtype: DType

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, TypedStorage) and instance.dtype is cls.dtype


def _legacy(dtype: DType) -> Any:
    def make(cls: Any, *args: Any) -> TypedStorage:
        return TypedStorage(*args, dtype=dtype)

    name = _storage_name(dtype)
    said = f"A storage of {dtype} elements (deprecated, as in PyTorch)."
    members = {"dtype": dtype, "__new__": make, "__module__": "torch", "__doc__": said}
    return _LegacyStorage(name, (), members)


LEGACY_STORAGES = {_storage_name(kind): _legacy(kind) for kind in _TENSOR_NAMES}


def is_storage(obj: Any) -> bool:
    """Whether obj is a storage."""
    return isinstance(obj, (UntypedStorage, TypedStorage))


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The tensor's storage, as bytes."""
    self._settled()
    return UntypedStorage(_of=self)


def storage(self: Tensor) -> TypedStorage:
    """The tensor's storage, as elements of its dtype (deprecated in PyTorch)."""
    warn_once(
        "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be "
        "the only storage class. This should only matter to you if you are using storages "
        "directly.  To access UntypedStorage directly, use tensor.untyped_storage() instead of "
        "tensor.storage()"
    )
    return TypedStorage(wrap_storage=untyped_storage(self), dtype=self.dtype)


def storage_type(self: Tensor) -> Any:
    """The legacy class of the tensor's storage."""
    return LEGACY_STORAGES[_storage_name(self.dtype)]


def over_storage(dtype: DType, source: Any, offset: int, size: Any, stride: Any) -> Tensor:
    """A tensor of a layout over a storage (None: nothing); all of it in one dimension by default.

    RuntimeError where the layout reaches beyond the storage.
    """
    if source is None:
        return from_storage(storage_from_array(np.empty(0, dtype.numpy)), meta_of(dtype, (0,)))
    if isinstance(source, TypedStorage):
        source = source.untyped()
    if not isinstance(source, UntypedStorage):
        raise TypeError(f"set_(): argument 'source' must be Tensor, not {type(source).__name__}")
    memory = source._storage
    shape = (memory.nbytes // dtype.itemsize,) if size is None else tuple(size)
    strides = contiguous_strides(shape) if stride is None else tuple(stride)
    last = (offset + storage_extent(shape, strides)) * dtype.itemsize
    if last > memory.nbytes:
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {dtype.itemsize} requiring a storage size of {last} are out of bounds "
            f"for storage of size {memory.nbytes}"
        )
    return from_storage(memory, meta_of(dtype, shape, strides), offset)


# ---- what tensors say of their memory ------------------------------------------------------------


def is_set_to(self: Tensor, tensor: Tensor) -> bool:
    """Whether both show the same elements of one storage in the same layout."""
    same = self._settled() is tensor._settled() and self._offset == tensor._offset
    return same and self.shape == tensor.shape and self.stride() == tensor.stride()


def dim_order(self: Tensor, *, ambiguity_check: Any = False) -> tuple[int, ...]:
    """The dimensions from the one with the greatest stride to the one with the least."""
    if ambiguity_check is not False:
        raise NotImplementedError("dim_order() with ambiguity_check is not supported")
    return tuple(sorted(range(self.ndim), key=lambda a: -self.stride(a)))


def never(self: Tensor, *args: Any) -> bool:
    """False: tensors here are in plain memory of this process."""
    return False


def record_stream(self: Tensor, stream: Any) -> None:
    """Accepted: nothing runs beside the program on the CPU."""


def new_empty_strided(
    self: Tensor, size: Any, stride: Any, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """An uninitialised tensor with these sizes and strides, by default of this dtype."""
    return empty_strided(
        size, stride, dtype=self.dtype if dtype is None else dtype, layout=layout, device=device,
        pin_memory=pin_memory, requires_grad=requires_grad,
    )  # fmt: skip


def empty_permuted(size: Any, physical_layout: Any, **options: Any) -> Tensor:
    """An uninitialised tensor whose dimensions lie in memory in the order of physical_layout."""
    size, order = tuple(size), tuple(physical_layout)
    if len(order) != len(size):
        raise RuntimeError(
            f"Number of dimensions in size does not match the length of the physical_layout; "
            f"i.e. len(size) = {len(size)} is not equal to len(physical_layout) = {len(order)}"
        )
    for axis in order:
        if not 0 <= axis < len(size):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(size) - 1}, but got "
                f"{axis} at index {order.index(axis)}).  NB: negative dims not currently "
                "supported; file an issue if you want it."
            )
        if order.count(axis) > 1:
            raise RuntimeError("Duplicate dim not allowed")
    strides, step = [0] * len(size), 1
    for axis in reversed(order):
        strides[axis] = step
        step *= max(size[axis], 1)
    return empty_strided(size, tuple(strides), **options)


METHODS: dict[str, Callable[..., Any]] = {
    "untyped_storage": untyped_storage, "storage": storage, "_typed_storage": storage,
    "storage_type": storage_type, "is_set_to": is_set_to, "dim_order": dim_order,
    "is_pinned": never, "is_inference": never, "is_distributed": never,
    "is_coalesced": never, "is_conj": never, "is_neg": never, "_is_zerotensor": never,
    "record_stream": record_stream, "new_empty_strided": new_empty_strided,
    "const_data_ptr": Tensor.data_ptr,
}  # fmt: skip
__all__ = [
    "TypedStorage", "UntypedStorage", "asarray", "empty_permuted", "is_storage", *LEGACY_STORAGES,
]  # fmt: skip
globals().update(LEGACY_STORAGES)
