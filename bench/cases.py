"""What layers.py, long.py and vision.py have in common: measuring their cases as steps.py does."""

from __future__ import annotations

import argparse
import importlib
from collections.abc import Callable, Mapping
from typing import Any

import models
import steps


def parser(
    description: str, cases: Mapping[str, Any], rounds: int, seconds: float
) -> argparse.ArgumentParser:
    """The options that all of them take."""
    found = argparse.ArgumentParser(description=description)
    listed = ", ".join(cases).replace("%", "%%")
    found.add_argument("--cases", default="", help=f"some (a,b,..) of: {listed}")
    found.add_argument("--rounds", type=int, default=rounds)
    found.add_argument("--seconds", type=float, default=seconds, help="length of a block")
    found.add_argument("--losses", type=int, default=0, help="compare so many losses")
    found.add_argument("--threads", type=int, default=0, help="0: as many as there are CPUs")
    found.add_argument("--serve", help=argparse.SUPPRESS)
    return found


def losses(build: Callable[[Any], Any], case: str, count: int) -> None:
    """Prints how far apart what `count` steps from the same seed return is."""
    curves = []
    for name in ("torch", "flambeau"):
        module = importlib.import_module(name)
        module.manual_seed(0)
        step = build(module).step
        curves.append([step() for _ in range(count)])
    apart = max(abs(a - b) / max(abs(a), 1e-3) for a, b in zip(*curves))
    ends = f"{curves[0][-1]:.6f} {curves[1][-1]:.6f}"
    print(f"{case}: {count} losses, at most {apart:.1e} apart (relative); last {ends}", flush=True)


def run(
    cases: Mapping[str, models.Case],
    script: str,
    options: argparse.ArgumentParser,
    instead: Callable[[argparse.Namespace, list[str]], bool] = lambda chosen, names: False,
) -> None:
    """Does what the command line of `script` asks for; nothing more where `instead` has done it."""
    chosen = options.parse_args()
    models.CASES.update(cases)  # the server in steps.py builds what models.py lists
    if chosen.serve:
        steps.serve(chosen.serve, chosen.threads)
        return
    names = chosen.cases.split(",") if chosen.cases else list(cases)  # (names may have commas)
    if unknown := set(names) - set(cases):
        options.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(cases)}")
    for name in names if chosen.losses else ():
        losses(cases[name].build, name, chosen.losses)
    if instead(chosen, names):
        return
    frameworks = [steps.Framework(name, chosen.threads, script) for name in ("torch", "flambeau")]
    columns = [steps.Column(framework, compiled=False) for framework in frameworks]
    if getattr(chosen, "compile", False):
        columns.append(steps.Column(frameworks[1], compiled=True))
    try:
        for name in names:
            steps.measure(name, columns, chosen.rounds, chosen.seconds)
            steps.report(name, columns)
    finally:
        for framework in frameworks:
            framework.close()
