"""The register tiles of a contraction: multiply-add loops and what becomes of their sums.

A tile is an internal function per shape (whole and last tiles), called from the loops around it.
Outer form: a vector of B times a broadcast element of A. Dot form: a vector of B times a vector
of A, lanes added up last.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    emit_stage,
    lane_range,
    lane_sums,
    transposed,
)
from flambeau.execute.cpu.contraction_pairs import with_pairs_added
from flambeau.execute.cpu.contraction_plan import LINE, PAGE
from flambeau.execute.cpu.contraction_schedule import (
    ASKING_STEPS,
    BLOCK,
    COLS,
    PARTS,
    ROWS,
    KLoop,
    Operand,
    Schedule,
)
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    BYTES,
    PICKED,
    SCRATCH,
    TABLE,
    Band,
    StoreCallback,
    load_element,
    operand_pointer,
    store_lanes,
    weighted_sum,
)
from flambeau.execute.cpu.emit import I64, PTR, Emitter, Reg, Type

LINE_STEPS = 16  # of k, between which a tile asks for lines of far rows
AHEAD = 512  # elements
LONG_SUM = 64  # terms in whose time what a sum meets can come
INLINE_STORES = 128  # Instructions of store callbacks in one tile before they go into a loop.


@dataclass(frozen=True, slots=True)
class Storing:
    """The store callback and roughly how many instructions it emits per piece."""

    store: StoreCallback
    size: int


class TileFunction:
    """Emits the function of a tile shape: `rows` by the vectors (dot: columns) in `widths`."""

    def __init__(
        self, e: Emitter, s: Schedule, rows: int, widths: tuple[int, ...], storing: Storing
    ) -> None:
        self.e = e
        self.s = s
        self.rows = rows
        self.widths = widths
        self.storing = storing
        self.accumulator = s.spec.accumulator
        self.lanes = s.choice.lanes
        self.type = Type(self.accumulator, self.lanes)
        self.stack: Reg | None = None
        self.bytes: Reg | None = None  # where those are that pick elements of B
        self.number = e.i64(0)  # of the picked ones

    def emit(self, name: str) -> None:
        e, s = self.e, self.s
        parameters = [*PARAMETERS, ("a", PTR), ("b", PTR), ("partial", PTR)]
        parameters += [("first", I64), ("last", I64)]
        parameters += [(f"i{position}", I64) for position in s.out_positions()]
        parameters += [("bytes", PTR)] * bool(s.spec.picks)
        parameters += [("ahead", PTR), ("asked", I64)] * s.packs_near
        with e.function(name, "internal void", parameters) as registers:
            _, _, a, b, partial, first, last, *index = registers
            if s.packs_near:
                *index, self.ahead, self.asked = index
            self.bytes = index.pop() if s.spec.picks else None
            self.partial, self.first, self.last = partial, first, last
            self.index = dict(zip(s.out_positions(), index, strict=True))
            if self._pieces_on_stack():
                self.stack = e.alloca(Type(self.accumulator), self._stack_elements())
            count = self.rows * len(self.widths) * (s.choice.unroll if s.choice.dot else 1)
            zeros = [e.const(0, self.type)] * count
            self._ask_for_results()
            goes_on = s.choice.streams or s.choice.depth
            sums = self._k_loop(0, a, b, self._so_far() if goes_on else zeros)
            self._finish(self._joined_chunks(sums))
            e.line("ret void")

    def _pieces_on_stack(self) -> bool:
        """Whether finished pieces go through memory, so that the callback is emitted in a loop."""
        if self.s.in_memory:
            return False
        pieces = self.rows if self.s.choice.dot else self.rows * len(self.widths)
        return self.s.by_rows or pieces * self.storing.size > INLINE_STORES

    def _stack_elements(self) -> int:
        size = 1 << (self.rows - 1).bit_length()
        return max(size, self.rows) * len(self.widths) * self.lanes + self.lanes

    # ---- sums ------------------------------------------------------------------------------------

    def _so_far(self) -> list[Reg]:
        """The part's sums, which earlier blocks of terms have given."""
        e, found = self.e, []
        for r in range(self.rows):
            for v, width in enumerate(self.widths):
                place = self._place_in_part(e.i64(r), e.i64(v * self.lanes))
                found.append(load_element(e, place, self.accumulator, self.lanes, width))
        return found

    def _k_loop(self, level: int, a: Reg, b: Reg, sums: list[Reg]) -> list[Reg]:
        """Loop number `level` of the sum and those inside; returns the new sums."""
        e, s = self.e, self.s
        dot = s.choice.dot
        if level == len(s.k_loops):
            return self._multiply_add(a, b, sums, self.lanes)
        if dot and level == len(s.k_loops) - 1:
            return self._lane_loop(a, b, sums)
        k = s.k_loops[level]
        bounds = (e.i64(0), e.i64(k.extent))
        if level == s.part_level:
            bounds = (self.first, self.last)
        if k.band is not None:
            bounds = self._within(k.band, bounds)
        if level == len(s.k_loops) - 1 and self._walks_lines(k):
            return self._lines(a, b, bounds, k, sums)
        if s.packs_near:
            return self._asking(a, b, bounds, k, sums)
        with e.loop(*bounds, carried=sums) as loop:
            at_a = e.gep(a, s.a.element, weighted_sum(e, [(loop.index, k.a)]))
            at_b = e.gep(b, s.b.element, weighted_sum(e, [(loop.index, k.b)]))
            before = self.bytes, self.number
            self._pick(weighted_sum(e, [(loop.index, k.b)]), loop.index, k.weight)
            if s.asks_for_blocks:
                for v in range(len(self.widths)):
                    place = e.i64(BLOCK * k.b + v * self.lanes)
                    e.prefetch(e.gep(at_b, s.b.element, place))
            if level == len(s.k_loops) - 1 and s.asks_for_rows:
                self._ask(at_a, e.i64((2 * self.rows - 1) * s.a.row))
            loop.yield_(self._k_loop(level + 1, at_a, at_b, loop.carried))
            self.bytes, self.number = before
        return loop.carried

    def _asking(
        self, a: Reg, b: Reg, bounds: tuple[Reg, Reg], k: KLoop, sums: list[Reg]
    ) -> list[Reg]:
        """The loop of `_k_loop`, in steps between which lines of B are asked for, of the terms that
        the tiles of the next block meet: those of all rows ask for all of them.
        """
        e, s = self.e, self.s
        with e.loop(*bounds, ASKING_STEPS, carried=sums) as steps:
            done = e.op("udiv", e.op("sub nsw", steps.index, bounds[0]), e.i64(ASKING_STEPS))
            for number in range(s.asked_lines):
                terms = [(done, s.asked_lines), (self.asked, 1), (e.i64(number), 1)]
                line = weighted_sum(e, terms)
                term = e.op("udiv", line, e.i64(s.term_lines))
                part = e.op("urem", line, e.i64(s.term_lines))
                there = s.b_there
                terms = [(term, there.k[-1]), (part, LINE // BYTES[there.element])]
                e.prefetch(e.gep(self.ahead, there.element, weighted_sum(e, terms)))
            end = weighted_sum(e, [(steps.index, 1), (e.i64(ASKING_STEPS), 1)])
            end = e.intrinsic("llvm.smin", end, bounds[1])
            with e.loop(steps.index, end, carried=steps.carried) as loop:
                at_a = e.gep(a, s.a.element, weighted_sum(e, [(loop.index, k.a)]))
                at_b = e.gep(b, s.b.element, weighted_sum(e, [(loop.index, k.b)]))
                loop.yield_(self._multiply_add(at_a, at_b, loop.carried, self.lanes))
            steps.yield_(loop.carried)
        return steps.carried

    def _pick(self, offset: Reg, index: Reg, weight: int) -> None:
        """Goes on by so many bytes; by so much to another number."""
        if self.bytes is not None:
            self.bytes = self.e.gep(self.bytes, "i8", offset)
            self.number = weighted_sum(self.e, [(self.number, 1), (index, weight)])

    def _walks_lines(self, k: KLoop) -> bool:
        """Whether a tile walks along rows of A that are pages apart: where one page ends, hardware
        does not know the next.
        """
        s = self.s
        far = s.a.row * BYTES[s.a.element] >= PAGE and not s.choice.streams
        return far and not s.a.packed and k.band is None and k.a == 1 and k.extent >= AHEAD

    def _lines(
        self, a: Reg, b: Reg, bounds: tuple[Reg, Reg], k: KLoop, sums: list[Reg]
    ) -> list[Reg]:
        """The loop of `_k_loop`, in steps of a line of A, of which later ones are asked for; behind
        the last one the first ones of the rows that the next tile meets.
        """
        e, s = self.e, self.s
        low, high = bounds
        next_rows = e.op("sub nsw", e.i64(self.rows * s.a.row), e.op("sub nsw", high, low))
        with e.loop(*bounds, LINE_STEPS, carried=sums) as lines:
            ahead = weighted_sum(e, [(lines.index, 1), (e.i64(AHEAD), 1)])
            behind = e.op("add nsw", ahead, next_rows)
            ahead = e.select(e.cmp("icmp slt", ahead, high), ahead, behind)
            for r in range(self.rows):
                self._ask(a, weighted_sum(e, [(ahead, 1), (e.i64(r * s.a.row), 1)]))
            end = weighted_sum(e, [(lines.index, 1), (e.i64(LINE_STEPS), 1)])
            end = e.intrinsic("llvm.smin", end, bounds[1])
            with e.loop(lines.index, end, carried=lines.carried) as loop:
                at_a = e.gep(a, s.a.element, weighted_sum(e, [(loop.index, k.a)]))
                at_b = e.gep(b, s.b.element, weighted_sum(e, [(loop.index, k.b)]))
                loop.yield_(self._multiply_add(at_a, at_b, loop.carried, self.lanes))
            lines.yield_(loop.carried)
        return lines.carried

    def _ask(self, a: Reg, offset: Reg) -> None:
        """Asks for the line of A that is so many elements further."""
        self.e.prefetch(self.e.gep(a, self.s.a.element, offset))

    def _ask_for_results(self) -> None:
        """Asks for what the sums will meet, while they are made."""
        e, s, store = self.e, self.s, self.storing.store
        along = s.choice.col
        if s.in_memory or s.by_rows or s.choice.dot or along < 0 or self.lanes == 1:
            return
        if not hasattr(store, "prefetch") or s.roles.k_extent < LONG_SUM:
            return
        order = list(s.out_positions())
        with e.loop(e.i64(0), e.i64(self.rows)) as loop:
            for v in range(len(self.widths)):
                index = dict(self.index)
                index[along] = weighted_sum(e, [(index[along], 1), (e.i64(v * self.lanes), 1)])
                if s.choice.row >= 0:
                    index[s.choice.row] = weighted_sum(
                        e, [(index[s.choice.row], 1), (loop.index, 1)]
                    )
                store.prefetch(e, [index[p] for p in order], order.index(along))

    def _within(self, band: Band, bounds: tuple[Reg, Reg]) -> tuple[Reg, Reg]:
        """The part of a loop's range that a band leaves at this tile."""
        e = self.e
        low, high = e.i64(band.low), e.i64(band.low + band.size - 1 + band.spread)
        if band.out >= 0:
            start = e.op("mul nsw", self.index[band.out], e.i64(band.step))
            low, high = e.op("sub nsw", low, start), e.op("sub nsw", high, start)
        zero, spread = e.i64(0), e.i64(band.spread)
        low = e.op("add nsw", e.intrinsic("llvm.smax", low, zero), e.i64(band.spread - 1))
        high = e.intrinsic("llvm.smax", high, zero)
        if band.spread > 1:
            low, high = e.op("udiv", low, spread), e.op("udiv", high, spread)
        first = e.intrinsic("llvm.smax", low, bounds[0])
        return first, e.intrinsic("llvm.smin", high, bounds[1])

    def _lane_loop(self, a: Reg, b: Reg, sums: list[Reg]) -> list[Reg]:
        """The innermost loop of the dot form: `unroll` chunks at a time, then what is left."""
        e, s = self.e, self.s
        extent, chunk = s.k_loops[-1].extent, s.chunk
        supers = extent // chunk
        cut = s.part_level == len(s.k_loops) - 1
        first, last = (self.first, self.last) if cut else (e.i64(0), e.i64(supers))
        if supers > 1 or cut:
            with e.loop(first, last, carried=sums) as loop:
                start = e.op("mul nsw", loop.index, e.i64(chunk))
                loop.yield_(self._chunks(a, b, loop.carried, start, chunk))
            sums = loop.carried
        elif supers == 1:
            sums = self._chunks(a, b, sums, e.i64(0), chunk)
        rest = extent - supers * chunk
        if not rest:
            return sums
        if not cut:
            return self._chunks(a, b, sums, e.i64(supers * chunk), rest)
        ours = e.cmp("icmp eq", last, e.i64(supers))
        with e.loop(e.select(ours, e.i64(0), e.i64(1)), e.i64(1), carried=sums) as once:
            once.yield_(self._chunks(a, b, once.carried, e.i64(supers * chunk), rest))
        return once.carried

    def _chunks(self, a: Reg, b: Reg, sums: list[Reg], start: Reg, count: int) -> list[Reg]:
        """Adds `count` k from `start` on, chunk after chunk, each into its own set of sums."""
        e = self.e
        size = self.rows * len(self.widths)
        sums = list(sums)
        for number, offset in enumerate(range(0, count, self.lanes)):
            place = weighted_sum(e, [(start, 1), (e.i64(offset), 1)])
            at_a = e.gep(a, self.s.a.element, place)
            at_b = e.gep(b, self.s.b.element, place)
            mine = slice(number * size, (number + 1) * size)
            width = min(self.lanes, count - offset)
            before = self.bytes, self.number
            self._pick(place, place, 0)
            sums[mine] = self._multiply_add(at_a, at_b, sums[mine], width)
            self.bytes, self.number = before
        return sums

    def _multiply_add(self, a: Reg, b: Reg, sums: Sequence[Reg], width: int) -> list[Reg]:
        """One k (dot: one chunk of `width` k) for every row and vector of the tile."""
        loads_a: dict[tuple[int, int], Reg] = {}
        loads_b: dict[tuple[int, int], Reg] = {}
        columns = range(len(self.widths))
        if not self.s.b.row:
            for v in columns:
                self._load(loads_b, self.s.b, b, 0, v, width)
        new = []
        for r in range(self.rows):
            for v in columns:
                x = self._load(loads_a, self.s.a, a, r, v, width)
                y = self._load(loads_b, self.s.b, b, r, v, width)
                new.append(self._fused(x, y, sums[r * len(self.widths) + v]))
        return new

    def _load(
        self,
        made: dict[tuple[int, int], Reg],
        operand: Operand,
        base: Reg,
        r: int,
        v: int,
        width: int,
    ) -> Reg:
        """What an operand gives to row r and vector v: a vector, or one element in all lanes."""
        e, dot = self.e, self.s.choice.dot
        key = (r if operand.row else 0, v if operand.col else 0)
        if key in made:
            return made[key]
        unit = 1 if dot else self.lanes
        offset = e.i64(key[0] * operand.row + key[1] * unit * operand.col)
        pointer = e.gep(base, operand.element, offset)
        if dot:
            value = load_element(e, pointer, operand.element, self.lanes, width)
            if self.bytes is not None and operand is self.s.b:
                value = self._picked(value, e.gep(self.bytes, "i8", offset), width)
        elif operand.col:
            width = self.lanes if operand.packed else self.widths[v]
            value = load_element(e, pointer, operand.element, self.lanes, width)
        else:
            value = e.splat(load_element(e, pointer, operand.element, 1, 1), self.lanes)
        made[key] = value
        return value

    def _picked(self, value: Reg, place: Reg, width: int) -> Reg:
        """Zeros but where the bytes at `place` are the number."""
        e = self.e
        found = load_element(e, place, "i8", self.lanes, width)
        wanted = e.splat(e.cast("trunc", self.number, "i8"), self.lanes)
        hit = e.cmp("icmp eq", found, wanted)
        return e.select(hit, value, e.const(0, value.type))

    def _fused(self, a: Reg, b: Reg, total: Reg) -> Reg:
        e = self.e
        if self.s.spec.pairs:
            return with_pairs_added(e, a, b, total)
        if not a.type.is_float:
            return e.op("add", e.op("mul", a, b), total)
        return e.multiply_add(a, b, total)

    def _joined_chunks(self, sums: list[Reg]) -> list[Reg]:
        """Adds up the sets of sums of the chunks that ran side by side."""
        size = self.rows * len(self.widths)
        opcode = "fadd" if self.type.is_float else "add"
        while len(sums) > size:
            more = sums[size : 2 * size]
            added = [self.e.op(opcode, x, y) for x, y in zip(sums[:size], more, strict=True)]
            sums = added + sums[2 * size :]
        return sums

    # ---- finished sums ---------------------------------------------------------------------------

    def _finish(self, sums: list[Reg]) -> None:
        """Stores the tile: as partial sums, piece by piece along col, or transposed along row."""
        count = len(self.widths)
        grid = [sums[r * count : (r + 1) * count] for r in range(self.rows)]
        if self.s.choice.dot and self.s.by_rows:
            columns = [[row[c] for row in grid] for c in range(count)]
            self._store_columns([lane_sums(self.e, column) for column in columns])
            return
        if self.s.choice.dot:
            pieces = [[lane_sums(self.e, row)] for row in grid]
            self._store_rows(pieces, (count,))
        elif self.s.by_rows:
            self._store_transposed(grid)
        else:
            self._store_rows(grid, self.widths)

    def _store_rows(self, grid: list[list[Reg]], widths: tuple[int, ...]) -> None:
        """Pieces along the column axis: widths[v] indices each, one list per row."""
        e = self.e
        unit = widths[0]
        if self.stack is None:
            for r, row in enumerate(grid):
                for v, (value, width) in enumerate(zip(row, widths, strict=True)):
                    self._piece(e.i64(r), e.i64(v * unit), lane_range(e, value, 0, width), True)
            return
        size = grid[0][0].type.lanes
        for number, value in enumerate([value for row in grid for value in row]):
            e.store(e.gep(self.stack, self.accumulator, e.i64(number * size)), value)
        with e.loop(e.i64(0), e.i64(len(grid))) as rows:
            whole = sum(width == unit for width in widths)
            with e.loop(e.i64(0), e.i64(whole)) as columns:
                self._stacked_piece(rows.index, columns.index, len(widths), size, unit)
            if whole < len(widths):
                self._stacked_piece(rows.index, e.i64(whole), len(widths), size, widths[-1])

    def _stacked_piece(self, row: Reg, column: Reg, count: int, size: int, width: int) -> None:
        """Takes piece (row, column), of `size` lanes, off the stack and stores `width` of them."""
        assert self.stack is not None
        place = weighted_sum(self.e, [(row, count * size), (column, size)])
        pointer = self.e.gep(self.stack, self.accumulator, place)
        value = self.e.load(pointer, Type(self.accumulator, width))
        self._piece(row, weighted_sum(self.e, [(column, size)]), value, True)

    def _store_transposed(self, grid: list[list[Reg]]) -> None:
        """Outer form with rows next to each other in out: transposes the tile through the stack."""
        e = self.e
        assert self.stack is not None
        size = 1 << (self.rows - 1).bit_length()
        zero = e.const(0, self.type)
        for v in range(len(self.widths)):
            rows = [grid[r][v] if r < self.rows else zero for r in range(size)]
            for number, vector in enumerate(transposed(e, rows)):
                offset = (v * size + number) * self.lanes
                e.store(e.gep(self.stack, self.accumulator, e.i64(offset)), vector)
        self._columns_from_stack(sum(self.widths), size)

    def _store_columns(self, columns: list[Reg]) -> None:
        """Dot form with rows next to each other in out: a vector of rows per column."""
        assert self.stack is not None
        for number, value in enumerate(columns):
            offset = self.e.i64(number * self.rows)
            self.e.store(self.e.gep(self.stack, self.accumulator, offset), value)
        self._columns_from_stack(len(columns), self.rows)

    def _columns_from_stack(self, count: int, size: int) -> None:
        e = self.e
        assert self.stack is not None
        with e.loop(e.i64(0), e.i64(count)) as loop:
            offset = weighted_sum(e, [(loop.index, size)])
            pointer = e.gep(self.stack, self.accumulator, offset)
            value = e.load(pointer, Type(self.accumulator, self.rows))
            self._piece(e.i64(0), loop.index, value, False)

    def _piece(self, row: Reg, column: Reg, value: Reg, along_columns: bool) -> None:
        """Hands one piece, `row` and `column` indices into the tile, to its destination."""
        e, s = self.e, self.s
        if s.in_memory:
            store_lanes(e, self._place_in_part(row, column), value)
            return
        index = self._moved(row, column)
        give(e, s, self.storing, index, value, s.choice.col if along_columns else s.choice.row)

    def _moved(self, row: Reg, column: Reg) -> dict[int, Reg]:
        """The index that is `row` and `column` further than the tile's."""
        s, index = self.s, dict(self.index)
        for position, offset in ((s.choice.row, row), (s.choice.col, column)):
            if position >= 0:
                index[position] = weighted_sum(self.e, [(index[position], 1), (offset, 1)])
        return index

    def _place_in_part(self, row: Reg, column: Reg) -> Reg:
        """Where a part of the sum has what belongs to that index."""
        index = self._moved(row, column)
        terms = [(index[p], stride) for p, stride in self.s.partial_strides.items()]
        return self.e.gep(self.partial, self.accumulator, weighted_sum(self.e, terms))


def give(
    e: Emitter, s: Schedule, storing: Storing, index: dict[int, Reg], value: Reg, position: int
) -> None:
    """Calls the store callback for a piece along the axis at `position` (-1: a single element)."""
    order = list(s.out_positions())
    registers = [index[p] for p in order]
    lane_axis = order.index(position) if position >= 0 else max(0, len(order) - 1)
    storing.store(e, registers, value, lane_axis)


def emit_tile_functions(e: Emitter, s: Schedule, storing: Storing) -> dict[tuple[bool, bool], str]:
    """Defines the tile functions of a schedule: names by (last row tile, last column tile)."""
    functions = {}
    for row_tail in s.rows.versions:
        for col_tail in s.cols.versions:
            rows, widths = len(s.rows.of(row_tail)), s.cols.of(col_tail)
            function = f"tile.{rows}x{len(widths)}{'.last' if col_tail else ''}"
            functions[row_tail, col_tail] = function
            TileFunction(e, s, rows, widths, storing).emit(function)
    return functions


def emit_tiles(e: Emitter, s: Schedule, storing: Storing, name: str) -> None:
    """Defines the tile functions of a schedule and the stage @name that runs them all."""
    functions = emit_tile_functions(e, s, storing)
    keys = [key for key, _ in s.dimensions]

    def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        at = dict(zip(keys, indices, strict=True))
        tail = dict(zip(keys, tails, strict=True))
        call_tile(e, s, functions[tail[ROWS], tail[COLS]], at)

    emit_stage(e, name, [dimension for _, dimension in s.dimensions], body)


def call_tile(
    e: Emitter,
    s: Schedule,
    function: str,
    at: dict[int, Reg],
    memory: Reg | None = None,
    bounds: tuple[Reg, Reg] | None = None,
    asking: tuple[Reg, ...] = (),
    near: Reg | None = None,
) -> None:
    """Calls a tile's function at an index for each loop; `memory`: %partial of a sum in one part;
    `bounds`: which terms, of those that the part has; `asking`: %ahead and %asked;
    `near`: where the terms of B are, the first of all of them.
    """
    a, b = tile_pointer(e, s.a, at), near or tile_pointer(e, s.b, at)
    partial = memory or Reg("null", PTR)
    first, last = bounds or (e.i64(0), e.i64(0))
    if s.parts > 1:
        partial = part_memory(e, s, at)
        first, last = bounds or part_terms(e, s, at)
    index = []
    for position in s.out_positions():
        if position == s.choice.row:
            index.append(weighted_sum(e, [(at[ROWS], s.rows.size)]))
        elif position == s.choice.col:
            index.append(weighted_sum(e, [(at[COLS], s.cols.size)]))
        else:
            index.append(at.get(position, e.i64(0)))
    if s.spec.picks:
        index.append(tile_pointer(e, replace(s.b, number=PICKED, element="i8"), at))
    e.call(
        function, None, [TABLE, ARGS, a, b, partial, first, last, *index, *asking], declared=True
    )


def part_memory(e: Emitter, s: Schedule, at: dict[int, Reg]) -> Reg:
    """Where the sums of a part are."""
    base = e.gep(operand_pointer(e, TABLE, ARGS, SCRATCH), "i8", e.i64(s.partial_offset))
    return e.gep(base, s.spec.accumulator, weighted_sum(e, [(at[PARTS], s.partial_size)]))


def part_terms(e: Emitter, s: Schedule, at: dict[int, Reg]) -> tuple[Reg, Reg]:
    """The first term of a part of the sum, and the first that is not."""
    count, parts = e.i64(s.part_extent), e.i64(s.parts)
    ends = [at[PARTS], e.op("add nsw", at[PARTS], e.i64(1))]
    low, high = [e.op("udiv", e.op("mul nsw", end, count), parts) for end in ends]
    return low, high


def tile_pointer(e: Emitter, operand: Operand, at: dict[int, Reg]) -> Reg:
    terms = [(at[p], stride) for p, stride in operand.outer.items()]
    terms += [(at[ROWS], operand.row_tile), (at[COLS], operand.col_tile)]
    base = operand_pointer(e, TABLE, ARGS, operand.number)
    if operand.offset:
        base = e.gep(base, "i8", e.i64(operand.offset))
    return e.gep(base, operand.element, weighted_sum(e, terms))
