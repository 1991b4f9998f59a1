"""Kernel bodies: what one element of a value is, as a graph of loads and operations at symbolic
positions.

`Tracer.value(v, position)` inlines elementwise primitives at the same position and views by
changing the position, down to loads from buffers. Nodes are shared: the same operation on the same
operands is one node, whichever kernels use it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import Any

from flambeau.core import dtypes
from flambeau.core.dtypes import DType
from flambeau.core.shapes import contiguous_strides, memory_order
from flambeau.execute.cpu.index import (
    Expression,
    Position,
    Runtime,
    Variable,
    constant,
    linear,
    of,
)
from flambeau.execute.cpu.math_gates import gate
from flambeau.ops.indexed import WITHIN, wraps
from flambeau.ops.primitive import ELEMENTWISE
from flambeau.ops.value import Shape, Value

# (expression, low, high): the expression lies in low .. high (inclusive).
Condition = tuple[Expression, int, int]
Guard = tuple[Condition, ...]


class Buffer:
    """Memory that holds a value: `strides` (elements, per axis) or None for row-major order.

    `kind` is "base", "result", "arena" or "scalars"; `place` its number (or the arena's byte
    offset, set by the memory plan).
    """

    __slots__ = ("dtype", "kind", "place", "shape", "size", "strides")

    def __init__(
        self,
        dtype: DType,
        shape: Shape,
        kind: str = "arena",
        place: int = 0,
        strides: tuple[int, ...] | None = None,
    ) -> None:
        self.dtype = dtype
        self.shape = shape
        self.kind = kind
        self.place = place
        self.strides = strides
        size = 1
        for extent in shape:
            size *= extent
        self.size = size

    def address(self, position: Position) -> Expression:
        """The element address of a position of the value."""
        if self.strides is None:
            return position.flat
        return linear(position.dims, self.strides)

    def position(self, address: Expression) -> Position:
        """The position of the value at an address: the inverse of `address`."""
        if self.strides is None:
            return Position(self.shape, flat=address)
        order = memory_order(self.shape, self.strides)
        inner = Position([self.shape[a] for a in order], flat=address).dims
        dims = [constant(0)] * len(order)
        for axis, expression in zip(order, inner, strict=True):
            dims[axis] = expression
        return Position(self.shape, dims)

    @property
    def bytes(self) -> int:
        return self.size * self.dtype.itemsize

    def __repr__(self) -> str:
        return f"<{self.kind} {self.place} {self.dtype.name}{list(self.shape)}>"


class Node:
    """One operation of a body. `kind`: load, literal, scalar, position, op, guarded, index,
    result.
    """

    __slots__ = ("args", "cost", "data", "dtype", "kind", "number", "variables")

    def __init__(
        self,
        number: int,
        kind: str,
        dtype: DType,
        args: tuple[Node, ...],
        data: Any,
        variables: frozenset[Variable],
    ) -> None:
        self.number = number
        self.kind = kind
        self.dtype = dtype
        self.args = args
        self.data = data
        self.variables = variables

    def __repr__(self) -> str:
        return f"{self.kind}#{self.number}({', '.join(map(repr, self.args))})"


def expression_variables(expression: Expression) -> frozenset[Variable]:
    """Loop variables an expression depends on, through run-time indices too."""
    found: set[Variable] = set()
    for atom in expression.atoms():
        if isinstance(atom, Variable):
            found.add(atom)
        elif isinstance(atom, Runtime):
            found |= atom.node.variables
    return frozenset(found)


class Tracer:
    """Makes body nodes for a whole program; `find` gives the buffer of a materialised value."""

    def __init__(self, find: Callable[[Value], Buffer | None]) -> None:
        self.find = find
        self._numbers = itertools.count()
        self._nodes: dict[Any, Node] = {}
        self._memo: dict[Any, Node] = {}

    # ---- nodes -----------------------------------------------------------------------------------

    def node(
        self,
        kind: str,
        dtype: DType,
        args: tuple[Node, ...],
        data: Any,
        key: Any,
        expressions: Sequence[Expression] = (),
    ) -> Node:
        full = (kind, dtype.index, tuple([a.number for a in args]), key)
        have = self._nodes.get(full)
        if have is None:
            variables: frozenset[Variable] = frozenset()
            for argument in args:
                variables |= argument.variables
            for expression in expressions:
                variables |= expression_variables(expression)
            have = Node(next(self._numbers), kind, dtype, args, data, variables)
            self._nodes[full] = have
        return have

    def literal(self, value: Any, dtype: DType) -> Node:
        return self.node("literal", dtype, (), value, repr(value))

    def op(self, name: str, dtype: DType, *args: Node, guard: Guard = ()) -> Node:
        return self.node(
            "op", dtype, args, (name, guard), (name, guard_key(guard)), [c[0] for c in guard]
        )

    def load(self, buffer: Buffer, address: Expression, guard: Guard = ()) -> Node:
        return self.node(
            "load",
            buffer.dtype,
            (),
            (buffer, address, guard),
            (id(buffer), address.key, guard_key(guard)),
            [address, *[c[0] for c in guard]],
        )

    def index(self, expression: Expression) -> Node:
        if not expression.terms:
            return self.literal(expression.constant, dtypes.int64)
        return self.node("position", dtypes.int64, (), expression, expression.key, [expression])

    def result(self, token: Any, dtype: DType, variables: frozenset[Variable]) -> Node:
        """A value that the kernel's skeleton provides (a finished reduction or contraction)."""
        node = self.node("result", dtype, (), token, token)
        node.variables = variables
        return node

    def guarded(self, guard: Guard, inside: Node, fill: Node) -> Node:
        return self.node(
            "guarded", inside.dtype, (inside, fill), guard, guard_key(guard), [c[0] for c in guard]
        )

    # ---- values ----------------------------------------------------------------------------------

    def value(self, v: Value, position: Position, guard: Guard = ()) -> Node:
        """The element of `v` at `position`; `guard` says when the position is within bounds."""
        buffer = self.find(v)
        if buffer is None:
            return self.inlined(v, position, guard)
        address = buffer.address(position)
        inside = guard and address.low >= 0 and address.high < buffer.size
        if inside and not any(isinstance(a, Runtime) for a in address.atoms()):
            guard = ()  # safe everywhere, and computed once where the place does not matter
        return self.load(buffer, address, guard)

    def inlined(self, v: Value, position: Position, guard: Guard = ()) -> Node:
        """As `value`, but from v's operands even where v itself has a buffer."""
        key = (v.order, position.key, guard_key(guard))
        have = self._memo.get(key)
        if have is None:
            have = self._inlined(v, position, guard)
            self._memo[key] = have
        return have

    def _inlined(self, v: Value, position: Position, guard: Guard) -> Node:
        name = v.primitive.name
        if v.primitive.family == ELEMENTWISE:
            args = [self.value(x, position, guard) for x in v.inputs]
            kept = guard if v.dtype.kind == "i" and name in CHECKED else ()
            if name == "cast":
                return args[0] if args[0].dtype is v.dtype else self.op(name, v.dtype, *args)
            known = gate(self, name, v.dtype, args) if name in ("add", "sub") else None
            return known or self.op(name, v.dtype, *args, guard=kept)
        rule = RULES.get(name)
        if rule is None:
            raise NotImplementedError(f"the CPU compiler cannot inline {name}")
        return rule(self, v, position, guard)


