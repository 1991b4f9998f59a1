"""Elementwise ops of three operands: limits, choices, interpolation, scaled products."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.errors import not_a_tensor
from flambeau.core.notice import warn_once
from flambeau.core.promotion import result_dtype
from flambeau.functional.options import (
    no_overload,
    not_implemented,
    refuse_numbers,
    refuse_overflow,
    surely_fit,
    type_name,
)
from flambeau.functional.pointwise import write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Operand, Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.tensor.recording import in_place, record
from flambeau.tensor.tensor import Tensor


def _clamp(x: Value, low: Operand | None, high: Operand | None) -> Value:
    operands = [v for v in (x, low, high) if v is not None]
    dtype = ar.promoted_dtype(*operands)
    if dtype.is_complex:
        tensors = not any(ar.is_scalar(v) for v in operands)
        if not tensors or (x.dtype.is_complex and len(operands) == 3):
            raise NotImplementedError("clamp is not supported for complex types")
        which = "clamp" if len(operands) == 3 else "maximum" if high is None else "minimum"
        raise not_implemented(f"{which}_cpu", dtype)
    if dtype is dtypes.bool_ and any(ar.is_scalar(v) for v in operands):
        which = "" if len(operands) == 3 else "_min" if high is None else "_max"
        raise not_implemented(f"clamp{which}_scalar_cpu", dtype)
    if dtype is dtypes.bool_ and len(operands) == 3:
        raise not_implemented("clamp_cpu", dtype)
    x, *bounds = ar.broadcast(*[ar.as_value(v, dtype) for v in operands])
    first = bounds[0] if low is not None else None
    return _between(x, first, bounds[-1] if high is not None else None)


def _between(x: Value, low: Value | None, high: Value | None) -> Value:
    """`x` limited; NaN where `x` or a bound is NaN. A cotangent goes to `x` where that is within
    the bounds (NaN is not), else to the bound that is taken.
    """
    result, numbers = x, x.dtype.is_floating_point
    if low is not None:
        below = el.lt(result, low)
        below = ar.logical_or(below, el.ne(low, low)) if numbers else below
        result = el.where(below, low, result)
    if high is not None:
        above = el.gt(result, high)
        above = ar.logical_or(above, el.ne(high, high)) if numbers else above
        result = el.where(above, high, result)
    bounds = tuple(v for v in (low, high) if v is not None)
    one = None if len(bounds) == 2 else "low" if high is None else "high"
    return with_derivative(result, (x, *bounds), partial(_between_cotangents, one))


def _between_cotangents(one: str | None, ct: Value, x: Value, *bounds: Value) -> tuple[Value, ...]:
    """Of x and its bounds; `one` says which one there is."""
    zero = ar.zeros_like(ct)
    if one is not None:
        bound = bounds[0]
        inside = el.ge(x, bound) if one == "low" else el.le(x, bound)
        outside = el.lt(x, bound) if one == "low" else el.gt(x, bound)
        return el.where(inside, ct, zero), el.where(outside, ct, zero)
    low, high = bounds
    inside = ar.logical_and(el.ge(x, low), el.le(x, high))
    below = ar.logical_and(el.lt(x, low), el.lt(low, high))
    above = ar.logical_or(el.gt(x, high), el.lt(high, low))
    return tuple(el.where(where, ct, zero) for where in (inside, below, above))


CLAMP = PureOp("clamp", _clamp, preserves=True)
CLAMP_ = InplaceOp("clamp_", _clamp, "ClampBackward0")
CLAMP_TO_NUMBERS = PureOp("clamp", _clamp, "ClampBackward1", preserves=True)
CLAMP_TO_NUMBERS_ = InplaceOp("clamp_", _clamp, "ClampBackward1")


def clamp(input: Tensor, min: Any = None, max: Any = None, *, out: Tensor | None = None) -> Tensor:
    """Elements limited to [min, max]; either bound may be None."""
    try:
        if min is None and max is None:
            raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
        _refuse_bounds(input, min, max, either=True)
        tensors = isinstance(min, Tensor) or isinstance(max, Tensor)
        made = record(CLAMP if tensors else CLAMP_TO_NUMBERS, (input, min, max))
        return made if out is None else write_out(made, out, beside=(input, min, max))
    except Exception:
        refuse_misgiven()
        raise


def clamp_(input: Tensor, min: Any = None, max: Any = None) -> Tensor:
    """Limits elements to [min, max] in place."""
    try:
        if min is None and max is None:
            raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
        _refuse_bounds(input, min, max, either=True)
        tensors = isinstance(min, Tensor) or isinstance(max, Tensor)
        return in_place(CLAMP_ if tensors else CLAMP_TO_NUMBERS_, input, (min, max))
    except Exception:
        refuse_misgiven()
        raise


def _refuse_bounds(input: Any, *bounds: Any, either: bool = False) -> None:
    """Raises where bounds are none for `input`; `either`: the function takes both."""
    if surely_fit(input, *bounds):
        return
    given = [b for b in bounds if b is not None]
    if not isinstance(input, Tensor) or len({isinstance(b, Tensor) for b in given}) > 1:
        raise no_overload("clamp", (input, *given), _CLAMP_FORMS)
    numbers = not isinstance(given[0], Tensor) if given else False
    if input.dtype.is_complex and (numbers or either):
        raise NotImplementedError("clamp is not supported for complex types")
    if any(type(b) is complex for b in bounds):
        if either and input.dtype.is_floating_point:
            raise RuntimeError("value cannot be converted to type double without overflow")
        if input.dtype is dtypes.float16:
            raise NotImplementedError("clamp is not supported for complex types")
        return
    refuse_numbers((input, *given), *bounds)


_CLAMP_FORMS = (
    "(Tensor input, Tensor min = None, Tensor max = None, *, Tensor out = None)",
    "(Tensor input, Number min = None, Number max = None, *, Tensor out = None)",
)


clip, clip_ = clamp, clamp_


def clamp_min(input: Tensor, min: Any, *, out: Tensor | None = None) -> Tensor:
    """Elements not below min."""
    try:
        if not isinstance(input, Tensor):
            raise not_a_tensor("clamp_min", "input", 1, input)
        _refuse_bounds(input, min)
        if min is None:
            raise no_overload("clamp_min", (input, min), _CLAMP_FORMS)
        made = record(CLAMP, (input, min, None))
        return made if out is None else write_out(made, out, beside=(input, min))
    except Exception:
        refuse_misgiven()
        raise


def clamp_max(input: Tensor, max: Any, *, out: Tensor | None = None) -> Tensor:
    """Elements not above max."""
    try:
        if not isinstance(input, Tensor):
            raise not_a_tensor("clamp_max", "input", 1, input)
        _refuse_bounds(input, max)
        if max is None:
            raise no_overload("clamp_max", (input, max), _CLAMP_FORMS)
        made = record(CLAMP, (input, None, max))
        return made if out is None else write_out(made, out, beside=(input, max))
    except Exception:
        refuse_misgiven()
        raise


def clamp_min_(input: Tensor, min: Any) -> Tensor:
    """Raises elements below min to it, in place."""
    try:
        _refuse_bounds(input, min)
        if min is None:
            raise no_overload("clamp_min_", (input, min), _CLAMP_FORMS)
        return in_place(CLAMP_, input, (min, None))
    except Exception:
        refuse_misgiven()
        raise


def clamp_max_(input: Tensor, max: Any) -> Tensor:
    """Lowers elements above max to it, in place."""
    try:
        _refuse_bounds(input, max)
        if max is None:
            raise no_overload("clamp_max_", (input, max), _CLAMP_FORMS)
        return in_place(CLAMP_, input, (None, max))
    except Exception:
        refuse_misgiven()
        raise


WHERE = PureOp("where", ar.where, preserves=True, wraps=3, kept=1)


BYTES_FOR_TRUTHS = (
    "where received a uint8 condition tensor. This behavior is deprecated and will be removed in a "
    "future version of PyTorch. Use a boolean condition instead."
)
_ALONE: Any = object()  # where(condition): the other operands are not there


def where(
    condition: Tensor, input: Any = _ALONE, other: Any = _ALONE, *, out: Tensor | None = None
) -> Any:
    """`input` where the condition holds, `other` elsewhere; alone: the indices where it holds."""
    if (
        isinstance(condition, Tensor)
        and condition._meta.dtype is dtypes.bool_
        and isinstance(input, Tensor)
        and isinstance(other, Tensor)
    ):
        made = record(WHERE, (condition, input, other))
        return made if out is None else write_out(made, out, beside=(condition, input, other))
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
    if condition.dtype is dtypes.uint8:
        warn_once(BYTES_FOR_TRUTHS)
    operands = condition, input, other
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        if out is not None:
            place = 1 if isinstance(input, Tensor) else 0
            raise not_a_tensor("where", ("input", "other")[place], place + 2, given[place])
        _refuse_choices(input, other)
    made = record(WHERE, operands)
    return made if out is None else write_out(made, out, beside=operands)


_CHOICES = (Tensor, bool, int, float, complex, np.number, np.bool_)


def _no_such_where(*given: Any) -> Exception:
    return no_overload("where", given, _WHERE_FORMS)


_WHERE_FORMS = (
    "(Tensor condition)",
    "(Tensor condition, Tensor input, Tensor other, *, Tensor out = None)",
    "(Tensor condition, Number self, Tensor other)",
    "(Tensor condition, Tensor input, Number other)",
    "(Tensor condition, Number self, Number other)",
)


def _refuse_choices(input: Any, other: Any) -> None:
    """RuntimeError where a number among them does not fit what they are together (half types take
    any real one).
    """
    tensor, number = (input, other) if isinstance(input, Tensor) else (other, input)
    if not isinstance(tensor, Tensor):
        dtype = result_dtype([type(v) for v in (input, other)])
        refuse_overflow(input, dtype)
        refuse_overflow(other, dtype)
    elif tensor.dtype not in ar.HALVES or type(number) is complex:
        refuse_numbers((tensor, number), number)


def where_method(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """Elements of this tensor where the condition holds, of `other` elsewhere."""
    chosen: Tensor = where(condition, self, other)
    return chosen


def _lerp(start: Value, end: Operand, weight: Operand) -> Value:
    """start + w (end - start), from the nearer end as PyTorch has it."""
    dtype = start.dtype
    for name, v in (("end", end), ("weight", weight)):
        if not isinstance(v, Value) or v.dtype is dtype:
            continue
        if name == "end" or not (ar.is_scalar(v) or not v.shape):
            raise RuntimeError(
                f"expected dtype {type_name(dtype)} for `{name}` but got dtype {type_name(v.dtype)}"
            )
    if not ar.is_scalar(weight):
        dtype = ar.promoted_dtype(start, end, weight)
    if not (dtype.is_floating_point or dtype.is_complex):
        which = "scalar" if ar.is_scalar(weight) else "tensor"
        raise not_implemented(f"lerp_kernel_{which}", dtype)
    wide = _wide(dtype)
    a, b, w = _widened(dtype, start, end, weight)
    near = ar.lt(el.abs_(w), 0.5)
    if dtype.is_complex:
        return el.where(near, a + w * (b - a), b - (b - a) * (1.0 - w))
    result = el.fma(el.where(near, w, w - 1.0), b - a, el.where(near, a, b))

    def backward(ct: Value, a: Value, b: Value, w: Value) -> tuple[Value | None, ...]:
        far = 1.0 - w
        if ar.is_scalar(weight):  # PyTorch has it in float64
            return ct * ar.cast(far, wide), ct * ar.cast(w, wide), None
        return ct * far, ct * w, ct * (b - a)

    if ar.is_scalar(weight):
        operands = (*_unwidened(dtype, start, end), ar.as_value(weight, dtypes.float64))
    else:
        operands = _unwidened(dtype, start, end, weight)
    return with_derivative(ar.cast(result, dtype), operands, backward)


LERP = PureOp("lerp", _lerp, preserves=True)
LERP_ = InplaceOp("lerp_", _lerp, "LerpBackward0")


def _refuse_numbers_to_lerp(input: Any, end: Any, weight: Any) -> None:
    if isinstance(end, Tensor) and surely_fit(input, weight):
        return
    if not isinstance(input, Tensor) or not isinstance(end, Tensor):
        raise no_overload("lerp", (input, end, weight), _LERP_FORMS)
    if input.dtype.kind == "f":
        refuse_numbers((input,), weight, finer=True)
    elif input.dtype.kind == "c":
        refuse_overflow(weight, input.dtype)


_LERP_FORMS = (
    "(Tensor input, Tensor end, Tensor weight, *, Tensor out = None)",
    "(Tensor input, Tensor end, Number weight, *, Tensor out = None)",
)


def lerp(input: Tensor, end: Tensor, weight: Any, *, out: Tensor | None = None) -> Tensor:
    """input + weight * (end - input)."""
    try:
        _refuse_numbers_to_lerp(input, end, weight)
        operands = input, end, weight
        made = record(LERP, operands)
        return made if out is None else write_out(made, out, beside=operands)
    except Exception:
        refuse_misgiven()
        raise


def lerp_(self: Tensor, end: Tensor, weight: Any) -> Tensor:
    """lerp in place."""
    try:
        _refuse_numbers_to_lerp(self, end, weight)
        return in_place(LERP_, self, (end, weight))
    except Exception:
        refuse_misgiven()
        raise


def _wide(dtype: DType) -> DType:
    return dtypes.float32 if dtype in ar.HALVES else dtype


def _widened(dtype: DType, *operands: Operand) -> list[Value]:
    """Operands as their kernels compute with them: in float32 for half types, where numbers are
    not rounded to these first.
    """
    wide = _wide(dtype)
    found = [ar.as_value(v, wide if ar.is_scalar(v) else dtype) for v in operands]
    return ar.broadcast(*[ar.cast(v, wide) for v in found])


def _unwidened(dtype: DType, *operands: Operand) -> tuple[Value, ...]:
    """Operands as derivatives compute with them: their steps are rounded to `dtype`."""
    return tuple(ar.broadcast(*[ar.as_value(v, dtype) for v in operands]))


def _addcmul(x: Value, a: Operand, b: Operand, value: Operand) -> Value:
    dtype = ar.promoted_dtype(x, a, b)
    if dtype is dtypes.bool_:
        raise not_implemented("addcmul_cpu_out", dtype)
    total, left, right, scale = _widened(dtype, x, a, b, value)
    if not dtype.is_floating_point:
        return ar.add(total, ar.mul(ar.mul(scale, left), right))

    def backward(ct: Value, x: Value, a: Value, b: Value, scale: Value) -> tuple[Any, ...]:
        return ct, ct * ar.mul(b, scale), ct * ar.mul(a, scale), None

    result = ar.cast(el.fma(scale * left, right, total), dtype)
    operands = (*_unwidened(dtype, x, a, b), ar.as_value(value, _wide(dtype)))
    return with_derivative(result, operands, backward)


INTEGER_DIVISION = (
    "Integer division with addcdiv is no longer supported, and in a future  release addcdiv will "
    "perform a true division of tensor1 and tensor2. The historic addcdiv behavior can be "
    "implemented as (input + value * torch.trunc(tensor1 / tensor2)).to(input.dtype) for integer "
    "inputs and as (input + value * tensor1 / tensor2) for float inputs. The future addcdiv "
    "behavior is just the latter implementation: (input + value * tensor1 / tensor2), for all "
    "dtypes."
)


def _addcdiv(x: Value, a: Operand, b: Operand, value: Operand) -> Value:
    if ar.promoted_dtype(a, b).kind not in "fc":
        raise RuntimeError(INTEGER_DIVISION)
    dtype = ar.promoted_dtype(x, a, b)
    total, left, right, scale = _widened(dtype, x, a, b, value)
    result = total + scale * left / right
    if dtype.is_complex:
        return result

    def backward(ct: Value, x: Value, a: Value, b: Value, scale: Value) -> tuple[Any, ...]:
        of_a = ct * (ar.cast(scale, ct.dtype) / b)
        return ct, of_a, el.neg(ct) * (ar.mul(a, scale) / (b * b)), None

    operands = (*_unwidened(dtype, x, a, b), ar.as_value(value, _wide(dtype)))
    return with_derivative(ar.cast(result, dtype), operands, backward)


ADDCMUL, ADDCDIV = (
    PureOp("addcmul", _addcmul, preserves=True),
    PureOp("addcdiv", _addcdiv, preserves=True),
)
ADDCMUL_ = InplaceOp("addcmul_", _addcmul, "AddcmulBackward0")
ADDCDIV_ = InplaceOp("addcdiv_", _addcdiv, "AddcdivBackward0")


def _value_first(function: Any, tensor: Any, given: tuple[Any, ...], **options: Any) -> Tensor:
    from flambeau.functional.factors_first import factor_first

    return factor_first(function, tensor, given, "value", ("tensor1", "tensor2"), **options)


def _refuse_scaled(name: str, input: Any, tensor1: Any, tensor2: Any, value: Any) -> None:
    """TypeError where one of the three is no tensor, RuntimeError where the factor does not fit."""
    if isinstance(tensor1, Tensor) and isinstance(tensor2, Tensor) and surely_fit(input, value):
        return
    named = ("input", input), ("tensor1", tensor1), ("tensor2", tensor2)
    for position, (argument, operand) in enumerate(named):
        if not isinstance(operand, Tensor):
            raise not_a_tensor(name, argument, position + (name[-1] != "_"), operand)
    # (Whole numbers have no quotients: the op refuses them.)
    if name[:7] == "addcmul" or tensor1.dtype.kind in "fc" or tensor2.dtype.kind in "fc":
        refuse_numbers((input, tensor1, tensor2), value, finer=True)


def addcmul(
    input: Tensor, tensor1: Any, tensor2: Tensor, *old: Any, value: Any = 1,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """input + value * tensor1 * tensor2 (the factor may come second)."""
    if old:
        return _value_first(addcmul, input, (tensor1, tensor2, *old), out=out)
    _refuse_scaled("addcmul", input, tensor1, tensor2, value)
    operands = input, tensor1, tensor2, value
    made = record(ADDCMUL, operands)
    return made if out is None else write_out(made, out, beside=operands)


def addcdiv(
    input: Tensor, tensor1: Any, tensor2: Tensor, *old: Any, value: Any = 1,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """input + value * tensor1 / tensor2 (the factor may come second)."""
    if old:
        return _value_first(addcdiv, input, (tensor1, tensor2, *old), out=out)
    _refuse_scaled("addcdiv", input, tensor1, tensor2, value)
    operands = input, tensor1, tensor2, value
    made = record(ADDCDIV, operands)
    return made if out is None else write_out(made, out, beside=operands)


def addcmul_(self: Tensor, tensor1: Any, tensor2: Tensor, *old: Any, value: Any = 1) -> Tensor:
    """addcmul in place."""
    if old:
        return _value_first(addcmul_, self, (tensor1, tensor2, *old))
    _refuse_scaled("addcmul_", self, tensor1, tensor2, value)
    return in_place(ADDCMUL_, self, (tensor1, tensor2, value))


def addcdiv_(self: Tensor, tensor1: Any, tensor2: Tensor, *old: Any, value: Any = 1) -> Tensor:
    """addcdiv in place."""
    if old:
        return _value_first(addcdiv_, self, (tensor1, tensor2, *old))
    _refuse_scaled("addcdiv_", self, tensor1, tensor2, value)
    return in_place(ADDCDIV_, self, (tensor1, tensor2, value))
