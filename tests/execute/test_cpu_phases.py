"""Convolutions of images with zeros between their elements: the zeros are not multiplied."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import Builder

from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.phases import interleave
from flambeau.ops import contraction, elementwise, view
from flambeau.ops.value import Value

CASES = [
    # channels, groups, outs, space, kernel, padding, strides, dilations
    (8, 1, 6, (9, 10), (3, 3), 1, (2, 2), (1, 1)),
    (6, 1, 8, (8, 8), (4, 4), 1, (2, 2), (1, 1)),
    (6, 3, 6, (8, 9), (3, 2), 0, (3, 1), (1, 1)),
    (8, 1, 5, (9, 12), (1, 1), 0, (2, 2), (1, 1)),
    (4, 1, 7, (16, 14), (5, 3), 2, (2, 3), (2, 1)),
    (5, 1, 4, (11, 9), (2, 2), 0, (3, 3), (1, 1)),
    (6, 2, 4, (21,), (5,), 2, (3,), (1,)),
    (3, 1, 4, (5, 6, 4), (3, 3, 2), 1, (2, 1, 2), (1, 1, 1)),
]


def padded(x: Value, amount: int) -> Value:
    sides = (0, 0, 0) + (amount,) * (x.ndim - 3)
    return view.pad(x, low=sides, high=sides, interior=(0,) * x.ndim, value=0)


def zeros_between(compiled: CompiledProgram) -> list[str]:
    """The convolutions of images that still have them."""
    nodes = compiled.program.nodes()
    convs = [v for v in nodes if v.primitive.name == "conv"]
    images = [v.inputs[0] for v in convs]
    while any(x.primitive.name in ("permute", "reshape") for x in images):
        images = [x.inputs[0] if x.primitive.name in ("permute", "reshape") else x for x in images]
    pads = [x for x in images if x.primitive.name == "pad"]
    return [str(x.shape) for x in pads if any(x.attrs["interior"])]


@pytest.mark.parametrize("batch", [2, 16, 20])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_gradients_of_strided_convolutions(case: Any, batch: int) -> None:
    channels, groups, outs, space, kernel, padding, strides, dilations = case
    b = Builder(f"{case}{batch}")
    x = elementwise.tanh(b.random((batch, groups, channels // groups, *space)))
    w = b.random((groups, outs // groups, channels // groups, *kernel))
    attrs = {"strides": strides, "dilations": dilations}
    whole = padded(x, padding)
    out = contraction.conv(whole, w, **attrs)
    ct = elementwise.tanh(out)
    dx = contraction.conv_input_gradient(ct, w, whole.shape[3:], **attrs)
    starts = (0, 0, 0) + (padding,) * len(space)
    dx = view.slice_(dx, starts=starts, sizes=x.shape, steps=(1,) * x.ndim)
    masked = elementwise.where(elementwise.le(x, x * 0.5), dx, x)
    compiled = b.check([dx, masked * 2.0], tolerance=256.0)
    assert not zeros_between(compiled)


@pytest.mark.parametrize("batch", [2, 16, 20])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_transposed_convolutions_and_their_gradients(case: Any, batch: int) -> None:
    channels, groups, outs, space, kernel, padding, strides, dilations = case
    b = Builder(f"transposed {case}{batch}")
    x = elementwise.tanh(b.random((batch, groups, channels // groups, *space)))
    w = b.random((groups, outs // groups, channels // groups, *kernel))
    rank = len(space)
    sides = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    whole = view.pad(
        x,
        low=(0, 0, 0, *[s - min(padding, s) for s in sides]),
        high=(0, 0, 0, *sides),
        interior=(0, 0, 0, *[s - 1 for s in strides]),
        value=0,
    )
    out = contraction.conv(whole, w, strides=(1,) * rank, dilations=dilations)
    ct = elementwise.tanh(out) * 0.5
    attrs = {"strides": (1,) * rank, "dilations": dilations}
    dwhole = contraction.conv_input_gradient(ct, w, whole.shape[3:], **attrs)
    (dx,) = whole.primitive.vjp(dwhole, whole, x, **whole.attrs)
    dw = contraction.conv_weight_gradient(ct, whole, kernel, **attrs)
    compiled = b.check([out * 2.0, dx, dw], tolerance=1024.0)
    assert not zeros_between(compiled)
    convs = [v for v in compiled.program.nodes() if v.primitive.name == "conv"]
    assert any(v.shape == x.shape for v in convs)  # nothing is computed that the steps leave out


def test_interleaving() -> None:
    rng = np.random.default_rng(0)
    whole = rng.standard_normal((2, 1, 3, 5, 7))
    b = Builder()
    values, arrays = [], []
    for row in range(2):
        for col in range(3):
            arrays.append(whole[..., row::2, col::3])
            values.append(b.random(arrays[-1].shape))
    attrs = {"steps": (2, 3), "extents": (5, 7)}
    np.testing.assert_array_equal(interleave.reference(*arrays, **attrs), whole)
    found = interleave(*[elementwise.exp(v) for v in values], **attrs)
    b.check([found, found * 2.0, elementwise.exp(values[0])], tolerance=8.0)


@pytest.mark.parametrize("batch", [2, 16])
def test_sums_of_gradients_are_added_phase_by_phase(batch: int) -> None:
    b = Builder(batch)
    ct = [elementwise.tanh(b.random((batch, 1, 6, 5, 4))) for _ in range(2)]
    wide, narrow = b.random((1, 6, 4, 3, 3)), b.random((1, 6, 4, 1, 1))
    attrs = {"strides": (2, 2), "dilations": (1, 1)}
    dx = contraction.conv_input_gradient(ct[0], wide, (11, 9), **attrs)
    dx = view.slice_(dx, starts=(0, 0, 0, 1, 1), sizes=(batch, 1, 4, 10, 8), steps=(1,) * 5)
    other = contraction.conv_input_gradient(ct[1], narrow, (10, 8), **attrs)
    both = view.reshape(dx, shape=(batch, 4, 10, 8)) + view.reshape(other, shape=(batch, 4, 10, 8))
    compiled = b.check([elementwise.exp(both)], tolerance=256.0)
    assert not zeros_between(compiled)
    assert sum(v.primitive is interleave for v in compiled.program.nodes()) == 1
