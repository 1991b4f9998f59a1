"""Parts that hold their data are joined on the host at once: as PyTorch joins them, and without a
new program for each choice of parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.record.statistics import STATISTICS

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity

CASES: dict[str, Callable[[Any, Any], Any]] = {
    "rows": lambda torch, x: torch.stack([x[i] for i in (3, 0, 3, 5)]),
    "pieces": lambda torch, x: torch.stack([x[i : i + 3] for i in (2, 0, 1, 4)], -1),
    "columns": lambda torch, x: torch.cat([x[:, i : i + 2] for i in (1, 3, 0)], 1),
    "unequal": lambda torch, x: torch.cat([x[:1], x[2:5], x[:0], x[4:]]),
    "empty": lambda torch, x: torch.cat([torch.empty(0), x[0], x[1], x[2]]),
    "dtypes": lambda torch, x: torch.cat([x[:1], x[1:2].double(), x[2:3].long()]),
    "bfloat16": lambda torch, x: torch.stack(list(x.bfloat16())).float(),
    "images": lambda torch, x: torch.cat(
        [x.reshape(2, 2, 2, 7)[i : i + 1] for i in (1, 0, 1)], -4
    ).contiguous(),
    "history": lambda torch, x: torch.stack([x[0], x[1], x[2].clone().requires_grad_() * 2]),
    "written": lambda torch, x: (x.add_(1), torch.stack([x[0], x[1], x[2]]))[1],
    "then_written": lambda torch, x: (torch.stack([x[0], x[1], x[2]]), x.zero_())[0],
    "out": lambda torch, x: torch.stack([x[0], x[1], x[2]], out=torch.empty(3, 7)),
}
WRONG: dict[str, Callable[[Any, Any], Any]] = {
    "shapes": lambda torch, x: torch.stack([x[0], x[1], x[2, :3]]),
    "cat_shapes": lambda torch, x: torch.cat([x[:1], x[1:2], x[2:3, :3]]),
    "axis": lambda torch, x: torch.stack([x[0], x[1], x[2]], 3),
    "cat_axis": lambda torch, x: torch.cat([x[0], x[1], x[2]], 1),
    "ranks": lambda torch, x: torch.cat([x[0], x[1], x[2:3]]),
}


@pytest.mark.parametrize("name", CASES)
def test_as_pytorch_joins(name: str) -> None:
    found = []
    for torch in (flambeau, reference):
        torch.manual_seed(2)
        x = torch.rand(8, 7)
        x.sum().item()  # it holds its data
        found.append(CASES[name](torch, x))
    ours, theirs = found
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    assert ours.requires_grad == theirs.requires_grad
    assert ours.stride() == theirs.stride()
    np.testing.assert_array_equal(ours.detach().numpy(), theirs.detach().numpy())


@pytest.mark.parametrize("name", WRONG)
def test_errors_are_pytorchs(name: str) -> None:
    words = []
    for torch in (flambeau, reference):
        x = torch.rand(8, 7)
        x.sum().item()
        with pytest.raises((RuntimeError, IndexError)) as caught:
            WRONG[name](torch, x)
        words.append((caught.type, str(caught.value).splitlines()[0]))
    assert words[0] == words[1]


def test_random_places_are_recognised() -> None:
    data, net = flambeau.rand(200, 4), flambeau.nn.Linear(4, 2)
    rule = flambeau.optim.SGD(net.parameters(), lr=0.1)
    states = []
    for _ in range(6):
        places = flambeau.randint(190, (5,))
        x = flambeau.stack([data[i : i + 3] for i in places])
        y = flambeau.cat([data[i : i + 3] for i in places.tolist()])
        rule.zero_grad()
        loss = net(x).sum() + net(y).mean()
        loss.backward()
        rule.step()
        loss.item()
        states.append(STATISTICS.states)
    assert states[2] == states[-1]
