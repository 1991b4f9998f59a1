"""What being explained costs a training step: the same steps with and without the observer.

    python bench/explained.py [mlp_digits cnn_digits ...] [--rounds 12] [--steps 40]

Rounds of both alternate in one process; the best round of each counts. Cases are those of
bench/models.py.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import models

import flambeau
from flambeau.explaining.collector import Collector
from flambeau.record.observing import WATCH


def seconds(step: object, steps: int) -> float:
    assert callable(step)
    start = time.perf_counter()
    for _ in range(steps):
        step()
    return (time.perf_counter() - start) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description="The cost of being explained.")
    parser.add_argument("cases", nargs="*", default=list(models.CASES))
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--steps", type=int, default=40)
    chosen = parser.parse_args()
    flambeau.manual_seed(0)
    for name in chosen.cases:
        step = models.CASES[name].build(flambeau).step
        for _ in range(8):
            step()
        best = {False: float("inf"), True: float("inf")}
        collector = Collector()
        for _ in range(chosen.rounds):
            for explained in (False, True):
                if explained:
                    WATCH.observer = collector
                    collector.start()
                best[explained] = min(best[explained], seconds(step, chosen.steps))
                if explained:
                    collector.stop()
                    WATCH.observer = None
        print(
            f"{name:20} {best[False] * 1e6:9.0f} us, explained {best[True] * 1e6:9.0f} us:"
            f" {100 * (best[True] / best[False] - 1):+5.1f} %"
        )


if __name__ == "__main__":
    main()
