"""Functions for gates and GELU, right to some 2^-22 of what they are at most; float32.

A gate multiplies: what counts is its error beside 1, not beside itself. So sigmoid and 1 + erf
need no second branch for small results, and take half the instructions of those in
math_exponential.py and math_special.py. Coefficients, lowest power first, are weighted
least-squares fits of the exact functions, reweighted until the largest errors are level.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from flambeau.execute.cpu import math_exponential, math_special
from flambeau.execute.cpu.math_lanes import Lanes, absolute, horner, mad, where

if TYPE_CHECKING:
    from flambeau.core.dtypes import DType
    from flambeau.execute.cpu.body import Node, Tracer

LOG2_E = 1.4426950408889634
# 2^f on [-1/2, 1/2]; error 2^-23.7 of the result.
EXP2 = (
    1.0,
    0.6931469440460205,
    0.24022120237350464,
    0.05550713464617729,
    0.009675540961325169,
    0.0013276466634124517,
)
# -log2(erfc(a)) on [0, 10], rising; error of erfc 2^-23.6.
ERFC = (
    -7.574229243800801e-08,
    1.6279141902923584,
    0.9183402061462402,
    0.1488638073205948,
    -0.029160968959331512,
    0.0019001124892383814,
    0.0007444836664944887,
    -0.00019780888396780938,
    1.3023873179918155e-05,
)
# tanh(x) = x P(x^2) / Q(x^2) on [-9, 9]; error 2^-25.5 of the result.
TANH_P = (
    1.0,
    0.1338103860616684,
    0.003495603334158659,
    2.0609302737284452e-05,
    1.3354913619423314e-08,
)
TANH_Q = (
    1.0,
    0.46714353561401367,
    0.02587704174220562,
    0.00032856586039997637,
    7.776673101034248e-07,
)


def _power(y: Lanes, plus: float = 0.0) -> Lanes:
    """2^y + plus for y from -126 to 126."""
    t = y + 1.5 * 2.0**23
    f = y - (t - 1.5 * 2.0**23)
    # The low bits of t are the nearest integer; the shift leaves nothing of the others.
    scale = ((t.bits() << 23) + (127 << 23)).from_bits()
    value = horner(f, EXP2)
    return mad(value, scale, plus) if plus else value * scale


def _reciprocal(x: Lanes) -> Lanes:
    """1 / x to a unit or two in the last place, for x from 2^-126 to 2^126."""
    if not x.widest:
        return 1.0 / x
    e = x.emitter
    name, mask = "llvm.x86.avx512.rcp14.ps.512", e.i64(-1)
    e.declarations.setdefault(
        name, f"declare <16 x float> @{name}(<16 x float>, <16 x float>, i16)"
    )
    call = f"call <16 x float> @{name}({x.reg.typed}, {x.reg.typed}, i16 {mask.name})"
    first = Lanes(e, e.temp(x.type, call))
    return mad(first, mad(-x, first, 1.0), first)


def _within(x: Lanes, limit: float) -> Lanes:
    """x, at most the limit from 0; NaN stays NaN."""
    x = where(x.gt(limit), limit, x)
    return where(x.lt(-limit), -limit, x)


def sigmoid(x: Lanes) -> Lanes:
    if x.double:
        return 1.0 / (1.0 + math_exponential.exp(-x))
    return _reciprocal(_power(_within(x * -LOG2_E, 120.0)) + 1.0)


def tanh(x: Lanes) -> Lanes:
    """Five units in the last place."""
    if x.double:
        return math_exponential.tanh(x)
    x = _within(x, 9.0)
    z = x * x
    return x * horner(z, TANH_P) * _reciprocal(horner(z, TANH_Q))


def erf_plus_one(x: Lanes) -> Lanes:
    """1 + erf(x); 0 for what is far below 0."""
    if x.double:
        return math_special.erf(x) + 1.0
    size = absolute(x)
    size = where(size.gt(10.0), 10.0, size)
    y = -horner(size, ERFC)
    small = _power(where(y.lt(-126.0), -126.0, y), -(2.0**-126))
    return where(x.lt(0.0), small, 2.0 - small)


def tanh_plus_one(x: Lanes) -> Lanes:
    """1 + tanh(x) = 2 sigmoid(2 x); 0 for what is far below 0."""
    if x.double:
        return math_exponential.tanh(x) + 1.0
    y = _within(x * (-2.0 * LOG2_E), 120.0)
    return mad(_reciprocal(_power(y) + 1.0), 2.0, -(2.0**-119))


# ---- where programs have them --------------------------------------------------------------------


def _is_op(node: Node, name: str) -> bool:
    return node.kind == "op" and node.data[0] == name


def _is_one(node: Node) -> bool:
    return node.kind == "literal" and node.data == 1


def gate(t: Tracer, name: str, dtype: DType, args: list[Node]) -> Node | None:
    """The node of 1 + erf(x), 1 + tanh(x) or 1 - tanh(x)^2 in float32, if it is one of these."""
    if dtype.name != "float32":
        return None
    if name == "add":
        for inner, other in (args, args[::-1]):
            for function in ("erf", "tanh"):
                if _is_one(other) and _is_op(inner, function):
                    return t.op(f"{function}_plus_one", dtype, inner.args[0])
    if name == "sub" and _is_one(args[0]) and _is_op(args[1], "mul"):
        left, right = args[1].args
        if left is right and _is_op(left, "tanh"):
            above = t.op("tanh_plus_one", dtype, left.args[0])
            return t.op("mul", dtype, above, t.op("sub", dtype, t.literal(2.0, dtype), above))
    return None
