"""Functions of whole matrices that are more than factors: pseudo-inverse, exponential."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import decomposition, view
from flambeau.ops import matrix_algebra as ma
from flambeau.ops.matrix_algebra import adjoint, dot
from flambeau.ops.primitive import HOST, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value


class PseudoInverse(Primitive):
    """A^+ of [batch.., m, n]; singular values up to max(atol, rtol * largest) count as zero.

    atol and rtol have the batch shape. The derivative is Golub's and Pereyra's (1973), for constant
    rank: it needs no singular vectors, so equal singular values do no harm.
    """

    name, family = "pseudo_inverse", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        shape = inputs[0].shape
        return (*shape[:-2], shape[-1], shape[-2]), inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        a, back, turned = inputs[0], adjoint(out), adjoint(ct)
        if a.shape[-2] <= a.shape[-1]:
            k = dot(turned, out)
            outer = dot(k, back)
            first = ar.sub(outer, adjoint(dot(out, k)))
            second = ar.sub(dot(dot(back, out), ar.sub(turned, dot(k, a))), dot(dot(a, out), outer))
        else:
            k = dot(out, turned)
            outer = dot(back, k)
            first = ar.sub(outer, adjoint(dot(k, out)))
            second = ar.sub(dot(dot(ar.sub(turned, dot(a, k)), out), back), dot(dot(outer, out), a))
        return ar.add(first, second), None, None

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        a, atol, rtol = arrays
        if not a.size:
            return np.zeros((*a.shape[:-2], a.shape[-1], a.shape[-2]), a.dtype)
        if attrs["hermitian"]:  # the upper triangle is not read
            below, diagonal = np.tril(a, -1), np.eye(a.shape[-1], dtype=bool)
            a = below + below.swapaxes(-1, -2).conj() + np.where(diagonal, a.real, 0)
        try:
            u, s, vh = np.linalg.svd(a, full_matrices=False)
        except np.linalg.LinAlgError:
            raise decomposition.LinAlgError(
                "linalg.svd: The algorithm failed to converge because the input matrix contained "
                "non-finite values."
            ) from None
        floor = np.maximum(atol, rtol * s[..., 0])[..., None]
        inverted = np.divide(1, s, out=np.zeros_like(s), where=s > floor)
        return np.asarray((vh.swapaxes(-1, -2).conj() * inverted[..., None, :])
                          @ u.swapaxes(-1, -2).conj())  # fmt: skip


class MatrixExponential(Primitive):
    """exp(A) of square matrices: a Taylor polynomial of A / 2^s, squared s times."""

    name, family = "matrix_exp", HOST
    leads = True
    DEGREE, RADIUS = 16, 0.5

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        # The corner of exp [[A^H, C], [0, A^H]] is the derivative at A^H in the direction C.
        back, n = adjoint(inputs[0]), inputs[0].shape[-1]
        axis = back.ndim - 1
        above = view.concat(back, ct, axis=axis)
        under = view.concat(ar.zeros_like(back), back, axis=axis)
        whole = matrix_exp(view.concat(above, under, axis=axis - 1))
        return (ma.part(ma.part(whole, -2, 0, n), -1, n, 2 * n),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        if not x.size:
            return x
        a = x.astype(np.complex128 if x.dtype.kind == "c" else np.float64)
        size = np.abs(a).sum(-2).max(-1)[..., None, None]
        finite = np.isfinite(size)
        if not finite.all():
            result = self._exp(np.where(finite, a, 0), np.where(finite, size, 0))
            return np.asarray(np.where(finite, result, np.nan))
        return self._exp(a, size)

    def _exp(self, a: Array, size: Array) -> Array:
        safe = np.maximum(size, self.RADIUS)
        steps = np.ceil(np.log2(safe / self.RADIUS)).astype(np.int64)
        scaled = a / np.exp2(steps)
        one = np.eye(a.shape[-1])
        result = one + scaled / self.DEGREE
        for degree in range(self.DEGREE - 1, 0, -1):
            result = one + scaled @ result / degree
        for step in range(int(steps.max())):
            result = np.where(step < steps, result @ result, result)
        return np.asarray(result)


class Householder(Primitive):
    """The factors that LAPACK's QR is made of: reflectors below R, packed with their scales."""

    name, family = "householder", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        shape = inputs[0].shape
        size = math.prod(shape[-2:]) + min(shape[-2:])
        return (*shape[:-2], size), inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        reflectors, scales = np.linalg.qr(arrays[0], "raw")
        turned = reflectors.swapaxes(-1, -2)
        return ma.packed(arrays[0].shape[:-2], [turned, scales], arrays[0].dtype)


pseudo_inverse = PseudoInverse()
matrix_exp = MatrixExponential()
householder = Householder()
