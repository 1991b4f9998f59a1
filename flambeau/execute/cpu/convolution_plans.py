"""From a group whose anchor is a convolution to the plans of kernels made for convolutions."""

from __future__ import annotations

from collections.abc import Sequence

from flambeau.execute.cpu.body import Node
from flambeau.execute.cpu.fusion import FOLDED, Anchor, Group
from flambeau.execute.cpu.gradient_plan import GradientPlan, gradient_strips
from flambeau.execute.cpu.image_plan import ImagePlan, image_plan, image_strips
from flambeau.execute.cpu.index import Expression, Variable, space_position
from flambeau.execute.cpu.layouts import MIN_BATCH as MIN_INNER
from flambeau.execute.cpu.loops import Store
from flambeau.execute.cpu.matrix_plan import BLOCK
from flambeau.execute.cpu.winograd_plan import (
    LEAST_COLUMNS,
    Bounds,
    SumPlan,
    TilePlan,
    in_strips,
    sums_suit,
    together,
    winograd_suits,
)


def image_plan_of(group: Group, left: Node, right: Node, vector_bits: int) -> ImagePlan | None:
    """The plan of a convolution that the matrix unit computes from the image itself."""
    anchor = group.anchors[0]
    v = anchor.value
    if v.primitive.name != "conv":
        return None
    image, weights = left.data[1], right.data[1]
    place = {x.number: i for i, x in enumerate(group.kept)}
    dims = [d.single for d in anchor.position.dims]
    batch, of_group, out, *space = dims
    depth, *offsets = [d.single for d in space_position(v.inputs[1].shape[2:], FOLDED).dims]

    inner = batch is not None and stride(image, batch) == 1 and batch.extent >= MIN_INNER
    strips = image_strips(v, inner, anchor.unpadded, vector_bits)
    if strips is None:
        return None
    steps = []
    numbers = zip(space, offsets, v.attrs["strides"], v.attrs["dilations"], strict=True)
    for along, offset, step, spread in numbers:
        moved = stride(image, offset) // spread or stride(image, along) // step
        steps.append((moved, stride(weights, offset)))
    steps = [*[(0, 0)] * (2 - len(steps)), *steps]
    space = [*[None] * (2 - len(space)), *space]
    loops = [x for x in (batch, of_group) if x is not None and not (inner and x is batch)]
    around = [(place[x.number], x.extent, stride(image, x), stride(weights, x)) for x in loops]
    fixed = (out, *space, batch if inner else None)
    where = [-1 if x is None else place[x.number] for x in fixed]
    lead = stride(weights, out), stride(weights, depth)
    if min(lead) < 1:
        return None
    of_image = steps[0][0], steps[1][0], stride(image, depth)
    return image_plan(
        strips,
        tuple(around),
        (where[0], where[1], where[2], where[3]),
        of_image,
        (*lead, steps[0][1], steps[1][1]),
    )


