"""Spans in the format of chrome://tracing, which Perfetto reads as well."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from flambeau.explaining.collector import Span
from flambeau.explaining.verdict import WORDS

MAIN = 1


def chrome_trace(
    spans: Sequence[Span], programs: Sequence[dict[str, Any]], threads: Sequence[str]
) -> dict[str, Any]:
    """The trace: a line for each thread; of a program's run, its kernels inside it."""
    pid = os.getpid()
    known = {p["number"]: p for p in programs}
    events: list[dict[str, Any]] = [
        {"ph": "M", "pid": pid, "tid": MAIN + n, "name": "thread_name", "args": {"name": name}}
        for n, name in enumerate(["main", *dict.fromkeys(threads)])
    ]
    for span in spans:
        start, length = span.start * 1e6, (span.stop - span.start) * 1e6
        program = known.get(span.what) if span.kind in ("run", "numpy", "compile") else None
        title = f": {program['title']}" if program else ""
        name = span.name or WORDS.get(span.kind, span.kind) + title
        event = {
            "ph": "X", "pid": pid, "tid": MAIN + span.thread, "ts": start, "dur": length,
            "name": name, "cat": span.kind,
        }  # fmt: skip
        if program:
            event["args"] = {"program": span.what, "modules": program["modules"]}
        events.append(event)
        if program and span.kind == "run":
            events += _kernels(program, start, length, pid, MAIN + span.thread)
    return {"traceEvents": events, "displayTimeUnit": "ms"}


def _kernels(
    program: dict[str, Any], start: float, length: float, pid: int, tid: int
) -> list[dict[str, Any]]:
    """The kernels of a run, at their usual shares of its time."""
    whole = sum(s["seconds"] for s in program["steps"])
    found: list[dict[str, Any]] = []
    at = start
    for step in program["steps"]:
        part = length * step["seconds"] / whole if whole else 0.0
        args = {key: step[key] for key in ("module", "place", "flops", "bytes", "label")}
        found.append(
            {"ph": "X", "pid": pid, "tid": tid, "ts": at, "dur": part, "name": step["title"],
             "cat": "kernel", "args": args}
        )  # fmt: skip
        at += part
    return found
