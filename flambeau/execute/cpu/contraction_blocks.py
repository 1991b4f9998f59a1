"""Long sums in blocks of terms, each of which meets panels of the result that stay in the caches.

A tile that walks a long sum reads its strip of B from beyond the level-1 cache, and rows of A from
memory, once for every strip. Here a task takes a panel of the result, of so many rows and columns
that a block of the terms of its rows of A stays in the level-2 cache, and a strip of B of that
block in the level-1 cache while all of those rows meet it. Where B is not packed before, the task
packs that strip, whose lines tiles have asked for while the block before was multiplied. Sums so
far are in the task's own memory, where a tile takes them up and leaves them; from there finished
ones are handed on. Terms are added in the order in which one loop would add them, to the same bits.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass

from flambeau.execute.cpu.contraction_nest import emit_stage, lane_range, task_number, transposed
from flambeau.execute.cpu.contraction_plan import stores_rows
from flambeau.execute.cpu.contraction_schedule import ASKING_STEPS, COLS, ROWS, Schedule, Tiling
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    SCRATCH,
    TABLE,
    load_element,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.contraction_tiles import (
    Storing,
    call_tile,
    emit_tile_functions,
    give,
    tile_pointer,
)
from flambeau.execute.cpu.emit import Emitter, Loop, Reg, Type


@dataclass(frozen=True, slots=True)
class Panel:
    """The numbers of the first tiles and of the first ones behind it, along rows and columns, and
    the memory of its sums, counted from the first of all results.
    """

    rows: tuple[Reg, Reg]
    cols: tuple[Reg, Reg]
    origin: Reg


def emit_blocks(e: Emitter, s: Schedule, storing: Storing, name: str) -> None:
    """Defines the tile functions and the stage @name, a task for some of the panels."""
    functions = emit_tile_functions(e, s, storing)
    panels = s.panels
    dimensions = [panels.cols, panels.rows]
    width = panels.wide * s.cols.size

    def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        task = task_number(e, indices, dimensions)
        base = e.gep(operand_pointer(e, TABLE, ARGS, SCRATCH), "i8", e.i64(s.partial_offset))
        memory = e.gep(base, s.spec.accumulator, weighted_sum(e, [(task, s.partial_size)]))
        cols = _first_and_end(e, indices[0], panels.wide, s.cols.count)
        rows = _first_and_end(e, indices[1], panels.high, s.rows.count)
        starts = [(rows[0], s.rows.size * width), (cols[0], s.cols.size)]
        before = e.op("sub nsw", e.i64(0), weighted_sum(e, starts))
        panel = Panel(rows, cols, e.gep(memory, s.spec.accumulator, before))
        _clear(e, memory, Type(s.spec.accumulator, s.choice.lanes), s.panel_size)
        extent = s.k_loops[0].extent
        with e.loop(e.i64(0), e.i64(extent), s.choice.depth) as blocks:
            end = e.op("add nsw", blocks.index, e.i64(s.choice.depth))
            bounds = blocks.index, e.intrinsic("llvm.smin", end, e.i64(extent))
            for cols_last in s.cols.versions:
                with e.loop(*_range(e, s.cols, cols, cols_last)) as col:
                    near = (
                        _pack(e, s, memory, col.index, cols_last, bounds) if s.packs_near else None
                    )
                    for rows_last in s.rows.versions:
                        with e.loop(*_range(e, s.rows, rows, rows_last)) as row:
                            place = {COLS: col.index, ROWS: row.index}
                            function = functions[rows_last, cols_last]
                            asking = _asking(e, s, place, panel, bounds)
                            call_tile(e, s, function, place, panel.origin, bounds, asking, near)
        square = e.gep(memory, s.spec.accumulator, e.i64(s.panel_size))
        _hand_on(e, s, storing, panel, square)

    emit_stage(e, name, dimensions, body)


def _asking(
    e: Emitter, s: Schedule, at: dict[int, Reg], panel: Panel, bounds: tuple[Reg, Reg]
) -> tuple[Reg, ...]:
    """What a tile asks for: where the next block's terms are, and how many lines of them others
    have asked for.
    """
    if not s.packs_near:
        return ()
    first, end = panel.cols
    more = e.op("add nsw", at[COLS], e.i64(1))
    same = e.cmp("icmp slt", more, end)
    cols = e.select(same, more, first)
    term = e.select(same, bounds[0], bounds[1])
    ahead = _terms_of(e, s, cols, term)
    tiles_done = e.op("sub nsw", at[ROWS], panel.rows[0])
    each = -(-s.choice.depth // ASKING_STEPS) * s.asked_lines
    return ahead, weighted_sum(e, [(tiles_done, each)])


def _terms_of(e: Emitter, s: Schedule, cols: Reg, term: Reg) -> Reg:
    """Where the caller's B has a term of a strip."""
    strip = tile_pointer(e, s.b_there, {COLS: cols, ROWS: e.i64(0)})
    return e.gep(strip, s.b_there.element, weighted_sum(e, [(term, s.b_there.k[-1])]))


