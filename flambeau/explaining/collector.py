"""What is noted while a program runs: times by kind, programs, batches, new recordings.

Of the thread that began it every moment is of one kind (see KINDS); of others, batches and programs
are noted. Sums are exact, single spans are kept up to a limit, and the samples of kernels and of
stacks are few enough to cost a few per cent.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from threading import get_ident
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, NamedTuple

from flambeau.execute.cpu import bounds
from flambeau.explaining.bins import Bins
from flambeau.explaining.sampling import StackSampler
from flambeau.record.native import SAMPLED, NativeProgram
from flambeau.record.observing import Observer
from flambeau.record.plan import Plan
from flambeau.record.recording import Recording
from flambeau.record.statistics import STATISTICS
from flambeau.record.tree import State

if TYPE_CHECKING:
    from flambeau.execute.cpu.profile import SteppedRun

# loading a batch; Python between; compiling; compiled code; NumPy; not on a CPU
KINDS = ("data", "python", "compile", "run", "numpy", "wait")
MOST_SPANS = 60_000
TOGETHER = -2  # the `what` of spans that stand for many
MOST_PROGRAMS = 2_000
MOST_MISSES = 1_000
SAMPLES = 40  # of each program's kernels
SAMPLED_SHARE = 0.02  # of the time so far that taking them may cost
STEP_COST = 4e-6  # seconds that a step costs more in a run that is sampled
SHORTEST_WAIT = 2e-4  # seconds: less is the clock's doing
SIBLINGS = 32
# Note [Short steps]. To account for a flush costs NOTING seconds, which is much beside a step of
# 20 microseconds. So of short steps only bursts are accounted for one by one. Of those in between
# the collector is not told (`every_flush`): plans count their runs (see `_count_runs`), and the
# time comes from the sums that are kept anyway (see `_catch_up`). These time one run in so many of
# a small program (native.SAMPLED), and the collector is not told of the others (`every_run`).
NOTING, NOTED_SHARE = 30e-6, 0.01
BURST, FIRST_BURST, LONGEST_SKIP = 8, 200, 4_000


class Span(NamedTuple):
    """A stretch of time on a thread, in seconds since the start. `what` is a program's number."""

    start: float
    stop: float
    kind: str
    what: int = -1
    thread: int = 0
    name: str = ""


@dataclass
class Base:
    """Memory that a program reads or writes: what it is, and how much."""

    what: str
    nbytes: int
    storage: int
    shape: tuple[int, ...] = ()


@dataclass(eq=False)
class Seen:
    """A program that has run: how often, how long, and samples of its steps."""

    number: int
    plan: Plan | None = None
    state: State | None = None
    native: NativeProgram | None = None
    unseen: bool = False  # while flushes are only counted, it is not told of all runs
    runs: int = 0
    told: int = 0  # of these, the flushes that were accounted for, or counted from the plan
    before: int = 0  # what the plan's own count of runs is ahead of `told`
    seconds: float = 0.0  # in compiled code
    compiled_runs: int = 0
    timed_runs: int = 0  # of these, those that `seconds` is of until the end
    numpy_runs: int = 0
    numpy_seconds: float = 0.0
    compile_seconds: float = 0.0
    loading: int = 0  # runs while a batch was loaded
    first: float = 0.0
    samples: list[list[float]] = field(default_factory=list)
    stepped: SteppedRun | None = None
    bases: list[Base] = field(default_factory=list)


@dataclass
class Miss:
    """The first event of a recording that was new: where, what came there before, what now."""

    at: float
    before: State
    first: State
    last: State
    siblings: list[State]
    events: int = 1
    seconds: float = 0.0
    program: int = -1


@dataclass
class Batches:
    """What a data set has given."""

    count: int = 0
    samples: int = 0
    seconds: float = 0.0
    elsewhere: float = 0.0  # seconds on other threads


