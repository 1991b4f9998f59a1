"""The first lessons: gradient descent by hand, NumPy beside it, then layer by layer to nn."""

import math
import pickle
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(42)
np.random.seed(42)
dtype = torch.float
x = torch.linspace(-math.pi, math.pi, 200, dtype=dtype)
y = torch.sin(x)
a, b, c, d = (torch.randn((), dtype=dtype) for _ in range(4))
learning_rate = 1e-6
for t in range(60):
    y_pred = a + b * x + c * x**2 + d * x**3
    loss = (y_pred - y).pow(2).sum().item()
    if t % 20 == 19:
        print(t, loss)
    grad_y_pred = 2.0 * (y_pred - y)
    a -= learning_rate * grad_y_pred.sum()
    b -= learning_rate * (grad_y_pred * x).sum()
    c -= learning_rate * (grad_y_pred * x**2).sum()
    d -= learning_rate * (grad_y_pred * x**3).sum()
print(f"Result: y = {a.item()} + {b.item():.5f} x + {c.item():.5f} x^2 + {d.item():.5f} x^3")
p = torch.tensor([1, 2, 3])
xx = x.unsqueeze(-1).pow(p)
model = torch.nn.Sequential(torch.nn.Linear(3, 1), torch.nn.Flatten(0, 1))
loss_fn = torch.nn.MSELoss(reduction="sum")
for t in range(40):
    loss = loss_fn(model(xx), y)
    if t % 20 == 19:
        print(t, loss.item())
    model.zero_grad()
    loss.backward()
    with torch.no_grad():
        for param in model.parameters():
            param -= learning_rate * param.grad
linear_layer = model[0]
print(f"y = {linear_layer.bias.item():.4f} + {linear_layer.weight[:, 0].item():.4f} x")

x_train = torch.from_numpy(np.random.rand(64, 20).astype(np.float32))
y_train = torch.tensor(np.random.randint(0, 4, 64))
print(x_train, x_train.shape, y_train.min(), y_train.max())
weights = torch.randn(20, 4) / math.sqrt(20)
weights.requires_grad_()
bias = torch.zeros(4, requires_grad=True)


def log_softmax(x):
    return x - x.exp().sum(-1).log().unsqueeze(-1)


def nll(input, target):
    return -input[range(target.shape[0]), target].mean()


def accuracy(out, yb):
    return (torch.argmax(out, dim=1) == yb).float().mean()


bs = 16
preds = log_softmax(x_train[0:bs] @ weights + bias)
print(preds[0], preds.shape, nll(preds, y_train[0:bs]), accuracy(preds, y_train[0:bs]))
for epoch in range(2):
    for i in range((64 - 1) // bs + 1):
        xb, yb = x_train[i * bs : i * bs + bs], y_train[i * bs : i * bs + bs]
        loss = nll(log_softmax(xb @ weights + bias), yb)
        loss.backward()
        with torch.no_grad():
            weights -= weights.grad * 0.5
            bias -= bias.grad * 0.5
            weights.grad.zero_()
            bias.grad.zero_()
print(nll(log_softmax(xb @ weights + bias), yb), weights.grad.sum().item() == 0)


class Lambda(nn.Module):
    def __init__(self, func):
        super().__init__()
        self.func = func

    def forward(self, x):
        return self.func(x)


def preprocess(x):
    return x.view(-1, 1, 4, 5)


model = nn.Sequential(
    Lambda(preprocess),
    nn.Conv2d(1, 6, kernel_size=3, stride=2, padding=1),
    nn.ReLU(),
    nn.Conv2d(6, 4, kernel_size=3, stride=2, padding=1),
    nn.ReLU(),
    nn.AvgPool2d(1),
    Lambda(lambda x: x.mean((2, 3)).view(x.size(0), -1)),
)


def loss_batch(model, loss_func, xb, yb, opt=None):
    loss = loss_func(model(xb), yb)
    if opt is not None:
        loss.backward()
        opt.step()
        opt.zero_grad()
    return loss.item(), len(xb)


def fit(epochs, model, loss_func, opt, train_dl, valid_dl):
    for epoch in range(epochs):
        model.train()
        for xb, yb in train_dl:
            loss_batch(model, loss_func, xb, yb, opt)
        model.eval()
        with torch.no_grad():
            losses, nums = zip(*[loss_batch(model, loss_func, xb, yb) for xb, yb in valid_dl])
        val_loss = np.sum(np.multiply(losses, nums)) / np.sum(nums)
        print(epoch, round(float(val_loss), 4))


train_dl = DataLoader(TensorDataset(x_train, y_train), batch_size=bs, shuffle=True)
valid_dl = DataLoader(TensorDataset(x_train, y_train), batch_size=bs * 2)
opt = optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
fit(3, model, F.cross_entropy, opt, train_dl, valid_dl)
print(model)

# the same in NumPy
w = np.random.randn(3)
X = np.random.randn(50, 3)
target = X @ np.array([1.0, -2.0, 0.5])
for _ in range(100):
    w -= 0.1 * 2 * X.T @ (X @ w - target) / 50
tw = torch.zeros(3, dtype=torch.float64, requires_grad=True)
for _ in range(100):
    ((torch.from_numpy(X) @ tw - torch.from_numpy(target)) ** 2).mean().backward()
    with torch.no_grad():
        tw.sub_(0.1 * tw.grad)
        tw.grad = None
print(np.round(w, 3), tw.detach().numpy().round(3), np.allclose(w, tw.detach(), atol=1e-2))
