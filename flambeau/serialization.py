"""torch.save and torch.load of tensors and plain containers: a zip of arrays, described in JSON.

Note: what a file can do. A file holds `structure.json`, a tree of JSON values in which everything
but null, booleans, integers and strings is an object {"kind": ..., ...}, and one member
`storages/N` per storage with its bytes. Loading builds tensors and containers of the few kinds
named here and nothing else: no class is looked up, no code of the file runs. Tensors that share a
storage share it again after loading.
"""

from __future__ import annotations

import base64
import io
import json
import os
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.device import check_available
from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType
from flambeau.core.shapes import storage_extent
from flambeau.core.size import Size
from flambeau.record.meta import meta_of
from flambeau.record.storage import Storage, allocate
from flambeau.tensor.parameter import Parameter
from flambeau.tensor.tensor import Tensor, from_storage

__all__ = ["load", "save"]

STRUCTURE = "structure.json"
FORMAT = "flambeau 1"
File = str | os.PathLike[str] | IO[bytes]


# ---- saving --------------------------------------------------------------------------------------


class _Writer:
    """Turns a value into JSON, collecting the storages it needs."""

    def __init__(self) -> None:
        self.storages: list[Storage] = []
        self.places: dict[int, int] = {}
        self.above: set[int] = set()  # the containers under way

    def encode(self, value: Any, path: str) -> Any:
        if value is None or type(value) in (bool, int, str):
            return value
        if isinstance(value, Tensor):
            return self.tensor(value, path)
        if type(value) in (list, tuple, set, frozenset, dict, OrderedDict):
            return self.container(value, path)
        return self.leaf(value, path)

    def leaf(self, value: Any, path: str) -> Any:
        kind = type(value)
        if kind is float:
            return {"kind": "float", "value": value.hex()}
        if kind is complex:
            return {"kind": "complex", "value": [value.real.hex(), value.imag.hex()]}
        if kind is bytes:
            return {"kind": "bytes", "value": base64.b64encode(value).decode()}
        if isinstance(value, Size):
            return {"kind": "size", "value": list(value)}
        if isinstance(value, DType):
            return {"kind": "dtype", "value": value.name}
        if isinstance(value, Device):
            return {"kind": "device", "value": str(value)}
        if isinstance(value, (np.ndarray, np.generic)) and value.dtype.kind in "biufc":
            return self.array(value)
        name = f"{kind.__module__}.{kind.__qualname__}"
        hint = "; save its state_dict()" if hasattr(value, "state_dict") else ""
        raise NotImplementedError(
            f"torch.save: {path or 'the object'} is a {name}; Flambeau saves tensors, numbers, "
            f"strings and plain containers of them{hint}"
        )

    def container(self, value: Any, path: str) -> Any:
        if id(value) in self.above:
            raise ValueError(f"torch.save: {path or 'the object'} contains itself")
        self.above.add(id(value))
        made: dict[str, Any] = {"kind": type(value).__name__}
        if isinstance(value, dict):
            made["items"] = [
                [
                    self.encode(key, f"a key of {path or 'the object'}"),
                    self.encode(part, f"{path}[{key!r}]"),
                ]
                for key, part in value.items()
            ]
            metadata = getattr(value, "_metadata", None)
            if metadata is not None:
                made["metadata"] = self.encode(metadata, f"{path}._metadata")
        else:
            made["items"] = [self.encode(part, f"{path}[{i}]") for i, part in enumerate(value)]
        self.above.discard(id(value))
        return made

    def place(self, storage: Storage) -> int:
        if id(storage) not in self.places:
            self.places[id(storage)] = len(self.storages)
            self.storages.append(storage)
        return self.places[id(storage)]

    def tensor(self, value: Tensor, path: str) -> Any:
        if type(value) not in (Tensor, Parameter) and type(value).__name__ != "Buffer":
            raise NotImplementedError(
                f"torch.save: {path or 'the object'} is of the tensor class "
                f"{type(value).__qualname__}; only tensors and parameters are saved"
            )
        storage = value._settled()
        return {
            "kind": "parameter" if isinstance(value, Parameter) else "tensor",
            "storage": self.place(storage),
            "dtype": value.dtype.name,
            "shape": list(value.shape),
            "strides": list(value.stride()),
            "offset": value.storage_offset(),
            "requires_grad": value.requires_grad,
        }

    def array(self, value: Any) -> Any:
        buffer = io.BytesIO()
        np.save(buffer, np.asarray(value), allow_pickle=False)
        kind = "array" if isinstance(value, np.ndarray) else "number"
        return {"kind": kind, "value": base64.b64encode(buffer.getvalue()).decode()}


