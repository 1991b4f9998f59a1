"""Programs in which random testing has found a difference, shrunk and told by what went wrong."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

import flambeau

from .compare import difference
from .modes import MODES, mode
from .program import _name_of, plain

pytestmark = pytest.mark.parity

FOUND = {
    "vectors without elements are joined along any axis": """
nothing = torch.ones((0, 3)).reshape(-1) == torch.tensor(1.0)
x = torch.cat([nothing, nothing], dim=1)
y = torch.cat([nothing], dim=-4)
z = torch.cat([nothing, torch.ones(2, 2)], dim=1)
""",
    "a product has copied the expanded operand that is written then": """
w = torch.tensor([[-1.65, -0.1], [0.8, 1.6], [-1.9, 1.1]], requires_grad=True)
x = torch.tensor([[1.3, -0.9, 0.1], [0.5, 0.1, -1.0]])
y = x.expand(2, *x.shape) @ w
x[1:][..., 0].mul_(-1)
torch.autograd.grad((y * y).mean(), y, create_graph=True)[0].clone().backward(torch.ones_like(y))
""",
    "what a vector without elements gets of a join has no history": """
x = torch.tensor([0.1, 0.4, -1.2], requires_grad=True)
y = x.logsumexp(0, keepdim=True)
nothing = y[1:]
joined = torch.cat([nothing, nothing])
g = torch.autograd.grad((joined * y.norm().log_softmax(0)).sum(), nothing, create_graph=True)[0]
h = torch.autograd.grad((torch.cat([nothing]) * y).sum(), nothing, create_graph=True)[0]
z = (torch.cat([nothing, y]) * y).sum()
i, j = torch.autograd.grad(z, (nothing, y), create_graph=True)
""",
    "the maximum of numbers and a NaN with a sign": """
x = torch.tensor([[-1.331, 0.366, -0.238], [-1.595, -0.052, 1.189]], requires_grad=True)
nothing = torch.ones((0, 3)).var(0, keepdim=True)
y = torch.maximum(x, nothing)
z = torch.minimum(x, nothing)
(y.sum() + z.sum()).backward()
""",
    "a hook behind a write at places, of what leads to nothing": """
x = torch.tensor([[0.5, -1.5], [1.25, 2.0]], requires_grad=True)
y = x / 2
y.zero_()
d = y.diagonal()
d.register_hook(lambda g: g * 2)
d[torch.tensor([0])] = 1
print(bool((d[1:] > 0).any()))
(x * (x.clamp(max=1.5) * y) + 1).square().mean().backward()
print(x.grad.tolist())
""",
    "a second hook, behind a write through a view that another thread has recorded": """
import threading as _threading
w = torch.tensor([-1.5, 1.25], requires_grad=True)
y = w * 1
z = y.relu()
def _work():
    y.register_hook(lambda g: g * 2)
    y[0] += 1
for _ in range(3):
    _thread = _threading.Thread(target=_work)
    _thread.start()
    _thread.join()
    print(torch.autograd.grad(z.sum(), w, retain_graph=True)[0].tolist())
print(torch.autograd.grad(y.sum(), w)[0].tolist())
""",
    "index_select of no rows, which shapes alone show": """
x = torch.tensor([4, 3, -1])
for _ in range(3):
    x = x[1:]
    try:
        y = x.index_select(0, torch.tensor([0, 0])).contiguous()
    except Exception as error:
        print(type(error).__name__, str(error).splitlines()[0])
""",
    "hooks before and behind a write, one of them behind no_grad": """
w = torch.tensor([1.2, -0.9, 0.4], requires_grad=True)
y = w * 2
handles = [y.register_hook(lambda g: g * float(g.sum() > 8))]
y.mul_(w * 0.5)
y.register_hook(lambda g: print(1, round(g.sum().item(), 3)) or g * 3)
print(round(y.sum().item(), 3))
y.mul_(w * 0.5)
y.register_hook(lambda g: print(2, round(g.sum().item(), 3)) or g + 1)
y.register_hook(lambda g: print(3, round(g.sum().item(), 3)))
with torch.no_grad():
    y.mul_(2)
