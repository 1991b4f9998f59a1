"""Special functions that the math kernels do not have, computed in NumPy in float64.

Each is made from its definition: power series where all terms have one sign or the argument is
small, recurrences run backwards (Miller), integrals by the trapezoidal rule where it converges
exponentially, and asymptotic series where the smallest term is below rounding. Sources: Abramowitz
and Stegun, chapters 6, 9, 10, 22 and 23.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from flambeau.ops.gamma_functions import log_gamma
from flambeau.ops.primitive import Array

EULER = 0.57721566490153286061
Function = Callable[..., Array]


def by_range(x: Array, *pieces: tuple[Array, Function]) -> Array:
    """Each piece's function of the elements of x where its mask holds; NaN elsewhere."""
    result = np.full(x.shape, np.nan)
    for mask, function in pieces:
        if mask.any():
            result[mask] = function(x[mask])
    return result


# ---- Bessel functions ----------------------------------------------------------------------------


def _power_series(x: Array, order: int, sign: float, terms: int) -> Array:
    """sum_k sign^k (x/2)^(2k + order) / (k! (k + order)!)."""
    quarter = sign * x * x / 4
    term = (x / 2) ** order / math.factorial(order)
    total = term.copy()
    for k in range(1, terms):
        term = term * quarter / (k * (k + order))
        total += term
    return np.asarray(total)


