"""What a flush runs: the program of a place in the tree for a set of live tensors, and how it runs
again.

A plan is found by the reference counts of the recording's tensors, which say who is alive. It knows
which storages the program writes, which tensors receive them, and what a later backward may need.
It runs in the reference executor at first and as compiled code when it is heavy or comes back.
"""

from __future__ import annotations

import math
import sys
import time
import warnings
import weakref
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau.core.dtypes import DType
from flambeau.core.errors import FoundNaN
from flambeau.execute import reference
from flambeau.execute.reference import heap
from flambeau.graph.program import Program
from flambeau.ops.value import Value, leave_to_reference_counts
from flambeau.record.background import Pending
from flambeau.record.chain import Frame, Saved
from flambeau.record.handle import Family, Handle
from flambeau.record.late import PATIENCE, LateStorage, Maker, with_late_results
from flambeau.record.meta import Meta
from flambeau.record.options import OPTIONS
from flambeau.record.recording import ERA
from flambeau.record.restricted import restrict
from flambeau.record.result_memory import Results
from flambeau.record.saved import stale_saved
from flambeau.record.statistics import STATISTICS
from flambeau.record.storage import Storage, allocate, snapshot
from flambeau.record.trace import Trace
from flambeau.record.worth import (
    EARLY,
    FIRST_STEPS,
    JOINING_PAYS,
    Costs,
    runs_so_far,
    runs_that_pay,
    waiting_share,
)

if TYPE_CHECKING:
    from flambeau.record.recording import Recording

getrefcount = sys.getrefcount
MANY_RUNS = 1000  # after which compiling has paid whatever it cost
reference_to = weakref.ref
new = object.__new__


class Kept(NamedTuple):
    """A value that a frame keeps: where the program leaves it ("result" or "base", and which),
    whether each write to it counts, and of a copy in which memory that was taken.
    """

    value: Value
    where: tuple[str, int]
    strict: bool
    taken: tuple[str, int] | None = None


class FrameSpec:
    """How to make the frame of a plan whose live tensors have history."""

    __slots__ = ("functions", "leaves", "saved", "spent", "stale", "trace", "views")

    def __init__(
        self,
        trace: Trace,
        saved: list[Kept],
        leaves: list[int],
        spent: bool,
        views: list[tuple[int, Value]],
        stale: list[tuple[Value, int, int]],
    ) -> None:
        self.trace = trace
        self.functions = [  # (cut number, its record) of custom functions that have saved something
            (number, trace.functions[value])
            for number, (value, _) in enumerate(trace.cuts)
            if value in trace.functions and trace.functions[value].saved
        ]
        self.spent = spent  # whether backward has been: nothing is left to differentiate
        self.saved = saved
        # Values that were overwritten by the program's end: (value, version now, version then).
        self.stale = stale
        self.leaves = leaves
        self.views = views  # tensors that entered with history, and their values here


