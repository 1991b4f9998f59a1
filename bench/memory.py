"""The memory of a process that trains a small model for a million steps: RSS as it goes.

    python bench/memory.py [--steps 1000000] [--every 100000]

Each step records, runs forward, backward and update, and every tenth looks at the loss. What grows
here grows in every long run.
"""

from __future__ import annotations

import argparse
import gc
import time
from pathlib import Path

import flambeau as torch
from flambeau.record.statistics import STATISTICS


def resident() -> float:
    """Resident memory of this process in MiB."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * 4096 / 2**20


def train(steps: int, every: int) -> list[float]:
    """Trains for `steps` steps; prints and returns the memory after each `every` of them."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.ExponentialLR(optimizer, 0.999999)
    x = torch.randn(16, 3)
    target = x.sum(1, keepdim=True)
    found, start = [], time.perf_counter()
    for step in range(1, steps + 1):
        loss = ((model(x) - target) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
        if step % 10 == 0:
            value = loss.item()
        if step % every == 0:
            gc.collect()
            found.append(resident())
            seconds = time.perf_counter() - start
            print(
                f"{step:9d} steps  {found[-1]:8.1f} MiB  {seconds / step * 1e6:6.0f} us a step  "
                f"loss {value:.3g}  {STATISTICS.states} states, {STATISTICS.plans} plans",
                flush=True,
            )
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=1_000_000)
    parser.add_argument("--every", type=int, default=100_000)
    options = parser.parse_args()
    found = train(options.steps, options.every)
    print(f"first {found[0]:.1f} MiB, last {found[-1]:.1f} MiB, grown {found[-1] - found[0]:.1f}")


if __name__ == "__main__":
    main()
