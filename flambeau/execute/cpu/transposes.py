"""Copies that turn their operand, tile by tile.

Where what is stored runs along one variable and what is loaded along another, lanes along either
would gather or scatter. A tile of as many rows as a vector has lanes is loaded along the one,
turned in registers, and everything else is computed along the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.execute.cpu.body import Node
from flambeau.execute.cpu.contraction_nest import transposed
from flambeau.execute.cpu.contraction_plan import PAGE
from flambeau.execute.cpu.emit import Emitter, Reg
from flambeau.execute.cpu.index import Variable
from flambeau.execute.cpu.loops import KernelWriter, Store
from flambeau.execute.cpu.nests import Nest

RUN = 4  # tiles that stand side by side in memory are loaded one after the other
BLOCK = 32  # tiles along the lanes that a task takes at least
MOST_LOADS = 2  # what is turned stays in registers
MOST_NODES = 24


@dataclass(frozen=True)
class Turn:
    """The loads to turn: they run along `along`, the stores along `lane`."""

    loads: tuple[Node, ...]
    along: Variable
    lane: Variable


def find_turn(
    nest: Nest, nodes: Sequence[Node], stores: Sequence[Store], writer: KernelWriter, lanes: int
) -> Turn | None:
    """The turn that a pointwise nest contains, if that is how its operands lie."""
    lane = nest.lane
    if lane is None or lanes < 4 or lane.extent < lanes or len(nodes) > MOST_NODES:
        return None
    stored = {id(s.buffer) for s in stores}
    loads = [n for n in nodes if n.kind == "load"]
    if any(id(n.data[0]) in stored for n in loads):
        return None  # the last tiles overlap those before them
    if any(n.kind in ("position", "index", "guarded") for n in nodes):
        return None
    if any(writer.renamed(s.address).coefficient(lane) != 1 for s in stores):
        return None
    found: list[Node] = []
    along: Variable | None = None
    for node in loads:
        address = writer.renamed(node.data[1])
        if node.data[2] or any(a.key[0] != 0 for a, _ in address.terms):
            return None
        if address.coefficient(lane) in (0, 1):
            continue
        one = [v for v in nest.loops if address.coefficient(v) == 1 and v is not lane]
        if not one or one[0].extent < lanes or (along is not None and one[0] is not along):
            return None
        along = one[0]
        found.append(node)
    if along is None or len(found) > MOST_LOADS:
        return None
    return Turn(tuple(found), along, lane)


def turned_loops(
    writer: KernelWriter,
    nest: Nest,
    turn: Turn,
    nodes: Sequence[Node],
    stores: Sequence[Store],
    lanes: int,
    tasks: int,
    bounds: tuple[Reg, Reg],
) -> int:
    """The whole nest in tiles; returns the number of tasks."""
    e = writer.e
    others = [v for v in nest.loops if v is not turn.lane and v is not turn.along]
    rows, columns = (-(-v.extent // lanes) for v in (turn.along, turn.lane))
    runs, blocks = -(-rows // RUN), -(-columns // BLOCK)
    extents = [*[v.extent for v in others], runs, blocks]
    points = 1
    for extent in extents:
        points *= extent
    tasks = min(tasks, points)
    each = -(-points // tasks)
    tasks = -(-points // each)
    start = e.op("mul nsw", bounds[0], e.i64(each))
    stop = e.intrinsic("llvm.smin", e.op("mul nsw", bounds[1], e.i64(each)), e.i64(points))
    writer.hoist(nodes, set())
    with e.loop(start, stop) as loop, writer.scope():
        places, rest = [], loop.index
        for extent in reversed(extents):
            places.append(e.op("urem", rest, e.i64(extent)))
            rest = e.op("udiv", rest, e.i64(extent))
        block, run = places[:2]
        for variable, place in zip(reversed(others), places[2:], strict=True):
            writer.registers[variable.number] = place
        low = e.op("mul nsw", block, e.i64(BLOCK))
        high = e.intrinsic("llvm.smin", e.op("add nsw", low, e.i64(BLOCK)), e.i64(columns))
        first = e.op("mul nsw", run, e.i64(RUN))
        last = e.intrinsic("llvm.smin", e.op("add nsw", first, e.i64(RUN)), e.i64(rows))
        with e.loop(low, high) as column, e.loop(first, last) as row:
            at = _placed(e, row.index, turn.along.extent, lanes)
            _tile(
                writer, turn, stores, lanes, at, _placed(e, column.index, turn.lane.extent, lanes)
            )
    return tasks


def _placed(e: Emitter, number: Reg, extent: int, lanes: int) -> Reg:
    """Where tile `number` begins: the last one ends with the extent, over the one before it."""
    return e.intrinsic("llvm.smin", e.op("mul nsw", number, e.i64(lanes)), e.i64(extent - lanes))


def _tile(
    writer: KernelWriter, turn: Turn, stores: Sequence[Store], lanes: int, row: Reg, column: Reg
) -> None:
    """`lanes` times `lanes` elements from (row, column) on."""
    e = writer.e
    turned: list[list[Reg]] = []
    _ask(writer, turn, lanes, row, column)
    for node in turn.loads:
        vectors = []
        writer.lane, writer.lanes = turn.along, lanes
        for k in range(lanes):
            with writer.scope():
                writer.registers[turn.along.number] = row
                writer.registers[turn.lane.number] = e.op("add nsw", column, e.i64(k))
                vectors.append(writer.load(*node.data))
        turned.append(transposed(e, vectors))
    writer.lane, writer.lanes = turn.lane, lanes
    writer.registers[turn.lane.number] = column
    for k in range(lanes):
        with writer.scope():
            writer.registers[turn.along.number] = e.op("add nsw", row, e.i64(k))
            for node, vectors in zip(turn.loads, turned, strict=True):
                writer.scopes[-1][node.number] = vectors[k]
            writer.store_all(stores)
    writer.lane, writer.lanes = None, 1


def _ask(writer: KernelWriter, turn: Turn, lanes: int, row: Reg, column: Reg) -> None:
    """Asks for what the tile loads that stands a run further, where its lines lie pages apart."""
    e = writer.e
    writer.lane, writer.lanes = None, 1
    for buffer, address, *_ in (node.data for node in turn.loads):
        if abs(writer.renamed(address).coefficient(turn.lane)) * buffer.dtype.itemsize < PAGE:
            continue
        for k in range(lanes):
            with writer.scope():
                writer.registers[turn.along.number] = e.op("add nsw", row, e.i64(RUN * lanes))
                writer.registers[turn.lane.number] = e.op("add nsw", column, e.i64(k))
                writer.prefetch(buffer, address, level=2)
