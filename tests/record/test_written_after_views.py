"""What a pass frees of a tensor whose views came before its history."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau


def first_view(x: Any) -> None:
    x.mT.fill_(0.5)


def last_view(x: Any) -> None:
    x[1:].mul_(2.0)
    x[:, 0].fill_(1.0)


def no_view(x: Any) -> None:
    x.fill_(0.5)


@pytest.mark.parametrize("write", [first_view, last_view, no_view])
@pytest.mark.parametrize("rows", [0, 2])
def test_a_sum_with_what_views_have_written_saves_nothing(write: Any, rows: int) -> None:
    """Found by random program 1,082,810: as in PyTorch, later passes go through it again."""
    for _ in range(3):
        w = flambeau.tensor([-1.0, 2.0, 0.5], requires_grad=True)
        x = flambeau.full((rows, 3), 3.0)
        write(x)
        x.add_(w)
        for k in range(3):
            ((w * x - k) ** 2).sum().backward()
        assert w.grad.isfinite().all()
