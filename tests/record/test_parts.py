"""Views that begin at another place each time: they enter as memory of their own, and still share
it with what they are views of.
"""

from __future__ import annotations

import numpy as np
import pytest

import flambeau as torch
from flambeau.record.options import OPTIONS
from flambeau.record.statistics import STATISTICS


def points(count: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((count, 3)).astype(np.float32)


def test_rows_that_data_choose_need_one_program() -> None:
    data = points(200)
    x, away = torch.from_numpy(data.copy()), torch.full((200,), 1e10)
    x = x + 0
    last, chosen = 0, []
    plans = []
    for _ in range(60):
        chosen.append(last)
        away = torch.minimum(away, ((x - x[last]) ** 2).sum(1))
        last = away.argmax().item()
        plans.append(STATISTICS.plans)
    assert OPTIONS.sync or plans[-1] == plans[20]
    last, expected, far = 0, [], np.full(200, 1e10, np.float32)
    for _ in range(60):
        expected.append(last)
        far = np.minimum(far, ((data - data[last]) ** 2).sum(1))
        last = int(far.argmax())
    assert chosen == expected


def test_views_without_a_family_too() -> None:
    x = torch.arange(40.0).reshape(20, 2) * 1
    for i in range(20):
        row = x.detach()[i]
        assert torch.equal(x - row, torch.tensor(x.numpy() - x.numpy()[i]))


@pytest.mark.parametrize("whole", [False, True])
def test_writes_are_seen_through_all_views(whole: bool) -> None:
    x, seen = torch.arange(24.0).reshape(12, 2) * 1, np.arange(24.0, dtype=np.float32)
    seen = seen.reshape(12, 2)
    for i in [0, 3, 1, 7, 2, 11, 5, 4, 8, 6, 10, 9]:
        row = x[i]
        total = (x * 2 - row).sum()
        if whole:
            x.mul_(1.5)
        else:
            row.mul_(1.5)
        after = x.sum() + row.sum() + total
        before = (seen * 2 - seen[i]).sum()
        if whole:
            seen *= 1.5
        else:
            seen[i] *= 1.5
        assert after.item() == pytest.approx(seen.sum() + seen[i].sum() + before, rel=1e-5)
        assert np.allclose(x.numpy(), seen) and np.allclose(row.numpy(), seen[i])


def test_writes_between_reads_of_parts() -> None:
    x, seen = torch.ones(16, 4) * 1, np.ones((16, 4), np.float32)
    order = np.random.default_rng(1).permutation(16).tolist()
    for i, j in zip(order, order[1:] + order[:1]):
        for _ in range(2):
            x[i] += x[j] * 0.5 + x.mean(0)
            seen[i] += seen[j] * 0.5 + seen.mean(0)
        assert np.allclose(x.numpy(), seen, rtol=1e-5)


def test_views_of_parts_share_their_memory() -> None:
    x = torch.zeros(10, 4) * 1
    for i in [0, 4, 2, 9, 7, 1, 3]:
        row = x[i]
        y = x + row
        inner = row[1:3]
        assert y.shape == (10, 4)
        inner += i + 1
        assert x[i].tolist() == [0, i + 1, i + 1, 0]


def test_history_knows_of_writes_to_parts() -> None:
    x = torch.ones(12, 3) * 1
    weight = torch.full((3,), 2.0, requires_grad=True)
    for i in [0, 5, 3, 8, 1, 7, 9, 2]:
        y = ((x + x[i]) * weight).sum()
        (gradient,) = torch.autograd.grad(y, weight)
        assert gradient.tolist() == [24.0] * 3
    for i in [4, 6, 10, 11]:
        row = x[i]
        y = (x.sum() + row * weight).sum()
        row.add_(1)
        with pytest.raises(RuntimeError, match="modified by an inplace operation"):
            y.backward()
        row.sub_(1)


def test_parts_of_other_modes() -> None:
    x = torch.ones(12, 3) * 1
    weight = torch.ones(3, requires_grad=True)
    for i in [0, 5, 3, 8, 1, 7, 9, 2]:
        with torch.no_grad():
            y = (x + x[i]) * weight
            with torch.enable_grad():
                z = (y * weight).sum()
        (gradient,) = torch.autograd.grad(z, weight)
        assert gradient.tolist() == [24.0] * 3


def test_numpy_writes_are_seen() -> None:
    data = np.ones((12, 2), np.float32)
    x = torch.from_numpy(data)
    for i in [0, 5, 3, 8, 1, 7]:
        data[i] = i
        assert (x * 0 + x[i]).sum().item() == 24 * i
