"""Activations, softmax and norms against PyTorch: values, strides, grad_fn, two derivatives."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import pytest

from flambeau.autograd.engine import grad
from flambeau.core import dtypes
from flambeau.nn import functional as fa
from flambeau.tensor.tensor import Tensor, from_array

torch = pytest.importorskip("torch")
F = torch.nn.functional
pytestmark = pytest.mark.parity
RNG = np.random.default_rng(7)


def pair(array: Any, needs_grad: bool = True) -> tuple[Any, Any]:
    """The same data as a PyTorch and a Flambeau tensor."""
    array = np.asarray(array)
    mine = from_array(np.array(array, order="C"), dtypes.BY_NAME[array.dtype.name])
    theirs = torch.from_numpy(np.array(array)).reshape(array.shape)
    if needs_grad and array.dtype.kind == "f":
        return theirs.requires_grad_(), mine.requires_grad_()
    return theirs, mine


def numbers(result: Any) -> Any:
    return result._values() if isinstance(result, Tensor) else result.detach().numpy(force=True)


def assert_close(mine: Any, theirs: Any, rtol: float = 2e-5, atol: float = 2e-6) -> None:
    assert str(theirs.dtype).removeprefix("torch.") == mine.dtype.name
    assert tuple(mine.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(numbers(mine), numbers(theirs), rtol=rtol, atol=atol)


def assert_same(
    mine: Callable[..., Any],
    theirs: Callable[..., Any],
    operands: Sequence[Any],
    *,
    second: bool = True,
    named: bool = True,
    rtol: float = 2e-5,
    atol: float = 2e-6,
) -> None:
    """Two functions of the same operands agree in everything a program can see."""
    pairs = [pair(a) if isinstance(a, np.ndarray) else (a, a) for a in operands]
    want = theirs(*[t for t, _ in pairs])
    have = mine(*[m for _, m in pairs])
    wants, haves = (want, have) if isinstance(want, tuple) else ((want,), (have,))
    for w, h in zip(wants, haves, strict=True):
        assert_close(h, w, rtol, atol)
        if w.numel() > 1:
            assert tuple(h.stride()) == tuple(w.stride())
    want, have = wants[0], haves[0]
    assert have.requires_grad == want.requires_grad
    if not want.requires_grad:
        return
    if named:
        assert have.grad_fn.name() == type(want.grad_fn).__name__
    ct = RNG.standard_normal(want.shape).astype(numbers(want).dtype)
    leaves = [(t, m) for t, m in pairs if isinstance(t, torch.Tensor) and t.requires_grad]
    wct, hct = pair(ct, needs_grad=second)
    want_grads = torch.autograd.grad(
        want, [t for t, _ in leaves], wct, create_graph=second, allow_unused=True
    )
    have_grads = grad([have], [m for _, m in leaves], [hct], create_graph=second, allow_unused=True)
    for w, h in zip(want_grads, have_grads, strict=True):
        assert (w is None) == (h is None)
        if w is not None:
            assert_close(h, w, rtol * 5, atol * 5)
    if second:
        assert_second_order(want_grads, have_grads, [*leaves, (wct, hct)], rtol, atol)


def assert_second_order(
    want_grads: Any, have_grads: Any, leaves: list[tuple[Any, Any]], rtol: float, atol: float
) -> None:
    outs = [
        (w, h)
        for w, h in zip(want_grads, have_grads, strict=True)
        if w is not None and w.requires_grad
    ]
    cts = [pair(RNG.standard_normal(w.shape).astype(numbers(w).dtype), False) for w, _ in outs]
    if not outs:
        return
    want = torch.autograd.grad(
        [w for w, _ in outs], [t for t, _ in leaves], [w for w, _ in cts], allow_unused=True
    )
    have = grad(
        [h for _, h in outs], [m for _, m in leaves], [h for _, h in cts], allow_unused=True
    )
    for (leaf, _), w, h in zip(leaves, want, have, strict=True):
        zero = torch.zeros_like(leaf)
        want_values = numbers(zero if w is None else w)
        have_values = np.zeros(want_values.shape) if h is None else numbers(h)
        np.testing.assert_allclose(have_values, want_values, rtol=rtol * 50, atol=atol * 50)


def normal(*shape: int, dtype: str = "float32", scale: float = 1.0) -> Any:
    return np.asarray(RNG.standard_normal(shape) * scale, dtype)


ELEMENTWISE: list[tuple[str, tuple[Any, ...]]] = [
    ("relu", ()),
    ("relu6", ()),
    ("leaky_relu", ()),
    ("leaky_relu", (0.3,)),
    ("elu", ()),
    ("elu", (0.7,)),
    ("selu", ()),
    ("celu", ()),
    ("celu", (1.7,)),
    ("gelu", ()),
    ("silu", ()),
    ("mish", ()),
    ("hardtanh", ()),
    ("hardtanh", (-0.3, 0.8)),
    ("hardsigmoid", ()),
    ("hardswish", ()),
    ("hardshrink", ()),
    ("hardshrink", (0.9,)),
    ("softshrink", ()),
    ("softshrink", (0.9,)),
    ("tanhshrink", ()),
    ("softplus", ()),
    ("softplus", (2.0, 3.0)),
    ("softsign", ()),
    ("logsigmoid", ()),
    ("threshold", (0.2, 1.5)),
    ("rrelu", ()),
    ("sigmoid", ()),
    ("tanh", ()),
]


def both(name: str, arguments: tuple[Any, ...]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def mine(x: Any) -> Any:
        return getattr(fa, name)(x, *arguments)

    def theirs(x: Any) -> Any:
        return getattr(F, name)(x, *arguments)

    return mine, theirs


@pytest.mark.parametrize(("name", "arguments"), ELEMENTWISE)
@pytest.mark.parametrize("shape", [(), (0, 3), (4, 5)])
def test_elementwise(name: str, arguments: tuple[Any, ...], shape: tuple[int, ...]) -> None:
    scale = 3.0
    second = name != "hardsigmoid"  # PyTorch has no second derivative of it
    assert_same(
        *both(name, arguments), [normal(*shape, dtype="float64", scale=scale)], second=second
    )
    assert_same(*both(name, arguments), [normal(*shape, scale=scale)], second=False)


def test_gelu_tanh() -> None:
    assert_same(
        lambda x: fa.gelu(x, approximate="tanh"),
        lambda x: F.gelu(x, approximate="tanh"),
        [normal(4, 5, scale=2)],
    )


# Where derivatives jump, where exponentials overflow, and what is no number.
SPECIAL = np.array(
    [-3, 3, 0, 6, -1, 1, 0.5, -0.5, 20, 200, -200, np.inf, -np.inf, np.nan], np.float32
)
OVERFLOWING = {"gelu", "mish", "silu", "hardswish", "softsign", "logsigmoid"}


@pytest.mark.parametrize(("name", "arguments"), ELEMENTWISE)
def test_elementwise_at_special_places(name: str, arguments: tuple[Any, ...]) -> None:
    points = SPECIAL[:-3] if name in OVERFLOWING else SPECIAL[:-1]
    mine, theirs = both(name, arguments)
    assert_same(mine, theirs, [points], second=False)
    nan = from_array(np.array([np.nan], np.float32), dtypes.float32)
    expected = numbers(theirs(torch.tensor([math.nan])))
    np.testing.assert_array_equal(numbers(mine(nan)), expected)


@pytest.mark.parametrize(("name", "arguments"), ELEMENTWISE)
def test_elementwise_keeps_memory_order_and_halves(name: str, arguments: tuple[Any, ...]) -> None:
    mine, theirs = both(name, arguments)
    data = normal(3, 4, 5)
    storage = from_array(data, dtypes.float32)
    from flambeau.record.recorder import alias

    swapped = alias(storage, storage._meta.replaced(shape=(5, 4, 3), strides=(1, 5, 20)), 0)
    want = theirs(torch.from_numpy(data).permute(2, 1, 0))
    have = mine(swapped)
    assert tuple(have.stride()) == want.stride()
    np.testing.assert_allclose(have._values(), want.numpy(), rtol=2e-5, atol=2e-6)
    half = data.astype(np.float16)
    assert_close(mine(from_array(half, dtypes.float16)), theirs(torch.from_numpy(half)), 2e-3, 2e-3)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        (n, a)
        for n, a in ELEMENTWISE
        if n in "leaky_relu elu hardswish mish silu relu6 threshold".split()
    ],
)
def test_in_place(name: str, arguments: tuple[Any, ...]) -> None:
    t, m = pair(normal(3, 4))
    want = getattr(F, name)(t * 1, *arguments, inplace=True)
    from flambeau.functional.pointwise import mul

    have = getattr(fa, name)(mul(m, 1), *arguments, inplace=True)
    assert_close(have, want)
    assert have.grad_fn.name() == type(want.grad_fn).__name__
    ct, mct = pair(normal(3, 4), False)
    want.backward(ct)
    have.backward(mct)
    assert_close(m.grad, t.grad)


REFUSED: list[tuple[str, tuple[Any, ...]]] = [
    ("leaky_relu", ()),
    ("elu", ()),
    ("gelu", ()),
    ("silu", ()),
    ("mish", ()),
    ("hardsigmoid", ()),
    ("hardswish", ()),
    ("hardshrink", ()),
    ("softplus", ()),
    ("logsigmoid", ()),
    ("softmax", (1,)),
    ("softmax", (0,)),
    ("log_softmax", (1,)),
    ("glu", ()),
    ("normalize", ()),
]


@pytest.mark.parametrize(("name", "arguments"), REFUSED)
def test_integers_are_refused_in_pytorch_words(name: str, arguments: tuple[Any, ...]) -> None:
    t, m = pair(np.arange(8).reshape(2, 4))
    with pytest.raises(RuntimeError) as want:
        getattr(F, name)(t, *arguments)
    with pytest.raises(want.type) as have:
        getattr(fa, name)(m, *arguments)
    assert str(have.value) == str(want.value)


MISTAKES: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("glu of an odd extent", lambda f, x: f.glu(x(3, 5))),
    ("glu of a scalar", lambda f, x: f.glu(x())),
    ("softmax of a missing dim", lambda f, x: f.softmax(x(3, 4), 5)),
    ("prelu with other channels", lambda f, x: f.prelu(x(3, 4), x(5))),
    ("gelu of no kind", lambda f, x: f.gelu(x(3), approximate="exact")),
    ("softshrink below zero", lambda f, x: f.softshrink(x(3), -1.0)),
    ("rrelu with crossed bounds", lambda f, x: f.rrelu(x(3), 0.5, 0.1)),
    ("celu without alpha", lambda f, x: f.celu(x(3), 0.0)),
    ("hardtanh with crossed bounds", lambda f, x: f.hardtanh(x(3), 1.0, 0.0)),
    ("relu of a list", lambda f, x: f.relu([1])),
]


@pytest.mark.parametrize("mistake", [m for _, m in MISTAKES], ids=[n for n, _ in MISTAKES])
def test_mistakes_in_pytorch_words(mistake: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(Exception) as want:
        mistake(F, lambda *s: pair(normal(*s))[0])
    with pytest.raises(want.type) as have:
        mistake(fa, lambda *s: pair(normal(*s))[1])
    assert str(have.value) == str(want.value)


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
@pytest.mark.parametrize(
    ("shape", "dim"), [((), 0), ((5,), 0), ((3, 4), 1), ((3, 4), 0), ((2, 3, 4), -2), ((2, 0), 1)]
)
def test_softmax(name: str, shape: tuple[int, ...], dim: int) -> None:
    def of(functional: Any) -> Callable[[Any], Any]:
        return lambda x: getattr(functional, name)(x, dim)

    assert_same(of(fa), of(F), [normal(*shape, dtype="float64", scale=4)])
    assert_same(of(fa), of(F), [normal(*shape, scale=30)], second=False)


def test_softmax_of_infinities_and_in_another_dtype() -> None:
    rows = np.array([[0, -np.inf, 2], [-np.inf] * 3, [1, np.nan, 2], [1e30, 0, -1e30]], np.float32)
    assert_same(lambda x: fa.softmax(x, 1), lambda x: F.softmax(x, 1), [rows], second=False)
    t, m = pair(np.arange(6).reshape(2, 3))
    assert_close(fa.softmax(m, 1, dtype=dtypes.float64), F.softmax(t, 1, dtype=torch.float64))
    with pytest.warns(UserWarning, match="Implicit dimension choice for softmax"):
        fa.softmax(pair(normal(2, 3))[1])


VECTORS: list[tuple[str, Callable[..., Any], list[Any]]] = [
    ("prelu channels", lambda f, x, w: f.prelu(x, w), [normal(2, 3, 4), normal(3)]),
    ("prelu one", lambda f, x, w: f.prelu(x, w), [normal(2, 3, 4), normal(1)]),
    ("glu", lambda f, x: f.glu(x), [normal(3, 6)]),
    ("glu first", lambda f, x: f.glu(x, 0), [normal(4, 3, 2)]),
    ("normalize", lambda f, x: f.normalize(x), [normal(3, 4)]),
    ("normalize p=1", lambda f, x: f.normalize(x, p=1.0, dim=0), [normal(3, 4)]),
    ("normalize p=3", lambda f, x: f.normalize(x, p=3.0, dim=-1), [normal(3, 4)]),
    ("cosine", lambda f, x, y: f.cosine_similarity(x, y), [normal(3, 4), normal(3, 4)]),
    ("cosine dim", lambda f, x, y: f.cosine_similarity(x, y, dim=0), [normal(3, 4), normal(1, 4)]),
    ("distance", lambda f, x, y: f.pairwise_distance(x, y), [normal(3, 4), normal(3, 4)]),
    (
        "distance p=1",
        lambda f, x, y: f.pairwise_distance(x, y, p=1.0, keepdim=True),
        [normal(3, 4), normal(4)],
    ),
]


@pytest.mark.parametrize(
    ("function", "operands"), [v[1:] for v in VECTORS], ids=[v[0] for v in VECTORS]
)
def test_vectors(function: Callable[..., Any], operands: list[Any]) -> None:
    assert_same(
        lambda *v: function(fa, *v),
        lambda *v: function(F, *v),
        [o.astype(np.float64) for o in operands],
    )


def test_normalize_of_zero_has_a_finite_derivative() -> None:
    rows = np.array([[0, 0, 0], [3, 0, 4]], np.float32)
    assert_same(lambda x: fa.normalize(x), lambda x: F.normalize(x), [rows], second=False)
