"""fmod, exact, and cbrt."""

from __future__ import annotations

from flambeau.execute.cpu.math_coefficients import CBRT64
from flambeau.execute.cpu.math_lanes import (
    Lanes,
    absolute,
    horner,
    scale,
    two_product,
    where,
    widened,
    with_sign,
)

INFINITY = float("inf")
NAN = float("nan")


def _mantissa_exponent(x: Lanes) -> tuple[Lanes, Lanes]:
    """(M, E), i64, with x = M 2^E: positive or zero double x, subnormals too."""
    bits = x.bits()
    exponent = bits >> 52
    subnormal = exponent.eq(0)
    mantissa = bits & ((1 << 52) - 1)
    mantissa = where(subnormal, mantissa, mantissa | (1 << 52))
    return mantissa, where(subnormal, 1, exponent) - 1075


def _remainder(x: Lanes, y: Lanes) -> Lanes:
    """x mod y for finite positive double y and finite x >= 0."""
    if not x.fused:
        return _long_remainder(x, y)
    e, ratio = x.emitter, x / y
    huge = e.any_lane((~ratio.lt(2.0**52)).reg)
    divided = e.either(
        huge, lambda: _long_remainder(x, y).reg, lambda: _short_remainder(x, y, ratio).reg
    )
    return Lanes(e, divided)


def _short_remainder(x: Lanes, y: Lanes, ratio: Lanes) -> Lanes:
    """The same where the rounded quotient is below 2^52: its whole part is right, or one too many.

    Either way x less that many y is a multiple of the last place of y, or of that of x where x < y,
    and below y: a double, which one rounding gives exactly.
    """
    rest = (-ratio.call("llvm.trunc")).call("llvm.fma", y, x)
    return where(rest.lt(0.0), rest + y, rest)


def _long_remainder(x: Lanes, y: Lanes) -> Lanes:
    """The same by long division of the mantissas.

    Each turn of a loop shifts by up to 11 bits and takes an integer remainder; the turns are
    those of the lane with the largest quotient.
    """
    e = x.emitter
    mx, ex = _mantissa_exponent(x)
    my, ey = _mantissa_exponent(y)
    smaller = x.lt(y)
    left = where(smaller, 0, ex - ey)
    # Equal exponents and up: ex >= ey. (A subnormal y has a short mantissa; that is no matter.)
    before, head, body, tail = e.label(), e.label(), e.label(), e.label()
    rest = Lanes(e, e.op("urem", mx.reg, my.reg))
    e.branch(before)
    e.open_block(before)
    e.branch(head)
    e.open_block(head)
    slot = len(e.lines)
    state = [Lanes(e, e.temp(v.type, "")) for v in (rest, left)]
    del e.lines[slot:]
    e.branch_if(e.any_lane(state[1].gt(0).reg), body, tail)
    e.open_block(body)
    step = where(state[1].gt(11), 11, state[1])
    shifted = state[0] << step
    following = [Lanes(e, e.op("urem", shifted.reg, my.reg)), state[1] - step]
    e.branch(head)
    e.lines[slot:slot] = [
        f"  {now.reg} = phi {now.type} [ {first.reg}, %{before} ], [ {then.reg}, %{body} ]"
        for now, first, then in zip(state, (rest, left), following, strict=True)
    ]
    e.open_block(tail)
    # The remainder is below M_y 2^E_y: an integer times 2^E_y, both factors exact.
    value = scale(_exact_double(state[0]), where(ey.lt(-1074), -1074, ey))
    return where(smaller, x, value)


def _exact_double(n: Lanes) -> Lanes:
    """A non-negative integer below 2^53 as a double, without a 64-bit conversion instruction."""
    high = ((n >> 32) | 0x4530000000000000).from_bits() - 2.0**84
    low = ((n & 0xFFFFFFFF) | 0x4330000000000000).from_bits() - 2.0**52
    return high + low


@widened
def fmod(x: Lanes, y: Lanes) -> Lanes:
    """x - trunc(x / y) y, exactly, with the sign of x."""
    a, b = absolute(x), absolute(y)
    usable = a.lt(INFINITY) & b.gt(0.0) & b.lt(INFINITY)
    value = _remainder(where(usable, a, 0.0), where(usable, b, 1.0))
    value = where(b.eq(INFINITY) & a.lt(INFINITY), a, value)
    value = with_sign(value, x)
    return where(a.lt(INFINITY) & b.gt(0.0), value, NAN)


@widened
def cbrt(x: Lanes) -> Lanes:
    """A polynomial's guess, two of Halley's steps, and one last correction with an exact square."""
    size = absolute(x)
    tiny = size.lt(2.0**-1000)
    usable = where(size.lt(INFINITY) & size.gt(0.0), size, 1.0)
    scaled = where(tiny, usable * 2.0**90, usable)
    exponent = (scaled.bits() >> 52) - 1023
    # floor(exponent / 3), by a multiplication that is right far beyond the exponents.
    third = (((exponent + 3072) * 43691) >> 17) - 1024
    m = scale(scaled, third * -3)
    y = horner(m, CBRT64)
    for _ in range(2):
        cube = y * y * y
        y = y * (cube + m * 2.0) / (cube * 2.0 + m)
    square, low = two_product(y, y)
    cube, cube_low = two_product(square, y)
    y = y + ((m - cube) - (cube_low + low * y)) / (square * 3.0)
    result = scale(y, where(tiny, third - 30, third))
    result = where(size.lt(INFINITY) & size.gt(0.0), result, size)
    return with_sign(result, x)
