"""Random programs over all kinds of layouts: empty and 0-d values, zero, overlapping and negative
strides, every family of primitive. Elements stay small whole numbers, so results are exact.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from against_reference import Builder

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import contraction, elementwise, indexed, ordered, reduction, source, view, window
from flambeau.ops.value import Value

EXTENTS = (0, 1, 1, 2, 3, 4, 5, 7, 16, 17, 33)
LARGEST = 6000
Maker = Callable[["Garden", Value], "Value | None"]


class Garden:
    """Values of one dtype that grow out of each other."""

    def __init__(self, seed: int, dtype: DType) -> None:
        self.builder = Builder(seed)
        self.rng = self.builder.rng
        self.dtype = dtype
        self.pool: list[Value] = []
        for rank in (0, 1, 2, 2, 3, 4):
            self.pool.append(self.plant(tuple(self.extent() for _ in range(rank))))

    def extent(self) -> int:
        return int(self.rng.choice(EXTENTS)) if self.rng.random() < 0.9 else 0

    def below(self, bound: int) -> int:
        return int(self.rng.integers(bound))

    def plant(self, shape: tuple[int, ...]) -> Value:
        while np.prod(shape) > LARGEST:
            shape = shape[1:]
        low = 0 if self.dtype.kind == "b" or not self.dtype.is_signed else -3
        high = 2 if self.dtype.kind == "b" else 4
        return self.builder.data(self.rng.integers(low, high, shape), self.dtype)

    def bounded(self, x: Value) -> Value:
        """`x` with elements small enough for all that may be done to them next."""
        if self.dtype.kind == "b" or x.dtype is not self.dtype:
            return ar.cast(x, self.dtype) if x.dtype is dtypes.bool_ else x
        return elementwise.remainder(x, ar.full_like(x, 5))

    def like(self, x: Value) -> Value:
        same = [v for v in self.pool if v.shape == x.shape]
        return same[self.below(len(same))] if same else x

    def grow(self, steps: int) -> list[Value]:
        for _ in range(steps):
            x = self.pool[self.below(len(self.pool))]
            made = MAKERS[self.below(len(MAKERS))](self, x)
            if made is not None and made.size <= LARGEST:
                self.pool.append(self.bounded(made))
        return self.pool


def arithmetic(g: Garden, x: Value) -> Value:
    y = g.like(x)
    if g.dtype.kind == "b":
        return [x & y, x | y, ~x, elementwise.ne(x, y)][g.below(4)]
    choices = [
        lambda: x + y,
        lambda: x * y,
        lambda: elementwise.maximum(x, y),
        lambda: ar.where(elementwise.lt(x, y), y, x + x),
        lambda: ar.cast(elementwise.le(x, y), g.dtype),
        lambda: elementwise.minimum(x, y),
        lambda: ar.cast(ar.cast(x, dtypes.int32), g.dtype),
    ]
    return choices[g.below(len(choices))]()


def permuted(g: Garden, x: Value) -> Value:
    return view.permute(x, order=tuple(int(a) for a in g.rng.permutation(x.ndim)))


def flipped(g: Garden, x: Value) -> Value:
    return view.flip(x, axes=tuple(a for a in range(x.ndim) if g.rng.random() < 0.5))


def reshaped(g: Garden, x: Value) -> Value:
    if x.size == 0:
        shape: tuple[int, ...] = (0,) if g.below(2) else (3, 0, 2)
    elif x.ndim >= 2 and g.below(2):
        shape = (x.shape[0] * x.shape[1], *x.shape[2:])
    else:
        divisors = [d for d in range(1, x.size + 1) if x.size % d == 0]
        d = divisors[g.below(len(divisors))]
        shape = (d, 1, x.size // d) if g.below(2) else (d, x.size // d)
    return view.reshape(x, shape=shape)


def expanded(g: Garden, x: Value) -> Value:
    wide = view.reshape(x, shape=(1, *x.shape) if g.below(2) else (*x.shape, 1))
    target = tuple(g.extent() if n == 1 and g.below(2) else n for n in wide.shape)
    return view.expand(wide, shape=target)


def sliced(g: Garden, x: Value) -> Value:
    starts, steps, sizes = [], [], []
    for n in x.shape:
        start, step = (g.below(n), 1 + g.below(3)) if n else (0, 1)
        room = (n - start + step - 1) // step if n else 0
        starts.append(start)
        steps.append(step)
        sizes.append(g.below(room + 1))
    return view.slice_(x, starts=tuple(starts), steps=tuple(steps), sizes=tuple(sizes))


def padded(g: Garden, x: Value) -> Value:
    low, high, interior = [], [], []
    for n in x.shape:
        inner = g.below(3)
        whole = n + max(n - 1, 0) * inner
        a = g.below(4) - min(1, whole)
        low.append(a)
        high.append(g.below(4) - (1 if whole + a >= 1 else 0))
        interior.append(inner)
    return view.pad(x, low=tuple(low), high=tuple(high), interior=tuple(interior), value=g.below(2))


def joined(g: Garden, x: Value) -> Value | None:
    if not x.ndim:
        return None
    return view.concat(x, g.like(x), flipped(g, x), axis=g.below(x.ndim))


def layout(g: Garden, size: int) -> tuple[tuple[int, ...], tuple[int, ...], int]:
    """A random layout within `size` elements: strides of zero, overlapping, of any order."""
    while True:
        rank = g.below(4)
        shape = tuple(g.extent() for _ in range(rank))
        strides = tuple(g.below(7) for _ in range(rank))
        reach = sum(max(n - 1, 0) * s for n, s in zip(shape, strides, strict=True))
        if np.prod(shape) == 0 or reach < size:
            return shape, strides, g.below(size - reach) if np.prod(shape) and size else 0


def strided(g: Garden, x: Value) -> Value | None:
    flat = view.reshape(x, shape=(x.size,))
    shape, strides, offset = layout(g, x.size)
    if x.size == 0 and 0 not in shape:
        return None
    return view.as_strided(flat, shape=shape, strides=strides, offset=offset)


def strided_sum(g: Garden, x: Value) -> Value | None:
    if g.dtype.kind == "b":
        return None
    strides = tuple(g.below(5) for _ in x.shape)
    reach = sum(max(n - 1, 0) * s for n, s in zip(x.shape, strides, strict=True))
    return view.strided_sum(x, size=reach + 3, strides=strides, offset=g.below(3))


def scattered(g: Garden, x: Value) -> Value | None:
    """Writes to a part of a flat value: a slice of a row-major box."""
    if not x.ndim or not x.size:
        return None
    flat = view.reshape(x, shape=(x.size,))
    strides = [1] * x.ndim
    for a in range(x.ndim - 2, -1, -1):
        strides[a] = strides[a + 1] * x.shape[a + 1]
    starts = [g.below(n) for n in x.shape]
    sizes = tuple(g.below(n - s + 1) for n, s in zip(x.shape, starts, strict=True))
    offset = sum(s * t for s, t in zip(starts, strides, strict=True)) if 0 not in sizes else 0
    part = view.slice_(flipped(g, x), starts=(0,) * x.ndim, steps=(1,) * x.ndim, sizes=sizes)
    return view.strided_scatter(flat, part, strides=tuple(strides), offset=offset)


def reduced(g: Garden, x: Value) -> Value | None:
    axes = tuple(a for a in range(x.ndim) if g.rng.random() < 0.5)
    count = int(np.prod([x.shape[a] for a in axes]))
    if g.dtype.kind == "b":
        return reduction.max_(x, axes=axes) if count else None
    total = reduction.sum_(x, axes=axes)
    if g.below(2) or not count:
        return total
    if g.below(2):
        return reduction.max_(x, axes=axes) + reduction.min_(x, axes=axes)
    if x.ndim and x.shape[-1]:
        return ar.cast(reduction.argmax(x, axes=(x.ndim - 1,)), g.dtype)
    return x + reduction.spread(total, x, axes)


def product(g: Garden, x: Value) -> Value | None:
    if x.ndim < 2 or g.dtype.kind == "b":
        return None
    turned = contraction.swap_last(g.like(x))
    return contraction.dot(x, turned) if g.below(2) else contraction.dot(turned, x)


def convolved(g: Garden, x: Value) -> Value | None:
    if x.ndim != 4 or g.dtype.kind == "b" or 0 in x.shape:
        return None
    n, c, h, w = x.shape
    kh, kw = 1 + g.below(min(h, 3)), 1 + g.below(min(w, 3))
    kernel = g.plant((1, 1 + g.below(4), c, kh, kw))
    if kernel.ndim != 5:
        return None
    strides, dilations = (1 + g.below(2), 1 + g.below(2)), (1, 1)
    image = view.reshape(x, shape=(n, 1, c, h, w))
    out = contraction.conv(image, kernel, strides=strides, dilations=dilations)
    if g.below(2):
        attrs = {"strides": strides, "dilations": dilations}
        dx, dw = contraction.conv.vjp(out, out, image, kernel, **attrs)
        found = (dx, dw)[g.below(2)]
        assert found is not None
        return found
    return view.reshape(out, shape=(out.shape[0], *out.shape[2:]))


def pooled(g: Garden, x: Value) -> Value | None:
    if x.ndim < 2 or min(x.shape[-2:]) < 2 or g.dtype.kind == "b":
        return None
    attrs = {"sizes": (2, 2), "steps": (1 + g.below(2), 2), "dilations": (1, 1)}
    out = window.max_pool(x, **attrs)
    if g.below(2):
        return window.max_pool_gradient(x, out, **attrs)
    return out


def windowed(g: Garden, x: Value) -> Value | None:
    if not x.ndim or x.shape[-1] < 2 or g.dtype.kind == "b":
        return None
    attrs = {"sizes": (2,), "steps": (1 + g.below(2),), "dilations": (1,)}
    seen = view.windows(x, **attrs)
    return view.fold(seen, extents=x.shape[-1:], **attrs) if g.below(2) else seen


def taken(g: Garden, x: Value) -> Value | None:
    if not x.ndim or not x.shape[0]:
        return None
    n = x.shape[0]
    shape = tuple(int(s) for s in g.rng.choice([0, 1, 3, 5], g.below(3)))
    index = g.builder.data(g.rng.integers(-n, n, shape), dtypes.int64)
    if g.below(2) or g.dtype.kind == "b":
        return indexed.take(x, index, what="index")
    rows = indexed.take(g.like(x), index, what="index")
    return indexed.put_add(x, index, rows, what="index")


def ordered_(g: Garden, x: Value) -> Value | None:
    if not x.ndim:
        return None
    axis = g.below(x.ndim)
    if g.below(2) and g.dtype.kind != "b":
        return ordered.cumsum(x, axis=axis)
    order = ordered.argsort(x, axis=axis, descending=bool(g.below(2)))
    return ar.cast(order if g.dtype.kind != "b" else ar.lt(order, 2), g.dtype)


def counted(g: Garden, x: Value) -> Value | None:
    if g.dtype.kind == "b" or not x.ndim:
        return None
    steps = source.iota(size=x.shape[-1])
    return x + ar.expand(
        ar.cast(elementwise.remainder(steps, ar.full_like(steps, 3)), g.dtype), x.shape
    )


MAKERS: list[Maker] = [
    *(arithmetic, arithmetic, arithmetic, permuted, flipped, reshaped, expanded, sliced, padded),
    *(joined, strided, strided_sum, scattered, reduced, reduced, product, convolved, pooled),
    *(windowed, taken, ordered_, counted),
]