class Collector(Observer):
    """An observer that remembers."""

    def __init__(self, stacks: bool = True, kernels: bool = True) -> None:
        # Here, for it takes a while: what a run needs that is sampled.
        from flambeau.execute.cpu.profile import SteppedRun

        self.stepped = SteppedRun
        self.kernels = kernels
        self.began = perf_counter()
        self.thread = get_ident()
        self.kind, self.since, self.busy = "python", self.began, thread_time()
        self.seconds = dict.fromkeys(KINDS, 0.0)
        self.bins = Bins(KINDS)
        self.spans: list[Span] = []
        self.dropped = 0
        self.seen: dict[int, Seen] = {}
        self.by_native: dict[int, Seen] = {}
        self.other_programs = 0
        self.misses: list[Miss] = []
        self.missing: dict[int, Miss] = {}  # by thread: that of the recording under way
        self.new_recordings = 0
        self.batches: dict[str, Batches] = {}
        self.depth = 0
        self.sampling = 0.0
        self.steps = 0
        self.started_work = 0.0
        self.threads: dict[int, str] = {}
        self.ended = 0.0
        self.cpu = self.busy
        self.stacks = StackSampler(self) if stacks else None
        self.lock = threading.Lock()
        self.skip = False  # whether flushes are only counted, until about `resume_at`
        self.resume_at = 0.0
        self.burst = self.left = FIRST_BURST  # flushes to be accounted for before that
        self.burst_began = self.began
        self.skipped = False  # whether some may have been only counted since the last account
        self.loaded = 0.0  # seconds of loading among them
        self.accounted = spent()

    # ---- time ------------------------------------------------------------------------------------

    def start(self) -> None:
        for seen in self.seen.values():
            if seen.plan is not None:
                add_native_runs(seen.state)
                seen.before = seen.plan.runs - seen.told
        if self.stacks is not None:
            self.stacks.start()

    def stop(self) -> None:
        if self.stacks is not None:
            self.stacks.stop()
        self.resume()
        self._count_runs()
        if get_ident() == self.thread:
            self.switch("python")
        self.ended = perf_counter()

    @property
    def now(self) -> float:
        """Seconds since the start."""
        return perf_counter() - self.began

    def switch(self, kind: str, at: tuple[float, float] | None = None) -> None:
        """On the first thread: what comes now, or from `at` on (both clocks), is of another
        kind.
        """
        now, busy = at or (perf_counter(), thread_time())
        if self.skipped:
            self._catch_up(now, busy)
        passed = now - self.since
        if self.kind == "python":
            idle = passed - (busy - self.busy)
            if idle > SHORTEST_WAIT:
                # Where in between is not known: shown at the end.
                self._add("python", self.since, now - idle)
                self._add("wait", now - idle, now)
                passed = 0.0
        if passed > 0:
            self._add(self.kind, self.since, now)
        self.kind, self.since, self.busy = kind, now, busy

    def _catch_up(self, now: float, busy: float) -> None:
        """Accounts for a stretch of flushes that were only counted, as sums; see Note [Short
        steps].
        """
        sums = spent()
        compiling, running, numpy = (a - b for a, b in zip(sums, self.accounted))
        passed = now - self.since
        rest = max(passed - compiling - running - numpy - self.loaded, 0.0)
        idle = min(max(passed - (busy - self.busy), 0.0), rest)
        parts = (("data", self.loaded), ("python", rest - idle), ("compile", compiling),
                 ("numpy", numpy), ("run", running), ("wait", idle))  # fmt: skip
        at = self.since
        for kind, seconds in parts:
            stop = min(at + seconds, now)
            self._add(kind, at, stop, TOGETHER)
            at = stop
        self.skipped, self.loaded, self.accounted = False, 0.0, sums
        self.since, self.busy = now, busy

    def _plan_skip(self) -> None:
        """After a burst: how long flushes are counted only, so that noting costs little."""
        now = perf_counter()
        each = (now - self.burst_began) / max(self.burst, 1)
        count = int(NOTING / (NOTED_SHARE * max(each, 1e-6)))
        self.burst, self.left = BURST, BURST
        self.burst_began = now
        if count > 1 and self.stacks is not None and self.stacks.active:
            self.resume_at = now + min(BURST * count, LONGEST_SKIP) * each
            self.skip, self.skipped, self.every_run = True, True, False
            # Of other threads it is told all the time, once they are known.
            self.every_flush = bool(self.threads)

    def resume(self) -> None:
        """Flushes are accounted for from now on. The sampler calls this when it is time to."""
        if self.skip:
            self.skip, self.every_run, self.every_flush = False, True, True
            self.burst_began = perf_counter()

    def planned(self, plan: Plan, rec: Recording) -> None:
        if get_ident() == self.thread:
            self.resume()
        self._seen(plan, rec.state, rec)

    def _count_runs(self) -> None:
        """Adds the runs that plans have counted and this was not told of."""
        for seen in self.seen.values():
            if seen.plan is not None:
                add_native_runs(seen.state)
                untold = seen.plan.runs - seen.before - seen.told
                seen.told += untold
                seen.runs += untold
                seen.compiled_runs += untold if seen.unseen else 0

    def _add(self, kind: str, start: float, stop: float, what: int = -1, name: str = "") -> None:
        if stop <= start:
            return
        self.seconds[kind] += stop - start
        start, stop = start - self.began, stop - self.began
        self.bins.add(kind, start, stop)
        self.keep(Span(start, stop, kind, what, 0, name))

    def keep(self, span: Span) -> None:
        if len(self.spans) < MOST_SPANS:
            self.spans.append(span)
        else:
            self.dropped += 1

    # ---- programs --------------------------------------------------------------------------------

    def flushing(self, rec: Recording, run: Callable[[Recording], Plan | None]) -> Plan | None:
        state = rec.state
        if state.parent is None:
            return run(rec)
        here = get_ident()
        main = here == self.thread
        if main and self.skip:  # while a batch is loaded, or there are other threads
            plan = run(rec)
            seen = self.seen.get(id(plan))
            if seen is not None and self.kind == "data":
                seen.loading += 1
            return plan
        miss = self.missing.pop(here, None)
        self.depth += 1
        if main and self.skipped and self.kind == "python":
            self.switch("python")
        before = spent()
        start, busy = perf_counter(), thread_time()
        try:
            plan = run(rec)
        finally:
            self.depth -= 1
        stop = perf_counter()
        compiling, running, numpy = (now - then for now, then in zip(spent(), before))
        seen = self._seen(plan, state, rec, 1) if plan is not None else None
        if seen is not None:
            seen.runs += 1
            seen.told += 1
            seen.compile_seconds += compiling
            seen.numpy_seconds += numpy
            seen.numpy_runs += numpy > 0
            seen.loading += main and self.kind == "data"
            seen.compiled_runs += seen.unseen and self.skip
            if miss is not None:
                miss.program = seen.number
        number = -1 if seen is None else seen.number
        self._account(main, (start, busy), stop, compiling, running, numpy, number)
        if main and not self.depth and self.kind == "python":
            self._noted(0.0)
        return plan

    def _noted(self, running: float) -> None:
        """One of a burst is accounted for, with seconds of running that are in no sum yet."""
        compiled, run, numpy = spent()
        self.accounted = compiled, run + running, numpy
        self.left -= 1
        if self.left <= 0:
            self._plan_skip()

    def _account(
        self, main: bool, began: tuple[float, float], stop: float, compiling: float, running: float,
        numpy: float, number: int,
    ) -> None:  # fmt: skip
        start = began[0]
        if not main:
            name = self.threads.setdefault(get_ident(), threading.current_thread().name)
            lane = list(self.threads.values()).index(name) + 1
            self.keep(Span(start - self.began, stop - self.began, "run", number, lane))
            return
        if not self.started_work:
            self.started_work = start
        if self.depth:
            return
        if self.kind != "python":  # a part of what is under way: loading a batch
            if compiling:
                kind = self.kind
                self.switch(kind, began)
                done = stop - running - numpy
                self._add(kind, start, done - compiling)
                self._add("compile", done - compiling, done, number)
                self.kind, self.since, self.busy = kind, done, thread_time()
            return
        self.switch("run", began)
        edges = stop - running - numpy, stop - running
        self._add("python", start, edges[0] - compiling)
        self._add("compile", edges[0] - compiling, edges[0], number)
        self._add("numpy", edges[0], edges[1], number)
        self._add("run", edges[1], stop, number)
        self.kind, self.since, self.busy = "python", stop, thread_time()
        self.bins.remember_memory(stop - self.began)

    def _seen(self, plan: Plan, state: State, rec: Recording, ran: int = 0) -> Seen | None:
        """What is kept of a plan, which has run `ran` times since it was first told of."""
        found = self.seen.get(id(plan))
        if found is None:
            if len(self.seen) >= MOST_PROGRAMS:
                self.other_programs += 1
                return None
            found = self.seen[id(plan)] = Seen(len(self.seen), plan, state, first=self.now)
            found.bases = described(rec, plan)
            add_native_runs(state)
            found.before = plan.runs - ran
        native = plan.compiled
        if native is not None and found.native is None:
            found.native, found.unseen = native, native.alone
            known = self.by_native.get(id(native))
            if known is not None and known is not found:
                found.seconds, found.samples = known.seconds, known.samples
                found.compiled_runs, found.stepped = known.compiled_runs, known.stepped
                found.timed_runs = known.timed_runs
            self.by_native[id(native)] = found
        return found

    def running(self, native: NativeProgram, table: Any) -> int:
        found = self.by_native.get(id(native))
        if found is None:
            if len(self.by_native) >= MOST_PROGRAMS:
                return native.run_table(table)
            found = self.by_native[id(native)] = Seen(-1, native=native, first=self.now)
        if self.skip and (len(found.samples) >= 3 or not self.kernels):
            # Of small programs' runs this is told of a few, and the plan counts them all.
            found.compiled_runs += not native.alone
            return native.run_table(table)
        found.compiled_runs += 1
        found.timed_runs += 1
        start = perf_counter()
        if self._due(found, start):
            if found.stepped is None:
                found.stepped = self.stepped(native.compiled)
            code, seconds = found.stepped.run(table)
            if not code:
                found.samples.append(seconds)
            passed = perf_counter() - start
            self.sampling += STEP_COST * len(seconds)
        else:
            code = native.run_table(table)
            passed = perf_counter() - start
        found.seconds += passed
        return code

    def calling(self, native: NativeProgram, table: Any) -> int:
        found = self.by_native.get(id(native))
        if self.skip and found is not None and get_ident() == self.thread:
            count = SAMPLED if native.alone else 1  # it stands for those that this is not told of
            found.compiled_runs += count
            found.runs += count if found.plan is not None else 0
            return native.run_table(table)
        self.resume()
        start, busy = perf_counter(), thread_time()
        code = self.running(native, table)
        passed = perf_counter() - start
        found = self.by_native.get(id(native))
        if found is not None:
            found.runs += found.plan is not None
        number = -1 if found is None else found.number
        main = get_ident() == self.thread
        self._account(main, (start, busy), start + passed, 0.0, passed, 0.0, number)
        if main and self.kind == "python":
            self._noted(passed)
        return code

    def _due(self, seen: Seen, now: float) -> bool:
        """Whether the steps of this run are timed one by one: those of the first runs but one, then
        ever fewer, while all of it costs little.
        """
        runs, taken = seen.compiled_runs, len(seen.samples)
        if not self.kernels or runs < 2 or taken >= SAMPLES or bounds.switched_on():
            return False
        if runs > 2 and self.sampling > SAMPLED_SHARE * (now - self.began):
            return False
        return runs < 12 or runs % (1 << (runs.bit_length() - 4)) == 0

    def programs(self) -> list[Seen]:
        """All that have run, the longest first."""
        found = {id(s): s for s in (*self.seen.values(), *self.by_native.values())}
        alone = [s for s in found.values() if s.plan is None and s.native is not None]
        known = {id(s.native) for s in found.values() if s.plan is not None}
        merged = [s for s in found.values() if s.plan is not None]
        merged += [s for s in alone if id(s.native) not in known]
        for number, one in enumerate(s for s in merged if s.number < 0):
            one.number = len(self.seen) + number
            one.runs = one.runs or one.compiled_runs
        for one in merged:
            if 0 < one.timed_runs < one.compiled_runs:
                one.seconds *= one.compiled_runs / one.timed_runs
                one.timed_runs = one.compiled_runs
        return sorted(merged, key=lambda s: -(s.seconds + s.numpy_seconds))

    # ---- new recordings --------------------------------------------------------------------------

    def missed(self, before: State, after: State, seconds: float) -> None:
        here = get_ident()
        if here == self.thread:
            self.resume()
        known = self.missing.get(here)
        if known is not None and known.last is before:
            known.events += 1
            known.seconds += seconds
            known.last = after
            return
        self.new_recordings += 1
        siblings = [s for s in list(before.next.values())[-SIBLINGS - 1 :] if s is not after]
        miss = Miss(self.now, before, after, after, siblings, 1, seconds)
        self.missing[here] = miss
        if len(self.misses) < MOST_MISSES:
            self.misses.append(miss)

    # ---- data ------------------------------------------------------------------------------------

    def loading(self, advance: Callable[[], Any]) -> Any:
        if get_ident() != self.thread or self.kind != "python":
            return advance()
        self.steps += 1
        if self.skip:
            return self._load_lightly(advance)
        if not self.started_work:
            self.started_work = perf_counter()
        self.switch("data")
        try:
            return advance()
        finally:
            self.switch("python")

    def _load_lightly(self, advance: Callable[[], Any]) -> Any:
        """A batch of which only the time is noted."""
        self.skipped = self.every_flush = True
        self.kind = "data"
        start = perf_counter()
        try:
            return advance()
        finally:
            # Where something was accounted for in between, that has been added already.
            if self.skipped:
                self.loaded += perf_counter() - start
            if self.skip:
                self.every_flush = bool(self.threads)
            self.kind = "python"

    def fetching(self, dataset: Any, indices: Any, fetch: Callable[[Any], Any]) -> Any:
        start = perf_counter()
        try:
            return fetch(indices)
        finally:
            stop = perf_counter()
            here = get_ident()
            with self.lock:
                batches = self.batches.setdefault(type(dataset).__qualname__, Batches())
                batches.count += 1
                batches.samples += len(indices) if hasattr(indices, "__len__") else 1
                batches.seconds += stop - start
                if here != self.thread:
                    batches.elsewhere += stop - start
                    name = self.threads.setdefault(here, threading.current_thread().name)
                    lane = list(self.threads.values()).index(name) + 1
                    span = Span(start - self.began, stop - self.began, "data", -1, lane)
                    self.keep(span)


