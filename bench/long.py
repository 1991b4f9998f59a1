"""Training steps that record long or winding programs, Flambeau against PyTorch, side by side.

    python bench/long.py [--cases lstm_cells,dcgan] [--threads 1] [--rounds 5] [--seconds 0.5]
                         [--losses 20]

An LSTM unrolled by hand, a deep transformer, the two optimizers of GANs, and steps whose way
depends on the values that they compute. Measured as in steps.py: a process for each framework,
blocks of steps in turns. `--losses N` first lays the losses of N steps from the same seed over each
other and prints the largest relative difference.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import cases
import layers
from models import Case


@dataclass
class Program:
    """A training loop, ready to take its next step: that gives its loss."""

    step: Callable[[], float]


def cells(length: int = 100, width: int = 64, batch: int = 32) -> Callable[[Any], Program]:
    """nn.LSTMCell, step after step in Python; a number from the last state; Adam."""

    def build(torch: Any) -> Program:
        nn = torch.nn
        cell, head = nn.LSTMCell(width, width), nn.Linear(width, 1)
        parameters = [*cell.parameters(), *head.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=1e-3)
        x, y = torch.randn(length, batch, width), torch.randn(batch, 1)

        def step() -> float:
            h, c = torch.zeros(batch, width), torch.zeros(batch, width)
            for t in range(length):
                h, c = cell(x[t], (h, c))
            loss = nn.functional.mse_loss(head(h), y)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            return float(loss.item())

        return Program(step)

    return build


def gates(length: int = 100, width: int = 64, batch: int = 16) -> Callable[[Any], Program]:
    """An LSTM written out gate by gate in Python, with its outputs stacked; SGD with momentum."""

    def build(torch: Any) -> Program:
        nn = torch.nn
        inner, outer = nn.Linear(width, 4 * width), nn.Linear(width, 4 * width)
        head = nn.Linear(width, 8)
        parameters = [*inner.parameters(), *outer.parameters(), *head.parameters()]
        optimizer = torch.optim.SGD(parameters, lr=0.1, momentum=0.9)
        x, y = torch.randn(batch, length, width), torch.randint(0, 8, (batch, length))

        def step() -> float:
            h, c = torch.zeros(batch, width), torch.zeros(batch, width)
            outputs = []
            for t in range(length):
                i, f, g, o = (inner(x[:, t]) + outer(h)).chunk(4, dim=1)
                c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
                h = torch.sigmoid(o) * torch.tanh(c)
                outputs.append(h)
            scores = head(torch.stack(outputs, dim=1))
            loss = nn.functional.cross_entropy(scores.reshape(-1, 8), y.reshape(-1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            return float(loss.item())

        return Program(step)

    return build


def adversaries(
    torch: Any, generator: Any, judge: Any, real: Any, noise: Callable[[], Any]
) -> Program:
    """The usual loop of a GAN: the judge on real and made samples, then the generator."""
    criterion = torch.nn.BCEWithLogitsLoss()
    first = torch.optim.Adam(judge.parameters(), lr=2e-4, betas=(0.5, 0.999))
    second = torch.optim.Adam(generator.parameters(), lr=2e-4, betas=(0.5, 0.999))
    ones, zeros = torch.ones(len(real)), torch.zeros(len(real))

    def step() -> float:
        judge.zero_grad()
        on_real = criterion(judge(real).view(-1), ones)
        on_real.backward()
        made = generator(noise())
        on_made = criterion(judge(made.detach()).view(-1), zeros)
        on_made.backward()
        first.step()
        generator.zero_grad()
        fooled = criterion(judge(made).view(-1), ones)
        fooled.backward()
        second.step()
        return float(on_real.item() + on_made.item() + fooled.item())

    return Program(step)


def mlp_gan(torch: Any) -> Program:
    """784-dimensional samples, hidden layers of 128 and 256, batch 64."""
    nn = torch.nn
    generator = nn.Sequential(
        nn.Linear(64, 128), nn.LeakyReLU(0.2), nn.Linear(128, 256), nn.BatchNorm1d(256),
        nn.LeakyReLU(0.2), nn.Linear(256, 784), nn.Tanh(),
    )  # fmt: skip
    judge = nn.Sequential(
        nn.Linear(784, 256), nn.LeakyReLU(0.2), nn.Dropout(0.3), nn.Linear(256, 128),
        nn.LeakyReLU(0.2), nn.Linear(128, 1),
    )  # fmt: skip
    real = torch.randn(64, 784).clamp(-1, 1)
    return adversaries(torch, generator, judge, real, lambda: torch.randn(64, 64))


def dcgan(torch: Any) -> Program:
    """Images of 32 x 32 in three colours, 16 to 64 channels, batch 16."""
    nn = torch.nn
    generator = nn.Sequential(
        nn.ConvTranspose2d(64, 64, 4, 1, 0, bias=False), nn.BatchNorm2d(64), nn.ReLU(True),
        nn.ConvTranspose2d(64, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.ReLU(True),
        nn.ConvTranspose2d(32, 16, 4, 2, 1, bias=False), nn.BatchNorm2d(16), nn.ReLU(True),
        nn.ConvTranspose2d(16, 3, 4, 2, 1, bias=False), nn.Tanh(),
    )  # fmt: skip
    judge = nn.Sequential(
        nn.Conv2d(3, 16, 4, 2, 1, bias=False), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(16, 32, 4, 2, 1, bias=False), nn.BatchNorm2d(32), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(32, 64, 4, 2, 1, bias=False), nn.BatchNorm2d(64), nn.LeakyReLU(0.2, inplace=True),
        nn.Conv2d(64, 1, 4, 1, 0, bias=False),
    )  # fmt: skip
    real = torch.randn(16, 3, 32, 32).clamp(-1, 1)
    return adversaries(torch, generator, judge, real, lambda: torch.randn(16, 64, 1, 1))


def deciding(torch: Any) -> Program:
    """A state that goes one of two ways in each of 24 steps, as its own value says; Adam."""
    nn = torch.nn
    up, down, head = nn.Linear(32, 32), nn.Linear(32, 32), nn.Linear(32, 1)
    parameters = [*up.parameters(), *down.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    batches, y = torch.randn(16, 16, 32), torch.randn(16, 1)
    count = 0

    def step() -> float:
        nonlocal count
        h = batches[count % 16]
        count += 1
        for _ in range(24):
            h = torch.tanh(up(h)) if h.sum().item() > 0 else torch.relu(down(h)) - 0.3
        loss = nn.functional.mse_loss(head(h), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        return float(loss.item())

    return Program(step)


def counting(torch: Any) -> Program:
    """A small network whose step repeats a block 1 to 8 times, and whose loss chooses the rate."""
    nn = torch.nn
    enter, block, leave = nn.Linear(16, 64), nn.Linear(64, 64), nn.Linear(64, 1)
    parameters = [*enter.parameters(), *block.parameters(), *leave.parameters()]
    optimizer = torch.optim.SGD(parameters, lr=0.01, momentum=0.9)
    x, y = torch.randn(64, 16), torch.randn(64, 1)
    count, last = 0, 1e9

    def step() -> float:
        nonlocal count, last
        count += 1
        h = torch.relu(enter(x))
        for _ in range(1 + count * 5 % 8):
            h = h + torch.relu(block(h)) * 0.1
        loss = nn.functional.mse_loss(leave(h), y)
        optimizer.zero_grad()
        loss.backward()
        if loss.item() > last:
            for group in optimizer.param_groups:
                group["lr"] = max(group["lr"] * 0.99, 1e-4)
        last = loss.item()
        optimizer.step()
        return float(last)

    return Program(step)


DEEP = layers.transformer(12, 8, 64)
CASES: dict[str, Case] = {
    "lstm_cells": Case("LSTMCell 64-64 by hand, 100 steps, b. 32", cells(), 1.0),  # type: ignore[arg-type]
    "lstm_gates": Case("LSTM gate by gate, 100 steps, batch 16", gates(), 1.0),  # type: ignore[arg-type]
    "transformer": Case("transformer 12x128, 8x64, AdamW", DEEP, 1.0),
    "mlp_gan": Case("GAN of MLPs, 784, batch 64, two Adams", mlp_gan, 1.0),  # type: ignore[arg-type]
    "dcgan": Case("DCGAN 3x32x32, batch 16, two Adams", dcgan, 1.0),  # type: ignore[arg-type]
    "deciding": Case("24 steps, each as the last one's value says", deciding, 1.0),  # type: ignore[arg-type]
    "counting": Case("a block 1 to 8 times, rate by the loss", counting, 1.0),  # type: ignore[arg-type]
}


def main() -> None:
    options = cases.parser("Long programs, Flambeau against PyTorch.", CASES, 5, 0.5)
    cases.run(CASES, __file__, options)


if __name__ == "__main__":
    main()
