"""What people print and touch while they learn: tensors, grads, models, optimizers, types."""

import copy
import warnings

import numpy as np
import torch
import torch.nn as nn

torch.manual_seed(0)
x_data = torch.tensor([[1, 2], [3, 4]])
print(f"Ones Tensor: \n {torch.ones_like(x_data)} \n")
print(f"Random Tensor: \n {torch.rand_like(x_data, dtype=torch.float)} \n")
tensor = torch.rand(3, 4)
print(f"Shape of tensor: {tensor.shape}\nDatatype: {tensor.dtype}\nDevice: {tensor.device}")
print(f"First row: {tensor[0]}\nFirst column: {tensor[:, 0]}\nLast column: {tensor[..., -1]}")
tensor[:, 1] = 0
print(tensor, tensor.T, tensor @ tensor.T, tensor.sum(), type(tensor.sum().item()), sep="\n")
t = torch.ones(5)
n = t.numpy()
t.add_(1)
np.add(n, 1, out=n)
print(f"t: {t}\nn: {n}", np.array_equal(t, n))
x = torch.arange(12, dtype=torch.float32).reshape(3, 4)
print(x.numel(), x.ndim, len(x), x.size(), x.size(-1), x.stride(), x.is_contiguous(), x.t().is_contiguous())
print(x.type(), x.long().type(), x.type(torch.DoubleTensor).dtype, x.type(torch.FloatTensor).dtype)
print(x.double()[0], x.int()[1], x.bool()[0], x.to(torch.float16)[2], x.byte()[1], x.char()[1], sep="\n")
print(torch.FloatTensor([1, 2]), torch.LongTensor([[3]]), torch.Tensor(2, 2).shape, torch.tensor([]), torch.empty(0, 3))
print(torch.tensor(3.14159), torch.tensor([1e-8, 1.0]), torch.tensor([1e10, 1.0]), torch.tensor([float("nan"), float("inf"), -1]))
print(torch.zeros(2, 0, 3), torch.tensor([True, False]), torch.tensor(7), torch.tensor([1 + 2j]), torch.eye(3, dtype=torch.int))
print(torch.arange(2000), torch.arange(2000.0).reshape(40, 50), torch.rand(2, 3, 2), sep="\n")

# autograd, step by step
x = torch.ones(5)
y = torch.zeros(3)
w = torch.randn(5, 3, requires_grad=True)
b = torch.randn(3, requires_grad=True)
z = torch.matmul(x, w) + b
loss = torch.nn.functional.binary_cross_entropy_with_logits(z, y)
print(f"Gradient function for z = {str(z.grad_fn)[:20]}")
print(f"Gradient function for loss = {loss.grad_fn.name()}", loss)
loss.backward()
print(w.grad, b.grad, w.is_leaf, z.is_leaf, z.requires_grad, sep="\n")
with torch.no_grad():
    z = torch.matmul(x, w) + b
print(z.requires_grad, (x @ w).detach().requires_grad, w)
inp = torch.eye(4, 5, requires_grad=True)
out = (inp + 1).pow(2).t()
out.backward(torch.ones_like(out), retain_graph=True)
print(f"First call\n{inp.grad}")
out.backward(torch.ones_like(out), retain_graph=True)
print(f"\nSecond call\n{inp.grad}")
inp.grad.zero_()
out.backward(torch.ones_like(out))
print(f"\nCall after zeroing gradients\n{inp.grad}")
a = torch.tensor([2.0, 3.0], requires_grad=True)
q = 3 * a**3 - a.flip(0) ** 2
q.backward(gradient=torch.tensor([1.0, 1.0]))
print(a.grad, 9 * a**2 - 2 * a == a.grad, q)
print(q.grad_fn.next_functions[0][0].name(), a.grad_fn, a.data, a.data.requires_grad)
print((a * 2).grad_fn.next_functions[0][0].variable is a)
for make in (lambda: a.numpy(), lambda: q.backward(), lambda: torch.ones(2) @ torch.ones(3), lambda: torch.cat([torch.ones(1, 2), torch.ones(1, 3)]),
             lambda: torch.tensor([1, 2]).mean(), lambda: x.view(2, 3), lambda: torch.ones(2, 3) + torch.ones(2, 2), lambda: nn.Linear(3, 2)(torch.ones(1, 4)),
             lambda: torch.tensor([1.0, 2.0]).item(), lambda: bool(torch.ones(2)), lambda: torch.ones(2)[5], lambda: a.add_(1), lambda: torch.ones(2, device="cuda"),
             lambda: nn.CrossEntropyLoss()(torch.randn(2, 3), torch.tensor([0, 3])), lambda: torch.ones(3).backward(), lambda: nn.Embedding(3, 2)(torch.tensor([3])),
             lambda: nn.Conv2d(3, 4, 3)(torch.ones(1, 1, 8, 8)), lambda: torch.zeros(3).reshape(2, 2), lambda: torch.stack([torch.ones(2), torch.ones(3)]),
             lambda: nn.Linear(2, 1)(torch.ones(2, dtype=torch.float64)), lambda: torch.ones(2).foo):
    try:
        str(make())
    except Exception as error:
        print(type(error).__name__, "|", str(error).splitlines()[0][:33])

