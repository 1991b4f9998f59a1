"""torch.save: a pickle of the object with PyTorch's names, and the bytes of its storages."""

from __future__ import annotations

import io
import os
import pickle
import struct
import tempfile
from collections import OrderedDict
from pathlib import Path
from types import FunctionType
from typing import IO, Any, ClassVar

import numpy as np

from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType
from flambeau.core.layout import Layout, sparse_coo, strided
from flambeau.core.size import Size
from flambeau.functional.memory import TypedStorage, UntypedStorage
from flambeau.nn.parameter import UninitializedTensorMixin
from flambeau.record.storage import Storage
from flambeau.serialization import rebuild
from flambeau.serialization.archive import ZipWriter
from flambeau.serialization.names import KINDS, UNTYPED, StorageKind, pytorch_name
from flambeau.tensor.copying import own_attributes
from flambeau.tensor.parameter import Buffer, Parameter
from flambeau.tensor.tensor import Tensor

File = str | os.PathLike[str] | IO[bytes]
PROTOCOL = 2
MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
_INT_SIZES = {"short": 2, "int": 4, "long": 4}


class _StorageName:
    """Stands in the pickle for a storage."""

    def __init__(self, storage: Storage, dtype: DType | None) -> None:
        self.storage = storage
        self.dtype = dtype


# Python's own pickler in Python: the one in C writes only names that it can import.
_Base: Any = pickle._Pickler


class _Pickler(_Base):  # type: ignore[misc]
    """Writes Flambeau's classes under PyTorch's names, and storages by their numbers."""

    dispatch: ClassVar[dict[Any, Any]] = _Base.dispatch.copy()

    def __init__(self, file: IO[bytes], protocol: int, legacy: bool = False) -> None:
        super().__init__(file, protocol)
        self._legacy = legacy
        self.storages: list[tuple[Storage, DType | None]] = []
        self._numbers: dict[int, int] = {}

    def persistent_id(self, obj: Any) -> Any:
        if isinstance(obj, TypedStorage):
            obj = _StorageName(obj.untyped()._storage, obj.dtype)
        elif isinstance(obj, UntypedStorage):
            obj = _StorageName(obj._storage, None)
        if not isinstance(obj, _StorageName):
            return None
        storage, dtype = obj.storage, obj.dtype
        number = self._numbers.get(id(storage))
        if number is None:
            number = self._numbers[id(storage)] = len(self.storages)
            self.storages.append((storage, dtype))
        elif dtype is not None and self.storages[number][1] is not None:
            if self.storages[number][1] is not dtype:
                raise RuntimeError(
                    "Cannot save multiple tensors or storages that view the same data as "
                    "different types"
                )
        elif dtype is not None:
            self.storages[number] = (storage, dtype)
        kind = UNTYPED if dtype is None else KINDS[dtype]
        count = storage.nbytes // (1 if dtype is None else dtype.itemsize)
        identity = ("storage", kind, str(number), "cpu", count)
        return (*identity, None) if self._legacy else identity

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, Tensor):
            return _reduced(obj)
        if isinstance(obj, DType):
            return obj.name
        return NotImplemented

    def save_global(self, obj: Any, name: str | None = None) -> None:
        found = pytorch_name(obj)
        if isinstance(obj, StorageKind):
            found = ("torch" if obj.dtype is not None else "torch.storage", obj.name)
        if found is None or found[0].startswith("__"):
            super().save_global(obj, name)
            return
        module, name = found
        if self.proto >= 4:
            self.save(module)
            self.save(name)
            self.write(pickle.STACK_GLOBAL)
        else:
            self.write(pickle.GLOBAL + f"{module}\n{name}\n".encode())
        self.memoize(obj)

    dispatch[FunctionType] = save_global
    dispatch[StorageKind] = save_global


def _plain(tensor: Tensor) -> tuple[Any, tuple[Any, ...]]:
    """The call that makes a tensor of the same storage, layout and requires_grad."""
    storage = tensor._settled()
    dtype = tensor.dtype
    layout = (tensor.storage_offset(), tuple(tensor.shape), tensor.stride())
    state: tuple[Any, ...] = (*layout, tensor.requires_grad, OrderedDict())
    if dtype in KINDS:
        return rebuild.rebuild_tensor_v2, (_StorageName(storage, dtype), *state)
    return rebuild.rebuild_tensor_v3, (_StorageName(storage, None), *state, dtype)