y.register_hook(lambda g: print(4, round(g.sum().item(), 3)))
handles.pop().remove()
g = torch.autograd.grad((y * w).sum(), w)[0]
""",
    "hooks before and behind writes through views": """
w = torch.tensor([1.0, 10.0, 100.0], requires_grad=True)
y = w * 3
y.register_hook(lambda g: print(1, g.tolist()))
y[:2].mul_(2)
y.register_hook(lambda g: print(3, g.tolist()) or g * 2)
y.register_hook(lambda g: print(4, g.tolist()) or g + 1)
y.mul_(w)
y.register_hook(lambda g: print(5, g.tolist()))
g = torch.autograd.grad((y * w).sum(), w)[0]
""",
    "a hook behind a write through a view, in a later program": """
w = torch.tensor([[1.0, 10.0], [100.0, 0.5]], requires_grad=True)
y = w * 3
v = y[0]
y.register_hook(lambda g: print(1, g.tolist()))
print(v.sum().item())
v.mul_(2)
print(y.sum().item())
handle = y.register_hook(lambda g: print(2, g.tolist()) or g * 2)
y.register_hook(lambda g: print(3, g.tolist()))
g = torch.autograd.grad((y * w).sum(), w, retain_graph=True)[0]
handle.remove()
h = torch.autograd.grad((y * w).sum(), w)[0]
del handle
""",
    "the only hook stands between writes through views": """
w = torch.tensor([[1.0, 10.0], [100.0, 0.5]], requires_grad=True)
for i in range(3):
    y = w * 3
    y[0] *= 2
    y.register_hook(lambda g: print(g.tolist()) or g * g)
    y[1].mul_(w[0])
    y[:, 1].add_(1)
    w = (y * w).mean(0).expand(2, 2) + 0
g = w
""",
    "the gradient of a tensor that was filled, in a later program": """
x = torch.tensor([[2.0, 1.5, 2.25], [-0.5, 1.5, 0.5]], requires_grad=True)
y = x / 2.0
y.fill_(3)
z = torch.tanh(y)
print(z.sum().item())
g = torch.autograd.grad(z.cos().tanh().sum(), y)[0].clone(memory_format=torch.contiguous_format)
print(g)
""",
    "a hook on a view that an earlier program has used by then": """
w = torch.tensor([[1.5], [-0.2], [1.4]], dtype=torch.float64, requires_grad=True)
x = w.mean(0)
y, z = x * 2.0, x * 3.0
for i in range(2):
    v = z.expand(2, *z.shape)
    z = torch.autograd.grad((v * y).sum(), x, create_graph=True)[0].clone()
    v.register_hook(lambda g: g * 0.5)
print(z)
""",
    "hooks of a root that enters a new recording while they run": """
x = torch.tensor([[-0.2, -1.9], [1.1, 0.6]], requires_grad=True)
y = x.flatten()
y.retain_grad()
with torch.no_grad():
    x.unsqueeze(0).mul_(0.25)
y.backward(torch.ones_like(y), retain_graph=True)
print(x.grad.sum().item())
(y * y.dot(y)).sum().backward()
""",
    "a copy and its source are one value: which of them was overwritten since": """
x = torch.tensor(1.5, requires_grad=True)
y = -x
y.copy_(x)
y.mul_(-1)
z = ((x * (x - 0.25)) ** 2).mean()
z.backward()
""",
    "the same, without gradients": """
x = torch.tensor([1.5, 2.5])
w = torch.tensor([0.5, -1.0], requires_grad=True)
y = torch.zeros(2)
y.copy_(x)
z = (w * y).sum()
x.add_(1)
z.backward()
""",
    "the input of grad was overwritten: what it was in an earlier program is not asked for": """
x = torch.tensor([0.25, -0.5, -1.5], requires_grad=True) * 2
y = torch.where(x > 0.25, x, torch.ones(2, 3))
print(x.sum().item())
y[:, [0]] *= 1.0
for _ in range(2):
    g = torch.autograd.grad(y.tanh().sum(), y)[0]
""",
    "a view of a leaf is sought in the program that used it": """
