"""What a flush runs: the program of a place in the tree for a set of live tensors, and how it runs
again.

A plan is found by the reference counts of the recording's tensors, which say who is alive. It knows
which storages the program writes, which tensors receive them, and what a later backward may need.
It runs in the reference executor at first and as compiled code when it is heavy or comes back.
"""

from __future__ import annotations

import bisect
import itertools
import sys
import time
import weakref
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.core.shapes import storage_extent
from flambeau.execute import reference
from flambeau.graph.program import Program, Update, reachable
from flambeau.ops.value import Value
from flambeau.record.handle import Family
from flambeau.record.meta import Meta
from flambeau.record.options import OPTIONS
from flambeau.record.restricted import follows_base, restrict
from flambeau.record.storage import BUFFER_BASELINE, Storage, allocate, out_of_memory
from flambeau.record.trace import Trace, flatten
from flambeau.record.tree import State

if TYPE_CHECKING:
    from flambeau.record.handle import Handle
    from flambeau.record.recorder import Recording

getrefcount = sys.getrefcount
reference_to = weakref.ref
new = object.__new__
DEAD_COUNT = next(map(getrefcount, [object()]))
STORAGE_FREE = next(map(getrefcount, [Storage(allocate(0))]))
HEAVY_PER_NODE = 5_000
HEAVY = 1_000_000  # multiply-adds from which a program is compiled before its first run


@dataclass
class Statistics:
    """What has happened since the start, for `report`."""

    states: int = 0
    plans: int = 0
    compiled_programs: int = 0
    compiled_runs: int = 0
    reference_runs: int = 0
    compile_seconds: float = 0.0
    compiled_seconds: float = 0.0
    reference_seconds: float = 0.0
    compiled_events: int = 0
    reference_events: int = 0


STATISTICS = Statistics()
_ticks = itertools.count(1)


class FrameSpec:
    """How to make the frame of a plan whose live tensors have history."""

    __slots__ = ("functions", "leaves", "saved", "spent", "trace", "views")

    def __init__(
        self,
        trace: Trace,
        saved: list[tuple[Value, str, int, int, int]],
        leaves: list[int],
        spent: bool,
        views: list[tuple[int, Value]],
    ) -> None:
        self.trace = trace
        self.functions = [  # (cut number, its record) of custom functions that have saved something
            (number, trace.functions[value])
            for number, (value, _) in enumerate(trace.cuts)
            if value in trace.functions and trace.functions[value].saved
        ]
        self.spent = spent  # whether backward has been: nothing is left to differentiate
        self.saved = saved  # (value, "result" or "base", index, byte offset, writes to it)
        self.leaves = leaves
        self.views = views  # tensors that entered with history, and their values here


class FamilySpec:
    """Live tensors that share history: their numbers, and how they go on doing so (see Family).

    `entered` are members that came from outside, alive or not. `flat` is their memory's value where
    it has new history, `base` where it lies (-1: in a result); `leaf` the number of the leaf whose
    views they are; `origins` are (number, its value, whether flat's gradient passes that value).
    """

    __slots__ = ("alone", "base", "entered", "flat", "leaf", "numbers", "origin", "origins")

    def __init__(
        self,
        numbers: list[int],
        entered: list[int],
        flat: Value | None,
        base: int,
        leaf: int,
        origins: list[tuple[int, Value, bool]],
    ) -> None:
        self.numbers = numbers
        self.entered = entered
        self.flat = flat
        self.base = base
        self.leaf = leaf
        self.origins = origins
        # The common case: one result, and nobody else.
        self.alone = len(numbers) == 1 and not entered and flat is not None and base == leaf == -1
        self.origin: Any = None  # that one's origin in the frame of all runs

    def join_alone(self, rec: Recording, frame: Any) -> None:
        """`join` where the family has one member and the frame is that of all runs."""
        if self.origin is None:
            number = self.numbers[0]
            found: list[Any] = [(frame, v, passes) for n, v, passes in self.origins if n == number]
            self.origin = found or [None]
        tensor = rec.handles[self.numbers[0]]
        family = new(Family)
        family.members = [reference_to(tensor)]
        family.changes = 1
        family.frame = frame
        family.source = self.flat
        tensor._family = family
        tensor._origin = self.origin[0]

    def join(self, rec: Recording, frame: Any) -> None:
        """Makes the tensors members of one family."""
        known = [rec.handles[number]._family for number in self.entered]
        family = next((one for one in known if one is not None), None) or Family()
        for number in self.numbers:
            rec.handles[number]._family = family
            family.add(rec.handles[number])
        if self.leaf >= 0:
            family.leaf = rec.handles[self.leaf]
        if self.flat is not None:
            family.frame, family.source = frame, self.flat
            family.changes += 1
            for reference in family.members:
                member = reference()
                if member is not None:
                    member._origin = None  # that was before the change
            family.start = rec.bases[self.base][1] if self.base >= 0 else 0
        for number, value, passes in self.origins:
            rec.handles[number]._origin = None if frame is None else (frame, value, passes)


