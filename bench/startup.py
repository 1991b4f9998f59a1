"""How long until the first result: import time, and a first training step from cold and warm.

    python bench/startup.py [--only torch|flambeau] [--runs 5] [--cases linear,digits_cnn]

Every figure comes from a fresh process. "Cold" has an empty kernel cache (FLAMBEAU_CACHE_DIR is a
new folder), "warm" the one that the cold run left. The first step counts from before zero_grad
to after loss.item(); building the model is not in it. The second and third steps are printed as
well, since a program may be compiled when it is seen again.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT / "bench")]

from models import CASES

FIRST_STEPS = """
import importlib, json, sys, time
sys.path[:0] = [{root!r}, {root!r} + "/bench"]
module = importlib.import_module({name!r})
from models import CASES
module.manual_seed(0)
built = CASES[{case!r}].build(module)
times = []
for _ in range(3):
    began = time.perf_counter()
    built.step()
    times.append(time.perf_counter() - began)
print(json.dumps(times))
"""


def python(program: str, cache: str) -> str:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": cache, "PYTHONPATH": paths}
    return subprocess.run(
        [sys.executable, "-c", program], env=environment, check=True, capture_output=True, text=True
    ).stdout


def import_time(name: str, runs: int, cache: str) -> float:
    """Median seconds of the import statement alone, the files being in the system's cache."""
    program = (
        f"import time; began = time.perf_counter(); import {name}; "
        "print(time.perf_counter() - began)"
    )
    python(program, cache)
    return statistics.median(float(python(program, cache)) for _ in range(runs))


def first_steps(name: str, case: str, runs: int) -> tuple[list[float], list[float]]:
    """Median seconds of steps 1 to 3: with an empty kernel cache, and with the one it left."""
    program = FIRST_STEPS.format(root=str(ROOT), name=name, case=case)
    cold: list[list[float]] = []
    warm: list[list[float]] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(json.loads(python(program, cache)))
            warm.append(json.loads(python(program, cache)))
    return medians(cold), medians(warm)


def medians(rows: list[list[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Import time and first steps.")
    parser.add_argument("--only", choices=["torch", "flambeau"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cases", default="linear,digits_cnn")
    chosen = parser.parse_args()
    unknown = set(chosen.cases.split(",")) - set(CASES)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    names = [chosen.only] if chosen.only else ["torch", "flambeau"]
    with tempfile.TemporaryDirectory() as cache:
        for name in names:
            print(f"import {name:8} {import_time(name, chosen.runs, cache):7.3f} s", flush=True)
    for case in chosen.cases.split(","):
        print(f"\n{CASES[case].title}: seconds of the first three steps")
        for name in names:
            for state, row in zip(("cold", "warm"), first_steps(name, case, chosen.runs)):
                print(f"  {name:8} {state}  " + "  ".join(f"{t:7.4f}" for t in row), flush=True)


if __name__ == "__main__":
    main()
