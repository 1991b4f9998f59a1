"""What the steps of a sequence are as records of native calls (see Note [Sequences]).

`Records` goes through steps in their order. Which kernels it takes, and which operands and results
they have, may hang on nothing but the outline; a record's words are made for each program anew.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from math import prod
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import contiguous_strides
from flambeau.execute.cpu import engine, sequence_kernels
from flambeau.execute.cpu.open_chains import divided, rows_and_columns
from flambeau.execute.cpu.sequence_kernels import MOST_AXES
from flambeau.execute.cpu.target import Target
from flambeau.execute.reference.blas import product_address
from flambeau.graph.outline import Outline
from flambeau.ops.indexed import wraps
from flambeau.ops.value import Shape

if TYPE_CHECKING:
    from flambeau.execute.cpu.chains import _Part
    from flambeau.execute.reference.schedule import Recipe

BY_ROWS, BY_COLUMNS = 111, 112  # how `cblas_sgemm` is told of a matrix
KINDS = {"float32": "s", "float64": "d"}  # its letters
ELEMENTS = {"float32": "float", "float64": "double"}
COPIED = frozenset((*KINDS, "float16", "int64", "int32", "int16", "int8", "uint8", "bool"))
LAID_OUT = ("expand", "slice", "flip")  # views that are copied

Words = Callable[[Outline], tuple[Sequence[int], int]]  # a program's words, and how many tasks
Size = Callable[[Outline], int]  # elements


# A chain of one step (its number), with its kernel's address; None where it cannot be one.
Single = Callable[[int], "tuple[_Part, int] | None"]


class Record(NamedTuple):
    """A kernel's call: its slots are its first words if `leading`, its last ones else."""

    address: int
    slots: tuple[int, ...]
    words: Words
    leading: bool = True


@dataclass(frozen=True, slots=True)
class Spot:
    """Where a value is: a slot with elements by rows of a shape (its number), which show the value
    when its axes are put in an order.
    """

    slot: int
    shape: int
    order: tuple[int, ...] | None = None


@dataclass(frozen=True, slots=True)
class Slot:
    """Memory of a sequence: how many elements, of which dtype; equal keys are equal sizes."""

    key: Any
    size: Size
    dtype: Any


@cache
def _address(text: str) -> int:
    return engine.kernel_addresses([text])[0]


def _bits() -> int:
    return Target.host().vector_bits