class Plan:
    """A program and its connections to the recording."""

    __slots__ = (
        "__weakref__",
        "cache",
        "compiled",
        "depth",
        "families",
        "frame",
        "free",
        "fresh",
        "imported",
        "live",
        "others",
        "program",
        "restricted",
        "result_bytes",
        "runs",
        "spent_frame",
        "writes",
    )

    def __init__(
        self,
        program: Program,
        live: list[tuple[int, int, Meta, int]],
        writes: list[tuple[int, int]],
        frame: FrameSpec | None,
        families: list[FamilySpec],
        depth: int,
        imported: tuple[int, ...] = (),
        restricted: list[tuple[int, int, bool]] | None = None,
    ) -> None:
        self.program = program
        # New views that follow their base: (number, which of several, whether they are stale).
        self.restricted = restricted
        # Bases that may be the memory of one that is written: what earlier programs have saved.
        self.imported = imported if writes else ()
        self.live = (
            live  # (tensor number, result (or -1 - base), its meta from now on, offset in elements)
        )
        self.writes = writes  # (base, how often written)
        self.frame = frame
        self.families = families
        self.depth = depth
        self.result_bytes = [v.size * v.dtype.itemsize for v in program.results]
        self.cache: list[Storage] = []
        self.free = [STORAGE_FREE] * len(self.result_bytes)  # reference counts that say so
        self.fresh: list[tuple[int, int]] = []
        self.others = live
        self.compiled: Any = None
        self.spent_frame: Any = None  # the history of every run, where all of it is spent
        self.runs = 0

    def run(self, rec: Recording) -> None:
        """Runs the program on the recording's bases and gives the live tensors their data."""
        program = self.program
        if self.imported:
            self.part_imports(rec)
        storages = self.result_storages()
        if program.results or program.updates:
            compiled = self.compiled
            if compiled is None and self.should_compile():
                compiled = self.compile()
            if compiled is not None:
                compiled.run(rec, storages)
            else:
                self.run_reference(rec, storages)
        self.runs += 1
        for base, count in self.writes:
            rec.bases[base][0].version += count
        handles = rec.handles
        if self.runs == 1:
            self.sort_live(rec)
        for number, index in self.fresh:
            handles[number]._storage = storages[index]
        for number, index, meta, offset in self.others:
            tensor = handles[number]
            if index >= 0:
                tensor._storage = storages[index]
                tensor._offset = offset
            else:
                storage, start = rec.bases[-1 - index]
                tensor._storage = storage
                tensor._offset = offset + start // meta.dtype.itemsize
            tensor._meta = meta
        if self.families:
            frame = self.make_frame(rec, storages) if self.frame is not None else None
            spent = frame is not None and frame is self.spent_frame
            for family in self.families:
                if spent and family.alone:
                    family.join_alone(rec, frame)
                else:
                    family.join(rec, frame)
        for number, output, stale in self.restricted or ():
            restrict(handles[number], output, stale)

    def part_imports(self, rec: Recording) -> None:
        """Copies saved memory that this very program overwrites: compiled code writes in place and
        takes different bases for different memory.
        """
        written = {id(rec.bases[base][0]) for base, _ in self.writes}
        for number in self.imported:
            storage, start = rec.bases[number]
            if id(storage) in written:
                dtype, extent = self.program.bases[number]
                rec.bases[number] = (snapshot(storage, start, extent * dtype.itemsize), 0)

    def sort_live(self, rec: Recording) -> None:
        """Leaves out the live tensors that stay as they are (most that were written in place), and
        tells the new results that need their storage alone from the others.
        """
        self.fresh, self.others = [], []
        for number, index, meta, offset in self.live:
            tensor = rec.handles[number]
            known = tensor.__dict__
            if index < 0:
                storage, start = rec.bases[-1 - index]
                place = offset + start // meta.dtype.itemsize
                if tensor._storage is storage and (tensor._offset, tensor._meta) == (place, meta):
                    continue
            if (
                index >= 0
                and not offset
                and tensor._meta is meta
                and not ("_storage" in known or "_offset" in known)
            ):
                self.fresh.append((number, index))
            else:
                self.others.append((number, index, meta, offset))

    def result_storages(self) -> list[Storage]:
        """Memory for the results: that of the last run where nobody holds it any more."""
        cache = self.cache
        if cache:
            if list(map(getrefcount, cache)) == self.free:
                for storage in cache:
                    if getrefcount(storage.buffer) > BUFFER_BASELINE:
                        break
                else:
                    return cache
            for place in range(len(cache)):
                if (
                    getrefcount(cache[place]) > STORAGE_FREE
                    or getrefcount(cache[place].buffer) > BUFFER_BASELINE
                ):
                    cache[place] = Storage(allocate(self.result_bytes[place]))
            return cache
        self.cache = [Storage(allocate(nbytes)) for nbytes in self.result_bytes]
        return self.cache

    def should_compile(self) -> bool:
        if OPTIONS.sync or OPTIONS.executor == "reference":
            return False
        if any(dtype.is_complex for dtype in self.program.scalars):
            return False  # native programs know no complex run-time numbers
        if OPTIONS.executor == "compiled" or self.runs >= OPTIONS.warm_up:
            return True
        return self.runs == 0 and heavy(self.program)

    def compile(self) -> Any:
        from flambeau.record.native import NativeProgram

        start = time.perf_counter()
        self.compiled = NativeProgram(self.program)
        STATISTICS.compiled_programs += 1
        STATISTICS.compile_seconds += time.perf_counter() - start
        return self.compiled

    def run_reference(self, rec: Recording, storages: list[Storage]) -> None:
        start = time.perf_counter()
        arrays = [
            base_array(storage, offset, dtype, extent)
            for (storage, offset), (dtype, extent) in zip(
                rec.bases, self.program.bases, strict=True
            )
        ]
        results = reference.execute(self.program, arrays, rec.scalars)
        for storage, array, value in zip(storages, results, self.program.results, strict=True):
            storage.array(value.dtype)[: value.size] = array.ravel()
        STATISTICS.reference_runs += 1
        STATISTICS.reference_events += self.depth
        STATISTICS.reference_seconds += time.perf_counter() - start

    def make_frame(self, rec: Recording, storages: list[Storage]) -> Any:
        from flambeau.record.backward import Frame, stale_saved

        spec = self.frame
        assert spec is not None
        if spec.spent:
            if self.spent_frame is None:
                self.spent_frame = Frame(spec.trace, {}, [], [], [], frozenset(spec.trace.freed))
            return self.spent_frame
        saved = {}
        for value, where, index, offset, _ in spec.saved:
            if where == "result":
                saved[value] = (storages[index], offset, storages[index].version)
            else:
                storage, start = rec.bases[index]
                saved[value] = (storage, start + offset, storage.version)
        frame = Frame(
            spec.trace,
            saved,
            [rec.handles[n] for n in spec.leaves],
            list(rec.frames),
            list(rec.cuts),
            frozenset(spec.trace.freed),
        )
        frame.nodes = rec.nodes
        for number, function in spec.functions:
            frame.cuts[number].watch(rec.handles, stale_saved(spec.trace, function), function)
        for number, value in spec.views:
            tensor = rec.handles[number]
            changes = -1 if tensor._family is None else tensor._family.changes
            frame.views.append((weakref.ref(tensor), value, changes))
        return frame


