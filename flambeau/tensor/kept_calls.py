"""Calls of compiled functions that run without their bodies (see `flambeau/compiler.py`): the first
run of a call that is kept makes its results, later ones use them and their memory again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core.dtypes import DType
from flambeau.record.changes import CHANGES
from flambeau.record.flushing import settle_other, settling
from flambeau.record.guarding import Survey
from flambeau.record.handle import Family
from flambeau.record.native import ARENA, SAMPLED, in_real_numbers
from flambeau.record.observing import WATCH
from flambeau.record.plan import DEAD_COUNT, Plan, getrefcount
from flambeau.record.recording import THREADS, Recording
from flambeau.record.statistics import STATISTICS
from flambeau.record.storage import Storage, allocate
from flambeau.tensor.tensor import Tensor

PLAIN = (int, float, bool, str, bytes, type(None), DType)
MISS = object()
new = object.__new__


class Capture:
    """What a recorded call does beside the recording."""

    def __init__(self) -> None:
        self.updates: list[Any] = []  # the optimizers' updates (flambeau.optim.stepping.Update)
        self.cleared: set[int] = set()  # ids of the leaves whose .grad the body has emptied


class Kept:
    """A call that can run without its body.

    The first run goes through the plan, as a flush does. After it, as long as nobody else holds
    what the run before has returned, everything is in place already: the same tensors and the same
    memory serve again, and a run is one foreign call.
    """

    def __init__(
        self,
        plan: Plan,
        state: Any,
        sources: list[tuple[int, Any, int]],
        scalars: list[Any],
        capture: Capture,
        result: Any,
        gradients: list[tuple[Any, int]],
        expected: list[tuple[Any, Any]],
        survey: Survey,
    ) -> None:
        self.plan = plan
        self.survey = None if survey.empty else survey
        self.held = survey.held
        self.state = state
        self.sources = (
            sources  # per base: (argument number, None, 0) or (-1, tensor, offset in bytes)
        )
        self.captured = [tensor for _, tensor, _ in sources if tensor is not None]
        self.metas = [tensor._meta for tensor in self.captured]
        self.given = [(slot, number) for slot, (number, _, _) in enumerate(sources) if number >= 0]
        self.scalars = scalars
        self.capture = capture
        self.result = result
        self.gradients = gradients  # (leaf, tensor number)
        self.expected = expected  # (leaf, what its .grad must be)
        self.changes = CHANGES.count
        made = {number: meta for number, _, meta, _ in plan.live}
        self.fresh = sorted(made)
        self.made = sorted(made.items())
        self.count = state.count
        self.ready: Ready | None = None

    def settle(self, tensors: Sequence[Any]) -> None:
        """Runs what other threads have recorded of the tensors that the call reads or writes."""
        for tensor in (*self.captured, *[tensors[number] for _, number in self.given]):
            storage = tensor._storage
            other = tensor._rec if storage is None else storage.recording
            if other is not None and not other.done:
                settle_other(other)

    def run(self, tensors: Sequence[Any]) -> Any:
        """The call's result, or MISS when it rests on something that has changed."""
        if self.changes != CHANGES.count or [t._meta for t in self.captured] != self.metas:
            return MISS
        if self.survey is not None and not self.survey.holds():
            return MISS
        for leaf, gradient in self.expected:
            if leaf._grad is not gradient:
                return MISS
        ready = self.ready  # another thread may take it away
        if ready is not None:
            result = ready.run(tensors)
            if result is not MISS:
                return result
        return self.run_plan(tensors)

    def scalars_now(self) -> list[Any] | None:
        """The program's scalars for this call; those of optimizer steps are counted and computed
        anew.

        None where an optimizer would now take another step than the recorded one.
        """
        if not self.capture.updates:
            return self.scalars
        scalars = self.scalars.copy()
        updates = self.capture.updates
        for update in updates:
            if not update.optimizer.repeats(update):
                return None
        for update in updates:
            first = update.scalar
            values = update.optimizer.replay(update)
            scalars[first : first + len(values)] = values
        return scalars

    def explain(self, tensors: Sequence[Any], failed: int, scalars: list[Any]) -> None:
        """Raises the exception for data that a kernel has refused."""
        rec = Recording(self.state)
        for number, tensor, offset in self.sources:
            if number >= 0:
                tensor = tensors[number]
                offset = tensor._offset * tensor._meta.dtype.itemsize
            rec.bases.append((tensor._storage, offset))
        rec.scalars = scalars
        self.ready = None
        self.plan.compiled.explain(rec, failed)

    def run_plan(self, tensors: Sequence[Any]) -> Any:
        """A run that makes its result tensors."""
        if THREADS.several:
            self.settle(tensors)
        bases = []
        for number, tensor, offset in self.sources:
            if number >= 0:
                tensor = tensors[number]
                offset = tensor._offset * tensor._meta.dtype.itemsize
            storage = tensor._storage
            if (
                storage is None
                or storage.exposed
                or (tensor._family is not None and tensor._family.frame is not None)
            ):
                return MISS
            bases.append((storage, offset))
        if len({id(storage) for storage, _ in bases}) != len(bases):
            return MISS
        scalars = self.scalars_now()
        if scalars is None:
            return MISS
        handles: list[Any] = [None] * self.count
        rec = Recording(self.state)
        for number, meta in self.made:
            out = new(Tensor)
            out._meta = meta
            out._rec = rec
            out._num = number
            handles[number] = out
        self.ready = None
        for leaf, number in self.gradients:
            leaf._grad = handles[number]
        rec.handles, rec.bases, rec.scalars, rec.done = handles, bases, scalars, True
        with settling():
            self.plan.run(rec)
            rec.handles, rec.bases = [], []
            result = rebuild(self.result, handles, tensors)  # held before another call may reuse it
            if self.plan.compiled is not None and self.plan.compiled.whole:
                self.ready = Ready(self, handles, bases)
        return result


