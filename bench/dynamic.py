"""Programs whose sizes and branches hang on data, Flambeau against PyTorch, side by side.

    python bench/dynamic.py [--cases nms,experts,..] [--threads 1] [--rounds 6]

As `bench/lengths.py`: blocks of units in turns, the seconds of the first block, where everything is
new, and the median time of a unit in the others.
"""

from __future__ import annotations

import random
import sys
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from lengths import Cases, Program, compare, trained


def nms(torch: Any) -> Program:
    """Non-maximum suppression by hand, 60 boxes: the best one, then those that it leaves."""
    rng = np.random.default_rng(0)

    def overlaps(box: Any, others: Any) -> Any:
        low, high = torch.maximum(box[:2], others[:, :2]), torch.minimum(box[2:], others[:, 2:])
        inter = (high - low).clamp(min=0).prod(1)
        sizes = (others[:, 2:] - others[:, :2]).prod(1)
        return inter / ((box[2:] - box[:2]).prod() + sizes - inter)

    def step() -> float:
        corners = rng.uniform(0, 80, (60, 2))
        sides = rng.uniform(10, 40, (60, 2))
        boxes = torch.from_numpy(np.hstack((corners, corners + sides)).astype(np.float32))
        scores = torch.from_numpy(rng.uniform(0, 1, 60).astype(np.float32))
        order, kept = scores.argsort(descending=True), []
        boxes = boxes[order]
        while len(boxes):
            kept.append(order[0].item())
            left = overlaps(boxes[0], boxes[1:]) < 0.5
            boxes, order = boxes[1:][left], order[1:][left]
        return float(len(kept))

    return Program(step)


def experts(torch: Any) -> Program:
    """A mixture of eight experts 64-128-64, the best two for each of 256 tokens, trained; Adam."""
    nn = torch.nn

    class Mixture(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.gate = nn.Linear(64, 8)
            self.experts = nn.ModuleList(
                nn.Sequential(nn.Linear(64, 128), nn.GELU(), nn.Linear(128, 64)) for _ in range(8)
            )

        def forward(self, x: Any) -> Any:
            weights, chosen = torch.topk(torch.softmax(self.gate(x), 1), 2)
            weights = weights / weights.sum(1, keepdim=True)
            out = torch.zeros_like(x)
            for number, expert in enumerate(self.experts):
                rows, places = torch.where(chosen == number)
                out.index_add_(0, rows, expert(x[rows]) * weights[rows, places, None])
            return out

    model = Mixture()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)

    def step() -> float:
        x = torch.from_numpy(rng.standard_normal((256, 64)).astype(np.float32))
        return trained(model, optimizer, (model(x) - x.flip(1)).pow(2).mean())

    return Program(step)


def experts_masked(torch: Any) -> Program:
    """A mixture of four experts 32-64-32, one for each of 128 tokens, by masks; no gradients."""
    nn = torch.nn
    gate = nn.Linear(32, 4)
    layers = [nn.Sequential(nn.Linear(32, 64), nn.ReLU(), nn.Linear(64, 32)) for _ in range(4)]
    rng = np.random.default_rng(0)

    def step() -> float:
        x = torch.from_numpy(rng.standard_normal((128, 32)).astype(np.float32))
        with torch.no_grad():
            chosen = gate(x).argmax(1)
            out = torch.zeros_like(x)
            for number, layer in enumerate(layers):
                mask = chosen == number
                if mask.any():
                    out[mask] = layer(x[mask])
            value: float = out.sum().item()
        return value

    return Program(step)


