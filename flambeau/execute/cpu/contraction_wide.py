"""Products whose large operand or result goes through memory once, with vector instructions.

The gradients of a layer with many inputs: few rows meet a matrix that lies in memory row by row, or
a short sum gives a result as large as the weights. Tiles of registers alone would walk down such a
matrix page by page, where no hardware sees the next line coming. So a task takes a strip of the
large side. It packs its part of it into the level-2 cache, in long runs, computes some rows of the
result from there, and hands these on one after another, or tile by tile where little is done with
them; meanwhile it asks for the memory that they are going to meet, and for the next strip. A next
strip whose rows lie far apart is packed bit by bit between the products instead: of rows a power of
two apart, asked for, the caches would hold but some.

The strip is of the side that vectors run along (`right`) or of the one whose elements meet whole
vectors (`left`): the other side is small, and packed by each task as it begins, or is read where it
is. Where one tile of a strip of the left side meets all columns, each line of the strip is used
once, and it is not packed either. The tile asks for ten rows ahead and no more: rows of a large
matrix often lie a power of two apart, and only a dozen of their lines fit the level-1 cache.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import lru_cache
from itertools import product

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
from flambeau.execute.cpu.contraction_plan import LINE, TASKS
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    SCRATCH,
    TABLE,
    Contraction,
    StoreCallback,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.emit import F32, I32, I64, PTR, Emitter, Reg, vector_registers
from flambeau.execute.cpu.matrix_plan import Side, as_matrices
from flambeau.execute.cpu.matrix_tiles import lead_indices
from flambeau.execute.cpu.target import has_matrix_unit

# Of a tile: longer runs of each row where strips are of columns, and registers suffice for them.
NARROW, BROAD = 2, 4
STRIP_BYTES = 1 << 18  # of a packed strip
NEAR_BYTES = 40 << 10  # of a tile's columns and the left side, in the level-1 cache
STRIP = 256  # rows or columns at most: runs of 16 lines
# Operands and results from which on memory is what counts; rows, columns or terms of a sum, with
# more of all of which others are faster: the matrix unit, and what there is without it.
LARGE_BYTES, FEW = 1 << 20, 48
LARGE_WITHOUT_UNIT, FEW_WITHOUT_UNIT = 1 << 18, 64
# Of columns that strips are packed of: rows that meet them, and bytes, from which on that pays.
MANY_ROWS, FROM_MEMORY = 16, 1 << 22
CHEAP_STORE = 12  # instructions of what a result meets, so few that tiles hand it on themselves
AHEAD = 10  # k of an operand that is not packed
EARLY = 1  # k: how long before a line of the next strip is packed it is asked for


@dataclass(frozen=True, slots=True)
class WidePlan:
    """result[rows x columns] = left[rows x depth] right[depth x columns], the result's columns next
    to each other in memory. `by_rows`: strips are of the left side.
    """

    left: Side
    right: Side
    positions: tuple[int, ...]  # of the result's axes among those of the contraction
    vector_bits: int
    by_rows: bool

    @property
    def lanes(self) -> int:
        return self.vector_bits // 32

    @property
    def rows(self) -> int:
        return self.left.lead.extent

    @property
    def columns(self) -> int:
        return self.right.lead.extent

    @property
    def depth(self) -> int:
        return self.left.depth

    @property
    def vectors(self) -> int:
        """Of a row of a tile."""
        if self.by_rows or vector_registers(self.vector_bits) < 32:
            return NARROW
        line = self.vector_bits // 8
        most = (NEAR_BYTES - 4 * self.rows * self.depth) // (line * self.depth)
        return min(max(most, NARROW), BROAD)

    @property
    def tile_columns(self) -> int:
        return self.vectors * self.lanes

    @property
    def tile_rows(self) -> int:
        """Rows of a tile: as many as registers allow, in tiles as even as can be."""
        most = (vector_registers(self.vector_bits) - self.vectors - 1) // self.vectors
        return most if self.by_rows else -(-self.rows // -(-self.rows // most))

    @property
    def extent(self) -> int:
        """Of the side that strips are of."""
        return self.rows if self.by_rows else self.columns

    @property
    def strip(self) -> int:
        """Rows or columns of a strip, whole tiles."""
        tile = self.tile_rows if self.by_rows else self.tile_columns
        most = min(STRIP, STRIP_BYTES // (4 * self.depth), -(-self.extent // TASKS))
        return max(most // tile, 1) * tile

    @property
    def direct(self) -> bool:
        """Whether the left side is read where it is, by tiles with all columns."""
        return self.by_rows and self.columns <= self.tile_columns

    @property
    def overlaps(self) -> bool:
        """Whether the next strip is packed between the products of this one."""
        return not self.by_rows and self.right.lead.stride == 1

    @property
    def together(self) -> int:
        """Columns that are computed together, whole tiles."""
        if not self.by_rows:
            return self.strip
        return -(-self.columns // self.tile_columns) * self.tile_columns

    @property
    def cut(self) -> tuple[Dimension, ...]:
        tail = self.extent % self.strip != 0
        return cut_dimensions([Dimension(-(-self.extent // self.strip), tail=tail)], TASKS)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Floats of a task's memory: the packed right side (twice where the next strip is packed
        meanwhile), the packed left side, some results.
        """
        packed = self.by_rows and not self.direct
        of_left = self.depth * self.strip // self.tile_rows * self.lanes if packed else 0
        of_right = self.depth * self.together * (2 if self.overlaps else 1)
        return of_right, of_left, self.tile_rows * self.together

    @property
    def scratch_bytes(self) -> int:
        return 4 * task_count(self.cut) * sum(self.sizes)


