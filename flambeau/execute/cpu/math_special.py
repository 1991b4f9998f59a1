"""erf, erfc, erfinv, lgamma, digamma."""

from __future__ import annotations

from flambeau.execute.cpu.math_coefficients import (
    ERF32,
    ERF64,
    ERF_EXP32,
    ERFCX64,
    ERFINV_HIGH64,
    ERFINV_LOW64,
    ERFINV_MID64,
)
from flambeau.execute.cpu.math_exponential import exp_parts
from flambeau.execute.cpu.math_lanes import (
    Lanes,
    absolute,
    branch_if_any,
    floor,
    horner,
    mad,
    power_of_two,
    quotient,
    round_half_even,
    scale,
    sign_bit,
    square_root,
    two_product,
    two_sum,
    where,
    widened,
    with_sign,
)
from flambeau.execute.cpu.math_logarithm import log
from flambeau.execute.cpu.math_trigonometric import cosine_core, sine_core
from flambeau.ops.gamma_functions import (
    DIGAMMA64,
    DIGAMMA_ROOT,
    DIGAMMA_SERIES64,
    HALF_LOG_2_PI,
    LGAMMA64,
    LGAMMA_ONE64,
    LOG_PI,
    STIRLING64,
)

INFINITY = float("inf")
NAN = float("nan")
PI = 3.141592653589793


def _erfc_positive(a: Lanes) -> Lanes:
    """erfc(a), double, a >= 0: exp(-a^2) P(t) / (1 + 2 a), t = (a - 4) / (a + 4)."""
    a = where(a.gt(28.0), 28.0, a)
    p = horner((a - 4.0) / (a + 4.0), ERFCX64)
    square, low = two_product(a, a)
    k, excess = exp_parts(-square, -low)
    base, base_low = two_sum(excess.like(1.0), excess)
    den, den_low = two_sum(a * 2.0, a.like(1.0))
    q, q_low = quotient((p, p.like(0.0)), (den, den_low))
    product, product_low = two_product(q, base)
    return scale(product + (product_low + (q * base_low + q_low * base)), k)


@widened
def erfc(x: Lanes) -> Lanes:
    a = absolute(x)
    tail = _erfc_positive(a)
    small = 1.0 - mad(x, horner(x * x, ERF64), x)
    value = where(x.lt(0.0), 2.0 - tail, tail)
    return where(a.lt(0.25), small, value)


def _erf_single(x: Lanes) -> Lanes:
    """Beyond 1 (to 4, where float32's erf is 1): 1 - exp(-P(|x|))."""
    a = absolute(x)
    small = mad(x, horner(x * x, ERF32), x)
    g = horner(where(a.gt(4.0), 4.0, a), ERF_EXP32)
    k, p = exp_parts(-g)
    large = 1.0 - (p + 1.0) * power_of_two(k)
    return with_sign(where(a.lt(1.0), small, large), x)


def erf(x: Lanes) -> Lanes:
    if not x.double:
        return _erf_single(x)
    a = absolute(x)
    small = mad(x, horner(x * x, ERF64), x)
    return with_sign(where(a.lt(1.0), small, 1.0 - _erfc_positive(a)), x)


@widened
def erfinv(x: Lanes) -> Lanes:
    """x P(w), w = -log(1 - x^2), in three intervals (the variable is Giles', 2010)."""
    a = absolute(x)
    w = -log((1.0 - a) * (1.0 + a))
    root = square_root(w)
    low = horner(w - 3.125, ERFINV_LOW64)
    middle = horner(root - 3.25, ERFINV_MID64)
    high = horner(root - 5.0, ERFINV_HIGH64)
    value = x * where(w.lt(6.25), low, where(root.lt(4.0), middle, high))
    value = where(a.eq(1.0), with_sign(x.like(INFINITY), x), value)
    value = where(x.eq(0.0), x, value)
    return where(a.le(1.0), value, NAN)


# ---- gamma ---------------------------------------------------------------------------------------


def _sine_pi(x: Lanes) -> Lanes:
    """|sin(pi x)|: the reduction by whole numbers is exact."""
    r = absolute(x - round_half_even(x))
    near = r.le(0.25)
    t = where(near, r, 0.5 - r) * PI
    zero = t.like(0.0)
    return where(near, sine_core(t, zero), cosine_core(t, zero))


