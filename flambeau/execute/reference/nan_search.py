"""Which op of a program has made NaN out of numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from flambeau.core.errors import FoundNaN
from flambeau.execute.reference.schedule import computed, decode
from flambeau.graph.program import Program, data_operands, reachable
from flambeau.ops.primitive import Array
from flambeau.ops.value import Scalar, Value


def first_nan(program: Program, bases: Sequence[Array], scalars: Sequence[Scalar]) -> FoundNaN:
    """The error for a program that gives NaN on these bases (as in `execute`).

    Its `node` is the first value that has NaN though no operand of it has; its `infinite` the first
    that made infinities out of numbers among those that `node` is computed from, or None.
    """
    arrays: dict[Value, Array] = {}
    nodes = reachable(program.outputs(), data=True)
    with np.errstate(all="ignore"):
        for v in nodes:
            arrays[v] = _value(program, v, arrays, bases, scalars)
    node = _first(nodes, arrays, np.isnan)
    if node is None:
        held = [arrays[v] for v in nodes if v.primitive.name == "input"]
        bad = ", ".join(_range(a) for a in held if _any(np.isnan, a))
        return FoundNaN(f"NaN was in the data that came in: {bad or 'a constant'}")
    operands = data_operands(node)
    ranges = ", ".join(_range(arrays[v]) for v in operands)
    error = FoundNaN(f"an op has made NaN out of numbers: {node.primitive.name}({ranges})")
    before = reachable(operands, data=True)
    error.__dict__.update(node=node, infinite=_first(before, arrays, np.isinf))
    return error


def _value(
    program: Program,
    node: Value,
    arrays: dict[Value, Array],
    bases: Sequence[Array],
    scalars: Sequence[Scalar],
) -> Array:
    name = node.primitive.name
    operands = [arrays[v] for v in data_operands(node)]
    if name == "require":
        return operands[0]
    if name != "input":
        return computed(node, node.primitive.reference, operands, node.attrs)
    index = node.attrs["index"]
    if node.attrs["role"] == "base":
        return decode(bases[index][: node.shape[0]], node.dtype)
    return np.asarray(scalars[index], node.dtype.numpy)


def _first(nodes: Sequence[Value], arrays: dict[Value, Array], is_bad: Any) -> Value | None:
    """The earliest value that is bad though no operand is."""
    found = [
        v
        for v in nodes
        if data_operands(v)
        and _any(is_bad, arrays[v])
        and not any(_any(is_bad, arrays[x]) for x in data_operands(v))
    ]
    return min(found, key=lambda v: v.order, default=None)


def _any(is_bad: Any, array: Array) -> bool:
    return array.dtype.kind in "fc" and bool(is_bad(array).any())


def _range(array: Array) -> str:
    """Such as float32[4, 3] from -1.2 to 7.5 with 2 inf."""
    text = f"{array.dtype.name}[{', '.join(map(str, array.shape))}]"
    if not array.size or array.dtype.kind not in "fiu":
        return text
    finite = array[np.isfinite(array)]
    if finite.size:
        text += f" from {finite.min():.4g} to {finite.max():.4g}"
    for kind, count in (
        ("nan", np.isnan(array).sum()),
        ("inf", (array == np.inf).sum()),
        ("-inf", (array == -np.inf).sum()),
    ):
        if count:
            text += f" with {count} {kind}"
    return text
