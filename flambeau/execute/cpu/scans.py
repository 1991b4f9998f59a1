"""Scan kernels: running sums, products, extrema and log-sums along one axis, with a fused producer.

Lanes run along another axis where one is contiguous. float32 runs in float64 (and the half types
in float32), as PyTorch's CPU kernels do; what is written is rounded, what is carried on is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from flambeau.core.dtypes import DType
from flambeau.execute.cpu import elements
from flambeau.execute.cpu.body import Node
from flambeau.execute.cpu.emit import F64, I32, I64, Emitter, Reg, Type
from flambeau.execute.cpu.index import Variable
from flambeau.execute.cpu.loops import KernelCode, KernelWriter, Store, ordered_nodes
from flambeau.execute.cpu.math_functions import FUNCTIONS
from flambeau.execute.cpu.nests import Nest, body_cost, lane_count, task_count
from flambeau.execute.cpu.pointwise import (
    bytes_moved,
    kept_loops,
    needs_checks,
    task_span,
)
from flambeau.execute.cpu.templates import Signature, from_template

STEP_COST = {"logcumsumexp": 40.0}  # vector instructions of a step's latency; 8 for the others


def scan_kernel(
    name: str,
    kept: list[Variable],
    axis: Variable,
    body: Node,
    result: Node,
    stores: Sequence[Store],
    vector_bits: int,
) -> KernelCode:
    """The kernel of scan `name` along `axis`: `result` stands for an element of the outcome."""
    nodes = ordered_nodes([body, *[s.node for s in stores]], {})
    signature = Signature(nodes, stores, {})
    spaces = (axis.key, tuple([v.key for v in kept]), signature.place(body))
    extra = ("scan", name, vector_bits, spaces)
    return from_template(
        signature,
        extra,
        lambda: _emitted(name, kept, axis, body, result, nodes, stores, vector_bits),
    )


def _emitted(
    name: str,
    kept: list[Variable],
    axis: Variable,
    body: Node,
    result: Node,
    nodes: list[Node],
    stores: Sequence[Store],
    vector_bits: int,
) -> KernelCode:
    address = stores[0].address
    outer = sorted(kept, key=lambda v: -abs(address.coefficient(v)))
    lane = next((v for v in outer if address.coefficient(v) == 1 and v.extent >= 4), None)
    if lane is None and _in_order(name, body.dtype) and address.coefficient(axis) == 1:
        # (What is stored are places, of 64 bits; what is computed has the element's.)
        wide = vector_bits // max(32, elements.register_type(body.dtype).bits)
        if wide > 1 and 4 * wide <= axis.extent < 1 << 31:
            return _emitted_along(name, outer, axis, body, result, nodes, stores, wide, vector_bits)
    if lane is None and is_slow(name, body.dtype):
        lane = max((v for v in outer if v.extent >= 4), key=lambda v: v.extent, default=None)
    if lane is not None:
        outer = [*[v for v in outer if v is not lane], lane]
    lanes = lane_count(nodes, stores, vector_bits) if lane is not None else 1
    nest = Nest(outer, lane)
    points = axis.extent
    for variable in kept:
        points *= variable.extent
    cost = body_cost(nodes) + STEP_COST.get(name, 8.0)
    tasks = task_count(points, cost, lanes, bytes_moved(nodes, stores)) if outer else 1
    tasks, span = task_span(nest, tasks, lanes) if outer else (1, None)
    writer = KernelWriter(vector_bits, nodes, stores, {})
    checks = needs_checks(nodes)

    def run() -> None:
        e = writer.e
        start = _start(e, name, body.dtype, writer.lanes)
        with e.loop(e.i64(0), e.i64(axis.extent), carried=start) as loop, writer.scope():
            writer.registers[axis.number] = loop.index
            element = writer.vector(body)
            state, outcome = _step(e, name, body.dtype, loop.carried, element, loop.index)
            writer.scopes[-1][result.number] = elements.rounded(e, outcome, result.dtype)
            writer.store_all(stores)
            loop.yield_(state)

    with writer.kernel(checks) as bounds:
        writer.declare_operands(nodes, stores)
        kept_loops(writer, nest, nodes, lanes, span, bounds, run)
    return KernelCode(writer.e.module(), writer.operands, writer.words, tasks, tasks > 1, checks)


def _emitted_along(
    name: str,
    outer: list[Variable],
    axis: Variable,
    body: Node,
    result: Node,
    nodes: list[Node],
    stores: Sequence[Store],
    lanes: int,
    vector_bits: int,
) -> KernelCode:
    """Vectors along the axis itself: a scan within each, joined with what came before."""
    nest = Nest(outer, None)
    points = axis.extent
    for variable in outer:
        points *= variable.extent
    cost = body_cost(nodes) + 8.0
    tasks = task_count(points, cost, lanes, bytes_moved(nodes, stores)) if outer else 1
    tasks, span = task_span(nest, tasks, 1) if outer else (1, None)
    writer = KernelWriter(vector_bits, nodes, stores, {})
    checks = needs_checks(nodes)

    def part(start: int, stop: int, width: int, state: list[Reg]) -> list[Reg]:
        """`state`: the `_order` of the largest so far, and its place."""
        e = writer.e
        writer.lane, writer.lanes = (axis, width) if width > 1 else (None, 1)
        best, place = (e.splat(one, width) for one in state)
        carried = [best, place, _of_order(e, name, body.dtype, best)]
        # All lanes of what is carried are the same: nothing hangs on a lane but where one wins.
        with e.loop(e.i64(start), e.i64(stop), width, carried) as loop, writer.scope():
            writer.registers[axis.number] = loop.index
            element = writer.vector(body)
            best, place, number = loop.carried
            # Mostly no element is the largest so far.
            some = e.any_lane(_may_win(e, name, body.dtype, element, number))
            entered = [best, place, place, number]
            with e.loop(e.i64(0), e.cast("zext", some, "i64"), 1, entered) as once:
                key = _order(e, name, body.dtype, element)
                here = e.splat(e.cast("trunc", loop.index, "i32"), width)
                places = e.op("add", here, e.lane_numbers(width, "i32"))
                largest = _running_largest(e, key, best)
                wins = e.cmp("icmp eq", key, largest)
                places = e.select(wins, places, e.const(-1, places.type))
                places = _running_largest(e, places, place)
                last = e.splat(_last(e, largest), width)
                end = e.splat(_last(e, places), width)
                once.yield_([last, end, places, _of_order(e, name, body.dtype, last)])
            best, place, places, number = once.carried
            writer.scopes[-1][result.number] = e.cast("sext", places, "i64")
            writer.store_all(stores)
            loop.yield_([best, place, number])
        writer.lane, writer.lanes = None, 1
        return [_last(e, one) for one in loop.carried[:2]]

    def run() -> None:
        e, whole = writer.e, axis.extent - axis.extent % lanes
        kind = Type(f"i{elements.register_type(body.dtype).bits}")
        start = [e.const(-(1 << (kind.bits - 1)), kind), e.const(0, I32)]
        state = part(0, whole, lanes, start)
        if whole < axis.extent:
            part(whole, axis.extent, 1, state)

    with writer.kernel(checks) as bounds:
        writer.declare_operands(nodes, stores)
        kept_loops(writer, nest, nodes, 1, span, bounds, run)
    return KernelCode(writer.e.module(), writer.operands, writer.words, tasks, tasks > 1, checks)


def _in_order(name: str, dtype: DType) -> bool:
    """Whether a scan is one of the largest element under `_order`."""
    return name in ("cum_argmax", "cum_argmin") and (
        dtype.kind == "f" or (dtype.kind == "i" and dtype.is_signed)
    )


def _order(e: Emitter, name: str, dtype: DType, element: Reg) -> Reg:
    """Signed integers in whose order elements are, NaN the largest, zeros of both signs the same;
    of a minimum in the other direction (NaN is the largest there, too).
    """
    lanes, bits = element.type.lanes, element.type.bits
    kind = Type(f"i{bits}", lanes)
    if dtype.kind != "f":
        return element if name == "cum_argmax" else e.op("xor", element, e.const(-1, kind))
    number = element if name == "cum_argmax" else e.fneg(element)
    pattern = e.bitcast(e.op("fadd", number, e.const(0.0, number.type)), kind)
    most = e.const((1 << (bits - 1)) - 1, kind)
    negative = e.op("ashr", pattern, e.const(bits - 1, kind))
    key = e.op("xor", pattern, e.op("and", negative, most))
    return e.select(e.cmp("fcmp uno", element, element), most, key)


def _of_order(e: Emitter, name: str, dtype: DType, key: Reg) -> Reg:
    """The elements that `_order` has made keys of (but that a zero may have had a sign)."""
    kind = key.type
    if dtype.kind != "f":
        return key if name == "cum_argmax" else e.op("xor", key, e.const(-1, kind))
    most = e.const((1 << (kind.bits - 1)) - 1, kind)
    negative = e.op("ashr", key, e.const(kind.bits - 1, kind))
    pattern = e.op("xor", key, e.op("and", negative, most))
    number = e.bitcast(pattern, elements.register_type(dtype, kind.lanes))
    return number if name == "cum_argmax" else e.fneg(number)


def _may_win(e: Emitter, name: str, dtype: DType, element: Reg, number: Reg) -> Reg:
    """Where an element is no smaller (of a minimum: no larger) than a number, or one is NaN."""
    if dtype.kind != "f":
        return e.cmp("icmp sge" if name == "cum_argmax" else "icmp sle", element, number)
    return e.cmp("fcmp uge" if name == "cum_argmax" else "fcmp ule", element, number)


def _last(e: Emitter, vector: Reg) -> Reg:
    lanes = vector.type.lanes
    return e.extract(vector, lanes - 1) if lanes > 1 else vector


def _running_largest(e: Emitter, vector: Reg, before: Reg) -> Reg:
    """The largest of each lane, those before it, and what was before all of them."""
    lanes = vector.type.lanes
    step = 1
    while step < lanes:
        moved = e.shuffle(vector, vector, [max(lane - step, 0) for lane in range(lanes)])
        vector = e.intrinsic("llvm.smax", vector, moved)
        step *= 2
    return e.intrinsic("llvm.smax", vector, before)


def is_slow(name: str, dtype: DType) -> bool:
    """Whether a step takes so long that many at once are worth elements from far apart: what hangs
    on the step before is a function, or a comparison that looks for NaN.
    """
    return name in STEP_COST or (name in ("cum_argmax", "cum_argmin") and dtype.kind == "f")


def _wide(dtype: DType, lanes: int) -> Type:
    """The type that a scan's state is carried in."""
    if dtype.name == "float32":
        return F64.with_lanes(lanes)
    return elements.register_type(dtype, lanes)


