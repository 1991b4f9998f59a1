"""Sums of many alike terms as one operation: Program -> Program.

Note [Gradients of what is used many times]
A value that n operations read gets a sum of n cotangents. Two kinds of such sums are long in
unrolled loops and cost far more than what they mean:

    pad(a) + pad(b) + pad(c)             slices of one tensor      ->  concat(a, b, c)
    dot(x, a) + dot(y, b) + dot(z, c)    products with one weight  ->  dot(concat(x, y, z), ..)

The first is the same to the last bit except for the sign of zero; the second adds the same products
in another order, as a longer product does.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from flambeau.graph.program import Program
from flambeau.graph.simplify import Rewriter
from flambeau.ops import view
from flambeau.ops.contraction import dot, swap_last
from flambeau.ops.value import Value

LEAST = 4  # products; fewer are left as they are
LEAST_PADS = 3


def joined_sums(program: Program) -> Program:
    """The program with long sums of slices' and products' cotangents joined (see the Note)."""
    nodes = program.nodes()
    uses = Counter(x for v in nodes for x in v.inputs)
    uses.update(program.outputs())
    # The adds that are a term of another one and nothing else.
    inner = {
        x
        for v in nodes
        if v.primitive.name == "add"
        for x in v.inputs
        if x.primitive.name == "add" and uses[x] == 1
    }
    sums = {}
    for v in nodes:
        if v.primitive.name == "add" and v not in inner and v.dtype.is_floating_point:
            terms = _terms(v, inner)
            if len(terms) >= min(LEAST, LEAST_PADS):
                sums[v] = terms
    if not sums:
        return program
    rewriter: Rewriter

    def rule(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        terms = sums.get(v)
        return None if terms is None else _joined([rewriter.new[t] for t in terms])

    rewriter = Rewriter(rule)
    return rewriter.program(program)


def _terms(top: Value, inner: set[Value]) -> list[Value]:
    """What a tree of adds adds up, in order."""
    terms = []
    stack = [top]
    while stack:
        v = stack.pop()
        if v is top or v in inner:
            stack += reversed(v.inputs)
        else:
            terms.append(v)
    return terms


def _joined(terms: Sequence[Value]) -> Value | None:
    """The sum with its products and its pads joined; None if that leaves it as it is."""
    products: dict[bool, list[Value]] = {}
    for v in terms:
        factors = _factors(v)
        if factors is not None:
            products.setdefault(_turned(factors[0]), []).append(v)
    parts: list[Value] = []
    left = list(terms)
    for turned, group in products.items():
        if len(group) >= LEAST:
            parts.append(_one_product(group, turned))
            chosen = set(group)
            left = [v for v in left if v not in chosen]
    pads = [v for v in left if _pad_axis(v) is not None]
    tiles = _tiled(pads)
    if tiles is not None:
        parts.append(tiles)
        chosen = set(pads)
        left = [v for v in left if v not in chosen]
    if not parts:
        return None
    total, *rest = [*left, *parts]
    for v in rest:
        total = total + v
    return total


def _factors(v: Value) -> tuple[Value, Value] | None:
    """The factors of a matrix product, also of one that is transposed afterwards."""
    if v.primitive.name == "dot" and v.ndim == 2 and not v.attrs:
        return v.inputs[0], v.inputs[1]
    if _turned(v) and v.inputs[0].primitive.name == "dot" and not v.inputs[0].attrs:
        left, right = v.inputs[0].inputs
        return _transposed(right), _transposed(left)
    return None


def _transposed(x: Value) -> Value:
    return x.inputs[0] if _turned(x) else swap_last(x)


def _turned(x: Value) -> bool:
    return x.primitive.name == "permute" and x.attrs["order"] == (1, 0)


def _one_product(group: Sequence[Value], turned: bool) -> Value:
    """The sum of matrix products as one, over all their inner axes in a row."""
    pairs = [factors for v in group if (factors := _factors(v)) is not None]
    # The gradients of a loop's steps come last step first; in the order of the steps they are
    # often the very parts that the gradient of the loop's input consists of.
    pairs.sort(key=lambda pair: -pair[1].order)
    if turned:
        # Both are joined along their rows, which are whole in memory.
        left = swap_last(view.concat(*[x.inputs[0] for x, _ in pairs], axis=0))
    else:
        left = view.concat(*[x for x, _ in pairs], axis=1)
    return dot(left, view.concat(*[y for _, y in pairs], axis=0))


def _pad_axis(v: Value) -> int | None:
    """The one axis that a padding with zeros makes longer; None for other values."""
    if v.primitive.name != "pad" or v.attrs["value"] != 0 or any(v.attrs["interior"]):
        return None
    low, high = v.attrs["low"], v.attrs["high"]
    if min((*low, *high), default=0) < 0:
        return None
    axes = [a for a in range(v.ndim) if low[a] or high[a]]
    return axes[0] if len(axes) == 1 else None


def _tiled(pads: Sequence[Value]) -> Value | None:
    """Pads that lie one after another along one axis and fill it, as a concatenation."""
    if len(pads) < LEAST_PADS:
        return None
    axis = _pad_axis(pads[0])
    if axis is None or any(_pad_axis(v) != axis for v in pads):
        return None
    ordered = sorted(pads, key=lambda v: int(v.attrs["low"][axis]))
    end = 0
    for v in ordered:
        if v.attrs["low"][axis] != end:
            return None
        end += v.inputs[0].shape[axis]
    if end != pads[0].shape[axis]:
        return None
    return view.concat(*[v.inputs[0] for v in ordered], axis=axis)
