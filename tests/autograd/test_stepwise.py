"""Passes through many earlier programs, one at a time, beside PyTorch's."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from beside_torch import LIBRARIES, same

import flambeau
from flambeau.autograd import stepwise
from flambeau.graph.reverse import Reverse
from flambeau.record.statistics import STATISTICS

pytestmark = pytest.mark.parity


def looking(lib: Any, w: Any, x: Any, steps: int) -> list[Any]:
    """Steps that look at their data, each in a program of its own."""
    seen = []
    for _ in range(steps):
        x = (x @ w).tanh()
        if x.sum().item() > 0:
            x = x * 0.5
        seen.append(x)
    return seen


def chained(lib: Any, w: Any, b: Any) -> list[Any]:
    states = looking(lib, w, b.expand(2, 3), 11)
    states[-1].pow(2).sum().backward()
    return [w.grad, b.grad]


def gathered(lib: Any, w: Any, b: Any) -> list[Any]:
    """Each step is part of the loss by itself, and leads to those before."""
    lib.stack(looking(lib, w, b.expand(2, 3), 12)).sin().sum().backward()
    return [w.grad, b.grad]


def twice(lib: Any, w: Any, b: Any) -> list[Any]:
    """The same graph two times, and gradients that are there already."""
    loss = lib.stack(looking(lib, w, b.expand(2, 3), 12)).sum()
    loss.backward(retain_graph=True)
    first = w.grad.clone()
    loss.backward()
    return [first, w.grad, b.grad]


def shared(lib: Any, w: Any, b: Any) -> list[Any]:
    """The leaves are part of the last program too, and are transposed there."""
    last = looking(lib, w, b.expand(2, 3), 10)[-1]
    (last @ w.t() + b * w.diagonal()).sum().backward()
    return [w.grad, b.grad]


def accumulated(lib: Any, w: Any, b: Any) -> list[Any]:
    found = []
    for length in (9, 12, 10):
        looking(lib, w, b.expand(2, 3), length)[-1].sum().backward()
        found.append(w.grad.clone())
    return found


def views_between(lib: Any, w: Any, b: Any) -> list[Any]:
    """What is carried from program to program is written through views."""
    x = b.expand(2, 3) * 1
    for number in range(10):
        x = (x @ w).tanh() * 1
        x[:, number % 3].mul_(0.5)
        x.sum().item()
    x.t()[1:].sum().backward()
    return [w.grad, b.grad]


def hooked(lib: Any, w: Any, b: Any) -> list[Any]:
    """Hooks of leaves see whole gradients, once."""
    seen = []

    def hook(g: Any) -> Any:
        seen.append(g.clone())
        return g * 2

    w.register_hook(hook)
    looking(lib, w, b.expand(2, 3), 10)[-1].sum().backward()
    return [*seen, w.grad, b.grad]


def hooked_inside(lib: Any, w: Any, b: Any) -> list[Any]:
    states = looking(lib, w, b.expand(2, 3), 10)
    states[4].register_hook(lambda g: g * 3)
    states[-1].sum().backward()
    return [w.grad, b.grad]


def branches(lib: Any, w: Any, b: Any) -> list[Any]:
    """Two ways from one early program to the loss."""
    start = (b * 2).exp()
    start.sum().item()
    one = looking(lib, w, start.expand(2, 3), 6)[-1]
    two = looking(lib, w.t(), start.expand(2, 3), 7)[-1]
    (one * two).sum().backward()
    return [w.grad, b.grad]


def scaled(lib: Any, order: list[Any]) -> Any:
    """A function of two inputs that keeps one of them; its backward says when it runs."""

    class Scaled(lib.autograd.Function):  # type: ignore[misc]
        @staticmethod
        def forward(ctx: Any, x: Any, w: Any, number: int) -> Any:
            ctx.save_for_backward(x, w)
            ctx.number = number
            return x @ w

        @staticmethod
        def backward(ctx: Any, g: Any) -> Any:
            x, w = ctx.saved_tensors
            order.append(lib.tensor(ctx.number))
            return g @ w.t(), x.t() @ g, None

    return Scaled.apply


def coded(lib: Any, w: Any, x: Any, order: list[Any], steps: int = 9) -> Any:
    """Steps that look at their data, with two custom functions and a hook in each."""
    function = scaled(lib, order)
    for number in range(steps):
        x = function(x, w, number).tanh()
        if number % 3 == 1:
            x.register_hook(lambda g: g * 1.5)
        x = function(x * 2, w.t(), -number).sin()
        if x.sum().item() > 0:
            x = x * 0.5
    return x


def functions(lib: Any, w: Any, b: Any) -> list[Any]:
    order: list[Any] = []
    coded(lib, w, b.expand(2, 3), order).sum().backward()
    return [*order, w.grad, b.grad]


def functions_twice(lib: Any, w: Any, b: Any) -> list[Any]:
    order: list[Any] = []
    loss = coded(lib, w, b.expand(2, 3), order).sum()
    loss.backward(retain_graph=True)
    first = w.grad.clone()
    loss.backward()
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        loss.backward()
    return [*order, first, w.grad, b.grad]


def function_in_the_last_program(lib: Any, w: Any, b: Any) -> list[Any]:
    order: list[Any] = []
    last = looking(lib, w, b.expand(2, 3), 10)[-1]
    scaled(lib, order)(scaled(lib, order)(last, w, 1), w, 2).sum().backward()
    return [*order, w.grad, b.grad]


def checkpointed(lib: Any, w: Any, b: Any) -> list[Any]:
    """What is computed again in the pass looks at its data, too."""
    from importlib import import_module

    x = b.expand(2, 3)
    checkpoint = import_module(f"{lib.__name__}.utils.checkpoint").checkpoint
    for _ in range(5):
        x = checkpoint(lambda x: looking(lib, w, x, 3)[-1], x, use_reentrant=True)
    x.sum().backward()
    return [w.grad, b.grad]


def looking_backward(lib: Any, w: Any, b: Any) -> list[Any]:
    """Hooks that look at gradients, so that the pass itself is cut."""
    seen = []
    states = looking(lib, w, b.expand(2, 3), 9)
    for state in states[::2]:
        state.register_hook(lambda g: seen.append(lib.tensor(g.sum().item())))
    states[-1].sum().backward()
    return [*seen, w.grad, b.grad]


CASES = [
    functions,
    functions_twice,
    function_in_the_last_program,
    checkpointed,
    looking_backward,
    chained,
    gathered,
    twice,
    shared,
    accumulated,
    views_between,
    hooked,
    hooked_inside,
    branches,
]


def leaves(lib: Any) -> list[Any]:
    torch.manual_seed(3)
    data = [(torch.randn(3, 3) / 1.5).tolist(), torch.randn(3).tolist()]
    return [lib.tensor(part, requires_grad=True) for part in data]


@pytest.mark.parametrize("many", [1, 8])
@pytest.mark.parametrize("case", CASES)
def test_gradients(
    case: Callable[..., list[Any]], many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stepwise, "MANY", many)
    results = []
    for library in LIBRARIES:
        for _ in range(3):  # interpreted, then compiled
            found = case(library, *leaves(library))
        results.append(found)
    same(results[0], results[1], rtol=1e-4, atol=1e-5)


def test_mistakes() -> None:
    """A graph that was freed, and a saved value that was overwritten."""
    for library in LIBRARIES:
        w, b = leaves(library)
        loss = looking(library, w, b.expand(2, 3), 12)[-1].sum()
        loss.backward()
        with pytest.raises(RuntimeError, match="Trying to backward through the graph a second"):
            loss.backward()
        w, b = leaves(library)
        loss = looking(library, w, b.expand(2, 3), 12)[-1].sum()
        loss.item()
        with library.no_grad():
            w.mul_(2)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            loss.backward()
        assert w.grad is None


def test_new_lengths_make_no_new_programs() -> None:
    """Lengths that were never seen are passed in programs that were."""
    w, b = leaves(flambeau)
    looking(flambeau, w, b.expand(2, 3), 40)[-1].sum().backward()
    w.grad.sum().item()
    before = STATISTICS.plans
    for length in (21, 33, 29, 35):
        looking(flambeau, w, b.expand(2, 3), length)[-1].sum().backward()
        w.grad.sum().item()
    assert STATISTICS.plans - before <= 12


def test_python_code_in_many_programs_takes_time_in_proportion(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not with the square of their number: a pass goes on where it was."""
    steps = 0
    original = Reverse.step

    def step(self: Reverse, *args: Any) -> Any:
        nonlocal steps
        steps += 1
        return original(self, *args)

    monkeypatch.setattr(Reverse, "step", step)
    made = []
    for size, length in ((5, 8), (6, 32)):  # sizes that were not seen
        w = flambeau.full((size, size), 0.1, requires_grad=True)
        steps = 0
        coded(flambeau, w, flambeau.ones(2, size), [], length).sum().backward()
        assert w.grad.sum().item() > 0
        made.append(steps)
    assert made[1] < 6 * made[0]
