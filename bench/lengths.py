"""Programs whose lengths and branches are ever new, Flambeau against PyTorch, side by side.

    python bench/lengths.py [--cases packed,episodes,..] [--threads 1] [--rounds 6]

A process for each framework, blocks of units (a training step, an episode, a generated text) in
turns, on the same data. Printed: seconds of the first block, where everything is new (from a warm
disk cache on: run it twice), and the median time of a unit in the others with the median ratio.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import models
import steps
from models import Case

Unit = Callable[[], float]


class Program:
    """What steps.py builds and asks for its step: here the next unit of a program."""

    def __init__(self, step: Unit) -> None:
        self.step = step


Cases = dict[str, tuple[str, Callable[[Any], Program], int]]


def trained(model: Any, optimizer: Any, loss: Any) -> float:
    """An update from a loss; its value."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    value: float = loss.item()
    return value


def packed(torch: Any) -> Program:
    """Sentences of 5 to 40 words, 32 at a time: embedding, packed BiLSTM 64-64, Adam."""
    nn, rnn = torch.nn, torch.nn.utils.rnn
    words = nn.Embedding(500, 64, padding_idx=0)
    layer = nn.LSTM(64, 64, bidirectional=True, batch_first=True)
    head = nn.Linear(128, 1)
    weights = [*words.parameters(), *layer.parameters(), *head.parameters()]
    optimizer = torch.optim.Adam(weights, lr=1e-3)
    rng = np.random.default_rng(0)

    def step() -> float:
        lengths = np.sort(rng.integers(5, 41, 32))[::-1].copy()
        x = torch.from_numpy(rng.integers(1, 500, (32, int(lengths[0]))))
        y = torch.from_numpy(rng.integers(0, 2, 32).astype(np.float32))
        rows = rnn.pack_padded_sequence(words(x), torch.from_numpy(lengths), batch_first=True)
        _, (h, _) = layer(rows)
        predicted = head(torch.cat((h[-2], h[-1]), 1)).squeeze(1)
        return trained(
            layer, optimizer, nn.functional.binary_cross_entropy_with_logits(predicted, y)
        )

    return Program(step)


def cells(torch: Any) -> Program:
    """An LSTMCell 32-64 stepped by hand through 10 to 60 steps of a series, batch 16, Adam."""
    nn = torch.nn
    cell, head = nn.LSTMCell(32, 64), nn.Linear(64, 1)
    optimizer = torch.optim.Adam([*cell.parameters(), *head.parameters()], lr=1e-3)
    rng = np.random.default_rng(0)

    def step() -> float:
        length = int(rng.integers(10, 61))
        x = torch.from_numpy(rng.standard_normal((length, 16, 32)).astype(np.float32))
        h, c = torch.zeros(16, 64), torch.zeros(16, 64)
        for t in range(length):
            h, c = cell(x[t], (h, c))
        return trained(cell, optimizer, (head(h) ** 2).mean())

    return Program(step)


def episodes(torch: Any) -> Program:
    """REINFORCE with a policy 4-128-2 on episodes of 10 to 80 steps, Adam."""
    nn = torch.nn
    policy = nn.Sequential(nn.Linear(4, 128), nn.ReLU(), nn.Linear(128, 2), nn.Softmax(dim=1))
    optimizer = torch.optim.Adam(policy.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)

    def step() -> float:
        logs, total, returns = [], 0.0, []
        for _ in range(int(rng.integers(10, 81))):
            state = torch.from_numpy(rng.standard_normal((1, 4)).astype(np.float32))
            choice = torch.distributions.Categorical(policy(state))
            action = choice.sample()
            logs.append(choice.log_prob(action))
            action.item()
            total = 1.0 + 0.99 * total
            returns.insert(0, total)
        scaled = torch.tensor(returns)
        scaled = (scaled - scaled.mean()) / (scaled.std() + 1e-7)
        parts = [-log * value for log, value in zip(logs, scaled)]
        return trained(policy, optimizer, torch.cat(parts).sum())

    return Program(step)


def _language_model(torch: Any, width: int = 64, layers: int = 2, longest: int = 128) -> Any:
    nn = torch.nn

    class Model(nn.Module):  # type: ignore[misc,name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.symbols, self.places = nn.Embedding(65, width), nn.Embedding(longest, width)
            self.blocks = nn.ModuleList(
                nn.TransformerEncoderLayer(
                    width, 4, 4 * width, 0.0, "gelu", batch_first=True, norm_first=True
                )
                for _ in range(layers)
            )
            self.head = nn.Linear(width, 65)

        def forward(self, tokens: Any) -> Any:
            length = tokens.shape[1]
            x = self.symbols(tokens) + self.places(torch.arange(length))
            mask = nn.Transformer.generate_square_subsequent_mask(length)
            for block in self.blocks:
                x = block(x, src_mask=mask, is_causal=True)
            return self.head(x)

    return Model()