# modules, parameters, optimizers
device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
print(f"Using {device} device", torch.device("cpu"), repr(torch.device("cuda:1")), torch.device("cuda", 0).index)


class NeuralNetwork(nn.Module):
    def __init__(self):
        super().__init__()
        self.flatten = nn.Flatten()
        self.linear_relu_stack = nn.Sequential(nn.Linear(28, 16), nn.ReLU(), nn.Linear(16, 10))
        self.register_buffer("seen", torch.zeros(1, dtype=torch.long))

    def forward(self, x):
        self.seen += len(x)
        return self.linear_relu_stack(self.flatten(x))


model = NeuralNetwork().to(device)
print(f"Model structure: {model}\n\n")
X = torch.rand(3, 4, 7, device=device)
logits = model(X)
pred_probab = nn.Softmax(dim=1)(logits)
print(f"Predicted class: {pred_probab.argmax(1)}", model.seen)
for name, param in model.named_parameters():
    print(f"Layer: {name} | Size: {param.size()} | Values : {param[:2]} \n")
print(model.linear_relu_stack[0].bias, model.linear_relu_stack[2].weight.data[0, :3], sep="\n")
optimizer = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
print(optimizer, optimizer.param_groups[0]["lr"], optimizer.state_dict()["param_groups"])
loss_fn = nn.CrossEntropyLoss()
print(loss_fn, nn.MSELoss(reduction="none"), nn.BCEWithLogitsLoss(), nn.L1Loss())
before = copy.deepcopy(model)
for target in (1, 2):
    loss = loss_fn(model(X), torch.full((3,), target))
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    optimizer.param_groups[0]["lr"] *= 0.1
    print(loss, loss.data, f"{loss:.4f} {loss.item():>7f}", float(loss) == loss.item(), round(float(loss), 3))
total_norm = 0.0
for p in model.parameters():
    total_norm += p.grad.data.norm(2).item() ** 2
print("total norm %.4f" % total_norm**0.5, f"lr {optimizer.param_groups[0]['lr']:.0e}")
print({k: type(v).__name__ for k, v in optimizer.state[model.linear_relu_stack[0].weight].items()})
print([torch.equal(p, q) for p, q in zip(before.parameters(), model.parameters())])
print(list(model.state_dict().keys()), model.state_dict()["seen"])
print(next(model.parameters()).is_cuda, next(model.parameters()).device, model.training, model.eval().training)
print(nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(1), requires_grad=False))
torch.set_printoptions(precision=2, sci_mode=True)
print(torch.tensor([1.2345, 100.0]))
torch.set_printoptions(profile="default")
torch.set_printoptions(threshold=5, edgeitems=1)
print(torch.arange(10), torch.eye(4))
torch.set_printoptions(profile="default")
with warnings.catch_warnings(record=True) as caught:
    warnings.simplefilter("always")
    nn.MSELoss()(torch.ones(3, 1), torch.ones(3))
    nn.functional.softmax(torch.ones(2, 2))
    torch.tensor(torch.ones(2))
    (torch.ones(2, requires_grad=True) * 2).grad
    nn.functional.tanh(torch.ones(1))
    x = torch.randn(2, 3).T
    torch.range(0, 3)
    nn.LSTM(2, 2, dropout=0.5)
    torch.ones(3, 2).T.T.mT
    torch.nn.functional.sigmoid(torch.ones(1))
for w in caught:
    print(w.category.__name__, str(w.message).splitlines()[0][:110])
