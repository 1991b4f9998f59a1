"""torch.fft's functions over values and tensors; fftshift, fftfreq."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_axis
from flambeau.functional.folding import checked
from flambeau.functional.options import axis_name, checked_dtype
from flambeau.functional.pointwise import write_out
from flambeau.ops import arithmetic as ar
from flambeau.ops.fourier import full_transform, half_transform, padded, transform
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import unary
from flambeau.tensor.tensor import Tensor, from_array

Axes = tuple[int, ...]

# ---- on values -----------------------------------------------------------------------------------


def _floating(x: Value, name: str, needs_complex: bool) -> Value:
    """The operand in a dtype that can be transformed."""
    if x.dtype in (dtypes.float16, dtypes.bfloat16):
        raise RuntimeError(f"Unsupported dtype {x.dtype.scalar_name}")
    if x.dtype.kind not in "fc":
        x = ar.cast(x, dtypes.get_default_dtype())
    return ar.cast(x, x.dtype.to_complex()) if needs_complex else x


def _scale(norm: str | None, inverse: bool, size: int) -> float:
    """What the unnormalised transform is multiplied with."""
    if norm not in (None, "backward", "forward", "ortho"):
        raise RuntimeError(f'Invalid normalization mode: "{norm}"')
    if norm == "ortho":
        return 1 / math.sqrt(size)
    return 1 / size if (norm == "forward") != inverse else 1.0


def _scaled(x: Value, scale: float) -> Value:
    return x if scale == 1 else ar.mul(x, scale)


def _check_size(n: int) -> None:
    if n < 1:
        raise RuntimeError(f"Invalid number of data points ({n}) specified")


def _resized(x: Value, axes: Axes, sizes: Axes) -> Value:
    for axis, size in zip(axes, sizes, strict=True):
        _check_size(size)
        x = padded(x, axis, size)
    return x


def _complex_transform(x: Value, axes: Axes, sizes: Axes, norm: str | None, inverse: bool) -> Value:
    x = _resized(x, axes, sizes)
    scale = _scale(norm, inverse, math.prod(sizes))
    return _scaled(transform(x, axes=axes, inverse=inverse), scale) if axes else x


def _real_transform(x: Value, axes: Axes, sizes: Axes, norm: str | None, inverse: bool) -> Value:
    """Of real numbers: half of the last axis' frequencies (the conjugates if `inverse`)."""
    x = _resized(x, axes, sizes)
    scale = _scale(norm, inverse, math.prod(sizes))
    half = half_transform(x, axis=axes[-1])
    if inverse:
        half = ar.conj(half)
    if len(axes) > 1:
        half = transform(half, axes=axes[:-1], inverse=inverse)
    return _scaled(half, scale)


