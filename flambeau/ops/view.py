"""View primitives: every element of the result is an element of an operand, or padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import itemgetter, methodcaller
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.core.shapes import contiguous_strides, element_count, overlaps_itself
from flambeau.ops import arithmetic as ar
from flambeau.ops.primitive import VIEW, Array, Cotangents, Primitive, lifted
from flambeau.ops.value import Shape, Value

Ready = Callable[[Array], Array]


class View(Primitive):
    family = VIEW
    looks_at_result = looks_at_operands = False

    def ready(self, x: Value | Array, attrs: dict[str, Any]) -> Ready | None:
        """`reference` for one operand of these extents, with all that can be known before the
        numbers worked out; None where that is nothing.
        """
        return None


class _Window:
    """A layout (element strides) over dense arrays, made the short way; over others by `other`."""

    __slots__ = ("_itemsize", "_offset", "_other", "_shape", "_steps", "_strides")

    def __init__(self, shape: Shape, strides: tuple[int, ...], offset: int, other: Ready) -> None:
        self._shape, self._strides, self._offset = shape, strides, offset
        self._itemsize, self._steps = 1, strides
        self._other = other

    def __call__(self, array: Array) -> Array:
        if not array.flags.c_contiguous or not array.size:
            return self._other(array)
        itemsize = array.itemsize
        if itemsize != self._itemsize:
            self._steps = tuple([n * itemsize for n in self._strides])
            self._itemsize = itemsize
        start = self._offset * itemsize
        found: Array = np.ndarray(self._shape, array.dtype, array, start, self._steps)
        return found


class Reshape(View):
    """The same elements in row-major order under another shape."""

    name = "reshape"

    def __call__(self, *inputs: Value, **attrs: Any) -> Value:
        (x,), shape = inputs, attrs["shape"]  # the short way: most values are such
        assert element_count(shape) == element_count(x.shape), (x, attrs)
        return Value(self, inputs, attrs, shape, x.dtype, x.tracked)

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        assert element_count(attrs["shape"]) == inputs[0].size, (inputs[0], attrs)
        return attrs["shape"], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (reshape(ct, shape=inputs[0].shape),)

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        return reshape(inputs[0], shape=(count, *attrs["shape"]))

    def ready(self, x: Value | Array, attrs: dict[str, Any]) -> Ready:
        return methodcaller("reshape", attrs["shape"])

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        shape: Shape = attrs["shape"]
        return arrays[0].reshape(shape)


class Permute(View):
    """Axis i of the result is axis order[i] of the operand."""

    name = "permute"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        shape = inputs[0].shape
        return tuple([shape[a] for a in attrs["order"]]), inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        order = attrs["order"]
        return (permute(ct, order=tuple(order.index(a) for a in range(len(order)))),)

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        return permute(inputs[0], order=(0, *(axis + 1 for axis in attrs["order"])))

    def ready(self, x: Value | Array, attrs: dict[str, Any]) -> Ready:
        return methodcaller("transpose", attrs["order"])

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        turned: Array = arrays[0].transpose(attrs["order"])
        return turned


class Expand(View):
    """Axes of extent 1 repeated to the extents of `shape` (same rank)."""

    name = "expand"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, shape = inputs[0], attrs["shape"]
        fits = [n == 1 or n == extent for n, extent in zip(x.shape, shape, strict=True)]
        assert False not in fits, (x, attrs)
        return shape, x.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        shape = inputs[0].shape
        axes = tuple(a for a, extent in enumerate(shape) if extent != attrs["shape"][a])
        return (reshape(reduction.sum_(ct, axes=axes), shape=shape),)

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        return expand(inputs[0], shape=(count, *attrs["shape"]))

    def ready(self, x: Value | Array, attrs: dict[str, Any]) -> Ready | None:
        own, shape = tuple(x.shape), tuple(attrs["shape"])
        if not element_count(shape):
            return None
        dense = [0 if a != b else n for a, b, n in zip(own, shape, contiguous_strides(own))]
        return _Window(shape, tuple(dense), 0, lambda array: np.broadcast_to(array, shape))

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.broadcast_to(arrays[0], attrs["shape"])


class Slice(View):
    """sizes[a] elements from starts[a] on, steps[a] apart, on every axis."""

    name = "slice"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return attrs["sizes"], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        shape, starts, steps, sizes = (
            inputs[0].shape,
            attrs["starts"],
            attrs["steps"],
            attrs["sizes"],
        )
        high = tuple(
            n - s - (max(z - 1, 0) * t + (z > 0))
            for n, s, t, z in zip(shape, starts, steps, sizes, strict=True)
        )
        return (pad(ct, low=starts, high=high, interior=tuple(t - 1 for t in steps), value=0),)

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        return slice_(
            inputs[0],
            starts=(0, *attrs["starts"]),
            sizes=(count, *attrs["sizes"]),
            steps=(1, *attrs["steps"]),
        )

    def ready(self, x: Value | Array, attrs: dict[str, Any]) -> Ready:
        picks = tuple(
            slice(s, s + t * z, t) if z else slice(0, 0)
            for s, t, z in zip(attrs["starts"], attrs["steps"], attrs["sizes"], strict=True)
        )
        return itemgetter(picks)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return self.ready(arrays[0], attrs)(arrays[0])


class Pad(View):
    """Adds low[a] and high[a] elements of `value` around and interior[a] between the elements.
    A negative low or high cuts instead.
    """

    name = "pad"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        shape = tuple(
            low + high + n + max(n - 1, 0) * inner
            for n, low, high, inner in zip(
                inputs[0].shape, attrs["low"], attrs["high"], attrs["interior"], strict=True
            )
        )
        if any(extent < 0 for extent in shape):
            raise RuntimeError(
                f"pad: a negative padding cuts more than the tensor of shape "
                f"{list(inputs[0].shape)} has (low {attrs['low']}, high {attrs['high']})"
            )
        return shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        low, high = attrs["low"], attrs["high"]
        zero = (0,) * len(low)
        if any(n < 0 for n in (*low, *high)):
            ct = pad(
                ct,
                low=tuple(max(-n, 0) for n in low),
                high=tuple(max(-n, 0) for n in high),
                interior=zero,
                value=0,
            )
        steps = tuple(n + 1 for n in attrs["interior"])
        return (
            slice_(ct, starts=tuple(max(n, 0) for n in low), sizes=inputs[0].shape, steps=steps),
        )

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        sides = {name: (0, *attrs[name]) for name in ("low", "high", "interior")}
        return pad(inputs[0], value=attrs["value"], **sides)

    def ready(self, x: Value | Array, attrs: dict[str, Any]) -> Ready:
        low, high, interior = attrs["low"], attrs["high"], attrs["interior"]
        inner = tuple(n + max(n - 1, 0) * i for n, i in zip(x.shape, interior, strict=True))
        outer = tuple(n + max(a, 0) + max(b, 0) for n, a, b in zip(inner, low, high, strict=True))
        place = tuple(
            slice(max(a, 0), max(a, 0) + n, i + 1)
            for a, n, i in zip(low, inner, interior, strict=True)
        )
        cut = tuple(
            slice(max(-a, 0), n - max(-b, 0)) for a, b, n in zip(low, high, outer, strict=True)
        )
        value = attrs["value"]

        def padded(x: Array) -> Array:
            result = np.empty(outer, x.dtype)
            result.fill(value)
            result[place] = x
            return result[cut]

        return padded

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return self.ready(arrays[0], attrs)(arrays[0])


class Flip(View):
    """Reverses the given axes."""

    name = "flip"
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (flip(ct, axes=attrs["axes"]),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.flip(arrays[0], attrs["axes"])


class Concat(View):
    """Operands one after another along `axis`."""

    name = "concat"
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        axis, shape = attrs["axis"], list(inputs[0].shape)
        shape[axis] = sum(v.shape[axis] for v in inputs)
        return tuple(shape), inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        axis, start, parts = attrs["axis"], 0, []
        for operand in inputs:
            starts = [0] * ct.ndim
            starts[axis] = start
            start += operand.shape[axis]
            if operand.shape == (0,):
                parts.append(ar.zeros_like(operand))  # nothing of it comes from there
                continue
            parts.append(
                slice_(ct, starts=tuple(starts), sizes=operand.shape, steps=(1,) * ct.ndim)
            )
        return parts

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return np.concatenate(arrays, attrs["axis"])


class AsStrided(View):
    """Element i of the result is element offset + sum(i * strides) of the flat operand."""

    name = "as_strided"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        assert inputs[0].ndim == 1
        return attrs["shape"], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (
            strided_sum(
                ct, size=inputs[0].shape[0], strides=attrs["strides"], offset=attrs["offset"]
            ),
        )

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        apart = inputs[0].shape[1]
        return as_strided(
            _in_one_row(inputs[0]),
            shape=(count, *attrs["shape"]),
            strides=(apart, *attrs["strides"]),
            offset=attrs["offset"],
        )

    def ready(self, x: Value | Array, attrs: dict[str, Any]) -> Ready | None:
        if not element_count(attrs["shape"]):
            return None
        layout = tuple(attrs["shape"]), tuple(attrs["strides"]), attrs["offset"]
        return _Window(*layout, lambda array: strided_window(array, *layout))

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return strided_window(arrays[0], attrs["shape"], attrs["strides"], attrs["offset"])


class StridedScatter(View):
    """The flat first operand with the elements of a layout replaced by the second operand's."""

    name = "strided_scatter"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        assert inputs[0].ndim == 1 and inputs[0].dtype is inputs[1].dtype
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        strides, offset = attrs["strides"], attrs["offset"]
        zeros = ar.zeros_like(inputs[1])
        if inputs[1].size == inputs[0].size and not overlaps_itself(inputs[1].shape, strides):
            rest = ar.zeros_like(inputs[0])  # all of it is overwritten
        else:
            rest = strided_scatter(ct, zeros, strides=strides, offset=offset)
        return rest, as_strided(ct, shape=inputs[1].shape, strides=strides, offset=offset)

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        flat, part = lifted(count, inputs, mapped)
        strides = (flat.shape[1], *attrs["strides"])
        whole = strided_scatter(_in_one_row(flat), part, strides=strides, offset=attrs["offset"])
        return reshape(whole, shape=flat.shape)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        result = np.array(arrays[0])
        strided_window(result, arrays[1].shape, attrs["strides"], attrs["offset"])[...] = arrays[1]
        return result


