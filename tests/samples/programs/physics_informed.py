"""A physics-informed network: u'' + u = 0 and the heat equation through autograd.grad."""

import numpy as np
import torch
import torch.nn as nn
from torch.autograd import grad

torch.manual_seed(123)
torch.set_default_dtype(torch.float64)


class FCN(nn.Module):
    def __init__(self, N_INPUT, N_OUTPUT, N_HIDDEN, N_LAYERS):
        super().__init__()
        activation = nn.Tanh
        self.fcs = nn.Sequential(*[nn.Linear(N_INPUT, N_HIDDEN), activation()])
        self.fch = nn.Sequential(
            *[
                nn.Sequential(*[nn.Linear(N_HIDDEN, N_HIDDEN), activation()])
                for _ in range(N_LAYERS - 1)
            ]
        )
        self.fce = nn.Linear(N_HIDDEN, N_OUTPUT)

    def forward(self, x):
        return self.fce(self.fch(self.fcs(x)))


model = FCN(1, 1, 12, 2)
t_boundary = torch.tensor(0.0).view(-1, 1).requires_grad_(True)
t_physics = torch.linspace(0, 1, 20).view(-1, 1).requires_grad_(True)
mu, k = 2 * 2.0, 4.0**2
optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
for i in range(6):
    optimiser.zero_grad()
    u = model(t_boundary)
    loss1 = (torch.squeeze(u) - 1) ** 2
    dudt = torch.autograd.grad(u, t_boundary, torch.ones_like(u), create_graph=True)[0]
    loss2 = (torch.squeeze(dudt) - 0) ** 2
    u = model(t_physics)
    dudt = torch.autograd.grad(u, t_physics, torch.ones_like(u), create_graph=True)[0]
    d2udt2 = torch.autograd.grad(dudt, t_physics, torch.ones_like(dudt), create_graph=True)[0]
    loss3 = torch.mean((d2udt2 + mu * dudt + k * u) ** 2)
    loss = loss1 + 1e-1 * loss2 + 1e-4 * loss3
    loss.backward()
    optimiser.step()
    print(f"{i} {loss1.item():.5f} {loss2.item():.5f} {loss3.item():.5f}")
print(d2udt2.shape, d2udt2.dtype, d2udt2.grad_fn is not None)


def pde(net, x, t):
    u = net(torch.cat([x, t], dim=1))
    u_x = grad(u.sum(), x, create_graph=True)[0]
    u_t = grad(u.sum(), t, create_graph=True)[0]
    u_xx = grad(u_x.sum(), x, create_graph=True)[0]
    return u_t - 0.1 * u_xx


net = FCN(2, 1, 10, 3)
mse = nn.MSELoss()
x = torch.from_numpy(np.random.RandomState(0).uniform(0, 1, (30, 1))).requires_grad_()
t = torch.from_numpy(np.random.RandomState(1).uniform(0, 1, (30, 1))).requires_grad_()
opt = torch.optim.LBFGS(net.parameters(), lr=0.1, max_iter=3)
for epoch in range(3):

    def closure():
        opt.zero_grad()
        inside = pde(net, x, t)
        at_start = net(torch.cat([x, torch.zeros_like(t)], 1))
        value = mse(inside, torch.zeros_like(inside)) + mse(at_start, torch.sin(np.pi * x))
        value.backward()
        return value

    value = opt.step(closure)
    print(epoch, "Training Loss:", value.item())

f = lambda v: (v**3).sum()
v = torch.tensor([1.0, 2.0, 3.0])
v.requires_grad_()
rows = [torch.autograd.grad(y, v, retain_graph=True)[0] for y in (v**2).unbind()]
print(torch.stack(rows))
(slope,) = torch.autograd.grad(f(v), v, create_graph=True)
print(torch.stack([torch.autograd.grad(s, v, retain_graph=True)[0] for s in slope]))
print(t_physics.grad is None, t_boundary.grad)
