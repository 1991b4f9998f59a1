"""Steps of a schedule that follow each other, made one native call.

Where chains are kernels (`chains.py`), most of what a short program takes in the reference executor
is Python between them: arrays, views, NumPy's own calls. Products, rows by index and copies have
kernels for any sizes as well (`sequence_kernels.py`), so that whole stretches of a schedule are a
program of records, as compiled code has it; sizes, strides and places are its words.

Note [Sequences]
What a stretch is, which kernels it has and which values share memory is decided once for all
programs of an outline (see Note [Outlines] in `flambeau.graph.outline`): `Sequence` holds that, and
`Call` the words of one program. A value has a *slot* of the call's table. Those that nobody
outside reads lie in one arena, in *cells* that one value after another takes if they are of one
size; the table has for each what looks like an array's head. Reshaped values are their operands;
permuted ones stay what they are until somebody needs them in order (a product takes them as they
lie). Where an index is out of range, the steps run in NumPy instead, which says so.
"""

from __future__ import annotations

from collections.abc import Sequence as Several
from contextlib import nullcontext
from ctypes import memmove
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu import runtime
from flambeau.execute.cpu.sequence_records import Record, Records, Single, Slot, Spot
from flambeau.execute.reference.blas import one_thread
from flambeau.execute.reference.schedule import computed
from flambeau.graph.outline import Outline
from flambeau.ops.primitive import Array
from flambeau.ops.value import leave_to_reference_counts

if TYPE_CHECKING:
    from flambeau.execute.reference.schedule import Recipe, Schedule

LONG = 1 << 15  # elements of a sequence's values from which on other threads may run meanwhile
LINE = 64  # bytes
KEPT = 1 << 23  # bytes of an arena that is kept for later calls
MOST_RECORDS = 64  # of a sequence: what it makes is kept until its end
HEAD = object.__basicsize__ // 8 + 1  # words of what looks like an array
DIRECT = {"direct": True}  # attributes of a step that can write into results


class Final(NamedTuple):
    """A step that stays (its number), or a chain with its kernel's address; the places that nobody
    reads after it.
    """

    item: Any
    address: int
    dead: tuple[int, ...]


def sequences(
    schedule: Schedule, recipe: Recipe, finals: Several[Final], single: Single
) -> list[Final | Sequence]:
    """The final steps of an outline's schedules, those in one that can be a sequence."""
    outline = schedule.program.outline
    found: list[Final | Sequence] = []

    def begun() -> Records:
        return Records(outline, recipe, single)

    records, taken = begun(), list[Final]()
    for final in (*finals, None):
        if final is not None and len(records.records) < MOST_RECORDS and _take(records, final):
            taken.append(final)
            continue
        if len(records.records) < (1 if len(taken) == len(finals) else 2):
            found += taken  # a call of one kernel is not worth it, but for whole programs
        else:
            found.append(Sequence(outline, recipe, records, taken))
        records, taken = begun(), []
        if final is None:
            break
        if _take(records, final):
            taken.append(final)
        else:
            records = begun()
            found.append(final)
    return found


def _take(records: Records, final: Final) -> bool:
    if final.address:
        return records.chain(final.item, final.address)
    return records.step(final.item)


