"""Flushes: what a thread has recorded runs, or what another has of which a tensor is wanted."""

from __future__ import annotations

import itertools
import os
import threading
import time
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.interrupts import is_interrupt
from flambeau.graph.batching import Unbatched
from flambeau.record import words
from flambeau.record.handle import Handle
from flambeau.record.observing import WATCH
from flambeau.record.options import OPTIONS
from flambeau.record.plan import Plan, getrefcount
from flambeau.record.planning import make_plan
from flambeau.record.recording import (
    CLOSED,
    DEAD,
    LOCAL,
    THREADS,
    Flushed,
    Recording,
    trace_of,
)
from flambeau.record.rescue import NO_MEMORY, located, rescue
from flambeau.record.statistics import STATISTICS
from flambeau.record.storage import DEAD_COUNT, Storage, no_memory
from flambeau.record.tree import State
from flambeau.record.worth import EARLY

if TYPE_CHECKING:
    from flambeau.record.cards import Card

new = object.__new__
_settling = threading.RLock()


def settling() -> threading.RLock:
    """The lock under which plans run: one thread at a time."""
    return _settling


def _after_fork() -> None:
    """The thread that held the lock does not exist in the child."""
    global _settling
    _settling = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
_ticks = itertools.count(1)


def flush() -> None:
    """Runs what this thread has recorded; every live tensor has its data afterwards."""
    here = LOCAL.__dict__  # a name of LOCAL itself takes as long as seven of a dictionary
    rec = here["rec"]
    state = rec.state
    if state.parent is None:
        return
    if here["levels"]:
        raise Unbatched
    known, refused = state.known, 0
    observer = WATCH.observer
    if known is not None and (observer is None or not observer.every_flush):
        following: Any = False
        card = known.card
        if card is not None:
            if card.shared or THREADS.several:
                following = _replayed(known, card, rec)
            else:
                following = known.replay(card.address, rec, _settling, here["root"])
        if following is False and known.other is not None and known.other.card is not None:
            card = known.other.card
            following = _replayed(known, card, rec)
        if following:
            if here["rec"] is rec:  # and no finalizer has recorded anything
                here["rec"] = following
            return
        if following is None:
            refused = card.code()
    LOCAL.rec = Recording(LOCAL.root)
    with _settling:
        if rec.taken:
            return  # another thread has run it
        rec.taken = True
        try:
            run_recording(rec, refused)
        except BaseException:
            set_aside(rec)
            raise
        finally:
            if rec.taken:
                # An operation further up the stack that was about to add to it starts again.
                rec.handles = rec.bases = rec.scalars = CLOSED
                rec.frames = rec.cuts = ()
                rec.state = DEAD
                rec.trace = None
                rec.done = True


def _replayed(known: Known, card: Card, rec: Recording) -> Any:
    """What the native call gives (see `replay`); False where it may not be made."""
    if THREADS.several:
        _settle_readers(known.plan, rec)
    if not card.shared:
        return known.replay(card.address, rec, _settling, LOCAL.root)
    if WATCH.observer is not None:
        return False  # who is told of runs that take long
    with _settling:
        return known.replay(card.address, rec, _settling, LOCAL.root)


def end_step() -> None:
    """Says that a training step ends here: the next op starts a new recording."""
    rec = LOCAL.rec
    if (
        rec.state.ops
    ):  # (an op that was refused may have left what entered for it, which ends nothing)
        rec.state.ended = True


MANY_PLANS = 64


def part_new() -> None:
    """Between parts of a step, of which the next is the same in all steps: where steps are ever new
    (batches of other lengths), what was recorded runs, so that at least the next part is known.
    """
    rec = LOCAL.rec
    if LOCAL.capture is not None or not rec.state.ops:
        return  # a function under compilation
    if rec.trace is not None:
        again = ever_new()
    else:  # a path that is known: what has run up to here is better known than all together
        again = EARLY.many and any(plan.runs < OPTIONS.settled for plan in rec.state.plans.values())
    if again:
        flush()


