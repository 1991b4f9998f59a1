"""Gradients of large tables that few rows have touched: Program -> Program.

Note [Gradients of tables]
The gradient of an embedding is `put_add(zeros[V, D], index, rows)`: mostly zeros, and as large as
the table. It becomes

    table   = put_set(zeros[V], index, 1 .. n)       the last occurrence of each row, 0 for none
    place   = table[index]
    compact = put_add(zeros[n + 1, D], place, rows)  row 0 stays zero
    compact[table]                                   the gradient, element by element

The rows of an index are added up in the same order and with the same roundings. Kernels read
`compact[table]` where they need it (Adam's update of all rows), so that the gradient itself is not
stored; a result that nobody may look at is left to whoever does (`late`). An update of the table
that is `fma(gradient, c, table)` changes the touched rows only: elsewhere it adds a zero. (A rate
that is not finite makes NaN of the touched rows only.) Clipped gradients are `compact` scaled, and
the sum of their squares is that of the squares in `compact`.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from flambeau.core import dtypes
from flambeau.graph.program import Program, Update
from flambeau.graph.simplify import Rewriter, constant_of
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source, view
from flambeau.ops.indexed import WITHIN, put_add, put_set, take, wraps
from flambeau.ops.primitive import ELEMENTWISE
from flambeau.ops.reduction import sum_
from flambeau.ops.value import Value

LEAST_BYTES = 1 << 20  # of a table
LEAST_SHARE = 2  # rows of the table for each index
LINKS = ("reshape", "detach", "leaf", "history", "relink")


class Late(NamedTuple):
    """Of a result that is a gradient: the result that has its touched rows in its place, and that
    with the row (or 0) for each row of the table; of how many bytes it is.
    """

    compact: int
    table: int
    nbytes: int


@dataclass(frozen=True)
class _Gradient:
    index: Value
    what: str  # of the index, where a bad one is told of
    table: Value
    place: Value
    compact: Value
    made: bool = True  # by `put_add`, not from such a gradient
    zero: bool = True  # whether row 0 is certainly zero


def with_sparse_rows(program: Program) -> tuple[Program, dict[int, Late]]:
    """The program with such gradients by rows, and the results that are made when somebody looks.
    Results keep their numbers, new ones come last.
    """
    if not any(_is_sparse(v) for v in program.nodes() if v.primitive is put_add):
        return program, {}
    found: dict[Value, _Gradient] = {}

    def rule(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        if _is_sparse(v):
            gradient = _gradient(v, *inputs[1:])
        elif v.primitive.family == ELEMENTWISE and v.ndim > 1:
            changed = _elementwise(v, inputs, found)
            if changed is None:
                return None
            gradient = changed
        else:
            return _sum(v, inputs, found) if v.primitive is sum_ else None
        dense = take(gradient.compact, gradient.table, what=WITHIN)
        found[dense] = gradient
        return dense

    changed = Rewriter(rule).program(program)
    results = [*changed.results]
    late = {}
    for number, value in enumerate(changed.results):
        known = found.get(_same_elements(value))
        if known is None:
            continue
        late[number] = Late(number, len(results), value.size * value.dtype.itemsize)
        results[number] = _flat(known.compact)
        results.append(known.table)
    updates = tuple([_by_rows(u, found) for u in changed.updates])
    return replace(changed, results=tuple(results), updates=updates), late


def _is_sparse(v: Value) -> bool:
    if v.primitive is not put_add or wraps(v.attrs["what"]) or constant_of(v.inputs[0]) != 0:
        return False
    few = 0 < LEAST_SHARE * v.inputs[1].size <= v.shape[0]
    large = v.size * v.dtype.itemsize >= LEAST_BYTES
    return few and large and v.ndim > 1 and v.dtype.is_floating_point


def _gradient(v: Value, index: Value, rows: Value) -> _Gradient:
    count, rest = index.size, v.shape[1:]
    index = view.reshape(index, shape=(count,))
    rows = view.reshape(rows, shape=(count, *rest))
    numbers = ar.add(source.iota(size=count), ar.full((count,), 1, dtypes.int64))
    none = ar.full((v.shape[0],), 0, dtypes.int64)
    table = put_set(none, index, numbers, what=v.attrs["what"])
    place = take(table, index, what=WITHIN)
    zeros = ar.full((count + 1, *rest), 0, v.dtype)
    compact = put_add(zeros, place, rows, what=WITHIN)
    return _Gradient(index, v.attrs["what"], table, place, compact)


def _elementwise(
    v: Value, inputs: tuple[Value, ...], found: dict[Value, _Gradient]
) -> _Gradient | None:
    """What an elementwise function makes of a gradient and of numbers; None for other operands."""
    known = [found.get(_same_elements(x)) if x.shape == v.shape else None for x in inputs]
    first = next((gradient for gradient in known if gradient is not None), None)
    if first is None:
        return None
    operands = []
    for x, gradient in zip(inputs, known, strict=True):
        number = _uniform(x) if gradient is None else None
        if gradient is not None and gradient.table is first.table:
            operands.append(gradient.compact)
        elif number is not None:
            operands.append(ar.expand(number, first.compact.shape))
        else:
            return None
    compact = v.primitive(*operands, **v.attrs)
    if compact.shape != first.compact.shape:
        return None
    squares = v.primitive is el.mul and all(g is not None and g.zero for g in known)
    return replace(first, compact=compact, made=False, zero=squares)


def _sum(v: Value, inputs: tuple[Value, ...], found: dict[Value, _Gradient]) -> Value | None:
    """The sum of all elements, if the others are zero."""
    (x,) = inputs
    known = found.get(_same_elements(x))
    if known is None or not known.zero or len(v.attrs["axes"]) != x.ndim:
        return None
    return sum_(known.compact, axes=tuple(range(known.compact.ndim)))


def _by_rows(update: Update, found: dict[Value, _Gradient]) -> Update:
    """An update that adds a multiple of a gradient, to the touched rows only."""
    value = _same_elements(update.value)
    if value.primitive is not el.fma:
        return update
    dense, factor, old = value.inputs
    gradient, number = found.get(_same_elements(dense)), _uniform(factor)
    base = _same_elements(old)
    whole = base.primitive is source.input_ and base.attrs["role"] == "base"
    if (
        gradient is None
        or not gradient.made
        or number is None
        or not whole
        or base.attrs["index"] != update.base
    ):
        return update
    # Checked again: nothing says that the check of `table` comes first.
    rows = take(old, gradient.index, what=gradient.what)
    share = take(gradient.compact, gradient.place, what=WITHIN)
    new = el.fma(share, ar.expand(number, rows.shape), rows)
    return Update(update.base, _flat(put_set(old, gradient.index, new, what=WITHIN)))


def _uniform(v: Value) -> Value | None:
    """The one number that every element is, as a 0-d value."""
    while v.size != 1:
        if v.primitive.name not in ("expand", "reshape"):
            return None
        v = v.inputs[0]
    return view.reshape(v, shape=())


def _same_elements(v: Value) -> Value:
    while v.primitive.name in LINKS:
        v = v.inputs[0]
    return v


def _flat(v: Value) -> Value:
    return view.reshape(v, shape=(v.size,))