class _Layout:
    """A sparse layout: what is pickled as the function that finds it by name."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout

    def __reduce__(self) -> Any:
        return rebuild.get_layout, (str(self.layout),)


def _sparse(tensor: Any) -> tuple[Any, tuple[Any, ...]]:
    """The call that makes a sparse tensor of its parts."""
    values, size = tensor._entries.detach(), Size(tensor.shape)
    data: tuple[Any, ...]
    if tensor.layout is sparse_coo:
        data = (tensor._indices(), values, size, tensor.is_coalesced())
    else:
        data = (*(part for _, part in tensor.parts()), values, size)
    return rebuild.rebuild_sparse_tensor, (_Layout(tensor.layout), data)


class _Data:
    """The data of a parameter: what is pickled as a plain tensor."""

    def __init__(self, tensor: Tensor) -> None:
        self.tensor = tensor

    def __reduce__(self) -> Any:
        function, (storage, offset, size, stride, _, *rest) = _plain(self.tensor)
        return function, (storage, offset, size, stride, False, *rest)


def _reduced(tensor: Tensor) -> Any:
    if isinstance(tensor, UninitializedTensorMixin):
        return NotImplemented
    if tensor.layout is not strided:
        return _sparse(tensor)
    kind = type(tensor)
    own = own_attributes(tensor)
    if kind is Parameter:
        common: tuple[Any, ...] = (_Data(tensor), tensor.requires_grad, OrderedDict())
        if own:
            return rebuild.rebuild_parameter_with_state, (*common, own)
        return rebuild.rebuild_parameter, common
    if kind is Buffer:
        own["_is_buffer"] = True
    if kind in (Tensor, Buffer) and not own:
        return _plain(tensor)
    function, args = _plain(tensor)
    return rebuild.rebuild_from_type_v2, (function, Tensor if kind is Buffer else kind, args, own)


def _bytes_of(storage: Storage) -> Any:
    return np.asarray(storage.buffer).data if storage.nbytes else b""


def _write_zip(obj: Any, file: IO[bytes], folder: str, protocol: int) -> None:
    described = io.BytesIO()
    pickler = _Pickler(described, protocol)
    pickler.dump(obj)
    archive = ZipWriter(file, folder)
    archive.add("data.pkl", described.getvalue())
    archive.add(".format_version", b"1")
    archive.add(".storage_alignment", b"64")
    archive.add("byteorder", b"little")
    for number, (storage, _) in enumerate(pickler.storages):
        archive.add(f"data/{number}", _bytes_of(storage))
    archive.add("version", b"3\n")
    archive.close()


def _write_legacy(obj: Any, file: IO[bytes], protocol: int) -> None:
    system = {
        "protocol_version": LEGACY_PROTOCOL,
        "little_endian": True,
        "type_sizes": _INT_SIZES,
    }
    for head in (MAGIC, LEGACY_PROTOCOL, system):
        pickle.dump(head, file, protocol=protocol)
    pickler = _Pickler(file, protocol, legacy=True)
    pickler.dump(obj)
    # Ordered as PyTorch orders them: as texts.
    order = sorted(range(len(pickler.storages)), key=str)
    pickle.dump([str(number) for number in order], file, protocol=protocol)
    file.flush()
    for number in order:
        storage, dtype = pickler.storages[number]
        count = storage.nbytes // (1 if dtype is None else dtype.itemsize)
        file.write(struct.pack("<q", count))
        file.write(_bytes_of(storage)[: count * (1 if dtype is None else dtype.itemsize)])


def save(
    obj: Any,
    f: File,
    pickle_module: Any = pickle,
    pickle_protocol: int = PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Writes an object to a file that PyTorch reads as well, all or nothing.

    A file of that name is replaced only when the new one is complete and on the disk.
    PicklingError (or AttributeError, TypeError) for what pickle cannot write.
    """
    if pickle_module not in (None, pickle):
        raise NotImplementedError("torch.save: pickle_module must be Python's own pickle")
    if not isinstance(f, (str, os.PathLike)):
        if not hasattr(f, "write"):
            raise AttributeError(
                "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
            )
        _write(obj, f, "archive", pickle_protocol, _use_new_zipfile_serialization)
        return
    named = Path(f)
    if not named.parent.is_dir():
        raise RuntimeError(f"Parent directory {named.parent} does not exist.")
    folder = named.stem or "archive"
    if named.exists() and not named.is_file():  # a device or a pipe cannot be replaced
        with named.open("wb") as file:
            _write(obj, file, folder, pickle_protocol, _use_new_zipfile_serialization)
        return
    with replacing(named) as file:
        _write(obj, file, folder, pickle_protocol, _use_new_zipfile_serialization)


def _write(obj: Any, file: IO[bytes], folder: str, protocol: int, as_zip: bool) -> None:
    if as_zip:
        _write_zip(obj, file, folder, protocol)
    else:
        _write_legacy(obj, file, protocol)


class replacing:
    """A file to write, which takes the place of the one named when the block ends without error."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._target = Path(path).resolve()  # what a link leads to is replaced, not the link

    def __enter__(self) -> IO[bytes]:
        target = self._target
        handle, self._name = tempfile.mkstemp(".tmp", f".{target.name}.", target.parent)
        self._file: IO[bytes] = os.fdopen(handle, "wb")
        return self._file

    def __exit__(self, kind: Any, *_: Any) -> None:
        written = Path(self._name)
        try:
            with self._file as file:
                if kind is None:
                    file.flush()
                    os.fsync(file.fileno())
            if kind is None:
                _give_usual_rights(written, self._target)
                written.replace(self._target)
                _flush_folder(self._target.parent)
        finally:
            written.unlink(missing_ok=True)


def _flush_folder(folder: Path) -> None:
    """The new name is on the disk too, where the system has folders that can be flushed."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError:
        pass  # some file systems refuse; the file itself is safe
    finally:
        os.close(handle)


def _give_usual_rights(written: Path, target: Path) -> None:
    """The rights of the file that is replaced, or of one just created (mkstemp's are narrower)."""
    if target.exists():
        mode = target.stat().st_mode & 0o777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    written.chmod(mode)


def location_tag(storage: Any) -> str:
    """Where a storage is: always "cpu"."""
    return str(Device("cpu"))
