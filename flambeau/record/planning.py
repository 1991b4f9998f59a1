"""How a plan is made: the program of a place in the tree, for a set of live tensors."""

from __future__ import annotations

from flambeau.core.shapes import contiguous_strides
from flambeau.graph.program import Program, Update, reachable
from flambeau.ops.value import Value
from flambeau.record.kept import Keeps, batch_innermost
from flambeau.record.layouts import flatten, saved_origin, with_batch_innermost
from flambeau.record.options import OPTIONS
from flambeau.record.plan import FamilySpec, FrameSpec, Kept, Plan
from flambeau.record.records import Origin
from flambeau.record.regions import is_generator_state
from flambeau.record.restricted import follows_base
from flambeau.record.saved import in_its_own_memory, saved_values
from flambeau.record.trace import Trace


def make_plan(trace: Trace, live: tuple[int, ...], depth: int) -> Plan:
    """The program that computes the live tensors and the written bases."""
    results: list[Value] = []
    places: dict[int, int] = {}
    targets = []
    live = _with_leaves(trace, live)
    for number in live:
        tensor = trace.tensors[number]
        storage = tensor.storage
        meta = tensor.meta
        if storage.base is not None:
            if number not in trace.entered:
                targets.append((number, -1 - storage.base, meta.at_zero, meta.offset))
            continue
        if id(storage) not in places:
            places[id(storage)] = len(results)
            results.append(trace.data(storage))
        targets.append((number, places[id(storage)], meta.at_zero, meta.offset))
    updates, writes = [], []
    for storage in trace.bases:
        if storage.version:
            assert storage.base is not None
            updates.append(Update(storage.base, trace.data(storage)))
            writes.append((storage.base, storage.version, storage.silent))
    families = _family_specs(trace, live)
    frame = _frame_spec(trace, _with_history(families), results, places)
    program = Program(
        tuple((s.dtype, s.size) for s in trace.bases),
        tuple(trace.scalars),
        tuple(results),
        tuple(updates),
    )
    if OPTIONS.watch_nan:
        from flambeau.record.watching import watched

        program = watched(program)
    imported = tuple(trace.imported)
    places_written = {
        places[id(t.storage)]: (t.storage.version, t.storage.silent)
        for t in trace.tensors
        if t.storage.version and id(t.storage) in places
    }
    rewritten = [(index, *counts) for index, counts in places_written.items()]
    return Plan(
        program, targets, writes, frame, families, depth, imported, _restricted(trace, live),
        rewritten or None,
    )  # fmt: skip


def _restricted(trace: Trace, live: tuple[int, ...]) -> list[tuple[int, int, bool]] | None:
    """The new views that must not be used once their base was written: see `restricted`."""
    found = []
    for number in live:
        tensor = trace.tensors[number]
        if tensor.meta.born and number not in trace.entered and follows_base(tensor.meta):
            found.append((number, tensor.output, tensor.seen != tensor.storage.version))
    return found or None


def _with_leaves(trace: Trace, live: tuple[int, ...]) -> tuple[int, ...]:
    """The live tensors and the leaves of which some are views: what is done to a view is decided by
    its leaf, also where nobody else holds that any more.
    """
    tensors = [trace.tensors[number] for number in live]
    leaves = {
        trace.leaves[tensor.group.leaf]
        for tensor in tensors
        if tensor.group.leaf is not None and tensor.meta.requires_grad and not tensor.meta.is_leaf
    }
    return live if leaves.issubset(live) else tuple(sorted(leaves.union(live)))


def _family_specs(trace: Trace, live: tuple[int, ...]) -> list[FamilySpec]:
    """The live tensors that share history, with each other or with an earlier program."""
    groups: dict[int, list[int]] = {}
    for number in sorted({*live, *_written_members(trace)}):
        groups.setdefault(id(trace.tensors[number].group), []).append(number)
    members: dict[int, list[int]] = {}
    for number in sorted(trace.entered):
        members.setdefault(id(trace.tensors[number].group), []).append(number)
    specs = []
    for numbers in groups.values():
        tensors = [trace.tensors[number] for number in numbers]
        group = tensors[0].group
        base = -1 if group.storage.base is None else group.storage.base
        entered = members.get(id(group), [])
        views = [t for t in tensors if t.meta.requires_grad and not t.meta.is_leaf]
        first = next((t.number for t in tensors if trace.is_base(t)), -1)
        if not views:
            # (A view alone, too: a tensor without a family is no view.)
            if (
                (len(numbers) > 1 or first < 0)
                and group.leaf is None
                and any(n not in trace.entered for n in numbers)
            ):
                specs.append(FamilySpec(numbers, entered, None, base, -1, [], first))
            continue
        if group.leaf is not None:
            leaf = trace.leaves[group.leaf]
            origins = [(t.number, trace.tracked_value(t.number), False) for t in views]
            specs += [
                FamilySpec([t.number], [], trace.flat(group), base, leaf, [origin])
                for t, origin in zip(views, origins, strict=True)
                if t.number not in trace.entered
            ]
            continue
        flat = trace.flat(group)
        changed = not trace.unchanged(group)
        passed = _Passed(flat)
        origins = [
            (t.number, value, value in passed)
            for t in views
            for value in [trace.gradient_value(t.number)]
            if changed or t.number not in trace.entered
        ]
        now = flat if changed else None
        specs.append(FamilySpec(numbers, entered, now, base, -1, origins, first))
    return specs


