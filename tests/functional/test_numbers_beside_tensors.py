"""Tensors and Python numbers, or 0-d tensors of other types, in one op: PyTorch's very bits."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau

pytestmark = pytest.mark.parity

OPS = """x + y; x - y; y - x; x * y; y * x; x / y; y / x; x * t; t * x; x / t; t / x; x + t; x * i
lerp(x, x * x, y); x.clone().mul_(y); x.clone().div_(y)
addcmul(x, x, x, value=y); addcdiv(x, x, x + 2, value=y)""".replace("\n", ";").split(";")


def outcome(module: Any, op: str, dtype: str, shape: tuple[int, ...], number: float) -> Any:
    """The dtype, name of the derivative, values and gradient."""
    data = (np.random.default_rng(0).random(shape) * 2 - 1).tolist()
    x = module.tensor(data, dtype=getattr(module, dtype), requires_grad=True)
    names = {"x": x, "y": number, "t": module.tensor(float(number)), "i": module.tensor(7)}
    names |= {name: getattr(module, name) for name in ("lerp", "addcmul", "addcdiv")}
    result = eval(op, names)
    (gradient,) = module.autograd.grad(result.sum(), x)
    numbers = [v.detach().double().tolist() for v in (result, gradient)]
    return str(result.dtype), type(result.grad_fn).__name__, *numbers


@pytest.mark.parametrize("number", [0.7, 3, 1001, -1.3e-3])
@pytest.mark.parametrize("shape", [(), (3,), (200,)])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16", "float16"])
@pytest.mark.parametrize("op", [*map(str.strip, OPS)])
def test_same_bits(op: str, dtype: str, shape: tuple[int, ...], number: float) -> None:
    torch = pytest.importorskip("torch")
    ours, theirs = [outcome(m, op, dtype, shape, number) for m in (flambeau, torch)]
    assert ours == theirs


@pytest.mark.parametrize(
    "call",
    [
        lambda t, x: t.lerp(x, x, 0.4),
        lambda t, x: t.lerp(x, x, x),
        lambda t, x: t.lerp(x.bool(), x.bool(), 0.4),
        lambda t, x: t.addcdiv(x, x, x),
        lambda t, x: t.addcdiv(x.float(), x, x, value=2),
    ],
)
def test_whole_numbers_are_refused(call: Any) -> None:
    torch = pytest.importorskip("torch")
    with pytest.raises(Exception) as theirs:
        call(torch, torch.tensor([2, 3]))
    with pytest.raises(theirs.type) as ours:
        call(flambeau, flambeau.tensor([2, 3])).tolist()
    assert str(ours.value).split("\n")[0] == str(theirs.value).split("\n")[0]
