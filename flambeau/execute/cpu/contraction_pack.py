"""Copies an operand into panels: per tile and k, the tile's elements side by side.

A panel is read front to back by the multiply-add loops, whatever the operand's own layout.
Elements are widened to the accumulator's type on the way; a short last tile of columns is filled
up with zeros.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from flambeau.execute.cpu.contraction_nest import emit_stage, lane_range, transposed
from flambeau.execute.cpu.contraction_plan import pack_mode, side_k_axes
from flambeau.execute.cpu.contraction_schedule import (
    COLS,
    PACKED_TERMS,
    ROWS,
    TERMS,
    Schedule,
    Tiling,
)
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    SCRATCH,
    TABLE,
    Axis,
    load_element,
    operand_pointer,
    store_lanes,
    weighted_sum,
)
from flambeau.execute.cpu.emit import Emitter, Reg, Type


@dataclass(frozen=True, slots=True)
class Packing:
    """One operand's way into its panels: `size` elements per k in a panel, `width` of them real."""

    element: str
    accumulator: str
    mode: str
    lanes: int
    stride: int
    axes: tuple[Axis, ...]
    size: int
    width: int


def emit_packing(e: Emitter, s: Schedule, side: str, name: str) -> None:
    """Defines the stage @name that packs operand `side` ("a" or "b") of a schedule."""
    operand = s.a if side == "a" else s.b
    tiles: Tiling = s.rows if side == "a" else s.cols
    position = s.choice.row if side == "a" else s.choice.col
    number = int(s.choice.swap) if side == "a" else int(not s.choice.swap)
    keyed = s.pack_dimensions(side)
    element, accumulator = s.spec.element, s.spec.accumulator
    axes = side_k_axes(s.roles, side)
    together = s.packs_terms(side)

    def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        source, target = [], []
        for (key, _), index in zip(keyed, indices, strict=True):
            if key == TERMS:
                source.append((index, PACKED_TERMS * axes[0].a))
                target.append((index, PACKED_TERMS * tiles.size))
            elif key in (ROWS, COLS):
                source.append((index, tiles.size * s.source_stride(side, position)))
                target.append((index, operand.row_tile + operand.col_tile))
            else:
                source.append((index, s.source_stride(side, key)))
                target.append((index, operand.outer[key]))
        at = e.gep(operand_pointer(e, TABLE, ARGS, number), element, weighted_sum(e, source))
        base = e.gep(operand_pointer(e, TABLE, ARGS, SCRATCH), "i8", e.i64(operand.offset))
        to = e.gep(base, accumulator, weighted_sum(e, target))
        terms = axes
        if together:
            rest = axes[0].extent % PACKED_TERMS
            terms = (replace(axes[0], extent=rest if tails[-2] else PACKED_TERMS),)
        packing = Packing(
            element,
            accumulator,
            pack_mode(s.roles, position, side, s.choice.lanes),
            s.choice.lanes,
            s.source_stride(side, position),
            terms,
            tiles.size,
            sum(tiles.of(tails[-1])),
        )
        _pack_panel(e, packing, at, to)

    emit_stage(e, name, [dimension for _, dimension in keyed], body)


def _pack_panel(e: Emitter, p: Packing, source: Reg, target: Reg) -> None:
    """Packs one panel: all loops over k, the innermost as the mode says."""
    loops = p.axes[:-1] if p.mode == "transpose" else p.axes

    def inner(at: Reg, to: Reg) -> None:
        if p.mode == "copy":
            _copy_row(e, p, at, to)
        elif p.mode == "transpose":
            _transpose_rows(e, p, at, to)
        else:
            _gather_row(e, p, at, to)

    _k_loops(e, p, loops, source, target, inner)


def _k_loops(
    e: Emitter,
    p: Packing,
    loops: tuple[Axis, ...],
    source: Reg,
    target: Reg,
    inner: Callable[[Reg, Reg], None],
) -> None:
    if not loops:
        inner(source, target)
        return
    below = p.size
    for axis in loops[1:] + p.axes[len(p.axes) - (p.mode == "transpose") :]:
        below *= axis.extent
    with e.loop(e.i64(0), e.i64(loops[0].extent)) as loop:
        at = e.gep(source, p.element, weighted_sum(e, [(loop.index, loops[0].a)]))
        to = e.gep(target, p.accumulator, weighted_sum(e, [(loop.index, below)]))
        _k_loops(e, p, loops[1:], at, to, inner)


