"""Products of a few rows by a large matrix that lies row by row, read in the order of memory.

The matrix is the side that vectors run along, and its rows are terms of the sum. Tiles that walk
down a strip of it meet some lines of each row, and a page further the next ones, which no hardware
sees coming. Here a task takes some of the rows, a block of BLOCK at a time, and adds what they give
to its own sums of all results, which stay in the level-2 cache: tile by tile along the block, so
that each of its rows is a stream of memory. The tasks' sums are added up afterwards.
"""

from __future__ import annotations

from flambeau.execute.cpu.contraction_nest import Dimension, emit_stage
from flambeau.execute.cpu.contraction_schedule import BLOCK, COLS, PARTS, ROWS, Schedule, Tiling
from flambeau.execute.cpu.contraction_tiles import (
    Storing,
    call_tile,
    emit_tile_functions,
    part_memory,
    part_terms,
)
from flambeau.execute.cpu.emit import Emitter, Reg, Type


def emit_streams(e: Emitter, s: Schedule, storing: Storing, name: str) -> None:
    """Defines the tile functions and the stage @name, a task for each part of the sum."""
    functions = emit_tile_functions(e, s, storing)

    def tiles(at: dict[int, Reg], bounds: tuple[Reg, Reg]) -> None:
        for cols_last in s.cols.versions:
            with e.loop(*_range(e, s.cols, cols_last)) as cols:
                for rows_last in s.rows.versions:
                    with e.loop(*_range(e, s.rows, rows_last)) as rows:
                        place = at | {COLS: cols.index, ROWS: rows.index}
                        call_tile(e, s, functions[rows_last, cols_last], place, bounds=bounds)

    def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        at = {PARTS: indices[0]}
        _clear(e, part_memory(e, s, at), Type(s.spec.accumulator, s.choice.lanes), s.partial_size)
        first, last = part_terms(e, s, at)
        with e.loop(first, last, BLOCK) as blocks:
            end = e.op("add nsw", blocks.index, e.i64(BLOCK))
            tiles(at, (blocks.index, e.intrinsic("llvm.smin", end, last)))

    emit_stage(e, name, [Dimension(s.parts, cut=s.parts)], body)


def _range(e: Emitter, tiling: Tiling, last: bool) -> tuple[Reg, Reg]:
    """The numbers of the whole tiles, or that of the last one."""
    whole = tiling.count - 1 if tiling.last else tiling.count
    return (e.i64(whole), e.i64(tiling.count)) if last else (e.i64(0), e.i64(whole))


def _clear(e: Emitter, memory: Reg, vector: Type, count: int) -> None:
    """Zeros so many elements."""
    whole = count - count % vector.lanes
    single = Type(vector.element)
    for low, high, type_ in ((0, whole, vector), (whole, count, single)):
        with e.loop(e.i64(low), e.i64(high), type_.lanes) as loop:
            e.store(e.gep(memory, vector.element, loop.index), e.const(0, type_))
