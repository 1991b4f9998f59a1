"""`x.data`: read, written through, and set."""

from __future__ import annotations

import pytest

import flambeau
from flambeau.record.statistics import STATISTICS

from .both import check_source

pytestmark = pytest.mark.parity

PROGRAMS = """
x.data += 1
seen(x)
(x * x).sum().backward()
seen(x.grad)
---
x.data = x.data * 2
seen(x)
(x * x).sum().backward()
seen(x.grad)
---
for i in range(4):
    loss = (x * x).sum()
    x.grad = None
    loss.backward()
    x.data = x.data - 0.1 * x.grad
seen(x, loss, x.grad)
---
for i in range(4):
    loss = (x * x).sum()
    loss.backward()
    x.data -= 0.1 * x.grad.data
    x.grad.data.zero_()
seen(x, loss, x.grad)
---
for i in range(4):
    loss = (x * x).sum()
    loss.backward()
    x.data.sub_(0.1 * x.grad.data)
    x.grad.data *= 0.5
    seen(loss.item())
seen(x, x.grad)
---
z = torch.ones(2, 3) * 3
x.data = z
z.mul_(2)
seen(x, z)
with no_grad(): x.add_(1)
seen(z)
---
z = torch.ones(4, 3) * 3
x.data = z[1:3]
z[1] = 7
seen(x)
(x * x).sum().backward()
seen(x.grad, x.storage_offset())
---
v = x.detach().view(-1)
x.data = x.data * 2
x.data.add_(1)
seen(v, x)
---
w = x * 2
x.data = x.data + 5
w.sum().backward()
seen(w, x, x.grad)
---
w = (x * 3).sum()
x.data = x.data + 5
(w + x.sum()).backward()
seen(x.grad)
---
h = x.register_hook(lambda g: g * 10)
x.data = x.data + 5
x.sum().backward()
seen(x.grad)
---
w = torch.ones(2, 3, requires_grad=True)
w.data = torch.ones(5) * 2
seen(w, w.shape[0])
w.sum().backward()
seen(w.grad)
---
x.data = (x.data * 2).double()
seen(x)
x.sum().backward()
seen(x.grad)
---
with no_grad():
    x.data = x * 2
seen(x)
x.sum().backward()
seen(x.grad)
---
c = torch.zeros(2, 3)
c.data = x.detach() + 1
seen(c)
c += 1
seen(c, x)
---
y.data = torch.ones(2, 3) * 9
seen(y.requires_grad, y.sum().item())
---
a = x.data
x.data = x.data + 1
a += 1
seen(a, x)
x.data = a
a += 1
seen(x)
---
a, b = torch.ones(3) * 2, torch.ones(3) * 3
a.data, b.data = b.data * 1, a.data * 1
seen(a, b)
---
x.data = 3
---
x.data = torch.ones(2, 3, dtype=torch.int64) * 2
---
p = torch.nn.Parameter(torch.ones(3))
p.data = p.data.clone().fill_(4)
seen(p)
p.data.clamp_(0, 1)
seen(p, p.data.requires_grad)
---
z = x * x
x.data.mul_(10)
z.sum().backward()
seen(x.grad, x._version)
---
z = x * x
z.sum().item()
x.data.mul_(10)
z.sum().backward()
seen(x.grad, x)
---
z = x * x
x.data.mul_(10)
x.sum().item()
x.data.add_(1)
z.sum().backward()
seen(x.grad, x)
---
z = y.exp()
z.data[0] = 5
z.data.t()[1:] *= 2
z.sum().backward()
seen(x.grad)
---
z = (x * x).sin().sum()
for i in range(3):
    x.data.mul_(2)
    z.backward(retain_graph=True)
    seen(x.grad)
---
w = torch.ones(3, 2, requires_grad=True)
z = x @ w
seen(z.sum().item())
w.data.copy_(torch.arange(6.0).view(3, 2))
z.sum().backward()
seen(x.grad, w.grad)
---
z = x * x
d = x.data
d.mul_(2)
d.view(-1)[0] = 7
z.sum().backward()
seen(x.grad, x._version, d.requires_grad)
---
z = x * x
x.detach().mul_(2)
z.sum().backward()
---
z = x * x
z.sum().item()
x.detach().mul_(2)
z.sum().backward()
---
z = x * x
x.data.mul_(2)
with no_grad(): x.mul_(2)
z.sum().backward()
---
d = x.data
z = d * x
d.mul_(2)
z.sum().backward()
---
z = (x * x).sum()
(g,) = torch.autograd.grad(z, x, create_graph=True)
x.data.mul_(3)
(g * g).sum().backward()
seen(x.grad)
---
p = torch.nn.Parameter(x.data)
z = p * p
with no_grad(): p.mul_(2)
z.sum().backward()
---
x.grad = torch.ones(2, 3)
x.grad.data = x.grad.data * 3
seen(x.grad)
(x * 2).sum().backward()
seen(x.grad)
"""


@pytest.mark.parametrize("source", PROGRAMS.strip().split("\n---\n"))
def test_as_in_pytorch(source: str) -> None:
    check_source(source)


def test_a_step_stays_one_program() -> None:
    weights = [flambeau.ones(4, requires_grad=True) for _ in range(8)]

    def runs() -> int:
        return STATISTICS.compiled_runs + STATISTICS.reference_runs

    for step in range(4):
        before = runs()
        loss = sum((w * w).sum() for w in weights)
        for w in weights:
            w.grad = None
        loss.backward()
        for place, w in enumerate(weights):
            if place % 2:
                w.data -= 0.1 * w.grad
            else:
                w.data = w.data - 0.1 * w.grad
        loss.item()
        assert step < 1 or runs() - before <= 2
    assert weights[0].tolist() == weights[1].tolist() == pytest.approx([0.8**4] * 4)
