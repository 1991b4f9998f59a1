"""Images that bases hold with the batch innermost, against the reference executor."""

from __future__ import annotations

from typing import Any

import pytest
from against_reference import Builder
from test_cpu_padding import PADDED

from flambeau.core import dtypes
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.layouts import MIN_BATCH, with_given_images
from flambeau.ops import arithmetic as ar
from flambeau.ops import contraction, elementwise, reduction, view
from flambeau.ops.value import Value
from flambeau.record.layouts import from_batch_innermost, with_batch_innermost


def given(b: Builder, shape: tuple[int, ...], dtype: Any = dtypes.float32) -> Value:
    """Images as one program leaves them to another."""
    b.random(shape, dtype)
    return from_batch_innermost(b.flat[-1], shape)


@pytest.mark.parametrize("which", ["images", "cotangents", "both"])
@pytest.mark.parametrize("batch", [3, 16, 37])
@pytest.mark.parametrize("case", PADDED, ids=str)
def test_gradients_of_given_images(case: Any, batch: int, which: str) -> None:
    channels, groups, out, space, kernel, padding, strides, dilations = case
    b = Builder(f"{case}{batch}{which}")
    make = {"images": (given, Builder.random), "cotangents": (Builder.random, given)}
    images, cotangents = make.get(which, (given, given))
    x = images(b, (batch, channels, *space))
    w = b.random((groups, out // groups, channels // groups, *kernel))
    zeros = ((0, 0), (0, 0), *padding)
    low, high = tuple(z[0] for z in zeros), tuple(z[1] for z in zeros)
    padded = view.pad(x, low=low, high=high, interior=(0, 0, 0, 0), value=0)
    shape = (batch, groups, channels // groups, *padded.shape[2:])
    grouped = view.reshape(padded, shape=shape)
    result = contraction.conv(grouped, w, strides=strides, dilations=dilations)
    seen = cotangents(b, tuple(result.shape))
    mask = given(b, tuple(result.shape), dtypes.bool_)
    ct = elementwise.where(mask, seen, ar.full_like(seen, 0.25)) + 1.0
    dx = contraction.conv_input_gradient(ct, w, padded.shape[2:], strides, dilations)
    dw = contraction.conv_weight_gradient(ct, grouped, kernel, strides, dilations)
    assert b.check([dx, dw], tolerance=64.0).native
    assert b.check([result * seen, reduction.sum_(ct, axes=(0,))], tolerance=64.0).native


def network(b: Builder, x: Value) -> Value:
    w = b.random((1, 4, x.shape[1], 3, 3))
    grouped = view.reshape(x, shape=(x.shape[0], 1, *x.shape[1:]))
    return contraction.conv(grouped, w, strides=(1, 1), dilations=(1, 1))


def test_read_in_several_shapes_and_as_they_lie() -> None:
    b = Builder()
    x = given(b, (16, 2, 6, 6))
    flat = b.flat[-1]
    rows = view.reshape(x, shape=(16, 72))
    turned = view.permute(x, order=(3, 1, 0, 2))
    b.check(
        [network(b, x), reduction.sum_(rows * rows, axes=(1,)), turned * 2.0, flat + 1.0, x],
        tolerance=64.0,
    )


def test_what_is_written_is_read_before_it() -> None:
    b = Builder()
    x = given(b, (16, 2, 6, 6))
    flat = b.flat[-1]
    made = network(b, x)
    b.check([made, elementwise.tanh(made)], [(0, flat * 2.0)], tolerance=64.0)
    b.check([made], [(0, with_batch_innermost(elementwise.exp(x)))], tolerance=64.0)


def test_left_to_another_program_as_they_lie() -> None:
    b = Builder()
    made = elementwise.tanh(network(b, given(b, (32, 3, 8, 8))))
    compiled = b.check([with_batch_innermost(made), made * 0.5], tolerance=64.0)
    assert compiled.native


@pytest.mark.parametrize("batch", [MIN_BATCH - 1, MIN_BATCH])
def test_inputs_of_their_shape(batch: int) -> None:
    b = Builder()
    x = given(b, (batch, 3, 5, 5))
    made = network(b, x)
    _, _, found = with_given_images(b.program([made]), ())
    assert list(found.values()) == ([0] if batch >= MIN_BATCH else [])
    written, _, none = with_given_images(b.program([made], [(0, b.flat[0] * 2.0)]), ())
    assert not none and written.results == (made,)


def test_no_copy_of_given_images() -> None:
    """Neither of them nor of what is kept of them."""
    b = Builder()
    x = given(b, (64, 8, 16, 16))
    other = b.random((64, 8, 16, 16))
    sizes = [
        compile_program(b.program([with_batch_innermost(network(b, image))])).arena_bytes
        for image in (x, other)
    ]
    assert sizes[0] + x.size * 4 <= sizes[1]