class Sequence:
    """What the programs of an outline have in common of a stretch of their schedules."""

    __slots__ = (
        "arena", "cells", "chains", "dead", "inputs", "made", "node", "outputs", "own", "records",
        "steps",
    )  # fmt: skip

    def __init__(
        self, outline: Outline, recipe: Recipe, records: Records, taken: list[Final]
    ) -> None:
        gone = {place for final in taken for place in final.dead}
        inside = records.spots.keys() - records.inputs.keys()
        made = sorted(place for place in inside if place not in gone)
        # A value that others read is laid out by then.
        spots = [Spot(records.ordered(k, outline.of_nodes[records.at[k]]), 0) for k in made]
        self.made = tuple(made)
        self.inputs = tuple(records.inputs)
        self.dead = tuple(sorted(gone - inside))
        self.steps = [
            number
            for final in taken
            for number in (final.item.steps if final.address else (final.item,))
        ]
        self.node = recipe.steps[self.steps[-1]][0]
        self.chains = sum([bool(final.address) for final in taken])
        self._arrange(outline, records, spots)

    def _arrange(self, outline: Outline, records: Records, spots: list[Spot]) -> None:
        """Says where in the table slots are: those in the arena, inputs, and what others read."""
        entered = list(records.inputs.values())
        read = [s.slot for s in spots if s.slot not in entered]
        own = list(dict.fromkeys(read))
        outside = {*entered, *own}
        arena = [slot for slot in range(len(records.slots)) if slot not in outside]
        at = {slot: number for number, slot in enumerate((*arena, *entered, *own))}
        self.arena = len(arena)
        self.records = [
            record._replace(slots=tuple([at[slot] for slot in record.slots]))
            for record in records.records
        ]
        results = {place for place, _ in records.recipe.results}
        seen: dict[int, int] = {}
        for place, s in sorted(zip(self.made, spots, strict=True), key=lambda p: p[0] in results):
            seen[s.slot] = place  # (of several a result, which may be written into at once)
        self.own = [(seen[slot], records.slots[slot]) for slot in own]
        self.outputs = tuple([
            (at[s.slot] - self.arena, outline.of_nodes[records.at[place]])
            for place, s in zip(self.made, spots, strict=True)
        ])  # fmt: skip
        self.cells = self._cells([records.slots[slot] for slot in arena])

    def _cells(self, slots: list[Slot]) -> list[tuple[Slot, list[int]]]:
        """Memory of the arena, and the slots that have it one after another."""
        last = {slot: k for k, record in enumerate(self.records) for slot in record.slots}
        free: dict[Any, list[list[int]]] = {}
        cells: list[tuple[Slot, list[int]]] = []
        ends: list[list[tuple[Any, list[int]]]] = [[] for _ in self.records]
        seen: set[int] = set()
        for k, record in enumerate(self.records):
            for slot in record.slots:
                if slot >= self.arena or slot in seen:
                    continue
                seen.add(slot)
                kind = slots[slot]
                if free.get(kind.key):
                    users = free[kind.key].pop()
                else:
                    users = []
                    cells.append((kind, users))
                users.append(slot)
                ends[last[slot]].append((kind.key, users))
            for key, users in ends[k]:
                free.setdefault(key, []).append(users)
        return cells

    def step(self, schedule: Schedule) -> Any:
        """The step of a program's schedule."""
        outline = schedule.program.outline
        for place in self.inputs:
            constant = schedule.start[place]
            if constant is not None and not constant.flags.c_contiguous:
                schedule.start[place] = np.array(constant, order="C")
        node, call = outline.nodes[self.node], Call(self, schedule)
        step: Any = (node, call, self.inputs, DIRECT, self.made, None, None, self.dead)
        leave_to_reference_counts(step)
        return step


class _Arenas:
    """Memory of earlier calls."""

    def __init__(self) -> None:
        self.free: list[Array] = []

    def take(self, nbytes: int) -> Array:
        try:
            arena = self.free.pop()
        except IndexError:
            arena = None
        if arena is None or arena.nbytes < nbytes:
            arena = np.empty(max(nbytes, LINE), np.uint8)
        return arena

    def give(self, arena: Array) -> None:
        if arena.nbytes <= KEPT and not self.free:
            self.free.append(arena)


ARENAS = _Arenas()


