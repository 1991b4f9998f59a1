"""A contraction's loops and addresses once it is decided how to compute it.

`Schedule` resolves a `Choice`: the tiles of the row and the column axis, the loops around them,
the loops of the sum, and where each operand lies (in place or packed) with its strides in that
place.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from math import lcm, prod

from flambeau.execute.cpu.contraction_nest import Dimension, cut_dimensions, task_count
from flambeau.execute.cpu.contraction_plan import (
    FAR,
    LINE,
    PAGE,
    PANEL_BYTES,
    PARALLEL_CYCLES,
    PARALLEL_FLOPS,
    TASKS,
    Choice,
    Roles,
    operand_bytes,
    pack_mode,
    passes_rows,
    reads_once,
    roles_of,
    side_k_axes,
    stores_rows,
)
from flambeau.execute.cpu.contraction_spec import BYTES, SCRATCH, Band, Contraction
from flambeau.execute.cpu.target import has_half_units

# Loops that are no axes: pieces of the sum, tiles of row and col, terms that are packed together.
PARTS, ROWS, COLS, TERMS = -1, -2, -3, -4
BLOCK = 16  # rows of a matrix that streams by, each of which hardware follows
SHORT_ROWS = 4  # pages; of shorter ones it does not
SHORT_SUM = 128
ASKING_STEPS = 8  # between which a tile asks for what the next block meets
UNEVEN = 1.15  # times as many tiles as others a task may have
PANEL_ROWS_BYTES = 1 << 19  # of a block of a panel's rows: half of a usual level-2 cache or less
PANEL_COLUMNS = 512  # at most
PACKED_TERMS = 8
PACK_ELEMENTS = 1 << 16  # From so many elements on, packing is divided among tasks.


@dataclass(frozen=True, slots=True)
class Tiling:
    """The tiles of an axis: `widths` of a whole tile's units, of the last one's (() if whole).

    A unit is a vector (lanes per unit in `widths`) or a single index (1).
    """

    extent: int
    unit: int
    widths: tuple[int, ...]
    last: tuple[int, ...]

    @property
    def size(self) -> int:
        """Indices of a whole tile."""
        return self.unit * len(self.widths)

    @property
    def count(self) -> int:
        return max(1, -(-self.extent // self.size))

    @property
    def dimension(self) -> Dimension:
        return Dimension(self.count, tail=bool(self.last))

    @property
    def versions(self) -> tuple[bool, ...]:
        """Which of whole (False) and last (True) tiles there are."""
        if not self.last:
            return (False,)
        return (False, True) if self.count > 1 else (True,)

    def of(self, tail: bool) -> tuple[int, ...]:
        return self.last if tail else self.widths


def tiling(extent: int, unit: int, units: int) -> Tiling:
    whole = (unit,) * units
    rest = extent % (unit * units)
    last = (unit,) * (rest // unit) + ((rest % unit,) if rest % unit else ())
    return Tiling(extent, unit, whole, last)


@dataclass(frozen=True, slots=True)
class Operand:
    """Where an operand is read: pointer operand `number` plus `offset` bytes, and its strides.

    outer: per loop around the tiles; row_tile, col_tile: from one tile to the next; row, col:
    between the indices of a tile (0 where the operand does not vary); k: per loop of the sum.
    """

    number: int
    offset: int
    element: str
    outer: dict[int, int]
    row_tile: int
    col_tile: int
    row: int
    col: int
    k: tuple[int, ...]

    @property
    def packed(self) -> bool:
        return self.number == SCRATCH


@dataclass(frozen=True, slots=True)
class Panels:
    """Parts of a result that are `high` tiles of rows by `wide` tiles of columns."""

    rows: Dimension
    cols: Dimension
    high: int
    wide: int

    @property
    def tasks(self) -> int:
        return task_count([self.cols, self.rows])


@dataclass(frozen=True, slots=True)
class KLoop:
    """One loop of the sum and its element strides in the two operands as they are read."""

    extent: int
    a: int
    b: int
    band: Band | None = None
    weight: int = 0  # of its index in the byte that picks elements of B


class Schedule:
    """Everything the emitters need to know about one contraction."""

    def __init__(self, spec: Contraction, choice: Choice) -> None:
        self.spec = spec
        self.choice = choice
        self.roles: Roles = roles_of(spec, choice.swap)
        axes = self.roles.axes
        self.row, self.col = axes.get(choice.row), axes.get(choice.col)
        self.rows = tiling(self.row.extent if self.row else 1, 1, choice.rows)
        unit = 1 if choice.dot else choice.lanes
        self.cols = tiling(self.col.extent if self.col else 1, unit, choice.cols)
        around = [p for p in axes if axes[p].kind != "k" and p not in (choice.row, choice.col)]
        rank = {"batch": 0, "n": 1, "m": 2}
        self.outer = sorted(around, key=lambda p: rank[axes[p].kind])
        self.scratch_bytes = 0
        self.a = self._operand("a", choice.pack_a)
        self.b = self.b_there = self._operand("b", choice.pack_b)
        if self.packs_near:
            self.b = Operand(SCRATCH, 0, spec.accumulator, {}, 0, 0, 0, 1, (self.cols.size,))
        self.k_loops = self._k_loops()
        self.part_level, self.part_extent, self.parts = self._part()
        self.partial_strides = self._partial_strides()
        self.partial_size = self.partial_strides.pop(PARTS)
        self.partial_offset = self.scratch_bytes
        self.by_rows = self.parts == 1 and not choice.depth and stores_rows(self.roles, choice)
        if choice.depth:
            # A task has the sums of one panel at a time.
            width = self.panels.wide * self.cols.size
            self.partial_strides = {choice.row: width, choice.col: 1}
            self.panel_size = self.panels.high * self.rows.size * width
            self.square_size = choice.lanes**2
            self.partial_size = self.panel_size + self.square_size
            self.partial_size += choice.depth * self.cols.size if self.packs_near else 0
        if self.in_memory:
            pieces = self.panels.tasks if choice.depth else self.parts
            self._reserve(pieces * self.partial_size * BYTES[spec.accumulator])
        self.dimensions = self._dimensions()

    def _reserve(self, size: int) -> int:
        offset = self.scratch_bytes
        self.scratch_bytes += -(-size // LINE) * LINE
        return offset

    def _operand(self, side: str, pack: bool) -> Operand:
        choice, axes = self.choice, self.roles.axes
        stride = {p: getattr(axes[p], side) for p in axes}
        k_axes = self.roles.k_axes
        if not pack:
            number = int(choice.swap) if side == "a" else int(not choice.swap)
            outer = {p: stride[p] for p in self.outer}
            row, col = stride.get(choice.row, 0), stride.get(choice.col, 0)
            steps = (self.rows.size * row, self.cols.size * col)
            k = tuple([getattr(axis, side) for axis in k_axes])
            return Operand(number, 0, self.spec.element, outer, *steps, row, col, k)
        tiles, other = (self.rows, choice.col) if side == "a" else (self.cols, choice.row)
        if stride.get(other, 0):
            raise NotImplementedError("packing an operand that varies along both axes of a tile")
        used = [axis.extent for axis in k_axes]
        k = tuple([tiles.size * prod(used[i + 1 :]) for i in range(len(used))])
        tile = tiles.size * prod(used)
        outer, total = {}, tile * tiles.count
        for p in reversed(self.outer):
            outer[p] = total if stride[p] else 0
            total *= axes[p].extent if stride[p] else 1
        offset = self._reserve(total * BYTES[self.spec.accumulator])
        strides = (tile, 0, 1, 0) if side == "a" else (0, tile, 0, 1)
        return Operand(SCRATCH, offset, self.spec.accumulator, outer, *strides, k)

    def _k_loops(self) -> tuple[KLoop, ...]:
        bands, weights = {band.k: band for band in self.spec.bands}, dict(self.spec.picks)
        loops: list[KLoop] = []
        for p, a, b in zip(self.roles.k_positions, self.a.k, self.b.k, strict=True):
            extent, band = self.roles.axes[p].extent, bands.get(p)
            last = loops[-1] if loops else None
            if p in weights:
                loops.append(KLoop(extent, a, b, band, weights[p]))
            elif (
                last
                and not band
                and not last.band
                and not last.weight
                and (last.a, last.b) == (extent * a, extent * b)
            ):
                loops[-1] = KLoop(last.extent * extent, a, b)
            else:
                loops.append(KLoop(extent, a, b, band))
        return tuple(loops)

    @property
    def in_memory(self) -> bool:
        """Whether tiles leave their sums in scratch memory."""
        return self.parts > 1 or self.choice.depth > 0

    @property
    def packs_near(self) -> bool:
        """Whether a task packs strips of B, a block of their terms at a time, and tiles ask for
        what the next block has of them.
        """
        return self.choice.depth > 0 and not self.choice.pack_b

    @property
    def term_lines(self) -> int:
        """Lines of memory that a strip of B has of each term."""
        return -(-self.cols.size * BYTES[self.spec.element] // LINE)

    @cached_property
    def asked_lines(self) -> int:
        """Of such lines, for how many a tile asks between some steps of its sum."""
        return -(-ASKING_STEPS * self.term_lines // self.panels.high)

    @cached_property
    def panels(self) -> Panels:
        """Of a result whose sums are taken in blocks: as even as can be, and at least as many as
        there are tasks to have.
        """
        size = BYTES[self.spec.accumulator]
        most = max(1, PANEL_ROWS_BYTES // (self.choice.depth * self.rows.size * size))
        down = -(-self.rows.count // most)
        across = -(-self.cols.count // max(1, PANEL_COLUMNS // self.cols.size))
        across = min(self.cols.count, max(across, -(-TASKS // down)))
        down = min(self.rows.count, max(down, -(-TASKS // across)))
        high, wide = -(-self.rows.count // down), -(-self.cols.count // across)
        if down > 1 and stores_rows(self.roles, self.choice):
            whole = lcm(self.rows.size, self.choice.lanes) // self.rows.size
            high = -(-high // whole) * whole  # (whole vectors along rows)
        counts = -(-self.cols.count // wide), -(-self.rows.count // high)
        cols, rows = cut_dimensions([Dimension(count) for count in counts], TASKS)
        return Panels(rows, cols, high, wide)

    @property
    def chunk(self) -> int:
        """k indices per iteration of the innermost loop of the dot form."""
        return self.choice.lanes * self.choice.unroll

    def _part(self) -> tuple[int, int, int]:
        """(level of the k loop that the parts cut, its iterations, number of parts)."""
        if self.choice.depth:
            return 0, self.k_loops[0].extent, 1
        if self.choice.parts == 1 or not self.k_loops:
            return -1, 0, 1
        extents = [loop.extent for loop in self.k_loops]
        if self.choice.dot:
            extents[-1] //= self.chunk
        enough = [i for i, extent in enumerate(extents) if extent >= self.choice.parts]
        level = enough[0] if enough else max(range(len(extents)), key=lambda i: extents[i])
        parts = min(self.choice.parts, extents[level])
        return (level, extents[level], parts) if parts > 1 else (-1, 0, 1)

    def _partial_strides(self) -> dict[int, int]:
        """Strides of the buffer of partial sums, per result axis; under PARTS: its size."""
        strides, total = {}, 1
        for position in reversed([*self.outer, self.choice.row, self.choice.col]):
            if position >= 0:
                strides[position] = total
                total *= self.roles.axes[position].extent
        strides[PARTS] = total
        return strides

    @property
    def along_rows(self) -> bool:
        """Whether tiles follow each other along the result's rows in memory.

        Where sums are short, results (and what is read with them) are most of the traffic.
        """
        col = self.col
        if reads_once(self.roles, self.choice) or passes_rows(self.roles, self.choice):
            return True
        return self.roles.k_extent <= SHORT_SUM and col is not None and col.out == 1

    @property
    def asks_for_rows(self) -> bool:
        """Whether a tile asks for the rows of A that the next one meets: neighbours in memory,
        whose k lie where no hardware sees them coming.
        """
        far = bool(self.k_loops) and self.k_loops[-1].a * BYTES[self.spec.element] >= FAR
        return far and self.a.row == 1 and reads_once(self.roles, self.choice)

    @property
    def asks_for_blocks(self) -> bool:
        """Whether a tile asks for what the next block's meets, of rows that stream by."""
        size = BYTES[self.spec.element]
        return self.choice.streams and self.k_loops[0].b * size < SHORT_ROWS * PAGE

    @property
    def shares_pages(self) -> bool:
        """Whether tasks of some columns would write into the same pages in turns, whose lines the
        prefetching hardware of one core takes from the other, where tasks of some rows need not.
        """
        row, col = self.row, self.col
        if row is None or col is None or col.out != 1 or self.spec.flops < PARALLEL_FLOPS:
            return False
        narrow = col.extent * BYTES[self.spec.element] < PAGE and row.out >= col.extent
        most = -(-self.rows.count // TASKS)  # tiles of a task
        return narrow and TASKS * most <= UNEVEN * self.rows.count

    @cached_property
    def row_panels(self) -> int:
        """Into how many tasks the rows of A are cut where the columns of B are not (else 1).

        Each strip of B meets all rows of a task. Where A does not stay in the level-2 cache, a
        task's panel of it does, and B comes through the caches once a panel: less than A once a
        strip. No sum is computed in another order.
        """
        choice, roles = self.choice, self.roles
        whole = self.parts == 1 and not self.outer and not self.along_rows
        plain = not (choice.dot or choice.pack_a or self.spec.bands or self.spec.picks)
        if not (whole and plain):
            return 1
        of_a, of_b = operand_bytes(roles, "a"), operand_bytes(roles, "b")
        if self.shares_pages and of_b <= PANEL_BYTES:
            return TASKS
        if has_half_units(8 * BYTES[self.spec.accumulator] * choice.lanes):
            return 1
        panels = max(TASKS, -(-of_a // PANEL_BYTES))
        read = panels * of_b + of_a
        pays = of_a > 2 * PANEL_BYTES and 2 * read < self.cols.count * of_a + of_b
        return panels if pays and panels <= self.rows.count else 1

    def out_stride(self, key: int) -> int:
        """How far apart the results of successive iterations of a loop are."""
        axes = self.roles.axes
        position = {ROWS: self.choice.row, COLS: self.choice.col}.get(key, key)
        return axes[position].out if position in axes else 0

    def planes_share_pages(self, keys: Sequence[int], made: dict[int, Dimension]) -> bool:
        """Whether tasks would have lines of planes of which some are in each page; they have planes
        instead.
        """
        if self.parts > 1 or not self.outer or not self.choice.lanes > 1:
            return False
        many = [key for key in keys if made[key].count > 1]
        further = [self.out_stride(key) for key in many if made[key].count >= 2 * TASKS // 3]
        size = BYTES[self.spec.element]
        return any(self.out_stride(many[0]) < out and out * size <= PAGE for out in further)

    def _dimensions(self) -> tuple[tuple[int, Dimension], ...]:
        """The loops around a tile, outermost first, cut into tasks."""
        axes = self.roles.axes
        keys = [p for p in self.outer if axes[p].kind != "m"]
        keys += [COLS, *[p for p in self.outer if axes[p].kind == "m"], ROWS]
        if self.along_rows:
            keys.remove(COLS)
            keys.append(COLS)
        if self.parts > 1:
            keys = [PARTS, *keys]
        made = {p: Dimension(axes[p].extent) for p in self.outer}
        made |= {COLS: self.cols.dimension, ROWS: self.rows.dimension}
        made[PARTS] = Dimension(self.parts)
        dimensions = [made[key] for key in keys]
        if self.planes_share_pages(keys, made):
            ordered = sorted(keys, key=lambda key: -self.out_stride(key))
            dimensions = [replace(made[key], rank=ordered.index(key)) for key in keys]
        # (Depthwise convolutions take long for what they multiply.)
        long = self.spec.flops >= PARALLEL_FLOPS or self.choice.cycles >= PARALLEL_CYCLES
        cut = cut_dimensions(dimensions, TASKS if long else 1)
        if self.row_panels > 1:
            rows = replace(made[ROWS], cut=self.row_panels)
            cut = tuple([rows if key == ROWS else made[key] for key in keys])
        return tuple(zip(keys, cut, strict=True))

    def packs_terms(self, side: str) -> bool:
        """Whether an operand, packed by copying, is read so many terms of all tiles at a time: in
        the order of memory.
        """
        position = self.choice.row if side == "a" else self.choice.col
        copied = pack_mode(self.roles, position, side, self.choice.lanes) == "copy"
        return copied and len(side_k_axes(self.roles, side)) == 1

    def pack_dimensions(self, side: str) -> tuple[tuple[int, Dimension], ...]:
        """The loops around the packing of one tile, outermost first, cut into tasks."""
        operand = self.a if side == "a" else self.b
        tiles = self.rows if side == "a" else self.cols
        keys = [p for p in self.outer if operand.outer[p]]
        dimensions = [Dimension(self.roles.axes[key].extent) for key in keys]
        if self.packs_terms(side):
            terms = self.roles.k_extent
            dimensions.append(Dimension(-(-terms // PACKED_TERMS), tail=terms % PACKED_TERMS > 0))
            keys.append(TERMS)
        dimensions.append(tiles.dimension)
        tile = operand.row_tile if side == "a" else operand.col_tile
        copies = [d.count for key, d in zip([*keys, 0], dimensions, strict=True) if key != TERMS]
        many = tile * prod(copies) >= PACK_ELEMENTS and self.spec.flops >= PARALLEL_FLOPS
        cut = cut_dimensions(dimensions, TASKS if many else 1)
        return tuple(zip([*keys, ROWS if side == "a" else COLS], cut, strict=True))

    def source_stride(self, side: str, position: int) -> int:
        """The stride of an axis in an operand where the caller left it."""
        return int(getattr(self.roles.axes[position], side)) if position >= 0 else 0

    def out_positions(self) -> Sequence[int]:
        """Positions in Contraction.axes of the result's axes, in the callback's order."""
        return [p for p, axis in enumerate(self.spec.axes) if axis.kind != "k"]
