"""What a program consists of: its kernels, what of the user's model each computes, its work.

The program is lowered once more, with a note of which recorded value each rewritten one comes from;
the machine code is that which has run, and is not made again.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.loops import KernelCode
from flambeau.execute.cpu.lower import HostStep
from flambeau.execute.cpu.profile import SteppedRun
from flambeau.explaining.collector import Seen
from flambeau.explaining.machine import Machine
from flambeau.graph.program import Program
from flambeau.graph.simplify import Origins
from flambeau.ops.primitive import (
    ATTENTION,
    CONTRACTION,
    ELEMENTWISE,
    RECURRENCE,
    REDUCTION,
    SCAN,
    SOURCE,
    VIEW,
    WINDOW,
)
from flambeau.ops.value import Value
from flambeau.record.places import Place
from flambeau.record.tree import State
from flambeau.record.watching import recorded
from flambeau.record.worth import operations


@dataclass
class Step:
    """A kernel, or a step that NumPy does, of a program."""

    label: str
    title: str  # in the words of the user's program
    module: str
    modules: list[str]
    place: Place | None
    seconds: float
    tasks: int
    parallel: bool
    flops: float
    nbytes: float
    fraction: float  # of what the machine could do
    bound: str  # "compute" or "memory": what it would be limited by at best
    reads: list[int]  # steps of the same run whose results it loads
    operands: list[str]
    text: str = ""  # LLVM


@dataclass
class Parts:
    """A program's steps in order, the arena while each runs, and its largest buffers."""

    steps: list[Step]
    live: list[int] = field(default_factory=list)
    holders: list[tuple[str, int]] = field(default_factory=list)


Named = dict[Value, tuple[str, Place | None]]


def parts_of(seen: Seen, machine: Machine) -> Parts:
    """The steps of a compiled program; none where it has not been compiled."""
    native = seen.native
    if native is None:
        return Parts([])
    origins: dict[Value, Value] = {}
    Origins.of = origins
    try:
        compiled = compile_program(native.program)
    finally:
        Origins.of = None
    kernels = iter(compiled.kernels)
    made = [host or next(kernels) for host in SteppedRun(compiled).hosts]
    times = _times(seen, len(made))
    work = _work([_values(step) for step in made])
    names = _names(seen.state, native.program)
    writers: dict[int, int] = {}
    steps: list[Step] = []
    seconds_of = _heaviest(made, times)
    for number, (step, covers) in enumerate(zip(made, work, strict=True)):
        found = [names[o] for v in covers if (o := _origin(v, origins, names)) in names]
        flops = sum(map(flops_of, covers)) if seconds_of[number] else 0.0
        steps.append(_step(step, found, times[number], flops, machine))
        read = {writers[id(b)] for b in _buffers(step) if id(b) in writers}
        steps[-1].reads = sorted(read)
        for buffer in _written(step):
            writers[id(buffer)] = number
    live, holders = _arena(made, steps)
    return Parts(steps, live, holders)


