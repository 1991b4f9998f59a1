"""The slow path: the state after an event that a place in the tree has not seen yet."""

from __future__ import annotations

import weakref
from time import perf_counter
from typing import Any, NoReturn

from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DEFAULT_FOLLOWERS
from flambeau.ops.value import leave_to_reference_counts
from flambeau.record.branching import ends_round
from flambeau.record.changes import CHANGES
from flambeau.record.events import step
from flambeau.record.explaining import explain, warn_of_softmax
from flambeau.record.flushing import flush
from flambeau.record.handle import Handle
from flambeau.record.meta import Meta
from flambeau.record.observing import WATCH
from flambeau.record.options import OPTIONS
from flambeau.record.places import users_place
from flambeau.record.recording import LOCAL, ROOTS, Flushed, Recording, trace_of
from flambeau.record.statistics import STATISTICS
from flambeau.record.trace import Trace
from flambeau.record.tree import State, prune


def _refuse_tensors(attributes: tuple[Any, ...]) -> None:
    """TypeError where a tensor stands for a number that a program must know: an axis, an offset."""
    for given in attributes:
        if isinstance(given, Handle):
            refuse_misgiven()
            raise TypeError("a number is expected here, not a Tensor; .item() gives its number")
        if type(given) is tuple:
            _refuse_tensors(given)


def miss(rec: Recording, key: Any) -> State:
    """The state after an event that this place has not seen yet. Raises Flushed when it must flush
    first.
    """
    if not LOCAL.levels:
        if rec.state.ended or (OPTIONS.sync and rec.state.ops) or must_flush(rec):
            flush()
            raise Flushed
        if rec.state.ops and goes_apart(rec, key):
            flush()
            LOCAL.apart = weakref.ref(LOCAL.rec)
            raise Flushed
        if ends_round(rec, key):
            flush()
            raise Flushed
    if rec.state.apart is not None and rec.state.apart.get(key) == WHOLE:
        _begin_whole()
    if isinstance(key, tuple) and isinstance(key[-1], tuple):
        _refuse_tensors(key[-1])
    start = perf_counter()
    trace = trace_of(rec)
    rec.trace = None  # stays so if the event raises: the trace may be half changed
    if rec.taken:  # another thread has come in, and makes its plan by this very trace
        flush()
        raise Flushed
    before = rec.state  # nothing was called since: nobody else has the trace
    first = len(trace.tensors)
    try:
        extra = step(trace, key)
    except (RuntimeError, TypeError, ValueError, IndexError) as error:
        refuse_misgiven()
        explain(error, trace, key, first, users_place())
        raise
    state = State(before, key)
    # A tensor that enters by itself does so for the op that follows, which stands at the same
    # place. (Tensors that enter together do so for several.)
    state.place = trace.place or users_place()
    trace.place = state.place if isinstance(key, Meta) else None
    fill_state(state, trace, first, extra)
    if trace.parts and ((LOCAL.grad_mode and state.tracked) or trace.parts_written()):
        if before.apart is None:
            before.apart = {}
        before.apart[key] = WHOLE
        _begin_whole()
    warn_of_softmax(state)
    before.next[key] = state
    trace.state = state
    rec.trace = trace
    note_new_state()
    if WATCH.observer is not None:
        WATCH.observer.missed(before, state, perf_counter() - start)
    return state


def fill_state(state: State, trace: Trace, first: int, extra: Any) -> None:
    """Writes down what an event made of the trace."""
    if trace.changed:
        state.effects = tuple([(n, m) for n, m in trace.take_changes() if n < first])
    new = [record.meta for record in trace.tensors[first:]]
    if new:
        state.metas, state.meta = tuple(new), new[0]
        leave_to_reference_counts(state.metas)
    if not state.tracked:
        new += [meta for _, meta in state.effects]
        state.tracked = True in [meta.requires_grad for meta in new]
    state.number = first
    state.count = first + len(state.metas)
    lengths = len(trace.bases), len(trace.scalars), len(trace.histories), len(trace.cuts)
    if lengths != state.lengths:  # (else its parent's)
        state.lengths = lengths
    state.extra = extra
    if not _entering(state.key) and not getattr(extra, "provisional", False):
        state.ops += 1


def _entering(key: Any) -> bool:
    return isinstance(key, Meta) or key[0].enters


