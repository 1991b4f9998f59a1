"""The recorder: an op costs a dictionary look-up on a path it knows.

`unary`, `binary`, `record` and the others are the hot path. Each forms the event's key from the
numbers of its operands, finds the next state, and makes the result from what the state knows. A
miss goes to the slow path (`miss`), which replays the keys into a `Trace` and applies the new event
there.

Between the move of the state and the last list that grows with it nothing is called and nothing
allocated that the garbage collector tracks: CPython lets signals and other threads in only where
something is called, so a recording is whole whenever an exception or another thread comes in
between. (Where it is not all the same, as under a debugger, another thread waits a moment for it;
one that stays so is not run.)
"""

from __future__ import annotations

import itertools
import os
import sys
import threading
import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from flambeau.record import plan as plans
from flambeau.record.events import (
    AGAIN,
    ALIAS,
    AUTOCAST,
    DETACH,
    ENTER_ALL,
    GRAD_MODE,
    Metas,
    step,
)
from flambeau.record.handle import Family
from flambeau.record.meta import Meta
from flambeau.record.options import OPTIONS
from flambeau.record.storage import Storage
from flambeau.record.trace import Trace
from flambeau.record.tree import State

if TYPE_CHECKING:
    from flambeau.record.handle import Handle

new = object.__new__


class Flushed(Exception):
    """The recording was flushed before the event was recorded: record it again."""

    def again(self, event: Any) -> Any:
        return event()


class Fronted(Flushed):
    """The new recording begins with `tensor`, which lies in front of another over its storage."""

    def __init__(self, tensor: Handle) -> None:
        super().__init__()
        self.tensor = tensor


class Shown(Flushed):
    """A view of memory that NumPy sees is made at once: a view of that very memory."""

    def __init__(self, storage: Storage) -> None:
        super().__init__()
        self.storage = storage

    def again(self, event: Any) -> Any:
        return _write_exposed([self.storage], event)


