"""What a profiler has seen, by PyTorch's names: events, their averages, and the table of them.

Times are in microseconds. The events are labels (`record_function`), batches of a loader, programs
and their kernels: there are no single ops, since several run as one kernel.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

US = 1e6


class Interval:
    """Where an event begins and ends, in microseconds."""

    def __init__(self, start: float, end: float) -> None:
        self.start, self.end = start, end

    def elapsed_us(self) -> float:
        """Its length."""
        return self.end - self.start


class _Times:
    """What events and their averages share: no time is spent on another device."""

    count = 1
    cpu_time_total = 0.0
    self_cpu_time_total = 0.0
    cpu_memory_usage = 0
    self_cpu_memory_usage = 0
    flops: float = 0.0
    device_time = device_time_total = self_device_time_total = 0.0
    device_memory_usage = self_device_memory_usage = 0
    cuda_time = cuda_time_total = self_cuda_time_total = 0.0
    use_device: str | None = None
    is_async = is_remote = is_legacy = False
    overload_name = ""

    @property
    def cpu_time(self) -> float:
        """The mean."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        return format_time(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        return format_time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        return format_time(self.self_cpu_time_total)


class FunctionEvent(_Times):
    """One event of a profile."""

    def __init__(self, name: str, start: float, end: float, thread: int = 0) -> None:
        self.name = name
        self.key = "ProfilerStep*" if name.startswith("ProfilerStep#") else name
        self.time_range = Interval(start, end)
        self.thread = thread
        self.cpu_time_total = self.self_cpu_time_total = end - start
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None
        self.input_shapes: list[list[int]] = []
        self.stack: list[str] = []
        self.is_user_annotation = False

    def __repr__(self) -> str:
        return f"<FunctionEvent name={self.name} cpu_time={self.cpu_time_str} thread={self.thread}>"


class FunctionEventAvg(_Times):
    """All events of one name (and shapes, or stack)."""

    def __init__(self) -> None:
        self.key: str | None = None
        self.count = 0
        self.input_shapes: list[list[int]] = []
        self.stack: list[str] = []

    def add(self, other: Any) -> FunctionEventAvg:
        """Adds an event, or another average."""
        if self.key is None:
            self.key = other.key
            self.input_shapes, self.stack = other.input_shapes, other.stack
        self.count += other.count
        for name in ("cpu_time_total", "self_cpu_time_total", "flops", "cpu_memory_usage",
                     "self_cpu_memory_usage"):  # fmt: skip
            setattr(self, name, getattr(self, name) + getattr(other, name))
        return self

    def __iadd__(self, other: Any) -> FunctionEventAvg:
        return self.add(other)

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str}  self_cuda_time=0.000us cuda_time=0.000us "
            f"input_shapes={self.input_shapes or ''} cpu_memory_usage={self.cpu_memory_usage} "
            f"cuda_memory_usage=0>"
        )


