"""Sizes and axes given by the keywords that PyTorch knows them by, NumPy's among them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

CASES: dict[str, Callable[[Any, Any], Any]] = {
    "zeros": lambda torch, x: torch.zeros(size=(2, 3)),
    "ones": lambda torch, x: torch.ones(size=[2, 3], dtype=torch.int64),
    "empty": lambda torch, x: torch.empty(size=(2, 0, 3)),
    "rand": lambda torch, x: torch.rand(size=(2, 3)),
    "randn": lambda torch, x: torch.randn(size=torch.Size([3])),
    "new_zeros": lambda torch, x: x.new_zeros(size=(2,)),
    "new_ones": lambda torch, x: x.new_ones(size=(1, 2)),
    "reshape": lambda torch, x: x.reshape(shape=(3, 2)),
    "torch_reshape": lambda torch, x: torch.reshape(input=x, shape=(-1,)),
    "permute": lambda torch, x: x.permute(dims=(1, 0)),
    "repeat": lambda torch, x: x.repeat(repeats=(2, 1)),
    "tile": lambda torch, x: x.tile(dims=(2,)),
    "cat": lambda torch, x: torch.cat(tensors=[x, x, x], axis=1),
    "stack": lambda torch, x: torch.stack([x, x * 2], axis=-1),
    "squeeze": lambda torch, x: x[None].squeeze(axis=0),
    "unsqueeze": lambda torch, x: x.unsqueeze(axis=1),
    "softmax": lambda torch, x: x.softmax(axis=0),
    "log_softmax": lambda torch, x: x.log_softmax(axis=1),
}


@pytest.mark.parametrize("name", CASES)
def test_as_in_pytorch(name: str) -> None:
    found = []
    for torch in (flambeau, reference):
        torch.manual_seed(1)
        found.append(CASES[name](torch, torch.rand(2, 3)))
    ours, theirs = found
    assert ours.shape == theirs.shape
    assert ours.stride() == theirs.stride()
    assert ours.flatten().tolist() == pytest.approx(theirs.flatten().tolist())
