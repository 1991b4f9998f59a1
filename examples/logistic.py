"""Logistic regression: hours of study against passing, with the sigmoid written out."""

import torch
import torch.nn.functional as F

torch.manual_seed(0)

hours = torch.arange(0.5, 6.0, 0.25).unsqueeze(1)
passed = (hours + 0.6 * torch.randn_like(hours) > 2.7).float()


class LogisticRegression(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(1, 1)

    def forward(self, x):
        return torch.sigmoid(self.linear(x))


model = LogisticRegression()
optimizer = torch.optim.SGD(model.parameters(), lr=0.5)

for epoch in range(1, 1001):
    probability = model(hours)
    loss = F.binary_cross_entropy(probability, passed)
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    if epoch % 200 == 0:
        print(f"epoch {epoch:4}  loss {loss.item():.4f}")

with torch.no_grad():
    guessed = (model(hours) > 0.5).float()
    accuracy = (guessed == passed).float().mean().item()
    boundary = -(model.linear.bias / model.linear.weight).item()
print(f"accuracy {accuracy:.2f}, half chance at {boundary:.2f} hours")
assert accuracy > 0.8
