"""Tensors that look alike: views, aliases, dtypes and memory change behind one code path."""

from __future__ import annotations

from typing import Any

from tests.record.adversarial.cases import STEPS, case, numbers


@case
def views_of_one_memory(t: Any) -> Any:
    base = t.tensor(numbers(0, 6, 6))
    seen = []
    for k in range(12):
        rows = (base[:3, :3], base[3:, 3:], base.t()[:3, :3], base[::2, ::2], base[1:4, 2:5])
        x, y = rows[k % 5], rows[(k * 3 + 1) % 5]
        x.mul_(0.9)
        y.add_(0.1 * k) if k % 2 else y.sub_(x.clone())
        seen.append(base.sum().item() if k % 3 == 0 else None)
    return seen, base.tolist()


@case
def one_argument_twice(t: Any) -> Any:
    def update(a: Any, b: Any) -> Any:
        a.add_(b)
        b.mul_(0.5)
        return (a * b).sum()

    one, two = t.ones(3), t.full((3,), 2.0)
    pairs = [(one, two), (one, one), (one, one[:]), (two, one.view(3)), (one.detach(), one)]
    return [update(*pairs[k % 5]).item() for k in range(15)], one.tolist(), two.tolist()


@case
def strides_and_dtypes_change(t: Any) -> Any:
    data = numbers(1, 4, 4)
    forms = [
        lambda x: x,
        lambda x: x.t(),
        lambda x: x.double(),
        lambda x: x[:, ::2].repeat(1, 2),
        lambda x: x.flip(0),
        lambda x: x.half().float(),
        lambda x: x[0].expand(4, 4),
    ]
    found = []
    for k in range(14):
        x = forms[k % 7](t.tensor(data)).requires_grad_(True)
        y = (x * x).sum()
        y.backward()
        found.append((str(x.dtype).split(".")[-1], y.item(), x.grad.stride(), x.grad.tolist()))
    return found


@case
def storage_swapped_by_data(t: Any) -> Any:
    w = t.tensor(numbers(2, 4), requires_grad=True)
    found = []
    for k in range(STEPS):
        if k % 3 == 2:
            w.data = t.tensor(numbers(k, 4 + k % 2))
            w.grad = None
        loss = (w * w).sum()
        loss.backward()
        w.data.sub_(0.1 * w.grad)
        w.grad = None
        del loss  # PyTorch keeps w's old size as long as a graph does
        found.append(w.tolist())
    return found


@case
def set_and_resize(t: Any) -> Any:
    a, b = t.tensor(numbers(3, 4)), t.tensor(numbers(4, 4))
    found = []
    for k in range(STEPS):
        c = t.empty(0)
        c.set_(a if k % 2 else b)
        c.mul_(1.5)
        found.append((a.tolist(), b.tolist(), (a + b).sum().item()))
    return found
