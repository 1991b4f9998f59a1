"""Hooks of views whose memory is written: they stay with what the view was."""

from __future__ import annotations

from typing import Any

import pytest

import flambeau

pytestmark = pytest.mark.parity

WRITES = {
    "a part of it": lambda base, view, other, w: other.__setitem__((slice(None), [0]), 5.0),
    "another view": lambda base, view, other, w: other.mul_(3.0),
    "the base": lambda base, view, other, w: base.mul_(3.0),
    "itself": lambda base, view, other, w: view.mul_(3.0),
    "by a gradient": lambda base, view, other, w: other.__setitem__((slice(None), [0]), w[0]),
    "what it does not show": lambda base, view, other, w: base[0:1].mul_(w[0]),
    "nothing": lambda base, view, other, w: None,
}
USES = {
    "the view": lambda base, view, other: (view * view).sum(),
    "another view": lambda base, view, other: (other * other).sum(),
    "the base": lambda base, view, other: (base * base).sum(),
    "both views": lambda base, view, other: (other * view).sum(),
}


@pytest.mark.parametrize("write", WRITES)
@pytest.mark.parametrize("use", USES)
@pytest.mark.parametrize("rest", [False, True])
def test_same_as_pytorch(write: str, use: str, rest: bool) -> None:
    import torch

    def outcome(module: Any) -> Any:
        def at_rest(*tensors: Any) -> None:
            for tensor in tensors if rest else ():
                tensor.tolist()

        w = module.tensor([0.5, 2.0, 3.0], requires_grad=True)
        base = w * 2
        view = base[1:]
        other = view.unsqueeze(0)
        at_rest(base, other)
        calls: list[Any] = []

        def hook(gradient: Any) -> Any:
            calls.append(gradient.tolist())
            return gradient * 10

        view.register_hook(hook)
        at_rest(base)
        WRITES[write](base, view, other, w)
        at_rest(base, view)
        loss = USES[use](base, view, other)
        at_rest(loss)
        return module.autograd.grad(loss, w)[0].tolist(), calls

    for _ in range(3):
        assert outcome(flambeau) == outcome(torch)


# A base with a view of it, and what is written through the view: something is made of another view
# before a hook stands at the base.
BASES = {
    "turned": (lambda w: w * 2, lambda base: base.t()),
    "flat": (lambda w: w * 2, lambda base: base.view(-1)),
    "a part": (lambda w: w * 2, lambda base: base[0:1]),
    "of a turned one": (lambda w: (w * 2).t() + 1, lambda base: base.t()),
    "of one axis": (lambda w: w.sum(0) * 2, lambda base: base[1:]),
    "as it is": (lambda w: w * 2, lambda base: base.view(base.shape)),
}


@pytest.mark.parametrize("kind", BASES)
@pytest.mark.parametrize("keeps", [False, True], ids=["hook", "gradient kept"])
@pytest.mark.parametrize("writes", [1, 2])
def test_base_is_hooked_behind_a_write_through_its_view(
    kind: str, keeps: bool, writes: int
) -> None:
    import torch

    make, look = BASES[kind]

    def outcome(module: Any) -> Any:
        w = module.arange(6.0).reshape(2, 3).requires_grad_()
        base = make(w)
        view = look(base)
        view.mul_(0.5)
        made = (view * 3).flip(0)
        calls: list[Any] = []

        def hook(gradient: Any) -> Any:
            calls.append(gradient.tolist())
            return gradient * 10

        if keeps:
            base.retain_grad()
        else:
            base.register_hook(hook)
        if writes == 2 and not keeps:
            view.add_(1.0)
        loss = (made * made).sum() + (base * base).sum() + (view * view).sum()
        loss.backward()
        kept = base.grad.tolist() if keeps else None
        return w.grad.tolist(), calls, kept

    for _ in range(3):
        assert outcome(flambeau) == outcome(torch)


SAME = {
    "expand": lambda base: base.expand(2, 3),
    "expand_as": lambda base: base.expand_as(base),
    "squeeze": lambda base: base.squeeze(),
    "view": lambda base: base.view(2, 3),
    "view_as": lambda base: base.view_as(base),
    "slices": lambda base: base[:],
    "ellipsis": lambda base: base[...],
    "narrow": lambda base: base.narrow(0, 0, 2),
    "permute": lambda base: base.permute(0, 1),
    "transpose": lambda base: base.transpose(1, 1),
    "flatten": lambda base: base.flatten(1),
    "reshape": lambda base: base.reshape(2, 3),
    "movedim": lambda base: base.movedim(0, 0),
    "as_strided": lambda base: base.as_strided((2, 3), (3, 1)),
    "broadcast_to": lambda base: base.broadcast_to((2, 3)),
    "unflatten": lambda base: base.unflatten(0, (2,)),
    "diagonal": lambda base: base.unsqueeze(0).squeeze(0),
}


@pytest.mark.parametrize("kind", SAME)
@pytest.mark.parametrize("written", [False, True])
@pytest.mark.parametrize("used", ["base", "view", "both"])
def test_views_of_the_same_layout_have_hooks_of_their_own(
    kind: str, written: bool, used: str
) -> None:
    import torch

    def outcome(module: Any) -> Any:
        w = module.arange(6.0).reshape(2, 3).requires_grad_()
        base = w * 2
        view = SAME[kind](base)
        if written:
            view.mul_(0.5)
        calls: list[Any] = []
        view.register_hook(lambda gradient: calls.append(("view", gradient.tolist())))
        base.register_hook(lambda gradient: calls.append(("base", gradient.tolist())))
        loss = module.zeros(())
        if used != "view":
            loss = loss + (base * base).sum()
        if used != "base":
            loss = loss + (view * 3).sum()
        loss.backward()
        return w.grad.tolist(), sorted(calls)

    for _ in range(3):
        assert outcome(flambeau) == outcome(torch)


@pytest.mark.parametrize("rest", [False, True])
@pytest.mark.parametrize("gone", [False, True])
def test_two_views_of_the_same_layout_have_hooks_of_their_own(rest: bool, gone: bool) -> None:
    import torch

    def outcome(module: Any) -> Any:
        w = module.arange(6.0).reshape(2, 3).requires_grad_()
        base = (w * 2)[0:2] if gone else w * 2
        if rest:
            base.tolist()
        first = base.flatten()
        first.add_(1.0)
        second = base.view(-1)
        calls: list[Any] = []
        second.register_hook(lambda gradient: calls.append(gradient.tolist()))
        ((second * second).sum() + (base * base).sum() + (first * first).sum()).backward()
        return w.grad.tolist(), calls

    for _ in range(3):
        assert outcome(flambeau) == outcome(torch)
