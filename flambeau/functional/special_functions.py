"""torch.special's functions over tensors, as far as `pointwise` does not have them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.functional.folding import checked
from flambeau.functional.options import not_implemented, refusing
from flambeau.functional.pointwise import _binary_op, _unary_op, write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import special as sp
from flambeau.ops.source import with_derivative
from flambeau.ops.value import Operand, Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.tensor.recording import in_place, unary
from flambeau.tensor.tensor import Tensor

# ---- of one operand ------------------------------------------------------------------------------


# Which of PyTorch's kernels have the half types, and those that are not called as their function.
_WITH_HALVES = {"i0", "i0e", "i1", "i1e", "entr", "ndtr", "igamma", "igammac", "xlog1py"}
_KERNELS = {"i0": "i0_vml_cpu", "ndtr": "erf_vml_cpu"}


def _kernel(name: str, function: Callable[..., Value], without: str = "c") -> Callable[..., Value]:
    """A function without the dtypes that PyTorch's kernel has not."""
    name = name.removeprefix("special_")
    kinds = without if name in _WITH_HALVES else without + "h"
    return refusing(_KERNELS.get(name, f"{name}_cpu"), function, kinds)


def _half_as_float(function: Callable[[Value], Value]) -> Callable[[Value], Value]:
    """The function in the operand's float dtype; halves are computed in float32."""

    def apply(x: Value) -> Value:
        dtype = ar.float_dtype(x)
        low = dtype in (dtypes.float16, dtypes.bfloat16)
        return ar.cast(function(ar.cast(x, dtypes.float32 if low else dtype)), dtype)

    return apply


def _one(
    name: str, function: Callable[[Value], Value], grad_name: str | None = None
) -> tuple[Callable[..., Tensor], Callable[..., Tensor]]:
    return _unary_op(name, _kernel(name, _half_as_float(function)), grad_name)


def _log_ndtr(x: Value) -> Value:
    root = math.sqrt(0.5)
    low = ar.lt(x, -1.0)
    under = el.where(low, x, ar.full_like(x, -1))
    tail = ar.sub(el.log(ar.mul(sp.erfcx(ar.mul(under, -root)), 0.5)),
                  ar.mul(ar.mul(under, under), 0.5))  # fmt: skip
    over = el.where(low, ar.full_like(x, 0), x)
    return el.where(low, tail, el.log1p(ar.mul(el.erfc(ar.mul(over, root)), -0.5)))


def _ndtr(x: Value) -> Value:
    return ar.mul(el.erfc(ar.mul(x, -math.sqrt(0.5))), 0.5)


i0, i0_ = _one("i0", sp.i0)
i0e, _ = _one("special_i0e", sp.i0e)
i1, _ = _one("special_i1", sp.i1)
i1e, _ = _one("special_i1e", sp.i1e)
bessel_j0, _ = _one("special_bessel_j0", sp.bessel_j0)
bessel_j1, _ = _one("special_bessel_j1", sp.bessel_j1)
bessel_y0, _ = _one("special_bessel_y0", sp.bessel_y0)
bessel_y1, _ = _one("special_bessel_y1", sp.bessel_y1)
modified_bessel_i0, _ = _one("special_modified_bessel_i0", sp.bessel_i0)
modified_bessel_i1, _ = _one("special_modified_bessel_i1", sp.bessel_i1)
modified_bessel_k0, _ = _one("special_modified_bessel_k0", sp.bessel_k0)
modified_bessel_k1, _ = _one("special_modified_bessel_k1", sp.bessel_k1)
airy_ai, _ = _one("special_airy_ai", sp.airy_ai)
spherical_bessel_j0, _ = _one("special_spherical_bessel_j0", sp.spherical_j0)
erfcx, _ = _one("special_erfcx", sp.erfcx)
ndtri, _ = _one("special_ndtri", sp.ndtri)
entr, _ = _one("special_entr", sp.entr)
log_ndtr, _ = _one("special_log_ndtr", _log_ndtr)
ndtr, _ = _one("special_ndtr", _ndtr)


def _argument_x(name: str, primitive: Callable[[Value], Value]) -> Callable[..., Tensor]:
    """Two functions of PyTorch's call their operand x."""
    apply, _ = _one(f"special_{name}", primitive)

    def call(x: Tensor, *, out: Tensor | None = None) -> Tensor:
        return apply(x, out=out)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The elementwise {name} of `x`."
    return call


