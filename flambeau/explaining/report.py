"""What was collected, worked up: plain dictionaries and lists, as they stand in the JSON file.

All times are in seconds, memory in bytes.
"""

from __future__ import annotations

import base64
import zlib
from collections import Counter
from time import perf_counter
from typing import Any

from flambeau.execute.cpu.target import KernelCompileError, Target, assembly
from flambeau.explaining.collector import KINDS, TOGETHER, Collector, Seen, Span
from flambeau.explaining.machine import Machine, machine
from flambeau.explaining.programs import Parts, parts_of
from flambeau.explaining.reasons import Reason, reasons, shown, shown_file
from flambeau.explaining.sampling import Function
from flambeau.explaining.verdict import verdict
from flambeau.record.plan import Plan
from flambeau.record.watching import recorded
from flambeau.version import FLAMBEAU_VERSION

Data = dict[str, Any]

# Programs that are shown kernel by kernel: so many, beyond a few only with a share of the time.
DETAILED, ALWAYS_DETAILED, DETAILED_SHARE = 16, 6, 2e-3
MOST_SHOWN = 300  # programs in the table
MOST_CODE, CODE_BYTES, CODE_SECONDS = 60, 1_100_000, 6.0
MOST_FUNCTIONS = 40
MOST_IN_STEP = 1_500
ENTERING = ("enter_all", "enter", "alias", "an op")


def build(collector: Collector, script: str = "") -> Data:
    """The report of a collector that has stopped."""
    able = machine()
    wall = collector.ended - collector.began
    programs = collector.programs()
    why = reasons(collector.misses)
    shown_programs, code = _programs(collector, programs, able, why)
    report: Data = {
        "format": 1,
        "script": script,
        "flambeau": FLAMBEAU_VERSION,
        "seconds": wall,
        "start": max(collector.started_work - collector.began, 0.0)
        if collector.started_work
        else wall,
        "machine": {**able._asdict(), "description": Target.host().description},
        "kinds": dict(collector.seconds),
        "bins": {
            "width": collector.bins.width,
            "kinds": {k: _rounded(v) for k, v in collector.bins.kinds.items()},
            "memory": collector.bins.memory,
        },
        "step": _typical_step(collector),
        "programs": shown_programs,
        "more_programs": max(len(programs) - MOST_SHOWN, 0) + collector.other_programs,
        "kernels": _kernels(shown_programs),
        "data": _data(collector),
        "python": _python(collector),
        "reasons": [_reason(r) for r in why],
        "new_recordings": collector.new_recordings,
        "memory": _memory(collector, shown_programs),
        "dropped": collector.dropped,
        "code": code,
    }
    report["verdict"] = verdict(report)
    return report


def _rounded(values: list[float]) -> list[float]:
    return [round(v, 6) for v in values]


# ---- programs -----------------------------------------------------------------------------------


def _programs(
    collector: Collector, programs: list[Seen], able: Machine, why: list[Reason]
) -> tuple[list[Data], list[Data]]:
    total = collector.ended - collector.began
    found = []
    texts: dict[str, float] = {}
    detailed = 0
    for seen in programs[:MOST_SHOWN]:
        worth = detailed < ALWAYS_DETAILED or seen.seconds > DETAILED_SHARE * total
        if seen.native is not None and worth and detailed < DETAILED:
            detailed += 1
            parts = parts_of(seen, able)
        else:
            parts = Parts([])
        found.append(_program(seen, parts, why))
        whole = sum(s.seconds for s in parts.steps) or 1.0
        for step in parts.steps:
            if step.text:
                share = seen.seconds * step.seconds / whole
                texts[step.text] = texts.get(step.text, 0.0) + share
    numbers, code = _code(texts)
    for entry in found:
        for step_data in entry["steps"]:
            step_data["code"] = numbers.get(step_data.pop("text"), -1)
    return found, code


def _program(seen: Seen, parts: Parts, why: list[Reason]) -> Data:
    program = seen.native.program if seen.native is not None else None
    if seen.plan is not None:
        program = seen.plan.program
    names = _recorded_names(seen)
    modules = [m for m in dict.fromkeys(place.module for _, place in names if place) if m]
    place = next((place for _, place in names if place), None)
    why_new = [r.text for r in why if seen.number in r.programs]
    native = seen.native
    results = [] if program is None else program.results
    return {
        "number": seen.number,
        "title": _title(names),
        "modules": modules,
        "place": shown(place),
        "runs": seen.runs,
        "compiled_runs": seen.compiled_runs,
        "numpy_runs": seen.numpy_runs,
        "seconds": seen.seconds,
        "numpy_seconds": seen.numpy_seconds,
        "compile_seconds": seen.compile_seconds,
        "from_disk": native is not None and not native.compiled.timings,
        "loading": seen.loading,
        "first": seen.first,
        "sampled": len(seen.samples),
        "why": why_new,
        "bases": [[b.what, b.nbytes, b.storage] for b in seen.bases],
        "results": [[f"{v.dtype.name}{list(v.shape)}", v.size * v.dtype.itemsize] for v in results],
        "arena": native.arena_bytes if native is not None else 0,
        "live": parts.live,
        "holders": [list(h) for h in parts.holders],
        "steps": [_step(s) for s in parts.steps],
    }


