"""Gradients of large weights that are left to whoever looks at them: Program -> Program.

Note [Late products]
The gradient of a layer's weights is a product of two small matrices, `x^T [in, batch]` and
`dy [batch, out]`, as large as the weights. A step that takes it to its update needs no memory for
it: the update is computed where the product's sums are, tile by tile. It is stored for `.grad`,
which hardly anybody looks at before the next `zero_grad`. So where the updates are its only readers

    grad  = permute(dot(permute(x), dy))             a result of [out, in]

becomes the results `x` and `dy`, which nobody else sees, and a program of these two that gives
`grad`, for when somebody looks. The operands come as they lie in memory: without the views above
them, but images of a convolution, whose batch is innermost there, as the product reads them.
"""

from __future__ import annotations

from collections.abc import Container
from dataclasses import replace
from typing import NamedTuple

from flambeau.graph.program import Program, data_operands, reachable
from flambeau.graph.simplify import rebuilt
from flambeau.graph.sparse_rows import LINKS
from flambeau.ops import source, view
from flambeau.ops.contraction import dot
from flambeau.ops.primitive import ELEMENTWISE, SOURCE
from flambeau.ops.value import Value

LEAST_BYTES = 1 << 18  # of a gradient
LEAST_SHARE = 2  # of its bytes to those of its operands


class LateProduct(NamedTuple):
    """Of a result that is a gradient: the results that are its operands (the first in its place),
    its bytes, and the program that makes it of these two.
    """

    left: int
    right: int
    nbytes: int
    program: Program


def with_late_products(
    program: Program, others: Container[int] = ()
) -> tuple[Program, dict[int, LateProduct]]:
    """The program without such gradients, and how they are made; not of the results `others`.
    Results keep their numbers, new ones come last.
    """
    products = [_product(value) for value in program.results]
    if not any(products):
        return program, {}
    readers = _readers(program)
    updated = {update.value for update in program.updates}
    results = [*program.results]
    late: dict[int, LateProduct] = {}
    for number, product in enumerate(products):
        if product is None or number in others or products.count(product) > 1:
            continue
        depth = product.inputs[1].shape[0]
        left, right = [_as_stored(x, depth) for x in product.inputs]
        gradient = program.results[number]
        itemsize = product.dtype.itemsize
        few = LEAST_SHARE * (left.size + right.size) <= product.size
        if few and _is_for_updates(product, readers, updated):
            late[number] = LateProduct(
                number, len(results), product.size * itemsize, _making(gradient, left, right)
            )
            results[number] = _flat(left)
            results.append(_flat(right))
    return (replace(program, results=tuple(results)), late) if late else (program, {})


def _product(value: Value) -> Value | None:
    """The product of matrices that is all of a large result."""
    core = _below_views(value)
    large = core.size * core.dtype.itemsize >= LEAST_BYTES and core.dtype.is_floating_point
    return core if core.primitive is dot and not core.attrs and core.ndim == 2 and large else None


def _below_views(v: Value) -> Value:
    """The value that `v` shows, all of it, in whatever order."""
    while v.primitive.name == "permute" or _is_link(v):
        v = v.inputs[0]
    return v


def _is_link(v: Value) -> bool:
    return v.primitive.name in LINKS


def _as_stored(operand: Value, depth: int) -> Value:
    """What is kept of an operand of a sum over `depth` rows."""
    core = _below_views(operand)
    computed = core.primitive.family != SOURCE and core.primitive.name != "as_strided"
    return operand if core.ndim > 2 and core.shape[0] == depth and computed else core


def _readers(program: Program) -> dict[Value, list[Value]]:
    found: dict[Value, list[Value]] = {}
    for v in reachable(program.outputs(), data=True):
        for x in data_operands(v):
            found.setdefault(x, []).append(v)
    return found


def _is_for_updates(product: Value, readers: dict[Value, list[Value]], updated: set[Value]) -> bool:
    """Whether all that is made of a product, element by element, ends in results and updates, one
    of these at least; whoever else reads it, or takes it as it is, needs it stored.
    """
    stack, seen, found = [(product, False)], {product}, False
    while stack:
        v, changed = stack.pop()
        if v in updated and not changed:
            return False
        found = found or v in updated
        for reader in readers.get(v, ()):
            elementwise = reader.primitive.family == ELEMENTWISE
            if not (elementwise or reader.primitive.name == "permute" or _is_link(reader)):
                return False
            if reader not in seen:
                seen.add(reader)
                stack.append((reader, changed or elementwise))
    return found


def _making(gradient: Value, left: Value, right: Value) -> Program:
    """The program of a gradient on its product's operands."""
    bases = tuple([(x.dtype, x.size) for x in (left, right)])
    known = {}
    for index, x in enumerate((left, right)):
        base = source.program_input("base", index, (x.size,), x.dtype)
        known[x] = view.reshape(base, shape=x.shape)

    def again(v: Value) -> Value:
        if v in known:
            return known[v]
        if _is_link(v) and v.primitive.name != "reshape":
            return again(v.inputs[0])
        return rebuilt(v, tuple([again(x) for x in v.inputs]))

    return Program(bases, (), (again(gradient),), ())


def _flat(v: Value) -> Value:
    return view.reshape(v, shape=(v.size,))
