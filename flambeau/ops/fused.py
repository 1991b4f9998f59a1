"""a * b + c of float64 with one rounding, in NumPy.

Product and sum are each taken as a number and its exact error (Dekker, Knuth); what is left of
both is added with rounding to odd, so that the last addition rounds as if the sum were exact
(Boldo and Melquiond, "Emulation of a FMA and correctly rounded sums", 2008).
"""

from __future__ import annotations

import math

import numpy as np

from flambeau.ops.primitive import Array

SPLIT = 134217729.0  # 2^27 + 1, which cuts a float64 into halves of 26 bits
LEAST, MOST = 2.0**-400, 2.0**400  # between which no step overflows, nor an error underflows


def fused(a: Array, b: Array, c: Array) -> Array:
    """a * b + c of arrays of one shape, rounded once."""
    with np.errstate(all="ignore"):
        plain = np.asarray(a * b + c)
        factors = np.isfinite(a) & np.isfinite(b)
        result = np.where(np.isfinite(c), plain, np.where(factors, c, plain))
        finite = factors & np.isfinite(c)
        moderate = _is_moderate(a) & _is_moderate(b) & _is_moderate(c)
        result = np.where(moderate, _of_moderate(a, b, c, plain), result)
        for place in map(tuple, np.argwhere(finite & ~moderate)):
            result[place] = _exactly(float(a[place]), float(b[place]), float(c[place]))
    return result


def _is_moderate(x: Array) -> Array:
    size = np.abs(x)
    found: Array = ((size >= LEAST) & (size <= MOST)) | (size == 0)
    return found


def _of_moderate(a: Array, b: Array, c: Array, plain: Array) -> Array:
    high, low = _product(a, b)
    total, rest = _sum(c, low)
    outer, inner = _sum(high, total)
    tail = _to_odd(*_sum(rest, inner))
    return np.where(tail == 0, np.where(low == 0, plain, outer), outer + tail)


def _product(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded product and its error."""
    product = a * b
    (a1, a2), (b1, b2) = _halves(a), _halves(b)
    return product, a2 * b2 - (((product - a1 * b1) - a2 * b1) - a1 * b2)


def _halves(x: Array) -> tuple[Array, Array]:
    large = x * SPLIT
    high = large - (large - x)
    return high, x - high


def _sum(a: Array, b: Array) -> tuple[Array, Array]:
    """The rounded sum and its error."""
    total = a + b
    other = total - a
    return total, (a - (total - other)) + (b - other)


def _to_odd(total: Array, error: Array) -> Array:
    """A sum rounded to odd: of the two numbers around an inexact one, that with an odd last bit."""
    even = (np.asarray(total, np.float64).view(np.int64) & 1) == 0
    return np.where((error != 0) & even, np.nextafter(total, np.copysign(np.inf, error)), total)


def _exactly(a: float, b: float, c: float) -> float:
    """One a * b + c, of finite numbers of any size, by fractions."""
    from fractions import Fraction  # rarely needed

    exact = Fraction(a) * Fraction(b) + Fraction(c)
    if exact == 0:  # the sign of zero is that of zeros, or of what cancels
        return a * b + c if a * b == 0 else 0.0
    try:
        return float(exact)
    except OverflowError:
        return math.inf if exact > 0 else -math.inf
