"""Reduction kernels: folds over loop variables, with fused producers (the body) and consumers (the
epilogue).

Lanes run either along a folded variable (partial results per lane, combined at the end) or along a
kept one (a vector of results). Long folds are cut into a fixed number of chunks, whatever the
number of threads, and sums start afresh in each innermost loop: both keep rounding errors small
and results reproducible.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from flambeau.core.dtypes import DType
from flambeau.execute.cpu import column_folds
from flambeau.execute.cpu.accumulators import (
    Accumulator,
    Fold,
    accumulator_dtype,
    registers_of,
    with_registers,
)
from flambeau.execute.cpu.body import Buffer, Node, Tracer, node_expressions
from flambeau.execute.cpu.emit import Emitter, Reg
from flambeau.execute.cpu.index import Expression, Variable, of
from flambeau.execute.cpu.loops import (
    KernelCode,
    KernelWriter,
    Store,
    forwarded,
    ordered_nodes,
)
from flambeau.execute.cpu.nests import (
    PARALLEL_THRESHOLD,
    TASKS,
    Nest,
    body_cost,
    expressions_of,
    join,
    lane_count,
    lane_score,
)
from flambeau.execute.cpu.pointwise import (
    Rows,
    by_rows,
    bytes_moved,
    lane_loop,
    limit_registers,
    needs_checks,
    task_span,
)
from flambeau.execute.cpu.templates import Signature, from_template

# A heavy kernel with fewer tasks than this has its fold cut.
ENOUGH_TASKS = 4
# Bytes of neighbouring columns below which a task that sums them down long rows of memory leaves
# the prefetching hardware behind, if the rows are so long and so many.
NARROW, LONG_ROW, MANY_BYTES = 1024, 256, 1 << 17
# Fresh accumulators in the innermost loop pay from this many folded elements on.
LONG_FOLD = 2048
# Accumulators of a long sum of one operand, each of a vector.
MOST_COPIES = 8


def reduction_kernels(
    kept: list[Variable],
    folded: list[Variable],
    folds: Sequence[Fold],
    stores: Sequence[Store],
    forward: dict[int, Node],
    tracer: Tracer,
    scratch: Callable[[DType, int], Buffer],
    vector_bits: int,
) -> list[KernelCode]:
    """The kernels of a group of reductions over the same variables; two where a long fold is
    cut.
    """
    plan = _Plan(kept, folded, folds, stores, forward, vector_bits)
    heavy = plan.time > PARALLEL_THRESHOLD and (plan.tasks < ENOUGH_TASKS or plan.narrow)
    columns = plan.columns
    if columns is not None:
        arguments = kept, columns, plan, folds, stores, forward, tracer, scratch, vector_bits
        return _by_columns(*arguments)
    if heavy and not any(f.positional for f in folds):
        cut = _cut(folded, plan.body)
        if cut is not None:
            return _two_stages(kept, cut, folds, stores, forward, tracer, scratch, vector_bits)
    return [_from_template(plan, kept, folded, folds, stores, forward, vector_bits)]


def _from_template(
    plan: _Plan,
    kept: list[Variable],
    folded: list[Variable],
    folds: Sequence[Fold],
    stores: Sequence[Store],
    forward: dict[int, Node],
    vector_bits: int,
    rows: Rows | None = None,
) -> KernelCode:
    roots = [n for f in folds for n in (f.body, f.place) if n is not None]
    nodes = ordered_nodes([*roots, *[f.result for f in folds], *[s.node for s in stores]], forward)
    signature = Signature(nodes, stores, forward)
    parts = [
        (f.name, signature.place(f.body), signature.place(f.result), f.place is None) for f in folds
    ]
    spaces = tuple([v.key for v in kept]), tuple([v.key for v in folded])
    extra = ("fold", vector_bits, spaces, tuple(parts), rows)
    return from_template(signature, extra, plan.kernel)


def row_reduction(
    kept: list[Variable],
    folded: list[Variable],
    folds: Sequence[Fold],
    stores: Sequence[Store],
    forward: dict[int, Node],
    vector_bits: int,
    rows: Rows,
    last: Variable,
) -> KernelCode | None:
    """The kernel of a group of reductions with tasks of so many rows, as `row_kernel`."""
    plan = _Plan(kept, folded, folds, stores, forward, vector_bits)
    lanes_across = plan.lane is not None and not plan.horizontal
    if not plan.outer or lanes_across or not by_rows(plan.outer[0], rows, last):
        return None
    plan.tasks, plan.span = rows.tasks, rows.span
    return _from_template(plan, kept, folded, folds, stores, forward, vector_bits, rows)


def fold_nodes(folds: Sequence[Fold], forward: dict[int, Node]) -> list[Node]:
    return ordered_nodes([n for f in folds for n in (f.body, f.place) if n is not None], forward)


def _points(variables: Sequence[Variable]) -> int:
    count = 1
    for variable in variables:
        count *= variable.extent
    return count


def _cut(
    folded: list[Variable], nodes: Sequence[Node]
) -> tuple[Variable, Variable, list[Variable], dict[int, Expression]] | None:
    """(chunk variable, rest variable, all folded variables, renames) that cut the outermost fold
    loop.
    """
    loads = [n.data[1] for n in nodes if n.kind == "load"]
    if loads:
        folded = sorted(folded, key=lambda v: -max(abs(x.coefficient(v)) for x in loads))
    joined, rename = join(folded, expressions_of(nodes, []))
    outer = joined[0]
    parts = next((n for n in (16, 8, 12, 10, 14, 15, 9, 20, 24) if outer.extent % n == 0), 0)
    if not parts or outer.extent == parts:
        parts = outer.extent if 4 <= outer.extent <= 64 else 0
    if not parts:
        return None
    chunk = Variable(outer.number + 1000, parts)
    rest = Variable(outer.number + 2000, outer.extent // parts)
    whole = of(chunk).times(rest.extent) + of(rest)
    rename = {
        n: x.replaced(lambda v: whole if v.number == outer.number else None)
        for n, x in rename.items()
    }
    rename[outer.number] = whole
    remaining = [v for v in (rest, *joined[1:]) if v.extent > 1]
    return chunk, rest, remaining, rename


def _two_stages(
    kept: list[Variable],
    cut: tuple[Variable, Variable, list[Variable], dict[int, Expression]],
    folds: Sequence[Fold],
    stores: Sequence[Store],
    forward: dict[int, Node],
    tracer: Tracer,
    scratch: Callable[[DType, int], Buffer],
    vector_bits: int,
) -> list[KernelCode]:
    chunk, _, remaining, rename = cut
    partials = _partials(kept, chunk, folds, tracer, scratch)
    first = _Plan(
        [chunk, *kept],
        remaining,
        [Fold(p.fold.name, p.fold.body, p.store.node) for p in partials],
        [p.store for p in partials],
        forward,
        vector_bits,
        rename,
    )
    second = _Plan(kept, [chunk], [p.second for p in partials], stores, forward, vector_bits)
    return [first.kernel(), second.kernel()]


class _Partial(NamedTuple):
    """A fold in two stages: where each chunk's result is stored, and the fold of those."""

    fold: Fold
    store: Store
    second: Fold


