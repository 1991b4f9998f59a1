"""What kernels in Winograd's form share: its sums, lines of tiles, and the elements of tiles."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu.contraction_nest import PARAMETERS
from flambeau.execute.cpu.contraction_spec import load_element, weighted_sum
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.winograd import READ, TAPS, TILE
from flambeau.execute.cpu.winograd_plan import TilePlan

ALL_TAPS = TAPS * TAPS
Combine = Callable[[Sequence[Reg]], list[Reg]]


def both_sides(grid: Sequence[Sequence[Reg]], combine: Combine) -> list[Reg]:
    """What `combine` makes of a grid's columns, then of the rows of that; in row-major order."""
    columns = [combine([line[j] for line in grid]) for j in range(len(grid[0]))]
    return [v for row in zip(*columns, strict=True) for v in combine(row)]


def of_image(e: Emitter, d: Sequence[Reg]) -> list[Reg]:
    outer = [e.op("fsub", d[0], d[2]), e.op("fadd", d[1], d[2])]
    return [*outer, e.op("fsub", d[2], d[1]), e.op("fsub", d[1], d[3])]


def of_kernel(e: Emitter, g: Sequence[Reg]) -> list[Reg]:
    half = e.const(0.5, g[0].type)
    ends = e.op("fadd", g[0], g[2])
    middle = [e.op("fadd", ends, g[1]), e.op("fsub", ends, g[1])]
    return [g[0], *[e.op("fmul", v, half) for v in middle], g[2]]


def of_result(e: Emitter, m: Sequence[Reg]) -> list[Reg]:
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
        whole, rest = divmod(self.plan.line_tiles, self.plan.group)
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
        for near, far in zip(of_image(e, low), of_image(e, high), strict=True):
            seen.append([e.shuffle(v, v, at) for v in (near, far) for at in (even, odd)])
        to = e.gep(target, "float", weighted_sum(e, [(number, plan.group)]))
        for i, line in enumerate(seen):
            for j, value in enumerate(of_image(e, line)):
                e.store(e.gep(to, "float", e.i64((READ * i + j) * plan.plane)), value, 4)
