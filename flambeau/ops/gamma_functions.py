"""log |gamma| and digamma in NumPy, and the polynomials that the CPU's kernels share with them.

Right to some 3 units in the last place for positive numbers, near the zeros at 1, 2 and 1.4616,
too; for negative numbers absolutely only, near their zeros. The tables are made as those of
`execute/cpu/math_coefficients.py`, lowest power first.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

# log(gamma(2 + t)) = t P(t).
# Degree 19 on [-0.501, 0.501]; error 2^-55.11 of the result.
LGAMMA64 = (
    0.42278433509846713,
    0.3224670334241132,
    -0.06735230105319814,
    0.02058080842778457,
    -0.007385551028667957,
    0.002890510330738643,
    -0.0011927539120098305,
    0.0005096695248895186,
    -0.0002231547505489768,
    9.945750900512298e-05,
    -4.4926353544419045e-05,
    2.0507268582346947e-05,
    -9.438440979711858e-06,
    4.374366441070528e-06,
    -2.0449949237881817e-06,
    9.579020676649219e-07,
    -4.3018655504476666e-07,
    2.0296715259306162e-07,
    -1.3428737824298504e-07,
    6.386654440572362e-08,
)

# log(gamma(1 + t)) = t P(t).
# Degree 18 on [-0.101, 0.501]; error 2^-53.94 of the result.
LGAMMA_ONE64 = (
    -0.5772156649015329,
    0.8224670334241132,
    -0.40068563438652766,
    0.2705808084277287,
    -0.20738555103060935,
    0.16955717702842943,
    -0.14404989651939548,
    0.12550966294216803,
    -0.11133425085485452,
    0.10009992892010959,
    -0.09095829916511002,
    0.08335965257693256,
    -0.07680030094003738,
    0.07029128134550035,
    -0.061658300421375,
    0.04816625718025557,
    -0.02993144309987694,
    0.012561002622230377,
    -0.0025823249757732365,
)

# log(gamma(x)) = (x - 1/2) log(x) - x + log(2 pi) / 2 + P(1/x^2) / x.
# Degree 5 on [1.0e-8, 0.0138889]; error 2^-62.08 of the result.
STIRLING64 = (
    0.08333333333333331,
    -0.0027777777776805445,
    0.0007936507116197056,
    -0.0005952126672796616,
    0.000838158349853311,
    -0.0016789126460461283,
)

# digamma(3/2 + t) = (3/2 + t - root) P(t).
# Degree 22 on [-0.501, 0.501]; error 2^-52.83 of the result.
DIGAMMA64 = (
    0.9510558760318328,
    -0.4236274212814606,
    0.24054248424078697,
    -0.1484049230538793,
    0.09498872445288932,
    -0.06192213327563742,
    0.04076083394094549,
    -0.026975796653416578,
    0.017907248313066313,
    -0.011908220254738625,
    0.007927021896054024,
    -0.0052799351768971926,
    0.003518105178046421,
    -0.002345512865807199,
    0.001563381715403074,
    -0.0010363590462857178,
    0.0006908592858770196,
    -0.0004862837277170812,
    0.0003241816775380279,
    -0.00014418288085187,
    9.612076101461654e-05,
    -0.00017871743533844,
    0.00011914471582493197,
)

# digamma(x) = log(x) - 1 / (2 x) - y P(y), y = 1 / x^2.
# Degree 5 on [1.0e-8, 0.015625]; error 2^-58.1 of the result.
DIGAMMA_SERIES64 = (
    0.08333333333333287,
    -0.008333333331168534,
    0.003968252342832636,
    -0.004166217649386337,
    0.007519088147051051,
    -0.017711158471277653,
)

LOG_PI = 1.1447298858494002
HALF_LOG_2_PI = 0.9189385332046728
DIGAMMA_ROOT = (1.4616321449683622, 9.549995429965697e-17)  # and what it lacks


def _in_double(function: Callable[[Array], Array]) -> Callable[[Array], Array]:
    """The function of float64 numbers for those of any float dtype."""

    def apply(x: Array) -> Array:
        with np.errstate(all="ignore"):
            return function(np.asarray(x, np.float64)).astype(x.dtype, copy=False)

    return apply


def _polynomial(t: Array, coefficients: Sequence[float]) -> Array:
    value = np.full_like(t, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        value *= t
        value += coefficient
    return value


def _log_gamma_positive(x: Array) -> Array:
    """Stirling's series from 8.5, else moved near 1 or 2 by products."""
    large = x >= 8.5
    z = np.where(large, 2.0, x)
    factor = np.ones_like(z)
    for _ in range(6):
        above = z >= 2.5
        if not above.any():
            break
        z = np.where(above, z - 1.0, z)
        factor = np.where(above, factor * z, factor)
    # From 0.9 to 1.5 around the zero at 1; below up by one, or by two below 1/2.
    below, far_below = z < 0.9, z < 0.5
    one = (z >= 0.9) & (z < 1.5)
    product = np.where(far_below, z * (z + 1.0), z)
    t = np.where(far_below, z, np.where(z < 1.5, z - 1.0, z - 2.0))
    base = t * np.where(one, _polynomial(t, LGAMMA_ONE64), _polynomial(t, LGAMMA64))
    logarithm = np.log(np.where(large, x, np.where(below, product, factor)))
    near = base + np.where(below, -logarithm, logarithm)
    y = 1.0 / x
    series = y * _polynomial(y * y, STIRLING64) + HALF_LOG_2_PI
    far = (x - 0.5) * (logarithm - 1.0) + (series - 0.5)
    far = np.where(x > 1e300, x * (logarithm - 1.0), far)
    return np.where(large, far, near)


