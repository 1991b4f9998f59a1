"""Matrices as values: transposes, triangles, diagonals; several factors packed into one value.

A value has one shape and one dtype, a factorisation has several results: its primitive lays them
side by side along the last axis, batch axes first, and `unpacked` cuts them out again. Both are
views, so the derivative of the primitive sees one cotangent, and cuts it the same way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source, view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.primitive import Array
from flambeau.ops.reduction import prod, sum_
from flambeau.ops.value import Shape, Value

__all__ = [
    "adjoint", "below", "diagonal_of", "dot", "embedded", "eye", "narrow", "packed", "part",
    "square_part", "strictly", "swap_last", "total", "tril", "triu", "unpacked",
]  # fmt: skip


def adjoint(x: Value) -> Value:
    """The conjugate transpose."""
    return ar.conj(swap_last(x))


def _positions(rows: int, columns: int) -> tuple[Value, Value]:
    i = view.reshape(source.iota(size=rows), shape=(rows, 1))
    j = view.reshape(source.iota(size=columns), shape=(1, columns))
    return ar.expand(i, (rows, columns)), ar.expand(j, (rows, columns))


def below(rows: int, columns: int, offset: int = 0) -> Value:
    """Where column - row <= offset (bool, [rows, columns])."""
    i, j = _positions(rows, columns)
    return ar.le(ar.sub(j, i), offset)


def _masked(x: Value, mask: Value) -> Value:
    return el.where(ar.expand(mask, x.shape), x, ar.zeros_like(x))


def tril(x: Value, offset: int = 0) -> Value:
    """The lower triangles of matrices."""
    return _masked(x, below(x.shape[-2], x.shape[-1], offset))


def triu(x: Value, offset: int = 0) -> Value:
    """The upper triangles of matrices."""
    return _masked(x, ar.logical_not(below(x.shape[-2], x.shape[-1], offset - 1)))


def eye(x: Value) -> Value:
    """Where a matrix of the shape of `x` has its diagonal (bool)."""
    i, j = _positions(x.shape[-2], x.shape[-1])
    return ar.expand(el.eq(i, j), x.shape)


def diagonal_of(x: Value) -> Value:
    """The main diagonals: [.., min(m, n)]."""
    m, n = x.shape[-2:]
    k = min(m, n)
    square = part(part(x, -2, 0, k), -1, 0, k)
    return sum_(_masked(square, eye(square)), axes=(x.ndim - 1,)) if k else square_part(x)


def square_part(x: Value) -> Value:
    """The (empty) diagonal of matrices without elements."""
    return ar.full((*x.shape[:-2], 0), 0, x.dtype)


def embedded(d: Value) -> Value:
    """Diagonal matrices of vectors: [.., k] -> [.., k, k]."""
    k = d.shape[-1]
    full = ar.expand(view.reshape(d, shape=(*d.shape, 1)), (*d.shape, k))
    return _masked(full, eye(full))


def strictly(x: Value) -> Value:
    """Square matrices without their diagonal."""
    return el.where(eye(x), ar.zeros_like(x), x)


def total(x: Value) -> Value:
    """The sum over the last two axes, kept as 1."""
    folded = sum_(x, axes=(x.ndim - 2, x.ndim - 1))
    return view.reshape(folded, shape=(*folded.shape, 1, 1))


def narrow(x: Value, axis: int, start: int, length: int) -> Value:
    """`length` places along `axis` from `start` on."""
    return part(x, axis, start, start + length)


def part(x: Value, axis: int, start: int, stop: int) -> Value:
    """The places from `start` to `stop` along `axis`."""
    axis %= x.ndim
    if start == 0 and stop == x.shape[axis]:
        return x
    starts = tuple(start if a == axis else 0 for a in range(x.ndim))
    sizes = tuple(stop - start if a == axis else n for a, n in enumerate(x.shape))
    return view.slice_(x, starts=starts, sizes=sizes, steps=(1,) * x.ndim)


def unpacked(x: Value, shapes: Sequence[Shape]) -> list[Value]:
    """The parts that lie side by side along the last axis, each in its shape."""
    start, parts = 0, []
    for shape in shapes:
        size = math.prod(shape)
        parts.append(view.reshape(narrow(x, -1, start, size), shape=(*x.shape[:-1], *shape)))
        start += size
    return parts


def packed(batch: Shape, arrays: Sequence[Array], dtype: np.dtype[np.generic]) -> Array:
    """NumPy arrays of equal batch axes side by side along one last axis."""
    sizes = [math.prod(a.shape[len(batch) :]) for a in arrays]
    found = np.empty((*batch, sum(sizes)), dtype)
    start = 0
    for array, size in zip(arrays, sizes):
        found[..., start : start + size] = array.reshape(*batch, size)
        start += size
    return found


def cofactor_slope_by_products(x: Value, along: Value) -> Value:
    """How the cofactors of `x` change along another matrix, by sums and products of matrices alone
    (Faddeev and LeVerrier's recursion): every derivative of it is right for singular matrices, too.

    Numbers that grow with their size cancel; rows and columns are made of about one length first.
    """
    n = x.shape[-1]
    one = ar.cast(eye(x), x.dtype)
    rows = _lengths(x, x.ndim - 1)
    columns = _lengths(ar.div(x, rows), x.ndim - 2)
    sides = ar.mul(rows, columns)
    x, along = ar.div(x, sides), ar.div(along, sides)
    adjugate, change = one, ar.zeros_like(x)
    for k in range(1, n):
        product = dot(x, adjugate)
        slope = ar.add(dot(along, adjugate), dot(x, change))
        scale, bend = (ar.mul(total(ar.mul(v, one)), -1.0 / k) for v in (product, slope))
        adjugate = ar.add(product, ar.mul(scale, one))
        change = ar.add(slope, ar.mul(bend, one))
    found = swap_last(change if n % 2 else el.neg(change))
    whole = prod(diagonal_of(sides), axes=(x.ndim - 2,))
    return ar.mul(found, ar.div(view.reshape(whole, shape=(*whole.shape, 1, 1)), sides))


def _lengths(x: Value, axis: int) -> Value:
    """The lengths of rows or columns, 1 for those that are 0: constants, in the shape of `x`."""
    size = el.abs_(source.detach(x))
    squares = sum_(ar.mul(size, size), axes=(axis,))
    length = el.sqrt(
        view.reshape(squares, shape=tuple(1 if a == axis else m for a, m in enumerate(x.shape)))
    )
    length = ar.where(ar.eq(length, 0), ar.full_like(length, 1), length)
    return ar.cast(ar.expand(length, x.shape), x.dtype)
