"""Rewrites of primitives into forms that kernels compute well: Program -> Program.

Note [Pooling gradients]
`max_pool_gradient(x, ct)` looks at whole windows for each element it adds to. It becomes
`pool_scatter(index, ct)` with `index = cast(max_pool_index(x), uint8)`: the place of each window's
winner, one byte per window, which is computed where the pooling itself is. An element of the
result then only compares a few bytes, and fuses with what follows (the mask of the activation).
"""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.graph.program import Program
from flambeau.graph.simplify import Rewriter
from flambeau.ops import elementwise, window
from flambeau.ops.primitive import WINDOW, Array, Primitive
from flambeau.ops.value import Shape, Value
from flambeau.ops.view import window_view


class PoolScatter(Primitive):
    """Adds each element of the second operand to the place in its window that the first operand
    names.

    attrs: those of the window family, and `extents`, those of the windowed axes of the result.
    """

    name, family, differentiable = "pool_scatter", WINDOW, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        lead = inputs[1].ndim - len(attrs["sizes"])
        return inputs[1].shape[:lead] + attrs["extents"], inputs[1].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        place, ct = arrays
        lead = ct.ndim - len(attrs["sizes"])
        result = np.zeros(ct.shape[:lead] + attrs["extents"], ct.dtype)
        view = window_view(
            result, attrs["sizes"], attrs["steps"], attrs["dilations"], writeable=True
        )
        for number, offsets in enumerate(np.ndindex(*attrs["sizes"])):
            index = (..., *offsets)
            view[index] += np.where(place == number, ct, 0).astype(ct.dtype)
        return result


pool_scatter = PoolScatter()


def expand_primitives(program: Program) -> Program:
    """The program with max_pool_gradient written out; unchanged if there is none."""
    return Rewriter(_expanded).program(program)


def _expanded(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    if v.primitive.name != "max_pool_gradient":
        return None
    count = 1
    for extent in v.attrs["sizes"]:
        count *= extent
    index = window.max_pool_index(inputs[0], **v.attrs)
    if count <= 256:
        index = elementwise.cast(index, dtype=dtypes.uint8)
    lead = v.ndim - len(v.attrs["sizes"])
    return pool_scatter(index, inputs[1], extents=v.shape[lead:], **v.attrs)
