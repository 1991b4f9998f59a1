"""Kernels for convolutions of 3 x 3 in Winograd's form; see Note [Winograd in strips]."""

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
    load_element,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.emit import F32, I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.winograd import READ, TAPS, TILE
from flambeau.execute.cpu.winograd_plan import ELEMENTS, VECTORS, TilePlan
from flambeau.execute.cpu.winograd_strips import (
    ALL_TAPS,
    Strips,
    all_numbers,
    both_sides,
    emit_kernel,
    of_kernel,
    of_result,
)

IMAGE, WEIGHTS, SCRATCH, MADE = range(4)
RESERVED = 4  # operands of a kernel before those of its epilogue
SOURCE, TARGET = 0, 1  # operands of the kernel that brings weights into the form


def made_weights(plan: TilePlan) -> tuple[str, int, list[int]]:
    """(text, tasks, argument words) of the kernel that brings weights into the form."""
    return _Weights(plan).text()


class _Weights:
    """[blocks of outputs][16][channels][outputs] of weights [outputs, channels, 3, 3]."""

    def __init__(self, plan: TilePlan) -> None:
        self.plan = plan
        self.e = Emitter(plan.vector_bits)

    def text(self) -> tuple[str, int, list[int]]:
        dimensions = [Dimension(self.plan.blocks), Dimension(self.plan.channels)]
        cut = cut_dimensions(dimensions, TASKS)
        emit_stage(self.e, "weights", cut, self.body)
        emit_kernel(self.e, "weights")
        return self.e.module(), task_count(cut), []

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """One channel of the outputs of a block."""
        e, plan = self.e, self.plan
        block, channel = indices
        lanes, size = plan.lanes, plan.channels * plan.width
        of_out, of_channel = plan.weights
        lowest = e.i64(1 - ALL_TAPS if plan.turned else 0)
        source = operand_pointer(e, TABLE, ARGS, SOURCE)
        at = weighted_sum(e, [(block, plan.width * of_out), (channel, of_channel), (lowest, 1)])
        source = e.gep(source, "float", at)
        target = operand_pointer(e, TABLE, ARGS, TARGET)
        to = e.gep(
            target, "float", weighted_sum(e, [(block, ELEMENTS * size), (channel, plan.width)])
        )
        with e.loop(e.i64(0), e.i64(VECTORS)) as vectors:
            here = e.gep(source, "float", weighted_sum(e, [(vectors.index, lanes * of_out)]))
            there = e.gep(to, "float", weighted_sum(e, [(vectors.index, lanes)]))
            taps = self.taps(here)
            if plan.turned:
                taps = taps[::-1]
            grid = [taps[TAPS * i : TAPS * i + TAPS] for i in range(TAPS)]
            for number, value in enumerate(both_sides(grid, lambda g: of_kernel(e, g))):
                e.store(e.gep(there, "float", e.i64(number * size)), value)

    def taps(self, source: Reg) -> list[Reg]:
        """A vector of outputs for each tap, in the order of memory."""
        e, lanes = self.e, self.plan.lanes
        found: list[Reg] = []
        while len(found) < ALL_TAPS:
            width = min(ALL_TAPS - len(found), lanes)
            rows = []
            for out in range(lanes):
                place = e.i64(out * self.plan.weights[0] + len(found))
                rows.append(load_element(e, e.gep(source, "float", place), "float", lanes, width))
            found += transposed(e, rows)[:width]
        return found


