"""Kernels for convolutions of 3 x 3 in Winograd's form; see Note [Winograd in strips]."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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

IMAGE, WEIGHTS, SCRATCH, MADE = range(4)
RESERVED = 4  # operands of a kernel before those of its epilogue
SOURCE, TARGET = 0, 1  # operands of the kernel that brings weights into the form
ALL_TAPS = TAPS * TAPS
Combine = Callable[[Sequence[Reg]], list[Reg]]


def made_weights(plan: TilePlan) -> tuple[str, int, list[int]]:
    """(text, tasks, argument words) of the kernel that brings weights into the form."""
    return _Weights(plan).text()


def tiles_kernel(plan: TilePlan, store: StoreCallback) -> tuple[str, int]:
    """(text, tasks) of the kernel that computes a convolution from weights in that form.

    Operands: 0 the image, 1 the weights, 2 scratch (`plan.scratch_bytes`), 3 the weights in that
    form, 4 and up what `store` uses.
    """
    return _Tiles(plan, store).text()


def both_sides(grid: Sequence[Sequence[Reg]], combine: Combine) -> list[Reg]:
    """What `combine` makes of a grid's columns, then of the rows of that; in row-major order."""
    columns = [combine([line[j] for line in grid]) for j in range(len(grid[0]))]
    return [v for row in zip(*columns, strict=True) for v in combine(row)]


def _of_image(e: Emitter, d: Sequence[Reg]) -> list[Reg]:
    outer = [e.op("fsub", d[0], d[2]), e.op("fadd", d[1], d[2])]
    return [*outer, e.op("fsub", d[2], d[1]), e.op("fsub", d[1], d[3])]


def _of_kernel(e: Emitter, g: Sequence[Reg]) -> list[Reg]:
    half = e.const(0.5, g[0].type)
    ends = e.op("fadd", g[0], g[2])
    middle = [e.op("fadd", ends, g[1]), e.op("fsub", ends, g[1])]
    return [g[0], *[e.op("fmul", v, half) for v in middle], g[2]]


def _of_result(e: Emitter, m: Sequence[Reg]) -> list[Reg]:
    first = e.op("fadd", e.op("fadd", m[0], m[1]), m[2])
    return [first, e.op("fsub", e.op("fsub", m[1], m[2]), m[3])]


def emit_kernel(e: Emitter, stage: str) -> None:
    """Defines @kernel, which runs a stage."""
    with e.function("kernel", "i64", [*PARAMETERS, ("first", I64), ("last", I64)]) as registers:
        e.call(stage, None, registers, declared=True)
        e.line("ret i64 0")


def all_numbers(e: Emitter, value: Reg) -> Reg:
    """Whether no lane is NaN."""
    truths = e.cmp("fcmp ord", value, value)
    return e.call(f"llvm.vector.reduce.and.v{value.type.lanes}i1", Type("i1"), [truths])


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
            for number, value in enumerate(both_sides(grid, lambda g: _of_kernel(e, g))):
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


