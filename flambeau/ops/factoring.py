"""LU and Cholesky in NumPy where NumPy has no LAPACK call for it: with pivots, with info."""

from __future__ import annotations

import math

import numpy as np

from flambeau.ops.primitive import Array

PANEL = 32


def lu_with_info(x: Array) -> tuple[Array, Array, Array, Array]:
    """(LU, pivots, info, order) of [.., m, n] by partial pivoting, all batches at once.

    Pivot j says which row was exchanged with row j (from 0); order says which row of the operand
    each row of L U is; info is the place (from 1) of the first zero on U's diagonal, or 0.
    """
    batch, (m, n) = x.shape[:-2], x.shape[-2:]
    a = x.reshape(math.prod(batch), m, n).copy()
    count, k = a.shape[0], min(m, n)
    pivots = np.zeros((count, k), np.int64)
    order = np.tile(np.arange(m), (count, 1))
    each = np.arange(count)
    for start in range(0, k, PANEL):
        stop = min(start + PANEL, k)
        for j in range(start, stop):
            column = a[:, j:, j]
            size = np.abs(column.real) + np.abs(column.imag)  # as LAPACK measures
            row = j + size.argmax(axis=1)
            pivots[:, j] = row
            for rows in (a, order):
                old = rows[each, row].copy()
                rows[each, row] = rows[:, j]
                rows[:, j] = old
            head = a[:, j, j]
            a[:, j + 1 :, j] /= np.where(head == 0, 1, head)[:, None]
            a[:, j + 1 :, j + 1 : stop] -= a[:, j + 1 :, j, None] * a[:, j, None, j + 1 : stop]
        if stop < n:
            corner = np.tril(a[:, start:stop, start:stop], -1) + np.eye(stop - start, dtype=a.dtype)
            a[:, start:stop, stop:] = np.linalg.solve(corner, a[:, start:stop, stop:])
            a[:, stop:, stop:] -= a[:, stop:, start:stop] @ a[:, start:stop, stop:]
    zero = np.diagonal(a, axis1=1, axis2=2) == 0
    info = np.where(zero.any(1), zero.argmax(1) + 1, 0) if k else np.zeros(count, np.int64)
    return (
        a.reshape(x.shape),
        pivots.reshape(*batch, k),
        info.reshape(batch),
        order.reshape(*batch, m),
    )


def cholesky_with_info(x: Array) -> tuple[Array, Array]:
    """(L, info) of [.., n, n]; info is the order of the first leading minor not positive, or 0."""
    info = np.zeros(x.shape[:-2], np.int64)
    if np.isfinite(x).all():
        try:
            return np.linalg.cholesky(x), info
        except np.linalg.LinAlgError:
            pass
    factors = np.zeros_like(x)
    for place in np.ndindex(*x.shape[:-2]):
        factors[place], info[place] = _one_cholesky(x[place])
    return factors, info


def _one_cholesky(x: Array) -> tuple[Array, int]:
    try:
        if np.isfinite(x).all():
            return np.linalg.cholesky(x), 0
    except np.linalg.LinAlgError:
        pass
    a = np.tril(x)
    for j in range(a.shape[0]):
        pivot = a[j, j].real - (np.abs(a[j, :j]) ** 2).sum()
        if not pivot > 0:
            a[j, j] = pivot  # as LAPACK leaves it
            return a, j + 1
        a[j, j] = np.sqrt(pivot)
        a[j + 1 :, j] -= a[j + 1 :, :j] @ a[j, :j].conj()
        a[j + 1 :, j] /= a[j, j]
    return a, 0
