"""Files of safetensors, read and written with its library (`pip install 'flambeau[safetensors]'`).

`save_file` and `load_file` are those of `safetensors.torch`.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.device import check_available
from flambeau.core.device import device as Device
from flambeau.serialization.writing import replacing
from flambeau.tensor.tensor import Tensor, from_array

__all__ = ["load", "load_file", "save", "save_file"]

_CODES = {
    dtypes.bool_: "BOOL",
    dtypes.uint8: "U8",
    dtypes.int8: "I8",
    dtypes.uint16: "U16",
    dtypes.int16: "I16",
    dtypes.uint32: "U32",
    dtypes.int32: "I32",
    dtypes.uint64: "U64",
    dtypes.int64: "I64",
    dtypes.float16: "F16",
    dtypes.bfloat16: "BF16",
    dtypes.float32: "F32",
    dtypes.float64: "F64",
    dtypes.complex64: "C64",
}
_DTYPES = {code: dtype for dtype, code in _CODES.items()}


def _library() -> Any:
    try:
        import safetensors
    except ModuleNotFoundError as error:
        raise ImportError(
            "safetensors files need the package: pip install 'flambeau[safetensors]'"
        ) from error
    return safetensors


def save(tensors: dict[str, Tensor], metadata: dict[str, str] | None = None) -> bytes:
    """The file as bytes. ValueError for what is no dict of tensors; RuntimeError for shared memory.

    NotImplementedError for dtypes that the format does not have.
    """
    library = _library()
    if not isinstance(tensors, dict):
        raise ValueError(f"Expected a dict of [str, torch.Tensor] but received {type(tensors)}")
    seen: dict[int, str] = {}
    described = {}
    for name, tensor in tensors.items():
        if not isinstance(tensor, Tensor):
            raise ValueError(
                f"Key `{name}` is invalid, expected torch.Tensor but received {type(tensor)}"
            )
        other = seen.setdefault(id(tensor._settled()), name)
        if other != name and tensor.numel():
            raise RuntimeError(
                f"Some tensors share memory, this will lead to duplicate memory on disk and "
                f"potential differences when loading them again: {{{other!r}, {name!r}}}"
            )
        if tensor.dtype not in _CODES:
            raise NotImplementedError(f"safetensors has no {tensor.dtype}")
        array = np.ascontiguousarray(tensor._array())
        described[name] = (tensor.dtype.name, [*tensor.shape], array)
    if hasattr(library, "TensorSpec"):  # the addresses of arrays that live as long as `described`
        entries = {
            name: library.TensorSpec(
                dtype=kind, shape=shape, data_ptr=data.ctypes.data, data_len=data.nbytes
            )
            for name, (kind, shape, data) in described.items()
        }
    else:
        entries = {
            name: {"dtype": kind, "shape": shape, "data": data.tobytes()}
            for name, (kind, shape, data) in described.items()
        }
    whole: bytes = library.serialize(entries, metadata=metadata)
    return whole


def save_file(
    tensors: dict[str, Tensor],
    filename: str | os.PathLike[str],
    metadata: dict[str, str] | None = None,
) -> None:
    """Write the tensors to a file, all or nothing."""
    data = save(tensors, metadata)
    with replacing(filename) as file:
        file.write(data)


def load(data: bytes) -> dict[str, Tensor]:
    """The tensors of a file's bytes. SafetensorError where they are damaged."""
    found = {}
    for name, part in _library().deserialize(data):
        dtype = _DTYPES.get(part["dtype"])
        if dtype is None:
            raise NotImplementedError(f"{name} is of the type {part['dtype']}, not supported")
        array = np.frombuffer(part["data"], dtype.numpy).reshape(part["shape"])
        found[name] = from_array(array, dtype)
    return found


def load_file(filename: str | os.PathLike[str], device: Any = "cpu") -> dict[str, Tensor]:
    """The tensors of a file. SafetensorError where it is damaged."""
    check_available(Device(device))
    return load(Path(filename).read_bytes())
