"""How tensors enter a recording: each once, and several over one storage as aliases.

Note [Parts]
    The key of an alias says how far behind its base it begins. Where that is another place each
    time (`points - points[last]` with a `last` that hangs on data), programs would be ever new. So
    once a few such places were met, the alias enters as if its memory were another one's: its own
    base, wherever that lies. That holds as long as nobody writes either: a recording in which that
    happens, or whose history has to know of writes, begins again with aliases (`misses.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from flambeau.core.shapes import storage_extent
from flambeau.record.events import AGAIN, ALIAS, ENTER_ALL, PART, Metas, together
from flambeau.record.flushing import Shown, flush, settle_other
from flambeau.record.misses import becomes_part, miss
from flambeau.record.recording import LOCAL, Flushed, Fronted, Recording
from flambeau.record.storage import Storage, snapshot

if TYPE_CHECKING:
    from flambeau.record.handle import Handle
    from flambeau.record.meta import Meta


def enter(rec: Recording, tensor: Handle, op: Any = None, alone: bool = False) -> int:
    """Brings a tensor into the recording, for `op` if that may alias it; returns its number.
    `alone`: as if it had no family.

    A storage is in one pending recording at a time, the one that says so (`Storage.recording`):
    before another thread's takes it, that one runs. Threads are let in wherever something is
    called, so what was seen of the storage is looked at once more where it is taken.
    """
    storage = tensor._storage
    if storage is None or storage.exposed or not (tensor._family is None or alone):
        return enter_slowly(rec, tensor, op)
    other = storage.recording
    if other is not None and not other.done:
        if other is rec:
            return _enter_alias(rec, tensor, storage)
        settle_other(other)
        if other.done:  # (else it runs further up the stack)
            return enter(rec, tensor, op, alone)
    meta = tensor._meta
    before = rec.state
    state = before.next.get(meta) or miss(rec, meta)
    offset = tensor._offset * meta.dtype.itemsize if tensor._offset else 0
    base = ((storage, offset),)
    entered = (tensor,)
    if storage.recording is not other or storage.exposed:
        return enter(rec, tensor, op, alone)  # another thread has come in between
    storage.base = before.lengths[0]
    storage.offset = offset
    storage.dtype = meta.dtype
    storage.recording = tensor._rec = rec
    tensor._num = number = before.count
    rec.state = state
    rec.bases += base
    rec.handles += entered
    return number


def lost(rec: Recording, storage: Storage) -> bool:
    """Whether a recording that has just entered a storage cannot have it, since another thread has
    run the recording in between. Nothing is called after what was looked at here.
    """
    settled = None
    while True:
        other = storage.recording
        if rec.taken or other is None or other is rec or other is settled or other.done:
            return rec.taken
        settle_other(other)
        settled = other  # or it runs further up the stack


def _enter_alias(rec: Recording, tensor: Handle, storage: Storage) -> int:
    """A tensor over a storage that has entered before."""
    meta = tensor._meta
    distance = tensor._offset * meta.dtype.itemsize - storage.offset
    if distance < 0:
        enter_first(tensor)
    if meta.dtype is not storage.dtype:
        return enter_other_dtype(rec, tensor)
    key = (ALIAS, meta, storage.base, distance // meta.dtype.itemsize)
    state = rec.state.next.get(key)
    if state is None:
        part = enter_part(rec, tensor, storage)
        if part is not None:
            return part
        state = miss(rec, key)
    entered = (tensor,)
    tensor._rec = rec
    tensor._num = number = rec.state.count
    rec.state = state
    rec.handles += entered
    return number


def enter_part(rec: Recording, tensor: Handle, storage: Storage) -> int | None:
    """A tensor over a storage that has entered before, as a base of its own (see Note [Parts]),
    where it is no alias that is known. None where it is a new one.
    """
    meta = tensor._meta
    key = (PART, meta, storage.base)
    before = rec.state
    if LOCAL.whole is not None and LOCAL.whole() is rec:
        return None
    state = before.next.get(key)
    if state is None:
        if not becomes_part(rec, meta, storage.base):
            return None
        state = miss(rec, key)
    base = ((storage, tensor._offset * meta.dtype.itemsize),)
    entered = (tensor,)
    if rec.taken or storage.recording is not rec:
        flush()  # another thread has run it
        raise Flushed
    tensor._rec = rec
    tensor._num = number = before.count
    rec.state = state
    rec.bases += base
    rec.handles += entered
    return number


class Native:
    """Native calls, once programs are compiled and where the interpreter has them."""

    known_op: Any = None
    first_gradients: Any = None
    repeat: Any = None


NATIVE = Native()


class Plain:
    """Native calls that make, read and write plain data, once Python has done so many times."""

    left = 10_000  # a tensor or an array counts ten, a number, which is little work, one
    alias: Any = None
    view: Any = None
    views: Any = None
    show: Any = None
    fresh: Any = None
    over: Any = None
    adopted: Any = None
    answer: Any = None
    write: Any = None
    array: Any = None
    number: Any = None


PLAIN = Plain()


class Together:
    """Tensors that enter recordings in one event, as they were when this was made.

    `absent` says where None stands among those given; `complete` whether all others enter together.
    """

    __slots__ = (
        "absent",
        "after",
        "bases",
        "before",
        "complete",
        "last",
        "metas",
        "piece",
        "place",
        "seen",
        "tensors",
    )

    def __init__(self, tensors: Sequence[Any]) -> None:
        self.tensors = [t for t in tensors if t is not None and t._storage is not None]
        self.absent = tuple([place for place, t in enumerate(tensors) if t is None])
        storages = {id(t._storage) for t in self.tensors}
        if len(storages) != len(self.tensors):
            self.tensors = []  # views of one storage enter one by one
        self.complete = len(self.tensors) + len(self.absent) == len(tensors)
        self.metas = together(tuple([t._meta for t in self.tensors]))
        self.bases = [(t._storage, t._offset * t._meta.dtype.itemsize) for t in self.tensors]
        # By class, each with its place among all: the interpreter is quicker where one line sees
        # one class.
        parts: dict[type, list[tuple[Any, Storage, Meta, int, int]]] = {}
        for place, t in enumerate(self.tensors):
            part = (t, t._storage, t._meta, t._offset, place)
            parts.setdefault(t.__class__, []).append(part)
        self.seen = list(parts.values())
        self.last: Any = None  # the recording that they entered before,
        self.before: Any = None  # at which state,
        self.after: Any = None  # and the state after it
        self.place: Any = None  # where the piece begins
        self.piece: Any = None  # how they enter there, where they have done so twice

    def enter(self, rec: Recording) -> bool:
        """Brings the tensors into the recording; whether it did (see `enter_all`)."""
        piece = self.piece
        if (
            piece is not None
            and rec.state is self.place
            and NATIVE.repeat(piece.address, rec, None)
        ):
            self.last, self.before, self.after = rec, self.place, piece.after
            return True
        last = self.last
        if last is not None and not last.done:
            last = None
        for part in self.seen:
            for tensor, storage, meta, offset, _ in part:
                if (
                    tensor._storage is not storage
                    or tensor._meta is not meta
                    or tensor._offset != offset
                    or storage.exposed
                    or tensor._family is not None
                ):
                    return False
                other = storage.recording
                if other is not last:
                    if other is not None and not other.done:
                        return False
                    self.before = None  # has been elsewhere
        before = rec.state
        if before is self.before:
            state = self.after
        else:
            key = (ENTER_ALL, self.metas)
            state = before.next.get(key) or miss(rec, key)
            before = rec.state
        number, base = before.count, before.lengths[0]
        known = before is self.before  # what storages say of their place is so still
        rec.state = state
        rec.bases += self.bases
        rec.handles += self.tensors
        if known:
            for part in self.seen:
                for tensor, storage, _, _, place in part:
                    if storage.recording is not last:
                        known = False  # another thread has come in between
                        break
                    storage.recording = tensor._rec = rec
                    tensor._num = number + place
        if not known:
            for part in self.seen:
                for tensor, storage, meta, offset, place in part:
                    if storage.recording is not last and lost(rec, storage):
                        continue
                    storage.recording = tensor._rec = rec
                    storage.base = base + place
                    storage.offset = offset * meta.dtype.itemsize
                    storage.dtype = meta.dtype
                    tensor._num = number + place
        if known and NATIVE.repeat is not None and self.place is not before:
            self.cut(before, state)
        self.last, self.before, self.after = rec, before, state
        return True

    def cut(self, before: Any, after: Any) -> None:
        """Notes how they enter at a place in the tree."""
        from flambeau.record.pieces import Entry, Piece

        first = before.lengths[0], before.count
        entries = [
            Entry(tensor, storage, meta, offset, first[0] + place, first[1] + place)
            for part in self.seen
            for tensor, storage, meta, offset, place in part
        ]
        self.place = before
        self.piece = Piece(before, after, entries, self.tensors, self.bases)


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
        other = storage.recording
        if other is None or other.done or not lost(rec, storage):
            storage.recording = tensor._rec = rec
            storage.base = base
            storage.offset = offset
            storage.dtype = tensor._meta.dtype
            tensor._num = number
        base += 1
        number += 1
    return True


def enter_slowly(rec: Recording, tensor: Handle, op: Any = None) -> int:
    """A tensor of another recording, one that NumPy sees, or one with history in an earlier
    program.
    """
    storage = tensor._storage
    if storage is None:
        other = tensor._rec
        if other is not None and not other.done:
            settle_other(other)
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
    from flambeau.record.history import enter_member

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
    bases, entered = ((snapshot_of(tensor), 0),), (tensor,)
    rec.state = state
    rec.bases += bases
    rec.handles += entered
    if key is tensor._meta and key.requires_grad:
        tensor.__dict__["_entered"] = rec, number
    return number


def snapshot_of(tensor: Handle) -> Storage:
    """A copy of the elements a tensor's layout spans."""
    meta = tensor._meta
    assert tensor._storage is not None
    return snapshot(
        tensor._storage,
        tensor._offset * meta.dtype.itemsize,
        storage_extent(meta.shape, meta.strides) * meta.dtype.itemsize,
    )


def enter_first(tensor: Handle) -> NoReturn:
    """A tensor that starts in front of what the recording knows of its storage enters a new
    recording first.
    """
    flush()
    enter(LOCAL.rec, tensor)
    raise Fronted(tensor)


def enter_other_dtype(rec: Recording, tensor: Handle) -> int:
    """Bytes that the recording knows as another dtype: a new recording, or a copy where one op
    takes both.
    """
    if rec.state.ops:
        flush()
        raise Flushed
    return _enter_exposed(rec, tensor)
