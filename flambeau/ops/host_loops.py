"""NumPy's loops for small matrices and Fourier transforms, without what its functions do around
them.

`numpy.linalg.solve` spends three times as long on looking at its arguments as on solving a system
of sixteen equations. The loops themselves are generalised ufuncs of NumPy's inner modules; where
those are not as they are known, the public functions serve. What has no result comes back as NaN.
"""

from __future__ import annotations

import importlib
import math
from functools import cache
from typing import Any

import numpy as np

from flambeau.ops.primitive import Array

Axes = tuple[int, ...]


@cache
def _linalg() -> Any:
    """NumPy's loops over matrices; None where they are not as they are known."""
    try:
        found: Any = importlib.import_module("numpy.linalg._umath_linalg")

        x = np.array([[2.0, 1.0], [0.0, 4.0]], np.float32)
        right = (
            np.isclose(found.det(x, signature="d->d"), 8)
            and (found.solve(x, x, signature="dd->d") == np.eye(2)).all()
            and (found.inv(x, signature="d->d") == np.linalg.inv(x)).all()
            and np.allclose(found.svd(x, signature="d->d"), np.linalg.svd(x, compute_uv=False))
        )
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return found if right else None


@cache
def _pocketfft() -> Any:
    """NumPy's loops of transforms; None where they are not as they are known."""
    try:
        found: Any = importlib.import_module("numpy.fft._pocketfft_umath")

        right = True
        for n, half in ((4, found.rfft_n_even), (5, found.rfft_n_odd)):
            x = np.arange(2.0 * n, dtype=np.float32).reshape(2, n)
            spectrum = np.empty((2, n // 2 + 1), np.complex64)
            half(x, np.float32(1), out=spectrum)
            back = np.empty((2, n), np.float32)
            found.irfft(spectrum, np.float32(1), out=back)
            whole = np.empty((n, 2), np.complex64)
            columns = [(0,), (), (0,)]
            found.fft(x.T.astype(np.complex64), np.float32(1), axes=columns, out=whole)
            right = (
                right
                and np.allclose(spectrum, np.fft.rfft(x))
                and np.allclose(back, x * n)
                and np.allclose(whole, np.fft.fft(x.T, axis=0))
                and spectrum.dtype == np.complex64
                and callable(found.ifft)
            )
    except (ImportError, AttributeError, TypeError, ValueError):
        return None
    return found if right else None


def inner_module(name: str) -> Any:
    """The module of the inner loops of "linalg" or "fft"; None where they are not as known."""
    return {"linalg": _linalg, "fft": _pocketfft}[name]()


# ---- matrices ------------------------------------------------------------------------------------

# As NumPy's functions do, the loops compute in double precision.
_WIDE = {"f": "d", "d": "d", "F": "D", "D": "D"}


def _wide(*arrays: Array) -> str:
    """The type of number that the loops take these matrices as; "" where they do not."""
    kind = arrays[0].dtype.char
    for a in arrays:
        if a.dtype.char != kind or not a.size or a.ndim < 2:
            return ""
    return _WIDE.get(kind, "") if _linalg() is not None else ""


def _numbers(found: Array, like: Array) -> bool:
    """Whether every matrix has a result (a singular one has NaN alone)."""
    first = found[..., 0, 0] if found.ndim == like.ndim else found[..., 0]
    return bool(first == first if first.ndim == 0 else (first == first).all())


def det(x: Array) -> Array:
    """The determinants of matrices."""
    kind = _wide(x)
    if not kind:
        return np.asarray(np.linalg.det(x))
    return np.asarray(_linalg().det(x, signature=f"{kind}->{kind}"), x.dtype)


def solve(a: Array, b: Array) -> Array:
    """X of A X = B; `numpy.linalg.LinAlgError` where a matrix is singular."""
    kind = _wide(a, b)
    if kind:
        found: Array = _linalg().solve(a, b, signature=f"{kind}{kind}->{kind}")
        if _numbers(found, a):
            return found.astype(a.dtype, copy=False)
    return np.asarray(np.linalg.solve(a, b))


def inverse(x: Array) -> Array:
    """The inverses of matrices; `numpy.linalg.LinAlgError` where one is singular."""
    kind = _wide(x)
    if kind and x.shape[-1] == x.shape[-2]:
        found: Array = _linalg().inv(x, signature=f"{kind}->{kind}")
        if _numbers(found, x):
            return found.astype(x.dtype, copy=False)
    return np.asarray(np.linalg.inv(x))


def singular_values(x: Array) -> Array:
    """The singular values of matrices; `numpy.linalg.LinAlgError` where the algorithm fails."""
    kind = _wide(x)
    if kind:
        found: Array = _linalg().svd(x, signature=f"{kind}->d")
        if _numbers(found, x):
            return found.astype(x.real.dtype, copy=False)
    return np.asarray(np.linalg.svd(x, compute_uv=False))


# ---- Fourier transforms --------------------------------------------------------------------------

_ONE = {"f": np.float32(1), "F": np.float32(1), "d": np.float64(1), "D": np.float64(1)}


def _along(loop: Any, x: Array, axis: int, size: int, dtype: Any) -> Array:
    """A loop of the transforms, unnormalised, along an axis, which then has this size."""
    axis %= x.ndim
    out = np.empty((*x.shape[:axis], size, *x.shape[axis + 1 :]), dtype)
    if axis == x.ndim - 1:
        loop(x, _ONE[x.dtype.char], out=out)
    else:
        loop(x, _ONE[x.dtype.char], axes=[(axis,), (), (axis,)], out=out)
    return out


def fourier(x: Array, axes: Axes, inverse: bool) -> Array:
    """The unnormalised transform of complex numbers along some axes."""
    loops = _pocketfft()
    if loops is None or x.dtype.char not in _ONE or not x.size:
        if not inverse:
            return np.asarray(np.fft.fftn(x, axes=axes))
        return np.asarray(np.fft.ifftn(x, axes=axes) * math.prod(x.shape[a] for a in axes))
    loop = loops.ifft if inverse else loops.fft
    for axis in reversed(axes):
        x = _along(loop, x, axis, x.shape[axis], x.dtype)
    return x


def half_fourier(x: Array, axis: int) -> Array:
    """The first half of the transform of real numbers along an axis."""
    loops = _pocketfft()
    if loops is None or x.dtype.char not in "fd" or not x.size:
        return np.asarray(np.fft.rfft(x, axis=axis))
    n = x.shape[axis]
    loop = loops.rfft_n_odd if n % 2 else loops.rfft_n_even
    return _along(loop, x, axis, n // 2 + 1, np.complex64 if x.dtype.char == "f" else np.complex128)


def full_fourier(x: Array, size: int, axis: int) -> Array:
    """The real numbers, `size` of them along an axis, of which half a spectrum is given, times
    `size`.
    """
    loops = _pocketfft()
    if loops is None or x.dtype.char not in "FD" or not x.size or not size:
        return np.asarray(np.fft.irfft(x, size, axis=axis) * size)
    return _along(loops.irfft, x, axis, size, np.float32 if x.dtype.char == "F" else np.float64)