def _step(step: Any) -> Data:
    return {
        "label": step.label,
        "title": step.title,
        "module": step.module,
        "modules": step.modules,
        "place": shown(step.place),
        "seconds": step.seconds,
        "tasks": step.tasks,
        "parallel": step.parallel,
        "flops": step.flops,
        "bytes": step.nbytes,
        "fraction": round(step.fraction, 4),
        "bound": step.bound,
        "reads": step.reads,
        "operands": step.operands,
        "text": step.text,
    }


def _recorded_names(seen: Seen) -> list[tuple[str, Any]]:
    """The ops of a program in the order of recording, with their places."""
    plan: Plan | None = seen.plan
    if plan is None or seen.state is None or seen.state.trace is None:
        return []
    found = []
    for v in plan.program.nodes():
        if v.inputs:
            found.append(recorded(v, seen.state))
    return [(n, place) for n, place in dict.fromkeys(found) if n not in ENTERING]


def _title(names: list[tuple[str, Any]]) -> str:
    """What a program is, in a few words."""
    forward = [n for n, _ in names if not n.startswith("the backward of")]
    ops = list(dict.fromkeys(n for n in forward if n not in ("optimizer_step", "backward")))
    parts = []
    if ops:
        parts.append(", ".join(ops[:4]) + (f" and {len(ops) - 4} more ops" if len(ops) > 4 else ""))
    if len(forward) < len(names):
        parts.append("backward")
    if "optimizer_step" in forward:
        parts.append("update")
    return " · ".join(parts) or "no ops"


def _kernels(programs: list[Data]) -> list[Data]:
    """All kernels by the time they have taken: (program, step) and its part of the program's."""
    found = []
    for place, program in enumerate(programs):
        whole = sum(s["seconds"] for s in program["steps"])
        for number, step in enumerate(program["steps"]):
            seconds = program["seconds"] * step["seconds"] / whole if whole else 0.0
            found.append({"program": place, "step": number, "seconds": seconds})
    found.sort(key=lambda k: -k["seconds"])
    return found[:400]


def _code(texts: dict[str, float]) -> tuple[dict[str, int], list[Data]]:
    """LLVM text and assembly of the kernels that take longest, packed."""
    numbers: dict[str, int] = {}
    code: list[Data] = []
    size, start = 0, perf_counter()
    for text in sorted(texts, key=lambda t: -texts[t])[:MOST_CODE]:
        entry: Data = {"ir": packed(text), "ir_lines": text.count("\n") + 1}
        if perf_counter() - start < CODE_SECONDS:
            try:
                machine_code = assembly(text, Target.host())
                entry |= {"asm": packed(machine_code), "asm_lines": machine_code.count("\n") + 1}
            except KernelCompileError:  # it ran: this would be a defect of the listing alone
                pass
        size += sum(len(v) for v in entry.values() if isinstance(v, str))
        if size > CODE_BYTES:
            break
        numbers[text] = len(code)
        code.append(entry)
    return numbers, code


