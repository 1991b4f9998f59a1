"""Gathers and scatters by run-time indices, over the first axis ("rows").

The rest is arithmetic on indices.
Indices are int64; negative ones count from the end. One out of range raises IndexError; `what`
words it.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops.primitive import HOST, INDEXED, Array, Cotangents, Primitive, lifted
from flambeau.ops.value import Shape, Value

# For `what`: indices that are in range, as another operation of the same program has found.
WITHIN = "within"


def wraps(what: str) -> bool:
    """Whether negative indices count from the end."""
    return what.partition(" ")[0] == "index"


def checked(index: Array, count: int, what: str) -> Array:
    """Indices wrapped to 0 .. count - 1; IndexError (or RuntimeError) when out of range.
    `what` is "index" (negative indices allowed), or the name of an op whose indices must not be
    negative; with the dimension it words the error with ("gather 1").
    """
    if not index.size:
        return index
    least = np.minimum.reduce(index, axis=None)
    if least >= 0 and np.maximum.reduce(index, axis=None) < count:
        return index
    low = -count if wraps(what) else 0
    bad = (index < low) | (index >= count)
    if bad.any():
        raise out_of_range(int(index[bad].ravel()[0]), count, what)
    return np.where(index < 0, index + count, index)


def _ascend(places: Array) -> bool:
    """Whether a row of places goes up from one to the next (so that no two are the same)."""
    return places.ndim == 1 and bool((places[1:] > places[:-1]).all())


def out_of_range(value: int, count: int, what: str) -> Exception:
    """PyTorch's exception for an index `value` into `count` elements."""
    name, _, dim = what.partition(" ")
    if name == "index":
        return IndexError(
            f"index {value} is out of bounds for dimension {dim or 0} with size {count}"
        )
    if name == "target":
        return IndexError(f"Target {value} is out of bounds.")
    if name in ("gather", "scatter") or (name == "index_add" and dim != "of vectors"):
        return RuntimeError(
            f"index {value} is out of bounds for dimension {dim or 0} with size {count}"
        )
    if name == "index_copy":
        return IndexError(
            f"index_copy_(): index {value} is out of bounds for dimension {dim or 0} with size "
            f"{count}"
        )
    if name == "take":
        return IndexError(
            f"out of range: tried to access index {value} on a tensor of {count} elements."
        )
    if name == "embedding_bag":
        return RuntimeError(
            f"embedding_bag: Expected idx >= 0 && idx < num_embeddings but found idx to be {value}"
        )
    if name == "one_hot":
        return RuntimeError(
            "Class values must be non-negative."
            if value < 0
            else "Class values must be smaller than num_classes."
        )
    return IndexError(f"index out of range in self\n({what}: index {value}, size {count})")


def _rows_of_all(size: int, count: int, index: Value, what: str) -> Value:
    """Indices into `count` elements of each of `size` slices as indices into the elements of all
    slices, one after another; they are checked on the way.
    """
    within = take(source.iota(size=count), index, what=what)
    first = view.reshape(source.iota(size=size), shape=(size,) + (1,) * (index.ndim - 1))
    return within + ar.expand(first, index.shape) * count


def _one_after_another(x: Value) -> Value:
    """The rows of all slices."""
    return view.reshape(x, shape=(x.shape[0] * x.shape[1], *x.shape[2:]))


def _put_batched(
    primitive: Primitive, size: int, inputs: Sequence[Value], mapped: Sequence[bool], attrs: Any
) -> Value:
    """Rows put into each of several slices: as longer rows, or as rows of all slices."""
    x, index, rows = inputs
    if mapped[1]:
        x, index, rows = lifted(size, inputs, mapped)
        places = _rows_of_all(size, x.shape[1], index, attrs["what"])
        whole = primitive(_one_after_another(x), places, rows, **{**attrs, "what": WITHIN})
        return view.reshape(whole, shape=x.shape)
    x, rows = lifted(size, (x, rows), (mapped[0], mapped[2]))
    rows = view.from_front(rows, index.ndim)
    return view.to_front(primitive(view.from_front(x, 1), index, rows, **attrs), 1)


class Take(Primitive):
    """Rows index[...] of x [n, *rest]: shape index.shape + rest."""

    name, family = "take", INDEXED
    looks_at_result = False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[1].shape + inputs[0].shape[1:], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return put_add(ar.zeros_like(inputs[0]), inputs[1], ct, what=attrs["what"]), None

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        x, index = inputs
        if not mapped[0]:
            return take(x, index, **attrs)
        if not mapped[1]:
            return view.to_front(take(view.from_front(x, 1), index, **attrs), index.ndim)
        places = _rows_of_all(count, x.shape[1], index, attrs["what"])
        return take(_one_after_another(x), places, what=WITHIN)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, index = arrays
        places = checked(index, x.shape[0], attrs["what"])
        if not (x.shape[0] and x.flags.c_contiguous):
            return np.asarray(x[places])
        return np.asarray(x.take(places, axis=0, mode="clip"))  # (they are in range)


