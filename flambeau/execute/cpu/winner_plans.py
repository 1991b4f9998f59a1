"""From gradients that read a scattered cotangent to sums over winners (see winners.py)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod
from typing import NamedTuple

from flambeau.core import dtypes
from flambeau.execute.cpu.body import Buffer, Node, Tracer
from flambeau.execute.cpu.convolution_plans import (
    gradient_plan_of,
    image_plan_of,
    is_run,
    stride,
    sum_plan_of,
    tile_plan_of,
)
from flambeau.execute.cpu.fusion import FOLDED, Anchor, Group
from flambeau.execute.cpu.index import Expression, Position, Variable, of, space_position
from flambeau.execute.cpu.loops import Store, ordered_nodes
from flambeau.execute.cpu.padding import padding_of
from flambeau.execute.cpu.phases import LEAD
from flambeau.execute.cpu.products import is_plain
from flambeau.execute.cpu.winners import (
    Bounds,
    ImagesPlan,
    Pair,
    WeightsPlan,
    Windows,
    in_blocks,
    pays,
)
from flambeau.ops.value import Value

AROUND = 200  # numbers of the variables over windows start here
MOST_PLACES = 256  # of a window, which a byte tells apart


@dataclass(frozen=True)
class Routed:
    """A gradient's group, that of the scattered cotangent, and what makes it without that:
    `operands` are the image or the pooled cotangent, the cotangent or the weights, and the winners'
    places.
    """

    group: Group
    source: Group
    plan: WeightsPlan | ImagesPlan
    operands: tuple[Node, Node, Node]
    stores: Sequence[Store]
    forward: dict[int, Node]


def routed(
    tracer: Tracer,
    group: Group,
    source: Group,
    scatter: Value,
    stores: Sequence[Store],
    forward: dict[int, Node],
    buffer: Buffer,
    vector_bits: int,
) -> Routed | None:
    """The gradient of `group` without the scattered cotangent in `buffer`, if that takes less
    time.
    """
    anchor = group.anchors[0]
    v, (left, right) = anchor.value, anchor.operands
    read = [node.kind == "load" and node.data[0] is buffer for node in (left, right)]
    fits = 1 <= v.ndim - LEAD <= 2 and v.inputs[0].shape[1] == 1 and sum(read) == 1
    if not fits or v.dtype not in (dtypes.float32, dtypes.float64) or not v.size:
        return None
    if not is_plain(left) or not is_plain(right) or not stores:
        return None
    nodes = ordered_nodes([s.node for s in stores], forward)
    if any(n.kind == "load" and n.data[0] is buffer for n in nodes):
        return None
    given = _Given(tracer, group, scatter, stores, nodes, buffer, vector_bits)
    found = _weights(given) if read[1] else _images(given)
    if found is None:
        return None
    plan, (cotangent, places) = found
    operands = (left, cotangent, places) if read[1] else (cotangent, right, places)
    return Routed(group, source, plan, operands, stores, forward)


class _Given(NamedTuple):
    """What is looked at: a gradient's group, whose `stores` compute `nodes`, and the scattered
    cotangent that it reads from `buffer`.
    """

    tracer: Tracer
    group: Group
    scatter: Value
    stores: Sequence[Store]
    nodes: Sequence[Node]
    buffer: Buffer
    vector_bits: int

    def address(self, shape: tuple[int, ...], dims: Sequence[Expression]) -> Expression:
        """Where the scattered cotangent's element at [image, output, ..] lies."""
        return self.buffer.address(Position(shape, dims).reshaped(self.scatter.shape))


Found = tuple[WeightsPlan | ImagesPlan, tuple[Node, Node]]


