"""Gathers and scatters by run-time indices, over the first axis ("rows"). The rest is arithmetic on indices.

Indices are int64; negative ones count from the end. One out of range raises IndexError; `what` words it.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops.primitive import INDEXED, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value


def checked(index: Array, count: int, what: str) -> Array:
    """Indices wrapped to 0 .. count - 1; IndexError (RuntimeError for gather and scatter) when out of range.

    `what` is "index" (negative indices allowed), or the name of an op whose indices must not be negative.
    """
    low = -count if what == "index" else 0
    bad = (index < low) | (index >= count)
    if bad.any():
        value = int(index[bad].ravel()[0])
        if what == "index":
            raise IndexError(f"index {value} is out of bounds for dimension 0 with size {count}")
        if what == "target":
            raise IndexError(f"Target {value} is out of bounds.")
        if what in ("gather", "scatter"):
            raise RuntimeError(f"index {value} is out of bounds for dimension with size {count} ({what})")
        raise IndexError(f"index out of range in self ({what}: index {value}, size {count})")
    return np.where(index < 0, index + count, index)


class Take(Primitive):
    """Rows index[...] of x [n, *rest]: shape index.shape + rest."""

    name, family = "take", INDEXED

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[1].shape + inputs[0].shape[1:], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return put_add(ar.zeros_like(inputs[0]), inputs[1], ct, what=attrs["what"]), None

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, index = arrays
        return np.asarray(x[checked(index, x.shape[0], attrs["what"])])


class PutAdd(Primitive):
    """x [n, *rest] with rows of the third operand added at index (repeated indices add up, in order)."""

    name, family = "put_add", INDEXED

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, index, rows = inputs
        assert rows.shape == index.shape + x.shape[1:] and rows.dtype is x.dtype, inputs
        return x.shape, x.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return ct, None, take(ct, inputs[1], what=attrs["what"])

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, index, rows = arrays
        result = np.array(x)
        places = checked(index, x.shape[0], attrs["what"])
        if result.dtype.kind == "b":
            np.logical_or.at(result, places, rows)
        else:
            np.add.at(result, places, rows)
        return result


class PutSet(Primitive):
    """x [n, *rest] with rows of the third operand written at index (the last of equal indices stays)."""

    name, family = "put_set", INDEXED

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, index, rows = inputs
        assert rows.shape == index.shape + x.shape[1:] and rows.dtype is x.dtype, inputs
        return x.shape, x.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        what = attrs["what"]
        rest = put_set(ct, inputs[1], ar.zeros_like(inputs[2]), what=what)
        return rest, None, take(ct, inputs[1], what=what)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, index, rows = arrays
        result = np.array(x)
        places = checked(index, x.shape[0], attrs["what"]).ravel()
        rows = rows.reshape(places.size, *x.shape[1:])
        last = {int(place): number for number, place in enumerate(places)}
        keep = np.fromiter(last.values(), np.int64, len(last))
        result[places[keep]] = rows[keep]
        return result


take = Take()
put_add = PutAdd()
put_set = PutSet()
