"""Kernels for gradients of 3 x 3 weights in Winograd's form; see Note [Winograd in strips]."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

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
from flambeau.execute.cpu.emit import F32, I64, PTR, Emitter, Reg
from flambeau.execute.cpu.winograd import READ, TAPS, TILE
from flambeau.execute.cpu.winograd_inner import InnerStrips
from flambeau.execute.cpu.winograd_plan import ELEMENTS, VECTORS, SumPlan
from flambeau.execute.cpu.winograd_strips import (
    ALL_TAPS,
    Strips,
    all_numbers,
    both_sides,
    emit_kernel,
)

IMAGE, COTANGENT, SCRATCH = range(3)
PRODUCTS = [*PARAMETERS, ("sums", PTR), ("channel", I64), ("out", I64)]


def sum_kernels(plan: SumPlan, store: StoreCallback) -> list[tuple[str, int]]:
    """(text, tasks) of the kernels that compute a gradient of weights, to be run in order.

    Operands: 0 the image, 1 the cotangent, 2 scratch (`plan.scratch_bytes`), 3 and up what `store`
    uses. It is called with results in the order of memory: the index of the taps' columns counts on
    over rows and channels.
    """
    kinds = (_InnerSums, _InnerParts) if plan.inner else (_Sums, _Parts)
    return [kind(plan, store).text() for kind in kinds[: 1 + (plan.parts > 1)]]


def _of_cotangent(e: Emitter, g: Sequence[Reg]) -> list[Reg]:
    half = e.const(0.5, g[0].type)
    middle = [e.op(o, g[0], g[1]) for o in ("fadd", "fsub")]
    return [g[0], *[e.op("fmul", v, half) for v in middle], g[1]]


def _of_sums(e: Emitter, m: Sequence[Reg]) -> list[Reg]:
    middle = e.op("fadd", m[1], m[2])
    ends = [e.op("fadd", m[0], middle), e.op("fsub", middle, m[3])]
    return [ends[0], e.op("fsub", m[1], m[2]), ends[1]]


def lane_total(e: Emitter, value: Reg) -> Reg:
    """The sum of a vector's lanes, in order."""
    name = f"llvm.vector.reduce.fadd.v{value.type.lanes}f32"
    return e.call(name, F32, [e.const(0, F32), value])


