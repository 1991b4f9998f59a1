"""Kernels for weight gradients on the matrix unit: the sums, and what becomes of them.

See Note [Weight gradients on the matrix unit].
"""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    Dimension,
    cut_dimensions,
    emit_stage,
    task_count,
    task_number,
    transposed,
)
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    TABLE,
    StoreCallback,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.emit import F32, I32, I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.gradient_pack import (
    PACK_FLOATS,
    PACK_LEFT,
    PACK_RIGHT,
    LeftPacking,
    RightPacking,
    plain_pitch,
)
from flambeau.execute.cpu.gradient_plan import GradientPlan
from flambeau.execute.cpu.matrix_pack import FLOATS, LANES, TILE_BYTES, masked_floats
from flambeau.execute.cpu.matrix_plan import BLOCK, HALF, PART_BYTES, STEP_BYTES
from flambeau.execute.cpu.matrix_tiles import PRODUCTS, is_safe, unit_instruction, with_unit

IMAGE, COTANGENT, SCRATCH = range(3)
BLOCK_SUMS = 4 * BLOCK * BLOCK


def gradient_kernels(
    vector_bits: int, plan: GradientPlan, store: StoreCallback
) -> list[tuple[str, int]]:
    """(text, tasks) of the two kernels that compute a weight gradient.

    Operands: 0 the images, 1 the cotangent, 2 scratch (`strips.scratch_bytes`), 4 and up what
    `store` uses.
    """
    sums = _Sums(Emitter(vector_bits), plan)
    sums.emit()
    totals = _Totals(Emitter(vector_bits), plan, store)
    totals.emit()
    return [(k.e.module(), task_count(k.cut)) for k in (sums, totals)]


class _Kernel:
    def __init__(self, e: Emitter, plan: GradientPlan) -> None:
        self.e = e
        self.plan = plan
        self.strips = plan.strips
        self.shape = plan.strips.shape
        self.cut: Sequence[Dimension] = plan.strips.cut

    def define(self, unit: bool) -> None:
        """Defines @kernel, the tasks of @products."""
        e = self.e
        parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
        with e.function("kernel", "i64", parameters) as registers:
            if unit:
                with with_unit(e):
                    e.call("products", None, registers, declared=True)
            else:
                e.call("products", None, registers, declared=True)
            e.line("ret i64 0")

    def sums(self, channels: Reg, outs: Reg, part: Reg) -> Reg:
        """Where the sums of a piece begin: [tap][32 channels][32 outputs] blocks."""
        e, strips = self.e, self.strips
        number = weighted_sum(e, [(channels, strips.panels[1]), (outs, 1)])
        number = weighted_sum(e, [(number, strips.parts), (part, 1)])
        place = [(number, strips.sum_bytes), (e.i64(strips.sums_offset), 1)]
        return e.gep(operand_pointer(e, TABLE, ARGS, SCRATCH), "i8", weighted_sum(e, place))

    @property
    def block_offset_of_tap(self) -> int:
        """From a tap's blocks to the next one's."""
        return self.strips.wide * self.strips.high * BLOCK_SUMS

    def block_offset(self, tap: Reg, channels: Reg, outs: Reg) -> Reg:
        e, strips = self.e, self.strips
        number = weighted_sum(e, [(tap, strips.wide), (channels, 1)])
        number = weighted_sum(e, [(number, strips.high), (outs, 1)])
        return weighted_sum(e, [(number, BLOCK_SUMS)])