def base_array(storage: Storage, offset: int, dtype: DType, extent: int) -> Any:
    """The elements of a program's base as a flat array in storage form."""
    raw = np.asarray(storage.buffer)[offset : offset + extent * dtype.itemsize]
    return raw.view(dtype.numpy)


def run_recording(rec: Recording) -> Plan | None:
    """Runs what has been recorded; the plan that did."""
    state = rec.state
    state.tick = next(_ticks)
    plan: Plan | None = None
    try:
        # As `whole` says.
        lengths = len(rec.bases), len(rec.scalars), len(rec.frames), len(rec.cuts)
        if lengths != state.lengths or len(rec.handles) != state.count:
            raise Interrupted("an exception in the middle of an operation has cut it short")
        if state.parent is not None:
            counts = tuple(map(getrefcount, rec.handles))
            plan = state.plans.get(counts) or find_plan(rec, counts)
            plan.run(rec)
    except Interrupted as error:
        fail(rec, error)
    except MemoryError as error:
        reason = RuntimeError(out_of_memory(getattr(error, "_total_size", None)))
        reason.__dict__["node"] = error.__dict__.get("node")
        fail(rec, located(state, reason))
        raise reason from None
    except Exception as error:
        fail(rec, located(state, error))
        raise
    except BaseException as error:
        fail(rec, error)
        raise
    return plan


