"""The options that functions share (dtype, device, layout, size, out), and what they refuse."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import misgiven, refuse_misgiven
from flambeau.core.device import check_available, get_default_device
from flambeau.core.device import device as Device
from flambeau.core.dtypes import DType
from flambeau.core.errors import SHARED, WRITTEN_TWICE
from flambeau.core.promotion import result_dtype
from flambeau.core.shapes import Shape, overlaps_partly
from flambeau.core.size import Size
from flambeau.ops import arithmetic as ar
from flambeau.ops.value import Value
from flambeau.tensor.tensor import Tensor

F = TypeVar("F", bound=Callable[..., Any])


def checked_device(given: Any) -> Device:
    """The device asked for; raises where it is not there."""
    if given is None:
        device = get_default_device()
    else:
        device = given if isinstance(given, Device) else Device(given)
    if device.type != "cpu":
        check_available(device)
        raise NotImplementedError(f"tensors on {device} are not supported yet; use device='cpu'")
    return device


def checked_dtype(given: Any) -> DType:
    """A DType from a dtype or a Python type; None means the default."""
    if given is None:
        return dtypes.get_default_dtype()
    if isinstance(given, DType):
        return dtypes.supported(given)
    found = dtypes.FROM_PYTHON.get(given)
    if found is None:
        raise TypeError(f"dtype must be torch.dtype, not {type(given).__name__}")
    return found


_NUMPY_NAMES = {
    "axis": "dim",
    "keepdims": "keepdim",
    "x": "input",
    "a": "input",
    "x1": "input",
    "x2": "other",
}


def checked_call(function: F) -> F:
    """Tells mistakes in the arguments in PyTorch's words. (Functions that take less time than some
    microseconds have a `try` of their own, which costs nothing.)
    """

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except Exception:
            refuse_misgiven()
            raise

    return cast(F, call)


def other_names(**names: str) -> Callable[[F], F]:
    """Accepts further keyword names: other_names(other="name") takes `other` for `name`."""

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                if not kwargs:
                    return function(*args)
                renamed = {names.get(name, name): given for name, given in kwargs.items()}
                if len(renamed) < len(kwargs):
                    raise TypeError(f"{function.__name__}() got an argument twice")
                return function(*args, **renamed)
            except Exception:
                refuse_misgiven()
                raise

        return cast(F, call)

    return decorate


def numpy_names(function: F) -> F:
    """Accepts NumPy's keyword names (`axis`, `keepdims`, ..) for PyTorch's, as PyTorch does."""
    return other_names(**_NUMPY_NAMES)(function)


axis_name = other_names(axis="dim")


def given_size(several: tuple[Any, ...], one: Any) -> tuple[Any, ...]:
    """The arguments of `f(2, 3)` or those of `f(size=(2, 3))`."""
    return several if one is None else (one,)


def shape_of(size: tuple[Any, ...], name: str) -> Shape:
    """A shape from `f(2, 3)`, `f((2, 3))` or `f(torch.Size)`."""
    if len(size) == 1 and type(size[0]) is tuple:
        size = size[0]
    for extent in size:
        if type(extent) is not int or extent < 0:
            break
    else:
        return size
    if len(size) == 1 and isinstance(size[0], (tuple, list, Size)):
        size = tuple(size[0])
    elif len(size) == 1 and isinstance(size[0], (Tensor, np.ndarray)) and size[0].ndim == 1:
        size = tuple(size[0].tolist())
    elif len(size) == 1 and not hasattr(size[0], "__index__"):
        raise TypeError(
            f"{name}(): argument 'size' (position 1) must be tuple of ints, not "
            f"{type(size[0]).__name__}"
        )
    result: list[int] = []
    for extent in size:
        try:
            number = extent.__index__()
        except AttributeError:
            kind = type(extent).__name__
            raise TypeError(
                f"{name}(): argument 'size' failed to unpack the object at pos {len(result) + 1} "
                f'with error "type must be tuple of ints,but got {kind}"'
                if result
                else f"{name}(): argument 'size' (position 1) must be tuple of ints, but found "
                f"element of type {kind} at pos 0"
            ) from None
        if number < 0:
            if name == "zeros":
                raise RuntimeError("zeros: Dimension size must be non-negative.")
            raise RuntimeError(
                f"Trying to create tensor with negative dimension {number}: {list(size)}"
            )
        result.append(number)
    return tuple(result)


def finish(
    tensor: Tensor, requires_grad: bool, out: Tensor | None = None, beside: tuple[Any, ...] = ()
) -> Tensor:
    """Applies `requires_grad` and `out` (see `write_out`)."""
    if out is not None:
        from flambeau.functional.pointwise import write_out

        tensor = write_out(tensor, out, warns=False, beside=beside)
    if requires_grad and not (tensor.is_floating_point() or tensor.is_complex()):
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    return tensor.requires_grad_() if requires_grad else tensor


def checked_options(device: Any, layout: Any, pin_memory: Any) -> None:
    """Raises where the options ask for what is not there; all CPU memory counts as pinned."""
    if device is not None:
        checked_device(device)
    if layout is not None and layout.name != "strided":
        raise NotImplementedError(f"layout {layout} is not supported yet")


WHOLE = "ib"  # kinds of dtypes: integers and truths
_C_NAMES = {
    "float16": "c10::Half", "bfloat16": "c10::BFloat16", "float32": "float", "float64": "double",
    "int64": "int64_t", "int32": "int", "int16": "int16_t", "int8": "int8_t", "uint8": "uint8_t",
    "complex64": "c10::complex<float>", "complex128": "c10::complex<double>",
}  # fmt: skip


def type_name(dtype: DType) -> str:
    """What C++ calls a dtype, as some of PyTorch's messages have it."""
    return dtypes.C_NAMES.get(dtype.name, dtype.name)