class _Results(Strips):
    """From sums to results, which are handed on."""

    def __init__(self, plan: SumPlan, store: StoreCallback) -> None:
        super().__init__(Emitter(plan.vector_bits), plan.tiles)
        self.sum = plan
        self.store = store

    @property
    def run(self) -> int:
        """Results of an output and of as many channels as lanes."""
        return self.plan.lanes * ALL_TAPS

    def emit_results(self) -> None:
        """Defines @results(.., sums, channel, out): the results of as many channels and outputs as
        lanes, from the sums of all parts.
        """
        e, lanes, plan = self.e, self.plan.lanes, self.sum
        self.emit_plain()
        with e.function("results", "internal void", PRODUCTS) as (_, _, sums, channel, out):
            flat, turned = [e.alloca(self.vector, self.run) for _ in range(2)]
            seen = [e.const(0, self.vector)]
            with e.loop(e.i64(0), e.i64(lanes), carried=seen) as loop:
                here = e.gep(sums, "float", weighted_sum(e, [(loop.index, plan.block_outs)]))
                there = e.gep(flat, "float", weighted_sum(e, [(loop.index, ALL_TAPS * lanes)]))
                check = loop.carried[0]
                grid = [self.total(here, number) for number in range(ELEMENTS)]
                lines = [grid[READ * i : READ * i + READ] for i in range(READ)]
                for tap, value in enumerate(both_sides(lines, lambda m: _of_sums(e, m))):
                    e.store(e.gep(there, "float", e.i64(tap * lanes)), value)
                    check = e.fma(value, e.const(0, self.vector), check)
                loop.yield_([check])
            with e.loop(e.i64(0), e.i64(ALL_TAPS)) as squares:
                here = e.gep(flat, "float", weighted_sum(e, [(squares.index, lanes * lanes)]))
                there = e.gep(turned, "float", weighted_sum(e, [(squares.index, lanes)]))
                rows = [
                    e.load(e.gep(here, "float", e.i64(n * lanes)), self.vector)
                    for n in range(lanes)
                ]
                for number, value in enumerate(transposed(e, rows)):
                    e.store(e.gep(there, "float", e.i64(number * self.run)), value)
            good, bad = e.label(), e.label()
            e.branch_if(all_numbers(e, loop.carried[0]), good, bad)
            e.open_block(bad)
            image, cotangent = [operand_pointer(e, TABLE, ARGS, n) for n in (IMAGE, COTANGENT)]
            image = e.gep(image, "float", weighted_sum(e, [(channel, plan.image[1])]))
            cotangent = e.gep(cotangent, "float", weighted_sum(e, [(out, plan.cotangent[1])]))
            e.call("plain", None, [image, cotangent, turned], declared=True)
            e.branch(good)
            e.open_block(good)
            self.give(turned, channel, out)
            e.line("ret void")

    def total(self, sums: Reg, number: int) -> Reg:
        """An element of the sums: all parts of it, in order."""
        e, plan = self.e, self.sum
        here = e.gep(sums, "float", e.i64(number * plan.block_channels * plan.block_outs))
        total = e.load(here, self.vector)
        units = plan.blocks[0] * plan.blocks[1]
        for part in range(1, plan.parts):
            place = e.gep(here, "float", e.i64(part * units * plan.of_sums))
            total = e.op("fadd", total, e.load(place, self.vector))
        return total

    def give(self, turned: Reg, channel: Reg, out: Reg) -> None:
        """Hands on what lies in the order of memory, an output after the other."""
        e, lanes = self.e, self.plan.lanes
        begin = weighted_sum(e, [(channel, ALL_TAPS)])
        channels, outs, rows, cols = self.sum.positions
        with e.loop(e.i64(0), e.i64(lanes)) as each, e.loop(e.i64(0), e.i64(ALL_TAPS)) as loop:
            place = weighted_sum(e, [(each.index, self.run), (loop.index, lanes)])
            value = e.load(e.gep(turned, "float", place), self.vector)
            index = {channels: e.i64(0), rows: e.i64(0)}
            index[outs] = e.op("add nsw", out, each.index)
            index[cols] = weighted_sum(e, [(begin, 1), (loop.index, lanes)])
            self.store(e, [index[p] for p in sorted(index)], value, cols)

    def emit_plain(self) -> None:
        """Defines @plain(image, cotangent, turned): the same results as plain sums."""
        e, plan, lanes = self.e, self.sum, self.plan.lanes
        parameters = [("image", PTR), ("cotangent", PTR), ("turned noalias", PTR)]
        with e.function("plain", "internal void", parameters) as (image, cotangent, turned):
            with e.loop(e.i64(0), e.i64(lanes)) as outs, e.loop(e.i64(0), e.i64(lanes)) as channels:
                place = weighted_sum(e, [(outs.index, plan.cotangent[1])])
                right = e.gep(cotangent, "float", place)
                place = weighted_sum(e, [(channels.index, plan.image[1])])
                left = e.gep(image, "float", place)
                place = weighted_sum(e, [(outs.index, self.run), (channels.index, ALL_TAPS)])
                target = e.gep(turned, "float", place)
                sums = [e.const(0, self.vector)] * ALL_TAPS
                with e.loop(e.i64(0), e.i64(plan.images), carried=sums) as images:
                    with e.loop(e.i64(0), e.i64(plan.rows), carried=images.carried) as rows:
                        found = [(images.index, plan.image[0]), (rows.index, plan.image[2])]
                        at = e.gep(left, "float", weighted_sum(e, found))
                        found = [(images.index, plan.cotangent[0]), (rows.index, plan.cotangent[2])]
                        by = e.gep(right, "float", weighted_sum(e, found))
                        rows.yield_(self.plain_line(at, by, rows.carried))
                    images.yield_(rows.carried)
                for tap, value in enumerate(images.carried):
                    e.store(e.gep(target, "float", e.i64(tap)), lane_total(e, value))
            e.line("ret void")

    def plain_line(self, image: Reg, cotangent: Reg, sums: list[Reg]) -> list[Reg]:
        e, lanes = self.e, self.plan.lanes
        for begin, count, width in self.runs():
            with e.loop(e.i64(begin), e.i64(begin + count), carried=sums) as runs:
                place = weighted_sum(e, [(runs.index, lanes)])
                y = load_element(e, e.gep(cotangent, "float", place), "float", lanes, width)
                new = []
                for tap, total in enumerate(runs.carried):
                    i, j = divmod(tap, TAPS)
                    at = weighted_sum(e, [(place, 1), (e.i64(i * self.sum.image[2] + j), 1)])
                    x = load_element(e, e.gep(image, "float", at), "float", lanes, width)
                    new.append(e.fma(x, y, total))
                runs.yield_(new)
            sums = runs.carried
        return sums


