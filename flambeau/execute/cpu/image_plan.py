"""Convolutions on the CPU's matrix unit: when, and in which pieces.

Note [Images on the matrix unit]
A convolution is a sum of matrix products, one for each place (tap) of its kernel: weights
[outputs, channels] times the image, shifted, [channels, places]. The image is packed once, in three
parts as in Note [float32 products in three parts], and every tap reads the same packed image from
another address: the unit's loads take rows of 64 bytes from anywhere. The zeros around an image are
added while it is packed, so that no padded image is stored.

A task packs a strip of the image, `lines` lines of the result high, into memory of its own that
stays in the level-2 cache, and multiplies it with all weights. With a stride, every first, every
second .. column is packed by itself (a phase), so that places remain neighbours.

    by lines   blocks of 32 places lie within a line of the result
    linear     blocks of 32 places run on over the padded lines; what they compute between two
               lines is not used. Lines of 7 or 14 places fill blocks badly otherwise.

With the batch innermost (Note [Batch innermost]) a place is a column and an image: `inner` images
are neighbours, and all columns count so many times.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from math import prod

from flambeau.core import dtypes
from flambeau.execute.cpu.contraction_nest import Dimension, cut_dimensions
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.matrix_plan import (
    BLOCK,
    FLAG_BYTES,
    HALF,
    PARTS,
    STEP_BYTES,
    STEP_CYCLES,
    STORE_CYCLES,
    Lead,
    Side,
)
from flambeau.execute.cpu.padding import padding_of
from flambeau.execute.cpu.target import has_matrix_unit
from flambeau.ops.value import Value

LINE_WORDS = 16
STRIP_BYTES = 5 << 18  # of a task's memory: what stays in the level-2 cache beside the weights
FAR_BYTES, FAR_CYCLES = 1 << 20, 0.25  # of weights that are read from further away, and for each
BEYOND, FAR_BEYOND = 1.45, 2.6  # how much longer products take where it does not, or by far not
PAIR_CYCLES, GATHERED_CYCLES = 14, 60  # of packing 16 places of two channels
VECTOR_FLOPS = 64 * 0.85  # multiplications and additions of vector instructions in a cycle
LEAST_FILLED = 0.6  # what they make of lines shorter than a vector
ADVANTAGE = 0.85
LEAST_CHANNELS = 24
MATRIX_FLOPS = 1 << 21


@dataclass(frozen=True, slots=True)
class Walk:
    """One spatial axis: `extent` of the image, `low` zeros before it; `out` results, `step` apart;
    `taps`, `spread` apart.
    """

    extent: int
    low: int
    out: int
    step: int
    taps: int
    spread: int

    def inside(self, phase: int = 0) -> tuple[int, int]:
        """Which of every `step`-th places from `phase` on are part of the image: first, end."""
        ends = [-(-(place - phase) // self.step) for place in (self.low, self.low + self.extent)]
        return max(ends[0], 0), max(ends[1], 0)

    def reach(self, out: int) -> int:
        """Places of the padded image that so many results read."""
        return (out - 1) * self.step + (self.taps - 1) * self.spread + 1


@dataclass(frozen=True, slots=True)
class ImageShape:
    """What decides how a convolution is computed; `images` counts the loops around, over images
    and `groups`.
    """

    rows: Walk
    cols: Walk
    inner: int
    depth: int
    outs: int
    images: int
    groups: int

    @property
    def flops(self) -> int:
        places = self.rows.out * self.cols.out * self.inner
        taps = self.rows.taps * self.cols.taps
        return 2 * self.images * places * self.outs * self.depth * taps


@dataclass(frozen=True, slots=True)
class Strips:
    """How an image is cut and packed; sizes are words (of two channels' 16 bits each). The strips
    of `together` images are packed at once, and the outputs divided into `splits`.
    """

    shape: ImageShape
    lines: int
    linear: bool
    splits: int = 1
    together: int = 1

    @property
    def count(self) -> int:
        return -(-self.shape.rows.out // self.lines)

    @property
    def chunks(self) -> int:
        return -(-self.shape.depth // BLOCK)

    @property
    def out_blocks(self) -> int:
        return -(-self.shape.outs // BLOCK)

    @property
    def image_lines(self) -> int:
        """Lines of the padded image in a strip."""
        return self.shape.rows.reach(self.lines)

    @property
    def columns(self) -> int:
        """Words of a phase of a line."""
        cols = self.shape.cols
        return -(-cols.reach(cols.out) // cols.step) * self.shape.inner

    @property
    def width(self) -> int:
        """Places of a line of the result."""
        return self.shape.cols.out * self.shape.inner

    @property
    def blocks(self) -> list[tuple[int, bool]]:
        """Of a line (or of the whole strip, if linear): first place, whether of 16 places only."""
        total = self.width
        if self.linear:
            total += (self.lines - 1) * self.columns
        starts = range(0, total, BLOCK)
        return [(start, total - start <= HALF) for start in starts]

    @property
    def block_lines(self) -> int:
        return 1 if self.linear else self.lines

    @property
    def result_line(self) -> int:
        """Words from a line of the result to the next."""
        return self.columns if self.linear else len(self.blocks) * BLOCK

    @property
    def result_words(self) -> int:
        """Of an output of one image."""
        return len(self.blocks) * BLOCK * self.block_lines

    @property
    def result_pitch(self) -> int:
        """Words from an output to the next in a strip's result: an odd number of cache lines."""
        return _odd_lines(self.result_words * self.together)

    @property
    def phase(self) -> int:
        """Words of a phase: a line's, or all lines' of one phase if linear."""
        cols, rows = self.shape.cols, self.shape.rows
        shift = (cols.taps - 1) * cols.spread // cols.step * self.shape.inner
        reach = len(self.blocks) * BLOCK + shift
        if not self.linear:
            return max(self.columns, reach) + LINE_WORDS
        lines = -(-self.image_lines // rows.step)
        reach += (rows.taps - 1) * rows.spread // rows.step * self.columns
        return max(lines * self.columns, reach) + LINE_WORDS

    @property
    def places(self) -> int:
        """Places of all phases of a line, or of the strip if linear."""
        phases = self.shape.cols.step * (self.shape.rows.step if self.linear else 1)
        return self.phase * phases

    @property
    def tiled(self) -> bool:
        """Whether 16 places are side by side, then their channels: no shift parts them."""
        return self.shape.inner % LINE_WORDS == 0

    @property
    def pair_bytes(self) -> int:
        """From a pair of channels to the next."""
        return 4 * (LINE_WORDS if self.tiled else _odd_lines(self.places))

    @property
    def part_bytes(self) -> int:
        return HALF * self.pair_bytes

    @property
    def chunk_bytes(self) -> int:
        """From 32 channels to the next."""
        return PARTS * self.part_bytes

    @property
    def place_bytes(self) -> int:
        """From a place to the next, at steps of 16."""
        return self.chunks * self.chunk_bytes // LINE_WORDS if self.tiled else 4

    @property
    def unit_bytes(self) -> int:
        """All channels of a line, or of the strip if linear."""
        if self.tiled:
            return self.places * self.place_bytes
        return self.chunks * self.chunk_bytes

    @property
    def strip_bytes(self) -> int:
        return self.unit_bytes * (1 if self.linear else self.image_lines)

    @property
    def result_bytes(self) -> int:
        return 4 * BLOCK * self.result_pitch

    @property
    def task_bytes(self) -> int:
        total = self.strip_bytes * self.together + self.result_bytes + 64
        return -(-total // 4096) * 4096 + 64

    def line_bytes(self, line: int) -> int:
        """Where a line of the padded strip begins."""
        if not self.linear:
            return line * self.unit_bytes
        step = self.shape.rows.step
        place = line % step * self.shape.cols.step * self.phase + line // step * self.columns
        return place * self.place_bytes

    def tap_bytes(self, row: int, col: int) -> int:
        """How far a tap shifts what is read."""
        cols = self.shape.cols
        moved = col * cols.spread
        place = moved % cols.step * self.phase + moved // cols.step * self.shape.inner
        return self.line_bytes(row * self.shape.rows.spread) + place * self.place_bytes

    @property
    def taps(self) -> list[int]:
        """`tap_bytes` of all taps."""
        shape = self.shape
        places = range(shape.rows.taps), range(shape.cols.taps)
        return [self.tap_bytes(row, col) for row in places[0] for col in places[1]]

    @property
    def loops(self) -> list[int]:
        return [self.shape.images // self.together, self.count, self.splits]

    @property
    def _beyond(self) -> float:
        """How much longer products take for where the strips are."""
        if self.task_bytes <= STRIP_BYTES:
            return 1.0
        return BEYOND if self.task_bytes <= STRIP_BYTES * 3 // 2 else FAR_BEYOND

    @property
    def cycles(self) -> float:
        """Of one core, without packing the weights."""
        shape = self.shape
        steps = len(self.taps) * self.chunks
        block = steps * STEP_CYCLES * self._beyond
        columns = sum(0.6 if half else 1.0 for _, half in self.blocks) * self.block_lines
        outs = sum(
            0.6 if shape.outs - start <= HALF else 1.0 for start in range(0, shape.outs, BLOCK)
        )
        pair = PAIR_CYCLES if shape.cols.step == 1 or shape.inner > 1 else GATHERED_CYCLES
        vectors = -(-self.columns // LINE_WORDS) * shape.cols.step * self.image_lines
        packing = vectors * HALF * self.chunks * pair * self.splits
        strip = (columns * outs * (block + STORE_CYCLES) + packing) * self.together + 500
        weights = steps * self.out_blocks * STEP_BYTES
        if weights > FAR_BYTES:
            strip += FAR_CYCLES * weights
        pieces = prod(self.loops)
        return strip / self.splits * -(-pieces // TASKS) * TASKS


def _odd_lines(words: int) -> int:
    lines = -(-words // LINE_WORDS)
    return (lines | 1) * LINE_WORDS


def _candidates(shape: ImageShape) -> Iterator[Strips]:
    for linear in (False, True):
        for lines in range(1, shape.rows.out + 1):
            count = -(-shape.rows.out // lines)
            if lines > 1 and -(-shape.rows.out // (lines - 1)) == count:
                continue  # as many strips as with lower ones
            blocks = -(-shape.outs // BLOCK)
            for together in (1, 2, 4, 8):
                if together > 1 and (count > 1 or shape.groups > 1 or shape.images % together):
                    continue
                pieces = shape.images // together * count
                splits = min(blocks, max(1, TASKS // pieces))
                yield Strips(shape, lines, linear, splits, together)


def filled(width: int) -> float:
    """The part of vector instructions' lanes that lines of so many places make use of."""
    return max(width / (-(-width // LINE_WORDS) * LINE_WORDS), LEAST_FILLED)


@lru_cache(1024)
def cheapest(shape: ImageShape) -> Strips | None:
    """How to compute it on the unit; None where vector instructions are faster."""
    if shape.flops < MATRIX_FLOPS or shape.depth < LEAST_CHANNELS or shape.outs < HALF:
        return None
    if shape.inner % LINE_WORDS and shape.inner > 1 and shape.cols.step > 1:
        return None
    best = min(_candidates(shape), key=lambda s: s.cycles)
    weights = best.out_blocks * best.chunks * BLOCK * BLOCK * len(best.taps) * 1.5
    vectors = shape.flops / VECTOR_FLOPS / filled(best.width)
    return best if best.cycles + weights < ADVANTAGE * vectors else None


def image_strips(v: Value, inner: bool, unpadded: bool, vector_bits: int) -> Strips | None:
    """How a convolution is computed on the unit, if it is.

    inner: whether the batch is innermost; unpadded: whether the image is there without its padding.
    """
    if vector_bits != 512:
        return None
    if v.primitive.name != "conv" or v.dtype is not dtypes.float32 or not v.size:
        return None
    if v.ndim not in (4, 5) or not has_matrix_unit():
        return None
    walks = walks_of(v, unpadded)
    images = v.shape[0] * v.shape[1]
    width = v.shape[0] if inner else 1
    if inner:
        images //= width
    depth = v.inputs[0].shape[2]
    return cheapest(ImageShape(*walks, width, depth, v.shape[2], images, v.shape[1]))


def walks_of(v: Value, unpadded: bool) -> tuple[Walk, Walk]:
    """Lines and columns of a convolution over one or two axes."""
    x, weights = v.inputs
    padding = padding_of(v) if unpadded else None
    walks = []
    for axis in range(3, v.ndim):
        extent, low = x.shape[axis], 0
        if padding is not None and padding.order[axis] >= 0:
            extent, low = padding.image.shape[padding.order[axis]], padding.low[axis]
        step, spread = v.attrs["strides"][axis - 3], v.attrs["dilations"][axis - 3]
        walks.append(Walk(extent, low, v.shape[axis], step, weights.shape[axis], spread))
    return (walks[0] if v.ndim == 5 else Walk(1, 0, 1, 1, 1, 1)), walks[-1]


@dataclass(frozen=True, slots=True)
class Weights:
    """A convolution's weights and their (count, stride) of groups and of taps by line and column.

    Packed, 32 outputs (of a group) are their steps [32 channels][tap], then their flags.
    """

    side: Side
    groups: tuple[tuple[int, int], ...]
    taps: tuple[tuple[int, int], tuple[int, int]]

    @property
    def places(self) -> list[int]:
        """Element offset of each tap."""
        (rows, row), (cols, col) = self.taps
        return [r * row + c * col for r in range(rows) for c in range(cols)]

    @property
    def block_bytes(self) -> int:
        """Of 32 outputs."""
        return self.side.steps * len(self.places) * STEP_BYTES + FLAG_BYTES

    @property
    def blocks(self) -> int:
        return prod(count for count, _ in self.groups) * self.side.lead.blocks

    @property
    def bytes(self) -> int:
        return self.blocks * self.block_bytes


@dataclass(frozen=True, slots=True)
class ImagePlan:
    """Where the operands of a convolution on the unit lie, and its loops.

    Strides are elements. Positions are those of the result's loops, -1 for an extent of 1:
    `around` has (position, extent, image stride, weight stride) of images and groups.
    """

    strips: Strips
    around: tuple[tuple[int, int, int, int], ...]
    positions: tuple[int, int, int, int]  # of the output, line, column and innermost batch
    line: int
    column: int
    channel: int
    weights: Weights

    @property
    def cut(self) -> tuple[Dimension, ...]:
        """The loops around images, over strips and over ranges of outputs, cut into tasks."""
        counts = [extent for _, extent, _, _ in self.around]
        if self.strips.together > 1:  # there are no groups
            counts[0] //= self.strips.together
        counts += [self.strips.count, self.strips.splits]
        return cut_dimensions([Dimension(n) for n in counts], TASKS)

    @property
    def scratch_bytes(self) -> int:
        return prod(d.cut for d in self.cut) * self.strips.task_bytes


def image_plan(
    strips: Strips,
    around: tuple[tuple[int, int, int, int], ...],
    positions: tuple[int, int, int, int],
    image: tuple[int, int, int],
    weights: tuple[int, int, int, int],
) -> ImagePlan:
    """`image`: strides of a line, a column, a channel; `weights`: of an output, a channel, a tap's
    line and column.
    """
    shape = strips.shape
    out, channel, row, col = weights
    near = min(s for s, n in ((out, shape.outs), (channel, shape.depth)) if n > 1)
    lead = Lead((positions[0],), (shape.outs,), out)
    side = Side(1, True, lead, shape.depth, channel, (), near)
    groups = tuple([(n, s) for _, n, _, s in around if s])
    found = Weights(side, groups, ((shape.rows.taps, row), (shape.cols.taps, col)))
    return ImagePlan(strips, around, positions, *image, found)
