"""Kernels for attention: some rows of scores at a time, for any lengths (float32).

Note [Rows of scores]
A task has some of the B x G pairs of matrices k and v. It packs the keys of one, transposed, so
that a vector is one feature of some keys. Eight rows of q then make eight rows of scores, whose
softmax and product with v follow while they are in the nearest cache. The gradient makes the
weights p of as many rows as the level-2 cache holds again, and the gradient ds of their scores
likewise (which looks at a row three times: for its largest score, for the sums of p and of p g, and
for p (g - sum(p g))), and from them

    dq = ds k (eight rows at a time),   dk += ds^T q,   dv += p^T ct (eight columns at a time)

Note [What masks hide]
A causal mask ends eight rows at the last column that one of them sees. Masks in memory are looked
at first for that column; backwards no rows end before those above them, so that the rows that a
column needs are the last ones. Where an operand has NaN or infinity, nothing is left out: a weight
of 0 makes NaN of them.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

from flambeau.execute.cpu.attention_rows import (
    MATRICES,
    ROWS,
    STRIDED,
    Form,
    Rows,
    lanes_of,
    step_of,
)
from flambeau.execute.cpu.emit import I32, I64, Reg
from flambeau.execute.cpu.math_lanes import Lanes, mad, where
from flambeau.execute.cpu.target import Target
from flambeau.ops.attention import extras_of
from flambeau.ops.value import Value

MOST_FEATURES = 256
MOST_TASKS = 16
# Elements of scores that a chunk of rows of the gradient has, and the most that a row may have.
CHUNK, MOST_COLUMNS = 1 << 15, 1 << 14
ALIGNING = 64


def is_native_attention(v: Value) -> bool:
    """Whether there is a kernel for a value of this family."""
    q, _, values = _matrices(v)
    if v.dtype.name != "float32" or max(q.shape[3], values.shape[3]) > MOST_FEATURES:
        return False
    if _fitting(v, Target.host().vector_bits) is None:
        return False
    more = extras_of(v.inputs, v.attrs)
    if any(x.dtype.name not in ("float32", "bool") for x in more.values()):
        return False
    return v.size > 0 and 0 < values.shape[2] <= MOST_COLUMNS


def _fitting(v: Value, most: int) -> int | None:
    """The widest vectors (bits) of which features and values are whole numbers, if any are; of
    128 bits where there are no others, since they have no multiply-add.
    """
    q, _, values = _matrices(v)
    both = q.shape[3] | values.shape[3]
    widths = {most, min(most, 256)}
    return max((bits for bits in widths if both % lanes_of(bits) == 0), default=None)


def _matrices(v: Value) -> tuple[Value, ...]:
    """q, k and v."""
    return v.inputs[1:4] if v.primitive.name == "attention_grad" else v.inputs[:3]


@dataclass(frozen=True)
class Attended:
    """A kernel, its argument words, elements of scratch."""

    text: str
    words: list[int]
    tasks: int
    scratch: int


def kernel(v: Value, strides: Sequence[tuple[int, ...]], vector_bits: int) -> Attended:
    """The kernel of a value with operands of these strides, the last of which are 1, for vectors of
    at most so many bits.

    Its operands: those of the value, the result, scratch.
    """
    vector_bits = _fitting(v, vector_bits) or vector_bits
    backwards = v.primitive.name == "attention_grad"
    q, _, values = _matrices(v)
    batch, heads, rows, features = q.shape
    groups, columns, width = values.shape[1:]
    wide = -(-columns // step_of(vector_bits)) * step_of(vector_bits)
    chunk = min(-(-rows // ROWS), max(CHUNK // wide // ROWS, 1)) * ROWS
    own = features * wide + ALIGNING
    own += width * wide + 2 * chunk * wide + chunk if backwards else ROWS * wide
    tasks = min(MOST_TASKS, batch * groups)
    scale = struct.unpack("<i", struct.pack("<f", v.attrs["scale"]))[0]
    words = [batch * groups, groups, rows, columns, tasks, chunk, own, scale, heads // groups]
    first = ("ct", "q", "k", "v") if backwards else ("q", "k", "v")
    names = (*first, *v.attrs["extras"])
    for name, x, steps in zip(names, v.inputs, strides, strict=True):
        if name in STRIDED:
            still = name in MATRICES  # broadcast where they have extent 1
            words += [
                0 if still and n == 1 else s for n, s in zip(x.shape[:3], steps[:3], strict=True)
            ]
    kept = extras_of(v.inputs, v.attrs).get("kept")
    form = Form(
        features,
        width,
        v.attrs["causal"],
        v.attrs["safe"],
        v.attrs["extras"],
        kept is not None and kept.dtype.name == "bool",
        v.attrs["kept_scale"],
    )
    return Attended(_text(form, backwards, vector_bits), words, tasks, tasks * own)


@lru_cache(256)
def _text(form: Form, backwards: bool, vector_bits: int) -> str:
    return (_Backward if backwards else _Forward)(form, vector_bits).text()


class _Forward(Rows):
    """q, k, v, the result, scratch. Memory: k transposed, then eight rows."""

    def pair(self, pair: Reg) -> None:
        e = self.e
        k, self.v = self.matrix("k", pair), self.matrix("v", pair)
        self.finite = None
        self.look(("k", k, self.columns, self.features), ("v", self.v, self.columns, self.width))
        self.turn("k", k, self.features, self.memory)
        with e.loop(e.i64(0), self.group) as group:
            self.choose(pair, group.index)
            number = self.plus(self.times(pair, self.group), group.index)
            self.head(self.matrix("q", pair, group.index), self.times(number, self.rows))

    def head(self, q: Reg, line: Reg) -> None:
        """One head of q, whose rows begin at `line` of all rows."""
        e, one = self.e, self.e.i64(1)
        result = self.at(self.operands["result"], (line, self.width))
        weights = self.at(self.memory, (self.wide, self.features))
        stride = self.strides["q"][2]
        for rows, start, stop in self.blocks(e.i64(0), self.rows):
            with e.loop(start, stop, rows) as loop:
                first = loop.index
                count = self.visible(first, rows)
                end = self.rounded(count, self.step)
                of_q = self.at(q, (self.times(first, stride), 1)), stride
                self.scores(rows, of_q, self.memory, self.features, weights, end)
                parts = self.softmax(rows, weights, first, end)
                here = self.at(result, (first, self.width))
                self.product(
                    rows,
                    (weights, self.wide, one),
                    (self.v, self.strides["v"][2]),
                    count,
                    (here, e.i64(self.width)),
                    self.width,
                )
                for r, part in enumerate(parts):
                    with e.loop(e.i64(0), e.i64(self.width), self.lanes) as along:
                        place = self.at(here, (e.i64(r), self.width), (along.index, 1))
                        e.store(place, (self.read(place) * part).reg, 4)

    def softmax(self, rows: int, weights: Reg, first: Reg, end: Reg) -> list[Lanes]:
        """Scores of some rows become weights but for a factor each, which it returns."""
        e, limits = self.e, self.limits(first, rows)
        tops, none = self.largest(rows, weights, first, end, limits)
        with e.loop(e.i64(0), end, self.lanes, [e.const(0, self.vector)] * rows) as loop:
            sums = []
            for r, place in enumerate(self.lines(weights, loop.index, rows)):
                p = self.power(self.read(place) - tops[r])
                sums.append(e.op("fadd", loop.carried[r], p.reg))
                if "kept" in self.form.extras:
                    p = p * self.keeping(self.plus(first, r), loop.index, limits[r])
                e.store(place, p.reg, 4)
            loop.yield_(sums)
        return self.parts(loop.carried, none)


class _Backward(Rows):
    """The result's gradient, q, k, v, their gradients, scratch.

    Memory: k and v transposed, then a chunk's weights and the gradients of its scores.
    """

    backwards = True

    def pair(self, pair: Reg) -> None:
        e = self.e
        self.k, self.v = self.matrix("k", pair), self.matrix("v", pair)
        all_rows = self.times(self.times(self.pairs, self.group), self.rows)
        all_columns, of_pair = (self.times(n, self.columns) for n in (self.pairs, pair))
        gradients = self.operands["result"]
        self.dk = self.at(gradients, (all_rows, self.features), (of_pair, self.features))
        self.dv = self.at(
            gradients,
            (all_rows, self.features),
            (all_columns, self.features),
            (of_pair, self.width),
        )
        self.finite = None
        of_k = "k", self.k, self.columns, self.features
        self.look(of_k, ("v", self.v, self.columns, self.width))
        self.turned = self.memory, self.at(self.memory, (self.wide, self.features))
        self.turn("k", self.k, self.features, self.turned[0])
        self.turn("v", self.v, self.width, self.turned[1])
        self.p = self.at(self.turned[1], (self.wide, self.width))
        self.ds = self.at(self.p, (self.times(self.chunk, self.wide), 1))
        self.ends = self.at(self.ds, (self.times(self.chunk, self.wide), 1))
        with e.loop(e.i64(0), self.group) as group:
            self.choose(pair, group.index)
            self.ct, self.q = (self.matrix(name, pair, group.index) for name in ("ct", "q"))
            number = self.plus(self.times(pair, self.group), group.index)
            finite = self.finite
            of_q = "q", self.q, self.rows, self.features
            self.look(of_q, ("ct", self.ct, self.rows, self.width))
            self.head(group.index, self.times(number, self.rows))
            self.finite = finite

    def head(self, group: Reg, line: Reg) -> None:
        """One head of q, whose rows begin at `line` of all rows."""
        e = self.e
        self.dq = self.at(self.operands["result"], (line, self.features))
        e.store(self.reach, e.i64(0))
        chunks = e.op("udiv", self.plus(self.plus(self.rows, self.chunk), -1), self.chunk)
        with e.loop(e.i64(0), chunks) as loop:
            low = self.times(loop.index, self.chunk)
            high = self.smaller(self.plus(low, self.chunk), self.rows)
            self.by_rows(low, high)
            begun = e.op("or", loop.index, group)
            self.by_columns(low, high, e.cast("zext", e.cmp("icmp sgt", begun, e.i64(0)), "i64"))

    def local(self, base: Reg, row: Reg) -> Reg:
        return self.at(base, (self.times(row, self.wide), 1))

    def by_rows(self, low: Reg, high: Reg) -> None:
        """The weights and the gradients of the scores of a chunk of rows, and dq."""
        e = self.e
        for rows, start, stop in self.blocks(low, high):
            with e.loop(start, stop, rows) as loop:
                first = loop.index
                local = e.op("sub nsw", first, low)
                count = self.reached(first, rows, local)
                end = self.rounded(count, self.step)
                p, ds = self.local(self.p, local), self.local(self.ds, local)
                for matrix, operand, turned, size, to in (
                    (self.q, "q", self.turned[0], self.features, p),
                    (self.ct, "ct", self.turned[1], self.width, ds),
                ):
                    stride = self.strides[operand][2]
                    a = self.at(matrix, (self.times(first, stride), 1)), stride
                    self.scores(rows, a, turned, size, to, end)
                self.derive(rows, first, p, ds, end)
                self.product(
                    rows,
                    (ds, self.wide, e.i64(1)),
                    (self.k, self.strides["k"][2]),
                    count,
                    (self.at(self.dq, (first, self.features)), e.i64(self.features)),
                    self.features,
                )

    def derive(self, rows: int, first: Reg, p: Reg, ds: Reg, end: Reg) -> None:
        """p from scores, ds from p and the gradient of p, of some rows."""
        e, zero, limits = self.e, self.e.i64(0), self.limits(first, rows)
        dropping = "kept" in self.form.extras
        tops, none = self.largest(rows, p, first, end, limits)
        with e.loop(zero, end, self.lanes, [e.const(0, self.vector)] * (2 * rows)) as loop:
            sums, inner = list(loop.carried[:rows]), list(loop.carried[rows:])
            places = self.lines(p, loop.index, rows), self.lines(ds, loop.index, rows)
            for r, (place, other) in enumerate(zip(*places, strict=True)):
                weight, slope = self.power(self.read(place) - tops[r]), self.read(other)
                if dropping:
                    slope = slope * self.keeping(self.plus(first, r), loop.index, limits[r])
                    e.store(other, slope.reg, 4)
                e.store(place, weight.reg, 4)
                sums[r] = e.op("fadd", sums[r], weight.reg)
                inner[r] = mad(weight, slope, Lanes(e, inner[r])).reg
            loop.yield_([*sums, *inner])
        parts = self.parts(loop.carried[:rows], none)
        along = [self.spread(self.folded(Lanes(e, x), "fadd", 0)) for x in loop.carried[rows:]]
        along = [x * part for x, part in zip(along, parts, strict=True)]
        scale = self.spread(self.scale)
        with e.loop(zero, end, self.lanes) as loop:
            places = self.lines(p, loop.index, rows), self.lines(ds, loop.index, rows)
            for r, (place, other) in enumerate(zip(*places, strict=True)):
                row = self.plus(first, r)
                weight = self.read(place) * parts[r]
                found = weight * (self.read(other) - along[r]) * scale
                if dropping:
                    weight = weight * self.keeping(row, loop.index, limits[r])
                e.store(place, weight.reg, 4)
                if "fill" in self.form.extras:
                    seen = self.seen(loop.index, limits[r])
                    hidden = self.mask("hidden", row, loop.index, seen)
                    found = where(Lanes(e, hidden), 0.0, found)
                e.store(other, found.reg, 4)

    def reached(self, first: Reg, rows: int, local: Reg) -> Reg:
        """How many columns some rows need, no less than those above them."""
        e, count = self.e, self.visible(first, rows)
        if not self.masked:
            return count
        before = e.load(self.reach, I64)
        count = e.select(e.cmp("icmp sgt", count, before), count, before)
        e.store(self.reach, count)
        e.store(self.at(self.ends, (local, 1)), e.cast("trunc", count, "i32"), 4)
        return count

    def begin(self, column: Reg, low: Reg, high: Reg) -> Reg:
        """The first of a chunk's rows that may see a column."""
        e = self.e
        if self.masked:
            found = high
            for rows, start, stop in self.blocks(low, high):
                with e.loop(start, stop, rows, [found]) as loop:
                    local = e.op("sub nsw", loop.index, low)
                    end = e.load(self.at(self.ends, (local, 1)), I32, 4)
                    sees = e.cmp("icmp sgt", e.cast("zext", end, "i64"), column)
                    here = e.select(sees, loop.index, high)
                    loop.yield_([self.smaller(loop.carried[0], here)])
                found = loop.carried[0]
            return found
        if not self.form.causal:
            return low
        # No row before a block's first column sees it.
        begin = self.smaller(column, high)
        later = e.cmp("icmp sgt", begin, low)
        if self.finite is not None:
            later = e.op("and", later, self.finite)
        return e.select(later, begin, low)

    def by_columns(self, low: Reg, high: Reg, again: Reg) -> None:
        """Adds a chunk's part to dk and dv (`again`: 0 where there is nothing yet)."""
        e = self.e
        for rows, start, stop in self.blocks(e.i64(0), self.columns):
            with e.loop(start, stop, rows) as loop:
                column = loop.index
                first = self.begin(column, low, high)
                local, count = e.op("sub nsw", first, low), e.op("sub nsw", high, first)
                for source, operand, matrix, size, to in (
                    (self.ds, "q", self.q, self.features, self.dk),
                    (self.p, "ct", self.ct, self.width, self.dv),
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
