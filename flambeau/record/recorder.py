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

from functools import lru_cache
from typing import TYPE_CHECKING, Any

from flambeau.core.calls import refuse_misgiven
from flambeau.core.errors import not_a_tensor
from flambeau.record.entering import NATIVE, PLAIN, Together, enter, enter_all, enter_slowly
from flambeau.record.events import DATA, DETACH
from flambeau.record.flushing import (
    Shown,
    end_step,
    ever_new,
    flush,
    part_new,
    settle_elsewhere,
    settle_other,
    settle_readers,
    write_exposed,
)
from flambeau.record.handle import Family
from flambeau.record.meta import Meta
from flambeau.record.misses import miss
from flambeau.record.modes import set_autocast, set_computed_again, set_grad_mode
from flambeau.record.options import OPTIONS
from flambeau.record.recording import LOCAL, Flushed, Fronted, Recording, root_state, trace_of
from flambeau.record.storage import Storage
from flambeau.record.tree import State

if TYPE_CHECKING:
    from flambeau.record.handle import Handle

# What the floors above use of recording, from here and from the files beside this one.
__all__ = [
    "LOCAL",
    "Flushed",
    "Recording",
    "Together",
    "advance",
    "advance_key",
    "alias",
    "apply_effects",
    "at_rest",
    "binary",
    "commit",
    "detach",
    "end_step",
    "enter",
    "enter_all",
    "enter_slowly",
    "ever_new",
    "flush",
    "group_update",
    "in_place",
    "known",
    "miss",
    "operand_key",
    "part_new",
    "pending_trace",
    "record",
    "record_many",
    "root_state",
    "set_autocast",
    "set_computed_again",
    "set_grad_mode",
    "set_handle_class",
    "ternary",
    "settle_elsewhere",
    "settle_other",
    "settle_readers",
    "trace_of",
    "unary",
    "view_alias",
    "view_aliases",
    "with_scalar",
    "write_exposed",
    "written_meta",
]

new = object.__new__
_handle_class: type[Any] = object


# `known_ops.known_op`, once programs are compiled and where the interpreter has such calls.
_known_op: Any = None


def use_native_calls() -> None:
    """From now on ops that are known are native calls, where the interpreter has those (not in the
    mode that checks every access).
    """
    global _known_op
    if _known_op is None and not OPTIONS.sync:
        from flambeau.execute.cpu import bounds
        from flambeau.record.native_calls import native_calls

        calls = None if bounds.switched_on() else native_calls()
        if calls is not None:
            _known_op = NATIVE.known_op = calls.known_op
            NATIVE.first_gradients, NATIVE.repeat = calls.first_gradients, calls.repeat


def done_by_python(much: int = 10) -> None:
    """Counts plain tensors that Python has made or read: once they are many, native calls do."""
    before, PLAIN.left = PLAIN.left, PLAIN.left - much
    if before > 0 >= PLAIN.left and not OPTIONS.sync and OPTIONS.executor != "reference":
        from flambeau.execute.cpu import bounds
        from flambeau.record import known_extents
        from flambeau.record.native_calls import plain_calls

        calls = None if bounds.switched_on() else plain_calls()
        if calls is not None:
            for name, call in calls._asdict().items():
                setattr(PLAIN, name.removeprefix("known_"), call)
            known_extents.begin()


def set_handle_class(cls: type[Any]) -> None:
    """The tensor floor says which class results have."""
    global _handle_class
    _handle_class = cls


def handle_class() -> type[Any]:
    """The class that results have."""
    return _handle_class


def unary(op: Any, x: Handle, attributes: Any = None) -> Any:
    """Records op(x; attributes) with one result."""
    rec = LOCAL.rec
    if _known_op is not None:
        out = _known_op(rec, op, attributes, x)
        if out is not None:
            return out
    if not isinstance(x, _handle_class):
        raise not_a_tensor(op.name, "input", 1, x)
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
    if _known_op is not None:
        out = _known_op(rec, op, attributes, x, y)
        if out is not None:
            return out
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


