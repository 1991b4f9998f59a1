"""Scans and sorts along one axis."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import view
from flambeau.ops.primitive import SCAN, SORT, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value


class Scan(Primitive):
    family = SCAN
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype


class CumSum(Scan):
    """Running sums along `axis`."""

    name = "cumsum"

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        axes = (attrs["axis"],)
        return (view.flip(cumsum(view.flip(ct, axes=axes), **attrs), axes=axes),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(np.cumsum(arrays[0], axis=attrs["axis"], dtype=arrays[0].dtype))


class CumProd(Scan):
    """Running products along `axis`."""

    name = "cumprod"

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        # d out[j] / d x[i] = prod of x[..j] without x[i], for j >= i: exact also where factors are
        # zero, as a sum over a square of extent n; the quotient serves where no factor is zero.
        x, axis = inputs[0], attrs["axis"]
        n = x.shape[axis]
        rest = x.shape[:axis] + x.shape[axis + 1 :]
        last = tuple(a for a in range(x.ndim) if a != axis) + (axis,)
        rows = view.permute(x, order=last)
        square = ar.expand(view.reshape(rows, shape=(*rest, 1, n)), (*rest, n, n))
        diagonal = ar.eq(view.reshape(source.iota(size=n), shape=(n, 1)), source.iota(size=n))
        without = ar.where(diagonal, ar.full_like(square, 1), square)
        products = cumprod(without, axis=len(rest) + 1)  # [.., i, j]
        later = ar.ge(source.iota(size=n), view.reshape(source.iota(size=n), shape=(n, 1)))
        cts = view.reshape(view.permute(ct, order=last), shape=(*rest, 1, n))
        terms = ar.where(later, ar.conj(products) * cts, ar.zeros_like(products))
        total = reduction.sum_(terms, axes=(len(rest) + 1,))
        back = [0] * x.ndim
        for place, a in enumerate(last):
            back[a] = place
        return (view.permute(total, order=tuple(back)),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(np.cumprod(arrays[0], axis=attrs["axis"], dtype=arrays[0].dtype))


class CumArg(Scan):
    """The place of the last running maximum (minimum) so far along `axis`; NaN wins and stays."""

    differentiable = False

    def __init__(self, name: str, better: np.ufunc) -> None:
        self.name = name  # type: ignore[misc]
        self._better = better

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, dtypes.int64

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        rows = np.moveaxis(arrays[0], attrs["axis"], -1)
        with np.errstate(all="ignore"):
            wins = rows == self._better.accumulate(rows, axis=-1)  # NaN: nothing is, from there on
            if rows.dtype.kind in "fc":
                wins |= np.isnan(rows)
        index = np.maximum.accumulate(np.where(wins, np.arange(rows.shape[-1]), 0), axis=-1)
        return np.moveaxis(index, -1, attrs["axis"])


class LogCumSumExp(Scan):
    """log of running sums of exponentials along `axis`."""

    name = "logcumsumexp"

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        # The sum over j >= i of ct[j] exp(x[i] - out[j]), in logarithms: exp(x) alone overflows.
        up = self._share(ct, out, inputs[0], attrs["axis"])
        return (up - self._share(el.neg(ct), out, inputs[0], attrs["axis"]),)

    def _share(self, ct: Value, out: Value, x: Value, axis: int) -> Value:
        """What the positive cotangents contribute."""
        some = ar.gt(ct, 0)
        least = ar.full_like(ct, dtypes.finfo(ct.dtype).min)
        logs = ar.where(some, el.log(ar.where(some, ct, ar.full_like(ct, 1))), least)
        turned = view.flip(logs - out, axes=(axis,))
        return el.exp(view.flip(logcumsumexp(turned, axis=axis), axes=(axis,)) + x)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        with np.errstate(all="ignore"):
            return np.asarray(np.logaddexp.accumulate(arrays[0], axis=attrs["axis"]))


class ArgSort(Primitive):
    """The int64 permutation that sorts along `axis`, stable; NaN is largest. With `first`, only so
    many places are asked for: what stands behind them is not said.
    """

    name, family, differentiable = "argsort", SORT, False
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, dtypes.int64

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, axis = arrays[0], attrs["axis"]
        if not x.ndim:
            return np.zeros((), np.int64)
        if not attrs["descending"]:
            return np.argsort(x, axis=axis, kind="stable").astype(np.int64)
        backwards = np.argsort(np.flip(x, axis), axis=axis, kind="stable")
        places: Array = np.flip(x.shape[axis] - 1 - backwards, axis).astype(np.int64)
        return places


cumsum = CumSum()
cumprod = CumProd()
cum_argmax = CumArg("cum_argmax", np.maximum)
cum_argmin = CumArg("cum_argmin", np.minimum)
logcumsumexp = LogCumSumExp()
argsort = ArgSort()

from flambeau.ops import reduction, source  # noqa: E402  (derivatives)
