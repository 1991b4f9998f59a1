"""Training steps beside busy neighbours: none, one and two processes that use a core each.

    python bench/neighbours.py [--cases digits_mlp,digits_cnn] [--rounds 5] [--seconds 0.5]

Measured as in steps.py, one framework at a time. Printed: the median time of a step beside no, one
and two neighbours, and how many times longer it takes than with none.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import steps
from models import CASES

BUSY = "while True: sum(range(10_000))"
MOST_NEIGHBOURS = 2


@contextmanager
def neighbours(count: int) -> Iterator[None]:
    """So many processes that do nothing but compute."""
    started = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(count)]
    time.sleep(0.3 if count else 0.0)
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def measured(column: steps.Column, case: str, rounds: int) -> float:
    """The median time of a step, in seconds. RuntimeError where the framework fails."""
    column.blocks = []
    for _ in range(rounds):
        column.block(case)
    if column.failure:
        raise RuntimeError(column.failure)
    return statistics.median(column.blocks)


def report(case: str, columns: list[steps.Column], chosen: argparse.Namespace) -> None:
    print(f"\n{CASES[case].title}")
    for column in columns:
        column.warm(case, chosen.seconds)
        found = []
        for count in range(MOST_NEIGHBOURS + 1):
            with neighbours(count):
                found.append(measured(column, case, chosen.rounds))
        times = ", ".join(f"{steps.micro(t)} ({t / found[0]:.1f})" for t in found)
        print(f"  {column.title:12} {times}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description="Training steps beside busy processes.")
    parser.add_argument("--cases", default="digits_mlp,digits_cnn")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.5, help="length of a block")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are CPUs")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.serve:
        steps.serve(chosen.serve, chosen.threads)
        return
    print("beside 0, 1 and 2 busy processes (times longer than beside none)")
    frameworks = [steps.Framework(name, chosen.threads) for name in ("torch", "flambeau")]
    try:
        columns = [steps.Column(framework, compiled=False) for framework in frameworks]
        for case in chosen.cases.split(","):
            report(case, columns, chosen)
    finally:
        for framework in frameworks:
            framework.close()


if __name__ == "__main__":
    main()