def gradient_plan_of(
    group: Group, left: Node, right: Node, vector_bits: int
) -> GradientPlan | None:
    """The plan of a convolution that the matrix unit computes as a weight gradient."""
    anchor = group.anchors[0]
    v = anchor.value
    if v.primitive.name != "conv":
        return None
    image, cotangent = left.data[1], right.data[1]
    channel, _, out, *taps = [d.single for d in anchor.position.dims]
    batch, *space = [d.single for d in space_position(v.inputs[1].shape[2:], FOLDED).dims]

    inner = batch is not None and stride(image, batch) == 1 and batch.extent >= MIN_INNER
    strips = gradient_strips(v, inner, anchor.unpadded, vector_bits)
    if strips is None:
        return None
    steps = []
    numbers = zip(taps, space, v.attrs["strides"], v.attrs["dilations"], strict=True)
    for tap, along, spread, step in numbers:
        steps.append(stride(image, along) // step or stride(image, tap) // spread)
    steps = [*[0] * (2 - len(steps)), *steps]
    width = strips.shape.inner
    near = stride(cotangent, batch) if inner else 1
    if near != 1 or (space[-1] is not None and stride(cotangent, space[-1]) != width):
        return None
    if inner and steps[1] != width and width % BLOCK:
        return None
    place = {x.number: i for i, x in enumerate(group.kept)}
    fixed = (channel, out, *[None] * (2 - len(taps)), *taps)
    where = [-1 if x is None else place[x.number] for x in fixed]
    outer = None if inner else batch
    line = stride(cotangent, space[0]) if len(space) == 2 else 0
    return GradientPlan(
        strips,
        (where[0], where[1], where[2], where[3]),
        (stride(image, outer), stride(image, channel), *steps),
        (stride(cotangent, outer), stride(cotangent, out), line),
    )


def is_run(
    group: Group,
    stores: Sequence[Store],
    nodes: Sequence[Node],
    positions: tuple[int, int, int, int],
    taps: tuple[int, int],
) -> bool:
    """Whether all that is read and written for an output's results lies in their order; positions
    of channels, outputs and taps in `group.kept`.
    """
    channel, _, line, column = positions
    rows, cols = taps
    inner = column if column >= 0 else line
    if channel < 0 or inner < 0:
        return False
    moves = [(channel, rows * cols), (line, cols), (column, 1)]
    moving = [(group.kept[place], step) for place, step in moves if place >= 0]
    places = [s.address for s in stores if not s.unwritten]
    for node in nodes:
        if node.kind == "load" and not node.data[2]:
            places.append(node.data[1])
        elif node.kind not in ("literal", "scalar", "op", "result"):
            return False
    for address in places:
        if not all(isinstance(a, Variable) for a, _ in address.terms):
            return False
        along = stride(address, group.kept[inner])
        if along not in (0, 1) or any(stride(address, v) != along * n for v, n in moving):
            return False
    return True


def tile_plan_of(group: Group, left: Node, right: Node, vector_bits: int) -> TilePlan | None:
    """The plan of a convolution that is computed in Winograd's form (Note [Winograd in strips])."""
    anchor = group.anchors[0]
    v = anchor.value
    if not winograd_suits(v, vector_bits):
        return None
    image, weights = left.data[1], right.data[1]
    place = {x.number: i for i, x in enumerate(group.kept)}
    dims = [d.single for d in anchor.position.dims]
    batch, _, out, *space = dims
    depth, *offsets = [d.single for d in space_position(v.inputs[1].shape[2:], FOLDED).dims]
    along, taps = [[stride(address, offset) for offset in offsets] for address in (image, weights)]
    if (abs(taps[0]), abs(taps[1])) != (3, 1) or taps[0] * taps[1] < 0:
        return None
    if stride(weights, batch) or any(stride(weights, x) for x in space):
        return None
    images, step = v.shape[0], stride(image, batch)
    inner = together(images, vector_bits // 32) if step == 1 and along[1] > 1 else 0
    near = [stride(image, x) for x in space] == along
    lines = along[1] == 1 and v.shape[4] >= LEAST_COLUMNS and not anchor.bands
    if not near or not (inner or lines):
        return None
    where = [-1 if x is None else place[x.number] for x in (batch, out, *space)]
    plan = TilePlan(
        vector_bits,
        images // (inner or 1),
        v.inputs[0].shape[2],
        v.shape[2],
        v.shape[3],
        v.shape[4],
        (step, stride(image, depth), along[0]),
        (stride(weights, out), stride(weights, depth)),
        taps[1] < 0,
        (where[0], where[1], where[2], where[3]),
        inner,
        along[1],
        _bounds(anchor, offsets),
    )
    return in_strips(plan)


def stride(address: Expression, variable: Variable | None) -> int:
    """By how much an address grows along a variable (None: an axis that is not there)."""
    return 0 if variable is None else address.coefficient(variable)


def _bounds(anchor: Anchor, along: Sequence[Variable | None]) -> tuple[Bounds, Bounds]:
    """The rows and columns that a convolution reads: all, or those that bands leave."""
    found = [(0, n) for n in anchor.value.inputs[0].shape[-2:]]
    for _, k, _, _, low, size in anchor.bands:
        found[along.index(k)] = low, size
    return found[0], found[1]


def sum_plan_of(group: Group, left: Node, right: Node, vector_bits: int) -> SumPlan | None:
    """The plan of a gradient of weights that is computed in Winograd's form."""
    anchor = group.anchors[0]
    v = anchor.value
    if not sums_suit(v, vector_bits):
        return None
    image, cotangent = left.data[1], right.data[1]
    place = {x.number: i for i, x in enumerate(group.kept)}
    channel, _, out, *taps = [d.single for d in anchor.position.dims]
    batch, *space = [d.single for d in space_position(v.inputs[1].shape[2:], FOLDED).dims]
    along, lines = [[stride(address, x) for x in space] for address in (image, cotangent)]
    images, steps = v.inputs[0].shape[2], [stride(address, batch) for address in (image, cotangent)]
    inner = together(images, vector_bits // 32) if steps == [1, 1] and along[1] > 1 else 0
    near = along[1] == lines[1] == 1 and len(anchor.bands) == 0
    near = near and v.inputs[1].shape[4] >= LEAST_COLUMNS
    if [stride(image, x) for x in taps] != along or not (inner or near):
        return None
    if channel is None or out is None:
        return None
    if stride(cotangent, channel) or stride(image, out) or any(stride(cotangent, x) for x in taps):
        return None
    return SumPlan(
        vector_bits,
        images // (inner or 1),
        v.shape[0],
        v.shape[2],
        v.inputs[1].shape[3],
        v.inputs[1].shape[4],
        (steps[0], stride(image, channel), along[0]),
        (steps[1], stride(cotangent, out), lines[0]),
        (place[channel.number], place[out.number], *_places(place, taps)),
        inner,
        (along[1], lines[1]),
        _bounds(anchor, space),
    )


def _places(place: dict[int, int], taps: Sequence[Variable | None]) -> tuple[int, int]:
    first, second = [-1 if x is None else place[x.number] for x in taps]
    return first, second