def _dtype_of(out: Any) -> Any:
    try:
        return out.dtype
    except AttributeError:
        refuse_misgiven()
        raise


def refuse_other_dtype(out: Any, dtype: DType) -> None:
    """RuntimeError where `out` is of another dtype than the result and nothing is converted."""
    if out is not None and _dtype_of(out) is not dtype:
        wanted, given = type_name(dtype), type_name(out.dtype)
        raise RuntimeError(f"Expected out tensor to have dtype {wanted}, but got {given} instead")


def refuse_found_dtype(out: Any, dtype: DType) -> None:
    """The same in the words of elementwise kernels whose result is of the operand's dtype."""
    if out is not None and _dtype_of(out) is not dtype:
        raise RuntimeError(f"Found dtype {out.dtype.scalar_name} but expected {dtype.scalar_name}")


RESIZED = (
    "An output with one or more elements was resized since it had shape {}, which does not match "
    "the required output shape {}. This behavior is deprecated, and in a future PyTorch release "
    "outputs will not be resized unless they have zero elements. You can explicitly reuse an out "
    "tensor t by resizing it, inplace, to zero elements with t.resize_(0)."
)


def resize_out(out: Any, shape: tuple[int, ...], warns: bool = True) -> None:
    """Gives `out` the shape of a result; a warning where it has elements."""
    if warns and out._meta.numel:
        warnings.warn(RESIZED.format(list(out.shape), list(shape)), stacklevel=3)
    out.resize_(shape)


def refuse_partly_shared(out: Any, inputs: tuple[Any, ...]) -> None:
    """RuntimeError where `out` shows an element twice, or lies partly in an input's memory."""
    shape, strides = out._meta.shape, out._meta.strides
    if 0 not in shape and any(n > 1 and not stride for n, stride in zip(shape, strides)):
        raise RuntimeError(WRITTEN_TWICE)
    for given in inputs:
        if isinstance(given, Tensor) and given is not out and given._settled() is out._settled():
            layouts = [(t._meta.shape, t._meta.strides, t.storage_offset()) for t in (given, out)]
            if overlaps_partly(*layouts):
                raise RuntimeError(SHARED)


def not_implemented(kernel: str, dtype: DType) -> NotImplementedError:
    """PyTorch's error for a kernel without this dtype."""
    return NotImplementedError(f"\"{kernel}\" not implemented for '{dtype.scalar_name}'")


def no_overload(name: str, given: tuple[Any, ...], forms: tuple[str, ...]) -> Exception:
    """PyTorch's error for arguments that none of a function's forms takes."""
    from flambeau.core.signatures import type_word

    kinds = ", ".join(map(type_word, given))
    lines = "".join(f" * {form}\n" for form in forms)
    return misgiven() or TypeError(
        f"{name}() received an invalid combination of arguments - got ({kinds}), but expected one "
        f"of:\n{lines}"
    )


def refusing(kernel: str, function: Callable[..., Any], kinds: str = WHOLE) -> Callable[..., Any]:
    """A function of values without the dtypes that its kernel has not: in that of its operands
    together. Kinds of dtypes, and "h" for the half types.
    """

    def apply(*operands: Any) -> Any:
        dtype = ar.promoted_dtype(*[v for v in operands if isinstance(v, Value)])
        if dtype.kind in kinds or ("h" in kinds and dtype in ar.HALVES):
            raise not_implemented(kernel, dtype)
        return function(*operands)

    return apply


