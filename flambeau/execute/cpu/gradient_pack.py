"""Packing strips of images and cotangents for weight gradients on the matrix unit.

See Note [Weight gradients on the matrix unit]. Of an image a row is a channel, 32 neighbouring
places of it 64 bytes; of a cotangent 32 places of 32 outputs are a step as in matrix_pack.py, in
which places 2 j and 2 j + 1 are the pairs. Where magnitudes do not allow for the unit, channels
hold floats instead, and cotangents are used before they are packed.
"""

from __future__ import annotations

from flambeau.execute.cpu.contraction_spec import weighted_sum
from flambeau.execute.cpu.emit import I32, I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.gradient_plan import GradientPlan
from flambeau.execute.cpu.matrix_pack import (
    LANES,
    TILE_BYTES,
    WORDS,
    float_parts,
    magnitudes,
    masked_floats,
    range_mask,
    store_flags,
    turn_parts,
)
from flambeau.execute.cpu.matrix_plan import BLOCK, HALF, PART_BYTES, STEP_BYTES

PACK_LEFT, PACK_FLOATS, FILL_ROWS, PACK_RIGHT = "pack.left", "pack.floats", "fill", "pack.right"
SHORTS = Type("i16", BLOCK)


def neighbour_parts(e: Emitter, x: Reg, y: Reg) -> list[Reg]:
    """The three parts of 32 neighbours, 16 bits each."""
    found = []
    for a, b in zip(float_parts(e, x), float_parts(e, y), strict=True):
        halves = [e.cast("trunc", e.op("lshr", w, e.const(16, WORDS)), "i16") for w in (a, b)]
        found.append(e.shuffle(halves[0], halves[1], range(BLOCK)))
    return found


class _Packing:
    def __init__(self, e: Emitter, plan: GradientPlan) -> None:
        self.e = e
        self.plan = plan
        self.strips = plan.strips
        self.shape = plan.strips.shape

    def within(self, place: Reg, low: int, extent: int) -> Reg:
        """Whether a place of a padded axis is part of the image."""
        e = self.e
        return e.cmp("icmp ult", e.op("sub", place, e.i64(low)), e.i64(extent))

    def end(self, there: Reg, low: int, high: int) -> Reg:
        """The end of a range from `low` on: `high`, or none of it."""
        return self.e.select(there, self.e.i64(high), self.e.i64(low))


