"""A collector for `torch.profiler`: labels beside what `explain` notes, and all as events."""

from __future__ import annotations

import os
import time
from time import perf_counter
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau.explaining.collector import Collector, Seen, Span
from flambeau.explaining.profiled import US, EventList, FunctionEvent, nest
from flambeau.explaining.reasons import shown
from flambeau.record.observing import WATCH
from flambeau.record.recorder import LOCAL, flush

if TYPE_CHECKING:
    from flambeau.explaining.programs import Parts, Step

LOADER = "enumerate(DataLoader)"
NAMES = {"compile": "compile", "data": LOADER}


def settle() -> None:
    """Runs what was recorded, its last result too where nobody holds that any more: a model that
    is called to be profiled computes.
    """
    last = LOCAL.rec.handles[-1:]
    flush()
    del last


class Asked(NamedTuple):
    """What a profile is to contain."""

    shapes: bool = False
    memory: bool = False
    stack: bool = False
    flops: bool = False


class Profiling(Collector):
    """Notes what runs between `begin` and `end`."""

    def __init__(self) -> None:
        super().__init__(stacks=False)
        self.labels: list[tuple[str, float, float]] = []
        self.wall = time.time()

    def begin(self) -> None:
        """Takes the place of the observer. RuntimeError where a profiler is at work."""
        flush()  # what was recorded before is no part of it
        if isinstance(WATCH.observer, Profiling):
            raise RuntimeError("Profiler is already enabled on this thread")
        self.outer = WATCH.observer
        WATCH.observer = self
        self.start()

    def end(self) -> None:
        """Runs what was recorded, and gives the place back."""
        try:
            settle()
        finally:
            if WATCH.observer is self:
                WATCH.observer = self.outer
            self.stop()

    def label(self, name: str, start: float) -> None:
        """A label that ends now; `start` by perf_counter."""
        self.labels.append((name, start - self.began, self.now))

    def events(self, asked: Asked) -> EventList:
        """All events, outer ones before inner ones."""
        from flambeau.explaining.machine import Machine
        from flambeau.explaining.programs import parts_of

        # Nothing is said of peaks: what the machine can do is not measured for a profile.
        able = Machine(1.0, 1.0, 1.0, 1, "")
        programs = {s.number: s for s in self.programs()}
        parts = {number: parts_of(seen, able) for number, seen in programs.items()}
        titles = {n: _title(programs[n], p) for n, p in parts.items()}
        found = []
        for name, start, stop in self.labels:
            event = FunctionEvent(name, start * US, stop * US)
            event.is_user_annotation = True
            found.append(event)
        for span in self.spans:
            if span.kind in NAMES:
                found.append(_event(NAMES[span.kind], span))
            elif span.kind in ("run", "numpy"):
                seen = programs.get(span.what)
                event = _event(titles.get(span.what, "a program"), span)
                found.append(event)
                if seen is not None:
                    _describe(event, seen, asked)
                    if span.kind == "run" and not span.thread:
                        found += _kernels(event, parts[span.what], asked)
        nested = nest(found)
        return EventList(nested, memory=asked.memory, flops=asked.flops, trace=self.trace(nested))

    def trace(self, events: list[FunctionEvent]) -> dict[str, Any]:
        """The events for chrome://tracing."""
        pid, base = os.getpid(), self.wall * US
        listed: list[dict[str, Any]] = [
            {"ph": "M", "name": "process_name", "ts": base, "pid": pid, "tid": 0,
             "args": {"name": "python"}}
        ]  # fmt: skip
        for event in events:
            args: dict[str, Any] = {}
            if event.input_shapes:
                args["Input Dims"] = event.input_shapes
            if event.stack:
                args["Call stack"] = "; ".join(event.stack)
            category = "user_annotation" if event.is_user_annotation else "cpu_op"
            listed.append(
                {"ph": "X", "cat": category, "name": event.name, "pid": pid,
                 "tid": pid + event.thread, "ts": base + event.time_range.start,
                 "dur": event.cpu_time_total, "args": args}
            )  # fmt: skip
        return {"schemaVersion": 1, "displayTimeUnit": "ms", "traceEvents": listed,
                "traceName": ""}  # fmt: skip


def _event(name: str, span: Span) -> FunctionEvent:
    return FunctionEvent(name, span.start * US, span.stop * US, span.thread)


def _title(seen: Seen, parts: Parts) -> str:
    """A program's name: its longest kernels."""
    if not parts.steps:
        return f"program {seen.number}"
    longest = max(parts.steps, key=lambda s: s.seconds)
    return f"program {seen.number} ({longest.title}, ...)"


def _describe(event: FunctionEvent, seen: Seen, asked: Asked) -> None:
    if asked.shapes:
        event.input_shapes = [list(b.shape) for b in seen.bases]
    if asked.memory and seen.plan is not None:
        event.cpu_memory_usage = event.self_cpu_memory_usage = seen.plan.results.nbytes


def _kernels(run: FunctionEvent, parts: Parts, asked: Asked) -> list[FunctionEvent]:
    """The kernels of a run, at their usual shares of its time."""
    whole = sum(step.seconds for step in parts.steps)
    at, found = run.time_range.start, []
    for step in parts.steps:
        length = run.cpu_time_total * step.seconds / whole if whole else 0.0
        event = FunctionEvent(step.title, at, at + length)
        at += length
        event.flops = step.flops if asked.flops else 0.0
        if asked.stack:
            event.stack = _stack(step)
        found.append(event)
    return found


def _stack(step: Step) -> list[str]:
    return [text for text in (shown(step.place), step.module) if text]


class Label:
    """The state of a `record_function` that is open: when it began, and for whom."""

    __slots__ = ("name", "observer", "start")

    def __init__(self, name: str) -> None:
        self.name = name
        self.observer = WATCH.observer if isinstance(WATCH.observer, Profiling) else None
        if self.observer is not None:
            flush()  # what was recorded before the label is none of its
        self.start = perf_counter()

    def end(self) -> None:
        """Notes the label, with what was recorded inside it."""
        observer = self.observer
        if observer is not None and WATCH.observer is observer:
            settle()
            observer.label(self.name, self.start)