def _hankel(x: Array, order: float, alternate: bool) -> tuple[Array, Array]:
    """The even and odd parts of sum_k a_k(order) / x^k (signs alternating within each part)."""
    even, odd = np.ones_like(x), np.zeros_like(x)
    term = np.ones_like(x)
    mu = 4 * order * order
    for k in range(1, 24):
        factor = (mu - (2 * k - 1) ** 2) / (8 * k * x)
        if (np.abs(factor) >= 1).all():
            break
        term = np.where(np.abs(factor) < 1, term * factor, 0)
        sign = -1.0 if alternate and (k // 2) % 2 else 1.0
        if k % 2:
            odd += sign * term
        else:
            even += sign * term
    return even, odd


def bessel_i(x: Array, order: int, scaled: bool) -> Array:
    """I_0 or I_1, times exp(-|x|) if `scaled`."""
    size = np.abs(x)

    def small(v: Array) -> Array:
        total = _power_series(v, order, 1.0, 60)
        return total * np.exp(-v) if scaled else total

    def large(v: Array) -> Array:
        even, odd = _hankel(v, order, False)
        tail = (even - odd) / np.sqrt(2 * math.pi * v)
        return tail if scaled else tail * np.exp(v / 2) * np.exp(v / 2)

    infinite = np.full_like(size, 0.0 if scaled else math.inf)
    result = by_range(size, (size <= 30, small), ((size > 30) & np.isfinite(size), large))
    result = np.where(np.isinf(size), infinite, result)
    return np.where(x < 0, -result, result) if order else result


def _miller(x: Array) -> list[Array]:
    """J_0, J_1, .. J_79 for 0 < x <= 25, by the recurrence run backwards."""
    above, here = np.zeros_like(x), np.full_like(x, 1e-280)
    values = [here]
    for n in range(80, 0, -1):
        above, here = here, 2 * n / x * here - above
        grown = np.abs(here) > 1e200
        if grown.any():
            shrink = np.where(grown, 1e-200, 1.0)
            above, here = above * shrink, here * shrink
            values = [v * shrink for v in values]
        values.append(here)
    values.reverse()
    total = values[0] + 2 * sum(values[2::2])
    return [v / total for v in values[:80]]


def _neumann(x: Array, order: int) -> Array:
    """Y_0 or Y_1 for 0 < x <= 25, from the J_n."""
    j = _miller(x)
    log = np.log(x / 2) + EULER
    if order == 0:
        series = sum((-1) ** k * j[2 * k] / k for k in range(1, 39))
        return np.asarray(2 / math.pi * (log * j[0] - 2 * series))
    series = sum((-1) ** k * (2 * k + 1) / (k * (k + 1)) * j[2 * k + 1] for k in range(1, 39))
    return np.asarray(-2 / (math.pi * x) * j[0] + 2 / math.pi * ((log - 1) * j[1] - series))


def _oscillating(x: Array, order: int, second: bool) -> Array:
    """J or Y for x > 25."""
    even, odd = _hankel(x, order, True)
    root = np.sqrt(1 / (math.pi * x))
    c, s = np.cos(x), np.sin(x)
    # cos and sin of x - order pi / 2 - pi / 4, times sqrt(2)
    cosine, sine = (c + s, s - c) if order == 0 else (s - c, -s - c)
    if second:
        return np.asarray(root * (sine * even + cosine * odd))
    return np.asarray(root * (cosine * even - sine * odd))


def bessel_j(x: Array, order: int) -> Array:
    """J_0 or J_1."""
    size = np.abs(x)
    result = by_range(
        size,
        (size <= 1e-3, lambda v: _power_series(v, order, -1.0, 6)),
        ((size > 1e-3) & (size <= 25), lambda v: _miller(v)[order]),
        ((size > 25) & np.isfinite(size), lambda v: _oscillating(v, order, False)),
    )
    result = np.where(np.isinf(size), 0.0, result)
    return np.where(x < 0, -result, result) if order else result


def bessel_y(x: Array, order: int) -> Array:
    """Y_0 or Y_1; NaN for negative arguments, -inf at 0."""

    def smallest(v: Array) -> Array:
        return 2 / math.pi * (-1 / v if order else np.log(v / 2) + EULER)

    result = by_range(
        x,
        ((x > 0) & (x <= 1e-9), smallest),
        ((x > 1e-9) & (x <= 25), lambda v: _neumann(v, order)),
        ((x > 25) & np.isfinite(x), lambda v: _oscillating(v, order, True)),
    )
    return np.where(x == 0, -math.inf, np.where(x == math.inf, 0.0, result))


def _k_integral(x: Array, order: float) -> Array:
    """exp(x) K_order(x) for x >= 1: the integral of exp(-x (cosh t - 1)) cosh(order t)."""
    points = 80
    over = 40 / x
    upper = np.log1p(over + np.sqrt(over * (over + 2)))  # arccosh(1 + over)
    t = upper[..., None] * (np.arange(points + 1) / points)
    # cosh t - 1 = 2 sinh^2(t / 2), without cancellation
    values = np.exp(-2 * x[..., None] * np.sinh(t / 2) ** 2) * np.cosh(order * t)
    values[..., 0] /= 2
    return np.asarray(values.sum(-1) * upper / points)


def _k_series(x: Array, order: int) -> Array:
    """K_0 or K_1 for 0 < x < 1."""
    quarter, log = x * x / 4, np.log(x / 2)
    if order == 0:
        term, harmonic = np.ones_like(x), -EULER
        total = -(log + EULER) * term
        for k in range(1, 20):
            term = term * quarter / (k * k)
            harmonic += 1 / k
            total += term * (harmonic - log)
        return total
    term, both = x / 2, 1 - 2 * EULER
    total = 1 / x + term * (log - both / 2)
    for k in range(1, 20):
        term = term * quarter / (k * (k + 1))
        both += 1 / k + 1 / (k + 1)
        total += term * (log - both / 2)
    return np.asarray(total)


def bessel_k(x: Array, order: int, scaled: bool) -> Array:
    """K_0 or K_1, times exp(x) if `scaled`; NaN for negative arguments, inf at 0."""

    def small(v: Array) -> Array:
        total = _k_series(v, order)
        return total * np.exp(v) if scaled else total

    def large(v: Array) -> Array:
        total = _k_integral(v, order)
        return total if scaled else total * np.exp(-v)

    result = by_range(x, ((x > 0) & (x < 1), small), ((x >= 1) & np.isfinite(x), large))
    return np.where(x == 0, math.inf, np.where(x == math.inf, 0.0, result))


def airy_ai(x: Array) -> Array:
    """The Airy function Ai."""

    def series(v: Array) -> Array:
        cube = v**3
        first, second = np.ones_like(v), v.copy()
        f, g = first.copy(), second.copy()
        for k in range(1, 40):
            first = first * cube / ((3 * k - 1) * (3 * k))
            second = second * cube / ((3 * k) * (3 * k + 1))
            f += first
            g += second
        return np.asarray(0.355028053887817239 * f - 0.258819403792806798 * g)

    def right(v: Array) -> Array:
        zeta = 2 / 3 * v**1.5
        return np.sqrt(v / 3) / math.pi * _k_integral(zeta, 1 / 3) * np.exp(-zeta)

    def middle(v: Array) -> Array:
        # along t = s + i/2 the integrand of exp(i (t^3/3 + v t)) falls like exp(-s^2/2)
        t = np.linspace(0, 9.0, 1200) + 0.5j
        values = np.exp(1j * (t**3 / 3 + v[:, None] * t)).real
        values[:, 0] /= 2
        return np.asarray(values.sum(-1) * (9.0 / 1199) / math.pi)

    def left(v: Array) -> Array:
        size = -v
        zeta = 2 / 3 * size**1.5
        even, odd = _hankel(zeta, 1 / 3, True)
        phase = zeta + math.pi / 4
        return np.asarray(
            (np.sin(phase) * even + np.cos(phase) * odd) / (math.sqrt(math.pi) * size**0.25)
        )

    result = by_range(
        x,
        ((x >= -4) & (x < 1.5), series),
        ((x >= 1.5) & (x <= 105), right),
        ((x < -4) & (x > -11), middle),
        ((x <= -11) & np.isfinite(x), left),
    )
    return np.where(x > 105, 0.0, np.where(x == -math.inf, np.nan, result))


def spherical_j0(x: Array) -> Array:
    """sin x / x."""
    safe = np.where(np.isfinite(x) & (x != 0), x, 1.0)
    result = np.where(x == 0, 1.0, np.sin(safe) / safe)
    return np.where(np.isinf(x), 0.0, np.where(np.isnan(x), np.nan, result))


# ---- error functions and gammas ------------------------------------------------------------------

_erfc = np.frompyfunc(math.erfc, 1, 1)


def erfcx(x: Array) -> Array:
    """exp(x^2) erfc(x)."""

    def near(v: Array) -> Array:
        return np.asarray(np.exp(v * v) * np.asarray(_erfc(v), np.float64))

    def far(v: Array) -> Array:
        total, term = np.ones_like(v), np.ones_like(v)
        for k in range(1, 20):
            term = term * -(2 * k - 1) / (2 * v * v)
            total += term
        return np.asarray(total / (v * math.sqrt(math.pi)))

    result = by_range(x, ((x <= 6.5) & (x > -26.7), near), ((x > 6.5) & np.isfinite(x), far))
    return np.where(x <= -26.7, math.inf, np.where(x == math.inf, 0.0, result))


def entr(x: Array) -> Array:
    """-x log x; -inf for negative arguments."""
    positive = x > 0
    result = -x * np.log(np.where(positive, x, 1.0))
    return np.where(positive, result, np.where(x == 0, 0.0, np.where(x < 0, -math.inf, x)))


def ndtri(x: Array) -> Array:
    """The argument at which the normal distribution function is x."""
    from statistics import NormalDist

    inverse = np.frompyfunc(NormalDist().inv_cdf, 1, 1)
    inside = (x > 0) & (x < 1)
    result = by_range(x, (inside, lambda v: np.asarray(inverse(v), np.float64)))
    return np.where(x == 0, -math.inf, np.where(x == 1, math.inf, result))


def _gamma_prefactor(a: Array, x: Array) -> Array:
    """x^a exp(-x) / Gamma(a + 1); for large a through Stirling's series, without cancellation."""
    direct = np.exp(a * np.log(x) - x - log_gamma(a + 1))
    large = np.maximum(a, 10.0)
    ratio = (x - large) / large
    with np.errstate(all="ignore"):
        bend = np.where(np.abs(ratio) < 1e-2, _log1p_minus(ratio), np.log1p(ratio) - ratio)
    z = 1 / (large * large)
    rest = (1 / 12 - z * (1 / 360 - z * (1 / 1260 - z / 1680))) / large
    stirling = np.exp(large * bend - rest) / np.sqrt(2 * math.pi * large)
    return np.where(a > 10, stirling, direct)


def _log1p_minus(r: Array) -> Array:
    """log(1 + r) - r for small r."""
    total = np.zeros_like(r)
    for k in range(10, 1, -1):
        total = r * total + (-1) ** (k + 1) / k
    return total * r * r


def _lower_gamma(a: Array, x: Array) -> Array:
    """P(a, x) by its power series."""
    term, total = np.ones_like(x), np.ones_like(x)
    for k in range(1, 20000):
        term = term * x / (a + k)
        total += term
        if (term <= total * 1e-17).all():
            break
    return total * _gamma_prefactor(a, x)


def _upper_gamma(a: Array, x: Array) -> Array:
    """Q(a, x) by its continued fraction (Lentz), for x > a + 1."""
    b = x + 1 - a
    c, d = np.full_like(x, 1e300), 1 / b
    h = d
    for k in range(1, 20000):
        an = -k * (k - a)
        b = b + 2
        d = 1 / (an * d + b)
        c = b + an / c
        change = c * d
        h = h * change
        if (np.abs(change - 1) < 1e-16).all():
            break
    return h * _gamma_prefactor(a, x) * a


def gammainc(a: Array, x: Array, upper: bool) -> Array:
    """The regularised incomplete gamma function P(a, x), or Q(a, x) = 1 - P if `upper`."""
    result = np.full(a.shape, np.nan)
    inside = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    low = inside & (x <= a + 1)
    high = inside & ~low
    if low.any():
        p = _lower_gamma(a[low], x[low])
        result[low] = 1 - p if upper else p
    if high.any():
        q = _upper_gamma(a[high], x[high])
        result[high] = q if upper else 1 - q
    zero, one = (1.0, 0.0) if upper else (0.0, 1.0)
    known = ~((a < 0) | (x < 0) | np.isnan(a) | np.isnan(x) | ((a == 0) & (x == 0)))
    both = np.isinf(a) & np.isinf(x)
    result = np.where(known & (x == 0) | (np.isinf(a) & known & ~np.isinf(x)), zero, result)
    result = np.where(known & ((a == 0) & (x > 0) | (np.isinf(x) & ~np.isinf(a))), one, result)
    return np.where(known & ~both, result, np.nan)


def zeta(x: Array, q: Array) -> Array:
    """Hurwitz' zeta function sum_k (k + q)^-x, by Euler's and Maclaurin's formula."""
    with np.errstate(all="ignore"):
        whole = q == np.floor(q)
        steps = 12
        total = np.zeros_like(x)
        # shift negative arguments up first; (k + q)^-x of a negative base needs a whole x
        lowest = int(max(0.0, -np.nanmin(np.where(np.isfinite(q), q, 0.0), initial=0.0))) + 1
        start = q.copy()
        for _ in range(min(lowest, 10000)):
            below = start <= 0
            if not below.any():
                break
            total = np.where(below, total + start**-x, total)
            start = np.where(below, start + 1, start)
        for k in range(steps):
            total = total + (start + k) ** -x
        end = start + steps
        total = total + end ** (1 - x) / (x - 1) + 0.5 * end**-x
        factor, power = x, end ** (-x - 1)
        for k, number in enumerate(_BERNOULLI, 1):
            total = total + number / math.factorial(2 * k) * factor * power
            factor = factor * (x + 2 * k - 1) * (x + 2 * k)
            power = power / (end * end)
        result = np.where(x == 1, math.inf, np.where(x < 1, np.nan, total))
        negative = np.where(whole, math.inf, np.where(x == np.floor(x), result, np.nan))
        result = np.where((q <= 0) & (x > 1), negative, result)
    return np.where(np.isnan(x) | np.isnan(q), np.nan, result)


_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)


