"""Special functions as primitives: NumPy computes them (`special_functions`), in float64."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import special_functions as sf
from flambeau.ops.elementwise import Elementwise
from flambeau.ops.primitive import HOST, Array, Cotangents
from flambeau.ops.value import Value

Slope = Callable[..., Any]
EPSILON = 2.0**-23


class Special(Elementwise):
    """An elementwise function computed on the host; `slopes` are its partial derivatives, each a
    function of (operands.., result), or None where PyTorch has none either.
    """

    family = HOST

    def __init__(self, name: str, function: Callable[..., Array], *slopes: Slope | None) -> None:
        self.name = name  # type: ignore[misc]
        self._function = function
        self._slopes = slopes

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        cotangents: list[Value | None] = []
        for place in range(len(inputs)):
            slope = self._slopes[place] if place < len(self._slopes) else None
            if slope is not None:
                cotangents.append(ar.mul(ct, slope(*inputs, out)))
            else:
                cotangents.append(None)
        return cotangents

    def lacks_derivative(self, place: int) -> bool:
        return place >= len(self._slopes) or self._slopes[place] is None

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        wide = [np.asarray(a, np.float64) for a in arrays]
        with np.errstate(all="ignore"):
            return np.asarray(self._function(*wide)).astype(arrays[0].dtype)


def _sign(x: Value) -> Value:
    return el.sign(x)


def _away_from_zero(x: Value, slope: Callable[[Value], Value]) -> Value:
    """A slope that divides by x; 1/2, its limit, next to 0."""
    tiny = ar.le(el.abs_(x), EPSILON)
    safe = el.where(tiny, ar.full_like(x, EPSILON), x)
    return el.where(tiny, ar.full_like(x, 0.5), slope(safe))


i0 = Special("i0", lambda x: sf.bessel_i(x, 0, False), lambda x, y: i1(x))
i0e = Special("i0e", lambda x: sf.bessel_i(x, 0, True), lambda x, y: i1e(x) - _sign(x) * y)
i1: Special = Special(
    "i1",
    lambda x: sf.bessel_i(x, 1, False),
    lambda x, y: _away_from_zero(x, lambda x: i0(x) - y / x),
)
i1e: Special = Special(
    "i1e",
    lambda x: sf.bessel_i(x, 1, True),
    lambda x, y: _away_from_zero(x, lambda x: i0e(x) - y * _sign(x) - y / x),
)
bessel_j0 = Special("special_bessel_j0", lambda x: sf.bessel_j(x, 0))
bessel_j1 = Special("special_bessel_j1", lambda x: sf.bessel_j(x, 1))
bessel_y0 = Special("special_bessel_y0", lambda x: sf.bessel_y(x, 0))
bessel_y1 = Special("special_bessel_y1", lambda x: sf.bessel_y(x, 1))
bessel_i0 = Special("special_modified_bessel_i0", lambda x: sf.bessel_i(x, 0, False))
bessel_i1 = Special("special_modified_bessel_i1", lambda x: sf.bessel_i(x, 1, False))
bessel_k0 = Special("special_modified_bessel_k0", lambda x: sf.bessel_k(x, 0, False))
bessel_k1 = Special("special_modified_bessel_k1", lambda x: sf.bessel_k(x, 1, False))
scaled_k0 = Special("special_scaled_modified_bessel_k0", lambda x: sf.bessel_k(x, 0, True))
scaled_k1 = Special("special_scaled_modified_bessel_k1", lambda x: sf.bessel_k(x, 1, True))
airy_ai = Special("special_airy_ai", sf.airy_ai)
spherical_j0 = Special("special_spherical_bessel_j0", sf.spherical_j0)
erfcx = Special("special_erfcx", sf.erfcx, lambda x, y: x * y * 2.0 - 2 / math.sqrt(math.pi))
ndtri = Special(
    "special_ndtri", sf.ndtri, lambda x, y: el.exp(y * y * 0.5) * math.sqrt(2 * math.pi)
)


entr = Special("special_entr", sf.entr, lambda x, y: el.neg(el.log(x)) - 1.0)


def _gamma_slope(sign: float) -> Slope:
    def slope(a: Value, x: Value, out: Value) -> Value:
        return el.exp((a - 1.0) * el.log(x) - x - el.lgamma(a)) * sign

    return slope


gammainc = Special("igamma: input", lambda a, x: sf.gammainc(a, x, False), None, _gamma_slope(1.0))
gammaincc = Special(
    "igammac: input", lambda a, x: sf.gammainc(a, x, True), None, _gamma_slope(-1.0)
)
zeta: Special = Special("zeta", sf.zeta, None, lambda x, q, out: el.neg(x) * zeta(x + 1.0, q))


def _polynomial(name: str) -> Special:
    first, step, shifted = sf.POLYNOMIALS[name]

    def compute(x: Array, n: Array) -> Array:
        return sf.polynomial(2 * x - 1 if shifted else x, n, first, step)

    return Special(f"special_{name}", compute)


POLYNOMIALS = {name: _polynomial(name) for name in sf.POLYNOMIALS}
