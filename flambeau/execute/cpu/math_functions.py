"""The vector math functions by name, as the kernel families call them.

Each takes an emitter and registers of float or double, of any number of lanes, and returns a
register of the same type. Most emit straight-line code; sin, cos, tan (a branch for huge arguments)
and fmod (a loop) open blocks of their own. Nothing calls the C library, with or without fused
multiply-add.

Bounds over the whole range, in units in the last place of the correctly rounded result: float32 2;
float64 2, and 3 for tan, erfc, erfinv, and lgamma and digamma of positive numbers. Of negative
numbers these two are right absolutely, not relatively, near their zeros.
"""

from __future__ import annotations

from collections.abc import Callable

from flambeau.execute.cpu import (
    math_division,
    math_exponential,
    math_gates,
    math_lanes,
    math_logarithm,
    math_special,
    math_trigonometric,
)
from flambeau.execute.cpu.emit import Emitter, Reg
from flambeau.execute.cpu.math_lanes import Lanes

EmittedFunction = Callable[..., Reg]
"""(e: Emitter, x: Reg) -> Reg, or with a second register y."""


def _emitted(function: Callable[..., Lanes]) -> EmittedFunction:
    def emit(e: Emitter, *registers: Reg) -> Reg:
        for register in registers:
            if register.type.element not in ("float", "double"):
                raise NotImplementedError(
                    f"math functions take float or double registers, not {register.type}; "
                    "widen half and bfloat to float first"
                )
        return function(*(Lanes(e, r) for r in registers)).reg

    return emit


_ON_LANES: dict[str, Callable[..., Lanes]] = {
    "exp": math_exponential.exp,
    "exp2": math_exponential.exp2,
    "expm1": math_exponential.expm1,
    "sigmoid": math_exponential.sigmoid,
    "tanh": math_exponential.tanh,
    "sinh": math_exponential.sinh,
    "cosh": math_exponential.cosh,
    "log": math_logarithm.log,
    "log1p": math_logarithm.log1p,
    "log2": math_logarithm.log2,
    "log10": math_logarithm.log10,
    "asinh": math_logarithm.asinh,
    "acosh": math_logarithm.acosh,
    "atanh": math_logarithm.atanh,
    "pow": math_logarithm.pow_,
    "sin": math_trigonometric.sin,
    "cos": math_trigonometric.cos,
    "tan": math_trigonometric.tan,
    "asin": math_trigonometric.asin,
    "acos": math_trigonometric.acos,
    "atan": math_trigonometric.atan,
    "atan2": math_trigonometric.atan2,
    "erf": math_special.erf,
    "erfc": math_special.erfc,
    "erfinv": math_special.erfinv,
    "erf_plus_one": math_gates.erf_plus_one,
    "tanh_plus_one": math_gates.tanh_plus_one,
    "lgamma": math_special.lgamma,
    "digamma": math_special.digamma,
    "cbrt": math_division.cbrt,
    "fmod": math_division.fmod,
    "sqrt": math_lanes.square_root,
    "abs": math_lanes.absolute,
    "round_half_even": math_lanes.round_half_even,
    "floor": math_lanes.floor,
    "ceil": math_lanes.ceil,
    "trunc": math_lanes.trunc,
}

FUNCTIONS: dict[str, EmittedFunction] = {name: _emitted(f) for name, f in _ON_LANES.items()}
