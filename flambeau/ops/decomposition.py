"""Factorisations of matrices by LAPACK, as NumPy has it, with their derivatives.

All take [batch.., m, n] in float32, float64 or their complex types. Those with several results
pack them (see `matrix_algebra`); an `info` among them is 0, or says which step failed: no program
fails half-way because a matrix was singular, the caller looks at `info`. The derivatives follow
Giles, "Collected matrix derivative results for forward and reverse mode algorithmic
differentiation" (2008), and Townsend's and Roberts' notes on SVD and QR, with X -> X^H in place of
transposes.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.core.errors import LinAlgError as LinAlgError
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import host_loops, source, view
from flambeau.ops import matrix_algebra as ma
from flambeau.ops.factoring import cholesky_with_info, lu_with_info
from flambeau.ops.inner_loops import Loops, matrices
from flambeau.ops.matrix_algebra import adjoint, dot
from flambeau.ops.primitive import HOST, Array, Cotangents, Primitive
from flambeau.ops.randomness import require
from flambeau.ops.value import Shape, Value


class Factorisation(Primitive):
    """Several results of one matrix, packed; `shapes` says which, without the batch axes."""

    family = HOST
    leads = True

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        raise NotImplementedError

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        shape = inputs[0].shape
        size = sum(math.prod(s) for s in self.shapes(shape, **attrs))
        return (*shape[:-2], size), inputs[0].dtype

    def parts(self, packed: Value, x: Value, **attrs: Any) -> list[Value]:
        """The results (or their cotangents) of the packed value of `x`."""
        return ma.unpacked(packed, self.shapes(x.shape, **attrs))


def _converging(name: str, function: Callable[[], Any]) -> Any:
    try:
        return function()
    except np.linalg.LinAlgError:
        raise LinAlgError(
            f"{name}: The algorithm failed to converge because the input matrix contained "
            "non-finite values."
        ) from None


SINGULAR = "torch.linalg.solve: The solver failed because the input matrix is singular."


def _regular(x: Value, info: Value) -> Value:
    """What was solved for, provided that no matrix was singular."""
    found = ar.eq(el.real(info) if info.dtype.is_complex else info, 0)
    return require(x, found, error=("_LinAlgError", SINGULAR))


def _columns(x: Value, s: Value) -> Value:
    """X diag(s)."""
    return ar.mul(x, view.reshape(s, shape=(*s.shape[:-1], 1, s.shape[-1])))


def _rows(x: Value, s: Value) -> Value:
    """diag(s) X."""
    return ar.mul(view.reshape(s, shape=(*s.shape, 1)), x)


def _real(x: Value) -> Value:
    return el.real(x) if x.dtype.is_complex else x


def _quotient(a: Value, b: Value) -> Value:
    """a / b, and 0 where both are 0: equal eigenvalues whose vectors nothing hangs on."""
    both = ar.logical_and(ar.eq(a, 0), ar.eq(b, 0))
    return ar.div(a, ar.where(both, ar.full_like(b, 1), b))


def _differences(s: Value) -> Value:
    """s_j - s_i, and 1 on the diagonal."""
    k = s.shape[-1]
    apart = ar.sub(
        view.reshape(s, shape=(*s.shape[:-1], 1, k)), view.reshape(s, shape=(*s.shape, 1))
    )
    return el.where(ma.eye(apart), ar.full_like(apart, 1), apart)


class Cholesky(Factorisation):
    """The lower factor of Hermitian positive-definite matrices, read from one triangle, and info:
    the order of the first leading minor that is not positive.
    """

    name = "cholesky"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        return [shape[-2:], ()]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        factor, _ = self.parts(out, inputs[0])
        gradient, _ = self.parts(ct, inputs[0])
        phi = dot(adjoint(factor), gradient)
        phi = ar.mul(ar.add(ma.tril(phi), adjoint(ma.tril(phi, -1))), 0.5)
        left = solve_triangular(adjoint(factor), phi, upper=True, unit=False)
        return (adjoint(solve_triangular(adjoint(factor), adjoint(left), upper=True, unit=False)),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0].swapaxes(-1, -2).conj() if attrs["upper"] else arrays[0]
        factor, info = cholesky_with_info(x)
        return ma.packed(arrays[0].shape[:-2], [factor, info], arrays[0].dtype)

    def inner_loops(self, v: Value) -> Loops | None:
        n, upper = v.inputs[0].shape[-1], v.attrs["upper"]
        if upper and v.dtype.is_complex:
            return None
        made = [("", (n, n))]
        return matrices("cholesky_lo", v, (n,), made, work=n**3, turned=upper, info=True)


class Inverse(Factorisation):
    """The inverse, and info: the place of the first zero pivot."""

    name = "inverse"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        return [shape[-2:], ()]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        back = adjoint(self.parts(out, inputs[0])[0])
        gradient, _ = self.parts(ct, inputs[0])
        return (ar.neg(dot(dot(back, gradient), back)),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        batch = x.shape[:-2]
        try:
            result, info = host_loops.inverse(x), np.zeros(batch)
        except np.linalg.LinAlgError:
            result, info = _solved_singly(
                x, np.broadcast_to(np.eye(x.shape[-1], dtype=x.dtype), x.shape)
            )
        return ma.packed(batch, [_lost_with(x, result), info], x.dtype)

    def inner_loops(self, v: Value) -> Loops | None:
        n = v.inputs[0].shape[-1]
        return matrices("inv", v, (n,), [("", (n, n))], work=2 * n**3, info=True)


class Solve(Primitive):
    """X of A X = B for [batch.., n, n] and [batch.., n, k], and info as `Inverse` has it."""

    name, family = "solve", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        a, b = inputs
        return (*b.shape[:-2], b.shape[-2] * b.shape[-1] + 1), a.dtype

    def parts(self, packed: Value, b: Value) -> list[Value]:
        return ma.unpacked(packed, [b.shape[-2:], ()])

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        a, b = inputs
        gradient = self.parts(ct, b)[0]
        # Not finite where A is singular: `solve` has refused that, `solve_ex` has not. (PyTorch
        # refuses it where gradients are differentiated in turn.)
        back = self.parts(self(adjoint(a), gradient), b)[0]
        return ar.neg(dot(back, adjoint(self.parts(out, b)[0]))), back

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        a, b = arrays
        batch = b.shape[:-2]
        try:
            result, info = host_loops.solve(a, b), np.zeros(batch)
        except np.linalg.LinAlgError:
            result, info = _solved_singly(a, b)
        return ma.packed(batch, [_lost_with(a, result), info], a.dtype)

    def inner_loops(self, v: Value) -> Loops | None:
        n, k = v.inputs[1].shape[-2:]
        work = n * n * (n + 2 * k)
        return matrices("solve", v, (n, k), [("", (n, k))], work=work, info=True)


def _solved_singly(a: Array, b: Array) -> tuple[Array, Array]:
    """X of A X = B, a system at a time, and info. By substitution, which gives infinities and NaN,
    where LAPACK gives up at a pivot of zero.
    """
    batch = b.shape[:-2]
    a = np.broadcast_to(a, (*batch, *a.shape[-2:]))
    result, info = np.empty(b.shape, b.dtype), np.zeros(batch)
    for place in np.ndindex(*batch):
        try:
            result[place] = host_loops.solve(a[place], b[place])
        except np.linalg.LinAlgError:
            both, _, info[place], order = lu_with_info(a[place])
            half = solve_triangular.reference(both, b[place][order], upper=False, unit=True)
            result[place] = solve_triangular.reference(both, half, upper=True, unit=False)
    return result, info


def _lost_with(x: Array, result: Array) -> Array:
    """What was solved for; NaN where the matrix holds NaN (LAPACK may pass over it)."""
    total = x.sum()
    if total == total:
        return result
    return np.where(
        np.isnan(x).any(axis=(-2, -1), keepdims=True), np.asarray(np.nan, result.dtype), result
    )


class SolveTriangular(Primitive):
    """X of A X = B, reading one triangle of A (and no diagonal, taken as 1, if `unit`)."""

    name, family = "solve_triangular", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[1].shape, inputs[1].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        upper, unit = attrs["upper"], attrs["unit"]
        back = solve_triangular(adjoint(inputs[0]), ct, upper=not upper, unit=unit)
        full = ar.neg(dot(back, adjoint(out)))
        offset = 1 if unit else 0
        return ma.triu(full, offset) if upper else ma.tril(full, -offset), back

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        a, b = arrays
        triangle = np.triu(a) if attrs["upper"] else np.tril(a)
        if attrs["unit"]:
            ones = np.eye(a.shape[-1], dtype=bool)
            triangle = np.where(ones, np.ones((), a.dtype), triangle)
        diagonal = np.diagonal(triangle, axis1=-2, axis2=-1)
        if (diagonal != 0).all() and np.isfinite(triangle).all():
            return host_loops.solve(triangle, b)
        x: Array = b.copy()  # by substitution, which gives infinities where LAPACK gives up
        n = a.shape[-1]
        for i in range(n - 1, -1, -1) if attrs["upper"] else range(n):
            x[..., i, :] /= diagonal[..., i, None]
            rest = slice(0, i) if attrs["upper"] else slice(i + 1, n)
            x[..., rest, :] -= triangle[..., rest, i, None] * x[..., i, None, :]
        return x


class CholeskySolve(Primitive):
    """X of L L^H X = B. The derivative is that of the whole L, as PyTorch has it."""

    name, family = "cholesky_solve", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[1].shape, inputs[1].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        back = cholesky_solve(inputs[0], ct)
        both = dot(back, adjoint(out))
        return ar.neg(dot(ar.add(both, adjoint(both)), inputs[0])), back

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        half = solve_triangular.reference(*arrays, upper=False, unit=False)
        turned = arrays[0].swapaxes(-1, -2).conj()
        return solve_triangular.reference(turned, half, upper=True, unit=False)


class Determinant(Primitive):
    """The determinant: [.., n, n] -> [..]."""

    name, family = "determinant", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape[:-2], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        scale = view.reshape(ct, shape=(*ct.shape, 1, 1))
        return (ar.mul(ar.conj(cofactors(inputs[0])), scale),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return host_loops.det(arrays[0])

    def inner_loops(self, v: Value) -> Loops | None:
        n = v.inputs[0].shape[-1]
        return matrices("det", v, (n,), [("", ())], work=n**3, checked=False)


# Third derivatives of determinants of matrices up to this size need no inverse.
MOST_BY_PRODUCTS = 16


class Cofactors(Primitive):
    """The derivative of the determinant, finite for singular matrices too (through the SVD)."""

    name, family = "cofactors", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x = inputs[0]
        found = ar.conj(cofactor_slope(source.detach(x), source.detach(ar.conj(ct))))
        if not (x.tracked or ct.tracked):
            return (found,)
        if x.shape[-1] <= MOST_BY_PRODUCTS:
            exact = ar.conj(ma.cofactor_slope_by_products(x, ar.conj(ct)))
            return (source.relink(found, exact),)
        # Third derivatives are those of regular matrices: of det(A) A^-T.
        inverted = inverse(x)
        turned = ma.swap_last(inverse.parts(inverted, x)[0])
        value = determinant(x)
        slope = view.reshape(ma.total(ar.mul(ar.conj(turned), ct)), shape=value.shape)
        first = determinant.vjp(slope, value, x)[0]
        scale = view.reshape(ar.conj(value), shape=(*value.shape, 1, 1))
        back = adjoint(inverse.parts(inverted, x)[0])
        second = ar.neg(dot(dot(back, ma.swap_last(ar.mul(ct, scale))), back))
        assert first is not None
        return (source.relink(found, ar.add(first, second)),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        u, s, vh = _converging("linalg.det", lambda: np.linalg.svd(arrays[0]))
        n = s.shape[-1]
        others = np.repeat(s[..., None, :], n, -2)
        others[..., np.arange(n), np.arange(n)] = 1
        sign = np.linalg.det(u) * np.linalg.det(vh)
        scaled = u.conj() * others.prod(-1)[..., None, :]
        return np.asarray(sign[..., None, None] * (scaled @ vh.conj()))


class CofactorSlope(Primitive):
    """How the cofactors of the first matrix change along the second; finite for singular ones."""

    name, family, differentiable = "cofactor_slope", HOST, False
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        # With A = U S V^H and M = U^H W V, of the cofactors of S + t M, where P[i, k] is the
        # product of all singular values but i and k: on the diagonal sum_k M[k, k] P[i, k],
        # elsewhere -M[j, i] P[i, j].
        x, along = arrays
        u, s, vh = _converging("linalg.det", lambda: np.linalg.svd(x))
        n = s.shape[-1]
        pairs = np.zeros((*s.shape, n), s.dtype)
        before = np.ones_like(s)  # the product of the values before each
        before[..., 1:] = np.cumprod(s, -1)[..., :-1]
        after = np.ones_like(s)
        after[..., :-1] = np.cumprod(s[..., ::-1], -1)[..., ::-1][..., 1:]
        for i in range(n):
            between = np.ones_like(s[..., i + 1 :])
            between[..., 1:] = np.cumprod(s[..., i + 1 : -1], -1)
            pairs[..., i, i + 1 :] = before[..., i, None] * between * after[..., i + 1 :]
        pairs += pairs.swapaxes(-1, -2)
        turned = u.conj().swapaxes(-1, -2) @ along @ vh.conj().swapaxes(-1, -2)
        inner = -turned.swapaxes(-1, -2) * pairs
        places = np.arange(n)
        inner[..., places, places] = (pairs @ turned[..., places, places, None])[..., 0]
        sign = np.linalg.det(u) * np.linalg.det(vh)
        return np.asarray(sign[..., None, None] * (u.conj() @ inner @ vh.conj()), x.dtype)


class SignLogDet(Factorisation):
    """(sign, log |det|) of square matrices."""

    name = "slogdet"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        return [(), ()]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x = inputs[0]
        sign, _ = self.parts(out, x)
        sign_ct, log_ct = self.parts(ct, x)
        if x.dtype.is_complex:
            turn = el.imag(ar.mul(ar.conj(sign_ct), sign))
            log_ct = el.complex_(el.real(log_ct), ar.neg(turn))
        back = adjoint(_regular(*inverse.parts(inverse(x), x)))
        return (ar.mul(back, view.reshape(log_ct, shape=(*log_ct.shape, 1, 1))),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        sign, log = np.linalg.slogdet(arrays[0])
        return ma.packed(arrays[0].shape[:-2], [sign, log], arrays[0].dtype)

    def inner_loops(self, v: Value) -> Loops | None:
        n = v.inputs[0].shape[-1]
        return matrices("slogdet", v, (n,), [("", ()), ("d", ())], work=n**3, checked=False)


class LU(Factorisation):
    """P A = L U as LAPACK packs it: L's strict lower triangle and U, pivots from 0, info."""

    name = "lu"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        return [shape[-2:], (min(shape[-2:]),), (shape[-2],), ()]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x = inputs[0]
        both, _, order, _ = self.parts(out, x)
        gradient = self.parts(ct, x)[0]
        m, n = x.shape[-2:]
        k = min(m, n)
        lower, upper = unit_lower(both), ma.triu(ma.part(both, -2, 0, k))
        head, top = ma.part(lower, -2, 0, k), ma.part(upper, -1, 0, k)
        g_lower = ma.tril(ma.part(gradient, -1, 0, k), -1)
        g_upper = ma.triu(ma.part(gradient, -2, 0, k))
        under = dot(adjoint(head), ma.part(g_lower, -2, 0, k))
        over = dot(ma.part(g_upper, -1, 0, k), adjoint(top))
        if m > k:  # rows of L below the square part depend on U too
            foot = ma.part(g_lower, -2, k, m)
            over = ar.sub(over, dot(adjoint(ma.part(lower, -2, k, m)), foot))
        if n > k:
            side = ma.part(g_upper, -1, k, n)
            under = ar.sub(under, dot(side, adjoint(ma.part(upper, -1, k, n))))
        square = ar.add(ma.tril(under, -1), ma.triu(over))
        if n > k:
            left = adjoint(solve_triangular(top, adjoint(square), upper=True, unit=False))
            joined = view.concat(left, side, axis=x.ndim - 1)
            result = solve_triangular(adjoint(head), joined, upper=True, unit=True)
        else:
            left = solve_triangular(adjoint(head), square, upper=True, unit=True)
            if m > k:
                left = view.concat(left, foot, axis=x.ndim - 2)
            result = adjoint(solve_triangular(top, adjoint(left), upper=True, unit=False))
        return (dot(permutation(order, x.dtype), result),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        both, pivots, info, order = lu_with_info(arrays[0])
        return ma.packed(arrays[0].shape[:-2], [both, pivots, order, info], arrays[0].dtype)


def unit_lower(both: Value) -> Value:
    """L [.., m, min(m, n)] of a packed LU."""
    k = min(both.shape[-2:])
    strict = ma.tril(ma.part(both, -1, 0, k), -1)
    return el.where(ma.eye(strict), ar.full_like(strict, 1), strict)


def permutation(order: Value, dtype: DType) -> Value:
    """P with A = P L U, from the row of A that each row of L U is (numbers in any dtype)."""
    m = order.shape[-1]
    rows = view.reshape(_real(order), shape=(*order.shape[:-1], 1, m))
    places = view.reshape(ar.cast(source.iota(size=m), rows.dtype), shape=(m, 1))
    return ar.cast(ar.eq(rows, places), dtype)


class QR(Factorisation):
    """Q and R; with `complete` Q is square."""

    name = "qr"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        m, n = shape[-2:]
        k = m if attrs["complete"] else min(m, n)
        return [(m, k), (k, n)]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x = inputs[0]
        m, n = x.shape[-2:]
        if attrs["complete"] and m > n:
            raise RuntimeError(
                "The QR decomposition is not differentiable when mode='complete' and nrows > ncols"
            )
        q, r = self.parts(out, x, **attrs)
        q_ct, r_ct = self.parts(ct, x, **attrs)
        head, head_ct = ma.part(r, -1, 0, min(m, n)), ma.part(r_ct, -1, 0, min(m, n))
        if m < n:  # R's other columns are Q^H A's
            rest, rest_ct = ma.part(r, -1, m, n), ma.part(r_ct, -1, m, n)
            q_ct = ar.add(q_ct, dot(q, dot(rest, adjoint(rest_ct))))
        inner = ar.sub(dot(head_ct, adjoint(head)), dot(adjoint(q), q_ct))
        right = ar.add(q_ct, dot(q, _symmetric(ma.triu(inner))))
        result = adjoint(solve_triangular(head, adjoint(right), upper=True, unit=False))
        if m < n:
            result = view.concat(result, dot(q, rest_ct), axis=x.ndim - 1)
        return (result,)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        q, r = np.linalg.qr(arrays[0], "complete" if attrs["complete"] else "reduced")
        return ma.packed(arrays[0].shape[:-2], [q, r], arrays[0].dtype)


def _symmetric(x: Value) -> Value:
    """X + X^H with the (real part of the) diagonal once: the adjoint of taking a triangle."""
    both = ar.add(x, adjoint(x))
    return el.where(ma.eye(both), ar.mul(both, 0.5), both)


class SVD(Factorisation):
    """U, S (descending) and V^H; square U and V^H if `full`."""

    name = "svd"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        m, n = shape[-2:]
        k = min(m, n)
        if attrs["full"]:
            return [(m, m), (k,), (n, n)]
        return [(m, k), (k,), (k, n)]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x = inputs[0]
        m, n = x.shape[-2:]
        k = min(m, n)
        u, s, vh = self.parts(out, x, **attrs)
        gu, gs, gvh = self.parts(ct, x, **attrs)
        u, gu = ma.part(u, -1, 0, k), ma.part(gu, -1, 0, k)
        vh, gvh = ma.part(vh, -2, 0, k), ma.part(gvh, -2, 0, k)
        s, gs = _real(s), _real(gs)
        v, gv = adjoint(vh), adjoint(gvh)
        left, right = dot(adjoint(u), gu), dot(vh, gv)
        skew_left, skew_right = ar.sub(left, adjoint(left)), ar.sub(right, adjoint(right))
        apart = _differences(ar.mul(s, s))
        inner = ar.div(ar.add(_columns(skew_left, s), _rows(skew_right, s)), apart)
        inner = el.where(ma.eye(inner), ar.zeros_like(inner), inner)
        if x.dtype.is_complex:
            phase = ma.diagonal_of(skew_left)
            inner = ar.add(inner, ma.embedded(ar.div(phase, ar.mul(s, 2.0))))
        inner = ar.add(inner, ma.embedded(ar.cast(gs, x.dtype)))
        result = dot(dot(u, inner), vh)
        over = el.reciprocal(s)
        if m > k:
            outside = _columns(ar.sub(gu, dot(u, left)), over)
            result = ar.add(result, dot(outside, vh))
        if n > k:
            outside = _rows(ar.sub(gvh, dot(dot(gvh, v), vh)), over)
            result = ar.add(result, dot(u, outside))
        return (result,)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        parts = _converging("linalg.svd", lambda: np.linalg.svd(x, full_matrices=attrs["full"]))
        return ma.packed(x.shape[:-2], parts, x.dtype)

    def inner_loops(self, v: Value) -> Loops | None:
        m, n = v.inputs[0].shape[-2:]
        k = min(m, n)
        shapes = self.shapes((m, n), **v.attrs)
        made = list(zip(("", "d", ""), shapes))
        name = "svd_f" if v.attrs["full"] else "svd_s"
        return matrices(name, v, (m, n, k), made, work=20 * m * n * k)


def by_singular_values(ct: Value, x: Value, full: bool) -> Value:
    """The cotangent of x for that of its singular values, of which equal ones and zeros do no
    harm.
    """
    u, s, vh = svd.parts(svd(x, full=full), x, full=full)
    k = s.shape[-1]
    return dot(_columns(ma.part(u, -1, 0, k), ar.cast(ct, u.dtype)), ma.part(vh, -2, 0, k))


class SingularValues(Primitive):
    """The singular values alone: [.., m, n] -> [.., min(m, n)], descending, real."""

    name, family = "singular_values", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        shape = inputs[0].shape
        return (*shape[:-2], min(shape[-2:])), inputs[0].dtype.to_real()

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (by_singular_values(ct, inputs[0], full=False),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        if x.size == 0:
            return np.zeros((*x.shape[:-2], min(x.shape[-2:])), x.real.dtype)
        values: Array = _converging("linalg.svd", lambda: host_loops.singular_values(x))
        return values

    def inner_loops(self, v: Value) -> Loops | None:
        m, n = v.inputs[0].shape[-2:]
        k = min(m, n)
        return matrices("svd", v, (m, n, k), [("d", (k,))], work=8 * m * n * k)


class SymmetricEigen(Factorisation):
    """Eigenvalues (ascending) and eigenvectors of Hermitian matrices, from one triangle."""

    name = "eigh"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        return [(shape[-1],), shape[-2:]]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x = inputs[0]
        values, vectors = self.parts(out, x)
        values_ct, vectors_ct = self.parts(ct, x)
        values, values_ct = _real(values), ar.cast(_real(values_ct), x.dtype)
        turn = dot(adjoint(vectors), vectors_ct)
        skew = ar.mul(ar.sub(turn, adjoint(turn)), 0.5)
        inner = _quotient(skew, _differences(values))
        inner = ar.add(ma.strictly(inner), ma.embedded(values_ct))
        return (dot(dot(vectors, inner), adjoint(vectors)),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        parts = _converging("linalg.eigh", lambda: np.linalg.eigh(x, attrs["uplo"]))
        return ma.packed(x.shape[:-2], parts, x.dtype)

    def inner_loops(self, v: Value) -> Loops | None:
        n, uplo = v.inputs[0].shape[-1], v.attrs["uplo"]
        made = [("d", (n,)), ("", (n, n))]
        return matrices("eigh_lo" if uplo == "L" else "eigh_up", v, (n,), made, work=9 * n**3)


class Eigen(Factorisation):
    """Eigenvalues and eigenvectors (of norm 1) of complex square matrices."""

    name = "eig"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        return [(shape[-1],), shape[-2:]]

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x = inputs[0]
        values, vectors = self.parts(out, x)
        values_ct, vectors_ct = self.parts(ct, x)
        back = adjoint(vectors)
        inner = dot(back, vectors_ct)
        scale = ar.cast(_real(ma.diagonal_of(inner)), x.dtype)
        inner = ar.sub(inner, dot(back, _columns(vectors, scale)))
        inner = _quotient(inner, ar.conj(_differences(values)))
        inner = ar.add(ma.strictly(inner), ma.embedded(values_ct))
        right = dot(inner, back)
        return (solve.parts(solve(back, right), right)[0],)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        real = not x.imag.any()  # LAPACK pairs conjugates exactly where it is told
        parts = _converging("linalg.eig", lambda: np.linalg.eig(x.real if real else x))
        return ma.packed(x.shape[:-2], parts, x.dtype)


cholesky = Cholesky()
inverse = Inverse()
solve = Solve()
solve_triangular = SolveTriangular()
cholesky_solve = CholeskySolve()
determinant = Determinant()
cofactors = Cofactors()
cofactor_slope = CofactorSlope()
slogdet = SignLogDet()
lu = LU()
qr = QR()
svd = SVD()
singular_values = SingularValues()
eigh = SymmetricEigen()
eig = Eigen()
