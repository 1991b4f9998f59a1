"""In which order the axes of stored values lie in memory.

Note [Batch innermost]
Convolutions and poolings of small images with few channels have no long contiguous run to
vectorise along, but a training batch is one: with the batch axis innermost (C, H, W, N in memory
for a value [N, C, H, W]) every load and store of a convolution, a pooling, an activation and their
gradients is a whole vector, window offsets stay scalar, and weights are broadcast. Values between
the program's inputs and outputs are stored so where a convolution over a batch of at least
MIN_BATCH images made them; inputs are converted once by a copy.

Note [Left-out padding]
The zeros around padded images need neither be stored nor multiplied: the loops over the kernel's
rows and columns stop where the padding begins. That takes tiles which lie at one place of the
image, as they do with the batch innermost. An input gradient (a convolution of the cotangent,
padded by the kernel's extent) does half the work then, or less. Convolutions on the matrix unit
add the zeros while they pack images, whatever the layout (Note [Images on the matrix unit]).

Note [Given with the batch innermost]
What one program keeps for another (record/kept.py) is written as it lies in the first, where that
is with the batch innermost: as the columns of a matrix [N, rest]. Where a program reads such a base
as images, it is an input of that shape and layout, and nothing is turned at all.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

from flambeau.core.shapes import contiguous_strides
from flambeau.execute.cpu import storing
from flambeau.execute.cpu.body import view_position
from flambeau.execute.cpu.gradient_plan import gradient_strips
from flambeau.execute.cpu.image_plan import image_strips
from flambeau.execute.cpu.index import space_position
from flambeau.execute.cpu.padding import below_order, extents, padding_of
from flambeau.graph.program import Program
from flambeau.graph.simplify import Rewriter
from flambeau.ops import source
from flambeau.ops.primitive import CONTRACTION, ELEMENTWISE, WINDOW
from flambeau.ops.value import Value

MIN_BATCH = 16
FEW_CHANNELS = 4  # of images, below which a weight gradient's tiles have rows of several taps
CARRIERS = (
    "pad",
    "slice",
    "max_pool",
    "max_pool_index",
    "max_pool_take",
    "pool_scatter",
    "fold",
    "flip",
    "reshape",
    "expand",
    "concat",
    "interleave",
)


@dataclass(frozen=True)
class Layouts:
    """What is stored with the batch innermost (if it is stored), what must be stored for it, and
    which convolutions read images without their padding (Note [Left-out padding]).
    """

    innermost: set[Value]
    copies: set[Value]
    unpadded: set[Value]


def batch_innermost(
    nodes: Sequence[Value],
    vector_bits: int,
    allowed: bool = True,
    given: Collection[Value] = (),
) -> Layouts:
    """Chooses the layouts of a program's values; none with the batch innermost unless `allowed`.
    The inputs `given` lie so.
    """
    carried: set[Value] = set(given)
    copies: set[Value] = set()
    unpadded: set[Value] = set()
    for v in nodes:
        if v.primitive.name == "conv" and _is_weight_gradient(v, carried, copies):
            few = v.shape[0] < FEW_CHANNELS
            if few and gradient_strips(v, True, True, vector_bits) is None:
                carried.add(below_order(v.inputs[0], ())[0])  # the image with its padding
            else:
                unpadded.add(v)
            continue
        if gradient_strips(v, False, True, vector_bits) is not None:
            padding = padding_of(v)
            if padding is not None and _found_whole(padding.image, carried, copies):
                unpadded.add(v)
            continue
        if not allowed or v.ndim < 2 or v.shape[0] < MIN_BATCH:
            if image_strips(v, False, True, vector_bits) is not None:
                unpadded.add(v)
            continue
        if v.primitive.name == "conv":
            x = v.inputs[0]
            if not keeps_batch_axis(x):
                continue
            carried.add(v)
            padding = padding_of(v)
            if padding is not None and _found_whole(padding.image, carried, copies):
                unpadded.add(v)
                x = padding.image
            if x not in carried:
                carried.add(x)
                copies.add(x)
            continue
        carries = v.primitive.family == ELEMENTWISE or v.primitive.name in CARRIERS
        batch = v.shape[:1]
        if carries and v.ndim >= 3 and any(x in carried and x.shape[:1] == batch for x in v.inputs):
            carried.add(v)
    _add_flat_gradients(nodes, carried)
    return Layouts(carried, copies, unpadded)


def _found_whole(image: Value, carried: set[Value], copies: set[Value]) -> bool:
    """Whether images are stored, or can be, as they are and not through views."""
    return image not in carried or image in copies or not is_view(image)


def is_view(v: Value) -> bool:
    """Whether a value shows others, or parts of them; axes of extent 1 do not count."""
    while v.primitive.name == "reshape" and extents(v) == extents(v.inputs[0]):
        v = v.inputs[0]
    stored = v.primitive.name in ("interleave", "input")
    return not stored and v.primitive.family not in (ELEMENTWISE, CONTRACTION, WINDOW)


def _is_weight_gradient(v: Value, carried: set[Value], copies: set[Value]) -> bool:
    """Whether a padded convolution sums over the innermost batch axis of both operands."""
    padding = padding_of(v)
    if padding is None or padding.order[2] != 0:
        return False
    weights, axis = v.inputs[1], 2
    while weights.primitive.name == "permute":
        weights, axis = weights.inputs[0], weights.attrs["order"][axis]
    if axis != 0 or weights not in carried or is_view(weights):
        return False
    image = padding.image
    if image not in carried and storing.same_elements(image).primitive.name == "input":
        carried.add(image)  # of a program that begins with a backward pass
        copies.add(image)
    return image in carried and _found_whole(image, carried, copies)


def keeps_batch_axis(v: Value) -> bool:
    """Whether axis 0 of a convolution's operand is axis 0 of what lies below its views.

    It is not in a weight gradient, where channels take the place of images.
    """
    position = space_position(v.shape)
    batch = position.dims[0]
    while v.primitive.name in ("permute", "pad", "slice", "expand", "flip", "reshape"):
        if v.primitive.name == "pad":
            if batch not in position.dims:
                return False
            # The image has other extents: its own axes are followed from here on.
            axis = position.dims.index(batch)
            position = space_position(v.inputs[0].shape)
            batch = position.dims[axis]
        elif v.primitive.name in ("permute", "slice", "expand", "flip"):
            moved = view_position(v, position)
            assert moved is not None
            position = moved
        elif v.primitive.name == "reshape":
            if v.inputs[0].shape[:1] != v.shape[:1]:
                return position.dims[0] == batch
            position = position.reshaped(v.inputs[0].shape)
        v = v.inputs[0]
        if not position.dims:
            return False
    return bool(position.dims[0] == batch)


def _add_flat_gradients(nodes: Sequence[Value], carried: set[Value]) -> None:
    """Matrix products [N, features] that are only read as the gradient of batch-innermost
    images.
    """
    readers: dict[Value, list[Value]] = {}
    for v in nodes:
        for x in v.inputs:
            readers.setdefault(x, []).append(v)
    for v in nodes:
        if v.primitive.name != "dot" or v.ndim != 2 or v.shape[0] < MIN_BATCH:
            continue
        users = readers.get(v, [])
        if users and all(
            u.primitive.name == "reshape"
            and u.ndim >= 3
            and u.shape[0] == v.shape[0]
            and _read_by(u, readers, carried)
            for u in users
        ):
            carried.add(v)


def _read_by(v: Value, readers: dict[Value, list[Value]], carried: set[Value]) -> bool:
    return any(u in carried for u in readers.get(v, []))


def with_given_images(
    program: Program, checks: tuple[Value, ...]
) -> tuple[Program, tuple[Value, ...], dict[Value, int]]:
    """The program and its checks with inputs for images that bases hold with the batch innermost;
    which bases those are.
    """
    given: dict[Value, int] = {}
    known: dict[tuple[int, tuple[int, ...]], Value] = {}
    written = {update.base for update in program.updates}

    def rule(v: Value, inputs: tuple[Value, ...]) -> Value | None:
        base = _base_of_images(v)
        if base is None or base.attrs["index"] in written:
            return None
        key = base.attrs["index"], v.shape
        if key not in known:
            known[key] = source.program_input("base", key[0], v.shape, v.dtype)
            given[known[key]] = key[0]
        return known[key]

    count = len(program.results)
    found = Rewriter(rule).program(replace(program, results=(*program.results, *checks)))
    if not given:
        return program, checks, given
    return replace(found, results=found.results[:count]), found.results[count:], given


def _base_of_images(v: Value) -> Value | None:
    """The base whose elements a value shows as images, which lie there with the batch innermost."""
    if v.primitive.name != "reshape" or v.ndim < 3 or v.shape[0] < MIN_BATCH:
        return None
    columns = v.inputs[0]
    if columns.primitive.name != "permute" or columns.attrs["order"] != (1, 0):
        return None
    base = columns.inputs[0].inputs[0] if columns.inputs[0].primitive.name == "reshape" else None
    if base is None or base.primitive.name != "input" or base.attrs["role"] != "base":
        return None
    whole = columns.shape[0] == v.shape[0] and base.size == v.size
    return base if whole else None


def innermost_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """Strides of a dense layout with axis 0 innermost."""
    return (1, *[s * shape[0] for s in contiguous_strides(shape[1:])])


def turned(v: Value) -> Value:
    """The images whose elements `v` shows as they lie with the batch innermost; itself if it shows
    none.
    """
    if v.primitive.name != "permute" or v.attrs["order"] != (1, 0):
        return v
    below = v.inputs[0]
    while below.primitive.name == "reshape":
        below = below.inputs[0]
    return below if below.ndim > 2 and below.shape[0] == v.shape[1] else v
