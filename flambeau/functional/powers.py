"""Powers: exact forms for the exponents that a program names, one general function else."""

from __future__ import annotations

import builtins
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.errors import not_a_tensor
from flambeau.core.shapes import Shape, Strides
from flambeau.functional.options import not_implemented, refuse_numbers
from flambeau.functional.pointwise import checked_operand, convert, write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops.primitive import Primitive
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Operand, Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.trace import Trace
from flambeau.tensor.recording import in_place, record, unary
from flambeau.tensor.tensor import Tensor


def power(a: Operand, b: Operand) -> Value:
    """a ** b by the general function."""
    if ar.promoted_dtype(a, b) is dtypes.bool_:
        raise not_implemented("pow", dtypes.bool_)
    return ar.binary(el.pow_, a, b)


def power_of(x: Value, kind: str, exponent: Any) -> Value:
    """x ** exponent, a number known when recording; 0.5, 1, 2, 3, -1, .. by exact forms."""
    number = (
        float.fromhex(exponent)
        if kind == "float"
        else (complex(exponent) if kind == "complex" else exponent)
    )
    dtype = ar.promoted_dtype(x, number)
    if isinstance(number, int) and dtype.kind in "ib" and number < 0:
        raise RuntimeError("Integers to negative integer powers are not allowed.")
    return to_the(ar.cast(x, dtype), number)


def to_the(x: Value, number: Any) -> Value:
    """x to the power of a number, in the dtype of x."""
    if number == 0:
        one = ar.full_like(x, 1)
        return with_derivative(one, x, lambda ct, x: ar.zeros_like(ct))
    if number == 1:
        return ar.add(x, 0) if x.dtype.kind == "i" else x
    if number == 2:
        return x * x
    if number == 3:
        return x * x * x
    if not x.dtype.is_floating_point:
        return ar.apply(el.pow_, (x, number), x.dtype)
    known: dict[float, Primitive] = {0.5: el.sqrt, -0.5: el.rsqrt, -1: el.reciprocal}
    if number in known:
        power = known[number](x)
    elif number == -2:
        power = el.reciprocal(x * x)
    else:
        power = ar.apply(el.pow_, (x, number), x.dtype)
    return with_derivative(power, x, lambda ct, x: ct * (to_the(x, number - 1) * number))


class PowOp(PureOp):
    """Powers of a number lie in row-major order, however the exponents do."""

    __slots__ = ()

    def strides(
        self, trace: Trace, key: tuple[Any, ...], shape: Shape, dtype: DType
    ) -> Strides | None:
        """How the result lies in memory."""
        return None if isinstance(key[1], type) else super().strides(trace, key, shape, dtype)


POW = PowOp("pow", power, "PowBackward1", preserves=True)
POW_SCALAR = PureOp("pow", power_of, "PowBackward0", preserves=True)
POW_ = InplaceOp("pow_", power, "PowBackward1")
POW_SCALAR_ = InplaceOp("pow_", power_of, "PowBackward0")


def _exponent(value: Any) -> tuple[str, Any]:
    if isinstance(value, bool):
        return "bool", value
    if isinstance(value, int):
        return "int", int(value)
    if isinstance(value, float):
        return "float", float(value).hex()
    return "complex", value


def pow(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent, elementwise."""
    if isinstance(exponent, Tensor) or not isinstance(input, Tensor):
        if not isinstance(exponent, Tensor):
            raise not_a_tensor("pow", "input", 1, input)
        result = record(POW, (checked_operand("pow", input), exponent))
    else:
        exponent = checked_operand("pow", exponent)
        _refuse_exponent(input, exponent)
        result = unary(POW_SCALAR, input, _exponent(exponent))
    return result if out is None else write_out(result, out, beside=(input, exponent))


def pow_(self: Tensor, exponent: Any) -> Tensor:
    """self **= exponent."""
    if isinstance(exponent, Tensor):
        return in_place(POW_, self, (exponent,))
    exponent = checked_operand("pow_", exponent)
    _refuse_exponent(self, exponent)
    return in_place(POW_SCALAR_, self, (), _exponent(exponent))


def _refuse_exponent(base: Tensor, exponent: Any) -> None:
    kind = type(exponent)
    half = base.dtype in ar.HALVES and kind is not complex
    if half or (base.dtype.kind == "i" and kind is int and exponent >= 0):
        refuse_numbers((base,), exponent)


def _powered(name: str, input: Any, exponent: Any) -> tuple[Any, Any]:
    """The operands of float_power: tensors in float64 (complex128 where one is complex)."""
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        raise not_a_tensor(name, "input", 1, input)
    both = (input, exponent)
    wide = dtypes.float64
    if builtins.any(v.is_complex() if isinstance(v, Tensor) else type(v) is complex for v in both):
        wide = dtypes.complex128
    a, b = (convert(v, wide) if isinstance(v, Tensor) else v for v in both)
    return a, b


def float_power(input: Any, exponent: Any, *, out: Tensor | None = None) -> Tensor:
    """input ** exponent, computed in float64 (complex128)."""
    base, power_ = _powered("float_power", input, exponent)
    wanted = next(v.dtype for v in (base, power_) if isinstance(v, Tensor))
    if out is not None and out.dtype is not wanted:
        raise RuntimeError(
            f"the output given to float_power has dtype {out.dtype.scalar_name} but the "
            f"operation's result requires dtype {wanted.scalar_name}"
        )
    return pow(base, power_, out=out)


def float_power_(self: Tensor, exponent: Any) -> Tensor:
    """float_power in place: the tensor must hold float64 or complex128."""
    base, power_ = _powered("float_power_", self, exponent)
    if base.dtype is not self.dtype:
        raise RuntimeError(
            f"the base given to float_power_ has dtype {self.dtype.scalar_name} but the "
            f"operation's result requires dtype {base.dtype.scalar_name}"
        )
    return pow_(self, power_)
