"""Convolutions at whose results only a pooling looks: one kernel, and nothing stored in between.

With the batch innermost (see layouts.py), what a convolution gives at the places of one pooling
window, for all channels and images, fits the level-1 cache. So a task computes it there, hands the
window on to whatever pools it, and goes on to the next window. Meanwhile it asks for the memory of
what the window is made to: a few lines of each channel, which often lie at the same place of pages,
so that the level-1 cache has no room for all of them. A convolution of few channels takes less time
than its results take through memory, twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from flambeau.core import dtypes
from flambeau.execute.cpu.body import Buffer, Node
from flambeau.execute.cpu.contraction_plan import LINE, PARALLEL_FLOPS, TASKS, choose
from flambeau.execute.cpu.contraction_schedule import COLS, ROWS, Schedule
from flambeau.execute.cpu.contraction_spec import Contraction, store_lanes
from flambeau.execute.cpu.contraction_spec import weighted_sum as total
from flambeau.execute.cpu.contraction_tiles import (
    Storing,
    call_tile,
    emit_tile_functions,
)
from flambeau.execute.cpu.emit import F32, I64, PTR, Emitter, Reg, vector_registers
from flambeau.execute.cpu.fusion import Group
from flambeau.execute.cpu.index import Expression, Variable
from flambeau.execute.cpu.loops import (
    KernelCode,
    KernelWriter,
    Operand,
    Store,
    forwarded,
    ordered_nodes,
)
from flambeau.execute.cpu.nests import body_cost, lane_count
from flambeau.execute.cpu.products import RESERVED, Scratch, operand_of

MOST_BYTES = 1 << 15  # of what is computed for one window
SECOND_PASS = 16  # instructions of what is worth a pass of its own
PLAIN = ("literal", "scalar", "op")  # what a second pass may consist of
PARTIAL = Reg("%partial", PTR)  # of a tile function: the window's memory


@dataclass(frozen=True)
class Axis:
    """An axis of the convolution's result: `variable` of the reader runs along it in steps of
    `step`; `place`: its stride in a window's memory, 0 where the windows lie along it.
    """

    number: int  # among the axes of the contraction
    variable: Variable
    step: int
    place: int


@dataclass(frozen=True)
class Pooled:
    """A convolution's group and that of its one reader. `windows`: for each place of a window, its
    offsets along `axes`; `loads`: by number, the place that a load of the reader's reads.
    """

    conv: Group
    reader: Group
    schedule: Schedule
    axes: tuple[Axis, ...]
    windows: tuple[tuple[int, ...], ...]
    loads: dict[int, int]
    stores: Sequence[Store]
    forward: dict[int, Node]

    @property
    def around(self) -> list[Axis]:
        """The axes along which windows lie."""
        return [axis for axis in self.axes if not axis.place]

    @property
    def inside(self) -> list[Axis]:
        return sorted([a for a in self.axes if a.place], key=lambda a: -a.place)

    @property
    def size(self) -> int:
        """Results at one place of a window."""
        return prod([axis.variable.extent for axis in self.inside])

    @property
    def count(self) -> int:
        """Windows."""
        return prod([axis.variable.extent for axis in self.around])

    @property
    def tasks(self) -> int:
        return min(TASKS, self.count) if self.schedule.spec.flops >= PARALLEL_FLOPS else 1


def pooled(
    conv: Group,
    spec: Contraction,
    reader: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    buffer: Buffer,
    vector_bits: int,
) -> Pooled | None:
    """The two groups as one kernel, if the reader looks at disjoint windows of `buffer`."""
    nodes = ordered_nodes([s.node for s in stores], forward)
    loads = [n for n in nodes if n.kind == "load" and n.data[0] is buffer]
    if not loads or any(n.data[2] for n in loads) or buffer.strides is None:
        return None
    strides = [axis.out for axis in spec.axes if axis.kind != "k"]
    found = [_steps(n.data[1], reader, strides) for n in loads]
    steps = found[0]
    if steps is None or any(f != steps for f in found):
        return None
    offsets = [_offsets(n.data[1].constant, strides, steps) for n in loads]
    axes = _axes(spec, steps)
    schedule = _schedule(spec, [axis.number for axis in axes if not axis.place], vector_bits)
    if schedule is None or any(o is None for o in offsets):
        return None
    windows = tuple(sorted({o for o in offsets if o is not None}))
    places = {n.number: windows.index(o) for n, o in zip(loads, offsets, strict=True) if o}
    result = Pooled(conv, reader, schedule, axes, windows, places, stores, forward)
    fits = 4 * result.size * len(windows) <= MOST_BYTES
    return result if fits and len(windows) > 1 and _reaches(spec, axes, windows) else None


def _steps(
    address: Expression, reader: Group, strides: Sequence[int]
) -> dict[int, tuple[Variable, int]] | None:
    """For each axis of the convolution's result the variable that runs along it, and its step."""
    steps: dict[int, tuple[Variable, int]] = {}
    for atom, factor in address.terms:
        if not isinstance(atom, Variable) or factor <= 0:
            return None
        near = [i for i, stride in enumerate(strides) if 0 < stride <= factor]
        if not near:
            return None
        number = max(near, key=lambda i: strides[i])
        if number in steps or factor % strides[number]:
            return None
        steps[number] = atom, factor // strides[number]
    return steps if {v for v, _ in steps.values()} == set(reader.kept) else None