x = torch.tensor([[-0.25, -1.5], [1.0, 0.5]], requires_grad=True)
y = x.flatten()
z = (y * y).sum()
print(z.item())
g, = torch.autograd.grad(z, y, retain_graph=True)
h = torch.autograd.grad(z, [x, y])
""",
    "a kept gradient is that of the tensor as it is": """
x = torch.tensor([[-0.25, -1.5], [1.0, 0.5]], requires_grad=True) * 2
for i in range(3):
    x.retain_grad()
    x.select(0, 1).mul_(0.5 * i + 1)
    (x * x).sum().backward(retain_graph=True)
    print(x.grad.tolist())
y = x.exp()
y.retain_grad()
y.register_hook(lambda g: g * 2)
y.register_hook(lambda g: print(g.tolist()))
y.sum().backward()
""",
    "the derivative of a rectifier depends on its input, and its derivative is zero": """
x = torch.tensor([[-0.25, -1.5], [1.0, 0.5]], requires_grad=True)
for unit in "relu", "leaky_relu", "relu6", "hardtanh":
    y = getattr(torch.nn.functional, unit)(x)
    g, = torch.autograd.grad(y.sum(), x, create_graph=True)
    h, = torch.autograd.grad(g.sum(), x)
    print(g.requires_grad, h.tolist())
y = x.flip(1)
y.t().relu_()
g, = torch.autograd.grad(y.sum(), x, create_graph=True)
""",
    "what is done to a view is done to the tensor it is of": """
x = torch.tensor([[-0.25, -1.5], [1.0, 0.5]], requires_grad=True)
y = (x * x)
y.retain_grad()
z = y.view(-1)
z.mul_(2)
(z * z).sum().backward(retain_graph=True)
g, = torch.autograd.grad((z * 3).sum(), y, retain_graph=True)
h, = torch.autograd.grad((z * 3).sum(), z, retain_graph=True)
w = (x * 3).t()
w[0] += 1
k = torch.autograd.grad(w.sum() + w[1].sum(), [w, x], retain_graph=True)
""",
    "what is written past autograd moves no gradient": """
x = torch.tensor([1.5, -2.0], requires_grad=True)
y = torch.nn.functional.softplus(x)
z = y.detach()
z.copy_(y)
g, = torch.autograd.grad((z * 2).sum(), y, retain_graph=True)
w = x * 3
u = w * 2
with torch.no_grad():
    w.mul_(5)
h, = torch.autograd.grad((u + w).sum(), w)
""",
    "a view keeps its leaf alive": """
x = torch.tensor(-1.5).clone().requires_grad_(True)
y = x.flatten()
x = 2 * y
print(y.tolist())
y.add_(x)
""",
    "overwritten by a constant: the gradient of what was there needs none": """
x = torch.tensor([[1.4], [1.6]], requires_grad=True)
y = torch.tensor([[-1.4, 1.5]], requires_grad=True)
z = torch.minimum(x, y)
z[...] = 1.5
g = torch.autograd.grad((z * x).sum(), y, create_graph=True)[0].clone()
""",
    "overwritten by a tensor: what was there gets a gradient of zero": """
x = torch.tensor([1.5, -2.0], requires_grad=True)
w = torch.tensor([0.5, 0.25], requires_grad=True)
y = x / 2
y.copy_(w)
(y * y).sum().backward()
""",
    "no extent to reduce over": """
x = torch.ones((0, 3), requires_grad=True) * 2
y = x.logsumexp(0)
y.sum().backward()
""",
    "the order of axes of a broadcast result": """
x = torch.tensor([[0.5], [-1.25], [0.5]])[None] * 1.5
y = x.movedim(0, -1) == x
z = x.movedim(0, -1) + x
""",
    "a slice with steps of one element": """
x = torch.full((1,), 3)
y = x[::2].reshape(-1)
strides = y.stride()
y.copy_(x)
""",
    "rows written from their own memory": """
x = torch.tensor([3.0, 1.5, 2.0])
y = x.flatten()
y[y > 0] = x
""",
    "one value written from its own memory": """
