"""What a derivative keeps as a copy, of memory that is used again for other results."""

from __future__ import annotations

import gc
import weakref
from typing import Any

import numpy as np

import flambeau as torch
from flambeau.record import words


def _round(x: Any) -> Any:
    """A program that leaves `x`, and one that writes it and keeps a copy of it."""
    part = x.diagonal()[::2]
    leaf = x.detach().clone().requires_grad_()
    part.detach().sum().item()
    part.mul_(2)
    return leaf, leaf / (x.abs() + 1)


def test_memory_that_is_used_again_was_not_overwritten() -> None:
    data = np.arange(24, dtype=np.float32).reshape(2, 3, 4) / 7 - 1

    def run(looks: bool) -> list[float]:
        x: Any = torch.from_numpy(data.copy())
        for _ in range(6):  # each round's program takes memory that the one before it has left
            leaf, x = _round(x)
            if looks:
                gc.collect()
        x.tanh().sum().backward()
        return leaf.grad.flatten().tolist()  # type: ignore[no-any-return]

    first = run(True)
    assert any(first)
    for _ in range(40):
        assert run(False) == first


class _Known:
    __slots__ = ("__weakref__",)


def test_words_say_that_nobody_refers_weakly() -> None:
    if not words.known():
        return
    thing = _Known()
    ((address, expected),) = words.no_weak_references(thing)
    assert words.word(address) == expected
    reference = weakref.ref(thing)
    assert words.word(address) != expected
    del reference
    assert words.word(address) == expected
