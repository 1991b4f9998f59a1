"""Windows of signal processing: torch.hann_window and its like, and torch.signal.windows."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.layout import strided
from flambeau.functional.options import checked_device, checked_dtype
from flambeau.ops.primitive import Array
from flambeau.ops.special_functions import bessel_i
from flambeau.tensor.tensor import Tensor, from_array

# ---- shapes, in NumPy ----------------------------------------------------------------------------


def cosine_sum(length: int, sym: bool, weights: Iterable[float]) -> Array:
    """sum_i (-1)^i a_i cos(2 pi i k / n) for k < length, n = length - 1 if `sym` else length."""
    count = max(length - 1 if sym else length, 1)
    angle = 2 * math.pi * np.arange(length) / count
    terms = [(-1) ** i * a * np.cos(i * angle) for i, a in enumerate(weights)]
    return np.asarray(sum(terms)) if length > 1 else np.ones(length)


def triangle(length: int, sym: bool) -> Array:
    """1 in the middle, falling to 0 at both ends."""
    count = max(length - 1 if sym else length, 1)
    place = 2 * np.arange(length) / count
    return np.where(place <= 1, place, 2 - place) if length > 1 else np.ones(length)


def kaiser_bessel(length: int, sym: bool, beta: float) -> Array:
    """I_0(beta sqrt(1 - t^2)) / I_0(beta) for t from -1 to 1."""
    count = max(length - 1 if sym else length, 1)
    t = 2 * np.arange(length) / count - 1
    root = beta * np.sqrt(np.maximum(1 - t * t, 0))
    top = bessel_i(np.array([float(beta)]), 0, False)
    return bessel_i(root, 0, False) / top if length > 1 else np.ones(length)


HANN = (0.5, 0.5)
BLACKMAN = (0.42, 0.5, 0.08)
NUTTALL = (0.3635819, 0.4891775, 0.1365995, 0.0106411)

# ---- torch.*_window ------------------------------------------------------------------------------


def _made(name: str, length: Any, options: dict[str, Any]) -> DType:
    """The dtype wanted; refuses what PyTorch refuses."""
    dtype, device, layout = (options.pop(k, None) for k in ("dtype", "device", "layout"))
    for known in ("requires_grad", "pin_memory"):
        options.setdefault(known, False)
    unknown = set(options) - {"requires_grad", "pin_memory"}
    if unknown:
        raise TypeError(f"{name}() got an unexpected keyword argument '{unknown.pop()}'")
    checked_device("cpu" if device is None else device)
    kind = dtypes.get_default_dtype() if dtype is None else checked_dtype(dtype)
    if layout is not None and layout is not strided:
        raise RuntimeError(f"{name} is not implemented for sparse types, got: {layout}")
    if not kind.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {kind}")
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    return kind


def _tensor(values: Array, kind: DType, requires_grad: bool) -> Tensor:
    if kind is dtypes.bfloat16:
        made = from_array(values.astype(np.float32), dtypes.float32).to(kind)
    else:
        made = from_array(np.ascontiguousarray(values.astype(kind.numpy)), kind)
    return made.requires_grad_() if requires_grad else made


def hann_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """(1 - cos(2 pi k / n)) / 2; n is the length if `periodic`, else one less."""
    kind = _made("hann_window", window_length, options)
    values = cosine_sum(window_length, not periodic, HANN)
    return _tensor(values, kind, options["requires_grad"])


def hamming_window(
    window_length: int, periodic: bool = True, alpha: float = 0.54, beta: float = 0.46,
    **options: Any,
) -> Tensor:  # fmt: skip
    """alpha - beta cos(2 pi k / n); n is the length if `periodic`, else one less."""
    kind = _made("hamming_window", window_length, options)
    values = cosine_sum(window_length, not periodic, (alpha, beta))
    return _tensor(values, kind, options["requires_grad"])


def blackman_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """0.42 - 0.5 cos(2 pi k / n) + 0.08 cos(4 pi k / n)."""
    kind = _made("blackman_window", window_length, options)
    values = cosine_sum(window_length, not periodic, BLACKMAN)
    return _tensor(values, kind, options["requires_grad"])


def bartlett_window(window_length: int, periodic: bool = True, **options: Any) -> Tensor:
    """A triangle: 0 at the ends, 1 in the middle."""
    kind = _made("bartlett_window", window_length, options)
    return _tensor(triangle(window_length, not periodic), kind, options["requires_grad"])


def kaiser_window(
    window_length: int, periodic: bool = True, beta: float = 12.0, **options: Any
) -> Tensor:
    """Kaiser's window: a ratio of Bessel functions; `beta` says how narrow it is."""
    kind = _made("kaiser_window", window_length, options)
    values = kaiser_bessel(window_length, not periodic, beta)
    return _tensor(values, kind, options["requires_grad"])


# ---- torch.signal.windows ------------------------------------------------------------------------


def signal_window(name: str, M: int, values: Array, options: dict[str, Any]) -> Tensor:
    """The values as a tensor with torch.signal's options."""
    kind = options["dtype"]
    kind = dtypes.get_default_dtype() if kind is None else checked_dtype(kind)
    checked_device("cpu" if options["device"] is None else options["device"])
    return _tensor(values, kind, options["requires_grad"])


def check_signal_window(name: str, M: int, options: dict[str, Any]) -> None:
    """ValueError for what torch.signal refuses."""
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    layout, dtype = options["layout"], options["dtype"]
    if layout is not None and layout is not strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    kind = dtypes.get_default_dtype() if dtype is None else checked_dtype(dtype)
    if kind not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {kind}")


METHODS: dict[str, Any] = {}
__all__ = ["bartlett_window", "blackman_window", "hamming_window", "hann_window", "kaiser_window"]