x = torch.tensor([3.0, 1.5, 2.0], requires_grad=True)
y = (x * x).mean()
z = y.flatten()
z[z > 0] = y
z.sum().backward()
""",
    "a write that fails leaves nothing of memory that NumPy shows in the recording": """
x = torch.arange(12.0).reshape(3, 4)
n = x.numpy()
y = x[None]
try:
    y.sub_(x)
except RuntimeError:
    pass
y[::2] += 1.0
print(n[0])
""",
    "a clone is needed, and what it is a clone of was overwritten": """
x = torch.tensor([[0.25, -0.5], [1.0, 0.75]], requires_grad=True)
y = x @ x
z = y.detach().clone()
w = z @ x
print(w.sum().item())
y.mul_(3)
(w * w).sum().backward()
""",
    "where with what is not there": """
x = torch.ones(2, requires_grad=True)
y = torch.where(x > 0, x.grad, x.grad)
""",
    "indices in the memory that is written": """
x = torch.arange(4)
x[x] = 3
""",
    "a 0-d value of another dtype through an index": """
x = torch.ones(3, 2, requires_grad=True) * 2
x[[0, -1], [0, 0]] = x.double().sum()
""",
    "a function behind which no gradient goes was freed": """
x = torch.tensor([[1.0, 2.0], [3.0, -4.0]], requires_grad=True)
s = torch.tensor(2.0, requires_grad=True)
y = x.softmax(1)
with torch.no_grad():
    v = y[:, :]
z = v @ v
for i in range(2):
    (s * z).mean().backward()
""",
    "a number in the memory that it fills": """
x = torch.tensor(1.5)
y = x[None]
y[::2] = x
""",
    "nothing that wants a gradient joined to something": """
x = torch.ones(0, requires_grad=True) * 1
y = torch.cat([torch.ones(2), x])
z = torch.cat([x, torch.ones(2, 3)], 1)
w = y.requires_grad, z.requires_grad
(y.sum() + z.sum()).backward()
""",
    "what is written to itself is up to date": """
x = torch.tensor([[1.5, -0.5], [0.25, 2.0]], requires_grad=True).detach().clone()
x.requires_grad_(True)
torch.autograd.backward([x.tanh().sum(), x.sum()])
seen = x.grad.tolist()
g = x.grad
with torch.no_grad():
    x[...] += 1.0
n = g.numpy()
loss = ((x * x - 1) ** 2).mean()
x.grad.zero_()
loss.backward()
""",
    "a saved value overwritten in a program that has run": """
x = torch.tensor([1.0, 2.0], requires_grad=True)
z = (x * x).sum()
with torch.no_grad():
    x.mul_(3)
x.sum().item()
z.backward()
""",
    "a saved value overwritten since, in a program still to run": """
x = torch.tensor([1.0, 2.0], requires_grad=True)
z = (x * x).sum()
z.item()
with torch.no_grad():
    x.mul_(3)
z.backward()
""",
    "gradients of views of memory that NumPy sees": """
x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
y = x * 2
n = y.detach().numpy()
v = y[0]
(g,) = torch.autograd.grad((v * v + v).sum(), [v], retain_graph=True)
n[0, 0] = 7.0
(h, k) = torch.autograd.grad((v * v * y.t()[:, 1]).sum(), [v, y], retain_graph=True)
h, k = h.tolist(), k.tolist()
v.retain_grad()
y.retain_grad()
((v * v).sum() + v.sum().exp()).backward()
""",
    "the norm of one number has a second derivative, of zeros": """
seen = []
for _order in 2, 3, 0.5:
    for _rows in ([1.5], [-2.0], [0.0], [np.inf], [np.nan]):
        x = torch.tensor(_rows, requires_grad=True)
        w = torch.tensor(0.5, requires_grad=True)
        (_g,) = torch.autograd.grad(x.norm(_order) * w, x, create_graph=True)
        seen += [_g.tolist(), _g.requires_grad, _g.is_leaf]
        _h, _k = torch.autograd.grad(_g.sum(), (x, w))
        if abs(_rows[0]) < np.inf and _rows[0]:
            seen += [_h.tolist(), _k.tolist()]
