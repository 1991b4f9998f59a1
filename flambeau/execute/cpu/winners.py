"""Gradients of convolutions below a max-pooling as sums over windows' winners: when, and how.

Note [Sums over winners]
The cotangent of what a max-pooling looks at is zero but for one element of each window, its winner.
A plain sum multiplies all the zeros; these gradients go from window to window instead. That of the
weights adds, for each image, output and window, the pooled cotangent times the image's patch below
the winner. That of the images adds the pooled cotangent times the weights there. With windows of
2 x 2 that is a quarter of the products.

Channels are innermost here, so that a patch is a few runs of numbers, one for each of the kernel's
rows; with the batch innermost each lane would have a patch of its own. So images are brought into
that order first, [image][block of channels][row][column][channel], and gradients back out of it.

What is summed stays in registers. Of the weights that is the whole kernel of one output and a block
of channels. Of the images it is what all places of a window together reach; there the winner's
place says where in the weights, which have zeros around them, to read. From a window to the one
below it only the rows that both reach are kept.

Tasks have some of the images. Where those lie next to each other in the result, each page of it
would be written by all tasks in turns: all images wait in scratch memory then, and a kernel of its
own hands them on by rows. Sums of weights are of halves of the images, added up in the end, so that
a core mostly reads what it has itself brought into order.

Zero times infinity is left out: where images or weights hold infinities or NaN, a plain sum gives
NaN in more places. The zeros around the weights bring in none that do not belong there: an image
whose gradient is not finite is computed again by the very patches.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from math import prod

from flambeau.execute.cpu.contraction_nest import Dimension, cut_dimensions
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import BYTES
from flambeau.execute.cpu.emit import vector_registers

Pair = tuple[int, int]
Bounds = tuple[Pair, Pair]  # of rows and columns: the first that is there, and how many are
LINE = 16  # elements
# Registers for other things than sums; bytes of the images of a strip, and of a pass' weights.
OTHERS, STRIP_BYTES, PASS_BYTES = 4, 1 << 17, 24 << 10
MANY_TIMES = 4  # as many elements of images as of sums: each share of them has its own
APART_BYTES = 1 << 20  # of all images before they are handed on: half of a level-2 cache
# Cycles: of a product with a vector that lies within lines of memory, or across them; around those
# of a window; of bringing a vector into another order; of one product of a plain sum.
NEAR, ACROSS, WINDOW, TURNED, PLAIN = 1.2, 1.6, 4.0, 6.5, 1.12
FEWER = 0.44  # of a plain sum's products: Winograd's, with what is around them
GAIN, LEAST_CYCLES = 0.85, 50_000.0  # of a plain sum's cycles: these at most, and so many at least


@dataclass(frozen=True, slots=True)
class Windows:
    """Those of a pooling. cotangent, places: by how much the addresses of the pooled cotangent and
    of the winners' places grow along images, outputs, rows and columns of windows.
    """

    counts: Pair
    sizes: Pair
    steps: Pair
    cotangent: tuple[int, int, int, int]
    places: tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class _Plan:
    """What both gradients have. positions: of images or channels, outputs, rows and columns among
    the result's axes (-1: only one). block: channels that are computed together; pitch: elements
    from one place of an image to the next (`in_blocks` chooses both).
    """

    vector_bits: int
    element: str
    images: int
    channels: int
    outs: int
    taps: Pair
    windows: Windows
    positions: tuple[int, int, int, int]
    block: int = field(default=0, kw_only=True)
    pitch: int = field(default=0, kw_only=True)

    @property
    def bytes(self) -> int:
        return BYTES[self.element]

    @property
    def lanes(self) -> int:
        return self.vector_bits // (8 * self.bytes)

    @property
    def patches(self) -> int:
        """Windows of all images and outputs."""
        return self.images * self.outs * prod(self.windows.counts)

    @property
    def blocks(self) -> int:
        return -(-self.channels // self.block)

    @property
    def reach(self) -> Pair:
        """Rows and columns of what a window's sums are of: of the kernel."""
        return self.taps

    @property
    def vectors(self) -> int:
        """Of a row of that."""
        return -(-self.reach[1] * self.pitch // self.lanes)

    @property
    def sums(self) -> int:
        return self.reach[0] * self.vectors


@dataclass(frozen=True, slots=True)
class WeightsPlan(_Plan):
    """result[channels, outs, taps] = the sum over images and windows.

    image: its strides of an image, a channel, a row, a column; strides: those of the convolution.
    """

    image: tuple[int, int, int, int]
    strides: Pair
    bounds: Bounds

    @property
    def extents(self) -> Pair:
        """Rows and columns of the images that windows reach."""
        w = self.windows
        rows, cols = [
            ((n - 1) * step + size - 1) * stride + taps
            for n, step, size, stride, taps in zip(
                w.counts, w.steps, w.sizes, self.strides, self.taps, strict=True
            )
        ]
        return rows, cols

    @property
    def row_pitch(self) -> int:
        """(A vector may begin with the last element.)"""
        return -(-(self.extents[1] * self.pitch + self.lanes) // LINE) * LINE

    @property
    def plane(self) -> int:
        """Elements of an image's block of channels."""
        return self.extents[0] * self.row_pitch

    @property
    def image_size(self) -> int:
        return (
            -(-(self.blocks * self.images * self.plane + self.vectors * self.lanes) // LINE) * LINE
        )

    @property
    def lines(self) -> int:
        """Rows of windows of all images."""
        return self.images * self.windows.counts[0]

    @property
    def strip(self) -> int:
        """How many of them go through the outputs together."""
        rows = self.windows.counts[0]
        return max(1, STRIP_BYTES * rows // (self.plane * self.bytes))

    @property
    def sums_size(self) -> int:
        """Elements of all sums."""
        return self.blocks * self.outs * self.sums * self.lanes

    @property
    def shares(self) -> int:
        """Of the images, which have sums of their own: two tasks with other images each read half
        as much of what the other core has brought into order.
        """
        return 2 if self.images > 1 and self.image_size >= MANY_TIMES * self.sums_size else 1

    @property
    def cut(self) -> tuple[Dimension, ...]:
        """The loops over shares of the images, parts of the outputs and blocks."""
        parts = min(self.outs, -(-TASKS // (self.blocks * self.shares)))
        return cut_dimensions([Dimension(n) for n in (self.shares, parts, self.blocks)], TASKS)

    @property
    def scratch_bytes(self) -> int:
        return self.bytes * (self.image_size + self.shares * self.sums_size)

    @property
    def cycles(self) -> float:
        near = NEAR if self.pitch % self.lanes == 0 else ACROSS
        turned = self.images * prod(self.extents) * -(-self.block // self.lanes)
        products = self.patches * (near * self.sums + WINDOW)
        return self.blocks * (products + TURNED * turned)


@dataclass(frozen=True, slots=True)
class ImagesPlan(_Plan):
    """result[images, channels, rows, cols] = the sum over outputs and windows.

    weights: strides of a channel, an output, a row and a column, in the order of the convolution
    that is computed, where those of the kernel are turned. first: where the result begins in what
    the windows reach. inner: whether the result's images are neighbours, `together` of which are
    handed on at once; else its columns are.
    """

    weights: tuple[int, int, int, int]
    first: Pair
    rows: int
    cols: int
    inner: bool

    @property
    def reach(self) -> Pair:
        """Rows and columns of what all places of a window reach."""
        (rows, cols), sizes = self.taps, self.windows.sizes
        return rows + sizes[0] - 1, cols + sizes[1] - 1

    @property
    def entry(self) -> int:
        """Elements of the weights of an output for a winner in one column of the window; zeros are
        above them, and those of the next one below.
        """
        return self.sums * self.lanes

    @property
    def weights_size(self) -> int:
        """Elements of a block's weights."""
        below = (self.windows.sizes[0] - 1) * self.vectors * self.lanes
        return self.outs * self.windows.sizes[1] * self.entry + below

    @property
    def outs_together(self) -> int:
        """Outputs whose weights stay in the level-1 cache."""
        return max(1, PASS_BYTES // (self.windows.sizes[1] * self.entry * self.bytes))

    @property
    def together(self) -> int:
        count = self.lanes if self.inner else 1
        while count > 4 and -(-self.images // count) < TASKS:
            count //= 2
        return count

    @property
    def height(self) -> int:
        """Rows of an image, with what is reached around it."""
        w = self.windows
        return max((w.counts[0] - 1) * w.steps[0] + self.reach[0], self.first[0] + self.rows)

    @property
    def row_pitch(self) -> int:
        w = self.windows
        reached = (w.counts[1] - 1) * w.steps[1] * self.pitch + self.vectors * self.lanes
        seen = (self.first[1] + self.cols) * self.pitch + self.lanes
        return -(-max(reached, seen) // LINE) * LINE

    @property
    def plane(self) -> int:
        """Elements of an image's block of channels."""
        return self.height * self.row_pitch

    @property
    def cut(self) -> tuple[Dimension, ...]:
        """The loops over images and over blocks."""
        groups = Dimension(-(-self.images // self.together), bool(self.images % self.together))
        return cut_dimensions([groups, Dimension(self.blocks)], TASKS)

    @property
    def apart(self) -> bool:
        """Whether a kernel of its own hands all images on, row by row. Where images are neighbours,
        tasks with some of them would write into the same pages in turns.
        """
        size = self.bytes * self.blocks * self.images * self.plane
        return self.inner and size <= APART_BYTES and prod(d.cut for d in self.cut) > 1

    @property
    def scratch_images(self) -> int:
        """Images (of a block of channels) that there is memory for."""
        if self.apart:
            return self.blocks * self.images
        return prod(dimension.cut for dimension in self.cut) * self.together

    @property
    def scratch_bytes(self) -> int:
        images = self.scratch_images * self.plane
        return self.bytes * (self.blocks * self.weights_size + images + LINE)

    @property
    def cycles(self) -> float:
        passes = -(-self.outs // self.outs_together)
        added = min(self.windows.steps[0], self.reach[0]) * self.vectors
        places = self.images * prod(self.windows.counts)
        turned = self.images * self.rows * self.cols * -(-self.block // self.lanes)
        products = self.patches * (NEAR * self.sums + WINDOW)
        return self.blocks * (products + places * passes * 4 * added + TURNED * turned)


@lru_cache(1024)
def in_blocks(plan: WeightsPlan | ImagesPlan) -> WeightsPlan | ImagesPlan | None:
    """The plan with the blocks of channels that take least time; None where no kernel fits."""
    return min(_divided(plan), key=lambda p: p.cycles, default=None)


def _divided(plan: WeightsPlan | ImagesPlan) -> Iterator[WeightsPlan | ImagesPlan]:
    most = vector_registers(plan.vector_bits) - OTHERS
    for count in range(1, plan.channels + 1):
        block = -(-plan.channels // count)
        for pitch in {block, -(-block // plan.lanes) * plan.lanes}:
            found = replace(plan, block=block, pitch=pitch)
            if found.sums <= most:
                yield found
                if count > 1 and pitch <= plan.lanes:
                    return


def pays(plan: WeightsPlan | ImagesPlan, space: Sequence[int], fewer: bool) -> bool:
    """Whether it takes less time than a plain sum over all places of the convolution's results;
    `fewer`: than one in Winograd's form.
    """
    products = plan.images * plan.outs * plan.channels * prod(space) * prod(plan.taps)
    plain = PLAIN * products / plan.lanes * (FEWER * 1.25 if fewer else 1)
    return plain >= LEAST_CYCLES and plan.cycles <= GAIN * plain
