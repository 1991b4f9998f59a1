"""Gradients of large tables that are kept by rows (graph/sparse_rows.py), against PyTorch."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.record.late import LateStorage

ROWS, COLUMNS = 4200, 64  # a table that is large enough
Loop = Callable[[Any, Any, Any, Any], list[Any]]


def steps(torch: Any, rounds: int = 4, width: int = 12) -> list[Any]:
    """Batches with repeated rows (another width: programs that no other test has met)."""
    rng = np.random.default_rng(3)
    batches = rng.integers(0, ROWS, (rounds, 4, width))
    batches[:, 1] = batches[:, 0]
    batches[:, 2, :6] = 7
    return [torch.tensor(batch) for batch in batches]


def model(torch: Any, **options: Any) -> Any:
    weights = np.random.default_rng(1).standard_normal((ROWS, COLUMNS)).astype(np.float32)
    return torch.nn.Embedding(ROWS, COLUMNS, _weight=torch.tensor(weights), **options)


def loss_of(table: Any, batch: Any) -> Any:
    return ((table(batch).tanh() * 1.5).sum(0) ** 2).mean()


def plain(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(table, batch)
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return seen


def cleared_last(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        loss = loss_of(table, batch)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        seen.append(loss.item())
    return [*seen, table.weight.grad]


def read_each_time(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(table, batch)
        loss.backward()
        optimizer.step()
        seen += [loss.item(), table.weight.grad.norm().item(), table.weight.grad.sum(1)]
    return seen


def held(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Gradients of all steps, read at the end."""
    kept = []
    for batch in batches:
        optimizer.zero_grad()
        loss_of(table, batch).backward()
        optimizer.step()
        kept.append((table.weight.grad, table.weight.detach().sum().item()))
    return [thing for pair in kept for thing in pair]


