"""Kernels for 3 x 3 convolutions in Winograd's form: numbers, NaN and infinity, threads, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import Builder, run

from flambeau.core import dtypes
from flambeau.execute.cpu import image_plan, winograd_plan
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.ops import contraction, elementwise, view
from flambeau.ops.value import Value

DENSE = {"strides": (1, 1), "dilations": (1, 1)}
WIDTHS = (256, 512)


@pytest.fixture(autouse=True)
def without_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (winograd_plan, image_plan):
        monkeypatch.setattr(module, "has_matrix_unit", lambda: False)
    monkeypatch.setenv("FLAMBEAU_WINOGRAD", "1")


def padded(x: Value, zeros: int) -> Value:
    if not zeros:
        return x
    ends, none = (0, 0, 0, zeros, zeros), (0,) * x.ndim
    return view.pad(x, low=ends, high=ends, interior=none, value=0)


def in_tiles(compiled: CompiledProgram) -> int:
    """How many kernels bring weights into the form."""
    return sum(k.label.startswith("weights in tiles") for k in compiled.kernels)


@pytest.mark.parametrize("vector_bits", WIDTHS)
@pytest.mark.parametrize(
    ("images", "channels", "outs", "space", "zeros"),
    [
        (1, 32, 32, (14, 14), 1),
        (8, 64, 32, (7, 7), 1),
        (2, 33, 96, (10, 30), 0),
        (1, 300, 64, (16, 17), 1),
        (5, 32, 64, (9, 23), 2),
        (13, 40, 32, (4, 9), 1),
    ],
)
def test_values_and_gradients_of_images(
    images: int, channels: int, outs: int, space: Any, zeros: int, vector_bits: int
) -> None:
    b = Builder(f"{images} {channels} {outs} {space}")
    x = elementwise.tanh(b.random((images, 1, channels, *space)))
    w = b.random((1, outs, channels, 3, 3))
    image = padded(x, zeros)
    out = contraction.conv(image, w, **DENSE)
    ct = elementwise.tanh(out)
    grown = contraction.conv_input_gradient(ct, w, image.shape[3:], **DENSE)
    starts = (0, 0, 0, zeros, zeros)
    dx = view.slice_(grown, starts=starts, sizes=x.shape, steps=(1,) * 5)
    masked = elementwise.where(elementwise.gt(out, out * 0.5), out, out * 2.0)
    compiled = b.check([out, masked, dx], tolerance=4096.0, vector_bits=vector_bits)
    assert in_tiles(compiled) >= 1


def layer(b: Builder, x: Any, w: Any) -> Value:
    image, weights = (b.data(array.astype(np.float32), dtypes.float32) for array in (x, w))
    return contraction.conv(padded(image, 1), weights, **DENSE)


def results(b: Builder, value: Value, vector_bits: int) -> tuple[Any, CompiledProgram]:
    program = b.program([value], None)
    compiled = compile_program(program, vector_bits=vector_bits)
    found, _, code = run(compiled, program, [a for _, a in b.bases], [])
    assert code == 0
    return found[0].reshape(value.shape), compiled


def arrays(images: int, channels: int, outs: int, side: int) -> tuple[Any, Any]:
    rng = np.random.default_rng(side)
    x = rng.standard_normal((images, 1, channels, side, side)).astype(np.float32)
    return x, rng.standard_normal((1, outs, channels, 3, 3)).astype(np.float32)


@pytest.mark.parametrize("vector_bits", WIDTHS)
def test_what_is_no_finite_number_stays_where_it_reaches(vector_bits: int) -> None:
    """One NaN or infinity in an image makes that of the nine results that see it, and no more."""
    x, w = arrays(3, 32, 64, 15)
    w[0, 5] = np.abs(w[0, 5])  # infinity stays infinity
    x[0, 0, 3, 6, 9], x[2, 0, 31, 14, 14] = np.nan, np.inf
    b = Builder()
    found, compiled = results(b, layer(b, x, w), vector_bits)
    assert in_tiles(compiled) == 1
    places = np.zeros((3, 15, 15), bool)
    places[0, 5:8, 8:11] = places[2, 13:, 13:] = True
    assert np.array_equal(
        ~np.isfinite(found[:, 0]), np.broadcast_to(places[:, None], found[:, 0].shape)
    )
    assert np.isnan(found[0, 0, :, 6, 9]).all() and (found[2, 0, 5, 13:, 13:] == np.inf).all()


@pytest.mark.parametrize("vector_bits", WIDTHS)
def test_weights_that_are_no_numbers_spoil_their_output_only(vector_bits: int) -> None:
    x, w = arrays(1, 32, 32, 16)
    w[0, 7, 2, 0, 0] = np.nan
    b = Builder()
    found, _ = results(b, layer(b, x, w), vector_bits)
    wrong = np.isnan(found[0, 0])
    assert wrong[7, 1:, 1:].all() and not np.delete(wrong, 7, axis=0).any()


@pytest.mark.parametrize("vector_bits", WIDTHS)
def test_elements_that_overflow_where_plain_sums_do_not(vector_bits: int) -> None:
    x, w = arrays(1, 32, 32, 16)
    x[:] = 3e38
    w[:] = 0
    w[0, :, 0, 1, 1] = 1
    b = Builder()
    found, compiled = results(b, layer(b, x, w), vector_bits)
    assert in_tiles(compiled) == 1
    assert (found == np.float32(3e38)).all()


def test_whole_numbers_are_exact() -> None:
    rng = np.random.default_rng(3)
    x, w = rng.integers(-9, 10, (2, 1, 48, 14, 14)), rng.integers(-9, 10, (1, 64, 48, 3, 3))
    b = Builder()
    found, _ = results(b, layer(b, x, w), 512)
    wide = np.pad(x, ((0, 0),) * 3 + ((1, 1),) * 2)
    exact = contraction.conv.reference(wide.astype(np.float64), w.astype(np.float64), **DENSE)
    assert np.array_equal(found, exact)


@pytest.mark.parametrize("vector_bits", WIDTHS)
def test_errors_are_near_those_of_plain_sums(
    vector_bits: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    x, w = arrays(1, 256, 64, 14)
    wide = np.pad(x.astype(np.float64), ((0, 0),) * 3 + ((1, 1),) * 2)
    exact = contraction.conv.reference(wide, w.astype(np.float64), **DENSE)
    errors = []
    for wanted in ("1", "0"):
        monkeypatch.setenv("FLAMBEAU_WINOGRAD", wanted)
        b = Builder()
        found, compiled = results(b, layer(b, x, w), vector_bits)
        assert in_tiles(compiled) == int(wanted)
        errors.append(float(np.sqrt(np.mean((found - exact) ** 2))))
    assert errors[0] < 3 * errors[1]


def test_few_channels_or_tiles_are_plain_sums() -> None:
    for images, channels, outs, side in ((8, 16, 64, 14), (8, 64, 16, 14), (1, 64, 64, 7)):
        b = Builder()
        _, compiled = results(b, layer(b, *arrays(images, channels, outs, side)), 512)
        assert not in_tiles(compiled)


@pytest.mark.parametrize("threads", [2, 3])
def test_the_same_bits_for_any_number_of_threads(threads: int) -> None:
    import flambeau

    def outputs() -> Any:
        flambeau.manual_seed(0)
        conv = flambeau.nn.Conv2d(32, 64, 3, padding=1)
        x = flambeau.randn(5, 32, 15, 15, requires_grad=True)
        for _ in range(3):
            x.grad = None
            out = conv(x).relu()
            (out * out).sum().backward()
        return out.detach().numpy().copy(), x.grad.numpy().copy()

    before = flambeau.get_num_threads()
    try:
        flambeau.set_num_threads(1)
        one = outputs()
        flambeau.set_num_threads(threads)
        for a, b in zip(one, outputs(), strict=True):
            assert np.array_equal(a, b)
    finally:
        flambeau.set_num_threads(before)