class Call:
    """A sequence for one program's sizes."""

    __slots__ = (
        "address",
        "buffers",
        "nbytes",
        "outline",
        "outputs",
        "program",
        "recipe",
        "releases",
        "sequence",
        "slots",
        "words",
    )  # fmt: skip

    def __init__(self, sequence: Sequence, schedule: Schedule) -> None:
        assert schedule.recipe is not None
        self.sequence, self.recipe = sequence, schedule.recipe
        self.outline = outline = schedule.program.outline
        self.program = runtime.encode_program([_encoded(r, outline) for r in sequence.records])
        self.address = address_of(self.program)
        shapes = outline.shapes
        self.outputs = [(slot, shapes[shape]) for slot, shape in sequence.outputs]
        self.buffers = [(place, slot.size(outline), slot.dtype) for place, slot in sequence.own]
        self._lay_out_arena(outline)

    def _lay_out_arena(self, outline: Outline) -> None:
        """The words before addresses are known: the table, and what looks like arrays' heads."""
        sequence = self.sequence
        self.slots = sequence.arena + len(sequence.inputs) + len(sequence.own)
        words = [8 * (self.slots + HEAD * slot) for slot in range(self.slots)]
        words += [0] * (HEAD * self.slots)
        nbytes, elements = 0, sum([size for _, size, _ in self.buffers])
        for kind, slots in sequence.cells:
            for slot in slots:
                words[self.slots + HEAD * slot + HEAD - 1] = nbytes
            size = kind.size(outline)
            elements += size
            nbytes += -(-size * kind.dtype.itemsize // LINE) * LINE
        self.nbytes = nbytes + LINE
        self.words = np.array(words, np.int64)
        self.releases = elements >= LONG

    def __call__(self, *operands: Array) -> list[Array]:
        return self.direct(operands, {}, {})

    def direct(
        self, operands: Several[Array], targets: dict[int, Array], stored: dict[int, Array]
    ) -> list[Array]:
        """What others read of the sequence; results among it where they belong (`targets`), which
        `stored` then says.
        """
        arrays = [
            x if type(x) is np.ndarray and x.flags.c_contiguous else np.ascontiguousarray(x)
            for x in operands
        ]
        for place, size, dtype in self.buffers:
            arrays.append(targets[place] if place in targets else np.empty(size, dtype))
        if self.run([id(x) for x in arrays], are_arrays=True):
            return self._in_numpy(operands)
        for place, _, _ in self.buffers:
            if place in targets:
                stored[place] = targets[place]
        return [arrays[slot].reshape(shape) for slot, shape in self.outputs]

    def run(self, outside: list[int], are_arrays: bool) -> int:
        """Runs the records on what is not in the arena: arrays (their `id`), or addresses."""
        table, arena = self.words.copy(), ARENAS.take(self.nbytes)
        count, slots, start = self.sequence.arena, self.slots, address_of(table)
        table[:slots] += start
        elements = table[slots + HEAD - 1 :: HEAD]
        elements[:count] += -(-address_of(arena) // LINE) * LINE
        (table[count:slots] if are_arrays else elements[count:])[:] = outside
        failed = runtime.call_run(start, self.address, release_gil=self.releases)
        ARENAS.give(arena)
        return failed

    def _in_numpy(self, operands: Several[Array]) -> list[Array]:
        """The same, step by step."""
        values: dict[int, Any] = dict(zip(self.sequence.inputs, operands, strict=True))
        for number in self.sequence.steps:
            node, function, given, attrs, place, *_ = self.recipe.step(self.outline, number)
            try:
                values[place] = computed(node, function, [values[k] for k in given], attrs or {})
            except Exception as error:
                error.__dict__["node"] = node
                raise
        return [values[place] for place in self.sequence.made]


BASE, SCALAR, CONSTANT = range(3)


class Whole:
    """A sequence that is all of a program: it runs on the memory of bases and results, without
    arrays for them.
    """

    __slots__ = ("call", "copies", "inputs", "multiplies", "own", "updates")

    def __init__(self, schedule: Schedule, call: Call) -> None:
        self.call, self.multiplies = call, schedule.multiplies
        self.inputs: list[tuple[int, int, Any]] = []
        self.own: list[tuple[int, int, Any]] = []  # of which result (-1: of none), and its size
        self.copies: list[tuple[int, int, int]] = []  # result, where it is found, bytes
        self.updates: list[tuple[int, int]] = []  # base, where what it becomes is found

    @staticmethod
    def of(schedule: Schedule) -> Whole | None:
        """That of a schedule, where it can be."""
        steps = schedule.steps
        if len(steps) != 1 or not isinstance(steps[0][1], Call) or schedule.fills:
            return None
        found = Whole(schedule, steps[0][1])
        return found if found._takes(schedule) and found._gives(schedule) else None

    def _takes(self, schedule: Schedule) -> bool:
        known: dict[int, tuple[int, int, Any]] = {}
        for place, index, extent, dtype in schedule.bases:
            known[place] = BASE, index, extent * dtype.itemsize
        for place, index, number in schedule.scalars:
            known[place] = SCALAR, index, number
        for place in self.call.sequence.inputs:
            constant = schedule.start[place]
            if place in known:
                self.inputs.append(known[place])
            elif constant is not None:
                self.inputs.append((CONSTANT, address_of(constant), constant))
            else:
                return False
        return True

    def _gives(self, schedule: Schedule) -> bool:
        call, first = self.call, len(self.inputs)
        where = dict(zip(call.sequence.made, call.outputs, strict=True))
        results: dict[int, int] = {}  # by slot
        for number, (place, dtype) in enumerate(schedule.results):
            if place not in where:
                return False
            slot, shape = where[place]
            if slot < first or slot in results:
                self.copies.append((number, slot, prod(shape) * dtype.itemsize))
            else:
                results[slot] = number
        for base, place, _ in schedule.updates:
            if place not in where or where[place][0] < first or where[place][0] in results:
                return False
            self.updates.append((base, where[place][0] - first))
        for k, (_, size, dtype) in enumerate(call.buffers):
            self.own.append((results.get(first + k, -1), size, dtype))
        return True

    def run(
        self, bases: Several[Any], scalars: Several[Any], storages: Several[Any]
    ) -> list[tuple[int, Array]] | None:
        """Computes the results into storages; gives (base, what it becomes) of the updates. None
        where it cannot: nothing has been written but the results' memory.
        """
        addresses: list[int] = []
        held: list[Any] = []
        for what, index, more in self.inputs:
            if what == BASE:
                storage, start = bases[index]
                buffer = storage.buffer
                if buffer.nbytes - start < more:
                    return None
                addresses.append(buffer.address + start)
            elif what == SCALAR:
                held.append(np.array(scalars[index], more))
                addresses.append(address_of(held[-1]))
            else:
                addresses.append(index)
        made: list[Any] = []
        for number, size, dtype in self.own:
            made.append(np.empty(size, dtype) if number < 0 else None)
            at = storages[number].buffer.address if number >= 0 else address_of(made[-1])
            addresses.append(at)
        with one_thread() if self.multiplies else nullcontext():
            if self.call.run(addresses, are_arrays=False):
                return None
        for number, slot, nbytes in self.copies:
            memmove(storages[number].buffer.address, addresses[slot], nbytes)
        return [(base, made[k]) for base, k in self.updates]


def _encoded(record: Record, outline: Outline) -> runtime.Record:
    words, tasks = record.words(outline)
    words = (*record.slots, *words) if record.leading else (*words, *record.slots)
    return runtime.Record(record.address, words, tasks, tasks > 1)