def must_flush(rec: Recording) -> bool:
    """Whether the recording has grown enough to run before it goes on."""
    if not rec.state.ops:
        return False  # tensors alone have entered: nothing would run
    depth = rec.state.depth
    if depth >= OPTIONS.longest_recording:
        return True
    if depth < OPTIONS.loop_check or depth % (depth // 8):
        return False
    period = repeats(rec.state)
    if period and deepens(trace_of(rec), rec.state, period):
        return False
    if not period or (depth < 2 * OPTIONS.loop_check and depth < FEW_ROUNDS * period):
        return False
    rec.state.ended = True  # the path says so: nobody has to look for it here again
    rec.state.looped = True
    return True


ALIKE = 4  # continuations of one kind that have been recorded whole
APART = 8  # how often a further length goes apart before it is recorded whole (a place: once)
MANY_APART = 1_000  # continuations that are counted


def goes_apart(rec: Recording, key: Any) -> bool:
    """Whether the event, and what follows until somebody needs a value, runs op by op.

    Where lengths are ever new (a text that grows), whole programs do not come back. Most of their
    ops have been met with these very shapes, though, and are found again where each is a program
    by itself. Without gradients alone: a backward pass goes back program by program.
    """
    state = rec.state
    if LOCAL.capture is not None or (LOCAL.grad_mode and state.tracked):
        return False
    if LOCAL.apart is not None and LOCAL.apart() is rec:
        return True
    if len(state.next) < ALIKE:
        return False
    kind, alike = _continuation(key), 0
    for other in state.next:
        alike += _continuation(other) == kind
        if alike == ALIKE:
            break
    else:
        return False
    if state.apart is None or len(state.apart) >= MANY_APART:
        state.apart = {}
    times = state.apart.get(key, 0)
    state.apart[key] = times + 1
    return times < (APART if isinstance(key, Meta) else 1)


WHOLE = -1  # in place of a count: the event is none for a recording with parts


def becomes_part(rec: Recording, meta: Meta, base: int) -> bool:
    """Whether what has entered before, and shows another place than earlier ones, enters as a base
    of its own (see Note [Parts] in entering.py).
    """
    state = rec.state
    if len(state.next) < ALIKE or OPTIONS.sync or LOCAL.capture is not None or LOCAL.levels:
        return False
    if meta.requires_grad or (LOCAL.grad_mode and state.tracked):
        return False
    alike = 0
    for key in state.next:
        if type(key) is tuple and key[0].enters and meta in key:
            alike += 1
            if alike == ALIKE:
                return not trace_of(rec).bases[base].version
    return False


def _begin_whole() -> NoReturn:
    """What was recorded runs; the event follows, in a recording without parts."""
    flush()
    LOCAL.whole = weakref.ref(LOCAL.rec)
    raise Flushed


def _continuation(key: Any) -> Any:
    """What events have in common that differ in extents, or in what they are given."""
    return (key.dtype, len(key.shape)) if isinstance(key, Meta) else key[:-1]


SHORTEST_REPETITION = 24  # events: three sums in a row are no loop
FEW_ROUNDS = 8  # of a short loop that make a program
LONGEST_REPETITION = (
    768  # events looked back for a repetition: three times the longest loop body found
)


def repeats(state: State) -> int:
    """The length of the events that the stream has just gone through three times over at least (a
    loop without a flush); 0 if it has not.
    """
    keys: list[Any] = []
    at: State | None = state
    while at is not None and at.parent is not None and len(keys) < LONGEST_REPETITION:
        keys.append(_kind(at.key))
        at = at.parent
    for period in range(1, len(keys) // 3 + 1):
        length = max(2 * period, SHORTEST_REPETITION - period)
        if keys[:length] == keys[period : period + length]:
            segment = keys[:period]
            if all(isinstance(k, Meta) or k[0].enters for k in segment):
                return 0  # the operands of one event: they would enter again and again
            again = any(isinstance(k, Meta) and k.requires_grad for k in segment)
            return 0 if again else period
    return 0


def deepens(trace: Trace, state: State, period: int) -> bool:
    """Whether the last two rounds of a repetition use different parameters: then it is no loop but
    a stack of layers of one kind.
    """
    keys: list[Any] = []
    at: State | None = state
    while at is not None and at.parent is not None and len(keys) < 2 * period:
        keys.append(at.key)
        at = at.parent
    return any(
        _parameters(trace, one) != _parameters(trace, other)
        for one, other in zip(keys, keys[period:])
    )


def _parameters(trace: Trace, key: Any) -> list[int]:
    """The numbers of the leaves that an event takes."""
    if isinstance(key, Meta) or not isinstance(key, tuple) or key[0].enters:
        return []
    found = []
    for part in key[1:-1]:
        for number in part if isinstance(part, tuple) else (part,):
            if type(number) is int and number in trace.entered:
                meta = trace.tensors[number].meta
                if meta.requires_grad and meta.is_leaf:
                    found.append(number)
    return found


def _kind(key: Any) -> Any:
    """What an event has in common with that of another round of a loop (of a tensor that enters:
    not where its memory begins).
    """
    if isinstance(key, Meta) or not isinstance(key, tuple):
        return key
    return key[:3] if key[0].enters else (key[0], key[-1])


class _Bound:
    """How many states the trees hold, about."""

    states = 0


def note_new_state() -> None:
    """Counts a new state, and forgets the oldest half of the tree when there are too many."""
    STATISTICS.states += 1
    _Bound.states += 1
    if _Bound.states > OPTIONS.states:
        _Bound.states = prune(list(ROOTS.values()), OPTIONS.states // 2)


def forget_all() -> None:
    """Forgets every stream of events: what they lead to has changed, for all threads."""
    CHANGES.count += 1
    stack = list(ROOTS.values())
    while stack:
        state = stack.pop()
        stack += state.next.values()
        state.next.clear()
        state.plans.clear()
    _Bound.states = 0


def _default_dtype_changed() -> None:
    """Numbers and whole tensors lead to other dtypes from here on."""
    if not LOCAL.levels:
        flush()
    forget_all()


DEFAULT_FOLLOWERS.append(_default_dtype_changed)