def accumulated(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for first, second in zip(batches[::2], batches[1::2]):
        optimizer.zero_grad(set_to_none=False)
        loss = loss_of(table, first)
        loss.backward()
        seen.append(loss.item())
        loss_of(table, second).backward()
        optimizer.step()
        seen.append(table.weight.grad.abs().sum().item())
    return seen


def changed_by_hand(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(table, batch)
        loss.backward()
        seen.append(loss.item())
        table.weight.grad[5] += 2.0
        table.weight.grad.mul_(0.5)
        optimizer.step()
    return [*seen, table.weight.grad]


def clipped(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(table, batch)
        loss.backward()
        seen.append(torch.nn.utils.clip_grad_norm_(table.parameters(), 0.01).item())
        optimizer.step()
    return [*seen, table.weight.grad]


def clipped_at_once(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Nothing is read before the step; once the norm is infinite."""
    seen = []
    for number, batch in enumerate(batches):
        optimizer.zero_grad()
        loss = loss_of(table, batch) * (1e30 if number == 2 else 1.0)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(table.parameters(), 0.01)
        if number != 2:
            optimizer.step()
        seen += [loss.item(), norm.item()]
        if number > 1:
            seen.append(table.weight.grad)
    return seen


def scaled(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(table, batch)
        loss.backward()
        table.weight.grad.div_(4.0).add_(0.25)
        optimizer.step()
        seen.append(loss.item())
    return [*seen, table.weight.grad, table.weight.grad._version]


def tied(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        scores = torch.nn.functional.linear(table(batch).tanh(), table.weight)
        loss = (scores.sum(2) * 0.01).square().mean()
        loss.backward()
        optimizer.step()
        seen.append(loss.item())
    return [*seen, table.weight.grad]


def through_numpy(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    seen = []
    for batch in batches:
        optimizer.zero_grad()
        loss = loss_of(table, batch)
        loss.backward()
        seen.append(loss.item())
        table.weight.grad.numpy()[11] = 3.0
        optimizer.step()
    return [*seen, table.weight.grad.clone()]


def copied_weights(torch: Any, table: Any, optimizer: Any, batches: Any) -> list[Any]:
    """Whoever holds the weights of before the step has these."""
    seen = []
    for batch in batches:
        before = table.weight.detach().clone()
        optimizer.zero_grad()
        loss_of(table, batch).backward()
        optimizer.step()
        seen += [before[batch[0]], (table.weight.detach() - before).abs().sum().item()]
    return seen


LOOPS: list[Loop] = [
    plain, cleared_last, read_each_time, held, accumulated, changed_by_hand, clipped,
    clipped_at_once, scaled, tied,
    through_numpy, copied_weights,
]  # fmt: skip
OPTIMIZERS: dict[str, Callable[[Any, Any], Any]] = {
    "sgd": lambda torch, p: torch.optim.SGD(p, lr=0.5),
    "maximize": lambda torch, p: torch.optim.SGD(p, lr=0.5, maximize=True),
    "momentum": lambda torch, p: torch.optim.SGD(p, lr=0.1, momentum=0.9, weight_decay=0.01),
    "adam": lambda torch, p: torch.optim.Adam(p, lr=1e-2),
    "adamw": lambda torch, p: torch.optim.AdamW(p, lr=1e-2, amsgrad=True),
}
CASES = [(loop, "sgd") for loop in LOOPS] + [(plain, name) for name in OPTIMIZERS]
CASES += [(loop, "adam") for loop in (cleared_last, held, clipped, clipped_at_once, tied)]


def run(torch: Any, loop: Loop, optimizer: str, **options: Any) -> list[Any]:
    table = model(torch, **options)
    found = loop(torch, table, OPTIMIZERS[optimizer](torch, table.parameters()), steps(torch))
    return [*found, table.weight.detach()]


def agree(ours: list[Any], theirs: list[Any]) -> None:
    assert len(ours) == len(theirs)
    for mine, other in zip(ours, theirs, strict=True):
        if other is None:
            assert mine is None
        elif isinstance(other, (float, int)):
            np.testing.assert_allclose(mine, other, rtol=2e-5, atol=1e-6)
        else:
            np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-5, atol=2e-6)


@pytest.mark.parity
@pytest.mark.parametrize(("loop", "optimizer"), CASES)
def test_trainings(loop: Loop, optimizer: str) -> None:
    torch = pytest.importorskip("torch")
    agree(run(flambeau, loop, optimizer), run(torch, loop, optimizer))


@pytest.mark.parity
@pytest.mark.parametrize("options", [{"padding_idx": 7}, {"scale_grad_by_freq": True}])
def test_options(options: dict[str, Any]) -> None:
    torch = pytest.importorskip("torch")
    agree(run(flambeau, plain, "sgd", **options), run(torch, plain, "sgd", **options))


def one_step(rounds: int = 4) -> Any:
    table = model(flambeau)
    optimizer = flambeau.optim.SGD(table.parameters(), lr=0.5)
    plain(flambeau, table, optimizer, steps(flambeau, rounds, 13))
    return table


def test_nobody_looks() -> None:
    """The gradient has no memory until it is read, and knows its size all the same."""
    table, batch = model(flambeau), steps(flambeau, 4, 13)[-1]
    loss = loss_of(table, batch)
    loss.backward()
    loss.item()
    grad = table.weight.grad
    storage = grad._storage
    assert type(storage) is LateStorage and not storage.made
    assert grad.untyped_storage().nbytes() == 4 * ROWS * COLUMNS
    touched = {int(row) for row in batch.flatten()}
    rows = grad.abs().sum(1).tolist()
    assert storage.made
    assert {n for n, total in enumerate(rows) if total} == touched


def test_wanted_gradients_are_made_with_the_rest() -> None:
    table = model(flambeau)
    optimizer = flambeau.optim.SGD(table.parameters(), lr=0.5)
    read_each_time(flambeau, table, optimizer, steps(flambeau, 6, 14))
    assert type(table.weight.grad._storage) is not LateStorage


def test_a_program_that_reads_a_gradient_now_and_then() -> None:
    """It finds the gradient's memory made, however well its flush is known by then."""
    table = model(flambeau)
    for number, batch in enumerate(steps(flambeau, 90, 15)):
        table.weight.grad = None
        loss_of(table, batch).backward()
        table.weight.grad.untyped_storage()  # the step has run
        if number % 3 == 2:  # not so often that the step makes the gradient itself
            assert type(table.weight.grad._storage) is LateStorage
            row = batch[0, 0].item()
            total = (table.weight.grad[row] * 2).sum().item()
            assert total == pytest.approx(2 * table.weight.grad.numpy()[row].sum(), 1e-4, 1e-6)


def test_rows_out_of_range() -> None:
    table = one_step()
    before = table.weight.detach().clone()
    optimizer = flambeau.optim.SGD(table.parameters(), lr=0.5)
    for row in (ROWS, -1):
        with pytest.raises(IndexError):
            plain(flambeau, table, optimizer, [flambeau.tensor([[1] * 47 + [row]])])
        flambeau.set_grad_enabled(True)
    assert table.weight.detach().equal(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_compiled_steps(threads: int) -> None:
    table, other = model(flambeau), model(flambeau)
    optimizers = [flambeau.optim.SGD(m.parameters(), lr=0.5) for m in (table, other)]

    def step(batch: Any) -> Any:
        optimizers[0].zero_grad()
        loss = loss_of(table, batch)
        loss.backward()
        optimizers[0].step()
        return loss

    kept = flambeau.compile(step)
    batches = steps(flambeau, 8)
    before = flambeau.get_num_threads()
    flambeau.set_num_threads(threads)
    try:
        ours = [kept(batch).item() for batch in batches]
    finally:
        flambeau.set_num_threads(before)
    assert ours == pytest.approx(plain(flambeau, other, optimizers[1], batches), rel=1e-6)
    weights, others = table.weight.detach().numpy(), other.weight.detach().numpy()
    np.testing.assert_allclose(weights, others, 1e-6, 1e-7)
    np.testing.assert_allclose(table.weight.grad.numpy(), other.weight.grad.numpy(), 1e-5, 1e-7)