def save(
    obj: Any,
    f: File,
    pickle_module: Any = None,
    pickle_protocol: int = 2,
    _use_new_zipfile_serialization: bool = True,
) -> None:
    """Writes nested containers of tensors, numbers and strings to a file, all or nothing.

    A file of that name is replaced only when the new one is complete. NotImplementedError for
    other objects. The file is Flambeau's own kind, not PyTorch's.
    """
    if pickle_module is not None:
        raise NotImplementedError("torch.save: pickle_module: Flambeau's files hold no pickles")
    if not isinstance(f, (str, os.PathLike)):
        if not hasattr(f, "write"):
            raise AttributeError(f"expected a path or a file to write to, got {type(f).__name__}")
        _write(obj, f)
        return
    target = Path(f)
    if not target.parent.is_dir():
        raise RuntimeError(f"Parent directory {target.parent} does not exist.")
    handle, name = tempfile.mkstemp(prefix=target.name, dir=target.parent)
    try:
        with os.fdopen(handle, "wb") as file:
            _write(obj, file)
            file.flush()
            os.fsync(file.fileno())
        _give_usual_rights(name, target)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise


def _give_usual_rights(name: str, target: Path) -> None:
    """The rights of the file that is replaced, or of one just created (mkstemp's are narrower)."""
    if target.exists():
        mode = target.stat().st_mode & 0o777
    else:
        mask = os.umask(0)
        os.umask(mask)
        mode = 0o666 & ~mask
    Path(name).chmod(mode)


def _write(obj: Any, file: IO[bytes]) -> None:
    writer = _Writer()
    structure = {"format": FORMAT, "value": writer.encode(obj, "")}
    structure["storages"] = [storage.nbytes for storage in writer.storages]
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED, allowZip64=True) as archive:
        archive.writestr(STRUCTURE, json.dumps(structure))
        for place, storage in enumerate(writer.storages):
            with archive.open(f"storages/{place}", "w", force_zip64=True) as member:
                member.write(np.asarray(storage.buffer).data)


# ---- loading -------------------------------------------------------------------------------------


class _Reader:
    """Builds the value that a file describes; ValueError where the description is no good."""

    def __init__(self, archive: zipfile.ZipFile, sizes: list[int]) -> None:
        self.archive = archive
        self.sizes = sizes
        self.storages: dict[int, Storage] = {}

    def storage(self, place: int) -> Storage:
        found = self.storages.get(place)
        if found is None:
            raw = self.archive.read(f"storages/{place}")
            if not 0 <= place < len(self.sizes) or len(raw) != self.sizes[place]:
                raise ValueError(f"storage {place} has not the size that the file says")
            found = self.storages[place] = Storage(allocate(len(raw)))
            np.asarray(found.buffer)[: len(raw)] = np.frombuffer(raw, np.uint8)
        return found

    def decode(self, coded: Any) -> Any:
        if not isinstance(coded, dict):
            if isinstance(coded, list):
                raise ValueError("a list without a kind")
            return coded
        kind = coded["kind"]
        if kind in ("tensor", "parameter"):
            return self.tensor(coded)
        make = _CONTAINERS.get(kind)
        if make is not None:
            return self.container(make, coded)
        leaf = _LEAVES.get(kind)
        if leaf is None:
            raise ValueError(f"a value of the unknown kind {kind!r}")
        return leaf(coded["value"])

    def container(self, make: Callable[..., Any], coded: Any) -> Any:
        if make in (dict, OrderedDict):
            made = make((self.decode(key), self.decode(part)) for key, part in coded["items"])
            if "metadata" in coded and make is OrderedDict:
                vars(made)["_metadata"] = self.decode(coded["metadata"])
            return made
        return make(self.decode(part) for part in coded["items"])

    def tensor(self, coded: Any) -> Tensor:
        dtype = dtypes.BY_NAME[coded["dtype"]]
        shape = tuple(int(n) for n in coded["shape"])
        strides = tuple(int(n) for n in coded["strides"])
        offset = int(coded["offset"])
        storage = self.storage(int(coded["storage"]))
        # A file must not make a view of memory that is not its own.
        negative = any(n < 0 for n in (*shape, *strides, offset)) or len(shape) != len(strides)
        reach = 0 if negative else (offset + storage_extent(shape, strides)) * dtype.itemsize
        if negative or (0 not in shape and reach > storage.nbytes):
            raise ValueError("a tensor that reaches beyond its storage")
        made = from_storage(storage, meta_of(dtype, shape, strides), offset)
        if coded["kind"] == "parameter":
            parameter: Tensor = Parameter(made, requires_grad=bool(coded["requires_grad"]))
            return parameter
        return made.requires_grad_() if coded["requires_grad"] else made


