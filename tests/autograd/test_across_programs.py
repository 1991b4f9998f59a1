"""Histories that lie in earlier programs, and writes to what those have saved."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau

from .both import check, leaves

pytestmark = pytest.mark.parity


def cases(torch: Any, seen: Any) -> dict[str, Any]:
    """The programs, by name; what they return and pass to `seen` is compared."""
    leaf = leaves(torch)
    table: dict[str, Any] = {}

    def case(function: Any) -> None:
        table[function.__name__] = function

    @case
    def saved_by_one_program_and_written_by_the_next() -> Any:
        results = []
        for _ in range(3):  # the first run is the reference executor's
            x, w = torch.stack([leaf(), leaf()]).detach().requires_grad_(), leaf()
            mean = x.mean()
            for i in range(2):
                loss = ((w * mean - (0.1 + 0.2 * i)) ** 2).mean()
                # The program ends between forward and backward.
                seen(bool(x.detach().clone().sum() > 0.3))
                loss.backward()
                with torch.no_grad():
                    w -= 0.1 * w.grad
            results += [x.grad.tolist(), w.tolist(), w.grad.tolist()]
        return results

    @case
    def saved_and_written_by_an_optimizer() -> Any:
        x, w = leaf(), leaf()
        optimizer = torch.optim.SGD([w], lr=0.1, momentum=0.9)
        for _ in range(3):
            loss = (w * x).exp().sum()
            seen(loss.item())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
        return x.grad, w

    return table


@pytest.mark.parametrize("name", list(cases(flambeau, print)))
def test_same_as_pytorch(name: str) -> None:
    check(cases, name)
