"""Complex numbers: their parts, angles and absolute values, and views between pairs and numbers.

`real`, `imag`, `view_as_real` and `view_as_complex` share memory with their operand, as in PyTorch,
where no gradient is recorded; where one is, they are copies (writes into them do not reach the
operand). Conjugation is never lazy: `is_conj` is False always.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.functional.conversion import CONJ
from flambeau.functional.folding import checked
from flambeau.functional.pointwise import write_out
from flambeau.functional.views import view_dtype
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import matrix_algebra as ma
from flambeau.ops import source, view
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import LOCAL
from flambeau.tensor.recording import binary, in_place, unary
from flambeau.tensor.tensor import Tensor

# ---- from parts ----------------------------------------------------------------------------------


def _check_parts(a: Value, b: Value) -> None:
    real = (dtypes.float16, dtypes.float32, dtypes.float64)
    if a.dtype not in real or b.dtype not in real:
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{a.dtype.scalar_name} and {b.dtype.scalar_name}"
        )
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {a.dtype.scalar_name} but got scalar type "
            f"{b.dtype.scalar_name} for second argument"
        )


def _complex(a: Value, b: Value) -> Value:
    _check_parts(a, b)
    return el.complex_(*ar.broadcast(a, b))


def _polar(size: Value, angle: Value) -> Value:
    _check_parts(size, angle)
    size, angle = ar.broadcast(size, angle)
    return el.complex_(ar.mul(size, el.cos(angle)), ar.mul(size, el.sin(angle)))


COMPLEX = PureOp("complex", _complex, "ComplexBackward0", preserves=True)
POLAR = PureOp("polar", _polar, preserves=True)


def complex(real: Tensor, imag: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex tensor of two real ones."""
    checked("complex", real, "real"), checked("complex", imag, "imag", 2)
    made = binary(COMPLEX, real, imag)
    if out is not None and out.dtype is not made.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {made.dtype.scalar_name} but got scalar type "
            f"{out.dtype.scalar_name} for argument 'out'"
        )
    return write_out(made, out, beside=(real, imag))


