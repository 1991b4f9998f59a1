"""Convolutions whose taps are moved by a tensor (arXiv:1703.06211), and weighed (1811.11168)."""

from __future__ import annotations

import math

import numpy as np

import flambeau.nn as nn
from flambeau.functional.creation import empty
from flambeau.functional.from_data import from_numpy
from flambeau.functional.joining import cat
from flambeau.tensor.tensor import Tensor

Pair = int | tuple[int, int]


def _pair(size: Pair) -> tuple[int, int]:
    down, across = (size, size) if isinstance(size, int) else size
    return down, across


def _out(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    return (size + 2 * padding - (dilation * (kernel - 1) + 1)) // stride + 1


def _grid(
    kernel: tuple[int, int],
    out: tuple[int, int],
    stride: tuple[int, int],
    padding: tuple[int, int],
    dilation: tuple[int, int],
) -> tuple[Tensor, Tensor]:
    """Rows and columns (taps, out height, out width) that an ordinary convolution would read."""
    axes = []
    for axis in (0, 1):
        tap = np.arange(kernel[axis])[:, None] * dilation[axis]
        axes.append(tap + np.arange(out[axis]) * stride[axis] - padding[axis])
    taps = (*kernel, *out)
    rows = np.broadcast_to(axes[0][:, None, :, None], taps)
    columns = np.broadcast_to(axes[1][None, :, None, :], taps)
    count = kernel[0] * kernel[1]
    return from_numpy(rows.reshape(count, *out)), from_numpy(columns.reshape(count, *out))


def _sampled(input: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Maps (N, G * c, H, W) at places (N, G, taps, h, w), 0 outside: (N, G, taps, h, w, c)."""
    count, channels, height, width = input.shape
    groups = rows.shape[1]
    table = input.view(count, groups, -1, height, width).permute(0, 1, 3, 4, 2)
    table = table.reshape(count * groups * height * width, channels // groups)
    first = np.arange(count * groups).reshape(count, groups, 1, 1, 1) * (height * width)
    base = from_numpy(first)
    top, left = rows.detach().floor(), columns.detach().floor()
    down, across = rows - top, columns - left
    inside = (rows > -1) & (rows < height) & (columns > -1) & (columns < width)
    total: Tensor | None = None
    for row_step, row_share in ((0, 1 - down), (1, down)):
        for column_step, column_share in ((0, 1 - across), (1, across)):
            row, column = top + row_step, left + column_step
            valid = inside & (row >= 0) & (row < height) & (column >= 0) & (column < width)
            place = base + row.clamp(0, height - 1).long() * width
            place = place + column.clamp(0, width - 1).long()
            share = (row_share * column_share).where(valid, 0.0)
            term = table[place] * share.unsqueeze(-1)
            total = term if total is None else total + term
    assert total is not None
    return total


def _check(
    input: Tensor, offset: Tensor, weight: Tensor, mask: Tensor | None, out: tuple[int, int]
) -> None:
    if input.ndim != 4 or offset.ndim != 4 or weight.ndim != 4:
        raise RuntimeError(
            "deform_conv2d: input, offset and weight must have 4 dimensions, got "
            f"{input.ndim}, {offset.ndim} and {weight.ndim}"
        )
    taps = weight.shape[2] * weight.shape[3]
    if offset.shape[1] < 2 * taps or offset.shape[1] % (2 * taps):
        raise RuntimeError(
            "the shape of the offset tensor at dimension 1 is not valid. It should "
            "be a multiple of 2 * weight.size[2] * weight.size[3].\n"
            f"Got offset.shape[1]={offset.shape[1]}, while "
            f"2 * weight.size[2] * weight.size[3]={2 * taps}"
        )
    if out[0] <= 0 or out[1] <= 0:
        raise RuntimeError(f"Calculated output size too small - out_h: {out[0]} out_w: {out[1]}")
    groups = offset.shape[1] // (2 * taps)
    if input.shape[1] % groups:
        raise RuntimeError(f"{input.shape[1]} channels are no multiple of {groups} offset groups")
    if offset.shape[0] != input.shape[0]:
        raise RuntimeError("invalid batch size of offset")
    if tuple(offset.shape[2:]) != out:
        raise RuntimeError(
            f"offset output dims: ({offset.shape[2]}, {offset.shape[3]}) - computed output dims: "
            f"({out[0]}, {out[1]})"
        )
    if mask is None:
        return
    if mask.shape[0] != input.shape[0]:
        raise RuntimeError("invalid batch size of mask")
    if mask.shape[1] != groups * taps:
        raise RuntimeError(
            f"mask.shape[1] is not valid: got: {mask.shape[1]} expected: {groups * taps}"
        )
    if tuple(mask.shape[2:]) != out:
        raise RuntimeError(
            f"mask output dims: ({mask.shape[2]}, {mask.shape[3]}) - computed output dims: "
            f"({out[0]}, {out[1]})"
        )


def deform_conv2d(
    input: Tensor,
    offset: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    mask: Tensor | None = None,
) -> Tensor:
    """A convolution of (N, C, H, W) whose taps lie offset from their places: (N, O, h, w).

    weight is (O, C / groups, kh, kw); offset (N, 2 * G * kh * kw, h, w) moves each tap down and
    across in places, for each of G groups of channels; mask (N, G * kh * kw, h, w) weighs the
    taps. Places between others are mixed of four, those outside are 0. RuntimeError for shapes
    that do not fit.
    """
    kernel = (weight.shape[2], weight.shape[3])
    steps, pads, spread = _pair(stride), _pair(padding), _pair(dilation)
    out = (
        _out(input.shape[2], kernel[0], steps[0], pads[0], spread[0]),
        _out(input.shape[3], kernel[1], steps[1], pads[1], spread[1]),
    )
    _check(input, offset, weight, mask, out)
    count, channels = input.shape[:2]
    taps = kernel[0] * kernel[1]
    moved = offset.view(count, -1, taps, 2, *out)
    rows, columns = _grid(kernel, out, steps, pads, spread)
    found = _sampled(input, rows + moved[:, :, :, 0], columns + moved[:, :, :, 1])
    if mask is not None:
        found = found * mask.view(count, -1, taps, *out).unsqueeze(-1)
    # (N, G, taps, h, w, c) to (N, channels, taps, places), split as the weights are.
    flat = found.permute(0, 1, 5, 2, 3, 4).reshape(count, channels, taps, out[0] * out[1])
    parts = channels // weight.shape[1]
    results = []
    for part in range(parts):
        inside = flat[:, part * weight.shape[1] : (part + 1) * weight.shape[1]]
        each = weight.shape[0] // parts
        factor = weight[part * each : (part + 1) * each].reshape(each, -1)
        results.append(factor @ inside.reshape(count, -1, out[0] * out[1]))
    joined = results[0] if parts == 1 else cat(results, 1)
    whole = joined.view(count, weight.shape[0], *out)
    return whole if bias is None else whole + bias.view(1, -1, 1, 1)


class DeformConv2d(nn.Module):
    """deform_conv2d with a weight and a bias of its own; offset and mask come with the input.

    ValueError where groups do not divide the channels.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Pair,
        stride: Pair = 1,
        padding: Pair = 0,
        dilation: Pair = 1,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        if in_channels % groups != 0:
            raise ValueError("in_channels must be divisible by groups")
        if out_channels % groups != 0:
            raise ValueError("out_channels must be divisible by groups")
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = _pair(kernel_size)
        self.stride = _pair(stride)
        self.padding = _pair(padding)
        self.dilation = _pair(dilation)
        self.groups = groups
        shape = (out_channels, in_channels // groups, *self.kernel_size)
        self.weight = nn.Parameter(empty(shape))
        self.bias = nn.Parameter(empty(out_channels)) if bias else None
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Draws the weight and the bias as nn.Conv2d does."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(math.prod(self.weight.shape[1:]))
            nn.init.uniform_(self.bias, -bound, bound)

    def forward(self, input: Tensor, offset: Tensor, mask: Tensor | None = None) -> Tensor:
        return deform_conv2d(
            input,
            offset,
            self.weight,
            self.bias,
            self.stride,
            self.padding,
            self.dilation,
            mask,
        )

    def __repr__(self) -> str:
        told = [f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}"]
        told.append(f"stride={self.stride}")
        for name, usual in (("padding", (0, 0)), ("dilation", (1, 1)), ("groups", 1)):
            if getattr(self, name) != usual:
                told.append(f"{name}={getattr(self, name)}")
        if self.bias is None:
            told.append("bias=False")
        return f"{type(self).__name__}({', '.join(told)})"
