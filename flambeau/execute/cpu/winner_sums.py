"""Kernels for gradients of weights below a pooling; see Note [Sums over winners] (winners.py)."""

from __future__ import annotations

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    Dimension,
    cut_dimensions,
    emit_stage,
    task_count,
    transposed,
)
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import StoreCallback, load_element, weighted_sum
from flambeau.execute.cpu.emit import I64, PTR, Reg, Type
from flambeau.execute.cpu.winner_kernels import FIRST, SCRATCH, WinnerKernel
from flambeau.execute.cpu.winners import WeightsPlan


def weights_kernels(plan: WeightsPlan, store: StoreCallback) -> list[tuple[str, int]]:
    """(text, tasks) of the kernels of a gradient of weights, to be run in order.

    Operands: 0 the image, 1 the pooled cotangent, 2 scratch (`plan.scratch_bytes`), 3 the winners'
    places, 4 and up what `store` uses. It is called with results in the order of memory: the index
    of the taps' columns counts on over rows and channels.
    """
    kernels = [_Turned(plan).text(), _Sums(plan, store).text()]
    return [*kernels, _Added(plan, store).text()] if plan.shares > 1 else kernels


class _Turned(WinnerKernel):
    """Images with their channels innermost, and zeros around them."""

    def __init__(self, plan: WeightsPlan) -> None:
        super().__init__(plan)
        self.plan = plan
        self.inner = plan.image[0] == 1 and plan.images > 1
        self.spans = [
            (max(low, 0), max(min(low + size, extent), 0))
            for (low, size), extent in zip(plan.bounds, plan.extents, strict=True)
        ]

    def text(self) -> tuple[str, int]:
        plan = self.plan
        lanes = plan.lanes if self.inner else 1
        groups = Dimension(-(-plan.images // lanes), bool(plan.images % lanes))
        rows = Dimension(plan.extents[0])
        cut = cut_dimensions([groups, rows, Dimension(plan.blocks)], TASKS)
        emit_stage(self.e, "turned", cut, self.body)
        self.entry("turned")
        return self.e.module(), task_count(cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """A row of some images' block of channels."""
        e, plan = self.e, self.plan
        group, row, block = indices
        lanes = plan.lanes if self.inner else 1
        width = plan.images % lanes if tails[0] else lanes
        n = weighted_sum(e, [(group, lanes)])
        image = self.operand(FIRST)
        moved = (n, plan.image[0]), (block, plan.block * plan.image[1]), (row, plan.image[2])
        image = self.at(image, *moved)
        size = plan.blocks * plan.plane
        to = self.at(self.operand(SCRATCH), (n, size), (block, plan.plane), (row, plan.row_pitch))
        if self.spans != [(0, n) for n in plan.extents]:
            with e.loop(e.i64(0), e.i64(width)) as each:
                self.clear(self.at(to, (each.index, size)), plan.row_pitch)
        (low, high), _ = self.spans
        inside = e.cmp("icmp ult", weighted_sum(e, [(row, 1), (e.i64(-low), 1)]), e.i64(high - low))
        with e.when(inside):
            self.for_blocks(block, lambda channels: self.line(image, to, channels, width))

    def line(self, image: Reg, to: Reg, channels: int, width: int) -> None:
        e, plan = self.e, self.plan
        _, (low, high) = self.spans
        if self.inner:
            with e.loop(e.i64(low), e.i64(max(low, high))) as cols:
                here = self.at(image, (cols.index, plan.image[3]))
                there = self.at(to, (cols.index, plan.pitch))
                self.square(here, there, channels, width, plan.blocks * plan.plane)
            return
        whole = max(0, high - low) // plan.lanes * plan.lanes
        with e.loop(e.i64(low), e.i64(low + whole), plan.lanes) as cols:
            there = self.at(to, (cols.index, plan.pitch))
            self.square(self.at(image, (cols.index, 1)), there, channels, plan.lanes, plan.pitch)
        if high - low > whole:
            there = self.at(to, (low + whole, plan.pitch))
            rest = high - low - whole
            self.square(self.at(image, (low + whole, 1)), there, channels, rest, plan.pitch)

    def square(self, image: Reg, to: Reg, channels: int, width: int, step: int) -> None:
        """`width` neighbours of each channel; in the result they are `step` apart. What is stored
        behind the last channel is zero, and stored over by the next place of the image.
        """
        e, plan = self.e, self.plan
        chunks = []
        for first in range(0, channels, plan.lanes):
            places = [
                self.at(image, (c, plan.image[1]))
                for c in range(first, min(first + plan.lanes, channels))
            ]
            rows = [load_element(e, p, plan.element, plan.lanes, width) for p in places]
            rows += [e.const(0, self.vector)] * (plan.lanes - len(rows))
            chunks.append(transposed(e, rows))
        for number in range(width):
            for chunk, values in enumerate(chunks):
                there = self.at(to, (number, step), (chunk, plan.lanes))
                e.store(there, values[number])


class _Results(WinnerKernel):
    """Hands sums on, which lie [share of the images][block][output]."""

    def __init__(self, plan: WeightsPlan, store: StoreCallback) -> None:
        super().__init__(plan)
        self.plan = plan
        self.store = store

    @property
    def size(self) -> int:
        """Elements of an output's sums."""
        return self.plan.sums * self.plan.lanes

    def memory(self, share: Reg, block: Reg) -> Reg:
        """Where the sums of a block begin."""
        plan = self.plan
        terms = (share, plan.sums_size), (block, plan.outs * self.size), (plan.image_size, 1)
        return self.at(self.operand(SCRATCH), *terms)

    def hand_on(self, sums: Reg, block: Reg, out: Reg) -> None:
        arguments = [*self.parameters(), sums, block, out]
        self.e.call("results", None, arguments, declared=True)

    def emit_results(self) -> None:
        """Defines @results(.., sums, block, out): hands on an output's results for a block."""
        e, plan = self.e, self.plan
        rows, cols = plan.taps
        parameters = [*PARAMETERS, ("sums", PTR), ("block", I64), ("out", I64)]
        with e.function("results", "internal void", parameters) as (_, _, sums, block, out):
            scalar = Type(plan.element)
            flat = e.alloca(scalar, plan.block * rows * cols)

            def give(channels: int) -> None:
                with (
                    e.loop(e.i64(0), e.i64(channels)) as c,
                    e.loop(e.i64(0), e.i64(rows)) as i,
                    e.loop(e.i64(0), e.i64(cols)) as j,
                ):
                    of_row = plan.vectors * plan.lanes
                    here = self.at(sums, (i.index, of_row), (j.index, plan.pitch), (c.index, 1))
                    there = self.at(flat, (c.index, rows * cols), (i.index, cols), (j.index, 1))
                    e.store(there, e.load(here, scalar))
                size = channels * rows * cols
                begin = weighted_sum(e, [(block, plan.block * rows * cols)])
                whole = size // plan.lanes * plan.lanes
                with e.loop(e.i64(0), e.i64(whole), plan.lanes) as loop:
                    self.give(flat, loop.index, begin, out, plan.lanes)
                if size > whole:
                    self.give(flat, e.i64(whole), begin, out, size - whole)

            self.for_blocks(block, give)
            e.line("ret void")

    def give(self, flat: Reg, place: Reg, begin: Reg, out: Reg, width: int) -> None:
        e, plan = self.e, self.plan
        value = e.load(self.at(flat, (place, 1)), Type(plan.element, width))
        along = weighted_sum(e, [(begin, 1), (place, 1)])
        last = plan.positions[3] if plan.positions[3] >= 0 else plan.positions[2]
        parts = (0, out, 0, along) if plan.positions[3] >= 0 else (0, out, along, 0)
        self.store(e, self.index(parts), value, last)


class _Added(_Results):
    """Adds up the sums of all images."""

    def text(self) -> tuple[str, int]:
        plan = self.plan
        self.emit_results()
        cut = cut_dimensions([Dimension(plan.outs), Dimension(plan.blocks)], TASKS)
        emit_stage(self.e, "added", cut, self.body)
        self.entry("added")
        return self.e.module(), task_count(cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """An output's sums for a block of channels."""
        e, plan = self.e, self.plan
        out, block = indices
        first, *others = [
            self.at(self.memory(e.i64(share), block), (out, self.size))
            for share in range(plan.shares)
        ]
        with e.loop(e.i64(0), e.i64(self.size), plan.lanes) as loop:
            total = e.load(self.at(first, (loop.index, 1)), self.vector)
            for other in others:
                more = e.load(self.at(other, (loop.index, 1)), self.vector)
                total = e.op("fadd", total, more)
            e.store(self.at(first, (loop.index, 1)), total)
        self.hand_on(first, block, out)


class _Sums(_Results):
    """The sums over windows; they are handed on where they are of all images."""

    def text(self) -> tuple[str, int]:
        if self.plan.shares == 1:
            self.emit_results()
        emit_stage(self.e, "sums", self.plan.cut, self.body)
        self.entry("sums")
        return self.e.module(), task_count(self.plan.cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """A part of the outputs, for a share of the images and a block of channels."""
        e, plan = self.e, self.plan
        share, part, block = indices
        low, high = self.range_of(part, plan.cut[1].count, plan.outs)
        start, stop = self.range_of(share, plan.shares, plan.lines)
        sums = self.memory(share, block)
        images = self.at(self.operand(SCRATCH), (block, plan.plane))
        with e.loop(low, high) as outs:
            self.clear(self.at(sums, (outs.index, self.size)), self.size)
        with e.loop(start, stop, plan.strip) as strips:
            end = weighted_sum(e, [(strips.index, 1), (e.i64(plan.strip), 1)])
            end = e.intrinsic("llvm.smin", end, stop)
            with e.loop(low, high) as outs:
                here = self.at(sums, (outs.index, self.size))
                places = [self.at(here, (k, plan.lanes)) for k in range(plan.sums)]
                before = [e.load(place, self.vector) for place in places]
                with e.loop(strips.index, end, carried=before) as lines:
                    lines.yield_(self.line(images, outs.index, lines.index, lines.carried))
                for place, value in zip(places, lines.carried, strict=True):
                    e.store(place, value)
        if plan.shares == 1:
            with e.loop(low, high) as outs:
                self.hand_on(self.at(sums, (outs.index, self.size)), block, outs.index)

    def range_of(self, number: Reg, count: int, extent: int) -> tuple[Reg, Reg]:
        """What belongs to one of `count` parts of an extent."""
        e = self.e
        ends = number, weighted_sum(e, [(number, 1), (e.i64(1), 1)])
        low, high = [e.op("udiv", weighted_sum(e, [(n, extent)]), e.i64(count)) for n in ends]
        return low, high

    def line(self, images: Reg, out: Reg, line: Reg, sums: list[Reg]) -> list[Reg]:
        """Adds the patches of a row of windows."""
        e, plan = self.e, self.plan
        windows = plan.windows
        count = e.i64(windows.counts[0])
        n, row = e.op("udiv", line, count), e.op("urem", line, count)
        steps = [step * stride for step, stride in zip(windows.steps, plan.strides, strict=True)]
        image = self.at(images, (n, plan.blocks * plan.plane), (row, steps[0] * plan.row_pitch))
        with e.loop(e.i64(0), e.i64(windows.counts[1]), carried=sums) as cols:
            ct, below, right = self.window(n, out, row, cols.index)
            moved = (below, plan.strides[0] * plan.row_pitch), (right, plan.strides[1] * plan.pitch)
            patch = self.at(image, (cols.index, steps[1] * plan.pitch), *moved)
            factor = e.splat(ct, plan.lanes)
            found = []
            for number, total in enumerate(cols.carried):
                i, k = divmod(number, plan.vectors)
                x = e.load(self.at(patch, (i * plan.row_pitch + k * plan.lanes, 1)), self.vector)
                found.append(e.multiply_add(factor, x, total))
            cols.yield_(found)
        return cols.carried
