"""Strides of elementwise results and copies, those of axes of one element included: what they are
decides how a result lies that they are broadcast into. Operands are views of views, and of other
dtypes, as a random generator makes them.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

import flambeau

pytestmark = pytest.mark.parity

VIEWS: tuple[Callable[[Any], Any], ...] = (
    lambda x: x[None],
    lambda x: x.unsqueeze(-1),
    lambda x: x.unsqueeze(1),
    lambda x: x.transpose(0, -1),
    lambda x: x.permute(*range(x.dim() - 1, -1, -1)),
    lambda x: x[:1],
    lambda x: x[..., :1],
    lambda x: x[..., ::2],
    lambda x: x.squeeze(0) if x.dim() > 1 else x,
    lambda x: x.expand(2, *x.shape),
)
# x is of float32, y of any dtype; t is the library, F nn.functional.
RESULTS = """
-x
x.exp()
y.sin()
y.abs()
x + y
x - y
y * x
y / y.transpose(0, -1)
x * 2
2 - x
y + 2.5
y / 2
x % 3
x // 2
x ** 2
2.0 ** x
t.pow(x, y)
x.add(1, alpha=2)
t.add(x, y, alpha=2)
x > 1
x < y
y < x
x == y
t.logical_or(x, y)
~(x > 0)
t.minimum(x, y)
t.maximum(y, x)
t.atan2(x, y)
t.remainder(x, y)
t.div(x, y, rounding_mode="floor")
t.where(x > 1, x, 0.0)
t.where(y > 0, x, y)
t.lerp(x, x, 0.5)
x.clamp(1, 2)
x.clamp(min=x)
x.masked_fill(x > 1, 2.0)
x.relu()
x.isnan()
F.gelu(x)
F.elu(x)
F.hardtanh(x)
F.relu6(x)
F.softplus(x)
F.threshold(x, 1.0, 0.0)
F.dropout(x, 0.5)
F.alpha_dropout(x, 0.5, True)
x.clone()
x.double()
y.float()
y.int()
x.contiguous()
x.nan_to_num()
t.zeros_like(y)
t.empty_like(x)
t.rand_like(x)
x.clone().add_(1)
x.flip(0)
x.sort(0)[0]
x.argsort(0)
x.sum(0, keepdim=True)
x.softmax(-1)
x.cumsum(0)
""".strip().splitlines()


def operands(library: Any, draw: random.Random) -> tuple[Any, Any]:
    shape = [draw.choice([1, 1, 2, 3]) for _ in range(draw.choice([1, 2, 2, 3]))]
    found = []
    for _ in range(2):
        x = library.arange(float(math.prod(shape))).reshape(shape)
        for _ in range(draw.randrange(4)):
            x = draw.choice(VIEWS)(x)
        found.append(x)
    dtype = draw.choice(["float32", "float32", "float64", "int64", "int32", "bool"])
    return found[0], found[1].to(getattr(library, dtype))


@pytest.mark.parametrize("text", RESULTS)
def test_strides(text: str) -> None:
    compared = 0
    for seed in range(60):
        results = []
        for library in (torch, flambeau):
            x, y = operands(library, random.Random(seed))
            names = {"x": x, "y": y, "t": library, "F": library.nn.functional}
            try:
                results.append(tuple(eval(text, names).stride()))
            except (RuntimeError, IndexError):
                results.append(("error",))
        assert results[0] == results[1], (seed, results)
        compared += results[0] != ("error",)
    assert compared > 5


EMPTY_SHAPES = [
    *((0,), (2, 0), (0, 3), (0, 0), (2, 0, 3), (0, 2, 3), (2, 3, 4, 0), (0, 3, 4, 5)),
    *((2, 0, 4, 5), (2, 3, 0, 5), (1, 0, 1, 1), (2, 0, 1, 3), (0, 0, 2, 2)),
]
EMPTY_LAYOUTS: tuple[Callable[[Any, Any], Any], ...] = (
    lambda t, s: t.ones(s),
    lambda t, s: t.ones(s[::-1]).permute(*range(len(s) - 1, -1, -1)),
    lambda t, s: t.ones((*s[1:], s[0])).movedim(-1, 0),
    lambda t, s: t.ones(1).expand(s),
    lambda t, s: t.ones(tuple(2 * n for n in s))[tuple(slice(None, None, 2) for _ in s)],
)
EMPTY_RESULTS = """
x.contiguous()
x.clone()
x.to(t.float64)
-x
x + 1
x + x
x + t.ones(x.shape)
x + t.ones(x.shape[-1:])
t.where(x > 0, x, x)
t.zeros_like(x)
t.rand_like(x)
x.sum(-1, keepdim=True)
x.softmax(0)
x.sort(0)[0]
x.flip(0)
x.roll(1, 0)
t.cat([x, x])
x.contiguous(memory_format=t.channels_last)
x.clone(memory_format=t.channels_last)
x.is_contiguous(), x.is_contiguous(memory_format=t.channels_last)
x.contiguous(memory_format=t.channels_last).is_contiguous(memory_format=t.channels_last)
""".strip().splitlines()


@pytest.mark.parametrize("text", EMPTY_RESULTS)
def test_nothing(text: str) -> None:
    """Results without elements."""
    for shape in EMPTY_SHAPES if "channels_last" not in text else EMPTY_SHAPES[6:]:
        for number, layout in enumerate(EMPTY_LAYOUTS):
            found = []
            for library in (torch, flambeau):
                made = eval(text, {"x": layout(library, shape), "t": library})
                found.append(tuple(made.stride()) if hasattr(made, "stride") else made)
            assert found[0] == found[1], (shape, number)


@pytest.mark.parametrize(
    "text", ["t.add(1.5, 2.5, alpha=2)", "t.add(1, 2, alpha=3)", "t.sub(1.5, 2, alpha=2)"]
)
def test_numbers_alone(text: str) -> None:
    theirs, mine = [eval(text, {"t": library}) for library in (torch, flambeau)]
    assert mine.shape == theirs.shape and mine.item() == theirs.item()
    assert str(mine.dtype) == str(theirs.dtype)
