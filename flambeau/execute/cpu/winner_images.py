"""Kernels for gradients of images below a pooling; see Note [Sums over winners] (winners.py)."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    Dimension,
    cut_dimensions,
    emit_stage,
    lane_range,
    task_count,
    task_number,
    transposed,
)
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import StoreCallback, weighted_sum
from flambeau.execute.cpu.emit import I64, PTR, Reg, Type
from flambeau.execute.cpu.winner_kernels import SCRATCH, SECOND, WinnerKernel
from flambeau.execute.cpu.winners import ImagesPlan
from flambeau.execute.cpu.winograd_strips import all_numbers


def images_kernels(plan: ImagesPlan, store: StoreCallback) -> list[tuple[str, int]]:
    """(text, tasks) of the kernels of a gradient of images, to be run in order.

    Operands: 0 the pooled cotangent, 1 the weights, 2 scratch (`plan.scratch_bytes`), 3 the
    winners' places, 4 and up what `store` uses.
    """
    kernels = [_Weights(plan).text(), _Images(plan, store).text()]
    return [*kernels, _Given(plan, store).text()] if plan.apart else kernels


class _OfImages(WinnerKernel):
    def __init__(self, plan: ImagesPlan) -> None:
        super().__init__(plan)
        self.plan = plan

    def weight(self, weights: Reg, channel: Reg, out: Reg, row: Reg, col: Reg) -> Reg:
        """A weight that is (row, col) below the winner: taps are turned in the convolution."""
        plan = self.plan
        terms = zip((channel, out, row, col), plan.weights, (1, 1, -1, -1), strict=True)
        ends = zip(plan.taps, plan.weights[2:], strict=True)
        last = sum([(n - 1) * step for n, step in ends])
        at = self.at(weights, *[(r, n * sign) for r, n, sign in terms], (last, 1))
        return self.e.load(at, Type(plan.element))


class _Weights(_OfImages):
    """The weights, channels innermost, for each column of a window; zeros around them."""

    def text(self) -> tuple[str, int]:
        plan = self.plan
        cut = cut_dimensions([Dimension(plan.blocks), Dimension(plan.outs)], TASKS)
        emit_stage(self.e, "weights", cut, self.body)
        self.entry("weights")
        return self.e.module(), task_count(cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        e, plan = self.e, self.plan
        block, out = indices
        line = plan.vectors * plan.lanes
        above = (plan.windows.sizes[0] - 1) * line
        size = plan.windows.sizes[1] * plan.entry
        to = self.at(self.operand(SCRATCH), (block, plan.weights_size), (out, size))
        self.clear(to, size)
        if above:
            with e.when(e.cmp("icmp eq", out, e.i64(plan.outs - 1))):
                self.clear(self.at(to, (size, 1)), above)
        weights = self.operand(SECOND)
        begin, channels = self.channels(block)
        with (
            e.loop(e.i64(0), channels) as c,
            e.loop(e.i64(0), e.i64(plan.taps[0])) as i,
            e.loop(e.i64(0), e.i64(plan.taps[1])) as j,
        ):
            channel = weighted_sum(e, [(begin, 1), (c.index, 1)])
            value = self.weight(weights, channel, out, i.index, j.index)
            terms = (i.index, line), (j.index, plan.pitch), (c.index, 1)
            there = self.at(to, (above, 1), *terms)
            with e.loop(e.i64(0), e.i64(plan.windows.sizes[1])) as right:
                e.store(self.at(there, (right.index, plan.entry + plan.pitch)), value)


class _Handing(_OfImages):
    """Hands on what is in scratch memory, where images have channels innermost."""

    def __init__(self, plan: ImagesPlan, store: StoreCallback) -> None:
        super().__init__(plan)
        self.store = store

    def memory(self, number: Reg) -> Reg:
        """Where an image begins there."""
        plan = self.plan
        after = plan.blocks * plan.weights_size
        return self.at(self.operand(SCRATCH), (number, plan.plane), (after, 1))

    def give(self, images: Reg, at: tuple[Reg, Reg, Reg], channels: int, width: int) -> None:
        """Hands on the channels of a row of `width` images; `at`: the first, block and row."""
        e, plan = self.e, self.plan
        n, block, row = at
        begin = weighted_sum(e, [(block, plan.block)])
        first = plan.first[0] * plan.row_pitch + plan.first[1] * plan.pitch
        line = self.at(images, (row, plan.row_pitch), (first, 1))
        if plan.inner:
            size = plan.lanes if plan.apart else plan.together
            with e.loop(e.i64(0), e.i64(plan.cols)) as cols:
                here = self.at(line, (cols.index, plan.pitch))
                self.square(here, plan.plane, size, width, (n, begin, row, cols.index), channels)
            return
        whole = plan.cols // plan.lanes * plan.lanes
        with e.loop(e.i64(0), e.i64(whole), plan.lanes) as cols:
            here = self.at(line, (cols.index, plan.pitch))
            place = n, begin, row, cols.index
            self.square(here, plan.pitch, plan.lanes, plan.lanes, place, channels)
        if plan.cols > whole:
            here, rest = self.at(line, (whole, plan.pitch)), plan.cols - whole
            place = n, begin, row, e.i64(whole)
            self.square(here, plan.pitch, plan.lanes, rest, place, channels)

    def square(
        self,
        image: Reg,
        step: int,
        size: int,
        width: int,
        place: tuple[Reg, Reg, Reg, Reg],
        channels: int,
    ) -> None:
        """Hands on `width` images or columns, `step` apart, of all channels, `size` at a time."""
        e, plan = self.e, self.plan
        axis = plan.positions[0 if plan.inner else 3]
        n, begin, row, col = place
        for first in range(0, channels, size):
            rows = [
                e.load(
                    self.at(image, (min(k, width - 1) * step + first, 1)), Type(plan.element, size)
                )
                for k in range(size)
            ]
            for number, value in enumerate(transposed(e, rows)[: channels - first]):
                channel = weighted_sum(e, [(begin, 1), (e.i64(first + number), 1)])
                parts = n, channel, row, col
                self.store(e, self.index(parts), lane_range(e, value, 0, width), axis)


class _Given(_Handing):
    """Hands on the sums of all images, by rows."""

    def text(self) -> tuple[str, int]:
        plan = self.plan
        groups = Dimension(-(-plan.images // plan.lanes), bool(plan.images % plan.lanes))
        cut = cut_dimensions([Dimension(plan.rows), groups, Dimension(plan.blocks)], TASKS)
        emit_stage(self.e, "given", cut, self.body)
        self.entry("given")
        return self.e.module(), task_count(cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """A row of some images' block of channels."""
        e, plan = self.e, self.plan
        row, group, block = indices
        width = plan.images % plan.lanes if tails[1] else plan.lanes
        n = weighted_sum(e, [(group, plan.lanes)])
        images = self.memory(weighted_sum(e, [(block, plan.images), (n, 1)]))
        self.for_blocks(block, lambda channels: self.give(images, (n, block, row), channels, width))


