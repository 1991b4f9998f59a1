"""Learning-rate schedules as people plot and print them."""

import warnings

import torch
import torch.nn as nn
import torch.optim as optim
from torch.optim import lr_scheduler
from torch.optim.lr_scheduler import (
    CosineAnnealingLR,
    CosineAnnealingWarmRestarts,
    CyclicLR,
    ExponentialLR,
    LambdaLR,
    LinearLR,
    MultiplicativeLR,
    MultiStepLR,
    OneCycleLR,
    PolynomialLR,
    ReduceLROnPlateau,
    SequentialLR,
    StepLR,
)

torch.manual_seed(0)


def get_lr(optimizer):
    for param_group in optimizer.param_groups:
        return param_group["lr"]


def fresh(lr=0.1, **options):
    model = nn.Linear(2, 1)
    return model, optim.SGD(model.parameters(), lr=lr, momentum=0.9, **options)


cases = {
    "step": lambda o: StepLR(o, step_size=3, gamma=0.5),
    "multistep": lambda o: MultiStepLR(o, milestones=[2, 5], gamma=0.1),
    "exponential": lambda o: ExponentialLR(o, 0.9),
    "cosine": lambda o: CosineAnnealingLR(o, T_max=5, eta_min=1e-4),
    "restarts": lambda o: CosineAnnealingWarmRestarts(o, T_0=3, T_mult=2),
    "lambda": lambda o: LambdaLR(o, lr_lambda=lambda epoch: 0.95**epoch),
    "multiplicative": lambda o: MultiplicativeLR(o, lambda epoch: 0.9),
    "linear": lambda o: LinearLR(o, start_factor=0.5, total_iters=4),
    "polynomial": lambda o: PolynomialLR(o, total_iters=6, power=2.0),
    "onecycle": lambda o: OneCycleLR(o, max_lr=0.5, steps_per_epoch=4, epochs=2),
    "cyclic": lambda o: CyclicLR(o, base_lr=0.01, max_lr=0.1, step_size_up=3, mode="triangular2"),
    "warmup": lambda o: SequentialLR(
        o, [LinearLR(o, 0.1, total_iters=3), ExponentialLR(o, 0.5)], milestones=[3]
    ),
}
x, y = torch.randn(8, 2), torch.randn(8, 1)
for name, make in cases.items():
    model, optimizer = fresh()
    scheduler = make(optimizer)
    lrs = []
    for epoch in range(8):
        loss = ((model(x) - y) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        lrs.append(get_lr(optimizer))
        scheduler.step()
    print(f"{name:>15}", " ".join(f"{v:.5f}" for v in lrs), f"loss {loss:.4f}")
    print(sorted(k for k in scheduler.state_dict() if not k.startswith("_"))[:4])

model, optimizer = fresh(weight_decay=1e-3, nesterov=True)
plateau = ReduceLROnPlateau(optimizer, mode="min", factor=0.5, patience=1, threshold=1e-2)
for epoch, val_loss in enumerate([1.0, 0.9, 0.95, 0.96, 0.97, 0.5, 0.6, torch.tensor(0.7)]):
    loss = model(x).pow(2).mean()
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    plateau.step(val_loss)
    print(f"epoch {epoch} lr {optimizer.param_groups[0]['lr']:.4f} bad {plateau.num_bad_epochs}")
print(plateau.get_last_lr(), plateau.best)

with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    model, optimizer = fresh()
    scheduler = lr_scheduler.ExponentialLR(optimizer, gamma=0.9)
    scheduler.step()
    scheduler.step(3)
    print([(w.category.__name__, str(w.message).splitlines()[0][:60]) for w in caught])
try:
    OneCycleLR(optimizer, max_lr=0.1)
except ValueError as error:
    print(error)
saved = scheduler.state_dict()
print(saved)
other = lr_scheduler.ExponentialLR(fresh()[1], gamma=0.5)
other.load_state_dict(saved)
print(other.gamma, other.last_epoch, scheduler.get_last_lr())
print(optimizer)
optimizer.add_param_group({"params": [nn.Parameter(torch.zeros(3))], "lr": 1e-5})
print(len(optimizer.param_groups), optimizer.state_dict()["param_groups"][1])