@lru_cache(1024)
def wide_plan(spec: Contraction, vector_bits: int) -> WidePlan | None:
    """The plan of a contraction that is one of those above; None for others."""
    if spec.element != "float" or spec.out_element != "float" or spec.bands or vector_bits < 256:
        return None
    if any(axis.extent == 0 for axis in spec.axes):
        return None
    matrices = as_matrices(spec)
    if matrices is None or matrices.outer:
        return None
    left, right = matrices.left, matrices.right
    if spec.axes[right.lead.axes[-1]].out != 1:
        return None
    rows, columns, depth = left.lead.extent, right.lead.extent, left.depth
    unit = has_matrix_unit()
    least, few = (LARGE_BYTES, FEW) if unit else (LARGE_WITHOUT_UNIT, FEW_WITHOUT_UNIT)
    large = 4 * max(columns * rows, columns * depth, rows * depth) >= least
    by_rows = rows > columns and left.lead.stride == 1
    tile = (NARROW if by_rows else BROAD) * vector_bits // 32
    if not large or min(rows, columns, depth) > few or max(rows, columns) < TASKS * tile:
        return None
    if not by_rows and columns < 2 * tile:  # there are no strips of the large side
        return None
    few_rows = rows <= few and 4 * columns * depth < FROM_MEMORY
    if not by_rows and (rows < MANY_ROWS or few_rows):
        return None
    if depth > max(rows, columns) or 4 * depth * tile > STRIP_BYTES:
        return None
    if columns % (vector_bits // 32) and columns < tile:
        return None
    positions = tuple([p for p, axis in enumerate(spec.axes) if axis.kind != "k"])
    return WidePlan(left, right, positions, vector_bits, by_rows)


def wide_kernel(plan: WidePlan, store: StoreCallback) -> tuple[str, int]:
    """(text, tasks) of the kernel. Operands: 0 A, 1 B, 2 scratch memory, then those of `store`."""
    return _Wide(plan, store).text()


class _Wide:
    def __init__(self, plan: WidePlan, store: StoreCallback) -> None:
        self.plan = plan
        self.store = store
        self.strips: list[Reg] = []  # those packed, and whether there is a next
        self.e = Emitter(plan.vector_bits)
        self.vector = F32.with_lanes(plan.lanes)
        self.line = 4 * plan.lanes
        # Whether results are handed on from registers, not from memory row by row.
        self.at_once = getattr(store, "size", CHEAP_STORE + 1) <= CHEAP_STORE

    def text(self) -> tuple[str, int]:
        e, plan = self.e, self.plan
        heights = {plan.tile_rows, plan.rows % plan.tile_rows} - {0}
        if plan.by_rows:
            self.emit_packing("pack.columns", plan.right, plan.columns)
        runs = {plan.columns} if plan.by_rows else {plan.strip, plan.extent % plan.strip}
        widths = {min(run, plan.tile_columns) for run in runs}
        widths |= {run % plan.tile_columns for run in runs}
        for rows, width in product(sorted(heights), sorted(widths - {0})):
            self.emit_tile(rows, width)
        for size in sorted({plan.strip, plan.extent % plan.strip} - {0}):
            self.emit_strip(size)
        emit_stage(e, "strips", plan.cut, self.body)
        parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
        with e.function("kernel", "i64", parameters) as registers:
            e.call("strips", None, registers, declared=True)
            e.line("ret i64 0")
        return e.module(), task_count(plan.cut)

    def body(self, indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        e, plan = self.e, self.plan
        size = plan.extent % plan.strip if tails[0] else plan.strip
        task = task_number(e, indices, plan.cut)
        memory = operand_pointer(e, TABLE, ARGS, SCRATCH)
        memory = e.gep(memory, "float", weighted_sum(e, [(task, sum(plan.sizes))]))
        start = weighted_sum(e, [(indices[0], plan.strip)])
        arguments = [TABLE, ARGS, memory, start]
        if plan.by_rows:  # all strips of a task meet the same columns
            with e.when(e.cmp("icmp eq", indices[0], self.first_of(task))):
                self.call_packing("pack.columns", plan.right, e.i64(0), memory)
        elif plan.overlaps:
            own, other, more = self.two_strips(indices[0], task, memory)
            # What is no whole strip was not packed with the one before.
            first = e.cmp("icmp eq", indices[0], self.first_of(task))
            with nullcontext() if tails[0] else e.when(first):
                self.call_packing(f"pack.{size}", plan.right, start, own)
            arguments += [own, other, more]
        e.call(f"strip.{size}", None, arguments, declared=True)

    def two_strips(self, number: Reg, task: Reg, memory: Reg) -> tuple[Reg, Reg, Reg]:
        """Where a strip is packed, where the next one, and whether (0 or 1) the task has one."""
        e, plan, one = self.e, self.plan, self.e.i64(1)
        turn = e.op("and", e.op("sub nsw", number, self.first_of(task)), one)
        turns = turn, e.op("sub nsw", one, turn)
        half = plan.depth * plan.together
        own, other = (e.gep(memory, "float", weighted_sum(e, [(t, half)])) for t in turns)
        after = weighted_sum(e, [(number, 1), (one, 1)])
        end = self.first_of(weighted_sum(e, [(task, 1), (one, 1)]))
        end = e.intrinsic("llvm.smin", end, e.i64(plan.extent // plan.strip))
        return own, other, e.cast("zext", e.cmp("icmp slt", after, end), "i64")

    def first_of(self, task: Reg) -> Reg:
        """The number of a task's first strip."""
        e, cut = self.e, self.plan.cut[0]
        return e.op("udiv", e.op("mul nsw", task, e.i64(cut.count)), e.i64(cut.cut))

    # ---- strips ----------------------------------------------------------------------------------

    def emit_strip(self, size: int) -> None:
        """Defines @strip.size(.., memory, start): all results of a strip. Where the next one is
        packed meanwhile: (.., own, other, more), the two packed strips and whether there is a next.
        """
        e, plan = self.e, self.plan
        parameters = [*PARAMETERS, ("memory", PTR), ("start", I64)]
        if plan.overlaps:
            parameters += [("own", PTR), ("other", PTR), ("more", I64)]
        strip = plan.left if plan.by_rows else plan.right
        if not plan.direct:
            self.emit_packing(f"pack.{size}", strip, size)
        with e.function(f"strip.{size}", "internal void", parameters) as registers:
            memory, start, *self.strips = registers[2:]
            zero = e.i64(0)
            if not (plan.direct or plan.overlaps):
                place = e.i64(plan.sizes[0] if plan.by_rows else 0)
                self.call_packing(f"pack.{size}", strip, start, e.gep(memory, "float", place))
            if plan.by_rows:
                count, rest = divmod(size, plan.tile_rows)
                with e.loop(zero, e.i64(count)) as tiles:
                    self.some_rows(plan.tile_rows, tiles.index, start, memory)
                if rest:
                    self.some_rows(rest, e.i64(count), start, memory)
            else:
                count, rest = divmod(size, plan.tile_columns)
                if count:
                    with e.loop(zero, e.i64(count)) as tiles:
                        if not plan.overlaps:
                            self.ask_next(start, tiles.index, count)
                        self.some_columns(plan.tile_columns, tiles.index, start, memory)
                if rest:
                    self.some_columns(rest, e.i64(count), start, memory)
            e.line("ret void")

    def some_rows(self, rows: int, number: Reg, start: Reg, memory: Reg) -> None:
        """All columns of a tile's rows, whose left side is packed or read where it is."""
        e, plan = self.e, self.plan
        row = weighted_sum(e, [(start, 1), (number, plan.tile_rows)])
        if plan.direct:
            left = self.left_at(row)
        else:
            of_tile = weighted_sum(e, [(number, plan.depth * plan.lanes)])
            left = e.gep(e.gep(memory, "float", e.i64(plan.sizes[0])), "float", of_tile)
        whole, rest = divmod(plan.columns, plan.tile_columns)
        if whole:
            with e.loop(e.i64(0), e.i64(whole)) as tiles:
                self.one_tile(rows, plan.tile_columns, left, row, tiles.index, e.i64(0), memory)
        if rest:
            self.one_tile(rows, rest, left, row, e.i64(whole), e.i64(0), memory)
        self.hand_on(rows, row, plan.columns, e.i64(0), memory)

    def some_columns(self, columns: int, number: Reg, start: Reg, memory: Reg) -> None:
        """All rows of a tile's columns: those stay in the level-1 cache meanwhile."""
        e, plan = self.e, self.plan

        def some(rows: int, of_rows: Reg) -> None:
            row = weighted_sum(e, [(of_rows, plan.tile_rows)])
            self.one_tile(rows, columns, self.left_at(row), row, number, start, memory)
            column = weighted_sum(e, [(start, 1), (number, plan.tile_columns)])
            self.hand_on(rows, row, columns, column, memory)

        count, rest = divmod(plan.rows, plan.tile_rows)
        with e.loop(e.i64(0), e.i64(count)) as tiles:  # (tiles have no more rows than there are)
            some(plan.tile_rows, tiles.index)
        if rest:
            some(rest, e.i64(count))

    def left_at(self, row: Reg) -> Reg:
        """Where a row of the left side begins."""
        e, left = self.e, self.plan.left
        place = operand_pointer(e, TABLE, ARGS, left.number)
        return e.gep(place, "float", weighted_sum(e, [(row, left.lead.stride)]))

    def one_tile(
        self, rows: int, columns: int, left: Reg, row: Reg, number: Reg, start: Reg, memory: Reg
    ) -> None:
        """Computes a tile, the `number`th of columns from `start` on."""
        e, plan = self.e, self.plan
        tile = plan.tile_columns
        of_tile = weighted_sum(e, [(number, tile * plan.depth)])
        right = e.gep(self.strips[0] if plan.overlaps else memory, "float", of_tile)
        result = e.gep(memory, "float", e.i64(sum(plan.sizes[:2])))
        if plan.by_rows:
            result = e.gep(result, "float", weighted_sum(e, [(number, tile)]))
        column = weighted_sum(e, [(start, 1), (number, tile)])
        arguments = [TABLE, ARGS, left, right, result, row, column]
        if plan.overlaps:
            _, other, more = self.strips
            source = operand_pointer(e, TABLE, ARGS, plan.right.number)
            after = weighted_sum(e, [(start, 1), (e.i64(plan.strip), 1)])
            arguments += [e.gep(source, "float", after), other, more, number]
        e.call(f"tile.{rows}x{columns}", None, arguments, declared=True)

    def hand_on(self, rows: int, row: Reg, width: int, column: Reg, memory: Reg) -> None:
        """Hands rows of results on, if their tiles have not."""
        if self.at_once:
            return
        e, plan = self.e, self.plan
        results = e.gep(memory, "float", e.i64(sum(plan.sizes[:2])))
        whole, rest = divmod(width, plan.lanes)
        with e.loop(e.i64(0), e.i64(rows)) as loop:
            line = e.gep(results, "float", weighted_sum(e, [(loop.index, plan.together)]))
            at = weighted_sum(e, [(row, 1), (loop.index, 1)])
            with e.loop(e.i64(0), e.i64(whole)) as vectors:
                start = weighted_sum(e, [(vectors.index, plan.lanes)])
                self.give(line, start, plan.lanes, at, column)
            if rest:
                self.give(line, e.i64(whole * plan.lanes), rest, at, column)

    def give(self, line: Reg, start: Reg, width: int, row: Reg, column: Reg) -> None:
        """Hands `width` results on."""
        e = self.e
        value = e.load(e.gep(line, "float", start), F32.with_lanes(width), 4)
        index, lane = self.index(row, weighted_sum(e, [(column, 1), (start, 1)]))
        self.store(e, index, value, lane)

    def index(self, row: Reg, column: Reg) -> tuple[list[Reg], int]:
        """(an index for each of the result's axes, the number of that which vectors go along)."""
        e, plan = self.e, self.plan
        found = lead_indices(e, plan.left.lead, row) | lead_indices(e, plan.right.lead, column)
        lane = plan.positions.index(plan.right.lead.axes[-1])
        return [found.get(p, e.i64(0)) for p in plan.positions], lane

    # ---- packing ---------------------------------------------------------------------------------

    def emit_packing(self, name: str, side: Side, size: int) -> None:
        """Defines @name(source, target): packs `size` rows or columns, tile after tile and k after
        k, as many as fit whole vectors.
        """
        of_right = side is self.plan.right
        tile = self.plan.tile_columns if of_right else self.plan.tile_rows
        pack = self.pack_lines if side.lead.stride == 1 else self.pack_turned
        parameters = [("source noalias", PTR), ("target noalias", PTR)]
        with self.e.function(name, "internal void", parameters) as (source, target):
            pack(side, size, tile, source, target)
            self.e.line("ret void")

    def call_packing(self, name: str, side: Side, start: Reg, target: Reg) -> None:
        e = self.e
        source = operand_pointer(e, TABLE, ARGS, side.number)
        source = e.gep(source, "float", weighted_sum(e, [(start, side.lead.stride)]))
        e.call(name, None, [source, target], declared=True)

    def pitch(self, tile: int) -> int:
        """Floats of a k of a packed tile."""
        return -(-tile // self.plan.lanes) * self.plan.lanes

    def pack_lines(self, side: Side, size: int, tile: int, source: Reg, target: Reg) -> None:
        """Packs what lies next to each other in memory, k by k; asks for the next k."""
        e, plan = self.e, self.plan
        pitch = self.pitch(tile)
        whole = max((size - pitch) // tile + 1, 0)  # tiles whose vectors are all in the operand
        with e.loop(e.i64(0), e.i64(plan.depth)) as k:
            at = e.gep(source, "float", weighted_sum(e, [(k.index, side.stride)]))
            to = e.gep(target, "float", weighted_sum(e, [(k.index, pitch)]))
            with e.loop(e.i64(0), e.i64(whole)) as tiles:
                here = e.gep(at, "float", weighted_sum(e, [(tiles.index, tile)]))
                there = e.gep(to, "float", weighted_sum(e, [(tiles.index, pitch * plan.depth)]))
                for start in range(0, pitch, plan.lanes):
                    place = e.gep(here, "float", e.i64(start))
                    e.prefetch(e.gep(place, "float", e.i64(side.stride)))
                    value = e.load(place, self.vector, 4)
                    e.store(e.gep(there, "float", e.i64(start)), value, self.line)
            for number in range(whole, -(-size // tile)):
                for start in range(0, min(pitch, size - number * tile), plan.lanes):
                    here = e.gep(at, "float", e.i64(number * tile + start))
                    value = self.first_lanes(here, size - number * tile - start)
                    there = e.gep(to, "float", e.i64(number * pitch * plan.depth + start))
                    e.store(there, value, self.line)

    def pack_turned(self, side: Side, size: int, tile: int, source: Reg, target: Reg) -> None:
        """Packs what lies next to each other along k: squares of vectors are transposed."""
        e, plan = self.e, self.plan
        lanes = plan.lanes
        whole, rest = divmod(size, lanes)

        def group(number: Reg, count: int) -> None:
            """`count` columns, by all k."""
            at = e.gep(source, "float", weighted_sum(e, [(number, lanes * side.lead.stride)]))
            of_tile = e.i64(plan.vectors)
            tiles, part = e.op("udiv", number, of_tile), e.op("urem", number, of_tile)
            place = weighted_sum(e, [(tiles, tile * plan.depth), (part, lanes)])
            to = e.gep(target, "float", place)
            with e.loop(e.i64(0), e.i64(plan.depth // lanes)) as squares:
                self.square(side, at, to, weighted_sum(e, [(squares.index, lanes)]), count, lanes)
            left = plan.depth % lanes
            if left:
                self.square(side, at, to, e.i64(plan.depth - left), count, left)

        with e.loop(e.i64(0), e.i64(whole)) as loop:
            group(loop.index, lanes)
        if rest:
            group(e.i64(whole), rest)

    def square(self, side: Side, at: Reg, to: Reg, k: Reg, count: int, depth: int) -> None:
        """`count` columns by `depth` k from `k` on."""
        e, plan = self.e, self.plan
        rows = []
        for number in range(plan.lanes):
            if number >= count:
                rows.append(e.const(0, self.vector))
                continue
            place = weighted_sum(e, [(k, 1), (e.i64(number * side.lead.stride), 1)])
            rows.append(self.first_lanes(e.gep(at, "float", place), depth))
        for number, vector in enumerate(transposed(e, rows)[:depth]):
            place = weighted_sum(e, [(k, plan.tile_columns), (e.i64(number), plan.tile_columns)])
            e.store(e.gep(to, "float", place), vector, self.line)

    def first_lanes(self, place: Reg, count: int) -> Reg:
        """A vector of which `count` lanes (any number) are in memory, and zeros."""
        e, lanes = self.e, self.plan.lanes
        if count >= lanes:
            return e.load(place, self.vector, 4)
        mask = e.vector_const([int(i < count) for i in range(lanes)], "i1")
        arguments = [place, Reg("4", I32), mask, e.const(0, self.vector)]
        return e.call(f"llvm.masked.load.v{lanes}f32.p0", self.vector, arguments)

    # ---- tiles -----------------------------------------------------------------------------------

    def emit_tile(self, rows: int, columns: int) -> None:
        """Defines @tile.(rows)x(columns)(.., left, right, result, row, column): a tile's sums."""
        e, plan = self.e, self.plan
        vectors = -(-columns // plan.lanes)
        parameters = [*PARAMETERS, ("left", PTR), ("right", PTR), ("result", PTR)]
        parameters += [("row", I64), ("column", I64)]
        if plan.overlaps:
            parameters += [("source", PTR), ("target", PTR), ("more", I64), ("number", I64)]
        step, far = plan.left.stride, plan.left.lead.stride
        if plan.by_rows and not plan.direct:
            step, far = plan.lanes, 1
        with e.function(f"tile.{rows}x{columns}", "internal void", parameters) as registers:
            left, right, result, row, column, *following = registers[2:]
            zeros = [e.const(0, self.vector)] * (rows * vectors)
            with e.loop(e.i64(0), e.i64(rows), carried=zeros) as pieces:
                here = weighted_sum(e, [(row, 1), (pieces.index, 1)])
                self.ask(here, column, vectors)
                if following and columns == plan.tile_columns:
                    self.pack_following(here, following)
                low = e.op("udiv", weighted_sum(e, [(pieces.index, plan.depth)]), e.i64(rows))
                after = weighted_sum(e, [(pieces.index, plan.depth), (e.i64(plan.depth), 1)])
                high = e.op("udiv", after, e.i64(rows))
                with e.loop(low, high, carried=pieces.carried) as k:
                    if plan.direct:
                        self.ask_ahead(left, k.index)
                    a = e.gep(left, "float", weighted_sum(e, [(k.index, step)]))
                    b = e.gep(right, "float", weighted_sum(e, [(k.index, plan.tile_columns)]))
                    k.yield_(self.multiply_add(a, far, b, rows, k.carried))
                pieces.yield_(k.carried)
            for number, total in enumerate(pieces.carried):
                r, v = divmod(number, vectors)
                if self.at_once:
                    along = weighted_sum(e, [(column, 1), (e.i64(v * plan.lanes), 1)])
                    index, lane = self.index(weighted_sum(e, [(row, 1), (e.i64(r), 1)]), along)
                    width = min(plan.lanes, columns - v * plan.lanes)
                    self.store(e, index, lane_range(e, total, 0, width), lane)
                    continue
                place = e.gep(result, "float", e.i64(r * plan.together + v * plan.lanes))
                e.store(place, total, self.line)
            e.line("ret void")

    def pack_following(self, row: Reg, following: Sequence[Reg]) -> None:
        """Packs what a row of a tile has to of the next strip: a share of its k, in long runs,
        which hardware that looks ahead sees. Asks for what comes EARLY later.
        """
        e, plan = self.e, self.plan
        source, target, more, number = following
        tiles = plan.strip // plan.tile_columns

        def share(row: Reg) -> Reg:
            return e.op("udiv", e.op("mul nsw", row, e.i64(plan.depth)), e.i64(tiles * plan.rows))

        place = weighted_sum(e, [(number, plan.rows), (row, 1)])
        low, high = share(place), share(weighted_sum(e, [(place, 1), (e.i64(1), 1)]))
        there = e.cmp("icmp ne", more, e.i64(0))
        with e.loop(low, e.select(there, high, low)) as k:
            at = e.gep(source, "float", weighted_sum(e, [(k.index, plan.right.stride)]))
            to = e.gep(target, "float", weighted_sum(e, [(k.index, plan.tile_columns)]))
            for start in range(0, plan.strip, plan.lanes):
                here = e.gep(at, "float", e.i64(start))
                e.prefetch(e.gep(here, "float", e.i64(EARLY * plan.right.stride)))
                value = e.load(here, self.vector, 4)
                tile, within = divmod(start, plan.tile_columns)
                place = e.gep(to, "float", e.i64(tile * plan.tile_columns * plan.depth + within))
                e.store(place, value, self.line)

    def ask_ahead(self, left: Reg, k: Reg) -> None:
        """Asks for the lines of a tile AHEAD k later; of the next tile where this one ends."""
        e, plan = self.e, self.plan
        later = weighted_sum(e, [(k, 1), (e.i64(AHEAD), 1)])
        over = e.cmp("icmp sge", later, e.i64(plan.depth))
        back = e.i64(plan.tile_rows - plan.depth * plan.left.stride)
        place = weighted_sum(e, [(later, plan.left.stride), (e.select(over, back, e.i64(0)), 1)])
        for row in (0, plan.tile_rows - 1):
            at = e.gep(left, "float", weighted_sum(e, [(place, 1), (e.i64(row), 1)]))
            e.prefetch(at, level=3)

    def ask_next(self, start: Reg, number: Reg, count: int) -> None:
        """Asks for a part, one of `count`, of the next strip's columns, which lie along k."""
        e, plan = self.e, self.plan
        columns = -(-plan.strip // count)
        first = weighted_sum(e, [(start, 1), (e.i64(plan.strip), 1), (number, columns)])
        source = operand_pointer(e, TABLE, ARGS, plan.right.number)
        with e.loop(first, weighted_sum(e, [(first, 1), (e.i64(columns), 1)])) as loop:
            at = weighted_sum(e, [(loop.index, plan.right.lead.stride)])
            for k in range(0, plan.depth, LINE // 4):
                e.prefetch(e.gep(source, "float", weighted_sum(e, [(at, 1), (e.i64(k), 1)])))

    def multiply_add(self, a: Reg, far: int, b: Reg, rows: int, sums: Sequence[Reg]) -> list[Reg]:
        """One k of a tile, whose rows are `far` floats apart."""
        e, lanes = self.e, self.plan.lanes
        vectors = len(sums) // rows
        columns = [
            e.load(e.gep(b, "float", e.i64(v * lanes)), self.vector, self.line)
            for v in range(vectors)
        ]
        found = []
        for r in range(rows):
            x = e.splat(e.load(e.gep(a, "float", e.i64(r * far)), F32), lanes)
            found += [e.fma(x, y, sums[r * vectors + v]) for v, y in enumerate(columns)]
        return found

    def ask(self, row: Reg, column: Reg, vectors: int) -> None:
        """Asks for what a row of a tile's results meets."""
        e, plan = self.e, self.plan
        if not hasattr(self.store, "prefetch"):
            return
        for v in range(vectors):
            along = weighted_sum(e, [(column, 1), (e.i64(v * plan.lanes), 1)])
            index, lane = self.index(row, along)
            self.store.prefetch(e, index, lane, near=plan.direct)
