"""What masks and scales a scattered cotangent is done before it is scattered: Program -> Program.

Note [Cotangents below a pooling]
A pooling's cotangent is zero but at the winners. A ReLU before the pooling sets more of it to zero,
Dropout2d scales whole planes: both can be had from the pooled cotangent, a quarter of the numbers
with windows of 2 x 2, and what was pooled need not be kept for it.

    where(z <= 0, 0, pool_scatter(index, ct))   ->   pool_scatter(index, where(pooled <= 0, 0, ct))
    mul(pool_scatter(index, ct), expand(m))     ->   pool_scatter(index, mul(ct, expand(m)))

Its sum over whole images, the gradient of a bias, is the sum of `ct`.

A ReLU's result is not above zero where its operand is not, and NaN where that is. Then a
convolution reads the scattered cotangent itself, and need not (Note [Sums over winners]).
"""

from __future__ import annotations

from flambeau.graph.program import Program
from flambeau.graph.simplify import Rewriter, constant_of, rebuilt
from flambeau.ops import arithmetic, elementwise, reduction, view, window
from flambeau.ops.value import Value


def pooled_cotangents(program: Program) -> Program:
    """The program with masks and factors of scattered cotangents before the scattering."""
    if all(v.primitive.name != "pool_scatter" for v in program.nodes()):
        return program
    return Rewriter(_Rule()).program(program)


class _Rule:
    """Remembers what was pooled, so that it is not pooled again."""

    def __init__(self) -> None:
        self.pools: dict[tuple[Value, str], Value] = {}

    def __call__(self, v: Value, inputs: tuple[Value, ...]) -> Value | None:
        name = v.primitive.name
        if name == "max_pool":
            made = rebuilt(v, inputs)
            return self.pools.setdefault((inputs[0], repr(v.attrs)), made)
        if name == "where" and constant_of(inputs[1]) == 0:
            condition, _, scattered = inputs
            if scattered.primitive.name == "pool_scatter":
                return self.masked(scattered, condition)
        if name == "sum":
            return _sum_of_scattered(v, inputs[0])
        if name == "mul":
            for scattered, factor in (inputs, inputs[::-1]):
                if scattered.primitive.name == "pool_scatter":
                    return _scaled(scattered, factor)
        return None

    def masked(self, scattered: Value, condition: Value) -> Value | None:
        """Zero where the operand of the ReLU that was pooled is not positive."""
        index, ct = scattered.inputs
        x = index.inputs[0] if index.primitive.name == "max_pool_index" else index
        if x.primitive.name != "where" or x.inputs[0] is not condition:
            return None
        _, zero, below = x.inputs
        if condition.primitive.name != "le" or constant_of(zero) != 0:
            return None
        if condition.inputs[0] is not below or constant_of(condition.inputs[1]) != 0:
            return None
        known = self.pools.get((x, repr(index.attrs)))
        pooled = window.max_pool(x, **index.attrs) if known is None else known
        zero = arithmetic.zeros_like(ct)
        ct = elementwise.where(arithmetic.le(pooled, arithmetic.zeros_like(pooled)), zero, ct)
        return rebuilt(scattered, (index, ct))


def _scaled(scattered: Value, factor: Value) -> Value | None:
    """Times what is the same in all of an image's plane."""
    index, ct = scattered.inputs
    rank = len(scattered.attrs["sizes"])
    if factor.primitive.name != "expand":
        return None
    plane = factor.inputs[0]
    if any(n != 1 for n in plane.shape[plane.ndim - rank :]):
        return None
    return rebuilt(scattered, (index, elementwise.mul(ct, arithmetic.expand(plane, ct.shape))))


def _sum_of_scattered(v: Value, x: Value) -> Value | None:
    """The sum of a scattered cotangent (a bias' gradient) over all windowed axes: that of the
    cotangent itself, each element of which is in one place of the other.
    """
    scattered = x.inputs[0] if x.primitive.name == "reshape" else x
    if scattered.primitive.name != "pool_scatter" or not x.size:
        return None
    ct = scattered.inputs[1]
    rank = len(scattered.attrs["sizes"])
    windowed = set(range(x.ndim - rank, x.ndim))
    if rank > x.ndim or x.shape[x.ndim - rank :] != scattered.shape[scattered.ndim - rank :]:
        return None
    if not windowed <= set(v.attrs["axes"]):
        return None
    shape = x.shape[: x.ndim - rank] + ct.shape[ct.ndim - rank :]
    return reduction.sum_(view.reshape(ct, shape=shape), axes=v.attrs["axes"])