def _copy_row(e: Emitter, p: Packing, at: Reg, to: Reg) -> None:
    """One k: neighbouring elements, as vectors."""
    for start in range(0, p.size, p.lanes):
        room = min(p.lanes, p.size - start)
        width = min(p.lanes, p.width - start)
        place = e.gep(to, p.accumulator, e.i64(start))
        if width <= 0:
            e.store(place, e.const(0, Type(p.accumulator, room)))
            continue
        lanes = p.lanes if room == p.lanes else width
        value = load_element(e, e.gep(at, p.element, e.i64(start)), p.element, lanes, width)
        store_lanes(e, place, value)


def _gather_row(e: Emitter, p: Packing, at: Reg, to: Reg) -> None:
    """One k: elements one by one."""
    with e.loop(e.i64(0), e.i64(p.width)) as loop:
        offset = weighted_sum(e, [(loop.index, p.stride)])
        value = load_element(e, e.gep(at, p.element, offset), p.element, 1, 1)
        e.store(e.gep(to, p.accumulator, loop.index), value)
    if p.width < p.size:
        _fill(e, p, to, 1)


def _fill(e: Emitter, p: Packing, to: Reg, rows: int) -> None:
    """Zeros behind the real elements of `rows` successive k."""
    with e.loop(e.i64(0), e.i64(rows)) as row, e.loop(e.i64(p.width), e.i64(p.size)) as loop:
        offset = weighted_sum(e, [(row.index, p.size), (loop.index, 1)])
        e.store(e.gep(to, p.accumulator, offset), e.const(0, Type(p.accumulator)))


def _transpose_rows(e: Emitter, p: Packing, source: Reg, target: Reg) -> None:
    """All of the innermost k loop, whose elements are neighbours, in square blocks.

    The last block begins early enough to be whole; it repeats some of the work of the one before.
    """
    extent = p.axes[-1].extent
    blocks = -(-extent // p.lanes)
    with e.loop(e.i64(0), e.i64(blocks)) as loop:
        start = e.op("mul nsw", loop.index, e.i64(p.lanes))
        if extent % p.lanes:
            last = e.i64(extent - p.lanes)
            start = e.select(e.cmp("icmp slt", start, last), start, last)
        at = e.gep(source, p.element, start)
        to = e.gep(target, p.accumulator, weighted_sum(e, [(start, p.size)]))
        groups, rest = divmod(p.width, p.lanes)
        if groups > 1:
            with e.loop(e.i64(0), e.i64(groups)) as group:
                first = e.op("mul nsw", group.index, e.i64(p.lanes))
                _block(e, p, at, to, first, p.lanes)
        elif groups == 1:
            _block(e, p, at, to, e.i64(0), p.lanes)
        if rest:
            _block(e, p, at, to, e.i64(groups * p.lanes), rest)
        if p.width < p.size:
            _fill(e, p, to, p.lanes)


def _block(e: Emitter, p: Packing, at: Reg, to: Reg, first: Reg, count: int) -> None:
    """`count` rows from `first` on, by `lanes` of k."""
    rows = []
    for r in range(count):
        offset = weighted_sum(e, [(first, p.stride), (e.i64(r), p.stride)])
        rows.append(load_element(e, e.gep(at, p.element, offset), p.element, p.lanes, p.lanes))
    size = 1 << (count - 1).bit_length()
    rows += [rows[-1]] * (size - count)
    flat = transposed(e, rows)
    per_vector = p.lanes // size
    for k in range(p.lanes):
        vector, piece = divmod(k, per_vector)
        value = lane_range(e, flat[vector], piece * size, count)
        offset = weighted_sum(e, [(first, 1), (e.i64(k), p.size)])
        store_lanes(e, e.gep(to, p.accumulator, offset), value)
