"""L-BFGS while its history grows."""

from __future__ import annotations

import flambeau
from flambeau.optim.lbfgs import PIECE
from flambeau.record.statistics import STATISTICS


def test_a_longer_history_is_no_other_program() -> None:
    """Its pieces are; only what is left over of them is one more."""
    flambeau.manual_seed(0)
    x = flambeau.randn(50, 30)
    y = x.sin() @ flambeau.randn(30, 1)
    model = flambeau.nn.Linear(30, 1)
    optimizer = flambeau.optim.LBFGS(
        model.parameters(), lr=0.05, max_iter=1, tolerance_grad=0, tolerance_change=0
    )

    def closure() -> flambeau.Tensor:
        optimizer.zero_grad()
        loss = ((model(x) - y) ** 2).mean() + model.weight.abs().sum() * 0.1
        loss.backward()
        return loss

    made = []
    for _ in range(6 * PIECE):
        before = STATISTICS.plans
        optimizer.step(closure)
        made.append(STATISTICS.plans - before)
    assert len(optimizer.state_dict()["state"][0]["old_dirs"]) > 4 * PIECE
    assert sum(made[-2 * PIECE :]) == 0