def _lgamma_positive(x: Lanes) -> Lanes:
    """log gamma for x > 0: Stirling's series from 8.5, else moved near 1 or 2 by products."""
    z = where(x.lt(8.5), x, 2.0)
    factor = z.like(1.0)
    for step in range(6):
        above = z.ge(2.5)
        z = where(above, z - 1.0, z)
        factor = where(above, factor * z, factor) if step else where(above, z, factor)
    # From 0.9 to 1.5 around the zero at 1; below up by one, or by two below 1/2.
    below, far_below = z.lt(0.9), z.lt(0.5)
    one = z.ge(0.9) & z.lt(1.5)
    product = where(far_below, z * (z + 1.0), z)
    t = where(far_below, z, where(z.lt(1.5), z - 1.0, z - 2.0))
    base = t * where(one, horner(t, LGAMMA_ONE64), horner(t, LGAMMA64))
    logarithm = log(where(x.ge(8.5), x, where(below, product, factor)))
    near = base + where(below, -logarithm, logarithm)
    y = 1.0 / x
    series = mad(y, horner(y * y, STIRLING64), HALF_LOG_2_PI)
    far = (x - 0.5) * (logarithm - 1.0) + (series - 0.5)
    far = where(x.gt(1e300), x * (logarithm - 1.0), far)
    return where(x.ge(8.5), far, near)


@widened
def lgamma(x: Lanes) -> Lanes:
    """log |gamma(x)|; negative x by reflection (near a zero there, right absolutely only)."""
    size = absolute(x)
    negative = x.lt(0.0)
    positive = _lgamma_positive(size)

    def reflected() -> list[Lanes]:
        other = LOG_PI - log(_sine_pi(size) * size) - positive
        return [where(negative & size.ge(2.0**-60), other, positive)]

    (value,) = branch_if_any(negative, reflected, [positive])
    value = where(x.le(0.0) & floor(x).eq(x), INFINITY, value)
    value = where(size.eq(INFINITY), INFINITY, value)
    return where(x.isnan(), x, value)


def _digamma_positive(x: Lanes) -> Lanes:
    """digamma for x > 0: its series from 8; else by steps to [1, 2], (x - root) P there."""
    y = 1.0 / x
    square = y * y
    far = log(x) - y * 0.5 - square * horner(square, DIGAMMA_SERIES64)
    z = where(x.lt(8.0), x, 1.0)
    below = z.lt(1.0)
    total = where(below, -1.0 / z, 0.0)
    t = where(below, z, z - 1.0)  # z - 1 of the moved argument, exact below 1
    for _ in range(6):
        above = t.gt(1.0)
        total = where(above, total + 1.0 / t, total)
        t = where(above, t - 1.0, t)
    distance = (t - (DIGAMMA_ROOT[0] - 1.0)) - DIGAMMA_ROOT[1]
    near = mad(distance, horner(t - 0.5, DIGAMMA64), total)
    return where(x.ge(8.0), far, near)


@widened
def digamma(x: Lanes) -> Lanes:
    """-infinity at +0, +infinity at -0; near a negative zero of it, right absolutely only."""
    negative = x.lt(0.0)
    size = absolute(x)
    r = x - round_half_even(x)
    zero = x.like(0.0)
    # pi / tan(pi r), |r| <= 1/2: the half beyond 1/4 from its complement.
    a = absolute(r)
    low = a.le(0.25)
    t = where(low, a, 0.5 - a) * PI
    sine, cosine = sine_core(t, zero), cosine_core(t, zero)
    cotangent = with_sign(where(low, cosine / sine, sine / cosine), r) * PI
    positive = _digamma_positive(where(negative, size, x))
    # digamma(x) = digamma(-x) - 1 / x - pi / tan(pi x)
    reflected = (positive + 1.0 / size) - cotangent
    reflected = where(size.lt(2.0**-60), 1.0 / size, reflected)
    value = where(negative, reflected, positive)
    value = where((negative & r.eq(0.0)) | x.isnan(), NAN, value)
    infinite = where(x.gt(0.0), x.like(INFINITY), NAN)
    value = where(size.eq(INFINITY), infinite, value)
    return where(x.eq(0.0), where(sign_bit(x), x.like(INFINITY), -INFINITY), value)