""",
    "what is written to all of a tensor through a view has a gradient with history": """
seen = []
for _write in (
    lambda y: y.fill_(1),
    lambda y: y[...].fill_(1),
    lambda y: y.t().fill_(1),
    lambda y: y.view(-1).zero_(),
    lambda y: y.unsqueeze(0).fill_(2),
    lambda y: y.t().copy_(torch.ones(2, 2)),
    lambda y: y.copy_(torch.ones(2, 2)),
    lambda y: y.__setitem__(slice(None), 1),
    lambda y: y.__setitem__((..., slice(0, 2)), torch.ones(2)),
    lambda y: y.__setitem__(None, 1),
    lambda y: y.__setitem__(slice(0, 1), 1),
):
    x = torch.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    y = x.clone()
    _write(y)
    (_g,) = torch.autograd.grad((y * y * y).mean(), x, create_graph=True)
    seen += [_g.tolist(), _g.requires_grad, _g.is_leaf]
    if _g.requires_grad:
        seen += [torch.autograd.grad(_g.sum(), x)[0].tolist()]
""",
    "NumPy writes to what a pass has yet to read": """
x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
w = torch.tensor([0.5, 0.25, 0.125])
v = torch.tensor([2.0, 1.5, 0.5])
y = ((x * w - v) ** 2).mean()
y.tolist()
y.backward()
w.numpy()[...] = 1
z = x.grad * 2
y = (x.exp() * v).sum()
y.tolist()
import threading
_work = threading.Thread(target=y.backward)
_work.start()
_work.join()
v[1:].numpy()[0] = 7
del threading
""",
    "the norm of one large number": """
x = torch.tensor(6.6e37, requires_grad=True)
y = x.norm() + torch.tensor([[6.6e37], [1.0]]).norm(dim=1).sum()
y.backward()
""",
    "gradients of views whose views go on in later programs": """
seen = []
for _made in (lambda x: x, lambda x: x * 2):
    for place in range(3):
        x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
        y = _made(x)
        v = y.expand(2, 3)
        if place < 2:
            v.tolist()
        w = v.transpose(-1, -2)
        w.tolist()
        v.retain_grad()
        _g = torch.autograd.grad((w * w).sum() + y.sum(), [v, x, w], retain_graph=True)
        seen += [_one.tolist() for _one in _g]
        v.register_hook(lambda g: (seen.append(g.tolist()), g * 2)[1])
        z = w * w
        if place:
            z.tolist()
        (z.sum() + (v * 5).sum() + y.sum()).backward()
        seen += [x.grad.tolist(), v.grad.tolist()]
""",
    "a hook at a view that a second derivative looks at": """
x = torch.tensor([[1.5], [-0.25], [1.0]], dtype=torch.float64, requires_grad=True)
a = x.mean(0)
b = a + a.sum()
y = b + 0.5
for i in range(3):
    v = y.expand(2, *y.shape)
    b -= i
    y = torch.autograd.grad((v * b).sum(), a, create_graph=True)[0].clone()
    v.register_hook(lambda g: g * float(g.sum() > 0) * 2)
""",
    "nothing, expanded, is written": """
x = torch.ones(0, 3).sin().expand(2, 0, 3)
x.mul_(3)
""",
    "what was written twice is saved as it is then": """
x = torch.tensor([[0.389, 0.663, -0.439], [0.305, 0.695, -0.362]], requires_grad=True)
for _index in (..., slice(None)):
    y = (x.detach() * 2).prod(1)
    y[_index] *= 2
    z = y @ x
    z.tolist()
    z.sum().backward()
""",
    "a number is copied": """
x = torch.ones(3, requires_grad=True) * 2
x.copy_(True)
y = torch.arange(3).copy_(2.5)
z = torch.ones(2).copy_(np.float32(0.5))
""",
    "truths are not subtracted, scaled or not": """
