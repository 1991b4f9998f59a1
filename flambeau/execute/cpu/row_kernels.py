"""Kernels for chains of elementwise functions and reductions over rows, for rows of any length.

Note [Rows]
A chain works on one space of R rows of C elements. Its values are FULL (an element for each place),
ROW (one for each row), COLUMN (one for each column, the same in all rows) or SCALAR. A sum or
maximum along the rows makes a ROW of a FULL value; what needs it belongs to the next *level*. For
each row the kernel goes over the columns once a level: level 0 computes what needs no reduction,
level 1 what needs one, and so on (a softmax has three). A FULL value of an earlier level is read
again if it was stored, and computed again if that is cheap; others are kept in a scratch row.

R and C are words that the kernel is given, so one text serves all lengths. Without ROW and COLUMN
values the space is one row, cut into ranges of columns (`flat`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

from flambeau.core.dtypes import DType
from flambeau.execute.cpu import elements
from flambeau.execute.cpu.contraction_nest import PARAMETERS, lane_range, lane_sums
from flambeau.execute.cpu.emit import I32, I64, PTR, Emitter, Reg, Type

FULL, ROW, COLUMN, SCALAR = "full", "row", "column", "scalar"
ROW_SUM, ROW_PROD, ROW_MAX, ROW_MIN = "row sum", "row product", "row max", "row min"
COLUMN_SUM = "column sum"
ROW_REDUCTIONS = (ROW_SUM, ROW_PROD, ROW_MAX, ROW_MIN)


@dataclass(frozen=True, slots=True)
class Member:
    """A computed value: the function `name` of operands (members by number, inputs as -1 - number),
    or a reduction of one.
    """

    name: str
    dtype: DType
    extent: str
    operands: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Chain:
    """Inputs (extent, dtype), members in order, and which of them are stored.

    The kernel's operands: inputs, results (of a COLUMN_SUM: float64 totals that are 0 before), and
    for each of `scratch` a row per task. Its table has the NumPy arrays themselves, as Python knows
    them (`id`). Words: R, C, how many rows (columns, where `flat`) a task has, and where in the
    table each operand stands.
    """

    inputs: tuple[tuple[str, DType], ...]
    members: tuple[Member, ...]
    results: tuple[int, ...]

    @property
    def flat(self) -> bool:
        """Whether all is element by element: rows do not matter."""
        extents = {extent for extent, _ in self.inputs} | {m.extent for m in self.members}
        return extents <= {FULL, SCALAR} and not any(m.name == COLUMN_SUM for m in self.members)

    @property
    def has_totals(self) -> bool:
        return any(m.name == COLUMN_SUM for m in self.members)


def levels(chain: Chain) -> list[int]:
    """Which pass over a row computes each member (see Note [Rows])."""
    found: list[int] = []
    for member in chain.members:
        level = max([found[k] for k in member.operands if k >= 0], default=0)
        found.append(level + (member.name in ROW_REDUCTIONS))
    return found


@lru_cache(maxsize=1024)
def scratch(chain: Chain) -> tuple[int, ...]:
    """The FULL members that later levels read from scratch rows."""
    at, kept = levels(chain), []
    stored = set(chain.results)

    def visit(number: int, level: int) -> None:
        member = chain.members[number]
        if member.extent != FULL or at[number] == level or number in stored or number in kept:
            return
        if elements.cost_of(member.name) > 1:
            kept.append(number)
            return
        for k in member.operands:
            if k >= 0:
                visit(k, level)

    for number, member in enumerate(chain.members):
        level = at[number] - (member.name in ROW_REDUCTIONS)
        for k in member.operands:
            if k >= 0:
                visit(k, level)
    return tuple(kept)


@lru_cache(maxsize=1024)
def kernel_text(chain: Chain, bits: int) -> str:
    """The module of a chain's kernel."""
    return _Writer(chain, bits).text()


def word(e: Emitter, args: Reg, number: int) -> Reg:
    """A word that a kernel was given."""
    return e.load(e.gep(args, "i64", e.i64(number)), I64)


def array_elements(e: Emitter, table: Reg, slot: Reg) -> Reg:
    """Where the elements of an array lie: NumPy's ABI has that behind the object's head."""
    array = e.load(e.gep(table, "ptr", slot), PTR)
    return e.load(e.gep(array, "i8", e.i64(object.__basicsize__)), PTR)