def _offsets(
    constant: int, strides: Sequence[int], steps: dict[int, tuple[Variable, int]]
) -> tuple[int, ...] | None:
    """A load's offset along each axis; None if it is not within a step."""
    found: dict[int, int] = {}
    for number in sorted(steps, key=lambda i: -strides[i]):
        found[number], constant = divmod(constant, strides[number])
        if not 0 <= found[number] < steps[number][1]:
            return None
    return None if constant else tuple([found[number] for number in sorted(steps)])


def _axes(spec: Contraction, steps: dict[int, tuple[Variable, int]]) -> tuple[Axis, ...]:
    """The axes, in the contraction's order; in a window's memory they lie as in the result's."""
    positions = [p for p, axis in enumerate(spec.axes) if axis.kind != "k"]
    places, size = {}, 1
    for number in sorted(steps, key=lambda i: spec.axes[positions[i]].out):
        variable, step = steps[number]
        places[number] = size if step == 1 else 0
        size *= variable.extent if step == 1 else 1
    return tuple([Axis(positions[n], *steps[n], places[n]) for n in sorted(steps)])


def _schedule(spec: Contraction, around: Sequence[int], vector_bits: int) -> Schedule | None:
    """How the tiles are computed, if each lies at one place of the image and reads its operands
    where they are.
    """
    try:
        choice = choose(spec, vector_bits, vector_registers(vector_bits))
    except NotImplementedError:
        return None
    schedule = Schedule(spec, choice)
    if choice.dot or choice.pack_a or choice.pack_b or schedule.parts > 1 or schedule.by_rows:
        return None
    if choice.row in around or choice.col in around:
        return None
    if choice.col < 0 or spec.axes[choice.col].out != 1 or choice.lanes == 1:
        return None
    return schedule


def _reaches(spec: Contraction, axes: Sequence[Axis], windows: Sequence[tuple[int, ...]]) -> bool:
    """Whether all places of the windows are in the result, and every axis of it is met."""
    for number, axis in enumerate(axes):
        extent, last = spec.axes[axis.number].extent, axis.variable.extent - 1
        if axis.step == 1 and axis.variable.extent != extent:
            return False
        if last * axis.step + max(w[number] for w in windows) >= extent:
            return False
    met = {axis.number for axis in axes}
    return all(a.kind == "k" or a.extent == 1 or p in met for p, a in enumerate(spec.axes))


