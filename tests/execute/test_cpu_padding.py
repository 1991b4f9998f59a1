"""Convolutions that leave out the padding of their images, against the reference executor."""

from __future__ import annotations

from typing import Any

import pytest
from against_reference import Builder

from flambeau.ops import arithmetic as ar
from flambeau.ops import (
    contraction,
    elementwise,
    reduction,
    view,
    window,
)

# ---- padded convolutions -------------------------------------------------------------------------

PADDED = [
    # channels, groups, out, space, kernel, padding (low, high per axis), strides, dilations
    (3, 1, 8, (9, 7), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 1)),
    (4, 2, 6, (8, 8), (5, 3), ((4, 4), (2, 0)), (1, 2), (1, 1)),
    (2, 1, 7, (6, 10), (3, 4), ((2, 3), (0, 5)), (2, 1), (2, 3)),
    (8, 1, 3, (1, 5), (3, 3), ((1, 1), (1, 1)), (1, 1), (1, 1)),
    (5, 1, 4, (3, 3), (7, 2), ((6, 6), (0, 0)), (1, 1), (1, 1)),
    (6, 3, 9, (7, 7), (3, 3), ((-1, 2), (2, -2)), (1, 1), (1, 1)),
    (6, 6, 6, (9, 41), (3, 3), ((1, 1), (1, 1)), (2, 2), (1, 1)),
    (4, 1, 4, (6, 6), (1, 3), ((1, 1), (1, 1)), (1, 1), (1, 1)),
]


