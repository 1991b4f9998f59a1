"""One slice of a value that stands for all of them: how functions are recorded under vmap.

Note [Lanes]
    Under `vmap` a function is recorded once, on slices. `lane(x; axis, level)` is the slice, any
    one, of x; what is made of it is what the function makes of one slice. When the function has
    returned, `graph/batching.py` makes of each result the results for all slices, by rules of the
    primitives (`Primitive.batched`), and nothing needs the single slices any more. Levels number
    the calls of vmap that are under way, one inside another. A lane that somebody computes all
    the same, since it has left the function by a back door, is the first slice.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.ops.primitive import HOST, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value


class Lane(Primitive):
    """A slice of the operand along `axis`: see Note [Lanes]."""

    name, family = "lane", HOST

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        axis = attrs["axis"]
        return inputs[0].shape[:axis] + inputs[0].shape[axis + 1 :], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (lane_gradient(ct, size=inputs[0].shape[attrs["axis"]], **attrs),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.asarray(arrays[0].take(0, attrs["axis"]))


class LaneGradient(Primitive):
    """The gradient of what a lane is a slice of; only passes that ask who is reached make it."""

    name, family = "lane_gradient", HOST

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        axis = attrs["axis"]
        return (*inputs[0].shape[:axis], attrs["size"], *inputs[0].shape[axis:]), inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (lane(ct, axis=attrs["axis"], level=attrs["level"]),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        ct = arrays[0]
        shape = list(ct.shape)
        shape.insert(attrs["axis"], attrs["size"])
        result = np.zeros(shape, ct.dtype)
        np.moveaxis(result, attrs["axis"], 0)[0] = ct
        return result


lane = Lane()
lane_gradient = LaneGradient()
