"""Discrete Fourier transforms, unnormalised, along some axes; NumPy's pocketfft computes them."""

from __future__ import annotations

from typing import Any

from flambeau.core.dtypes import DType
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import matrix_algebra as ma
from flambeau.ops import source, view
from flambeau.ops.host_loops import fourier, full_fourier, half_fourier
from flambeau.ops.inner_loops import Loops, transforms
from flambeau.ops.primitive import HOST, Array, Cotangents, Primitive
from flambeau.ops.value import Shape, Value


class Transform(Primitive):
    """sum_k x_k exp(-2 pi i jk/n) along `axes` of a complex operand; exp(+..) if `inverse`."""

    name, family = "fourier", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        return inputs[0].shape, inputs[0].dtype

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        return (transform(ct, axes=attrs["axes"], inverse=not attrs["inverse"]),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        x, axes = arrays[0], attrs["axes"]
        if not x.size:
            return x
        return fourier(x, axes, attrs["inverse"]).astype(x.dtype, copy=False)

    def inner_loops(self, v: Value) -> Loops | None:
        return transforms("ifft" if v.attrs["inverse"] else "fft", v, v.attrs["axes"][::-1])


class HalfTransform(Primitive):
    """The first half, 0 .. n // 2, of the transform of a real operand along `axis`."""

    name, family = "half_fourier", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, axis = inputs[0], attrs["axis"]
        shape = (*x.shape[:axis], x.shape[axis] // 2 + 1, *x.shape[axis + 1 :])
        return shape, x.dtype.to_complex()

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        axis, n = attrs["axis"], inputs[0].shape[attrs["axis"]]
        full = padded(ct, axis, n)
        return (el.real(transform(full, axes=(axis,), inverse=True)),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return half_fourier(arrays[0], attrs["axis"])

    def inner_loops(self, v: Value) -> Loops | None:
        odd = v.inputs[0].shape[v.attrs["axis"]] % 2
        return transforms("rfft_n_odd" if odd else "rfft_n_even", v, (v.attrs["axis"],))


class FullTransform(Primitive):
    """The real operand of length `size` of which half a spectrum is given, times `size`."""

    name, family = "full_fourier", HOST
    leads = True

    def rule(self, *inputs: Value, **attrs: Any) -> tuple[Shape, DType]:
        x, axis = inputs[0], attrs["axis"]
        return (*x.shape[:axis], attrs["size"], *x.shape[axis + 1 :]), x.dtype.to_real()

    def vjp(self, ct: Value, out: Value, *inputs: Value, **attrs: Any) -> Cotangents:
        axis, n = attrs["axis"], attrs["size"]
        half = half_transform(ct, axis=axis)
        count = half.shape[axis]
        place = source.iota(size=count)
        # Every frequency but 0 and n/2 stands for its mirror image too.
        alone = ar.logical_or(ar.eq(place, 0), ar.eq(place, n // 2 if n % 2 == 0 else -1))
        weight = ar.where(alone, 1.0, ar.full((count,), 2.0, ct.dtype))
        shape = tuple(count if a == axis else 1 for a in range(half.ndim))
        weight = ar.expand(view.reshape(ar.cast(weight, half.dtype), shape=shape), half.shape)
        return (el.mul(half, weight),)

    def reference(self, *arrays: Array, **attrs: Any) -> Array:
        return full_fourier(arrays[0], attrs["size"], attrs["axis"])

    def inner_loops(self, v: Value) -> Loops | None:
        return transforms("irfft", v, (v.attrs["axis"],))


def padded(x: Value, axis: int, size: int) -> Value:
    """Cut or filled with zeros to `size` places along `axis`."""
    count = x.shape[axis]
    if count >= size:
        return ma.narrow(x, axis, 0, size)
    shape = tuple(size - count if a == axis else n for a, n in enumerate(x.shape))
    return view.concat(x, ar.full(shape, 0, x.dtype), axis=axis)


transform = Transform()
half_transform = HalfTransform()
full_transform = FullTransform()
