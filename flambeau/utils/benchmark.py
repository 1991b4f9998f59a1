"""torch.utils.benchmark: how long statements take.

A result that nobody uses is never computed here, so the value of the statement's last expression is
asked for in every run.
"""

from __future__ import annotations

import ast
import textwrap
import timeit
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.record import recorder
from flambeau.tensor.tensor import Tensor

__all__ = ["Compare", "Measurement", "Timer", "timer"]

_UNITS = ((1e-9, "ns", "nanoseconds"), (1e-6, "us", "microseconds"), (1e-3, "ms", "milliseconds"),
          (1.0, "s", "seconds"))  # fmt: skip


def timer() -> float:
    """The time in seconds, when all that was recorded has run."""
    recorder.flush()
    return timeit.default_timer()


def _unit_of(seconds: float) -> tuple[float, str, str]:
    return next((u for u in reversed(_UNITS) if seconds >= u[0]), _UNITS[0])


def _compute(value: Any) -> None:
    """Makes sure that tensors are computed."""
    if isinstance(value, Tensor):
        value._settled()
    elif isinstance(value, (list, tuple)):
        for part in value:
            _compute(part)


def _asking(stmt: str) -> str:
    """The statement with its last expression computed."""
    tree = ast.parse(textwrap.dedent(stmt))
    if tree.body and isinstance(tree.body[-1], ast.Expr):
        call = ast.Call(ast.Name("_compute", ast.Load()), [tree.body[-1].value], [])
        tree.body[-1] = ast.Expr(call)
    return ast.unparse(ast.fix_missing_locations(tree)) or "pass"


class Measurement:
    """Times of a statement: `times` are seconds for one run of it, one per measurement."""

    def __init__(
        self, number_per_run: int, raw_times: Sequence[float], label: str | None = None,
        sub_label: str | None = None, description: str | None = None, env: str | None = None,
        num_threads: int = 1, stmt: str = "", setup: str = "pass",
    ) -> None:  # fmt: skip
        self.number_per_run, self.raw_times = number_per_run, list(raw_times)
        self.label, self.sub_label, self.description = label, sub_label, description
        self.env, self.num_threads, self.stmt, self.setup = env, num_threads, stmt, setup

    @property
    def times(self) -> list[float]:
        """Seconds for one run, per measurement."""
        return [t / self.number_per_run for t in self.raw_times]

    @property
    def median(self) -> float:
        """The median of the times, in seconds."""
        return float(np.median(self.times))

    @property
    def mean(self) -> float:
        """The mean of the times, in seconds."""
        return float(np.mean(self.times))

    @property
    def iqr(self) -> float:
        """The distance between the quartiles of the times."""
        low, high = np.percentile(self.times, (25, 75))
        return float(high - low)

    @property
    def has_warnings(self) -> bool:
        """Whether the times spread so much that they say little."""
        return not self.meets_confidence()

    def meets_confidence(self, threshold: float = 0.1) -> bool:
        """Whether the quartiles lie within a share of the median."""
        return self.iqr / self.median < threshold

    @property
    def title(self) -> str:
        """The label and sub-label, or the statement."""
        parts = [self.label, self.sub_label]
        return ": ".join(p for p in parts if p) or self.stmt

    @property
    def as_row_name(self) -> str:
        """What its row is called in a comparison."""
        return self.sub_label or self.stmt or "[Unknown]"

    @staticmethod
    def merge(measurements: Any) -> list[Measurement]:
        """Measurements of the same things joined."""
        groups: dict[Any, list[Measurement]] = {}
        for m in measurements:
            key = (m.label, m.sub_label, m.description, m.env, m.num_threads, m.stmt, m.setup)
            groups.setdefault(key, []).append(m)
        merged = []
        for (label, sub_label, description, env, threads, stmt, setup), members in groups.items():
            times = [t for m in members for t in m.times]
            merged.append(
                Measurement(1, times, label, sub_label, description, env, threads, stmt, setup)
            )
        return merged

    def __repr__(self) -> str:
        scale, unit, _ = _unit_of(self.median)
        lines = [f"<{type(self).__module__}.{type(self).__name__} object>", self.title]
        lines += [self.description] if self.description else []
        lines += [f"setup: {self.setup}"] if self.setup not in ("", "pass") else []
        runs, count = self.number_per_run, len(self.raw_times)
        if count > 1:
            lines.append(f"  Median: {self.median / scale:.2f} {unit}")
            lines.append(f"  IQR:    {self.iqr / scale:.2f} {unit}")
        else:
            lines.append(f"  {self.median / scale:.2f} {unit}")
        several = "s" if count > 1 else ""
        threads = f"{self.num_threads} thread{'s' if self.num_threads > 1 else ''}"
        each = "per measurement" if several else ""
        lines.append(f"  {count} measurement{several}, {runs} runs {each}, {threads}")
        return "\n".join(lines)