class _Writer:
    def __init__(self, chain: Chain, bits: int) -> None:
        self.chain = chain
        self.e = Emitter(bits)
        kinds = [d for extent, d in chain.inputs if extent == FULL]
        kinds += [m.dtype for m in chain.members if m.extent == FULL]
        widest = max([d.itemsize for d in kinds if d.kind == "f"], default=4)
        self.lanes = bits // (8 * widest)
        self.levels = levels(chain)
        self.kept = scratch(chain)
        self.rows: dict[int, Reg] = {}  # ROW and SCALAR values at hand, by operand number
        self.inputs: list[Reg] = []
        self.stores: dict[int, Reg] = {}  # where members are stored: results and scratch

    def text(self) -> str:
        e, chain = self.e, self.chain
        parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
        with e.function("kernel", "i64", parameters) as (table, args, first, last):
            count = len(chain.inputs) + len(chain.results) + len(self.kept)
            slots = [word(e, args, 3 + k) for k in range(count)]
            places = [array_elements(e, table, slot) for slot in slots]
            self.inputs = places[: len(chain.inputs)]
            self.total, self.columns, share = [word(e, args, k) for k in range(3)]
            for k, (extent, dtype) in enumerate(chain.inputs):
                if extent == SCALAR:
                    self.rows[-1 - k] = self._load(self.inputs[k], e.i64(0), dtype, None, 1)
            outputs = places[len(chain.inputs) :]
            results = dict(zip(chain.results, outputs, strict=False))
            kept = dict(zip(self.kept, outputs[len(chain.results) :], strict=True))
            start = e.op("mul nsw", first, share)
            whole = self.columns if chain.flat else self.total
            stop = e.intrinsic("llvm.smin", e.op("mul nsw", last, share), whole)
            if chain.flat:
                self.stores = results
                self._pass(0, e.i64(0), start, stop)
            else:
                with e.loop(start, stop) as loop:
                    self._row(loop.index, first, results, kept)
            e.line("ret i64 0")
        return e.module()

    # ---- a row -----------------------------------------------------------------------------------

    def _row(self, row: Reg, task: Reg, results: dict[int, Reg], kept: dict[int, Reg]) -> None:
        e, members = self.e, self.chain.members
        at = e.op("mul nsw", row, self.columns)
        for number, place in kept.items():
            element = elements.memory_element(members[number].dtype)
            # The scratch row of a task, as if it stood where this row stands.
            own = e.op("sub nsw", e.op("mul nsw", task, self.columns), at)
            self.stores[number] = e.gep(place, element, own)
        self.stores |= results
        for k, (extent, dtype) in enumerate(self.chain.inputs):
            if extent == ROW:
                self.rows[-1 - k] = self._load(self.inputs[k], row, dtype, None, 1)
        for level in range(max(self.levels, default=0) + 1):
            for number, member in enumerate(members):
                plain = member.extent == ROW and member.name not in ROW_REDUCTIONS
                if plain and self.levels[number] == level:
                    self.rows[number] = self._computed(member, self.rows.__getitem__)
            self._pass(level, at, e.i64(0), self.columns)
        for number, place in results.items():
            member = members[number]
            if member.extent == ROW:
                value = elements.to_memory(e, self.rows[number], member.dtype)
                pointer = e.gep(place, elements.memory_element(member.dtype), row)
                e.store(pointer, value, member.dtype.itemsize)

    def _pass(self, level: int, at: Reg, start: Reg, stop: Reg) -> None:
        """Goes over the columns start .. stop - 1 of the row that begins `at`."""
        e, members = self.e, self.chain.members
        wanted = [
            n
            for n, m in enumerate(members)
            if (m.extent == FULL and self.levels[n] == level and n in self.stores)
            or (m.name == COLUMN_SUM and self.levels[n] == level)
        ]
        reductions = [
            n
            for n, m in enumerate(members)
            if m.name in ROW_REDUCTIONS and self.levels[n] == level + 1
        ]
        if not wanted and not reductions:
            return
        lanes = self.lanes
        length = e.op("sub nsw", stop, start)
        even = e.op("sub nsw", stop, e.op("and", length, e.i64(lanes - 1)))
        carried = [_neutral(e, members[n], lanes) for n in reductions]
        for first, last, masked in ((start, even, False), (even, stop, True)):
            with e.loop(first, last, lanes, carried) as loop:
                mask = self._mask(loop.index, stop) if masked else None
                place = _Place(self, level, at, loop.index, mask)
                for number in wanted:
                    place.store(number)
                totals = []
                for number, total in zip(reductions, loop.carried, strict=True):
                    totals.append(place.reduced(members[number], total))
                loop.yield_(totals)
            carried = loop.carried
        for number, total in zip(reductions, carried, strict=True):
            self.rows[number] = _folded(e, members[number], total)

    def _mask(self, index: Reg, stop: Reg) -> Reg:
        e = self.e
        left = e.cast("trunc", e.op("sub nsw", stop, index), "i32")
        return e.cmp("icmp slt", e.lane_numbers(self.lanes, "i32"), e.splat(left, self.lanes))

    # ---- values ----------------------------------------------------------------------------------

    def _computed(self, member: Member, operand: Callable[[int], Reg]) -> Reg:
        dtypes = tuple([self.dtype(k) for k in member.operands])
        registers = [operand(k) for k in member.operands]
        return elements.apply(self.e, member.name, member.dtype, dtypes, registers)

    def dtype(self, number: int) -> DType:
        if number < 0:
            return self.chain.inputs[-1 - number][1]
        return self.chain.members[number].dtype

    def _load(self, base: Reg, index: Reg, dtype: DType, mask: Reg | None, lanes: int) -> Reg:
        e, type_ = self.e, elements.memory_type(dtype, lanes)
        pointer = e.gep(base, type_.element, index)
        if mask is None:
            value = e.load(pointer, type_, dtype.itemsize)
        else:
            name = f"llvm.masked.load.v{lanes}{_letter(type_)}{type_.bits}.p0"
            align = Reg(str(dtype.itemsize), I32)
            value = e.call(name, type_, [pointer, align, mask, e.const(0, type_)])
        return elements.from_memory(e, value, dtype)

    def _store(self, base: Reg, index: Reg, value: Reg, dtype: DType, mask: Reg | None) -> None:
        e = self.e
        value = elements.to_memory(e, value, dtype)
        pointer = e.gep(base, value.type.element, index)
        if mask is None:
            e.store(pointer, value, dtype.itemsize)
            return
        name = f"llvm.masked.store.v{self.lanes}{_letter(value.type)}{value.type.bits}.p0"
        align = Reg(str(dtype.itemsize), I32)
        e.call(name, None, [value, pointer, align, mask])


