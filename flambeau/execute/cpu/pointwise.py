"""Kernels that write elements independently of each other: fused elementwise code, views,
gathers.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from flambeau.execute.cpu.body import Node, node_expressions
from flambeau.execute.cpu.emit import Reg
from flambeau.execute.cpu.index import Runtime, Variable
from flambeau.execute.cpu.loops import KernelCode, KernelWriter, Store, ordered_nodes
from flambeau.execute.cpu.nests import (
    Nest,
    body_cost,
    choose_nest,
    expressions_of,
    lane_count,
    task_count,
)
from flambeau.execute.cpu.templates import Signature, from_template
from flambeau.execute.cpu.transposes import find_turn, turned_loops


@dataclass(frozen=True)
class Rows:
    """How a kernel is cut into tasks of `span` of the outermost `count` rows each; see
    row_chains.py.
    """

    count: int
    span: int

    @property
    def tasks(self) -> int:
        return -(-self.count // self.span)


def row_kernel(
    variables: list[Variable],
    stores: Sequence[Store],
    forward: dict[int, Node],
    vector_bits: int,
    rows: Rows,
    last: Variable,
) -> KernelCode | None:
    """As `pointwise_kernel`, with tasks of so many rows; `last` is the innermost variable of those.
    None where the loops have another order.
    """
    nodes = ordered_nodes([s.node for s in stores], forward)
    lanes = lane_count(nodes, stores, vector_bits)
    nest = choose_nest(variables, nodes, stores, lanes)
    writer = KernelWriter(vector_bits, nodes, stores, forward)
    writer.rename = nest.rename
    outer = nest.loops[0]
    flat = len(nest.loops) == 1 and is_flat(outer, nodes, stores, writer)
    if flat and outer.extent % rows.count:
        return None
    if not flat and (outer is nest.lane or not by_rows(outer, rows, last)):
        return None

    def emitted() -> KernelCode:
        with writer.kernel(False) as bounds:
            writer.declare_operands(nodes, stores)
            if flat:
                span = outer.extent // rows.count * rows.span
                _flat_loop(writer, outer, nodes, stores, lanes, rows.tasks, bounds, span)
            else:
                store = partial(writer.store_all, stores)
                kept_loops(writer, nest, nodes, lanes, rows.span, bounds, store)
        return KernelCode(writer.e.module(), writer.operands, writer.words, rows.tasks, True)

    extra = ("rows", vector_bits, tuple([v.key for v in variables]), rows)
    return from_template(Signature(nodes, stores, forward), extra, emitted)


def by_rows(outer: Variable, rows: Rows, last: Variable) -> bool:
    """Whether a loop goes through all the rows."""
    return outer.number == last.number and outer.extent == rows.count


def pointwise_kernel(
    variables: list[Variable], stores: Sequence[Store], forward: dict[int, Node], vector_bits: int
) -> KernelCode:
    """One nest over `variables` that makes all stores."""
    nodes = ordered_nodes([s.node for s in stores], forward)
    signature = Signature(nodes, stores, forward)
    extra = ("pointwise", vector_bits, tuple([v.key for v in variables]))
    return from_template(
        signature, extra, lambda: _emitted(variables, nodes, stores, forward, vector_bits)
    )


def _emitted(
    variables: list[Variable],
    nodes: list[Node],
    stores: Sequence[Store],
    forward: dict[int, Node],
    vector_bits: int,
) -> KernelCode:
    lanes = lane_count(nodes, stores, vector_bits)
    nest = choose_nest(variables, nodes, stores, lanes)
    points = 1
    for variable in variables:
        points *= variable.extent
    tasks = task_count(points, body_cost(nodes), lanes, bytes_moved(nodes, stores))
    writer = KernelWriter(vector_bits, nodes, stores, forward)
    writer.rename = nest.rename
    checks = needs_checks(nodes)
    with writer.kernel(checks) as (first, last):
        writer.declare_operands(nodes, stores)
        if len(nest.loops) == 1 and is_flat(nest.loops[0], nodes, stores, writer):
            tasks = _flat_loop(writer, nest.loops[0], nodes, stores, lanes, tasks, (first, last))
        elif (turn := find_turn(nest, nodes, stores, writer, lanes)) is not None:
            bounds = first, last
            tasks = turned_loops(writer, nest, turn, nodes, stores, lanes, tasks, bounds)
        else:
            tasks = _static_nest(writer, nest, nodes, stores, lanes, tasks, (first, last))
    return KernelCode(writer.e.module(), writer.operands, writer.words, tasks, tasks > 1, checks)


def needs_checks(nodes: Sequence[Node]) -> bool:
    return any(
        n.kind == "index"
        or (
            n.kind == "op"
            and (
                n.data[0] == "check"
                or (
                    n.dtype.kind == "i"
                    and n.data[0] in ("floor_divide", "trunc_divide", "remainder", "fmod")
                )
            )
        )
        for n in nodes
    )


def bytes_moved(nodes: Sequence[Node], stores: Sequence[Store]) -> float:
    loaded = sum(n.dtype.itemsize for n in nodes if n.kind == "load" and n.variables)
    return loaded + sum(s.buffer.dtype.itemsize for s in stores)


def is_flat(
    variable: Variable, nodes: Sequence[Node], stores: Sequence[Store], writer: KernelWriter
) -> bool:
    """Whether every access is contiguous or uniform: the length can then be an argument."""
    if any(n.kind in ("guarded", "index", "position") for n in nodes) or variable.extent < 2:
        return False
    for expression in expressions_of(nodes, stores):
        expression = writer.renamed(expression)
        if any(a.key[0] != 0 for a, _ in expression.terms):
            return False
        if expression.coefficient(variable) not in (0, 1):
            return False
    return all(writer.renamed(s.address).coefficient(variable) == 1 for s in stores)


def _flat_loop(
    writer: KernelWriter,
    variable: Variable,
    nodes: list[Node],
    stores: Sequence[Store],
    lanes: int,
    tasks: int,
    bounds: tuple[Reg, Reg],
    chunk: int = 0,
) -> int:
    """A loop whose length is argument word 0, with `word 1` elements per task (`chunk`); the last
    vector is masked.
    """
    e = writer.e
    if not chunk:
        chunk = -(-variable.extent // tasks)
        chunk = -(-chunk // 64) * 64
    tasks = -(-variable.extent // chunk)
    writer.words = [variable.extent, chunk]
    total, step = writer.argument_word(0), writer.argument_word(1)
    start = e.op("mul nsw", bounds[0], step)
    stop = e.intrinsic("llvm.smin", e.op("mul nsw", bounds[1], step), total)
    writer.hoist(nodes, set())
    length = e.op("sub nsw", stop, start)
    even = e.op("sub nsw", stop, e.op("and", length, e.i64(lanes - 1)))
    writer.lane, writer.lanes = variable, lanes
    with e.loop(start, even, lanes) as loop, writer.scope():
        writer.registers[variable.number] = loop.index
        writer.store_all(stores)
    if lanes == 1:
        return tasks
    rest = e.op("sub nsw", stop, even)
    with e.when(e.cmp("icmp sgt", rest, e.i64(0))), writer.scope():
        writer.registers[variable.number] = even
        numbers = e.lane_numbers(lanes)
        writer.mask = e.cmp("icmp slt", numbers, e.splat(rest, lanes))
        writer.store_all(stores)
        writer.mask = None
    return tasks


def _static_nest(
    writer: KernelWriter,
    nest: Nest,
    nodes: list[Node],
    stores: Sequence[Store],
    lanes: int,
    tasks: int,
    bounds: tuple[Reg, Reg],
) -> int:
    if not nest.loops:
        writer.store_all(stores)
        return 1
    tasks, span = task_span(nest, tasks, lanes)
    kept_loops(writer, nest, nodes, lanes, span, bounds, lambda: writer.store_all(stores))
    return tasks


def kept_loops(
    writer: KernelWriter,
    nest: Nest,
    nodes: Sequence[Node],
    lanes: int,
    span: int | None,
    bounds: tuple[Reg, Reg],
    body: Callable[[], None],
) -> None:
    """The loops of a nest around a body; the lane variable, where there is one, comes last.

    `span` is how many steps of the outermost loop a task has (None where there is one task).
    """
    writer.hoist(nodes, set())
    bound: set[int] = {n for n, x in nest.rename.items() if not x.terms}

    def level(number: int) -> None:
        if number == len(nest.loops):
            body()
            return
        variable = nest.loops[number]
        limits = span if number == 0 else None
        if variable is nest.lane:
            lane_loop(writer, variable, lanes, limits, bounds, body)
            return
        start, stop = limit_registers(writer, variable, limits, bounds)
        with writer.e.loop(start, stop) as loop, writer.scope():
            writer.registers[variable.number] = loop.index
            bound.add(variable.number)
            writer.hoist(nodes, bound)
            level(number + 1)

    level(0)


def task_span(nest: Nest, tasks: int, lanes: int) -> tuple[int, int | None]:
    """(tasks, iterations of the outermost loop per task), None for a single task."""
    outer = nest.loops[0]
    if tasks == 1 or outer.extent == 1:
        return 1, None
    chunk = -(-outer.extent // tasks)
    if outer is nest.lane:
        chunk = -(-chunk // lanes) * lanes
    tasks = -(-outer.extent // chunk)
    return (tasks, chunk) if tasks > 1 else (1, None)


def limit_registers(
    writer: KernelWriter, variable: Variable, span: int | None, bounds: tuple[Reg, Reg]
) -> tuple[Reg, Reg]:
    """The range of a loop: all of it, or that of the tasks asked for."""
    e = writer.e
    if span is None:
        return e.i64(0), e.i64(variable.extent)
    start = e.op("mul nsw", bounds[0], e.i64(span))
    stop = e.op("mul nsw", bounds[1], e.i64(span))
    return start, e.intrinsic("llvm.smin", stop, e.i64(variable.extent))


def lane_loop(
    writer: KernelWriter,
    variable: Variable,
    lanes: int,
    span: int | None,
    bounds: tuple[Reg, Reg],
    body: Callable[[], None],
    first: int | None = None,
) -> None:
    """Vectors of `lanes` along `variable`, then one shorter vector for the rest of a static
    extent; or of the `first` places of it.
    """
    e, extent = writer.e, variable.extent if first is None else first
    writer.lane, writer.lanes = variable, lanes
    rest = extent % lanes
    if span is not None:
        start, stop = limit_registers(writer, variable, span, bounds)
        whole = e.intrinsic("llvm.smin", stop, e.i64(extent - rest))
    else:
        start, whole, stop = e.i64(0), e.i64(extent - rest), e.i64(extent)
    if extent == lanes:
        with writer.scope():
            writer.registers[variable.number] = start
            body()
    elif extent > lanes:
        with e.loop(start, whole, lanes) as loop, writer.scope():
            writer.registers[variable.number] = loop.index
            body()
    if rest:
        writer.lanes = rest

        def remainder() -> None:
            with writer.scope():
                writer.registers[variable.number] = e.i64(extent - rest)
                body()

        if span is not None:
            with e.when(e.cmp("icmp eq", stop, e.i64(extent))):
                remainder()
        else:
            remainder()
    writer.lanes, writer.lane = 1, None


def nest_kernel(
    outer: list[Variable], inner: list[Variable], stores: Sequence[Store], vector_bits: int
) -> KernelCode:
    """Stores made strictly in the order of the outer variables; lanes run along the last inner one
    only.
    """
    places = [a.node for s in stores for a in s.address.atoms() if isinstance(a, Runtime)]
    nodes = ordered_nodes([*places, *[s.node for s in stores]], {})
    lanes = lane_count(nodes, stores, vector_bits) if inner and inner[-1].extent >= 4 else 1
    loops = [*outer, *inner]
    nest = Nest(loops, loops[-1] if loops else None)
    writer = KernelWriter(vector_bits, nodes, stores, {})
    checks = needs_checks(nodes)
    steady = not_reading(nodes, {id(s.buffer) for s in stores})
    with writer.kernel(checks) as bounds:
        writer.declare_operands(nodes, stores)
        kept_loops(writer, nest, steady, lanes, None, bounds, lambda: writer.store_all(stores))
    return KernelCode(writer.e.module(), writer.operands, writer.words, 1, False, checks)


def not_reading(nodes: Sequence[Node], buffers: set[int]) -> list[Node]:
    """The nodes (operands first) that do not depend on the contents of some buffers."""
    late: set[int] = set()
    result = []
    for node in nodes:
        needs = [a.number for a in node.args]
        for expression in node_expressions(node):
            needs += [a.node.number for a in expression.atoms() if isinstance(a, Runtime)]
        reads = node.kind == "load" and id(node.data[0]) in buffers
        if reads or not late.isdisjoint(needs):
            late.add(node.number)
        else:
            result.append(node)
    return result
