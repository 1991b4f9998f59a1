"""pad_sequence on data and on what has history, of equal and unequal lengths, as PyTorch has it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import flambeau
from flambeau.record.statistics import STATISTICS

reference = pytest.importorskip("torch")
pytestmark = pytest.mark.parity


@pytest.mark.parametrize("kind", ["float32", "int64", "uint8", "bool", "bfloat16", "history"])
@pytest.mark.parametrize("batch_first", [True, False])
@pytest.mark.parametrize(("value", "side"), [(0, "right"), (2.0, "left")])
@pytest.mark.parametrize("rest", [(), (3,)])
def test_as_pytorch_pads(
    kind: str, batch_first: bool, value: float, side: str, rest: tuple[int, ...]
) -> None:
    random = np.random.default_rng(5)
    arrays = [random.integers(0, 5, (n, *rest)).astype(np.float32) for n in (2, 5, 0, 3)]
    found: list[Any] = []
    for torch in (flambeau, reference):
        parts = [torch.tensor(a) for a in arrays]
        if kind == "history":
            parts[1].requires_grad_()
        else:
            parts = [p.to(getattr(torch, kind)) for p in parts]
        padded = torch.nn.utils.rnn.pad_sequence(parts, batch_first, value, side)
        parts[0].zero_()  # the batch is a copy
        found.append(padded)
    ours, theirs = found
    assert ours.stride() == theirs.stride()
    assert ours.requires_grad == theirs.requires_grad
    assert str(ours.dtype).split(".")[1] == str(theirs.dtype).split(".")[1]
    assert ours.tolist() == theirs.tolist()


def test_steps_on_padded_batches_are_recognised() -> None:
    net, states = flambeau.nn.Linear(6, 2), []
    for step in range(6):
        lengths = [6, *(1 + (step * k) % 5 for k in range(1, 4))]
        parts = [flambeau.randn(n) for n in lengths]
        loss = net(flambeau.nn.utils.rnn.pad_sequence(parts, batch_first=True)).pow(2).mean()
        net.zero_grad()
        loss.backward()
        loss.item()
        states.append(STATISTICS.states)
    assert states[-1] - states[-2] <= 8  # the drawing of these lengths, not the step