class EventList(list[Any]):
    """Events, or their averages; `table` shows them."""

    def __init__(
        self, events: Iterable[Any] = (), *, memory: bool = False, flops: bool = False,
        shapes: bool = False, stacks: bool = False, trace: Any = None,
    ) -> None:  # fmt: skip
        super().__init__(events)
        self._memory, self._flops, self._shapes, self._stacks = memory, flops, shapes, stacks
        self._trace = trace

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events, each without those inside it."""
        return float(sum(event.self_cpu_time_total for event in self))

    def key_averages(
        self, group_by_input_shapes: bool = False, group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:  # fmt: skip
        """Averages by name, and by shapes or the first lines of the stack where asked for."""
        found: dict[Any, FunctionEventAvg] = defaultdict(FunctionEventAvg)
        for event in self:
            key: list[Any] = [event.key]
            if group_by_input_shapes:
                key.append(str(event.input_shapes))
            if group_by_stack_n:
                key += event.stack[:group_by_stack_n]
            average = found[tuple(key)].add(event)
            if not group_by_input_shapes:
                average.input_shapes = []
            average.stack = event.stack[:group_by_stack_n] if group_by_stack_n else []
        return EventList(
            found.values(), memory=self._memory, flops=self._flops,
            shapes=group_by_input_shapes, stacks=bool(group_by_stack_n), trace=self._trace,
        )  # fmt: skip

    def total_average(self) -> FunctionEventAvg:
        """All events as one."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
            total.key = None
        total.key = "Total"
        return total

    def table(
        self, sort_by: str | None = None, row_limit: int = 100, max_src_column_width: int = 75,
        max_name_column_width: int = 55, max_shapes_column_width: int = 80,
        header: str | None = None, top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:  # fmt: skip
        """The events as a table; the largest of `sort_by` (an attribute's name) first."""
        events: list[Any] = list(self)
        if sort_by is not None:
            name = sort_by.replace("cuda", "device") if "time" in sort_by else sort_by
            events.sort(key=lambda event: getattr(event, name), reverse=True)
        if top_level_events_only:
            events = [e for e in events if getattr(e, "cpu_parent", None) is None]
        events = events[:row_limit] if row_limit >= 0 else events
        columns = self._columns(events, time_unit)
        if self._shapes:
            shapes = [_cut(str(e.input_shapes), max_shapes_column_width) for e in events]
            columns.append(("Input Shapes", shapes))
        if self._stacks:
            stacks = [_cut(e.stack[0] if e.stack else "", max_src_column_width) for e in events]
            columns.append(("Source Location", stacks))
        names = [_cut(event.key, max_name_column_width) for event in events]
        widths = [max([len("Name"), *map(len, names)]) + 4]
        widths += [max([12, *map(len, (title, *cells))]) for title, cells in columns]
        rule = "  ".join("-" * width for width in widths) + "  "
        rows = [["Name", *(title for title, _ in columns)]]
        rows += [[n, *(cells[i] for _, cells in columns)] for i, n in enumerate(names)]
        lines = [
            "  ".join(f"{cell:>{width}}" for cell, width in zip(row, widths)) + "  " for row in rows
        ]
        total = format_time(self.self_cpu_time_total, time_unit)
        head = [] if header is None else ["=" * len(rule), header]
        text = [*head, rule, lines[0], rule, *lines[1:], rule, f"Self CPU time total: {total}", ""]
        return "\n".join(text)

    def _columns(self, events: Sequence[Any], unit: str | None) -> list[tuple[str, list[str]]]:
        total = self.self_cpu_time_total

        def share(value: float) -> str:
            return f"{100.0 * value / total:.2f}%" if total else "NAN"

        columns = [
            ("Self CPU %", [share(e.self_cpu_time_total) for e in events]),
            ("Self CPU", [format_time(e.self_cpu_time_total, unit) for e in events]),
            ("CPU total %", [share(e.cpu_time_total) for e in events]),
            ("CPU total", [format_time(e.cpu_time_total, unit) for e in events]),
            ("CPU time avg", [format_time(e.cpu_time, unit) for e in events]),
        ]
        if self._memory:
            columns.append(("CPU Mem", [format_memory(e.cpu_memory_usage) for e in events]))
            own = [format_memory(e.self_cpu_memory_usage) for e in events]
            columns.append(("Self CPU Mem", own))
        columns.append(("# of Calls", [str(e.count) for e in events]))
        if self._flops:
            columns.append(("Total MFLOPs", [f"{e.flops / 1e6:.3f}" for e in events]))
        return columns

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Writes the trace of the whole profile as JSON."""
        Path(path).write_text(json.dumps(self._trace), "utf-8")

    def export_stacks(
        self, path: str | os.PathLike[str], metric: str = "self_cpu_time_total"
    ) -> None:
        """Writes a line for each stack and its microseconds, as flame graph programs read them."""
        if metric not in self.supported_export_stacks_metrics():
            raise ValueError(
                "metric should be one of: " + str(self.supported_export_stacks_metrics())
            )
        lines = []
        for event in self:
            if event.stack:
                names = ";".join([*reversed(event.stack), event.key]).replace(" ", "_")
                lines.append(f"{names} {int(getattr(event, metric))}")
        Path(path).write_text("\n".join(lines), "utf-8")

    @staticmethod
    def supported_export_stacks_metrics() -> list[str]:
        """The metrics that `export_stacks` knows."""
        return ["self_cpu_time_total", "self_cuda_time_total", "self_xpu_time_total",
                "self_privateuse1_time_total"][:2]  # fmt: skip

    def __str__(self) -> str:
        return self.table()


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."


def format_time(us: float, unit: str | None = None) -> str:
    """Microseconds as PyTorch writes them, in `unit` ("us", "ms", "s") or one that fits."""
    if unit == "s" or (unit is None and us >= US):
        return f"{us / US:.3f}s"
    if unit == "ms" or (unit is None and us >= 1e3):
        return f"{us / 1e3:.3f}ms"
    return f"{us:.3f}us"


def format_memory(nbytes: float) -> str:
    """Bytes as PyTorch writes them."""
    for unit, size in (("GB", 1 << 30), ("MB", 1 << 20), ("KB", 1 << 10)):
        if abs(nbytes) >= size:
            return f"{nbytes / size:.2f} {unit}"
    return f"{int(nbytes)} B"


def nest(events: list[FunctionEvent]) -> list[FunctionEvent]:
    """Finds what lies inside what on each thread, and takes it off the time of the outer event."""
    order = sorted(events, key=lambda e: (e.thread, e.time_range.start, -e.time_range.end))
    stack: list[FunctionEvent] = []
    for event in order:
        while stack and (
            stack[-1].thread != event.thread
            or stack[-1].time_range.end < event.time_range.end - 1e-3
        ):
            stack.pop()
        if stack:
            parent = stack[-1]
            event.cpu_parent = parent
            parent.cpu_children.append(event)
            parent.self_cpu_time_total -= event.cpu_time_total
        stack.append(event)
    for event in reversed(order):
        event.self_cpu_time_total = max(event.self_cpu_time_total, 0.0)
        if event.cpu_parent is not None:
            event.cpu_parent.cpu_memory_usage += event.cpu_memory_usage
    return order
