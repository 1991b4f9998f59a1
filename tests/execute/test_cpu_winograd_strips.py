"""Kernels for 3 x 3 convolutions in Winograd's form: numbers, NaN and infinity, threads, limits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from against_reference import Builder, run

from flambeau.core import dtypes
from flambeau.execute.cpu import gradient_plan, image_plan, winograd_plan
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.ops import contraction, elementwise, view
from flambeau.ops.value import Value

DENSE = {"strides": (1, 1), "dilations": (1, 1)}
WIDTHS = (256, 512)


@pytest.fixture(autouse=True)
def without_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (winograd_plan, image_plan, gradient_plan):
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
        # The batch innermost:
        (16, 32, 32, (8, 8), 1),
        (32, 40, 64, (7, 9), 1),
        (48, 33, 64, (9, 7), 0),
        (64, 64, 96, (3, 4), 1),
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
def test_the_same_with_the_batch_innermost(vector_bits: int) -> None:
    x, w = arrays(32, 32, 64, 9)
    w[0, 5] = np.abs(w[0, 5])
    x[7, 0, 3, 6, 2], x[31, 0, 31, 8, 8] = np.nan, np.inf
    b = Builder()
    found, compiled = results(b, layer(b, x, w), vector_bits)
    assert in_tiles(compiled) == 1
    places = np.zeros((32, 1, 9, 9), bool)
    places[7, :, 5:8, 1:4] = places[31, :, 7:, 7:] = True
    assert np.array_equal(~np.isfinite(found[:, 0]), np.broadcast_to(places, found[:, 0].shape))
    assert np.isnan(found[7, 0, :, 6, 2]).all() and (found[31, 0, 5, 7:, 7:] == np.inf).all()


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


@pytest.mark.parametrize("vector_bits", WIDTHS)
@pytest.mark.parametrize(
    ("images", "channels", "outs", "space", "zeros"),
    [
        (3, 64, 32, (13, 15), 1),
        (8, 32, 64, (7, 7), 1),
        (1, 96, 128, (14, 16), 1),
        (2, 128, 256, (10, 30), 0),
        (3, 64, 32, (9, 31), 1),
        (1, 256, 128, (16, 17), 2),
    ],
)
def test_gradients_of_weights(
    images: int, channels: int, outs: int, space: Any, zeros: int, vector_bits: int
) -> None:
    """By themselves, and with an update of the weights, which is made in the same kernel."""
    b = Builder(f"weights {images} {channels} {outs} {space}")
    image = padded(elementwise.tanh(b.random((images, 1, channels, *space))), zeros)
    ct = b.random((images, 1, outs, *[n + 2 * zeros - 2 for n in space]))
    gradient = contraction.conv_weight_gradient(ct, image, (3, 3), **DENSE)
    w = b.random(gradient.shape)
    moved = elementwise.sub(w, gradient * 0.01)
    compiled = b.check([gradient, moved], tolerance=8192.0, vector_bits=vector_bits)
    assert sums(compiled)


def sums(compiled: CompiledProgram) -> bool:
    """Whether a kernel adds up products of tiles."""
    return any("@cotangents" in k.text for k in compiled.kernels)


def weight_gradient(x: Any, ct: Any, vector_bits: int) -> Any:
    b = Builder()
    image, cotangent = (b.data(a.astype(np.float32), dtypes.float32) for a in (x, ct))
    value = contraction.conv_weight_gradient(cotangent, padded(image, 1), (3, 3), **DENSE)
    found, compiled = results(b, value, vector_bits)
    assert sums(compiled)
    return found[0]


@pytest.mark.parametrize("vector_bits", WIDTHS)
@pytest.mark.parametrize("blocks", [1, 4])
def test_gradients_of_what_is_no_finite_number(vector_bits: int, blocks: int) -> None:
    """The taps that see an infinity are infinite; others, and other channels, are numbers."""
    rng = np.random.default_rng(5)
    x = rng.standard_normal((2, 1, 64 * blocks, 12, 12))
    ct = np.abs(rng.standard_normal((2, 1, 64 * blocks, 12, 12)))
    x[1, 0, 37, 0, 11] = np.inf  # the corner: taps below it and to its right see padding
    ct[0, 0, 50, 4, 4] = np.nan
    found = weight_gradient(x, ct, vector_bits)
    others = np.arange(64 * blocks) != 50
    assert np.isnan(found[50]).all()
    assert (found[others, 37][:, :2, 1:] == np.inf).all()
    found[50], found[:, 37, :2, 1:] = 0, 0
    assert np.isfinite(found).all()


@pytest.mark.parametrize("vector_bits", WIDTHS)
@pytest.mark.parametrize(
    ("images", "channels", "outs", "space", "zeros"),
    [(16, 32, 64, (8, 8), 1), (48, 64, 32, (7, 9), 1), (64, 256, 128, (5, 4), 1)],
)
def test_all_gradients_with_the_batch_innermost(
    images: int, channels: int, outs: int, space: Any, zeros: int, vector_bits: int
) -> None:
    b = Builder(f"inner {images} {channels} {outs} {space}")
    image = padded(b.random((images, 1, channels, *space)), zeros)
    first = b.random((1, channels, channels, 3, 3))
    hidden = elementwise.tanh(contraction.conv(image, first, **DENSE))
    out = contraction.conv(padded(hidden, zeros), b.random((1, outs, channels, 3, 3)), **DENSE)
    ct = elementwise.tanh(out * 0.01)
    gradient = contraction.conv_weight_gradient(ct, padded(hidden, zeros), (3, 3), **DENSE)
    compiled = b.check([gradient], tolerance=1 << 15, vector_bits=vector_bits)
    assert sums(compiled) and in_tiles(compiled) == 2


@pytest.mark.parametrize("vector_bits", WIDTHS)
@pytest.mark.parametrize("blocks", [1, 4])
def test_gradients_of_infinity_with_the_batch_innermost(vector_bits: int, blocks: int) -> None:
    rng = np.random.default_rng(8)
    x, w = rng.standard_normal((32, 1, 64, 6, 6)), rng.standard_normal((1, 64 * blocks, 64, 3, 3))
    ct = np.abs(rng.standard_normal((32, 1, 64 * blocks, 6, 6)))
    x[17, 0, 37, 0, 5] = np.inf
    b = Builder()
    image, weights, other = (b.data(a.astype(np.float32), dtypes.float32) for a in (x, w, ct))
    out = contraction.conv(padded(image, 1), weights, **DENSE)
    cotangent = elementwise.where(elementwise.gt(out, out * 0.5), other, other + other)
    value = contraction.conv_weight_gradient(cotangent, padded(image, 1), (3, 3), **DENSE)
    found, compiled = results(b, value, vector_bits)
    assert sums(compiled)
    assert (found[0, :, 37][:, :2, 1:] == np.inf).all()
    found[0, :, 37, :2, 1:] = 0
    assert np.isfinite(found).all()


@pytest.mark.parametrize("vector_bits", WIDTHS)
def test_gradients_of_whole_numbers_are_exact(vector_bits: int) -> None:
    rng = np.random.default_rng(6)
    x, ct = (rng.integers(-4, 5, (3, 1, n, 13, 19)).astype(np.float64) for n in (64, 32))
    assert np.array_equal(weight_gradient(x, ct, vector_bits), exact_gradient(x, ct))


def exact_gradient(x: Any, ct: Any) -> Any:
    rows, cols = ct.shape[3:]
    wide = np.pad(x.astype(np.float64), ((0, 0),) * 3 + ((1, 1),) * 2)[:, 0]
    found = np.zeros((ct.shape[2], x.shape[2], 3, 3))
    for i, j in np.ndindex(3, 3):
        seen = wide[:, :, i : i + rows, j : j + cols]
        found[:, :, i, j] = np.einsum("nkyx,ncyx->kc", ct[:, 0].astype(np.float64), seen)
    return found


def test_errors_of_gradients_are_near_those_of_plain_sums(monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(7)
    x, ct = (rng.standard_normal((4, 1, 64, 28, 28)).astype(np.float32) for _ in range(2))
    exact = exact_gradient(x, ct)
    found = weight_gradient(x, ct, 512)
    monkeypatch.setenv("FLAMBEAU_WINOGRAD", "0")
    b = Builder()
    image, cotangent = (b.data(a, dtypes.float32) for a in (x, ct))
    value = contraction.conv_weight_gradient(cotangent, padded(image, 1), (3, 3), **DENSE)
    plain = results(b, value, 512)[0][0]
    worst, of_plain = [float(np.sqrt(np.mean((a - exact) ** 2))) for a in (found, plain)]
    assert worst < 3 * of_plain


def test_few_channels_or_tiles_are_plain_sums() -> None:
    for images, channels, outs, side in ((8, 16, 64, 14), (8, 64, 16, 14), (1, 64, 64, 7)):
        b = Builder()
        _, compiled = results(b, layer(b, *arrays(images, channels, outs, side)), 512)
        assert not in_tiles(compiled)


@pytest.mark.parametrize("images", [5, 32])
@pytest.mark.parametrize("threads", [2, 3])
def test_the_same_bits_for_any_number_of_threads(
    threads: int, images: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    import flambeau
    from flambeau.record.options import OPTIONS

    monkeypatch.setattr(OPTIONS, "executor", "compiled")  # whatever other tests have left

    def outputs() -> Any:
        flambeau.manual_seed(0)
        conv = flambeau.nn.Conv2d(32, 64, 3, padding=1)
        x = flambeau.randn(images, 32, 15, 15, requires_grad=True)
        for _ in range(3):
            x.grad = conv.weight.grad = None
            out = conv(x).relu()
            (out * out).sum().backward()
        assert conv.weight.grad is not None
        return [t.detach().numpy().copy() for t in (out, x.grad, conv.weight.grad)]

    before = flambeau.get_num_threads()
    try:
        flambeau.set_num_threads(1)
        one = outputs()
        flambeau.set_num_threads(threads)
        for a, b in zip(one, outputs(), strict=True):
            assert np.array_equal(a, b)
    finally:
        flambeau.set_num_threads(before)
