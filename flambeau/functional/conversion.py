"""Conversions: copies, dtypes, devices, memory formats, and the parts of complex tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType, supported
from flambeau.core.layout import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    format_strides,
    preserve_format,
    suggests_channels_last,
)
from flambeau.core.shapes import contiguous_strides, dense_strides_like
from flambeau.functional.options import checked_device, checked_dtype
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import view
from flambeau.record.events import Event, PureOp
from flambeau.record.trace import Trace
from flambeau.tensor.recording import record, unary
from flambeau.tensor.tensor import CPU, Tensor


class CloneOp(Event):
    """A copy: dense in the operand's memory order, or in a memory format."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        meta = trace.tensors[key[1]].meta
        value = trace.read(key[1])
        strides = dense_strides_like(meta.shape, meta.strides)
        if key[2] is not None:
            strides = format_strides(meta.shape, key[2][0]) or contiguous_strides(meta.shape)
        trace.new_tensor(
            view.reshape(value, shape=value.shape), strides=strides, grad_name="CloneBackward0"
        )


CLONE = CloneOp("clone")


CLONE_AS = CloneOp("clone")


COMPLEX = PureOp("complex", lambda a, b: el.complex_(*ar.broadcast(a, b)), "ComplexBackward0")


REAL = PureOp("real", lambda x: el.real(x) if x.dtype.is_complex else x, "RealBackward0")


IMAG = PureOp("imag", lambda x: el.imag(x), "ImagBackward0")


CONJ = PureOp("conj", ar.conj, "ConjBackward0")


class _Later:
    """What stands on this module, found at its first use."""

    convert: Any = None


def to_dtype(input: Tensor, dtype: DType) -> Tensor:
    """The tensor in another dtype (itself where it has it)."""
    if input._meta.dtype is dtype:
        return input
    if _Later.convert is None:
        from flambeau.functional.pointwise import convert

        _Later.convert = convert
    made: Tensor = _Later.convert(input, dtype)
    return made


def clone(input: Tensor, *, memory_format: Any = preserve_format) -> Tensor:
    """A copy with its own memory; gradients flow through."""
    if memory_format is preserve_format:
        return unary(CLONE, input)
    return unary(CLONE_AS, input, (memory_format,))


def contiguous(input: Tensor, memory_format: Any = contiguous_format) -> Tensor:
    """Itself when it lies contiguously in memory, else a copy that does."""
    if memory_format is contiguous_format and input._meta.steps is None:
        return input  # row by row
    if input.is_contiguous(memory_format):
        return input
    return clone(input, memory_format=memory_format)


def to(
    self: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
    other: Any = None,
) -> Tensor:
    """The tensor with another dtype or device; itself when nothing changes."""
    if len(args) == 1 and dtype is device is memory_format is other is None and not copy:
        only = args[0]  # as in most programs
        if only is CPU or (type(only) is str and only == "cpu"):
            return self
        if type(only) is DType and supported(only):
            return self if only is self._meta.dtype else to_dtype(self, only)
    for argument in args:
        if isinstance(argument, Tensor):
            other = argument
        elif isinstance(argument, DType) or argument in dtypes.FROM_PYTHON:
            dtype = argument
        elif argument is None or isinstance(argument, bool):
            pass  # no device; non_blocking, copy: nothing to wait for on the CPU
        elif isinstance(argument, (str, Device, int)):
            device = argument
        else:
            raise TypeError(
                "to() received an invalid combination of arguments - got "
                f"({type(argument).__name__})"
            )
    if other is not None:
        dtype = other.dtype
    if device is not None:
        checked_device(device)
    kind = self.dtype if dtype is None else checked_dtype(dtype)
    if len(args) >= 3 and args[-1] is True:
        copy = True
    if kind is self.dtype and not copy:
        return formatted(self, memory_format)
    if memory_format is None or memory_format is preserve_format:
        return clone(self) if kind is self.dtype else to_dtype(self, kind)
    if kind is self.dtype:
        return clone(self, memory_format=memory_format)
    return formatted(to_dtype(self, kind), memory_format, exactly=True)


def formatted(self: Tensor, memory_format: Any, exactly: bool = False) -> Tensor:
    """The tensor in a memory format; itself where that is the one it suggests to results.

    `exactly`: where it lies so, dense.
    """
    if memory_format is None or memory_format is preserve_format:
        return self
    if exactly:
        wanted = self.is_contiguous(memory_format)
    else:
        shape, strides = self._meta.shape, self._meta.strides
        last = channels_last if len(shape) == 4 else channels_last_3d
        suggested = last if suggests_channels_last(shape, strides) else contiguous_format
        wanted = memory_format is suggested
    return self if wanted else clone(self, memory_format=memory_format)


def _converter(kind: DType) -> Callable[..., Tensor]:
    def convert(self: Tensor, memory_format: Any = None) -> Tensor:
        if memory_format is None:
            return to_dtype(self, kind)
        return to(self, kind, memory_format=memory_format)

    convert.__doc__ = f"The tensor as {kind.name}."
    return convert


def type_as(self: Tensor, other: Tensor) -> Tensor:
    """The tensor in the dtype of `other`."""
    return to_dtype(self, other.dtype)


def cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor on the CPU (itself, but for another memory format)."""
    return self if memory_format is None else formatted(self, memory_format)


def cuda(
    self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None
) -> Tensor:
    """The tensor on a GPU."""
    checked_device("cuda" if device is None else device)
    return self


def complex(real: Tensor, imag: Tensor) -> Tensor:
    """The complex tensor of two real ones."""
    return record(COMPLEX, (real, imag))


def real(input: Tensor) -> Tensor:
    """The real part."""
    return unary(REAL, input) if input.is_complex() else input


def imag(input: Tensor) -> Tensor:
    """The imaginary part of a complex tensor."""
    if not input.is_complex():
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return unary(IMAG, input)


def conj(input: Tensor) -> Tensor:
    """The complex conjugate."""
    return unary(CONJ, input) if input.is_complex() else input


METHODS: dict[str, Callable[..., Any]] = {
    "clone": clone,
    "contiguous": contiguous,
    "to": to,
    "type_as": type_as,
    "cpu": cpu,
    "cuda": cuda,
    "conj": conj,
    "float": _converter(dtypes.float32),
    "double": _converter(dtypes.float64),
    "half": _converter(dtypes.float16),
    "bfloat16": _converter(dtypes.bfloat16),
    "int": _converter(dtypes.int32),
    "long": _converter(dtypes.int64),
    "short": _converter(dtypes.int16),
    "char": _converter(dtypes.int8),
    "byte": _converter(dtypes.uint8),
    "bool": _converter(dtypes.bool_),
    "cfloat": _converter(dtypes.complex64),
    "cdouble": _converter(dtypes.complex128),
    "pin_memory": cpu,
}
PROPERTIES: dict[str, Callable[[Any], Any]] = {"real": real, "imag": imag}

# Names of the torch namespace.
__all__ = ["clone", "complex", "conj", "imag", "real"]
