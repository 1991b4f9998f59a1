"""Arithmetic on values with PyTorch's promotion and broadcasting: what composites are written in.

Python scalars are weak (they never raise the precision of a tensor of the same category); 0-d
values are weaker than dimensioned ones. The rules are those of `flambeau.core.promotion`.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.promotion import result_dtype
from flambeau.core.shapes import broadcast_shapes
from flambeau.ops.primitive import Primitive
from flambeau.ops.value import Operand, Scalar, Shape, Value

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeGuard


HALVES = (dtypes.float16, dtypes.bfloat16)


def promoted_dtype(*operands: Operand) -> DType:
    """The dtype PyTorch computes in for these operands."""
    return result_dtype([_promotion_operand(v) for v in operands])


_PYTHON_KINDS = {"b": bool, "i": int, "f": float, "c": complex}


def _promotion_operand(v: Operand) -> tuple[DType, bool] | type:
    """How promotion sees an operand; a run-time scalar is the Python number it stands for."""
    if not isinstance(v, Value):
        return type(v)
    if is_scalar(v):
        return _PYTHON_KINDS[v.dtype.kind]
    return v.dtype, not v.shape


def is_scalar(v: Operand) -> bool:
    """Whether an operand is a Python number, one of run time among them."""
    if not isinstance(v, Value):
        return True
    return v.primitive is source.input_ and v.attrs["role"] == "scalar"


def cast(x: Value, dtype: DType) -> Value:
    return x if x.dtype is dtype else elementwise.cast(x, dtype=dtype)


def as_value(x: Operand, dtype: DType) -> Value:
    """A value of `dtype`: a cast, or a 0-d constant. It is no number: its dtype counts."""
    if isinstance(x, Value):
        if x.dtype is dtype and is_scalar(x):
            return view.reshape(x, shape=x.shape)
        return cast(x, dtype)
    return source.constant(x, dtype)


def expand(x: Value, shape: Shape) -> Value:
    """`x` broadcast to `shape` (which must be a broadcast of its own)."""
    if x.shape == shape:
        return x
    if len(x.shape) < len(shape):
        x = view.reshape(x, shape=(1,) * (len(shape) - len(x.shape)) + x.shape)
    return x if x.shape == shape else view.expand(x, shape=shape)


def broadcast(*values: Value) -> list[Value]:
    shape = broadcast_shapes(*[v.shape for v in values])
    return [expand(v, shape) for v in values]


def widened(x: Value) -> Value:
    """Half types as float32, in which PyTorch's kernels compute them."""
    return cast(x, dtypes.float32) if x.dtype in HALVES else x


def apply(primitive: Primitive, operands: Sequence[Operand], dtype: DType) -> Value:
    """`primitive` on operands cast to `dtype` and broadcast."""
    return primitive(*broadcast(*[as_value(v, dtype) for v in operands]))


def _is_plain(v: Operand) -> TypeGuard[Value]:
    """Whether an operand is a float32 value: two of them need no promotion (no run-time number is
    one).
    """
    return isinstance(v, Value) and v.dtype is dtypes.float32


def binary(primitive: Primitive, a: Operand, b: Operand) -> Value:
    if _is_plain(a) and _is_plain(b):
        return primitive(a, b) if a.shape == b.shape else primitive(*broadcast(a, b))
    return apply(primitive, (a, b), promoted_dtype(a, b))


def float_dtype(*operands: Operand) -> DType:
    """The promoted dtype; integers and bool become the default float dtype."""
    dtype = promoted_dtype(*operands)
    if dtype.is_floating_point or dtype.is_complex:
        return dtype
    return dtypes.get_default_dtype()


def unary_float(primitive: Primitive, x: Value) -> Value:
    return primitive(cast(x, float_dtype(x)))


def neg(x: Value) -> Value:
    return elementwise.neg(x)


def add(a: Operand, b: Operand) -> Value:
    return binary(elementwise.add, a, b)


def sub(a: Operand, b: Operand) -> Value:
    return binary(elementwise.sub, a, b)


