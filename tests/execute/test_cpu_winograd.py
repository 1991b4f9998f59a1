"""Convolutions of 3 x 3 in Winograd's form: the numbers, what has that form, and who chooses it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import Builder, run

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import tuning, winograd
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.forms import Forms
from flambeau.ops import contraction, elementwise, view
from flambeau.ops.value import Value

DENSE = {"strides": (1, 1), "dilations": (1, 1)}
TILED = Forms(winograd=True)


@pytest.fixture
def everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(winograd, "can_gain", lambda v: True)


def padded(x: Value, low: int, high: int) -> Value:
    lead, none = (0, 0, 0), (0,) * x.ndim
    return view.pad(x, low=(*lead, low, low), high=(*lead, high, high), interior=none, value=0)


def convolutions(compiled: CompiledProgram) -> list[str]:
    nodes = compiled.program.nodes()
    return [str(v.inputs[1].shape) for v in nodes if v.primitive.name == "conv"]


@pytest.mark.usefixtures("everywhere")
@pytest.mark.parametrize("dtype", [dtypes.float32, dtypes.float64], ids=str)
@pytest.mark.parametrize(
    ("batch", "channels", "outs", "space", "padding"),
    [
        (1, 1, 1, (3, 3), (0, 0)),
        (2, 3, 5, (6, 8), (0, 0)),
        (1, 17, 33, (9, 7), (1, 1)),
        (3, 8, 4, (12, 15), (2, 0)),
        (2, 40, 24, (14, 14), (1, 1)),
        (16, 5, 6, (5, 4), (1, 1)),
    ],
)
def test_forward_and_image_gradient(
    batch: int, channels: int, outs: int, space: Any, padding: Any, dtype: DType
) -> None:
    b = Builder(f"{batch} {channels} {outs} {space}")
    x = elementwise.tanh(b.random((batch, 1, channels, *space), dtype))
    w = b.random((1, outs, channels, 3, 3), dtype)
    image = padded(x, *padding)
    out = contraction.conv(image, w, **DENSE)
    ct = elementwise.tanh(out)
    grown = contraction.conv_input_gradient(ct, w, image.shape[3:], **DENSE)
    starts = (0, 0, 0, padding[0], padding[0])
    dx = view.slice_(grown, starts=starts, sizes=x.shape, steps=(1,) * 5)
    masked = elementwise.where(elementwise.gt(out, out * 0.5), out, out * 2.0)
    compiled = b.check([out, masked, dx], tolerance=4096.0, forms=TILED)
    assert not convolutions(compiled)


@pytest.mark.usefixtures("everywhere")
def test_others_stay_as_they_are() -> None:
    b = Builder("others")
    x = b.random((2, 1, 4, 9, 9))
    grouped = b.random((2, 2, 2, 9, 9))
    half = b.random((2, 1, 4, 9, 9), dtypes.bfloat16)
    line = b.random((2, 1, 4, 9))
    results = [
        contraction.conv(x, b.random((1, 3, 4, 3, 3)), strides=(2, 1), dilations=(1, 1)),
        contraction.conv(x, b.random((1, 3, 4, 3, 3)), strides=(1, 1), dilations=(1, 2)),
        contraction.conv(x, b.random((1, 3, 4, 3, 2)), **DENSE),
        contraction.conv(x, b.random((1, 3, 4, 5, 5)), **DENSE),
        contraction.conv(grouped, b.random((2, 3, 2, 3, 3)), **DENSE),
        contraction.conv(half, b.random((1, 3, 4, 3, 3), dtypes.bfloat16), **DENSE),
        contraction.conv(line, b.random((1, 3, 4, 3)), strides=(1,), dilations=(1,)),
    ]
    compiled = b.check(results, tolerance=256.0, forms=TILED)
    assert len(convolutions(compiled)) == len(results)


def test_only_layers_that_can_gain() -> None:
    b = Builder("gain")

    def layer(channels: int, outs: int, space: int) -> Value:
        x = b.random((1, 1, channels, space, space))
        return contraction.conv(x, b.random((1, outs, channels, 3, 3)), **DENSE)

    assert winograd.can_gain(layer(128, 128, 16))
    assert not winograd.can_gain(layer(3, 128, 16))
    assert not winograd.can_gain(layer(128, 128, 10))
    assert not convolutions(b.check([layer(128, 128, 16)], tolerance=4096.0, forms=TILED))
    assert convolutions(b.check([layer(128, 128, 16)], tolerance=4096.0))


def test_errors_are_those_of_sums_of_that_length() -> None:
    rng = np.random.default_rng(0)
    x, w = rng.standard_normal((1, 1, 128, 16, 16)), rng.standard_normal((1, 128, 128, 3, 3))
    exact = contraction.conv.reference(x, w, **DENSE)
    worst = []
    for forms in (Forms(), TILED):
        b = Builder()
        values = [b.data(array.astype(np.float32), dtypes.float32) for array in (x, w)]
        program = b.program([contraction.conv(*values, **DENSE)], None)
        found = tuned_results(program, forms, [x, w])
        worst.append(float(np.abs(found.reshape(exact.shape) - exact).max()))
    assert worst[1] < max(8 * worst[0], 1e-5 * float(np.abs(exact).max()))


def tuned_results(program: Any, forms: Forms, arrays: list[Any]) -> Any:
    bases = [a.astype(np.float32).ravel() for a in arrays]
    results, _, code = run(compile_program(program, forms=forms), program, bases, [])
    assert code == 0
    return results[0]


@pytest.mark.parametrize("faster", [True, False])
def test_tuning_takes_it_where_the_whole_program_is_faster(
    faster: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    b = Builder("tuned")
    x, w = b.random((1, 1, 128, 16, 16)), b.random((1, 128, 128, 3, 3))
    program = b.program([contraction.conv(x, w, **DENSE)], None)
    seconds = {True: 1.0, False: 2.0 if faster else 1.0}

    def whole(self: Any, compiled: CompiledProgram) -> float:
        assert compiled.forms is not None
        return seconds[compiled.forms.winograd]

    monkeypatch.setattr(tuning._Memory, "whole", whole)
    found = tuning.fastest(program, lambda p, f: compile_program(p, forms=f))
    assert found.winograd is faster
    assert Forms.from_dict(found.as_dict()) == found
