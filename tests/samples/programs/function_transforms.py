"""Per-sample gradients, ensembles, Jacobians, Hessians and tangent kernels: torch.func at work."""

import copy

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import (
    functional_call,
    grad,
    hessian,
    jacfwd,
    jacrev,
    jvp,
    stack_module_state,
    vjp,
    vmap,
)

torch.manual_seed(0)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 4, 3)
        self.conv2 = nn.Conv2d(4, 6, 3)
        self.fc1 = nn.Linear(54, 10)
        self.fc2 = nn.Linear(10, 5)

    def forward(self, x):
        x = F.relu(self.conv1(x))
        x = F.max_pool2d(F.relu(self.conv2(x)), 2)
        return F.log_softmax(self.fc2(F.relu(self.fc1(torch.flatten(x, 1)))), dim=1)


def show(name, tensor):
    print(f"{name} {tuple(tensor.shape)} {tensor.sum().item():.4f} {tensor.abs().mean().item():.5f}")


# ---- per-sample gradients ----
net = Net()
data, targets = torch.randn(8, 1, 10, 10), torch.randint(0, 5, (8,))
params = {k: v.detach() for k, v in net.named_parameters()}
buffers = {k: v.detach() for k, v in net.named_buffers()}


def compute_loss(params, buffers, sample, target):
    predictions = functional_call(net, (params, buffers), (sample.unsqueeze(0),))
    return F.nll_loss(predictions, target.unsqueeze(0))


ft_compute_sample_grad = vmap(grad(compute_loss), in_dims=(None, None, 0, 0))
for _ in range(4):
    together = ft_compute_sample_grad(params, buffers, data, targets)
for name, gradient in together.items():
    show(name, gradient)
F.nll_loss(net(data), targets).backward()
for name, parameter in net.named_parameters():
    assert torch.allclose(together[name].mean(0), parameter.grad, atol=1e-5)

# ---- an ensemble, trained ----
models = [Net() for _ in range(3)]
params, buffers = stack_module_state(models)
base = copy.deepcopy(models[0])
optimizer = torch.optim.SGD(list(params.values()), lr=0.1)


def model_loss(params, buffers, x, y):
    return F.nll_loss(functional_call(base, (params, buffers), (x,)), y)


for step in range(8):
    losses = vmap(model_loss, in_dims=(0, 0, None, None))(params, buffers, data, targets)
    optimizer.zero_grad()
    losses.sum().backward()
    optimizer.step()
    print(step, [f"{loss:.4f}" for loss in losses.tolist()])

# ---- Jacobians and Hessians ----
D = 12
weight, bias, x = torch.randn(D, D), torch.randn(D), torch.randn(D)


def predict(weight, bias, x):
    return F.linear(x, weight, bias).tanh()


unit_vectors = torch.eye(D)
_, vjp_fn = vjp(lambda x: predict(weight, bias, x), x)
(by_hand,) = vmap(vjp_fn)(unit_vectors)
by_rows = jacrev(predict, argnums=2)(weight, bias, x)
by_columns = jacfwd(predict, argnums=2)(weight, bias, x)
assert torch.allclose(by_hand, by_rows, atol=1e-5) and torch.allclose(by_rows, by_columns, atol=1e-5)
show("jacobian", by_rows)
for name, part in zip(("weight", "bias"), jacrev(predict, argnums=(0, 1))(weight, bias, x)):
    show(name, part)
hess = hessian(predict, argnums=2)(weight, bias, x)
assert torch.allclose(hess, jacfwd(jacfwd(predict, argnums=2), argnums=2)(weight, bias, x), atol=1e-4)
show("hessian", hess)
batch = torch.randn(5, D)
batch_jacobian = vmap(jacrev(predict, argnums=2), in_dims=(None, None, 0))
show("jacobians", batch_jacobian(weight, bias, batch))
show("hessians", vmap(hessian(predict, argnums=2), in_dims=(None, None, 0))(weight, bias, batch))
show("product", jvp(grad(lambda x: predict(weight, bias, x).sum()), (x,), (torch.ones(D),))[1])

# ---- neural tangent kernels ----
params = {k: v.detach() for k, v in net.named_parameters()}
one, other = torch.randn(4, 1, 10, 10), torch.randn(3, 1, 10, 10)


def fnet_single(params, x):
    return functional_call(net, params, (x.unsqueeze(0),)).squeeze(0)


def by_contraction(params, x1, x2):
    first = vmap(jacrev(fnet_single), (None, 0))(params, x1)
    second = vmap(jacrev(fnet_single), (None, 0))(params, x2)
    pairs = zip((j.flatten(2) for j in first.values()), (j.flatten(2) for j in second.values()))
    return sum(torch.einsum("Naf,Mbf->NMab", a, b) for a, b in pairs)


def by_products(params, x1, x2):
    def kernel(x1, x2):
        _, pullback = vjp(lambda params: fnet_single(params, x1), params)

        def column(vector):
            return jvp(lambda params: fnet_single(params, x2), (params,), pullback(vector))[1]

        return vmap(column)(torch.eye(5)).T

    return vmap(vmap(kernel, (None, 0)), (0, None))(x1, x2)


kernel = by_contraction(params, one, other)
show("kernel", kernel)
# (A row of the product is that of the other input.)
assert torch.allclose(kernel, by_products(params, one, other).transpose(2, 3), atol=1e-3)

# ---- draws ----
samples = torch.zeros(3, 4)
different = vmap(lambda row: row + torch.randn(4), randomness="different")(samples)
same = vmap(lambda row: row + torch.randn(4), randomness="same")(samples)
print(different.tolist()[1][:2], (same[0] == same[2]).all().item(), torch.rand(1).item())