def ternary(op: Any, x: Handle, y: Handle, z: Handle, attributes: Any = None) -> Any:
    """Records op(x, y, z; attributes) of three tensors with one result."""
    rec = LOCAL.rec
    if _known_op is not None:
        out = _known_op(rec, op, attributes, x, y, z)
        if out is not None:
            return out
    try:
        key = (
            op,
            x._num if x._rec is rec else enter(rec, x),
            y._num if y._rec is rec else enter(rec, y),
            z._num if z._rec is rec else enter(rec, z),
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
        return ternary(op, x, y, z, attributes)
    return out


def with_scalar(
    op: Any, x: Handle, scalar: Any, attributes: Any = None, *, first: bool = False
) -> Any:
    """Records op(x, scalar) (or op(scalar, x)) where the scalar is a run-time input."""
    rec = LOCAL.rec
    if _known_op is not None:
        operands = (scalar, x) if first else (x, scalar)
        out = _known_op(rec, op, attributes, *operands)
        if out is not None:
            return out
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
    refuse_misgiven()
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
    handles = rec.handles
    if state.effects:
        apply_effects(rec, handles, state)
    return made


def record(op: Any, operands: Any, attributes: Any = None) -> Any:
    """Records an event with one result."""
    if _known_op is not None:
        out = _known_op(LOCAL.rec, op, attributes, *operands)
        if out is not None:
            return out[0] if out.__class__ is list else out
    return advance(op, operands, attributes)[2][0]


def known(op: Any, operands: Any, attributes: Any = None) -> Any:
    """The result of an event that this place in the tree knows, where that is a native call; None
    elsewhere, and nothing was recorded. What is known was checked when it was first recorded.
    """
    return None if _known_op is None else _known_op(LOCAL.rec, op, attributes, *operands)


def record_many(op: Any, operands: Any, attributes: Any = None) -> list[Any]:
    """Records an event with any number of results."""
    if op.aliases:
        storage = operands[0]._storage
        if storage is not None and storage.exposed and storage.still_exposed():
            return Shown(storage).again(lambda: record_many(op, operands, attributes))  # type: ignore[no-any-return]
    if _known_op is not None:
        made = _known_op(LOCAL.rec, op, attributes, *operands)
        if made is not None:
            if made.__class__ is tuple:
                return []  # of no parts
            return made if made.__class__ is list else [made]
    return advance(op, operands, attributes)[2]


def in_place(op: Any, target: Handle, operands: Any = (), attributes: Any = None) -> Any:
    """Records a write into `target`; returns it."""
    try:
        storage, rec = target._storage, LOCAL.rec
    except AttributeError:
        raise not_a_tensor(op.name, "input", 1, target) from None
    asked = _known_op is None
    if storage is not None:
        # (What is exposed enters by a native call only where nobody holds it any more.)
        asked = asked or target._rec is rec
        if storage.exposed and asked and storage.still_exposed():
            return write_exposed([storage], lambda: in_place(op, target, operands, attributes))
    if _known_op is None or _known_op(rec, op, attributes, target, *operands) is None:
        if not asked and storage is not None and storage.exposed and storage.still_exposed():
            return write_exposed([storage], lambda: in_place(op, target, operands, attributes))
        advance(op, (target, *operands), attributes)
    if target._hooks is not None and not target._meta.is_leaf:
        if LOCAL.grad_mode:
            target._hooks = None  # they stay where they are; new ones stand behind the write
        elif target._hooked_at is not None:
            target._hooked_at += 1
    return target


def group_update(op: Any, targets: Any, operands: Any, attributes: Any = None) -> None:
    """Records an event that overwrites several tensors (see GroupUpdateOp)."""
    shown = [
        t._storage
        for t in targets
        if t._storage is not None and t._storage.exposed and t._storage.still_exposed()
    ]
    if shown:
        write_exposed(shown, lambda: group_update(op, targets, operands, attributes))
        return
    advance(op, (targets, *operands), attributes)


def apply_effects(rec: Recording, handles: list[Handle], state: State) -> None:
    """Gives tensors the metas that an event has left them with. (`handles` are the recording's as
    they were when it moved: another thread may have run it since.)
    """
    for number, meta in state.effects:
        handle = handles[number]
        handle._meta = meta if handle._storage is None else meta.at_zero
        if handle._family is not None and meta.requires_grad and not meta.is_leaf:
            for reference in handle._family.members:
                other = reference()
                if other is not None and other._rec is not rec and not other._meta.requires_grad:
                    other._meta = written_meta(other._meta)


def written_meta(meta: Meta) -> Meta:
    """The meta of a tensor whose memory was given history through another one."""
    return meta.replaced(requires_grad=True, is_leaf=False, grad_name="AsStridedBackward0")


def detach(x: Handle, silent: bool = False) -> Any:
    """An alias of x outside the graph; `silent`: autograd does not count what is written to it."""
    if x._rec is not LOCAL.rec and x._storage is not None:
        return alias(x, detached_meta(x._meta, silent or x._meta.silent), x._offset)
    return unary(DATA if silent else DETACH, x)


@lru_cache(maxsize=1 << 12)
def detached_meta(meta: Meta, silent: bool) -> Meta:
    """The meta of an alias outside the graph."""
    return meta.replaced(
        requires_grad=False, is_leaf=True, grad_name=None, born=None, silent=silent
    )


def at_rest(storage: Storage) -> bool:
    """Whether no pending program has to do with a storage."""
    return storage.recording is None or bool(storage.recording.done)


def view_alias(x: Handle, meta: Meta, offset: int) -> Any:
    """An alias that autograd knows as a view: history written through one of the two is that of
    both.

    Of a tensor that requires a gradient (under no_grad) it is a leaf of its own, which must not be
    used once x was written: see `restricted`. The storage must be at rest then.
    """
    if PLAIN.view is not None:
        known = PLAIN.view(x, meta, offset)
        if known is not None:
            return known
    out = alias(x, meta, offset)
    if x._meta.requires_grad:
        assert x._storage is not None
        out._seen = x._storage.version
        out._family = Family()
        out._family.add(out)
    else:
        family = x._family
        if family is None:
            made = Family()
            made.add(x)
            made.base = made.members[0]
            family = x._family
            if family is None:  # another thread may have come in between
                family = x._family = made
        out._family = family
        family.add(out)
    return out


def view_aliases(x: Handle, metas: tuple[Meta, ...], offsets: tuple[int, ...]) -> Any:
    """Several of them, as a tuple."""
    if PLAIN.views is not None:
        known = PLAIN.views(x, metas, offsets)
        if known is not None:
            return known
    return tuple([view_alias(x, meta, offset) for meta, offset in zip(metas, offsets)])


def pending_trace(x: Handle) -> Any:
    """What the recording under way knows of x and the others; None where x is not in it."""
    rec = LOCAL.rec
    if x._rec is not rec:
        return None
    try:
        return trace_of(rec)
    except Flushed:  # another thread has just taken it
        flush()
        return None


def pending_writes(storage: Storage) -> int:
    """How often the recording under way has written a storage, as autograd counts."""
    rec = LOCAL.rec
    if storage.recording is not rec:
        return 0
    try:
        bases = trace_of(rec).bases
    except Flushed:
        flush()
        return 0
    places = [n for n, (known, *_) in enumerate(rec.bases) if known is storage]
    return bases[places[0]].counted if places else 0


def alias(x: Handle, meta: Meta, offset: int) -> Any:
    """A tensor over the storage of x (which holds data), laid out anew; nothing is recorded."""
    if PLAIN.alias is not None:
        known = PLAIN.alias(x, meta, offset)
        if known is not None:
            return known
    done_by_python()
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
        if not LOCAL.levels:
            flush()
        return result

    return record_and_run


if OPTIONS.sync:
    unary, binary, ternary, with_scalar = map(_synchronous, (unary, binary, ternary, with_scalar))
    record, record_many, in_place, group_update = map(
        _synchronous, (record, record_many, in_place, group_update)
    )