def generate(torch: Any) -> Program:
    """60 symbols from a GPT 2x64, the whole growing context each time, sampled."""
    model = _language_model(torch).eval()
    rng = np.random.default_rng(0)

    def step() -> float:
        tokens = torch.from_numpy(rng.integers(0, 65, (1, int(rng.integers(2, 20)))))
        with torch.no_grad():
            for _ in range(60):
                chances = torch.softmax(model(tokens)[:, -1], -1)
                tokens = torch.cat([tokens, torch.multinomial(chances, 1)], 1)
        value: float = tokens.float().mean().item()
        return value

    return Program(step)


def padded(torch: Any) -> Program:
    """A causal transformer 2x64 trained on batches of 16, padded to ever new lengths, AdamW."""
    model = _language_model(torch)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    rng = np.random.default_rng(0)

    def step() -> float:
        tokens = torch.from_numpy(rng.integers(0, 65, (16, int(rng.integers(20, 100)))))
        logits = model(tokens[:, :-1]).flatten(0, 1)
        loss = torch.nn.functional.cross_entropy(logits, tokens[:, 1:].flatten())
        return trained(model, optimizer, loss)

    return Program(step)


def branches(torch: Any) -> Program:
    """A network 16-64-16 applied until its output is small, or eight times; SGD."""
    nn = torch.nn
    net = nn.Sequential(nn.Linear(16, 64), nn.Tanh(), nn.Linear(64, 16))
    optimizer = torch.optim.SGD(net.parameters(), lr=1e-2)
    rng = np.random.default_rng(0)

    def step() -> float:
        x = torch.from_numpy(rng.standard_normal((8, 16)).astype(np.float32))
        for _ in range(8):
            x = net(x)
            size = x.abs().max()
            if size > 0.8:
                x = x / size
            elif size < 0.4:
                break
            else:
                x = x * 0.9
        return trained(net, optimizer, (x - 0.1).pow(2).mean())

    return Program(step)


# Title, build, and how many units a block has.
CASES: Cases = {
    "packed": ("packed BiLSTM 64-64, batch 32, 5 to 40 words", packed, 25),
    "cells": ("LSTMCell 32-64 by hand, batch 16, 10 to 60 steps", cells, 20),
    "episodes": ("REINFORCE 4-128-2, 10 to 80 steps", episodes, 15),
    "generate": ("GPT 2x64, 60 symbols, growing context", generate, 4),
    "padded": ("transformer 2x64, batch 16, 20 to 100 symbols", padded, 25),
    "branches": ("network applied until small, branches on data", branches, 200),
}


def measure(case: str, units: int, frameworks: list[steps.Framework], rounds: int) -> str:
    """What a case's blocks of units take."""
    times: list[list[float]] = [[] for _ in frameworks]
    for _ in range(rounds):
        for framework, mine in zip(frameworks, times):
            mine.append(framework.run(case, False, units))
    first = " and ".join(f"{mine[0] * units:.2f}" for mine in times)
    later = [statistics.median(mine[1:]) for mine in times]
    ratio = statistics.median(a / b for a, b in zip(times[0][1:], times[1][1:]))
    spent = ", ".join(f"{f.name} {steps.micro(seconds)}" for f, seconds in zip(frameworks, later))
    return f"first {units} in {first} s; then {spent}, ratio {ratio:.2f}"


def compare(cases: Cases, script: str, description: str) -> None:
    """The command line: measures cases, and is the process of a framework that runs their units."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--cases", default=",".join(cases), help="of: %(default)s")
    parser.add_argument("--rounds", type=int, default=6)
    parser.add_argument("--threads", type=int, default=1, help="0: as many as there are CPUs")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    models.CASES.update(
        {name: Case(title, build, 1.0) for name, (title, build, _) in cases.items()}
    )
    if chosen.serve:
        steps.serve(chosen.serve, chosen.threads)
        return
    names = chosen.cases.split(",")
    if unknown := set(names) - set(cases):
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    frameworks = [steps.Framework(name, chosen.threads, script) for name in ("torch", "flambeau")]
    try:
        for name in names:
            title, _, units = cases[name]
            line = measure(name, units, frameworks, chosen.rounds)
            print(f"{title}: {line}", flush=True)
    finally:
        for framework in frameworks:
            framework.close()


if __name__ == "__main__":
    compare(CASES, __file__, "Ever new lengths, Flambeau against PyTorch.")
