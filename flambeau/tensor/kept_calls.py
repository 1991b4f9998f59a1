"""Calls of compiled functions that run without their bodies (see `flambeau/compiler.py`): the first
run of a call that is kept makes its results, later ones use them and their memory again.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.dtypes import DType
from flambeau.record.changes import CHANGES
from flambeau.record.facts import (
    Facts,
    Gradients,
    Held,
    Metas,
    Placed,
    Statement,
    Unmade,
    Untouched,
)
from flambeau.record.flushing import settle_elsewhere, settling
from flambeau.record.guarding import Survey
from flambeau.record.handle import Family
from flambeau.record.late import LateStorage
from flambeau.record.native import ARENA, SAMPLED, in_real_numbers
from flambeau.record.observing import WATCH
from flambeau.record.plan import Plan
from flambeau.record.recording import THREADS, Recording
from flambeau.record.result_memory import LARGE
from flambeau.record.statistics import STATISTICS
from flambeau.record.storage import Storage, allocate
from flambeau.record.words import Pairs
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
        # Leaves, and what their .grad must be.
        self.expected = [leaf for leaf, _ in expected], [gradient for _, gradient in expected]
        self.changes = CHANGES.count
        made = {number: meta for number, _, meta, _ in plan.live}
        self.fresh = sorted(made)
        self.made = sorted(made.items())
        self.count = state.count
        self.ready: Ready | None = None
        # How the compiled function knows the call (see `flambeau.compiler`), and how often it had
        # to find out.
        self.quick: Any = None
        self.quicks = 0

    def settle(self, tensors: Sequence[Any]) -> None:
        """Runs what other threads have recorded of the tensors that the call reads or writes."""
        for tensor in (*self.captured, *[tensors[number] for _, number in self.given]):
            settle_elsewhere(tensor)

    def run(self, tensors: Sequence[Any]) -> Any:
        """The call's result, or MISS when it rests on something that has changed."""
        if self.changes != CHANGES.count:
            return MISS
        ready = self.ready  # another thread may take it away
        if ready is not None:
            result = ready.run(tensors)
            if result is not MISS:
                return result
        if [t._meta for t in self.captured] != self.metas:
            return MISS
        if self.survey is not None and not self.survey.look():
            return MISS
        for leaf, gradient in zip(*self.expected):
            if leaf._grad is not gradient:
                return MISS
        return self.run_plan(tensors)

    def scalars_now(self) -> list[Any] | None:
        """The program's scalars for this call; those of optimizer steps are counted and computed
        anew.

        None where an optimizer would now take another step than the recorded one.
        """
        for update in self.capture.updates:
            if not update.optimizer.repeats(update):
                return None
        return self.scalars_counted()

    def scalars_counted(self) -> list[Any]:
        """The same where the optimizers take the recorded steps."""
        updates = self.capture.updates
        if not updates:
            return self.scalars
        scalars = self.scalars.copy()
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
            native = self.plan.compiled
            if native is not None and native.whole and self.leaves_gradients_only(handles):
                self.ready = Ready(self, handles, bases)
        return result

    def leaves_gradients_only(self, handles: list[Any]) -> bool:
        """Whether all results without memory are gradients of leaves: these stay where they are."""
        gradients = {number for _, number in self.gradients}
        others = [handles[number] for number in self.fresh if number not in gradients]
        return not any(type(tensor._storage) is LateStorage for tensor in others)


class Steps:
    """That optimizers would take the steps that were recorded (a statement, see `facts`)."""

    def __init__(self, updates: Sequence[Any]) -> None:
        self.updates = updates

    def look(self) -> bool:
        return all(update.optimizer.repeats(update) for update in self.updates)

    def pairs(self) -> Pairs:
        return [pair for update in self.updates for pair in update.pairs()]