def _weights(given: _Given) -> Found | None:
    group, anchor = given.group, given.group.anchors[0]
    v, (left, right) = anchor.value, anchor.operands
    channel, _, out, *taps = anchor.position.dims
    batch, *space = space_position(v.inputs[1].shape[2:], FOLDED).dims
    if any(n != 1 for n in v.attrs["strides"]):
        return None
    shape = (v.inputs[1].shape[2], v.inputs[1].shape[1], *v.inputs[1].shape[LEAD:])
    if right.data[1] != given.address(shape, (batch, out, *space)):
        return None
    pooled = _windows(given, shape, batch, out)
    if pooled is None or gradient_plan_of(group, left, right, given.vector_bits) is not None:
        return None
    windows, operands = pooled
    address = left.data[1]
    strides = _two(v.attrs["dilations"], 1)
    along = _two([_along(address, t) for t in taps], 0)
    over = _two([_along(address, s) for s in space], 0)
    steps = [a or b // n for a, b, n in zip(along, over, strides, strict=True)]
    place = {x.number: i for i, x in enumerate(group.kept)}
    positions = _positions(place, (channel, out, *taps))
    kernel = _two(v.shape[LEAD:], 1)
    if not is_run(group, given.stores, given.nodes, positions, kernel):
        return None
    plan = in_blocks(
        WeightsPlan(
            given.vector_bits,
            v.dtype.llvm,
            shape[0],
            v.shape[0],
            shape[1],
            kernel,
            windows,
            positions,
            (_along(address, batch), _along(address, channel), steps[0], steps[1]),
            strides,
            _bounds(anchor, space),
        )
    )
    if plan is None or not isinstance(plan, WeightsPlan) or 1 not in (plan.image[0], plan.image[3]):
        return None
    fewer = sum_plan_of(group, left, right, given.vector_bits) is not None
    return (plan, operands) if pays(plan, shape[2:], fewer) else None


def _images(given: _Given) -> Found | None:
    group, anchor, scatter = given.group, given.group.anchors[0], given.scatter
    v, (left, right) = anchor.value, anchor.operands
    if any(n != 1 for n in (*v.attrs["strides"], *v.attrs["dilations"])):
        return None
    batch, _, out, *space = anchor.position.dims
    depth, *offsets = space_position(v.inputs[1].shape[2:], FOLDED).dims
    padding = padding_of(v) if anchor.unpadded else None
    low = [0] * len(space) if padding is None else padding.low[LEAD:]
    kernel = v.inputs[1].shape[LEAD:]
    lead = len(scatter.attrs["sizes"])
    shape = (v.shape[0], v.inputs[0].shape[2], *scatter.shape[scatter.ndim - lead :])
    at = [(s + o).plus(-n) for s, o, n in zip(space, offsets, low, strict=True)]
    if len(at) != lead or left.data[1] != given.address(shape, (batch, depth, *at)):
        return None
    pooled = _windows(given, shape, batch, depth)
    if pooled is None or image_plan_of(group, left, right, given.vector_bits) is not None:
        return None
    windows, operands = pooled
    address, stored = right.data[1], given.stores[0].address
    weights = [_along(address, x) for x in (out, depth)]
    steps = _two([_along(address, x) for x in offsets], 0)
    place = {x.number: i for i, x in enumerate(group.kept)}
    first = [k - 1 - n for k, n in zip(kernel, low, strict=True)]
    rows, cols = _two(v.shape[LEAD:], 1)
    inner = _along(stored, batch) == 1
    if min(first) < 0 or not (inner or _along(stored, space[-1]) == 1):
        return None
    plan = in_blocks(
        ImagesPlan(
            given.vector_bits,
            v.dtype.llvm,
            v.shape[0],
            v.shape[2],
            shape[1],
            _two(kernel, 1),
            windows,
            _positions(place, (batch, out, *space)),
            (weights[0], weights[1], *steps),
            _two(first, 0),
            rows,
            cols,
            inner,
        )
    )
    if plan is None:
        return None
    fewer = tile_plan_of(group, left, right, given.vector_bits) is not None
    return (plan, operands) if pays(plan, shape[2:], fewer) else None


def _windows(
    given: _Given, shape: tuple[int, ...], batch: Expression, out: Expression
) -> tuple[Windows, tuple[Node, Node]] | None:
    """The pooling's windows, and the loads of the pooled cotangent and of the winners' places; None
    where these are not stored.
    """
    index, cotangent = given.scatter.inputs
    attrs = given.scatter.attrs
    rank = len(attrs["sizes"])
    plain = all(d == 1 for d in attrs["dilations"]) and 1 < prod(attrs["sizes"]) <= MOST_PLACES
    if rank != len(shape) - 2 or not plain or index.dtype.itemsize != 1 or not index.size:
        return None
    counts = cotangent.shape[cotangent.ndim - rank :]
    around = [of(Variable(AROUND + k, n)) for k, n in enumerate(counts)]
    dims = (batch, out, *around)
    at = Position((*shape[:2], *counts), dims)
    found = [given.tracer.value(x, at.reshaped(x.shape)) for x in (cotangent, index)]
    if not all(map(is_plain, found)) or any(
        node.data[0].kind not in ("arena", "result") for node in found
    ):
        return None
    steps = []
    for node in found:
        lead = [_along(node.data[1], x) for x in (batch, out)]
        steps.append((lead[0], lead[1], *_two([_along(node.data[1], x) for x in around], 0)))
    sizes = _two(attrs["sizes"], 1), _two(attrs["steps"], 1)
    windows = Windows(_two(counts, 1), *sizes, steps[0], steps[1])
    return windows, (found[0], found[1])


def _along(address: Expression, index: Expression) -> int:
    """By how much an address grows along an index."""
    return stride(address, index.single)


def _two(numbers: Sequence[int], missing: int) -> Pair:
    """Those of rows and columns; a line has one row."""
    *rows, cols = numbers
    return rows[0] if rows else missing, cols


def _positions(place: dict[int, int], dims: Sequence[Expression]) -> tuple[int, int, int, int]:
    """The axes' positions in a result's index, -1 where there is only one."""
    first, second, *rest = [-1 if d.single is None else place[d.single.number] for d in dims]
    return first, second, *_two(rest, -1)


def _bounds(anchor: Anchor, along: Sequence[Expression]) -> Bounds:
    """The rows and columns that are read: all, or those that bands leave."""
    found = [(0, n) for n in anchor.value.inputs[0].shape[LEAD:]]
    for _, k, _, _, low, size in anchor.bands:
        found[[x.single for x in along].index(k)] = low, size
    return (found[0] if len(found) == 2 else (0, 1)), found[-1]
