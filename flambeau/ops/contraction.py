"""Sums of products: one matrix product, one convolution, closed under differentiation."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import view
from flambeau.ops.primitive import CONTRACTION, VIEW, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value

MANY_PLACES = 64  # of an image, from which on each image of a batch is a product of its own


def swap_last(x: Value) -> Value:
    """The last two axes exchanged."""
    order = (*range(x.ndim - 2), x.ndim - 1, x.ndim - 2)
    return view.permute(x, order=order)


class Dot(Primitive):
    """[batch.., m, k] times [batch.., k, n] (equal batch axes). With the attribute `wide`, of half
    types: the sums in float32, as they are before they are rounded.
    """

    name, family = "dot", CONTRACTION
    looks_at_result = False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        a, b = inputs
        assert a.shape[:-2] == b.shape[:-2] and a.shape[-1] == b.shape[-2] and a.dtype is b.dtype, (
            inputs
        )
        return (*a.shape[:-1], b.shape[-1]), dtypes.float32 if attrs.get("wide") else a.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        a, b = inputs
        ct = ar.cast(ct, a.dtype)  # (of what was rounded behind a wide one: no number changes)
        return dot(ct, ar.conj(swap_last(b))), dot(ar.conj(swap_last(a)), ct)

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        a, b = inputs
        if all(mapped):
            return dot(a, b, **attrs)
        # One product of more rows (of the left operand) or more columns (of the right one).
        if mapped[0]:
            lead = a.ndim - 3
            shape = (*a.shape[1 : lead + 1], count * a.shape[-2], a.shape[-1])
            found = dot(view.reshape(view.from_front(a, lead), shape=shape), b, **attrs)
            shape = (*found.shape[:-2], count, a.shape[-2], b.shape[-1])
            return view.to_front(view.reshape(found, shape=shape), lead)
        lead = b.ndim - 2
        shape = (*b.shape[1:-1], count * b.shape[-1])
        found = dot(a, view.reshape(view.from_front(b, lead), shape=shape), **attrs)
        shape = (*found.shape[:-1], count, b.shape[-1])
        return view.to_front(view.reshape(found, shape=shape), lead)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        a, b = arrays
        if a.dtype != np.float16:
            return np.asarray(np.matmul(a, b))
        wide = np.matmul(a.astype(np.float32), b.astype(np.float32))
        return np.asarray(wide, np.float32 if attrs.get("wide") else np.float16)


def unrounded(product: Value) -> Value:
    """Half types in float32: matrix products, and views of such, as they are before they are
    rounded. Other values as they are.
    """
    if product.dtype not in ar.HALVES:
        return product
    if product.primitive is dot and not product.attrs:
        return dot(*product.inputs, wide=True)
    if product.primitive.family == VIEW and len(product.inputs) == 1:
        return product.primitive(unrounded(product.inputs[0]), **product.attrs)
    return ar.widened(product)


class Conv(Primitive):
    """A valid cross-correlation: x [N, G, C, *S], w [G, O, C, *K] -> [N, G, O, *OS].

    Padding is a `pad` before it; both gradients are convolutions again (see `vjp`), so every order
    of differentiation stays within this primitive.
    """

    name, family = "conv", CONTRACTION
    looks_at_result = False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, w = inputs
        assert x.shape[1] == w.shape[0] and x.shape[2] == w.shape[2] and x.dtype is w.dtype, inputs
        space = tuple(
            (n - (k - 1) * d - 1) // s + 1
            for n, k, s, d in zip(
                x.shape[3:], w.shape[3:], attrs["strides"], attrs["dilations"], strict=True
            )
        )
        return (x.shape[0], x.shape[1], w.shape[1], *space), x.dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        x, w = inputs
        return (
            conv_input_gradient(ct, w, x.shape[3:], **attrs),
            conv_weight_gradient(ct, x, w.shape[3:], **attrs),
        )

    def batched(
        self, count: int, inputs: Sequence[Value], mapped: Sequence[bool], /, **attrs: Any
    ) -> Value | None:
        x, w = inputs
        if not mapped[1]:  # more images
            images = view.reshape(x, shape=(count * x.shape[1], *x.shape[2:]))
            found = conv(images, w, **attrs)
            return view.reshape(found, shape=(count, x.shape[1], *found.shape[1:]))
        if not mapped[0]:  # more channels of the result
            channels = view.from_front(w, 1)
            groups, _, outs = channels.shape[:3]
            channels = view.reshape(channels, shape=(groups, count * outs, *w.shape[3:]))
            found = conv(x, channels, **attrs)
            shape = (*found.shape[:2], count, outs, *found.shape[3:])
            return view.to_front(view.reshape(found, shape=shape), 2)
        groups = x.shape[2]  # more groups
        images = view.from_front(x, 1)
        images = view.reshape(images, shape=(x.shape[1], count * groups, *x.shape[3:]))
        found = conv(images, view.reshape(w, shape=(count * groups, *w.shape[2:])), **attrs)
        shape = (found.shape[0], count, groups, *found.shape[2:])
        return view.to_front(view.reshape(found, shape=shape), 1)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, w = arrays
        half = x.dtype == np.float16
        if half:
            x, w = x.astype(np.float32), w.astype(np.float32)
        rank = x.ndim - 3
        kernel = w.shape[3:]
        windows = view.window_view(
            np.ascontiguousarray(x), kernel, attrs["strides"], attrs["dilations"]
        )
        space = windows.shape[3 : 3 + rank]
        n, g, c = x.shape[:3]
        depth, places = c * math.prod(kernel), math.prod(space)
        if n == 1 or places >= MANY_PLACES:
            # [N, G, C, *OS, *K] -> [N, G, C*K, OS]: rows of windows are copied as they lie.
            order = (0, 1, 2, *range(3 + rank, 3 + 2 * rank), *range(3, 3 + rank))
            columns = windows.transpose(order).reshape(n, g, depth, places)
            result = np.matmul(w.reshape(g, w.shape[1], depth), columns)
            image: Array = result.reshape(n, g, w.shape[1], *space)
            return image.astype(np.float16) if half else image
        # [N, G, C, *OS, *K] -> [G, N*OS, C*K]
        order = (1, 0, *range(3, 3 + rank), 2, *range(3 + rank, 3 + 2 * rank))
        columns = windows.transpose(order).reshape(g, n * places, depth)
        weights = w.reshape(g, w.shape[1], depth).transpose(0, 2, 1)
        result = np.matmul(columns, weights).reshape(g, n, *space, w.shape[1])
        result = result.transpose(1, 0, 2 + rank, *range(2, 2 + rank))
        return result.astype(np.float16) if half else np.ascontiguousarray(result)


def conv_input_gradient(
    ct: Value, w: Value, space: Shape, strides: Shape, dilations: Shape
) -> Value:
    """d/dx: the cotangent, spread by the strides and padded, convolved with the flipped kernel."""
    rank = len(space)
    low = tuple((k - 1) * d for k, d in zip(w.shape[3:], dilations, strict=True))
    high = tuple(
        n - ((o - 1) * s + 1) for n, o, s in zip(space, ct.shape[3:], strides, strict=True)
    )
    spread = view.pad(
        ct,
        low=(0, 0, 0, *low),
        high=(0, 0, 0, *high),
        interior=(0, 0, 0, *(s - 1 for s in strides)),
        value=0,
    )
    flipped = view.flip(w, axes=tuple(range(3, 3 + rank)))
    kernel = view.permute(flipped, order=(0, 2, 1, *range(3, 3 + rank)))
    return conv(spread, kernel, strides=(1,) * rank, dilations=dilations)


def conv_weight_gradient(
    ct: Value, x: Value, kernel: Shape, strides: Shape, dilations: Shape
) -> Value:
    """d/dw: the input (channels as images) convolved with the cotangent (images as channels)."""
    rank = len(kernel)
    axes = tuple(range(3, 3 + rank))
    x = _read_part(x, ct.shape[3:], kernel, strides, dilations)
    images = view.permute(x, order=(2, 1, 0, *axes))  # [C, G, N, *S]
    weights = view.permute(ct, order=(1, 2, 0, *axes))  # [G, O, N, *OS]
    result = conv(images, weights, strides=dilations, dilations=strides)  # [C, G, O, *K]
    return view.permute(result, order=(1, 2, 0, *axes))


def _read_part(x: Value, space: Shape, kernel: Shape, strides: Shape, dilations: Shape) -> Value:
    """The images without the rest that a stride leaves at their ends."""
    needed = tuple(
        (o - 1) * s + (k - 1) * d + 1
        for o, s, k, d in zip(space, strides, kernel, dilations, strict=True)
    )
    if needed == x.shape[3:]:
        return x
    if x.primitive.name != "pad":
        sizes = x.shape[:3] + needed
        return view.slice_(x, starts=(0,) * x.ndim, sizes=sizes, steps=(1,) * x.ndim)
    rest = tuple(
        h + n - have for h, n, have in zip(x.attrs["high"][3:], needed, x.shape[3:], strict=True)
    )
    return view.pad(x.inputs[0], **{**x.attrs, "high": x.attrs["high"][:3] + rest})


dot = Dot()
conv = Conv()