# ---- orthogonal polynomials ----------------------------------------------------------------------


def polynomial(
    x: Array, n: Array, first: Callable[[Array], Array],
    step: Callable[[int, Array, Array, Array], Array],
) -> Array:  # fmt: skip
    """p_n(x), elementwise in n: p_0 = 1, p_1 = first(x), p_(k+1) = step(k, x, p_k, p_(k-1)).

    0 for negative n; n is cut to a whole number.
    """
    order = np.trunc(np.where(np.isfinite(n), n, -1)).astype(np.int64)
    before, here = np.ones_like(x), first(x)
    result = np.where(order == 0, before, np.where(order == 1, here, 0.0))
    for k in range(1, int(order.max(initial=0))):
        before, here = here, step(k, x, here, before)
        result = np.where(order == k + 1, here, result)
    return result


def _chebyshev(k: int, x: Array, here: Array, before: Array) -> Array:
    return np.asarray(2 * x * here - before)


def _hermite_h(k: int, x: Array, here: Array, before: Array) -> Array:
    return np.asarray(2 * x * here - 2 * k * before)


def _hermite_he(k: int, x: Array, here: Array, before: Array) -> Array:
    return np.asarray(x * here - k * before)


def _laguerre(k: int, x: Array, here: Array, before: Array) -> Array:
    return np.asarray(((2 * k + 1 - x) * here - k * before) / (k + 1))