scaled_modified_bessel_k0 = _argument_x("scaled_modified_bessel_k0", sp.scaled_k0)
scaled_modified_bessel_k1 = _argument_x("scaled_modified_bessel_k1", sp.scaled_k1)


# ---- of two operands -----------------------------------------------------------------------------


def _of_two(
    name: str, function: Callable[[Value, Value], Value], without: str = "c"
) -> Callable[..., Value]:
    def apply(a: Operand, b: Operand) -> Value:
        dtype = ar.float_dtype(a, b)
        low = dtype in (dtypes.float16, dtypes.bfloat16)
        wide = dtypes.float32 if low else dtype
        left, right = ar.broadcast(ar.as_value(a, wide), ar.as_value(b, wide))
        return ar.cast(function(left, right), dtype)

    return _kernel(name, apply, without)


def _xlog1py(x: Value, y: Value) -> Value:
    product = ar.mul(x, el.log1p(y))
    nothing = ar.logical_and(ar.eq(x, 0.0), ar.logical_not(el.ne(y, y)))

    def backward(ct: Value, x: Value, y: Value) -> tuple[Value, Value]:
        outside = ar.logical_and(ar.eq(x, 0.0), ar.le(y, -1.0))
        return el.where(outside, ar.zeros_like(ct), _xlog1py(ct, y)), ct * x / (y + 1.0)

    result = el.where(nothing, ar.zeros_like(x), product)
    return with_derivative(result, (x, y), backward)


igamma, igamma_, _IGAMMA = _binary_op(
    "igamma", _of_two("igamma", sp.gammainc, "ibc"), numbers="none"
)
igammac, igammac_, _IGAMMAC = _binary_op(
    "igammac", _of_two("igammac", sp.gammaincc, "ibc"), numbers="none"
)
zeta, _, _ZETA = _binary_op("special_zeta", _of_two("zeta", sp.zeta))
xlog1py, _, _XLOG1PY = _binary_op("special_xlog1py", _of_two("xlog1py", _xlog1py))


def _polynomial(name: str) -> Callable[..., Tensor]:
    apply, _, _ = _binary_op(f"special_{name}", _of_two(name, sp.POLYNOMIALS[name]))

    def call(input: Any, n: Any, *, out: Tensor | None = None) -> Tensor:
        return apply(input, n, out=out)

    call.__name__ = call.__qualname__ = name
    call.__doc__ = f"The elementwise {name} of degree `n` at `input`; 0 for negative degrees."
    return call


POLYNOMIALS = {name: _polynomial(name) for name in sp.POLYNOMIALS}


def _polygamma(x: Value, n: int) -> Value:
    if x.dtype.is_complex:
        raise not_implemented(("digamma", "trigamma", "polygamma")[min(n, 2)], x.dtype)
    x = ar.cast(x, ar.float_dtype(x))
    if n == 0:
        return el.digamma(x)
    order = ar.full_like(x, n + 1)
    sign = 1.0 if n % 2 else -1.0
    return ar.mul(sp.zeta(order, x), sign * math.factorial(n))


POLYGAMMA = PureOp("polygamma", _polygamma, preserves=True)
POLYGAMMA_ = InplaceOp("polygamma_", _polygamma, "PolygammaBackward0")


def _order(n: Any) -> int:
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    return int(n)


def polygamma(n: Any, input: Any, *, out: Tensor | None = None) -> Tensor:
    """The n-th derivative of the digamma function."""
    if isinstance(n, Tensor):  # as a method: x.polygamma(n)
        n, input = input, n
    result = unary(POLYGAMMA, checked("polygamma", input), (_order(n),))
    return write_out(result, out, beside=(input,))


def polygamma_(self: Tensor, n: int) -> Tensor:
    """polygamma in place."""
    return in_place(POLYGAMMA_, self, (), (_order(n),))


METHODS: dict[str, Callable[..., Any]] = {
    "i0": i0, "i0_": i0_, "igamma": igamma, "igamma_": igamma_, "igammac": igammac,
    "igammac_": igammac_, "polygamma": polygamma, "polygamma_": polygamma_,
}  # fmt: skip
__all__ = [*(name for name in METHODS if name not in ("igamma_", "igammac_", "polygamma_"))]
