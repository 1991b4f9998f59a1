"""What derivatives look at: primitives that say it is extents alone bring no elements along."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Iterator

import pytest

import flambeau
import flambeau.ops
from flambeau.core import dtypes
from flambeau.graph.program import reachable
from flambeau.ops import contraction, elementwise, indexed, reduction, source, view
from flambeau.ops.primitive import Primitive
from flambeau.ops.value import Value


def given(*shape: int, dtype: dtypes.DType = dtypes.float32) -> Value:
    """A value that a gradient may flow through."""
    x = source.program_input("base", 0, shape, dtype)
    return source.leaf(x, 0) if dtype.is_floating_point else x


def rows(count: int) -> Value:
    return given(count, dtype=dtypes.int64)


PLACES = {"sizes": (2,), "steps": (1,), "dilations": (1,)}
SAMPLES: dict[str, Callable[[], Value]] = {
    "reshape": lambda: view.reshape(given(2, 3), shape=(6,)),
    "permute": lambda: view.permute(given(2, 3), order=(1, 0)),
    "expand": lambda: view.expand(given(1, 3), shape=(2, 3)),
    "slice": lambda: view.slice_(given(5), starts=(1,), sizes=(2,), steps=(2,)),
    "pad": lambda: view.pad(given(3), low=(-1,), high=(2,), interior=(1,), value=0),
    "flip": lambda: view.flip(given(3), axes=(0,)),
    "concat": lambda: view.concat(given(2), given(3), axis=0),
    "as_strided": lambda: view.as_strided(given(6), shape=(2, 2), strides=(1, 2), offset=1),
    "strided_scatter": lambda: view.strided_scatter(given(6), given(2), strides=(2,), offset=1),
    "strided_sum": lambda: view.strided_sum(given(2), size=6, strides=(2,), offset=1),
    "windows": lambda: view.windows(given(1, 4), **PLACES),
    "fold": lambda: view.fold(given(1, 3, 2), extents=(4,), **PLACES),
    "relink": lambda: source.relink(given(2), given(2)),
    "sum": lambda: reduction.sum_(given(2, 3), axes=(1,)),
    "cast": lambda: elementwise.cast(given(2), dtype=dtypes.float64),
    "add": lambda: elementwise.add(given(2), given(2)),
    "sub": lambda: elementwise.sub(given(2), given(2)),
    "mul": lambda: elementwise.mul(given(2), given(2)),
    "dot": lambda: contraction.dot(given(2, 3), given(3, 4)),
    "conv": lambda: contraction.conv(
        given(1, 1, 1, 5), given(1, 1, 1, 3), strides=(2,), dilations=(1,)
    ),
    "take": lambda: indexed.take(given(3, 2), rows(2), what=indexed.WITHIN),
    "put_add": lambda: indexed.put_add(given(3, 2), rows(2), given(2, 2), what=indexed.WITHIN),
}


def primitives() -> Iterator[Primitive]:
    """All there are in `ops`."""
    for module in pkgutil.iter_modules(flambeau.ops.__path__):
        found = importlib.import_module(f"flambeau.ops.{module.name}")
        yield from (p for p in vars(found).values() if isinstance(p, Primitive))


def test_all_that_look_at_less_are_here() -> None:
    less = {p.name for p in primitives() if not (p.looks_at_result and p.looks_at_operands)}
    assert less == set(SAMPLES)


@pytest.mark.parametrize("name", SAMPLES)
def test_nothing_else_is_reached(name: str) -> None:
    value = SAMPLES[name]()
    primitive = value.primitive
    assert primitive.name == name
    out = source.program_input("result", 0, value.shape, value.dtype)
    operands = [source.program_input("operand", 0, v.shape, v.dtype) for v in value.inputs]
    ct = source.program_input("ct", 0, value.shape, value.dtype)
    cotangents = primitive.vjp(ct, out, *operands, **value.attrs)
    reached = set(reachable([c for c in cotangents if c is not None]))
    assert primitive.looks_at_result or out not in reached
    assert primitive.looks_at_operands or reached.isdisjoint(operands)


def test_values_of_earlier_programs() -> None:
    """What is not looked at was overwritten meanwhile; what is, was not."""
    x, w = flambeau.ones(3, requires_grad=True), flambeau.full((3,), 2.0)
    y = x * w
    z = y + 1.0
    float(z.sum().item())
    y.detach().mul_(0.0)
    z.detach().mul_(0.0)
    z.sum().backward()
    assert x.grad is not None and x.grad.tolist() == [2.0, 2.0, 2.0]
    y = x * w
    float(y.sum().item())
    w.mul_(3.0)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()