class FamilySpec:
    """Live tensors that share history: their numbers, and how they go on doing so (see Family).

    `entered` are members that came from outside, alive or not. `flat` is their memory's value where
    it has new history, `base` where it lies (-1: in a result); `leaf` the number of the leaf whose
    views they are; `origins` are (number, its value, whether flat's gradient passes that value).
    `first` is the number of the tensor that the others are views of (-1: not alive, or known).
    """

    __slots__ = (
        "alone",
        "base",
        "entered",
        "first",
        "flat",
        "leaf",
        "numbers",
        "origin",
        "origins",
        "stays",
    )

    def __init__(
        self,
        numbers: list[int],
        entered: list[int],
        flat: Value | None,
        base: int,
        leaf: int,
        origins: list[tuple[int, Value, bool]],
        first: int = -1,
    ) -> None:
        leave_to_reference_counts(numbers)
        leave_to_reference_counts(entered)
        self.numbers = numbers
        self.first = first
        self.entered = entered
        self.flat = flat
        self.base = base
        self.leaf = leaf
        self.origins = origins
        # The common case: one result, and nobody else (without history: a view of what is gone).
        bare = flat is None and not origins
        joins = len(numbers) > 1 or bool(entered) or not base == leaf == -1
        self.alone = not joins and (bare or flat is not None)
        # The tensors have entered with the history that they share, and go on with that.
        self.stays = bare and base >= 0 and leaf < 0 and set(numbers).issubset(entered)
        # That one's origin in the frame of all runs.
        self.origin: Any = [None] if bare else None

    def pairs(self) -> list[tuple[int, int]]:
        """Those that have entered, each with the first of them."""
        return [(number, self.entered[0]) for number in self.entered]

    def join_alone(self, rec: Recording, frame: Any) -> None:
        """`join` where the family has one member and the frame is that of all runs."""
        if self.origin is None:
            number = self.numbers[0]
            found: list[Any] = [(frame, v, passes) for n, v, passes in self.origins if n == number]
            self.origin = found or [None]
        tensor = rec.handles[self.numbers[0]]
        family = Family()
        family.members.append(reference_to(tensor))
        if self.first >= 0:
            family.base = family.members[0]
        if self.flat is not None:
            family.changes = 1
            family.frame = frame
            family.source = self.flat
        tensor._family = family
        tensor._origin = self.origin[0]

    def join(self, rec: Recording, frame: Any) -> None:
        """Makes the tensors members of one family."""
        known = [rec.handles[number]._family for number in self.entered]
        family = next((one for one in known if one is not None), None)
        if family is None:
            family = Family()
            if self.first >= 0:
                family.base = reference_to(rec.handles[self.first])
        for number in self.numbers:
            if rec.handles[number]._family is not family:
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
        "_costs",
        "apart",
        "asked",
        "born",
        "compiled",
        "counted",
        "depth",
        "due",
        "early",
        "families",
        "first",
        "frame",
        "fresh",
        "imported",
        "joined",
        "late",
        "live",
        "looked",
        "others",
        "pending",
        "plain",
        "program",
        "prompt",
        "restricted",
        "results",
        "rewritten",
        "runs",
        "schedule",
        "silenced",
        "spent_frame",
        "wanted",
        "writes",
    )

    def __init__(
        self,
        program: Program,
        live: list[tuple[int, int, Meta, int]],
        writes: list[tuple[int, int, int]],
        frame: FrameSpec | None,
        families: list[FamilySpec],
        depth: int,
        imported: tuple[int, ...] = (),
        restricted: list[tuple[int, int, bool]] | None = None,
        rewritten: list[tuple[int, int, int]] | None = None,
    ) -> None:
        self.program = self.prompt = program
        # Results that are made when somebody looks, at those of how many runs somebody has looked,
        # and the last of these.
        self.late: Mapping[int, Maker] = {}
        self.wanted = 0
        self.looked: Any = None
        if not (OPTIONS.sync or OPTIONS.watch_nan):
            self.program, self.late = with_late_results(program)
        # New views that follow their base: (number, which of several, whether they are stale).
        self.restricted = restricted
        # (result, how often it was written after it was made, how often of these silently)
        self.rewritten = rewritten
        # Bases that may be the memory of one that is written: what earlier programs have saved.
        self.imported = imported if writes else ()
        self.live = (
            live  # (tensor number, result (or -1 - base), its meta from now on, offset in elements)
        )
        self.writes = writes  # (base, how often written, how often of these silently)
        self.counted = [(base, count) for base, count, _ in writes]
        self.silenced = [(base, silent) for base, _, silent in writes if silent]
        self.frame = frame
        self.families = families
        self.depth = depth
        self.results = memory_of_results(self.program)
        self.fresh: list[tuple[int, int]] = []
        self.others = live
        self.compiled: Any = None
        self.pending: Pending | None = None  # the machine code that is being made beside the runs
        self.schedule: Any = None  # the program made ready for the reference executor
        self.apart = False  # whether runs have histories of their own, also where all is spent
        self.spent_frame: Any = None  # the history of every run, where all of it is spent
        self.joined = False  # the schedule has all the kernels that it can have
        self.born = 0  # how many programs had run before its first run
        self.plain = False  # all that there is to hand out is new tensors
        self.runs = 0
        self.due = -1  # the run by which compiling has paid
        self.early = False  # heavy, and has not come back (see Early)
        self.first = False  # a training's first step (see FirstSteps)
        self.asked = False  # to be compiled, by the user
        self._costs: Costs | None = None

    def run(self, rec: Recording) -> None:
        """Runs the program on the recording's bases and gives the live tensors their data."""
        if self.wants_promptly():
            self.make_promptly()
        program = self.program
        if self.imported:
            self.part_imports(rec)
        storages = self.results.take(self.runs, self.compiled is not None)
        compiled = self.compiled
        if self.plain and compiled is not None:
            self.run_plain(rec, storages, self.given_out(storages))
            return
        if compiled is None and (program.results or program.updates) and self.should_compile(rec):
            compiled = self.compile()
        given = self.given_out(storages)
        writes = iter(self.counted), iter(self.silenced)
        # Begins with 0 when all is computed; then come (where to, what): copies not yet made.
        computed: list[Any] = []
        try:
            if program.results or program.updates:
                if compiled is not None:
                    compiled.run(rec, storages, self.results.moved, computed)
                    self.results.moved = False
                else:
                    self.run_reference(rec, storages, computed)
            self.hand_out(rec, given, writes, computed)
            if compiled is None and self.runs == 1 and not EARLY.many:
                computed.clear()
                heap.give_back(self.program)
        except BaseException:
            if not computed or computed[0]:
                raise
            # An interrupt: memory has changed already, so all that belongs to it is done, too.
            if not rec.ran:
                self.hand_out(rec, given, writes, computed)
            raise

    def given_out(self, storages: list[Storage]) -> list[Storage]:
        """The results' storages, with those that get their memory when somebody looks."""
        if not self.late:
            return storages
        given, run = storages.copy(), object()
        for number, maker in self.late.items():
            operands = tuple([storages[n] for n in maker.operands])
            given[number] = LateStorage(self, maker, operands, self.compiled is not None, run)
        return given

    def look_at_late(self) -> None:
        """Somebody looks at late results of a run, for the first time."""
        self.wanted += 1
        if self.wants_promptly():
            self.results.seals = ()  # the next run is Python's

    def wants_promptly(self) -> bool:
        """Whether late results are wanted often enough to be made at once."""
        return self.wanted >= PATIENCE and 2 * self.wanted >= self.runs

    def make_promptly(self) -> None:
        """From now on the late results are made with the others: they are wanted."""
        self.results.seals = ()
        self.program, self.late, self.wanted = self.prompt, {}, 0
        self.compiled = self.schedule = self.pending = self._costs = None
        self.joined = False
        self.results = memory_of_results(self.program)

    def run_plain(self, rec: Recording, storages: list[Storage], given: list[Storage]) -> None:
        """`run` where compiled code makes new tensors and that is all: after an interrupt anywhere
        it may run once more.
        """
        self.compiled.run(rec, storages, self.results.moved, [])
        self.results.moved = False
        self.runs += 1
        if self.runs == self.due or self.early:
            self.count_run()
        handles = rec.handles
        for number, index in self.fresh:
            handles[number]._storage = given[index]
        rec.ran = True

    def count_run(self) -> None:
        """What a run says of how often programs come back."""
        if self.runs == self.due:
            EARLY.paid += 1
        if self.first and self.runs == 2:
            FIRST_STEPS.came_back()
        if self.early and self.runs == 2:
            EARLY.came_back()
        elif self.early and EARLY.many and self.runs > 2:
            EARLY.ran_again()

    def hand_out(
        self,
        rec: Recording,
        storages: list[Storage],
        writes: tuple[Iterator[tuple[int, int]], Iterator[tuple[int, int]]],
        computed: list[Any],
    ) -> None:
        """Gives the live tensors what has been computed. May be called again after an interrupt."""
        for target, array in computed[1:]:
            target[: array.size] = array
        self.runs += 1
        self.count_run()
        bases = rec.bases
        counted, silenced = writes
        for base, count in counted:
            bases[base][0].version += count
        for base, silent in silenced:
            bases[base][0].silent += silent
        for index, count, silent in self.rewritten or ():
            storages[index].version, storages[index].silent = count, silent
        handles = rec.handles
        if self.others is self.live:
            self.sort_live(rec)
        joins = self.families or self.restricted
        if joins:
            for storage in storages:
                storage.recording = rec  # other threads wait until all is in place
        for number, index in self.fresh:
            handles[number]._storage = storages[index]
        for number, index, meta, offset in self.others:
            tensor = handles[number]
            if index >= 0:
                tensor._meta = meta
                tensor._offset = offset
                tensor._storage = storages[index]  # last: it says that the tensor is computed
            else:
                storage, start = rec.bases[-1 - index]
                tensor._meta = meta
                tensor._offset = offset + start // meta.dtype.itemsize
                tensor._storage = storage
        if self.families:
            frame = self.make_frame(rec, storages) if self.frame is not None else None
            spent = frame is not None and frame is self.spent_frame
            for family in self.families:
                if family.alone and (spent or family.flat is None):
                    family.join_alone(rec, frame)
                else:
                    family.join(rec, frame)
        for number, output, stale in self.restricted or ():
            restrict(handles[number], output, stale)
        if joins:
            for storage in storages:
                storage.recording = None
        rec.ran = True

    def part_imports(self, rec: Recording) -> None:
        """Copies saved memory that this very program overwrites: compiled code writes in place and
        takes different bases for different memory.
        """
        if not self.writes:
            return
        written = {id(rec.bases[base][0]) for base, _, _ in self.writes}
        for number in self.imported:
            storage, start = rec.bases[number]
            if id(storage) in written:
                dtype, extent = self.program.bases[number]
                rec.bases[number] = (snapshot(storage, start, extent * dtype.itemsize), 0)

    def sort_live(self, rec: Recording) -> None:
        """Leaves out the live tensors that stay as they are (most that were written in place), and
        tells the new results that need their storage alone from the others.
        """
        fresh: list[tuple[int, int]] = []
        others: list[tuple[int, int, Meta, int]] = []
        for number, index, meta, offset in self.live:
            tensor = rec.handles[number]
            if index < 0:
                storage, start = rec.bases[-1 - index]
                place = offset + start // meta.dtype.itemsize
                if tensor._storage is storage and (tensor._offset, tensor._meta) == (place, meta):
                    continue
            if (
                index >= 0
                and not offset
                and tensor._meta is meta
                and tensor._storage is None
                and not tensor._offset  # (asked of `__dict__`, it would be made)
            ):
                fresh.append((number, index))
            else:
                others.append((number, index, meta, offset))
        self.fresh, self.others = fresh, others
        self.plain = not (
            others
            or self.counted
            or self.families
            or self.restricted
            or self.rewritten
            or self.frame is not None
            or self.program.updates
        )

    @property
    def costs(self) -> Costs:
        if self._costs is None:
            self._costs = Costs(self.program)
        return self._costs

    def should_compile(self, rec: Recording) -> bool:
        if OPTIONS.sync or OPTIONS.executor == "reference":
            return False
        if any(dtype.is_complex for dtype in self.program.scalars):
            return False  # native programs know no complex run-time numbers
        if OPTIONS.executor == "compiled" or OPTIONS.always_compile:
            return True
        if self.runs >= OPTIONS.warm_up:
            if self.asked:
                return True
            return self.runs >= self.runs_to_wait()
        if self.runs:
            return False
        self.born = runs_so_far()
        hopeful = not EARLY.many
        self.early = EARLY.waits(self.program)
        if runs_that_pay(self.program) < (1.0 if self.early and hopeful else 0.5):
            return True
        if hopeful and not (self.first or OPTIONS.background):
            self.first = FIRST_STEPS.take(self.program, rec.state)
        return self.first

    def compile(self) -> Any:
        """The program as machine code; None where there is no room for more of that, or where it
        is still being made.
        """
        from flambeau.execute.cpu.target import NoRoomForCode
        from flambeau.record.native import NativeProgram

        # (What is heavy for the reference executor, and so is compiled before its first run, would
        # take longer there than the compiler takes.)
        beside = OPTIONS.background and self.runs and OPTIONS.executor == "auto"
        beside = beside and not OPTIONS.always_compile
        if beside and (self.pending is None or self.pending.lost()):
            self.pending = Pending(partial(NativeProgram, self.program))
        if beside and self.pending is not None and not self.pending.ready():
            return None
        start = time.perf_counter()
        if self.schedule is not None:
            self.schedule = None
            heap.give_back(self.program)
        try:
            pending, self.pending = self.pending, None
            self.compiled = NativeProgram(self.program) if pending is None else pending.result()
        except NoRoomForCode as reason:
            OPTIONS.executor = "reference"
            warnings.warn(f"New programs run in NumPy from now on: {reason}", stacklevel=2)
            return None
        STATISTICS.compiled_programs += 1
        self.due = self.runs + 1 + math.ceil(min(self.costs.pays, MANY_RUNS))
        STATISTICS.compile_seconds += time.perf_counter() - start
        return self.compiled

    def run_reference(self, rec: Recording, storages: list[Storage], computed: list[Any]) -> None:
        start = time.perf_counter()
        if self.schedule is None:
            self.schedule = reference.Schedule(self.program)
        if not self.joined and self.joins_kernels():
            from flambeau.execute.cpu.chains import join

            heap.keep()
            self.joined = join(self.schedule)
        if not self.run_whole(rec, storages, computed):
            self.run_steps(rec, storages, computed)
        spent = time.perf_counter() - start
        STATISTICS.reference_runs += 1
        STATISTICS.reference_events += self.depth
        STATISTICS.reference_seconds += spent

    def run_whole(self, rec: Recording, storages: list[Storage], computed: list[Any]) -> bool:
        """Runs all steps of the schedule at once; whether that could be done."""
        whole = self.schedule.whole
        updates = None if whole is None else whole.run(rec.bases, rec.scalars, storages)
        if updates is None:
            return False
        found: list[Any] = [0]
        for base, array in updates:
            (storage, offset), (dtype, extent) = rec.bases[base], self.program.bases[base]
            found.append((base_array(storage, offset, dtype, extent), array))
        computed += found
        return True

    def run_steps(self, rec: Recording, storages: list[Storage], computed: list[Any]) -> None:
        """Runs the steps of the schedule."""
        arrays = [
            base_array(storage, offset, dtype, extent)
            for (storage, offset), (dtype, extent) in zip(
                rec.bases, self.program.bases, strict=True
            )
        ]
        try:
            _, updates = self.schedule.compute(
                arrays,
                rec.scalars,
                shortcuts(self.schedule),
                [storage.array(v.dtype) for storage, v in zip(storages, self.program.results)],
            )
        except FoundNaN:
            raise reference.first_nan(self.program, arrays, rec.scalars) from None
        computed += [0, *[(arrays[base], array) for base, array in updates]]

    def joins_kernels(self) -> bool:
        """Whether the reference executor should go over to kernels for any lengths."""
        if OPTIONS.executor != "auto" or OPTIONS.sync:
            return False
        if EARLY.many:
            return self.costs.joins_pay(self.runs)
        if self.runs < JOINING_PAYS:
            return False
        return self.runs_to_wait() - self.runs >= JOINING_PAYS

    def runs_to_wait(self) -> float:
        """After how many runs in NumPy the program is compiled, as things are."""
        share = waiting_share(self.runs, runs_so_far() - self.born)
        return share * self.costs.pays if share else 0.0

    def part_frames(self) -> None:
        """From now on each run has a history of its own: hooks are put at that of the last one."""
        self.apart, self.spent_frame = True, None
        ERA[0] += 1  # what is known of flushes is not right any more

    def make_frame(self, rec: Recording, storages: list[Storage]) -> Any:
        spec = self.frame
        assert spec is not None
        if spec.spent and not self.apart:
            if self.spent_frame is None:
                self.spent_frame = Frame(spec.trace, {}, [], [], [], frozenset(spec.trace.freed))
                self.spent_frame.shared = weakref.WeakMethod(self.part_frames)
            return self.spent_frame
        saved: dict[Value, Saved] = {}

        def left_at(where: tuple[str, int]) -> tuple[Storage, int]:
            kind, index = where
            return (storages[index], 0) if kind == "result" else rec.bases[index]

        for value, where, strict, taken in spec.saved:
            storage, start = left_at(where)
            memory = storage if taken is None else left_at(taken)[0]
            of = None if taken is None else weakref.ref(memory)
            silent = None if strict else memory.silent
            saved[value] = Saved(storage, start, memory.version, silent, of)
        for value, now, then in spec.stale:
            gone = Storage(allocate(0))
            gone.version = now
            saved[value] = Saved(gone, 0, then, None)
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
            seen_by(tensor, frame, value, changes)
        return frame


def memory_of_results(program: Program) -> Results:
    return Results([v.size * v.dtype.itemsize for v in program.results])


def seen_by(tensor: Handle, frame: Frame, value: Value, changes: int) -> None:
    """Remembers that a tensor has entered a program with history: hooks that it gets later stand
    there too.
    """
    frames = tensor._frames
    if frames is None:
        frames = tensor._frames = []
    if len(frames) > 16:
        frames[:] = [entry for entry in frames if entry[0]() is not None]
    frames.append((weakref.ref(frame), value, changes))


def shortcuts(schedule: reference.Schedule) -> Any:
    """What the reference executor is given of the compiler's kernels."""
    if OPTIONS.sync or OPTIONS.executor == "reference" or not schedule.long:
        return None
    from flambeau.execute.cpu.shortcuts import Shortcuts

    return Shortcuts


def base_array(storage: Storage, offset: int, dtype: DType, extent: int) -> Any:
    """The elements of a program's base as a flat array in storage form."""
    room = (storage.buffer.nbytes - offset) // dtype.itemsize
    return storage.buffer.shown(min(extent, max(room, 0)), dtype.numpy, offset, None)
