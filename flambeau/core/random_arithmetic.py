"""The arithmetic behind PyTorch's CPU random numbers, rounding for rounding.

Note [which arithmetic PyTorch's samplers use]. The samplers are compiled for AVX2 or AVX-512, with
FMA, and the C++ compiler contracts `a * b + c` into one rounding. So an affine map of a draw is a
fused multiply-add, in float32 as in float64. Single-precision normals use the Cephes polynomials
for log, sin and cos (contracted too); all double-precision samplers call the C library, which
Python's `math` calls as well. A machine without AVX2 runs another build of the samplers in PyTorch,
whose last bits differ; those are not reproduced.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]

_CHUNK = 1 << 16  # values converted to Python floats at a time
_CACHEFUL = 1 << 14  # values whose temporaries stay in the cache

# Cephes' single-precision kernels (S. Moshier): log on [sqrt(1/2), sqrt(2)), sin and cos on
# [-pi/4, pi/4].
LOG_COEFFICIENTS = (
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
LOG_LEADING = 7.0376836292e-2
LN2_HIGH, LN2_LOW = 0.693359375, -2.12194440e-4
QUARTER_PI_PARTS = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)
SIN_COEFFICIENTS = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
COS_COEFFICIENTS = (2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2)


def libm(function: Callable[[float], float], values: Float64) -> Float64:
    """`function` of every value through the C library (NumPy's own loops round differently)."""
    flat = values.reshape(-1)
    result = np.empty(flat.size, np.float64)
    for first in range(0, flat.size, _CHUNK):
        part = flat[first : first + _CHUNK].tolist()
        result[first : first + _CHUNK] = list(map(function, part))
    return result.reshape(values.shape)


def in_chunks(function: Callable[[Array], Array], values: Array, result: Array) -> Array:
    """Fills `result` with `function` of `values`, 16384 values at a time, to stay in the cache."""
    for first in range(0, values.size, _CACHEFUL):
        result[first : first + _CACHEFUL] = function(values[first : first + _CACHEFUL])
    return result


def libm_log(values: Float64) -> Float64:
    """log by the C library; minus infinity at 0."""
    zero = values == 0.0
    if not zero.any():
        return libm(math.log, values)
    return np.where(zero, -np.inf, libm(math.log, np.where(zero, 1.0, values)))


def _two_sum(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """a + b as the rounded sum and its exact error."""
    total = a + b
    shift = total - a
    return total, (a - (total - shift)) + (b - shift)


def _two_product(a: Float64, b: Float64) -> tuple[Float64, Float64]:
    """a * b as the rounded product and its exact error (Dekker's splitting)."""
    product = a * b
    a_high, a_low = _halves(a)
    b_high, b_low = _halves(b)
    error = ((a_high * b_high - product) + a_high * b_low + a_low * b_high) + a_low * b_low
    return product, error


def _halves(a: Float64) -> tuple[Float64, Float64]:
    scaled = a * 134217729.0
    high = scaled - (scaled - a)
    return high, a - high


def _odd(total: Float64, error: Float64) -> Float64:
    """total + error rounded to odd: a second, narrower rounding is then the only one that shows."""
    even = (total.view(np.int64) & 1) == 0
    toward = np.where(error > 0, np.inf, -np.inf)
    return np.where((error != 0) & even, np.nextafter(total, toward), total)


def fma32(a: Float32, b: Float32 | float, c: Float32 | float) -> Float32:
    """a * b + c in float32 with one rounding, for results that are zero or no smaller than 2**-126.

    The product is exact in double. The sum is rounded there and once more to float32, which differs
    from one rounding only where the double lies half-way between two floats: those are made anew.
    """
    product = a.astype(np.float64) * np.asarray(b, np.float32).astype(np.float64)
    addend = np.asarray(c, np.float32).astype(np.float64)
    total = product + addend
    result = total.astype(np.float32)
    halfway = (total.view(np.int64) & 0x1FFFFFFF) == 0x10000000
    if halfway.any():
        addends = np.broadcast_to(addend, product.shape)[halfway]
        result[halfway] = _odd(*_two_sum(product[halfway], addends)).astype(np.float32)
    return result


def fma64(a: Float64, b: float, c: float) -> Float64:
    """a * b + c in float64 with one rounding (Boldo and Melquiond).

    Exact where the product neither overflows nor falls below the normal range.
    """
    if not (math.isfinite(b) and math.isfinite(c)):
        return a * b + c
    high, low = _two_product(a, np.full_like(a, b))
    sum_high, sum_low = _two_sum(np.full_like(a, c), low)
    top, rest = _two_sum(high, sum_high)
    return np.asarray(top + _odd(*_two_sum(sum_low, rest)), np.float64)


def log32(x: Float32) -> Float32:
    """Cephes' logf of positive normal numbers, contracted."""
    bits = x.view(np.int32)
    exponent = ((bits >> 23) - 126).astype(np.float32)
    mantissa = ((bits & 0x007FFFFF) | 0x3F000000).view(np.float32)
    low = mantissa < np.float32(math.sqrt(0.5))
    exponent = exponent - low.astype(np.float32)
    t = (mantissa - np.float32(1)) + np.where(low, mantissa, np.float32(0))
    square = t * t
    y = np.full_like(t, LOG_LEADING)
    for coefficient in LOG_COEFFICIENTS:
        y = fma32(y, t, coefficient)
    y = fma32(y * t, square, exponent * np.float32(LN2_LOW))
    y = y - square * np.float32(0.5)
    return fma32(exponent, LN2_HIGH, t + y)


def sincos32(x: Float32) -> tuple[Float32, Float32]:
    """Cephes' sinf and cosf of numbers from 0 to 8192, contracted."""
    octant = ((x * np.float32(4 / math.pi)).astype(np.int32) + 1) & ~1
    count = octant.astype(np.float32)
    for part in QUARTER_PI_PARTS:
        x = fma32(count, -part, x)
    square = x * x
    cosine = fma32(
        fma32(np.full_like(x, COS_COEFFICIENTS[0]), square, COS_COEFFICIENTS[1]),
        square,
        COS_COEFFICIENTS[2],
    )
    cosine = fma32(cosine * square, square, -(square * np.float32(0.5))) + np.float32(1)
    sine = fma32(
        fma32(np.full_like(x, SIN_COEFFICIENTS[0]), square, SIN_COEFFICIENTS[1]),
        square,
        SIN_COEFFICIENTS[2],
    )
    sine = fma32(sine * square, x, x)
    straight = (octant & 2) == 0
    sine_sign = np.where(octant & 4, np.float32(-1), np.float32(1))
    cosine_sign = np.where((octant + 2) & 4, np.float32(-1), np.float32(1))
    return (
        np.where(straight, sine, cosine) * sine_sign,
        np.where(straight, cosine, sine) * cosine_sign,
    )


def bfloat16_rounded(values: Float32) -> Float32:
    """float32 values rounded to the nearest bfloat16, ties to even, kept as float32."""
    bits = values.view(np.uint32)
    rounded = (bits + np.uint32(0x7FFF) + ((bits >> 16) & 1)) & np.uint32(0xFFFF0000)
    return np.where(np.isnan(values), values, rounded.view(np.float32))


def rounded_to(values: Array, dtype: str) -> Array:
    """Float values as PyTorch's C++ casts them to `dtype`: 16-bit formats by way of float32.

    bfloat16 values come as float32 arrays. Raises NotImplementedError for a dtype that is no float.
    """
    if dtype == "float64":
        return values.astype(np.float64, copy=False)
    with np.errstate(over="ignore"):
        single = values.astype(np.float32, copy=False)
        if dtype == "float32":
            return single
        if dtype == "float16":
            return single.astype(np.float16)
    if dtype == "bfloat16":
        return bfloat16_rounded(single)
    raise NotImplementedError(f"random draws of a float distribution as {dtype}")
