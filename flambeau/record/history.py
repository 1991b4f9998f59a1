"""How tensors with history enter a recording, and Python code (hooks, custom functions) that stands
at tensors.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NoReturn

from flambeau.core.shapes import storage_extent
from flambeau.record.entering import (
    enter,
    enter_first,
    enter_other_dtype,
    enter_part,
    snapshot_of,
)
from flambeau.record.events import Event
from flambeau.record.flushing import flush, settle_other
from flambeau.record.meta import meta_of
from flambeau.record.misses import miss
from flambeau.record.recorder import alias, commit, written_meta
from flambeau.record.recording import LOCAL, Flushed, Recording
from flambeau.record.restricted import check_entering
from flambeau.record.storage import Storage, snapshot
from flambeau.record.trace import Trace

if TYPE_CHECKING:
    from flambeau.record.handle import Family, Handle


class HistoryOp(Event):
    """A tensor with history in an earlier program enters; key = (op, *arguments of
    Trace.enter_history).
    """

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.enter_history(*key[1:])


class MemberOp(Event):
    """A tensor enters that shares history with one that has: key = (op, whether it is what the
    others are views of, meta, number of that, distance).
    """

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.enter_member(*key[1:])


class MarkCutOp(Event):
    """Python code stands at a tensor: a hook (key[2] None) or a custom function (key[2] its input
    numbers). Its extra says how often the tensor's memory was written here.
    """

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> int:
        value = trace.value_to_cut(key[1])
        inputs = (
            None
            if key[2] is None
            else tuple(None if n is None else trace.tracked_value(n) for n in key[2])
        )
        trace.cuts.append((value, inputs))
        written: int = trace.tensors[key[1]].storage.counted
        return written


class PassesOp(Event):
    """The gradient of a tensor that has entered as a member goes the way by which the tensor was
    made, through the views on it: key = (op, number). Its extra says whether it does, which it does
    not where the memory was written before it entered.
    """

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> bool:
        return trace.enter_own(key[1])


class CopyAgainOp(Event):
    """A copy of memory that has entered before as another copy (number key[2]), as it is now."""

    __slots__ = ()
    enters = True

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        trace.enter_copy(key[1], key[2])


HISTORY = HistoryOp("history")
COPY = CopyAgainOp("copy again")
MEMBER = MemberOp("member")
PASSES = PassesOp("passes")
MARK_CUT = MarkCutOp("hook")


def enter_member(rec: Recording, tensor: Handle) -> int:
    """Brings a tensor that shares history with others, or has it in an earlier program, into the
    recording.
    """
    storage, family = tensor._storage, tensor._family
    assert storage is not None and family is not None
    if storage.recording is rec and family.rec is rec:
        number = _known_member(rec, tensor, storage, family)
        if number is not None:
            return number
    if tensor._seen is not None and LOCAL.grad_mode:
        check_entering(tensor)
    if storage.exposed and storage.still_exposed():
        return _enter_snapshot(rec, tensor, family)
    other = storage.recording
    if other is not None and other is not rec and not other.done:
        settle_other(other)
        if other.done:  # (else it runs further up the stack)
            return enter(rec, tensor)
    if storage.recording is rec and storage.dtype is not tensor._meta.dtype:
        # The recording knows these bytes as another dtype (a view of a complex tensor's parts).
        if rec.state.ops or family.frame is None:
            return enter_other_dtype(rec, tensor)
        return _enter_snapshot(rec, tensor, family)
    leaf = family.leaf
    if (
        leaf is not None
        and leaf._storage is storage
        and leaf._meta.requires_grad
        and leaf._meta.is_leaf
    ):
        if tensor._offset < leaf._offset and storage.recording is not rec:
            enter_whole(leaf)
        if leaf._rec is not rec:
            enter(rec, leaf)
        if leaf._rec is not rec or storage.recording is not rec:
            _start_again()
        family.number = leaf._num
        family.rec = rec
    itemsize = tensor._meta.dtype.itemsize
    offset, start = tensor._offset * itemsize, 0
    if family.rec is rec and storage.recording is rec:
        if offset < storage.offset:
            enter_first(tensor)
        distance = (offset - storage.offset) // itemsize
        key: Any = (MEMBER, family.is_first(tensor), tensor._meta, family.number, distance)
        if key not in rec.state.next and family.frame is None and leaf is None:
            part = enter_part(rec, tensor, storage)
            if part is not None:
                return part
    elif family.frame is None:
        number = enter(rec, tensor, alone=True)
        if storage.recording is not rec or rec.taken:
            _start_again()
        family.number = number
        family.rec = rec
        return number
    else:
        key, start = _history_key(rec, tensor, family, storage)
    number = _join(rec, tensor, key, start)
    if tensor._origin is not None and not tensor._origin[2]:
        _pass_by_origin(rec, tensor)
    elif tensor._hooks and tensor._origin is None and _stand_at(tensor, storage):
        _mark_hooks(rec, tensor)
    return number


def _known_member(rec: Recording, tensor: Handle, storage: Storage, family: Family) -> int | None:
    """The number of a plain tensor that enters after one of its family, where this place knows it;
    None elsewhere, and nothing was recorded.
    """
    meta = tensor._meta
    if (
        family.frame is not None
        or family.leaf is not None
        or tensor._seen is not None
        or tensor._origin is not None
        or tensor._hooks
        or storage.exposed
        or storage.dtype is not meta.dtype
    ):
        return None
    itemsize = meta.dtype.itemsize
    distance = tensor._offset * itemsize - storage.offset
    key = (MEMBER, family.is_first(tensor), meta, family.number, distance // itemsize)
    state = rec.state.next.get(key)
    if state is None or state.meta is None or rec.taken or storage.recording is not rec:
        return None
    number: int = rec.state.count
    entered = (tensor,)
    tensor._meta = state.meta.at_zero
    tensor._rec = rec
    tensor._num = number
    rec.state = state
    rec.handles += entered
    return number


def _stand_at(tensor: Handle, storage: Storage) -> bool:
    """Whether hooks of a tensor stand at what it shows now: not at its memory, where a program
    begins with that, nor in front of a write through one of its views.
    """
    at, now = tensor._hooked_at, storage.version - storage.silent
    return tensor._cut is not None and at in (None, now)


def _pass_by_origin(rec: Recording, tensor: Handle) -> None:
    """What a view gets goes to where it was made; hooks stand there."""
    key = (PASSES, tensor._num)
    state = rec.state.next.get(key) or miss(rec, key)
    frame, value, _ = tensor._origin
    commit(rec, state, frames=((frame, value),))
    if state.extra:
        tensor.__dict__["_passes"] = rec


def passes_origin(tensor: Handle) -> bool:
    """Whether what a tensor gets in the recording under way goes to where the tensor was made."""
    return tensor._rec is LOCAL.rec and tensor.__dict__.get("_passes") is LOCAL.rec


def _start_again() -> NoReturn:
    """What is under way goes into a new recording: another thread has run the one it belonged to
    (see `enter`).
    """
    flush()
    raise Flushed


def enter_whole(tensor: Handle) -> None:
    """Makes all of a tensor's storage part of the recording, with what lies in front of it."""
    storage = tensor._storage
    assert storage is not None
    if storage.recording is LOCAL.rec and storage.offset:
        flush()
    if storage.recording is not LOCAL.rec and not storage.exposed:
        dtype = tensor._meta.dtype
        enter(LOCAL.rec, alias(tensor, meta_of(dtype, (storage.nbytes // dtype.itemsize,)), 0))


def _join(rec: Recording, tensor: Handle, key: Any, start: int) -> int:
    """Moves the recording to the state after `key`, with which a tensor enters."""
    storage, family = tensor._storage, tensor._family
    assert storage is not None and family is not None
    state = rec.state.next.get(key) or miss(rec, key)
    number = rec.state.count
    bases: Any = ()
    frames = rec.frames
    assert state.meta is not None
    meta, dtype, place = state.meta.at_zero, tensor._meta.dtype, len(rec.bases)
    history = key[0] is HISTORY
    if history:
        frames = [*frames, (family.frame, family.source)]
    fresh = history and len(key) == 7
    other = storage.recording
    if rec.taken or not (other is rec or (fresh and (other is None or other.done))):
        _start_again()
    if history:
        if fresh:
            bases = ((storage, start),)
            storage.recording = rec
            storage.base = place
            storage.offset = start
            storage.dtype = dtype
        family.rec = rec
        family.number = number
    entered = (tensor,)
    tensor._meta = meta
    tensor._rec = rec
    tensor._num = number
    rec.state = state
    rec.bases += bases
    rec.frames = frames
    rec.handles += entered
    return number


def _history_key(
    rec: Recording, tensor: Handle, family: Family, storage: Storage | None
) -> tuple[Any, int]:
    """The key with which a tensor enters with its history (without a storage over a copy), and its
    base's start.
    """
    if not tensor._meta.requires_grad:
        tensor._meta = written_meta(tensor._meta)
    meta = tensor._meta
    itemsize, size = meta.dtype.itemsize, family.source.size
    offset = tensor._offset * itemsize
    began = family.start if size else offset  # (an empty view may begin behind its memory's end)
    end = began + size * itemsize
    if meta.numel:
        plain = meta.steps is None
        reach = meta.numel if plain else storage_extent(meta.shape, meta.strides)
        end = max(end, offset + reach * itemsize)
    start = min(offset, began)
    known = storage is not None and storage.recording is rec
    if known and storage is not None:
        if start < storage.offset:
            enter_first(tensor)
        start = storage.offset
    places = [(place - start) // itemsize for place in (offset, began, end)]
    key = (HISTORY, family.is_first(tensor), meta, places[0], places[1], size, places[2])
    return (*key, storage.base) if known and storage is not None else key, start


def _enter_snapshot(rec: Recording, tensor: Handle, family: Family) -> int:
    """Memory that NumPy may write behind our back: what an op reads is copied at every use."""
    known, earlier = tensor.__dict__.get("_entered", (None, 0))
    if known is rec and rec.handles[earlier] is tensor:
        return _enter_copy(rec, tensor, earlier)
    key, start = _history_key(rec, tensor, family, None)
    state = rec.state.next.get(key) or miss(rec, key)
    number = rec.state.count
    assert tensor._storage is not None
    copy = snapshot(tensor._storage, start, key[6] * tensor._meta.dtype.itemsize)
    bases = ((copy, 0),)
    frames = [*rec.frames, (family.frame, family.source)]
    entered = (tensor,)
    rec.state = state
    rec.bases += bases
    rec.frames = frames
    rec.handles += entered
    tensor.__dict__["_entered"] = rec, number
    return number


def _enter_copy(rec: Recording, tensor: Handle, earlier: int) -> int:
    """Such memory again: new data with the history of the copy that has entered before."""
    key = (COPY, tensor._meta, earlier)
    state = rec.state.next.get(key) or miss(rec, key)
    number = rec.state.count
    bases, entered = ((snapshot_of(tensor), 0),), (tensor,)
    rec.state = state
    rec.bases += bases
    rec.handles += entered
    return number


def _mark_hooks(rec: Recording, tensor: Handle) -> None:
    key = (MARK_CUT, tensor._num, None)
    state = rec.state.next.get(key) or miss(rec, key)
    commit(rec, state, cuts=(tensor._cut.again(),))