def _partials(
    kept: list[Variable],
    chunk: Variable,
    folds: Sequence[Fold],
    tracer: Tracer,
    scratch: Callable[[DType, int], Buffer],
) -> list[_Partial]:
    """Memory for the results of each chunk, chunk by chunk."""
    place, count = Expression(0, ()), 1
    for variable in reversed(kept):
        place = place + of(variable).times(count)
        count *= variable.extent
    found = []
    for fold in folds:
        dtype = accumulator_dtype(fold.result.dtype)
        buffer = scratch(dtype, count * chunk.extent)
        address = of(chunk).times(count) + place
        partial = tracer.result(("partial", fold.result.number), dtype, frozenset([chunk, *kept]))
        second = Fold(fold.name, tracer.load(buffer, address), fold.result)
        found.append(_Partial(fold, Store(buffer, address, partial), second))
    return found


def _by_columns(
    kept: list[Variable],
    space: column_folds.Columns,
    plan: _Plan,
    folds: Sequence[Fold],
    stores: Sequence[Store],
    forward: dict[int, Node],
    tracer: Tracer,
    scratch: Callable[[DType, int], Buffer],
    vector_bits: int,
) -> list[KernelCode]:
    """Folds down columns: partial results of a few chunks of rows, then those together."""
    chunk = Variable(space.rows.number + 1000, space.chunks)
    partials = _partials(kept, chunk, folds, tracer, scratch)
    first = [column_folds.ColumnFold(p.fold, p.store.buffer, p.store.node) for p in partials]
    rename = plan.writer.rename
    kernel = column_folds.column_kernel(
        space, first, plan.body, forward, chunk, rename, plan.lanes, vector_bits, plan.checks
    )
    second = _Plan(kept, [chunk], [p.second for p in partials], stores, forward, vector_bits)
    return [kernel, second.kernel()]


