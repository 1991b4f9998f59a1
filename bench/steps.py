"""Training steps per second, Flambeau against PyTorch, side by side.

    python bench/steps.py [--quick] [--only torch|flambeau] [--cases linear,digits_cnn]
                          [--no-compile] [--torch-compile] [--rounds 7] [--seconds 0.3]
                          [--threads 0]

Each framework lives in its own process and the two take turns: a round is a block of steps in one
while the other waits on a pipe, so that both see the same machine and neither's threads disturb
the other. Printed: the median over rounds of the mean time of a step, and the median over rounds
of the ratio within a round. `compile` is the whole step (zero_grad to update, then .item())
through flambeau.compile, against PyTorch's plain eager step (with --torch-compile also against
torch.compile, which needs a C++ compiler and about half a minute a model).
"""

from __future__ import annotations

import argparse
import importlib
import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

from models import CASES


class Server:
    """The process that measures one framework: builds steps and runs blocks of them on request."""

    def __init__(self, framework: str) -> None:
        self.module = importlib.import_module(framework)
        self.steps: dict[str, Callable[[], float]] = {}

    def prepare(self, case: str, compiled: bool) -> Callable[[], float]:
        self.module.manual_seed(0)
        built = CASES[case].build(self.module)
        if not compiled:
            return built.step
        if hasattr(built, "compiled"):
            made: Callable[[], float] = built.compiled()
            return made
        whole = self.module.compile(built.whole)
        x, y = built.x, built.y

        def step() -> float:
            value: float = whole(x, y).item()
            return value

        return step

    def answer(self, request: dict[str, Any]) -> dict[str, Any]:
        key = f"{request['case']} {request['compiled']}"
        if key not in self.steps:
            self.steps[key] = self.prepare(request["case"], request["compiled"])
        step = self.steps[key]
        count = request["count"]
        began = time.perf_counter()
        for _ in range(count):
            loss = step()
        return {"seconds": (time.perf_counter() - began) / count, "loss": loss}


def serve(framework: str, threads: int = 0, kind: Callable[[str], Server] = Server) -> None:
    server = kind(framework)
    if threads:
        server.module.set_num_threads(threads)
    for line in sys.stdin:
        try:
            answer = server.answer(json.loads(line))
        except Exception as error:
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), flush=True)


class Framework:
    """The other end of the pipe."""

    def __init__(
        self, name: str, threads: int = 0, script: str = __file__, python: str = sys.executable
    ) -> None:
        self.name = name
        self._process = subprocess.Popen(
            [python, script, "--serve", name, "--threads", str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def run(self, case: str, compiled: bool, count: int) -> float:
        """Seconds a step, over `count` steps. RuntimeError with the other side's message."""
        answer = self.ask({"case": case, "compiled": compiled, "count": count})
        return float(answer["seconds"])

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The answer to a request. RuntimeError as `run`."""
        pipe_in, pipe_out = self._process.stdin, self._process.stdout
        assert pipe_in is not None
        assert pipe_out is not None
        print(json.dumps(request), file=pipe_in, flush=True)
        line = pipe_out.readline()
        if not line:
            raise RuntimeError(f"{self.name}: the measuring process ended")
        answer: dict[str, Any] = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.name}: {answer['error']}")
        return answer

    def close(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class Column:
    """One way of running a case: a framework, with or without compile."""

    def __init__(self, framework: Framework, compiled: bool) -> None:
        self.framework = framework
        self.compiled = compiled
        self.title = framework.name + (" compile" if compiled else "")
        self.blocks: list[float] = []
        self.failure = ""
        self.count = 1

    def warm(self, case: str, seconds: float) -> None:
        """Reach the steady state, and find how many steps fill `seconds`."""
        self.blocks = []
        self.failure = ""
        try:
            for count in (1, 5, 20):
                spent = self.framework.run(case, self.compiled, count)
                if count > 1 and spent > 0.1:
                    break
            self.count = max(1 if spent > 0.1 else 3, min(20_000, int(seconds / max(spent, 1e-7))))
        except RuntimeError as error:
            self.failure = str(error)

    def block(self, case: str) -> None:
        if self.failure:
            return
        try:
            self.blocks.append(self.framework.run(case, self.compiled, self.count))
        except RuntimeError as error:
            self.failure = str(error)


def micro(seconds: float) -> str:
    return f"{seconds * 1e6:,.0f} us" if seconds < 0.01 else f"{seconds * 1e3:,.1f} ms"


def measure(case: str, columns: list[Column], rounds: int, seconds: float) -> None:
    for column in columns:
        column.warm(case, seconds)
    for _ in range(rounds):
        for column in columns:
            column.block(case)


def ratio(numerator: Column, denominator: Column) -> float | None:
    """How many times longer `numerator` takes, from pairs of blocks of the same round."""
    pairs = list(zip(numerator.blocks, denominator.blocks))
    if not pairs or numerator.failure or denominator.failure:
        return None
    return statistics.median(a / b for a, b in pairs)


def report(case: str, columns: list[Column]) -> None:
    wanted = CASES[case].wanted
    print(f"\n{CASES[case].title}")
    base = columns[0] if columns[0].framework.name == "torch" else None
    for column in columns:
        if column.failure:
            print(f"  {column.title:18} failed: {column.failure}")
            continue
        line = f"  {column.title:18} {micro(statistics.median(column.blocks)):>12}"
        if base is not None and column is not base and (times := ratio(base, column)) is not None:
            asked = CASES[case].wanted_compiled if column.compiled else wanted
            goal = (
                f" (wanted {asked:g})" if asked and column.framework is not base.framework else ""
            )
            line += f"   {times:6.2f} times as fast as torch{goal}"
        print(line, flush=True)


def options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Training steps, Flambeau against PyTorch.")
    parser.add_argument("--quick", action="store_true", help="3 short rounds")
    parser.add_argument("--only", choices=["torch", "flambeau"])
    parser.add_argument("--cases", default=",".join(CASES), help="comma-separated, of: %(default)s")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=0.3, help="length of a block")
    parser.add_argument("--no-compile", action="store_true")
    parser.add_argument("--torch-compile", action="store_true")
    parser.add_argument("--threads", type=int, default=0, help="0: as many as there are CPUs")
    parser.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.quick:
        chosen.rounds, chosen.seconds = min(chosen.rounds, 3), min(chosen.seconds, 0.1)
    unknown = set(chosen.cases.split(",")) - set(CASES)
    if unknown:
        parser.error(f"no case {', '.join(sorted(unknown))}; there are {', '.join(CASES)}")
    return chosen


def main() -> None:
    chosen = options()
    if chosen.serve:
        serve(chosen.serve, chosen.threads)
        return
    names = [chosen.only] if chosen.only else ["torch", "flambeau"]
    frameworks = [Framework(name, chosen.threads) for name in names]
    columns = [Column(framework, compiled=False) for framework in frameworks]
    for framework in frameworks:
        wanted = chosen.torch_compile if framework.name == "torch" else not chosen.no_compile
        if wanted:
            columns.append(Column(framework, compiled=True))
    try:
        for case in chosen.cases.split(","):
            measure(case, columns, chosen.rounds, chosen.seconds)
            report(case, columns)
    finally:
        for framework in frameworks:
            framework.close()


if __name__ == "__main__":
    main()