def mul(a: Operand, b: Operand) -> Value:
    if _is_plain(a) and _is_plain(b):
        return binary(elementwise.mul, a, b)
    dtype = promoted_dtype(a, b)
    finer = dtype in HALVES and ((is_scalar(a) and _is_finer(a, dtype)) or _is_finer(b, dtype))
    return _rounded_once(elementwise.mul, a, b, dtype) if finer else binary(elementwise.mul, a, b)


def div(a: Operand, b: Operand) -> Value:
    """True division: integers become floats."""
    if _is_plain(a) and _is_plain(b):
        return binary(elementwise.div, a, b)
    dtype = float_dtype(a, b)
    if dtype in HALVES and _is_finer(b, dtype):
        return _rounded_once(elementwise.div, as_value(a, dtype), b, dtype)
    return apply(elementwise.div, (a, b), dtype)


def _rounded_once(primitive: Primitive, a: Operand, b: Operand, dtype: DType) -> Value:
    """`primitive` on operands of a half type and a number, or 0-d tensor, of another: as PyTorch's
    products and quotients (not its sums) have it, that is not rounded to the half type first.
    """
    return cast(apply(primitive, (a, b), dtypes.float32), dtype)


def _is_finer(v: Operand, dtype: DType) -> bool:
    if isinstance(v, Value):
        return v.ndim == 0 and v.dtype is not dtype and v.dtype.kind in "iuf"
    return isinstance(v, (int, float)) and not _fits(v, dtype)


def _fits(number: float, dtype: DType) -> bool:
    """Whether rounding to a half type leaves a number as it is."""
    bits = 8 if dtype is dtypes.bfloat16 else 11
    mantissa, exponent = math.frexp(number)
    return (mantissa * (1 << bits)).is_integer() and -13 <= exponent <= 15


def eq(a: Operand, b: Operand) -> Value:
    return binary(elementwise.eq, a, b)


def ne(a: Operand, b: Operand) -> Value:
    return binary(elementwise.ne, a, b)


def lt(a: Operand, b: Operand) -> Value:
    return binary(elementwise.lt, a, b)


def le(a: Operand, b: Operand) -> Value:
    return binary(elementwise.le, a, b)


def gt(a: Operand, b: Operand) -> Value:
    return binary(elementwise.gt, a, b)


def ge(a: Operand, b: Operand) -> Value:
    return binary(elementwise.ge, a, b)


def maximum(a: Operand, b: Operand) -> Value:
    return binary(elementwise.maximum, a, b)


def minimum(a: Operand, b: Operand) -> Value:
    return binary(elementwise.minimum, a, b)


def bitwise_and(a: Operand, b: Operand) -> Value:
    return binary(elementwise.bitwise_and, a, b)


def bitwise_or(a: Operand, b: Operand) -> Value:
    return binary(elementwise.bitwise_or, a, b)


def bitwise_not(x: Value) -> Value:
    return elementwise.bitwise_not(x)


def to_bool(x: Value) -> Value:
    return cast(x, dtypes.bool_)


def logical_and(a: Value, b: Value) -> Value:
    return binary(elementwise.bitwise_and, to_bool(a), to_bool(b))


def logical_or(a: Value, b: Value) -> Value:
    return binary(elementwise.bitwise_or, to_bool(a), to_bool(b))


def logical_not(x: Value) -> Value:
    return elementwise.bitwise_not(to_bool(x))


def where(condition: Value, a: Operand, b: Operand) -> Value:
    dtype = promoted_dtype(a, b)
    condition, left, right = broadcast(to_bool(condition), as_value(a, dtype), as_value(b, dtype))
    return elementwise.where(condition, left, right)


def conj(x: Value) -> Value:
    if not isinstance(x, Value) or not x.dtype.is_complex:
        return x
    return elementwise.complex_(elementwise.real(x), elementwise.neg(elementwise.imag(x)))


def full(shape: Shape, value: Scalar, dtype: DType) -> Value:
    return expand(source.constant(value, dtype), shape)


def full_like(x: Value, value: Scalar) -> Value:
    return full(x.shape, value, x.dtype)


def zeros_like(x: Value) -> Value:
    return full_like(x, 0)


from flambeau.ops import elementwise, source, view  # noqa: E402  (they use this module)