class Hand:
    """The results that are handed out and can be replaced by others, with their memory: new ones
    where somebody still holds these.
    """

    def __init__(self, places: list[tuple[int, int]], tensors: list[Any]) -> None:
        self.places = places  # (number, slot of the table)
        self.tensors = tensors
        self.storages = [tensor._storage for tensor in tensors]
        buffers = [storage.buffer for storage in self.storages]
        self.addresses = [buffer.address for buffer in buffers]
        things = [*tensors, *self.storages, *buffers, *[buffer.owner for buffer in buffers]]
        # A tensor is in three lists here and in `handles`, a storage in one and a tensor's.
        count = len(tensors)
        holders = [4] * count + [2] * count + [1] * 2 * count
        self.statements: list[Statement] = [
            Held(things, holders),
            Metas(tensors),
            Untouched(tensors),
        ]
        self.facts: Facts | None = None  # once it was found free: many are used once

    def hold(self) -> bool:
        """Whether nobody else holds any of it, and the results are as they were made."""
        if self.facts is not None:
            return self.facts.hold()
        if not all(statement.look() for statement in self.statements):
            return False
        self.facts = Facts(self.statements)
        return True


class Ready:
    """The results and the memory of a kept call, to be used again.

    Everything a call rests on is looked at in each: reference counts, metas and storages of the
    tensors captured, gradients, what the body may read, options of the optimizers. Addresses are
    written into the table once, and again where they have changed.
    """

    OWN_ARENA = 1 << 20  # bytes of intermediates that are worth a piece of memory of its own

    def __init__(self, kept: Kept, handles: list[Any], bases: list[Any]) -> None:
        native = kept.plan.compiled
        self.native = native
        self.kept = kept
        self.handles = handles
        self.memory = kept.plan.results.release()
        self.taken = {id(tensor._storage) for tensor in kept.captured}
        written = [(bases[base][0], *counts) for base, *counts in kept.plan.writes]
        self.written = [(storage, count) for storage, count, _ in written]
        self.silenced = [(storage, silent) for storage, _, silent in written if silent]
        self.events = kept.state.depth
        place = kept.result
        self.only = place.number if type(place) is _Place and not place.argument else -1
        self.busy = False
        self.scalars = np.zeros_like(native.scalar_block)
        own = native.arena_bytes <= self.OWN_ARENA
        self.arena = allocate(native.arena_bytes) if own else None
        self.slots: list[int] = native.addresses(bases, self.memory)
        self.slots[-2] = address_of(self.scalars)
        self.shared: Any = None  # which of the thread's memory for intermediates the table has
        if self.arena is not None:
            self.slots[-1] = self.arena.address
        self.table = np.array(self.slots, np.int64)
        self.address = address_of(self.table)
        # Slots of arguments, their numbers, and the storages that the table has in them.
        self.given: list[tuple[int, int, Any]] = [(*given, MISS) for given in kept.given]
        self.hand = self.first_hand()
        self.spare: Hand | None = None
        self.steps = Steps(kept.capture.updates)
        self.counting = any(update.counts for update in self.steps.updates)
        self.facts = self.all_facts()
        self.packed = 0  # with which words noted the scalars were written

    def first_hand(self) -> Hand:
        """The results of the first run that can be replaced, which are new."""
        gradients = {id(self.handles[number]) for _, number in self.kept.gradients}
        results = [(number, self.handles[number]) for number in self.kept.fresh]
        places, tensors = [], []
        self.plain: list[Any] = []  # where each was made, and all that it was then
        for number, tensor in results:
            storage = tensor._storage
            if id(tensor) in gradients or sum(t._storage is storage for _, t in results) != 1:
                continue
            index = [s is storage for s in self.memory].index(True)
            own = {name: v for name, v in tensor.__dict__.items() if name != "_storage"}
            family = own.pop("_family", None)
            if family is not None:
                family = family.frame, family.source, family.start, family.leaf
            self.plain.append((tensor._meta, tensor._rec, number, own, family))
            places.append((number, self.native.base_count + index))
            tensors.append(tensor)
        return Hand(places, tensors)

    def all_facts(self) -> Facts:
        """What a call rests on beside its arguments and its hand."""
        kept, replaced = self.kept, {number for number, _ in self.hand.places}
        lying = {id(storage) for storage in self.hand.storages}
        leaves = [leaf for leaf, _ in kept.gradients]
        gradients = [self.handles[number] for _, number in kept.gradients]
        taken = set(map(id, gradients))
        every = [self.handles[number] for number in kept.fresh]
        results = [self.handles[number] for number in kept.fresh if number not in replaced]
        given_out = [t for t in results if id(t) not in taken]
        memory = self.memory = [s for s in self.memory if id(s) not in lying]
        buffers = [storage.buffer for storage in memory]
        late = [t._storage for t in every if type(t._storage) is LateStorage]
        operands = [storage for one in late for storage in one.operands]
        things = [*results, *memory, *buffers, *[buffer.owner for buffer in buffers], *late]
        # A result is in `handles` and in two statements; a gradient is a leaf's, too.
        holders = [4 if id(t) in taken else 3 for t in results]
        shown = [t._storage for t in every]
        holders += [1 + sum(x is s for x in (*shown, *operands)) for s in memory]
        holders += [1] * 2 * len(memory) + [2] * len(late)
        by_class: dict[type, list[Any]] = {}
        for tensor in kept.captured:  # the interpreter is quicker where one line sees one class
            by_class.setdefault(tensor.__class__, []).append(tensor)
        del shown, operands
        statements: list[Any] = [Held(things, holders), Metas(results), Untouched(given_out)]
        statements.append(Unmade(late))
        statements += map(Placed, by_class.values())
        statements += [Gradients(leaves, gradients), Gradients(*kept.expected), self.steps]
        if kept.survey is not None:
            statements.append(kept.survey)
        return Facts(statements)

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
            facts, hand = self.facts, self.hand.facts
            if (
                facts.rest
                or hand is None
                or hand.rest
                or facts.moved(facts.first, facts.end) != facts.end
                or hand.moved(hand.first, hand.end) != hand.end
            ) and not (facts.hold() and (self.hand.hold() or self.renew())):
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
            scalars: Any = None
            if self.counting or facts.seals != self.packed or facts.rest:
                self.packed = facts.seals
                scalars = self.kept.scalars_counted()
            failed = self.call(scalars)
            if failed:
                failed = self.native.again(self.table, failed)
            if failed:
                self.packed = 0
                if scalars is None:  # as in the call before: no optimizer counts
                    scalars = self.kept.scalars_counted()
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

    def call(self, scalars: list[Any] | None) -> int:
        """Runs the program; not 0 where a kernel has refused its data. (None: the scalars are as in
        the call before.)
        """
        native = self.native
        if self.arena is None and ARENA.token is not self.shared:
            self.table[-1] = native.arena().address
            self.shared = ARENA.token
        if scalars:
            if native.has_complex:
                scalars = in_real_numbers(native.program, scalars)
            native.pack_scalars(self.scalars, 0, *scalars)
        statistics = STATISTICS
        statistics.events += self.events
        runs = statistics.runs = statistics.runs + 1
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
        """Where results are still held elsewhere, those of the call before the last serve, or new
        ones.
        """
        spare, self.spare = self.spare, self.hand
        if spare is not None:
            self.place(spare)
            if spare.hold():
                return True
        del spare
        self.place(self.new_hand())
        if sum(storage.nbytes for storage in self.hand.storages) > LARGE:
            self.spare = None
        return True

    def place(self, hand: Hand) -> None:
        """Makes these the results of the next call."""
        self.hand = hand
        for (number, slot), tensor, address in zip(hand.places, hand.tensors, hand.addresses):
            self.handles[number] = tensor
            self.table[slot] = address

    def new_hand(self) -> Hand:
        tensors = []
        for (meta, rec, number, own, family), old in zip(self.plain, self.hand.tensors):
            out = new(Tensor)
            # Not what the held one is by now: a later recording may know it, a user have left
            # something on it.
            out.__dict__.update(own)
            out._meta, out._rec, out._num = meta, rec, number
            if family is not None:
                out._family = Family()
                out._family.frame, out._family.source = family[:2]
                out._family.start, out._family.leaf = family[2:]
                out._family.add(out)
            out._storage = Storage(allocate(old._storage.nbytes))
            tensors.append(out)
        return Hand(self.hand.places, tensors)


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
