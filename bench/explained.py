"""What being explained costs a training step: the same steps with and without the observer.

    python bench/explained.py [digits_mlp digits_cnn ...] [--pairs 40] [--milliseconds 40]
                                [--compiled]

Short rounds of both alternate in one process; printed is the median of the ratio of neighbours,
and its quartiles. `--compiled`: the whole step through flambeau.compile. Cases are those of
bench/models.py.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import models

import flambeau
from flambeau.explaining.collector import Collector
from flambeau.record.observing import WATCH


def seconds(step: Callable[[], float], steps: int) -> float:
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def explained(collector: Collector, step: Callable[[], float], steps: int) -> float:
    WATCH.observer = collector
    collector.start()
    try:
        return seconds(step, steps)
    finally:
        collector.stop()
        WATCH.observer = None


def steps_of(case: str, compiled: bool) -> Callable[[], float]:
    built = models.CASES[case].build(flambeau)
    if not compiled:
        return built.step
    whole = flambeau.compile(built.whole)
    return lambda: float(whole(built.x, built.y).item())


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of being explained.")
    parser.add_argument("cases", nargs="*", default=list(models.CASES))
    parser.add_argument("--pairs", type=int, default=40)
    parser.add_argument("--milliseconds", type=float, default=40.0, help="length of a round")
    parser.add_argument("--compiled", action="store_true")
    chosen = parser.parse_args()
    flambeau.manual_seed(0)
    for name in chosen.cases:
        step = steps_of(name, chosen.compiled)
        seconds(step, 20)
        steps = max(int(chosen.milliseconds * 1e-3 / seconds(step, 20)), 4)
        collector = Collector()
        explained(collector, step, 4 * steps + 400)
        pairs = [
            (seconds(step, steps), explained(collector, step, steps)) for _ in range(chosen.pairs)
        ]
        low, middle, high = statistics.quantiles([100 * (b / a - 1) for a, b in pairs])
        plain = statistics.median(a for a, _ in pairs)
        found = f"{middle:+5.1f} % ({low:+.1f} to {high:+.1f})"
        print(f"{name:20} {plain * 1e6:9.1f} us, explained {found}")


if __name__ == "__main__":
    main()
