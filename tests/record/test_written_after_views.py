"""What a pass frees of a tensor whose views came before its history."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau
from flambeau.record.options import OPTIONS


def first_view(x: Any) -> None:
    x.mT.fill_(0.5)


def last_view(x: Any) -> None:
    x[1:].mul_(2.0)
    x[:, 0].fill_(1.0)


def no_view(x: Any) -> None:
    x.fill_(0.5)


@pytest.mark.parametrize("write", [first_view, last_view, no_view])
@pytest.mark.parametrize("rows", [0, 2])
def test_a_sum_with_what_views_have_written_saves_nothing(write: Any, rows: int) -> None:
    """Found by random program 1,082,810: as in PyTorch, later passes go through it again."""
    for _ in range(3):
        w = flambeau.tensor([-1.0, 2.0, 0.5], requires_grad=True)
        x = flambeau.full((rows, 3), 3.0)
        write(x)
        x.add_(w)
        for k in range(3):
            ((w * x - k) ** 2).sum().backward()
        assert w.grad.isfinite().all()


@pytest.mark.parametrize("settled", range(16))
@pytest.mark.parametrize("whole", [False, True])
def test_the_kept_gradient_of_what_was_written_in_part(settled: int, whole: bool) -> None:
    """Found by random program 71,004,461: where only a part of a tensor has history, its gradient
    is that of all of it.
    """

    def at_rest(place: int, tensor: Any) -> None:
        if settled >> place & 1:
            tensor.tolist()

    w = flambeau.tensor(0.75, requires_grad=True)
    x = flambeau.full((4,), 0.5)
    at_rest(0, x)
    x[0 if whole else 1 :] = w
    at_rest(1, x)
    x.retain_grad()
    at_rest(2, x)
    for k in (1, 2):
        loss = ((w * x - 1.5) ** 2).mean()
        at_rest(3, loss)
        loss.backward(retain_graph=True)
        values = [0.75 if whole else 0.5, 0.75, 0.75, 0.75]
        slopes = [k * 0.75 * (0.75 * v - 1.5) / 2 for v in values]
        assert x.grad.tolist() == pytest.approx(slopes, rel=1e-6)
        direct = sum(k * v * (0.75 * v - 1.5) / 2 for v in values)
        through = sum(slopes if whole else slopes[1:])
        assert w.grad.item() == pytest.approx(direct + through, rel=1e-6)


def test_what_is_a_view() -> None:
    x = flambeau.zeros(2, 3)
    v = x[1:]
    assert v._is_view() and not x._is_view()
    v.fill_(1.0)
    assert x.tolist() == [[0, 0, 0], [1, 1, 1]]
    assert v._is_view() and not x._is_view()
    y = (x * 2).T
    y.tolist()
    assert y._is_view() and y[0]._is_view()
    z = x * 2
    w = z[0]
    assert w._is_view() and not z._is_view()
    w.tolist()
    assert w._is_view() and not z._is_view()
    del z
    assert w._is_view()
    assert not x.detach().clone()._is_view() and not flambeau.nn.Parameter(x)._is_view()


@pytest.mark.parametrize("executor", ["reference", "auto"])
def test_views_without_elements_behind_the_end_of_their_memory(
    executor: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Found by random program 80,005,394."""
    monkeypatch.setattr(OPTIONS, "executor", executor)
    for _ in range(3):
        x = flambeau.tensor([[-0.5, 1.0, 2.0, 3.0]]).diagonal()[1:]
        assert x.storage_offset() == 5
        assert x.tolist() == [] and x.numpy().shape == (0,)
        assert x.dot(x).item() == 0 and (x * 2).sum().item() == 0
        x.mul_(2)
        assert x.clone().tolist() == []
