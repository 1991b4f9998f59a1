"""Where lengths are ever new and nothing needs a gradient, what follows a new one runs op by op:
most ops are known by then (`record.misses.goes_apart`).
"""

from __future__ import annotations

from typing import Any

import pytest

import flambeau as torch
from flambeau.record.misses import ALIKE, APART
from flambeau.record.options import OPTIONS
from flambeau.record.recording import LOCAL
from flambeau.record.statistics import STATISTICS

F = torch.nn.functional


@pytest.fixture(autouse=True)
def _recording() -> None:
    if OPTIONS.sync:
        pytest.skip("op by op anyway")


class Decoder(torch.nn.Module):
    """Attention to what was kept, between layers whose shapes do not change."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.before = torch.nn.Sequential(*[torch.nn.Linear(width, width) for _ in range(6)])
        self.after = torch.nn.Sequential(*[torch.nn.Linear(width, width) for _ in range(6)])
        self.kept: Any = None

    def forward(self, x: Any) -> Any:
        h = torch.tanh(self.before(x))
        self.kept = h if self.kept is None else torch.cat([self.kept, h])
        weights = torch.softmax(h @ self.kept.T, -1)
        return torch.tanh(self.after(weights @ self.kept))


def _decode(model: Decoder, count: int) -> tuple[list[Any], list[int]]:
    """The last rows' sums, and how many states each step was new by."""
    model.kept = None
    x = torch.full((1, model.before[0].in_features), 0.5)
    sums, new = [], []
    for _ in range(count):
        before = STATISTICS.states
        x = model(x)
        sums.append(x.sum().item())
        new.append(STATISTICS.states - before)
    return sums, new


def _model(width: int) -> Decoder:
    torch.manual_seed(width)
    return Decoder(width).eval()


def test_a_growing_cache_records_what_is_new_alone() -> None:
    with torch.no_grad():
        _, new = _decode(_model(11), 30)
    whole = new[1]  # the first step with a cache
    assert whole > 15
    # What has the new length: it enters, is joined, multiplied, and a softmax of it is taken.
    assert max(new[-10:]) <= whole // 2


def test_results_are_those_of_whole_programs() -> None:
    model = _model(12)
    with torch.no_grad():
        apart, _ = _decode(model, 25)
        kept = model.kept
        x, sums = torch.full((1, 12), 0.5), []
        for length in range(1, 26):  # without a cache
            h = torch.tanh(model.before(x))
            weights = torch.softmax(h @ kept[:length].T, -1)
            x = torch.tanh(model.after(weights @ kept[:length]))
            sums.append(x.sum().item())
    assert apart == pytest.approx(sums, rel=1e-5)


def test_lengths_that_come_back_become_whole_programs() -> None:
    model = _model(13)
    with torch.no_grad():
        counts = [sum(_decode(model, ALIKE + 6)[1]) for _ in range(APART + 4)]
        wholes = [new for new in counts[APART - 1 :] if new > 15]
        assert wholes  # recorded whole at last,
        assert counts[-1] == 0  # and then known


def test_programs_with_gradients_stay_whole() -> None:
    model = _model(14)
    x = torch.randn(40, 14)
    for length in range(2, 14):
        STATISTICS.states = 0
        loss = model.after(torch.softmax(model.before(x[:length]) @ x[:length].T, -1) @ x[:length])
        assert LOCAL.apart is None or LOCAL.apart() is not LOCAL.rec
        loss.square().mean().backward()
        assert model.before[0].weight.grad is not None
        model.zero_grad()


def test_it_ends_where_a_value_is_needed() -> None:
    model = _model(15)
    with torch.no_grad():
        _decode(model, 20)
        (torch.ones(3) * 2).sum().item()
        y = torch.ones(3) * 2
        assert LOCAL.apart is None or LOCAL.apart() is not LOCAL.rec
        assert y.tolist() == [2.0, 2.0, 2.0]


def test_errors_name_the_op_as_ever() -> None:
    model = _model(16)
    with torch.no_grad():
        _decode(model, 20)
        model.kept = torch.ones(21, 5)
        with pytest.raises(RuntimeError, match="Sizes of tensors must match"):
            model(torch.full((1, 16), 0.5))
        assert len(_decode(model, 3)[0]) == 3
