"""Max-pooling over sliding windows of the last axes, without index tensors.

The operand is already padded (with -inf or the smallest integer); `sizes`, `steps`, `dilations` are
those of `windows`. The winner of a window is its first largest element, in row-major order; NaN
wins over all.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops.primitive import WINDOW, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value
from flambeau.ops.view import window_view


def positions(x: Value, attrs: dict[str, Any]) -> Shape:
    lead = x.ndim - len(attrs["sizes"])
    return x.shape[:lead] + tuple(
        (n - (z - 1) * d - 1) // s + 1
        for n, z, s, d in zip(
            x.shape[lead:], attrs["sizes"], attrs["steps"], attrs["dilations"], strict=True
        )
    )


# Elements of a window up to which all windows are gone through for one of them after the other:
# NumPy folds axes of few elements slowly.
MANY_IN_WINDOW = 64


def winners(x: Array, sizes: Shape, steps: Shape, dilations: Shape) -> Array:
    """The row-major place in its window of each window's winner."""
    rank = len(sizes)
    view = window_view(np.ascontiguousarray(x), sizes, steps, dilations)
    return np.asarray(view.reshape(*view.shape[: view.ndim - rank], int(np.prod(sizes))).argmax(-1))


class MaxPool(Primitive):
    """The largest element of each window."""

    name, family = "max_pool", WINDOW
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return positions(inputs[0], attrs), inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (max_pool_gradient(inputs[0], ct, **attrs),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        rank = len(attrs["sizes"])
        view = window_view(
            np.ascontiguousarray(arrays[0]), attrs["sizes"], attrs["steps"], attrs["dilations"]
        )
        count = math.prod(attrs["sizes"])
        if count > MANY_IN_WINDOW or not count:
            return np.asarray(view.max(axis=tuple(range(view.ndim - rank, view.ndim))))
        places = [(..., *place) for place in np.ndindex(*attrs["sizes"])]
        largest = np.array(view[places[0]], order="C")
        for place in places[1:]:
            np.maximum(largest, view[place], out=largest)
        return largest


class MaxPoolGradient(Primitive):
    """Adds each element of the second operand (one per window) to its winner in the first."""

    name, family = "max_pool_gradient", WINDOW
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[1].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return None, max_pool_take(inputs[0], ct, **attrs)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, ct = arrays
        first = winners(x, **attrs)
        result = np.zeros(x.shape, ct.dtype)
        view = window_view(
            result, attrs["sizes"], attrs["steps"], attrs["dilations"], writeable=True
        )
        for number, place in enumerate(np.ndindex(*attrs["sizes"])):
            at = (..., *place)
            view[at] += np.where(first == number, ct, 0).astype(ct.dtype)
        return result


class MaxPoolTake(Primitive):
    """The second operand's element at each window's winner in the first."""

    name, family = "max_pool_take", WINDOW
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return positions(inputs[0], attrs), inputs[1].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return None, max_pool_gradient(inputs[0], ct, **attrs)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, other = arrays
        first = winners(x, **attrs)
        view = window_view(
            np.ascontiguousarray(other), attrs["sizes"], attrs["steps"], attrs["dilations"]
        )
        rank = len(attrs["sizes"])
        rows = view.reshape(*view.shape[: view.ndim - rank], int(np.prod(attrs["sizes"])))
        return np.take_along_axis(rows, first[..., None], -1)[..., 0]


class MaxPoolIndex(Primitive):
    """The row-major place of each window's winner within its window (int64)."""

    name, family, differentiable = "max_pool_index", WINDOW, False
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return positions(inputs[0], attrs), dtypes.int64

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return winners(arrays[0], **attrs).astype(np.int64)


max_pool = MaxPool()
max_pool_gradient = MaxPoolGradient()
max_pool_take = MaxPoolTake()
max_pool_index = MaxPoolIndex()
