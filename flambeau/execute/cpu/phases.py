"""Convolutions of images with zeros between their elements, without the zeros: Program -> Program.

Note [Phases]
The image gradient of a strided convolution and a transposed convolution convolve images whose
elements stand `step` apart, with zeros between them. Result o reads elements of the image where
o + k * dilation - low is a multiple of `step`: all results of one remainder of o (a phase) use the
same taps k, and neighbours among them neighbours of the image. So each phase is a dense convolution
with some of the taps. A step of 2, a kernel of 3 and one zero before the image make

    y[2 m] = x[m] w[1],  y[2 m + 1] = x[m] w[0] + x[m + 1] w[2]

with a quarter of the products in two dimensions. `interleave` is what the phases are together; it
has no kernel, since theirs write where its elements belong (Note [Joined in place]).

Where the kernel is larger than the result, as in a weight gradient of a transposed convolution, the
operands change places: the image's elements become a kernel whose dilation is `step`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from math import gcd, prod
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.graph.program import Program
from flambeau.graph.simplify import Rewriter, constant_of
from flambeau.ops import contraction, elementwise, source, view
from flambeau.ops.primitive import VIEW, Array, Primitive
from flambeau.ops.value import Shape, Value

LEAD = 3  # axes of a convolution's operands before the spatial ones


class Interleave(Primitive):
    """Every steps[a]-th element of each spatial axis from one operand: the operands, in row-major
    order, begin at 0, 1 .. steps[a] - 1.

    attrs: `steps` and `extents` of the spatial axes (the last ones).
    """

    name, family, differentiable = "interleave", VIEW, False

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        lead = inputs[0].ndim - len(attrs["steps"])
        return inputs[0].shape[:lead] + attrs["extents"], inputs[0].dtype

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        lead = arrays[0].ndim - len(attrs["steps"])
        result = np.empty(arrays[0].shape[:lead] + attrs["extents"], arrays[0].dtype)
        starts = product(*map(range, attrs["steps"]))
        for array, places in zip(arrays, starts, strict=True):
            cut = [slice(start, None, s) for start, s in zip(places, attrs["steps"], strict=True)]
            result[(slice(None),) * lead + tuple(cut)] = array
        return result


interleave = Interleave()


@dataclass(frozen=True, slots=True)
class _Spread:
    """A convolution's images before zeros were put between their elements, now `steps` apart, and
    `low` of them before the first.
    """

    image: Value
    low: Shape
    steps: Shape


@dataclass(frozen=True, slots=True)
class _Phase:
    """One remainder along one axis: so many results, of `taps` taps from `first` on, `every` apart;
    result 0 and tap 0 meet at place `start` of the image; taps are `spread` apart there.
    """

    results: int
    first: int
    every: int
    taps: int
    start: int
    spread: int


def without_zeros(program: Program) -> Program:
    """The program with dense convolutions for those of spread images."""

    def rule(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        if v.primitive.name == "add":
            return _added(v, inputs)
        if v.primitive.name != "conv" or not v.size or v.dtype.kind != "f":
            return None
        return _dense(v, inputs)

    if not any(v.primitive.name == "pad" and any(v.attrs["interior"]) for v in program.nodes()):
        return program
    return Rewriter(rule).program(program)


def _added(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    """The sum of two interleavings, phase by phase: what is zero in one of them is not added."""
    cores = []
    for x in inputs:
        while x.primitive.name == "reshape":
            x = x.inputs[0]
        cores.append(x)
    a, b = cores
    if not (a.primitive is b.primitive is interleave) or a.shape != b.shape or a is b:
        return None
    if a.attrs["steps"] != b.attrs["steps"]:
        return None
    parts = []
    for x, y in zip(a.inputs, b.inputs, strict=True):
        empty = [constant_of(part) == 0 for part in (x, y)]
        parts.append(y if empty[0] else x if empty[1] else elementwise.add(x, y))
    return view.reshape(interleave(*parts, **a.attrs), shape=v.shape)


def _dense(v: Value, inputs: tuple[Value, ...]) -> Value | None:
    x, weights = inputs
    found = _spread(x)
    if found is None or not found.image.size or found.image.shape[:LEAD] != x.shape[:LEAD]:
        return None
    if prod(weights.shape[LEAD:]) > prod(v.shape[LEAD:]):
        return _exchanged(v, found, weights)
    steps = zip(v.shape, found.steps, strict=True)
    if any(s != 1 for s in v.attrs["strides"]) or any(n < s for n, s in steps):
        return None
    return _by_phases(v, found, weights)


def _spread(x: Value) -> _Spread | None:
    """What `x` has zeros between the elements of, in the order of its axes."""
    order = tuple(range(x.ndim))
    if x.primitive.name == "permute":
        x, order = x.inputs[0], x.attrs["order"]
    attrs = x.attrs
    if x.primitive.name != "pad" or not any(attrs["interior"]) or attrs["value"] != 0:
        return None
    image = x.inputs[0]
    if order != tuple(range(x.ndim)):
        image = view.permute(image, order=order)
    low = tuple([attrs["low"][a] for a in order])
    return _Spread(image, low, tuple([attrs["interior"][a] + 1 for a in order]))


# ---- phases --------------------------------------------------------------------------------------


def _by_phases(v: Value, found: _Spread, weights: Value) -> Value:
    axes = []
    for axis in range(LEAD, v.ndim):
        step, spread = found.steps[axis], v.attrs["dilations"][axis - LEAD]
        taps, low = weights.shape[axis], found.low[axis]
        axes.append([_phase(r, v.shape[axis], step, spread, taps, low) for r in range(step)])
    parts = [_part(v, found.image, weights, phases) for phases in product(*axes)]
    steps, extents = found.steps[LEAD:], v.shape[LEAD:]
    return interleave(*parts, steps=steps, extents=extents)


def _phase(remainder: int, extent: int, step: int, spread: int, taps: int, low: int) -> _Phase:
    results = max(-(-(extent - remainder) // step), 0)
    shared = gcd(spread, step)
    every = step // shared
    met = [k for k in range(min(every, taps)) if (remainder + k * spread - low) % step == 0]
    if not met:
        return _Phase(results, 0, every, 0, 0, 1)
    first = met[0]
    count = -(-(taps - first) // every)
    start = (remainder + first * spread - low) // step
    return _Phase(results, first, every, count, start, spread // shared)


def _part(v: Value, image: Value, weights: Value, phases: Sequence[_Phase]) -> Value:
    """The results of one phase of each axis."""
    shape = v.shape[:LEAD] + tuple([p.results for p in phases])
    starts, sizes, low, high = [], [], [], []
    for axis, p in enumerate(phases, LEAD):
        extent, end = image.shape[axis], p.start + p.results + (p.taps - 1) * p.spread
        starts.append(max(p.start, 0))
        sizes.append(min(end, extent) - starts[-1])
        low.append(max(-p.start, 0))
        high.append(max(end - extent, 0))
    if min(sizes) <= 0 or any(p.taps == 0 for p in phases):
        zero = view.reshape(source.constant(0, v.dtype), shape=(1,) * len(shape))
        return view.expand(zero, shape=shape)
    lead = (0,) * LEAD
    x = _cut(image, (*lead, *starts), image.shape[:LEAD] + tuple(sizes), (1,) * v.ndim)
    if any(low) or any(high):
        none = (0,) * v.ndim
        x = view.pad(x, low=(*lead, *low), high=(*lead, *high), interior=none, value=0)
    firsts, counts = (*lead, *[p.first for p in phases]), tuple([p.taps for p in phases])
    every = tuple([p.every if p.taps > 1 else 1 for p in phases])
    taps = _cut(weights, firsts, weights.shape[:LEAD] + counts, (1,) * LEAD + every)
    dilations = tuple([p.spread for p in phases])
    return contraction.conv(x, taps, strides=(1,) * len(phases), dilations=dilations)


def _cut(x: Value, starts: Shape, sizes: Shape, steps: Shape) -> Value:
    if sizes == x.shape:
        return x
    return view.slice_(x, starts=starts, sizes=sizes, steps=steps)


# ---- exchanged operands --------------------------------------------------------------------------


def _exchanged(v: Value, found: _Spread, weights: Value) -> Value | None:
    """The convolution of what was its kernel with what was its image; its results are reversed."""
    if any(d != 1 for d in v.attrs["dilations"]):
        return None
    starts, sizes, low, high = [0] * LEAD, [*weights.shape[:LEAD]], [0] * LEAD, [0] * LEAD
    for axis in range(LEAD, v.ndim):
        extent, stride = weights.shape[axis], v.attrs["strides"][axis - LEAD]
        reach = (v.shape[axis] - 1) * stride
        start = found.low[axis] - reach
        end = start + reach + (found.image.shape[axis] - 1) * found.steps[axis] + 1
        starts.append(max(start, 0))
        sizes.append(min(end, extent) - starts[-1])
        low.append(max(-start, 0))
        high.append(max(end - extent, 0))
    if min(sizes) <= 0:
        return None
    images = _cut(weights, tuple(starts), tuple(sizes), (1,) * v.ndim)
    if any(low) or any(high):
        none = (0,) * v.ndim
        images = view.pad(images, low=tuple(low), high=tuple(high), interior=none, value=0)
    space = tuple(range(LEAD, v.ndim))
    images = view.permute(images, order=(1, 0, 2, *space))  # [O, G, N, *S]
    kernel = view.permute(found.image, order=(1, 0, 2, *space))  # [G, C, N, *P]
    dilations = found.steps[LEAD:]
    result = contraction.conv(images, kernel, strides=v.attrs["strides"], dilations=dilations)
    return view.flip(view.permute(result, order=(2, 1, 0, *space)), axes=space)
