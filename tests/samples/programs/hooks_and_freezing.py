"""Taking models apart: hooks, parameter groups, freezing, EMA, weight surgery, iteration."""

import copy
from collections import Counter, OrderedDict, defaultdict

import torch
import torch.nn as nn
import torch.nn.utils.prune as prune

torch.manual_seed(4)
model = nn.Sequential(
    OrderedDict(
        body=nn.Sequential(nn.Linear(8, 12), nn.LayerNorm(12), nn.Hardswish(), nn.Dropout(0.1)),
        head=nn.Linear(12, 3),
    )
)
shapes, grads = OrderedDict(), defaultdict(list)


def summary_hook(module, inputs, output):
    name = f"{module.__class__.__name__}-{len(shapes) + 1}"
    shapes[name] = (list(inputs[0].shape), list(output.shape), sum(p.numel() for p in module.parameters()))


handles = [m.register_forward_hook(summary_hook) for m in model.modules() if not list(m.children())]
model(torch.randn(4, 8))
for handle in handles:
    handle.remove()
for name, (i, o, n) in shapes.items():
    print("{:>20}  {:<12} {:<12} {:,}".format(name, str(i), str(o), n))
for name, p in model.named_parameters():
    p.register_hook(lambda g, name=name: grads[name].append(round(g.norm().item(), 3)))
decay, no_decay = [], []
for name, p in model.named_parameters():
    (no_decay if p.ndim == 1 or name.endswith("bias") else decay).append(p)
optimizer = torch.optim.AdamW(
    [{"params": decay, "weight_decay": 0.1}, {"params": no_decay, "weight_decay": 0.0}], lr=1e-2
)
print([len(g["params"]) for g in optimizer.param_groups])
ema = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.9))
x, y = torch.randn(32, 8), torch.randint(0, 3, (32,))
for step in range(3):
    loss = nn.functional.cross_entropy(model(x), y)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    ema.update_parameters(model)
    print(f"step {step}: {loss.item():.4f}")
print(list(grads)[:2], sorted(grads.items()))
print(ema.n_averaged, (ema.module.head.weight - model.head.weight).abs().max() > 0)
for p in model.body.parameters():
    p.requires_grad = False
print(sum(p.requires_grad for p in model.parameters()), [n for n, p in model.named_parameters() if not p.requires_grad])
out = model(x)
print(out.requires_grad, model.body(x).requires_grad)
grew = nn.Linear(12, 5)
with torch.no_grad():
    grew.weight[:3] = model.head.weight
    grew.bias[:3].copy_(model.head.bias)
    grew.weight[3:].zero_()
model.head = grew
print(model(x).shape, torch.allclose(model.eval()(x)[:, :3], out, atol=1) or "dropout")
module = nn.Linear(6, 4)
prune.l1_unstructured(module, name="weight", amount=0.5)
print([n for n, _ in module.named_parameters()], [n for n, _ in module.named_buffers()])
print("sparsity", float(torch.sum(module.weight == 0)) / module.weight.nelement(), prune.is_pruned(module))
prune.remove(module, "weight")
print(sorted(dict(module.named_parameters())))
sn = nn.utils.parametrizations.spectral_norm(nn.Linear(6, 6))
for _ in range(20):
    sn(torch.randn(2, 6))
print(f"{torch.linalg.matrix_norm(sn.weight, 2).item():.2f}", sn)
print(Counter(type(m).__name__ for m in model.modules()))
twin = copy.deepcopy(model)
twin.load_state_dict(model.state_dict())
with torch.no_grad():
    for p, q in zip(twin.parameters(), model.parameters()):
        p.mul_(0.5).add_(q, alpha=0.5)
print(all(torch.allclose(p, q) for p, q in zip(twin.parameters(), model.parameters())))
print(nn.utils.parameters_to_vector(twin.parameters()).norm(), model.get_submodule("body.0").weight.shape)
names = [n for n, _ in model.named_modules()]
print(names, model.get_parameter("head.bias").shape, hasattr(model, "tail"))
try:
    model.tail
except AttributeError as error:
    print(error)
try:
    model.load_state_dict({"head.weight": torch.zeros(1)})
except RuntimeError as error:
    print(error)
buffer = nn.BatchNorm1d(3, momentum=None, track_running_stats=True)
for _ in range(3):
    buffer(torch.randn(10, 3) * 2 + 1)
print(buffer, buffer.running_mean, buffer.running_var, buffer.num_batches_tracked)
print({k: v.dtype for k, v in buffer.double().state_dict().items()}, buffer.to(torch.float32).weight.dtype)
class Scaled(nn.Module):
    scale: float = 2.0

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList(nn.Linear(2, 2, bias=i % 2 == 0) for i in range(3))
        self.gain = nn.Parameter(torch.tensor(1.5))
        self.register_parameter("unused", None)
        self.register_buffer("seen", torch.tensor(0), persistent=False)

    def forward(self, x, *, n=1, verbose=False):
        for layer in self.layers[:n]:
            x = layer(x) * self.gain
        self.seen += n
        if verbose:
            print("saw", self.seen.item())
        return x * self.scale


scaled = Scaled()
print(scaled, scaled(torch.ones(1, 2), n=2, verbose=True).shape, list(scaled.state_dict()))
scaled.layers.append(nn.Identity())
scaled.layers[1] = nn.PReLU()
print(len(scaled.layers), scaled.layers[-1], scaled.layers[1].weight, scaled.unused)
del scaled.layers[0]
print(scaled.requires_grad_(False).gain, scaled.share_memory() is scaled, sorted(vars(scaled))[:3])