class Timer:
    """Times a statement, after the code in `setup` has run. NotImplementedError for C++."""

    def __init__(
        self, stmt: str = "pass", setup: str = "pass", global_setup: str = "",
        timer: Callable[[], float] = timer, globals: dict[str, Any] | None = None,
        label: str | None = None, sub_label: str | None = None, description: str | None = None,
        env: str | None = None, num_threads: int = 1, language: Any = "python",
    ) -> None:  # fmt: skip
        if global_setup or str(language).lower() not in ("python", "py"):
            raise NotImplementedError("benchmark.Timer: only statements in Python are timed")
        names = {"_compute": _compute, **(globals or {})}
        names.setdefault("torch", recorder_root())
        self._named: dict[str, Any] = {
            "label": label, "sub_label": sub_label, "description": description, "env": env,
            "num_threads": num_threads, "stmt": stmt, "setup": setup,
        }  # fmt: skip
        setup = textwrap.dedent(setup).strip() or "pass"
        self._timer = timeit.Timer(_asking(stmt), setup, timer, names)

    def _measured(self, number: int, times: list[float]) -> Measurement:
        return Measurement(number, times, **self._named)

    def _time(self, number: int) -> float:
        from flambeau.execute.cpu import pool

        before = pool.get_num_threads()
        pool.set_num_threads(self._named["num_threads"])
        try:
            return max(self._timer.timeit(number), 1e-9)
        finally:
            pool.set_num_threads(before)

    def timeit(self, number: int = 1000000) -> Measurement:
        """One measurement of `number` runs, after some to warm up."""
        self._time(max(number // 100, 2))
        return self._measured(number, [self._time(number)])

    def repeat(self, repeat: int = -1, number: int = -1) -> None:
        """NotImplementedError, as in PyTorch."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def autorange(self, callback: Callable[[int, float], Any] | None = None) -> None:
        """NotImplementedError, as in PyTorch."""
        raise NotImplementedError("See `Timer.blocked_autorange.`")

    def _block_size(self, least: float) -> int:
        number = 1
        while True:
            taken = self._time(number)
            if taken >= min(least, 1e-2) or number >= 10**8:
                return number
            number *= 10

    def blocked_autorange(
        self, callback: Callable[[int, float], Any] | None = None, min_run_time: float = 0.2
    ) -> Measurement:
        """Measurements of blocks of runs, for min_run_time seconds in all."""
        times: list[float] = []
        number = self._block_size(min_run_time / 20)
        while sum(times) < min_run_time:
            times.append(self._time(number))
            if callback is not None:
                callback(number, times[-1])
        return self._measured(number, times)

    def adaptive_autorange(
        self, threshold: float = 0.1, *, min_run_time: float = 0.01, max_run_time: float = 10.0,
        callback: Callable[[int, float], Any] | None = None,
    ) -> Measurement:  # fmt: skip
        """Measurements until their quartiles are close, for max_run_time seconds at most."""
        times: list[float] = []
        number = self._block_size(0.005)
        while True:
            times.append(self._time(number))
            if callback is not None:
                callback(number, times[-1])
            found = self._measured(number, times)
            enough = len(times) > 3 and sum(times) > min_run_time
            if (enough and found.meets_confidence(threshold)) or sum(times) > max_run_time:
                return found

    def collect_callgrind(self, *_: Any, **__: Any) -> Any:
        """NotImplementedError: instructions are not counted."""
        raise NotImplementedError("benchmark.Timer.collect_callgrind is not supported")


def recorder_root() -> Any:
    """The package, which statements call torch."""
    import sys

    return sys.modules[__name__.partition(".")[0]]


class Compare:
    """Prints measurements as a table: a row per sub-label, a column per description."""

    def __init__(self, results: list[Measurement]) -> None:
        self._results: list[Measurement] = []
        self.extend_results(results)

    def extend_results(self, results: Any) -> None:
        """Adds measurements. ValueError for other things."""
        for result in results:
            if not isinstance(result, Measurement):
                raise ValueError(
                    f"Expected an instance of `Measurement`, got {type(result)} instead."
                )
        self._results.extend(results)

    def trim_significant_figures(self) -> None:
        """Accepted: three figures are printed."""

    def colorize(self, rowwise: bool = False) -> None:
        """Accepted: the table is plain text."""

    def highlight_warnings(self) -> None:
        """Accepted: the table is plain text."""

    def print(self) -> None:
        """Prints the table."""
        print(str(self))

    def __str__(self) -> str:
        merged = Measurement.merge(self._results)
        labels = list(dict.fromkeys(m.label for m in merged))
        groups = [(label, [m for m in merged if m.label == label]) for label in labels]
        return "\n".join(self._table(label, members) for label, members in groups)

    def _table(self, label: str | None, measurements: list[Measurement]) -> str:
        columns = list(dict.fromkeys(m.description or "" for m in measurements))
        scale, _, unit = _unit_of(min(m.median for m in measurements))
        lines = []
        for threads in dict.fromkeys(m.num_threads for m in measurements):
            own = [m for m in measurements if m.num_threads == threads]
            lines.append([f"{threads} threads:", *[""] * len(columns)])
            for name in dict.fromkeys(m.as_row_name for m in own):
                row = [m for m in own if m.as_row_name == name]
                cells = {m.description or "": f"{m.median / scale:.1f}" for m in row}
                lines.append([f"  {name}", *(cells.get(column, "") for column in columns)])
        rows = [["", *columns], *lines]
        widths = [max(len(row[i]) for row in rows) for i in range(len(columns) + 1)]
        shown = [
            "  |  ".join([row[0].ljust(widths[0]), *map(str.rjust, row[1:], widths[1:])])
            for row in rows
        ]
        title = f" {label} ".center(max(map(len, shown)) - 2, "-")
        head = [f"[{title}]"] if label else []
        return "\n".join([*head, *shown, "", f"Times are in {unit}."])
