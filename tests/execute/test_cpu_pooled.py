"""Convolutions whose results only a pooling reads, and gradients of weights below a pooling."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from against_reference import Builder, flat, run

from flambeau.core import dtypes
from flambeau.execute.cpu import pool
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.forms import Forms
from flambeau.execute.cpu.target import Target
from flambeau.ops import arithmetic, contraction, elementwise, reduction, view, window
from flambeau.ops.value import Value

WIDTHS = [bits for bits in (512, 256) if bits <= Target.host().vector_bits]


@dataclass(frozen=True)
class Case:
    """Images of `space` in a batch; `joint`, `picked`: whether kernels are shared, whether the
    gradient is made from the pooled cotangent.
    """

    space: tuple[int, ...]
    kernel: tuple[int, ...]
    window: tuple[int, ...]
    batch: int = 32
    inside: int = 1
    out: int = 10
    groups: int = 1
    padding: int = 0
    steps: tuple[int, ...] = ()
    joint: bool = True
    picked: bool = True


CASES = {
    "digits": Case((12, 12), (5, 5), (2, 2), batch=64),
    "padded": Case((8, 8), (3, 3), (2, 2), padding=1, out=16),
    "lanes left over": Case((8, 8), (3, 3), (2, 2), batch=19, out=7),
    "few images": Case((8, 8), (3, 3), (2, 2), batch=17, inside=3, out=5),
    "windows of three": Case((11, 11), (3, 3), (3, 3)),
    "flat windows": Case((10, 10), (3, 3), (1, 2)),
    "high windows": Case((10, 10), (3, 3), (2, 1)),
    "groups": Case((8, 8), (3, 3), (2, 2), inside=2, out=6, groups=2),
    "a line": Case((18,), (3,), (2,)),
    "one window": Case((4, 4), (3, 3), (2, 2), out=6, joint=False),
    "places left over": Case((9, 9), (3, 3), (2, 2), picked=False),
    "windows apart": Case((10, 10), (3, 3), (2, 2), steps=(3, 3), picked=False),
    "windows that overlap": Case((9, 9), (3, 3), (3, 3), steps=(2, 2), joint=False, picked=False),
    "many channels": Case((6, 6), (3, 3), (2, 2), inside=24, out=8),
    "rows of images": Case((14, 14), (3, 3), (2, 2), batch=36, inside=3, out=16),
    "too much for a window": Case((6, 6), (3, 3), (2, 2), batch=64, out=40, joint=False),
}


def network(b: Builder, case: Case, infinite: bool = False) -> tuple[list[Value], Value]:
    """(what is pooled and its cotangents, the updated weights, of which base 1 is the old ones)."""
    rank = len(case.space)
    images = b.rng.standard_normal((case.batch, case.groups, case.inside, *case.space))
    if infinite:
        images.ravel()[::97] = np.inf
        images.ravel()[::53] = np.nan
    x = b.data(images.astype(np.float32), dtypes.float32)
    w = b.random((case.groups, case.out, case.inside, *case.kernel))
    bias = b.random((case.groups, case.out, *[1] * rank))
    around = (0, 0, 0, *[case.padding] * rank)
    padded = view.pad(x, low=around, high=around, interior=(0,) * (3 + rank), value=0)
    ones = (1,) * rank
    attrs = {"strides": ones, "dilations": ones}
    made = contraction.conv(padded if case.padding else x, w, **attrs)
    out = made + arithmetic.expand(bias, made.shape)
    pooling = {"sizes": case.window, "steps": case.steps or case.window, "dilations": ones}
    pooled = window.max_pool(out, **pooling)
    zero = arithmetic.zeros_like(pooled)
    active = elementwise.where(elementwise.le(pooled, zero), zero, pooled)
    ct = window.max_pool_gradient(out, elementwise.tanh(active) * 0.5, **pooling)
    _, gradient = contraction.conv.vjp(ct, made, padded if case.padding else x, w, **attrs)
    assert gradient is not None
    return [active, reduction.sum_(active, axes=(0,))], w - gradient * 0.1


def shared(compiled: CompiledProgram) -> tuple[bool, bool]:
    """(whether a convolution shares its pooling's kernel, whether winners are picked)."""
    labels = [code.label for code in compiled.kernels]
    return any(" in pointwise" in n for n in labels), any(" of pointwise" in n for n in labels)


@pytest.mark.parametrize("bits", WIDTHS)
@pytest.mark.parametrize("name", CASES)
def test_against_the_reference(name: str, bits: int) -> None:
    case = CASES[name]
    b = Builder(name)
    results, updated = network(b, case)
    compiled = b.check(results, [(1, flat(updated))], tolerance=512.0, vector_bits=bits)
    if bits == WIDTHS[0] == 512:
        assert shared(compiled) == (case.joint, case.picked)
    b.check(results, [(1, flat(updated))], tolerance=512.0, forms=Forms(pooled=False))
    b.check(results, [(1, flat(updated))], tolerance=512.0, forms=Forms(innermost=False))


def test_what_is_pooled_is_kept_where_two_kernels_need_it() -> None:
    """Not what was pooled: it would have to be computed and kept for the second one."""
    b = Builder()
    x, w = b.random((32, 1, 1, 12, 12)), b.random((1, 10, 1, 5, 5))
    ones = (1, 1)
    made = contraction.conv(x, w, strides=ones, dilations=ones)
    pooled = window.max_pool(made, sizes=(2, 2), steps=(2, 2), dilations=ones)
    ct = contraction.dot(b.random((32, 24)), b.random((24, 160)))
    slope = elementwise.exp(pooled) * view.reshape(ct, shape=pooled.shape)
    compiled = b.check([elementwise.tanh(pooled), slope], tolerance=512.0)
    if WIDTHS[0] == 512:
        assert shared(compiled)[0]


@pytest.mark.parametrize(
    ("batch", "out", "infinite"), [(32, 16, False), (19, 7, False), (19, 7, True)]
)
def test_what_is_made_of_a_pooling_has_a_pass_of_its_own(
    batch: int, out: int, infinite: bool
) -> None:
    """The window is gone through twice: for what is pooled and the winners' places, and for what
    is computed from the former alone.
    """
    b = Builder(f"{batch} {out}")
    images = b.rng.standard_normal((batch, 1, 1, 8, 10)).astype(np.float32)
    if infinite:
        images.ravel()[::97] = np.inf
        images.ravel()[::53] = np.nan
    ones = {"strides": (1, 1), "dilations": (1, 1)}
    made = contraction.conv(b.data(images, dtypes.float32), b.random((1, out, 1, 3, 3)), **ones)
    pooling = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    pooled = window.max_pool(made, **pooling)
    negative = elementwise.where(arithmetic.gt(pooled, 0), arithmetic.zeros_like(pooled), pooled)
    unit = elementwise.where(arithmetic.gt(pooled, 0), pooled, elementwise.expm1(negative))
    places = window.max_pool_index(made, **pooling)
    compiled = b.check([pooled, unit, places], tolerance=64.0)
    texts = [k.text for k in compiled.kernels if " in pointwise" in k.label]
    if WIDTHS[0] == 512:
        (text,) = texts
        between = text[text.rindex("fcmp ord") : text.rindex("@llvm.fma")]
        assert between.count("phi i64") >= 2  # the loops of the second pass


@pytest.fixture
def threads() -> Iterator[None]:
    before = pool.get_num_threads()
    yield
    pool.set_num_threads(before)


@pytest.mark.parametrize("infinite", [False, True])
def test_any_number_of_threads(threads: None, infinite: bool) -> None:
    """Also with infinities and NaN, which win and spread as in the reference executor."""
    case = Case((20, 20), (5, 5), (2, 2), batch=32, out=10)
    b = Builder("threads")
    results, updated = network(b, case, infinite)
    program = b.program(results, [])
    if not infinite:
        program = b.program(results, [(1, flat(updated))])
    compiled = compile_program(program)
    assert compiled.parallel
    outcomes = []
    for count in (1, 2, 3, 1):
        pool.set_num_threads(count)
        found, after, code = run(compiled, program, [a for _, a in b.bases], [])
        assert code == 0
        outcomes.append([array.tobytes() for array in (*found, *after)])
    assert all(outcome == outcomes[0] for outcome in outcomes)
    if infinite:
        with np.errstate(invalid="ignore"):
            b.check(results, tolerance=512.0)


def test_what_others_read_is_stored() -> None:
    """A convolution's results that are wanted, and a scattered cotangent that is."""
    b = Builder("others")
    x, w = b.random((32, 1, 2, 8, 8)), b.random((1, 6, 2, 3, 3))
    out = contraction.conv(x, w, strides=(1, 1), dilations=(1, 1))
    pooling = {"sizes": (2, 2), "steps": (2, 2), "dilations": (1, 1)}
    pooled = window.max_pool(out, **pooling)
    ct = window.max_pool_gradient(out, elementwise.tanh(pooled), **pooling)
    attrs = {"strides": (1, 1), "dilations": (1, 1)}
    _, gradient = contraction.conv.vjp(ct, out, x, w, **attrs)
    assert gradient is not None
    compiled = b.check([out, pooled, ct, gradient], tolerance=512.0)
    assert shared(compiled) == (False, False)


def test_weights_that_change_meanwhile() -> None:
    """The convolution reads what its weights were before their update in the same program."""
    b = Builder("meanwhile")
    x, w = b.random((32, 1, 1, 8, 8)), b.random((1, 6, 1, 3, 3))
    out = contraction.conv(x, w, strides=(1, 1), dilations=(1, 1))
    pooled = window.max_pool(out, sizes=(2, 2), steps=(2, 2), dilations=(1, 1))
    less = reduction.sum_(pooled, axes=(0, 3, 4))
    step = arithmetic.expand(view.reshape(less, shape=(1, 6, 1, 1, 1)), w.shape)
    compiled = b.check([pooled], [(1, flat(w - step * 0.01))], tolerance=512.0)
    assert shared(compiled)[0] or WIDTHS[0] != 512