def located(state: State, error: Exception) -> Exception:
    """The error, with a line that says where the program recorded the op that has failed."""
    node, trace = error.__dict__.pop("node", None), state.trace
    message = error.args[0] if len(error.args) == 1 else None
    if node is None or trace is None or not isinstance(message, str):
        return error
    events = []
    at: State | None = state
    while at is not None and at.parent is not None:
        if not isinstance(at.key, Meta):
            events.append(at)
        at = at.parent
    number = bisect.bisect(trace.marks, node.order)
    if 0 < number <= len(events):
        line = events[len(events) - number].line
        if line is not None:
            error.args = (f"{message}\n(first recorded at {line[0]}:{line[1]})",)
    return error


class Interrupted(Exception):
    """A recording that is not whole."""


def whole(rec: Recording) -> bool:
    """Whether the recording has all that its events have brought."""
    lengths = len(rec.bases), len(rec.scalars), len(rec.frames), len(rec.cuts)
    return len(rec.handles) == rec.state.count and lengths == rec.state.lengths


def fail(rec: Recording, error: BaseException) -> None:
    """Tensors that a failed program was to compute say why when they are used."""
    for tensor in rec.handles:
        if tensor._storage is None:
            tensor._failure = f"{type(error).__name__}: {error}"


def find_plan(rec: Recording, counts: tuple[int, ...]) -> Plan:
    """The plan for these live tensors, made if need be."""
    from flambeau.record import recorder

    state = rec.state
    live = tuple(n for n, count in enumerate(counts) if count > DEAD_COUNT)
    plan = state.plans.get(("live", live))
    if plan is None:
        trace = state.trace
        if trace is None:
            trace = state.trace = recorder.trace_of(rec)
        plan = make_plan(trace, live, state.depth)
        state.plans["live", live] = plan
        STATISTICS.plans += 1
    if len(state.plans) > 256:
        state.plans = {"live": plan}
    state.plans[counts] = plan
    return plan


def make_plan(trace: Trace, live: tuple[int, ...], depth: int) -> Plan:
    """The program that computes the live tensors and the written bases."""
    results: list[Value] = []
    places: dict[int, int] = {}
    targets = []
    live = _with_leaves(trace, live)
    for number in live:
        tensor = trace.tensors[number]
        storage = tensor.storage
        meta = tensor.meta
        if storage.base is not None:
            if number not in trace.entered:
                targets.append((number, -1 - storage.base, meta.at_zero, meta.offset))
            continue
        if id(storage) not in places:
            places[id(storage)] = len(results)
            results.append(trace.data(storage))
        targets.append((number, places[id(storage)], meta.at_zero, meta.offset))
    updates, writes = [], []
    for storage in trace.bases:
        if storage.version:
            assert storage.base is not None
            updates.append(Update(storage.base, trace.data(storage)))
            writes.append((storage.base, storage.version))
    families = _family_specs(trace, live)
    frame = _frame_spec(trace, [f.flat for f in families if f.flat is not None], results, places)
    program = Program(
        tuple((s.dtype, s.size) for s in trace.bases),
        tuple(trace.scalars),
        tuple(results),
        tuple(updates),
    )
    imported = tuple(trace.imported)
    return Plan(
        program, targets, writes, frame, families, depth, imported, _restricted(trace, live)
    )