@_in_double
def log_gamma(x: Array) -> Array:
    """log |gamma(x)|; negative x by reflection. Infinity at the poles."""
    size = np.abs(x)
    value = _log_gamma_positive(size)
    negative = x < 0
    if negative.any():
        sine = np.abs(np.sin(math.pi * (size - np.rint(size))))
        other = LOG_PI - np.log(sine * size) - value
        value = np.where(negative & (size >= 2.0**-60), other, value)
    value = np.where((x <= 0) & (np.floor(x) == x), np.inf, value)
    value = np.where(size == np.inf, np.inf, value)
    return np.where(np.isnan(x), x, value)


def _digamma_positive(x: Array) -> Array:
    """Its series from 8; else by steps to [1, 2], (x - root) P there."""
    y = 1.0 / x
    square = y * y
    far = np.log(x) - y * 0.5 - square * _polynomial(square, DIGAMMA_SERIES64)
    z = np.where(x < 8.0, x, 1.0)
    below = z < 1.0
    total = np.where(below, -1.0 / z, 0.0)
    t = np.where(below, z, z - 1.0)  # z - 1 of the moved argument, exact below 1
    for _ in range(6):
        above = t > 1.0
        if not above.any():
            break
        total = np.where(above, total + 1.0 / t, total)
        t = np.where(above, t - 1.0, t)
    distance = (t - (DIGAMMA_ROOT[0] - 1.0)) - DIGAMMA_ROOT[1]
    near = distance * _polynomial(t - 0.5, DIGAMMA64) + total
    return np.where(x >= 8.0, far, near)


@_in_double
def digamma(x: Array) -> Array:
    """The derivative of log gamma; negative x by reflection. -infinity at +0, +infinity at -0."""
    negative, size = x < 0, np.abs(x)
    value = _digamma_positive(np.where(negative, size, x))
    r = x - np.rint(x)
    if negative.any():
        # digamma(x) = digamma(-x) - 1 / x - pi / tan(pi x)
        reflected = (value + 1.0 / size) - math.pi / np.tan(math.pi * r)
        reflected = np.where(size < 2.0**-60, 1.0 / size, reflected)
        value = np.where(negative, reflected, value)
    value = np.where((negative & (r == 0)) | np.isnan(x), np.nan, value)
    value = np.where(size == np.inf, np.where(x > 0, np.inf, np.nan), value)
    return np.where(x == 0, np.where(np.signbit(x), np.inf, -np.inf), value)