class PutAdd(Primitive):
    """x [n, *rest] with the third operand's rows added at index (repeated ones in order)."""

    name, family = "put_add", INDEXED
    looks_at_result = False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, index, rows = inputs
        assert rows.shape == index.shape + x.shape[1:] and rows.dtype is x.dtype, inputs
        return x.shape, x.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return ct, None, take(ct, inputs[1], what=attrs["what"])

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        return _put_batched(self, count, inputs, mapped, attrs)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, index, rows = arrays
        result = np.array(x)
        places = checked(index, x.shape[0], attrs["what"])
        if result.dtype.kind == "b":
            np.logical_or.at(result, places, rows)
        elif rows.ndim > 1 and (_ascend(places) or np.unique(places).size == places.size):
            result[places] += rows  # a row at a time: NumPy adds `at` element by element
        else:
            np.add.at(result, places, rows)
        return result


class PutSet(Primitive):
    """x [n, *rest] with the third operand's rows written at index (of equal ones the last)."""

    name, family = "put_set", INDEXED

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, index, rows = inputs
        assert rows.shape == index.shape + x.shape[1:] and rows.dtype is x.dtype, inputs
        return x.shape, x.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        what = attrs["what"]
        rest = put_set(ct, inputs[1], ar.zeros_like(inputs[2]), what=what)
        return rest, None, take(ct, inputs[1], what=what)

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        return _put_batched(self, count, inputs, mapped, attrs)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, index, rows = arrays
        result = np.array(x)
        places = checked(index, x.shape[0], attrs["what"]).ravel()
        rows = rows.reshape(places.size, *x.shape[1:])
        if _ascend(places):
            result[places] = rows
        else:
            found, last = np.unique(places[::-1], return_index=True)
            result[found] = rows[::-1][last]
        return result


class PutReduce(Primitive):
    """x [n] folded with the third operand at index: `reduce` is "prod", "amax" or "amin".
    With include_self False an element that takes part in a fold starts from nothing instead of
    itself.
    """

    name, family = "put_reduce", HOST

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, index, rows = inputs
        assert x.ndim == 1 and rows.shape == index.shape and rows.dtype is x.dtype, inputs
        return x.shape, x.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x, index, rows = inputs
        what, include = attrs["what"], attrs["include_self"]
        touched = ar.gt(put_add(ar.zeros_like(x), index, ar.full_like(rows, 1), what=what), 0)
        kept = (
            ar.full_like(x, 1)
            if include
            else ar.where(touched, ar.zeros_like(x), ar.full_like(x, 1))
        )
        if attrs["reduce"] == "prod":
            return self._product(ct, x, index, rows, kept, what)
        own = ar.cast(el.eq(x, out), x.dtype)  # (counts as PyTorch counts, also where not included)
        hits = ar.cast(el.eq(rows, take(out, index, what=what)), x.dtype)
        count = put_add(own, index, hits, what=what)
        shared = ct / ar.where(ar.eq(count, 0), ar.full_like(count, 1), count)
        return kept * own * shared, None, hits * take(shared, index, what=what)

    def _product(
        self, ct: Value, x: Value, index: Value, rows: Value, kept: Value, what: str
    ) -> Cotangents:
        """All factors one after another: those of x, then the rows."""
        count, more = x.size, rows.size
        own = ar.where(ar.ne(kept, 0), x, ar.full_like(x, 1))
        factors = view.concat(own, view.reshape(rows, shape=(more,)), axis=0)
        places = view.concat(source.iota(size=count), view.reshape(index, shape=(more,)), axis=0)
        grouping = partial(_by_place, count, what)
        slopes = reduction.slopes_of_product(ct, factors, grouping, places)
        first = view.slice_(slopes, starts=(0,), sizes=(count,), steps=(1,))
        rest = view.slice_(slopes, starts=(count,), sizes=(more,), steps=(1,))
        # (No product: a place that starts from nothing may have slopes of inf.)
        first = ar.where(ar.ne(kept, 0), first, ar.zeros_like(first))
        return first, None, view.reshape(rest, shape=rows.shape)

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        return _put_batched(self, count, lifted(count, inputs, mapped), (True,) * 3, attrs)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, index, rows = arrays
        places = checked(index, x.shape[0], attrs["what"])
        fold = {"prod": np.multiply, "amax": np.maximum, "amin": np.minimum}[attrs["reduce"]]
        result = np.array(x)
        if not attrs["include_self"]:
            # The first element of each fold replaces what was there.
            flat, given = places.ravel(), rows.ravel()
            targets, first = np.unique(flat, return_index=True)
            result[targets] = given[first]
            rest = np.ones(flat.size, bool)
            rest[first] = False
            fold.at(result, flat[rest], given[rest])
            return result
        fold.at(result, places, rows)
        return result


def _by_place(count: int, what: str, places: Value, x: Value) -> reduction.Groups:
    """Factors, of which each is multiplied to one of so many places."""

    def add(terms: Value) -> Value:
        nothing = ar.full((count,), 0, terms.dtype)
        return put_add(nothing, places, terms, what=what)

    def multiply(terms: Value) -> Value:
        ones = ar.full((count,), 1, terms.dtype)
        return put_reduce(ones, places, terms, reduce="prod", include_self=True, what=what)

    return reduction.Groups(add, multiply, lambda value: take(value, places, what=what))


take = Take()
put_add = PutAdd()
put_set = PutSet()
put_reduce = PutReduce()

from flambeau.ops import elementwise as el  # noqa: E402  (derivatives)
from flambeau.ops import reduction, source, view  # noqa: E402  (derivatives)