def real_only(
    message: str, function: Callable[..., Any], kind: type[Exception] = NotImplementedError
) -> Callable[..., Any]:
    """A function of values that refuses complex ones, in words of its own."""

    def apply(*operands: Any) -> Any:
        if ar.promoted_dtype(*[v for v in operands if isinstance(v, Value)]).is_complex:
            raise kind(message)
        return function(*operands)

    return apply


@functools.lru_cache(maxsize=64)
def _limits(dtype: DType) -> tuple[Any, Any]:
    """The least and the greatest Python number that a dtype takes."""
    if dtype.kind in "fc":
        most = dtypes.finfo(dtype).max
        return -most, most
    limits = dtypes.iinfo(dtype)
    return limits.min if dtype.is_signed else -limits.max, limits.max


def refuse_negated_truth(dtype: DType) -> None:
    """RuntimeError for bool: truths have no sign."""
    if dtype.kind == "b":
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )


def refuse_overflow(value: Any, dtype: DType) -> None:
    """RuntimeError where a Python number does not fit a dtype (tensors are not looked at)."""
    kind = type(value)
    if kind is float and -MOST <= value <= MOST and dtype in WIDE:
        return
    if (kind is not float and kind is not int and kind is not complex) or dtype.kind == "b":
        return
    if dtype.kind == "c":
        parts: tuple[Any, ...] = (value.real, value.imag)
        fits = True
    else:
        parts = (value.real,)
        fits = kind is not complex or value.imag == 0
    low, high = _limits(dtype)
    if kind is not int and not dtype.is_signed:
        low = 0  # (integers wrap around)
    for part in parts:
        fits = fits and (low <= part <= high or (dtype.kind in "fc" and part - part != 0))
    if not fits:
        name = _C_NAMES.get(dtype.name, dtype.name)
        raise RuntimeError(f"value cannot be converted to type {name} without overflow")


def refuse_numbers(operands: tuple[Any, ...], *numbers: Any, finer: bool = False) -> None:
    """RuntimeError where a Python number does not fit the dtype that the operands have together;
    `finer`: half types take what float32 holds.
    """
    for number in numbers:
        kind = type(number)
        if kind is int and -128 <= number <= 127:
            continue
        if kind is float or kind is int or kind is complex:
            first = operands[0].dtype
            if kind is float and first in WIDE and -MOST <= number <= MOST:
                continue
            dtype = result_dtype([_promoted(v) for v in operands])
            refuse_overflow(number, dtypes.float32 if finer and dtype in ar.HALVES else dtype)


def surely_fit(tensor: Any, *numbers: Any) -> bool:
    """Whether it takes no more than a glance to see that this is a tensor and these are numbers (or
    None) which fit what they are together: then `refuse_numbers` would let them pass.
    """
    if not isinstance(tensor, Tensor):
        return False
    for number in numbers:
        kind = number.__class__
        if kind is float or kind is int:
            if -128 <= number <= 127:
                continue
            if not -MOST <= number <= MOST or tensor._meta.dtype not in WIDE:
                return False
        elif number is not None:
            return False
    return True


def _promoted(operand: Any) -> tuple[DType, bool] | type:
    """How promotion sees an operand."""
    if isinstance(operand, Tensor):
        return operand.dtype, not operand._meta.shape
    return type(operand.item() if hasattr(operand, "item") else operand)


WIDE = frozenset((dtypes.float32, dtypes.float64))
EXACT = 1 << 53  # up to here integers are float64 numbers
MOST = dtypes.finfo(dtypes.float32).max


def as_element(value: Any, dtype: DType) -> Any:
    """A Python number as the one that a tensor of this dtype gets for it; None where compiled code
    has to say.
    """
    kind = type(value)
    if kind is float and (
        dtype is dtypes.float64
        or (dtype is dtypes.float32 and (-MOST <= value <= MOST or value - value != 0))
    ):
        return value
    if kind is not float and kind is not int and kind is not bool:
        return None
    if dtype is dtypes.float32 or dtype is dtypes.float64:
        if kind is not float and not -EXACT <= value <= EXACT:
            return None
        refuse_overflow(value, dtype)
        return float(value)
    if dtype.kind == "b":
        return bool(value)
    if dtype.kind == "i" and dtype.is_signed and kind is not float:
        refuse_overflow(value, dtype)
        return int(value)
    return None
