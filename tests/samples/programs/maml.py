"""Model-agnostic meta-learning on sine waves: inner steps with create_graph; torch.func."""

import math
from collections import OrderedDict

import torch
import torch.nn as nn
import torch.nn.functional as F
from torch.func import functional_call, grad, jacrev, vmap

torch.manual_seed(10)


class Task:
    def __init__(self):
        self.a = torch.rand(1).item() * 4.9 + 0.1
        self.b = torch.rand(1).item() * math.pi

    def sample(self, k):
        x = torch.rand(k, 1) * 10 - 5
        return x, self.a * torch.sin(x + self.b)


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(
            OrderedDict(
                [
                    ("l1", nn.Linear(1, 16)),
                    ("relu1", nn.Tanh()),
                    ("l2", nn.Linear(16, 16)),
                    ("relu2", nn.Tanh()),
                    ("l3", nn.Linear(16, 1)),
                ]
            )
        )

    def forward(self, x):
        return self.net(x)

    def argforward(self, x, weights):
        x = torch.tanh(F.linear(x, weights[0], weights[1]))
        x = torch.tanh(F.linear(x, weights[2], weights[3]))
        return F.linear(x, weights[4], weights[5])


model = Net()
weights = list(model.parameters())
meta_optimiser = torch.optim.Adam(weights, 1e-3)
criterion = nn.MSELoss()
inner_lr = 0.01
for iteration in range(4):
    meta_loss = 0
    for _ in range(3):
        task = Task()
        temp_weights = [w.clone() for w in weights]
        X, y = task.sample(8)
        for step in range(2):
            loss = criterion(model.argforward(X, temp_weights), y)
            grads = torch.autograd.grad(loss, temp_weights, create_graph=True)
            temp_weights = [w - inner_lr * g for w, g in zip(temp_weights, grads)]
        X, y = task.sample(8)
        meta_loss = meta_loss + criterion(model.argforward(X, temp_weights), y)
    meta_loss = meta_loss / 3
    meta_grads = torch.autograd.grad(meta_loss, weights)
    for w, g in zip(weights, meta_grads):
        w.grad = g
    meta_optimiser.step()
    print("{}/{}. loss: {:.4f}".format(iteration, 4, meta_loss.item()))

# the same with functional_call, first order, and Reptile
params = {k: v.detach() for k, v in model.named_parameters()}
task = Task()
x, y = task.sample(5)


def compute_loss(params, x, y):
    return F.mse_loss(functional_call(model, params, (x,)), y)


grads = grad(compute_loss)(params, x, y)
print({k: round(v.norm().item(), 3) for k, v in grads.items()})
adapted = {k: params[k] - 0.02 * grads[k] for k in params}
print(compute_loss(adapted, x, y) < compute_loss(params, x, y))
per_sample = vmap(grad(compute_loss), in_dims=(None, 0, 0))(params, x.unsqueeze(1), y.unsqueeze(1))
print({k: tuple(v.shape) for k, v in per_sample.items()})
print(
    torch.allclose(per_sample["net.l3.weight"].mean(0), grads["net.l3.weight"], atol=1e-5)
)
before = {k: v.clone() for k, v in model.state_dict().items()}
inner = torch.optim.SGD(model.parameters(), lr=0.01)
for _ in range(3):
    inner.zero_grad()
    criterion(model(x), y).backward()
    inner.step()
after = model.state_dict()
model.load_state_dict({k: before[k] + (after[k] - before[k]) * 0.1 for k in before})
print(f"{criterion(model(x), y).item():.4f}", model.net.l1.weight[:3].flatten())
jac = vmap(jacrev(lambda v: functional_call(model, params, (v,))))(x)
print(jac.shape)
