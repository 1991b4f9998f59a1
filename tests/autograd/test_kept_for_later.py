"""What programs that have run keep for a backward pass: the least, and not for longer than that."""

from __future__ import annotations

import gc
import itertools
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.execute.cpu.layouts import MIN_BATCH
from flambeau.ops import elementwise as el
from flambeau.ops import reduction, source, view
from flambeau.ops.value import Value
from flambeau.record import kept, planning
from flambeau.record.kept import Choice
from flambeau.record.plan import FrameSpec
from flambeau.record.result_memory import FIRST, RESULT_MEMORY, Results

from .test_computed_again import FUNCTIONS, ROWS, WIDTH


@pytest.fixture
def everything(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the smallest values were worth it."""
    monkeypatch.setattr(kept, "WORTH", 0)
    monkeypatch.setattr(kept, "SMALL", 0)


@pytest.fixture
def specs(monkeypatch: pytest.MonkeyPatch) -> list[FrameSpec]:
    """What plans made from now on say about their frames."""
    found: list[FrameSpec] = []
    whole = planning._frame_spec

    def noting(*given: Any) -> FrameSpec | None:
        spec = whole(*given)
        if spec is not None:
            found.append(spec)
        return spec

    monkeypatch.setattr(planning, "_frame_spec", noting)
    return found


def operands(torch: Any, seed: int = 0) -> tuple[Any, Any]:
    random = np.random.default_rng(seed)
    x = torch.tensor(random.standard_normal((ROWS, WIDTH)).astype(np.float32), requires_grad=True)
    w = torch.tensor(random.standard_normal((WIDTH, WIDTH)).astype(np.float32), requires_grad=True)
    return x, w


def stepped(torch: Any, name: str, second: bool) -> list[np.ndarray[Any, Any]]:
    """Gradients of a function whose result somebody has looked at before, in a few steps."""
    torch.manual_seed(3)
    x, w = operands(torch)
    found = []
    for _ in range(3):
        y = FUNCTIONS[name](torch, x * 1, w)
        found.append(y.detach().numpy().copy())
        loss = (y * y.detach().cos()).sum()
        loss.item()
        if second:
            first = torch.autograd.grad(loss, [x, w], create_graph=True, allow_unused=True)
            found += [g.detach().numpy().copy() for g in first if g is not None]
            loss = sum((g * g).sum() for g in first if g is not None)
            if not loss.requires_grad:
                continue
        gradients = torch.autograd.grad(loss, [x, w], allow_unused=True)
        found += [g.numpy().copy() for g in gradients if g is not None]
    return found


@pytest.mark.parametrize("second", [False, True])
@pytest.mark.parametrize("name", list(FUNCTIONS))
def test_same_as_if_all_were_kept(name: str, second: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "WORTH", 1 << 60)
    want = stepped(flambeau, name, second)
    monkeypatch.setattr(kept, "WORTH", 0)
    monkeypatch.setattr(kept, "SMALL", 0)
    got = stepped(flambeau, name, second)
    assert len(want) == len(got)
    for number, (one, other) in enumerate(zip(want, got, strict=True)):
        least = 2e-4 * max(1, 0.02 * np.abs(other).max(initial=0))  # of second derivatives of 250
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=least, err_msg=str(number))


def test_a_gelu_and_a_normalisation_keep_one_value_each(specs: list[FrameSpec]) -> None:
    rows, width = 512, 768
    x = flambeau.randn(rows, width, requires_grad=True)
    layer = flambeau.nn.Linear(width, width)
    (x.sum() + layer.weight.sum()).item()
    specs.clear()
    y = flambeau.nn.functional.layer_norm(layer(x), (width,))
    y = layer(flambeau.nn.functional.gelu(layer(y)))
    y.sum().item()
    (spec,) = specs
    # x and the weight as they lie there; else what each of four functions looks at.
    fresh = [v for v, (kind, _), *_ in spec.saved if kind == "result" and v.size == rows * width]
    assert len(fresh) == 4
    assert spec.trace.computed
    y.sum().backward()
    assert x.grad is not None


def test_what_somebody_still_holds_is_not_kept_instead(
    everything: None, specs: list[FrameSpec]
) -> None:
    """It may be overwritten, where PyTorch does not mind: cross_entropy keeps its result."""
    found = []
    for torch in both():
        x, w = operands(torch)
        scores = x @ w
        loss = torch.nn.functional.cross_entropy(scores, torch.arange(ROWS) % WIDTH)
        loss.item()
        with torch.no_grad():
            scores.zero_()
        loss.backward()
        found.append(x.grad.numpy().copy())
    assert specs and np.abs(found[0]).max() > 0
    np.testing.assert_allclose(found[0], found[-1], rtol=1e-4, atol=1e-6)


def both() -> Iterator[Any]:
    yield flambeau
    try:
        import torch
    except ImportError:
        return
    yield torch


def test_a_value_that_was_kept_instead_may_not_be_asked_for_twice(everything: None) -> None:
    x, w = operands(flambeau)
    loss = flambeau.nn.functional.gelu(x @ w).sum()
    loss.item()
    loss.backward(retain_graph=True)
    first = x.grad.numpy().copy()
    loss.backward()
    np.testing.assert_array_equal(x.grad.numpy(), first * 2)
    with pytest.raises(RuntimeError, match="backward through the graph a second time"):
        loss.backward()


def test_a_pass_gives_back_what_it_has_used_up() -> None:
    x, w = flambeau.randn(512, 1024), flambeau.randn(1024, 1024) / 32
    (x.sum() + w.sum()).item()
    x.requires_grad_()
    h = flambeau.nn.functional.gelu(x @ w)
    other = (h @ w).exp()  # a second function of h, and what it keeps of its own
    loss, second = h.sum(), other.sum()
    loss.item()
    frame = loss._origin[0]
    large = {v: weakref.ref(one.storage) for v, one in frame.saved.items() if v.size >= 1 << 19}
    assert len(large) >= 2
    loss.backward(retain_graph=True)
    assert all(v in frame.saved for v in large)
    x.grad.sum().item()
    loss.backward()
    x.grad.sum().item()
    left = [v for v in large if v in frame.saved]
    assert 0 < len(left) < len(large)  # the second function's
    del h, other
    assert second.requires_grad
    with pytest.raises(RuntimeError, match="a second time"):
        second.backward()
    gc.collect()


def test_the_loss_of_the_last_step_holds_nothing_of_it() -> None:
    layer = flambeau.nn.Linear(1024, 1024)
    x = flambeau.randn(512, 1024)
    for _ in range(4):
        loss = flambeau.nn.functional.gelu(layer(flambeau.nn.functional.gelu(layer(x)))).sum()
        loss.item()
        frame = loss._origin[0]
        assert any(v.size >= 1 << 19 and v.primitive.name != "leaf" for v in frame.saved)
        loss.backward()
        assert not any(v.size >= 1 << 19 and v.primitive.name != "leaf" for v in frame.saved)
        layer.zero_grad()


# ---- images --------------------------------------------------------------------------------------


def network(torch: Any) -> Any:
    torch.manual_seed(0)
    return torch.nn.Sequential(
        torch.nn.Conv2d(3, 8, 3, padding=1),
        torch.nn.BatchNorm2d(8),
        torch.nn.ReLU(),
        torch.nn.MaxPool2d(2),
        torch.nn.Conv2d(8, 16, 3, padding=1, groups=2),
        torch.nn.GELU(),
        torch.nn.AvgPool2d(2),
        torch.nn.Conv2d(16, 4, 2, stride=2),
        torch.nn.Dropout2d(0.2),
        torch.nn.Flatten(),
        torch.nn.Linear(16, 5),
    )


def trained(torch: Any, batch: int, look: bool) -> list[np.ndarray[Any, Any]]:
    model = network(torch)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    random = np.random.default_rng(1)
    x = torch.tensor(random.standard_normal((batch, 3, 16, 16)).astype(np.float32))
    y = torch.arange(batch) % 5
    found = []
    for _ in range(6):
        loss = torch.nn.functional.cross_entropy(model(x), y)
        if look:
            found.append(np.array(loss.item()))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if not look:
            found.append(np.array(loss.item()))
    return found + [p.detach().numpy().copy() for p in model.parameters()]


@pytest.mark.parametrize("batch", [15, 16, 32])
def test_images_are_kept_as_they_lie(batch: int, specs: list[FrameSpec]) -> None:
    want = trained(flambeau, batch, look=False)
    specs.clear()
    got = trained(flambeau, batch, look=True)
    turned = [spec.trace.keeps.turned for spec in specs if spec.trace.keeps is not None]
    assert bool(turned) == (batch >= MIN_BATCH)
    for one, other in zip(want, got, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-3, atol=1e-5)


def test_images_that_somebody_holds_are_not_turned() -> None:
    """What a tensor shows lies as it shows it; what is kept besides does not disturb it."""
    model = network(flambeau)[:6]
    x = flambeau.randn(32, 3, 16, 16)
    for _ in range(4):
        held = [x]
        for layer in model:
            held.append(layer(held[-1]))
        loss = held[-1].square().mean()
        loss.item()
        shown = [h.detach().numpy().copy() for h in held]
        loss.backward()
        first = model[0].weight.grad.numpy().copy()
        model.zero_grad()
        again = x
        for layer, want in zip(model, shown[1:], strict=True):
            again = layer(again)
            np.testing.assert_allclose(again.detach().numpy(), want, rtol=1e-4, atol=1e-5)
        again.square().mean().backward()
        np.testing.assert_allclose(model[0].weight.grad.numpy(), first, rtol=1e-3, atol=1e-6)
        model.zero_grad()


def test_second_derivatives_of_images_that_were_kept() -> None:
    model = network(flambeau)[:6]
    x = flambeau.randn(32, 3, 16, 16, requires_grad=True)
    found = []
    for look in (False, True):
        y = model[5](model[4](model[0](x))).square().mean()
        if look:
            y.item()
        (g,) = flambeau.autograd.grad(y, x, create_graph=True)
        if look:
            g.sum().item()
        (h,) = flambeau.autograd.grad(g.square().sum(), x)
        found.append(h.numpy())
    np.testing.assert_allclose(found[0], found[1], rtol=1e-3, atol=1e-8)


# ---- the choice ----------------------------------------------------------------------------------


def graphs(count: int) -> Iterator[tuple[list[Value], set[Value]]]:
    """Random graphs within an event: what enters and what is made, and what is looked at."""
    random = np.random.default_rng(7)
    for _ in range(count):
        values = [
            source.program_input("base", n, (int(random.integers(1, 9)), 8), flambeau.float32)
            for n in range(2)
        ]
        values = [_rows(v) if random.random() < 0.5 else _rows(el.exp(v)) for v in values]
        for _ in range(int(random.integers(2, 7))):
            a, b = (values[int(random.integers(len(values)))] for _ in range(2))
            made = random.integers(4)
            if made == 0:
                values.append(el.tanh(a))
            elif made == 1:
                values.append(_rows(reduction.sum_(a, axes=(0,))))
            elif made == 2:
                values.append(el.sin(el.cos(a)))
            else:
                values.append(flambeau.ops.arithmetic.add(a, b))
        looked = {v for v in values if random.random() < 0.5}
        yield values, looked


def _rows(value: Value) -> Value:
    flat = value if value.ndim == 1 else view.reshape(value, shape=(value.size,))
    part = view.slice_(flat, starts=(0,), sizes=(8,), steps=(1,))
    return view.expand(view.reshape(part, shape=(1, 8)), shape=(8, 8))


def test_the_cheapest_values_are_kept(everything: None) -> None:
    seen = 0
    for values, looked in graphs(300):
        choice = Choice(looked, {}, [], lambda origin: True)
        computed = choice.computed()
        inner = {v for v in looked if choice.is_inner(v)}
        want, got = cheapest(choice, inner), price_of(choice, inner, computed)
        assert got == want, values
        seen += bool(computed)
    assert seen > 50


def price_of(choice: Choice, looked: set[Value], computed: frozenset[Value]) -> int:
    """What it takes to keep what computed values, and the others that are looked at, need."""
    keep = set(looked - computed)
    for value in computed:
        keep |= {v for v in value.inputs if v not in computed}
    return sum(choice.price(v) for v in keep)


def cheapest(choice: Choice, looked: set[Value]) -> int:
    """The same of the cheapest of all sets of values to compute."""
    candidates: set[Value] = set()
    stack = list(looked)
    while stack:
        value = stack.pop()
        if value not in candidates and choice.is_inner(value):
            candidates.add(value)
            stack += value.inputs
    best = None
    ordered = sorted(candidates, key=lambda v: v.order)
    if len(ordered) > 14:
        return price_of(choice, looked, choice.computed())
    for count in range(len(ordered) + 1):
        for some in itertools.combinations(ordered, count):
            price = price_of(choice, looked, frozenset(some))
            best = price if best is None else min(best, price)
    assert best is not None
    return best


# ---- the memory of results -----------------------------------------------------------------------


def test_a_plan_that_has_run_once_gives_way_once() -> None:
    RESULT_MEMORY.give_back()
    first, second = Results([FIRST + 1]), Results([FIRST + 2])
    first.take(0, True)
    second.take(0, True)
    assert not first.lots and second.lots
    first.take(1, True)  # it comes again, and stays
    second.take(1, True)
    second.take(2, True)
    for run in range(2, 6):
        for one in (first, second):
            lots = list(one.lots)
            one.take(run, True)
            assert one.lots == lots and lots
    RESULT_MEMORY.give_back()


def test_small_results_stay() -> None:
    first, second = Results([64]), Results([FIRST])
    first.take(0, True)
    second.take(0, True)
    assert first.lots and second.lots


def test_nothing_is_decided_where_little_is_kept(specs: list[FrameSpec]) -> None:
    x, w = operands(flambeau)
    flambeau.nn.functional.gelu(x[5:] @ w).sum().item()  # (a program of its own)
    assert specs and all(spec.trace.keeps is None for spec in specs)
    assert kept.WORTH > ROWS * WIDTH * 4 * 4