class _Sums(_Kernel):
    def emit(self) -> None:
        e, plan = self.e, self.plan
        for plain in (False, True):
            LeftPacking(e, plan, plain).emit()
        self.right = RightPacking(e, plan)
        self.right.emit_fill()
        self.right.emit()
        self.constants("shifts", self.strips.taps)
        self.constants("plain.shifts", self.plain_taps())
        self.emit_block()
        self.emit_plain()
        emit_stage(e, "products", self.cut, self.body)
        self.define(unit=True)

    def constants(self, name: str, numbers: Sequence[int]) -> None:
        spelled = ", ".join(f"i64 {n}" for n in numbers)
        self.e.declarations[name] = f"@{name} = private constant [{len(numbers)} x i64] [{spelled}]"

    def constant(self, name: str, index: Reg) -> Reg:
        return self.e.load(self.e.gep(Reg(f"@{name}", PTR), "i64", index), I64)

    @property
    def taps(self) -> int:
        return self.shape.rows.taps * self.shape.cols.taps

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """One piece: its part of all strips."""
        e, strips = self.e, self.strips
        channels, outs, part = indices
        sums = self.sums(channels, outs, part)
        with e.loop(e.i64(0), e.i64(strips.sum_bytes // 4), LANES) as loop:
            e.store(e.gep(sums, "float", loop.index), e.const(0, FLOATS), 64)
        scratch = operand_pointer(e, TABLE, ARGS, SCRATCH)
        number = task_number(e, indices, self.cut)
        memory = e.gep(scratch, "i8", weighted_sum(e, [(number, strips.task_bytes)]))
        low, high = [
            e.op("udiv", weighted_sum(e, [(n, strips.units)]), e.i64(strips.parts))
            for n in (part, weighted_sum(e, [(part, 1), (e.i64(1), 1)]))
        ]
        with e.loop(low, high) as units:
            self.unit(units.index, channels, outs, sums, memory)

    def unit(self, unit: Reg, channels: Reg, outs: Reg, sums: Reg, memory: Reg) -> None:
        """One strip of one image."""
        e, strips, plan = self.e, self.strips, self.plan
        image, strip = [e.op(o, unit, e.i64(strips.count)) for o in ("udiv", "urem")]
        image = weighted_sum(e, [(image, strips.together)])
        right = e.gep(memory, "i8", e.i64(strips.left_bytes))
        rows = e.gep(right, "i8", e.i64(strips.right_bytes))
        flags = e.gep(rows, "float", e.i64(HALF * strips.row_floats))
        first = weighted_sum(e, [(channels, strips.channels)])
        place = [(image, plan.image[0]), (first, plan.image[1])]
        source = e.gep(operand_pointer(e, TABLE, ARGS, IMAGE), "float", weighted_sum(e, place))
        top = weighted_sum(e, [(strip, strips.lines)])
        line = weighted_sum(e, [(top, self.shape.rows.step)])
        count = e.op("sub nsw", e.i64(self.shape.channels), first)
        self.pack_images(PACK_LEFT, source, memory, flags, line, count)
        begin = weighted_sum(e, [(outs, strips.high * BLOCK)])
        place = [(image, plan.cotangent[0]), (begin, plan.cotangent[1])]
        base = operand_pointer(e, TABLE, ARGS, COTANGENT)
        cotangent = e.gep(base, "float", weighted_sum(e, place))
        rest = e.op("sub nsw", e.i64(self.shape.outs), begin)
        others = e.gep(flags, "i32", e.i64(2))
        e.call(PACK_RIGHT, None, [cotangent, right, rows, others, top, rest], declared=True)
        words = [e.load(e.gep(flags, "i32", e.i64(n)), I32) for n in range(4)]
        by_unit, by_vectors, finished = e.label(), e.label(), e.label()
        safe = is_safe(e, (words[0], words[1]), (words[2], words[3]))
        e.branch_if(safe, by_unit, by_vectors)
        e.open_block(by_unit)
        self.multiply(memory, right, sums)
        e.branch(finished)
        e.open_block(by_vectors)
        self.pack_images(PACK_FLOATS, source, memory, flags, line, count)
        e.call("plain", None, [memory, cotangent, rows, sums, top, rest], declared=True)
        e.branch(finished)
        e.open_block(finished)

    def pack_images(self, name: str, source: Reg, memory: Reg, *arguments: Reg) -> None:
        """Packs the strips of the images that are taken together."""
        e, strips = self.e, self.strips
        with e.loop(e.i64(0), e.i64(strips.together)) as loop:
            at = e.gep(source, "float", weighted_sum(e, [(loop.index, self.plan.image[0])]))
            to = e.gep(memory, "i8", weighted_sum(e, [(loop.index, strips.image_bytes)]))
            e.call(name, None, [at, to, *arguments, loop.index], declared=True)

    def multiply(self, left: Reg, right: Reg, sums: Reg) -> None:
        """All blocks of a piece."""
        e, strips = self.e, self.strips
        with (
            e.loop(e.i64(0), e.i64(self.taps)) as taps,
            e.loop(e.i64(0), e.i64(strips.wide)) as channels,
            e.loop(e.i64(0), e.i64(strips.high)) as outs,
        ):
            shift = self.constant("shifts", taps.index)
            place = weighted_sum(e, [(shift, 1), (channels.index, 2 * strips.half_bytes)])
            a = e.gep(left, "i8", place)
            b = e.gep(right, "i8", weighted_sum(e, [(outs.index, strips.steps * STEP_BYTES)]))
            offset = self.block_offset(taps.index, channels.index, outs.index)
            e.call("block", None, [a, b, e.gep(sums, "i8", offset)], declared=True)

    def emit_block(self) -> None:
        """Defines @block(left, right, sums): adds 32 channels times 32 outputs of a strip."""
        e, strips = self.e, self.strips
        parameters = [("left", PTR), ("right", PTR), ("sums", PTR)]
        lines_of = 1 if strips.linear else strips.lines
        down = strips.line_bytes(self.shape.rows.step)
        totals = [(r, c) for r in range(2) for c in range(2)]
        with e.function("block", "internal void", parameters) as (left, right, sums):
            places = {
                2 * r + c: e.gep(sums, "i8", e.i64(r * HALF * 4 * BLOCK + c * 4 * HALF))
                for r, c in totals
            }
            for tile, place in places.items():
                unit_instruction(e, "tileloadd64", tile, place, e.i64(4 * BLOCK))
            with (
                e.loop(e.i64(0), e.i64(strips.together)) as images,
                e.loop(e.i64(0), e.i64(lines_of)) as lines,
                e.loop(e.i64(0), e.i64(strips.line_steps)) as steps,
            ):
                of_image = [(images.index, strips.image_bytes), (lines.index, down)]
                of_image.append((steps.index, strips.place_bytes(BLOCK)))
                a = e.gep(left, "i8", weighted_sum(e, of_image))
                number = [(images.index, strips.image_steps), (lines.index, strips.line_steps)]
                number.append((steps.index, 1))
                step = weighted_sum(e, number)
                b = e.gep(right, "i8", weighted_sum(e, [(step, STEP_BYTES)]))
                have = [-1, -1]
                for parts in PRODUCTS:
                    if have[0] != parts[0]:
                        for r in range(2):
                            at = e.i64(parts[0] * strips.part_bytes + r * strips.half_bytes)
                            pitch = e.i64(strips.row_bytes)
                            unit_instruction(e, "tileloadd64", 4 + r, e.gep(a, "i8", at), pitch)
                    if have[1] != parts[1]:
                        for c in range(2):
                            at = e.i64(parts[1] * PART_BYTES + c * TILE_BYTES)
                            unit_instruction(e, "tileloadd64", 6 + c, e.gep(b, "i8", at), e.i64(64))
                    have = [*parts]
                    for r, c in totals:
                        unit_instruction(e, "tdpbf16ps", 2 * r + c, 4 + r, 6 + c)
            for tile, place in places.items():
                unit_instruction(e, "tilestored64", tile, place, e.i64(4 * BLOCK))
            e.line("ret void")

    # ---- strips that the unit would not compute exactly ------------------------------------------

    def plain_taps(self) -> list[int]:
        """As `strips.taps`, where channels are floats."""
        strips, rows, cols = self.strips, self.shape.rows, self.shape.cols
        found = []
        for r in range(rows.taps):
            for c in range(cols.taps):
                moved = c * cols.spread
                place = moved % cols.step * strips.phase + moved // cols.step * self.shape.inner
                if strips.linear:
                    found.append(4 * (place + strips.place_in_strip(r * rows.spread)))
                else:
                    found.append(r * rows.spread * strips.unit_bytes + 4 * place)
        return found

    def emit_plain(self) -> None:
        """Defines @plain(left, cotangent, rows, sums, top, outs): adds a strip of floats."""
        e, strips = self.e, self.strips
        parameters = [("left", PTR), ("cotangent", PTR), ("rows", PTR), ("sums", PTR)]
        parameters += [("top", I64), ("outs", I64)]
        with e.function("plain", "internal void", parameters) as registers:
            left, cotangent, rows, sums, top, outs = registers
            below = e.op("sub nsw", e.i64(self.shape.rows.out), top)
            lines = e.intrinsic("llvm.smin", below, e.i64(strips.lines))
            with e.loop(e.i64(0), e.i64(2 * strips.high)) as halves:
                self.right.fill(cotangent, rows, top, outs, halves.index)
                with (
                    e.loop(e.i64(0), e.i64(self.taps)) as taps,
                    e.loop(e.i64(0), e.i64(strips.channels)) as channels,
                    e.loop(e.i64(0), e.i64(HALF)) as loop,
                ):
                    shift = self.constant("plain.shifts", taps.index)
                    at = weighted_sum(e, [(shift, 1), (channels.index, plain_pitch(self.plan))])
                    a = e.gep(left, "i8", at)
                    row = weighted_sum(e, [(loop.index, strips.row_floats)])
                    b = e.gep(rows, "float", row)
                    with e.loop(
                        e.i64(0), e.i64(strips.together), carried=[e.const(0, F32)]
                    ) as images:
                        here = weighted_sum(e, [(images.index, strips.image_bytes)])
                        there = weighted_sum(e, [(images.index, strips.image_steps * BLOCK)])
                        each = self.dot(e.gep(a, "i8", here), e.gep(b, "float", there), lines)
                        images.yield_([e.op("fadd", images.carried[0], each)])
                    found = images.carried[0]
                    out = weighted_sum(e, [(halves.index, HALF), (loop.index, 1)])
                    c, o = [
                        (e.op("udiv", n, e.i64(BLOCK)), e.op("urem", n, e.i64(BLOCK)))
                        for n in (channels.index, out)
                    ]
                    block = e.gep(sums, "i8", self.block_offset(taps.index, c[0], o[0]))
                    place = e.gep(block, "float", weighted_sum(e, [(c[1], BLOCK), (o[1], 1)]))
                    e.store(place, e.op("fadd", e.load(place, F32), found), 4)
            e.line("ret void")

    def dot(self, a: Reg, b: Reg, lines: Reg) -> Reg:
        """The sum over the places of the cotangent that are there."""
        e, strips = self.e, self.strips
        step = self.shape.rows.step
        down = 4 * strips.place_in_strip(step) if strips.linear else step * strips.unit_bytes
        numbers = e.lane_numbers(LANES)
        with e.loop(e.i64(0), lines, carried=[e.const(0, FLOATS)]) as loop:
            here = e.gep(a, "i8", weighted_sum(e, [(loop.index, down)]))
            there = e.gep(b, "float", weighted_sum(e, [(loop.index, strips.pitch)]))
            with e.loop(e.i64(0), e.i64(strips.width), LANES, carried=loop.carried) as run:
                place = e.op("add", e.splat(run.index, LANES), numbers)
                mask = e.cmp("icmp slt", place, e.const(strips.width, place.type))
                x, y = [masked_floats(e, e.gep(p, "float", run.index), mask) for p in (here, there)]
                run.yield_([e.fma(x, y, run.carried[0])])
            loop.yield_(run.carried)
        return e.call("llvm.vector.reduce.fadd.v16f32", F32, [e.const(0, F32), loop.carried[0]])


class _Totals(_Kernel):
    """Adds up the parts and hands the results on, 16 channels of an output at a time."""

    def __init__(self, e: Emitter, plan: GradientPlan, store: StoreCallback) -> None:
        super().__init__(e, plan)
        self.store = store
        shape = self.shape
        dimensions = [Dimension(-(-n // HALF)) for n in (shape.outs, shape.channels)]
        self.cut = cut_dimensions(dimensions, TASKS)

    def emit(self) -> None:
        e = self.e
        parameters = [*PARAMETERS, ("outs", I64), ("channels", I64)]
        with e.function("give", "internal void", parameters) as (_, _, outs, channels):
            self.give(outs, channels)
            e.line("ret void")
        emit_stage(e, "products", self.cut, self.body)
        self.define(unit=False)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        self.e.call("give", None, [TABLE, ARGS, *indices], declared=True)

    def give(self, *numbers: Reg) -> None:
        """16 outputs of 16 channels."""
        e, strips, shape = self.e, self.strips, self.shape
        taps = shape.rows.taps * shape.cols.taps
        turned = e.alloca(F32, HALF * LANES * (taps if self.plan.run else 1))
        place = []
        for number, size in zip(numbers, (strips.high, strips.wide), strict=True):
            panel, rest = [e.op(o, number, e.i64(2 * size)) for o in ("udiv", "urem")]
            block, half = [e.op(o, rest, e.i64(2)) for o in ("udiv", "urem")]
            place.append((panel, block, half))
        outs, channels = place
        sums = self.sums(channels[0], outs[0], e.i64(0))
        corner = weighted_sum(e, [(channels[2], HALF * BLOCK), (outs[2], HALF)])
        first = [weighted_sum(e, [(number, HALF)]) for number in numbers]
        rest = e.op("sub nsw", e.i64(shape.outs), first[0])
        count = e.intrinsic("llvm.smin", rest, e.i64(HALF))
        if self.plan.run:
            offset = self.block_offset(e.i64(0), channels[1], outs[1])
            at = e.gep(e.gep(sums, "i8", offset), "float", corner)
            self.give_runs(at, turned, first, count)
            return
        position, out, line, column = self.plan.positions
        with e.loop(e.i64(0), e.i64(taps)) as loop_of_taps:
            tap = loop_of_taps.index
            block = e.gep(sums, "i8", self.block_offset(tap, channels[1], outs[1]))
            at = e.gep(block, "float", corner)
            rows = [self.total(e.gep(at, "float", e.i64(r * BLOCK))) for r in range(HALF)]
            for r, row in enumerate(transposed(e, rows)):
                e.store(e.gep(turned, "float", e.i64(r * LANES)), row, 64)
            index = {position: first[1]}
            index[line] = e.op("udiv", tap, e.i64(shape.cols.taps))
            index[column] = e.op("urem", tap, e.i64(shape.cols.taps))
            with e.loop(e.i64(0), count) as loop:
                index[out] = weighted_sum(e, [(first[0], 1), (loop.index, 1)])
                known = sorted(p for p in index if p >= 0)
                at = e.gep(turned, "float", weighted_sum(e, [(loop.index, LANES)]))
                registers = [index[p] for p in known]
                self.store(e, registers, e.load(at, FLOATS, 64), known.index(position))

    def give_runs(self, sums: Reg, turned: Reg, first: list[Reg], count: Reg) -> None:
        """16 outputs of 16 channels with all taps: put in the order of memory, then handed on with
        the innermost loop's number counting on over taps and channels.
        """
        e, shape = self.e, self.shape
        taps = shape.rows.taps * shape.cols.taps
        size = LANES * taps
        every = Reg("splat (i1 true)", Type("i1", LANES))
        apart = e.vector_const([o * size for o in range(HALF)], "i64")
        with e.loop(e.i64(0), e.i64(taps)) as loop, e.loop(e.i64(0), e.i64(HALF)) as channels:
            tap, channel = loop.index, channels.index
            block = weighted_sum(e, [(tap, self.block_offset_of_tap), (channel, 4 * BLOCK)])
            value = self.total(e.gep(sums, "i8", block))
            here = e.gep(turned, "float", weighted_sum(e, [(channel, taps), (tap, 1)]))
            arguments = [value, e.gep(here, "float", apart), Reg("4", I32), every]
            e.call("llvm.masked.scatter.v16f32.v16p0", None, arguments)
        position, out, line, column = self.plan.positions
        inner = column if column >= 0 else line
        begin = weighted_sum(e, [(first[1], taps)])
        with e.loop(e.i64(0), count) as outs, e.loop(e.i64(0), e.i64(size), LANES) as loop:
            index = {position: e.i64(0), line: e.i64(0), inner: e.op("add", begin, loop.index)}
            index[out] = weighted_sum(e, [(first[0], 1), (outs.index, 1)])
            known = sorted(p for p in index if p >= 0)
            at = e.gep(turned, "float", weighted_sum(e, [(outs.index, size), (loop.index, 1)]))
            value = e.load(at, FLOATS, 64)
            self.store(e, [index[p] for p in known], value, known.index(inner))

    def total(self, at: Reg) -> Reg:
        e, strips = self.e, self.strips
        value = e.load(at, FLOATS, 64)
        for part in range(1, strips.parts):
            more = e.load(e.gep(at, "i8", e.i64(part * strips.sum_bytes)), FLOATS, 64)
            value = e.op("fadd", value, more)
        return value