CHECKED = ("floor_divide", "trunc_divide", "remainder", "fmod")


def guard_key(guard: Guard) -> Any:
    return tuple([(e.key, low, high) for e, low, high in guard]) if guard else ()


def narrowed(guard: Guard, *conditions: Condition) -> Guard | None:
    """`guard` and the conditions, without those that always hold; None if one never does."""
    result = list(guard)
    for expression, low, high in conditions:
        if expression.high < low or expression.low > high:
            return None
        if low <= expression.low and expression.high <= high:
            continue
        if all((e.key, a, b) != (expression.key, low, high) for e, a, b in result):
            result.append((expression, low, high))
    return tuple(result)


def _constant(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    return t.literal(v.attrs["value"], v.dtype)


def _input(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    assert v.attrs["role"] == "scalar", v
    return t.node("scalar", v.dtype, (), v.attrs["index"], v.attrs["index"])


def _iota(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    return t.index(position.flat)


def _same(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    return t.value(v.inputs[0], position, guard)


def _reshape(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    return t.value(v.inputs[0], position.reshaped(v.inputs[0].shape), guard)


def view_position(v: Value, position: Position) -> Position | None:
    """Where a plain view (one that only moves the position) reads its operand."""
    x, name = v.inputs[0], v.primitive.name
    if name in ("detach", "leaf", "history", "relink"):
        return position
    if name == "reshape":
        return position.reshaped(x.shape)
    if name == "as_strided":
        return Position(x.shape, flat=linear(position.dims, v.attrs["strides"], v.attrs["offset"]))
    dims: Sequence[Expression]
    if name == "permute":
        new = [constant(0)] * x.ndim
        for expression, axis in zip(position.dims, v.attrs["order"], strict=True):
            new[axis] = expression
        dims = new
    elif name == "expand":
        dims = [constant(0) if n == 1 else e for e, n in zip(position.dims, x.shape, strict=True)]
    elif name == "slice":
        dims = [
            e.times(step).plus(start)
            for e, start, step in zip(
                position.dims, v.attrs["starts"], v.attrs["steps"], strict=True
            )
        ]
    elif name == "flip":
        dims = [
            e.times(-1).plus(n - 1) if a in v.attrs["axes"] else e
            for a, (e, n) in enumerate(zip(position.dims, x.shape, strict=True))
        ]
    elif name == "windows":
        rank = len(v.attrs["sizes"])
        lead = x.ndim - rank
        at = position.dims
        dims = [*at[:lead], *window_dims(v.attrs, at[lead : lead + rank], at[lead + rank :])]
    else:
        return None
    return Position(x.shape, dims)


def window_dims(
    attrs: dict[str, Any], places: Sequence[Expression], offsets: Sequence[Expression]
) -> list[Expression]:
    return [
        p.times(s) + w.times(d)
        for p, w, s, d in zip(places, offsets, attrs["steps"], attrs["dilations"], strict=True)
    ]


def _view(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    moved = view_position(v, position)
    assert moved is not None
    return t.value(v.inputs[0], moved, guard)


def _pad(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    x, attrs = v.inputs[0], v.attrs
    dims, conditions = [], []
    for e, n, low, inner in zip(
        position.dims, x.shape, attrs["low"], attrs["interior"], strict=True
    ):
        place = e.plus(-low)
        if inner:
            conditions.append((place, 0, (n - 1) * (inner + 1)))
            conditions.append((place % (inner + 1), 0, 0))
            place = place // (inner + 1)
        else:
            conditions.append((place, 0, n - 1))
        dims.append(place)
    fill = t.literal(attrs["value"], v.dtype)
    if not x.size:
        return fill
    inside = narrowed(guard, *conditions)
    if inside is None:
        return fill
    element = t.value(x, Position(x.shape, dims), inside)
    return element if inside == guard else t.guarded(inside, element, fill)


def _concat(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    axis, end = v.attrs["axis"], v.shape[v.attrs["axis"]]
    result: Node | None = None
    for x in reversed(v.inputs):
        extent = x.shape[axis]
        end -= extent
        if not extent:
            continue
        dims = list(position.dims)
        dims[axis] = dims[axis].plus(-end)
        inside = narrowed(guard, (dims[axis], 0, extent - 1))
        if inside is None:
            continue
        element = t.value(x, Position(x.shape, dims), inside)
        result = (
            element if result is None or inside == guard else t.guarded(inside, element, result)
        )
    return t.literal(0, v.dtype) if result is None else result


def _take(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    x, index = v.inputs
    place = row_index(
        t, x, index, Position(index.shape, position.dims[: index.ndim]), v.attrs["what"], guard
    )
    element = t.value(x, Position(x.shape, (place, *position.dims[index.ndim :])), guard)
    for atom, _ in place.terms:
        # Equal rows are read without their number, which must be within bounds all the same.
        if isinstance(atom, Runtime) and not depends_on(element, atom.node):
            return t.op("checked", v.dtype, element, atom.node)
    return element


def _pick(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    x, index = v.inputs
    axis = v.attrs["axis"]
    place = row_index(t, x, index, position, "index", guard, axis)
    dims = (*position.dims[:axis], place, *position.dims[axis:])
    return t.value(x, Position(x.shape, dims), guard)


def depends_on(node: Node, other: Node) -> bool:
    """Whether `node` needs `other`, as an operand or as an index."""
    seen: set[int] = set()
    waiting = [node]
    while waiting:
        current = waiting.pop()
        if current is other:
            return True
        if current.number in seen:
            continue
        seen.add(current.number)
        waiting += current.args
        for expression in node_expressions(current):
            waiting += [a.node for a in expression.atoms() if isinstance(a, Runtime)]
    return False


def node_expressions(node: Node) -> list[Expression]:
    """The index expressions a node evaluates."""
    if node.kind == "load":
        return [node.data[1], *[c[0] for c in node.data[2]]]
    if node.kind == "position":
        return [node.data]
    if node.kind == "guarded":
        return [c[0] for c in node.data]
    if node.kind == "op":
        return [c[0] for c in node.data[1]]
    if node.kind == "index":
        return [c[0] for c in node.data[2]]
    return []


def row_index(
    t: Tracer,
    x: Value,
    index: Value,
    position: Position,
    what: str,
    guard: Guard = (),
    axis: int = 0,
) -> Expression:
    """The checked run-time row number (place along an axis) that `index` holds at `position`."""
    raw = t.value(index, position, guard)
    count = x.shape[axis]
    if raw.kind == "position":
        expression: Expression = raw.data
        if expression.low >= 0 and expression.high < count:
            return expression
    if what == WITHIN and raw.dtype is dtypes.int64 and not guard:
        return of(Runtime(raw, count))
    data = (count, wraps(what), guard)
    node = t.node(
        "index",
        dtypes.int64,
        (raw,),
        data,
        (count, data[1], guard_key(guard)),
        [c[0] for c in guard],
    )
    return of(Runtime(node, count)) if count > 1 else Expression(0, ((Runtime(node, 2), 1),))


def window_elements(attrs: dict[str, Any]) -> list[tuple[int, ...]]:
    return list(itertools.product(*[range(n) for n in attrs["sizes"]]))


def window_loads(
    t: Tracer, x: Value, attrs: dict[str, Any], position: Position, guard: Guard
) -> list[Node]:
    """The elements of `x` in the window at `position` (of the windows' shape), row-major."""
    lead = x.ndim - len(attrs["sizes"])
    loads = []
    for place in window_elements(attrs):
        inner = window_dims(attrs, position.dims[lead:], [constant(w) for w in place])
        loads.append(t.value(x, Position(x.shape, (*position.dims[:lead], *inner)), guard))
    return loads


def _max_pool(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    loads = window_loads(t, v.inputs[0], v.attrs, position, guard)
    return _best(t, [(load, load) for load in loads])[0]


def _max_pool_pick(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    """max_pool_index, or max_pool_take with the elements of the second operand for the places."""
    loads = window_loads(t, v.inputs[0], v.attrs, position, guard)
    picks = (
        [t.literal(i, v.dtype) for i in range(len(loads))]
        if len(v.inputs) == 1
        else window_loads(t, v.inputs[1], v.attrs, position, guard)
    )
    return _best(t, list(zip(loads, picks, strict=True)))[1]


def _best(t: Tracer, pairs: Sequence[tuple[Node, Node]]) -> tuple[Node, Node]:
    """The first of the largest elements, and what goes with it: the better one of two halves, whose
    comparisons need not wait for each other.
    """
    if len(pairs) == 1:
        return pairs[0]
    half = len(pairs) // 2
    (first, of_first), (second, of_second) = _best(t, pairs[:half]), _best(t, pairs[half:])
    wins = t.op("beats", dtypes.bool_, second, first)
    best = t.op("where", first.dtype, wins, second, first)
    return best, t.op("where", of_first.dtype, wins, of_second, of_first)


def _pool_scatter(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    """Of `fold` and `pool_scatter`: for each window element, the window that has it here, added
    up.
    """
    attrs = v.attrs
    apart = all(
        s >= n and d == 1
        for s, n, d in zip(attrs["steps"], attrs["sizes"], attrs["dilations"], strict=True)
    )
    if apart and len(v.inputs) == 2 and v.inputs[1].size:
        return _pool_scatter_apart(t, v, position, guard)
    rank = len(attrs["sizes"])
    lead = v.ndim - rank
    source = v.inputs[-1]
    windows = source.shape[lead : lead + rank]
    total: Node | None = None
    zero = t.literal(0, v.dtype)
    for number, place in enumerate(window_elements(attrs)):
        dims, conditions = [], []
        for e, w, n, s, d in zip(
            position.dims[lead:], place, windows, attrs["steps"], attrs["dilations"], strict=True
        ):
            here = e.plus(-w * d)
            conditions += [(here % s, 0, 0), (here, 0, (n - 1) * s)]
            dims.append(here // s)
        inside = narrowed(guard, *conditions)
        if inside is None or not source.size:
            continue
        at = (*position.dims[:lead], *dims)
        if len(v.inputs) == 1:
            element = t.value(source, Position(source.shape, (*at, *map(constant, place))), inside)
        else:
            element = t.value(source, Position(source.shape, at), inside)
            winner = t.value(v.inputs[0], Position(source.shape, at), inside)
            hit = t.op("eq", dtypes.bool_, winner, t.literal(number, winner.dtype))
            element = t.op("where", v.dtype, hit, element, zero)
        if inside != guard:
            element = t.guarded(inside, element, zero)
        total = element if total is None else t.op("add", v.dtype, total, element)
    return zero if total is None else total


def _pool_scatter_apart(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    """`pool_scatter` where windows do not overlap: every element belongs to one window at most."""
    attrs, (winners, source) = v.attrs, v.inputs
    lead = v.ndim - len(attrs["sizes"])
    dims, conditions, place = [], [], constant(0)
    for e, n, size, step in zip(
        position.dims[lead:], source.shape[lead:], attrs["sizes"], attrs["steps"], strict=True
    ):
        window, inside = e // step, e % step
        conditions += [(window, 0, n - 1), (inside, 0, size - 1)]
        place = place.times(size) + inside
        dims.append(window)
    allowed = narrowed(guard, *conditions)
    zero = t.literal(0, v.dtype)
    if allowed is None:
        return zero
    at = Position(source.shape, (*position.dims[:lead], *dims))
    here = (
        t.op("cast", winners.dtype, t.index(place))
        if winners.dtype.itemsize < 8
        else t.index(place)
    )
    hit = t.op("eq", dtypes.bool_, t.value(winners, at, allowed), here)
    element = t.op("where", v.dtype, hit, t.value(source, at, allowed), zero)
    return element if allowed == guard else t.guarded(allowed, element, zero)


def _strided_scatter(t: Tracer, v: Value, position: Position, guard: Guard) -> Node:
    x, rows = v.inputs
    rest = position.flat.plus(-v.attrs["offset"])
    order = sorted(range(rows.ndim), key=lambda a: -v.attrs["strides"][a])
    dims, conditions = [constant(0)] * rows.ndim, [(rest, 0, x.shape[0])]
    for axis in order:
        extent, stride = rows.shape[axis], v.attrs["strides"][axis]
        if extent == 1:
            continue
        place = rest // stride
        conditions.append((place, 0, extent - 1))
        dims[axis], rest = place, rest % stride
    conditions.append((rest, 0, 0))
    old = t.value(x, position, guard)
    inside = narrowed(guard, *conditions)
    if inside is None or not rows.size:
        return old
    element = t.value(rows, Position(rows.shape, dims), inside)
    return element if inside == guard else t.guarded(inside, element, old)


RULES: dict[str, Callable[[Tracer, Value, Position, Guard], Node]] = {
    "constant": _constant,
    "input": _input,
    "iota": _iota,
    "detach": _same,
    "leaf": _same,
    "history": _same,
    "relink": _same,
    "reshape": _reshape,
    "permute": _view,
    "expand": _view,
    "slice": _view,
    "flip": _view,
    "as_strided": _view,
    "windows": _view,
    "pad": _pad,
    "concat": _concat,
    "pick": _pick,
    "take": _take,
    "max_pool": _max_pool,
    "max_pool_index": _max_pool_pick,
    "max_pool_take": _max_pool_pick,
    "fold": _pool_scatter,
    "pool_scatter": _pool_scatter,
    "strided_scatter": _strided_scatter,
}


def row_major(shape: Shape) -> tuple[int, ...]:
    return contiguous_strides(shape)
