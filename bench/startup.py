"""How long until the first result: imports, a script's first line, first training steps.

    python bench/startup.py [--only torch|flambeau] [--runs 5] [--cases linear,digits_cnn]

Every figure comes from a fresh process and is the median of the runs. Imports are measured with
the files and their byte code in place, as after a first run: PYTHONDONTWRITEBYTECODE is taken out
of the environment, since with it every process compiles all that it imports. NumPy's own import
is printed beside them, since Flambeau's contains it.

"Cold" has an empty kernel cache (FLAMBEAU_CACHE_DIR is a new folder), "warm" the one that the cold
run left. The first step counts from before zero_grad to after loss.item(); building the model is
not in it. Steps 2 to 5 are printed as well, since a program may be compiled when it is seen again,
and recording is native from then on, and the sum of twenty. FLAMBEAU_BACKGROUND=1 compiles beside
the steps.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
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
for _ in range(20):
    began = time.perf_counter()
    built.step()
    times.append(time.perf_counter() - began)
print(json.dumps(times))
"""


def python(arguments: Sequence[str], cache: str) -> str:
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH", "")]))
    environment = {**os.environ, "FLAMBEAU_CACHE_DIR": cache, "PYTHONPATH": paths}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    return subprocess.run(
        [sys.executable, *arguments], env=environment, check=True, capture_output=True, text=True
    ).stdout


def median(measure: Callable[[], float], runs: int) -> float:
    measure()
    return statistics.median(measure() for _ in range(runs))


def import_time(statement: str, cache: str, before: str = "pass") -> float:
    """Seconds of an import statement alone, in a process that has done `before`."""
    program = (
        f"import time\n{before}\nbegan = time.perf_counter()\n{statement}\n"
        "print(time.perf_counter() - began)"
    )
    return float(python(["-c", program], cache))


def first_line(command: Sequence[str], cache: str) -> float:
    """Seconds from the start of a Python process to the first line of the script it runs."""
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "script.py"
        script.write_text("import time\nprint(time.time())\n", "utf-8")
        began = time.time()
        return float(python([*command, str(script)], cache)) - began


def print_imports(names: Sequence[str], runs: int, cache: str) -> None:
    def show(what: str, measure: Callable[[], float]) -> None:
        print(f"{what:56} {median(measure, runs):7.3f} s", flush=True)

    show("import numpy", lambda: import_time("import numpy", cache))
    for name in names:
        several = f"import {name}.nn, {name}.optim, {name}.utils.data"
        show(f"import {name}", partial(import_time, f"import {name}", cache))
        after = partial(import_time, f"import {name}", cache, "import numpy")
        show(f"import {name}, after numpy", after)
        show(several, partial(import_time, several, cache))
    show("python script.py, to its first line", lambda: first_line([], cache))
    if "flambeau" in names:
        run = ["-m", "flambeau.cli", "run"]
        show("flambeau run script.py, to its first line", lambda: first_line(run, cache))


def first_steps(name: str, case: str, runs: int) -> tuple[list[float], list[float]]:
    """Median seconds of the first steps: with an empty kernel cache, and with the one it left."""
    program = FIRST_STEPS.format(root=str(ROOT), name=name, case=case)
    cold: list[list[float]] = []
    warm: list[list[float]] = []
    for _ in range(runs):
        with tempfile.TemporaryDirectory() as cache:
            cold.append(json.loads(python(["-c", program], cache)))
            warm.append(json.loads(python(["-c", program], cache)))
    return medians(cold), medians(warm)


def medians(rows: list[list[float]]) -> list[float]:
    return [statistics.median(column) for column in zip(*rows)]


def main() -> None:
    parser = argparse.ArgumentParser(description="Imports, first lines and first steps.")
    parser.add_argument("--only", choices=["torch", "flambeau"])
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--cases", default="linear,digits_cnn", help="empty: imports only")
    chosen = parser.parse_args()
    cases = [case for case in chosen.cases.split(",") if case]
    unknown = set(cases) - set(CASES)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    names = [chosen.only] if chosen.only else ["torch", "flambeau"]
    with tempfile.TemporaryDirectory() as cache:
        print_imports(names, chosen.runs, cache)
    for case in cases:
        print(f"\n{CASES[case].title}: seconds of steps 1 to 5, and of 20 together")
        for name in names:
            for state, row in zip(("cold", "warm"), first_steps(name, case, chosen.runs)):
                shown = "  ".join(f"{t:7.4f}" for t in (*row[:5], sum(row)))
                print(f"  {name:8} {state}  {shown}", flush=True)


if __name__ == "__main__":
    main()
