"""Handwritten digits with fully connected layers: 784-512-256-128-64-10, SGD with momentum."""

from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn, optim
from torch.utils.data import DataLoader, TensorDataset

torch.manual_seed(0)

DIGITS = Path(__file__).resolve().parent / "data" / "digits.npz"


def load(split):
    with np.load(DIGITS) as arrays:
        images = torch.from_numpy(arrays[f"{split}_images"])
        labels = torch.from_numpy(arrays[f"{split}_labels"])
    images = (images.float() / 255 - 0.1307) / 0.3081
    return TensorDataset(images.unsqueeze(1), labels.long())


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.l1 = nn.Linear(784, 512)
        self.l2 = nn.Linear(512, 256)
        self.l3 = nn.Linear(256, 128)
        self.l4 = nn.Linear(128, 64)
        self.l5 = nn.Linear(64, 10)

    def forward(self, x):
        x = x.view(-1, 784)
        x = F.relu(self.l1(x))
        x = F.relu(self.l2(x))
        x = F.relu(self.l3(x))
        x = F.relu(self.l4(x))
        return self.l5(x)


train_loader = DataLoader(load("train"), batch_size=64, shuffle=True)
test_loader = DataLoader(load("test"), batch_size=64, shuffle=False)

model = Net()
criterion = nn.CrossEntropyLoss()
optimizer = optim.SGD(model.parameters(), lr=0.02, momentum=0.9)


def train(epoch):
    running_loss = 0.0
    for step, (inputs, target) in enumerate(train_loader, 1):
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = criterion(outputs, target)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
        if step % 40 == 0:
            print(f"[epoch {epoch}, step {step:3}] loss {running_loss / 40:.3f}")
            running_loss = 0.0


def test():
    correct = 0
    total = 0
    with torch.no_grad():
        for images, labels in test_loader:
            outputs = model(images)
            _, predicted = torch.max(outputs.data, dim=1)
            total += labels.size(0)
            correct += (predicted == labels).sum().item()
    print(f"accuracy on the test images: {100 * correct / total:.1f} % ({correct}/{total})")
    return correct / total


for epoch in range(1, 6):
    train(epoch)
    reached = test()
assert reached > 0.9
