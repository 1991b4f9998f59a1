"""exp and its family: exp2, expm1, sigmoid, tanh, sinh, cosh.

All reduce to x = k ln 2 + r, |r| <= ln(2) / 2, and exp(x) = 2^k (1 + p), p = r + r^2 P(r).
"""

from __future__ import annotations

from flambeau.execute.cpu.math_coefficients import (
    EXP32,
    EXP64,
    SINH64,
    TANH32,
    TANH64,
)
from flambeau.execute.cpu.math_lanes import (
    Lanes,
    absolute,
    fast_two_sum,
    horner,
    mad,
    nearest,
    power_of_two,
    scale,
    two_product,
    where,
    widened,
    with_sign,
)

LOG2_E = 1.4426950408889634
# ln 2 in two parts. The first has 40 bits (14 for float32), so that k times it is exact.
LN2_64 = (0.6931471805592082, 7.371002565167799e-13)
LN2_32 = (0.693115234375, 3.194618329871446e-05)
# ln 2 as the nearest number of the format and what that leaves.
LN2_PAIR_64 = (0.6931471805599453, 2.3190468138462996e-17)
LN2_PAIR_32 = (0.6931471824645996, -1.904654323148236e-09)


def clamp(x: Lanes, low: float, high: float) -> Lanes:
    """x kept within [low, high]; NaN stays NaN."""
    x = where(x.gt(high), high, x)
    return where(x.lt(low), low, x)


def exp_range(x: Lanes) -> tuple[float, float]:
    """Bounds just beyond which exp underflows to zero and overflows."""
    return (-746.0, 710.0) if x.double else (-104.0, 89.0)


def _reduce(x: Lanes) -> tuple[Lanes, Lanes, Lanes]:
    """(k, r, what the rounding of r lost), x = k ln 2 + r; |x| within `exp_range`."""
    high, low = LN2_64 if x.double else LN2_32
    k, integer = nearest(x * LOG2_E)
    exact = mad(k, -high, x)
    r = mad(k, -low, exact)
    return integer, r, mad(k, -low, exact - r)


def _excess(r: Lanes) -> Lanes:
    """exp(r) - 1 - r."""
    return r * r * horner(r, EXP64 if r.double else EXP32)


def exp_parts(x: Lanes, low: Lanes | None = None) -> tuple[Lanes, Lanes]:
    """(k, p) with exp(x + low) = 2^k (1 + p); x within `exp_range`, low^2 negligible."""
    k, r, lost = _reduce(x)
    if low is None:
        return k, mad(r * r, horner(r, EXP64 if r.double else EXP32), r)
    low = low + lost
    excess = _excess(r)
    # exp(r) low: beside |x| = 700, the low part of x is worth a thousand units of the result.
    return k, r + (excess + mad(low, r + excess, low))


def exp(x: Lanes) -> Lanes:
    """Lanes too small for any result are computed as 0: processors need some hundred cycles for a
    product that underflows, and masked scores are -inf.
    """
    low, high = exp_range(x)
    none = x.lt(low)
    k, p = exp_parts(where(none, 0.0, where(x.gt(high), high, x)))
    return where(none, 0.0, scale(p + 1.0, k))


def exp2(x: Lanes) -> Lanes:
    x = clamp(x, -1076.0, 1025.0) if x.double else clamp(x, -151.0, 129.0)
    k, integer = nearest(x)
    f = x - k
    ln2, ln2_low = LN2_PAIR_64 if x.double else LN2_PAIR_32
    r, lost = two_product(f, f.like(ln2))
    return scale((r + (_excess(r) + mad(f, ln2_low, lost))) + 1.0, integer)


def expm1(x: Lanes) -> Lanes:
    """2^k exp(r) - 1 = (2^k - 1 + 2^k r) + 2^k (exp(r) - 1 - r): the first is rounded once, and not
    much larger than the sum. Both are halves of that, since 2^128 is infinite; where a half would
    be subnormal, x is the result.
    """
    inside = clamp(x, -40.0, 710.0) if x.double else clamp(x, -18.0, 89.0)
    k, r, lost = _reduce(inside)
    half = power_of_two(k - 1)
    excess = mad(r * r, horner(r, EXP64 if x.double else EXP32), lost)
    total = mad(half, excess, mad(half, r, half - 0.5))
    return where(absolute(x).lt(2.0**-55 if x.double else 2.0**-26), x, total + total)


def sigmoid(x: Lanes) -> Lanes:
    """1 / (1 + exp(-x)), from exp(-|x|) on both sides: nothing overflows or cancels."""
    low, _ = exp_range(x)
    size = -absolute(x)
    k, p = exp_parts(where(size.lt(low), low, size))
    base, lost = fast_two_sum(p.like(1.0), p)
    z = scale(base, k)
    total, low_part = fast_two_sum(z.like(1.0), z)
    # The rounding errors of z and of 1 + z, relative to each: one correction of the quotient.
    z_lost = lost * power_of_two(where(k.lt(-64), -64, k))
    numerator = where(x.lt(0.0), z, 1.0)
    q = numerator / total
    correction = where(x.lt(0.0), lost, 0.0) - (low_part + z_lost)
    return mad(q, correction, q)


def tanh(x: Lanes) -> Lanes:
    """x + x z P(z) up to 0.55, where tanh reaches 1/2; 1 - 2 / (exp(2 |x|) + 1) beyond."""
    size = absolute(x)
    z = x * x
    small = mad(x * z, horner(z, TANH64 if x.double else TANH32), x)
    limit = 20.0 if x.double else 10.0
    double = where(size.gt(limit), limit, size) * 2.0
    k, p = exp_parts(double)
    e = (p + 1.0) * power_of_two(k)
    large = 1.0 - 2.0 / (e + 1.0)
    return with_sign(where(size.lt(0.55), small, large), x)


def half_exp(x: Lanes) -> Lanes:
    """exp(x) / 2, without overflow where only the doubled value would."""
    k, p = exp_parts(where(x.gt(711.0), 711.0, x))
    return scale(p + 1.0, k - 1)


@widened
def sinh(x: Lanes) -> Lanes:
    size = absolute(x)
    z = x * x
    small = mad(x * z, horner(z, SINH64), x)
    h = half_exp(size)
    return with_sign(where(size.lt(1.0), small, h - 0.25 / h), x)


@widened
def cosh(x: Lanes) -> Lanes:
    h = half_exp(absolute(x))
    return h + 0.25 / h
