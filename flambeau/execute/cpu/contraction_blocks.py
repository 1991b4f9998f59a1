"""Long sums of many results in blocks of terms, each of which meets panels that stay in the caches.

A tile that walks a long sum reads its strip of B from beyond the level-1 cache, and rows of A from
memory, once for every strip. Here a task takes a panel of the result, of so many rows and columns
that a block of the terms of its rows of A stays in the level-2 cache, and a strip of B of that
block in the level-1 cache while all of those rows meet it. Sums so far are in the task's own
memory, where a tile takes them up and leaves them; from there finished ones are handed on, row by
row. Terms are added in the order in which one loop would add them, to the same bits.
"""

from __future__ import annotations

from flambeau.execute.cpu.contraction_nest import emit_stage, task_number
from flambeau.execute.cpu.contraction_schedule import COLS, ROWS, Schedule, Tiling
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    SCRATCH,
    TABLE,
    load_element,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.contraction_tiles import Storing, call_tile, emit_tile_functions, give
from flambeau.execute.cpu.emit import Emitter, Reg, Type


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
        origin = e.gep(memory, s.spec.accumulator, before)
        _clear(e, memory, Type(s.spec.accumulator, s.choice.lanes), s.partial_size)
        extent = s.k_loops[0].extent
        with e.loop(e.i64(0), e.i64(extent), s.choice.depth) as blocks:
            end = e.op("add nsw", blocks.index, e.i64(s.choice.depth))
            bounds = blocks.index, e.intrinsic("llvm.smin", end, e.i64(extent))
            for cols_last in s.cols.versions:
                with e.loop(*_range(e, s.cols, cols, cols_last)) as col:
                    for rows_last in s.rows.versions:
                        with e.loop(*_range(e, s.rows, rows, rows_last)) as row:
                            place = {COLS: col.index, ROWS: row.index}
                            function = functions[rows_last, cols_last]
                            call_tile(e, s, function, place, memory=origin, bounds=bounds)
        _hand_on(e, s, storing, origin, rows, cols)

    emit_stage(e, name, dimensions, body)


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


def _hand_on(
    e: Emitter,
    s: Schedule,
    storing: Storing,
    origin: Reg,
    rows: tuple[Reg, Reg],
    cols: tuple[Reg, Reg],
) -> None:
    """Gives a panel's finished sums to the store callback, vector by vector of each row."""
    lanes, element = s.choice.lanes, s.spec.accumulator

    def limits(tiling: Tiling, panel: tuple[Reg, Reg]) -> tuple[Reg, Reg]:
        low, high = (weighted_sum(e, [(number, tiling.size)]) for number in panel)
        return low, e.intrinsic("llvm.smin", high, e.i64(tiling.extent))

    left, right = limits(s.cols, cols)
    rest = s.cols.extent % lanes
    whole = e.intrinsic("llvm.smin", right, e.i64(s.cols.extent - rest))

    def piece(row: Reg, col: Reg, width: int) -> None:
        index = {p: e.i64(0) for p in s.out_positions()}
        index |= {s.choice.row: row, s.choice.col: col}
        terms = [(index[p], stride) for p, stride in s.partial_strides.items()]
        place = e.gep(origin, element, weighted_sum(e, terms))
        value = load_element(e, place, element, width, width)
        give(e, s, storing, index, value, s.choice.col)

    with e.loop(*limits(s.rows, rows)) as row:
        with e.loop(left, whole, lanes) as col:
            piece(row.index, col.index, lanes)
        if rest:
            with e.loop(e.intrinsic("llvm.smax", left, whole), right, lanes) as col:
                piece(row.index, col.index, rest)