def ever_new() -> bool:
    """Whether steps have been new so often that the next new one will hardly come back."""
    return EARLY.many or STATISTICS.plans >= MANY_PLANS


def settle_other(other: Recording) -> None:
    """Another thread's pending recording has to run before this thread can see its tensors."""
    for _ in range(1000):
        if other.taken or whole(other):
            break
        time.sleep(1e-4)  # its thread is in the middle of an operation
    with _settling:
        if other.taken:
            return  # it has run, or is under way further up the stack
        work = new(Recording)
        # Nothing is called from here on: the thread that records goes on in between.
        work.state = other.state
        work.handles, work.bases, work.scalars = other.handles, other.bases, other.scalars
        work.frames, work.cuts, work.trace = other.frames, other.cuts, other.trace
        work.nodes = other.nodes
        other.taken = True
        other.handles = other.bases = other.scalars = CLOSED
        other.state = DEAD
        other.trace = None
        work.taken, work.ran, work.failed, work.plan = True, False, False, None
        work.done = False  # (other threads find it at storages that are being handed out)
        try:
            run_recording(work)
        except BaseException:
            set_aside(work)
            raise
        finally:
            other.failed = work.failed
            other.plan = work.plan
            work.done = True
            if work.taken:
                other.done = True
            else:
                other.handles, other.bases, other.scalars = work.handles, work.bases, work.scalars
                other.frames, other.cuts = work.frames, work.cuts
                other.state = work.state
                other.taken = False


def settle_elsewhere(tensor: Handle) -> None:
    """Runs what another thread has recorded of a tensor, or of the memory that it shows."""
    storage = tensor._storage
    other = tensor._rec if storage is None else storage.recording
    if other is not None and other is not LOCAL.rec and not other.done:
        settle_other(other)


def settle_readers(storage: Storage, writer: Recording | None = None) -> None:
    """Runs the passes that read the memory as saved, before somebody outside, or a program of
    another recording (also of another thread, which is run here), writes there. The `writer` itself
    gets a copy of what it reads.
    """
    for rec in storage.readers:
        if rec is writer:
            continue
        if rec is LOCAL.rec:
            flush()
        elif not rec.done:
            settle_other(rec)
    storage.readers = tuple([rec for rec in storage.readers if not rec.done])


def _settle_readers(plan: Plan, rec: Recording) -> None:
    """Runs passes of other recordings that read, as saved, what a plan is about to overwrite."""
    for base, _, _ in plan.writes:
        storage = rec.bases[base][0]
        if storage.readers:
            settle_readers(storage, rec)


