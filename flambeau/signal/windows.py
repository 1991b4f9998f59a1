"""torch.signal.windows: window functions, symmetric unless `sym` is False (then periodic)."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from flambeau.functional import windows as shapes
from flambeau.tensor.tensor import Tensor

__all__ = [
    "bartlett", "blackman", "cosine", "exponential", "gaussian", "general_cosine",
    "general_hamming", "hamming", "hann", "kaiser", "nuttall",
]  # fmt: skip


def _options(dtype: Any, layout: Any, device: Any, requires_grad: bool) -> dict[str, Any]:
    return {"dtype": dtype, "layout": layout, "device": device, "requires_grad": requires_grad}


def _window(
    name: str, M: int, values: Callable[[], np.ndarray[Any, Any]], options: dict[str, Any]
) -> Tensor:
    shapes.check_signal_window(name, M, options)
    return shapes.signal_window(name, M, values() if M > 1 else np.ones(M), options)


def general_cosine(
    M: int, *, a: Iterable[float], sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """sum_i (-1)^i a_i cos(2 pi i k / n), of M points."""
    options = _options(dtype, layout, device, requires_grad)
    shapes.check_signal_window("general_cosine", M, options)
    if not isinstance(a, (list, tuple)):
        raise TypeError("Coefficients must be a list/tuple")
    if not a:
        raise ValueError("Coefficients cannot be empty")
    return _window("general_cosine", M, lambda: shapes.cosine_sum(M, sym, a), options)


def general_hamming(
    M: int, *, alpha: float = 0.54, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """alpha - (1 - alpha) cos(2 pi k / n), of M points."""
    weights = [alpha, 1.0 - alpha]
    return general_cosine(M, a=weights, sym=sym, dtype=dtype, layout=layout, device=device,
                          requires_grad=requires_grad)  # fmt: skip


def hamming(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """0.54 - 0.46 cos(2 pi k / n), of M points."""
    return general_hamming(M, sym=sym, dtype=dtype, layout=layout, device=device,
                           requires_grad=requires_grad)  # fmt: skip


def hann(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """(1 - cos(2 pi k / n)) / 2, of M points."""
    return general_hamming(M, alpha=0.5, sym=sym, dtype=dtype, layout=layout, device=device,
                           requires_grad=requires_grad)  # fmt: skip


def blackman(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """0.42 - 0.5 cos(2 pi k / n) + 0.08 cos(4 pi k / n), of M points."""
    options = _options(dtype, layout, device, requires_grad)
    shapes.check_signal_window("blackman", M, options)
    return general_cosine(M, a=list(shapes.BLACKMAN), sym=sym, **options)


def nuttall(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Nuttall's minimal four-term sum of cosines, of M points."""
    options = _options(dtype, layout, device, requires_grad)
    return general_cosine(M, a=list(shapes.NUTTALL), sym=sym, **options)


def bartlett(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """A triangle: 0 at the ends, 1 in the middle, of M points."""
    options = _options(dtype, layout, device, requires_grad)
    return _window("bartlett", M, lambda: shapes.triangle(M, sym), options)


def cosine(
    M: int, *, sym: bool = True, dtype: Any = None, layout: Any = None, device: Any = None,
    requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """Half a period of a sine, of M points."""
    options = _options(dtype, layout, device, requires_grad)
    count = M if sym else M + 1
    return _window("cosine", M, lambda: np.sin(math.pi * (np.arange(M) + 0.5) / count), options)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, dtype: Any = None,
    layout: Any = None, device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """exp(-|k - center| / tau), of M points; a center other than the middle needs sym=False."""
    options = _options(dtype, layout, device, requires_grad)
    shapes.check_signal_window("exponential", M, options)
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    middle = ((M - 1 if sym else M) / 2) if center is None else center
    return _window("exponential", M, lambda: np.exp(-np.abs(np.arange(M) - middle) / tau), options)


def gaussian(
    M: int, *, std: float = 1.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """exp(-(k - middle)^2 / (2 std^2)), of M points."""
    options = _options(dtype, layout, device, requires_grad)
    shapes.check_signal_window("gaussian", M, options)
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    middle = (M - 1 if sym else M) / 2
    return _window(
        "gaussian", M, lambda: np.exp(-(((np.arange(M) - middle) / std) ** 2) / 2), options
    )


def kaiser(
    M: int, *, beta: float = 12.0, sym: bool = True, dtype: Any = None, layout: Any = None,
    device: Any = None, requires_grad: bool = False,
) -> Tensor:  # fmt: skip
    """I_0(beta sqrt(1 - t^2)) / I_0(beta) for t from -1 to 1, of M points."""
    options = _options(dtype, layout, device, requires_grad)
    shapes.check_signal_window("kaiser", M, options)
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    return _window("kaiser", M, lambda: shapes.kaiser_bessel(M, sym, beta), options)