class StridedSum(View):
    """`size` zeros to which the operand's elements are added at the places of a layout."""

    name = "strided_sum"

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return (attrs["size"],), inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (
            as_strided(ct, shape=inputs[0].shape, strides=attrs["strides"], offset=attrs["offset"]),
        )

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        apart = attrs["size"]
        strides = (apart, *attrs["strides"])
        whole = strided_sum(inputs[0], size=count * apart, strides=strides, offset=attrs["offset"])
        return reshape(whole, shape=(count, apart))

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        result = np.zeros(attrs["size"], arrays[0].dtype)
        places = strided_window(
            np.arange(attrs["size"]), arrays[0].shape, attrs["strides"], attrs["offset"]
        )
        np.add.at(result, places.ravel(), arrays[0].ravel())
        return result


class Windows(View):
    """Sliding windows over the last len(sizes) axes: shape (..., positions.., window..).

    Position p and window element w of axis a show the operand's element p * steps[a] + w *
    dilations[a].
    """

    name = "windows"
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        sizes = attrs["sizes"]
        lead = inputs[0].ndim - len(sizes)
        positions = tuple(
            (n - (z - 1) * d - 1) // s + 1
            for n, z, s, d in zip(
                inputs[0].shape[lead:], sizes, attrs["steps"], attrs["dilations"], strict=True
            )
        )
        return inputs[0].shape[:lead] + positions + sizes, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        lead = inputs[0].ndim - len(attrs["sizes"])
        return (fold(ct, extents=inputs[0].shape[lead:], **attrs),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return window_view(
            np.ascontiguousarray(arrays[0]), attrs["sizes"], attrs["steps"], attrs["dilations"]
        )


class Fold(View):
    """The adjoint of `windows`: overlapping elements added up into axes of the given extents."""

    name = "fold"
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        lead = inputs[0].ndim - 2 * len(attrs["sizes"])
        return inputs[0].shape[:lead] + attrs["extents"], inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (
            windows(ct, sizes=attrs["sizes"], steps=attrs["steps"], dilations=attrs["dilations"]),
        )

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        sizes, rank = attrs["sizes"], len(attrs["sizes"])
        lead = arrays[0].ndim - 2 * rank
        result = np.zeros(arrays[0].shape[:lead] + attrs["extents"], arrays[0].dtype)
        if rank == 1 and attrs["dilations"] == (1,) and sizes[0] % attrs["steps"][0] == 0:
            _add_blocks(result, arrays[0], attrs["steps"][0])
            return result
        view = window_view(result, sizes, attrs["steps"], attrs["dilations"], writeable=True)
        for place in np.ndindex(*sizes):
            at = (..., *place)
            view[at] += arrays[0][at]
        return result


def _add_blocks(result: Array, parts: Array, step: int) -> None:
    """Adds windows that begin `step` apart, block by block: in the order of a window's elements."""
    count, size = parts.shape[-2:]
    target = window_view(result, (step,), (step,), (1,), writeable=True)
    for place in range(size // step):
        target[..., place : place + count, :] += parts[..., place * step : (place + 1) * step]


def to_front(x: Value, axis: int) -> Value:
    """x with an axis moved to the front."""
    if axis == 0:
        return x
    return permute(x, order=(axis, *range(axis), *range(axis + 1, x.ndim)))


def from_front(x: Value, axis: int) -> Value:
    """x with the first axis moved to another place."""
    if axis == 0:
        return x
    return permute(x, order=(*range(1, axis + 1), 0, *range(axis + 1, x.ndim)))


def _in_one_row(x: Value) -> Value:
    """All slices' elements, one slice after another."""
    return reshape(x, shape=(x.size,))


def strided_window(flat: Array, shape: Shape, strides: tuple[int, ...], offset: int) -> Array:
    """A NumPy view of a layout (element strides) over a flat array."""
    step = flat.strides[0]
    if element_count(shape) == 0:
        return flat[:0].reshape(shape)
    return np.lib.stride_tricks.as_strided(flat[offset:], shape, tuple(s * step for s in strides))


def window_view(
    array: Array, sizes: Shape, steps: Shape, dilations: Shape, writeable: bool = False
) -> Array:
    lead = array.ndim - len(sizes)
    positions = tuple(
        (n - (z - 1) * d - 1) // s + 1
        for n, z, s, d in zip(array.shape[lead:], sizes, steps, dilations, strict=True)
    )
    outer = array.strides[lead:]
    return np.lib.stride_tricks.as_strided(
        array,
        array.shape[:lead] + positions + sizes,
        array.strides[:lead]
        + tuple(o * s for o, s in zip(outer, steps, strict=True))
        + tuple(o * d for o, d in zip(outer, dilations, strict=True)),
        writeable=writeable,
    )


reshape = Reshape()
permute = Permute()
expand = Expand()
slice_ = Slice()
pad = Pad()
flip = Flip()
concat = Concat()
as_strided = AsStrided()
strided_scatter = StridedScatter()
strided_sum = StridedSum()
windows = Windows()
fold = Fold()

from flambeau.ops import reduction  # noqa: E402  (the derivative of expand)