def packed(text: str) -> str:
    """Text as base64 of raw deflate: what a browser unpacks without help."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return base64.b64encode(packer.compress(text.encode()) + packer.flush()).decode("ascii")


def unpacked(text: str) -> str:
    return zlib.decompress(base64.b64decode(text), -15).decode()


# ---- data, Python, memory ------------------------------------------------------------------------


def _functions(found: dict[Function, list[float]], scale: float, samples: int) -> list[Data]:
    order = sorted(found.items(), key=lambda item: -item[1][1])
    return [
        {
            "name": name,
            "place": f"{shown_file(file)}:{line}" if file else "",
            "own": own * scale,
            "whole": whole * scale,
            "per_sample": whole * scale / samples if samples else None,
        }
        for (file, line, name), (own, whole) in order[:MOST_FUNCTIONS]
        if whole > 0
    ]


def _data(collector: Collector) -> Data:
    sampler = collector.stacks
    samples = sum(b.samples for b in collector.batches.values())
    seconds = collector.seconds["data"]
    elsewhere = sum(b.elsewhere for b in collector.batches.values())
    functions: list[Data] = []
    workers: list[Data] = []
    if sampler is not None:
        functions = _functions(
            sampler.functions["data"], seconds / (sampler.total["data"] or 1.0), samples
        )
        workers = _functions(
            sampler.workers, elsewhere / (sampler.total["workers"] or 1.0), samples
        )
    return {
        "seconds": seconds,
        "batches": collector.steps,
        "elsewhere": elsewhere,
        "sources": [
            {"name": name, "batches": b.count, "samples": b.samples, "seconds": b.seconds,
             "elsewhere": b.elsewhere}
            for name, b in collector.batches.items()
        ],
        "functions": functions,
        "workers": workers,
        "looks": 0 if sampler is None else sampler.looks,
    }  # fmt: skip


def _python(collector: Collector) -> Data:
    sampler = collector.stacks
    seconds = collector.seconds["python"]
    if sampler is None or not sampler.total["python"]:
        return {"functions": [], "lines": []}
    scale = seconds / sampler.total["python"]
    lines = sorted(sampler.lines["python"].items(), key=lambda item: -item[1])[:MOST_FUNCTIONS]
    return {
        "functions": _functions(sampler.functions["python"], scale, 0),
        "lines": [
            {"place": f"{shown_file(file)}:{line}", "own": own * scale}
            for (file, line), own in lines
        ],
    }


def _reason(reason: Reason) -> Data:
    return {
        "text": reason.text,
        "kind": reason.kind,
        "more": reason.more,
        "place": reason.place,
        "count": reason.count,
        "events": reason.events,
        "seconds": reason.recording,
        "first": reason.first,
        "programs": list(reason.programs),
    }


def _memory(collector: Collector, programs: list[Data]) -> Data:
    """The peak, and the largest holders: what programs read and write, their intermediates."""
    storages: dict[int, tuple[str, int]] = {}
    holders = Counter[str]()
    sizes: dict[str, int] = {}
    for program in programs:
        for what, nbytes, storage in program["bases"]:
            storages[storage] = (what, nbytes)
        for what, nbytes in program["results"]:
            key = f"result {what} of program {program['number']}"
            holders[key] += 1
            sizes[key] = nbytes
    for what, nbytes in storages.values():
        holders[what] += 1
        sizes[what] = nbytes
    found: list[tuple[str, int, int]] = [
        (what, count, sizes[what] * count) for what, count in holders.items()
    ]
    arena = max((p["arena"] for p in programs), default=0)
    if arena:
        found.append(("intermediates, shared by all programs", 1, arena))
    found.sort(key=lambda entry: -entry[2])
    return {"peak": max(collector.bins.memory), "holders": [list(entry) for entry in found[:30]]}


# ---- the typical step ---------------------------------------------------------------------------


def _typical_step(collector: Collector) -> Data | None:
    """The step of middle length among those of the commonest kind, span by span."""
    spans = [s for s in collector.spans if s.thread == 0]
    edges = [s.start for s in spans if s.kind == "data"]
    by = "a batch is loaded"
    if len(edges) < 4:
        edges, by = _edges_by_program(spans), "its program has run"
    if len(edges) < 4:
        return None
    steps: list[list[Span]] = [[] for _ in edges]
    at = -1
    for span in spans:
        while at + 1 < len(edges) and span.start >= edges[at + 1]:
            at += 1
        if at >= 0:
            steps[at].append(span)
    steps = steps[: len(edges) - 1][len(edges) // 4 :]  # the last one may not be whole
    kinds = Counter(s for step in steps if (s := _signature(step)))
    if not kinds:
        return None
    common = kinds.most_common(1)[0][0]
    alike = sorted((s for s in steps if _signature(s) == common and s), key=_length)
    if not alike:
        return None
    chosen = alike[len(alike) // 2]
    start = chosen[0].start
    seconds = dict.fromkeys(KINDS, 0.0)
    for span in chosen:
        seconds[span.kind] += span.stop - span.start
    lanes = [
        s for s in collector.spans
        if s.thread and s.stop > start and s.start < chosen[-1].stop
    ]  # fmt: skip
    return {
        "steps": len(edges),
        "alike": len(alike),
        "begins": by,
        "at": start,
        "seconds": _length(chosen),
        "shortest": _length(alike[0]),
        "longest": _length(alike[-1]),
        "kinds": seconds,
        "spans": [
            [s.start - start, s.stop - start, s.kind, s.what, s.thread]
            for s in (chosen + lanes)[:MOST_IN_STEP]
        ],
    }


def _edges_by_program(spans: list[Span]) -> list[float]:
    """Where the program that runs most often (of those the one that takes longest) has ended."""
    counts = Counter(s.what for s in spans if s.kind in ("run", "numpy"))
    if not counts:
        return []
    most = max(counts.values())
    long = Counter[int]()
    for s in spans:
        if s.kind in ("run", "numpy") and counts[s.what] > 0.8 * most:
            long[s.what] += int((s.stop - s.start) * 1e9)
    which = max(long, key=lambda number: long[number])
    return [s.stop for s in spans if s.kind in ("run", "numpy") and s.what == which]


def _signature(step: list[Span]) -> tuple[int, ...]:
    """The programs that a step runs; steps of which only the sums are known are no steps."""
    found = tuple(s.what for s in step if s.kind in ("run", "numpy"))
    return () if any(s.what == TOGETHER for s in step) else found


def _length(step: list[Span]) -> float:
    return step[-1].stop - step[0].start
