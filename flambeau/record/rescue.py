"""What a failed program leaves: all that was recorded before the op whose data were bad.

PyTorch has computed those tensors, written that memory and drawn those random numbers by the time
the op raises; a program that fails has done none of it. So the part of the recording before the op
runs by itself. What was recorded from the op on stays uncomputed.
"""

from __future__ import annotations

import bisect
from typing import TYPE_CHECKING

from flambeau.record import plan as plans
from flambeau.record.meta import Meta

if TYPE_CHECKING:
    from flambeau.record.recorder import Recording
    from flambeau.record.tree import State


def failed_event(state: State, error: Exception) -> State | None:
    """The state after the event whose op raised the error, if that can be told."""
    node, trace = error.__dict__.get("node"), state.trace
    if node is None or trace is None:
        return None
    events = []
    at: State | None = state
    while at is not None and at.parent is not None:
        if not isinstance(at.key, Meta):
            events.append(at)
        at = at.parent
    number = bisect.bisect(trace.marks, node.order)
    return events[len(events) - number] if 0 < number <= len(events) else None


def rescue(rec: Recording, error: Exception) -> Exception:
    """Runs what was recorded before the event that failed; the error to raise.

    That is another one where an earlier event fails too: PyTorch would have come no further.
    """
    from flambeau.record import recorder

    event = failed_event(rec.state, error)
    if event is None or event.parent is None or event.parent.parent is None:
        return error
    state = event.parent
    bases, scalars, frames, cuts = state.lengths
    part = recorder.Recording(state)
    part.handles = rec.handles[: state.count]
    part.bases, part.scalars = rec.bases[:bases], rec.scalars[:scalars]
    part.frames, part.cuts = list(rec.frames[:frames]), list(rec.cuts[:cuts])
    part.nodes = rec.nodes
    state.trace = recorder.trace_of(part)
    try:
        plans.make_plan(state.trace, tuple(range(state.count)), state.depth).run(part)
    except Exception as earlier:
        if failed_event(state, earlier) is None:
            return error
        return plans.located(state, rescue(part, earlier))
    finally:
        state.trace = None
    return error