class Tiles(Strips):
    """The kernel that computes a convolution from weights in that form.

    Operands: 0 the image, 1 the weights, 2 scratch (`plan.scratch_bytes`), 3 the weights in that
    form, 4 and up what `store` uses.
    """

    def __init__(self, plan: TilePlan, store: StoreCallback) -> None:
        super().__init__(Emitter(plan.vector_bits), plan)
        self.store = store

    def text(self) -> tuple[str, int]:
        """(text, tasks)"""
        self.emit_elements()
        self.emit_product()
        self.emit_results()
        self.emit_plain()
        self.emit_give()
        emit_stage(self.e, "strips", self.plan.cut, self.body)
        emit_kernel(self.e, "strips")
        return self.e.module(), task_count(self.plan.cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """A strip, for a part of the outputs."""
        e, plan = self.e, self.plan
        strip, part = indices
        of_elements, of_products, _ = plan.sizes
        task = task_number(e, indices, plan.cut)
        scratch = operand_pointer(e, TABLE, ARGS, SCRATCH)
        elements = e.gep(scratch, "float", weighted_sum(e, [(task, plan.task_floats)]))
        products = e.gep(elements, "float", e.i64(of_elements))
        results = e.gep(products, "float", e.i64(of_products))
        first = weighted_sum(e, [(strip, plan.lines)])
        left = e.op("sub nsw", e.i64(plan.all_lines), first)
        lines = e.intrinsic("llvm.smin", left, e.i64(plan.lines))
        image = operand_pointer(e, TABLE, ARGS, IMAGE)
        weights = operand_pointer(e, TABLE, ARGS, WEIGHTS)
        made = operand_pointer(e, TABLE, ARGS, MADE)
        e.call("elements", None, [image, elements, first, lines], declared=True)
        parts = plan.cut[1].count
        low, high = [
            e.op("udiv", weighted_sum(e, [(n, plan.blocks)]), e.i64(parts))
            for n in (part, weighted_sum(e, [(part, 1), (e.i64(1), 1)]))
        ]
        with e.loop(low, high) as blocks:
            place = weighted_sum(e, [(blocks.index, ELEMENTS * plan.channels * plan.width)])
            of_block = e.gep(made, "float", place)
            self.multiply(elements, of_block, products, lines)
            finite = e.call("results", Type("i1"), [products, results, lines], declared=True)
            with e.when(e.op("xor", finite, e.const(1, Type("i1")))):
                place = weighted_sum(e, [(blocks.index, plan.width * plan.weights[0])])
                of_block = e.gep(weights, "float", place)
                e.call("plain", None, [image, of_block, results, first, lines], declared=True)
            out = weighted_sum(e, [(blocks.index, plan.width)])
            e.call("give", None, [TABLE, ARGS, results, out, first, lines], declared=True)

    # ---- products --------------------------------------------------------------------------------

    def multiply(self, elements: Reg, weights: Reg, products: Reg, lines: Reg) -> None:
        """The 16 products of a strip and the weights of a block of outputs."""
        e, plan = self.e, self.plan
        tiles = weighted_sum(e, [(lines, plan.line_tiles), (e.i64(plan.height - 1), 1)])
        count = e.op("udiv", tiles, e.i64(plan.height))
        with e.loop(e.i64(0), e.i64(ELEMENTS)) as each:
            of_tiles = e.gep(elements, "float", weighted_sum(e, [(each.index, plan.plane)]))
            place = weighted_sum(e, [(each.index, plan.channels * plan.width)])
            of_outs = e.gep(weights, "float", place)
            place = weighted_sum(e, [(each.index, plan.pitch * plan.width)])
            result = e.gep(products, "float", place)
            with e.loop(e.i64(0), count) as loop:
                left = e.gep(of_tiles, "float", weighted_sum(e, [(loop.index, plan.height)]))
                place = weighted_sum(e, [(loop.index, plan.height * plan.width)])
                arguments = [left, of_outs, e.gep(result, "float", place)]
                e.call("product", None, arguments, declared=True)

    def emit_product(self) -> None:
        """Defines @product(tiles, weights, result): some tiles by the outputs of a block."""
        e, plan = self.e, self.plan
        parameters = [("tiles", PTR), ("weights", PTR), ("result noalias", PTR)]
        with e.function("product", "internal void", parameters) as (tiles, weights, result):
            zeros = [e.const(0, self.vector)] * (plan.height * VECTORS)
            with e.loop(e.i64(0), e.i64(plan.channels), carried=zeros) as loop:
                left = e.gep(tiles, "float", weighted_sum(e, [(loop.index, plan.pitch)]))
                right = e.gep(weights, "float", weighted_sum(e, [(loop.index, plan.width)]))
                outs = [
                    e.load(e.gep(right, "float", e.i64(v * plan.lanes)), self.vector)
                    for v in range(VECTORS)
                ]
                sums = []
                for t in range(plan.height):
                    x = e.splat(e.load(e.gep(left, "float", e.i64(t)), F32), plan.lanes)
                    sums += [e.fma(x, y, loop.carried[t * VECTORS + v]) for v, y in enumerate(outs)]
                loop.yield_(sums)
            for number, value in enumerate(loop.carried):
                e.store(e.gep(result, "float", e.i64(number * plan.lanes)), value)
            e.line("ret void")

    # ---- results ---------------------------------------------------------------------------------

    def emit_results(self) -> None:
        """Defines @results(products, results, lines): [outputs][rows][columns] of a strip's tiles;
        whether all are finite.
        """
        e, plan = self.e, self.plan
        parameters = [("products", PTR), ("results noalias", PTR), ("lines", I64)]
        with e.function("results", "internal i1", parameters) as (products, results, lines):
            turned = e.alloca(self.vector, plan.line_results * plan.lanes)
            checks = [e.const(0, self.vector)]
            with e.loop(e.i64(0), e.i64(VECTORS), carried=checks) as vectors:
                of_vector = e.gep(products, "float", weighted_sum(e, [(vectors.index, plan.lanes)]))
                far = plan.lanes * plan.out_pitch
                to_vector = e.gep(results, "float", weighted_sum(e, [(vectors.index, far)]))
                with e.loop(e.i64(0), lines, carried=vectors.carried) as loop:
                    place = weighted_sum(e, [(loop.index, plan.line_tiles * plan.width)])
                    source = e.gep(of_vector, "float", place)
                    place = weighted_sum(e, [(loop.index, plan.line_results * plan.result_pitch)])
                    target = e.gep(to_vector, "float", place)
                    checks = loop.carried
                    for start, count, tiles in self.groups():
                        ends = e.i64(start), e.i64(start + count)
                        with e.loop(*ends, carried=checks) as groups:
                            index = groups.index
                            place = weighted_sum(e, [(index, plan.group * plan.width)])
                            here = e.gep(source, "float", place)
                            there = e.gep(target, "float", weighted_sum(e, [(index, plan.lanes)]))
                            check = self.results_of_group(
                                here, there, turned, tiles, groups.carried[0]
                            )
                            groups.yield_([check])
                        checks = groups.carried
                    loop.yield_(checks)
                vectors.yield_(loop.carried)
            e.line(f"ret i1 {all_numbers(e, vectors.carried[0])}")

    def results_of_group(
        self, source: Reg, target: Reg, turned: Reg, tiles: int, check: Reg
    ) -> Reg:
        """The results of neighbouring tiles, as lines; `check` is no number where one is none."""
        e, plan = self.e, self.plan
        with e.loop(e.i64(0), e.i64(tiles), carried=[check]) as loop:
            here = e.gep(source, "float", weighted_sum(e, [(loop.index, plan.width)]))
            grid = []
            for number in range(ELEMENTS):
                place = e.gep(here, "float", e.i64(number * plan.pitch * plan.width))
                grid.append(e.load(place, self.vector))
            lines = [grid[READ * i : READ * i + READ] for i in range(READ)]
            step = 1 if plan.inner else TILE  # from a tile to the next
            place = e.gep(turned, "float", weighted_sum(e, [(loop.index, step * plan.lanes)]))
            seen = loop.carried[0]
            for number, value in enumerate(both_sides(lines, lambda m: of_result(e, m))):
                i, j = (number, 0) if plan.inner else divmod(number, TILE)
                e.store(e.gep(place, "float", e.i64((i * plan.lanes + j) * plan.lanes)), value)
                seen = e.fma(value, e.const(0, self.vector), seen)
            loop.yield_([seen])
        with e.loop(e.i64(0), e.i64(plan.line_results)) as rows:
            here = e.gep(turned, "float", weighted_sum(e, [(rows.index, plan.lanes * plan.lanes)]))
            there = e.gep(target, "float", weighted_sum(e, [(rows.index, plan.result_pitch)]))
            lanes, zero = range(plan.lanes), e.const(0, self.vector)
            vectors = [
                e.load(e.gep(here, "float", e.i64(n * plan.lanes)), self.vector)
                if n < step * tiles
                else zero
                for n in lanes
            ]
            for out, value in enumerate(transposed(e, vectors)):
                place = e.i64(out * plan.out_pitch)
                e.store(e.gep(there, "float", place), value)
        return loop.carried[0]

    def emit_plain(self) -> None:
        """Defines @plain(image, weights, results, first, lines): a strip's results for a block of
        outputs, as plain sums.
        """
        e, plan = self.e, self.plan
        of_image, of_channel, of_line = plan.image
        of_out, of_depth = plan.weights
        sign = -1 if plan.turned else 1
        parameters = [("image", PTR), ("weights", PTR), ("results noalias", PTR)]
        parameters += [("first", I64), ("lines", I64)]
        with e.function("plain", "internal void", parameters) as registers:
            image, weights, results, first, lines = registers
            with e.loop(e.i64(0), lines) as loop, e.loop(e.i64(0), e.i64(TILE)) as second:
                number, row = self.line(first, loop.index)
                row = e.intrinsic(
                    "llvm.smin", e.op("add nsw", row, second.index), e.i64(plan.rows - 1)
                )
                place = weighted_sum(e, [(number, of_image), (row, of_line)])
                start = e.gep(image, "float", place)
                place = weighted_sum(e, [(loop.index, TILE), (second.index, 1)])
                line = e.gep(results, "float", weighted_sum(e, [(place, plan.result_pitch)]))
                with e.loop(e.i64(0), e.i64(plan.width)) as outs:
                    of_weights = e.gep(weights, "float", weighted_sum(e, [(outs.index, of_out)]))
                    to = e.gep(line, "float", weighted_sum(e, [(outs.index, plan.out_pitch)]))
                    for begin, count, width in self.runs():
                        with e.loop(e.i64(begin), e.i64(begin + count)) as runs:
                            zero = [e.const(0, self.vector)]
                            with e.loop(e.i64(0), e.i64(plan.channels), carried=zero) as channels:
                                terms = [(channels.index, of_channel), (runs.index, plan.lanes)]
                                here = e.gep(start, "float", weighted_sum(e, terms))
                                place = weighted_sum(e, [(channels.index, of_depth)])
                                kernel = e.gep(of_weights, "float", place)
                                total = channels.carried[0]
                                for tap in range(ALL_TAPS):
                                    i, j = divmod(tap, TAPS)
                                    at = e.gep(here, "float", e.i64(i * of_line + j))
                                    x = load_element(e, at, "float", plan.lanes, width)
                                    w = e.load(e.gep(kernel, "float", e.i64(sign * tap)), F32)
                                    total = e.fma(x, e.splat(w, plan.lanes), total)
                                channels.yield_([total])
                            there = weighted_sum(e, [(runs.index, plan.lanes)])
                            e.store(e.gep(to, "float", there), channels.carried[0])
            e.line("ret void")

    def emit_give(self) -> None:
        """Defines @give(.., results, out, first, lines): hands a strip's results on."""
        e, plan = self.e, self.plan
        parameters = [*PARAMETERS, ("results", PTR), ("out", I64), ("first", I64), ("lines", I64)]
        with e.function("give", "internal void", parameters) as registers:
            results, out, first, lines = registers[2:]
            with e.loop(e.i64(0), e.i64(plan.width)) as outs, e.loop(e.i64(0), lines) as loop:
                number, row = self.line(first, loop.index)
                left = e.op("sub nsw", e.i64(plan.rows), row)
                count = e.intrinsic("llvm.smin", left, e.i64(TILE))
                with e.loop(e.i64(0), count) as rows:
                    terms = [(outs.index, plan.lines * TILE), (loop.index, TILE), (rows.index, 1)]
                    place = weighted_sum(e, [(weighted_sum(e, terms), plan.result_pitch)])
                    line = e.gep(results, "float", place)
                    at = [
                        number,
                        e.op("add nsw", out, outs.index),
                        e.op("add nsw", row, rows.index),
                    ]
                    for begin, amount, width in self.runs():
                        with e.loop(e.i64(begin), e.i64(begin + amount)) as runs:
                            column = weighted_sum(e, [(runs.index, plan.lanes)])
                            here = e.gep(line, "float", column)
                            value = e.load(here, self.vector.with_lanes(width))
                            self.give([*at, column], value, plan.positions[-1])
            e.line("ret void")

    def give(self, places: Sequence[Reg], value: Reg, lane: int) -> None:
        """Hands on results at an image, an output, a row and a column, lanes along one of them."""
        e, positions = self.e, self.plan.positions
        found = {p: place for p, place in zip(positions, places, strict=True) if p >= 0}
        index = [found.get(p, e.i64(0)) for p in range(max(positions) + 1)]
        self.store(e, index, value, lane)