said = []
for x, y in ((1.0, True), (True, 2.0), (1, True), (True, True), (True, 3)):
    for alpha in (1, 1.0, 2):
        for op in ("sub", "sub_", "rsub"):
            try:
                _f = getattr(torch if op == "rsub" else torch.Tensor, op)
                said.append(_f(torch.tensor([x]), torch.tensor([y]), alpha=alpha).tolist())
            except RuntimeError as _error:
                said.append(str(_error)[:40])
""",
    "what a scaled sum says first": """
said = []
_kinds = torch.tensor([True, False]), torch.tensor([1, 2]), torch.tensor([1.0, 2.0])
for _x in _kinds:
    for _y in (*_kinds, True, 2, 2.5):
        for _alpha in (True, False, 1, 2, 2.5):
            for _f in (torch.add, lambda *_a, **_k: _a[0].clone().add_(*_a[1:], **_k)):
                try:
                    said.append(_f(_x, _y, alpha=_alpha).tolist())
                except RuntimeError as _error:
                    said.append(str(_error)[:60])
""",
    "a hook that another thread registers at a tensor that is pending here": """
import threading
seen = []
for _what in range(3):
    for _kind in "register_hook", "retain_grad":
        x = torch.tensor([0.5, -2.0], requires_grad=True)
        y = torch.autograd.grad((x.exp() * x).sum(), x, create_graph=True)[0]
        if _what:
            y = (y * 3)[None] if _what == 1 else y.clone()
        _given = (lambda g: g * 2,) if _kind == "register_hook" else ()
        _thread = threading.Thread(target=getattr(y, _kind), args=_given)
        _thread.start()
        _thread.join()
        z = (y * y).sum()
        seen += [torch.autograd.grad(z, o, retain_graph=True)[0].tolist() for o in (y, x)]
        z.backward()
        seen.append(x.grad.tolist())
        seen.append(y.retains_grad and y.grad.tolist())
del threading
""",
    "an empty view that begins behind the end of its memory is written": """
w = torch.tensor(0.43, requires_grad=True)
x = torch.tensor([[1.5, -0.5, 0.25, 2.0]]) * 2
y = x.diagonal()
y[1:] += w
x.tolist()
x -= 1.5
z = (x * x).sum() + x[:, 4:].sum()
g = torch.autograd.grad(z, w)
""",
    "what is infinitely far away has a slope": """
seen = []
for _rows in ([np.inf, 1.0, -np.inf, 0.25, np.nan], [np.inf], [np.nan], [-3.0], [0.0]):
    x = torch.tensor(_rows, requires_grad=True)
    _y = torch.full((len(_rows),), 0.5)
    _loss = torch.nn.functional
    for _what in (
        _loss.smooth_l1_loss(x, _y),
        _loss.smooth_l1_loss(x, _y, beta=0.25),
        _loss.huber_loss(x, _y, delta=2.0),
        _loss.l1_loss(x, _y),
        x.norm(),
        x.norm(3),
        x.norm(float("inf")),
        x.abs().sum(),
        (x.sign() * x.detach()).sum(),
    ):
        seen += torch.autograd.grad(_what, x)[0].tolist()
""",
    "transposed without dimensions": """
x = torch.tanh(torch.tensor(0.5, requires_grad=True))
y = x.mT
y.backward()
""",
    "a NaN that comes to an extremum goes to what was chosen alone": """
seen = []
for _op in "max", "min", "median", "nanmedian", "amax", "amin":
    for _rows in ([[1.0, 3.0], [3.0, 0.5]], [[1.0, np.nan], [np.nan, 2.0]]):
        for _ct in 2.0, np.nan, np.inf:
            x = torch.tensor(_rows, requires_grad=True)
            _y = getattr(x, _op)()
            seen += torch.autograd.grad(_y, x, torch.tensor(_ct))[0].tolist()
""",
    "truths are not limited by truths": """
said = []
for _x in torch.tensor([True, False]), torch.ones(2, dtype=torch.int64), torch.ones(2):
    for _low, _high in ((True, None), (None, True), (False, True), (None, 1), (None, 0.5)):
        for _f in _x.clamp, torch.Tensor.clip, _x.clone().clamp_:
            try:
                _given = (_low, _high) if _f != torch.Tensor.clip else (_x, _low, _high)
                said.append(_f(*_given).tolist())
            except (NotImplementedError, RuntimeError) as _error:
                said.append((type(_error).__name__, str(_error)[:40]))
