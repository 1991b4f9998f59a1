"""What grad_fn and torch.autograd.graph offer: edges, hooks of nodes and of several tensors."""

from __future__ import annotations

import pytest

from .both import check_source

pytestmark = pytest.mark.parity

PROGRAMS = """
low = torch.zeros(2, 3)
for z in (x.clamp(0, 1), x.clamp(min=0.5), x.clamp(low, low + 1), (x * 1).clamp_(0, 1)):
    seen(z.grad_fn.name())
---
nn, image = torch.nn, torch.rand(2, 3, 4, 4, requires_grad=True)
for layer in (nn.Conv2d(3, 2, 3, bias=False), nn.Conv2d(3, 2, 3), nn.BatchNorm2d(3),
              nn.BatchNorm2d(3, affine=False), nn.BatchNorm2d(3).eval(), nn.Dropout(),
              nn.LayerNorm(4, elementwise_affine=False), nn.GroupNorm(3, 3, affine=False)):
    z = layer(image).grad_fn
    seen(z.name(), [n and n.name() for n, _ in z.next_functions])
---
z=(y*y)
h=z.grad_fn.register_prehook(lambda go: (go[0]*2,))
z.sum().backward()
seen(x.grad)
---
z=(y*y)
n=z.grad_fn
n.register_prehook(lambda go: seen(go))
z.sum().backward()
---
n=(y*y).grad_fn
y.sum().backward()
seen(n.name())
---
seen(y.grad_fn.metadata, y.grad_fn.name(), y.grad_fn._sequence_nr() >= 0)
---
n=y.grad_fn.next_functions[0][0]
seen(n.variable is x, n.name())
n.register_hook(lambda gi,go: seen('acc',gi,go))
y.sum().backward()
seen(x.grad)
---
n=y.grad_fn.next_functions[0][0]
n.register_prehook(lambda go: (go[0]*3,))
y.sum().backward()
seen(x.grad)
---
e=torch.autograd.graph.get_gradient_edge(y)
seen(e.output_nr, e.node.name())
---
e=torch.autograd.graph.get_gradient_edge(x)
seen(e.output_nr, e.node.name())
---
e=torch.autograd.graph.get_gradient_edge(torch.ones(2))
---
z=(y*y).sum()
e=torch.autograd.graph.get_gradient_edge(y)
seen(torch.autograd.grad(z, e))
---
z=(y*y).sum()
e=torch.autograd.graph.get_gradient_edge(z)
torch.autograd.backward(e)
seen(x.grad)
---
z=(y*y).sum()
e=torch.autograd.graph.get_gradient_edge(x)
seen(torch.autograd.grad(z, inputs=(e,)))
---
z=(y*y).sum()
e=torch.autograd.graph.get_gradient_edge(z)
seen(torch.autograd.grad(e, x))
---
z=x+1
torch.autograd.graph.increment_version([z])
seen(z._version)
---
def f(grads): seen(grads)
torch.autograd.graph.register_multi_grad_hook([x,y], f)
(y*y).sum().backward()
---
def f(g): seen(g)
torch.autograd.graph.register_multi_grad_hook([x,y], f, mode='any')
(y*y).sum().backward()
---
seen(isinstance(y.grad_fn, torch.autograd.graph.Node))
---
h=y.register_hook(lambda g: seen('h',g))
h.remove()
y.sum().backward()
---
from importlib import import_module
seen(x.output_nr, y.output_nr, y.unbind(0)[1].output_nr)
---
seen(torch.autograd.Variable(x) is x)
---
n=y.grad_fn
seen(n is y.grad_fn, n == y.grad_fn, hash(n)==hash(y.grad_fn))
---
seen(y.grad_fn.next_functions[0][0] is y.grad_fn.next_functions[0][0])
---
def hook(g): return g[0]
y.register_hook(hook)
y.sum().backward()
---
y.register_hook(lambda g: 3)
y.sum().backward()
---
y.register_hook(lambda g: g.double())
y.sum().backward()
seen(x.grad)
---
h=torch.autograd.graph.register_multi_grad_hook([x,y], lambda g: seen(g))
h.remove()
(y*y).sum().backward()
"""


@pytest.mark.parametrize("source", PROGRAMS.strip().split("\n---\n"))
def test_as_in_pytorch(source: str) -> None:
    check_source(source)