class _Images(_Handing):
    """The sums over outputs and windows, which are handed on."""

    def text(self) -> tuple[str, int]:
        self.emit_patches()
        self.emit_plain()
        emit_stage(self.e, "images", self.plan.cut, self.body)
        self.entry("images")
        return self.e.module(), task_count(self.plan.cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        """A block of channels of some images."""
        e, plan = self.e, self.plan
        group, block = indices
        width = plan.images % plan.together if tails[0] else plan.together
        n = weighted_sum(e, [(group, plan.together)])
        scratch = self.operand(SCRATCH)
        weights = self.at(scratch, (block, plan.weights_size))
        if plan.apart:
            images = self.memory(weighted_sum(e, [(block, plan.images), (n, 1)]))
        else:
            task = task_number(e, indices, plan.cut)
            images = self.memory(weighted_sum(e, [(task, plan.together)]))
        self.clear(images, width * plan.plane)
        with e.loop(e.i64(0), e.i64(plan.outs), plan.outs_together) as passes:
            end = self.end_of(passes.index, plan.outs_together, plan.outs)
            with e.loop(e.i64(0), e.i64(width)) as each:
                here = self.at(images, (each.index, plan.plane))
                number = weighted_sum(e, [(n, 1), (each.index, 1)])
                arguments = [*self.parameters(), weights, here, number, passes.index, end]
                e.call("patches", None, arguments, declared=True)
        with e.loop(e.i64(0), e.i64(width)) as each:
            here = self.at(images, (each.index, plan.plane))
            number = weighted_sum(e, [(n, 1), (each.index, 1)])
            e.call("plain", None, [*self.parameters(), here, number, block], declared=True)
        if plan.apart:
            return
        with e.loop(e.i64(0), e.i64(plan.rows)) as rows:
            place = n, block, rows.index
            self.for_blocks(block, lambda channels: self.give(images, place, channels, width))

    # ---- sums ------------------------------------------------------------------------------------

    def emit_patches(self) -> None:
        """Defines @patches(.., weights, image, n, low, high): adds what outputs low .. high - 1
        give of an image.
        """
        e, plan = self.e, self.plan
        windows = plan.windows
        parameters = [*PARAMETERS, ("weights", PTR), ("image noalias", PTR)]
        parameters += [("n", I64), ("low", I64), ("high", I64)]
        done = min(windows.steps[0], plan.reach[0]) * plan.vectors
        zero = e.const(0, self.vector)
        with e.function("patches", "internal void", parameters) as registers:
            _, _, weights, image, n, low, high = registers
            with e.loop(e.i64(0), e.i64(windows.counts[1])) as cols:
                top = self.at(image, (cols.index, windows.steps[1] * plan.pitch))
                start = [zero] * (plan.sums - done)
                count = e.i64(windows.counts[0])
                with e.loop(e.i64(0), count, carried=start) as rows:
                    before = [*rows.carried, *[zero] * done]
                    with e.loop(low, high, carried=before) as outs:
                        place = n, outs.index, rows.index, cols.index
                        outs.yield_(self.patch(weights, place, outs.carried))
                    line = self.at(top, (rows.index, windows.steps[0] * plan.row_pitch))
                    self.add(line, outs.carried[:done])
                    rows.yield_(outs.carried[done:])
                bottom = windows.counts[0] * windows.steps[0] * plan.row_pitch
                self.add(self.at(top, (bottom, 1)), rows.carried)
            e.line("ret void")

    def patch(
        self, weights: Reg, place: tuple[Reg, Reg, Reg, Reg], sums: Sequence[Reg]
    ) -> list[Reg]:
        """Adds an output's weights at the winner of a window."""
        e, plan = self.e, self.plan
        ct, below, right = self.window(*place)
        line = plan.vectors * plan.lanes
        above = (plan.windows.sizes[0] - 1) * line
        size = plan.windows.sizes[1] * plan.entry
        terms = (place[1], size), (right, plan.entry), (below, -line)
        here = self.at(weights, *terms, (above, 1))
        factor = e.splat(ct, plan.lanes)
        return [
            e.multiply_add(factor, e.load(self.at(here, (k * plan.lanes, 1)), self.vector), total)
            for k, total in enumerate(sums)
        ]

    def add(self, line: Reg, sums: Sequence[Reg]) -> None:
        e, plan = self.e, self.plan
        for number, value in enumerate(sums):
            i, k = divmod(number, plan.vectors)
            place = self.at(line, (i * plan.row_pitch + k * plan.lanes, 1))
            e.store(place, e.op("fadd", e.load(place, self.vector), value))

    def emit_plain(self) -> None:
        """Defines @plain(.., image, n, block): computes an image again, patch by patch, if it has
        a number that is not finite.
        """
        e, plan = self.e, self.plan
        windows = plan.windows
        parameters = [*PARAMETERS, ("image noalias", PTR), ("n", I64), ("block", I64)]
        with e.function("plain", "internal void", parameters) as (_, _, image, n, block):
            zero = e.const(0, self.vector)
            with e.loop(e.i64(0), e.i64(plan.plane), plan.lanes, carried=[zero]) as loop:
                value = e.load(self.at(image, (loop.index, 1)), self.vector)
                loop.yield_([e.multiply_add(value, zero, loop.carried[0])])
            good, bad = e.label(), e.label()
            e.branch_if(all_numbers(e, loop.carried[0]), good, bad)
            e.open_block(bad)
            self.clear(image, plan.plane)
            weights = self.operand(SECOND)
            begin, channels = self.channels(block)
            with (
                e.loop(e.i64(0), e.i64(plan.outs)) as out,
                e.loop(e.i64(0), e.i64(windows.counts[0])) as row,
                e.loop(e.i64(0), e.i64(windows.counts[1])) as col,
            ):
                ct, below, right = self.window(n, out.index, row.index, col.index)
                terms = (row.index, windows.steps[0] * plan.row_pitch), (below, plan.row_pitch)
                there = self.at(image, *terms)
                there = self.at(there, (col.index, windows.steps[1] * plan.pitch))
                there = self.at(there, (right, plan.pitch))
                with (
                    e.loop(e.i64(0), e.i64(plan.taps[0])) as i,
                    e.loop(e.i64(0), e.i64(plan.taps[1])) as j,
                    e.loop(e.i64(0), channels) as c,
                ):
                    channel = weighted_sum(e, [(begin, 1), (c.index, 1)])
                    w = self.weight(weights, channel, out.index, i.index, j.index)
                    terms = (i.index, plan.row_pitch), (j.index, plan.pitch)
                    place = self.at(there, *terms, (c.index, 1))
                    e.store(place, e.multiply_add(ct, w, e.load(place, ct.type)))
            e.branch(good)
            e.open_block(good)
            e.line("ret void")
