"""What is recorded and has not run: a recording, the thread it belongs to, and its trace."""

from __future__ import annotations

import threading
import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.record.events import step
from flambeau.record.storage import Storage
from flambeau.record.trace import Trace
from flambeau.record.tree import State

if TYPE_CHECKING:
    from flambeau.record.handle import Handle


class Flushed(Exception):
    """The recording was flushed before the event was recorded: record it again."""

    def again(self, event: Any) -> Any:
        return event()


class Fronted(Flushed):
    """The new recording begins with `tensor`, which lies in front of another over its storage."""

    def __init__(self, tensor: Handle) -> None:
        super().__init__()
        self.tensor = tensor


class Recording:
    """The events since the last flush, as one thread sees them."""

    __slots__ = (
        "__weakref__",
        "bases",
        "cuts",
        "done",
        "failed",
        "frames",
        "handles",
        "nodes",
        "plan",
        "ran",
        "scalars",
        "state",
        "taken",
        "trace",
        "work",
    )

    def __init__(self, state: State) -> None:
        self.state = state
        self.handles: list[Any] = []
        self.bases: list[tuple[Storage, int]] = []  # the storage and a byte offset
        self.scalars: list[Any] = []
        self.frames: Any = ()  # (frame, value) of each history input; a list once there is one
        self.cuts: Any = ()  # the Python code at each cut; a list once there is one
        self.trace: Trace | None = None
        self.plan: Any = None  # what its flush has run
        self.nodes: Any = None  # its backward functions, where somebody has asked for them
        self.taken = False  # it runs, or has run
        self.done = False
        self.ran = False  # all that it was to do is done
        self.failed = False  # it has not done what its last events say


# By grad mode; by (grad mode, policy, again) under autocast, or where values are computed again.
ROOTS: dict[Any, State] = {True: State(None, True), False: State(None, False)}


class Threads:
    """Whether more than one thread has recorded so far."""

    first = True
    several = False


THREADS = Threads()


# Grows when a thread begins, or has another arena: native code knows these by address.
ERA = np.zeros(1, np.int64)


class Local(threading.local):
    """Per thread: the recording under way, and the modes."""

    def __init__(self) -> None:
        ERA[0] += 1
        THREADS.several, THREADS.first = not THREADS.first, False
        self.rec = Recording(ROOTS[True])
        self.root = ROOTS[True]  # where a recording begins in these modes
        self.grad_mode = True
        self.autocast: Any = None  # the policy under autocast
        self.again = False  # whether what is recorded is computed again on the way back
        self.inference = False
        self.capture: Any = None  # what a compiled function under way collects
        # The recording that goes op by op, if it is under way still (a weak reference).
        self.apart: weakref.ref[Recording] | None = None
        # The recording in which what lies in memory that has entered is an alias (the same).
        self.whole: weakref.ref[Recording] | None = None
        self.levels: Any = ()  # the calls of vmap under way: nothing may run now


LOCAL = Local()
DEAD = State(State(None, None), None)  # where another thread leaves a recording it had to run
DEAD.ended = True


class Closed:
    """Stands where the lists of a recording were that another thread has taken to run it.

    Its own thread may be about to add an event: that event goes into a new recording. Nothing
    stands in it.
    """

    def __len__(self) -> int:
        return 0

    def __iadd__(self, more: Any) -> Any:
        if LOCAL.rec.handles is CLOSED:
            LOCAL.rec = Recording(LOCAL.root)
        raise Flushed

    append = __iadd__

    def __getitem__(self, place: int | slice) -> Any:
        return [] if isinstance(place, slice) else None

    def __iter__(self) -> Iterator[Any]:
        return iter(())


CLOSED: Any = Closed()


def root_state() -> State:
    """Where a recording begins in the modes of this thread."""
    return LOCAL.root


def root_of(grad_mode: bool, autocast: Any, again: bool) -> State:
    if autocast is None and not again:
        return ROOTS[grad_mode]
    key = (grad_mode, autocast, again)
    return ROOTS.get(key) or ROOTS.setdefault(key, State(None, key))


def trace_of(rec: Recording) -> Trace:
    """The trace at the recording's state: the one at hand, or the path's keys replayed.

    The one at hand is of another state after an interrupt between the two moves, and where another
    thread has found the next states first. Raises Flushed where another thread has taken it.
    """
    trace, state = rec.trace, rec.state
    if state is DEAD:
        raise Flushed
    if trace is None or trace.state is not state:
        trace = retrace(state)
        rec.trace = trace
    return trace


def retrace(state: State) -> Trace:
    root = state
    while root.parent is not None:
        root = root.parent
    modes = root.key if isinstance(root.key, tuple) else (root.key, None, False)
    trace = Trace(bool(modes[0]))
    trace.autocast = modes[1]
    trace.spans.set(modes[2])
    for key in state.path():
        step(trace, key)
        trace.take_changes()
    trace.state = state
    return trace