def _times(seen: Seen, count: int) -> list[float]:
    """The samples of each step (the lowest but a quarter of them: other processes only ever add to
    a time); without any, an even share of the program's time.
    """
    samples = [s for s in seen.samples if len(s) == count]
    if samples:
        return [sorted(column)[len(column) // 4] for column in zip(*samples)]
    mean = seen.seconds / max(seen.compiled_runs, 1)
    return [mean / max(count, 1)] * count


def _values(step: KernelCode | HostStep) -> tuple[Value, ...]:
    return (step.value,) if isinstance(step, HostStep) else step.values


def _work(stored: Sequence[Sequence[Value]]) -> list[list[Value]]:
    """For each step what it computes: its own values and those that are not stored anywhere."""
    everywhere = {v for values in stored for v in values}
    found = []
    for values in stored:
        covers = dict.fromkeys(values)
        stack = [x for v in values for x in v.inputs]
        while stack:
            v = stack.pop()
            if v in everywhere or v in covers or v.primitive.family == SOURCE:
                continue
            covers[v] = None
            stack += v.inputs
        found.append(list(covers))
    return found


def _heaviest(made: Sequence[KernelCode | HostStep], times: Sequence[float]) -> list[bool]:
    """Whether a step is the one that the work of its group counts for: others pack its operands."""
    best: dict[tuple[int, ...], int] = {}
    keys = [tuple(id(v) for v in _values(step)) for step in made]
    for number, key in enumerate(keys):
        if key not in best or times[number] > times[best[key]]:
            best[key] = number
    return [best[key] == number for number, key in enumerate(keys)]


def flops_of(v: Value) -> float:
    """Floating point (or integer) operations of a value; a multiply-add counts as two."""
    family = v.primitive.family
    if family in (CONTRACTION, ATTENTION, RECURRENCE):
        return float(operations(v))
    if family in (REDUCTION, SCAN):
        return float(v.inputs[0].size)
    if family == WINDOW:
        count = 1
        for extent in v.attrs.get("sizes", ()):
            count *= extent
        return float(v.size * count)
    if family == ELEMENTWISE:
        return 0.0 if v.primitive.name in ("cast", "check") else float(v.size)
    return 0.0 if family == VIEW else float(v.size)


def _names(state: State | None, program: Program) -> Named:
    """The op, in the user's words, and the place that each value was recorded for."""
    if state is None or state.trace is None:
        return {}
    found: Named = {}
    for v in program.nodes():
        if v.primitive.family == SOURCE:
            continue
        name, place = recorded(v, state)
        found[v] = name, place
    return found


def _origin(v: Value, origins: dict[Value, Value], names: Named) -> Value | None:
    """The recorded value that a rewritten one comes from; that of an operand where none is
    known.
    """
    for _ in range(8):
        origin = origins.get(v)
        if origin in names:
            return origin
        if not v.inputs:
            return None
        v = v.inputs[0]
    return None


def _step(
    step: KernelCode | HostStep,
    found: list[tuple[str, Place | None]],
    seconds: float,
    flops: float,
    machine: Machine,
) -> Step:
    label, tasks, parallel, text = step_facts(step)
    buffers = {id(b): b for b in _buffers(step)}
    nbytes = float(sum(b.bytes for b in buffers.values()))
    best = machine.shortest(flops, nbytes)
    modules = Counter(_module(name, place) for name, place in found if place and place.module)
    # What a group is about comes first: its reductions and products, then what is fused with them.
    place = next((p for _, p in found if p is not None and p.module), None)
    place = place or next((p for _, p in found if p is not None), None)
    module = "" if place is None or not place.module else _of(found, place)
    return Step(
        label,
        title_of(found) or label,
        module,
        [name for name, _ in modules.most_common()],
        place,
        seconds,
        tasks,
        parallel,
        flops,
        nbytes,
        min(best / seconds, 1.0) if seconds > 0 else 0.0,
        "compute" if flops / machine.flops > nbytes / machine.rate(nbytes) else "memory",
        [],
        [f"{b.kind} {b.dtype.name}{list(b.shape)}" for b in buffers.values()],
        text,
    )


def step_facts(step: KernelCode | HostStep) -> tuple[str, int, bool, str]:
    """Label, tasks, whether in parallel, LLVM text."""
    if isinstance(step, HostStep):
        return f"{step.value.primitive.name}, by NumPy", 1, False, ""
    return step.label, step.tasks, step.parallel, step.text


def _module(name: str, place: Place) -> str:
    return f"{place.module} (backward)" if name.startswith("the backward of") else place.module


def _of(found: list[tuple[str, Place | None]], place: Place) -> str:
    name = next(name for name, other in found if other is place or other == place)
    return _module(name, place)


def title_of(found: list[tuple[str, Place | None]], most: int = 5) -> str:
    """The ops of a kernel, each once."""
    names = list(dict.fromkeys(name.replace("the backward of ", "∂") for name, _ in found))
    more = f" + {len(names) - most} more" if len(names) > most else ""
    return " + ".join(names[:most]) + more


def _buffers(step: KernelCode | HostStep) -> list[Any]:
    if isinstance(step, HostStep):
        return [*step.operands, *step.results]
    return [o.buffer for o in step.operands if o.buffer is not None]


def _written(step: KernelCode | HostStep) -> list[Any]:
    """What a step may write: a kernel's operands do not say, so the arena and results all count."""
    if isinstance(step, HostStep):
        return list(step.results)
    return [b for b in _buffers(step) if b.kind in ("arena", "result")]


def _arena(
    made: Sequence[KernelCode | HostStep], steps: Sequence[Step]
) -> tuple[list[int], list[tuple[str, int]]]:
    """Bytes of intermediates that live at each step, and the largest of them."""
    first: dict[int, int] = {}
    last: dict[int, int] = {}
    buffers: dict[int, Any] = {}
    for number, step in enumerate(made):
        for buffer in _buffers(step):
            if buffer.kind == "arena":
                buffers[id(buffer)] = buffer
                first.setdefault(id(buffer), number)
                last[id(buffer)] = number
    live = [0] * len(made)
    for key, buffer in buffers.items():
        for number in range(first[key], last[key] + 1):
            live[number] += buffer.bytes
    largest = sorted(buffers, key=lambda key: -buffers[key].bytes)[:12]
    holders = []
    for key in largest:
        b, step_made = buffers[key], steps[first[key]]
        within = f" in {step_made.module}" if step_made.module else ""
        what = f"intermediate {b.dtype.name}{list(b.shape)}, made by {step_made.title}{within}"
        holders.append((what, b.bytes))
    return live, holders
