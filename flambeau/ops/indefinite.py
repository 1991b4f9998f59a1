"""L D L^T of symmetric matrices (L D L^H of Hermitian ones) by Bunch and Kaufman's pivoting.

The steps are those of LAPACK's sytf2 and hetf2 for the lower triangle, and of sytrs and hetrs;
NumPy has no call for them. Blocks of D are of one or two rows. `pivots` count from 1: a positive
one says with which row that of a block of one was exchanged, two equal negative ones with which the
second row of a block of two was.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.ops import matrix_algebra as ma
from flambeau.ops.decomposition import Factorisation
from flambeau.ops.primitive import HOST, Array, Primitive
from flambeau.ops.value import Shape, Value

GROWTH = (1 + math.sqrt(17)) / 8  # of elements, least for this threshold


def _sizes(x: Array) -> Array:
    """|re| + |im|, as LAPACK measures."""
    return np.abs(x.real) + np.abs(x.imag) if x.dtype.kind == "c" else np.abs(x)


def _largest(x: Array) -> tuple[int, Any]:
    """The place of the largest element, and its size (0 of none)."""
    sizes = _sizes(x)
    place = int(sizes.argmax()) if x.size else 0
    return place, sizes[place] if x.size else 0.0


class _Factoring:
    """One matrix on its way to L and D, in place in its lower triangle."""

    def __init__(self, x: Array, hermitian: bool) -> None:
        self.a = np.tril(x)
        self.hermitian = hermitian and x.dtype.kind == "c"
        self.pivots = np.zeros(len(x), np.int64)
        self.info = 0
        if self.hermitian:
            np.fill_diagonal(self.a, self.a.diagonal().real)

    def conj(self, x: Any) -> Any:
        return np.conj(x) if self.hermitian else x

    def run(self) -> None:
        k = 0
        with np.errstate(all="ignore"):
            while k < len(self.a):
                k += self.step(k)

    def step(self, k: int) -> int:
        """Takes one block off at row k; how many rows it has."""
        a, n = self.a, len(self.a)
        head = _sizes(a[k, k])
        place, below = _largest(a[k + 1 :, k])
        if max(head, below) == 0 or np.isnan(head):
            self.info = self.info or k + 1
            self.pivots[k] = k + 1
            return 1
        row, rows = self.pivot(k, k + 1 + place, head, below)
        self.exchange(k, k + rows - 1, row, rows)
        if rows == 1:
            self.pivots[k] = row + 1
            column = a[k + 1 :, k]
            scale = 1 / a[k, k]
            a[k + 1 :, k + 1 :] -= np.tril(scale * np.outer(column, self.conj(column)))
            column *= scale
        else:
            self.pivots[k : k + 2] = -(row + 1)
            if k + 2 < n:
                self.take_two(k)
        if self.hermitian:
            np.fill_diagonal(a, a.diagonal().real)
        return rows

    def pivot(self, k: int, other: int, head: Any, below: Any) -> tuple[int, int]:
        """Which row comes first, and how many rows the block has."""
        a = self.a
        if head >= GROWTH * below:
            return k, 1
        widest = max(_largest(a[other, k:other])[1], _largest(a[other + 1 :, other])[1])
        if head >= GROWTH * below * (below / widest):
            return k, 1
        if _sizes(a[other, other]) >= GROWTH * widest:
            return other, 1
        return other, 2

    def exchange(self, k: int, first: int, row: int, rows: int) -> None:
        """Exchanges rows and columns `first` and `row` of what is left from row k on."""
        if first == row:
            return
        a = self.a
        a[row + 1 :, [first, row]] = a[row + 1 :, [row, first]]
        between = a[first + 1 : row, first].copy()
        a[first + 1 : row, first] = self.conj(a[row, first + 1 : row])
        a[row, first + 1 : row] = self.conj(between)
        a[row, first] = self.conj(a[row, first])
        a[first, first], a[row, row] = a[row, row], a[first, first]
        if rows == 2:
            a[k + 1, k], a[row, k] = a[row, k], a[k + 1, k]

    def take_two(self, k: int) -> None:
        """The rows below a block of two."""
        a = self.a
        low = a[k + 1, k]
        scale = np.abs(low) if self.hermitian else low
        d11, d22 = a[k + 1, k + 1] / scale, a[k, k] / scale
        turn = low / scale
        factor = 1 / (d11 * d22 - 1) / scale
        first, second = a[k + 2 :, k].copy(), a[k + 2 :, k + 1].copy()
        w1 = factor * (d11 * first - turn * second)
        w2 = factor * (d22 * second - self.conj(turn) * first)
        update = np.outer(first, self.conj(w1)) + np.outer(second, self.conj(w2))
        a[k + 2 :, k + 2 :] -= np.tril(update)
        a[k + 2 :, k], a[k + 2 :, k + 1] = w1, w2


class LDL(Factorisation):
    """(L and D in one lower triangle, pivots, info); info is the first zero block's row from 1."""

    name = "ldl"

    def shapes(self, shape: Shape, **attrs: Any) -> list[Shape]:
        return [shape[-2:], shape[-1:], ()]

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        batch, n = x.shape[:-2], x.shape[-1]
        both, pivots = np.zeros_like(x), np.zeros((*batch, n), np.int64)
        info = np.zeros(batch, np.int64)
        for place in np.ndindex(*batch):
            work = _Factoring(x[place], attrs["hermitian"])
            work.run()
            both[place], pivots[place], info[place] = work.a, work.pivots, work.info
        return ma.packed(batch, [both, pivots, info], x.dtype)


class LDLSolve(Primitive):
    """X of A X = B, from L, D and the pivots of A."""

    name, family = "ldl_solve", HOST

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[2].shape, inputs[2].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        both, pivots, b = arrays
        x = np.array(b)
        hermitian = attrs["hermitian"] and both.dtype.kind == "c"
        with np.errstate(all="ignore"):
            for place in np.ndindex(*x.shape[:-2]):
                _solve(both[place], pivots[place], x[place], hermitian)
        return x


def _blocks(pivots: Array) -> list[tuple[int, int, int]]:
    """(first row, number of rows, the row that was exchanged with the last one) of D's blocks."""
    found, k = [], 0
    while k < len(pivots):
        rows = 1 if pivots[k] > 0 else 2
        found.append((k, rows, abs(int(pivots[k])) - 1))
        k += rows
    return found


def _solve(a: Array, pivots: Array, x: Array, hermitian: bool) -> None:
    blocks = _blocks(pivots)
    for k, rows, row in blocks:
        last, stop = k + rows - 1, k + rows
        x[[last, row]] = x[[row, last]]
        x[stop:] -= a[stop:, k:stop] @ x[k:stop]
        x[k:stop] = _divided(a[k:stop, k:stop], x[k:stop], hermitian)
    for k, rows, row in reversed(blocks):
        last, stop = k + rows - 1, k + rows
        columns = a[stop:, k:stop].T
        x[k:stop] -= (columns.conj() if hermitian else columns) @ x[stop:]
        x[[last, row]] = x[[row, last]]


def _divided(block: Array, x: Array, hermitian: bool) -> Array:
    """D^-1 x of one block of D, whose lower triangle is given."""
    if len(block) == 1:
        return np.asarray(x / (block[0, 0].real if hermitian else block[0, 0]))
    low = block[1, 0]
    high = np.conj(low) if hermitian else low
    first, second = block[0, 0] / high, block[1, 1] / low
    whole = first * second - 1
    above, under = x[0] / high, x[1] / low
    return np.stack([(second * above - under) / whole, (first * under - above) / whole])


ldl = LDL()
ldl_solve = LDLSolve()
