"""Convolutions of 3 x 3 in Winograd's form by kernels of their own: when, and in which pieces.

Note [Winograd in strips]
Note [Winograd] (winograd.py) has the form: 16 products for four results, where a plain sum takes
36. What it saves is lost where the 16 elements of each tile and channel go through memory. Here a
task takes a strip of tiles, few enough that their elements, [16][channels][tiles], stay in the
level-2 cache. It multiplies them with the weights, 16 matrix products for two vectors of outputs at
a time, makes results of these and hands them on. Weights are brought into that form once in a run.

Infinity and NaN spread to all results of a tile, and what is large hides what is small beside it: a
result that is no finite number shows that there were such operands, or that the sums of a tile have
overflowed. Then the results of that strip, for these outputs, are computed again as plain sums, so
that infinity and NaN are where they are elsewhere.

Errors of finite results are about twice those of a plain sum.

The gradient of weights is such a convolution, too: 3 x 3 results of a sum over tiles, each of the
image's 4 x 4 elements with 2 x 2 of the cotangent, in 16 products. A task adds up the 16 matrices
[channels][outputs] of some channels and outputs, strip by strip; of few it takes a part of all
strips, and another kernel adds these up.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from flambeau.core import dtypes, settings
from flambeau.execute.cpu.contraction_nest import Dimension, cut_dimensions
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.emit import vector_registers
from flambeau.execute.cpu.phases import LEAD
from flambeau.execute.cpu.target import has_matrix_unit
from flambeau.execute.cpu.winograd import READ, TAPS, TILE, possible
from flambeau.ops.value import Value

Bounds = tuple[int, int]  # the first row or column that is there, and how many are
ELEMENTS = READ * READ
VECTORS = 2  # of outputs, side by side in a product's tile
TOGETHER = 64  # images, at most, with the batch innermost
STRIP_BYTES = 1 << 19  # of a strip's elements
WEIGHTS_CYCLES = 0.12  # of an element of the weights, which each strip reads
LINE = 16  # floats
# Of the gradient of weights: channels and outputs of a block, and bytes of a task's memory.
BLOCK_CHANNELS, BLOCK_OUTS, BLOCK_BYTES = (32, 64), (32, 64, 128), 900 << 10
# Where there is less to save than to spend: channels and outputs, tiles, results in a line.
LEAST_CHANNELS, LEAST_TILES, LEAST_COLUMNS = 32, 48, 6


@dataclass(frozen=True, slots=True)
class TilePlan:
    """result[images, outs, rows, cols] = the sum over channels and taps.

    image: strides of an image, a channel, a line (columns are neighbours). weights: strides of an
    output and a channel; `turned`: their taps lie in the opposite order. positions: of images,
    outputs, rows and columns among the result's axes (-1: only one). A strip has `lines` lines of
    tiles, a product's tile `height` tiles.

    inner: with the batch innermost, how many images are taken together, each time that there are
    `images`; a line of tiles is one place of these. column: the stride of a column there, bounds:
    the rows and columns that are not left out.
    """

    vector_bits: int
    images: int
    channels: int
    outs: int
    rows: int
    cols: int
    image: tuple[int, int, int]
    weights: tuple[int, int]
    turned: bool
    positions: tuple[int, int, int, int]
    inner: int = 0
    column: int = 1
    bounds: tuple[Bounds, Bounds] = ((0, 0), (0, 0))
    lines: int = 1
    height: int = 1

    @property
    def lanes(self) -> int:
        return self.vector_bits // 32

    @property
    def width(self) -> int:
        """Outputs that are computed together."""
        return VECTORS * self.lanes

    @property
    def blocks(self) -> int:
        """How many times as many there are."""
        return self.outs // self.width

    @property
    def tile_rows(self) -> int:
        return -(-self.rows // TILE)

    @property
    def tile_cols(self) -> int:
        return -(-self.cols // TILE)

    @property
    def line_tiles(self) -> int:
        """Tiles of a line."""
        return self.inner or self.tile_cols

    @property
    def all_lines(self) -> int:
        """Lines of tiles of all images."""
        return self.images * self.tile_rows * (self.tile_cols if self.inner else 1)

    @property
    def strips(self) -> int:
        return -(-self.all_lines // self.lines)

    @property
    def cut(self) -> tuple[Dimension, ...]:
        """The loops over strips and over parts of the outputs."""
        parts = min(self.blocks, max(1, TASKS // self.strips))
        return cut_dimensions([Dimension(self.strips), Dimension(parts)], TASKS)

    @property
    def group(self) -> int:
        """Tiles of a line whose results are a vector, or two rows or four vectors of these."""
        return self.lanes if self.inner else self.lanes // TILE

    @property
    def pitch(self) -> int:
        """Floats from one channel to the next of a strip's elements: room for its tiles, and for a
        vector that begins with the last one. (An odd number of lines of memory uses all the ways of
        a cache.)
        """
        tiles = -(-self.lines * self.line_tiles // self.height) * self.height
        lines = -(-(tiles + self.lanes) // LINE)
        return (lines | 1) * LINE

    @property
    def plane(self) -> int:
        """Floats from one of the 16 elements to the next."""
        return self.channels * self.pitch + LINE

    @property
    def result_pitch(self) -> int:
        """Floats of a row of results."""
        return -(-self.line_tiles // self.group) * self.lanes

    @property
    def line_results(self) -> int:
        """Rows of results of a line of tiles."""
        return TILE * TILE if self.inner else TILE

    @property
    def out_pitch(self) -> int:
        """Floats of a strip's results of an output."""
        return self.lines * self.line_results * self.result_pitch

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Floats of a task's memory: elements, products, results."""
        products = ELEMENTS * self.pitch * self.width
        return ELEMENTS * self.plane, products, self.width * self.out_pitch

    @property
    def task_floats(self) -> int:
        """(Tasks are an odd number of lines of memory apart.)"""
        return (-(-sum(self.sizes) // LINE) | 1) * LINE

    @property
    def scratch_bytes(self) -> int:
        return 4 * prod(dimension.cut for dimension in self.cut) * self.task_floats

    @property
    def weights_bytes(self) -> int:
        return 4 * ELEMENTS * self.outs * self.channels


@dataclass(frozen=True, slots=True)
class SumPlan:
    """result[channels, outs, 3, 3] = the sum over images, rows and columns.

    image: strides of an image, a channel, a line; cotangent: of an image, an output, a line
    (columns are neighbours in both). positions: of channels, outputs and the taps' rows and columns
    among the result's axes. inner, bounds: as those of a `TilePlan`; columns: both operands'
    strides of a column.
    """

    vector_bits: int
    images: int
    channels: int
    outs: int
    rows: int
    cols: int
    image: tuple[int, int, int]
    cotangent: tuple[int, int, int]
    positions: tuple[int, int, int, int]
    inner: int = 0
    columns: tuple[int, int] = (1, 1)
    bounds: tuple[Bounds, Bounds] = ((0, 0), (0, 0))

    @property
    def lanes(self) -> int:
        return self.vector_bits // 32

    @property
    def tiles(self) -> TilePlan:
        """The strips of a block of channels."""
        none = (-1, -1, -1, -1)
        sizes = self.images, self.block_channels, self.block_outs, self.rows, self.cols
        inner = self.inner, self.columns[0], self.bounds
        plan = TilePlan(self.vector_bits, *sizes, self.image, (0, 0), False, none, *inner)
        both = 4 * ELEMENTS * (self.block_channels + self.block_outs) * plan.line_tiles
        room = BLOCK_BYTES - 4 * ELEMENTS * self.block_channels * self.block_outs
        return replace(plan, lines=max(1, min(room // both, -(-plan.all_lines // self.parts))))

    @property
    def block_channels(self) -> int:
        return max(n for n in BLOCK_CHANNELS if self.channels % n == 0)

    @property
    def block_outs(self) -> int:
        return max(n for n in BLOCK_OUTS if self.outs % n == 0)

    @property
    def blocks(self) -> tuple[int, int]:
        """Of channels, and of outputs."""
        return self.channels // self.block_channels, self.outs // self.block_outs

    @property
    def parts(self) -> int:
        """Of the sum, each with results of its own."""
        units = self.blocks[0] * self.blocks[1]
        cols = -(-self.cols // TILE) if self.inner else 1
        return min(-(-TASKS // units), self.images * -(-self.rows // TILE) * cols)

    @property
    def cut(self) -> tuple[Dimension, ...]:
        """The loops over parts of the sum, blocks of channels, blocks of outputs."""
        return cut_dimensions([Dimension(n) for n in (self.parts, *self.blocks)], TASKS)

    @property
    def tasks(self) -> int:
        return prod(dimension.cut for dimension in self.cut)

    @property
    def height(self) -> int:
        """Channels of a product's tile."""
        return 8 if vector_registers(self.vector_bits) == 32 else 4

    @property
    def of_cotangent(self) -> int:
        """Floats of the cotangent's elements of a strip."""
        tiles = self.tiles
        return ELEMENTS * tiles.lines * tiles.line_tiles * self.block_outs

    @property
    def of_sums(self) -> int:
        """Floats of the sums of a block."""
        return ELEMENTS * self.block_channels * self.block_outs

    @property
    def task_floats(self) -> int:
        """Of a task's memory: both elements, and the sums where these are not cut into parts."""
        own = self.of_sums if self.parts == 1 else 0
        total = ELEMENTS * self.tiles.plane + self.of_cotangent + own
        return (-(-total // LINE) | 1) * LINE

    @property
    def scratch_bytes(self) -> int:
        units = self.parts * self.blocks[0] * self.blocks[1] if self.parts > 1 else 0
        return 4 * (self.tasks * self.task_floats + units * self.of_sums)


def sums_suit(v: Value, vector_bits: int) -> bool:
    """Whether a convolution is a gradient of weights for these kernels, as far as its shape says:
    [channels, 1, outs, 3, 3] of images [channels, 1, images, ..] and cotangents.
    """
    if (
        v.primitive.name != "conv"
        or v.ndim != LEAD + 2
        or not v.size
        or not _wanted(v, vector_bits)
    ):
        return False
    x, cotangent = v.inputs
    plain = all(n == 1 for n in (*v.attrs["strides"], *v.attrs["dilations"], x.shape[1]))
    if not plain or v.shape[LEAD:] != (TAPS, TAPS):
        return False
    channels, outs, (rows, cols) = v.shape[0], v.shape[2], cotangent.shape[LEAD:]
    tiles = x.shape[2] * -(-rows // TILE) * -(-cols // TILE)
    fitting = channels % min(BLOCK_CHANNELS) == 0 and outs % min(BLOCK_OUTS) == 0
    return fitting and tiles >= LEAST_TILES


def _wanted(v: Value, vector_bits: int) -> bool:
    if v.dtype is not dtypes.float32 or vector_bits < 256:
        return False
    return settings.winograd_wanted() and not has_matrix_unit()


def winograd_suits(v: Value, vector_bits: int) -> bool:
    """Whether a convolution is one for these kernels, as far as its shape says."""
    if not possible(v) or not _wanted(v, vector_bits):
        return False
    images, _, outs, rows, cols = v.shape
    tiles = images * -(-rows // TILE) * -(-cols // TILE)
    enough = min(v.inputs[0].shape[2], outs) >= LEAST_CHANNELS and tiles >= LEAST_TILES
    return enough and outs % (VECTORS * vector_bits // 32) == 0


def together(images: int, lanes: int) -> int:
    """How many images are taken together with the batch innermost, 0 where they do not fit."""
    return max([n for n in range(lanes, TOGETHER + 1, lanes) if images % n == 0], default=0)


@lru_cache(1024)
def in_strips(plan: TilePlan) -> TilePlan:
    """The plan with the strips and tiles that take least time."""
    return min(_divided(plan), key=_cycles)


def _divided(plan: TilePlan) -> Iterator[TilePlan]:
    registers = vector_registers(plan.vector_bits)
    most = (registers - VECTORS - 1) // VECTORS
    for lines in range(1, plan.all_lines + 1):
        elements = ELEMENTS * 4 * plan.channels * lines * plan.line_tiles
        if lines > 1 and elements > STRIP_BYTES:
            break
        for height in range(most // 2 + 1, most + 1):
            yield replace(plan, lines=lines, height=height)


def _cycles(plan: TilePlan) -> float:
    """About how many cycles all products take, for each channel and block of outputs."""
    total = 0.0
    for count, lines in (
        (plan.all_lines // plan.lines, plan.lines),
        (1, plan.all_lines % plan.lines),
    ):
        tiles = -(-lines * plan.line_tiles // plan.height)
        total += count * (tiles * (VECTORS * plan.height + 1) * ELEMENTS if lines else 0)
    shares = -(-plan.strips // TASKS) * TASKS / plan.strips if plan.strips > TASKS else 1
    return total * (0.7 + 0.3 * shares) + plan.strips * ELEMENTS * plan.width * WEIGHTS_CYCLES
