"""Gradients of what is used many times: joined sums give what PyTorch gives."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, given, same

import flambeau
from flambeau.execute.cpu.expansion import prepared
from flambeau.graph.program import Program
from flambeau.record.options import OPTIONS

pytestmark = pytest.mark.parity


def by_linear(lib: Any, x: Any, w: Any) -> Any:
    state = x[0]
    for step in x:
        state = lib.nn.functional.linear(state + step, w).tanh()
    return state


def by_matmul(lib: Any, x: Any, w: Any) -> Any:
    state = x[0]
    for step in x:
        state = ((state + step) @ w).tanh()
    return state


def by_slices(lib: Any, x: Any, w: Any) -> Any:
    return sum((part @ w).sin() * place for place, part in enumerate(x.split(1)))


def by_parts(lib: Any, x: Any, w: Any) -> Any:
    """Slices that leave some out, overlap, and come in another order."""
    flat = x.flatten(0, 1)
    rows = [flat[6:9], flat[0:3], flat[3:6], flat[12:15], flat[2:5], flat[9:12]]
    return sum((row.exp() * place) @ w for place, row in enumerate(rows))


def by_columns(lib: Any, x: Any, w: Any) -> Any:
    parts = w.chunk(5, 1)
    return sum((x @ part).tanh() for part in parts)


@pytest.mark.parametrize("program", [by_linear, by_matmul, by_slices, by_parts, by_columns])
def test_gradients(program: Any) -> None:
    torch.manual_seed(0)
    x, w = torch.randn(7, 3, 5).requires_grad_(), (torch.randn(5, 5) / 2).requires_grad_()
    results = []
    for library in LIBRARIES:
        for _ in range(3):  # interpreted, then compiled
            inputs = given(library, [x, w])
            value = (program(library, *inputs) ** 2).sum()
            value.backward()
            seen = [value, *(t.grad for t in inputs)]
        results.append(seen)
    same(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_an_unrolled_loop_has_one_weight_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Forward and state gradients are products of their own; those of the weight are one."""
    from flambeau.execute.cpu import compiler

    seen: list[Program] = []

    def spy(program: Program, winograd: bool) -> Any:
        result = prepared(program, winograd)
        seen.append(result[0])
        return result

    monkeypatch.setattr(compiler, "prepared", spy)
    monkeypatch.setattr(OPTIONS, "executor", "compiled")
    x = flambeau.randn(7, 5, 6)  # of no other test: it is compiled here
    w = flambeau.randn(6, 6, requires_grad=True)
    for _ in range(3):
        w.grad = None
        by_matmul(flambeau, x, w).sum().backward()
        w.grad.tolist()
    assert seen
    dots = [v for v in seen[-1].nodes() if v.primitive.name == "dot"]
    assert len(dots) == 7 + 6 + 1
