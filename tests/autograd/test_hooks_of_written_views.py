"""Hooks of views whose memory is written: they stay with what the view was."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau

pytestmark = pytest.mark.parity

WRITES = {
    "a part of it": lambda base, view, other, w: other.__setitem__((slice(None), [0]), 5.0),
    "another view": lambda base, view, other, w: other.mul_(3.0),
    "the base": lambda base, view, other, w: base.mul_(3.0),
    "itself": lambda base, view, other, w: view.mul_(3.0),
    "by a gradient": lambda base, view, other, w: other.__setitem__((slice(None), [0]), w[0]),
    "what it does not show": lambda base, view, other, w: base[0:1].mul_(w[0]),
    "nothing": lambda base, view, other, w: None,
}
USES = {
    "the view": lambda base, view, other: (view * view).sum(),
    "another view": lambda base, view, other: (other * other).sum(),
    "the base": lambda base, view, other: (base * base).sum(),
    "both views": lambda base, view, other: (other * view).sum(),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("rest", [False, True])
def test_same_as_pytorch(write: str, use: str, rest: bool) -> None:
    import torch

    def outcome(module: Any) -> Any:
        def at_rest(*tensors: Any) -> None:
            for tensor in tensors if rest else ():
                tensor.tolist()

        w = module.tensor([0.5, 2.0, 3.0], requires_grad=True)
        base = w * 2
        view = base[1:]
        other = view.unsqueeze(0)
        at_rest(base, other)
        calls: list[Any] = []

        def hook(gradient: Any) -> Any:
            calls.append(gradient.tolist())
            return gradient * 10

        view.register_hook(hook)
        at_rest(base)
        WRITES[write](base, view, other, w)
        at_rest(base, view)
        loss = USES[use](base, view, other)
        at_rest(loss)
        return module.autograd.grad(loss, w)[0].tolist(), calls

    for _ in range(3):
        assert outcome(flambeau) == outcome(torch)