def teacher(torch: Any) -> Program:
    """A decoder, embedding and GRUCell 64, 12 steps, each with the truth or its own word; Adam."""
    nn = torch.nn
    words, cell, head = nn.Embedding(100, 64), nn.GRUCell(64, 64), nn.Linear(64, 100)
    weights = [*words.parameters(), *cell.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    rng, coin = np.random.default_rng(0), random.Random(0)

    def step() -> float:
        truth = torch.from_numpy(rng.integers(0, 100, (16, 13)))
        h = torch.from_numpy(rng.standard_normal((16, 64)).astype(np.float32))
        word, loss = truth[:, 0], 0.0
        for t in range(1, 13):
            h = cell(words(word), h)
            logits = head(h)
            loss = loss + nn.functional.cross_entropy(logits, truth[:, t])
            word = truth[:, t] if coin.random() < 0.5 else logits.argmax(1)
        return trained(cell, optimizer, loss / 12)

    return Program(step)


def farthest(torch: Any) -> Program:
    """Farthest point sampling: 64 of 512 points, each asked for by `.item()`."""
    rng = np.random.default_rng(0)

    def step() -> float:
        points = torch.from_numpy(rng.standard_normal((512, 3)).astype(np.float32))
        distances = torch.full((512,), 1e10)
        chosen, last = [], 0
        for _ in range(64):
            chosen.append(last)
            away = ((points - points[last]) ** 2).sum(1)
            distances = torch.minimum(distances, away)
            last = distances.argmax().item()
        return float(sum(chosen))

    return Program(step)


def sizes(torch: Any) -> Program:
    """A CNN 3-16-32-10 on single images of ever new sizes, 24 to 96 pixels a side."""
    nn = torch.nn
    net = nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1), nn.BatchNorm2d(16), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(16, 32, 3, padding=1), nn.BatchNorm2d(32), nn.ReLU(), nn.AdaptiveAvgPool2d(1),
        nn.Flatten(), nn.Linear(32, 10),
    ).eval()  # fmt: skip
    rng = np.random.default_rng(0)

    def step() -> float:
        shape = (1, 3, *rng.integers(24, 97, 2))
        image = torch.from_numpy(rng.standard_normal(shape).astype(np.float32))
        with torch.no_grad():
            found: int = net(image).argmax(1).item()
        return float(found)

    return Program(step)


def bayes(torch: Any) -> Program:
    """Bayes by backprop: layers 8-32-1 of drawn weights with their densities, batch 32, Adam."""
    nn, functional = torch.nn, torch.nn.functional
    normal = torch.distributions.Normal

    class Layer(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self, inputs: int, outputs: int) -> None:
            super().__init__()
            self.mean = nn.Parameter(torch.randn(outputs, inputs) * 0.1)
            self.rho = nn.Parameter(torch.full((outputs, inputs), -3.0))
            self.bias_mean = nn.Parameter(torch.zeros(outputs))
            self.bias_rho = nn.Parameter(torch.full((outputs,), -3.0))

        def forward(self, x: Any) -> tuple[Any, Any]:
            total, drawn = 0.0, []
            for mean, rho in ((self.mean, self.rho), (self.bias_mean, self.bias_rho)):
                believed = normal(mean, functional.softplus(rho))
                value = believed.rsample()
                density = believed.log_prob(value) - normal(0.0, 1.0).log_prob(value)
                total = total + density.sum()
                drawn.append(value)
            return functional.linear(x, *drawn), total

    first, second = Layer(8, 32), Layer(32, 1)
    optimizer = torch.optim.Adam([*first.parameters(), *second.parameters()], lr=1e-3)
    rng = np.random.default_rng(0)

    def step() -> float:
        x = torch.from_numpy(rng.standard_normal((32, 8)).astype(np.float32))
        loss: Any = 0.0
        for _ in range(3):
            hidden, one = first(x)
            y, other = second(functional.relu(hidden))
            loss = loss + (y - x[:, :1]).pow(2).mean() + (one + other) / 1000
        return trained(first, optimizer, loss / 3)

    return Program(step)


def griffin(torch: Any) -> Program:
    """Griffin-Lim: 16 rounds of phases for a spectrogram of 8,000 samples, windows of 256."""
    rng = np.random.default_rng(0)
    window = torch.hann_window(256)

    def step() -> float:
        signal = torch.from_numpy(rng.standard_normal(8000).astype(np.float32))
        size = torch.stft(signal, 256, 64, window=window, return_complex=True).abs()
        angles = torch.exp(2j * torch.pi * torch.rand(size.shape))
        for _ in range(16):
            made = torch.istft(size * angles, 256, 64, window=window, length=8000)
            again = torch.stft(made, 256, 64, window=window, return_complex=True)
            angles = again / again.abs().clamp(min=1e-8)
        value: float = made.abs().mean().item()
        return value

    return Program(step)


# Title, build, and how many units a block has.
CASES: Cases = {
    "nms": ("non-maximum suppression by hand, 60 boxes", nms, 10),
    "experts": ("mixture of 8 experts 64-128-64, 256 tokens", experts, 20),
    "masked": ("mixture of 4 experts by masks, no gradients", experts_masked, 40),
    "teacher": ("GRUCell 64, 12 steps, teacher forcing by a coin", teacher, 20),
    "farthest": ("farthest point sampling, 64 of 512", farthest, 10),
    "sizes": ("CNN 3-16-32-10, an image of a new size", sizes, 40),
    "bayes": ("Bayes by backprop 8-32-1, 3 draws", bayes, 40),
    "griffin": ("Griffin-Lim, 16 rounds of 8,000 samples", griffin, 10),
}


if __name__ == "__main__":
    compare(CASES, __file__, "Sizes and branches that hang on data, Flambeau against PyTorch.")
