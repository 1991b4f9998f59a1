"""Functions of a number's digits: greatest common divisors; mantissas and exponents of floats."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops.primitive import HOST, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value


class Gcd(Primitive):
    """The greatest common divisor of two integers, never negative; gcd(0, 0) is 0."""

    name, family, differentiable = "gcd", HOST, False
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        assert inputs[0].shape == inputs[1].shape and inputs[0].dtype is inputs[1].dtype, inputs
        return inputs[0].shape, inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(np.gcd(arrays[0], arrays[1]))


class Mantissa(Primitive):
    """m of x = m 2^e with 0.5 <= |m| < 1; zeros, infinities and NaN are their own mantissas."""

    name, family = "mantissa", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (ar.div(ct, el.exp2(ar.cast(exponent(inputs[0]), ct.dtype))),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(np.frexp(arrays[0])[0])


class Exponent(Primitive):
    """e of x = m 2^e with 0.5 <= |m| < 1, as int32; 0 for zeros, infinities and NaN."""

    name, family, differentiable = "exponent", HOST, False
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, dtypes.int32

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        parts = np.frexp(arrays[0])[1]
        return np.asarray(np.where(np.isfinite(arrays[0]), parts, 0).astype(np.int32))


gcd, mantissa, exponent = Gcd(), Mantissa(), Exponent()
