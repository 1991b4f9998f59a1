"""Whole programs as fresh processes, Flambeau against PyTorch and torchvision.

    python bench/whole.py [--scripts mnist_mlp,mnist_cnn] [--data FOLDER] [--threads 1] [--rounds 3]
                          [--cold]

Each round starts `bench/scripts/NAME.py` under PyTorch and under Flambeau, in turns, and counts all
of it: starting Python, imports, reading the files, training, testing. Printed are medians of the
time on the clock and of the processors' time, which other work on the machine moves less, and of
the ratios within rounds. Flambeau's cache of kernels is a folder of its own, filled by a run that
is not counted; with `--cold` it is empty at each start. `--data`, torchvision: see bench/data.py.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench")]

from data import mnist_root

START = """
import runpy, sys
sys.path[:0] = [{bench!r}]
from data import frameworks
torch, _ = frameworks({name!r})
torch.set_num_threads({threads})
sys.argv = [{script!r}, {root!r}]
runpy.run_path({script!r}, run_name="__main__")
"""


def run(name: str, script: str, root: Path, threads: int, cache: Path) -> tuple[float, float]:
    """Seconds on the clock, and of processors, of one process."""
    path = str(ROOT / "bench" / "scripts" / f"{script}.py")
    code = START.format(
        bench=str(ROOT / "bench"), name=name, threads=threads, script=path, root=str(root)
    )
    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": str(cache)}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    before, began = os.times(), time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", code], env=environment, check=True, stdout=subprocess.DEVNULL
    )
    after = os.times()
    spent = after.children_user - before.children_user
    return time.perf_counter() - began, spent + after.children_system - before.children_system


def measured(script: str, options: argparse.Namespace, scratch: Path) -> None:
    root = mnist_root(options.data, scratch)
    times: dict[str, list[tuple[float, float]]] = {"torch": [], "flambeau": []}
    warm = scratch / "cache"
    if not options.cold:
        run("flambeau", script, root, options.threads, warm)
    for turn in range(options.rounds):
        for name, found in [*times.items()][:: 1 if turn % 2 else -1]:
            with tempfile.TemporaryDirectory() as empty:
                cache = Path(empty) if options.cold else warm
                found.append(run(name, script, root, options.threads, cache))
    for kind, place in (("clock", 0), ("processors", 1)):
        theirs, ours = ([pair[place] for pair in times[name]] for name in ("torch", "flambeau"))
        ratio = statistics.median(a / b for a, b in zip(theirs, ours))
        print(
            f"{script:10} {kind:10} PyTorch {statistics.median(theirs):7.2f} s   "
            f"Flambeau {statistics.median(ours):6.2f} s   ratio {ratio:5.2f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--scripts", default="mnist_mlp,mnist_cnn")
    parser.add_argument("--data", type=Path, default=ROOT / "data")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--cold", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        for script in options.scripts.split(","):
            measured(script, options, Path(folder))


if __name__ == "__main__":
    main()
