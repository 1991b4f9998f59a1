"""Draws the pictures of docs/seeing.md, from the bundled digits.

python3 tools/make_pictures.py [FOLDER]        by default docs/pictures
"""

import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

import matplotlib
import numpy as np

matplotlib.use("Agg")
from matplotlib import pyplot as plt

import flambeau as torch
from flambeau import nn, plot


def digits(split):
    with np.load(ROOT / "examples" / "data" / "digits.npz") as arrays:
        images, labels = arrays[f"{split}_images"], arrays[f"{split}_labels"]
    return torch.from_numpy(images).float().div(255).unsqueeze(1), torch.from_numpy(labels).long()


def network():
    torch.manual_seed(0)
    first = [nn.Conv2d(1, 8, 5), nn.ReLU(), nn.MaxPool2d(2)]
    second = [nn.Conv2d(8, 16, 5), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*first, *second, nn.Flatten(), nn.Linear(256, 10))


def moons(count=100):
    draw, t = np.random.default_rng(0), np.linspace(0, np.pi, count)
    one = np.stack([np.cos(t), np.sin(t)], axis=1)
    both = np.concatenate([one, [1.0, 0.5] - one])
    return both + draw.normal(0, 0.14, both.shape), np.repeat([0, 1], count)


def train_moons():
    points, labels = moons()
    x, y = torch.tensor(points, dtype=torch.float32), torch.tensor(labels)
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(2, 16), nn.Tanh(), nn.Linear(16, 2))
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    path = [plot.snapshot(model)]
    for step in range(200):
        loss = nn.functional.cross_entropy(model(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        if step % 5 == 4:
            path.append(plot.snapshot(model))
    return model, path, (x, y)


def training_picture(folder):
    images, labels = digits("train")
    tests, answers = digits("test")
    data = torch.utils.data.TensorDataset(images[:3000], labels[:3000])
    loader = torch.utils.data.DataLoader(data, batch_size=50, shuffle=True)
    model, loss_of = network(), nn.CrossEntropyLoss()
    optimizer = torch.optim.Adam(model.parameters(), lr=3e-3)
    _, axes = plt.subplots(2, 3, figsize=(12, 7), layout="constrained")
    plot.lr_find(model, loss_of, loader, optimizer, end=1.0, ax=axes[0, 1])
    losses, checked = [], []
    for _ in range(6):
        for x, y in loader:
            loss = loss_of(model(x), y)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            losses.append(loss.item())
        with torch.no_grad():
            checked.append(loss_of(model(tests), answers).item())
    with torch.no_grad():
        scores = model(tests)
    plot.loss_curves(losses, checked, smoothing=0.9, ax=axes[0, 0])
    plot.worst_errors(tests, answers, scores, count=12, columns=4, ax=axes[0, 2])
    moon, path, batch = train_moons()
    plot.decision_boundary(moon, *batch, ax=axes[1, 0])
    surface = {"directions": "pca", "trajectory": path, "points": 31}
    plot.loss_surface(moon, loss_of, batch, **surface, ax=axes[1, 1])
    deep = [layer for _ in range(7) for layer in (nn.Linear(16, 16), nn.Sigmoid())]
    chain = nn.Sequential(*deep, nn.Linear(16, 1))
    chain(torch.randn(8, 16)).sum().backward()
    plot.gradient_flow([(n, p) for n, p in chain.named_parameters() if p.ndim > 1], ax=axes[1, 2])
    save(axes[0, 0].figure, folder / "training.png")
    axes = plot.confusion_matrix(answers, scores)
    save(axes.figure, folder / "confusion.png")


def save(figure, file):
    """Saves it with few colours: pictures stay small."""
    from PIL import Image

    figure.savefig(file, dpi=75)
    plt.close(figure)
    Image.open(file).convert("RGB").quantize(160).save(file, optimize=True)
    print(file.name, file.stat().st_size)


def main() -> None:
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs" / "pictures"
    folder.mkdir(parents=True, exist_ok=True)
    training_picture(folder)
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
    loss = nn.functional.cross_entropy(model(torch.randn(5, 8)), torch.tensor([0, 1, 2, 0, 1]))
    torch.graph(loss, model, theme="light").save(folder / "graph.svg")


if __name__ == "__main__":
    main()
