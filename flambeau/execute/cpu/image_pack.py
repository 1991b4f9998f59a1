"""Packing strips of images for the matrix unit; see Note [Images on the matrix unit].

A line of a strip has, for every 32 channels, three parts of 16 rows: channels i and i + 16 are the
halves of the words of row i. Where magnitudes do not allow for the unit, the same places hold
floats instead: the first part the first of the two channels, the second part the second.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import ARGS, TABLE, operand_pointer, weighted_sum
from flambeau.execute.cpu.emit import I32, I64, PTR, Emitter, Reg
from flambeau.execute.cpu.image_plan import ImagePlan, Weights
from flambeau.execute.cpu.matrix_pack import (
    DESTINATION,
    LANES,
    SOURCE,
    WORDS,
    emit_blocks,
    emit_step,
    magnitudes,
    masked_floats,
    paired_parts,
    range_mask,
    store_flags,
)
from flambeau.execute.cpu.matrix_plan import BLOCK, FLAG_BYTES, HALF, STEP_BYTES, Side

PACK_STRIP, PACK_FLOATS, PACK_WEIGHTS = "pack.strip", "pack.floats", "pack.weights"


@dataclass(frozen=True, slots=True)
class _Line:
    """A line of two channels: their addresses (of padded column 0) and whether they are there."""

    sources: tuple[Reg, Reg]
    there: tuple[Reg, Reg]
    target: Reg


class StripPacking:
    """Emits the packing of a strip; `plain`: as floats."""

    def __init__(self, e: Emitter, plan: ImagePlan, plain: bool) -> None:
        self.e = e
        self.plan = plan
        self.strips = plan.strips
        self.plain = plain

    def emit(self) -> None:
        """Defines @name(source, target, flags, line, number): the strip from padded line `line` on;
        `source` is the padded image's first element, which may not be there. Flags are added unless
        number is 0.
        """
        e, strips = self.e, self.strips
        parameters = [("source", PTR), ("target", PTR), ("flags", PTR)]
        parameters += [("line", I64), ("number", I64)]
        name = PACK_FLOATS if self.plain else PACK_STRIP
        rows = strips.shape.rows
        with e.function(name, "internal void", parameters) as (source, target, flags, line, number):
            known = e.alloca(I32, 2 * LANES)
            e.store(known, e.const(0, WORDS), 64)
            e.store(e.gep(known, "i32", e.i64(LANES)), e.const(-1, WORDS), 64)
            with e.loop(e.i64(0), e.i64(strips.image_lines)) as lines:
                y = e.op("add nsw", line, lines.index)
                at = e.gep(source, "float", weighted_sum(e, [(y, self.plan.line)]))
                there = self.within(y, rows.low, rows.extent)
                to = e.gep(target, "i8", self.line_offset(lines.index))
                self.channels(at, to, there, known)
            found = [e.load(e.gep(known, "i32", e.i64(n)), WORDS, 64) for n in (0, LANES)]
            store_flags(e, flags, found, e.cmp("icmp eq", number, e.i64(0)))
            e.line("ret void")

    def within(self, place: Reg, low: int, extent: int) -> Reg:
        """Whether a place of a padded axis is part of the image."""
        e = self.e
        return e.cmp("icmp ult", e.op("sub", place, e.i64(low)), e.i64(extent))

    def line_offset(self, line: Reg) -> Reg:
        e, strips = self.e, self.strips
        step = strips.shape.rows.step
        if not strips.linear or step == 1:
            return weighted_sum(e, [(line, strips.line_bytes(1))])
        phase, number = e.op("urem", line, e.i64(step)), e.op("udiv", line, e.i64(step))
        return weighted_sum(e, [(phase, strips.line_bytes(1)), (number, strips.line_bytes(step))])

    def channels(self, at: Reg, to: Reg, there: Reg, known: Reg) -> None:
        """All channels of one line; `known` are the flags so far, a lane each."""
        e, plan, strips = self.e, self.plan, self.strips
        depth = strips.shape.depth
        with (
            e.loop(e.i64(0), e.i64(strips.chunks)) as chunks,
            e.loop(e.i64(0), e.i64(HALF)) as pairs,
        ):
            first = weighted_sum(e, [(chunks.index, BLOCK), (pairs.index, 1)])
            sources, known_there = [], []
            for start in (0, HALF):
                c = weighted_sum(e, [(first, 1), (e.i64(start), 1)])
                inside = e.op("and", there, e.cmp("icmp slt", c, e.i64(depth)))
                sources.append(e.gep(at, "float", weighted_sum(e, [(c, plan.channel)])))
                known_there.append(inside)
            place = [(chunks.index, strips.chunk_bytes), (pairs.index, strips.pair_bytes)]
            target = e.gep(to, "i8", weighted_sum(e, place))
            line = _Line((sources[0], sources[1]), (known_there[0], known_there[1]), target)
            places = [e.gep(known, "i32", e.i64(n)) for n in (0, LANES)]
            found = self.line(line, [e.load(p, WORDS, 64) for p in places])
            for at_flags, value in zip(places, found, strict=True):
                e.store(at_flags, value, 64)

    def line(self, line: _Line, flags: list[Reg]) -> list[Reg]:
        """All columns of a line of two channels."""
        cols, inner = self.strips.shape.cols, self.strips.shape.inner
        if inner == 1:
            for phase in range(cols.step):
                flags = self.across(line, phase, flags)
            return flags
        if cols.step == 1 and self.plan.column == inner:
            return self.along(line, flags)
        return self.by_columns(line, flags)

    def along(self, line: _Line, flags: list[Reg]) -> list[Reg]:
        """Columns and their innermost images are neighbours, 16 at a time."""
        e, cols, inner = self.e, self.strips.shape.cols, self.strips.shape.inner
        ends = self.ends(line, *[n * inner for n in cols.inside()])
        with e.loop(e.i64(0), e.i64(self.strips.columns), LANES, carried=flags) as loop:
            loop.yield_(self.pair(line, loop.index, loop.index, 1, loop.index, ends, loop.carried))
        return loop.carried

    def across(self, line: _Line, phase: int, flags: list[Reg]) -> list[Reg]:
        """The columns of one phase, 16 at a time."""
        e, cols = self.e, self.strips.shape.cols
        ends = self.ends(line, *cols.inside(phase))
        with e.loop(e.i64(0), e.i64(self.strips.columns), LANES, carried=flags) as loop:
            first = weighted_sum(e, [(loop.index, cols.step), (e.i64(phase), 1)])
            source = weighted_sum(e, [(first, self.plan.column)])
            place = weighted_sum(e, [(loop.index, 1), (e.i64(phase * self.strips.phase), 1)])
            stride = cols.step * self.plan.column
            found = self.pair(line, source, place, stride, loop.index, ends, loop.carried)
            loop.yield_(found)
        return loop.carried

    def by_columns(self, line: _Line, flags: list[Reg]) -> list[Reg]:
        """Column by column, 16 of its innermost images at a time."""
        e, cols, inner = self.e, self.strips.shape.cols, self.strips.shape.inner
        step = cols.step
        count = self.strips.columns // inner * step
        with e.loop(e.i64(0), e.i64(count), carried=flags) as columns:
            x = columns.index
            inside = self.within(x, cols.low, cols.extent)
            there = [e.op("and", inside, known) for known in line.there]
            ends = self.ends(_Line(line.sources, (there[0], there[1]), line.target), 0, inner)
            phase, number = e.op("urem", x, e.i64(step)), e.op("udiv", x, e.i64(step))
            start = weighted_sum(e, [(phase, self.strips.phase), (number, inner)])
            source = weighted_sum(e, [(x, self.plan.column)])
            with e.loop(e.i64(0), e.i64(inner), LANES, carried=columns.carried) as loop:
                near = weighted_sum(e, [(source, 1), (loop.index, 1)])
                place = weighted_sum(e, [(start, 1), (loop.index, 1)])
                loop.yield_(self.pair(line, near, place, 1, loop.index, ends, loop.carried))
            columns.yield_(loop.carried)
        return columns.carried

    def ends(self, line: _Line, low: int, high: int) -> list[tuple[Reg, Reg]]:
        """The range of numbers for which each channel has elements."""
        e = self.e
        return [(e.i64(low), e.select(known, e.i64(high), e.i64(low))) for known in line.there]

    def pair(
        self,
        line: _Line,
        source: Reg,
        place: Reg,
        stride: int,
        number: Reg,
        ends: Sequence[tuple[Reg, Reg]],
        flags: Sequence[Reg],
    ) -> list[Reg]:
        """16 places of both channels: from element `source` on to place `place` on; those are there
        whose number is within `ends`.
        """
        e, strips = self.e, self.strips
        values = []
        for base, between in zip(line.sources, ends, strict=True):
            at = e.gep(base, "float", source)
            values.append(masked_floats(e, at, range_mask(e, number, *between), stride))
        x, y = values
        target = e.gep(line.target, "i8", weighted_sum(e, [(place, strips.place_bytes)]))
        words = [x, y] if self.plain else paired_parts(e, x, y)
        for part, word in enumerate(words):
            e.store(e.gep(target, "i8", e.i64(part * strips.part_bytes)), word, 4)
        return magnitudes(e, (x, y), flags)


def weights_kernel(vector_bits: int, weights: Weights) -> tuple[str, int, list[int]]:
    """(text, tasks, argument words) of the kernel that packs operand 0 into operand 1,
    `weights.bytes` long. Sizes are words, so that weights of all shapes share a text.
    """
    e, side = Emitter(vector_bits), weights.side
    emit_step(e, side, PACK_WEIGHTS)
    tasks = min(TASKS, weights.blocks)
    (rows, row), (cols, col) = weights.taps
    words = [weights.blocks, side.lead.blocks, side.lead.extent, side.depth, side.far]
    words += [rows, row, cols, col]
    words += [number for group in weights.groups for number in group]
    emit_blocks(e, words, tasks, lambda number, values: _pack_weights(e, side, number, values))
    return e.module(), tasks, words


def _pack_weights(e: Emitter, side: Side, number: Reg, values: Sequence[Reg]) -> None:
    """Packs block `number` of all blocks; `values` are the kernel's argument words."""
    _, blocks, outs, depth, far, rows, row, cols, col, *groups = values
    block, around = e.op("urem", number, blocks), e.op("udiv", number, blocks)
    out_step, depth_step = (far, e.i64(side.near)) if side.by_k else (e.i64(side.near), far)
    first = weighted_sum(e, [(block, BLOCK)])
    offset = e.op("mul nsw", first, out_step)
    for count, step in list(zip(groups[::2], groups[1::2], strict=True))[::-1]:
        index, around = e.op("urem", around, count), e.op("udiv", around, count)
        offset = e.op("add nsw", offset, e.op("mul nsw", index, step))
    source = e.gep(operand_pointer(e, TABLE, ARGS, SOURCE), "float", offset)
    chunks = e.op("udiv", weighted_sum(e, [(depth, 1), (e.i64(BLOCK - 1), 1)]), e.i64(BLOCK))
    taps = e.op("mul nsw", rows, cols)
    steps = e.op("mul nsw", chunks, taps)
    size = weighted_sum(e, [(steps, STEP_BYTES), (e.i64(FLAG_BYTES), 1)])
    target = operand_pointer(e, TABLE, ARGS, DESTINATION)
    target = e.gep(target, "i8", e.op("mul nsw", number, size))
    flags = e.gep(target, "i8", weighted_sum(e, [(steps, STEP_BYTES)]))
    left = e.op("sub nsw", outs, first)
    with e.loop(e.i64(0), steps) as loop:
        chunk, tap = e.op("udiv", loop.index, taps), e.op("urem", loop.index, taps)
        k = weighted_sum(e, [(chunk, BLOCK)])
        offset = e.op("mul nsw", e.op("udiv", tap, cols), row)
        offset = e.op("add nsw", offset, e.op("mul nsw", e.op("urem", tap, cols), col))
        offset = e.op("add nsw", offset, e.op("mul nsw", k, depth_step))
        at = e.gep(source, "float", offset)
        to = e.gep(target, "i8", weighted_sum(e, [(loop.index, STEP_BYTES)]))
        rest = e.op("sub nsw", depth, k)
        arguments = [at, to, flags, left, rest, loop.index, far]
        e.call(PACK_WEIGHTS, None, arguments, declared=True)