def polar(abs: Tensor, angle: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex tensor of absolute values and angles in radians."""
    checked("polar", abs, "abs"), checked("polar", angle, "angle", 2)
    return write_out(binary(POLAR, abs, angle), out, beside=(abs, angle))


# ---- parts ---------------------------------------------------------------------------------------


def _angle(x: Value) -> Value:
    if x.dtype.is_complex:
        return _complex_angle(x)
    if x.dtype.kind != "f":
        x = ar.cast(x, dtypes.get_default_dtype())
    zero = ar.zeros_like(x)
    result = el.where(el.lt(x, zero), ar.full_like(x, math.pi), zero)
    result = el.where(el.ne(x, x), x, result)
    return with_derivative(result, x, lambda ct, x: ar.zeros_like(ct))


def _complex_angle(x: Value) -> Value:
    """atan2 of the parts; its gradient at 0 is 0."""
    re, im = el.real(x), el.imag(x)
    if not x.tracked:
        return el.atan2(im, re)
    zero = ar.logical_and(ar.eq(re, 0.0), ar.eq(im, 0.0))
    safe = el.atan2(im, el.where(zero, ar.full_like(re, 1), re))
    plain = el.atan2(source.detach(im), source.detach(re))
    return el.where(zero, plain, safe)


def _part(name: str, select: Callable[[Value], Value]) -> PureOp:
    return PureOp(name, select, f"{name.capitalize()}Backward0", preserves=True)


REAL, IMAG = _part("real", el.real), _part("imag", el.imag)
ANGLE = PureOp("angle", _angle, preserves=True)


def _half_type(x: Tensor) -> DType:
    return dtypes.float32 if x.dtype is dtypes.complex64 else dtypes.float64


def _records_gradient(x: Tensor) -> bool:
    return bool(x.requires_grad and LOCAL.grad_mode)


def _pairs(x: Tensor) -> Tensor:
    from flambeau.functional.views import unsqueeze

    return view_dtype(unsqueeze(x.detach(), -1), _half_type(x))


def real(input: Tensor) -> Tensor:
    """The real parts, as a view; a real tensor itself."""
    if not checked("real", input).is_complex():
        return input
    return unary(REAL, input) if _records_gradient(input) else _pairs(input).select(-1, 0)


def imag(input: Tensor) -> Tensor:
    """The imaginary parts of a complex tensor, as a view."""
    if not checked("imag", input).is_complex():
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return unary(IMAG, input) if _records_gradient(input) else _pairs(input).select(-1, 1)


def set_real(self: Tensor, value: Any) -> None:
    """Writes the real parts."""
    self.real.copy_(value if isinstance(value, Tensor) else self.real.new_tensor(value))


def set_imag(self: Tensor, value: Any) -> None:
    """Writes the imaginary parts."""
    self.imag.copy_(value if isinstance(value, Tensor) else self.imag.new_tensor(value))


def angle(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The angles in radians, in (-pi, pi]; 0 or pi for real numbers."""
    return write_out(unary(ANGLE, checked("angle", input)), out, beside=(input,))


# ---- views ---------------------------------------------------------------------------------------


def _as_pairs(x: Value) -> Value:
    shape = (*x.shape, 1)
    parts = [view.reshape(p, shape=shape) for p in (el.real(x), el.imag(x))]
    return view.concat(*parts, axis=x.ndim)


def _from_pairs(x: Value) -> Value:
    shape = x.shape[:-1]
    parts = [view.reshape(ma.narrow(x, -1, i, 1), shape=shape) for i in (0, 1)]
    return el.complex_(*parts)


AS_REAL = PureOp("view_as_real", _as_pairs, "ViewAsRealBackward0")
AS_COMPLEX = PureOp("view_as_complex", _from_pairs, "ViewAsComplexBackward0")


def view_as_real(input: Tensor) -> Tensor:
    """The numbers as pairs (real, imaginary) along a new last dimension."""
    if not checked("view_as_real", input).is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return unary(AS_REAL, input) if _records_gradient(input) else _pairs(input)


def view_as_complex(input: Tensor) -> Tensor:
    """Pairs (real, imaginary) along the last dimension as complex numbers."""
    checked("view_as_complex", input)
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {input.dtype.scalar_name}"
        )
    if not input.dim():
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input.shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    if input.stride(-1) != 1:
        raise RuntimeError("Tensor must have a last dimension with stride 1")
    for step in input.stride()[:-1]:
        if step % 2:
            raise RuntimeError(
                "Tensor must have a stride divisible by 2 for all but last dimension"
            )
    if input.storage_offset() % 2:
        raise RuntimeError("Tensor must have a storage_offset divisible by 2")
    if _records_gradient(input):
        return unary(AS_COMPLEX, input)
    return view_dtype(input.detach(), input.dtype.to_complex()).squeeze(-1)


# ---- conjugates ----------------------------------------------------------------------------------

CONJ_PHYSICAL_ = InplaceOp("conj_physical_", ar.conj, "ConjPhysicalBackward0")


def conj(input: Tensor) -> Tensor:
    """The complex conjugate (a copy); a real tensor itself."""
    return unary(CONJ, input) if checked("conj", input).is_complex() else input


def conj_physical(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The complex conjugate as a new tensor; a real tensor itself."""
    return write_out(conj(input), out, beside=(input,))


def conj_physical_(input: Tensor) -> Tensor:
    """The complex conjugate in place."""
    return in_place(CONJ_PHYSICAL_, input) if input.is_complex() else input


def resolve_conj(input: Tensor) -> Tensor:
    """The tensor itself: conjugation is never lazy."""
    return checked("resolve_conj", input)


def resolve_neg(input: Tensor) -> Tensor:
    """The tensor itself: negation is never lazy."""
    return checked("resolve_neg", input)


def is_conj(input: Tensor) -> bool:
    """False: conjugation is never lazy."""
    checked("is_conj", input)
    return False


def is_neg(input: Tensor) -> bool:
    """False: negation is never lazy."""
    checked("is_neg", input)
    return False


METHODS: dict[str, Callable[..., Any]] = {
    "angle": angle, "conj": conj, "conj_physical": conj_physical,
    "conj_physical_": conj_physical_, "resolve_conj": resolve_conj, "resolve_neg": resolve_neg,
    "is_conj": is_conj, "is_neg": is_neg,
}  # fmt: skip
PROPERTIES: dict[str, Any] = {"real": property(real, set_real), "imag": property(imag, set_imag)}
__all__ = [*METHODS, "complex", "imag", "polar", "real", "view_as_complex", "view_as_real"]
