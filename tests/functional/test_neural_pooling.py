"""Pooling against PyTorch: values, indices and both orders of derivatives."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from test_neural_activation import F, assert_close, assert_same, normal, pair, torch

from flambeau.nn import functional as fp

pytestmark = pytest.mark.parity

POOLS: list[tuple[str, tuple[int, ...], tuple[Any, ...], dict[str, Any]]] = [
    ("max_pool1d", (2, 3, 9), (2,), {}),
    ("max_pool1d", (3, 9), (3, 2, 1), {"ceil_mode": True}),
    ("max_pool2d", (2, 3, 8, 8), (2,), {}),
    ("max_pool2d", (3, 9, 8), ([3, 2], [2, 3], [1, 0]), {}),
    ("max_pool2d", (2, 3, 9, 8), (3, 2, 1), {"dilation": 2, "ceil_mode": True}),
    ("max_pool2d", (0, 3, 9, 8), (3,), {}),
    ("max_pool3d", (2, 2, 4, 5, 6), (2, (1, 2, 3), 1), {}),
    ("avg_pool1d", (2, 3, 9), (2,), {}),
    ("avg_pool1d", (3, 9), (3, 2, 1), {"ceil_mode": True}),
    ("avg_pool2d", (2, 3, 8, 8), (2,), {}),
    ("avg_pool2d", (2, 3, 9, 7), (2,), {}),
    ("avg_pool2d", (3, 9, 8), ((3, 2), 2, (1, 1)), {"count_include_pad": False}),
    ("avg_pool2d", (2, 3, 8, 8), (3, 2, 1), {"ceil_mode": True}),
    ("avg_pool2d", (2, 3, 8, 8), (3, 2, 1), {"ceil_mode": True, "count_include_pad": False}),
    ("avg_pool2d", (2, 3, 8, 8), (3, 2, 1), {"divisor_override": 5}),
    ("avg_pool3d", (2, 2, 4, 5, 6), (2, (1, 2, 3), 1), {"count_include_pad": False}),
    ("lp_pool1d", (2, 3, 9), (2.0, 3), {}),
    ("lp_pool2d", (2, 3, 8, 8), (2.0, 2), {"stride": 1}),
    ("adaptive_avg_pool1d", (2, 3, 9), (4,), {}),
    ("adaptive_avg_pool2d", (2, 3, 8, 8), (1,), {}),
    ("adaptive_avg_pool2d", (2, 3, 8, 8), ((2, 4),), {}),
    ("adaptive_avg_pool2d", (3, 8, 7), ((None, 3),), {}),
    ("adaptive_avg_pool2d", (3, 3, 4), (7,), {}),
    ("adaptive_avg_pool3d", (2, 2, 4, 5, 6), ((2, 3, 4),), {}),
    ("adaptive_max_pool1d", (2, 3, 9), (4,), {}),
    ("adaptive_max_pool2d", (2, 3, 8, 8), (2,), {}),
    ("adaptive_max_pool2d", (3, 8, 7), ((5, 3),), {}),
    ("adaptive_max_pool3d", (2, 2, 4, 5, 6), ((2, 3, 4),), {}),
]


@pytest.mark.parametrize(("name", "shape", "arguments", "options"), POOLS)
def test_pools(name: str, shape: Any, arguments: Any, options: dict[str, Any]) -> None:
    data = normal(*shape, dtype="float64")
    data = np.abs(data) if "lp" in name else data

    def of(functional: Any, **more: Any) -> Callable[[Any], Any]:
        return lambda x: getattr(functional, name)(x, *arguments, **options, **more)

    assert_same(of(fp), of(F), [data])
    if "max" in name:
        rounded = np.round(data)  # ties: the first largest element wins
        assert_same(
            of(fp, return_indices=True), of(F, return_indices=True), [rounded], second=False
        )


def test_maximum_of_infinities_integers_and_halves() -> None:
    lowest = np.full((1, 1, 4, 4), -np.inf, np.float32)
    t, m = pair(lowest, False)
    want, have = (
        F.max_pool2d(t, 3, 2, 1, return_indices=True),
        fp.max_pool2d(m, 3, 2, 1, return_indices=True),
    )
    assert_close(have[0], want[0])
    assert_close(have[1], want[1])
    t, m = pair(np.arange(32).reshape(2, 1, 4, 4) * -1)
    assert_close(fp.max_pool2d(m, 3, 2, 1), F.max_pool2d(t, 3, 2, 1))
    t, m = pair(np.array([[[1, np.nan, 3, 4]]], np.float32), False)
    assert_close(fp.max_pool1d(m, 2), F.max_pool1d(t, 2))
    t, m = pair(normal(1, 2, 6, 6).astype(np.float16), False)
    assert_close(fp.avg_pool2d(m, 3), F.avg_pool2d(t, 3), 1e-3, 1e-3)


UNPOOLS: list[tuple[str, tuple[int, ...], tuple[Any, ...], Any]] = [
    ("1d", (2, 3, 8), (2,), None),
    ("2d", (2, 3, 8, 8), (2,), None),
    ("2d", (3, 9, 8), (3, 2), (9, 8)),
    ("3d", (1, 2, 4, 4, 4), (2,), None),
]


@pytest.mark.parametrize(("rank", "shape", "arguments", "size"), UNPOOLS)
def test_unpool(rank: str, shape: Any, arguments: Any, size: Any) -> None:
    t, _ = pair(normal(*shape))
    values, indices = getattr(F, f"max_pool{rank}")(t, *arguments, return_indices=True)
    if arguments == (3, 2):  # overlapping windows: a shared maximum has one place
        values = values.detach()

    def of(functional: Any) -> Callable[[Any, Any], Any]:
        return lambda x, i: getattr(functional, f"max_unpool{rank}")(
            x, i, *arguments, output_size=size
        )

    needs_unique = values.detach().numpy()
    assert_same(of(fp), of(F), [needs_unique, indices.numpy()], second=arguments != (3, 2))


MISTAKES: list[tuple[str, Callable[[Any, Any], Any]]] = [
    ("padding", lambda f, x: f.max_pool2d(x(1, 2, 4, 4), 2, padding=2)),
    ("rank", lambda f, x: f.max_pool2d(x(4, 4), 2)),
    ("too small", lambda f, x: f.max_pool2d(x(1, 2, 1, 1), 2)),
    ("mean padding", lambda f, x: f.avg_pool2d(x(1, 2, 4, 4), 2, padding=2)),
    ("mean too small", lambda f, x: f.avg_pool2d(x(1, 2, 1, 1), 2)),
    ("1-d too small", lambda f, x: f.max_pool1d(x(1, 2, 1), 2)),
    ("divisor", lambda f, x: f.avg_pool2d(x(1, 2, 4, 4), 2, divisor_override=0)),
    ("stride", lambda f, x: f.max_pool2d(x(1, 2, 4, 4), 2, stride=0)),
    ("adaptive rank", lambda f, x: f.adaptive_avg_pool2d(x(4, 4), 2)),
    ("1-d mean rank", lambda f, x: f.avg_pool1d(x(4), 2)),
    ("1-d rank", lambda f, x: f.max_pool1d(x(4), 2)),
    ("1-d padding", lambda f, x: f.max_pool1d(x(1, 1, 4), 2, padding=2)),
    ("3-d rank", lambda f, x: f.max_pool3d(x(4, 4), 2)),
    ("1-d mean too small", lambda f, x: f.avg_pool1d(x(1, 1, 1), 2)),
]


@pytest.mark.parametrize("mistake", [m for _, m in MISTAKES], ids=[n for n, _ in MISTAKES])
def test_mistakes_in_pytorch_words(mistake: Callable[[Any, Any], Any]) -> None:
    with pytest.raises(Exception) as want:
        mistake(F, lambda *s: pair(normal(*s))[0])
    with pytest.raises(want.type) as have:
        mistake(fp, lambda *s: pair(normal(*s))[1])
    assert str(have.value) == str(want.value)


def test_an_index_outside_the_output_is_refused() -> None:
    x, i = pair(normal(1, 1, 2, 2))[1], pair(np.full((1, 1, 2, 2), 99))[1]
    with pytest.raises(RuntimeError, match="Found an invalid max index"):
        fp.max_unpool2d(x, i, 2).tolist()
    assert torch is not None
