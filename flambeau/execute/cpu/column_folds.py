"""Folds down the columns of a large matrix, read in the order of memory.

A kernel whose lanes run along kept columns would go down all rows with a few columns at a time: a
few cache lines of each row, which prefetching hardware does not follow. Here a task takes some
rows, or a tile of columns where they are many, and adds ROWS rows at a time to partial results that
stay in the cache. The partial results of the tasks, always equally many, are folded afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.execute.cpu.accumulators import Accumulator, Fold, registers_of, with_registers
from flambeau.execute.cpu.body import Buffer, Node
from flambeau.execute.cpu.emit import Reg
from flambeau.execute.cpu.index import Expression, Variable, of
from flambeau.execute.cpu.loops import KernelCode, KernelWriter, Store

ROWS = 4
CHUNKS = 16  # of rows
# Partial results of more columns than MOST do not stay in the cache: tiles of TILE columns instead.
MOST, TILE = 1 << 15, 1 << 12
# From how many bytes (beyond the level-2 cache), rows and vectors of columns on this pays.
LARGE, MANY_ROWS, MANY_VECTORS = 1 << 22, 64, 8


@dataclass(frozen=True)
class ColumnFold:
    """One fold: where its partial results go (`chunk` times `columns`), and their node."""

    fold: Fold
    buffer: Buffer
    partial: Node


@dataclass(frozen=True)
class Columns:
    """The space of a kernel: `rows` are folded, `columns` (the lanes) kept."""

    rows: Variable
    columns: Variable

    @property
    def chunks(self) -> int:
        """How many tasks share the rows: one where tiles of columns are shared."""
        return 1 if self.columns.extent > MOST else CHUNKS

    @property
    def tiles(self) -> int:
        return 1 if self.columns.extent <= MOST else -(-self.columns.extent // TILE)


def suitable(space: Columns, loads: Sequence[Expression], itemsize: int, lanes: int) -> bool:
    """Whether a matrix is so large, and read along its rows, that the order of reading matters."""
    rows, columns = space.rows, space.columns
    return (
        rows.extent * columns.extent * itemsize >= LARGE
        and rows.extent >= MANY_ROWS
        and columns.extent >= MANY_VECTORS * lanes
        and any(x.coefficient(columns) == 1 and x.coefficient(rows) > 1 for x in loads)
    )


def column_kernel(
    space: Columns,
    folds: Sequence[ColumnFold],
    nodes: Sequence[Node],
    forward: dict[int, Node],
    chunk: Variable,
    rename: dict[int, Expression],
    lanes: int,
    vector_bits: int,
    checks: bool,
) -> KernelCode:
    """The kernel that fills the partial results; `chunk` counts the tasks that share the rows."""
    address = of(chunk).times(space.columns.extent) + of(space.columns)
    stores = [Store(f.buffer, address, f.partial) for f in folds]
    writer = KernelWriter(vector_bits, nodes, stores, forward)
    writer.rename = rename
    kernel = _Kernel(space, folds, nodes, stores, chunk, lanes, writer)
    tasks = space.chunks * space.tiles
    with writer.kernel(checks) as (first, last):
        writer.declare_operands(nodes, stores)
        writer.hoist(nodes, set())
        with writer.e.loop(first, last) as loop, writer.scope():
            kernel.task(loop.index)
    return KernelCode(writer.e.module(), writer.operands, writer.words, tasks, tasks > 1, checks)


@dataclass
class _Kernel:
    space: Columns
    folds: Sequence[ColumnFold]
    nodes: Sequence[Node]
    stores: Sequence[Store]
    chunk: Variable
    lanes: int
    writer: KernelWriter

    def task(self, number: Reg) -> None:
        """The rows of a chunk, for all columns or for a tile of them."""
        e, space = self.writer.e, self.space
        rows, columns = space.rows.extent, space.columns.extent
        if space.tiles > 1:
            self.writer.registers[self.chunk.number] = e.i64(0)
            begin = e.op("mul nsw", number, e.i64(TILE))
            end = e.intrinsic("llvm.smin", e.op("add nsw", begin, e.i64(TILE)), e.i64(columns))
            start, stop = e.i64(0), e.i64(rows)
        else:
            self.writer.registers[self.chunk.number] = number
            begin, end = e.i64(0), e.i64(columns)
            each = -(-rows // space.chunks)
            start = e.op("mul nsw", number, e.i64(each))
            stop = e.intrinsic("llvm.smin", e.op("add nsw", start, e.i64(each)), e.i64(rows))
            start = e.intrinsic("llvm.smin", start, stop)
        self.along(begin, end, self.clear)
        count = e.op("sub nsw", stop, start)
        even = e.op("sub nsw", stop, e.op("srem", count, e.i64(ROWS)))
        for low, high, step in ((start, even, ROWS), (even, stop, 1)):
            with e.loop(low, high, step) as loop:
                self.rows(loop.index, step, begin, end)

    def rows(self, first: Reg, count: int, begin: Reg, end: Reg) -> None:
        """Folds `count` rows from `first` on into the partial results."""
        writer, e = self.writer, self.writer.e
        numbers = [first] + [e.op("add nsw", first, e.i64(k)) for k in range(1, count)]
        scopes = []
        for number in numbers:  # what belongs to a row alone is computed once
            with writer.scope():
                writer.registers[self.space.rows.number] = number
                writer.hoist(self.nodes, {self.space.rows.number})
                scopes.append(writer.scopes[-1])

        def fold() -> None:
            found = [self.row(*pair) for pair in zip(numbers, scopes, strict=True)]
            while len(found) > 1:
                found = [
                    [x.joined(e, y) for x, y in zip(*found[k : k + 2], strict=True)]
                    for k in range(0, len(found), 2)
                ]
            total = [x.joined(e, y) for x, y in zip(self.partial(), found[0], strict=True)]
            self.keep(total)

        self.along(begin, end, fold)

    def row(self, number: Reg, scope: dict[int, Reg]) -> list[Accumulator]:
        """What one row gives for the columns under way."""
        writer = self.writer
        writer.registers[self.space.rows.number] = number
        writer.scopes.append(scope)
        with writer.scope():
            found = [
                with_registers(
                    [Accumulator.identity(writer, f.fold)], [writer.vector(f.fold.body)]
                )[0]
                for f in self.folds
            ]
        writer.scopes.pop()
        return found

    def clear(self) -> None:
        self.keep([Accumulator.identity(self.writer, f.fold) for f in self.folds])

    def partial(self) -> list[Accumulator]:
        """The partial results so far."""
        writer = self.writer
        return with_registers(
            [Accumulator.identity(writer, f.fold) for f in self.folds],
            [writer.spread(writer.load(s.buffer, s.address, ())) for s in self.stores],
        )

    def keep(self, state: Sequence[Accumulator]) -> None:
        """Writes partial results."""
        writer = self.writer
        with writer.scope():
            for fold, register in zip(self.folds, registers_of(state), strict=True):
                writer.scopes[-1][fold.partial.number] = register
            writer.store_all(self.stores)

    def along(self, begin: Reg, end: Reg, body: object) -> None:
        """Runs the body for vectors of columns, then for each that is left."""
        writer, e, variable = self.writer, self.writer.e, self.space.columns
        assert callable(body)
        whole = e.op(
            "sub nsw", end, e.op("and", e.op("sub nsw", end, begin), e.i64(self.lanes - 1))
        )
        writer.lane = variable
        for low, high, lanes in ((begin, whole, self.lanes), (whole, end, 1)):
            if lanes == 1 and variable.extent % self.lanes == 0 and TILE % self.lanes == 0:
                break
            writer.lanes = lanes
            with e.loop(low, high, lanes) as loop, writer.scope():
                writer.registers[variable.number] = loop.index
                body()
        writer.lane, writer.lanes = None, 1
