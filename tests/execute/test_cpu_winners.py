"""Gradients of convolutions below a max-pooling, as sums over the windows' winners."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from against_reference import Builder, flat, run

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import pool, winners
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.expansion import expand_primitives
from flambeau.execute.cpu.forms import Forms
from flambeau.execute.cpu.target import Target
from flambeau.graph.simplify import simplify
from flambeau.ops import arithmetic, contraction, elementwise, view, window
from flambeau.ops.value import Value

WIDTHS = [bits for bits in (512, 256, 128) if bits <= Target.host().vector_bits]


@dataclass(frozen=True)
class Case:
    """Images of `space` with channels `inside`. images: how many such sums make
    their gradient.
    """

    space: tuple[int, ...]
    kernel: tuple[int, ...]
    window: tuple[int, ...] = (2, 2)
    batch: int = 32
    inside: int = 10
    out: int = 6
    padding: int = 0
    stride: int = 1
    steps: tuple[int, ...] = ()
    dtype: DType = dtypes.float32
    images: int = 1


CASES = {
    "digits": Case((12, 12), (5, 5), batch=64, out=20),
    "padded": Case((8, 8), (3, 3), padding=1),
    "padded more": Case((8, 8), (3, 3), padding=2),
    "images left over": Case((8, 8), (3, 3), batch=19),
    "few images": Case((9, 8), (3, 3), batch=5, images=0),
    "few wide images": Case((8, 41), (3, 3), batch=3, padding=1, images=0),
    "few images, none padded": Case((8, 41), (3, 3), batch=3, padding=2),
    "many channels of few": Case((8, 21), (3, 3), inside=37, batch=3, padding=2),
    "many images": Case((24, 24), (5, 5), batch=64),
    "one image": Case((10, 10), (3, 3), batch=1, images=0),
    "three channels": Case((10, 10), (5, 5), inside=3),
    "blocks": Case((8, 8), (3, 3), inside=37, out=5),
    "blocks, few images": Case((8, 20), (3, 3), inside=37, out=5, batch=2, images=0),
    "whole vectors": Case((8, 8), (3, 3), inside=64, out=3),
    "one output": Case((8, 8), (3, 3), out=1),
    "outputs in passes": Case((8, 8), (3, 3), out=70, batch=16),
    "places left over": Case((9, 10), (2, 4)),
    "windows of three": Case((11, 11), (3, 3), (3, 3)),
    "windows that overlap": Case((11, 11), (3, 3), (3, 3), steps=(2, 2)),
    "windows apart": Case((12, 12), (3, 3), (2, 2), steps=(3, 4)),
    "flat windows": Case((10, 10), (3, 3), (1, 2)),
    "high windows": Case((10, 10), (3, 3), (3, 1)),
    "a line": Case((30,), (3,), (2,)),
    "a line, few": Case((30,), (5,), (2,), batch=4, images=0),
    "a high kernel": Case((12, 12), (3, 1)),
    "strides": Case((17, 17), (3, 3), stride=2, images=4),
    "float64": Case((10, 10), (5, 5), inside=5, dtype=dtypes.float64),
    "float64, few images": Case((10, 10), (3, 3), batch=3, dtype=dtypes.float64, images=0),
}
SMALL = ("padded", "images left over", "few images", "blocks", "windows that overlap", "a line")


def images_of(b: Builder, case: Case, kind: str) -> np.ndarray:
    shape = (case.batch, 1, case.inside, *case.space)
    if kind == "ties":
        return b.rng.integers(0, 2, shape).astype(np.float64)
    images = b.rng.standard_normal(shape)
    if kind == "nan":
        images.ravel()[::97] = np.nan
    return images


def below(b: Builder, case: Case) -> tuple[Value, Callable[[Value], Value]]:
    """The images as an earlier layer makes them, with the batch innermost; and what makes the
    gradient of that layer's weights from theirs.
    """
    rank = len(case.space)
    shape = (case.batch, 1, 1, *[2 * n + 2 for n in case.space])
    weights = b.data(b.rng.standard_normal((1, case.inside, 1, *[3] * rank)), case.dtype)
    x = b.data(b.rng.standard_normal(shape), case.dtype)
    attrs = {"strides": (1,) * rank, "dilations": (1,) * rank}
    pooling = {"sizes": (2,) * rank, "steps": (2,) * rank, "dilations": (1,) * rank}
    out = contraction.conv(x, weights, **attrs)

    def gradient(cotangent: Value) -> Value:
        cotangent = window.max_pool_gradient(out, cotangent, **pooling)
        _, found = contraction.conv.vjp(cotangent, out, x, weights, **attrs)
        assert found is not None
        return found

    return window.max_pool(out, **pooling), gradient


def gradients(
    b: Builder,
    case: Case,
    kind: str = "",
    cotangent: float | None = None,
    second: bool = False,
) -> tuple[list[Value], Value]:
    """(what is pooled, and the images' gradient with a mask; the weights after an update).
    second: of a second layer, with the gradient of the first one's weights for the images'.
    """
    rank = len(case.space)
    x, backward = below(b, case) if second else (b.data(images_of(b, case, kind), case.dtype), None)
    weights = b.rng.standard_normal((1, case.out, case.inside, *case.kernel))
    w = b.data(np.rint(weights) if kind == "ties" else weights, case.dtype)
    around = (0, 0, 0, *[case.padding] * rank)
    image = view.pad(x, low=around, high=around, interior=(0,) * (3 + rank), value=0)
    image = image if case.padding else x
    attrs = {"strides": (case.stride,) * rank, "dilations": (1,) * rank}
    out = contraction.conv(image, w, **attrs)
    pooling = {"sizes": case.window, "steps": case.steps or case.window, "dilations": (1,) * rank}
    pooled = window.max_pool(out, **pooling)
    above = b.rng.standard_normal(pooled.shape)
    if cotangent is not None:
        above.ravel()[:: above.size // 7] = cotangent
    above = elementwise.neg(b.data(above, case.dtype))
    ct = window.max_pool_gradient(out, above, **pooling)
    of_image, of_weights = contraction.conv.vjp(ct, out, image, w, **attrs)
    assert of_image is not None and of_weights is not None
    if case.padding:
        sizes = x.shape
        of_image = view.slice_(of_image, starts=around, sizes=sizes, steps=(1,) * len(sizes))
    zero = arithmetic.zeros_like(of_image)
    masked = elementwise.where(elementwise.le(x, zero), zero, of_image)
    return [pooled, backward(masked) if backward else masked], w - of_weights * 0.1


def routed(compiled: CompiledProgram) -> list[str]:
    """The gradients that are sums over winners."""
    found = [c for c in compiled.kernels if " of pointwise" in c.label]
    return sorted({c.label for c in found if "@sums(" in c.text or "@images(" in c.text})


@pytest.fixture
def always(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wherever there are such kernels, whether they pay or not."""
    monkeypatch.setattr(winners, "GAIN", 1e9)
    monkeypatch.setattr(winners, "LEAST_CYCLES", 0.0)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("name", CASES)
def test_against_the_reference(name: str, bits: int, always: None) -> None:
    case = CASES[name]
    b = Builder(name)
    results, updated = gradients(b, case)
    compiled = b.check(results, [(1, flat(updated))], tolerance=512.0, vector_bits=bits)
    plain = Forms(innermost=False)
    b.check(results, [(1, flat(updated))], tolerance=512.0, vector_bits=bits, forms=plain)
    if bits == WIDTHS[0] == 512:
        assert len(routed(compiled)) == 1 + case.images
        if case.images:
            assert not any(c.label.startswith("pointwise pool_scatter") for c in compiled.kernels)


@pytest.mark.parametrize(
    ("name", "given", "added"),
    [
        ("digits", True, True),
        ("padded", True, True),
        ("images left over", True, True),
        ("few images", False, True),
        ("blocks", True, True),
        ("outputs in passes", True, False),
        ("many images", False, True),
        ("windows that overlap", True, True),
        ("a line", True, True),
    ],
)
@pytest.mark.parametrize("bits", WIDTHS)
def test_a_second_layer(name: str, given: bool, added: bool, bits: int, always: None) -> None:
    """Images that lie with the batch innermost are handed on by rows if they fit the cache; sums
    are of halves of the images if these are many.
    """
    b = Builder(name)
    results, updated = gradients(b, CASES[name], second=True)
    compiled = b.check(results, [(2, flat(updated))], tolerance=4096.0, vector_bits=bits)
    texts = [c.text for c in compiled.kernels]
    if bits == WIDTHS[0] == 512:
        assert any("@given(" in text for text in texts) == given
        assert any("@added(" in text for text in texts) == added


@pytest.mark.parametrize("kind", ["ties", "nan"])
@pytest.mark.parametrize("name", SMALL)
def test_first_winners(name: str, kind: str, always: None) -> None:
    """Of equal numbers the first wins, NaN over all."""
    case = CASES[name]
    b = Builder(name)
    results, updated = gradients(b, case, kind)
    b.check([*results, updated] if kind == "ties" else results, tolerance=512.0)


@pytest.mark.parametrize("number", [np.inf, -np.inf, np.nan])
@pytest.mark.parametrize("name", SMALL)
def test_cotangents_that_are_not_finite(name: str, number: float, always: None) -> None:
    """The zeros around the weights bring no NaN where there is none."""
    b = Builder(name)
    results, updated = gradients(b, CASES[name], cotangent=number)
    with np.errstate(invalid="ignore"):
        b.check([*results, updated], tolerance=512.0)


@pytest.fixture
def threads() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize(
    "name", ["digits", "many images", "blocks", "images left over", "few images, none padded"]
)
def test_any_number_of_threads(name: str, threads: None, always: None) -> None:
    b = Builder(name)
    results, updated = gradients(b, CASES[name])
    program = b.program(results, [(1, flat(updated))])
    compiled = compile_program(program)
    outcomes = []
    for count in (1, 2, 5, 1):
        pool.set_num_threads(count)
        found, after, code = run(compiled, program, [a for _, a in b.bases], [])
        assert code == 0
        outcomes.append([array.tobytes() for array in (*found, *after)])
    assert all(outcome == outcomes[0] for outcome in outcomes)


def test_what_others_read_is_scattered(always: None) -> None:
    b = Builder("others")
    case = CASES["padded"]
    x, w = b.random((case.batch, 1, 10, 8, 8)), b.random((1, 6, 10, 3, 3))
    attrs = {"strides": (1, 1), "dilations": (1, 1)}
    out = contraction.conv(x, w, **attrs)
    pooling = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    pooled = window.max_pool(out, **pooling)
    ct = window.max_pool_gradient(out, elementwise.neg(b.random(pooled.shape)), **pooling)
    found = contraction.conv.vjp(ct, out, x, w, **attrs)
    wanted = [v for v in found if v is not None]
    b.check([ct, *wanted], tolerance=512.0)
    b.check([elementwise.tanh(ct), *wanted], tolerance=512.0)


def test_where_it_pays() -> None:
    """By the cost model: 5 x 5 kernels of ten channels, not those of one; not few products."""
    if WIDTHS[0] != 512:
        pytest.skip("the sizes are for vectors of 512 bits")
    found = {}
    for inside in (1, 10):
        b = Builder("digits")
        results, updated = gradients(b, Case((12, 12), (5, 5), batch=64, inside=inside, out=20))
        found[inside] = routed(b.check(results, [(1, flat(updated))], tolerance=512.0))
    assert len(found[10]) == 2
    assert not any("5x5] over" in label for label in found[1])
    b = Builder("few")
    results, updated = gradients(b, Case((6, 6), (3, 3), batch=4, inside=4, out=4))
    assert not routed(b.check(results, [(1, flat(updated))], tolerance=512.0))


def test_masks_go_before_scattering() -> None:
    """Those of a ReLU and of Dropout2d between the convolution and the pooling."""
    b = Builder("masks")
    x, w = b.random((32, 1, 3, 12, 12)), b.random((1, 16, 3, 5, 5))
    planes = b.random((32, 1, 16, 1, 1))
    attrs = {"strides": (1, 1), "dilations": (1, 1)}
    out = contraction.conv(x, w, **attrs)
    scale = arithmetic.expand(planes, out.shape)
    z = elementwise.mul(out, scale)
    zero = arithmetic.zeros_like(z)
    active = elementwise.le(z, zero)
    above = elementwise.where(active, zero, z)
    pooling = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    pooled = window.max_pool(above, **pooling)
    ct = window.max_pool_gradient(above, elementwise.tanh(pooled), **pooling)
    ct = elementwise.mul(elementwise.where(active, zero, ct), scale)
    _, gradient = contraction.conv.vjp(ct, out, x, w, **attrs)
    assert gradient is not None
    program = expand_primitives(simplify(b.program([pooled, gradient])))
    scattered = [v for v in program.nodes() if v.primitive.name == "pool_scatter"]
    assert len(scattered) == 1
    for v in program.nodes():
        if scattered[0] in v.inputs:
            assert v.primitive.name in ("permute", "conv", "reshape")
    compiled = b.check([pooled, gradient], tolerance=512.0)
    if WIDTHS[0] == 512:
        assert routed(compiled)
    b.check([pooled, gradient], tolerance=512.0, forms=Forms(pooled=False))
