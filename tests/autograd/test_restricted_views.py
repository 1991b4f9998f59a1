"""Views made under no_grad or several at once: PyTorch's flags, and what it forbids."""

from __future__ import annotations

import pytest

from .both import check_source

pytestmark = pytest.mark.parity

PROGRAMS = """
with no_grad(): v = x[0]
seen(v)
v.mul_(2)
---
with no_grad(): v = x[0]
with no_grad(): v.mul_(2)
seen(x)
seen(v)
---
with no_grad(): v = y[0]
with no_grad(): v.mul_(2)
(y * y).sum().backward()
seen(y, x.grad)
v + 1
---
with no_grad(): v = y[0]
w = v[:2]
seen(w)
w.add_(1)
---
with no_grad(): v = y[0]
w = v * 3
seen(w)
w.sum().backward()
seen(v.grad, x.grad)
---
with no_grad(): v = x.view(-1)
seen(x.sum().item())
w = v * 3
w.sum().backward()
seen(w, v.grad, x.grad)
---
with no_grad(): v = x.view(-1)
seen(x.sum().item())
v.zero_()
---
with no_grad(): v = x.view(-1)
seen(v.sum().item())
with no_grad(): x.add_(1)
seen(x)
v * 2
---
with no_grad(): v = x.view(-1)
with no_grad(): x.add_(1)
with no_grad(): seen((v * 2).sum().item())
v * 2
---
with no_grad(): v = y.view(6)
v.requires_grad_()
(v * 2).sum().backward()
seen(v, v.grad, x.grad)
with no_grad(): v.sub_(v.grad)
(v * 2).sum().backward()
seen(v, v.grad)
---
v = torch.ones(4)
with no_grad(): w = v[:2]
w.requires_grad_()
with no_grad(): v.mul_(3)
seen(w * 2)
w.mul_(2)
---
with no_grad(): a, b = y.unbind(0)
seen(a, b)
a.mul_(2)
---
a, b = y.unbind(0)
seen(a, b)
a.mul_(2)
---
a, b = y.unbind(0)
with no_grad(): a.mul_(2)
(y * y).sum().backward()
seen(y, x.grad)
b * 2
---
a, b = y.split(1)
a.mul_(2)
---
a, b = y.split(1)
seen(y.sum().item())
a.mul_(2)
---
a, b = y.chunk(2)
with no_grad(): a.mul_(2)
seen(y)
seen(b)
---
a, b = y.split([1, 1])
a.mul_(2)
---
a, b = y.tensor_split(2)
a.mul_(2)
seen(a, b, y)
---
a, b, c = y.hsplit(3)
a.mul_(2)
seen(a, b, y)
---
a, b = y
a += 1
---
a, b = x.unbind(0)
a.mul_(2)
---
a, b = x.unbind(0)
with no_grad(): a.mul_(2)
seen(x)
seen(a)
---
a, b = y.unbind(0)
y.mul_(2)
seen(y)
(a * 1).sum().backward()
---
a, b = y.unbind(0)
y.mul_(2)
b.add_(1)
---
a, b = y.unbind(0)
c = a[:2]
seen(c)
c.mul_(2)
---
a, b = y.unbind(0)
a[0] = 3.0
---
a, b = y.unbind(0)
a.copy_(b)
---
z = torch.ones(2, 3)
a, b = z.unbind(0)
a.mul_(2)
seen(a, b, z)
a.mul_(x[0])
---
z = torch.ones(2, 3)
with no_grad(): v = z[0]
v.mul_(2)
seen(v, z)
v.mul_(x[0])
---
z = torch.ones(2, 3)
with no_grad(): v = z[0]
v.requires_grad_()
seen(v, z)
v.mul_(2)
---
with no_grad(): v = y[0].detach()
v.mul_(2)
seen(v, y)
---
with no_grad(): v = x.expand(2, 2, 3)
v.mul_(2)
---
with no_grad(): v = y.t()
v.resize_(2)
---
y[0].detach_()
---
y.unbind(0)[0].detach_()
---
with no_grad(): v = x[0]
w = v.detach()
w.mul_(2)
seen(w, x)
"""


@pytest.mark.parametrize("source", PROGRAMS.strip().split("\n---\n"))
def test_as_in_pytorch(source: str) -> None:
    check_source(source)
