"""Whole training steps in several Pythons, each with native recording and without.

    python bench/interpreters.py [PYTHON ..] [--cases linear,small_mlp] [--rounds 7]
                                 [--seconds 0.2] [--threads 1]

Each Python needs NumPy and llvmlite (this one is measured where none is named). All processes take
turns, as in `bench/steps.py`; printed are medians of the mean time of a step, and the median over
rounds of how many times longer a step takes where the recorder's work is Python.
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from models import CASES
from steps import Column, Framework, Server, measure, micro, ratio, serve

SMALL = "linear,small_mlp,batchnorm_mlp,digits_cnn"
VERSION = "import platform; print(platform.python_version())"


class Way(Server):
    """The process that measures one way: "native", or "python" as where no layout is known."""

    def __init__(self, name: str) -> None:
        from flambeau.record import words

        if name == "python":
            words.known = lambda: False
        elif not words.known():
            raise SystemExit("interpreters.py: this Python has no native recording")
        super().__init__("flambeau")


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Training steps, native recording or none.")
    parser.add_argument("pythons", nargs="*", default=[sys.executable], metavar="PYTHON")
    parser.add_argument("--cases", default=SMALL, help="comma-separated, default: %(default)s")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.2, help="length of a block")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    return parser.parse_args()


def main() -> None:
    chosen = options()
    if chosen.serve:
        serve(chosen.serve, chosen.threads, Way)
        return
    ways: list[tuple[str, Column, Column]] = []
    frameworks = []
    for python in chosen.pythons:
        version = subprocess.check_output([python, "-c", VERSION], text=True).strip()
        pair = [Framework(way, chosen.threads, __file__, python) for way in ("python", "native")]
        frameworks += pair
        for compiled in (False, True):
            title = f"{version} compile" if compiled else version
            ways.append((title, *(Column(framework, compiled) for framework in pair)))
    try:
        for case in chosen.cases.split(","):
            measure(case, [c for _, *both in ways for c in both], chosen.rounds, chosen.seconds)
            print(f"\n{CASES[case].title}")
            for title, plain, native in ways:
                print(f"  {title:16} {told(plain, native)}", flush=True)
    finally:
        for framework in frameworks:
            framework.close()


def told(plain: Column, native: Column) -> str:
    times = ratio(plain, native)
    if times is None:
        return f"failed: {plain.failure or native.failure}"
    took = micro(statistics.median(native.blocks)), micro(statistics.median(plain.blocks))
    return f"native {took[0]:>10}   python {took[1]:>10}   {times:6.2f}"


if __name__ == "__main__":
    main()
