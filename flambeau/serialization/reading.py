"""torch.load: PyTorch's files, zip and legacy, read without running code unless it is asked for."""

from __future__ import annotations

import io
import os
import pickle
import pickletools
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType
from flambeau.functional.memory import TypedStorage, UntypedStorage
from flambeau.record.meta import meta_of
from flambeau.record.storage import Buffer, Storage, allocate, storage_over_array
from flambeau.serialization import names
from flambeau.serialization.archive import ZipReader, damaged
from flambeau.serialization.options import PRIVATE, SETTINGS, LoadEndianness
from flambeau.serialization.restricted import Blocked, NotAllowed, RestrictedUnpickler
from flambeau.serialization.writing import LEGACY_PROTOCOL, MAGIC, File
from flambeau.tensor.tensor import from_storage

Restore = Callable[[TypedStorage, str], TypedStorage]
_HINT = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` "
    "from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will "
    "likely succeed, but it can result in arbitrary code execution. Do it only if you got the "
    "file from a trusted source."
)
# What a damaged pickle may lead to while it is read.
_NONSENSE = (
    KeyError,
    IndexError,
    TypeError,
    ValueError,
    AttributeError,
    OverflowError,
    RecursionError,
    MemoryError,
    struct.error,
    AssertionError,
)


# ---- where storages go ---------------------------------------------------------------------------


def default_restore_location(storage: Any, location: str) -> Any:
    """The storage at the place that a file names. RuntimeError for places that are not here."""
    if location == "cpu":
        return storage
    kind = location.partition(":")[0]
    if kind == "cuda":
        raise RuntimeError(
            "Attempting to deserialize object on a CUDA device but torch.cuda.is_available() is "
            "False. If you are running on a CPU-only machine, please use torch.load with "
            "map_location=torch.device('cpu') to map your storages to the CPU."
        )
    if kind in ("meta", "mps", "xpu", "hpu", "privateuseone"):
        raise NotImplementedError(
            f"torch.load: storages of the device {kind} are not supported; map_location='cpu'"
        )
    raise RuntimeError(
        "don't know how to restore data location of torch.storage.UntypedStorage "
        f"(tagged with {location})"
    )


def _restorer(map_location: Any) -> Restore:
    if map_location is None:
        return default_restore_location
    if isinstance(map_location, dict):
        return lambda storage, location: default_restore_location(
            storage, str(map_location.get(location, location))
        )
    if isinstance(map_location, (str, Device)):
        return lambda storage, _: default_restore_location(storage, str(map_location))

    def restore(storage: TypedStorage, location: str) -> TypedStorage:
        found = map_location(storage.untyped(), location)
        if found is None:
            return default_restore_location(storage, location)  # type: ignore[no-any-return]
        return TypedStorage(wrap_storage=found.untyped(), dtype=storage.dtype)

    return restore


def _typed(storage: Storage, dtype: DType) -> TypedStorage:
    whole = from_storage(storage, meta_of(dtypes.uint8, (storage.nbytes,)))
    return TypedStorage(wrap_storage=UntypedStorage(_of=whole), dtype=dtype)


def _identity(identity: Any, length: int) -> tuple[DType, str, str, int]:
    """dtype, key, location and number of elements of a storage that a pickle refers to."""
    if not isinstance(identity, tuple) or len(identity) != length:
        raise pickle.UnpicklingError("a storage is not described as PyTorch does")
    _, kind, key, location, count = identity[:5]
    texts = [t.decode("ascii") if isinstance(t, bytes) else t for t in (key, location)]
    fine = isinstance(kind, names.StorageKind) and all(isinstance(t, str) for t in texts)
    if not fine or type(count) is not int or count < 0:
        raise pickle.UnpicklingError("a storage is not described as PyTorch does")
    return kind.dtype or dtypes.uint8, texts[0], texts[1], count


def _swap(memory: Any, dtype: DType) -> None:
    """Turn big-endian elements round, in place."""
    size = dtype.itemsize // (2 if dtype.is_complex else 1)
    if size > 1:
        elements = memory[: len(memory) // size * size].view(f"u{size}")
        elements.byteswap(inplace=True)


# ---- pickles -------------------------------------------------------------------------------------


class _TrustingUnpickler(pickle.Unpickler):
    """What load(weights_only=False) reads with: pickle's own machine, PyTorch's names found."""

    def __init__(self, file: IO[bytes], load: Callable[[Any], Any], options: Any) -> None:
        super().__init__(file, **options)
        self._load = load

    def persistent_load(self, pid: Any) -> Any:
        return self._load(pid)

    def find_class(self, module: str, name: str) -> Any:
        if module.partition(".")[0] in ("torch", "torchvision", "torchmetrics"):
            missing = names.unsupported(module, name)
            if missing is not None:
                raise NotImplementedError(f"the file holds {missing}, which Flambeau does not have")
            return names.find(module, name)
        return super().find_class(module, name)


def _no_storage(identity: Any) -> Any:
    raise pickle.UnpicklingError("a storage where none belongs")


class _Machine:
    """Reads the pickles of one file, in the restricted or the trusting way."""

    def __init__(self, weights_only: bool, options: dict[str, Any]) -> None:
        self.weights_only = weights_only
        self._options = {"encoding": "utf-8", **options}
        self._trusted = names.user_globals() if weights_only else {}

    def load(self, file: IO[bytes], left: int, persistent: Callable[[Any], Any]) -> Any:
        if not self.weights_only:
            return _TrustingUnpickler(file, persistent, self._options).load()
        machine = RestrictedUnpickler(
            file, left, names.known(), self._trusted, persistent, self._options["encoding"]
        )
        try:
            return machine.load()
        except (NotAllowed, Blocked, pickle.UnpicklingError) as error:
            raise pickle.UnpicklingError(_explained(error)) from None
        except _NONSENSE as error:
            raise pickle.UnpicklingError(
                f"Weights only load failed. The pickle in the file is damaged or not one of "
                f"PyTorch's: {type(error).__name__}: {str(error)[:200]}"
            ) from error


def _explained(error: Exception) -> str:
    if isinstance(error, NotAllowed):
        return (
            "Weights only load failed. This file can still be loaded, to do so you have two "
            "options, \033[1mdo those steps only if you trust the source of the checkpoint"
            f"\033[0m. \n\t(1) {_HINT}\n\t(2) Alternatively, to load with `weights_only=True` "
            "please check the recommended steps in the following error message.\n\t"
            f"WeightsUnpickler error: {error}"
        )
    if isinstance(error, Blocked):
        return f"Weights only load failed. {_HINT}\n\n{error}"
    return f"Weights only load failed. {_HINT}\n\nWeightsUnpickler error: {error}"


# ---- zip files -----------------------------------------------------------------------------------


class _ZipFile:
    """The storages of a zip file, each made once."""

    def __init__(self, archive: ZipReader, restore: Restore, mapped: Any) -> None:
        self._archive = archive
        self._restore = restore
        self._mapped = mapped
        self._made: dict[str, TypedStorage] = {}
        self._swaps = _is_big(archive)

    def storage(self, identity: Any) -> TypedStorage:
        dtype, key, location, count = _identity(identity, 5)
        found = self._made.get(key)
        if found is None:
            found = self._made[key] = self._restore(self._read(key, dtype, count), location)
        return TypedStorage(wrap_storage=found.untyped(), dtype=dtype)

    def _read(self, key: str, dtype: DType, count: int) -> TypedStorage:
        name = f"data/{key}"
        size = self._archive.size(name)
        if size < count * dtype.itemsize:
            raise damaged(f"storage {key} has {size} bytes, not {count * dtype.itemsize}")
        start = None if self._mapped is None or self._swaps else self._archive.place(name)
        if start is not None and start % dtype.itemsize == 0:
            return _typed(_storage_over(self._mapped[start : start + size]), dtype)
        storage = Storage(allocate(size))
        memory = np.asarray(storage.buffer)
        if size:
            self._archive.read_into(name, memory)
        if self._swaps:
            _swap(memory, dtype)
        return _typed(storage, dtype)


def _storage_over(mapped: Any) -> Storage:
    """A storage that is a part of a mapped file: written to, it is the process's own copy."""
    if SETTINGS.mmap_flags != PRIVATE:
        return storage_over_array(mapped)[0]
    address = mapped.__array_interface__["data"][0] if mapped.size else 0
    return Storage(Buffer(mapped, address, mapped.size))


def _is_big(archive: ZipReader) -> bool:
    if "byteorder" in archive:
        order = archive.read("byteorder")
        if order not in (b"little", b"big"):
            raise ValueError(f"Unknown endianness type: {order[:20]!r}")
        return order == b"big"
    return SETTINGS.endianness is LoadEndianness.BIG


def _load_zip(file: IO[bytes], size: int, restore: Restore, machine: _Machine, path: Any) -> Any:
    archive = ZipReader(file, size)
    if "constants.pkl" in archive:
        raise RuntimeError(
            "Cannot use ``torch.load`` on TorchScript archives: the file holds a compiled program. "
            "Save the module's state_dict() in PyTorch instead."
        )
    if "version" not in archive:
        raise RuntimeError('Expected hasRecord("version") to be true, but got false.')
    mapped = None
    if path is not None:
        private = SETTINGS.mmap_flags == PRIVATE
        mapped = np.memmap(path, np.uint8, "c" if private else "r+")
    data = archive.read("data.pkl")
    storages = _ZipFile(archive, restore, mapped)
    return machine.load(io.BytesIO(data), len(data), storages.storage)


# ---- legacy files --------------------------------------------------------------------------------


class _LegacyFile:
    """The storages of a legacy file: first only sizes are known, the bytes come at the end."""

    def __init__(self, size: int, restore: Restore) -> None:
        self._left = size
        self._restore = restore
        self._made: dict[str, tuple[TypedStorage, TypedStorage, int]] = {}

    def storage(self, identity: Any) -> TypedStorage:
        if isinstance(identity, tuple) and identity[:1] == ("module",):
            # The source of a module's class rode along once; the class alone is what counts.
            return identity[1]  # type: ignore[no-any-return]
        dtype, key, location, count = _identity(identity, 6)
        if key not in self._made:
            self._left -= count * dtype.itemsize
            if self._left < 0:
                raise RuntimeError("unexpected EOF: the storages are larger than the file")
            plain = _typed(Storage(allocate(count * dtype.itemsize)), dtype)
            self._made[key] = plain, self._restore(plain, location), count
        found = self._made[key][1]
        view = identity[5]
        if view is None:
            return TypedStorage(wrap_storage=found.untyped(), dtype=dtype)
        raise NotImplementedError("torch.load: views of storages, of PyTorch before 0.4")

    def fill(self, file: IO[bytes], keys: Any, big: bool) -> None:
        if not isinstance(keys, list) or set(map(str, keys)) != set(self._made):
            raise RuntimeError("the file's list of storages is not that of its tensors")
        for key in keys:
            plain, _, count = self._made[str(key)]
            head = file.read(8)
            if len(head) != 8 or struct.unpack("<q", head)[0] != count:
                raise RuntimeError(f"storage {key} has not the size that the file says")
            memory = plain.untyped()._bytes()
            data = file.read(len(memory))
            if len(data) != len(memory):
                missing = len(memory) - len(data)
                raise RuntimeError(
                    f"unexpected EOF, expected {missing} more bytes. The file might be corrupted."
                )
            memory[:] = np.frombuffer(data, np.uint8)
            if big:
                _swap(memory, plain.dtype)


def _load_legacy(file: IO[bytes], size: int, restore: Restore, machine: _Machine) -> Any:
    start = file.tell()
    if file.read(1) == b"":
        raise EOFError("Ran out of input")
    file.seek(start)
    magic = machine.load(file, size, _no_storage)
    if magic != MAGIC or type(magic) is not int:
        raise RuntimeError("Invalid magic number; corrupt file?")
    protocol = machine.load(file, size, _no_storage)
    if protocol != LEGACY_PROTOCOL:
        raise RuntimeError(f"Invalid protocol version: {str(protocol)[:50]}")
    system = machine.load(file, size, _no_storage)
    big = isinstance(system, dict) and not system.get("little_endian", True)
    storages = _LegacyFile(size, restore)
    value = machine.load(file, size, storages.storage)
    storages.fill(file, machine.load(file, size, _no_storage), big)
    return value


# ---- load ----------------------------------------------------------------------------------------


def load(
    f: File,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Reads what `save`, here or in PyTorch, wrote.

    Runs no code of the file unless weights_only=False says that its source is trusted (whole
    modules need that: their classes are the file's choice). UnpicklingError for objects that are
    not allowed, RuntimeError or EOFError for damaged files.
    """
    if pickle_module is not None:
        if weights_only:
            raise RuntimeError(
                "Can not safely load weights when explicit pickle_module is specified"
            )
        if pickle_module is not pickle:
            raise NotImplementedError("torch.load: pickle_module must be Python's own pickle")
        weights_only = False
    if mmap and not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    machine = _Machine(weights_only is None or bool(weights_only), pickle_load_args)
    restore = _restorer(map_location)
    if isinstance(f, (str, os.PathLike)):
        with Path(f).open("rb") as file:
            return _load(file, restore, machine, str(f) if mmap else None)
    for method in ("seek", "tell", "read", "readline"):
        if not hasattr(f, method):
            raise AttributeError(
                f"'{type(f).__name__}' object has no attribute '{method}'. You can only torch.load "
                "from a file that is seekable. Please pre-load the data into a buffer like "
                "io.BytesIO and try to load from it instead."
            )
    return _load(f, restore, machine, None)


def _load(file: IO[bytes], restore: Restore, machine: _Machine, path: str | None) -> Any:
    start = file.tell()
    file.seek(0, os.SEEK_END)
    size = file.tell()
    file.seek(start)
    first = file.read(4)
    file.seek(start)
    if first == b"PK\x03\x04":
        return _load_zip(file, size, restore, machine, path)
    if path is not None:
        raise RuntimeError(
            "mmap can only be used with files saved with "
            "`torch.save(_use_new_zipfile_serialization=True), please torch.save your checkpoint "
            "with this option in order to use mmap."
        )
    return _load_legacy(file, size - start, restore, machine)


def get_unsafe_globals_in_checkpoint(f: File) -> list[str]:
    """The names in a zip file that load(weights_only=True) would refuse; nothing is loaded."""
    if isinstance(f, (str, os.PathLike)):
        with Path(f).open("rb") as file:
            return get_unsafe_globals_in_checkpoint(file)
    f.seek(0, os.SEEK_END)
    size = f.tell()
    f.seek(0)
    if f.read(4) != b"PK\x03\x04":
        raise ValueError("Expected input to be a checkpoint returned by torch.save")
    f.seek(0)
    allowed = {**names.known(), **names.user_globals()}
    texts: list[str] = []
    found = set()
    for code, value, _ in pickletools.genops(ZipReader(f, size).read("data.pkl")):
        if isinstance(value, str) and "UNICODE" in code.name:
            texts.append(value)
        elif code.name == "GLOBAL":
            found.add(str(value).replace(" ", "."))
        elif code.name == "STACK_GLOBAL":
            found.add(".".join(texts[-2:]))
    renamed = {name.replace("__builtin__.", "builtins.") for name in found}
    return sorted(renamed - set(allowed))
