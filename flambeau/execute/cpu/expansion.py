"""Rewrites of primitives into forms that kernels compute well: Program -> Program.

Note [Pooling gradients]
`max_pool_gradient(x, ct)` looks at whole windows for each element it adds to. It becomes
`pool_scatter(index, ct)`, where `index` is the place of each window's winner, one byte per window,
which is computed where the pooling itself is. An element of the
result then only compares a few bytes, and fuses with what follows; see also Note [Cotangents below
a pooling] (pooled_cotangents.py).

Note [Requirements]
`require(x, condition)` is x, unless the condition fails somewhere: then the whole program does. So
x itself takes its place, and the program gets an output of its own, `check(condition)`. A check is
an elementwise value that is never written: its kernel reports an error where its operand is false.
Kernels that write into bases come after all checks.

Note [One of many]
The loss of a class is written as a sum of where(its number == target, x, 0), whose derivative is
elementwise. The sum itself has one term: it becomes `pick(x, target)`, x computed at that place.

Note [Gradients of padded images]
The gradient of a padded image is computed with its padding, which is then cut off: a slice of a
convolution of the padded cotangent. The convolution of a cotangent with less padding is what is
left: a third less to compute for images of 8 x 8.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import bounds
from flambeau.execute.cpu.attentions import is_native_attention
from flambeau.execute.cpu.phases import without_zeros
from flambeau.execute.cpu.pooled_cotangents import pooled_cotangents
from flambeau.execute.cpu.winograd import by_winograd
from flambeau.graph.attending import with_attention
from flambeau.graph.program import Program
from flambeau.graph.simplify import Rewriter, constant_of, full, simplify
from flambeau.graph.sums import joined_sums
from flambeau.graph.verify import verify
from flambeau.ops import arithmetic as ar
from flambeau.ops import contraction, reduction, view, window
from flambeau.ops import elementwise as el
from flambeau.ops.attention import in_other_primitives
from flambeau.ops.primitive import (
    ATTENTION,
    ELEMENTWISE,
    INDEXED,
    SCAN,
    SORT,
    WINDOW,
    Array,
    Primitive,
)
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


class PoolPlace(window.MaxPoolIndex):
    """`max_pool_index` in a byte."""

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        shape, _ = super().rule(*inputs, **attrs)
        return shape, dtypes.uint8

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        places: Array = super().reference(*arrays, **attrs)
        return places.astype(np.uint8)


class Check(Primitive):
    """Its bool operand, which a kernel requires to be true; see Note [Requirements]."""

    name, family, differentiable = "check", ELEMENTWISE, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return arrays[0]


class Pick(Primitive):
    """The element of the first operand that the second names along one axis; attrs: axis."""

    name, family, differentiable = "pick", INDEXED, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[1].shape, inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, index = arrays
        axis = attrs["axis"]
        return np.take_along_axis(x, np.expand_dims(index, axis), axis).squeeze(axis)


pool_scatter = PoolScatter()
pick = Pick()
pool_place = PoolPlace()
check = Check()


def prepared(program: Program, winograd: bool = False) -> tuple[Program, tuple[Value, ...]]:
    """The program simplified, in primitives that have kernels, and the checks it must pass.

    `winograd`: see `Forms`.
    """
    without, conditions = _take_out_requirements(_verified(program))
    count = len(program.results)
    whole = _verified(replace(without, results=(*without.results, *conditions)))
    simple = _verified(simplify(whole))
    simple = _verified(_attended(simple))
    joined = _verified(joined_sums(simple))
    whole = _verified(expand_primitives(simple if joined is simple else simplify(joined)))
    if winograd:
        whole = _verified(by_winograd(whole))
    checks = {_below_broadcast(v): None for v in whole.results[count:] if v.size}
    result = replace(whole, results=whole.results[:count])
    return result, tuple([check(v) for v in checks if constant_of(v) is not True])


def _attended(program: Program) -> Program:
    """The program with attention that was written out as the primitive, where that has a kernel."""
    found = with_attention(program, is_native_attention)
    return program if found is program else simplify(found)


def _verified(program: Program) -> Program:
    """The program; in the checking mode it must be well formed."""
    if bounds.switched_on():
        verify(program)
    return program


def _take_out_requirements(program: Program) -> tuple[Program, tuple[Value, ...]]:
    """The program without `require`, and the conditions."""
    conditions: dict[Value, None] = {}

    def rule(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        if v.primitive.name != "require":
            return None
        conditions[inputs[1]] = None
        return inputs[0]

    if all(v.primitive.name != "require" for v in program.nodes()):
        return program, ()
    return Rewriter(rule).program(program), tuple(conditions)


def _below_broadcast(v: Value) -> Value:
    while v.primitive.name in ("expand", "reshape", "permute"):
        v = v.inputs[0]
    return v


def expand_primitives(program: Program) -> Program:
    """The program with max_pool_gradient, and scans and sorts of single elements, written out;
    see also Note [Gradients of padded images].
    """
    readers: dict[Value, int] = {}
    for v in program.nodes():
        for x in v.inputs:
            readers[x] = readers.get(x, 0) + 1
    outputs = set(program.outputs())

    def rule(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        if v.primitive.name == "slice" and inputs[0].primitive.name == "conv":
            conv = v.inputs[0]
            alone = readers[conv] == 1 and conv not in outputs
            return _less_padded(v, inputs[0]) if alone else None
        return _expanded(v, inputs)

    return without_zeros(pooled_cotangents(Rewriter(rule).program(program)))


def _less_padded(cut: Value, conv: Value) -> Value | None:
    """A slice of the spatial axes of a convolution: one of images with less padding, and with the
    slice's steps as strides. None where that leaves out nothing.
    """
    x, weights = conv.inputs
    starts, sizes, steps = [cut.attrs[name] for name in ("starts", "sizes", "steps")]
    padded = x.primitive.name == "pad"
    if sizes[:3] != conv.shape[:3] or not cut.size or (not padded and max(steps) == 1):
        return None
    known = x.attrs if padded else {"low": (0,) * x.ndim, "high": (0,) * x.ndim}
    low, high = [*known["low"]], [*known["high"]]
    dilations, strides = conv.attrs["dilations"], [*conv.attrs["strides"]]
    for axis, (start, size, step) in enumerate(zip(starts, sizes, steps, strict=True)):
        if axis >= 3:
            first = start * strides[axis - 3]
            strides[axis - 3] *= step
            reach = (size - 1) * strides[axis - 3] + (weights.shape[axis] - 1) * dilations[axis - 3]
            low[axis] -= first
            high[axis] -= x.shape[axis] - first - reach - 1
    if not padded:
        extents = tuple([n + a + b for n, a, b in zip(x.shape, low, high, strict=True)])
        firsts = tuple([-n for n in low])
        image = view.slice_(x, starts=firsts, sizes=extents, steps=(1,) * x.ndim)
    elif min(*low, *high) < 0:
        return None
    else:
        image = x.inputs[0]
        if any(low) or any(high) or any(x.attrs["interior"]):
            image = view.pad(image, **{**x.attrs, "low": tuple(low), "high": tuple(high)})
    return contraction.conv(image, weights, strides=tuple(strides), dilations=dilations)


def _expanded(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    if v.primitive.family in (SCAN, SORT):
        return _ordered(v, inputs)
    if v.primitive.family == ATTENTION:
        return None if is_native_attention(v) else in_other_primitives(v, inputs)
    if v.primitive.name == "sum":
        return _picked(v, inputs[0])
    if v.primitive.name == "strided_sum":
        return _summed_first(v, inputs[0])
    if v.primitive.name != "max_pool_gradient":
        return None
    count = 1
    for extent in v.attrs["sizes"]:
        count *= extent
    places = pool_place if count <= 256 else window.max_pool_index
    index = places(inputs[0], **v.attrs)
    lead = v.ndim - len(v.attrs["sizes"])
    return pool_scatter(index, inputs[1], extents=v.shape[lead:], **v.attrs)


def _ordered(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    """Scans and sorts along an axis of extent 1 (or of a 0-d value)."""
    if v.size and v.ndim and v.shape[v.attrs["axis"]] > 1:
        return None
    if v.primitive.family == SORT or v.primitive.name in ("cum_argmax", "cum_argmin"):
        return full(0, v)
    return inputs[0]


def _summed_first(v: Value, rows: Value) -> Value | None:
    """A `strided_sum` that adds along axes which do not move sums along them first."""
    strides = v.attrs["strides"]
    still = tuple([a for a, n in enumerate(rows.shape) if n > 1 and not strides[a]])
    if not still or not rows.size:
        return None
    total = reduction.sum_(rows, axes=still)
    moving = tuple([s for a, s in enumerate(strides) if a not in still])
    return view.strided_sum(total, size=v.shape[0], strides=moving, offset=v.attrs["offset"])


def _picked(v: Value, x: Value) -> Value | None:
    """A sum with one term; see Note [One of many]."""
    axes = v.attrs["axes"]
    if x.primitive.name == "neg":
        found = _picked(v, x.inputs[0])
        return None if found is None else el.neg(found)
    if x.primitive.name != "where" or len(axes) != 1 or x.inputs[0].primitive.name != "eq":
        return None
    (axis,) = axes
    hit, chosen, other = x.inputs
    if constant_of(other) != 0 or x.dtype.is_complex:
        return None
    for counter, index in (hit.inputs, hit.inputs[::-1]):
        place = _still_along(index, axis)
        if place is not None and _counts_along(counter, axis):
            inside = ar.bitwise_and(ar.ge(place, 0), ar.lt(place, x.shape[axis]))
            safe = el.where(inside, place, ar.zeros_like(place))
            return el.where(inside, pick(chosen, safe, axis=axis), full(0, v))
    return None


def _still_along(v: Value, axis: int) -> Value | None:
    """int64 `v` without an axis along which it is the same."""
    if v.primitive.name != "expand" or v.inputs[0].shape[axis] != 1 or v.dtype is not dtypes.int64:
        return None
    one = view.reshape(v.inputs[0], shape=v.inputs[0].shape[:axis] + v.inputs[0].shape[axis + 1 :])
    return ar.expand(one, v.shape[:axis] + v.shape[axis + 1 :])


def _counts_along(v: Value, axis: int) -> bool:
    """Whether each element is its own place along an axis."""
    narrow = v.inputs[0] if v.primitive.name == "expand" else v
    wanted = tuple([n if a == axis else 1 for a, n in enumerate(v.shape)])
    if narrow.shape != wanted:
        return False
    while narrow.primitive.name == "reshape":
        narrow = narrow.inputs[0]
    return narrow.primitive.name == "iota"
