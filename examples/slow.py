"""A training that is slower than it need be: what `flambeau explain slow.py` finds.

    python slow.py [--epochs 3]

Each image is brightened pixel by pixel in Python, as one writes it the first time, and two
convolutions are wide. `flambeau explain` says which of these takes how much.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.utils.data import DataLoader, Dataset

DIGITS = Path(__file__).resolve().parent / "data" / "digits.npz"


class Brighter:
    """Adds contrast, one pixel after the other."""

    def __call__(self, image):
        rows = image[0].tolist()
        for i, row in enumerate(rows):
            for j, value in enumerate(row):
                rows[i][j] = min(1.0, max(0.0, value * 1.1 - 0.05))
        return torch.tensor([rows])


class Digits(Dataset):
    def __init__(self, count, transform):
        with np.load(DIGITS) as arrays:
            images, labels = arrays["train_images"][:count], arrays["train_labels"][:count]
        self.images = torch.from_numpy(images).float().div(255).unsqueeze(1)
        self.labels = torch.from_numpy(labels).long()
        self.transform = transform

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.transform(self.images[index]), self.labels[index]


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 32, 5, padding=2)
        self.conv2 = nn.Conv2d(32, 64, 5, padding=2)
        self.pool = nn.MaxPool2d(2)
        self.fc = nn.Linear(64 * 49, 10)

    def forward(self, x):
        x = self.pool(torch.relu(self.conv1(x)))
        x = self.pool(torch.relu(self.conv2(x)))
        return self.fc(x.flatten(1))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=3)
    epochs = parser.parse_args().epochs
    torch.manual_seed(0)
    net = Net()
    optimizer = torch.optim.SGD(net.parameters(), lr=0.02, momentum=0.9)
    loader = DataLoader(Digits(1000, Brighter()), batch_size=64, shuffle=True)
    for epoch in range(1, epochs + 1):
        total = 0.0
        for images, labels in loader:
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(net(images), labels)
            loss.backward()
            optimizer.step()
            total += loss.item()
        print(f"epoch {epoch}: mean loss {total / len(loader):.4f}")


if __name__ == "__main__":
    main()