@pytest.mark.parametrize("batch", [3, 16, 37])
@pytest.mark.parametrize("case", PADDED, ids=str)
def test_padded_convolutions_and_their_gradients(case: Any, batch: int) -> None:
    channels, groups, out, space, kernel, padding, strides, dilations = case
    b = Builder(f"{case}{batch}")
    x = b.random((batch, channels, *space))
    y = elementwise.maximum(x, ar.full_like(x, 0.1)) * 2.0  # computed, not an input
    w = b.random((groups, out // groups, channels // groups, *kernel))
    for image in (x, y):
        zeros = ((0, 0), (0, 0), *padding)
        low, high = tuple(z[0] for z in zeros), tuple(z[1] for z in zeros)
        padded = view.pad(image, low=low, high=high, interior=(0, 0, 0, 0), value=0)
        shape = (batch, groups, channels // groups, *padded.shape[2:])
        grouped = view.reshape(padded, shape=shape)
        result = contraction.conv(grouped, w, strides=strides, dilations=dilations)
        ct = result * 0.5 + 1.0
        dx = contraction.conv_input_gradient(ct, w, padded.shape[2:], strides, dilations)
        dw = contraction.conv_weight_gradient(ct, grouped, kernel, strides, dilations)
        assert b.check([result, dx, dw], tolerance=64.0).native
        assert b.check([elementwise.tanh(result + dw.shape[0])], tolerance=64.0).native


def test_left_out_padding_of_images_that_others_read() -> None:
    b = Builder()
    x = b.random((16, 2, 6, 6))
    padded = view.pad(x, low=(0, 0, 1, 1), high=(0, 0, 1, 1), interior=(0, 0, 0, 0), value=0)
    grouped = view.reshape(padded, shape=(16, 1, 2, 8, 8))
    first, second = b.random((1, 5, 2, 3, 3)), b.random((1, 6, 2, 1, 1))
    a = contraction.conv(grouped, first, strides=(1, 1), dilations=(1, 1))
    c = contraction.conv(grouped, second, strides=(1, 1), dilations=(1, 1))
    b.check([a, c, padded * 2.0, reduction.sum_(padded, axes=(0, 2))], tolerance=64.0)


@pytest.mark.parametrize("space", [(8, 8), (1, 6), (2, 1), (2, 6)], ids=str)
def test_cotangents_of_pooled_images_are_not_padded(space: tuple[int, int]) -> None:
    """As in a network: the cotangent has four axes, its convolution five."""
    b = Builder(str(space))
    kernel = (min(3, space[0]), min(3, space[1]))
    x, w = b.random((32, 1, 4, *space)), b.random((1, 6, 4, *kernel))
    out = contraction.conv(x, w, strides=(1, 1), dilations=(1, 1))
    images = view.reshape(out, shape=(32, 6, *out.shape[3:]))
    attrs = {"sizes": (1, 2) if images.shape[3] > 1 else (1, 1), "steps": (1, 2)}
    pooled = window.max_pool(images, **attrs, dilations=(1, 1))
    ct = window.max_pool_gradient(images, elementwise.tanh(pooled), **attrs, dilations=(1, 1))
    whole = view.reshape(ct, shape=out.shape)
    dx = contraction.conv_input_gradient(whole, w, space, (1, 1), (1, 1))
    below = view.reshape(dx, shape=(32, 4, *space)) * 2.0
    dw = contraction.conv_weight_gradient(whole, x, kernel, (1, 1), (1, 1))
    compiled = b.check([elementwise.tanh(below), dw], tolerance=64.0)
    labels = [code.label for code in compiled.kernels]
    one_row = out.shape[3] == 1 < kernel[0]  # its axis is not there to be padded
    assert any("pad" in label for label in labels) == one_row
    convolutions = [code.text for code in compiled.kernels if "conv" in code.label]
    assert len(convolutions) >= 3 and all("@tile." in text for text in convolutions)


@pytest.mark.parametrize("strides", [(1, 1), (2, 1)], ids=str)
@pytest.mark.parametrize("batch", [2, 16])
def test_gradients_of_padded_images_have_no_padding(batch: int, strides: tuple[int, int]) -> None:
    """What is cut off is not computed, unless somebody reads it."""
    b = Builder(str(strides))
    x, w = b.random((batch, 1, 4, 8, 6)), b.random((1, 5, 4, 3, 3))
    attrs = {"strides": strides, "dilations": (1, 1)}
    low = (0, 0, 0, 1, 2)
    padded = view.pad(x, low=low, high=low, interior=(0,) * 5, value=0)
    ct = elementwise.tanh(contraction.conv(padded, w, **attrs))
    dx = contraction.conv_input_gradient(ct, w, padded.shape[3:], **attrs)
    ones = (1,) * 5
    cut = view.slice_(dx, starts=low, sizes=x.shape, steps=ones)
    compiled = b.check([cut * 2.0], tolerance=64.0)
    labels = [k.label for k in compiled.kernels]
    assert any("x4x8x6]" in label for label in labels), labels
    b.check([cut, dx], tolerance=64.0)
    row = view.slice_(dx, starts=(0, 0, 0, 4, 0), sizes=(batch, 1, 4, 1, 6), steps=ones)
    b.check([row], tolerance=64.0)


@pytest.mark.parametrize(
    ("extent", "size", "step"), [(48, 3, 2), (40, 3, 2), (48, 5, 3), (37, 3, 2)]
)
def test_gradients_of_overlapping_windows(extent: int, size: int, step: int) -> None:
    """Where loops along the lanes are cut into phases, and where they cannot be."""
    b = Builder(f"{extent}{size}{step}")
    x = b.random((2, 3, extent, extent))
    low = (0, 0, size // 2, size // 2)
    padded = view.pad(x, low=low, high=low, interior=(0,) * 4, value=float("-inf"))
    attrs = {"sizes": (size, size), "steps": (step, step), "dilations": (1, 1)}
    pooled = window.max_pool(padded, **attrs)
    ct = elementwise.tanh(pooled * 0.5)
    whole = window.max_pool_gradient(padded, ct, **attrs)
    dx = view.slice_(whole, starts=low, sizes=x.shape, steps=(1,) * 4)
    b.check([elementwise.where(elementwise.le(x, x * 0.5), dx, dx * 2.0)], tolerance=16.0)


def test_channels_of_padded_images_are_not_divided_out() -> None:
    """What belongs to a channel is read once, and not for each place."""
    b = Builder()
    x, scale = b.random((2, 6, 9, 40)), b.random((6,))
    wide = view.expand(view.reshape(scale, shape=(1, 6, 1, 1)), shape=x.shape)
    grouped = view.reshape(elementwise.tanh(x * wide), shape=(2, 6, 1, 9, 40))
    low = (0, 0, 0, 1, 1)
    padded = view.pad(grouped, low=low, high=low, interior=(0,) * 5, value=0)
    compiled = b.check([padded])
    assert not any("gather" in k.text or "urem" in k.text for k in compiled.kernels)
