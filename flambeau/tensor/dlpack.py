"""Exchange of memory with other libraries through DLPack; NumPy does the work.

Both directions share memory. Only CPU memory is exchanged here; bfloat16 is refused, since NumPy
has no such type.
"""

from __future__ import annotations

import ctypes
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from flambeau.core import dtypes
from flambeau.core.dtypes import DType

if TYPE_CHECKING:
    from flambeau.tensor.tensor import Tensor

Array = npt.NDArray[Any]

# DLPack's numbers for kinds of device: 1 is kDLCPU.
CPU: tuple[int, int] = (1, 0)

_NO_BFLOAT16 = "bfloat16 cannot be exchanged through DLPack: convert to float32 first"


def to_dlpack(
    data: Array,
    *,
    dtype: DType,
    stream: Any = None,
    max_version: tuple[int, int] | None = None,
    dl_device: tuple[int, int] | None = None,
    copy: bool | None = None,
) -> Any:
    """A DLPack capsule of `data`, which it keeps alive; the arguments are those of `__dlpack__`.

    NotImplementedError for bfloat16; BufferError for another device than the CPU, or a read-only
    array where `max_version` is below 1.0.
    """
    if dtype is dtypes.bfloat16:
        raise NotImplementedError(_NO_BFLOAT16)
    if stream is not None:
        raise BufferError("a tensor on the CPU has no streams: stream must be None")
    if dl_device is not None and tuple(dl_device) != CPU:
        raise BufferError(f"a tensor on the CPU cannot be exported to DLPack device {dl_device}")
    if copy:
        data = data.copy()
    if max_version is None:
        return data.__dlpack__()
    try:
        return data.__dlpack__(max_version=max_version)
    except TypeError:
        # NumPy before 2.1 knows no versions; the protocol lets an exporter give an older one.
        return data.__dlpack__()


def to_capsule(tensor: Tensor, **wishes: Any) -> Any:
    """`tensor.__dlpack__(**wishes)`: a capsule that shares the tensor's memory; see `to_dlpack`.

    BufferError for a tensor that requires a gradient.
    """
    if tensor.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    if tensor.dtype is dtypes.bfloat16:
        raise NotImplementedError(_NO_BFLOAT16)
    return to_dlpack(tensor.numpy(), dtype=tensor.dtype, **wishes)


def from_dlpack(source: Any) -> tuple[Array, DType]:
    """The array that shares the memory of `source`: an object with `__dlpack__`, or a capsule.

    NotImplementedError for bfloat16, TypeError for objects without DLPack, BufferError for memory
    elsewhere than on the CPU.
    """
    if type(source).__name__ == "PyCapsule":
        capsule = source
    elif not hasattr(source, "__dlpack__"):
        raise TypeError(
            f"from_dlpack needs an object with __dlpack__ or a capsule, not {type(source).__name__}"
        )
    else:
        capsule = _request(source)
    # Before version 1.0 a capsule cannot say whether its memory may be written; by convention it
    # may, where NumPy takes the careful view.
    unversioned = ctypes.pythonapi.PyCapsule_IsValid(ctypes.py_object(capsule), b"dltensor")
    try:
        data: Array = np.from_dlpack(_Capsule(capsule))
    except (RuntimeError, BufferError) as error:  # the second from NumPy 2.5 on
        if "dtype" not in str(error):
            raise
        raise NotImplementedError(f"{_NO_BFLOAT16}; NumPy says: {error}") from None
    if unversioned and not data.flags.writeable:
        data = np.asarray(_Writable(data))
    return data, dtypes.from_numpy(data.dtype)


def _request(source: Any) -> Any:
    if str(getattr(source, "dtype", "")).endswith("bfloat16"):
        raise NotImplementedError(_NO_BFLOAT16)
    kind, number = source.__dlpack_device__()
    if int(kind) != CPU[0]:
        raise BufferError(f"memory on DLPack device {(int(kind), number)} is not the CPU's")
    try:
        return source.__dlpack__(max_version=(1, 0))
    except TypeError:
        # A producer from before version 1.0.
        return source.__dlpack__()


class _Capsule:
    """A capsule as an object with the protocol; it can be taken once."""

    def __init__(self, capsule: Any) -> None:
        self.capsule = capsule

    def __dlpack__(self, **wishes: Any) -> Any:
        # The consumer's wishes (version, device, copy) come too late: the capsule is made already.
        return self.capsule

    def __dlpack_device__(self) -> tuple[int, int]:
        return CPU


class _Writable:
    """The same memory with leave to write; keeps the array that owns it."""

    def __init__(self, array: Array) -> None:
        self.array = array
        interface = dict(array.__array_interface__)
        interface["data"] = (interface["data"][0], False)
        self.__array_interface__ = interface
