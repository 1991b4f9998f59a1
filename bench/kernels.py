"""Where the time of a training step goes: its compiled programs, kernel by kernel.

    python bench/kernels.py gru [--threads 1] [--rounds 20] [--top 30] [--each] [--text FOLDER]

Kernels with the same code are one line with their calls; `--each` lists every call. `--text` writes
the LLVM text of each listed kernel into a folder. Times are the best of the rounds.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import layers
import long
import models
import vision
from counting import Watch

import flambeau
from flambeau.execute.cpu.profile import KernelTime, kernel_times

CASES = {**models.CASES, **layers.CASES, **vision.CASES, **long.CASES}


def report(title: str, times: list[KernelTime], chosen: argparse.Namespace) -> None:
    total = sum(t.seconds for t in times)
    print(f"\n{title}: {len(times)} kernels, {total * 1e6:,.0f} us")
    groups: dict[Any, list[KernelTime]] = defaultdict(list)
    for number, t in enumerate(times):
        groups[number if chosen.each else t.text].append(t)
    ordered = list(groups.values())
    if not chosen.each:
        ordered.sort(key=lambda g: -sum(t.seconds for t in g))
    for number, group in enumerate(ordered[: chosen.top]):
        spent = sum(t.seconds for t in group)
        print(
            f"{spent * 1e6:9.1f} us {100 * spent / total:5.1f} %  {len(group):4} x"
            f" {spent / len(group) * 1e6:8.2f} us {group[0].tasks:3} tasks"
            f"  {group[0].label}"
        )
        if chosen.text:
            folder = Path(chosen.text)
            folder.mkdir(parents=True, exist_ok=True)
            (folder / f"{number}.ll").write_text(group[0].text, "utf-8")


def main() -> None:
    parser = argparse.ArgumentParser(description="Kernel times of a training step.")
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--top", type=int, default=30)
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--text")
    chosen = parser.parse_args()
    flambeau.set_num_threads(chosen.threads)
    flambeau.manual_seed(0)
    built = CASES[chosen.case].build(flambeau)
    for _ in range(8):
        built.step()
    steps = 20
    began = time.perf_counter()
    with Watch() as watch:
        for _ in range(steps):
            built.step()
    print(f"a step: {(time.perf_counter() - began) / steps * 1e6:,.0f} us", flush=True)
    for program, runs in watch.runs.items():
        times = kernel_times(program.compiled, program.table, chosen.rounds)
        report(f"program of {runs / steps:g} runs a step", times, chosen)


if __name__ == "__main__":
    main()
