"""Cards: what is known of a flush, in the words that `flambeau.record.replay` reads."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu.pool import get_num_threads
from flambeau.record import words
from flambeau.record.handle import Family
from flambeau.record.new_frames import makeable, rows_of_frame
from flambeau.record.options import OPTIONS
from flambeau.record.recording import ERA
from flambeau.record.replay import FIELDS, FLOATS, INTEGERS, LATE_WORDS
from flambeau.record.result_memory import LARGE, Lot

if TYPE_CHECKING:
    from flambeau.record.plan import FamilySpec, Plan
    from flambeau.record.tree import State

STALE = list(map(FIELDS.index, ("ERA", "THREAD", "MOST", "RAN")))


class Card:
    """What is known of a flush at a place in the tree, in the words of `FIELDS`."""

    __slots__ = ("address", "held", "ran", "seals", "shared", "words")

    def __init__(self, state: State, plan: Plan, counts: Any) -> None:
        native = plan.compiled
        self.shared = native.parallel
        self.seals = plan.results.seals
        self.ran = 0
        kinds = [FLOATS if d.kind == "f" else INTEGERS for d in native.program.scalars]
        new = [family for family in plan.families if family.alone]
        patterns = [_pattern(family, plan.spent_frame) for family in new]
        families = [_words_of_family(family, pattern) for family, pattern in zip(new, patterns)]
        staying = [pair for family in plan.families if not family.alone for pair in family.pairs()]
        silenced = dict(plan.silenced)
        writes = [(base, count, silenced.get(base, 0), 0, 0) for base, count in plan.counted]
        known = self.seals if plan.results.sizes else (plan.results.lot,)
        found = [_words_of(lot, plan) for lot in known]
        lots = [numbers for numbers, _ in found]
        spare = _spare(plan) if with_spare(plan) else None
        entries: dict[str, Any] = {"LOTS": lots, "FAMILIES": families, "WRITES": writes}
        entries |= {"IMPORTS": _imports_of(plan), "STAYING": staying}
        history, freed = _history(plan)
        entries |= history
        lists = [np.array(rows or [0], np.int64) for rows in (kinds, *entries.values())]
        # All that the words name; what the families name is the plan's.
        weak = weakref.ref(plan)
        self.held = (
            plan,
            plan.results,
            self.seals,
            counts,
            native,
            patterns,
            lists,
            found,
            spare,
            weak,
            freed,
        )
        get_num_threads()  # from now on it is known
        values = {
            "PLAN": id(plan),
            "RESULTS": id(plan.results),
            "SEALS": id(self.seals),
            "COUNTS": address_of(counts),
            "BASES": native.base_count,
            "SCALARS": len(kinds),
            "KINDS": address_of(lists[0]),
            "BLOCK": native.scalar_address,
            "PROGRAM": native.entry,
            "ERA": int(ERA[0]),
            "THREAD": threading.get_ident(),
            "HELD": int(self.shared),
            "CLOCK": address_of(plan.results.clock) if plan.results.nbytes > LARGE else 0,
            "EARLY": int(plan.early),
            "WEAK": id(weak),
            "DEPTH": state.depth,
            "FRAMES": state.lengths[2],
            "LEAF_COUNT": len(history.get("LEAVES", ())),
            "VIEW_COUNT": len(history.get("VIEWS", ())),
            "TRACE": 0 if freed is None else id(_trace_of(plan)),
            "FREED": 0 if freed is None else id(freed),
            # The run by which compiling has paid is Python's.
            "MOST": plan.due - 1 - plan.runs if plan.due > plan.runs else -1,
        }
        for array, (name, rows) in zip(lists[1:], entries.items()):
            values[name], values[name + "_END"] = _extent(array if rows else array[:0])
        if spare is not None:
            values["SPARE"] = address_of(spare[0])
            values["MADE"], values["MADE_END"] = _extent(spare[1])
        self.words = np.array([values.get(name, 0) for name in FIELDS], np.int64)
        self.address = address_of(self.words)

    def code(self) -> int:
        """What the program has refused its data with."""
        return int(self.words[FIELDS.index("CODE")])

    def runs(self) -> int:
        """How often it has run since this was last asked."""
        before, self.ran = self.ran, int(self.words[FIELDS.index("RAN")])
        return self.ran - before

    def ran_often(self, least: int) -> bool:
        """Whether it has run at least so many times."""
        return int(self.words[FIELDS.index("RAN")]) >= least

    def stale(self, plan: Plan) -> bool:
        """Whether another one could run where this one does not."""
        era, thread, most, ran = map(int, self.words[STALE])
        return (
            plan.results.seals is not self.seals
            or era != ERA[0]
            or thread != threading.get_ident()
            or most == ran
        )


def _words_of(lot: Lot, plan: Plan) -> tuple[tuple[int, ...], Any]:
    """What a card says of a lot (`LOT_FIELDS`), and what has to be held while it does."""
    native = plan.compiled
    table = np.array([0] * native.base_count + native.addresses([], lot.storages), np.int64)
    storages, makers = lot.storages, plan.late
    fresh = np.array(
        [(n, 0 if index in makers else id(storages[index])) for n, index in _results_of(plan)],
        np.int64,
    )
    late = [
        (address_of(fresh[row:]) + 8, id(maker), *(id(storages[n]) for n in maker.operands))
        for row, (_, index) in enumerate(plan.fresh)
        if (maker := makers.get(index)) is not None
    ]
    rows = np.array(late, np.int64).reshape(-1, LATE_WORDS)
    free = (0, 0) if lot.sealed is None else (lot.sealed.first, lot.sealed.end)
    words_of_lot = (*free, *_extent(fresh), address_of(table), *_extent(rows))
    return words_of_lot, (lot.sealed, fresh, table, makers, rows)


def _results_of(plan: Plan) -> list[tuple[int, int]]:
    """(tensor number, result) of those that are handed out, with -1 for what is kept alone."""
    given = {index for _, index in plan.fresh}
    if plan.frame is None or plan.frame.spent:
        return plan.fresh
    return plan.fresh + [(-1, n) for n in range(len(plan.results.sizes)) if n not in given]


def with_spare(plan: Plan) -> bool:
    """Whether all results are small, and each is one tensor's, or kept for a backward pass alone:
    they may get new memory.
    """
    sizes = plan.results.sizes
    own = 0 < len(sizes) == len(_results_of(plan)) and not plan.late
    return own and plan.results.nbytes <= LARGE


def _spare(plan: Plan) -> tuple[Any, ...]:
    """The lot of new memory, what is made for it, and what has to be held with it."""
    native, sizes = plan.compiled, plan.results.sizes
    table = np.array([0] * (native.base_count + len(sizes)) + native.addresses([], []), np.int64)
    first = address_of(table) + 8 * native.base_count
    given = _results_of(plan)
    fresh = np.array([(number, 0) for number, _ in given], np.int64)
    made = np.array([(sizes[index], first + 8 * index) for _, index in given], np.int64)
    lot = np.array([0, 0, *_extent(fresh), address_of(table), 0, 0], np.int64)
    return lot, made, fresh, table


def _extent(array: Any) -> tuple[int, int]:
    """Where it begins and ends."""
    return address_of(array), address_of(array) + array.nbytes


def _pattern(family: FamilySpec, frame: Any) -> Any:
    """What `join_alone` makes, as `new_family` takes it."""
    model = Family()
    contents = {name: id(getattr(model, name)) for name in Family.__slots__}
    contents["members"] = -1
    if family.flat is not None:
        contents |= {"changes": id(1), "source": id(family.flat), "frame": id(frame)}
    if family.first >= 0:
        contents["base"] = 0
    pairs = [(words.slot_of(Family, name), content) for name, content in contents.items()]
    return np.array([*pairs, (0, 0)], np.int64)


def _words_of_family(family: FamilySpec, pattern: Any) -> tuple[int, ...]:
    """A family's entry: its tensor's origin is that of all runs, or made in each."""
    number = family.numbers[0]
    if family.origin is not None:
        return number, address_of(pattern), id(family.origin[0]), 0, 0, 0, 0
    for member, value, passes in family.origins:
        if member == number:
            return number, address_of(pattern), 0, 0, id(value), id(passes), 0
    return number, address_of(pattern), id(None), 0, 0, 0, 0


def _history(plan: Plan) -> tuple[dict[str, list[Any]], Any]:
    """The entries for what a run leaves for a backward pass, and what of it is freed from the
    beginning; nothing, and None, where nothing is left.
    """
    spec = plan.frame
    if spec is None or spec.spent:
        return {}, None
    row_of = {index: 16 * row + 8 for row, (_, index) in enumerate(_results_of(plan))}
    kept, leaves, views = rows_of_frame(spec, row_of)
    return {"KEPT": kept, "LEAVES": leaves, "VIEWS": views}, frozenset(spec.trace.freed)


def _imports_of(plan: Plan) -> list[tuple[int, int]]:
    """The bases that may be the memory of one that is written, and how many bytes are read."""
    bases = plan.program.bases
    return [(n, bases[n][1] * bases[n][0].itemsize) for n in plan.imported]


def _trace_of(plan: Plan) -> Any:
    assert plan.frame is not None
    return plan.frame.trace


def _one_by_one(plan: Plan) -> bool:
    """Whether each late result is one tensor's."""
    late = [index for _, index in plan.fresh if index in plan.late]
    return len(late) == len(set(late))


def replayable(plan: Plan) -> bool:
    """Whether runs of a plan are all alike, and of what native code can hand out."""
    native = plan.compiled
    return (
        native is not None
        and native.whole
        and not native.has_complex
        and (bool(plan.results.seals) or not plan.results.sizes or with_spare(plan))
        and plan.runs >= OPTIONS.settled
        and plan.runs + 1 != plan.due
        and not (plan.others or plan.restricted or plan.rewritten)
        and _one_by_one(plan)
        and (plan.frame is None or plan.spent_frame is not None or makeable(plan))
        and all(
            family.stays
            or (
                family.alone
                and (family.origin is not None or plan.spent_frame is None)
                and (family.flat is None or plan.frame is not None)
                and any(family.numbers[0] == number for number, _ in plan.fresh)
            )
            for family in plan.families
        )
    )
