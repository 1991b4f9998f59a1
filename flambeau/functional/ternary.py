"""Elementwise ops of three operands: limits, choices, interpolation, scaled products."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.functional.pointwise import not_a_tensor, write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops.value import Operand, Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.tensor.recording import in_place, record
from flambeau.tensor.tensor import Tensor


def _clamp(x: Value, low: Operand | None, high: Operand | None) -> Value:
    operands = [v for v in (x, low, high) if v is not None]
    dtype = ar.promoted_dtype(*operands)
    if dtype is dtypes.bool_ and any(ar.is_scalar(v) for v in operands):
        which = "" if len(operands) == 3 else "_min" if high is None else "_max"
        raise NotImplementedError(f"\"clamp{which}_scalar_cpu\" not implemented for 'Bool'")
    result, *bounds = ar.broadcast(*[ar.as_value(v, dtype) for v in operands])
    if low is not None:
        bound = bounds.pop(0)
        result = el.where(el.lt(result, bound), bound, result)
    if high is not None:
        result = el.where(el.gt(result, bounds[0]), bounds[0], result)
    return result


CLAMP = PureOp("clamp", _clamp, preserves=True)
CLAMP_ = InplaceOp("clamp_", _clamp, "ClampBackward0")


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Elements limited to [min, max]; either bound may be None."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return write_out(record(CLAMP, (input, min, max)), out)


def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limits elements to [min, max] in place."""
    if min is None and max is None:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    return in_place(CLAMP_, input, (min, max))


clip, clip_ = clamp, clamp_


def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Tensor:
    """Elements not below min."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("clamp_min", "input", 1, input)
    return write_out(record(CLAMP, (input, min, None)), out)


def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Tensor:
    """Elements not above max."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("clamp_max", "input", 1, input)
    return write_out(record(CLAMP, (input, None, max)), out)


def clamp_min_(input: Tensor, min: Any) -> Tensor:
    """Raises elements below min to it, in place."""
    return in_place(CLAMP_, input, (min, None))


def clamp_max_(input: Tensor, max: Any) -> Tensor:
    """Lowers elements above max to it, in place."""
    return in_place(CLAMP_, input, (None, max))


WHERE = PureOp("where", ar.where, preserves=True)


_ALONE: Any = object()  # where(condition): the other operands are not there


def where(
    condition: Tensor, input: Any = _ALONE, other: Any = _ALONE, *, out: Tensor | None = None
) -> Any:
    """`input` where the condition holds, `other` elsewhere; alone: the indices where it holds."""
    given = [part for part in (input, other) if part is not _ALONE]
    if not isinstance(condition, Tensor) or not all(isinstance(p, _CHOICES) for p in given):
        raise _no_such_where(condition, *given)
    if not given:
        from flambeau.functional.indexing import nonzero

        return nonzero(condition, as_tuple=True)
    if condition.dtype.kind != "b" and condition.dtype is not dtypes.uint8:
        raise RuntimeError(
            f"where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype.scalar_name}"
        )
    if len(given) == 1:
        raise _no_such_where(condition, *given)
    return write_out(record(WHERE, (condition, input, other)), out)


_CHOICES = (Tensor, bool, int, float, complex, np.number, np.bool_)


def _no_such_where(*given: Any) -> TypeError:
    kinds = ", ".join("Tensor" if isinstance(g, Tensor) else type(g).__name__ for g in given)
    return TypeError(
        f"where() received an invalid combination of arguments - got ({kinds}), but expected one "
        "of:\n * (Tensor condition)\n * (Tensor condition, Tensor input, Tensor other, *, Tensor "
        "out = None)\n(input and other may be numbers)"
    )


def where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """Elements of this tensor where the condition holds, of `other` elsewhere."""
    chosen: Tensor = where(condition, self, other)
    return chosen


def _lerp(start: Value, end: Operand, weight: Operand) -> Value:
    """start + w (end - start), from the nearer end as PyTorch has it."""
    dtype = ar.promoted_dtype(start, end)
    a, b, w = ar.broadcast(
        ar.as_value(start, dtype), ar.as_value(end, dtype), ar.as_value(weight, dtype)
    )
    near = ar.lt(el.abs_(w), 0.5)
    return el.where(near, a + w * (b - a), b - (b - a) * (1.0 - w))


LERP = PureOp("lerp", _lerp, preserves=True)
LERP_ = InplaceOp("lerp_", _lerp, "LerpBackward0")


def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
    """input + weight * (end - input)."""
    return write_out(record(LERP, (input, end, weight)), out)


def lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """lerp in place."""
    return in_place(LERP_, self, (end, weight))


def _addcmul(x: Value, a: Operand, b: Operand, value: Operand) -> Value:
    dtype = ar.promoted_dtype(x, a, b)
    return ar.add(
        ar.as_value(x, dtype),
        ar.mul(ar.mul(ar.as_value(value, dtype), ar.as_value(a, dtype)), ar.as_value(b, dtype)),
    )


def _addcdiv(x: Value, a: Operand, b: Operand, value: Operand) -> Value:
    dtype = ar.float_dtype(x, a, b)
    return ar.add(
        ar.as_value(x, dtype),
        ar.div(ar.mul(ar.as_value(value, dtype), ar.as_value(a, dtype)), ar.as_value(b, dtype)),
    )


ADDCMUL, ADDCDIV = (
    PureOp("addcmul", _addcmul, preserves=True),
    PureOp("addcdiv", _addcdiv, preserves=True),
)
ADDCMUL_ = InplaceOp("addcmul_", _addcmul, "AddcmulBackward0")
ADDCDIV_ = InplaceOp("addcdiv_", _addcdiv, "AddcdivBackward0")


def addcmul(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """input + value * tensor1 * tensor2."""
    return write_out(record(ADDCMUL, (input, tensor1, tensor2, value)), out)


def addcdiv(
    input: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1, out: Tensor | None = None
) -> Tensor:
    """input + value * tensor1 / tensor2."""
    return write_out(record(ADDCDIV, (input, tensor1, tensor2, value)), out)


def addcmul_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """addcmul in place."""
    return in_place(ADDCMUL_, self, (tensor1, tensor2, value))


def addcdiv_(self: Tensor, tensor1: Tensor, tensor2: Tensor, *, value: Any = 1) -> Tensor:
    """addcdiv in place."""
    return in_place(ADDCDIV_, self, (tensor1, tensor2, value))
