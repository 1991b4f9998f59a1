"""Reductions: whole axes folded into one element. Reduced axes disappear; `axes` is sorted."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source
from flambeau.ops.primitive import REDUCTION, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value


def kept(x: Value, axes: tuple[int, ...]) -> Shape:
    """The operand's shape with the reduced axes as 1."""
    return tuple(1 if a in axes else n for a, n in enumerate(x.shape))


def spread(reduced: Value, x: Value, axes: tuple[int, ...]) -> Value:
    """A reduction's result repeated over the axes it folded."""
    return ar.expand(view.reshape(reduced, shape=kept(x, axes)), x.shape)


class Reduction(Primitive):
    family = REDUCTION
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        axes = attrs["axes"]
        return tuple(n for a, n in enumerate(inputs[0].shape) if a not in axes), inputs[0].dtype


class Sum(Reduction):
    """The sum, in the operand's dtype."""

    name = "sum"
    looks_at_result = looks_at_operands = False

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (spread(ct, inputs[0], attrs["axes"]),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, axes = arrays[0], attrs["axes"]
        if x.dtype == np.float16:
            return np.asarray(x.astype(np.float32).sum(axis=axes)).astype(np.float16)
        if not axes:
            return x
        # NumPy sums pairwise only along the last axis; put the folded axes there for its accuracy.
        order = [a for a in range(x.ndim) if a not in axes] + list(axes)
        rest = [x.shape[a] for a in order[: x.ndim - len(axes)]]
        rows = x.transpose(order).reshape(*rest, math.prod(x.shape[a] for a in axes))
        return np.asarray(np.ascontiguousarray(rows).sum(axis=-1, dtype=x.dtype))


class Prod(Reduction):
    """The product, in the operand's dtype."""

    name = "prod"

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (slopes_of_product(ct, inputs[0], partial(_along_axes, attrs["axes"])),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x = arrays[0]
        return np.asarray(np.multiply.reduce(x, axis=attrs["axes"], dtype=x.dtype))


class Groups(NamedTuple):
    """Factors that are multiplied with each other: what to do with a value for each of them."""

    add: Callable[[Value], Value]
    """The sum of each group."""
    multiply: Callable[[Value], Value]
    spread: Callable[[Value], Value]
    """For each factor the value of its group."""
    axes: tuple[int, ...] | None = None
    """The axes along which a group lies, where it lies so."""


def _along_axes(axes: tuple[int, ...], x: Value) -> Groups:
    folds = partial(sum_, axes=axes), partial(prod, axes=axes)
    return Groups(*folds, lambda value: spread(value, x, axes), axes)


def slopes_of_product(ct: Value, x: Value, grouping: Callable[..., Groups], *given: Value) -> Value:
    """The cotangents of factors, from those of products; `grouping(*given, x)` says of which."""
    slopes = _slopes(ct, x, grouping(*given, x))
    # Where a factor is 0, the slopes of the others do not say how they depend on it.
    backward = partial(_slope_cotangents, grouping)
    return source.with_derivative(slopes, (ct, x, *given), backward)


def _slopes(ct: Value, x: Value, groups: Groups) -> Value:
    return ar.mul(groups.spread(ct), ar.conj(_Factors(x, groups).others()))


def _slope_cotangents(
    grouping: Callable[..., Groups], cts: Value, ct: Value, x: Value, *given: Value
) -> tuple[Value | None, ...]:
    groups = grouping(*given, x)
    factors = _Factors(x, groups)
    others, weighted = factors.others(), factors.weighted_others(cts)
    if groups.axes is not None and (x.tracked or cts.tracked):
        # What these quotients say of a 0 is right, how they depend on it is not.
        exact = _without_quotients(x, cts, groups.axes)
        others, weighted = (
            source.relink(source.detach(value), to)
            for value, to in zip((others, weighted), exact, strict=True)
        )
    back = groups.add(ar.mul(cts, others))
    also = ar.mul(groups.spread(ct), ar.conj(weighted))
    return back, also, *(None for _ in given)


def _without_quotients(x: Value, weights: Value, axes: tuple[int, ...]) -> tuple[Value, Value]:
    """`_Factors.others` and `weighted_others`, by products alone: a tree of them upwards, and what
    is beside each of its branches downwards. Every derivative of them is right at 0, too.
    """
    order = (*(a for a in range(x.ndim) if a not in axes), *axes)
    lead = tuple(x.shape[a] for a in order[: x.ndim - len(axes)])
    ranks = tuple(order.index(a) for a in range(x.ndim))

    count = math.prod(x.shape[a] for a in axes)

    def row(v: Value) -> Value:
        return view.reshape(view.permute(v, order=order), shape=(*lead, count))

    def back(v: Value) -> Value:
        shape = tuple(x.shape[a] for a in order)
        return view.permute(view.reshape(v, shape=shape), order=ranks)

    levels = [(row(x), row(weights))]  # products, and how they change with the factors
    while levels[-1][0].shape[-1] > 1:
        (a, b), (da, db) = (_pairs(v) for v in levels[-1])
        rest = [_last(v) for v in levels[-1]]
        changes = ar.add(ar.mul(da, b), ar.mul(a, db))
        levels.append((_joined(ar.mul(a, b), rest[0]), _joined(changes, rest[1])))
    beside, change = ar.full_like(levels[-1][0], 1), ar.zeros_like(levels[-1][1])
    for product, slope in levels[-2::-1]:
        (a, b), (da, db) = _pairs(product), _pairs(slope)
        half, whole = a.shape[-1], beside.shape[-1]
        rest = [_along(v, half, 1) if whole > half else None for v in (beside, change)]
        above, bend = _along(beside, 0, half), _along(change, 0, half)
        left = ar.add(ar.mul(bend, b), ar.mul(above, db))
        right = ar.add(ar.mul(bend, a), ar.mul(above, da))
        beside = _joined(_woven(ar.mul(above, b), ar.mul(above, a)), rest[0])
        change = _joined(_woven(left, right), rest[1])
    return back(beside), back(change)


def _along(v: Value, start: int, count: int, step: int = 1) -> Value:
    """Some places of the last axis."""
    starts, sizes = (0,) * (v.ndim - 1), v.shape[:-1]
    steps = (1,) * (v.ndim - 1)
    return view.slice_(v, starts=(*starts, start), sizes=(*sizes, count), steps=(*steps, step))


def _pairs(v: Value) -> tuple[Value, Value]:
    """The even and the odd places of the last axis, as many of either."""
    half = v.shape[-1] // 2
    return _along(v, 0, half, 2), _along(v, 1, half, 2)


def _last(v: Value) -> Value | None:
    """What stands at an odd end alone."""
    return _along(v, v.shape[-1] - 1, 1) if v.shape[-1] % 2 else None


def _joined(v: Value, rest: Value | None) -> Value:
    return v if rest is None else view.concat(v, rest, axis=v.ndim - 1)


def _woven(left: Value, right: Value) -> Value:
    """The two in turns along the last axis."""
    shape = (*left.shape, 1)
    both = [view.reshape(v, shape=shape) for v in (left, right)]
    both_sides = view.concat(*both, axis=left.ndim)
    return view.reshape(both_sides, shape=(*left.shape[:-1], 2 * left.shape[-1]))


class _Factors:
    """Products of all but some of the factors of a group, which may be 0."""

    def __init__(self, x: Value, groups: Groups) -> None:
        self.x, self.groups = x, groups
        self.zero = el.eq(x, ar.zeros_like(x))
        self.filled = el.where(self.zero, ar.full_like(x, 1), x)
        self.zeros = self.sum(ar.cast(self.zero, dtypes.int64))
        self.product = groups.spread(groups.multiply(self.filled))  # of those that are not 0

    def sum(self, terms: Value) -> Value:
        return self.groups.spread(self.groups.add(terms))

    def _beside_lost(self) -> Value:
        """For each factor whether another one is infinite or NaN (times 0 that is NaN)."""
        lost = ar.cast(el.ne(ar.sub(self.x, self.x), ar.zeros_like(self.x)), dtypes.int64)
        return ar.gt(ar.sub(self.sum(lost), lost), 0)

    def others(self) -> Value:
        """For each factor the product of all others."""
        nothing = ar.zeros_like(self.x)
        single = ar.logical_and(self.zero, ar.eq(self.zeros, 1))
        only = ar.where(single, self.product, ar.where(self._beside_lost(), math.nan, nothing))
        return ar.where(ar.eq(self.zeros, 0), ar.div(self.product, self.filled), only)

    def weighted_others(self, weights: Value) -> Value:
        """For each factor k the sum over all others i of weights[i] times the product of all
        factors but i and k.
        """
        nothing = ar.zeros_like(self.x)
        quotients = ar.div(weights, self.filled)
        at_zeros = ar.where(self.zero, weights, nothing)
        elsewhere = ar.where(self.zero, nothing, quotients)
        sum_elsewhere, sum_at_zeros = self.sum(elsewhere), self.sum(at_zeros)
        none = ar.div(ar.sub(sum_elsewhere, quotients), self.filled)
        one = ar.where(self.zero, sum_elsewhere, ar.div(sum_at_zeros, self.filled))
        two = ar.where(self.zero, ar.sub(sum_at_zeros, weights), nothing)
        more = ar.where(ar.eq(self.zeros, 2), two, nothing)
        some = ar.where(ar.eq(self.zeros, 1), one, more)
        return ar.mul(self.product, ar.where(ar.eq(self.zeros, 0), none, some))


class Extremum(Reduction):
    """The largest or smallest element; NaN wins; ties share the gradient evenly."""

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name  # type: ignore[misc]
        self._function = function

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x, axes = inputs[0], attrs["axes"]
        same = el.eq(x, spread(out, x, axes))  # (none where NaN wins: all get NaN)
        hit = ar.cast(same, x.dtype)
        return (hit * spread(ar.div(ct, sum_(hit, axes=axes)), x, axes),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(self._function(arrays[0], axis=attrs["axes"]))


class ArgExtremum(Reduction):
    """The int64 position of the first largest or smallest element along one axis; NaN wins."""

    differentiable = False

    def __init__(self, name: str, function: Callable[..., Any]) -> None:
        self.name = name  # type: ignore[misc]
        self._function = function

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        assert len(attrs["axes"]) == 1
        return super().rule(*inputs, **attrs)[0], dtypes.int64

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(self._function(arrays[0], axis=attrs["axes"][0]), np.int64)


sum_ = Sum()
prod = Prod()
max_ = Extremum("max", np.max)
min_ = Extremum("min", np.min)
argmax = ArgExtremum("argmax", np.argmax)
argmin = ArgExtremum("argmin", np.argmin)

from flambeau.ops import view  # noqa: E402  (derivatives need it; its own need sum)
