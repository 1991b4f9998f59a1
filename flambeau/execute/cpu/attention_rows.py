"""What both directions of attention's kernels are written in: packing, products, masks.

All products are calls of one kind of function: eight rows (or one) of a result by one or two
vectors of columns.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.execute.cpu import math_gates
from flambeau.execute.cpu.contraction_nest import PARAMETERS, transposed
from flambeau.execute.cpu.contraction_spec import operand_pointer, weighted_sum
from flambeau.execute.cpu.emit import (
    F32,
    I32,
    I64,
    PTR,
    Emitter,
    Reg,
    vector_registers,
)
from flambeau.execute.cpu.math_gates import LOG2_E
from flambeau.execute.cpu.math_lanes import Lanes, mad, where
from flambeau.execute.cpu.recurrence_products import aligned

ROWS = 8
# Words behind the operands: pairs of matrices k and v, heads of k, rows, columns, tasks, rows of a
# chunk, elements of a task's memory, the scale's bits, heads of q for one of k; then three strides
# of each operand with matrices.
PAIRS, HEADS, LENGTH, COLUMNS, TASKS, CHUNKED, OWN, SCALE, GROUP, STRIDES = range(10)
MATRICES = ("added", "hidden", "kept")
STRIDED = ("ct", "q", "k", "v", *MATRICES)
INFINITY = float("inf")


def lanes_of(vector_bits: int) -> int:
    """Floats of a vector."""
    return vector_bits // 32


def step_of(vector_bits: int) -> int:
    """Columns that two vectors have: rows of scores are padded to a multiple."""
    return 2 * lanes_of(vector_bits)


@dataclass(frozen=True)
class Form:
    """What the text of a kernel depends on; see Note [Extras] of ops/attention.py."""

    features: int
    width: int
    causal: bool
    safe: bool = False
    extras: tuple[str, ...] = ()
    kept_bool: bool = False
    kept_scale: float = 1.0


class Rows:
    """What both directions share: a task's pairs, packing, products, passes over rows."""

    backwards = False

    def __init__(self, form: Form, vector_bits: int) -> None:
        self.e = Emitter(vector_bits)
        self.lanes = lanes_of(vector_bits)
        self.step, self.vector = step_of(vector_bits), F32.with_lanes(self.lanes)
        self.form, self.features, self.width = form, form.features, form.width
        names = ("ct", "q", "k", "v") if self.backwards else ("q", "k", "v")
        names = (*names, *form.extras, "result", "scratch")
        self.number = {name: n for n, name in enumerate(names)}
        self.masked = bool({"added", "hidden"} & {*form.extras})
        self.finite: Reg | None = None  # see `look`

    # ---- small things ----------------------------------------------------------------------------

    def at(self, base: Reg, *terms: tuple[Reg, int]) -> Reg:
        return self.e.gep(base, "float", weighted_sum(self.e, terms))

    def times(self, a: Reg, b: Reg) -> Reg:
        return self.e.op("mul nsw", a, b)

    def plus(self, a: Reg, b: Reg | int) -> Reg:
        return self.e.op("add nsw", a, self.e.i64(b) if isinstance(b, int) else b)

    def smaller(self, a: Reg, b: Reg) -> Reg:
        return self.e.select(self.e.cmp("icmp slt", a, b), a, b)

    def rounded(self, a: Reg, unit: int) -> Reg:
        """The next multiple of a power of two."""
        return self.e.op("and", self.plus(a, unit - 1), self.e.i64(-unit))

    def word(self, args: Reg, number: int) -> Reg:
        place = self.e.gep(args, "i64", self.e.i64(2 * len(self.number) + number))
        return self.e.load(place, I64)

    def read(self, pointer: Reg) -> Lanes:
        return Lanes(self.e, self.e.load(pointer, self.vector, 4))

    def lanes_at(self, line: Reg, number: int) -> Lanes:
        """A vector of a line, by its number."""
        return self.read(self.at(line, (self.e.i64(number), self.lanes)))

    def spread(self, scalar: Reg) -> Lanes:
        return Lanes(self.e, self.e.splat(scalar, self.lanes))

    def folded(self, value: Lanes, name: str, start: float) -> Reg:
        """The sum or maximum of a vector's lanes."""
        e = self.e
        if name == "fmax":
            return e.call(f"llvm.vector.reduce.fmax.v{self.lanes}f32", F32, [value.reg])
        full = f"llvm.vector.reduce.fadd.v{self.lanes}f32"
        e.declarations.setdefault(full, f"declare float @{full}(float, {self.vector})")
        first = e.const(start, F32)
        return e.temp(F32, f"call reassoc float @{full}({first.typed}, {value.reg.typed})")

    # ---- the kernel ------------------------------------------------------------------------------

    def text(self) -> str:
        e = self.e
        for rows in (ROWS, 1):
            for vectors in (2, 1):
                self._tile(rows, vectors)
        self._transposing()
        with e.function("kernel", "i64", [*PARAMETERS, ("first", I64), ("last", I64)]) as found:
            table, args, first, last = found
            self.operands = {
                name: operand_pointer(e, table, args, n) for name, n in self.number.items()
            }
            self.pairs, self.heads, self.rows, self.columns = (self.word(args, k) for k in range(4))
            tasks, self.chunk, own = (self.word(args, k) for k in (TASKS, CHUNKED, OWN))
            self.group = self.word(args, GROUP)
            strided = [name for name in self.number if name in STRIDED]
            self.strides = {
                name: [self.word(args, STRIDES + 3 * n + k) for k in range(3)]
                for n, name in enumerate(strided)
            }
            self.wide = self.rounded(self.columns, self.step)
            self.numbers(args)
            self.reach = e.alloca(I64, 1, 8)
            with e.loop(first, last) as loop:
                memory = self.at(self.operands["scratch"], (self.times(loop.index, own), 1))
                self.memory = aligned(e, memory)
                low = e.op("udiv", self.times(loop.index, self.pairs), tasks)
                high = e.op("udiv", self.times(self.plus(loop.index, 1), self.pairs), tasks)
                with e.loop(low, high) as pairs:
                    self.pair(pairs.index)
            e.line("ret i64 0")
        return e.module()

    def numbers(self, args: Reg) -> None:
        """The scale, what hidden scores become (times log2 e), and whether that is -inf."""
        e, form = self.e, self.form
        self.scale = e.bitcast(e.cast("trunc", self.word(args, SCALE), "i32"), F32)
        if "factor" in form.extras:
            self.scale = e.op("fmul", self.scale, e.load(self.operands["factor"], F32))
        self.fill = e.const(-INFINITY, F32)
        if "fill" in form.extras:
            fill = e.load(self.operands["fill"], F32)
            self.fill = e.op("fmul", fill, e.const(LOG2_E, F32))
        self.hiding = e.cmp("fcmp oeq", self.fill, e.const(-INFINITY, F32))

    def matrix(self, name: str, pair: Reg, of: Reg | None = None) -> Reg:
        """Where an operand's matrix begins, for a pair of k and v; `of`: for which of its heads of
        q. Of bytes where it is bool.
        """
        e, (of_batch, of_head, _) = self.e, self.strides[name]
        batch, head = e.op("udiv", pair, self.heads), e.op("urem", pair, self.heads)
        if of is not None:
            head = self.plus(self.times(head, self.group), of)
        place = self.plus(self.times(batch, of_batch), self.times(head, of_head))
        return e.gep(self.operands[name], self.element(name), place)

    def element(self, name: str) -> str:
        """What an operand with matrices consists of."""
        small = name == "hidden" or (name == "kept" and self.form.kept_bool)
        return "i8" if small else "float"

    def choose(self, pair: Reg, of: Reg) -> None:
        """Goes to one head of q: where its masks begin."""
        self.masks = {
            name: self.matrix(name, pair, of) for name in MATRICES if name in self.form.extras
        }

    def pair(self, pair: Reg) -> None:
        """All of one pair's matrices."""
        raise NotImplementedError

    def limit(self, row: Reg) -> Reg:
        """How many columns a row sees."""
        return self.smaller(self.columns, self.plus(row, 1)) if self.form.causal else self.columns

    def blocks(self, low: Reg, high: Reg) -> list[tuple[int, Reg, Reg]]:
        """(rows, start, stop) of the loops over low .. high - 1: by eight, then one by one."""
        e = self.e
        count = e.op("and", e.op("sub nsw", high, low), e.i64(-ROWS))
        middle = self.plus(low, count)
        return [(ROWS, low, middle), (1, middle, high)]

    # ---- packing ---------------------------------------------------------------------------------

    def _transposing(self) -> None:
        """Defines @turn(source, stride, columns, wide, features, target): target[f][j] is element f
        of row j; the rows beyond the last repeat it.
        """
        e = self.e
        parameters = [("source", PTR), ("stride", I64), ("columns", I64), ("wide", I64)]
        parameters += [("features", I64), ("target", PTR)]
        with e.function("turn", "internal void", parameters) as registers:
            source, stride, columns, wide, features, target = registers
            last = self.plus(columns, -1)
            with (
                e.loop(e.i64(0), wide, self.lanes) as across,
                e.loop(e.i64(0), features, self.lanes) as down,
            ):
                loaded = []
                for row in range(self.lanes):
                    number = self.smaller(self.plus(across.index, row), last)
                    start = self.at(source, (self.times(number, stride), 1), (down.index, 1))
                    loaded.append(e.load(start, self.vector, 4))
                for feature, turned in enumerate(transposed(e, loaded)):
                    line = self.times(self.plus(down.index, feature), wide)
                    e.store(self.at(target, (line, 1), (across.index, 1)), turned, 4)
            e.line("ret void")

    def turn(self, operand: str, matrix: Reg, features: int, target: Reg) -> None:
        stride = self.strides[operand][2]
        sizes = [stride, self.columns, self.wide, self.e.i64(features)]
        self.e.call("turn", None, [matrix, *sizes, target], declared=True)

    # ---- products --------------------------------------------------------------------------------

    def _tile(self, rows: int, vectors: int) -> None:
        """Defines @tile<rows>x<vectors>(a, ra, ka, b, kb, count, c, rc, again): c[r] is the sum of
        a[r][k] b[k] over so many k, or that is added to it. Strides are bytes.
        """
        e = self.e
        parameters = [("a", PTR), ("ra", I64), ("ka", I64), ("b", PTR), ("kb", I64)]
        parameters += [("count", I64), ("c", PTR), ("rc", I64), ("again", I64)]
        with e.function(f"tile{rows}x{vectors}", "internal void", parameters) as registers:
            a, ra, ka, b, kb, count, c, rc, again = registers
            adding = e.splat(e.cmp("icmp ne", again, e.i64(0)), self.lanes)
            # As many rows at once as there are registers for their sums.
            most = min(rows, 8 if vector_registers(e.vector_bits) > 16 else 4)
            for top in range(0, rows, most):
                of_rows = [e.i64(r) for r in range(top, top + most)]
                starts = [e.gep(a, "i8", self.times(ra, r)) for r in of_rows]
                zeros = [e.const(0, self.vector)] * (most * vectors)
                with e.loop(e.i64(0), count, carried=zeros) as loop:
                    line = e.gep(b, "i8", self.times(loop.index, kb))
                    along = self.times(loop.index, ka)
                    right = [self.lanes_at(line, n) for n in range(vectors)]
                    totals = iter(loop.carried)
                    sums = []
                    for start in starts:
                        one = self.spread(e.load(e.gep(start, "i8", along), F32))
                        sums += [mad(one, x, Lanes(e, next(totals))).reg for x in right]
                    loop.yield_(sums)
                for number, total in enumerate(loop.carried):
                    r, n = divmod(number, vectors)
                    line = e.gep(c, "i8", self.times(rc, of_rows[r]))
                    place = self.at(line, (e.i64(n), self.lanes))
                    before = e.call(
                        f"llvm.masked.load.v{self.lanes}f32.p0",
                        self.vector,
                        [place, Reg("4", I32), adding, e.const(0, self.vector)],
                    )
                    e.store(place, e.op("fadd", before, total), 4)
            e.line("ret void")

    def product(
        self,
        rows: int,
        a: tuple[Reg, Reg, Reg],
        b: tuple[Reg, Reg],
        count: Reg,
        c: tuple[Reg, Reg],
        columns: int,
        again: Reg | None = None,
    ) -> None:
        """c[r][0 .. columns - 1] for so many rows; pointers with strides in elements."""
        e = self.e
        added = e.i64(0) if again is None else again
        bytes_ = [self.times(x, e.i64(4)) for x in (a[1], a[2], b[1], c[1])]

        def call(vectors: int, column: Reg) -> None:
            places = [self.at(x, (column, 1)) for x in (b[0], c[0])]
            arguments = [
                a[0],
                *bytes_[:2],
                places[0],
                bytes_[2],
                count,
                places[1],
                bytes_[3],
                added,
            ]
            e.call(f"tile{rows}x{vectors}", None, arguments, declared=True)

        whole = columns // self.step * self.step
        for column in range(0, whole, self.step):
            call(2, e.i64(column))
        if columns > whole:
            call(1, e.i64(whole))

    def scores(
        self, rows: int, a: tuple[Reg, Reg], turned: Reg, count: int, to: Reg, end: Reg
    ) -> None:
        """Rows of products with a transposed matrix, of the columns up to a multiple of `step`."""
        e, four = self.e, self.e.i64(4)
        stride, wide = self.times(a[1], four), self.times(self.wide, four)
        with e.loop(e.i64(0), end, self.step) as loop:
            right, target = (self.at(x, (loop.index, 1)) for x in (turned, to))
            arguments = [a[0], stride, four, right, wide, e.i64(count), target, wide, e.i64(0)]
            e.call(f"tile{rows}x2", None, arguments, declared=True)

    # ---- passes over a row of scores -------------------------------------------------------------

    def limits(self, first: Reg, rows: int) -> list[Reg]:
        """How many columns each of some rows sees, in every lane."""
        e = self.e
        found = []
        for row in range(rows):
            limit = e.cast("trunc", self.limit(self.plus(first, row)), "i32")
            found.append(e.splat(limit, self.lanes))
        return found

    def seen(self, column: Reg, limit: Reg) -> Reg:
        """Which of a vector's columns are before the limit."""
        e = self.e
        start = e.splat(e.cast("trunc", column, "i32"), self.lanes)
        numbers = e.op("add", start, e.lane_numbers(self.lanes, "i32"))
        return e.cmp("icmp slt", numbers, limit)

    def mask(self, name: str, row: Reg, column: Reg, seen: Reg) -> Reg:
        """A vector of a mask; of a bool one, whether they hold."""
        e, element = self.e, self.element(name)
        type_ = self.vector.with_element(element)
        place = self.plus(self.times(row, self.strides[name][2]), column)
        kind = "f32" if element == "float" else "i8"
        align = 4 if element == "float" else 1
        pointer, none = e.gep(self.masks[name], element, place), e.const(0, type_)
        name = f"llvm.masked.load.v{self.lanes}{kind}.p0"

        def some() -> Reg:
            return e.call(name, type_, [pointer, Reg(str(align), I32), seen, none])

        if e.vector_bits == 512:
            loaded = some()
        else:  # narrower machines load masked lanes one by one
            whole = e.cmp("icmp sle", self.plus(column, self.lanes), self.columns)
            loaded = e.either(whole, lambda: e.load(pointer, type_, align), some)
            loaded = e.select(seen, loaded, none)
        return loaded if element == "float" else e.cmp("icmp ne", loaded, none)

    def exponents(self, place: Reg, row: Reg, column: Reg, limit: Reg, factor: Lanes) -> Lanes:
        """Scores times a factor, with masks; -inf from the limit on."""
        e, seen = self.e, self.seen(column, limit)
        x = self.read(place) * factor
        if "added" in self.form.extras:
            x = mad(Lanes(e, self.mask("added", row, column, seen)), LOG2_E, x)
        if "hidden" in self.form.extras:
            hidden = Lanes(e, self.mask("hidden", row, column, seen))
            fill = self.spread(self.fill)
            x = where(hidden, fill if "fill" in self.form.extras else x + fill, x)
        return where(Lanes(e, seen), x, -INFINITY)

    def largest(
        self, rows: int, scores: Reg, first: Reg, end: Reg, limits: Sequence[Reg]
    ) -> tuple[list[Lanes], list[Reg]]:
        """Scores of some rows become exponents. Each row's largest, and where it is -inf (only with
        `safe`: 0 is its largest then).
        """
        e, factor = self.e, self.factor()
        lowest = e.const(-INFINITY, self.vector)
        with e.loop(e.i64(0), end, self.lanes, [lowest] * rows) as loop:
            tops = []
            for r, place in enumerate(self.lines(scores, loop.index, rows)):
                x = self.exponents(place, self.plus(first, r), loop.index, limits[r], factor)
                e.store(place, x.reg, 4)
                top = Lanes(e, loop.carried[r])
                tops.append(where(x.gt(top), x, top).reg)
            loop.yield_(tops)
        most = [self.folded(Lanes(e, top), "fmax", 0) for top in loop.carried]
        none: list[Reg] = []
        if self.form.safe:
            none = [e.cmp("fcmp oeq", top, e.const(-INFINITY, F32)) for top in most]
            zero = e.const(0, F32)
            most = [e.select(x, zero, top) for x, top in zip(none, most, strict=True)]
        return [self.spread(top) for top in most], none

    def parts(self, sums: Sequence[Reg], none: Sequence[Reg]) -> list[Lanes]:
        """What weights are multiplied by, for the sums (in lanes) of some rows."""
        e, one = self.e, self.e.const(1, F32)
        totals = [self.folded(Lanes(e, x), "fadd", 0) for x in sums]
        if none:
            totals = [e.select(x, one, total) for x, total in zip(none, totals, strict=True)]
        part = 1.0 / Lanes(e, self.joined(totals))
        if len(totals) == 1:
            return [self.spread(part.reg)]
        return [self.spread(e.extract(part.reg, r)) for r in range(len(totals))]

    def joined(self, scalars: Sequence[Reg]) -> Reg:
        """One lane for each."""
        e = self.e
        if len(scalars) == 1:
            return scalars[0]
        result = e.const(0, F32.with_lanes(len(scalars)))
        for lane, scalar in enumerate(scalars):
            result = e.insert(result, scalar, lane)
        return result

    def keeping(self, row: Reg, column: Reg, limit: Reg) -> Lanes:
        """What a vector of weights are multiplied by."""
        e = self.e
        kept = Lanes(e, self.mask("kept", row, column, self.seen(column, limit)))
        scale = Lanes(e, e.const(self.form.kept_scale, self.vector))
        return where(kept, scale, 0.0) if self.form.kept_bool else kept * scale

    def look(self, *matrices: tuple[str, Reg, Reg, int]) -> None:
        """Notes whether matrices (operand, where, rows, features) have finite numbers alone: else
        nothing that is hidden may be left out, since 0 times NaN or infinity is NaN.
        """
        if not (self.masked or self.form.causal):
            return
        e, zero = self.e, self.spread(self.e.const(0.0, F32))
        for operand, matrix, rows, features in matrices:
            steps = range(features // self.lanes)
            with e.loop(e.i64(0), rows, carried=[zero.reg] * min(len(steps), 4)) as loop:
                line = self.at(matrix, (self.times(loop.index, self.strides[operand][2]), 1))
                sums = list(loop.carried)
                for n in steps:
                    total = Lanes(e, sums[n % 4])
                    sums[n % 4] = mad(self.lanes_at(line, n), zero, total).reg
                loop.yield_(sums)
            total = Lanes(e, loop.carried[0])
            for one in loop.carried[1:]:
                total = total + Lanes(e, one)
            finite = e.cmp("fcmp oeq", self.folded(total, "fadd", 0), e.const(0.0, F32))
            self.finite = finite if self.finite is None else e.op("and", self.finite, finite)

    def visible(self, first: Reg, rows: int) -> Reg:
        """How many columns some rows need: all behind them are hidden from each."""
        found = self._visible(first, rows)
        return found if self.finite is None else self.e.select(self.finite, found, self.columns)

    def _visible(self, first: Reg, rows: int) -> Reg:
        e, most = self.e, self.limit(self.plus(first, rows - 1))
        if not self.masked:
            return most
        limits = self.limits(first, rows)
        # A row that sees nothing is NaN everywhere unless it is safe: then all columns are needed.
        flags = [] if self.form.safe else [e.const(False, self.vector.with_element("i1"))] * rows
        with e.loop(e.i64(0), most, self.lanes, [e.i64(0), *flags]) as loop:
            shown = [self.shown(self.plus(first, r), loop.index, limits[r]) for r in range(rows)]
            joined = shown[0]
            for one in shown[1:]:
                joined = e.op("or", joined, one)
            behind = self.plus(loop.index, self.lanes)
            end = e.select(e.any_lane(joined), behind, loop.carried[0])
            so_far = zip(loop.carried[1:], shown) if flags else ()
            loop.yield_([end, *[e.op("or", x, y) for x, y in so_far]])
        end = self.smaller(loop.carried[0], most)
        for one in loop.carried[1:]:
            end = e.select(e.any_lane(one), end, most)
        return end

    def shown(self, row: Reg, column: Reg, limit: Reg) -> Reg:
        """Which of a vector's columns a row sees."""
        e, flags = self.e, self.vector.with_element("i1")
        found = self.seen(column, limit)
        if "hidden" in self.form.extras:
            hidden = e.op(
                "and", self.mask("hidden", row, column, found), e.splat(self.hiding, self.lanes)
            )
            found = e.op("and", found, e.op("xor", hidden, e.const(True, flags)))
        if "added" in self.form.extras:
            added = self.mask("added", row, column, found)
            found = e.op("and", found, e.cmp("fcmp une", added, e.const(-INFINITY, self.vector)))
        return found

    def lines(self, base: Reg, column: Reg, rows: int) -> list[Reg]:
        """Where rows of scores have a column."""
        return [self.at(base, (self.wide, r), (column, 1)) for r in range(rows)]

    def power(self, y: Lanes) -> Lanes:
        """2^y for y up to 0 (and some above); 0 from -126 on."""
        return math_gates.power(where(y.lt(-126.0), -126.0, y), -(2.0**-126))

    def factor(self) -> Lanes:
        scaled = self.e.op("fmul", self.scale, self.e.const(LOG2_E, F32))
        return self.spread(scaled)