class Strips:
    """What kernels of strips of tiles share: their lines, and the elements of an image's tiles."""

    def __init__(self, e: Emitter, plan: TilePlan) -> None:
        self.e = e
        self.plan = plan
        self.vector = Type("float", plan.lanes)

    # ---- lines of tiles --------------------------------------------------------------------------

    def line(self, first: Reg, number: Reg) -> tuple[Reg, Reg]:
        """The image that a line of tiles belongs to, and the number of its first row there."""
        e, plan = self.e, self.plan
        flat = e.op("add nsw", first, number)
        if plan.images == 1:
            return e.i64(0), weighted_sum(e, [(flat, TILE)])
        count = e.i64(plan.tile_rows)
        image = e.op("udiv", flat, count)
        return image, weighted_sum(e, [(flat, TILE), (image, -TILE * plan.tile_rows)])

    def groups(self) -> list[tuple[int, int, int]]:
        """(first group, how many, tiles of each) of the groups of tiles of a line."""
        whole, rest = divmod(self.plan.tile_cols, self.plan.group)
        found = [(0, whole, self.plan.group), (whole, 1, rest)]
        return [(start, count, tiles) for start, count, tiles in found if count and tiles]

    def runs(self) -> list[tuple[int, int, int]]:
        """(first, how many, results of each) of the vectors of a line of results."""
        whole, rest = divmod(self.plan.cols, self.plan.lanes)
        found = [(0, whole, self.plan.lanes), (whole, 1, rest)]
        return [(start, count, width) for start, count, width in found if count and width]

    # ---- elements --------------------------------------------------------------------------------

    def emit_elements(self) -> None:
        """Defines @elements(image, elements, first, lines): those of a strip's tiles."""
        e, plan = self.e, self.plan
        of_image, of_channel, of_line = plan.image
        parameters = [("image", PTR), ("elements noalias", PTR), ("first", I64), ("lines", I64)]
        with e.function("elements", "internal void", parameters) as (image, elements, first, lines):
            with e.loop(e.i64(0), lines) as loop:
                number, row = self.line(first, loop.index)
                starts = []
                for i in range(READ):
                    # Below the image: what is read there only meets results that are cut off.
                    at = weighted_sum(e, [(row, 1), (e.i64(i), 1)])
                    if i >= TAPS and plan.rows % TILE:
                        at = e.intrinsic("llvm.smin", at, e.i64(plan.rows + TAPS - 2))
                    place = weighted_sum(e, [(number, of_image), (at, of_line)])
                    starts.append(e.gep(image, "float", place))
                place = weighted_sum(e, [(loop.index, plan.tile_cols)])
                target = e.gep(elements, "float", place)
                with e.loop(e.i64(0), e.i64(plan.channels)) as channels:
                    place = weighted_sum(e, [(channels.index, of_channel)])
                    here = [e.gep(start, "float", place) for start in starts]
                    place = weighted_sum(e, [(channels.index, plan.pitch)])
                    self.elements_of_line(here, e.gep(target, "float", place))
            e.line("ret void")

    def elements_of_line(self, rows: Sequence[Reg], target: Reg) -> None:
        e, plan = self.e, self.plan
        reach = plan.cols + TAPS - 1
        last = -(-plan.tile_cols // plan.group) - 1
        whole = last + (last * plan.lanes + TILE + plan.lanes <= reach)
        with e.loop(e.i64(0), e.i64(whole)) as groups:
            self.elements_of_group(rows, target, groups.index, plan.lanes + TILE)
        if whole == last:
            self.elements_of_group(rows, target, e.i64(last), reach - last * plan.lanes)

    def elements_of_group(self, rows: Sequence[Reg], target: Reg, number: Reg, reach: int) -> None:
        """The elements of neighbouring tiles, which reach over so many columns of the image."""
        e, plan = self.e, self.plan
        lanes = plan.lanes
        seen: list[list[Reg]] = []  # of each row of four, the columns of a tile
        low, high = [], []
        for row in rows:
            start = e.gep(row, "float", weighted_sum(e, [(number, lanes)]))
            low.append(load_element(e, start, "float", lanes, min(reach, lanes)))
            after = e.gep(start, "float", e.i64(TILE))
            high.append(load_element(e, after, "float", lanes, min(reach - TILE, lanes)))
        even, odd = list(range(0, lanes, TILE)), list(range(1, lanes, TILE))
        for near, far in zip(_of_image(e, low), _of_image(e, high), strict=True):
            seen.append([e.shuffle(v, v, at) for v in (near, far) for at in (even, odd)])
        to = e.gep(target, "float", weighted_sum(e, [(number, plan.group)]))
        for i, line in enumerate(seen):
            for j, value in enumerate(_of_image(e, line)):
                e.store(e.gep(to, "float", e.i64((READ * i + j) * plan.plane)), value, 4)


class _Tiles(Strips):
    def __init__(self, plan: TilePlan, store: StoreCallback) -> None:
        super().__init__(Emitter(plan.vector_bits), plan)
        self.store = store

    def text(self) -> tuple[str, int]:
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
        tiles = weighted_sum(e, [(lines, plan.tile_cols), (e.i64(plan.height - 1), 1)])
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
            turned = e.alloca(self.vector, TILE * plan.lanes)
            checks = [e.const(0, self.vector)]
            with e.loop(e.i64(0), e.i64(VECTORS), carried=checks) as vectors:
                of_vector = e.gep(products, "float", weighted_sum(e, [(vectors.index, plan.lanes)]))
                far = plan.lanes * plan.lines * TILE * plan.result_pitch
                to_vector = e.gep(results, "float", weighted_sum(e, [(vectors.index, far)]))
                with e.loop(e.i64(0), lines, carried=vectors.carried) as loop:
                    place = weighted_sum(e, [(loop.index, plan.tile_cols * plan.width)])
                    source = e.gep(of_vector, "float", place)
                    place = weighted_sum(e, [(loop.index, TILE * plan.result_pitch)])
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
            place = e.gep(turned, "float", weighted_sum(e, [(loop.index, TILE * plan.lanes)]))
            seen = loop.carried[0]
            for number, value in enumerate(both_sides(lines, lambda m: _of_result(e, m))):
                i, j = divmod(number, TILE)
                e.store(e.gep(place, "float", e.i64((i * plan.lanes + j) * plan.lanes)), value)
                seen = e.fma(value, e.const(0, self.vector), seen)
            loop.yield_([seen])
        with e.loop(e.i64(0), e.i64(TILE)) as rows:
            here = e.gep(turned, "float", weighted_sum(e, [(rows.index, plan.lanes * plan.lanes)]))
            there = e.gep(target, "float", weighted_sum(e, [(rows.index, plan.result_pitch)]))
            lanes, zero = range(plan.lanes), e.const(0, self.vector)
            vectors = [
                e.load(e.gep(here, "float", e.i64(n * plan.lanes)), self.vector)
                if n < TILE * tiles
                else zero
                for n in lanes
            ]
            for out, value in enumerate(transposed(e, vectors)):
                place = e.i64(out * plan.lines * TILE * plan.result_pitch)
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
                    far = plan.lines * TILE * plan.result_pitch
                    to = e.gep(line, "float", weighted_sum(e, [(outs.index, far)]))
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
                            self.give([*at, column], value)
            e.line("ret void")

    def give(self, places: Sequence[Reg], value: Reg) -> None:
        e, positions = self.e, self.plan.positions
        found = {p: place for p, place in zip(positions, places, strict=True) if p >= 0}
        index = [found.get(p, e.i64(0)) for p in range(max(positions) + 1)]
        self.store(e, index, value, positions[-1])
