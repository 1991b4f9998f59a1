"""Gradients of large tables that are kept by rows (graph/sparse_rows.py), against PyTorch."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.record.late import LateStorage
from tests.record.late_trainings import (
    LOOPS,
    OPTIMIZERS,
    Loop,
    agree,
    cleared_last,
    clipped,
    clipped_at_once,
    held,
    loss_of,
    plain,
    read_each_time,
    tied,
)

ROWS, COLUMNS = 4200, 64  # a table that is large enough


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


CASES = [(loop, "sgd") for loop in LOOPS] + [(plain, name) for name in OPTIMIZERS]
CASES += [(loop, "adam") for loop in (cleared_last, held, clipped, clipped_at_once, tied)]


def run(torch: Any, loop: Loop, optimizer: str, **options: Any) -> list[Any]:
    table = model(torch, **options)
    found = loop(torch, table, OPTIMIZERS[optimizer](torch, table.parameters()), steps(torch))
    return [*found, table.weight.detach()]


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
