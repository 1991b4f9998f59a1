"""Multi-task learning: a shared trunk, learned loss weights, ParameterDict, per-task metrics."""

import torch
import torch.nn as nn
import torch.nn.functional as F

torch.manual_seed(8)
n = 64
x = torch.randn(n, 6)
targets = {
    "age": (x[:, 0] * 2 + x[:, 1]).unsqueeze(1),
    "kind": (x[:, 2] > 0).long() + (x[:, 3] > 1).long(),
    "tags": (x[:, :4] > 0.3).float(),
}


class MultiTask(nn.Module):
    def __init__(self, tasks):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 20), nn.SiLU(), nn.Linear(20, 12), nn.SELU())
        self.heads = nn.ModuleDict({name: nn.Linear(12, size) for name, size in tasks.items()})
        self.log_vars = nn.ParameterDict(
            {name: nn.Parameter(torch.zeros(())) for name in tasks}
        )

    def forward(self, x):
        z = self.trunk(x)
        return {name: head(z) for name, head in self.heads.items()}


model = MultiTask({"age": 1, "kind": 3, "tags": 4})
print(model)
print([name for name, _ in model.named_parameters()])
losses = {
    "age": nn.HuberLoss(delta=1.5),
    "kind": nn.CrossEntropyLoss(reduction="mean"),
    "tags": nn.BCEWithLogitsLoss(pos_weight=torch.tensor([1.0, 2.0, 1.0, 0.5])),
}
optimizer = torch.optim.AdamW(
    [
        {"params": model.trunk.parameters()},
        {"params": model.heads.parameters(), "lr": 5e-3},
        {"params": model.log_vars.values(), "lr": 1e-2, "weight_decay": 0.0},
    ],
    lr=1e-3,
)
for epoch in range(4):
    out = model(x)
    parts = {name: losses[name](out[name], targets[name]) for name in losses}
    total = sum(
        torch.exp(-model.log_vars[k]) * v + model.log_vars[k] for k, v in parts.items()
    )
    optimizer.zero_grad()
    total.backward()
    optimizer.step()
    print(f"epoch {epoch} total {total:.4f} | " + " ".join(f"{k}={v.item():.3f}" for k, v in parts.items()))
print({k: round(v.item(), 4) for k, v in model.log_vars.items()})
print(model.log_vars)

# gradients of the shared trunk, per task: how much do they agree?
shared = list(model.trunk.parameters())
out = model(x)
flat = []
for name in losses:
    g = torch.autograd.grad(losses[name](out[name], targets[name]), shared, retain_graph=True)
    flat.append(torch.cat([t.flatten() for t in g]))
G = torch.stack(flat)
print(F.cosine_similarity(G.unsqueeze(0), G.unsqueeze(1), dim=-1))
with torch.no_grad():
    out = model(x)
    mae = (out["age"] - targets["age"]).abs().mean()
    acc = (out["kind"].argmax(dim=-1) == targets["kind"]).float().mean()
    exact = ((out["tags"].sigmoid() > 0.5) == targets["tags"].bool()).all(dim=1).sum()
print(type(mae.item()).__name__, acc <= 1, exact.item() <= n, exact.dtype)
weight = nn.utils.parameters_to_vector(model.heads["age"].parameters())
nn.utils.vector_to_parameters(weight * 0, model.heads["age"].parameters())
print(weight.shape, model.heads["age"].weight.abs().sum(), model.heads["age"].bias)
unused = nn.Linear(2, 2)
print(torch.autograd.grad(out["age"].sum() if out["age"].requires_grad else model(x)["age"].sum(),
                          [model.heads["age"].bias, unused.weight], allow_unused=True))
