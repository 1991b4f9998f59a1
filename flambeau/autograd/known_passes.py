"""Passes through one earlier program that were recorded before, each in one step.

The steps of a loop have run the same program, so the pass through one of them is that through all:
what enters it are tensors with data of their own, and what it makes has the same numbers. Where all
is as it was the last time, the recording goes to the state after the pass at once, without those in
between. Everywhere else nothing has happened, and the pass is recorded event by event.
"""

from __future__ import annotations

import weakref
from typing import Any

from flambeau.record import recorder
from flambeau.record.chain import NOTHING, Done, Frame
from flambeau.record.recording import LOCAL, THREADS

MOST = 64  # passes that are known of a program
new = object.__new__


class Entering:
    """The tensors with which a pass begins a recording, where they are plain data, and how that is
    known: `key` is None where they are not, or something else is out of the ordinary.
    """

    __slots__ = ("key", "passes", "rec", "storages", "tensors")

    def __init__(
        self, frame: Frame, entries: list[tuple[Any, Any]], have: list[Any], retain_graph: bool
    ) -> None:
        self.rec = rec = LOCAL.rec
        self.passes = frame.trace.passes
        self.tensors = [tensor for _, tensor in entries]
        self.tensors += [tensor for tensor in have if tensor is not None]
        self.storages = [tensor._storage for tensor in self.tensors]
        self.key: Any = None
        root = rec.state
        if root.parent is not None or rec.handles or frame.cuts or THREADS.several:
            return
        for tensor, storage in zip(self.tensors, self.storages):
            if (
                storage is None
                or storage.exposed
                or tensor._family is not None
                or not (storage.recording is None or storage.recording.done)
            ):
                return
        if len(set(self.storages)) != len(self.storages):
            return  # one of them is another's alias
        self.key = (
            root,
            frame.freed,
            frame.late,
            retain_graph,
            *[value for value, _ in entries],
            *[tensor is None for tensor in have],
            *[tensor._meta for tensor in self.tensors],
        )

    def known(self, frame: Frame) -> tuple[Done, list[Any]] | None:
        """What the pass was, and its new tensors, where it is known; None elsewhere, and nothing
        was recorded.
        """
        found = self.passes.get(self.key) if self.key is not None else None
        state = None if found is None else found()
        if state is None:
            return None
        done: Done = state.extra
        bases: list[Any] = [
            (storage, tensor._offset * tensor._meta.dtype.itemsize)
            for tensor, storage in zip(self.tensors, self.storages)
        ]
        if not _saved(done, frame, bases):
            return None
        rec, made = self.rec, []
        number = state.number
        for meta in state.metas:
            out = new(recorder.handle_class())
            out._meta = meta
            out._rec = rec
            out._num = number
            number += 1
            made.append(out)
        handles = [*self.tensors, *made]
        if rec is not LOCAL.rec or rec.handles or rec.taken:
            return None  # a finalizer has recorded something
        self._enter(state, bases, handles)
        if state.effects:
            recorder.apply_effects(rec, handles, state)
        return done, made

    def _enter(self, state: Any, bases: list[Any], handles: list[Any]) -> None:
        """Moves the recording to the state. (Nothing is made here: no finalizer comes in.)"""
        rec, number = self.rec, 0
        for tensor, storage in zip(self.tensors, self.storages):
            storage.base = number
            storage.offset = bases[number][1]
            storage.dtype = tensor._meta.dtype
            storage.recording = tensor._rec = rec
            tensor._num = number
            number += 1
        rec.state = state
        rec.bases += bases
        rec.handles += handles
        alone = (rec,)
        for storage, _ in bases[number:]:
            if storage is not NOTHING:
                storage.read_by(rec, alone)

    def remember(self, state: Any) -> None:
        """Notes where the pass has led, which was recorded event by event."""
        rec, count = self.rec, len(self.tensors)
        whole = rec is LOCAL.rec and rec.state is state and not (rec.frames or rec.cuts)
        if self.key is None or not whole or rec.scalars:
            return
        if rec.bases[:count] != [(s, s.offset) for s in self.storages]:
            return
        if any(one is not other for one, other in zip(rec.handles, self.tensors)):
            return
        if len(rec.bases) != count + len(state.extra.imports):
            return
        if len(rec.handles) != count + len(state.metas):
            return
        if len(self.passes) >= MOST:
            self.passes.clear()
        self.passes[self.key] = weakref.ref(state)


def _saved(done: Done, frame: Frame, bases: list[Any]) -> bool:
    """Adds the bases of what the program has saved for its pass; whether all of that is as it was,
    and nobody outside sees it.
    """
    saved = frame.saved
    for _, value, needed in done.imports:
        if not needed:
            bases.append((NOTHING, 0))
            continue
        entry = saved.get(value)
        if entry is None:
            return False
        now, then = entry.counts
        if now != then or entry.storage.exposed:
            return False
        bases.append((entry.storage, entry.offset))
    return True