def _array(text: str) -> Any:
    return np.load(io.BytesIO(base64.b64decode(text)), allow_pickle=False)


def _dtype(name: str) -> DType:
    return dtypes.BY_NAME[name]


_CONTAINERS: dict[str, Callable[..., Any]] = {
    "list": list,
    "tuple": tuple,
    "set": set,
    "frozenset": frozenset,
    "dict": dict,
    "OrderedDict": OrderedDict,
}
_LEAVES: dict[str, Callable[[Any], Any]] = {
    "float": float.fromhex,
    "complex": lambda parts: complex(float.fromhex(parts[0]), float.fromhex(parts[1])),
    "bytes": base64.b64decode,
    "size": Size,
    "dtype": _dtype,
    "device": Device,
    "array": _array,
    "number": lambda text: _array(text)[()],
}


def _check_location(map_location: Any) -> None:
    """Everything is saved from, and loaded to, the CPU; functions and dicts map it to somewhere."""
    if map_location is None:
        return
    if isinstance(map_location, dict):
        map_location = map_location.get("cpu", "cpu")
    elif callable(map_location) and not isinstance(map_location, Device):
        raise NotImplementedError(
            "torch.load: map_location as a function, which PyTorch calls with a storage; name the "
            "device instead"
        )
    check_available(Device(map_location))


def load(
    f: File,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Reads what `save` wrote. Never executes code, whatever the file and `weights_only` say.

    RuntimeError for files that are damaged or not Flambeau's; NotImplementedError for PyTorch's.
    """
    if pickle_module is not None or pickle_load_args:
        raise NotImplementedError("torch.load: pickle arguments: Flambeau's files hold no pickles")
    if mmap:
        raise NotImplementedError("torch.load: mmap=True is not implemented")
    _check_location(map_location)
    if isinstance(f, (str, os.PathLike)):
        with Path(f).open("rb") as file:
            return _read(file, str(f))
    if not (hasattr(f, "read") and hasattr(f, "seek")):
        raise AttributeError(f"expected a path or a file that can seek, got {type(f).__name__}")
    return _read(f, getattr(f, "name", "the file"))


def _read(file: IO[bytes], name: str) -> Any:
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.namelist()
            if STRUCTURE not in members:
                if any(member.endswith("data.pkl") for member in members):
                    raise NotImplementedError(
                        f"torch.load: {name} was written by PyTorch; Flambeau reads its own files "
                        "so far"
                    )
                raise ValueError("it holds no structure.json")
            structure = json.loads(archive.read(STRUCTURE))
            if structure.get("format") != FORMAT:
                raise ValueError(f"its format is {structure.get('format')!r}, not {FORMAT!r}")
            return _Reader(archive, structure["storages"]).decode(structure["value"])
    except (zipfile.BadZipFile, ValueError, KeyError, IndexError, TypeError, EOFError) as error:
        raise RuntimeError(f"torch.load: {name} cannot be read: {error}") from error