class LeftPacking(_Packing):
    """Emits the packing of a strip of images; `plain`: as floats."""

    def __init__(self, e: Emitter, plan: GradientPlan, plain: bool) -> None:
        super().__init__(e, plan)
        self.plain = plain

    def emit(self) -> None:
        """Defines @name(source, target, flags, line, channels, number): the strip from padded line
        `line` on, of so many channels; zeros for those beyond. Flags are added unless number is 0.
        """
        e, strips = self.e, self.strips
        parameters = [("source", PTR), ("target", PTR), ("flags", PTR)]
        parameters += [("line", I64), ("channels", I64), ("number", I64)]
        name = PACK_FLOATS if self.plain else PACK_LEFT
        rows = self.shape.rows
        with e.function(name, "internal void", parameters) as registers:
            source, target, flags, line, channels, number = registers
            known = [e.alloca(I32, LANES) for _ in range(2)]
            for place, none in zip(known, (0, -1), strict=True):
                e.store(place, e.const(none, WORDS), 64)
            with e.loop(e.i64(0), e.i64(strips.image_lines)) as lines:
                y = e.op("add nsw", line, lines.index)
                at = e.gep(source, "float", weighted_sum(e, [(y, self.plan.image[2])]))
                there = self.within(y, rows.low, rows.extent)
                to = e.gep(target, "i8", self.line_offset(lines.index))
                with e.loop(e.i64(0), e.i64(strips.channels)) as loop:
                    inside = e.op("and", there, e.cmp("icmp slt", loop.index, channels))
                    c = weighted_sum(e, [(loop.index, self.plan.image[1])])
                    row = weighted_sum(e, [(loop.index, self.pitch)])
                    found = [e.load(place, WORDS, 64) for place in known]
                    here = e.gep(at, "float", c), e.gep(to, "i8", row)
                    found = self.line(*here, inside, found)
                    for place, value in zip(known, found, strict=True):
                        e.store(place, value, 64)
            found = [e.load(place, WORDS, 64) for place in known]
            store_flags(e, flags, found, e.cmp("icmp eq", number, e.i64(0)))
            e.line("ret void")

    @property
    def pitch(self) -> int:
        """Bytes from a channel to the next."""
        return plain_pitch(self.plan) if self.plain else self.strips.row_bytes

    def line_offset(self, line: Reg) -> Reg:
        e, strips = self.e, self.strips
        if not strips.linear:
            return weighted_sum(e, [(line, strips.unit_bytes)])
        step = self.shape.rows.step
        of_place = 4 if self.plain else strips.place_bytes(BLOCK) // BLOCK
        sizes = [strips.place_in_strip(n) * of_place for n in (1, step)]
        if step == 1:
            return weighted_sum(e, [(line, sizes[0])])
        phase, number = e.op("urem", line, e.i64(step)), e.op("udiv", line, e.i64(step))
        return weighted_sum(e, [(phase, sizes[0]), (number, sizes[1])])

    def line(self, at: Reg, to: Reg, there: Reg, flags: list[Reg]) -> list[Reg]:
        """All columns of a line of a channel."""
        cols, inner = self.shape.cols, self.shape.inner
        for phase in range(cols.step):
            if inner == 1:
                flags = self.run(at, to, there, flags, phase, cols.step)
            elif cols.step == 1 and self.plan.image[3] == inner:
                flags = self.run(at, to, there, flags, 0, inner)
            else:
                flags = self.by_columns(at, to, there, flags, phase)
        return flags

    def run(
        self, at: Reg, to: Reg, there: Reg, flags: list[Reg], phase: int, step: int
    ) -> list[Reg]:
        """32 places at a time: every `step`-th column, or columns and images as they lie."""
        e, strips = self.e, self.strips
        cols, inner = self.shape.cols, self.shape.inner
        count = strips.columns if strips.linear else strips.phase
        column = self.plan.image[3]
        low, high = [n * inner for n in cols.inside(phase)]
        # Places beyond the line's own are zeros, not the next columns.
        high = max(low, min(high, strips.columns))
        end = self.end(there, low, high)
        with e.loop(e.i64(0), e.i64(count), BLOCK, carried=flags) as loop:
            values = []
            for start in (0, HALF):
                place = weighted_sum(e, [(loop.index, 1), (e.i64(start), 1)])
                source, stride = place, 1
                if inner == 1:
                    first = weighted_sum(e, [(place, step), (e.i64(phase), 1)])
                    source, stride = weighted_sum(e, [(first, column)]), step * column
                inside = range_mask(e, place, e.i64(low), end)
                values.append(masked_floats(e, e.gep(at, "float", source), inside, stride))
            self.store(
                to, weighted_sum(e, [(loop.index, 1), (e.i64(phase * strips.phase), 1)]), values
            )
            loop.yield_(magnitudes(e, values, loop.carried))
        return loop.carried

    def by_columns(self, at: Reg, to: Reg, there: Reg, flags: list[Reg], phase: int) -> list[Reg]:
        """Column by column of a phase, 32 of its innermost images at a time."""
        e, strips = self.e, self.strips
        cols, inner = self.shape.cols, self.shape.inner
        count = (strips.columns if strips.linear else strips.phase) // inner
        with e.loop(e.i64(0), e.i64(count), carried=flags) as columns:
            x = weighted_sum(e, [(columns.index, cols.step), (e.i64(phase), 1)])
            known = e.op("and", self.within(x, cols.low, cols.extent), there)
            inside = e.splat(known, LANES)
            start = e.i64(phase * strips.phase)
            with e.loop(e.i64(0), e.i64(inner), BLOCK, carried=columns.carried) as loop:
                source = weighted_sum(e, [(x, self.plan.image[3]), (loop.index, 1)])
                near = e.gep(at, "float", source)
                values = [
                    masked_floats(e, e.gep(near, "float", e.i64(n)), inside) for n in (0, HALF)
                ]
                place = weighted_sum(e, [(start, 1), (columns.index, inner), (loop.index, 1)])
                self.store(to, place, values)
                loop.yield_(magnitudes(e, values, loop.carried))
            columns.yield_(loop.carried)
        return columns.carried

    def store(self, to: Reg, place: Reg, values: list[Reg]) -> None:
        """32 places from `place` on."""
        e, strips = self.e, self.strips
        if self.plain:
            for n, value in enumerate(values):
                at = weighted_sum(e, [(place, 4), (e.i64(n * 4 * HALF), 1)])
                e.store(e.gep(to, "i8", at), value, 4)
            return
        at = e.gep(to, "i8", weighted_sum(e, [(place, strips.place_bytes(BLOCK) // BLOCK)]))
        for part, value in enumerate(neighbour_parts(e, values[0], values[1])):
            e.store(e.gep(at, "i8", e.i64(part * strips.part_bytes)), value, 2)


def plain_pitch(plan: GradientPlan) -> int:
    """Bytes from a channel to the next where channels are floats."""
    return 4 * plan.strips.places


class RightPacking(_Packing):
    """Emits the packing of a strip of cotangents."""

    def emit_fill(self) -> None:
        """Defines @fill(source, rows, line, outs): 16 outputs' lines from `line` on, their places
        in order, zeros between them and for outputs beyond `outs`.
        """
        e, strips = self.e, self.strips
        parameters = [("source", PTR), ("rows", PTR), ("line", I64), ("outs", I64)]
        with e.function(FILL_ROWS, "internal void", parameters) as (source, rows, line, outs):
            with (
                e.loop(e.i64(0), e.i64(HALF)) as loop,
                e.loop(e.i64(0), e.i64(strips.together)) as images,
            ):
                place = [
                    (loop.index, strips.row_floats),
                    (images.index, strips.image_steps * BLOCK),
                ]
                row = e.gep(rows, "float", weighted_sum(e, place))
                at = [(loop.index, self.plan.cotangent[1]), (images.index, self.plan.cotangent[0])]
                here = e.gep(source, "float", weighted_sum(e, at))
                there = e.cmp("icmp slt", loop.index, outs)
                for n in (0, HALF):
                    end = e.gep(row, "float", e.i64((strips.image_steps - 1) * BLOCK + n))
                    e.store(end, e.const(0, Type("float", LANES)), 4)
                self.fill_lines(row, here, line, there)
            e.line("ret void")

    def fill_lines(self, row: Reg, here: Reg, line: Reg, there: Reg) -> None:
        """The lines of one output of one image."""
        e, strips = self.e, self.strips
        with e.loop(e.i64(0), e.i64(strips.lines)) as lines:
            y = e.op("add nsw", line, lines.index)
            inside = e.op("and", there, e.cmp("icmp slt", y, e.i64(self.shape.rows.out)))
            end = self.end(inside, 0, strips.width)
            begin = e.gep(here, "float", weighted_sum(e, [(y, self.plan.cotangent[2])]))
            with e.loop(e.i64(0), e.i64(strips.pitch), LANES) as run:
                mask = range_mask(e, run.index, e.i64(0), end)
                value = masked_floats(e, e.gep(begin, "float", run.index), mask)
                place = weighted_sum(e, [(lines.index, strips.pitch), (run.index, 1)])
                e.store(e.gep(row, "float", place), value, 4)

    def emit(self) -> None:
        """Defines @pack.right(source, target, rows, flags, line, outs): all outputs of a piece."""
        e, strips = self.e, self.strips
        parameters = [("source", PTR), ("target", PTR), ("rows", PTR), ("flags", PTR)]
        parameters += [("line", I64), ("outs", I64)]
        with e.function(PACK_RIGHT, "internal void", parameters) as registers:
            source, target, rows, flags, line, outs = registers
            start = [e.const(0, WORDS), e.const(-1, WORDS)]
            with e.loop(e.i64(0), e.i64(2 * strips.high), carried=start) as halves:
                self.fill(source, rows, line, outs, halves.index)
                block, half = (
                    e.op("udiv", halves.index, e.i64(2)),
                    e.op("urem", halves.index, e.i64(2)),
                )
                place = [(block, strips.steps * STEP_BYTES), (half, TILE_BYTES)]
                base = e.gep(target, "i8", weighted_sum(e, place))
                with e.loop(e.i64(0), e.i64(strips.steps), carried=halves.carried) as steps:
                    tile = e.gep(base, "i8", weighted_sum(e, [(steps.index, STEP_BYTES)]))
                    at = e.gep(rows, "float", weighted_sum(e, [(steps.index, BLOCK)]))
                    steps.yield_(self.tile(at, tile, steps.carried))
                halves.yield_(steps.carried)
            store_flags(e, flags, halves.carried, e.const(True, Type("i1")))
            e.line("ret void")

    def fill(self, source: Reg, rows: Reg, line: Reg, outs: Reg, half: Reg) -> None:
        e = self.e
        first = weighted_sum(e, [(half, HALF)])
        at = weighted_sum(e, [(first, self.plan.cotangent[1])])
        arguments = [e.gep(source, "float", at), rows, line, e.op("sub nsw", outs, first)]
        e.call(FILL_ROWS, None, arguments, declared=True)

    def tile(self, at: Reg, tile: Reg, flags: list[Reg]) -> list[Reg]:
        """32 places of 16 outputs."""
        e = self.e
        with e.loop(e.i64(0), e.i64(HALF), carried=flags) as loop:
            row = e.gep(at, "float", weighted_sum(e, [(loop.index, self.strips.row_floats)]))
            values = [
                e.load(e.gep(row, "float", e.i64(n)), Type("float", LANES), 4) for n in (0, HALF)
            ]
            for part, value in enumerate(neighbour_parts(e, values[0], values[1])):
                place = weighted_sum(e, [(loop.index, 2 * BLOCK), (e.i64(part * PART_BYTES), 1)])
                e.store(e.gep(tile, "i8", place), value, 64)
            loop.yield_(magnitudes(e, values, loop.carried))
        turn_parts(e, tile)
        return loop.carried