class Recording:
    """The events since the last flush, as one thread sees them."""

    __slots__ = (
        "__weakref__",
        "bases",
        "cuts",
        "done",
        "frames",
        "handles",
        "nodes",
        "plan",
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


# By grad mode; by (grad mode, policy) under autocast.
ROOTS: dict[Any, State] = {True: State(None, True), False: State(None, False)}


class Local(threading.local):
    """Per thread: the recording under way, and the modes."""

    def __init__(self) -> None:
        self.rec = Recording(ROOTS[True])
        self.grad_mode = True
        self.autocast: Any = None  # the policy under autocast
        self.inference = False
        self.capture: Any = None  # what a compiled function under way collects


LOCAL = Local()
DEAD = State(State(None, None), None)  # where another thread leaves a recording it had to run
DEAD.ended = True
_settling = threading.RLock()


def _after_fork() -> None:
    """The thread that held the lock does not exist in the child."""
    global _settling
    _settling = threading.RLock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
_handle_class: type[Any] = object


def set_handle_class(cls: type[Any]) -> None:
    """The tensor floor says which class results have."""
    global _handle_class
    _handle_class = cls


# ---- the hot path
# ------------------------------------------------------------------------------------


def enter(rec: Recording, tensor: Handle, op: Any = None) -> int:
    """Brings a tensor into the recording, for `op` if that may alias it; returns its number."""
    storage = tensor._storage
    if storage is None or storage.exposed or tensor._family is not None:
        return _enter_slowly(rec, tensor, op)
    other = storage.recording
    if other is not None and not other.done:
        if other is rec:
            return _enter_alias(rec, tensor, storage)
        _settle_other(other)
    meta = tensor._meta
    before = rec.state
    state = before.next.get(meta) or miss(rec, meta)
    offset = tensor._offset * meta.dtype.itemsize if tensor._offset else 0
    base = ((storage, offset),)
    entered = (tensor,)
    storage.base = before.lengths[0]
    storage.offset = offset
    storage.dtype = meta.dtype
    storage.recording = tensor._rec = rec
    tensor._num = number = before.count
    rec.state = state
    rec.bases += base
    rec.handles += entered
    return number


def _enter_alias(rec: Recording, tensor: Handle, storage: Storage) -> int:
    """A tensor over a storage that has entered before."""
    meta = tensor._meta
    distance = tensor._offset * meta.dtype.itemsize - storage.offset
    if distance < 0:
        _enter_first(tensor)
    if meta.dtype is not storage.dtype:
        return _enter_other_dtype(rec, tensor)
    key = (ALIAS, meta, storage.base, distance // meta.dtype.itemsize)
    state = rec.state.next.get(key) or miss(rec, key)
    entered = (tensor,)
    tensor._rec = rec
    tensor._num = number = rec.state.count
    rec.state = state
    rec.handles += entered
    return number


class Together:
    """Tensors that enter recordings in one event, as they were when this was made.

    `absent` says where None stands among those given; `complete` whether all others enter together.
    """

    __slots__ = ("absent", "bases", "complete", "last", "metas", "places", "seen", "tensors")

    def __init__(self, tensors: Sequence[Any]) -> None:
        self.tensors = [t for t in tensors if t is not None and t._storage is not None]
        self.absent = tuple([place for place, t in enumerate(tensors) if t is None])
        storages = {id(t._storage) for t in self.tensors}
        if len(storages) != len(self.tensors):
            self.tensors = []  # views of one storage enter one by one
        self.complete = len(self.tensors) + len(self.absent) == len(tensors)
        self.metas = Metas([t._meta for t in self.tensors])
        self.bases = [(t._storage, t._offset * t._meta.dtype.itemsize) for t in self.tensors]
        starts = [start for _, start in self.bases]
        dtypes = [t._meta.dtype for t in self.tensors]
        self.seen = [(t, t._storage, t._meta, t._offset) for t in self.tensors]
        self.places = [
            (t, t._storage, *rest) for t, *rest in zip(self.tensors, starts, dtypes, strict=True)
        ]
        self.last: Any = None  # the recording that they entered before

    def enter(self, rec: Recording) -> bool:
        """Brings the tensors into the recording; whether it did (see `enter_all`)."""
        last = self.last
        if last is not None and not last.done:
            last = None
        for tensor, storage, meta, offset in self.seen:
            if (
                tensor._storage is not storage
                or tensor._meta is not meta
                or tensor._offset != offset
                or storage.exposed
                or tensor._family is not None
            ):
                return False
            other = storage.recording
            if other is not last and other is not None and not other.done:
                return False
        key = (ENTER_ALL, self.metas)
        state = rec.state.next.get(key) or miss(rec, key)
        numbers, places = itertools.count(rec.state.count), itertools.count(len(rec.bases))
        rec.state = state
        rec.bases += self.bases
        rec.handles += self.tensors
        for (tensor, storage, start, dtype), base, number in zip(self.places, places, numbers):
            storage.recording = tensor._rec = rec
            storage.base = base
            storage.offset = start
            storage.dtype = dtype
            tensor._num = number
        self.last = rec
        return True


def enter_all(rec: Recording, tensors: list[Handle], metas: Metas) -> bool:
    """Brings tensors into the recording in one event, where none needs more than that; whether it
    did.

    `metas` are theirs, as the caller has kept them: tensors that always enter together cost little
    then.
    """
    for tensor, meta in zip(tensors, metas.metas):
        storage = tensor._storage
        if (
            storage is None
            or tensor._meta is not meta
            or storage.exposed
            or tensor._family is not None
            or storage.recording is rec
            or (storage.recording is not None and not storage.recording.done)
        ):
            return False
    key = (ENTER_ALL, metas)
    state = rec.state.next.get(key) or miss(rec, key)
    number, base = rec.state.count, len(rec.bases)
    bases: list[Any] = [(t._storage, t._offset * t._meta.dtype.itemsize) for t in tensors]
    rec.state = state
    rec.bases += bases
    rec.handles += tensors
    for tensor, (storage, offset) in zip(tensors, bases):
        storage.recording = rec
        storage.base = base
        storage.offset = offset
        storage.dtype = tensor._meta.dtype
        base += 1
        tensor._rec = rec
        tensor._num = number
        number += 1
    return True


def unary(op: Any, x: Handle, attributes: Any = None) -> Any:
    """Records op(x; attributes) with one result."""
    rec = LOCAL.rec
    try:
        key = (op, x._num if x._rec is rec else enter(rec, x, op), attributes)
        state = rec.state.next.get(key) or miss(rec, key)
        out = new(_handle_class)
        out._meta = state.meta
        out._rec = rec
        out._num = state.number
        rec.state = state
        rec.handles.append(out)
    except Flushed as reason:
        return reason.again(lambda: unary(op, x, attributes))
    return out


def binary(op: Any, x: Handle, y: Handle, attributes: Any = None) -> Any:
    """Records op(x, y; attributes) of two tensors with one result."""
    rec = LOCAL.rec
    try:
        key = (
            op,
            x._num if x._rec is rec else enter(rec, x),
            y._num if y._rec is rec else enter(rec, y),
            attributes,
        )
        state = rec.state.next.get(key) or miss(rec, key)
        out = new(_handle_class)
        out._meta = state.meta
        out._rec = rec
        out._num = state.number
        rec.state = state
        rec.handles.append(out)
    except Flushed:
        return binary(op, x, y, attributes)
    return out


def with_scalar(
    op: Any, x: Handle, scalar: Any, attributes: Any = None, *, first: bool = False
) -> Any:
    """Records op(x, scalar) (or op(scalar, x)) where the scalar is a run-time input."""
    rec = LOCAL.rec
    try:
        number = x._num if x._rec is rec else enter(rec, x)
        key = (
            (op, type(scalar), number, attributes)
            if first
            else (op, number, type(scalar), attributes)
        )
        state = rec.state.next.get(key) or miss(rec, key)
        out = new(_handle_class)
        out._meta = state.meta
        out._rec = rec
        out._num = state.number
        scalars = (scalar,)
        rec.state = state
        rec.scalars += scalars
        rec.handles.append(out)
    except Flushed:
        return with_scalar(op, x, scalar, attributes, first=first)
    return out


def operand_key(rec: Recording, operand: Any, scalars: list[Any]) -> Any:
    """The key part of any operand: a tensor, a Python number, None, or a list of operands."""
    if operand is None:
        return None
    if isinstance(operand, _handle_class):
        return operand._num if operand._rec is rec else enter(rec, operand)
    if isinstance(operand, (list, tuple)):
        return tuple([operand_key(rec, part, scalars) for part in operand])
    kind = type(operand)
    if kind not in (float, int, bool, complex):
        operand, kind = _plain_number(operand)
    scalars.append(operand)
    return kind


def _plain_number(operand: Any) -> tuple[Any, type]:
    kinds: tuple[Any, ...] = (bool, int, float, complex)
    for kind in kinds:
        if isinstance(operand, kind):
            return kind(operand), kind
    if hasattr(operand, "item"):
        value = operand.item()
        return value, type(value)
    raise TypeError(f"expected a tensor or a number, got {type(operand).__name__}")


def advance(
    op: Any, operands: Any, attributes: Any = None, cuts: Any = ()
) -> tuple[Recording, State, list[Any]]:
    """Records an event of any operands; the recording, the state after it, and its new handles."""
    return advance_key(
        lambda rec, scalars: (
            op,
            *[operand_key(rec, operand, scalars) for operand in operands],
            attributes,
        ),
        cuts,
    )


def advance_key(make: Any, cuts: Any = ()) -> tuple[Recording, State, list[Any]]:
    """Records an event whose key `make(recording, scalars)` forms; see `advance`."""
    fronts: list[Handle] = []
    while True:
        rec = LOCAL.rec
        scalars: list[Any] = []
        try:
            key = make(rec, scalars)
            state = rec.state.next.get(key) or miss(rec, key)
            return rec, state, commit(rec, state, scalars, cuts=cuts)
        except Fronted as reason:
            # Each of several storages may have its first tensor late among the operands.
            front = reason.tensor
            fronts = [t for t in fronts if t._storage is not front._storage]
            for tensor in fronts:
                enter(LOCAL.rec, tensor)
            fronts.append(front)
        except Flushed:
            continue


def commit(
    rec: Recording,
    state: State,
    scalars: Any = (),
    bases: Any = (),
    frames: Any = (),
    cuts: Any = (),
) -> list[Any]:
    """Moves a recording to the state after an event, with all that the event brings; returns the
    event's new handles.
    """
    made = []
    number = state.number
    for meta in state.metas:
        out = new(_handle_class)
        out._meta = meta
        out._rec = rec
        out._num = number
        number += 1
        made.append(out)
    if frames:
        frames = [*rec.frames, *frames]
    if cuts:
        cuts = [*rec.cuts, *cuts]
    rec.state = state
    rec.scalars += scalars
    rec.bases += bases
    rec.handles += made
    if frames:
        rec.frames = frames
    if cuts:
        rec.cuts = cuts
    if state.effects:
        apply_effects(rec, state)
    return made


def record(op: Any, operands: Any, attributes: Any = None) -> Any:
    """Records an event with one result."""
    return advance(op, operands, attributes)[2][0]


def record_many(op: Any, operands: Any, attributes: Any = None) -> list[Any]:
    """Records an event with any number of results."""
    if op.aliases:
        storage = operands[0]._storage
        if storage is not None and storage.exposed and storage.still_exposed():
            return Shown(storage).again(lambda: record_many(op, operands, attributes))  # type: ignore[no-any-return]
    return advance(op, operands, attributes)[2]


def in_place(op: Any, target: Handle, operands: Any = (), attributes: Any = None) -> Any:
    """Records a write into `target`; returns it."""
    storage = target._storage
    if storage is not None and storage.exposed and storage.still_exposed():
        return _write_exposed([storage], lambda: in_place(op, target, operands, attributes))
    advance(op, (target, *operands), attributes)
    return target


def group_update(op: Any, targets: Any, operands: Any, attributes: Any = None) -> None:
    """Records an event that overwrites several tensors (see GroupUpdateOp)."""
    shown = [
        t._storage
        for t in targets
        if t._storage is not None and t._storage.exposed and t._storage.still_exposed()
    ]
    if shown:
        _write_exposed(shown, lambda: group_update(op, targets, operands, attributes))
        return
    advance(op, (targets, *operands), attributes)


def _write_exposed(storages: list[Storage], write: Any) -> Any:
    """NumPy must see the write when the statement ends: the event runs alone, at once."""
    flush()
    for storage in storages:
        storage.exposed = False
    try:
        try:
            return write()
        finally:  # after an error too: nothing that has entered may stay in the recording
            flush()
    finally:
        for storage in storages:
            storage.exposed = True


def apply_effects(rec: Recording, state: State) -> None:
    for number, meta in state.effects:
        handle = rec.handles[number]
        handle._meta = meta if handle._storage is None else meta.at_zero
        if handle._family is not None and meta.requires_grad and not meta.is_leaf:
            for reference in handle._family.members:
                other = reference()
                if other is not None and other._rec is not rec and not other._meta.requires_grad:
                    other._meta = written_meta(other._meta)


def written_meta(meta: Meta) -> Meta:
    """The meta of a tensor whose memory was given history through another one."""
    return meta.replaced(requires_grad=True, is_leaf=False, grad_name="AsStridedBackward0")


# ---- the slow path
# -----------------------------------------------------------------------------------


def miss(rec: Recording, key: Any) -> State:
    """The state after an event that this place has not seen yet. Raises Flushed when it must flush
    first.
    """
    if rec.state.ended or (OPTIONS.sync and rec.state.ops) or must_flush(rec):
        flush()
        raise Flushed
    trace = trace_of(rec)
    rec.trace = None  # stays so if the event raises: the trace may be half changed
    before = rec.state
    first = len(trace.tensors)
    extra = step(trace, key)
    state = State(before, key)
    state.line = _users_line()
    fill_state(state, trace, first, extra)
    before.next[key] = state
    trace.state = state
    rec.trace = trace
    plans.note_new_state()
    return state


PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep


def _users_line() -> tuple[str, int] | None:
    """The file and line outside this package that records the event."""
    frame: Any = sys._getframe(2)
    while frame is not None:
        name = frame.f_code.co_filename
        if not name.startswith(PACKAGE):
            return name, frame.f_lineno
        frame = frame.f_back
    return None


def fill_state(state: State, trace: Trace, first: int, extra: Any) -> None:
    """Writes down what an event made of the trace."""
    state.effects = tuple((n, m) for n, m in trace.take_changes() if n < first)
    state.metas = tuple(record.meta for record in trace.tensors[first:])
    state.meta = state.metas[0] if state.metas else None
    state.number = first
    state.count = len(trace.tensors)
    tables: tuple[Any, ...] = (trace.bases, trace.scalars, trace.histories, trace.cuts)
    state.lengths = tuple(len(table) for table in tables)
    state.extra = extra
    if not _entering(state.key) and not getattr(extra, "provisional", False):
        state.ops += 1


def _entering(key: Any) -> bool:
    return isinstance(key, Meta) or key[0].enters


def trace_of(rec: Recording) -> Trace:
    """The trace at the recording's state: the one at hand, or the path's keys replayed.

    The one at hand is of another state after an interrupt between the two moves, and where another
    thread has found the next states first.
    """
    trace = rec.trace
    if trace is None or trace.state is not rec.state:
        trace = retrace(rec.state)
        rec.trace = trace
    return trace


def retrace(state: State) -> Trace:
    root = state
    while root.parent is not None:
        root = root.parent
    mode, policy = root.key if isinstance(root.key, tuple) else (root.key, None)
    trace = Trace(bool(mode))
    trace.autocast = policy
    for key in state.path():
        step(trace, key)
        trace.take_changes()
    trace.state = state
    return trace


def must_flush(rec: Recording) -> bool:
    """Whether the recording has grown enough to run before it goes on."""
    if not rec.state.ops:
        return False  # tensors alone have entered: nothing would run
    depth = rec.state.depth
    if depth >= OPTIONS.longest_recording:
        return True
    return depth >= OPTIONS.loop_check and depth % (depth // 8) == 0 and plans.repeats(rec.state)


def _enter_slowly(rec: Recording, tensor: Handle, op: Any = None) -> int:
    """A tensor of another recording, one that NumPy sees, or one with history in an earlier
    program.
    """
    storage = tensor._storage
    if storage is None:
        other = tensor._rec
        if other is not None and not other.done:
            _settle_other(other)
        settled: Any = tensor._storage
        if settled is None:
            raise RuntimeError(
                "this tensor was never computed: the statement that made it failed"
                + (f" ({tensor._failure})" if getattr(tensor, "_failure", None) else "")
            )
        return enter(rec, tensor)
    if storage.exposed and storage.still_exposed():
        if op is not None and op.aliases:
            raise Shown(storage)
        if tensor._family is None or tensor._family.frame is None:
            return _enter_exposed(rec, tensor)
    elif tensor._family is None:
        return enter(rec, tensor)
    from flambeau.record.backward import enter_member

    return enter_member(rec, tensor)


def _enter_exposed(rec: Recording, tensor: Handle) -> int:
    """Memory that NumPy may write behind our back: what an op reads is copied at every use."""
    key: Any = tensor._meta
    if key.requires_grad:
        known, number = tensor.__dict__.get("_entered", (None, 0))
        if known is rec:
            key = (AGAIN, key, number)  # the same leaf
    state = rec.state.next.get(key) or miss(rec, key)
    number = rec.state.count
    bases, entered = ((plans.snapshot_of(tensor), 0),), (tensor,)
    rec.state = state
    rec.bases += bases
    rec.handles += entered
    if key is tensor._meta and key.requires_grad:
        tensor.__dict__["_entered"] = rec, number
    return number


def _settle_other(other: Recording) -> None:
    """Another thread's pending recording has to run before this thread can see its tensors."""
    for _ in range(1000):
        if other.taken or plans.whole(other):
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
        try:
            other.plan = plans.run_recording(work)
        finally:
            other.done = True


class Closed:
    """Stands where the lists of a recording were that another thread has taken to run it.

    Its own thread may be about to add an event: that event goes into a new recording.
    """

    def __len__(self) -> int:
        return 0

    def __iadd__(self, more: Any) -> Any:
        if LOCAL.rec.handles is CLOSED:
            LOCAL.rec = Recording(root_state())
        raise Flushed

    append = __iadd__


CLOSED: Any = Closed()


def _enter_first(tensor: Handle) -> NoReturn:
    """A tensor that starts in front of what the recording knows of its storage enters a new
    recording first.
    """
    flush()
    enter(LOCAL.rec, tensor)
    raise Fronted(tensor)


def _enter_other_dtype(rec: Recording, tensor: Handle) -> int:
    """Bytes that the recording knows as another dtype: a new recording, or a copy where one op
    takes both.
    """
    if rec.state.ops:
        flush()
        raise Flushed
    return _enter_exposed(rec, tensor)


def flush() -> None:
    """Runs what this thread has recorded; every live tensor has its data afterwards."""
    rec = LOCAL.rec
    if rec.state.parent is None:
        return
    LOCAL.rec = Recording(ROOTS[LOCAL.grad_mode] if LOCAL.autocast is None else root_state())
    with _settling:
        if rec.taken:
            return  # another thread has run it
        rec.taken = True
        try:
            rec.plan = plans.run_recording(rec)
        finally:
            # An operation further up the stack that was about to add to it starts again.
            rec.handles = rec.bases = rec.scalars = CLOSED
            rec.frames = rec.cuts = ()
            rec.state = DEAD
            rec.trace = None
            rec.done = True


def end_step() -> None:
    """Says that a training step ends here: the next op starts a new recording."""
    rec = LOCAL.rec
    if rec.state.parent is not None:
        rec.state.ended = True


def root_state() -> State:
    """Where a recording begins in the modes of this thread."""
    return _root_of(LOCAL.grad_mode, LOCAL.autocast)


def _root_of(grad_mode: bool, autocast: Any) -> State:
    if autocast is None:
        return ROOTS[grad_mode]
    key = (grad_mode, autocast)
    return ROOTS.get(key) or ROOTS.setdefault(key, State(None, key))


def set_grad_mode(mode: bool) -> None:
    """Grad mode of this thread, as an event of the recording under way."""
    if mode != LOCAL.grad_mode:
        _set_modes(mode, LOCAL.autocast, (GRAD_MODE, mode))


def set_autocast(policy: Any) -> None:
    """Autocast of this thread, as an event of the recording under way; None turns it off."""
    if policy is not LOCAL.autocast:
        _set_modes(LOCAL.grad_mode, policy, (AUTOCAST, policy))


def _set_modes(grad_mode: bool, autocast: Any, key: Any) -> None:
    rec = LOCAL.rec
    if rec.state.ended:
        flush()
        rec = LOCAL.rec
    state = None
    if rec.state.parent is not None:
        try:
            state = rec.state.next.get(key) or miss(rec, key)
        except Flushed:
            rec = LOCAL.rec
    if state is None:
        state = _root_of(grad_mode, autocast)
    LOCAL.grad_mode = grad_mode
    LOCAL.autocast = autocast
    rec.state = state


def detach(x: Handle) -> Any:
    """An alias of x outside the graph."""
    if x._rec is not LOCAL.rec and x._storage is not None:
        return alias(
            x,
            x._meta.replaced(requires_grad=False, is_leaf=True, grad_name=None, born=None),
            x._offset,
        )
    return unary(DETACH, x)


def at_rest(storage: Storage) -> bool:
    """Whether no pending program has to do with a storage."""
    return storage.recording is None or bool(storage.recording.done)


def view_alias(x: Handle, meta: Meta, offset: int) -> Any:
    """An alias that autograd knows as a view: history written through one of the two is that of
    both.

    Of a tensor that requires a gradient (under no_grad) it is a leaf of its own, which must not be
    used once x was written: see `restricted`. The storage must be at rest then.
    """
    out = alias(x, meta, offset)
    if x._meta.requires_grad:
        assert x._storage is not None
        out._seen = x._storage.version
        out._family = Family()
        out._family.add(out)
    else:
        family = x._family
        if family is None:
            family = x._family = Family()
            family.add(x)
        out._family = family
        family.add(out)
    return out


def alias(x: Handle, meta: Meta, offset: int) -> Any:
    """A tensor over the storage of x (which holds data), laid out anew; nothing is recorded."""
    out = new(_handle_class)
    out._meta = meta
    out._rec = None
    out._num = -1
    out._storage = x._storage
    out._offset = offset
    return out


def _synchronous(function: Any) -> Any:
    """The recording function with a flush behind each op (FLAMBEAU_SYNC=1)."""

    def record_and_run(*args: Any, **kwargs: Any) -> Any:
        result = function(*args, **kwargs)
        flush()
        return result

    return record_and_run


if OPTIONS.sync:
    unary, binary, with_scalar, record, record_many, in_place, group_update = map(
        _synchronous, (unary, binary, with_scalar, record, record_many, in_place, group_update)
    )