class Records:
    """The records of some steps, and the memory that they need."""

    def __init__(self, outline: Outline, recipe: Recipe, single: Single) -> None:
        self.outline, self.recipe, self.single = outline, recipe, single
        self.at = {place: number for number, place in enumerate(recipe.places)}
        self.spots: dict[int, Spot] = {}  # by place
        self.slots: list[Slot] = []
        self.inputs: dict[int, int] = {}  # places from outside: their slots
        self.records: list[Record] = []

    # ---- values ----------------------------------------------------------------------------------

    def new(self, key: Any, size: Size, dtype: Any) -> int:
        self.slots.append(Slot((key, dtype), size, dtype))
        return len(self.slots) - 1

    def value(self, shape: int, dtype: Any) -> int:
        """A slot for a value with a shape (its number)."""
        return self.new(shape, lambda outline: outline.sizes[shape], dtype)

    def spot(self, place: int) -> Spot:
        """Where the value of a place is; one that this does not know comes from outside."""
        found = self.spots.get(place)
        if found is None:
            number = self.at[place]
            shape = self.outline.of_nodes[number]
            dtype = np.dtype(self.outline.nodes[number].dtype.numpy)
            slot = self.inputs[place] = self.value(shape, dtype)
            found = self.spots[place] = Spot(slot, shape)
        return found

    def ordered(self, place: int, shape: int) -> int:
        """The slot of a place's value, its elements by rows of a shape (its own, or a reshape)."""
        spot = self.spot(place)
        if spot.order is None:
            return spot.slot
        order, source, base = spot.order, spot.slot, spot.shape
        slot = self.value(shape, self.slots[source].dtype)

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            own = outline.shapes[base]
            strides = contiguous_strides(own)
            extents = [own[a] for a in order]
            return _layouts(extents, [strides[a] for a in order], contiguous_strides(extents)), 1

        self.copy(source, slot, words)
        self.spots[place] = Spot(slot, shape)
        return slot

    def broadcast(self, place: int, shape: int) -> int:
        """The slot of a place's value broadcast to a shape."""
        number = self.at[place]
        own = self.outline.of_nodes[number]
        slot = self.ordered(place, own)
        if own == shape or self.outline.sizes[own] == self.outline.sizes[shape]:
            return slot
        whole = self.value(shape, self.slots[slot].dtype)

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            extents, narrow = outline.shapes[shape], outline.shapes[own]
            strides = _spread(narrow, len(extents))
            return _layouts(extents, strides, contiguous_strides(extents)), 1

        self.copy(slot, whole, words)
        return whole

    def copy(self, source: int, target: int, words: Words) -> None:
        text = sequence_kernels.copy_text(self.slots[source].dtype.itemsize)
        self.records.append(Record(_address(text), (source, target), words))

    # ---- steps -----------------------------------------------------------------------------------

    def step(self, number: int) -> bool:
        """Makes records of a step of the recipe; whether it can."""
        of, _, given, _, place, _, _ = self.recipe.steps[number]
        node = self.outline.nodes[of]
        if any(v.dtype.name not in COPIED for v in (node, *node.inputs)):
            return False
        if any(k not in self.at for k in given) or any(
            len(v.shape) > MOST_AXES for v in (node, *node.inputs)
        ):
            return False
        name = node.primitive.name
        if name in LAID_OUT:
            return self._lay_out(name, of, given, place)
        make = getattr(self, f"_{name}", None)
        if make is not None:
            return bool(make(of, given, place))
        if self._truth(of, given, place) or self._winner(of, given, place):
            return True
        found = self.single(number)
        return found is not None and self.chain(*found)

    def _of(self, place: int) -> int:
        """The number of a place's shape."""
        return self.outline.of_nodes[self.at[place]]

    def _result(self, of: int, place: int) -> int:
        """A new slot for a step's value."""
        shape = self.outline.of_nodes[of]
        slot = self.value(shape, np.dtype(self.outline.nodes[of].dtype.numpy))
        self.spots[place] = Spot(slot, shape)
        return slot

    def _reshape(self, of: int, given: Sequence[int], place: int) -> bool:
        slot = self.ordered(given[0], self._of(given[0]))
        self.spots[place] = Spot(slot, self.outline.of_nodes[of])
        return True

    def _permute(self, of: int, given: Sequence[int], place: int) -> bool:
        spot, order = self.spot(given[0]), self.outline.nodes[of].attrs["order"]
        if spot.order is not None:
            order = tuple([spot.order[a] for a in order])
        self.spots[place] = Spot(spot.slot, spot.shape, tuple(order))
        return True

    def _lay_out(self, name: str, of: int, given: Sequence[int], place: int) -> bool:
        own = self._of(given[0])
        source = self.ordered(given[0], own)
        number = self.outline.of_nodes[of]

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            narrow, attrs = outline.shapes[own], outline.nodes[of].attrs
            strides, first = contiguous_strides(narrow), 0
            extents = outline.shapes[number]
            if name == "expand":
                strides = _spread(narrow, len(extents))
            elif name == "slice":
                pairs = zip(attrs["starts"], strides, strict=True)
                first = sum([start * stride for start, stride in pairs])
                pairs = zip(attrs["steps"], strides, strict=True)
                strides = tuple([step * stride for step, stride in pairs])
            else:
                axes = attrs["axes"]
                first = sum([(narrow[a] - 1) * strides[a] for a in axes])
                strides = tuple([-s if a in axes else s for a, s in enumerate(strides)])
            return _layouts(extents, strides, contiguous_strides(extents), first), 1

        self.copy(source, self._result(of, place), words)
        return True

    def _pad(self, of: int, given: Sequence[int], place: int) -> bool:
        own, number = self._of(given[0]), self.outline.of_nodes[of]
        source = self.ordered(given[0], own)
        slot = self._result(of, place)
        dtype = self.slots[slot].dtype

        def filled(outline: Outline) -> tuple[Sequence[int], int]:
            value = np.array(outline.nodes[of].attrs["value"]).astype(dtype)
            bits = int.from_bytes(value.tobytes(), "little", signed=True)
            return (outline.sizes[number], bits), 1

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            return _padding(outline.shapes[own], outline.shapes[number], outline.nodes[of].attrs), 1

        text = sequence_kernels.fill_text(dtype.itemsize, _bits())
        self.records.append(Record(_address(text), (slot,), filled))
        self.copy(source, slot, words)
        return True

    def _take(self, of: int, given: Sequence[int], place: int) -> bool:
        nodes, (x, index) = self.outline.nodes, given
        if nodes[self.at[index]].dtype is not dtypes.int64:
            return False
        of_x, of_index = self._of(x), self._of(index)
        slots = self.ordered(x, of_x), self.ordered(index, of_index)
        single = all(n == 1 for n in self.outline.shapes[of_x][1:])
        text = sequence_kernels.take_text(self.slots[slots[0]].dtype.itemsize, single)

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            rows, *row = outline.shapes[of_x]
            wrap = rows if wraps(outline.nodes[of].attrs["what"]) else 0
            return (rows, wrap, outline.sizes[of_index], prod(row)), 1

        self.records.append(Record(_address(text), (*slots, self._result(of, place)), words))
        return True

    def _put_add(self, of: int, given: Sequence[int], place: int) -> bool:
        dtype = self.outline.nodes[of].dtype.name
        if dtype not in ELEMENTS:
            return False
        return self._put(sequence_kernels.put_add_text(ELEMENTS[dtype], _bits()), of, given, place)

    def _put_set(self, of: int, given: Sequence[int], place: int) -> bool:
        itemsize = self.outline.nodes[of].dtype.itemsize
        return self._put(sequence_kernels.put_set_text(itemsize), of, given, place)

    def _put(self, text: str, of: int, given: Sequence[int], place: int) -> bool:
        nodes, (x, index, rows) = self.outline.nodes, given
        if nodes[self.at[index]].dtype is not dtypes.int64:
            return False
        of_x, of_index = self._of(x), self._of(index)
        slots = [self.ordered(k, self._of(k)) for k in (x, index, rows)]

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            extent, *row = outline.shapes[of_x]
            wrap = extent if wraps(outline.nodes[of].attrs["what"]) else 0
            return (extent, wrap, outline.sizes[of_index], prod(row), outline.sizes[of_x]), 1

        self.records.append(Record(_address(text), (*slots, self._result(of, place)), words))
        return True

    def _max_pool(self, of: int, given: Sequence[int], place: int) -> bool:
        node, own = self.outline.nodes[of], self._of(given[0])
        rank = len(node.attrs["sizes"])
        if node.dtype.name not in ELEMENTS or not 1 <= rank <= 2:
            return False
        source = self.ordered(given[0], own)
        number = self.outline.of_nodes[of]

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            shape, attrs = outline.shapes[own], outline.nodes[of].attrs
            lead, image = shape[: len(shape) - rank], shape[len(shape) - rank :]
            rows, columns = (1, *outline.shapes[number][len(lead) :])[-2:]
            pairs = [(1, *attrs[name])[-2:] for name in ("sizes", "steps", "dilations")]
            windows = [extent for pair in pairs for extent in pair]
            return (prod(lead), prod(image), image[-1], rows, columns, *windows), 1

        text = sequence_kernels.max_pool_text(ELEMENTS[node.dtype.name], _bits())
        self.records.append(Record(_address(text), (source, self._result(of, place)), words))
        return True

    def _truth(self, of: int, given: Sequence[int], place: int) -> bool:
        """Truths folded over all axes."""
        node = self.outline.nodes[of]
        if node.primitive.name not in ("max", "min") or node.dtype is not dtypes.bool_:
            return False
        own = self._of(given[0])
        if len(node.attrs["axes"]) != len(node.inputs[0].shape) or not node.inputs[0].size:
            return False
        source = self.ordered(given[0], own)

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            return (outline.sizes[own],), 1

        text = sequence_kernels.truth_text(node.primitive.name, _bits())
        self.records.append(Record(_address(text), (source, self._result(of, place)), words))
        return True

    def _winner(self, of: int, given: Sequence[int], place: int) -> bool:
        """Places of the largest or smallest elements along the last axis."""
        node = self.outline.nodes[of]
        x = node.inputs[0] if node.inputs else node
        if node.primitive.name not in ("argmax", "argmin") or x.dtype.name not in ELEMENTS:
            return False
        if tuple(node.attrs["axes"]) != (len(x.shape) - 1,) or not x.size:
            return False
        own = self._of(given[0])
        source = self.ordered(given[0], own)

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            *rows, columns = outline.shapes[own]
            return (prod(rows), columns), 1

        text = sequence_kernels.winner_text(node.primitive.name, ELEMENTS[x.dtype.name])
        self.records.append(Record(_address(text), (source, self._result(of, place)), words))
        return True

    # ---- products --------------------------------------------------------------------------------

    def _dot(self, of: int, given: Sequence[int], place: int) -> bool:
        node = self.outline.nodes[of]
        address = product_address(KINDS.get(node.dtype.name, "")) if node.dtype.name in KINDS else 0
        if not address:
            return False
        (a, by_a), (b, by_b) = self._matrix(given[0]), self._matrix(given[1])
        of_a, number = self._of(given[0]), self.outline.of_nodes[of]

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            *batch, m, n = outline.shapes[number]
            k = outline.shapes[of_a][-1]
            pitch_a = k if by_a == BY_ROWS else m
            pitch_b = n if by_b == BY_ROWS else k
            pitches = max(pitch_a, 1), max(pitch_b, 1), max(n, 1)
            steps = 0, 0, 0, m * k, k * n, m * n
            return (address, by_a, by_b, m, n, k, *pitches, 1, prod(batch), *steps), 1

        text = sequence_kernels.product_text(ELEMENTS[node.dtype.name])
        self.records.append(Record(_address(text), (a, b, self._result(of, place)), words))
        return True

    def _matrix(self, place: int) -> tuple[int, int]:
        """The slot of a factor, and how its matrices lie."""
        spot, last = self.spot(place), len(self.outline.shapes[self._of(place)])
        if spot.order == (*range(last - 2), last - 1, last - 2):
            return spot.slot, BY_COLUMNS
        return self.ordered(place, self._of(place)), BY_ROWS

    def _conv(self, of: int, given: Sequence[int], place: int) -> bool:
        node = self.outline.nodes[of]
        if node.dtype.name not in KINDS or not product_address(KINDS[node.dtype.name]):
            return False
        rank = len(node.shape) - 3
        if 3 + 2 * rank > MOST_AXES:
            return False
        address = product_address(KINDS[node.dtype.name])
        of_x, of_w = self._of(given[0]), self._of(given[1])
        x, w = self.ordered(given[0], of_x), self.ordered(given[1], of_w)
        number = self.outline.of_nodes[of]

        def extents(outline: Outline) -> tuple[int, ...]:
            """Images, groups, channels, the kernel's and the result's: of the columns."""
            shape = outline.shapes[of_x]
            return (*shape[:3], *outline.shapes[of_w][3:], *outline.shapes[number][3:])

        def columns(outline: Outline) -> tuple[Sequence[int], int]:
            attrs, strides = outline.nodes[of].attrs, contiguous_strides(outline.shapes[of_x])
            within = [d * s for d, s in zip(attrs["dilations"], strides[3:], strict=True)]
            apart = [d * s for d, s in zip(attrs["strides"], strides[3:], strict=True)]
            own = extents(outline)
            return _layouts(own, (*strides[:3], *within, *apart), contiguous_strides(own)), 1

        def words(outline: Outline) -> tuple[Sequence[int], int]:
            n, g, *rest = extents(outline)
            m, depth, places = outline.shapes[number][2], prod(rest[: 1 + rank]), prod(rest[-rank:])
            pitches = max(depth, 1), max(places, 1), max(places, 1)
            inner = m * depth, depth * places, m * places
            outer = 0, g * depth * places, g * m * places
            rows = BY_ROWS, BY_ROWS, m, places, depth
            return (address, *rows, *pitches, n, g, *outer, *inner), 1

        spread = self.new(
            ("columns", of), lambda outline: prod(extents(outline)), self.slots[x].dtype
        )
        self.copy(x, spread, columns)
        text = sequence_kernels.product_text(ELEMENTS[node.dtype.name])
        self.records.append(Record(_address(text), (w, spread, self._result(of, place)), words))
        return True

    # ---- chains ----------------------------------------------------------------------------------

    def chain(self, part: _Part, address: int) -> bool:
        """Makes records of a chain; whether it can."""
        kinds = [d for _, d in part.chain.inputs] + [m.dtype for m in part.chain.members]
        shapes = self.outline.shapes
        if any(d.name not in COPIED for d in kinds) or any(k not in self.at for k in part.places):
            return False
        if any(len(shapes[shape]) > MOST_AXES for shape in part.inputs):
            return False
        slots = [
            self.broadcast(place, shape)
            for place, shape in zip(part.places, part.inputs, strict=True)
        ]
        rounded = self._chain_results(part, slots)
        words = _chain_words(part)
        for k, dtype in enumerate(part.scratch):

            def size(outline: Outline, k: int = k) -> int:
                return (
                    words(outline)[1] * rows_and_columns(outline.shapes[part.space], part.split)[1]
                )

            slots.append(self.new(("scratch", part.node, k), size, dtype))
        self.records.append(Record(address, tuple(slots), words, leading=False))
        for source, target, shape in rounded:

            def count(outline: Outline, shape: int = shape) -> tuple[Sequence[int], int]:
                return (outline.sizes[shape],), 1

            text = sequence_kernels.round_text()
            self.records.append(Record(_address(text), (source, target), count))
        return True

    def _chain_results(self, part: _Part, slots: list[int]) -> list[tuple[int, int, int]]:
        """Adds the slots of a chain's results; (totals, result, shape) of those that are rounded
        when they are there.
        """
        shapes = dict(part.outputs)  # (of results in several shapes any one: as large)
        rounded, finals = [], []
        for k, (_, dtype, totals) in enumerate(part.results):
            shape = shapes[k]
            slot = self.value(shape, np.dtype(np.float64) if totals else dtype)
            slots.append(slot)
            if totals:

                def count(outline: Outline, shape: int = shape) -> tuple[Sequence[int], int]:
                    return (outline.sizes[shape], 0), 1

                text = sequence_kernels.fill_text(8, _bits())
                self.records.append(Record(_address(text), (slot,), count))
                if dtype.itemsize != 8:
                    source, slot = slot, self.value(shape, dtype)
                    rounded.append((source, slot, shape))
            finals.append(slot)
        for place, (k, shape) in zip(part.made, part.outputs, strict=True):
            self.spots[place] = Spot(finals[k], shape)
        return rounded


