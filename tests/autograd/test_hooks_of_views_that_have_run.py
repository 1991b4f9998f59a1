"""Hooks of tensors over the memory of others that nobody has any more (`(x * 2).flatten()`),
whenever the program that made them has run, and whatever is made of them later.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

import flambeau as torch

MAKES: dict[str, Callable[[Any], Any]] = {
    "unsqueeze": lambda x: x.amin().unsqueeze(0),
    "view": lambda x: (x * 2).view(8),
    "view of a view": lambda x: (x * 2).view(8).view(2, 4),
    "reshape": lambda x: (x * 3).reshape(4, 2),
    "flatten": lambda x: x.mul(2).flatten(),
    "turned and copied": lambda x: x.t().contiguous().view(-1),
    "t": lambda x: (x * 2).t(),
    "row": lambda x: (x * 3)[0],
    "rows": lambda x: (x * 3)[:1],
    "split": lambda x: (x * 2).split(1)[0],
    "product": lambda x: x * 2,
    "sum": lambda x: x.sum(0, keepdim=True),
}
USES: dict[str, Callable[[Any], Any]] = {
    "product": lambda h: h * 1,
    "square": lambda h: h * h,
    "view": lambda h: h.reshape(-1)[:1],
    "element": lambda h: h[0],
    "write": lambda h: h.clone().add_(h),
}


def gradient(make: Any, use: Any, hook_at: int | None, run_at: int | None) -> list[float]:
    """Of a function of made and used tensors, with a hook that is registered and a program that
    runs at some place.
    """
    x = torch.tensor([[-0.5, 0.25, -1.5, -0.75], [-1.25, 0.5, -0.625, 1.5]], requires_grad=True)
    h = make(x)
    y = None
    for at in range(3):
        if at == 2:
            y = use(h)
        if run_at == at:
            (h if y is None else y).sum().item()
        if hook_at == at:
            h.register_hook(lambda g: g * 2)
    (y * y.detach().cos()).sum().backward()
    found: list[float] = x.grad.flatten().tolist()
    return found


@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("make", MAKES)
def test_hooks_are_called_once(make: str, use: str) -> None:
    plain = gradient(MAKES[make], USES[use], None, None)
    assert any(plain)
    for hook_at in range(3):
        for run_at in (None, 0, 1, 2):
            found = gradient(MAKES[make], USES[use], hook_at, run_at)
            assert found == pytest.approx([2 * g for g in plain]), (hook_at, run_at)


@pytest.mark.parametrize("ran", [False, True])
def test_the_base_is_not_hooked_by_way_of_a_view(ran: bool) -> None:
    x = torch.tensor([[-0.5, 0.25], [-1.25, 0.5]], requires_grad=True)
    base = x * 1
    view = base.unsqueeze(0)
    if ran:
        base.sum().item()
    again = view[0]  # looks as the base does
    view.register_hook(lambda g: g * 10)
    (view.sum() + 2 * again.sum() + 3 * base.sum()).backward()
    assert x.grad.tolist() == [[33, 33], [33, 33]]


@pytest.mark.parametrize("ran", [False, True])
def test_a_write_through_a_view_of_a_hooked_view_passes_the_hook_by(ran: bool) -> None:
    x = torch.tensor([[-0.5, 0.25], [-1.25, 0.5]], requires_grad=True)
    base = x * 1
    hooked = base[:1]
    if ran:
        base.sum().item()
    hooked.register_hook(lambda g: g * 10)
    view = hooked.unsqueeze(0)
    view.mul_(3)
    (view.sum() + base.sum()).backward()
    assert x.grad.tolist() == [[6, 6], [1, 1]]


@pytest.mark.parametrize("made", MAKES)
@pytest.mark.parametrize("ran", [False, True])
@pytest.mark.parametrize("of_leaf", [False, True])
def test_what_two_programs_have_made_of_it(made: str, ran: bool, of_leaf: bool) -> None:
    x = torch.tensor([[-0.5, 0.25, -1.5, -0.75], [-1.25, 0.5, -0.625, 1.5]], requires_grad=True)
    views = {"t": x.t, "row": lambda: x[0], "rows": lambda: x[:1], "reshape": lambda: x.view(4, 2)}
    h = views[made]() if of_leaf and made in views else MAKES[made](x)
    first = h * 3
    if ran:
        first.sum().item()
    second = h * h
    (wanted,) = torch.autograd.grad((first + second).sum(), x, retain_graph=True)
    h.register_hook(lambda g: g * 2)
    (first + second).sum().backward()
    assert x.grad.tolist() == (2 * wanted).tolist()
