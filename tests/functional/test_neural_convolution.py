"""Linear maps, convolutions, unfold and fold against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from test_neural_activation import F, assert_same, normal, pair

from flambeau.nn import functional as fc

pytestmark = pytest.mark.parity

LINEAR = [
    ((4,), True),
    ((3, 4), True),
    ((2, 3, 4), True),
    ((0, 4), True),
    ((4,), False),
    ((3, 4), False),
    ((2, 3, 4), False),
]


@pytest.mark.parametrize(("shape", "bias"), LINEAR)
def test_linear(shape: tuple[int, ...], bias: bool) -> None:
    operands = [normal(*shape), normal(5, 4), *([normal(5)] if bias else [])]
    assert_same(fc.linear, F.linear, operands, rtol=1e-4, atol=1e-5)


def test_bilinear_and_one_row() -> None:
    assert_same(fc.linear, F.linear, [normal(2, 4), normal(4)])
    assert_same(fc.bilinear, F.bilinear, [normal(3, 4), normal(3, 5), normal(2, 4, 5), normal(2)])
    assert_same(
        fc.bilinear, F.bilinear, [normal(3, 2, 4), normal(3, 2, 5), normal(2, 4, 5)], named=False
    )


CONVOLUTIONS: list[tuple[int, tuple[int, ...], tuple[int, ...], bool, dict[str, Any]]] = [
    (1, (2, 3, 9), (4, 3, 3), True, {}),
    (1, (3, 9), (4, 3, 3), True, {"padding": 1}),
    (1, (2, 4, 9), (4, 1, 3), False, {"groups": 4, "padding": "same", "dilation": 2}),
    (2, (2, 3, 7, 8), (4, 3, 3, 2), True, {}),
    (2, (2, 3, 8, 8), (4, 3, 3, 3), True, {"stride": 2, "padding": 1}),
    (2, (3, 8, 8), (4, 3, 3, 3), False, {"stride": [2, 1], "padding": (0, 2)}),
    (2, (2, 4, 7, 7), (6, 2, 3, 3), True, {"groups": 2, "dilation": (1, 2), "padding": "same"}),
    (2, (2, 4, 6, 6), (4, 1, 3, 3), True, {"groups": 4, "padding": "valid"}),
    (2, (0, 3, 6, 6), (4, 3, 3, 3), True, {}),
    (3, (1, 2, 4, 5, 4), (3, 2, 2, 3, 2), True, {"stride": (1, 2, 1), "padding": 1}),
]


@pytest.mark.parametrize(("rank", "x", "w", "bias", "options"), CONVOLUTIONS)
def test_convolution(rank: int, x: Any, w: Any, bias: bool, options: dict[str, Any]) -> None:
    operands = [normal(*x, dtype="float64"), normal(*w, dtype="float64")]
    operands += [normal(w[0], dtype="float64")] if bias else []
    name = f"conv{rank}d"
    assert_same(
        lambda *v: getattr(fc, name)(*v, **options),
        lambda *v: getattr(F, name)(*v, **options),
        operands,
    )


TRANSPOSED: list[tuple[int, tuple[int, ...], tuple[int, ...], bool, dict[str, Any]]] = [
    (1, (2, 3, 5), (3, 4, 3), True, {}),
    (1, (3, 5), (3, 2, 3), True, {"stride": 2, "padding": 3, "output_padding": 1}),
    (2, (2, 3, 4, 5), (3, 4, 3, 2), True, {"stride": 2, "padding": 1, "output_padding": 1}),
    (2, (2, 4, 4, 5), (4, 3, 3, 3), False, {"groups": 2, "dilation": 2, "stride": (3, 1)}),
    (3, (1, 2, 3, 2, 3), (2, 2, 2, 3, 2), True, {"stride": 2, "padding": (0, 1, 1)}),
]


@pytest.mark.parametrize(("rank", "x", "w", "bias", "options"), TRANSPOSED)
def test_transposed(rank: int, x: Any, w: Any, bias: bool, options: dict[str, Any]) -> None:
    operands = [normal(*x, dtype="float64"), normal(*w, dtype="float64")]
    operands += [normal(w[1] * options.get("groups", 1), dtype="float64")] if bias else []
    name = f"conv_transpose{rank}d"
    assert_same(
        lambda *v: getattr(fc, name)(*v, **options),
        lambda *v: getattr(F, name)(*v, **options),
        operands,
    )


BLOCKS: list[tuple[str, tuple[int, ...], tuple[Any, ...]]] = [
    ("unfold", (2, 3, 6, 7), (3,)),
    ("unfold", (3, 6, 7), ((2, 3), 2, 1, (1, 2))),
    ("fold", (2, 12, 16), ((5, 5), 2)),
    ("fold", (12, 9), ((4, 4), (2, 2), 1, 1, 2)),
]


@pytest.mark.parametrize(("name", "shape", "arguments"), BLOCKS)
def test_blocks(name: str, shape: tuple[int, ...], arguments: tuple[Any, ...]) -> None:
    assert_same(
        lambda x: getattr(fc, name)(x, *arguments),
        lambda x: getattr(F, name)(x, *arguments),
        [normal(*shape)],
    )


MISTAKES: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("linear features", lambda f, x: f.linear(x(3, 3), x(5, 4), x(5))),
    ("linear features 3-d", lambda f, x: f.linear(x(2, 3, 3), x(5, 4))),
    ("linear features 1-d", lambda f, x: f.linear(x(3), x(5, 4), x(5))),
    ("linear bias", lambda f, x: f.linear(x(3, 4), x(5, 4), x(6))),
    ("channels", lambda f, x: f.conv2d(x(1, 4, 5, 5), x(2, 3, 3, 3))),
    ("kernel too large", lambda f, x: f.conv2d(x(1, 3, 2, 2), x(2, 3, 3, 3))),
    ("rank", lambda f, x: f.conv2d(x(3, 2), x(2, 3, 3, 3))),
    ("bias", lambda f, x: f.conv2d(x(1, 3, 5, 5), x(2, 3, 3, 3), x(3))),
    (
        "same with stride",
        lambda f, x: f.conv2d(x(1, 3, 5, 5), x(2, 3, 3, 3), padding="same", stride=2),
    ),
    ("stride 0", lambda f, x: f.conv2d(x(1, 3, 5, 5), x(2, 3, 3, 3), stride=0)),
    ("padding -1", lambda f, x: f.conv2d(x(1, 3, 5, 5), x(2, 3, 3, 3), padding=-1)),
    ("strides", lambda f, x: f.conv2d(x(1, 3, 5, 5), x(2, 3, 3, 3), stride=(1, 2, 3))),
    ("groups", lambda f, x: f.conv2d(x(1, 4, 5, 5), x(3, 2, 3, 3), groups=2)),
    ("padding word", lambda f, x: f.conv2d(x(1, 3, 5, 5), x(2, 3, 3, 3), padding="full")),
    ("dilation 0", lambda f, x: f.conv2d(x(1, 3, 5, 5), x(2, 3, 3, 3), dilation=0)),
    ("groups 0", lambda f, x: f.conv2d(x(1, 3, 5, 5), x(2, 3, 3, 3), groups=0)),
    ("transposed channels", lambda f, x: f.conv_transpose2d(x(1, 4, 5, 5), x(3, 2, 3, 3))),
    (
        "output padding",
        lambda f, x: f.conv_transpose2d(x(1, 3, 5, 5), x(3, 2, 3, 3), output_padding=2),
    ),
    ("fold blocks", lambda f, x: f.fold(x(1, 12, 15), (5, 5), 2)),
    ("fold rows", lambda f, x: f.fold(x(1, 13, 16), (5, 5), 2)),
    ("unfold too large", lambda f, x: f.unfold(x(1, 3, 2, 2), 3)),
]


@pytest.mark.parametrize("mistake", [m for _, m in MISTAKES], ids=[n for n, _ in MISTAKES])
def test_mistakes_in_pytorch_words(mistake: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(Exception) as want:
        mistake(F, lambda *s: pair(normal(*s))[0])
    with pytest.raises(want.type) as have:
        mistake(fc, lambda *s: pair(normal(*s))[1])
    assert str(have.value) == str(want.value)


def test_dtypes_must_agree() -> None:
    with pytest.raises(RuntimeError, match="mat1 and mat2 must have the same dtype"):
        fc.linear(pair(normal(3, 4, dtype="float64"))[1], pair(normal(5, 4))[1])
    with pytest.raises(RuntimeError, match="expected scalar type Double but found Float"):
        fc.conv2d(pair(normal(1, 3, 5, 5, dtype="float64"))[1], pair(normal(2, 3, 3, 3))[1])


SHUFFLES = [
    ("pixel_shuffle", (2, 8, 3, 2), 2),
    ("pixel_unshuffle", (2, 4, 6), 2),
    ("channel_shuffle", (2, 6, 2, 3), 3),
]


@pytest.mark.parametrize(("name", "shape", "count"), SHUFFLES)
def test_shuffles(name: str, shape: tuple[int, ...], count: int) -> None:
    from flambeau.functional import channels

    def of(module: Any) -> Callable[[Any], Any]:
        return lambda x: getattr(module, name)(x, count)

    assert_same(of(channels), of(F), [normal(*shape)])
    with pytest.raises(RuntimeError) as want:
        getattr(F, name)(pair(normal(1, 5, 3, 3))[0], 2)
    with pytest.raises(RuntimeError) as have:
        getattr(channels, name)(pair(normal(1, 5, 3, 3))[1], 2)
    assert str(have.value) == str(want.value)


def test_the_public_names_and_signatures_are_those_of_pytorch() -> None:
    import inspect

    from flambeau.nn import functional

    for name in functional.__all__:
        theirs, mine = getattr(F, name), getattr(functional, name)
        try:
            wanted = inspect.signature(theirs).parameters
        except (TypeError, ValueError):
            continue  # written in C++, or dispatched on an argument
        if any(p.kind is p.VAR_POSITIONAL for p in wanted.values()):
            continue
        have = inspect.signature(mine).parameters
        assert list(have) == list(wanted), name
        for key, parameter in wanted.items():
            assert have[key].default == parameter.default, (name, key)