def _restricted(trace: Trace, live: tuple[int, ...]) -> list[tuple[int, int, bool]] | None:
    """The new views that must not be used once their base was written: see `restricted`."""
    found = []
    for number in live:
        tensor = trace.tensors[number]
        if tensor.meta.born and number not in trace.entered and follows_base(tensor.meta):
            found.append((number, tensor.output, tensor.seen != tensor.storage.version))
    return found or None


def _with_leaves(trace: Trace, live: tuple[int, ...]) -> tuple[int, ...]:
    """The live tensors and the leaves of which some are views: what is done to a view is decided by
    its leaf, also where nobody else holds that any more.
    """
    tensors = [trace.tensors[number] for number in live]
    leaves = {
        trace.leaves[tensor.group.leaf]
        for tensor in tensors
        if tensor.group.leaf is not None and tensor.meta.requires_grad and not tensor.meta.is_leaf
    }
    return live if leaves.issubset(live) else tuple(sorted(leaves.union(live)))


def _family_specs(trace: Trace, live: tuple[int, ...]) -> list[FamilySpec]:
    """The live tensors that share history, with each other or with an earlier program."""
    groups: dict[int, list[int]] = {}
    for number in sorted({*live, *_written_members(trace)}):
        groups.setdefault(id(trace.tensors[number].group), []).append(number)
    specs = []
    for numbers in groups.values():
        tensors = [trace.tensors[number] for number in numbers]
        group = tensors[0].group
        base = -1 if group.storage.base is None else group.storage.base
        entered = [n for n in sorted(trace.entered) if trace.tensors[n].group is group]
        views = [t for t in tensors if t.meta.requires_grad and not t.meta.is_leaf]
        if not views:
            if (
                len(numbers) > 1
                and group.leaf is None
                and any(n not in trace.entered for n in numbers)
            ):
                specs.append(FamilySpec(numbers, entered, None, base, -1, []))
            continue
        if group.leaf is not None:
            leaf = trace.leaves[group.leaf]
            origins = [(t.number, trace.tracked_value(t.number), False) for t in views]
            specs += [
                FamilySpec([t.number], [], trace.flat(group), base, leaf, [origin])
                for t, origin in zip(views, origins, strict=True)
                if t.number not in trace.entered
            ]
            continue
        flat = trace.flat(group)
        changed = not trace.unchanged(group)
        passed = set(reachable([flat]))
        origins = [
            (t.number, value, value in passed)
            for t in views
            for value in [trace.tracked_value(t.number)]
            if changed or t.number not in trace.entered
        ]
        specs.append(FamilySpec(numbers, entered, flat if changed else None, base, -1, origins))
    return specs


def _written_members(trace: Trace) -> list[int]:
    """Tensors with history whose memory got another one: their families must learn of it."""
    found = []
    for number in trace.entered:
        tensor = trace.tensors[number]
        meta, group = tensor.meta, tensor.group
        grown = meta.requires_grad and not meta.is_leaf and group.leaf is None
        if grown and not trace.unchanged(group):
            found.append(number)
    return found


def _frame_spec(
    trace: Trace, flats: list[Value], results: list[Value], places: dict[int, int]
) -> FrameSpec | None:
    """What the history of flat values needs once the program has run."""
    from flambeau.record.backward import saved_values

    if not flats:
        return None
    needed, left = saved_values(trace, flats)
    spent = not (left or needed or trace.cuts or trace.histories)
    whole = {}
    for tensor in trace.tensors:
        if (
            id(tensor.storage) in places
            and tensor.meta.offset == 0
            and (tensor.meta.numel == tensor.storage.size)
        ):
            value = tensor.group.values.get(tensor.layout)
            if (
                value is not None
                and value.size == tensor.storage.size
                and tensor.meta.strides == (meta_strides(value))
            ):
                whole[value] = places[id(tensor.storage)]
    saved = []
    for value in needed:
        if value in whole:
            saved.append((value, "result", whole[value], 0, 0))
            continue
        base = _base_of(value, trace)
        if base is not None:
            saved.append((value, "base", base, 0, trace.bases[base].version))
            continue
        saved.append((value, "result", len(results), 0, 0))
        results.append(flatten(value, value.shape, meta_strides(value)))
    views = []
    for number in sorted(trace.entered):
        tensor = trace.tensors[number]
        value = tensor.group.values.get(tensor.layout)
        if value is not None and tensor.meta.requires_grad and not tensor.meta.is_leaf:
            views.append((number, value))
    return FrameSpec(trace, saved, list(trace.leaves), spent, views)


