"""log and its family: log1p, log2, log10, the inverse hyperbolic functions, and pow.

x = 2^k (1 + f), sqrt(1/2) <= 1 + f < sqrt(2). The `pair` forms carry about 2^-64 of relative
error, for pow (whose exponent multiplies it by up to 745) and for the changes of base.
"""

from __future__ import annotations

from flambeau.execute.cpu.math_coefficients import ASINH64, LOG32, LOG64, LOG_TAIL64
from flambeau.execute.cpu.math_exponential import LN2_32, LN2_64, clamp, exp_parts
from flambeau.execute.cpu.math_lanes import (
    Lanes,
    Pair,
    absolute,
    fast_two_sum,
    floor,
    horner,
    mad,
    power_of_two,
    quotient,
    scale,
    sign_bit,
    square_root,
    two_product,
    two_sum,
    where,
    widened,
    with_sign,
)

INFINITY = float("inf")
NAN = float("nan")
LOG2_E_PAIR = (1.4426950408889634, 2.0355273740931033e-17)
LOG10_E_PAIR = (0.4342944819032518, 1.098319650216765e-17)
TWO_THIRDS = (0.6666666666666666, 3.700743415417188e-17)
# log10(2): 40 bits, so that k times it is exact, and the rest.
LOG10_2 = (0.30102999566361177, 3.694239077158931e-13)


def to_float(k: Lanes) -> Lanes:
    """A small integer (below 2^51) as a float of its width (AVX2 cannot convert i64)."""
    if k.type.bits == 32:
        return k.to("float")
    magic = 0x4338000000000000  # the bits of 3 * 2^51
    return (k + magic).from_bits() - 1.5 * 2.0**52


def split_exponent(x: Lanes) -> tuple[Lanes, Lanes]:
    """(k, m) with x = m 2^k, sqrt(1/2) <= m < sqrt(2), for normal positive x."""
    mantissa = 52 if x.double else 23
    least = 0x3FE6A09E667F3BCD if x.double else 0x3F3504F3
    offset = x.bits() - least
    k = offset.arithmetic_shift(mantissa)
    return k, ((offset & ((1 << mantissa) - 1)) + least).from_bits()


def _normal(x: Lanes) -> tuple[Lanes, Lanes]:
    """(k, m) as `split_exponent`, for subnormal x too."""
    power, least = (54, 2.0**-1022) if x.double else (25, 2.0**-126)
    tiny = x.lt(least)
    k, m = split_exponent(where(tiny, x * 2.0**power, x))
    return where(tiny, k - power, k), m


def _combine(k: Lanes, f: Lanes, f_low: Lanes | None = None) -> Lanes:
    """k ln 2 + log(1 + f + f_low)."""
    high, low = LN2_64 if f.double else LN2_32
    k = to_float(k)
    rest = k * low
    if f_low is not None:
        rest = rest + (f_low - f * f_low)
    if f.double:
        s = f / (f + 2.0)
        z = s * s
        half = f * f * 0.5
        # log(1 + f) = 2 s + s R = f - (f^2/2 - s (f^2/2 + R)): the leading term is exact.
        return k * high - ((half - mad(s, half + z * horner(z, LOG64), rest)) - f)
    tail = mad(f * f, mad(f, horner(f, LOG32), -0.5), rest)
    return k * high + (f + tail)


def _special(x: Lanes, y: Lanes) -> Lanes:
    """y = log(x) with the cases x = NaN, infinity, zero, negative put right."""
    y = where(x.lt(INFINITY), y, x)
    y = where(x.eq(0.0), -INFINITY, y)
    return where(x.lt(0.0), NAN, y)


def log(x: Lanes) -> Lanes:
    k, m = _normal(x)
    return _special(x, _combine(k, m - 1.0))


def _log_of_sum(y: Lanes, low: Lanes, u: Lanes, u_low: Lanes) -> Lanes:
    """log(y + low) for normal positive y, where y + low = 1 + u + u_low and |u| may be tiny."""
    k, m = split_exponent(y)
    near = k.eq(0)
    most = 1000 if y.double else 120
    shifted = low * power_of_two(-where(k.gt(most), most, k))
    return _combine(k, where(near, u, m - 1.0), where(near, u_low, shifted))


def log1p_sum(u: Lanes, u_low: Lanes) -> Lanes:
    """log(1 + u + u_low)."""
    y, low = two_sum(u.like(1.0), u)
    result = _log_of_sum(y, low + u_low, u, u_low)
    result = where(u.lt(INFINITY), result, u)
    result = where(u.eq(-1.0), -INFINITY, result)
    result = where(u.lt(-1.0), NAN, result)
    return where(u.eq(0.0), u, result)


def log1p(x: Lanes) -> Lanes:
    return log1p_sum(x, x.like(0.0))


# ---- twice the precision -------------------------------------------------------------------------


def product_pair(a: Pair, b: Pair) -> Pair:
    high, low = two_product(a[0], b[0])
    return high, low + (a[0] * b[1] + a[1] * b[0])


def log_pair(f: Lanes) -> Pair:
    """log(1 + f), double, to about 2^-64: 2 s + s z (2/3 + z P(z))."""
    s = quotient((f, f.like(0.0)), fast_two_sum(f.like(2.0), f))
    z = product_pair(s, s)
    head, low = fast_two_sum(f.like(TWO_THIRDS[0]), z[0] * horner(z[0], LOG_TAIL64))
    w = product_pair(product_pair(s, z), (head, low + TWO_THIRDS[1]))
    high, low = fast_two_sum(s[0] * 2.0, w[0])
    return fast_two_sum(high, low + (s[1] * 2.0 + w[1]))


