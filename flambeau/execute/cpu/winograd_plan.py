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
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache

from flambeau.core import dtypes, settings
from flambeau.execute.cpu.contraction_nest import Dimension, cut_dimensions
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.emit import vector_registers
from flambeau.execute.cpu.target import has_matrix_unit
from flambeau.execute.cpu.winograd import READ, TAPS, TILE, possible
from flambeau.ops.value import Value

ELEMENTS = READ * READ
VECTORS = 2  # of outputs, side by side in a product's tile
STRIP_BYTES = 1 << 19  # of a strip's elements
WEIGHTS_CYCLES = 0.12  # of an element of the weights, which each strip reads
LINE = 16  # floats
# Where there is less to save than to spend: channels and outputs, tiles, results in a line.
LEAST_CHANNELS, LEAST_TILES, LEAST_COLUMNS = 32, 48, 6


@dataclass(frozen=True, slots=True)
class TilePlan:
    """result[images, outs, rows, cols] = the sum over channels and taps.

    image: strides of an image, a channel, a line (columns are neighbours). weights: strides of an
    output and a channel; `turned`: their taps lie in the opposite order. positions: of images,
    outputs, rows and columns among the result's axes (-1: only one). A strip has `lines` lines of
    tiles, a product's tile `height` tiles.
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
    def all_lines(self) -> int:
        """Lines of tiles of all images."""
        return self.images * self.tile_rows

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
        """Tiles whose results are a vector: of a line, half as many as lanes."""
        return self.lanes // TILE

    @property
    def pitch(self) -> int:
        """Floats from one channel to the next of a strip's elements: room for its tiles, and for a
        vector that begins with the last one. (An odd number of lines of memory uses all the ways of
        a cache.)
        """
        tiles = -(-self.lines * self.tile_cols // self.height) * self.height
        lines = -(-(tiles + self.lanes) // LINE)
        return (lines | 1) * LINE

    @property
    def plane(self) -> int:
        """Floats from one of the 16 elements to the next."""
        return self.channels * self.pitch + LINE

    @property
    def result_pitch(self) -> int:
        """Floats of a line of results."""
        return -(-self.tile_cols // self.group) * self.lanes

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Floats of a task's memory: elements, products, results."""
        results = self.width * self.lines * TILE * self.result_pitch
        return ELEMENTS * self.plane, ELEMENTS * self.pitch * self.width, results

    @property
    def task_floats(self) -> int:
        """(Tasks are an odd number of lines of memory apart.)"""
        return (-(-sum(self.sizes) // LINE) | 1) * LINE

    @property
    def scratch_bytes(self) -> int:
        tasks = 1
        for dimension in self.cut:
            tasks *= dimension.cut
        return 4 * tasks * self.task_floats

    @property
    def weights_bytes(self) -> int:
        return 4 * ELEMENTS * self.outs * self.channels


def winograd_suits(v: Value, vector_bits: int) -> bool:
    """Whether a convolution is one for these kernels, as far as its shape says."""
    if not possible(v) or v.dtype is not dtypes.float32 or vector_bits < 256:
        return False
    if not settings.winograd_wanted() or has_matrix_unit():
        return False
    images, _, outs, rows, cols = v.shape
    tiles = images * -(-rows // TILE) * -(-cols // TILE)
    enough = min(v.inputs[0].shape[2], outs) >= LEAST_CHANNELS and tiles >= LEAST_TILES
    return enough and outs % (VECTORS * vector_bits // 32) == 0 and cols >= LEAST_COLUMNS


@lru_cache(1024)
def in_strips(plan: TilePlan) -> TilePlan:
    """The plan with the strips and tiles that take least time."""
    return min(_divided(plan), key=_cycles)


def _divided(plan: TilePlan) -> Iterator[TilePlan]:
    registers = vector_registers(plan.vector_bits)
    most = (registers - VECTORS - 1) // VECTORS
    for lines in range(1, plan.all_lines + 1):
        elements = ELEMENTS * 4 * plan.channels * lines * plan.tile_cols
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
        tiles = -(-lines * plan.tile_cols // plan.height)
        total += count * (tiles * (VECTORS * plan.height + 1) * ELEMENTS if lines else 0)
    shares = -(-plan.strips // TASKS) * TASKS / plan.strips if plan.strips > TASKS else 1
    return total * (0.7 + 0.3 * shares) + plan.strips * ELEMENTS * plan.width * WEIGHTS_CYCLES


assert TAPS == 3 and READ == 4