def meta_strides(value: Value) -> tuple[int, ...]:
    from flambeau.core.shapes import contiguous_strides

    return contiguous_strides(value.shape)


def _base_of(value: Value, trace: Trace) -> int | None:
    """The base whose first elements, as the program found them and leaves them, are this value."""
    from flambeau.record.backward import in_its_own_memory

    while value.primitive.name in ("reshape", "leaf", "history", "detach"):
        if in_its_own_memory(trace, value):
            return None
        value = value.inputs[0]
    if value.primitive.name == "input" and value.attrs["role"] == "base":
        index: int = value.attrs["index"]
        if not trace.bases[index].version:
            return index
    return None


def heavy(program: Program) -> bool:
    """Whether a program is worth compiling before it has come back.

    It must have work, counted in multiply-adds and elements, and enough of it for each node to
    pay for compiling it.
    """
    nodes = program.nodes()
    total = 0
    for value in nodes:
        name = value.primitive.name
        if name == "dot":
            total += value.size * value.inputs[0].shape[-1]
        elif name == "conv":
            kernel = value.inputs[1]
            total += value.size * (kernel.size // max(kernel.shape[0] * kernel.shape[1], 1))
        elif name == "strided_scatter":
            total += value.inputs[1].size
        else:
            total += value.size
    return total >= HEAVY and total >= HEAVY_PER_NODE * len(nodes)


def snapshot_of(tensor: Handle) -> Storage:
    """A copy of the elements a tensor's layout spans."""
    meta = tensor._meta
    assert tensor._storage is not None
    return snapshot(
        tensor._storage,
        tensor._offset * meta.dtype.itemsize,
        storage_extent(meta.shape, meta.strides) * meta.dtype.itemsize,
    )


def snapshot(source: Storage, start: int, size: int) -> Storage:
    """A copy of `size` bytes of a storage."""
    copy = Storage(allocate(size))
    np.asarray(copy.buffer)[:size] = np.asarray(source.buffer)[start : start + size]
    return copy


LONGEST_REPETITION = (
    768  # events looked back for a repetition: three times the longest loop body found
)


def repeats(state: State) -> bool:
    """Whether the stream has just gone through the same events three times over (a loop without a
    flush).
    """
    keys: list[Any] = []
    at: State | None = state
    while at is not None and at.parent is not None and len(keys) < LONGEST_REPETITION:
        key = at.key
        keys.append(
            key if isinstance(key, Meta) else (key[0], key[-1] if isinstance(key, tuple) else None)
        )
        at = at.parent
    for period in range(1, len(keys) // 3 + 1):
        if keys[:period] == keys[period : 2 * period] == keys[2 * period : 3 * period]:
            segment = keys[:period]
            if all(isinstance(k, Meta) or k[0].enters for k in segment):
                return False  # the operands of one event: they would enter again and again
            return not any(isinstance(k, Meta) and k.requires_grad for k in segment)
    return False


class _Bound:
    """How many states the trees hold, about."""

    states = 0


def note_new_state() -> None:
    """Counts a new state, and forgets the oldest half of the tree when there are too many."""
    from flambeau.record import recorder
    from flambeau.record.tree import prune

    STATISTICS.states += 1
    _Bound.states += 1
    if _Bound.states > OPTIONS.states:
        _Bound.states = prune(list(recorder.ROOTS.values()), OPTIONS.states // 2)


def report() -> str:
    """How much of the run came from compiled programs, in a sentence or two."""
    s = STATISTICS
    runs = s.compiled_runs + s.reference_runs
    if not runs:
        return "Flambeau: nothing was computed."
    events = s.compiled_events + s.reference_events
    share = 100.0 * s.compiled_events / events if events else 0.0
    return (
        f"Flambeau: {share:.1f} % of {events} recorded ops came from compiled programs "
        f"({s.compiled_runs} runs of {s.compiled_programs} compiled programs, "
        f"{s.reference_runs} runs in the reference executor; {s.compile_seconds:.2f} s compiling, "
        f"{s.compiled_seconds:.2f} s in compiled code, {s.reference_seconds:.2f} s in NumPy)."
    )
