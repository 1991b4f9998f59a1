"""Ops on whole channels: shuffles between channels and space, and dropout of channels."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from flambeau.core.calls import refuse_misgiven
from flambeau.functional.dropout import feature_dropout
from flambeau.functional.neural import ImageOp, unary, whole
from flambeau.ops import view
from flambeau.ops.value import Value
from flambeau.tensor.tensor import Tensor


def _check_factor(name: str, x: Value, factor: int, argument: str) -> None:
    if x.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {x.ndim} "
            "dimension(s)"
        )
    if factor <= 0:
        raise RuntimeError(f"{name} expects a positive {argument}, but got {factor}")


def _pixel_shuffle(x: Value, factor: int) -> Value:
    factor = whole("pixel_shuffle", "upscale_factor", factor)
    _check_factor("pixel_shuffle", x, factor, "upscale_factor")
    *lead, c, h, w = x.shape
    if c % (factor * factor):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            "of "
            f"upscale_factor, but input.size(-3)={c} is not divisible by {factor * factor}"
        )
    o, n = c // (factor * factor), len(lead)
    split = view.reshape(x, shape=(*lead, o, factor, factor, h, w))
    order = (*range(n), n, n + 3, n + 1, n + 4, n + 2)
    return view.reshape(view.permute(split, order=order), shape=(*lead, o, h * factor, w * factor))


def _pixel_unshuffle(x: Value, factor: int) -> Value:
    factor = whole("pixel_unshuffle", "downscale_factor", factor)
    _check_factor("pixel_unshuffle", x, factor, "downscale_factor")
    *lead, c, h, w = x.shape
    for what, place, extent in (("height", -2, h), ("width", -1, w)):
        if extent % factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {what} to be divisible by downscale_factor, but "
                f"input.size({place})={extent} is not divisible by {factor}"
            )
    rows, columns, n = h // factor, w // factor, len(lead)
    split = view.reshape(x, shape=(*lead, c, rows, factor, columns, factor))
    order = (*range(n), n, n + 2, n + 4, n + 1, n + 3)
    shape = (*lead, c * factor * factor, rows, columns)
    return view.reshape(view.permute(split, order=order), shape=shape)


def _channel_shuffle(x: Value, groups: int) -> Value:
    groups = whole("channel_shuffle", "groups", groups)
    if x.ndim < 3:
        raise RuntimeError(
            f"channel_shuffle expects input with > 2 dims, but got input with sizes {list(x.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    n, c = x.shape[:2]
    if c % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {c} channels and {groups} groups."
        )
    split = view.reshape(x, shape=(n, groups, c // groups, *x.shape[2:]))
    order = (0, 2, 1, *range(3, split.ndim))
    return view.reshape(view.permute(split, order=order), shape=x.shape)


PIXEL_SHUFFLE = ImageOp("pixel_shuffle", _pixel_shuffle, "PixelShuffleBackward0")
PIXEL_UNSHUFFLE = ImageOp("pixel_unshuffle", _pixel_unshuffle, "PixelUnshuffleBackward0")
CHANNEL_SHUFFLE = ImageOp("channel_shuffle", _channel_shuffle, "ChannelShuffleBackward0")


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """[.., C r^2, H, W] rearranged to [.., C, H r, W r]."""
    try:
        return unary(PIXEL_SHUFFLE, input, (upscale_factor,))
    except Exception:
        refuse_misgiven()
        raise


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """[.., C, H r, W r] rearranged to [.., C r^2, H, W]."""
    try:
        return unary(PIXEL_UNSHUFFLE, input, (downscale_factor,))
    except Exception:
        refuse_misgiven()
        raise


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Channels (dimension 1) dealt out in turn to `groups` groups."""
    try:
        return unary(CHANNEL_SHUFFLE, input, (groups,))
    except Exception:
        refuse_misgiven()
        raise


native_channel_shuffle = channel_shuffle


# ---- dropout of channels ------------------------------------------------------------------------


def _check_probability(p: float) -> None:
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _of_one_sample(input: Tensor, p: float, training: bool, inplace: bool) -> Tensor:
    """Dropout of the channels of an input without a batch axis."""
    from flambeau.functional.shaping import squeeze, unsqueeze

    result: Tensor = squeeze(feature_dropout(unsqueeze(input, 0), p, training, inplace), 0)
    return result


def dropout1d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes whole channels of [N, C, L] (or [C, L]) with probability p, in training."""
    _check_probability(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that "
            "dropout1d "
            "exists to provide channel-wise dropout on inputs with 1 spatial dimension, a "
            "channel dimension, "
            "and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    if input.ndim == 2:
        return _of_one_sample(input, p, training, inplace)
    return feature_dropout(input, p, training, inplace)


def _warn_of_rank(input: Tensor, rank: int) -> None:
    if input.ndim not in (rank + 1, rank + 2):
        warnings.warn(
            f"dropout{rank}d: Received a {input.ndim}-D input to dropout{rank}d, which is "
            "deprecated and will "
            "result in an error in a future release. To retain the behavior and silence this "
            "warning, please "
            f"use dropout instead. Note that dropout{rank}d exists to provide channel-wise "
            "dropout on inputs "
            f"with {rank} spatial dimensions, a channel dimension, and an optional batch "
            "dimension (i.e. "
            f"{rank + 1}D or {rank + 2}D inputs).",
            stacklevel=3,
        )


def dropout2d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes channels of [N, C, H, W] with probability p, in training; 3-D input is [N, C, L]."""
    _check_probability(p)
    _warn_of_rank(input, 2)
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D "
            "dropout behavior is "
            "desired - input is interpreted as shape (N, C, L), where C is the channel dim. This "
            "behavior will "
            "change in a future release to interpret the input as one without a batch dimension, "
            "i.e. shape "
            "(C, H, W). To maintain the 1D channel-wise dropout behavior, please switch to using "
            "dropout1d "
            "instead.",
            stacklevel=2,
        )
    return feature_dropout(input, p, training, inplace)


def dropout3d(
    input: Tensor, p: float = 0.5, training: bool = True, inplace: bool = False
) -> Tensor:
    """Zeroes channels of [N, C, D, H, W] (or [C, D, H, W]) with probability p, in training."""
    _check_probability(p)
    _warn_of_rank(input, 3)
    if input.ndim != 5:
        return _of_one_sample(input, p, training, inplace)
    return feature_dropout(input, p, training, inplace)


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace.
__all__ = ["channel_shuffle", "native_channel_shuffle", "pixel_shuffle", "pixel_unshuffle"]
