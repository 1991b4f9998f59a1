"""`register_backward_hook`, the older form: what it is told, replaces and warns of."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

import flambeau


def _observations(torch: Any) -> list[Any]:
    nn = torch.nn
    torch.manual_seed(0)
    network = nn.Sequential(
        nn.Conv2d(1, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.BatchNorm2d(4), nn.Flatten(),
        nn.Linear(64, 5), nn.ReLU(), nn.Linear(5, 3, bias=False),
    )  # fmt: skip
    seen: list[Any] = []

    def note(module: Any, passed: Any, gradients: Any) -> None:
        parts = [None if g is None else g.detach().flatten()[:8].tolist() for g in passed]
        seen.append([type(module).__name__, parts, gradients[0].sum().item()])

    for layer in network:
        layer.register_backward_hook(note)
    guided = network[1].register_backward_hook(lambda module, passed, _: (passed[0].clamp(min=0),))
    whole = network.register_backward_hook(note)
    x = torch.rand(2, 1, 8, 8, requires_grad=True)
    with warnings.catch_warnings(record=True) as given:
        warnings.simplefilter("always")
        for step in range(3):
            x.grad = None
            network(x).sin().sum().backward()
            seen.append(x.grad.flatten()[:8].tolist())
            if step == 1:
                guided.remove()
                whole.remove()
    seen.append(sorted({(w.category.__name__, str(w.message)) for w in given}))
    return seen


@pytest.mark.parity
def test_as_in_pytorch() -> None:
    def agree(a: Any, b: Any) -> None:
        if isinstance(a, (list, tuple)):
            assert len(a) == len(b)
            for one, other in zip(a, b, strict=True):
                agree(one, other)
        elif isinstance(a, float):
            assert a == pytest.approx(b, rel=1e-4, abs=1e-5)
        else:
            assert a == b

    agree(_observations(pytest.importorskip("torch")), _observations(flambeau))


def test_two_kinds_of_hooks_do_not_mix() -> None:
    layer = flambeau.nn.Linear(2, 2)
    layer.register_backward_hook(print)
    with pytest.raises(RuntimeError, match="Cannot use both regular backward hooks and full"):
        layer.register_full_backward_hook(print)
    other = flambeau.nn.Linear(2, 2)
    other.register_full_backward_hook(print)
    with pytest.raises(RuntimeError, match="Cannot use both"):
        other.register_backward_hook(print)


def test_a_function_that_cannot_be_hooked_says_so() -> None:
    layer = flambeau.nn.Dropout()
    layer.register_backward_hook(print)
    with pytest.raises(NotImplementedError, match="on Dropout: its last function"):
        layer(flambeau.ones(3, requires_grad=True))