class Ready:
    """The results and the memory of a kept call, to be used again.

    Everything a call rests on is looked at in each: reference counts, metas and storages of the
    tensors captured, gradients, options of the optimizers. Addresses are written into the table
    once, and again where they have changed.
    """

    OWN_ARENA = 1 << 20  # bytes of intermediates that are worth a piece of memory of its own

    def __init__(self, kept: Kept, handles: list[Any], bases: list[Any]) -> None:
        native = kept.plan.compiled
        self.native = native
        self.kept = kept
        self.handles = handles
        self.results = [handles[number] for number in kept.fresh]
        # Where each was made (recording and number), and all that it was then.
        self.made = [(handles[number]._rec, number) for number in kept.fresh]
        self.plain = [
            {name: value for name, value in tensor.__dict__.items() if name != "_storage"}
            for tensor in self.results
        ]
        self.memory = kept.plan.release()
        self.buffers = [storage.buffer for storage in self.memory]
        self.metas = [tensor._meta for tensor in self.results]
        seen = [(tensor, tensor._meta, tensor._storage) for tensor in kept.captured]
        # By class, each in a loop of its own: the interpreter is quicker where one line sees one.
        self.seen = [part for part in seen if part[0].__class__ is Tensor]
        self.parameters = [part for part in seen if part[0].__class__ is not Tensor]
        self.taken = {id(storage) for _, _, storage in seen}
        written = [(bases[base][0], *counts) for base, *counts in kept.plan.writes]
        self.written = [(storage, count) for storage, count, _ in written]
        self.silenced = [(storage, silent) for storage, _, silent in written if silent]
        self.leaves = [(leaf, handles[number]) for leaf, number in kept.gradients]
        self.events = kept.state.depth
        place = kept.result
        self.only = place.number if type(place) is _Place and not place.argument else -1
        self.busy = False
        self.scalars = np.zeros_like(native.scalar_block)
        own = native.arena_bytes <= self.OWN_ARENA
        self.arena = allocate(native.arena_bytes) if own else None
        self.slots: list[int] = native.addresses(bases, self.memory)
        self.slots[-2] = self.scalars.__array_interface__["data"][0]
        self.shared: Any = None  # which of the thread's memory for intermediates the table has
        if self.arena is not None:
            self.slots[-1] = self.arena.address
        self.table = np.array(self.slots, np.int64)
        self.address = self.table.__array_interface__["data"][0]
        # Slots of arguments, their numbers, and the storages that the table has in them.
        self.given: list[tuple[int, int, Any]] = [(*given, MISS) for given in kept.given]
        self.watched, self.given_out = self.to_watch(), self.all_given_out()
        self.counts = self.baseline()

    def run(self, tensors: Sequence[Any]) -> Any:
        """The call's result, or MISS where not everything is in place; nothing has happened
        then.
        """
        if THREADS.several:
            self.kept.settle(tensors)
        if self.busy:
            return MISS  # another thread is at it
        self.busy = True  # no call since it was looked at, so that no other thread was let in
        try:
            if list(map(getrefcount, self.watched)) != self.counts and not self.renew():
                return MISS
            for tensor, meta, storage in self.seen:
                if tensor._meta is not meta or tensor._storage is not storage:
                    return MISS
            for tensor, meta, storage in self.parameters:
                if tensor._meta is not meta or tensor._storage is not storage:
                    return MISS
            for tensor, meta in zip(self.results, self.metas):
                if tensor._meta is not meta:
                    return MISS
            for tensor, size in self.given_out:
                if len(tensor.__dict__) != size:
                    return MISS  # the last user has left something on it
            for leaf, gradient in self.leaves:
                if leaf._grad is not gradient:
                    return MISS
            for leaf, gradient in self.kept.expected:
                if leaf._grad is not gradient:
                    return MISS
            for _, number, last in self.given:
                tensor = tensors[number]
                storage = tensor._storage
                if (
                    storage is not last
                    or tensor._offset
                    or storage.exposed
                    or tensor._family is not None
                ):
                    if self.take(tensors):
                        break
                    return MISS
            scalars = self.kept.scalars_now()
            if scalars is None:
                return MISS
            failed = self.call(scalars)
            if failed:
                self.kept.explain(tensors, failed, scalars)
            for storage, count in self.written:
                storage.version += count
            for storage, silent in self.silenced:
                storage.silent += silent
            if self.only >= 0:
                return self.handles[self.only]
            return rebuild(self.kept.result, self.handles, tensors)
        finally:
            self.busy = False

    def call(self, scalars: list[Any]) -> int:
        """Runs the program; not 0 where a kernel has refused its data."""
        native = self.native
        if self.arena is None and ARENA.token is not self.shared:
            self.table[-1] = native.arena().address
            self.shared = ARENA.token
        if scalars:
            if native.has_complex:
                scalars = in_real_numbers(native.program, scalars)
            native.pack_scalars(self.scalars, 0, *scalars)
        statistics = STATISTICS
        statistics.compiled_events += self.events
        runs = statistics.compiled_runs = statistics.compiled_runs + 1
        observer = WATCH.observer
        unseen = observer is None or not observer.every_run
        if unseen and native.alone and runs % SAMPLED:
            failed: int = native.call(self.address, native.entry, 1)
            return failed
        codes: list[int] = []
        native.timed(self.table, codes, called=True)
        return codes[0]

    def take(self, tensors: Sequence[Any]) -> bool:
        """Notes where the arguments of this call are; whether they can be read there."""
        seen, addresses = [], []
        for slot, number, _ in self.given:
            tensor = tensors[number]
            storage = tensor._storage
            if (
                storage is None
                or storage.exposed
                or id(storage) in self.taken
                or tensor._family is not None
            ):
                return False
            addresses.append(storage.buffer.address + tensor._offset * tensor._meta.dtype.itemsize)
            seen.append((slot, number, MISS if tensor._offset else storage))
        if len(set(addresses)) != len(addresses):
            return False
        for (slot, _, _), address in zip(seen, addresses):
            self.table[slot] = address
        self.given = seen
        return True

    def renew(self) -> bool:
        """Gives outputs that are still held elsewhere new tensors and memory; whether all is free
        then.
        """
        gradients = {id(gradient) for _, gradient in self.leaves}
        start = self.native.base_count
        for place, tensor in enumerate(self.results):
            storage = tensor._storage
            sharing = sum(t._storage is storage for t in self.results)
            if id(tensor) in gradients or sharing != 1:
                continue
            index = [s is storage for s in self.memory].index(True)
            out = new(Tensor)
            # Not what the held one is by now: a later recording may know it, a user have left
            # something on it.
            out.__dict__.update(self.plain[place])
            out._meta, out._rec, out._num = self.metas[place], *self.made[place]
            family = tensor._family
            if family is not None:
                out._family = Family()
                out._family.frame, out._family.source = family.frame, family.source
                out._family.start, out._family.leaf = family.start, family.leaf
                out._family.add(out)
            fresh = Storage(allocate(self.memory[index].nbytes))
            out._storage = fresh
            self.results[place] = self.handles[self.made[place][1]] = out
            self.memory[index], self.buffers[index] = fresh, fresh.buffer
            self.table[start + index] = fresh.buffer.address
            del out, fresh, storage
        del tensor  # a local name counts as a holder
        self.watched, self.given_out = self.to_watch(), self.all_given_out()
        return list(map(getrefcount, self.watched)) == self.counts

    def baseline(self) -> list[int]:
        """The counts of `watched` where nobody but this, the plan and the leaves holds anything."""
        gradients = {id(gradient) for _, gradient in self.leaves}
        alone = DEAD_COUNT + 1  # in one list, and in `watched`
        # Results are in `handles` too, gradients in `leaves` and a leaf, others in `given_out`; a
        # storage is a tensor's, a buffer a storage's.
        holders = [alone + (3 if id(t) in gradients else 2) for t in self.results]
        per_storage = [alone + sum(t._storage is s for t in self.results) for s in self.memory]
        per_buffer = [alone + 1 for _ in self.buffers]
        return [*holders, *per_storage, *per_buffer, *[alone for _ in self.buffers]]

    def all_given_out(self) -> list[tuple[Any, int]]:
        """The results that are no gradients of leaves, and how much stood on each when new."""
        gradients = {id(gradient) for _, gradient in self.leaves}
        return [
            (tensor, len(plain) + 1)  # and its storage
            for tensor, plain in zip(self.results, self.plain)
            if id(tensor) not in gradients
        ]

    def to_watch(self) -> list[Any]:
        """What nobody else must hold while a call runs: results and all that is their memory."""
        owners = [buffer.owner for buffer in self.buffers]
        return [*self.results, *self.memory, *self.buffers, *owners]


