"""Kernels for attention: some rows of scores at a time, for any lengths (AVX-512, float32).

Note [Rows of scores]
A task has some of the B x H pairs of matrices. It packs the keys of one, transposed, so that a
vector is one feature of 16 keys. Eight rows of q then make eight rows of scores, whose softmax and
product with v follow while they are in the nearest cache; a causal mask ends the rows at the last
column that one of the eight sees. The gradient makes the weights p of as many rows as the level-2
cache holds again, and the gradient ds of their scores likewise, and from them

    dq = ds k (eight rows at a time),   dk += ds^T q,   dv += p^T ct (eight columns at a time)

All products are calls of one kind of function: eight rows (or one) of a result by 16 or 32 columns.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from flambeau.execute.cpu import math_gates, math_logarithm
from flambeau.execute.cpu.contraction_nest import PARAMETERS, transposed
from flambeau.execute.cpu.contraction_spec import operand_pointer, weighted_sum
from flambeau.execute.cpu.emit import F32, I32, I64, PTR, Emitter, Reg
from flambeau.execute.cpu.math_lanes import Lanes, mad, where
from flambeau.execute.cpu.recurrence_products import aligned
from flambeau.execute.cpu.target import Target
from flambeau.ops.attention import LOG2_E
from flambeau.ops.value import Value

LANES, ROWS, WIDE = 16, 8, 32
VECTOR = F32.with_lanes(LANES)
MOST_FEATURES = 256
MOST_TASKS = 8
# Elements of scores that a chunk of rows of the gradient has, and the most that a row may have.
CHUNK, MOST_COLUMNS = 1 << 15, 1 << 14
ALIGNING = 64
# Words behind the operands: pairs, heads, rows, columns, tasks, rows of a chunk, elements of a
# task's memory, the scale's bits; then three strides of each operand with matrices.
PAIRS, HEADS, LENGTH, COLUMNS, TASKS, CHUNKED, OWN, SCALE, STRIDES = range(9)
INFINITY = float("inf")


def is_native_attention(v: Value) -> bool:
    """Whether there is a kernel for a value of this family."""
    q, _, values = v.inputs[1:4] if v.primitive.name == "attention_grad" else v.inputs
    widths = q.shape[3], values.shape[3]
    if v.dtype.name != "float32" or Target.host().vector_bits != 512:
        return False
    if any(n % LANES or n > MOST_FEATURES for n in widths):
        return False
    return v.size > 0 and 0 < values.shape[2] <= MOST_COLUMNS


@dataclass(frozen=True)
class Attended:
    """A kernel, its argument words, what it writes (names and elements), elements of scratch."""

    text: str
    words: list[int]
    tasks: int
    results: list[tuple[str, int]]
    scratch: int


def kernel(v: Value, strides: Sequence[tuple[int, ...]], saving: bool) -> Attended:
    """The kernel of a value with operands of these strides, the last of which are 1.

    Operands forwards: q, k, v, the result, what is saved, scratch; backwards: those of
    `attention_grad`, its result, scratch.
    """
    backwards = v.primitive.name == "attention_grad"
    q, _, values = v.inputs[1:4] if backwards else v.inputs
    batch, heads, rows, features = q.shape
    columns, width = values.shape[2:]
    wide = -(-columns // WIDE) * WIDE
    chunk = min(-(-rows // ROWS), max(CHUNK // wide // ROWS, 1)) * ROWS
    own = features * wide + (width * wide + 2 * chunk * wide if backwards else ROWS * wide)
    own += ALIGNING
    tasks = min(MOST_TASKS, batch * heads)
    scale = struct.unpack("<i", struct.pack("<f", v.attrs["scale"]))[0]
    words = [batch * heads, heads, rows, columns, tasks, chunk, own, scale]
    for number in range(5 if backwards else 3):
        words += strides[number][:3]
    text = _text(features, width, v.attrs["causal"], backwards, saving)
    if backwards:
        results = [("attention_grad", v.size)]
    else:
        pairs = batch * heads * rows
        results = [("attention", pairs * width), ("attention_saved", pairs)]
    return Attended(text, words, tasks, results, tasks * own)


@lru_cache(256)
def _text(features: int, width: int, causal: bool, backwards: bool, saving: bool) -> str:
    made: _Kernel
    if backwards:
        made = _Backward(features, width, causal)
    else:
        made = _Forward(features, width, causal, saving)
    return made.text()


class _Kernel:
    """What both directions share: a task's pairs, packing, products, passes over rows."""

    operand_count = 0
    strided: tuple[int, ...] = ()  # operands with strides

    def __init__(self, features: int, width: int, causal: bool) -> None:
        self.e = Emitter(512)
        self.features, self.width, self.causal = features, width, causal
        self.tiles: dict[tuple[int, int], str] = {}

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
        place = self.e.gep(args, "i64", self.e.i64(2 * self.operand_count + number))
        return self.e.load(place, I64)

    def lanes(self, pointer: Reg) -> Lanes:
        return Lanes(self.e, self.e.load(pointer, VECTOR, 4))

    def spread(self, scalar: Reg) -> Lanes:
        return Lanes(self.e, self.e.splat(scalar, LANES))

    def folded(self, value: Lanes, name: str, start: float) -> Reg:
        """The sum or maximum of a vector's lanes."""
        e = self.e
        if name == "fmax":
            return e.call("llvm.vector.reduce.fmax.v16f32", F32, [value.reg])
        full = "llvm.vector.reduce.fadd.v16f32"
        e.declarations.setdefault(full, f"declare float @{full}(float, <16 x float>)")
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
            self.operands = [operand_pointer(e, table, args, k) for k in range(self.operand_count)]
            self.pairs, self.heads, self.rows, self.columns = (self.word(args, k) for k in range(4))
            tasks, self.chunk, own = (self.word(args, k) for k in (TASKS, CHUNKED, OWN))
            bits = e.cast("trunc", self.word(args, SCALE), "i32")
            self.scale = e.bitcast(bits, F32)
            self.strides = {
                operand: [self.word(args, STRIDES + 3 * n + k) for k in range(3)]
                for n, operand in enumerate(self.strided)
            }
            self.wide = self.rounded(self.columns, WIDE)
            with e.loop(first, last) as loop:
                memory = self.at(self.operands[-1], (self.times(loop.index, own), 1))
                self.memory = aligned(e, memory)
                low = e.op("udiv", self.times(loop.index, self.pairs), tasks)
                high = e.op("udiv", self.times(self.plus(loop.index, 1), self.pairs), tasks)
                with e.loop(low, high) as pairs:
                    self.pair(pairs.index)
            e.line("ret i64 0")
        return e.module()

    def matrix(self, operand: int, pair: Reg) -> Reg:
        """Where an operand's matrix begins."""
        e, (of_batch, of_head, _) = self.e, self.strides[operand]
        batch, head = e.op("udiv", pair, self.heads), e.op("urem", pair, self.heads)
        place = self.plus(self.times(batch, of_batch), self.times(head, of_head))
        return self.at(self.operands[operand], (place, 1))

    def pair(self, pair: Reg) -> None:
        """All of one pair's matrices."""
        raise NotImplementedError

    def limit(self, row: Reg) -> Reg:
        """How many columns a row sees."""
        return self.smaller(self.columns, self.plus(row, 1)) if self.causal else self.columns

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
            with e.loop(e.i64(0), wide, LANES) as across, e.loop(e.i64(0), features, LANES) as down:
                loaded = []
                for row in range(LANES):
                    number = self.smaller(self.plus(across.index, row), last)
                    start = self.at(source, (self.times(number, stride), 1), (down.index, 1))
                    loaded.append(e.load(start, VECTOR, 4))
                for feature, turned in enumerate(transposed(e, loaded)):
                    line = self.times(self.plus(down.index, feature), wide)
                    e.store(self.at(target, (line, 1), (across.index, 1)), turned, 4)
            e.line("ret void")

    def turn(self, operand: int, matrix: Reg, features: int, target: Reg) -> None:
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
            starts = [e.gep(a, "i8", self.times(ra, e.i64(r))) for r in range(rows)]
            zeros = [e.const(0, VECTOR)] * (rows * vectors)
            with e.loop(e.i64(0), count, carried=zeros) as loop:
                line = e.gep(b, "i8", self.times(loop.index, kb))
                along = self.times(loop.index, ka)
                right = [
                    e.load(self.at(line, (e.i64(n), LANES)), VECTOR, 4) for n in range(vectors)
                ]
                sums = []
                for r in range(rows):
                    one = e.splat(e.load(e.gep(starts[r], "i8", along), F32), LANES)
                    for n in range(vectors):
                        sums.append(e.fma(one, right[n], loop.carried[r * vectors + n]))
                loop.yield_(sums)
            adding = e.cmp("icmp ne", again, e.i64(0))
            mask = e.splat(adding, LANES)
            for number, total in enumerate(loop.carried):
                r, n = divmod(number, vectors)
                place = self.at(e.gep(c, "i8", self.times(rc, e.i64(r))), (e.i64(n), LANES))
                before = e.call(
                    "llvm.masked.load.v16f32.p0",
                    VECTOR,
                    [place, Reg("4", I32), mask, e.const(0, VECTOR)],
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

        whole = columns // WIDE * WIDE
        for column in range(0, whole, WIDE):
            call(2, e.i64(column))
        if columns > whole:
            call(1, e.i64(whole))

    def scores(
        self, rows: int, a: tuple[Reg, Reg], turned: Reg, count: int, to: Reg, end: Reg
    ) -> None:
        """Rows of products with a transposed matrix, of the columns up to a multiple of 32."""
        e, four = self.e, self.e.i64(4)
        stride, wide = self.times(a[1], four), self.times(self.wide, four)
        with e.loop(e.i64(0), end, WIDE) as loop:
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
            found.append(e.splat(limit, LANES))
        return found

    def exponents(self, place: Reg, column: Reg, limit: Reg, factor: Lanes) -> Lanes:
        """Scores times a factor, -inf from the limit on."""
        e = self.e
        start = e.splat(e.cast("trunc", column, "i32"), LANES)
        numbers = e.op("add", start, e.lane_numbers(LANES, "i32"))
        seen = Lanes(e, e.cmp("icmp slt", numbers, limit))
        return where(seen, self.lanes(place) * factor, -INFINITY)

    def lines(self, base: Reg, column: Reg, rows: int) -> list[Reg]:
        """Where rows of scores have a column."""
        return [self.at(base, (self.wide, r), (column, 1)) for r in range(rows)]

    def power(self, y: Lanes) -> Lanes:
        """2^y for y up to 0 (and some above); 0 from -126 on."""
        return math_gates.power(where(y.lt(-126.0), -126.0, y), -(2.0**-126))

    def factor(self) -> Lanes:
        scaled = self.e.op("fmul", self.scale, self.e.const(LOG2_E, F32))
        return self.spread(scaled)


class _Forward(_Kernel):
    """q, k, v, the result, what is saved, scratch. Memory: k transposed, then eight rows."""

    operand_count = 6
    strided = (0, 1, 2)

    def __init__(self, features: int, width: int, causal: bool, saving: bool) -> None:
        super().__init__(features, width, causal)
        self.saving = saving

    def pair(self, pair: Reg) -> None:
        e = self.e
        q, k, v = (self.matrix(n, pair) for n in range(3))
        line = self.times(pair, self.rows)
        result = self.at(self.operands[3], (line, self.width))
        saved = self.at(self.operands[4], (line, 1))
        self.turn(1, k, self.features, self.memory)
        weights = self.at(self.memory, (self.wide, self.features))
        for rows, start, stop in self.blocks(e.i64(0), self.rows):
            with e.loop(start, stop, rows) as loop:
                first = loop.index
                count = self.limit(self.plus(first, rows - 1))
                end = self.rounded(count, WIDE)
                stride = self.strides[0][2]
                of_q = self.at(q, (self.times(first, stride), 1)), stride
                self.scores(rows, of_q, self.memory, self.features, weights, end)
                parts = self.softmax(rows, weights, first, end, self.at(saved, (first, 1)))
                here = self.at(result, (first, self.width))
                one = e.i64(1)
                self.product(
                    rows,
                    (weights, self.wide, one),
                    (v, self.strides[2][2]),
                    count,
                    (here, e.i64(self.width)),
                    self.width,
                )
                for r, part in enumerate(parts):
                    with e.loop(e.i64(0), e.i64(self.width), LANES) as along:
                        place = self.at(here, (e.i64(r), self.width), (along.index, 1))
                        e.store(place, (self.lanes(place) * part).reg, 4)

    def softmax(self, rows: int, weights: Reg, first: Reg, end: Reg, saved: Reg) -> list[Lanes]:
        """Scores of some rows become weights but for a factor each, which it returns."""
        e, factor, zero = self.e, self.factor(), self.e.i64(0)
        limits = self.limits(first, rows)
        with e.loop(zero, end, LANES, [e.const(-INFINITY, VECTOR)] * rows) as loop:
            tops = []
            for r, place in enumerate(self.lines(weights, loop.index, rows)):
                x = self.exponents(place, loop.index, limits[r], factor)
                e.store(place, x.reg, 4)
                top = Lanes(e, loop.carried[r])
                tops.append(where(x.gt(top), x, top).reg)
            loop.yield_(tops)
        most = [self.folded(Lanes(e, top), "fmax", 0) for top in loop.carried]
        spread = [self.spread(top) for top in most]
        with e.loop(zero, end, LANES, [e.const(0, VECTOR)] * rows) as loop:
            sums = []
            for r, place in enumerate(self.lines(weights, loop.index, rows)):
                p = self.power(self.lanes(place) - spread[r])
                e.store(place, p.reg, 4)
                sums.append(e.op("fadd", loop.carried[r], p.reg))
            loop.yield_(sums)
        totals = [self.folded(Lanes(e, total), "fadd", 0) for total in loop.carried]
        if self.saving:
            e.store(saved, e.op("fadd", self.joined(most), self.logarithm(totals)), 4)
        part = 1.0 / Lanes(e, self.joined(totals))
        return [self.spread(e.extract(part.reg, r) if rows > 1 else part.reg) for r in range(rows)]

    def joined(self, scalars: Sequence[Reg]) -> Reg:
        """One lane for each."""
        e = self.e
        if len(scalars) == 1:
            return scalars[0]
        result = e.const(0, F32.with_lanes(len(scalars)))
        for lane, scalar in enumerate(scalars):
            result = e.insert(result, scalar, lane)
        return result

    def logarithm(self, totals: Sequence[Reg]) -> Reg:
        return math_logarithm.log2(Lanes(self.e, self.joined(totals))).reg


class _Backward(_Kernel):
    """The result's gradient, q, k, v, the result, what is saved, the gradients, scratch.

    Memory: k and v transposed, then a chunk's weights and the gradients of its scores.
    """

    operand_count = 8
    strided = (0, 1, 2, 3, 4)

    def pair(self, pair: Reg) -> None:
        e = self.e
        self.ct, self.q, self.k, self.v, self.out = (self.matrix(n, pair) for n in range(5))
        line = self.times(pair, self.rows)
        self.saved = self.at(self.operands[5], (line, 1))
        gradients = self.operands[6]
        all_rows, all_columns = (self.times(self.pairs, n) for n in (self.rows, self.columns))
        of_pair = self.times(pair, self.columns)
        self.dq = self.at(gradients, (line, self.features))
        self.dk = self.at(gradients, (all_rows, self.features), (of_pair, self.features))
        self.dv = self.at(
            gradients,
            (all_rows, self.features),
            (all_columns, self.features),
            (of_pair, self.width),
        )
        self.turned = self.memory, self.at(self.memory, (self.wide, self.features))
        self.turn(2, self.k, self.features, self.turned[0])
        self.turn(3, self.v, self.width, self.turned[1])
        self.p = self.at(self.turned[1], (self.wide, self.width))
        self.ds = self.at(self.p, (self.times(self.chunk, self.wide), 1))
        chunks = e.op("udiv", self.plus(self.plus(self.rows, self.chunk), -1), self.chunk)
        with e.loop(e.i64(0), chunks) as loop:
            low = self.times(loop.index, self.chunk)
            high = self.smaller(self.plus(low, self.chunk), self.rows)
            self.by_rows(low, high)
            self.by_columns(low, high)

    def local(self, base: Reg, row: Reg) -> Reg:
        return self.at(base, (self.times(row, self.wide), 1))

    def by_rows(self, low: Reg, high: Reg) -> None:
        """The weights and the gradients of the scores of a chunk of rows, and dq."""
        e = self.e
        for rows, start, stop in self.blocks(low, high):
            with e.loop(start, stop, rows) as loop:
                first = loop.index
                local = e.op("sub nsw", first, low)
                count = self.limit(self.plus(first, rows - 1))
                end = self.rounded(count, WIDE)
                p, ds = self.local(self.p, local), self.local(self.ds, local)
                for matrix, operand, turned, size, to in (
                    (self.q, 1, self.turned[0], self.features, p),
                    (self.ct, 0, self.turned[1], self.width, ds),
                ):
                    stride = self.strides[operand][2]
                    a = self.at(matrix, (self.times(first, stride), 1)), stride
                    self.scores(rows, a, turned, size, to, end)
                self.derive(rows, first, p, ds, end)
                self.product(
                    rows,
                    (ds, self.wide, e.i64(1)),
                    (self.k, self.strides[2][2]),
                    count,
                    (self.at(self.dq, (first, self.features)), e.i64(self.features)),
                    self.features,
                )

    def derive(self, rows: int, first: Reg, p: Reg, ds: Reg, end: Reg) -> None:
        """p from scores, ds from p and the gradient of p, of some rows."""
        e, factor, zero = self.e, self.factor(), self.e.i64(0)
        with e.loop(zero, e.i64(self.width), LANES, [e.const(0, VECTOR)] * rows) as loop:
            sums = []
            for r in range(rows):
                row = self.plus(first, r)
                x, y = (
                    self.lanes(
                        self.at(m, (self.times(row, self.strides[n][2]), 1), (loop.index, 1))
                    )
                    for m, n in ((self.ct, 0), (self.out, 4))
                )
                sums.append(mad(x, y, Lanes(e, loop.carried[r])).reg)
            loop.yield_(sums)
        inner = [self.spread(self.folded(Lanes(e, x), "fadd", 0)) for x in loop.carried]
        tops = [
            self.spread(e.load(self.at(self.saved, (first, 1), (e.i64(r), 1)), F32))
            for r in range(rows)
        ]
        scale, limits = self.spread(self.scale), self.limits(first, rows)
        with e.loop(zero, end, LANES) as loop:
            places = self.lines(p, loop.index, rows), self.lines(ds, loop.index, rows)
            for r, (place, other) in enumerate(zip(*places, strict=True)):
                x = self.exponents(place, loop.index, limits[r], factor)
                weight = self.power(x - tops[r])
                e.store(place, weight.reg, 4)
                e.store(other, (weight * (self.lanes(other) - inner[r]) * scale).reg, 4)

    def by_columns(self, low: Reg, high: Reg) -> None:
        """Adds a chunk's part to dk and dv."""
        e = self.e
        again = e.cast("zext", e.cmp("icmp sgt", low, e.i64(0)), "i64")
        for rows, start, stop in self.blocks(e.i64(0), self.columns):
            with e.loop(start, stop, rows) as loop:
                column, first = loop.index, low
                if self.causal:
                    # No row before a block's first column sees it.
                    begin = self.smaller(column, high)
                    first = e.select(e.cmp("icmp sgt", begin, low), begin, low)
                local, count = e.op("sub nsw", first, low), e.op("sub nsw", high, first)
                for source, operand, matrix, size, to in (
                    (self.ds, 1, self.q, self.features, self.dk),
                    (self.p, 0, self.ct, self.width, self.dv),
                ):
                    stride = self.strides[operand][2]
                    a = self.at(self.local(source, local), (column, 1))
                    b = self.at(matrix, (self.times(first, stride), 1))
                    c = self.at(to, (column, size))
                    self.product(
                        rows,
                        (a, e.i64(1), self.wide),
                        (b, stride),
                        count,
                        (c, e.i64(size)),
                        size,
                        again,
                    )