def _back_to_real(x: Value, axes: Axes, sizes: Axes, norm: str | None, inverse: bool) -> Value:
    """Real numbers from half a spectrum; with `inverse` the inverse transform, else the forward."""
    _check_size(sizes[-1])
    x = _resized(x, axes[:-1], sizes[:-1])
    x = padded(x, axes[-1], sizes[-1] // 2 + 1)
    if len(axes) > 1:
        x = transform(x, axes=axes[:-1], inverse=inverse)
    if not inverse:
        x = ar.conj(x)
    result = full_transform(x, axis=axes[-1], size=sizes[-1])
    return _scaled(result, _scale(norm, inverse, math.prod(sizes)))


def _axes_of(x: Value, s: Axes | None, dim: Axes | None) -> tuple[Axes, list[int | None]]:
    """The axes and the wanted sizes (None: as they are) of an n-dimensional transform."""
    if dim is not None:
        axes = tuple(wrap_axis(d, x.ndim) for d in dim)
        if len(set(axes)) != len(axes):
            raise RuntimeError("FFT dims must be unique")
    if s is not None:
        if dim is not None and len(dim) != len(s):
            raise RuntimeError("When given, dim and shape arguments must have the same length")
        if len(s) > x.ndim:
            raise RuntimeError(
                f"Got shape with {len(s)} values but input tensor only has {x.ndim} dimensions."
            )
        if dim is None:
            axes = tuple(range(x.ndim - len(s), x.ndim))
        return axes, [None if n == -1 else n for n in s]
    if dim is None:
        axes = tuple(range(x.ndim))
    return axes, [None] * len(axes)


KINDS: dict[str, tuple[str, bool]] = {
    "fft": ("complex", False), "ifft": ("complex", True), "rfft": ("real", False),
    "irfft": ("back", True), "hfft": ("back", False), "ihfft": ("real", True),
}  # fmt: skip
TRANSFORMS: dict[str, Callable[..., Value]] = {
    "complex": _complex_transform, "real": _real_transform, "back": _back_to_real,
}  # fmt: skip


def _apply(x: Value, name: str, s: Axes | None, dim: Axes | None, norm: str | None) -> Value:
    kind, inverse = KINDS[name.rstrip("2n")]
    if kind == "real" and x.dtype.is_complex:
        raise RuntimeError(f"{name} expects a real input tensor, but got {x.dtype.scalar_name}")
    if name[-1] not in "2n" and not x.ndim:
        raise IndexError("Dimension specified as -1 but tensor has no dimensions")
    x = _floating(x, name, kind != "real")
    axes, wanted = _axes_of(x, s, dim)
    if not axes and kind != "complex":
        raise RuntimeError(f"{name} must transform at least one axis")
    sizes = [x.shape[a] if n is None else n for a, n in zip(axes, wanted, strict=True)]
    if kind == "back" and wanted[-1] is None:
        sizes[-1] = 2 * (x.shape[axes[-1]] - 1)
    return TRANSFORMS[kind](x, axes, tuple(sizes), norm, inverse)


GRAD_NAMES = {"complex": "FftC2CBackward0", "real": "FftR2CBackward0", "back": "FftC2RBackward0"}
EVENTS = {kind: PureOp(f"fft_{kind}", _apply, GRAD_NAMES[kind]) for kind in TRANSFORMS}


def _record(
    name: str, input: Tensor, s: Any, dim: Any, norm: str | None, out: Tensor | None
) -> Tensor:
    checked(f"fft_{name}", input)
    sizes = None if s is None else tuple(int(n) for n in (s if isinstance(s, Sequence) else (s,)))
    axes = None if dim is None else (
        (int(dim),) if hasattr(dim, "__index__") else tuple(int(d) for d in dim)
    )  # fmt: skip
    event = EVENTS[KINDS[name.rstrip("2n")][0]]
    return write_out(unary(event, input, (name, sizes, axes, norm)), out)


# ---- public --------------------------------------------------------------------------------------

_MEANING = {
    "fft": "transform", "ifft": "inverse transform",
    "rfft": "transform of real numbers, half of the (symmetric) spectrum",
    "irfft": "inverse of `rfft`: real numbers from half a spectrum",
    "hfft": "transform of half a Hermitian-symmetric signal: real numbers",
    "ihfft": "inverse of `hfft`: half of a Hermitian-symmetric signal",
}  # fmt: skip


def _one(name: str) -> Callable[..., Tensor]:
    @axis_name
    def call(
        input: Tensor, n: int | None = None, dim: int = -1, norm: str | None = None, *,
        out: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        sizes = None if n is None else (n,)
        return _record(name, input, sizes, (dim,), norm, out)

    call.__doc__ = (
        f"The Fourier {_MEANING[name]} along `dim`, cut or padded to `n` places.\n\n"
        '    `norm` is "backward" (1/n in the inverse), "forward" or "ortho".'
    )
    call.__name__ = call.__qualname__ = name
    return call


def _many(name: str, two: bool) -> Callable[..., Tensor]:
    @axis_name
    def call(
        input: Tensor, s: Any = None, dim: Any = (-2, -1) if two else None,
        norm: str | None = None, *, out: Tensor | None = None,
    ) -> Tensor:  # fmt: skip
        return _record(name, input, s, dim, norm, out)

    base = name.rstrip("2n")
    where = "the last two axes" if two else "all axes"
    call.__doc__ = f"The Fourier {_MEANING[base]}, along {where} unless `dim` says otherwise."
    call.__name__ = call.__qualname__ = name
    return call


fft, ifft, rfft, irfft, hfft, ihfft = (_one(name) for name in KINDS)
fft2, ifft2, rfft2, irfft2, hfft2, ihfft2 = (_many(name + "2", True) for name in KINDS)
fftn, ifftn, rfftn, irfftn, hfftn, ihfftn = (_many(name + "n", False) for name in KINDS)


def _frequencies(name: str, n: Any, d: float, half: bool, options: dict[str, Any]) -> Tensor:
    if isinstance(n, bool) or not hasattr(n, "__index__"):
        raise TypeError(
            f"fft_{name}(): argument 'n' (position 1) must be int, not {type(n).__name__}"
        )
    out, dtype = options.pop("out", None), options.pop("dtype", None)
    requires_grad = options.pop("requires_grad", False)
    options.pop("device", None), options.pop("layout", None), options.pop("pin_memory", None)
    if options:
        raise TypeError(f"fft_{name}() got an unexpected keyword argument '{next(iter(options))}'")
    kind = dtypes.get_default_dtype() if dtype is None else checked_dtype(dtype)
    places = np.arange(n // 2 + 1) if half else np.fft.ifftshift(np.arange(n) - n // 2)
    result = from_array((places * (1.0 / (n * d))).astype(kind.numpy), kind)
    return write_out(result.requires_grad_(requires_grad), out)


def fftfreq(n: int, d: float = 1.0, **options: Any) -> Tensor:
    """The frequencies of `fft` of n samples, d apart: 0, 1, .., -2, -1, over n d."""
    return _frequencies("fftfreq", n, d, False, options)


def rfftfreq(n: int, d: float = 1.0, **options: Any) -> Tensor:
    """The frequencies of `rfft` of n samples, d apart: 0 .. n // 2, over n d."""
    return _frequencies("rfftfreq", n, d, True, options)


def _shifted(input: Tensor, dim: Any, back: bool) -> Tensor:
    from flambeau.functional.rearranging import roll

    if dim is None:
        axes = list(range(input.dim()))
    else:
        axes = [dim] if hasattr(dim, "__index__") else list(dim)
    steps = [(input.shape[a] + 1) // 2 if back else input.shape[a] // 2 for a in axes]
    return roll(input, steps, axes)


@axis_name
def fftshift(input: Tensor, dim: Any = None) -> Tensor:
    """Frequency 0 moved to the middle."""
    return _shifted(checked("fft_fftshift", input), dim, False)


@axis_name
def ifftshift(input: Tensor, dim: Any = None) -> Tensor:
    """The inverse of `fftshift`."""
    return _shifted(checked("fft_ifftshift", input), dim, True)


__all__ = [
    *KINDS, *(name + "2" for name in KINDS), *(name + "n" for name in KINDS), "fftfreq",
    "fftshift", "ifftshift", "rfftfreq",
]  # fmt: skip
