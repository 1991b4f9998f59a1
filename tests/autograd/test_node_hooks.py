"""`grad_fn.register_hook` and `register_prehook`: what they are told, what they replace."""

from __future__ import annotations

import pytest

import flambeau

from .both import check_source

pytestmark = pytest.mark.parity

PROGRAMS = """
w = torch.ones(3, 2, requires_grad=True) * 0.5
z = (x @ w).tanh()
h = z.grad_fn.register_hook(lambda gi, go: seen(gi, go))
z.sum().backward(retain_graph=True)
h.remove()
z.sum().backward()
seen(x.grad)
---
z = x * y
z.grad_fn.register_hook(lambda gi, go: (gi[0] * 2, gi[1] * 3))
z.register_hook(lambda g: g + 1)
z.sum().backward()
seen(x.grad)
---
z = (y * y).exp()
z.grad_fn.next_functions[0][0].register_hook(lambda gi, go: seen(gi, go))
z.sum().item()
z.sum().backward()
seen(x.grad)
---
z = x / 3
z.grad_fn.register_hook(lambda gi, go: seen(gi, go))
z = z + 1
z.sum().backward()
seen(x.grad)
---
z = x.sum(0)
z.grad_fn.register_hook(lambda gi, go: seen(gi, go))
for i in range(3):
    z.exp().sum().backward(retain_graph=True)
seen(x.grad)
---
z = x * y
z.grad_fn.register_hook(lambda gi, go: (gi[0],))
z.sum().backward()
---
z = (x * 3).sin()
z.grad_fn.next_functions[0][0].register_prehook(lambda go: (go[0] * 2,))
z.sum().backward()
seen(x.grad)
---
w, b = torch.ones(4, 3, requires_grad=True), torch.zeros(4, requires_grad=True)
z = torch.nn.functional.linear(x, w, b)
z.grad_fn.register_hook(lambda gi, go: seen(gi, go))
z.grad_fn.register_hook(lambda gi, go: (gi[0] * 2, gi[1] * 3, gi[2] * 5))
(z * z).sum().backward()
seen(x.grad, w.grad, b.grad)
---
w = torch.ones(4, 3, requires_grad=True)
z = torch.nn.functional.linear(x[None], w)
z.grad_fn.register_hook(lambda gi, go: seen(gi, go))
z.grad_fn.register_hook(lambda gi, go: (gi[0] * 2,))
(z * z).sum().backward()
seen(x.grad, w.grad)
---
images = torch.arange(48.0).reshape(1, 3, 4, 4).requires_grad_()
z = torch.nn.functional.max_pool2d(images, 2)
z.grad_fn.register_hook(lambda gi, go: seen(gi, go))
(z * z).sum().backward()
---
images = torch.linspace(0, 1, 48).reshape(1, 3, 4, 4).requires_grad_()
w = torch.linspace(-1, 1, 54).reshape(2, 3, 3, 3).requires_grad_()
z = torch.nn.functional.conv2d(images, w, padding=1)
z.grad_fn.register_hook(lambda gi, go: seen(gi[0], gi[1], len(gi)))
z.sin().sum().backward()
---
norm = torch.nn.BatchNorm1d(3).double()
for training in (True, False):
    z = norm.train(training)((x * x).double())
    z.grad_fn.register_hook(lambda gi, go: seen(gi))
    (z * z * z).sum().backward()
    seen(norm.running_mean, norm.running_var, x.grad)
---
z = (x * 2).view(-1)
z.grad_fn.register_hook(lambda gi, go: (gi[0] * 3,))
z.sin().sum().backward()
seen(x.grad)
"""


@pytest.mark.parametrize("source", PROGRAMS.strip().split("\n---\n"))
def test_as_in_pytorch(source: str) -> None:
    check_source(source)


def test_what_cannot_be_hooked_says_so() -> None:
    x = flambeau.ones(2, 3, requires_grad=True)
    ran = x * 2
    ran.sum().item()
    for tensor in (flambeau.nn.functional.dropout(x), (x * 1).relu_(), ran):
        with pytest.raises(NotImplementedError, match=r"Tensor\.register_hook"):
            tensor.grad_fn.register_hook(print)
