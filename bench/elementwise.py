"""Elementwise functions, chains of them and reductions of large tensors, Flambeau beside PyTorch.

    python bench/elementwise.py [--cases add,chain_sum] [--threads 1] [--rounds 5] [--seconds 0.5]
                                [--megabytes 100]

Operands are float32 tensors of `--megabytes` each. Measured as in steps.py: a process for each
framework, blocks in turns. A step computes the case's result and looks at one element of it, so
that nothing is left undone; results are dropped at once, as temporaries of programs are. Beside
the times stand the bytes a second that the case at least has to move (each operand read once, each
result written once) and the part that is of what the machine copies (see machine.py).
"""

from __future__ import annotations

import argparse
import math
import os
import statistics
import sys
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import cases
import machine
import steps
from models import Case

SIZE = "FLAMBEAU_BENCH_MEGABYTES"  # how the measuring processes are told


def megabytes() -> float:
    return float(os.environ.get(SIZE, "100"))


@dataclass(frozen=True)
class Forward:
    """A function of tensors that a step computes once."""

    torch: Any
    function: Callable[..., Any]
    operands: list[Any]

    def step(self) -> float:
        with self.torch.no_grad():
            result = self.function(*self.operands)
            return float((result.view(-1)[0] if result.dim() else result).item())

    def compiled(self) -> Callable[[], float]:
        return Forward(self.torch, self.torch.compile(self.function), self.operands).step


def forward(
    function: Callable[..., Any], count: int, *, matrix: bool = False
) -> Callable[[Any], Forward]:
    """`function(torch, a, b, c)` of `count` operands: long vectors, or matrices of 4096 columns."""

    def build(torch: Any) -> Forward:
        size = int(megabytes() * 1e6) // 4
        shape = (max(size // 4096, 1), 4096) if matrix else (size,)
        operands = [torch.rand(shape) + 0.5 for _ in range(count)]
        return Forward(torch, partial(function, torch), operands)

    return build


@dataclass(frozen=True)
class Moved(Case):
    """A case that has to read `read` operands' bytes and to write `written`."""

    read: int = 1
    written: float = 1


def inplace(torch: Any, a: Any, b: Any) -> Any:
    a *= 0.5
    a += b
    return a


def one(
    title: str,
    function: Callable[..., Any],
    read: int,
    written: float,
    wanted: float,
    *,
    matrix: bool = False,
) -> Moved:
    return Moved(title, forward(function, read, matrix=matrix), wanted, None, read, written)  # type: ignore[arg-type]


CASES: dict[str, Moved] = {
    "add": one("a + b", lambda t, a, b: a + b, 2, 1, 1.2),
    "mul": one("a * 3", lambda t, a: a * 3, 1, 1, 1.2),
    "exp": one("a.exp()", lambda t, a: a.exp(), 1, 1, 1.2),
    "relu": one("a.relu()", lambda t, a: a.relu(), 1, 1, 1.2),
    "sum": one("a.sum()", lambda t, a: a.sum(), 1, 0, 1.2),
    "max": one("a.max()", lambda t, a: a.max(), 1, 0, 1.2),
    "rows": one("a.mean(1)", lambda t, a: a.mean(1), 1, 0, 1.2, matrix=True),
    "columns": one("a.mean(0)", lambda t, a: a.mean(0), 1, 0, 1.2, matrix=True),
    "argmax": one("a.argmax(1)", lambda t, a: a.argmax(1), 1, 0, 1.2, matrix=True),
    "copy": one("a.clone()", lambda t, a: a.clone(), 1, 1, 1.2),
    "transpose": one("a.t().contiguous()", lambda t, a: a.t().contiguous(), 1, 1, 1.2, matrix=True),
    "inplace": one("a *= 0.5; a += b", inplace, 2, 1, 2),
    "chain_sum": one(
        "(a * b + c).relu().sum()", lambda t, a, b, c: (a * b + c).relu().sum(), 3, 0, 2
    ),
    "chain_exp": one(
        "sigmoid(a) * b + c.exp()", lambda t, a, b, c: t.sigmoid(a) * b + c.exp(), 3, 1, 2
    ),
    "distance": one(
        "((a - b) ** 2).mean(1).sqrt()",
        lambda t, a, b: ((a - b) ** 2).mean(1).sqrt(),
        2, 0, 2, matrix=True,
    ),
    "softmax": one("a.softmax(1)", lambda t, a: a.softmax(1), 1, 1, 1.2, matrix=True),
    "gelu": one(
        "F.gelu(a)", lambda t, a: t.nn.functional.gelu(a), 1, 1, 1.2
    ),
}  # fmt: skip


def bytes_moved(name: str) -> float:
    return (CASES[name].read + CASES[name].written) * megabytes() * 1e6


def report(name: str, columns: list[steps.Column], copied: float) -> None:
    """As steps.report, with bytes a second beside the times."""
    base, ours = columns
    line = f"{CASES[name].title:34}"
    for column in columns:
        if column.failure:
            line += f"  failed: {column.failure}"
            continue
        spent = statistics.median(column.blocks)
        rate = bytes_moved(name) / spent
        line += f"  {spent * 1e3:7.1f} ms {rate / 1e9:5.1f} GB/s {rate / copied * 100:4.0f} %"
    times = steps.ratio(base, ours)
    if times is not None:
        line += f"  {times:6.2f} (wanted {CASES[name].wanted:g})"
    print(line, flush=True)


def main() -> None:
    options = cases.parser("Elementwise functions and reductions.", CASES, 5, 0.3)
    options.add_argument("--megabytes", type=float, default=100, help="of an operand")

    def instead(chosen: argparse.Namespace, names: list[str]) -> bool:
        if chosen.losses:
            return True
        os.environ[SIZE] = str(chosen.megabytes)
        threads = chosen.threads or os.cpu_count() or 1
        copied = machine.copied_bytes(threads, megabytes=max(1, math.ceil(chosen.megabytes)))
        print(f"{threads} threads copy {copied / 1e9:.1f} GB/s (read and written)", flush=True)
        print(f"{'':34}  {'PyTorch':>26}  {'Flambeau':>26}  ratio")
        frameworks = [
            steps.Framework(name, chosen.threads, __file__) for name in ("torch", "flambeau")
        ]
        columns = [steps.Column(framework, compiled=False) for framework in frameworks]
        try:
            for name in names:
                steps.measure(name, columns, chosen.rounds, chosen.seconds)
                report(name, columns, copied)
        finally:
            for framework in frameworks:
                framework.close()
        return True

    cases.run(CASES, __file__, options, instead)


if __name__ == "__main__":
    main()