def pooled_kernel(plan: Pooled, scratch: Scratch, vector_bits: int) -> KernelCode:
    """The kernel of both groups."""
    kernel = _Kernel(plan, vector_bits)
    text = kernel.text()
    left, right = plan.conv.anchors[0].operands
    memory = Operand(scratch(dtypes.uint8, 1))
    operands = [operand_of(left), operand_of(right), memory, *kernel.writer.operands[RESERVED:]]
    return KernelCode(text, operands, [], plan.tasks, plan.tasks > 1)


Pass = tuple[Sequence[Store], Node | None, Node | None]
"""Stores; the value that lies where the window's first place did; the value that is put there."""


class _Kernel:
    def __init__(self, plan: Pooled, vector_bits: int) -> None:
        self.plan = plan
        self.e = Emitter(vector_bits)
        nodes = ordered_nodes([s.node for s in plan.stores], plan.forward)
        self.loads = [n for n in nodes if n.number in plan.loads]
        self.writer = KernelWriter(vector_bits, nodes, plan.stores, plan.forward)
        self.writer.operands = [Operand(None)] * RESERVED
        self.lanes = lane_count(nodes, plan.stores, vector_bits)
        self.passes = self.in_two() or [(plan.stores, None, None)]

    def in_two(self) -> list[Pass] | None:
        """What is stored in two passes over a window, if something of the second is computed from
        one value that the first stores. A processor looks only so far ahead: each pass has fewer
        instructions between those of one vector and of the next.
        """
        stores = self.plan.stores
        for source in stores:
            node = forwarded(source.node, self.plan.forward)
            if source.unwritten or node.dtype is not dtypes.float32:
                continue
            later = [s for s in stores if s is not source and self.only_follows(s, node)]
            if later:
                return [([s for s in stores if s not in later], None, node), (later, node, None)]
        return None

    def only_follows(self, store: Store, source: Node) -> bool:
        """Whether much is computed from `source`, and nothing else of the window, for a store."""
        found: dict[int, Node] = {}

        def visit(node: Node) -> None:
            node = forwarded(node, self.plan.forward)
            if node is source or node.number in found:
                return
            found[node.number] = node
            for operand in node.args:
                visit(operand)

        visit(store.node)
        nodes = found.values()
        if any(n.number in self.plan.loads or n.kind not in PLAIN for n in nodes):
            return False
        return not store.unwritten and body_cost(list(nodes)) >= SECOND_PASS

    def text(self) -> str:
        e, plan = self.e, self.plan
        self.functions = emit_tile_functions(e, plan.schedule, Storing(self.keep, 4))
        parameters = [("table", PTR), ("args", PTR), ("first", I64), ("last", I64)]
        with e.function("kernel", "i64", parameters) as (_, _, first, last):
            self.memory = e.alloca(F32, plan.size * len(plan.windows), 64)
            low, high = [
                e.op("udiv", e.op("mul nsw", task, e.i64(plan.count)), e.i64(plan.tasks))
                for task in (first, last)
            ]
            with e.loop(low, high) as windows:
                self.window(windows.index)
            e.line("ret i64 0")
        return e.module()

    def keep(self, e: Emitter, index: Sequence[Reg], value: Reg, lane_axis: int) -> None:
        """Stores results of a tile in the window's memory."""
        order = list(self.plan.schedule.out_positions())
        terms = [(index[order.index(a.number)], a.place) for a in self.plan.inside]
        store_lanes(e, e.gep(PARTIAL, "float", total(e, terms)), value)

    def window(self, number: Reg) -> None:
        """Computes what is at the places of a window, and hands it on."""
        e, plan = self.e, self.plan
        registers: dict[int, Reg] = {}
        for axis in reversed(plan.around):
            extent = e.i64(axis.variable.extent)
            registers[axis.variable.number] = e.op("urem", number, extent)
            number = e.op("udiv", number, extent)
        for place, offsets in enumerate(plan.windows):
            at = {
                axis.number: total(
                    e, [(registers[axis.variable.number], axis.step), (e.i64(offset), 1)]
                )
                for axis, offset in zip(plan.axes, offsets, strict=True)
                if not axis.place
            }
            memory = e.gep(self.memory, "float", e.i64(place * plan.size))
            self.ask(registers, place)
            self.tiles(at, memory, [key for key, _ in plan.schedule.dimensions if key not in at])
        for stores in self.passes:
            self.hand_on(registers, plan.inside, stores)

    def ask(self, registers: dict[int, Reg], place: int) -> None:
        """Asks for the memory of a part of what a window is made to, one for each of its places."""
        e, plan, places = self.e, self.plan, len(self.plan.windows)
        outer, lane = [a.variable for a in plan.inside[:-1]], plan.inside[-1].variable
        count = prod([v.extent for v in outer])
        low, high = [number * count // places for number in (place, place + 1)]
        with e.loop(e.i64(low), e.i64(high)) as loop:
            rest, at = loop.index, dict(registers)
            for variable in reversed(outer):
                at[variable.number] = e.op("urem", rest, e.i64(variable.extent))
                rest = e.op("udiv", rest, e.i64(variable.extent))
            for store in plan.stores:
                if store.unwritten:
                    continue
                for start in range(0, lane.extent, LINE // store.buffer.dtype.itemsize):
                    self.writer.restart(e, None, 1)
                    self.writer.registers.update({**at, lane.number: e.i64(start)})
                    self.writer.prefetch(store.buffer, store.address, level=2)

    def tiles(self, at: dict[int, Reg], memory: Reg, keys: Sequence[int]) -> None:
        """All tiles at one place, loop by loop."""
        e, s = self.e, self.plan.schedule

        def run(tails: dict[int, bool], rest: Sequence[int], at: dict[int, Reg]) -> None:
            if not rest:
                call_tile(e, s, self.functions[tails[ROWS], tails[COLS]], at, memory)
                return
            key, *later = rest
            if key >= 0:
                with e.loop(e.i64(0), e.i64(s.spec.axes[key].extent)) as loop:
                    run(tails, later, {**at, key: loop.index})
                return
            tiling = s.rows if key == ROWS else s.cols
            whole = tiling.count - bool(tiling.last)
            if whole:
                with e.loop(e.i64(0), e.i64(whole)) as loop:
                    run({**tails, key: False}, later, {**at, key: loop.index})
            if tiling.last:
                run({**tails, key: True}, later, {**at, key: e.i64(whole)})

        run({}, keys, at)

    def hand_on(self, registers: dict[int, Reg], axes: Sequence[Axis], what: Pass) -> None:
        """Runs the reader's code for a window, loop by loop."""
        e, (axis, *rest) = self.e, axes
        extent = axis.variable.extent
        if rest:
            with e.loop(e.i64(0), e.i64(extent)) as loop:
                self.hand_on({**registers, axis.variable.number: loop.index}, rest, what)
            return
        number, whole = axis.variable.number, extent // self.lanes
        with e.loop(e.i64(0), e.i64(whole)) as loop:
            start = total(e, [(loop.index, self.lanes)])
            self.piece({**registers, number: start}, axis.variable, self.lanes, what)
        if extent % self.lanes:
            start = e.i64(whole * self.lanes)
            self.piece({**registers, number: start}, axis.variable, extent % self.lanes, what)

    def piece(self, registers: dict[int, Reg], lane: Variable, lanes: int, what: Pass) -> None:
        e, plan, writer = self.e, self.plan, self.writer
        stores, given, kept = what
        writer.restart(e, lane if lanes > 1 else None, lanes)
        writer.registers.update(registers)
        inside = [(registers[a.variable.number], a.place) for a in plan.inside]
        first = e.gep(self.memory, "float", total(e, inside))
        if given is not None:
            writer.scopes[0][given.number] = e.load(first, F32.with_lanes(lanes), 4)
        for node in self.loads if given is None else ():
            pointer = e.gep(first, "float", e.i64(plan.loads[node.number] * plan.size))
            writer.scopes[0][node.number] = e.load(pointer, F32.with_lanes(lanes), 4)
        writer.store_all(stores)
        if kept is not None:
            e.store(first, writer.emit(kept), 4)
