"""A backward pass that has not run yet reads what the forward pass saved; what another thread has
recorded since overwrites it, and runs first when somebody looks at it.
"""

from __future__ import annotations

import threading
from typing import Any

import pytest

import flambeau as torch


@pytest.mark.parametrize("through_view", [False, True])
def test_the_pass_runs_before_the_write(through_view: bool) -> None:
    w = torch.tensor(-0.5, requires_grad=True)
    saved = torch.tensor([1.0, 2.0, 3.0, 4.0]).exp()
    expected = saved.sum().item()
    loss = (saved * w).sum()
    assert loss.item() == pytest.approx(-0.5 * expected)
    loss.backward()  # recorded here
    written: Any = saved[None] if through_view else saved

    def work() -> None:
        written.mul_(10)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert written.sum().item() == pytest.approx(10 * expected)
    assert w.grad.item() == pytest.approx(expected)


def test_the_write_of_this_thread_runs_in_another_one() -> None:
    """The pass is recorded by the other thread, which then looks at the write."""
    w = torch.tensor(2.0, requires_grad=True)
    saved = torch.tensor([1.0, 2.0, 3.0]).sin()
    expected = saved.sum().item()
    loss = (saved * w).sum()
    assert loss.item() == pytest.approx(2 * expected)
    saved.mul_(3)
    recorded, seen = threading.Event(), []

    def work() -> None:
        other = torch.tensor(2.0, requires_grad=True)
        kept = torch.tensor([1.0, 2.0, 3.0]).cos()
        product = (kept * other).sum()
        product.item()
        product.backward()
        shared.append((other, kept))
        recorded.set()
        written.wait()
        seen.append((kept.tolist(), other.grad.item()))

    shared: list[Any] = []
    written = threading.Event()
    thread = threading.Thread(target=work)
    thread.start()
    recorded.wait()
    _, kept = shared[0]
    kept.add_(100)
    written.set()
    thread.join()
    ((values, gradient),) = seen
    assert gradient == pytest.approx(sum(v - 100 for v in values), rel=1e-4)
    assert saved.sum().item() == pytest.approx(3 * expected)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()