y = torch.tensor([True, False]).clamp(max=torch.tensor(False))
""",
    "a view made under no_grad has nothing to differentiate": """
said = []
x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
z = x * 2
with torch.no_grad():
    v, u = z[-1], x[1:]
for _run in (
    lambda: v.backward(),
    lambda: u.backward(torch.ones(2)),
    lambda: torch.autograd.grad(v, x),
    lambda: torch.autograd.grad(v, v),
    lambda: torch.autograd.grad(v * 2, v),
    lambda: torch.autograd.backward([z.sum(), v]),
    lambda: (v * 2).backward(),
):
    try:
        said.append(_run())
    except RuntimeError as _error:
        said.append(str(_error)[:60])
""",
    "a view that is used again after its memory was written": """
seen = []
for _place in range(5):
    for _late in range(3):
        w = torch.tensor(-3.5, requires_grad=True)
        x = torch.full((2, 3), 3.0)
        v = x.mT
        x[0, 0] += w
        x.tolist()
        x[[0, 0], [0, 1]] = x[[0, 0], [0, 2]] * 2
        _views = (x, v, v.T, x.mT, v * 1)
        if _late == 1:
            x.tolist()
        y = _views[_place]
        if _late == 2:
            y.tolist()
        seen.append(torch.autograd.grad(y.sum() + _views[1].sum(), w)[0].item())
""",
    "a 0-d tensor that was made of a number is none": """
n = torch.tensor([[1, -3], [4, 0]])
x = torch.ones((), dtype=torch.float64)
x.fill_(0.1)
y = torch.maximum(x, n)
z = torch.full((), 0.1, dtype=torch.float64) + n
b = torch.full((), 7) * torch.tensor([True, False])
c = torch.full((), 0.5j, dtype=torch.complex128) - n
k = x.item() + torch.full((), 0.7, dtype=torch.float64) * torch.tensor([2])
""",
    # Hooks at a view stand in front of a write to what it is a view of, also in a later program.
    "a_hook_at_a_view_of_what_is_written": """
x = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], requires_grad=True)
y = x * 1
v = y[0]
v.register_hook(lambda g: g * 10)
before = (v * 3).sum()
print(before)
y.mul_(2)
print(y)
g, = torch.autograd.grad((2 - v).sum() + before, x)
""",
    # A gradient that is kept has no history of passes that make none, also where it had one.
    "kept_gradient_of_two_passes": """
x = torch.tensor([1.0, 2.0, 3.0], requires_grad=True)
y = x * 2
z = y * 1.5
y.retain_grad()
g, = torch.autograd.grad((z * y).sum(), y, create_graph=True)
first = y.grad.requires_grad
(z * z).mean().backward(retain_graph=True)
second = y.grad.requires_grad
(z * z).mean().backward(create_graph=True)
third = y.grad.requires_grad
g = y.grad.detach()
""",
}


def outcome(module: Any, source: str) -> list[Any]:
    """All variables at the end, and the error where there was one."""
    names: dict[str, Any] = {"torch": module, "np": np}
    printed: list[str] = []
    names["print"] = lambda *words: printed.append(" ".join(map(str, words)))
    seen: list[Any] = []
    try:
        exec(source, names)
    except Exception as error:
        seen.append(("error", _name_of(error)))
    shown = [n for n in sorted(names) if n not in ("torch", "np", "print") and n[0] != "_"]
    return [("printed", printed), *((n, plain(names[n])) for n in shown), *seen]


@pytest.mark.parametrize("name", list(MODES))
@pytest.mark.parametrize("found", list(FOUND))
@pytest.mark.filterwarnings("ignore::UserWarning")
def test_same_as_pytorch(found: str, name: str) -> None:
    torch = pytest.importorskip("torch")
    wanted = outcome(torch, FOUND[found])
    with mode(name), warnings.catch_warnings():
        for _ in range(3):
            words = difference(wanted, outcome(flambeau, FOUND[found]))
            assert words is None, words
