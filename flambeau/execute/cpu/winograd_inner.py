"""Strips of tiles where images lie with the batch innermost; see Note [Winograd in strips].

A line of tiles is one place of the image, of as many images as are taken together: what is read and
written of it are whole vectors of images. The zeros around the images may be left out.
"""

from __future__ import annotations

from flambeau.execute.cpu.contraction_nest import PARAMETERS
from flambeau.execute.cpu.contraction_spec import weighted_sum
from flambeau.execute.cpu.emit import F32, I64, PTR, Reg
from flambeau.execute.cpu.winograd import READ, TAPS, TILE
from flambeau.execute.cpu.winograd_kernels import Tiles
from flambeau.execute.cpu.winograd_plan import Bounds
from flambeau.execute.cpu.winograd_strips import ALL_TAPS, Strips, both_sides, of_image


class InnerStrips(Strips):
    def place(self, first: Reg, number: Reg) -> tuple[Reg, Reg, Reg]:
        """The first image of a line of tiles, and its first row and column there."""
        e, plan = self.e, self.plan
        flat = e.op("add nsw", first, number)
        cols, rows = e.i64(plan.tile_cols), e.i64(plan.tile_rows)
        line, col = e.op("udiv", flat, cols), e.op("urem", flat, cols)
        chunk, row = e.op("udiv", line, rows), e.op("urem", line, rows)
        sizes = (chunk, plan.inner), (row, TILE), (col, TILE)
        images, row, col = [weighted_sum(e, [size]) for size in sizes]
        return images, row, col

    def inside(self, place: Reg, bounds: Bounds) -> Reg:
        """Whether a row or a column is one of the image."""
        e = self.e
        moved = weighted_sum(e, [(place, 1), (e.i64(-bounds[0]), 1)])
        return e.cmp("icmp ult", moved, e.i64(bounds[1]))

    def spots(self, row: Reg, col: Reg, count: int) -> list[tuple[Reg, Reg]]:
        """(offset in the image, whether it is there) of so many rows by columns from one on."""
        e, plan = self.e, self.plan
        found = []
        for i in range(count):
            line = weighted_sum(e, [(row, 1), (e.i64(i), 1)])
            of_line = self.inside(line, plan.bounds[0])
            for j in range(count):
                column = weighted_sum(e, [(col, 1), (e.i64(j), 1)])
                there = e.op("and", of_line, self.inside(column, plan.bounds[1]))
                offset = weighted_sum(e, [(line, plan.image[2]), (column, plan.column)])
                found.append((offset, there))
        return found

    def seen(self, image: Reg, more: Reg, spot: tuple[Reg, Reg], zeros: Reg) -> Reg:
        """A vector of images at a spot; zeros outside of them."""
        e = self.e
        offset, there = spot
        at = e.gep(image, "float", weighted_sum(e, [(offset, 1), (more, 1)]))
        return e.load(e.select(there, at, zeros), self.vector)

    def zeros(self) -> Reg:
        e = self.e
        memory = e.alloca(self.vector, 1)
        e.store(memory, e.const(0, self.vector))
        return memory

    def emit_elements(self) -> None:
        """Defines @elements(image, elements, first, lines): those of a strip's tiles."""
        e, plan = self.e, self.plan
        parameters = [("image", PTR), ("elements noalias", PTR), ("first", I64), ("lines", I64)]
        with e.function("elements", "internal void", parameters) as (image, elements, first, lines):
            zeros = self.zeros()
            with e.loop(e.i64(0), lines) as loop:
                images, row, col = self.place(first, loop.index)
                spots = self.spots(row, col, READ)
                target = e.gep(elements, "float", weighted_sum(e, [(loop.index, plan.inner)]))
                vectors = e.i64(plan.inner // plan.lanes)
                with e.loop(e.i64(0), e.i64(plan.channels)) as channels:
                    to = e.gep(target, "float", weighted_sum(e, [(channels.index, plan.pitch)]))
                    with e.loop(e.i64(0), vectors) as each:
                        terms = [(images, 1), (channels.index, plan.image[1])]
                        more = weighted_sum(e, [*terms, (each.index, plan.lanes)])
                        values = [self.seen(image, more, spot, zeros) for spot in spots]
                        lines_of = [values[READ * i : READ * i + READ] for i in range(READ)]
                        there = e.gep(to, "float", weighted_sum(e, [(each.index, plan.lanes)]))
                        found = both_sides(lines_of, lambda d: of_image(e, d))
                        for number, value in enumerate(found):
                            e.store(e.gep(there, "float", e.i64(number * plan.plane)), value)
            e.line("ret void")


class InnerTiles(InnerStrips, Tiles):
    """Convolutions of such images."""

    def emit_plain(self) -> None:
        """Defines @plain(image, weights, results, first, lines): a strip's results for a block of
        outputs, as plain sums.
        """
        e, plan = self.e, self.plan
        of_out, of_depth = plan.weights
        sign = -1 if plan.turned else 1
        parameters = [("image", PTR), ("weights", PTR), ("results noalias", PTR)]
        parameters += [("first", I64), ("lines", I64)]
        with e.function("plain", "internal void", parameters) as registers:
            image, weights, results, first, lines = registers
            zeros = self.zeros()
            with e.loop(e.i64(0), lines) as loop, e.loop(e.i64(0), e.i64(TILE * TILE)) as pixels:
                images, row, col = self.place(first, loop.index)
                half, rest = [e.op(o, pixels.index, e.i64(TILE)) for o in ("udiv", "urem")]
                row, col = e.op("add nsw", row, half), e.op("add nsw", col, rest)
                spots = self.spots(row, col, TAPS)
                line = weighted_sum(e, [(loop.index, plan.line_results), (pixels.index, 1)])
                target = e.gep(results, "float", weighted_sum(e, [(line, plan.result_pitch)]))
                with e.loop(e.i64(0), e.i64(plan.width)) as outs:
                    of_weights = e.gep(weights, "float", weighted_sum(e, [(outs.index, of_out)]))
                    place = weighted_sum(e, [(outs.index, plan.out_pitch)])
                    to = e.gep(target, "float", place)
                    with e.loop(e.i64(0), e.i64(plan.inner), plan.lanes) as each:
                        zero = [e.const(0, self.vector)]
                        with e.loop(e.i64(0), e.i64(plan.channels), carried=zero) as channels:
                            terms = [(images, 1), (channels.index, plan.image[1])]
                            more = weighted_sum(e, [*terms, (each.index, 1)])
                            place = weighted_sum(e, [(channels.index, of_depth)])
                            kernel = e.gep(of_weights, "float", place)
                            total = channels.carried[0]
                            for tap in range(ALL_TAPS):
                                x = self.seen(image, more, spots[tap], zeros)
                                w = e.load(e.gep(kernel, "float", e.i64(sign * tap)), F32)
                                total = e.fma(x, e.splat(w, plan.lanes), total)
                            channels.yield_([total])
                        e.store(e.gep(to, "float", each.index), channels.carried[0])
            e.line("ret void")

    def emit_give(self) -> None:
        """Defines @give(.., results, out, first, lines): hands a strip's results on."""
        e, plan = self.e, self.plan
        parameters = [*PARAMETERS, ("results", PTR), ("out", I64), ("first", I64), ("lines", I64)]
        with e.function("give", "internal void", parameters) as registers:
            results, out, first, lines = registers[2:]
            with e.loop(e.i64(0), lines) as loop:
                images, row, col = self.place(first, loop.index)
                counts = [
                    e.intrinsic("llvm.smin", e.op("sub nsw", e.i64(size), at), e.i64(TILE))
                    for at, size in ((row, plan.rows), (col, plan.cols))
                ]
                with (
                    e.loop(e.i64(0), e.i64(plan.width)) as outs,
                    e.loop(e.i64(0), counts[0]) as i,
                    e.loop(e.i64(0), counts[1]) as j,
                ):
                    terms = [(loop.index, plan.line_results), (i.index, TILE), (j.index, 1)]
                    place = weighted_sum(e, [(weighted_sum(e, terms), plan.result_pitch)])
                    place = weighted_sum(e, [(place, 1), (outs.index, plan.out_pitch)])
                    line = e.gep(results, "float", place)
                    at = [
                        e.op("add nsw", start, more)
                        for start, more in ((out, outs.index), (row, i.index), (col, j.index))
                    ]
                    with e.loop(e.i64(0), e.i64(plan.inner), plan.lanes) as each:
                        value = e.load(e.gep(line, "float", each.index), self.vector)
                        image = e.op("add nsw", images, each.index)
                        self.give([image, *at], value, plan.positions[0])
            e.line("ret void")
