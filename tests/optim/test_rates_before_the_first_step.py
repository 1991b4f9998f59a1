"""A learning rate that changes before the first step, behind `zero_grad` and a backward pass."""

from __future__ import annotations

import warnings
from typing import Any

import pytest

pytest.importorskip("torch")

from beside_torch import LIBRARIES, same

pytestmark = pytest.mark.parity
NAMES = "SGD Adam AdamW ASGD Rprop RMSprop Adagrad Adadelta Adamax NAdam RAdam Adafactor".split()


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("skipped", [0, 1, 2])
def test_same_as_pytorch(name: str, skipped: int) -> None:
    """ASGD and Rprop begin with states made of the rate. (Found by random training 644.)"""

    def trained(library: Any) -> Any:
        w = library.nn.Parameter(library.tensor([1.0, 2.0, -1.0]))
        optimizer = getattr(library.optim, name)([w], lr=0.1)
        schedule = library.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: 0.5**epoch)
        for step in range(5):
            optimizer.zero_grad()
            (w * w).sum().backward()
            if step >= skipped:
                optimizer.step()
            schedule.step()
        state = optimizer.state[w]
        return [w, *(value for _, value in sorted(state.items()) if hasattr(value, "shape"))]

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a schedule that goes before its optimizer
        same(*map(trained, LIBRARIES))
