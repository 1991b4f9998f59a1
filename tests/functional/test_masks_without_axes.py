"""Assignments by a mask without axes: of one value in another dtype they are refused, as in
PyTorch, where a mask with axes is filled with it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch

INDICES: dict[str, Callable[[Any], Any]] = {
    "comparison": lambda x: x > 0,
    "none chosen": lambda x: x < 0,
    "truth": lambda x: torch.tensor(True),
    "behind a new axis": lambda x: (None, x > 0),
}


@pytest.mark.parametrize("index", INDICES)
def test_another_dtype_is_refused(index: str) -> None:
    for value in (torch.tensor(2.5), torch.tensor(2.5, requires_grad=True)):
        x = torch.tensor(1)
        with pytest.raises(RuntimeError, match="got Long for the destination and Float for"):
            x[INDICES[index](x)] = value
        assert x.item() == 1


@pytest.mark.parametrize("index", INDICES)
def test_the_same_dtype_and_numbers_are_taken(index: str) -> None:
    for value in (torch.tensor(3), 3):
        x = torch.tensor(1)
        x[INDICES[index](x)] = value
        assert x.item() == (1 if index == "none chosen" else 3)


def test_masks_with_axes_convert() -> None:
    x = torch.tensor([1, -1, 2])
    x[x > 0] = torch.tensor(7.9)
    assert x.tolist() == [7, -1, 7]
