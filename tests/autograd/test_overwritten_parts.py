"""Parts of memory that a derivative needs are kept as copies; what is written to the memory since
is an error all the same, whether the program that kept them has run or not.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch

PARTS: dict[str, Callable[[Any], Any]] = {
    "row": lambda b: b[0],
    "rows": lambda b: b[:1],
    "middle": lambda b: b.view(-1)[2:6],
    "column": lambda b: b[:, 1],
    "whole": lambda b: b,
    "turned": lambda b: b.t(),
}
WRITES: dict[str, Callable[[Any, Any], Any]] = {
    "to the part": lambda b, h: h.mul_(1.5),
    "to the base": lambda b, h: b.add_(1),
    "to another part": lambda b, h: b[1].zero_(),
}


@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.parametrize("written_before", [False, True])
@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("part", PARTS)
def test_writes_are_noticed(part: str, write: str, written_before: bool, ran: bool) -> None:
    x = torch.tensor([[-0.5, 0.25, -1.5, -0.75], [-1.25, 0.5, -0.625, 1.5]], requires_grad=True)
    base = x * 2
    shown = PARTS[part](base)
    if written_before:
        shown.mul_(3)
    square = (shown * shown).sum()
    if ran:
        square.item()
    WRITES[write](base, shown)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        square.backward()


@pytest.mark.parametrize("part", PARTS)
def test_other_memory_may_be_written(part: str) -> None:
    x = torch.tensor([[-0.5, 0.25, -1.5, -0.75], [-1.25, 0.5, -0.625, 1.5]], requires_grad=True)
    shown = PARTS[part](x * 2)  # (its base is gone)
    copy = shown.clone()
    square = (copy * copy).sum()
    square.item()
    shown.mul_(3)
    square.backward()
    expected = torch.zeros(2, 4)
    PARTS[part](expected).copy_(8 * PARTS[part](x.detach()))
    assert torch.allclose(x.grad, expected)
