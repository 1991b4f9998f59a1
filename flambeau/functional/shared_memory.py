"""Tensors in memory that processes share (`share_memory_`), and how such tensors are sent on.

A shared storage lies over a mapped file without a name: a forked process sees the same pages, and
multiprocessing sends the file's descriptor. It is treated as memory that NumPy may write at any
time (`exposed`), so writes are done at once, and what an op reads is what is there then.
"""

from __future__ import annotations

import mmap
import os
import tempfile
from io import FileIO
from multiprocessing import reduction
from typing import Any
from weakref import WeakKeyDictionary, WeakValueDictionary

import numpy as np

from flambeau.core import dtypes
from flambeau.core.addresses import address_of
from flambeau.record import recorder
from flambeau.record.changes import CHANGES
from flambeau.record.meta import meta_of
from flambeau.record.storage import NO_MEMORY, Buffer, Storage
from flambeau.tensor.copying import own_attributes, reduced
from flambeau.tensor.tensor import Tensor, from_storage, retype

_FILES: WeakKeyDictionary[Storage, FileIO] = WeakKeyDictionary()
# By device and inode: two tensors of one storage that are sent arrive as two of one storage.
_OPEN: WeakValueDictionary[tuple[int, int], Storage] = WeakValueDictionary()
REFUSED = (
    "Cowardly refusing to serialize non-leaf tensor which requires_grad, since autograd does not "
    "support crossing process boundaries.  If you just want to transfer the data, call detach() on "
    "the tensor before serializing (e.g., putting it on the queue)."
)


def share(storage: Storage) -> None:
    """Move a storage to shared memory, if it is not there yet."""
    if storage in _FILES:
        return
    recorder.flush()
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create("flambeau")
    else:
        descriptor, path = tempfile.mkstemp()
        os.unlink(path)
    file = FileIO(descriptor, "r+")
    file.truncate(max(storage.nbytes, 1))
    held = np.asarray(storage.buffer)
    _lay_over(storage, file, storage.nbytes)
    np.asarray(storage.buffer)[...] = held
    CHANGES.count += 1  # addresses that are known are not right any more


def is_shared(storage: Storage) -> bool:
    """Whether a storage is in shared memory."""
    return storage in _FILES


def _lay_over(storage: Storage, file: FileIO, nbytes: int) -> None:
    pages = np.frombuffer(mmap.mmap(file.fileno(), max(nbytes, 1)), np.uint8)[:nbytes]
    storage.buffer = Buffer(pages, address_of(pages), nbytes)
    storage.exposed = True
    storage.foreign = pages
    _FILES[storage] = file
    _OPEN[_place(file.fileno())] = storage


def _place(descriptor: int) -> tuple[int, int]:
    found = os.fstat(descriptor)
    return found.st_dev, found.st_ino


def share_memory_(self: Tensor) -> Tensor:
    """Moves its storage to memory that is shared with processes that get it; the tensor itself."""
    share(self._settled())
    reduction.ForkingPickler.register(type(self), _sent)
    return self


def shares_memory(self: Tensor) -> bool:
    """Whether its storage is in memory shared with other processes."""
    return is_shared(self._settled())


def _sent(tensor: Any) -> Any:
    """For the pickler of multiprocessing: the file's descriptor, and the layout over the memory."""
    storage = tensor._settled()
    file = _FILES.get(storage)
    if file is None:
        return reduced(tensor)
    if tensor.requires_grad and not tensor.is_leaf:
        raise RuntimeError(REFUSED)
    meta = tensor._meta
    layout = (meta.dtype.name, tuple(meta.shape), tuple(meta.strides), tensor._offset)
    own = own_attributes(tensor)
    descriptor = reduction.DupFd(file.fileno())
    return _received, (
        type(tensor), descriptor, storage.nbytes, layout, meta.requires_grad, own
    )  # fmt: skip


def _received(
    cls: type, descriptor: Any, nbytes: int, layout: Any, requires_grad: bool, own: Any
) -> Any:
    """The tensor of `_sent`, in the process that gets it."""
    file = FileIO(descriptor.detach(), "r+")
    storage = _OPEN.get(_place(file.fileno()))
    if storage is None:
        storage = Storage(NO_MEMORY)
        _lay_over(storage, file, nbytes)
    else:
        file.close()
    reduction.ForkingPickler.register(cls, _sent)
    dtype, shape, strides, offset = layout
    meta = meta_of(dtypes.BY_NAME[dtype], shape, strides)
    out = retype(from_storage(storage, meta, offset), cls)
    out._meta = out._meta.replaced(requires_grad=requires_grad)
    out.__dict__.update(own)
    return out


METHODS = {"share_memory_": share_memory_, "is_shared": shares_memory}
