"""Kernels for convolutions on the matrix unit; see Note [Images on the matrix unit]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    emit_stage,
    lane_range,
    task_count,
    task_number,
)
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    TABLE,
    StoreCallback,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.emit import F32, I32, I64, PTR, Emitter, Reg
from flambeau.execute.cpu.image_pack import PACK_FLOATS, PACK_STRIP, StripPacking
from flambeau.execute.cpu.image_plan import ImagePlan
from flambeau.execute.cpu.matrix_pack import FLOATS, LANES, TILE_BYTES
from flambeau.execute.cpu.matrix_plan import BLOCK, HALF, PART_BYTES, STEP_BYTES
from flambeau.execute.cpu.matrix_tiles import PRODUCTS, is_safe, unit_instruction, with_unit

IMAGE, WEIGHTS, SCRATCH, PACKED = range(4)
RESERVED = 4  # operands of a kernel before those of its epilogue


def image_kernel(vector_bits: int, plan: ImagePlan, store: StoreCallback) -> tuple[str, int]:
    """(text, tasks) of the kernel that computes a convolution from packed weights.

    Operands: 0 the image, 1 the weights, 2 scratch (`plan.scratch_bytes`), 3 the packed weights, 4
    and up what `store` uses.
    """
    kernel = _ImageKernel(Emitter(vector_bits), plan, store)
    kernel.emit()
    return kernel.e.module(), task_count(plan.cut)


class _ImageKernel:
    def __init__(self, e: Emitter, plan: ImagePlan, store: StoreCallback) -> None:
        self.e = e
        self.plan = plan
        self.strips = plan.strips
        self.shape = plan.strips.shape
        self.store = store
        self.low = self.shape.outs % BLOCK  # rows of the last block of outputs

    def emit(self) -> None:
        e = self.e
        for plain in (False, True):
            StripPacking(e, self.plan, plain).emit()
        self.constants("shifts", self.strips.taps)
        self.constants("places", self.plan.weights.places)
        for rows in sorted({BLOCK, HALF if 0 < self.low <= HALF else BLOCK}):
            for narrow in sorted({narrow for _, narrow in self.strips.blocks}):
                self.emit_block(rows, HALF if narrow else BLOCK)
        self.emit_plain()
        self.emit_give()
        emit_stage(e, "products", self.plan.cut, self.body)
        parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
        with e.function("kernel", "i64", parameters) as registers:
            with with_unit(e):
                e.call("products", None, registers, declared=True)
            e.line("ret i64 0")

    def constants(self, name: str, numbers: Sequence[int]) -> None:
        spelled = ", ".join(f"i64 {n}" for n in numbers)
        self.e.declarations[name] = f"@{name} = private constant [{len(numbers)} x i64] [{spelled}]"

    def constant(self, name: str, index: Reg) -> Reg:
        return self.e.load(self.e.gep(Reg(f"@{name}", PTR), "i64", index), I64)

    # ---- a strip ---------------------------------------------------------------------------------

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """One strip of one image, times a range of the outputs."""
        e, plan, strips = self.e, self.plan, self.strips
        *images, strip, split = indices
        if strips.together > 1:
            images[0] = weighted_sum(e, [(images[0], strips.together)])
        around = list(zip(plan.around, images, strict=True))
        number = task_number(e, indices, plan.cut)
        scratch = operand_pointer(e, TABLE, ARGS, SCRATCH)
        memory = e.gep(scratch, "i8", weighted_sum(e, [(number, strips.task_bytes)]))
        result = e.gep(memory, "i8", e.i64(strips.strip_bytes * strips.together))
        flags = e.gep(result, "i8", e.i64(strips.result_bytes))
        image = operand_pointer(e, TABLE, ARGS, IMAGE)
        image = e.gep(image, "float", weighted_sum(e, [(i, loop[2]) for loop, i in around]))
        line = weighted_sum(e, [(strip, strips.lines * self.shape.rows.step)])
        self.pack(PACK_STRIP, image, memory, flags, line)
        weights = operand_pointer(e, TABLE, ARGS, WEIGHTS)
        weights = e.gep(weights, "float", weighted_sum(e, [(i, loop[3]) for loop, i in around]))
        packed = operand_pointer(e, TABLE, ARGS, PACKED)
        group = e.i64(0)
        for loop, index in around:
            if loop[3]:
                group = weighted_sum(e, [(group, loop[1]), (index, 1)])
        group_bytes = strips.out_blocks * plan.weights.block_bytes
        packed = e.gep(packed, "i8", weighted_sum(e, [(group, group_bytes)]))
        low, high = [
            e.op("udiv", weighted_sum(e, [(n, strips.out_blocks)]), e.i64(strips.splits))
            for n in (split, weighted_sum(e, [(split, 1), (e.i64(1), 1)]))
        ]
        by_unit, by_vectors, finished = e.label(), e.label(), e.label()
        e.branch_if(self.safe(packed, flags), by_unit, by_vectors)
        place = [*images, strip]
        e.open_block(by_unit)
        with e.loop(low, high) as outs:
            self.multiply(memory, packed, result, outs.index)
            e.call("give", None, [TABLE, ARGS, result, outs.index, *place], declared=True)
        e.branch(finished)
        e.open_block(by_vectors)
        self.pack(PACK_FLOATS, image, memory, flags, line)
        with e.loop(low, high) as outs:
            e.call("plain", None, [memory, weights, result, outs.index], declared=True)
            e.call("give", None, [TABLE, ARGS, result, outs.index, *place], declared=True)
        e.branch(finished)
        e.open_block(finished)

    def pack(self, name: str, image: Reg, memory: Reg, flags: Reg, line: Reg) -> None:
        """Packs the strips of the images that are taken together."""
        e, strips = self.e, self.strips
        stride = self.plan.around[0][2] if self.plan.around else 0
        with e.loop(e.i64(0), e.i64(strips.together)) as loop:
            at = e.gep(image, "float", weighted_sum(e, [(loop.index, stride)]))
            to = e.gep(memory, "i8", weighted_sum(e, [(loop.index, strips.strip_bytes)]))
            e.call(name, None, [at, to, flags, line, loop.index], declared=True)

    def safe(self, packed: Reg, flags: Reg) -> Reg:
        """Whether the unit multiplies the strip and all weights exactly."""
        e, block = self.e, self.plan.weights.block_bytes
        count = self.strips.out_blocks
        start = [e.const(0, I32), e.const(-1, I32)]
        with e.loop(e.i64(1), e.i64(count + 1), carried=start) as loop:
            at = e.gep(packed, "i8", weighted_sum(e, [(loop.index, block), (e.i64(-64), 1)]))
            high, low = e.load(at, I32), e.load(e.gep(at, "i32", e.i64(1)), I32)
            loop.yield_(
                [
                    e.intrinsic("llvm.umax", high, loop.carried[0]),
                    e.intrinsic("llvm.umin", low, loop.carried[1]),
                ]
            )
        mine = e.load(flags, I32), e.load(e.gep(flags, "i32", e.i64(1)), I32)
        return is_safe(e, (loop.carried[0], loop.carried[1]), mine)

    def places(self, body: Callable[[Reg, Reg, bool], None]) -> None:
        """body(bytes into the strip, words into the result, whether of 16 places) per block."""
        e, strips = self.e, self.strips
        blocks = strips.blocks
        step = strips.line_bytes(self.shape.rows.step)
        with (
            e.loop(e.i64(0), e.i64(strips.together)) as images,
            e.loop(e.i64(0), e.i64(strips.block_lines)) as lines,
        ):
            start = weighted_sum(e, [(images.index, strips.strip_bytes), (lines.index, step)])
            of_image = (images.index, strips.result_words)
            into = weighted_sum(e, [of_image, (lines.index, strips.result_line)])
            whole = len(blocks) - blocks[-1][1]
            if whole:
                with e.loop(e.i64(0), e.i64(whole)) as loop:
                    source = weighted_sum(e, [(start, 1), (loop.index, BLOCK * strips.place_bytes)])
                    body(source, weighted_sum(e, [(into, 1), (loop.index, BLOCK)]), False)
            if blocks[-1][1]:
                last = e.i64(blocks[-1][0])
                source = weighted_sum(e, [(start, 1), (last, strips.place_bytes)])
                body(source, weighted_sum(e, [(into, 1), (last, 1)]), True)

    def multiply(self, strip: Reg, packed: Reg, result: Reg, outs: Reg) -> None:
        """32 outputs of the whole strip."""
        e, block = self.e, self.plan.weights.block_bytes
        left = e.gep(packed, "i8", weighted_sum(e, [(outs, block)]))

        def multiply(rows: int) -> None:
            def product(source: Reg, into: Reg, narrow: bool) -> None:
                right = e.gep(strip, "i8", source)
                to = e.gep(result, "float", into)
                name = f"block.{rows}.{HALF if narrow else BLOCK}"
                e.call(name, None, [left, right, to], declared=True)

            self.places(product)

        if not 0 < self.low <= HALF:
            multiply(BLOCK)
            return
        last = e.i64(self.strips.out_blocks - 1)
        with e.when(e.cmp("icmp ne", outs, last)):
            multiply(BLOCK)
        with e.when(e.cmp("icmp eq", outs, last)):
            multiply(HALF)

    def emit_block(self, rows: int, columns: int) -> None:
        """Defines @block.rows.columns(left, right, result): a block's sum over taps, channels."""
        e, strips = self.e, self.strips
        count = len(strips.taps)
        pitch, line = e.i64(4 * strips.result_pitch), e.i64(strips.pair_bytes)
        totals = [(r, c) for r in range(rows // HALF) for c in range(columns // HALF)]
        parameters = [("left", PTR), ("right", PTR), ("result", PTR)]
        name = f"block.{rows}.{columns}"
        with e.function(name, "internal void", parameters) as (left, right, result):
            for r, c in totals:
                unit_instruction(e, "tilezero", 2 * r + c)
            with (
                e.loop(e.i64(0), e.i64(strips.chunks)) as chunks,
                e.loop(e.i64(0), e.i64(count)) as taps,
            ):
                place = [(chunks.index, count * STEP_BYTES), (taps.index, STEP_BYTES)]
                a = e.gep(left, "i8", weighted_sum(e, place))
                shift = self.constant("shifts", taps.index)
                place = [(shift, 1), (chunks.index, strips.chunk_bytes)]
                b = e.gep(right, "i8", weighted_sum(e, place))
                have = [-1, -1]
                for parts in PRODUCTS:
                    if have[0] != parts[0]:
                        for r in range(rows // HALF):
                            at = e.i64(parts[0] * PART_BYTES + r * TILE_BYTES)
                            place_a = e.gep(a, "i8", at)
                            unit_instruction(e, "tileloadd64", 4 + r, place_a, e.i64(64))
                    if have[1] != parts[1]:
                        for c in range(columns // HALF):
                            at = e.i64(parts[1] * strips.part_bytes + c * HALF * strips.place_bytes)
                            unit_instruction(e, "tileloadd64", 6 + c, e.gep(b, "i8", at), line)
                    have = [*parts]
                    for r, c in totals:
                        unit_instruction(e, "tdpbf16ps", 2 * r + c, 4 + r, 6 + c)
            for r, c in totals:
                at = e.gep(result, "float", e.i64(r * HALF * strips.result_pitch + c * HALF))
                unit_instruction(e, "tilestored64", 2 * r + c, at, pitch)
            e.line("ret void")

    # ---- strips that the unit would not compute exactly ------------------------------------------

    def emit_plain(self) -> None:
        """Defines @plain(strip, weights, result, outs): 32 outputs of a strip of floats."""
        e, strips, plan = self.e, self.strips, self.plan
        parameters = [("strip", PTR), ("weights", PTR), ("result", PTR), ("outs", I64)]
        with e.function("plain", "internal void", parameters) as (strip, weights, result, outs):
            first = weighted_sum(e, [(outs, BLOCK)])
            rest = e.op("sub nsw", e.i64(self.shape.outs), first)
            stop = e.intrinsic("llvm.smin", rest, e.i64(BLOCK))

            def block(source: Reg, into: Reg, narrow: bool) -> None:
                right = e.gep(strip, "i8", source)
                with e.loop(e.i64(0), stop) as rows:
                    row = weighted_sum(e, [(first, 1), (rows.index, 1)])
                    at = weighted_sum(e, [(row, plan.weights.side.lead.stride)])
                    left = e.gep(weights, "float", at)
                    place = weighted_sum(e, [(into, 1), (rows.index, strips.result_pitch)])
                    to = e.gep(result, "float", place)
                    self.sum_plainly(left, right, to, 1 if narrow else 2)

            self.places(block)
            e.line("ret void")

    def sum_plainly(self, left: Reg, right: Reg, to: Reg, vectors: int) -> None:
        """One output at 16 or 32 places."""
        e, strips, plan = self.e, self.strips, self.plan
        total = [e.const(0, FLOATS)] * vectors
        pair = strips.pair_bytes
        with e.loop(e.i64(0), e.i64(len(strips.taps)), carried=total) as taps:
            shift = self.constant("shifts", taps.index)
            weight = self.constant("places", taps.index)
            count = e.i64(self.shape.depth)
            with e.loop(e.i64(0), count, carried=taps.carried) as channels:
                c = channels.index
                chunk, rest = e.op("udiv", c, e.i64(BLOCK)), e.op("urem", c, e.i64(BLOCK))
                half, row = e.op("udiv", rest, e.i64(HALF)), e.op("urem", rest, e.i64(HALF))
                place = [(shift, 1), (chunk, strips.chunk_bytes), (half, HALF * pair), (row, pair)]
                at = e.gep(right, "i8", weighted_sum(e, place))
                near = weighted_sum(e, [(weight, 1), (c, plan.weights.side.stride)])
                x = e.splat(e.load(e.gep(left, "float", near), F32), LANES)
                values = [
                    e.load(e.gep(at, "i8", e.i64(n * LANES * strips.place_bytes)), FLOATS, 4)
                    for n in range(vectors)
                ]
                channels.yield_(
                    [e.fma(x, v, s) for v, s in zip(values, channels.carried, strict=True)]
                )
            taps.yield_(channels.carried)
        for n, value in enumerate(taps.carried):
            e.store(e.gep(to, "float", e.i64(n * LANES)), value, 4)

    # ---- results ---------------------------------------------------------------------------------

    def emit_give(self) -> None:
        """Defines @give(.., result, outs, image indices .., strip): hands 32 outputs on."""
        e, plan, strips, shape = self.e, self.plan, self.strips, self.shape
        parameters = [*PARAMETERS, ("result", PTR), ("outs", I64)]
        parameters += [(f"i{n}", I64) for n in range(len(plan.around))] + [("strip", I64)]
        with e.function("give", "internal void", parameters) as registers:
            _, _, result, outs, *images, strip = registers
            known = {loop[0]: i for loop, i in zip(plan.around, images, strict=True)}
            first = weighted_sum(e, [(outs, BLOCK)])
            top = weighted_sum(e, [(strip, strips.lines)])
            rest = e.op("sub nsw", e.i64(shape.outs), first)
            below = e.op("sub nsw", e.i64(shape.rows.out), top)
            with (
                e.loop(e.i64(0), e.i64(strips.together)) as together,
                e.loop(e.i64(0), e.intrinsic("llvm.smin", rest, e.i64(BLOCK))) as rows,
                e.loop(e.i64(0), e.intrinsic("llvm.smin", below, e.i64(strips.lines))) as lines,
            ):
                out, line, _, _ = plan.positions
                index = {**known}
                if strips.together > 1:
                    batch = plan.around[0][0]
                    index[batch] = weighted_sum(e, [(known[batch], 1), (together.index, 1)])
                index[out] = weighted_sum(e, [(first, 1), (rows.index, 1)])
                index[line] = weighted_sum(e, [(top, 1), (lines.index, 1)])
                place = [(rows.index, strips.result_pitch), (lines.index, strips.result_line)]
                place.append((together.index, strips.result_words))
                at = e.gep(result, "float", weighted_sum(e, place))
                self.give_line(at, index)
            e.line("ret void")

    def give_line(self, at: Reg, index: dict[int, Reg]) -> None:
        """One line of one output: along the columns, or along the innermost images of each."""
        e, shape = self.e, self.shape
        _, _, column, image = self.plan.positions
        if shape.inner == 1:
            self.give_run(at, index, column, shape.cols.out)
            return
        with e.loop(e.i64(0), e.i64(shape.cols.out)) as columns:
            index[column] = columns.index
            here = e.gep(at, "float", weighted_sum(e, [(columns.index, shape.inner)]))
            self.give_run(here, index, image, shape.inner)

    def give_run(self, at: Reg, index: dict[int, Reg], lane: int, count: int) -> None:
        e = self.e
        whole, rest = divmod(count, LANES)
        if whole:
            with e.loop(e.i64(0), e.i64(whole)) as loop:
                self.give_piece(at, index, lane, weighted_sum(e, [(loop.index, LANES)]), LANES)
        if rest:
            self.give_piece(at, index, lane, e.i64(whole * LANES), rest)

    def give_piece(self, at: Reg, index: dict[int, Reg], lane: int, start: Reg, width: int) -> None:
        e = self.e
        value = lane_range(e, e.load(e.gep(at, "float", start), FLOATS, 4), 0, width)
        known = {**index, lane: start}
        positions = sorted(p for p in known if p >= 0)
        registers = [known[p] for p in positions]
        self.store(e, registers, value, positions.index(lane) if lane >= 0 else 0)
