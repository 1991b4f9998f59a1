"""The cost of an op apart from its arithmetic: microseconds an op, on tensors of four numbers.

    python bench/recorder.py [--only torch|flambeau] [--rounds 9]

Three streams of ops. "repeated" is the same every time, as in a training loop, so a recorder can
recognise it; "new" is another random stream each time, so it cannot; "views" mixes reshapes and
in-place writes in. A stream ends with one .item(). Two lengths are timed, and the difference is
divided by the difference in ops, so that what a stream costs once drops out.
"""

from __future__ import annotations

import argparse
import importlib
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

SHORT, LONG = 50, 250
Op = Callable[[Any, Any], Any]


def write_in_place(x: Any, w: Any) -> Any:
    x[0] = w[1]
    return x


PLAIN: list[Op] = [
    lambda x, w: x + w,
    lambda x, w: x * w,
    lambda x, w: x - w,
    lambda x, w: x.relu(),
    lambda x, w: x.sigmoid(),
    lambda x, w: x.neg(),
]
# Two ops recorded by each; counted as such.
VIEWS: list[Op] = [
    lambda x, w: x.reshape(2, 2).reshape(4),
    lambda x, w: x.reshape(2, 2).t().reshape(4),
    lambda x, w: x.add_(w).mul_(0.5),
    write_in_place,
]
WEIGHT = dict.fromkeys(VIEWS, 2) | {VIEWS[1]: 3, VIEWS[3]: 3}


def stream(ops: Sequence[Op], length: int, seed: int) -> list[Op]:
    return random.Random(seed).choices(ops, k=length)


def seconds(module: Any, ops: Sequence[Op]) -> float:
    x = module.full((4,), 0.5)
    w = module.full((4,), 0.9)
    began = time.perf_counter()
    for op in ops:
        x = op(x, w)
    x.sum().item()
    return time.perf_counter() - began


def cost(module: Any, ops: Sequence[Op], new: bool, rounds: int) -> float:
    """Median seconds an op."""
    found = []
    for turn in range(rounds + 3):
        seed = 1000 + turn if new else 0
        short, long = stream(ops, SHORT, seed), stream(ops, LONG, seed)
        lengths = [sum(WEIGHT.get(op, 1) for op in part) for part in (short, long)]
        spent = seconds(module, long) - seconds(module, short)
        if turn >= 3:
            found.append(spent / (lengths[1] - lengths[0]))
    return statistics.median(found)


def measure(name: str, rounds: int) -> None:
    module = importlib.import_module(name)
    for title, ops, new in (
        ("repeated", PLAIN, False),
        ("new", PLAIN, True),
        ("views", PLAIN + VIEWS, False),
    ):
        print(
            f"{name:8} {title:9} {cost(module, ops, new, rounds) * 1e6:8.2f} us an op", flush=True
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Microseconds a recorded op.")
    parser.add_argument("--only", choices=["torch", "flambeau"])
    parser.add_argument("--rounds", type=int, default=9)
    chosen = parser.parse_args()
    if chosen.only:
        measure(chosen.only, chosen.rounds)
        return
    for name in ("torch", "flambeau"):
        command = [sys.executable, __file__, "--only", name, "--rounds", str(chosen.rounds)]
        subprocess.run(command, check=False)


if __name__ == "__main__":
    main()
