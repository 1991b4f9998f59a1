"""Gradient accumulation with autocast in bfloat16, a GradScaler and clipping."""

import contextlib

import torch
from torch import nn

torch.manual_seed(0)
use_amp = True
device = "cpu"


def make_model(in_size, out_size, num_layers):
    layers = []
    for _ in range(num_layers - 1):
        layers.append(nn.Linear(in_size, in_size))
        layers.append(nn.ReLU())
    layers.append(nn.Linear(in_size, out_size))
    return nn.Sequential(*layers)


data = [torch.randn(16, 32) for _ in range(4)]
targets = [torch.randn(16, 8) for _ in range(4)]
loss_fn = nn.MSELoss()
net = make_model(32, 8, 3)
opt = torch.optim.SGD(net.parameters(), lr=0.01)
for epoch in range(0):
    pass
for input, target in zip(data, targets):
    with torch.autocast(device_type=device, dtype=torch.bfloat16):
        output = net(input)
        assert output.dtype is torch.bfloat16
        loss = loss_fn(output, target)
        assert loss.dtype is torch.float32
    loss.backward()
    opt.step()
    opt.zero_grad()
    print(f"{loss.item():.2f}", output.dtype, output.grad_fn.name())
print(net[0].weight.dtype, loss)

scaler = torch.amp.GradScaler(device, enabled=use_amp, init_scale=1024.0, growth_interval=2)
accum_iter = 2
for epoch in range(2):
    for i, (input, target) in enumerate(zip(data, targets)):
        with torch.autocast("cpu", enabled=use_amp):
            loss = loss_fn(net(input), target) / accum_iter
        scaler.scale(loss).backward()
        if (i + 1) % accum_iter == 0:
            scaler.unscale_(opt)
            norm = torch.nn.utils.clip_grad_norm_(net.parameters(), max_norm=0.1)
            scaler.step(opt)
            scaler.update()
            opt.zero_grad(set_to_none=True)
            print(f"norm {norm.item():.2f} scale {scaler.get_scale()}")
print(scaler.state_dict())
old = torch.cuda.amp.GradScaler(enabled=False)
print(old.get_scale(), old.is_enabled())

with torch.autocast("cpu", dtype=torch.bfloat16):
    a = torch.ones(3, 3)
    print((a @ a).dtype, torch.softmax(a @ a, 0).dtype, (a + a).dtype, torch.is_autocast_enabled("cpu"))
    with torch.autocast("cpu", enabled=False):
        print((a @ a).dtype)
    print(nn.functional.layer_norm(a @ a, (3,)).dtype, torch.cat([a @ a, a]).dtype)
print(torch.is_autocast_enabled("cpu"))

half = make_model(32, 8, 2).to(torch.bfloat16)
out = half(data[0].bfloat16())
out.float().pow(2).mean().backward()
print(out.dtype, half[0].weight.grad.dtype, half[0].weight.grad.norm().item() > 0)
ctx = contextlib.nullcontext() if device == "cpu" else torch.autocast(device)
with ctx:
    print(torch.finfo(torch.bfloat16), torch.finfo(torch.float16).max, torch.iinfo(torch.int8))
print(torch.tensor([1.0, 2.5, -3.25], dtype=torch.bfloat16), torch.tensor(0.1).half())
inf_grads = torch.nn.Parameter(torch.ones(2))
sgd = torch.optim.SGD([inf_grads], lr=1.0)
scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
scaler.scale((inf_grads * float("inf")).sum()).backward()
print(scaler.step(sgd), inf_grads)
scaler.update()
print(scaler.get_scale())
