"""Zeros around the images of a convolution, which its kernels can leave out.

See Note [Left-out padding] in layouts.py.
"""

from __future__ import annotations

from dataclasses import dataclass

from flambeau.ops.value import Value


@dataclass(frozen=True)
class Padding:
    """The zeros around a convolution's images: `image` is what they surround.

    order: the image's axis for each axis of the convolution's operand, -1 for an axis that it has
    not (of extent 1); low: zeros before, per axis of the operand.
    """

    image: Value
    order: tuple[int, ...]
    low: tuple[int, ...]


def padding_of(v: Value) -> Padding | None:
    """The padding of the spatial axes of convolution `v`, if its loops can stop there."""
    x, order = below_order(v.inputs[0], tuple(range(v.inputs[0].ndim)))
    attrs = x.attrs
    if x.primitive.name != "pad" or any(attrs["interior"]) or attrs["value"] != 0:
        return None
    image = x.inputs[0]
    if not x.size or not image.size:
        return None
    kernel = (1, 1, 1, *v.inputs[1].shape[3:])
    movable = {axis for axis, extent in zip(order, kernel, strict=True) if extent > 1}
    for axis, zeros in enumerate(zip(attrs["low"], attrs["high"], strict=True)):
        if any(zeros) and axis not in movable:
            return None
    low = tuple([attrs["low"][a] if a >= 0 else 0 for a in order])
    below, other = below_order(image, order)
    if any(a >= 0 > lost and x.shape[a] > 1 for a, lost in zip(order, other, strict=True)):
        return None  # the image's extent there is 1: the padding is of an axis that is gone below
    return Padding(below, other, low)


def below_order(x: Value, order: tuple[int, ...]) -> tuple[Value, tuple[int, ...]]:
    """What `x` shows with its axes in another order, and for each axis in `order` the axis there.

    Axes of extent 1 come and go (-1 for those that are not there).
    """
    while True:
        if x.primitive.name == "permute":
            inner = x.attrs["order"]
        elif x.primitive.name == "reshape" and extents(x) == extents(x.inputs[0]):
            loops = iter([a for a, n in enumerate(x.inputs[0].shape) if n != 1])
            inner = [-1 if n == 1 else next(loops) for n in x.shape]
        else:
            return x, order
        x, order = x.inputs[0], tuple([inner[a] if a >= 0 else -1 for a in order])


def extents(v: Value) -> list[int]:
    """The extents of the axes that are loops."""
    return [n for n in v.shape if n != 1]
