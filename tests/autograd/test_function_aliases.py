"""Custom functions that return their inputs, views of them, or inputs written in place."""

from __future__ import annotations

import pytest

from .both import check_source

pytestmark = pytest.mark.parity

CLASSES = """
class Id(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x
    @staticmethod
    def backward(ctx,g): return g*10
class V(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x.view(-1)
    @staticmethod
    def backward(ctx,g): return g.view(2,3)*10
class Two(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x): return x, x*2
    @staticmethod
    def backward(ctx,g,h): return g*10+h
class Dirty(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x):
        x.mul_(3)
        ctx.mark_dirty(x)
        return x
    @staticmethod
    def backward(ctx,g): return g*3
class Dirty2(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x,w):
        x.mul_(w)
        ctx.mark_dirty(x)
        return x, x*2
    @staticmethod
    def backward(ctx,g,h): return g*3, (g+h).sum(0)
class NoRet(torch.autograd.Function):
    @staticmethod
    def forward(ctx,x):
        x.mul_(3)
        ctx.mark_dirty(x)
        return x*1
    @staticmethod
    def backward(ctx,g): return g*3
"""

PROGRAMS = """
z=Id.apply(x)
seen(z, z is x, z._is_view())
z.sum().backward()
seen(x.grad)
---
z=Id.apply(y)
seen(z, z is y, z._is_view())
z.sum().backward()
seen(x.grad)
---
z=Id.apply(y)
z.mul_(2)
seen(z,y)
---
z=Id.apply(y)
with no_grad(): z.mul_(2)
seen(y)
seen(z)
---
z=Id.apply(y)
with no_grad(): y.mul_(2)
seen(y)
seen(z)
---
z=Id.apply(y)
y.mul_(2)
seen(y)
seen(z)
---
with torch.no_grad():
  z=Id.apply(y)
seen(z is y)
seen(z)
---
w=torch.ones(2,3)
z=Id.apply(w)
seen(z, z is w)
z.mul_(2)
seen(w)
---
z=Id.apply(x)
with no_grad(): x.mul_(2)
seen(x.sum().item())
z.sum().backward()
seen(x.grad)
---
z=V.apply(y)
seen(z, z._is_view())
z.sum().backward()
seen(x.grad)
---
z=V.apply(y)
z.mul_(2)
seen(z,y)
---
z=V.apply(x)
z.mul_(2)
seen(z,y)
---
z=V.apply(x)
seen(z)
z.sum().backward()
seen(x.grad)
---
z=V.apply(y)
with no_grad(): y.mul_(2)
seen(y)
seen(z)
---
a,b=Two.apply(y)
seen(a,b,a is y)
(a+b).sum().backward()
seen(x.grad)
---
a,b=Two.apply(y)
a.mul_(2)
---
a,b=Two.apply(y)
b.mul_(2)
seen(a,b)
b.sum().backward()
seen(x.grad)
---
z=Dirty.apply(y)
seen(z is y, z, y)
z.sum().backward()
seen(x.grad)
---
z=Dirty.apply(x)
---
v=y[0]
z=Dirty.apply(v)
seen(z is v, z)
seen(y)
y.sum().backward()
seen(x.grad)
---
v=y[0]
z=Dirty.apply(v)
(z*z).sum().backward()
seen(x.grad)
---
v=y.view(-1)
z=Dirty.apply(v)
seen(z)
y.sum().backward()
seen(x.grad)
---
v=x[0]
z=Dirty.apply(v)
---
v=y[0]
w=torch.ones(3,requires_grad=True)
a,b=Dirty2.apply(v,w)
seen(a is v,a,b)
---
w=torch.ones(3,requires_grad=True)
a,b=Dirty2.apply(y,w)
seen(a is y,a,b)
(a+b).sum().backward()
seen(x.grad,w.grad)
---
c=torch.ones(2,3)
w=torch.ones(3,requires_grad=True)
a,b=Dirty2.apply(c,w)
seen(a is c,a,b)
(a+b).sum().backward()
seen(w.grad)
---
c=torch.ones(2,3)
v=c[0]
w=torch.ones(3,requires_grad=True)
a,b=Dirty2.apply(v,w)
seen(a is v,a,b)
---
z=NoRet.apply(y)
seen(z)
---
a,b=y.unbind(0)
Dirty.apply(a)
---
with no_grad(): v=y[0]
Dirty.apply(v)
---
z=Id.apply(Id.apply(x))
z.sum().backward()
seen(x.grad)
---
z=Id.apply(y)
seen(z.grad_fn.name(), z.grad_fn.next_functions[0][0].name())
"""


@pytest.mark.parametrize("source", PROGRAMS.strip().split("\n---\n"))
def test_as_in_pytorch(source: str) -> None:
    check_source(CLASSES + source)
