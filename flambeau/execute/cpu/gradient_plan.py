"""Gradients of a convolution's weights on the CPU's matrix unit: when, and in which pieces.

Note [Weight gradients on the matrix unit]
For each tap of the kernel the gradient is a matrix product over all places of all images: the
image, shifted, [channels, places], times the cotangent [places, outputs]. Both are packed strip by
strip, as in Note [Images on the matrix unit], with the channel's places side by side, so that a
shift is an address. The sums of a piece (some channels, some outputs, all taps) stay in the level-2
cache while the strips of a part of the images go by; a second kernel adds up the parts and hands
the results on.

Places between the lines of a strip, and beyond the last, are zeros of the cotangent.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from flambeau.core import dtypes
from flambeau.execute.cpu.contraction_nest import Dimension, cut_dimensions
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.image_plan import (
    LINE_WORDS,
    VECTOR_FLOPS,
    Walk,
    filled,
    image_strips,
    walks_of,
)
from flambeau.execute.cpu.matrix_plan import (
    BLOCK,
    HALF,
    PARTS,
    STEP_BYTES,
    STEP_CYCLES,
)
from flambeau.execute.cpu.target import has_matrix_unit
from flambeau.ops.value import Value

SUM_BYTES = 5 << 17  # of a piece's sums
STRIP_BYTES = 3 << 18  # of what a strip is packed into
TILE = 1024
BLOCK_CYCLES = 1000  # of loading and storing the sums of a block
LEFT_CYCLES, RIGHT_CYCLES = 1.0, 1.6  # of packing an element
RESULT_CYCLES = 6  # of handing a result on
ADVANTAGE = 0.85
LEAST_SIDE, MOST_TAPS = 24, 64
LEAST_FLOPS = 1 << 22


@dataclass(frozen=True, slots=True)
class GradientShape:
    """`rows` and `cols` as of the forward convolution's image: `out` are the places of the
    cotangent, `taps` those of the kernel. `inner` images are innermost, `images` are not.
    """

    rows: Walk
    cols: Walk
    inner: int
    images: int
    channels: int
    outs: int

    @property
    def flops(self) -> int:
        places = self.rows.out * self.cols.out * self.inner * self.images
        return 2 * places * self.channels * self.outs * self.rows.taps * self.cols.taps


@dataclass(frozen=True, slots=True)
class GradientStrips:
    """How images and cotangents are cut and packed, and the sums into pieces.

    Pieces have `wide` blocks of 32 channels and `high` blocks of 32 outputs; `parts`: of the sum.
    The strips of `together` images are packed at once.
    """

    shape: GradientShape
    lines: int
    linear: bool
    wide: int
    high: int
    parts: int
    together: int = 1

    @property
    def count(self) -> int:
        """Strips of an image."""
        return -(-self.shape.rows.out // self.lines)

    @property
    def units(self) -> int:
        return self.shape.images // self.together * self.count

    @property
    def width(self) -> int:
        """Places of a line of the cotangent."""
        return self.shape.cols.out * self.shape.inner

    @property
    def columns(self) -> int:
        """Places of a phase of a line of the image."""
        cols = self.shape.cols
        return -(-cols.reach(cols.out) // cols.step) * self.shape.inner

    @property
    def pitch(self) -> int:
        """Places from a line of the cotangent to the next."""
        return self.columns if self.linear else -(-self.width // BLOCK) * BLOCK

    @property
    def line_steps(self) -> int:
        """Steps of 32 places of a line, or of the strip if linear."""
        total = self.width + ((self.lines - 1) * self.columns if self.linear else 0)
        return -(-total // BLOCK)

    @property
    def image_steps(self) -> int:
        """Of a strip of one image."""
        return self.line_steps * (1 if self.linear else self.lines)

    @property
    def steps(self) -> int:
        return self.image_steps * self.together

    @property
    def phase(self) -> int:
        """Places of a phase: a line's, or all lines' of one phase if linear; all are written."""
        rows, cols = self.shape.rows, self.shape.cols
        reach = self.line_steps * BLOCK
        reach += (cols.taps - 1) * cols.spread // cols.step * self.shape.inner
        if self.linear:
            reach += (rows.taps - 1) * rows.spread // rows.step * self.columns
            return -(-max(reach, 1) // self.columns) * self.columns + BLOCK
        return -(-max(reach, self.columns) // BLOCK) * BLOCK

    @property
    def image_lines(self) -> int:
        """Lines that are packed."""
        rows = self.shape.rows
        if self.linear:
            return (self.phase - BLOCK) // self.columns * rows.step
        return rows.reach(self.lines)

    @property
    def places(self) -> int:
        phases = self.shape.cols.step * (self.shape.rows.step if self.linear else 1)
        return self.phase * phases

    @property
    def channels(self) -> int:
        return self.wide * BLOCK

    @property
    def tiled(self) -> bool:
        """Whether 32 places are side by side, then their channels: no shift parts them."""
        return self.shape.inner % BLOCK == 0

    @property
    def row_bytes(self) -> int:
        """From a channel to the next."""
        if self.tiled:
            return 2 * BLOCK
        return 64 * (-(-2 * self.places // 64) | 1)

    @property
    def half_bytes(self) -> int:
        """From 16 channels to the next."""
        return HALF * self.row_bytes

    @property
    def part_bytes(self) -> int:
        return 2 * self.wide * self.half_bytes

    @property
    def unit_bytes(self) -> int:
        """All channels of a line, or of the strip if linear."""
        if self.tiled:
            return self.places // BLOCK * PARTS * self.part_bytes
        return PARTS * self.part_bytes

    def place_bytes(self, place: int) -> int:
        """Where a place begins in its line (or strip); for tiles, a multiple of 32."""
        return place // BLOCK * PARTS * self.part_bytes if self.tiled else 2 * place

    def place_in_strip(self, line: int) -> int:
        """The place of a line's first column where lines run on (linear)."""
        step = self.shape.rows.step
        return line % step * self.shape.cols.step * self.phase + line // step * self.columns

    def line_bytes(self, line: int) -> int:
        return (
            self.place_bytes(self.place_in_strip(line)) if self.linear else line * self.unit_bytes
        )

    @property
    def taps(self) -> list[int]:
        """How far each tap shifts what is read."""
        rows, cols = self.shape.rows, self.shape.cols
        found = []
        for r in range(rows.taps):
            for c in range(cols.taps):
                moved = c * cols.spread
                place = moved % cols.step * self.phase + moved // cols.step * self.shape.inner
                if self.linear:
                    place += self.place_in_strip(r * rows.spread)
                    found.append(self.place_bytes(place))
                else:
                    found.append(r * rows.spread * self.unit_bytes + self.place_bytes(place))
        return found

    @property
    def image_bytes(self) -> int:
        """A packed strip of one image."""
        return self.unit_bytes * (1 if self.linear else self.image_lines)

    @property
    def left_bytes(self) -> int:
        return self.image_bytes * self.together

    @property
    def right_bytes(self) -> int:
        return self.high * self.steps * STEP_BYTES

    @property
    def row_floats(self) -> int:
        """Of an output's cotangent, before it is packed."""
        return max(self.steps * BLOCK, self.lines * self.pitch) + 4 * LINE_WORDS

    @property
    def task_bytes(self) -> int:
        total = self.left_bytes + self.right_bytes + 4 * HALF * self.row_floats + 64
        return -(-total // 4096) * 4096 + 64

    @property
    def panels(self) -> tuple[int, int]:
        """Ranges of channels and of outputs."""
        shape = self.shape
        return -(-shape.channels // BLOCK // self.wide), -(-shape.outs // BLOCK // self.high)

    @property
    def sum_bytes(self) -> int:
        """Of a piece."""
        taps = self.shape.rows.taps * self.shape.cols.taps
        return taps * self.wide * self.high * 4 * BLOCK * BLOCK

    @property
    def cut(self) -> tuple[Dimension, ...]:
        """Panels of channels, of outputs, and parts of the sum, cut into tasks."""
        return cut_dimensions([Dimension(n) for n in (*self.panels, self.parts)], TASKS)

    @property
    def pieces(self) -> int:
        return prod(self.panels) * self.parts

    @property
    def sums_offset(self) -> int:
        """Where the sums begin: behind the tasks' memory."""
        return prod(d.cut for d in self.cut) * self.task_bytes

    @property
    def scratch_bytes(self) -> int:
        return self.sums_offset + self.pieces * self.sum_bytes

    @property
    def cycles(self) -> float:
        """Of one core."""
        shape = self.shape
        taps = shape.rows.taps * shape.cols.taps
        blocks = taps * self.wide * self.high
        packing = LEFT_CYCLES * self.channels * self.image_lines * self.columns
        packing *= shape.cols.step * self.together
        packing += RIGHT_CYCLES * self.high * BLOCK * self.steps * BLOCK
        unit = blocks * (self.steps * STEP_CYCLES + BLOCK_CYCLES) + packing
        each = -(-self.units // self.parts) * unit
        rounds = -(-self.pieces // TASKS) * TASKS
        results = shape.channels * shape.outs * taps * (RESULT_CYCLES + 0.5 * self.parts)
        return rounds * each + results


def _candidates(shape: GradientShape) -> Iterator[GradientStrips]:
    channels, outs = -(-shape.channels // BLOCK), -(-shape.outs // BLOCK)
    for wide in sorted({-(-channels // n) for n in (1, 2, 4, 8, 16)}):
        for high in sorted({-(-outs // n) for n in (1, 2, 4, 8, 16)}):
            for linear in (False, True):
                for lines in _heights(shape.rows.out):
                    plain = GradientStrips(shape, lines, linear, wide, high, 1)
                    if plain.sum_bytes > SUM_BYTES and wide * high > 1:
                        continue
                    yield from _divided(plain)


def _divided(plain: GradientStrips) -> Iterator[GradientStrips]:
    """The ways to take images together and to cut the sum."""
    for together in (1, 2, 4, 8):
        whole = replace(plain, together=together)
        large = whole.left_bytes + whole.right_bytes > STRIP_BYTES
        if plain.shape.images % together or (large and together * plain.lines > 1):
            continue
        for parts in (1, 2, 4, 8):
            if parts <= whole.units:
                yield replace(whole, parts=parts)


def _heights(extent: int) -> list[int]:
    """The smallest strips of each number of strips worth trying."""
    return sorted({-(-extent // n) for n in (1, 2, 3, 4, 6, 7, 8, 12, 14, 16, 28, 56, extent)})


@lru_cache(1024)
def cheapest(shape: GradientShape) -> GradientStrips | None:
    """How to compute it on the unit; None where vector instructions are faster."""
    if min(shape.channels, shape.outs) < LEAST_SIDE or shape.flops < LEAST_FLOPS:
        return None
    if shape.channels % HALF:
        return None
    if shape.rows.taps * shape.cols.taps > MOST_TAPS:
        return None
    if shape.inner % BLOCK and shape.inner > 1 and shape.cols.step > 1:
        return None
    best = min(_candidates(shape), key=lambda s: s.cycles)
    vectors = shape.flops / VECTOR_FLOPS / filled(best.width)
    return best if best.cycles < ADVANTAGE * vectors else None


def gradient_strips(
    v: Value, inner: bool, unpadded: bool, vector_bits: int
) -> GradientStrips | None:
    """How a convolution is computed as a weight gradient on the unit, if it is: its images are
    channels [C, 1, N, *S], its weights a cotangent [1, O, N, *OS].
    """
    if vector_bits != 512 or v.primitive.name != "conv" or v.dtype is not dtypes.float32:
        return None
    if not v.size or v.ndim not in (4, 5) or v.shape[1] != 1 or not has_matrix_unit():
        return None
    walks = []
    for w in walks_of(v, unpadded):
        walks.append(Walk(w.extent, w.low, w.taps, w.spread, w.out, w.step))
    images = v.inputs[0].shape[2]
    shape = GradientShape(
        walks[0],
        walks[1],
        images if inner else 1,
        1 if inner else images,
        v.shape[0],
        v.shape[2],
    )
    best = cheapest(shape)
    if best is not None:
        for innermost in (False, True):
            other = image_strips(v, innermost, unpadded, vector_bits)
            if other is not None and other.cycles < best.cycles:
                return None
    return best


@dataclass(frozen=True, slots=True)
class GradientPlan:
    """Where the operands of a weight gradient lie. Strides are elements; `positions` of the
    result's loops: channel, output, kernel line and column (-1 for an extent of 1). `run`: the
    results of an output, channel by channel and tap by tap, are one run in memory, as is all that
    is read and written with them.
    """

    strips: GradientStrips
    positions: tuple[int, int, int, int]
    image: tuple[int, int, int, int]  # strides of an image, a channel, a line, a column
    cotangent: tuple[int, int, int]  # of an image, an output, a line
    run: bool = False
