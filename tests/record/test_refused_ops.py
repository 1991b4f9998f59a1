"""What an op that is refused leaves behind."""

from __future__ import annotations

import pytest

import flambeau


def test_a_refused_op_before_a_step_without_gradients() -> None:
    """Found by a random training: what has entered for the op ended the recording, for good."""
    w = flambeau.nn.Parameter(flambeau.ones(2))
    optimizer = flambeau.optim.SGD([w], lr=0.1)
    x = flambeau.tensor([[1.0, 2.0]])
    for _ in range(4):
        with pytest.raises(RuntimeError, match="rank 4"):
            x.contiguous(memory_format=flambeau.channels_last)
        optimizer.step()
    assert (x * 2).tolist() == [[2, 4]]
