"""What a failed program leaves: all that was recorded before the op whose data were bad.

PyTorch has computed those tensors, written that memory and drawn those random numbers by the time
the op raises; a program that fails has done none of it. So the part of the recording before the op
runs by itself. What was recorded from the op on stays uncomputed.
"""

from __future__ import annotations

import bisect

from flambeau.core.errors import FoundNaN
from flambeau.record.explaining import add_hint
from flambeau.record.planning import make_plan
from flambeau.record.recording import Recording, trace_of
from flambeau.record.tree import State

# (The second is what NumPy says where it finds no memory for a number.)
NO_MEMORY = (MemoryError, SystemError)
MUCH = 1 << 20  # bytes


def failed_event(state: State, error: Exception) -> State | None:
    """The state after the event whose op raised the error, if that can be told."""
    node, trace = error.__dict__.get("node"), state.trace
    if node is None or trace is None:
        return None
    events = state.events()
    number = bisect.bisect(trace.marks, node.order)
    return events[number - 1] if 0 < number <= len(events) else None


def is_shortage(error: Exception) -> bool:
    """Whether an error says that there is no memory."""
    return isinstance(error, NO_MEMORY) or "short_of_memory" in error.__dict__


def _greediest_event(rec: Recording) -> State | None:
    """The first state after an event that makes as much memory as any: where PyTorch would have
    found that there is too little, as far as can be told of a program that takes its memory at
    once. None where no event makes much: others have taken the memory, and may give it back.
    """
    most, number = MUCH - 1, -1
    for tensor in trace_of(rec).tensors:
        storage = tensor.storage
        nbytes = storage.size * storage.dtype.itemsize
        if storage.base is None and nbytes > most:
            most, number = nbytes, tensor.number
    return next((state for state in rec.state.events() if state.count > number >= 0), None)


def located(state: State, error: Exception) -> Exception:
    """The error, with a line that says where the program recorded the op that has failed."""
    if isinstance(error, FoundNaN):
        from flambeau.record.watching import said_of

        return said_of(state, error)
    message = error.args[0] if len(error.args) == 1 else None
    event = failed_event(state, error)
    if event is not None and event.place is not None and isinstance(message, str):
        error.args = (f"{message}\n(first recorded at {event.place})",)
        add_hint(error, str(event.key[0].name), [])
    return error


def rescue(rec: Recording, error: Exception) -> tuple[Exception, Recording | None]:
    """Runs what was recorded before the event that failed; the error to raise, and what has not run
    for want of memory and may later.

    The error is another one where an earlier event fails too: PyTorch would have come no further.
    """
    event = failed_event(rec.state, error)
    if is_shortage(error):
        greediest = _greediest_event(rec)
        if greediest is None:
            return error, rec
        event = event or greediest
    if event is None or event.parent is None or event.parent.parent is None:
        return error, None
    state = event.parent
    bases, scalars, frames, cuts = state.lengths
    part = Recording(state)
    part.handles = rec.handles[: state.count]
    part.bases, part.scalars = rec.bases[:bases], rec.scalars[:scalars]
    part.frames, part.cuts = list(rec.frames[:frames]), list(rec.cuts[:cuts])
    part.nodes = rec.nodes
    state.trace = trace_of(part)
    try:
        make_plan(state.trace, tuple(range(state.count)), state.depth).run(part)
    except Exception as earlier:
        if failed_event(state, earlier) is not None:
            found, later = rescue(part, earlier)
            return located(state, found), later
        return error, part if is_shortage(earlier) and not part.ran else None
    finally:
        state.trace = None
    return error, None