class Shown(Flushed):
    """A view of memory that NumPy sees is made at once: a view of that very memory."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage

    def again(self, event: Any) -> Any:
        return write_exposed([self.storage], event)


def write_exposed(storages: list[Storage], write: Any) -> Any:
    """NumPy must see the write when the statement ends: the event runs alone, at once."""
    flush()
    for storage in storages:
        storage.exposed = False
    try:
        try:
            return write()
        finally:  # after an error too: nothing that has entered may stay in the recording
            rec = LOCAL.rec
            flush()
    except BaseException as error:
        if not (rec.done or rec.taken):  # set aside: it must not write later behind NumPy's back
            fail(rec, error)
            rec.done = True
        raise
    finally:
        for storage in storages:
            storage.exposed = True


def set_aside(rec: Recording) -> None:
    """After an interrupt before anything was changed: it runs when one of its tensors is needed."""
    if rec.ran or rec.failed:
        return
    begin_again(rec)
    rec.taken = False


def begin_again(rec: Recording) -> None:
    """Forgets what was made for a run that has come to nothing: it may be half made."""
    rec.trace = rec.state.trace = rec.plan = None


def run_recording(rec: Recording, refused: int = 0) -> Plan | None:
    """Runs what has been recorded; the plan that did. After an exception that leaves a recording
    neither run nor failed, an interrupt, nothing has happened.

    `refused`: what the known plan's program has refused its data with, where it has run.
    """
    observer = WATCH.observer
    if observer is None or not observer.every_flush:
        return _run(rec, refused)
    return observer.flushing(rec, _run)


def _attempt(rec: Recording, refused: int) -> None:
    state = rec.state
    # As `whole` says.
    lengths = len(rec.bases), len(rec.scalars), len(rec.frames), len(rec.cuts)
    if lengths != state.lengths or len(rec.handles) != state.count:
        raise Interrupted("an exception in the middle of an operation has cut it short")
    if state.parent is None:
        return
    known, handles = state.known, rec.handles
    found = None
    if known is not None and handles.__class__ is list:
        found = known.of_two(handles)
    if found is not None:
        known = found
        plan = rec.plan = known.plan
        known.worked = True
        if known.card is not None:
            plan.runs += known.card.runs()
        if refused:
            plan.compiled.explain(rec, refused)
    else:
        counts = tuple(map(getrefcount, handles))
        plan = rec.plan = state.plans.get(counts) or find_plan(rec, counts)
        if plan.compiled is not None:
            know(state, plan, counts)
    if THREADS.several:
        _settle_readers(plan, rec)
    plan.run(rec)
    if known is not None and known.plan is plan:
        known.seal(state)
    elif plan.first and plan.runs == 1 and plan.compiled is not None:  # it comes back
        know(state, plan, counts)


def _attempt_again(rec: Recording) -> None:
    """After a MemoryError: with what plans keep given back there may be enough."""
    if rec.ran:
        return  # it was about what makes the next run quicker
    from flambeau.record.shortage import give_back

    give_back()
    begin_again(rec)
    _attempt(rec, 0)


def _run(rec: Recording, refused: int = 0) -> Plan | None:
    rec.state.tick = next(_ticks)
    try:
        short = False
        try:
            _attempt(rec, refused)
        except NO_MEMORY:
            short = True
        if short:  # (not before the exception has gone, which holds what it has passed)
            _attempt_again(rec)
    except Interrupted as error:
        fail(rec, error)
    except NO_MEMORY as error:
        reason = no_memory(getattr(error, "_total_size", None))
        reason.__dict__["node"] = error.__dict__.get("node")
        raise failed(rec, reason) from None
    except Exception as error:
        if rec.ran or is_interrupt(error):
            raise
        found = failed(rec, error)
        if found is error:
            raise
        raise found from None
    ran: Plan | None = rec.plan
    return ran


class Known:
    """The plan of a flush and which tensors were held, as words of memory: they are compared in one
    native call. By how many does not matter: a weight is held by the history of all steps. `other`
    is the one before it: tensors of earlier steps are held or not.
    """

    PATIENCE = 16  # that nothing came of, one after another; then ever fewer are made
    CARDS = 64  # that were of little use; after that many, a place's flushes stay in Python
    OFTEN = 16  # runs of a card that has been of use

    __slots__ = (
        *("address", "card", "held_as", "made", "misses", "other", "plan", "replay"),
        *("words", "worked"),
    )

    def __init__(self, held_as: Any, plan: Plan, counts: tuple[int, ...]) -> None:
        from flambeau.record import cards, replay  # noqa: F401 (`seal` needs the first)

        self.held_as = held_as
        self.replay = replay.native()
        self.misses = self.made = 0
        self.worked = False
        self.card: Card | None = None
        self.other: Known | None = None
        self.words = _in_words(counts)
        self.address = address_of(self.words)
        self.plan = plan

    def of_two(self, handles: list[Any]) -> Known | None:
        """This, or the one before it, as tensors are held now; None where it is another way."""
        if self.held_as(handles, self.address):
            return self
        other = self.other
        if other is not None and self.held_as(handles, other.address):
            return other
        return None

    def used(self) -> bool:
        """Whether native code has run the plan since this was last asked, or since Python has."""
        runs = 0 if self.card is None else self.card.runs()
        self.plan.runs += runs
        return (self.other is not None and self.other.used()) or runs > 0

    def following(self, plan: Plan, counts: tuple[int, ...]) -> Known | None:
        """What comes in its place; None where it is not worth it."""
        other = self.other
        if other is not None and other.plan is plan:
            self.other = None
        else:
            worked = self.worked or (self.card is not None and self.card.ran_often(1))
            self.misses = 0 if worked else self.misses + 1
            if self.misses > self.PATIENCE and self.misses & (self.misses - 1):
                return None
            self.other = None
            other = Known(self.held_as, plan, counts)
            other.misses, other.made = self.misses, self.made
        other.other = self
        return other

    def seal(self, state: State) -> None:
        """Lets flushes be native calls, where they can be; after a run of the plan."""
        card, plan = self.card, self.plan
        if (card is None or card.stale(plan)) and self.replay is not None:
            from flambeau.record import cards

            if card is not None:
                self.used()
                self.made += not card.ran_often(self.OFTEN)
            self.card = None
            if self.made < self.CARDS and cards.replayable(plan):
                self.card = cards.Card(state, plan, self.words)


def _in_words(counts: tuple[int, ...]) -> Any:
    return np.array([len(counts), *[count == DEAD_COUNT for count in counts]], np.int64)


def know(state: State, plan: Plan, counts: tuple[int, ...]) -> None:
    """Remembers the plan of a flush, where the interpreter lets native code see counts."""
    if state.known is not None:
        following = state.known.following(plan, counts)
    else:
        native = words.native()
        if native is None:
            return
        from flambeau.record import recorder

        recorder.use_native_calls()
        following = Known(native.held_as, plan, counts)
    if following is not None:
        state.known = following  # last, and whole: another thread may be at it


def failed(rec: Recording, error: Exception) -> Exception:
    """Makes the best of a program that has failed; the error to raise."""
    rec.failed = True
    located(rec.state, error)
    found, later = rescue(rec, error)
    if later is None:
        fail(rec, found)
    else:
        fail(rec, found, later.state.count)
        keep_first(rec, later)
    return found


def keep_first(rec: Recording, part: Recording) -> None:
    """Makes a recording that has not run its first part, which may run when it is needed."""
    rec.handles, rec.bases, rec.scalars = part.handles, part.bases, part.scalars
    rec.frames, rec.cuts = part.frames, part.cuts
    rec.state = part.state
    rec.failed = False


class Interrupted(Exception):
    """A recording that is not whole."""


def whole(rec: Recording) -> bool:
    """Whether the recording has all that its events have brought."""
    lengths = len(rec.bases), len(rec.scalars), len(rec.frames), len(rec.cuts)
    return len(rec.handles) == rec.state.count and lengths == rec.state.lengths


def fail(rec: Recording, error: BaseException, first: int = 0) -> None:
    """Tensors that a failed program was to compute, from number `first` on, say why when they are
    used. A gradient that was to be made is none.
    """
    rec.failed = True
    for tensor in rec.handles[first:]:
        if tensor._storage is None:
            tensor._failure = f"{type(error).__name__}: {error}"
    for tensor in rec.handles:
        if tensor._grad is not None and getattr(tensor._grad, "_failure", None):
            tensor._grad = None


def find_plan(rec: Recording, counts: tuple[int, ...]) -> Plan:
    """The plan for these live tensors, made if need be."""

    state = rec.state
    live = tuple(n for n, count in enumerate(counts) if count > DEAD_COUNT)
    plan = state.plans.get(("live", live))
    if plan is None:
        trace = state.trace
        if trace is None:
            trace = state.trace = trace_of(rec)
        plan = make_plan(trace, live, state.depth)
        state.plans["live", live] = plan
        STATISTICS.plans += 1
        if WATCH.observer is not None:
            WATCH.observer.planned(plan, rec)
    if len(state.plans) > 256:
        state.plans = {"live": plan}
    state.plans[counts] = plan
    return plan