@widened
def log2(x: Lanes) -> Lanes:
    k, m = _normal(x)
    high, low = product_pair(log_pair(m - 1.0), (x.like(LOG2_E_PAIR[0]), x.like(LOG2_E_PAIR[1])))
    total, rest = fast_two_sum(to_float(k), high)
    return _special(x, total + (rest + low))


@widened
def log10(x: Lanes) -> Lanes:
    k, m = _normal(x)
    n = to_float(k)
    high, low = product_pair(log_pair(m - 1.0), (x.like(LOG10_E_PAIR[0]), x.like(LOG10_E_PAIR[1])))
    total, rest = fast_two_sum(n * LOG10_2[0], high)
    return _special(x, total + (rest + (low + n * LOG10_2[1])))


# ---- inverse hyperbolic functions ----------------------------------------------------------------


def _root_pair(v: Pair) -> Pair:
    """sqrt of a pair; zero gives zero."""
    s = square_root(v[0])
    p, p_low = two_product(s, s)
    rest = ((v[0] - p) - p_low) + v[1]
    return s, where(s.eq(0.0), 0.0, rest / (s * 2.0))


HUGE = 2.0**28  # from here on x^2 +- 1 rounds to x^2 as far as the logarithm is concerned


@widened
def asinh(x: Lanes) -> Lanes:
    size = absolute(x)
    z = x * x
    small = mad(x * z, horner(z, ASINH64), x)
    inside = where(size.lt(HUGE), size, 1.0)
    square, square_low = two_product(inside, inside)
    v, lost = two_sum(square, square.like(1.0))
    root, root_low = _root_pair((v, lost + square_low))
    y, low = two_sum(root, inside)
    huge = size.ge(HUGE)
    y = where(huge, size, y)
    k, m = split_exponent(where(y.lt(INFINITY), y, 1.0))
    low = where(huge, 0.0, (low + root_low) * power_of_two(-where(k.gt(60), 60, k)))
    result = _combine(where(huge, k + 1, k), m - 1.0, low)
    result = where(size.lt(INFINITY), result, size)
    return with_sign(where(size.lt(0.5), small, result), x)


@widened
def acosh(x: Lanes) -> Lanes:
    huge = x.ge(HUGE)
    inside = where(huge, 2.0, x)
    square, square_low = two_product(inside, inside)
    v = fast_two_sum(square - 1.0, square_low)
    root, root_low = _root_pair(v)
    t, t_low = two_sum(inside, inside.like(-1.0))
    u, low = two_sum(t, root)
    moderate = log1p_sum(u, low + (t_low + root_low))
    k, m = split_exponent(where(huge & x.lt(INFINITY), x, 2.0))
    result = where(huge, _combine(k + 1, m - 1.0), moderate)
    result = where(x.eq(INFINITY), INFINITY, result)
    return where(x.lt(1.0), NAN, result)


@widened
def atanh(x: Lanes) -> Lanes:
    size = absolute(x)
    d, d_low = two_sum(size.like(1.0), -size)
    u, low = quotient((size * 2.0, size.like(0.0)), (d, d_low))
    return with_sign(log1p_sum(u, where(size.lt(1.0), low, 0.0)) * 0.5, x)


# ---- pow -----------------------------------------------------------------------------------------


def _log_times(x: Lanes, y: Lanes, precise: bool) -> Pair:
    """y log(x) as a pair for normal or subnormal positive x and |y| below 2^70."""
    k, m = _normal(x)
    if not precise:
        product = y * _combine(k, m - 1.0)
        return product, product.like(0.0)
    high, low = log_pair(m - 1.0)
    n = to_float(k)
    total, rest = fast_two_sum(n * LN2_64[0], high)
    logarithm = fast_two_sum(total, rest + (low + n * LN2_64[1]))
    return product_pair(logarithm, (y, y.like(0.0)))


def _power(x: Lanes, y: Lanes, precise: bool) -> Lanes:
    size = absolute(x)
    ends = size.eq(0.0) | size.eq(INFINITY)
    # |log x| >= 2^-53 unless x = 1: beyond 2^66 the exponent's value no longer matters.
    exponent = clamp(y, -(2.0**66), 2.0**66)
    high, low = _log_times(where(ends, 1.0, size), exponent, precise)
    low = where(absolute(high).lt(750.0), low, 0.0)
    k, p = exp_parts(clamp(high, -746.0, 711.0), low)
    result = scale(p + 1.0, k)
    to_zero = size.eq(0.0) ^ y.lt(0.0)
    result = where(ends, where(to_zero, result.like(0.0), INFINITY), result)
    whole = floor(y).eq(y)
    half = y * 0.5
    odd = whole & floor(half).ne(half)
    result = where(odd & sign_bit(x), -result, result)
    result = where(x.lt(0.0) & size.lt(INFINITY) & ~whole, NAN, result)
    result = where(x.isnan() | y.isnan(), NAN, result)
    return where(y.eq(0.0) | x.eq(1.0), 1.0, result)


def pow_(x: Lanes, y: Lanes) -> Lanes:
    """x^y with C99's special cases; float32 in double, double with a logarithm of 2^-64."""
    if x.double:
        return _power(x, y, precise=True)
    return _power(x.to("double"), y.to("double"), precise=False).to("float")