def _start(e: Emitter, name: str, dtype: DType, lanes: int) -> list[Reg]:
    type_ = elements.register_type(dtype, lanes)
    if name == "cumsum":
        # -0.0 + x is x, the sign of zero included.
        return [e.const(-0.0 if dtype.kind == "f" else 0, _wide(dtype, lanes))]
    if name == "cumprod":
        return [e.const(1, _wide(dtype, lanes))]
    if name == "logcumsumexp":
        return [e.const(-math.inf, type_)]
    best = elements.lowest(dtype) if name == "cum_argmax" else elements.highest(dtype)
    return [e.const(best, type_), e.const(0, I64.with_lanes(lanes))]


def _step(
    e: Emitter, name: str, dtype: DType, state: Sequence[Reg], element: Reg, index: Reg
) -> tuple[list[Reg], Reg]:
    """(the state after an element, the outcome there)."""
    total = state[0]
    if name in ("cumsum", "cumprod"):
        operation = "add" if name == "cumsum" else "mul"
        if dtype.kind == "f":
            if total.type != element.type:
                element = e.cast("fpext", element, "double")
            total = e.op(f"f{operation}", total, element)
            narrow = elements.register_type(dtype).element
            same = total.type.element == narrow
            return [total], total if same else e.cast("fptrunc", total, narrow)
        total = elements.apply(e, operation, dtype, (dtype, dtype), [total, element])
        return [total], total
    if name == "logcumsumexp":
        total = _log_sum(e, total, element)
        return [total], total
    wins = elements.compare(e, "ge" if name == "cum_argmax" else "le", dtype, element, total)
    if dtype.kind == "f":
        wins = e.op("or", wins, e.cmp("fcmp uno", element, element))
    here = e.splat(index, total.type.lanes)
    place = e.select(wins, here, state[1])
    return [e.select(wins, element, total), place], place


def _log_sum(e: Emitter, a: Reg, b: Reg) -> Reg:
    """log(exp(a) + exp(b))."""
    larger = e.select(e.cmp("fcmp ogt", a, b), a, b)
    apart = e.fneg(e.intrinsic("llvm.fabs", e.op("fsub", a, b)))
    total = e.op("fadd", larger, FUNCTIONS["log1p"](e, FUNCTIONS["exp"](e, apart)))
    # inf - inf is NaN, but equal operands have their sum.
    twice = e.op("fadd", a, e.const(math.log(2.0), a.type))
    total = e.select(e.cmp("fcmp oeq", a, b), twice, total)
    return e.select(e.cmp("fcmp uno", a, b), e.op("fadd", a, b), total)
