"""All benches in one table: Flambeau, PyTorch eager, torch.compile and JAX beside each other.

    python bench/suite.py [--parts steps,layers] [--cases layers/lstm] [--quick] [--threads 1]
                          [--jax PYTHON] [--without torch-compile] [--json FILE] [--chart FILE]
                          [--list] [--from FILE,FILE]

Each column is a process of its own; they take turns, a block of steps each, as in steps.py. Printed
are the medians of the times, how many times as fast as PyTorch eager each column is (the median of
the ratios within rounds), and what part of this machine's measured speed Flambeau's step reaches
(machine.py): its float operations a second, and its bytes a second of those that the machine
copies, as counted from its compiled programs (counting.py). A chart of the ratios (a PNG, with
matplotlib) and all figures (JSON) are written where asked.

`--from` measures nothing: it takes the rows of such JSON files (a later one's in the place of an
earlier one's), so that the whole can be measured in portions.

Columns that this machine cannot show are left out, and said so: PyTorch where it is not installed,
torch.compile without a C++ compiler, JAX without `--jax` (a Python that has it; which cases there
are is in jax_steps.py). `--quick` takes a few cases and short blocks, and no torch.compile.
Parts without steps have figures of their own: `startup` (seconds until a first line and step),
`whole` (seconds of whole scripts; needs `--data`), `memory` (MiB at the peak, see peak.py).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import machine
import models
import steps

# The parts whose cases are steps: modules with CASES.
STEPS = {
    "steps": "models",
    "layers": "layers",
    "vision": "vision",
    "long": "long",
    "products": "products",
    "elementwise": "elementwise",
    "scaling": "scaling",
}
OTHERS = ("startup", "whole", "memory")
COLUMNS = ("torch", "torch-compile", "flambeau", "flambeau-compile", "jax")
QUICK = {
    "steps": ("linear", "batchnorm_mlp", "digits_mlp", "digits_cnn"),
    "layers": ("lstm", "transformer"),
    "vision": ("cifar_cnn", "mobilenet"),
    "long": ("lstm_cells",),
    "products": (),
    "elementwise": ("add", "sum", "columns", "transpose", "chain_exp"),
    "scaling": ("batch_1", "width_1024"),
    "memory": ("digits_mlp", "transformer"),
}
EAGER, OURS = "torch", "flambeau"
SHORT = {"torch-compile": "t. compile", "flambeau-compile": "f. compile"}


@dataclass
class Row:
    """A case: a figure for each column, and how often PyTorch eager's is that."""

    name: str
    title: str
    unit: str = "s"
    wanted: float | None = None
    figures: dict[str, float] = field(default_factory=dict)
    ratios: dict[str, float] = field(default_factory=dict)
    failures: dict[str, str] = field(default_factory=dict)
    flops: int = 0
    bytes: int = 0

    def compare(self) -> None:
        """Fills in the ratios from the figures, where no better ones are known."""
        base = self.figures.get(EAGER)
        for column, figure in self.figures.items():
            if base and column != EAGER and figure:
                self.ratios.setdefault(column, base / figure)


def step_cases() -> dict[str, models.Case]:
    """All cases that are steps, as PART/NAME."""
    plain = dict(models.CASES)
    found: dict[str, models.Case] = {}
    for part, name in STEPS.items():
        if importlib.util.find_spec(name) is None:
            continue
        known = plain if name == "models" else importlib.import_module(name).CASES
        found |= {f"{part}/{case}": value for case, value in known.items()}
    return found


class Server(steps.Server):
    """As in steps.py; it also counts what a step of a case asks of the machine."""

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        if not request.get("totals"):
            return super().answer(request)
        from counting import Watch

        step = self.steps[f"{request['case']} {request['compiled']}"]
        with Watch() as watch:
            step()
        flops, moved = watch.totals()
        return {"flops": flops, "bytes": moved}