class _Plan:
    """Loop choices and emission of one reduction kernel."""

    def __init__(
        self,
        kept: list[Variable],
        folded: list[Variable],
        folds: Sequence[Fold],
        stores: Sequence[Store],
        forward: dict[int, Node],
        vector_bits: int,
        rename: dict[int, Expression] | None = None,
    ) -> None:
        self.folds = folds
        self.stores = stores
        self.body = fold_nodes(folds, forward)
        self.epilogue = [
            n for n in ordered_nodes([s.node for s in stores], forward) if n.kind != "result"
        ]
        results = {f.result.number for f in folds}
        covered = {n.number for n in self.body}
        self.epilogue = [n for n in self.epilogue if n.number not in results | covered]
        every = [*self.body, *self.epilogue]
        self.writer = KernelWriter(vector_bits, every, stores, forward)
        self.nodes = every
        self.early = independent(every, results, forward)
        self.checks = needs_checks(every)
        self.total = _points(kept), _points(folded)
        folded = folded if self.total[1] else []
        self._choose_loops(kept, folded, rename or {}, vector_bits)

    def _choose_loops(
        self,
        kept: list[Variable],
        folded: list[Variable],
        rename: dict[int, Expression],
        vector_bits: int,
    ) -> None:
        self.writer.rename = rename
        expressions = expressions_of(self.nodes, self.stores)
        if rename:
            expressions = [self.writer.renamed(x) for x in expressions]
        loads = [self.writer.renamed(n.data[1]) for n in self.body if n.kind == "load"]
        if loads:
            folded = sorted(folded, key=lambda v: -max(abs(x.coefficient(v)) for x in loads))
        kept, kept_names = join(kept, expressions)
        folded, folded_names = join(folded, expressions)
        joined = kept_names | folded_names
        if joined:
            rename = {n: x.replaced(lambda v: joined.get(v.number)) for n, x in rename.items()}
            rename = joined | rename
        self.writer.rename = rename
        self.lanes = lane_count(self.body, [], vector_bits)
        accesses = [self.writer.renamed(n.data[1]) for n in self.body if n.kind == "load"]

        def score(variable: Variable) -> float:
            # A fold along the lanes ends with a sum over them: about six more steps per result.
            value = lane_score(variable, accesses, self.lanes)
            if variable in folded:
                vectors = -(-self.total[1] // self.lanes)
                value *= vectors / (vectors + 3)
            return value

        candidates = [*kept, *folded]
        self.lane = max(reversed(candidates), key=score) if candidates else None
        self.horizontal = self.lane is not None and self.lane in folded
        main = self.writer.renamed(self.stores[0].address) if self.stores else None
        outer = [v for v in kept if v is not self.lane]
        if main is not None:
            outer.sort(key=lambda v: -abs(main.coefficient(v)))
        self.outer = outer
        inner = [v for v in folded if v is not self.lane]
        if accesses:
            inner.sort(key=lambda v: -max(abs(x.coefficient(v)) for x in accesses))
        self.inner = [*inner, self.lane] if self.horizontal and self.lane is not None else inner
        self._choose_tasks()

    def _choose_tasks(self) -> None:
        loops = list(self.outer)
        if self.lane is not None and not self.horizontal:
            loops.append(self.lane)
        points = self.total[0] * max(self.total[1], 1)
        vectors = body_cost(self.body) / self.lanes / 4
        self.time = points * max(vectors, bytes_moved(self.body, []) / 12)
        self.tasks = 1
        self.span: int | None = None
        if loops and self.time > PARALLEL_THRESHOLD:
            self.tasks, self.span = task_span(
                Nest(loops, None if self.horizontal else self.lane), TASKS, self.lanes
            )

    @property
    def narrow(self) -> bool:
        """Whether tasks read a few columns each of all rows of memory."""
        if self.outer or self.lane is None or self.horizontal or not self.inner:
            return False
        size = self.body[0].dtype.itemsize
        row = self.lane.extent * size
        many = row * self.total[1] >= MANY_BYTES
        return many and row >= LONG_ROW and row // self.tasks < NARROW

    @property
    def columns(self) -> column_folds.Columns | None:
        """The space of a fold down the columns of a large matrix, if it is one."""
        if self.outer or self.lane is None or self.horizontal or len(self.inner) != 1:
            return None
        if any(f.positional for f in self.folds):
            return None
        space = column_folds.Columns(self.inner[0], self.lane)
        loads = [self.writer.renamed(n.data[1]) for n in self.body if n.kind == "load"]
        fits = column_folds.suitable(space, loads, self.body[0].dtype.itemsize, self.lanes)
        return space if fits else None

    # ---- emission --------------------------------------------------------------------------------

    def kernel(self) -> KernelCode:
        writer, tasks, span = self.writer, self.tasks, self.span
        with writer.kernel(self.checks) as (first, last):
            self.last_task = last
            writer.declare_operands(self.nodes, self.stores)
            if self.total[0]:
                writer.hoist(self.early, set())
                self._kept_loops(0, span, (first, last))
        return KernelCode(
            writer.e.module(), writer.operands, writer.words, tasks, tasks > 1, self.checks
        )

    def _kept_loops(self, level: int, span: int | None, bounds: tuple[Reg, Reg]) -> None:
        writer = self.writer
        limits = span if level == 0 else None
        if level == len(self.outer):
            if self.lane is not None and not self.horizontal:
                lane_loop(writer, self.lane, self.lanes, limits, bounds, self._one_result)
            else:
                self._one_result()
            return
        variable = self.outer[level]
        start, stop = limit_registers(writer, variable, limits, bounds)
        with writer.e.loop(start, stop) as loop, writer.scope():
            writer.registers[variable.number] = loop.index
            writer.hoist(self.early, self._bound(level + 1))
            self._kept_loops(level + 1, span, bounds)

    def _bound(self, count: int) -> set[int]:
        gone = {n for n, x in self.writer.rename.items() if not x.terms}
        return gone | {v.number for v in self.outer[:count]}

    def _one_result(self) -> None:
        """The whole fold for the current kept indices, then the epilogue."""
        writer = self.writer
        if self.horizontal:
            writer.lane, writer.lanes = self.lane, self.lanes
        writer.hoist(self.body, self._bound_inner(0))
        start = [Accumulator.identity(writer, fold) for fold in self.folds]
        finished = self._fold_loops(0, start) if self.total[1] else start
        for fold, accumulator in zip(self.folds, finished, strict=True):
            if self.horizontal:
                accumulator = accumulator.across(writer.e)
            writer.scopes[-1][fold.result.number] = accumulator.result(writer.e)
        if self.horizontal:
            writer.lanes, writer.lane = 1, None
        writer.store_all(self.stores)

    def _fold_loops(self, level: int, state: list[Accumulator]) -> list[Accumulator]:
        writer, e = self.writer, self.writer.e
        if level == len(self.inner):
            return [a.folded(writer) for a in state]
        variable = self.inner[level]
        if level < len(self.inner) - 1:
            with (
                e.loop(e.i64(0), e.i64(variable.extent), carried=registers_of(state)) as loop,
                writer.scope(),
            ):
                writer.registers[variable.number] = loop.index
                writer.hoist(self.body, self._bound_inner(level + 1))
                inside = self._fold_loops(level + 1, with_registers(state, loop.carried))
                loop.yield_(registers_of(inside))
            return with_registers(state, loop.carried)
        if self.total[1] > LONG_FOLD and not any(f.positional for f in self.folds):
            fresh = [Accumulator.identity(writer, fold) for fold in self.folds]
            return [
                a.joined(e, b) for a, b in zip(state, self._blocks(variable, fresh), strict=True)
            ]
        return self._innermost(variable, e.i64(0), variable.extent, state)

    def _bound_inner(self, count: int) -> set[int]:
        bound = self._bound(len(self.outer)) | {v.number for v in self.inner[:count]}
        if self.lane is not None and not self.horizontal:
            bound.add(self.lane.number)
        return bound

    def _blocks(self, variable: Variable, state: list[Accumulator]) -> list[Accumulator]:
        """The innermost loop, in blocks with their own accumulators when it is very long."""
        e = self.writer.e
        step = self.lanes * 4 if self.horizontal else 4
        block = step * 128
        whole = variable.extent // block
        if whole < 2:
            return self._innermost(variable, e.i64(0), variable.extent, state)
        with (
            e.loop(e.i64(0), e.i64(whole), carried=registers_of(state)) as loop,
            self.writer.scope(),
        ):
            start = e.op("mul nsw", loop.index, e.i64(block))
            fresh = [Accumulator.identity(self.writer, fold) for fold in self.folds]
            inside = self._innermost(variable, start, block, fresh)
            joined = [
                a.joined(e, b)
                for a, b in zip(with_registers(state, loop.carried), inside, strict=True)
            ]
            loop.yield_(registers_of(joined))
        state = with_registers(state, loop.carried)
        rest = variable.extent - whole * block
        return self._innermost(variable, e.i64(whole * block), rest, state) if rest else state

    def _innermost(
        self, variable: Variable, start: Reg, count: int, state: list[Accumulator]
    ) -> list[Accumulator]:
        """`count` steps of the last loop from `start` on: several accumulators, then single
        steps.
        """
        writer, e = self.writer, self.writer.e
        if self.horizontal:
            writer.lane, writer.lanes = variable, self.lanes
        width = self.lanes if self.horizontal else 1
        unroll = self._unroll(count // width)
        many = count // (width * unroll)
        state = [a.widened(writer) for a in state]
        stop = _moved(e, start, many * width * unroll)
        if unroll > 1 and many:
            copies = [state] + [
                [Accumulator.identity(writer, f).widened(writer) for f in self.folds]
                for _ in range(unroll - 1)
            ]
            copies = self._steps(variable, start, stop, width, copies)
            state = copies[0]
            for other in copies[1:]:
                state = [a.joined(e, b) for a, b in zip(state, other, strict=True)]
        elif many:
            state = self._steps(variable, start, stop, width, [state])[0]
        done = many * width * unroll
        singles = (count - done) // width
        if singles:
            end = _moved(e, start, done + singles * width)
            state = self._steps(variable, stop, end, width, [state])[0]
            stop, done = end, done + singles * width
        if count > done:
            writer.lanes = count - done
            with writer.scope():
                writer.registers[variable.number] = stop
                state = [a.folded_short(writer) for a in state]
            writer.lanes = width
        return state

    def _unroll(self, vectors: int) -> int:
        if any(f.positional for f in self.folds) or len(self.body) > 40:
            return 1
        if vectors >= 64 and len(self.body) <= 2:
            return MOST_COPIES
        return 4 if vectors >= 4 and len(self.body) <= 16 else 2 if vectors >= 2 else 1

    def _steps(
        self, variable: Variable, start: Reg, stop: Reg, width: int, copies: list[list[Accumulator]]
    ) -> list[list[Accumulator]]:
        """A loop that folds one vector (or row) into each copy of the accumulators per turn."""
        writer, e = self.writer, self.writer.e
        flat = [r for state in copies for r in registers_of(state)]
        size = len(flat) // len(copies)
        step = width * len(copies)
        walking = len(copies) == MOST_COPIES
        with e.loop(start, stop, step, carried=[*flat, start] if walking else flat) as loop:
            following: list[Reg] = []
            for number, state in enumerate(copies):
                carried = loop.carried[number * size : (number + 1) * size]
                with writer.scope():
                    place = loop.carried[-1] if walking else loop.index
                    if number:
                        place = e.op("add nsw", place, e.i64(number * width))
                    writer.registers[variable.number] = place
                    following += registers_of(
                        [a.folded(writer) for a in with_registers(state, carried)]
                    )
            if walking:
                following.append(e.op("add nsw", loop.carried[-1], self._hidden(step)))
            loop.yield_(following)
        return [
            with_registers(state, loop.carried[n * size : (n + 1) * size])
            for n, state in enumerate(copies)
        ]

    def _hidden(self, number: int) -> Reg:
        """`number`, which LLVM cannot know: a place that moves on by it gets a pointer of its own.

        Otherwise addresses are a base and the loop's counter. Of an addition to memory with two
        registers in its address Intel's processors make two operations, and so look half as far
        ahead: 9 % of the time of rows that come from the level-3 cache.
        """
        e = self.writer.e
        zero = e.op("lshr", self.last_task, e.i64(63))  # (tasks are not negative)
        return e.op("or", zero, e.i64(number))


def independent(nodes: Sequence[Node], results: set[int], forward: dict[int, Node]) -> list[Node]:
    """The nodes that do not need a finished fold."""
    late = set(results)
    early = []
    for node in nodes:
        needs = (
            [n.number for n in ordered_nodes([node], forward)]
            if node_expressions(node)
            else [forwarded(a, forward).number for a in node.args]
        )
        if late.isdisjoint(needs):
            early.append(node)
        else:
            late.add(node.number)
    return early


def _moved(e: Emitter, start: Reg, by: int) -> Reg:
    if not start.name.startswith("%"):
        return e.i64(int(start.name) + by)
    return e.op("add nsw", start, e.i64(by)) if by else start