class _Parts(_Results):
    """The results of sums in parts."""

    def text(self) -> tuple[str, int]:
        lanes, plan = self.plan.lanes, self.sum
        self.emit_results()
        counts = plan.channels // lanes, plan.outs // lanes
        cut = cut_dimensions([Dimension(n) for n in counts], TASKS)
        emit_stage(self.e, "parts", cut, self.body)
        emit_kernel(self.e, "parts")
        return self.e.module(), task_count(cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        e, lanes, plan = self.e, self.plan.lanes, self.sum
        channel, out = [weighted_sum(e, [(number, lanes)]) for number in indices]
        sizes = [e.i64(plan.block_channels), e.i64(plan.block_outs)]
        block = [e.op("udiv", n, size) for n, size in zip((channel, out), sizes, strict=True)]
        place = [e.op("urem", n, size) for n, size in zip((channel, out), sizes, strict=True)]
        scratch = operand_pointer(e, TABLE, ARGS, SCRATCH)
        terms = [(block[0], plan.blocks[1] * plan.of_sums), (block[1], plan.of_sums)]
        terms += [(place[0], plan.block_outs), (place[1], 1)]
        terms.append((e.i64(plan.tasks * plan.task_floats), 1))
        sums = e.gep(scratch, "float", weighted_sum(e, terms))
        e.call("results", None, [TABLE, ARGS, sums, channel, out], declared=True)


class _Sums(_Results):
    """Sums over strips of tiles."""

    def text(self) -> tuple[str, int]:
        self.emit_elements()
        self.emit_cotangents()
        self.emit_product()
        if self.sum.parts == 1:
            self.emit_results()
        emit_stage(self.e, "sums", self.sum.cut, self.body)
        emit_kernel(self.e, "sums")
        return self.e.module(), task_count(self.sum.cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """A part of the sum, for a block of channels and one of outputs."""
        e, plan, tiles = self.e, self.sum, self.plan
        part, *blocks = indices
        lanes = tiles.lanes
        channel = weighted_sum(e, [(blocks[0], plan.block_channels)])
        out = weighted_sum(e, [(blocks[1], plan.block_outs)])
        task = task_number(e, indices, plan.cut)
        scratch = operand_pointer(e, TABLE, ARGS, SCRATCH)
        elements = e.gep(scratch, "float", weighted_sum(e, [(task, plan.task_floats)]))
        of_cotangent = e.gep(elements, "float", e.i64(ELEMENTS * tiles.plane))
        if plan.parts == 1:
            sums = e.gep(of_cotangent, "float", e.i64(plan.of_cotangent))
        else:
            unit = e.i64(0)
            for index, count in zip(indices, (plan.parts, *plan.blocks), strict=True):
                unit = weighted_sum(e, [(unit, count), (index, 1)])
            terms = [(unit, plan.of_sums), (e.i64(plan.tasks * plan.task_floats), 1)]
            sums = e.gep(scratch, "float", weighted_sum(e, terms))
        with e.loop(e.i64(0), e.i64(plan.of_sums), lanes) as loop:
            e.store(e.gep(sums, "float", loop.index), e.const(0, self.vector))
        image, cotangent = [operand_pointer(e, TABLE, ARGS, n) for n in (IMAGE, COTANGENT)]
        image = e.gep(image, "float", weighted_sum(e, [(channel, plan.image[1])]))
        cotangent = e.gep(cotangent, "float", weighted_sum(e, [(out, plan.cotangent[1])]))
        low, high = [
            e.op("udiv", weighted_sum(e, [(n, tiles.all_lines)]), e.i64(plan.parts))
            for n in (part, weighted_sum(e, [(part, 1), (e.i64(1), 1)]))
        ]
        with e.loop(low, high, tiles.lines) as strips:
            left = e.op("sub nsw", high, strips.index)
            lines = e.intrinsic("llvm.smin", left, e.i64(tiles.lines))
            arguments = [elements, strips.index, lines]
            e.call("elements", None, [image, *arguments], declared=True)
            arguments = [of_cotangent, strips.index, lines]
            e.call("cotangents", None, [cotangent, *arguments], declared=True)
            self.multiply(
                elements, of_cotangent, sums, weighted_sum(e, [(lines, tiles.line_tiles)])
            )
        if plan.parts > 1:
            return
        counts = [plan.block_channels // lanes, plan.block_outs // lanes]
        with e.loop(e.i64(0), e.i64(counts[0])) as some, e.loop(e.i64(0), e.i64(counts[1])) as outs:
            place = weighted_sum(e, [(some.index, lanes * plan.block_outs), (outs.index, lanes)])
            ends = [(channel, some.index), (out, outs.index)]
            at = [weighted_sum(e, [(start, 1), (n, lanes)]) for start, n in ends]
            arguments = [TABLE, ARGS, e.gep(sums, "float", place), *at]
            e.call("results", None, arguments, declared=True)

    # ---- the cotangent ---------------------------------------------------------------------------

    @property
    def far(self) -> int:
        """Floats from one of the cotangent's 16 elements to the next: [tiles][outputs]."""
        return self.plan.lines * self.plan.line_tiles * self.plan.width

    def emit_cotangents(self) -> None:
        """Defines @cotangents(cotangent, elements, first, lines): [outputs / width][16][tiles]
        [width] of a strip.
        """
        e, plan, tiles = self.e, self.sum, self.plan
        lanes = tiles.lanes
        parameters = [("cotangent", PTR), ("elements noalias", PTR)]
        parameters += [("first", I64), ("lines", I64)]
        with e.function("cotangents", "internal void", parameters) as registers:
            cotangent, elements, first, lines = registers
            seen = e.alloca(self.vector, TILE * lanes)
            with e.loop(e.i64(0), lines) as loop:
                number, row = self.line(first, loop.index)
                found = [(number, plan.cotangent[0]), (row, plan.cotangent[2])]
                start = e.gep(cotangent, "float", weighted_sum(e, found))
                below = e.op("add nsw", row, e.i64(1))
                inside = e.cmp("icmp slt", below, e.i64(plan.rows))
                step = e.select(inside, e.i64(plan.cotangent[2]), e.i64(0))
                place = weighted_sum(e, [(loop.index, tiles.tile_cols * tiles.width)])
                target = e.gep(elements, "float", place)
                with e.loop(e.i64(0), e.i64(plan.block_outs // lanes)) as outs:
                    place = weighted_sum(e, [(outs.index, lanes * plan.cotangent[1])])
                    here = e.gep(start, "float", place)
                    block, half = [e.op(o, outs.index, e.i64(VECTORS)) for o in ("udiv", "urem")]
                    place = weighted_sum(e, [(block, ELEMENTS * self.far), (half, lanes)])
                    there = e.gep(target, "float", place)
                    lines_of = [(here, None), (e.gep(here, "float", step), inside)]
                    for group, count, many, width in self.pieces():
                        with e.loop(e.i64(group), e.i64(group + count)) as groups:
                            place = weighted_sum(e, [(groups.index, lanes)])
                            for i, (line, wanted) in enumerate(lines_of):
                                self.turn(line, place, width, wanted, seen, i)
                            place = weighted_sum(e, [(groups.index, tiles.group * tiles.width)])
                            self.cotangents_of_group(e.gep(there, "float", place), seen, many)
            e.line("ret void")

    def pieces(self) -> list[tuple[int, int, int, int]]:
        """(first group, how many, tiles, columns of each) of the groups of tiles of a line."""
        found = []
        for start, count, width in self.runs():
            found.append((start, count, -(-width // TILE), width))
        return found

    def turn(
        self, line: Reg, place: Reg, width: int, wanted: Reg | None, seen: Reg, number: int
    ) -> None:
        """Vectors of outputs of a piece of a line; zeros unless it is `wanted`."""
        e, lanes = self.e, self.plan.lanes
        rows = []
        for out in range(lanes):
            at = weighted_sum(e, [(place, 1), (e.i64(out * self.sum.cotangent[1]), 1)])
            rows.append(load_element(e, e.gep(line, "float", at), "float", lanes, width))
        for column, value in enumerate(transposed(e, rows)):
            if wanted is not None:
                value = e.select(wanted, value, e.const(0, self.vector))
            e.store(e.gep(seen, "float", e.i64((number * lanes + column) * lanes)), value)

    def cotangents_of_group(self, target: Reg, seen: Reg, tiles: int) -> None:
        """The elements of neighbouring tiles, from vectors of outputs."""
        e, lanes = self.e, self.plan.lanes
        step, i_step, j_step = (1, TILE * lanes, lanes) if self.plan.inner else (TILE, lanes, 1)
        with e.loop(e.i64(0), e.i64(tiles)) as loop:
            here = e.gep(seen, "float", weighted_sum(e, [(loop.index, step * lanes)]))
            there = e.gep(target, "float", weighted_sum(e, [(loop.index, self.plan.width)]))
            places = [[(i * i_step + j * j_step) * lanes for j in range(TILE)] for i in range(TILE)]
            grid = [
                [e.load(e.gep(here, "float", e.i64(place)), self.vector) for place in line]
                for line in places
            ]
            for number, value in enumerate(both_sides(grid, lambda g: _of_cotangent(e, g))):
                e.store(e.gep(there, "float", e.i64(number * self.far)), value)

    # ---- products --------------------------------------------------------------------------------

    def multiply(self, elements: Reg, cotangents: Reg, sums: Reg, count: Reg) -> None:
        """Adds the products of a strip's tiles to the 16 sums."""
        e, plan, tiles = self.e, self.sum, self.plan
        blocks = e.i64(plan.block_outs // tiles.width)
        with e.loop(e.i64(0), e.i64(ELEMENTS)) as each, e.loop(e.i64(0), blocks) as outs:
            left = e.gep(elements, "float", weighted_sum(e, [(each.index, tiles.plane)]))
            place = weighted_sum(e, [(outs.index, ELEMENTS * self.far), (each.index, self.far)])
            right = e.gep(cotangents, "float", place)
            size = plan.block_channels * plan.block_outs
            place = weighted_sum(e, [(each.index, size), (outs.index, tiles.width)])
            to = e.gep(sums, "float", place)
            with e.loop(e.i64(0), e.i64(plan.block_channels // plan.height)) as loop:
                place = weighted_sum(e, [(loop.index, plan.height * tiles.pitch)])
                result = weighted_sum(e, [(loop.index, plan.height * plan.block_outs)])
                arguments = [e.gep(left, "float", place), right, e.gep(to, "float", result), count]
                e.call("product", None, arguments, declared=True)

    def emit_product(self) -> None:
        """Defines @product(image, cotangent, sums, tiles): adds to the sums of some channels."""
        e, plan, tiles = self.e, self.sum, self.plan
        parameters = [("image", PTR), ("cotangent", PTR), ("sums noalias", PTR), ("tiles", I64)]
        with e.function("product", "internal void", parameters) as (image, cotangent, sums, count):
            places = [
                e.gep(sums, "float", e.i64(c * plan.block_outs + v * tiles.lanes))
                for c in range(plan.height)
                for v in range(VECTORS)
            ]
            before = [e.load(place, self.vector) for place in places]
            with e.loop(e.i64(0), count, carried=before) as loop:
                left = e.gep(image, "float", loop.index)
                right = e.gep(cotangent, "float", weighted_sum(e, [(loop.index, tiles.width)]))
                outs = [
                    e.load(e.gep(right, "float", e.i64(v * tiles.lanes)), self.vector)
                    for v in range(VECTORS)
                ]
                found = []
                for c in range(plan.height):
                    x = e.load(e.gep(left, "float", e.i64(c * tiles.pitch)), F32)
                    x = e.splat(x, tiles.lanes)
                    found += [
                        e.fma(x, y, loop.carried[c * VECTORS + v]) for v, y in enumerate(outs)
                    ]
                loop.yield_(found)
            for place, value in zip(places, loop.carried, strict=True):
                e.store(place, value)
            e.line("ret void")


class _InnerResults(InnerStrips, _Results):
    """The same with the batch innermost."""

    def emit_plain(self) -> None:
        """Defines @plain(image, cotangent, turned): the same results as plain sums."""
        e, plan, lanes = self.e, self.sum, self.plan.lanes
        parameters = [("image", PTR), ("cotangent", PTR), ("turned noalias", PTR)]
        with e.function("plain", "internal void", parameters) as (image, cotangent, turned):
            zeros = self.zeros()
            with e.loop(e.i64(0), e.i64(lanes)) as outs, e.loop(e.i64(0), e.i64(lanes)) as channels:
                place = weighted_sum(e, [(outs.index, self.run), (channels.index, ALL_TAPS)])
                target = e.gep(turned, "float", place)
                sums = [e.const(0, self.vector)] * ALL_TAPS
                count = e.i64(plan.images * plan.inner)
                with e.loop(e.i64(0), e.i64(plan.rows), carried=sums) as rows:
                    with e.loop(e.i64(0), e.i64(plan.cols), carried=rows.carried) as cols:
                        spots = self.spots(rows.index, cols.index, TAPS)
                        with e.loop(e.i64(0), count, lanes, carried=cols.carried) as images:
                            terms = [(outs.index, plan.cotangent[1]), (images.index, 1)]
                            terms += [(rows.index, plan.cotangent[2])]
                            terms += [(cols.index, plan.columns[1])]
                            at = e.gep(cotangent, "float", weighted_sum(e, terms))
                            y = e.load(at, self.vector)
                            terms = [(channels.index, plan.image[1]), (images.index, 1)]
                            more = weighted_sum(e, terms)
                            seen = [self.seen(image, more, spot, zeros) for spot in spots]
                            found = zip(seen, images.carried, strict=True)
                            images.yield_([e.fma(x, y, total) for x, total in found])
                        cols.yield_(images.carried)
                    rows.yield_(cols.carried)
                for tap, value in enumerate(rows.carried):
                    e.store(e.gep(target, "float", e.i64(tap)), lane_total(e, value))
            e.line("ret void")


class _InnerParts(_InnerResults, _Parts):
    pass


class _InnerSums(_InnerResults, _Sums):
    def emit_cotangents(self) -> None:
        """Defines @cotangents(cotangent, elements, first, lines): [outputs / width][16][tiles]
        [width] of a strip.
        """
        e, plan, tiles = self.e, self.sum, self.plan
        lanes = tiles.lanes
        parameters = [("cotangent", PTR), ("elements noalias", PTR)]
        parameters += [("first", I64), ("lines", I64)]
        with e.function("cotangents", "internal void", parameters) as registers:
            cotangent, elements, first, lines = registers
            seen = e.alloca(self.vector, TILE * TILE * lanes)
            with e.loop(e.i64(0), lines) as loop:
                images, row, col = self.place(first, loop.index)
                pixels = []
                for i, j in product(range(TILE), repeat=2):
                    at, within = [], []
                    for start, more, size in ((row, i, plan.rows), (col, j, plan.cols)):
                        place = weighted_sum(e, [(start, 1), (e.i64(more), 1)])
                        within.append(e.cmp("icmp slt", place, e.i64(size)))
                        at.append(e.intrinsic("llvm.smin", place, e.i64(size - 1)))
                    steps = plan.cotangent[2], plan.columns[1]
                    terms = [(images, 1), *zip(at, steps, strict=True)]
                    pixels.append((weighted_sum(e, terms), e.op("and", *within)))
                place = weighted_sum(e, [(loop.index, tiles.line_tiles * tiles.width)])
                target = e.gep(elements, "float", place)
                with e.loop(e.i64(0), e.i64(plan.block_outs // lanes)) as outs:
                    place = weighted_sum(e, [(outs.index, lanes * plan.cotangent[1])])
                    here = e.gep(cotangent, "float", place)
                    block, half = [e.op(o, outs.index, e.i64(VECTORS)) for o in ("udiv", "urem")]
                    place = weighted_sum(e, [(block, ELEMENTS * self.far), (half, lanes)])
                    there = e.gep(target, "float", place)
                    with e.loop(e.i64(0), e.i64(plan.inner), lanes) as each:
                        for number, (offset, inside) in enumerate(pixels):
                            place = weighted_sum(e, [(offset, 1), (each.index, 1)])
                            self.turn(here, place, lanes, inside, seen, number)
                        place = weighted_sum(e, [(each.index, tiles.width)])
                        self.cotangents_of_group(e.gep(there, "float", place), seen, lanes)
            e.line("ret void")