# ---- columns -------------------------------------------------------------------------------------


def missing(column: str, jax: str | None) -> str:
    """Why a column cannot be shown here; empty where it can."""
    if column.startswith("torch") and importlib.util.find_spec("torch") is None:
        return "PyTorch is not installed"
    if column == "torch-compile" and not any(map(shutil.which, ("g++", "clang++", "c++"))):
        return "there is no C++ compiler"
    if column != "jax":
        return ""
    if jax is None:
        return "no Python with JAX is given (--jax)"
    try:
        subprocess.run([jax, "-c", "import jax"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        return f"{jax} cannot import JAX"
    return ""


class Columns:
    """The processes that measure, and the columns that they fill."""

    def __init__(self, names: list[str], threads: int, jax: str | None) -> None:
        self.processes: dict[str, steps.Framework] = {}
        self.all: dict[str, steps.Column] = {}
        for name in names:
            framework = name.removesuffix("-compile")
            if framework not in self.processes:
                script, python = __file__, sys.executable
                if framework == "jax" and jax is not None:
                    script, python = str(ROOT / "bench" / "jax_steps.py"), jax
                self.processes[framework] = steps.Framework(framework, threads, script, python)
            compiled = name.endswith("-compile")
            self.all[name] = steps.Column(self.processes[framework], compiled)

    def close(self) -> None:
        for process in self.processes.values():
            process.close()

    def measure(self, name: str, case: models.Case, rounds: int, seconds: float) -> Row:
        row = Row(name, case.title, wanted=case.wanted)
        steps.measure(name, list(self.all.values()), rounds, seconds)
        base = self.all.get(EAGER)
        for title, column in self.all.items():
            if column.failure:
                row.failures[title] = column.failure
                continue
            row.figures[title] = statistics.median(column.blocks)
            ratio = None if base is None or column is base else steps.ratio(base, column)
            if ratio is not None:
                row.ratios[title] = ratio
        if OURS in row.figures:
            asked = {"case": name, "compiled": False, "totals": True}
            try:
                counted = self.processes[OURS].ask(asked)
                row.flops, row.bytes = counted["flops"], counted["bytes"]
            except RuntimeError as error:
                row.failures["counting"] = str(error)
        return row


# ---- parts that are no steps ---------------------------------------------------------------------


def startup_rows(chosen: argparse.Namespace, frameworks: list[str]) -> Iterator[Row]:
    import startup

    runs = 2 if chosen.quick else 5

    def row(name: str, title: str, figure: Callable[[str], float]) -> Row:
        found = Row(f"startup/{name}", title, figures={f: figure(f) for f in frameworks})
        found.compare()
        return found

    with tempfile.TemporaryDirectory() as cache:
        yield row(
            "import",
            "import, with numpy",
            lambda f: startup.median(lambda: startup.import_time(f"import {f}", cache), runs),
        )
    for case in ("linear", "digits_cnn"):
        first = {f: startup.first_steps(f, case, runs) for f in frameworks}
        for state, place in (("empty", 0), ("warm", 1)):
            yield row(
                f"{case}_{state}",
                f"first 20 steps of {case}, {state} cache",
                lambda f, first=first, place=place: sum(first[f][place]),  # type: ignore[misc]
            )


def whole_rows(chosen: argparse.Namespace, frameworks: list[str]) -> Iterator[Row]:
    import whole

    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        root = whole.mnist_root(chosen.data, scratch)
        for script in ("mnist_mlp", "mnist_cnn"):
            row = Row(f"whole/{script}", f"{script}.py, a whole process")
            for name in frameworks:
                times = [
                    whole.run(name, script, root, chosen.threads or 1, scratch / "cache")[0]
                    for _ in range(2)
                ]
                row.figures[name] = times[-1]
            row.compare()
            yield row


def memory_rows(chosen: argparse.Namespace, frameworks: list[str]) -> Iterator[Row]:
    import peak

    for case in selected("memory", list(peak.CASES), chosen):
        row = Row(f"memory/{case}", f"peak of {case} above the import", unit="MiB", wanted=1)
        found = peak.measured(case, frameworks, 8, chosen.threads or 1, cold=False)
        row.figures = {name: values[-1] / 2**20 for name, values in found.items()}
        row.compare()
        yield row


# ---- the table -----------------------------------------------------------------------------------


def selected(part: str, names: list[str], chosen: argparse.Namespace) -> list[str]:
    """The cases of a part that the command line asks for."""
    if chosen.cases:
        asked = chosen.cases.split(",")
        return [n for n in names if f"{part}/{n}" in asked]
    if part not in chosen.parts.split(","):
        return []
    return [n for n in names if n in QUICK.get(part, ())] if chosen.quick else names


def spelled(figure: float, unit: str) -> str:
    return steps.micro(figure) if unit == "s" else f"{figure:,.0f} {unit}"


def head(columns: list[str]) -> str:
    line = f"{'':44}"
    for column in columns:
        line += f"{SHORT.get(column, column):>12}{'' if column == EAGER else 'ratio':>6}"
    return line + "   GF/s    %  GB/s    %"


def line(row: Row, columns: list[str], fastest: machine.Machine) -> str:
    text = f"{row.title[:43]:44}"
    for column in columns:
        figure, ratio = row.figures.get(column), row.ratios.get(column)
        text += f"{'-' if figure is None else spelled(figure, row.unit):>12}"
        text += f"{'' if ratio is None else f'{ratio:.2f}':>6}"
    ours = row.figures.get(OURS)
    if row.unit == "s" and ours and row.bytes:
        flops, moved = row.flops / ours, row.bytes / ours
        text += f" {flops / 1e9:6.1f} {flops / fastest.flops:4.0%}"
        text += f" {moved / 1e9:5.1f} {moved / fastest.copied:4.0%}"
    if row.wanted and row.ratios.get(OURS, row.wanted) < row.wanted:
        text += f"  (wanted {row.wanted:g})"
    return text


def write_chart(rows: list[Row], columns: list[str], path: Path) -> None:
    """Bars of the ratios, a group for each case. ImportError without matplotlib."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    shown = [row for row in rows if row.ratios]
    drawn = [c for c in columns if any(c in row.ratios for row in shown)]
    bars: dict[str, list[tuple[int, float]]] = {column: [] for column in drawn}
    middles, place = [], 0
    for row in shown:
        present = [c for c in drawn if c in row.ratios]
        middles.append(place + (len(present) - 1) / 2)
        for column in present:
            bars[column].append((place, row.ratios[column]))
            place += 1
        place += 1
    figure, axes = pyplot.subplots(figsize=(9, 1.5 + 0.08 * place))
    for column, found in bars.items():
        axes.barh([y for y, _ in found], [ratio for _, ratio in found], 0.9, label=column)
    axes.set_ylim(-1, place)
    axes.set_yticks(middles)
    axes.set_yticklabels([row.title for row in shown], fontsize=6)
    axes.invert_yaxis()
    axes.set_xscale("log")
    axes.axvline(1, color="black", linewidth=0.8)
    axes.set_xlabel("times as fast as PyTorch eager (memory: times as little)")
    axes.legend(fontsize=8)
    figure.tight_layout()
    figure.savefig(path, dpi=120)
    pyplot.close(figure)


def all_rows(chosen: argparse.Namespace, columns: list[str]) -> Iterator[Row]:
    """Measures what is asked for, row by row."""
    cases = step_cases()
    names = []
    for part in STEPS:
        known = [n.partition("/")[2] for n in cases if n.startswith(part + "/")]
        names += [f"{part}/{n}" for n in selected(part, known, chosen)]
    if names:
        measuring = Columns(columns, chosen.threads, chosen.jax)
        try:
            for name in names:
                yield measuring.measure(name, cases[name], chosen.rounds, chosen.seconds)
        finally:
            measuring.close()
    frameworks = [c for c in (EAGER, OURS) if c in columns]
    parts = [] if chosen.cases else chosen.parts.split(",")
    if "startup" in parts:
        yield from startup_rows(chosen, frameworks)
    if "whole" in parts and not chosen.quick:
        if chosen.data.exists():
            yield from whole_rows(chosen, frameworks)
        else:
            print(f"left out: whole scripts ({chosen.data} is not there; --data)", flush=True)
    yield from memory_rows(chosen, frameworks)


def options(arguments: list[str] | None = None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--parts", default=",".join([*STEPS, *OTHERS]))
    parser.add_argument("--cases", help="of these parts only, as PART/NAME with commas")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are CPUs")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a block")
    parser.add_argument("--jax", help="a Python that has JAX")
    parser.add_argument("--without", default="", help="columns to leave out, with commas")
    parser.add_argument("--data", type=Path, default=ROOT / "data", help="MNIST, as bench/data.py")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--chart", type=Path)
    parser.add_argument("--from", dest="files", help="rows of earlier runs, JSON files with commas")
    parser.add_argument("--list", action="store_true", help="only say which cases there are")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if unknown := set(chosen.parts.split(",")) - {*STEPS, *OTHERS}:
        parser.error(f"no part {', '.join(sorted(unknown))}")
    if chosen.quick:
        chosen.rounds, chosen.seconds = min(chosen.rounds, 3), min(chosen.seconds, 0.1)
        chosen.without += ",torch-compile"
    return chosen


def run(chosen: argparse.Namespace) -> tuple[machine.Machine, list[str], list[Row]]:
    """Measures and prints; what was measured."""
    columns = []
    for column in COLUMNS:
        if column in chosen.without.split(","):
            continue
        why = missing(column, chosen.jax)
        if why:
            print(f"left out: {column} ({why})", flush=True)
        else:
            columns.append(column)
    fastest = machine.measured(chosen.threads or os.cpu_count() or 1)
    print(fastest, flush=True)
    print(head(columns), flush=True)
    rows = []
    for row in all_rows(chosen, columns):
        rows.append(row)
        print(line(row, columns, fastest), flush=True)
    for row in rows:
        for column, reason in row.failures.items():
            print(f"{row.name}: {column}: {reason.splitlines()[0][:200]}", flush=True)
    return fastest, columns, rows


def earlier(files: str) -> tuple[machine.Machine, list[str], list[Row]]:
    """What `run` gives, of runs whose figures were written."""
    rows: dict[str, Row] = {}
    for name in files.split(","):
        found = json.loads(Path(name).read_text("utf-8"))
        rows |= {row["name"]: Row(**row) for row in found["rows"]}
        fastest = machine.Machine(**found["machine"])
    columns = [c for c in COLUMNS if any(c in row.figures for row in rows.values())]
    ordered = [rows.pop(name) for name in step_cases() if name in rows] + [*rows.values()]
    print("\n".join([head(columns), *[line(row, columns, fastest) for row in ordered]]), flush=True)
    return fastest, columns, ordered


def main() -> None:
    chosen = options()
    if chosen.list:
        print("\n".join(step_cases()))
        return
    if chosen.serve:
        models.CASES.update(step_cases())
        steps.serve(chosen.serve, chosen.threads, Server)
        return
    fastest, columns, rows = earlier(chosen.files) if chosen.files else run(chosen)
    if chosen.json:
        found = {"machine": fastest.as_dict(), "rows": [asdict(row) for row in rows]}
        chosen.json.write_text(json.dumps(found, indent=1) + "\n", "utf-8")
    if chosen.chart:
        try:
            write_chart(rows, columns, chosen.chart)
        except ImportError:
            print("no chart: matplotlib is not installed", flush=True)


if __name__ == "__main__":
    main()
