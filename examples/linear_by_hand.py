"""Linear regression by hand: tensors, autograd and a loop; no nn, no optim."""

import torch

torch.manual_seed(1)

# y = 2 x1 - 3.4 x2 + 4.2, with noise
features = torch.randn(1000, 2)
labels = features @ torch.tensor([2.0, -3.4]) + 4.2 + 0.01 * torch.randn(1000)


def batches(size):
    order = torch.randperm(len(features))
    for start in range(0, len(features), size):
        chosen = order[start : start + size]
        yield features[chosen], labels[chosen]


weight = torch.normal(0.0, 0.01, (2, 1), requires_grad=True)
bias = torch.zeros(1, requires_grad=True)
rate = 0.03

for epoch in range(1, 6):
    for x, y in batches(10):
        predicted = x @ weight + bias
        loss = ((predicted - y.reshape(predicted.shape)) ** 2 / 2).mean()
        loss.backward()
        with torch.no_grad():
            weight -= rate * weight.grad
            bias -= rate * bias.grad
            weight.grad.zero_()
            bias.grad.zero_()
    with torch.no_grad():
        error = ((features @ weight + bias).squeeze(1) - labels).pow(2).mean() / 2
    print(f"epoch {epoch}  loss {error.item():.6f}")

print("weight", weight.data.flatten().tolist(), "bias", bias.item())
assert error.item() < 1e-3
