"""Hooks of one step are not those of the next one, also where nothing is left of its history."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("rounds", [3, 30])
def test_a_hook_behind_a_pass(late: bool, rounds: int) -> None:
    """Found by random program 81,007,830: programs whose history is spent shared it between runs,
    so that a hook was called in the next step, in front of where it is registered.
    """
    calls: list[Any] = []

    def hook(gradient: Any) -> Any:
        calls.append(1)
        return gradient * 2

    for step in range(rounds):
        w = flambeau.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = w * (1 + step)
        y.sum().backward()
        y.tolist()
        if late:
            y.register_hook(hook)
        before = flambeau.autograd.grad((y * y).sum(), y)[0]
        if not late:
            y.register_hook(hook)
        assert before.tolist() == [2 * (1 + late) * (1 + step) * v for v in (1, 2, 3)]
        after = flambeau.autograd.grad((y * y).sum(), y)[0]
        assert after.tolist() == [4 * (1 + step) * v for v in (1, 2, 3)]
        assert len(calls) == (1 + late) * (1 + step)