class _Place:
    """Some neighbouring columns in one pass over a row."""

    def __init__(self, writer: _Writer, level: int, at: Reg, column: Reg, mask: Reg | None) -> None:
        self.writer = writer
        self.level = level
        self.column = column
        self.index = writer.e.op("add nsw", at, column)
        self.mask = mask
        self.known: dict[int, Reg] = {}

    def value(self, number: int) -> Reg:
        if number not in self.known:
            self.known[number] = self._value(number)
        return self.known[number]

    def _value(self, number: int) -> Reg:
        w = self.writer
        if number in w.rows:
            return w.e.splat(w.rows[number], w.lanes)
        if number < 0:
            extent, dtype = w.chain.inputs[-1 - number]
            index = self.column if extent == COLUMN else self.index
            return w._load(w.inputs[-1 - number], index, dtype, self.mask, w.lanes)
        member = w.chain.members[number]
        if w.levels[number] < self.level and number in w.stores:
            return w._load(w.stores[number], self.index, member.dtype, self.mask, w.lanes)
        return w._computed(member, self.value)

    def store(self, number: int) -> None:
        w = self.writer
        member, base = w.chain.members[number], w.stores[number]
        if member.name != COLUMN_SUM:
            w._store(base, self.index, self.value(number), member.dtype, self.mask)
            return
        from flambeau.core.dtypes import float64

        value = self.value(member.operands[0])
        if value.type.element == "float":
            value = w.e.cast("fpext", value, "double")
        total = w._load(base, self.column, float64, self.mask, w.lanes)
        w._store(base, self.column, w.e.op("fadd", total, value), float64, self.mask)

    def reduced(self, member: Member, total: Reg) -> Reg:
        e = self.writer.e
        value = self.value(member.operands[0])
        if self.mask is not None:
            value = e.select(self.mask, value, _neutral(e, member, self.writer.lanes))
        return _combined(e, member, total, value)


_FOLDS = {ROW_SUM: "add", ROW_PROD: "mul", ROW_MAX: "maximum", ROW_MIN: "minimum"}


def _combined(e: Emitter, member: Member, a: Reg, b: Reg) -> Reg:
    return elements.apply(e, _FOLDS[member.name], member.dtype, (member.dtype,) * 2, [a, b])


def _neutral(e: Emitter, member: Member, lanes: int) -> Reg:
    infinity = float("inf")
    neutral = {ROW_SUM: 0.0, ROW_PROD: 1.0, ROW_MAX: -infinity, ROW_MIN: infinity}
    value = neutral[member.name]
    return elements.literal(e, value, member.dtype, lanes)


def _folded(e: Emitter, member: Member, total: Reg) -> Reg:
    """The lanes of a running total as one."""
    if member.name == ROW_SUM:
        return lane_sums(e, [total])
    while total.type.lanes > 1:
        half = total.type.lanes // 2
        total = _combined(
            e, member, lane_range(e, total, 0, half), lane_range(e, total, half, half)
        )
    return total


def _letter(type_: Type) -> str:
    return "f" if type_.is_float else "i"