def _legendre(k: int, x: Array, here: Array, before: Array) -> Array:
    return np.asarray(((2 * k + 1) * x * here - k * before) / (k + 1))


POLYNOMIALS: dict[str, tuple[Callable[[Array], Array], Callable[..., Array], bool]] = {
    "chebyshev_polynomial_t": (lambda x: x, _chebyshev, False),
    "chebyshev_polynomial_u": (lambda x: 2 * x, _chebyshev, False),
    "chebyshev_polynomial_v": (lambda x: 2 * x - 1, _chebyshev, False),
    "chebyshev_polynomial_w": (lambda x: 2 * x + 1, _chebyshev, False),
    "shifted_chebyshev_polynomial_t": (lambda x: x, _chebyshev, True),
    "shifted_chebyshev_polynomial_u": (lambda x: 2 * x, _chebyshev, True),
    "shifted_chebyshev_polynomial_v": (lambda x: 2 * x - 1, _chebyshev, True),
    "shifted_chebyshev_polynomial_w": (lambda x: 2 * x + 1, _chebyshev, True),
    "hermite_polynomial_h": (lambda x: 2 * x, _hermite_h, False),
    "hermite_polynomial_he": (lambda x: x, _hermite_he, False),
    "laguerre_polynomial_l": (lambda x: 1 - x, _laguerre, False),
    "legendre_polynomial_p": (lambda x: x, _legendre, False),
}