def _chain_words(part: _Part) -> Words:
    def words(outline: Outline) -> tuple[Sequence[int], int]:
        space = rows_and_columns(outline.shapes[part.space], part.split)
        rows, columns, share, tasks = divided(*space, part.flat, part.totals)
        return (rows, columns, share), tasks

    return words


# ---- layouts -------------------------------------------------------------------------------------


def _spread(narrow: Shape, axes: int) -> tuple[int, ...]:
    """The strides of a shape broadcast to so many axes."""
    pairs = zip(narrow, contiguous_strides(narrow), strict=True)
    strides = [0 if extent == 1 else stride for extent, stride in pairs]
    return (*(0,) * (axes - len(narrow)), *strides)


def _layouts(
    extents: Sequence[int],
    here: Sequence[int],
    there: Sequence[int],
    first: int = 0,
    to: int = 0,
) -> list[int]:
    """A copy's words. Axes that are one in both layouts are one."""
    axes: list[list[int]] = []
    for extent, source, target in zip(extents, here, there, strict=True):
        if extent == 1:
            continue
        if axes and axes[-1][1:] == [source * extent, target * extent]:
            axes[-1] = [axes[-1][0] * extent, source, target]
        else:
            axes.append([extent, source, target])
    axes = [[1, 1, 1]] * (MOST_AXES - len(axes)) + axes
    return [first, to, *[axis[k] for k in range(3) for axis in axes]]


def _padding(own: Shape, whole: Shape, attrs: dict[str, Any]) -> list[int]:
    """The words of the copy of what is padded into what it becomes."""
    extents, here, there, first, to = [], [], [], 0, 0
    strides = zip(contiguous_strides(own), contiguous_strides(whole), strict=True)
    places = zip(attrs["low"], attrs["interior"], own, whole, strict=True)
    for (low, inner, extent, room), (source, target) in zip(places, strides, strict=True):
        step = inner + 1
        begin = max(0, -(low // step))
        end = max(begin, min(extent, -((low - room) // step)))
        extents.append(end - begin)
        here.append(source)
        there.append(target * step)
        first += begin * source
        to += (low + begin * step) * target
    return _layouts(extents, here, there, first, to)
