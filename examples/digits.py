"""Handwritten digits with a small convolutional network: the main job.

    python digits.py [--epochs 6] [--seed 0] [--out FOLDER]

Trains on 6,000 real images (a subset of MNIST, bundled in data/), tests on 1,000 others, and
writes two pictures, the loss curve and some predictions, if matplotlib is installed.
"""

import argparse
import sys
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
import torch.optim as optim
from torch.utils.data import DataLoader, TensorDataset

DIGITS = Path(__file__).resolve().parent / "data" / "digits.npz"


class Net(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1 = nn.Conv2d(1, 10, kernel_size=5)
        self.conv2 = nn.Conv2d(10, 20, kernel_size=5)
        self.pooling = nn.MaxPool2d(2)
        self.fc = nn.Linear(320, 10)

    def forward(self, x):
        batch_size = x.size(0)
        x = F.relu(self.pooling(self.conv1(x)))
        x = F.relu(self.pooling(self.conv2(x)))
        x = x.view(batch_size, -1)
        return self.fc(x)


def load(split):
    with np.load(DIGITS) as arrays:
        images = torch.from_numpy(arrays[f"{split}_images"])
        labels = torch.from_numpy(arrays[f"{split}_labels"])
    images = (images.float() / 255 - 0.1307) / 0.3081
    return TensorDataset(images.unsqueeze(1), labels.long())


def show_progress(epoch, epochs, step, steps, loss):
    """A bar that redraws itself on a terminal; a line now and then elsewhere."""
    text = f"epoch {epoch}/{epochs}  step {step:3}/{steps}  loss {loss:.4f}"
    if sys.stdout.isatty():
        filled = 24 * step // steps
        print(f"\r[{'#' * filled}{'.' * (24 - filled)}] {text}", end="", flush=True)
    elif step % 47 == 0:
        print(text, flush=True)


def train(model, loader, optimizer, epoch, epochs):
    model.train()
    losses = []
    for step, (inputs, target) in enumerate(loader, 1):
        optimizer.zero_grad()
        outputs = model(inputs)
        loss = F.cross_entropy(outputs, target)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
        show_progress(epoch, epochs, step, len(loader), losses[-1])
    if sys.stdout.isatty():
        print()
    return losses


def test(model, loader):
    """The fraction of right answers, and every answer."""
    model.eval()
    answers = []
    correct = 0
    with torch.no_grad():
        for inputs, target in loader:
            predicted = model(inputs).argmax(dim=1)
            correct += (predicted == target).sum().item()
            answers += predicted.tolist()
    return correct / len(answers), answers


def draw_loss(losses, accuracies, steps, file):
    import matplotlib.pyplot as plt

    window = 20
    smooth = np.convolve(losses, np.ones(window) / window, mode="valid")
    fig, left = plt.subplots(figsize=(7, 4))
    left.plot(np.arange(1, len(losses) + 1), losses, color="0.8", linewidth=0.8)
    left.plot(np.arange(window, len(losses) + 1), smooth, color="tab:blue")
    left.set_xlabel("training step")
    left.set_ylabel("loss", color="tab:blue")
    left.set_yscale("log")
    right = left.twinx()
    ends = np.arange(1, len(accuracies) + 1) * steps
    right.plot(ends, [100 * a for a in accuracies], "o-", color="tab:orange")
    right.set_ylabel("test accuracy (%)", color="tab:orange")
    fig.tight_layout()
    fig.savefig(file, dpi=120)
    plt.close(fig)


def draw_predictions(images, labels, answers, file):
    """The first 24 test images and up to 8 wrong ones, with what the network says."""
    import matplotlib.pyplot as plt

    wrong = [i for i, answer in enumerate(answers) if answer != labels[i]]
    chosen = [*range(24), *wrong[:8]]
    fig, axes = plt.subplots(4, 8, figsize=(8, 4.8))
    for place in axes.flat:
        place.axis("off")
    for place, i in zip(axes.flat, chosen):
        place.imshow(images[i], cmap="gray_r")
        right = answers[i] == labels[i]
        title = str(answers[i]) if right else f"{answers[i]} (is {labels[i]})"
        place.set_title(title, color="black" if right else "tab:red", fontsize=10)
    fig.suptitle("Predictions; last row: mistakes")
    fig.tight_layout()
    fig.savefig(file, dpi=120)
    plt.close(fig)


def draw(folder, losses, accuracies, steps, answers):
    try:
        import matplotlib
    except ImportError:
        print("no pictures: matplotlib is not installed (pip install matplotlib)")
        return
    matplotlib.use("Agg")
    folder.mkdir(parents=True, exist_ok=True)
    with np.load(DIGITS) as arrays:
        images = arrays["test_images"]
        labels = arrays["test_labels"].tolist()
    draw_loss(losses, accuracies, steps, folder / "digits_loss.png")
    draw_predictions(images, labels, answers, folder / "digits_predictions.png")
    print(f"pictures: {folder / 'digits_loss.png'}, {folder / 'digits_predictions.png'}")


def main():
    parser = argparse.ArgumentParser(description="Train a small CNN on handwritten digits.")
    parser.add_argument("--epochs", type=int, default=6)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the pictures")
    args = parser.parse_args()
    if args.epochs < 1:
        parser.error("--epochs must be at least 1")

    torch.manual_seed(args.seed)
    train_loader = DataLoader(load("train"), batch_size=64, shuffle=True)
    test_loader = DataLoader(load("test"), batch_size=64, shuffle=False)
    model = Net()
    optimizer = optim.SGD(model.parameters(), lr=0.03, momentum=0.9)

    losses = []
    accuracies = []
    began = time.perf_counter()
    for epoch in range(1, args.epochs + 1):
        losses += train(model, train_loader, optimizer, epoch, args.epochs)
        accuracy, answers = test(model, test_loader)
        accuracies.append(accuracy)
        print(f"epoch {epoch}: test accuracy {100 * accuracy:.1f} %")
    seconds = time.perf_counter() - began

    draw(args.out, losses, accuracies, len(train_loader), answers)
    print(f"trained {len(losses)} steps in {seconds:.1f} s")
    print(f"test accuracy: {100 * accuracies[-1]:.1f} %")


if __name__ == "__main__":
    main()