class _Passed:
    """The values that a gradient of `flat` passes. Most that are asked for stand right above it."""

    def __init__(self, flat: Value) -> None:
        self.flat = flat
        self.all: set[Value] | None = None

    def __contains__(self, value: Value) -> bool:
        above = self.flat
        while above is not value:
            if len(above.inputs) != 1:
                break
            above = above.inputs[0]
        else:
            return True
        if self.all is None:
            self.all = set(reachable([self.flat]))
        return value in self.all


def _with_history(families: list[FamilySpec]) -> list[Value]:
    """The values from which later passes go on: the memory's where it has new history, else those
    of new views of it.
    """
    values = []
    for family in families:
        if family.flat is not None:
            values.append(family.flat)
        else:
            values += [value for _, value, _ in family.origins]
    return values


def _written_members(trace: Trace) -> list[int]:
    """Tensors with history whose memory got another one: their families must learn of it."""
    found = []
    for number in trace.entered:
        tensor = trace.tensors[number]
        meta, group = tensor.meta, tensor.group
        grown = meta.requires_grad and not meta.is_leaf and group.leaf is None
        if grown and not trace.unchanged(group):
            found.append(number)
    return found


def _frame_spec(
    trace: Trace, flats: list[Value], results: list[Value], places: dict[int, int]
) -> FrameSpec | None:
    """What the history of flat values needs once the program has run."""
    if not flats:
        return None
    found = saved_values(trace, flats, lambda origin: _is_left(origin, places))
    spent = not (found.left or found.values or trace.cuts or trace.histories)
    whole = _whole_values(trace, places)
    inner = batch_innermost([value for value, _ in found.values])
    turned: set[Value] = set()
    saved: list[Kept] = []

    def keep(value: Value, now: Value) -> tuple[str, int]:
        if value in inner and now is value:
            turned.add(value)
            results.append(with_batch_innermost(value))
        else:
            results.append(flatten(now, now.shape, contiguous_strides(now.shape)))
        return "result", len(results) - 1

    stale: list[tuple[Value, int, int]] = []
    for value, above in found.values:
        if is_generator_state(value) or value in found.plain:  # (a state moves on at each draw)
            saved.append(Kept(value, keep(value, value), False))
            continue
        now = trace.current(value) if trace.silenced else value
        origin = saved_origin(now, trace.origins) or above
        if origin is not None and origin.overwritten:
            stale.append((value, *origin.counts))
            continue
        strict = origin is not None and origin.silent is None
        where = _memory_of(value, now, trace, whole, places)
        if where is not None:
            saved.append(Kept(value, where, strict))
        else:
            taken = _storage_of(origin, places)
            saved.append(Kept(value, keep(value, now), strict, taken))
    views = []
    for number in sorted(trace.entered):
        tensor = trace.tensors[number]
        if tensor.group.entered is not None or number in trace.passing:
            continue  # what it gets passes the copy that entered first, or where it was made
        shown = tensor.group.values.get(tensor.layout)
        if shown is not None and tensor.meta.requires_grad and not tensor.meta.is_leaf:
            views.append((number, shown))
    kept = trace
    if found.keeps is not None or turned:
        known = found.keeps or Keeps()
        keeps = Keeps(known.computed, known.lookers, frozenset(turned))
        kept = trace.that_keeps(tuple(flats), keeps)
    return FrameSpec(kept, saved, list(trace.leaves), spent, views, stale)


def _whole_values(trace: Trace, places: dict[int, int]) -> dict[Value, int]:
    """The values that are all of a result's memory as the program leaves it: which result."""
    whole = {}
    for tensor in trace.tensors:
        storage, meta = tensor.storage, tensor.meta
        if (
            id(storage) not in places
            or meta.offset
            or meta.numel != storage.size
            or tensor.group.version != storage.version
        ):
            continue
        value = tensor.group.values.get(tensor.layout)
        if value is None or value.size != storage.size:
            continue
        if meta.strides != contiguous_strides(value.shape):
            continue
        place = whole[value] = places[id(storage)]
        while value.primitive.name == "reshape" and not in_its_own_memory(trace, value):
            value = value.inputs[0]
            whole.setdefault(value, place)
    return whole


def _memory_of(
    value: Value, now: Value, trace: Trace, whole: dict[Value, int], places: dict[int, int]
) -> tuple[str, int] | None:
    """Where a value that is kept (`now` as derivatives see it) lies once the program has run."""
    if now in whole:
        return "result", whole[now]
    base = _base_of(value, trace) if now is value else None
    origin = trace.origins.get(value)
    if now is not value and origin is not None:  # written through `x.data`: that may go on
        shape, strides, offset = origin.layout
        if offset == 0 and strides == contiguous_strides(shape):
            base = origin.storage.base
            if id(origin.storage) in places:
                return "result", places[id(origin.storage)]
    return None if base is None else ("base", base)


def _storage_of(origin: Origin | None, places: dict[int, int]) -> tuple[str, int] | None:
    """Which memory a value was read from that is kept as a copy, if the program leaves it."""
    if origin is None:
        return None
    if id(origin.storage) in places:
        return "result", places[id(origin.storage)]
    return None if origin.storage.base is None else ("base", origin.storage.base)


def _is_left(origin: Origin, places: dict[int, int]) -> bool:
    """Whether the memory of an origin is there for others once the program has run."""
    return id(origin.storage) in places or origin.storage.base is not None


def _base_of(value: Value, trace: Trace) -> int | None:
    """The base whose first elements, as the program found them and leaves them, are this value."""
    while value.primitive.name in ("reshape", "leaf", "history", "detach"):
        if in_its_own_memory(trace, value):
            return None
        value = value.inputs[0]
    if value.primitive.name == "input" and value.attrs["role"] == "base":
        index: int = value.attrs["index"]
        if not trace.bases[index].version:
            return index
    return None
