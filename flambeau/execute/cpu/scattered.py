"""Gradients of a convolution's weights right below a pooling, from the pooling's own cotangent.

That of the convolution's results is mostly zeros: each window has one place to which its cotangent
goes. It is neither stored nor read (by each row of the kernel again): the products take the pooled
cotangent, and at each place of a window only those elements of it whose winner was there. The
places of a window are loops of the sum, along which the cotangent does not move.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import prod

from flambeau.execute.cpu.body import Buffer, Node, Tracer
from flambeau.execute.cpu.contraction_plan import PARALLEL_FLOPS, Choice, choose
from flambeau.execute.cpu.contraction_spec import Contraction
from flambeau.execute.cpu.emit import vector_registers
from flambeau.execute.cpu.fusion import Group
from flambeau.execute.cpu.index import Expression, Position, Variable, of
from flambeau.execute.cpu.loops import Store
from flambeau.execute.cpu.products import axes_of, is_plain
from flambeau.ops.value import Value

SPLIT = 200  # numbers of the variables over windows, and over places in them, start here
MOST_PARTS = 16  # of a sum
MASK_CYCLES, MOST_CYCLES = 0.5, 8.0  # of picking a vector; of all that a stored one would save


@dataclass(frozen=True)
class Scattered:
    """The gradient's group, that of the scattered cotangent, and the contraction without it:
    `operands` are the image, the pooled cotangent and the numbers of its winners.
    """

    group: Group
    source: Group
    spec: Contraction
    choice: Choice
    operands: tuple[Node, Node, Node]
    stores: Sequence[Store]
    forward: dict[int, Node]


def scattered(
    tracer: Tracer,
    group: Group,
    spec: Contraction,
    source: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    buffer: Buffer,
    vector_bits: int,
) -> Scattered | None:
    """The gradient of `group` without the scattered cotangent in `buffer`, which nobody else reads;
    None where it is not such a gradient or does not pay.
    """
    value = source.members[0].value
    image, cotangent = group.anchors[0].operands
    choice = choose(spec, vector_bits, vector_registers(vector_bits)) if not spec.bands else None
    if choice is None or not _is_whole(value) or cotangent.data[0] is not buffer:
        return None
    if not choice.dot or choice.swap or choice.pack_a or choice.pack_b:
        return None
    along = [a.b for a in spec.axes if a.kind == "k"]
    places = buffer.position(cotangent.data[1]).dims
    if 0 in along or any(d.single is None and (d.terms or d.constant) for d in places):
        return None
    # Each vector is picked once for all rows of a tile, where it would be stored and loaded once.
    taps = prod([a.extent for a in spec.axes if a.kind == "m"])
    if taps / choice.rows * MASK_CYCLES > MOST_CYCLES:
        return None
    return _without(tracer, group, spec, source, stores, forward, buffer, choice, image)


def _is_whole(value: Value) -> bool:
    """Whether windows lie side by side and leave nothing over."""
    attrs = value.attrs
    lead = value.ndim - len(attrs["sizes"])
    windows = value.inputs[1].shape[lead:]
    return (
        value.primitive.name == "pool_scatter"
        and attrs["steps"] == attrs["sizes"]
        and all(d == 1 for d in attrs["dilations"])
        and all(
            w * s == n for w, s, n in zip(windows, attrs["sizes"], attrs["extents"], strict=True)
        )
        and prod(attrs["sizes"]) <= 256
    )


def _without(
    tracer: Tracer,
    group: Group,
    spec: Contraction,
    source: Group,
    stores: Sequence[Store],
    forward: dict[int, Node],
    buffer: Buffer,
    choice: Choice,
    image: Node,
) -> Scattered | None:
    value = source.members[0].value
    dims = list(buffer.position(group.anchors[0].operands[1].data[1]).dims)
    sizes = value.attrs["sizes"]
    lead = value.ndim - len(sizes)
    change: dict[int, Expression] = {}
    around: list[Variable] = []
    weights: list[tuple[Variable, int]] = []
    for number, size in enumerate(sizes):
        variable = dims[lead + number].single
        if variable is None or variable not in group.folded:
            return None
        windows = Variable(SPLIT + 2 * number, variable.extent // size)
        place = Variable(SPLIT + 2 * number + 1, size)
        change[variable.number] = of(windows).times(size) + of(place)
        dims[lead + number] = of(windows)
        around += [v for v in (windows, place) if v.extent > 1]
        weights += [(place, prod(sizes[number + 1 :]))] * (size > 1)
    index, cotangent = value.inputs
    found = [tracer.value(x, Position(x.shape, dims)) for x in (cotangent, index)]
    if not all(map(is_plain, found)):
        return None
    (first, where, _), (second, there, _) = found[0].data, found[1].data
    if where.terms != there.terms or second.dtype.itemsize != 1:
        return None
    if any(b.kind not in ("arena", "result") for b in (first, second)):
        return None
    folded = [v for v in group.folded if v.number not in change] + around
    moved = image.data[1].replaced(lambda v: change.get(v.number))
    if any(not isinstance(a, Variable) for a, _ in moved.terms):
        return None
    left = tracer.load(image.data[0], moved)
    split = replace(group, folded=folded)
    axes = axes_of(split, moved, where, stores[0].address)
    if not any(a.kind == "k" and (a.a, a.b) == (1, 1) and a.extent > 1 for a in axes):
        return None  # lanes were to run along a row of the image, which is one no longer
    order = [*group.kept, *folded]
    picks = tuple([(order.index(v), weight) for v, weight in weights])
    parts = min(MOST_PARTS, around[0].extent) if spec.flops >= PARALLEL_FLOPS else 1
    return Scattered(
        split,
        source,
        replace(spec, axes=axes, picks=picks),
        replace(choice, parts=parts),
        (left, found[0], found[1]),
        stores,
        forward,
    )