class _Place:
    """A tensor in a kept result: a number of the recording, or an argument."""

    def __init__(self, number: int, argument: bool) -> None:
        self.number = number
        self.argument = argument


def template(value: Any, numbers: dict[int, int], tensors: list[Tensor]) -> Any:
    """A result with its tensors replaced by where they come from; MISS where that is not known."""
    if isinstance(value, Tensor):
        for place, tensor in enumerate(tensors):
            if tensor is value:
                return _Place(place, True)
        number = numbers.get(id(value))
        return MISS if number is None else _Place(number, False)
    if isinstance(value, (tuple, list)):
        parts = [template(part, numbers, tensors) for part in value]
        if any(part is MISS for part in parts) or type(value) not in (tuple, list):
            return MISS
        return type(value)(parts)
    if isinstance(value, dict):
        named = {name: template(part, numbers, tensors) for name, part in value.items()}
        return MISS if any(part is MISS for part in named.values()) else named
    return value if isinstance(value, PLAIN) else MISS


def rebuild(value: Any, handles: list[Any], tensors: Sequence[Any]) -> Any:
    if type(value) is _Place:
        return tensors[value.number] if value.argument else handles[value.number]
    if isinstance(value, (tuple, list)):
        return type(value)([rebuild(part, handles, tensors) for part in value])
    if isinstance(value, dict):
        return {name: rebuild(part, handles, tensors) for name, part in value.items()}
    return value