def _pack(
    e: Emitter, s: Schedule, memory: Reg, cols: Reg, last: bool, bounds: tuple[Reg, Reg]
) -> Reg:
    """Copies a block's terms of a strip of B into the task's memory; where the first of all terms
    would be there.
    """
    lanes, widths = s.choice.lanes, s.cols.of(last)
    count = len(s.cols.widths)
    start = e.gep(memory, s.b.element, e.i64(s.panel_size + s.square_size))
    before = e.op("sub nsw", e.i64(0), weighted_sum(e, [(bounds[0], s.cols.size)]))
    target = e.gep(start, s.b.element, before)
    source = _terms_of(e, s, cols, e.i64(0))
    with e.loop(*bounds) as term:
        at = e.gep(source, s.b_there.element, weighted_sum(e, [(term.index, s.b_there.k[-1])]))
        to = e.gep(target, s.b.element, weighted_sum(e, [(term.index, s.cols.size)]))
        for v, width in enumerate(widths + (0,) * (count - len(widths))):
            offset = e.i64(v * lanes)
            value = e.const(0, Type(s.b.element, lanes))
            if width:
                there = e.gep(at, s.b_there.element, offset)
                value = load_element(e, there, s.b_there.element, lanes, width)
            e.store(e.gep(to, s.b.element, offset), value)
    return target


def _first_and_end(e: Emitter, panel: Reg, tiles: int, count: int) -> tuple[Reg, Reg]:
    """The numbers of a panel's first tile and of the first behind it."""
    first = weighted_sum(e, [(panel, tiles)])
    end = e.op("add nsw", first, e.i64(tiles))
    return first, e.intrinsic("llvm.smin", end, e.i64(count))


def _range(e: Emitter, tiling: Tiling, panel: tuple[Reg, Reg], last: bool) -> tuple[Reg, Reg]:
    """The panel's whole tiles, or the last tile of all where the panel has it."""
    first, end = panel
    whole = e.i64(tiling.count - 1 if tiling.last else tiling.count)
    if last:
        return e.intrinsic("llvm.smax", first, whole), end
    return first, e.intrinsic("llvm.smin", end, whole)


def _clear(e: Emitter, memory: Reg, vector: Type, count: int) -> None:
    """Zeros so many elements, which are whole vectors."""
    with e.loop(e.i64(0), e.i64(count), vector.lanes) as loop:
        e.store(e.gep(memory, vector.element, loop.index), e.const(0, vector))


def _hand_on(e: Emitter, s: Schedule, storing: Storing, panel: Panel, square: Reg) -> None:
    """Gives a panel's finished sums to the store callback: vector by vector of each row, or where
    the result's columns lie one after the other, of each column, through the memory at `square`.
    """
    lanes, element = s.choice.lanes, s.spec.accumulator
    type_ = Type(element, lanes)
    by_columns = stores_rows(s.roles, s.choice)

    def index(row: Reg, col: Reg) -> dict[int, Reg]:
        found = {p: e.i64(0) for p in s.out_positions()}
        return found | {s.choice.row: row, s.choice.col: col}

    def sums(row: Reg, col: Reg) -> Reg:
        at = index(row, col)
        terms = [(at[p], stride) for p, stride in s.partial_strides.items()]
        return e.load(e.gep(panel.origin, element, weighted_sum(e, terms)), type_)

    def along_row(row: Reg, col: Reg, width: int) -> None:
        value = lane_range(e, sums(row, col), 0, width)
        give(e, s, storing, index(row, col), value, s.choice.col)

    def along_columns(row: Reg, count: int, col: Reg, width: int) -> None:
        size = 1 << (count - 1).bit_length()
        rows = [sums(e.op("add nsw", row, e.i64(r)), col) for r in range(count)]
        rows += [e.const(0, type_)] * (size - count)
        for number, vector in enumerate(transposed(e, rows)):
            e.store(e.gep(square, element, e.i64(number * lanes)), vector)
        with e.loop(e.i64(0), e.i64(width)) as columns:
            place = e.gep(square, element, weighted_sum(e, [(columns.index, size)]))
            value = e.load(place, Type(element, count))
            at = index(row, e.op("add nsw", col, columns.index))
            give(e, s, storing, at, value, s.choice.row)

    for rows, count in _pieces(e, s.rows, panel.rows, lanes if by_columns else 1):
        with rows as row:
            for cols, width in _pieces(e, s.cols, panel.cols, lanes):
                with cols as col:
                    if by_columns:
                        along_columns(row.index, count, col.index, width)
                    else:
                        along_row(row.index, col.index, width)


def _pieces(
    e: Emitter, tiling: Tiling, panel: tuple[Reg, Reg], step: int
) -> Iterator[tuple[AbstractContextManager[Loop], int]]:
    """Loops over a panel's indices of an axis, `step` at a time, then over those that are left."""
    low, high = (weighted_sum(e, [(number, tiling.size)]) for number in panel)
    high = e.intrinsic("llvm.smin", high, e.i64(tiling.extent))
    rest = tiling.extent % step
    whole = e.intrinsic("llvm.smin", high, e.i64(tiling.extent - rest))
    yield e.loop(low, whole, step), step
    if rest:
        yield e.loop(e.intrinsic("llvm.smax", low, whole), high, step), rest