def add_native_runs(state: State | None) -> None:
    """Has the plan of a place in the tree count the runs that were native calls, too."""
    if state is not None and state.known is not None:
        state.known.used()


def spent() -> tuple[float, float, float]:
    """Seconds until now in the compiler, in compiled code and in NumPy."""
    s = STATISTICS
    return s.compile_seconds, s.compiled_seconds, s.reference_seconds


def described(rec: Recording, plan: Plan) -> list[Base]:
    """What lies behind a program's bases."""
    entered: dict[int, Any] = {}
    for handle in rec.handles:
        storage = getattr(handle, "_storage", None)
        if storage is not None and handle._meta is not None:
            known = entered.get(id(storage))
            if known is None or handle._meta.numel > known.numel:
                entered[id(storage)] = handle._meta
    found = []
    for (storage, _), (dtype, extent) in zip(rec.bases, plan.program.bases):
        meta = entered.get(id(storage))
        if dtype.name == "uint32" and extent < 1000:
            what = "generator state"
        elif meta is not None and meta.requires_grad and meta.is_leaf:
            what = f"parameter {dtype.name}{list(meta.shape)}"
        else:
            what = f"{dtype.name}{list(meta.shape) if meta is not None else [extent]}"
        shape = (extent,) if meta is None else tuple(meta.shape)
        found.append(Base(what, extent * dtype.itemsize, id(storage), shape))
    return found
