"""Short-time Fourier transforms: stft and its inverse."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

from flambeau.functional.complex_numbers import view_as_real
from flambeau.functional.creation import ones
from flambeau.functional.folding import checked
from flambeau.functional.rearranging import pad
from flambeau.functional.spectral import fft, ifft, irfft, rfft
from flambeau.ops import view
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.tensor.recording import unary
from flambeau.tensor.tensor import Tensor


def _frames(x: Value, size: int, hop: int) -> Value:
    return view.windows(x, sizes=(size,), steps=(hop,), dilations=(1,))


def _overlapped(x: Value, hop: int) -> Value:
    count, size = x.shape[-2:]
    length = size + hop * (count - 1)
    return view.fold(x, sizes=(size,), steps=(hop,), dilations=(1,), extents=(length,))


FRAMES = PureOp("unfold", _frames)
OVERLAPPED = PureOp("unfold_backward", _overlapped, "UnfoldBackward0")


def _check(condition: bool, name: str, words: str) -> None:
    if not condition:
        raise RuntimeError(f"{name}: {words}")


def _window_of(window: Tensor | None, length: int, n_fft: int, dtype: Any, warning: str) -> Tensor:
    """The window in the middle of n_fft places."""
    if window is None:
        warnings.warn(
            "A window was not provided. A rectangular window will be applied," + warning,
            stacklevel=3,
        )
        window = ones(length, dtype=dtype)
    if length == n_fft:
        return window
    left = (n_fft - length) // 2
    return pad(window, (left, n_fft - length - left))


def stft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, pad_mode: str = "reflect",
    normalized: bool = False, onesided: bool | None = None, return_complex: bool | None = None,
    align_to_window: bool | None = None,
) -> Tensor:  # fmt: skip
    """The Fourier transforms of overlapping windows: [.., frequency, frame], complex.

    Frames are `hop_length` (n_fft // 4) apart; with `center` the signal is padded so that frame t
    is centred at t * hop_length. RuntimeError for real signals without `return_complex`.
    """
    checked("stft", input)
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    complex_signal = input.is_complex() or (window is not None and window.is_complex())
    if center and align_to_window is not None:
        raise RuntimeError("stft align_to_window should only be set when center = false.")
    if return_complex is None:
        if not complex_signal:
            raise RuntimeError(
                "stft requires the return_complex parameter be given for real inputs, and will "
                "further require that return_complex=True in a future PyTorch release."
            )
        return_complex = True
    signal = input if input.dim() > 1 else input.unsqueeze(0)
    if center:
        half = n_fft // 2
        signal = pad(signal.unsqueeze(0), (half, half), pad_mode).squeeze(0)
    length = signal.shape[-1]
    _check(input.dtype.kind in "fc", "stft",
           "expected a tensor of floating point or complex values")  # fmt: skip
    _check(1 <= input.dim() <= 2, "stft", "expected a 1D or 2D tensor")
    _check(0 < n_fft <= length, "stft", f"expected 0 < n_fft < {length}, but got n_fft={n_fft}")
    _check(hop > 0, "stft", f"expected hop_length > 0, but got hop_length={hop}")
    _check(0 < width <= n_fft, "stft",
           f"expected 0 < win_length <= n_fft, but got win_length={width}")  # fmt: skip
    if window is not None:
        _check(window.dim() == 1 and window.shape[0] == width, "stft",
               f"expected a 1D window tensor of size equal to win_length={width}, but got window "
               f"with size {list(window.shape)}")  # fmt: skip
    if onesided and complex_signal:
        raise RuntimeError("Cannot have onesided output if window or input is complex")
    weights = _window_of(window, width, n_fft, input.dtype.to_real(),
                         "which is known to cause spectral leakage. Other windows such as "
                         "torch.hann_window or torch.hamming_window are recommended to reduce "
                         "spectral leakage.")  # fmt: skip
    if align_to_window:
        left = (n_fft - width) // 2
        signal = pad(signal, (left, n_fft - width - left))
    frames = unary(FRAMES, signal, (n_fft, hop)) * weights
    half_spectrum = not complex_signal if onesided is None else onesided
    norm = "ortho" if normalized else None
    transformed = (rfft if half_spectrum else fft)(frames, norm=norm).transpose(-1, -2)
    result = transformed if input.dim() > 1 else transformed.squeeze(0)
    return result if return_complex else view_as_real(result)


def istft(
    input: Tensor, n_fft: int, hop_length: int | None = None, win_length: int | None = None,
    window: Tensor | None = None, center: bool = True, normalized: bool = False,
    onesided: bool | None = None, length: int | None = None, return_complex: bool = False,
) -> Tensor:  # fmt: skip
    """The signal of which `stft` gave the transforms, by weighted overlap-add.

    RuntimeError where the windows leave a place uncovered.
    """
    if not checked("istft", input).is_complex():
        raise RuntimeError(
            "istft requires a complex-valued input tensor matching the output from stft with "
            "return_complex=True."
        )
    hop = n_fft // 4 if hop_length is None else hop_length
    width = n_fft if win_length is None else win_length
    spectrum = input if input.dim() > 2 else input.unsqueeze(0)
    _check(input.numel() > 0, "istft", "input tensor cannot be empty.")
    _check(2 <= input.dim() <= 3, "istft",
           f"expected a tensor with 2 or 3 dimensions, but got {input.dim()}")  # fmt: skip
    rows, half = spectrum.shape[-2], onesided
    if half is None:
        half = rows != n_fft
    wanted = n_fft // 2 + 1 if half else n_fft
    _check(rows == wanted, "istft",
           "expected the frequency dimension (3rd to the last) of the input tensor to match "
           f"n_fft{' / 2 + 1' if half else ''} when onesided={half}, but got {rows}")  # fmt: skip
    _check(0 < hop <= width, "istft", "expected 0 < hop_length <= win_length")
    _check(0 < width <= n_fft, "istft", "expected 0 < win_length <= n_fft")
    if window is not None:
        _check(window.dim() == 1 and window.shape[0] == width, "istft",
               "Invalid window shape. window has to be 1D and length of `win_length`")  # fmt: skip
    kind = input.dtype if return_complex else input.dtype.to_real()
    weights = _window_of(window, width, n_fft, kind, "Please provide the same window used by stft "
                         "to make the inversion lossless.")  # fmt: skip
    columns = spectrum.transpose(-1, -2)
    norm = "ortho" if normalized else None
    if return_complex:
        if half:
            raise RuntimeError("istft: complex output needs onesided=False")
        frames = ifft(columns, norm=norm)
    else:
        if window is not None and window.is_complex():
            raise RuntimeError("Complex windows are incompatible with return_complex=False")
        columns = columns if half else columns.narrow(-1, 0, n_fft // 2 + 1)
        frames = irfft(columns, n_fft, norm=norm)
    signal = unary(OVERLAPPED, frames * weights, (hop,))
    square = (weights * weights).expand(frames.shape[-2], n_fft)
    envelope = unary(OVERLAPPED, square, (hop,))
    return _trimmed(signal, envelope, n_fft, center, length, input.dim() > 2)


def _trimmed(
    signal: Tensor, envelope: Tensor, n_fft: int, center: bool, length: int | None, batched: bool
) -> Tensor:
    """The overlapped frames over the windows' envelope, cut to the signal."""
    total = signal.shape[-1]
    start = n_fft // 2 if center else 0
    if length is not None:
        stop = min(start + length, total)
    else:
        stop = total - n_fft // 2 if center else total
    signal, envelope = signal[..., start:stop], envelope[start:stop]
    lowest = float(envelope.detach().abs().min().item()) if stop > start else math.inf
    _check(lowest > 1e-11, "istft", "window overlap add min: 1")
    result = signal / envelope
    if length is not None and start + length > total:
        warnings.warn(
            "The length of signal is shorter than the length parameter. Result is being padded "
            "with zeros in the tail. Please check your center and hop_length settings.",
            stacklevel=3,
        )
        result = pad(result, (0, start + length - total))
    return result if batched else result.squeeze(0)


METHODS: dict[str, Callable[..., Any]] = {"stft": stft, "istft": istft}
__all__ = ["istft", "stft"]
