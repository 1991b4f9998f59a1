"""Where the time of a training step goes: its compiled programs, kernel by kernel.

    python bench/kernels.py gru [--threads 1] [--rounds 20] [--top 30] [--each] [--text FOLDER]
                                [--lost]

Kernels with the same code are one line with their calls; `--each` lists every call. `--text` writes
the LLVM text of each listed kernel into a folder. Times are the best of the rounds. `--lost` sorts
them by what is lost with several threads: the time beyond one thread's time divided by their
number, medians of rounds in which one thread and all take turns.
"""

from __future__ import annotations

import argparse
import statistics
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


def median_times(program: Any, threads: int, rounds: int) -> dict[int, list[float]]:
    """For one thread and all: each kernel's median seconds, in a program that runs in order."""
    found: dict[int, list[list[float]]] = {1: [], threads: []}
    for _ in range(rounds):
        for number in found:
            flambeau.set_num_threads(number)
            # (The first of two rounds finds memory where the other number of threads has left it.)
            times = [kernel_times(program.compiled, program.table, 1) for _ in range(2)]
            found[number].append([t.seconds for t in times[1]])
    flambeau.set_num_threads(threads)
    return {n: [statistics.median(t) for t in zip(*each, strict=True)] for n, each in found.items()}


def report_lost(title: str, program: Any, chosen: argparse.Namespace) -> None:
    threads = chosen.threads
    kernels = program.compiled.kernels
    medians = median_times(program, threads, chosen.rounds)
    alone, shared = sum(medians[1]), sum(medians[threads])
    print(
        f"\n{title}: {len(kernels)} kernels, one thread {alone * 1e6:,.0f} us, "
        f"{threads} threads {shared * 1e6:,.0f} us"
    )
    groups: dict[Any, list[int]] = defaultdict(list)
    for number, kernel in enumerate(kernels):
        groups[number if chosen.each else (kernel.label, kernel.text)].append(number)
    rows = []
    for numbers in groups.values():
        one, all_ = (sum(medians[n][number] for number in numbers) for n in (1, threads))
        rows.append((all_ - one / threads, one, all_, len(numbers), kernels[numbers[0]]))
    rows.sort(key=lambda row: -row[0])
    for lost, one, all_, calls, kernel in rows[: chosen.top]:
        print(
            f"{lost * 1e6:9.1f} us lost  {calls:4} x  one thread {one * 1e6:9.1f} us"
            f"  {threads} threads {all_ * 1e6:9.1f} us {kernel.tasks:3} tasks  {kernel.label}"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description="Kernel times of a training step.")
    parser.add_argument("case", choices=list(CASES))
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--top", type=int, default=30)
    parser.add_argument("--each", action="store_true")
    parser.add_argument("--text")
    parser.add_argument("--lost", action="store_true", help="what several threads lose")
    chosen = parser.parse_args()
    if chosen.lost and chosen.threads < 2:
        parser.error("--lost compares several threads with one: --threads 2 or more")
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
        if chosen.lost:
            report_lost(f"program of {runs / steps:g} runs a step", program, chosen)
            continue
        times = kernel_times(program.compiled, program.table, chosen.rounds)
        report(f"program of {runs / steps:g} runs a step", times, chosen)


if __name__ == "__main__":
    main()
