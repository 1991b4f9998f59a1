"""`compile`: kept calls give what the body gives, and notice when they no longer hold."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
import flambeau.nn as nn
import flambeau.optim as optim
from flambeau.compiler import Compiled
from flambeau.execute.cpu import bounds
from flambeau.record.options import OPTIONS


def training(
    compiled: bool, optimizer: str, dropout: bool = False
) -> tuple[object, object, object]:
    """A step function of a small network, its model and its optimizer."""
    torch.manual_seed(0)
    layers = [nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ELU(), nn.Linear(8, 3)]
    if dropout:
        layers.insert(3, nn.Dropout(0.5))
    model = nn.Sequential(*layers)
    opt = getattr(optim, optimizer)(model.parameters(), lr=0.05)
    loss_of = nn.CrossEntropyLoss()

    def step(x, y):
        opt.zero_grad()
        loss = loss_of(model(x), y)
        loss.backward()
        opt.step()
        return loss

    return (torch.compile(step) if compiled else step), model, opt


def batches(count: int, size: int = 16) -> list[tuple[object, object]]:
    torch.manual_seed(1)
    return [(torch.randn(size, 6), torch.randint(0, 3, (size,))) for _ in range(count)]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "AdamW", "RMSprop", "Adagrad"])
@pytest.mark.parametrize("dropout", [False, True])
def test_a_compiled_step_trains_as_its_body_does(optimizer, dropout):
    losses = []
    for compiled in (False, True):
        step, _model, _opt = training(compiled, optimizer, dropout)
        data = batches(12)
        torch.manual_seed(2)
        losses.append([step(x, y).item() for x, y in data])
        if compiled:
            assert isinstance(step, Compiled) and len(step.kept) == 1
    assert losses[0] == pytest.approx(losses[1], rel=1e-5)


def test_results_held_by_the_caller_keep_their_values():
    step, _, _ = training(True, "SGD")
    plain, _, _ = training(False, "SGD")
    data = batches(10)
    held = [step(x, y) for x, y in data]
    expected = [plain(x, y).item() for x, y in data]
    assert [loss.item() for loss in held] == pytest.approx(expected, rel=1e-5)


def test_a_variable_that_outlives_the_next_call():
    step, _, _ = training(True, "SGD")
    plain, _, _ = training(False, "SGD")
    previous = None
    for x, y in batches(10):
        loss = step(x, y)
        if previous is not None:
            assert previous[0].item() == pytest.approx(previous[1], rel=1e-5)
        previous = (loss, plain(x, y).item())
        assert loss.item() == pytest.approx(previous[1], rel=1e-5)


def test_gradients_held_by_the_caller_keep_their_values():
    step, model, _ = training(True, "SGD")
    weight = next(model.parameters())
    data = batches(8)
    for x, y in data[:5]:
        step(x, y)
    gradient = weight.grad
    values = gradient.tolist()
    for x, y in data[5:]:
        step(x, y)
    assert gradient.tolist() == values
    assert weight.grad.tolist() != values


@pytest.mark.parametrize(
    "change", ["lr", "momentum", "eval", "freeze", "replace", "data", "global"]
)
def test_changes_between_calls_are_noticed(change):
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
        opt = optim.SGD(model.parameters(), lr=0.05, momentum=0.5)
        settings = {"scale": 1.0}
        scale = 1.0

        def step(x, y):
            opt.zero_grad()
            loss = nn.functional.cross_entropy(model(x), y) * scale
            loss.backward()
            opt.step()
            return loss

        run = torch.compile(step) if compiled else step
        losses = []
        for number, (x, y) in enumerate(batches(12)):
            if number == 6:
                if change == "lr":
                    opt.param_groups[0]["lr"] = 0.2
                elif change == "momentum":
                    opt.param_groups[0]["momentum"] = 0.9
                elif change == "eval":
                    model.eval()
                elif change == "freeze":
                    model[0].weight.requires_grad_(False)
                elif change == "replace":
                    model[2].bias = nn.Parameter(torch.ones(3))
                elif change == "data":
                    with torch.no_grad():
                        model[2].weight.mul_(0.5)
                else:
                    scale = 3.0
            losses.append(run(x, y).item())
        results.append(losses)
        del settings
    assert results[0] == pytest.approx(results[1], rel=1e-5)


def test_gradients_add_up_where_the_body_does_not_empty_them():
    results = []
    for compiled in (False, True):
        torch.manual_seed(0)
        model = nn.Linear(4, 2)

        def accumulate(x):
            loss = model(x).square().mean()
            loss.backward()
            return loss

        run = torch.compile(accumulate) if compiled else accumulate
        x = torch.randn(5, 4)
        seen = []
        for number in range(9):
            if number % 3 == 0:
                model.zero_grad()
            run(x)
            seen.append(model.weight.grad.tolist())
        results.append(seen)
    for one, other in zip(*results, strict=True):
        for a, b in zip(one, other, strict=True):
            assert a == pytest.approx(b, rel=1e-5)


def test_a_kernel_that_refuses_its_data_raises_and_the_next_call_works():
    step, _, _ = training(True, "SGD")
    data = batches(6)
    for x, y in data:
        step(x, y)
    with pytest.raises(IndexError, match="out of bounds"):
        step(data[0][0], torch.full((16,), 7)).item()
    assert step(*data[0]).item() > 0


def test_other_shapes_get_their_own_call():
    step, _, _ = training(True, "Adam")
    plain, _, _ = training(False, "Adam")
    for _ in range(4):
        for size in (16, 7):
            for x, y in batches(2, size):
                assert step(x, y).item() == pytest.approx(plain(x, y).item(), rel=1e-5)
    assert len(step.kept) == 2


def test_a_tensor_elsewhere_that_keeps_its_gradient_is_no_part_of_the_step():
    x = torch.randn(3, requires_grad=True)
    kept = x * 2
    kept.retain_grad()
    loss = kept.sum()
    loss.item()  # an earlier program
    step, _model, _opt = training(True, "SGD")
    for x1, y1 in batches(6):
        step(x1, y1)
    assert len(step.kept) == 1
    loss.backward()
    assert kept.grad.tolist() == [1.0, 1.0, 1.0]


def test_memory_that_moved_is_noticed():
    w = torch.ones(4)
    run = torch.compile(lambda x: (x * w).sum())
    x = torch.arange(4.0)
    assert [run(x).item() for _ in range(6)] == [6.0] * 6
    w.untyped_storage().resize_(4096)
    w.fill_(2.0)
    assert [run(x).item() for _ in range(4)] == [12.0] * 4


@pytest.mark.skipif(bounds.switched_on(), reason="programs that are checked run kernel by kernel")
def test_intermediates_lie_in_memory_that_is_there(monkeypatch):
    from flambeau.record.native import ARENA
    from flambeau.tensor.kept_calls import Ready

    monkeypatch.setattr(Ready, "OWN_ARENA", -1)
    w = torch.randn(64, 64)
    run = torch.compile(lambda x: ((x @ w).relu() @ w).softmax(1) @ w)
    x = torch.randn(64, 64)
    expected = run(x).tolist()
    for _ in range(4):
        run(x).tolist()
    ready = next(iter(run.kept.values())).ready
    old = ARENA.buffer
    ARENA.buffer = type(old)(old.owner, old.address, 0)  # as where it was too small for another
    ARENA.token = object()
    found = run(x)
    assert ready.table[-1] == ARENA.buffer.address != old.address
    assert found.tolist() == [pytest.approx(row, rel=1e-4, abs=1e-4) for row in expected]


def test_a_result_is_new_whatever_was_done_with_the_last_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """What the last user has put it into, or left on it, is not the next one's."""
    monkeypatch.setattr(OPTIONS, "executor", "compiled")

    def double(x: Any) -> Any:
        return x * 2

    compiled = torch.compile(double)
    inputs = [torch.tensor([float(n)] * 3) for n in range(5)]
    for n, x in enumerate(inputs):
        total = compiled(x).sum()  # enters a later recording
        assert total.item() == 6 * n
    held = None
    for n, x in enumerate(inputs * 2):
        held = compiled(x)  # while the last one is held
        assert held.tolist() == [2.0 * (n % 5)] * 3
    kept = [compiled(x) for x in inputs]
    assert [y.tolist()[0] for y in kept] == [0.0, 2.0, 4.0, 6.0, 8.0]
    del held, kept
    for x in inputs:
        y = compiled(x)
        assert not hasattr(y, "note")
        y.note = 1
        del y


@pytest.mark.parametrize("factor", [None, 2.0])
def test_data_that_a_kernel_refuses_after_many_calls(factor: float | None) -> None:
    table = torch.arange(15.0).reshape(5, 3)

    @torch.compile
    def rows(index: Any) -> Any:
        found = torch.nn.functional.embedding(index, table)
        return found if factor is None else found * factor

    wanted = rows(torch.tensor([0, 4])).tolist()
    for _ in range(8):
        assert rows(torch.tensor([0, 4])).tolist() == wanted
    with pytest.raises(IndexError, match="index out of range in self"):
        rows(torch.tensor([0, 5])).tolist()
    assert rows(torch.tensor([0, 4])).tolist() == wanted
