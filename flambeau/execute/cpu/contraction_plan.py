"""Decides how a contraction is computed: form, lane axis, tile, packing, split of the sum.

`choose` tries a few hundred candidates on a small cost model (cycles of one core) and returns the
cheapest. Nothing here depends on the number of threads.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from math import inf, prod

from flambeau.execute.cpu.contraction_spec import BYTES, FLOATS, Axis, Contraction, joins
from flambeau.execute.cpu.emit import vector_registers
from flambeau.execute.cpu.target import has_half_units

TASKS = 8
FEW_ROWS = 6
PARALLEL_FLOPS = 2_000_000
PARALLEL_CYCLES = 40_000  # as the cost model says
PANEL_BYTES = 1 << 20  # Half of a usual level-2 cache.
BLOCK_BYTES = 1 << 19
# What streams by: rows that meet it, at most; vectors of its rows, and its bytes, at least.
STREAM_ROWS = {"float": 47, "double": 96}
STREAM_VECTORS, STREAM_BYTES = 8, 1 << 21
# What is taken in blocks of so many terms, of both operands packed: so many bytes of each (more
# than the caches that cores share), rows and columns, and terms, at least;
BLOCK_TERMS = 256
BLOCKED_BYTES, BLOCKED_SIDE, BLOCKED_TERMS = 48 << 20, 1024, 2048
# with B packed block by block: so many bytes of B and of each of its terms, and terms, at least;
NEAR_BLOCK_TERMS = 128
NEAR_B_BYTES, NEAR_TERM_BYTES, NEAR_TERMS = {"float": 1 << 20, "double": 3 << 18}, 1536, 512
# and rows: at least and at most, with 32 registers, with fewer; at most, where terms are short.
NEAR_ROWS, NEAR_ROWS_FEW_REGISTERS = {"float": (24, 320), "double": (40, 320)}, (40, 160)
SHORT_TERM_BYTES, SHORT_TERM_ROWS = 2600, 720
MEMORY_BYTES = 8.0  # that come from memory in a cycle
NEAR_BYTES = 1 << 17  # of what a row of a large matrix meets
DEEP_STRIP_BYTES = 1 << 18  # Of one that is cut since it is larger than a panel,
FEW_RESULTS = 1 << 16  # where there are at most so many results, of which each part has its own.
STRIP_BYTES = 1 << 15  # Most of a usual level-1 cache.
LATENCY = 4  # Cycles of a fused multiply-add.
PAGE, LINE = 4096, 64
WAYS = 8  # Lines a page apart that a level-1 cache holds beside what else is read.
FAR = 512  # Bytes between successive k from which on prefetching hardware loses track.
ADDED_ALONE = 6.0  # Cycles of adding up a result by itself, of those that lanes have together.
LARGEST_PACK = 1 << 28  # Bytes; beyond it, packing needs a reason the model does not see.


@dataclass(frozen=True, slots=True)
class Choice:
    """How to compute a contraction. Axes go by their position in Contraction.axes, -1 for none.

    swap: the roles of A and B (m and n) are exchanged, and all that follows is meant after the
    exchange. dot: lanes run along the innermost k axis, `unroll` chunks side by side, and are
    summed at the end; otherwise they run along `col`. A register tile has `rows` indices of `row`
    by `cols` vectors along `col` (indices of `col` for dot). parts: into how many pieces the sum
    is cut. streams: B goes by in the order of memory (see contraction_streams.py). depth: terms of
    a block, 0 for all of them at once; where B is not packed before, each task packs those of its
    strips (see contraction_blocks.py).
    """

    swap: bool
    dot: bool
    lanes: int
    row: int
    rows: int
    col: int
    cols: int
    unroll: int = 1
    pack_a: bool = False
    pack_b: bool = False
    parts: int = 1
    cycles: float = 0.0
    streams: bool = False
    depth: int = 0


@dataclass(frozen=True)
class Roles:
    """The axes of more than one iteration, after the exchange that `swap` asks for, by kind."""

    spec: Contraction
    swap: bool
    axes: dict[int, Axis]

    def of(self, kind: str) -> list[int]:
        return [position for position, axis in self.axes.items() if axis.kind == kind]

    @cached_property
    def k_positions(self) -> tuple[int, ...]:
        """The k axes: banded ones, then from the longest stride to the shortest; one of unit stride
        in both comes last.
        """
        banded = {band.k for band in self.spec.bands}

        def rank(p: int) -> tuple[bool, bool, int]:
            axis = self.axes[p]
            return (axis.a, axis.b) == (1, 1), p not in banded, -max(abs(axis.a), abs(axis.b))

        return tuple(sorted(self.of("k"), key=rank))

    @cached_property
    def k_axes(self) -> tuple[Axis, ...]:
        """The k axes in the order of their loops, outermost first."""
        return tuple([self.axes[p] for p in self.k_positions])

    @property
    def fixed(self) -> set[int]:
        """Axes of the result that bands depend on: a tile has one index of them."""
        return {band.out for band in self.spec.bands}

    @property
    def whole_side(self) -> str:
        """The operand that bands leave gaps in, which is never packed ("" without bands)."""
        return ("b" if self.swap else "a") if self.spec.bands else ""

    @cached_property
    def k_extent(self) -> int:
        return prod(axis.extent for axis in self.k_axes)


def roles_of(spec: Contraction, swap: bool) -> Roles:
    axes = {}
    for position, axis in enumerate(spec.axes):
        if axis.extent != 1:
            axes[position] = axis.swapped() if swap else axis
    return Roles(spec, swap, axes)


def joined(axes: Sequence[Axis]) -> tuple[Axis, ...]:
    """Loops of one kind, outermost first, merged where they are one in memory."""
    merged: list[Axis] = []
    for axis in axes:
        if merged and joins(merged[-1], axis):
            merged[-1] = replace(axis, extent=merged[-1].extent * axis.extent)
        else:
            merged.append(axis)
    return tuple(merged)


def choose(spec: Contraction, vector_bits: int, registers: int) -> Choice:
    """The cheapest way the cost model knows (no extent is 0, except of k)."""
    lanes = vector_bits // (8 * BYTES[spec.accumulator])
    blocks = in_blocks(spec, vector_bits, registers)
    streams = None if blocks else streaming(spec, vector_bits, registers)
    if streams is not None:
        return streams
    best: Choice | None = None
    least = inf
    for swap in (False, True):
        roles = roles_of(spec, swap)
        for choice in _candidates(roles, lanes, registers):
            if choice.cycles >= least:
                continue
            parts = _parts(roles, choice)
            cycles = choice.cycles + _adding_cycles(roles, choice, parts)
            if cycles < least:
                best, least = replace(choice, parts=parts), cycles
    if best is None:
        raise NotImplementedError("no way to compute this contraction without packing padding")
    return replace(blocks, cycles=best.cycles) if blocks else best


def streaming(spec: Contraction, vector_bits: int, registers: int) -> Choice | None:
    """The choice for a few rows by a large matrix that lies row by row, whose rows are terms of the
    sum (see contraction_streams.py); None for others.
    """
    lanes = vector_bits // (8 * BYTES[spec.accumulator])
    found = [_streams(roles_of(spec, swap), lanes, registers) for swap in (False, True)]
    return found[0] or found[1]


def _streams(roles: Roles, lanes: int, registers: int) -> Choice | None:
    spec, size = roles.spec, BYTES[roles.spec.element]
    if spec.bands or spec.picks or spec.pairs or spec.element not in ("float", "double"):
        return None
    rows, cols = roles.of("m"), roles.of("n")
    if len(rows) != 1 or len(cols) != 1 or roles.of("batch") or len(roles.k_axes) != 1:
        return None
    row, col, k = roles.axes[rows[0]], roles.axes[cols[0]], roles.k_axes[0]
    results = row.extent * col.extent * size
    if col.b != 1 or k.b * size < FAR or col.extent < STREAM_VECTORS * lanes:
        return None
    if k.extent < max(32, 3 * row.extent) * TASKS or row.extent > STREAM_ROWS[spec.element]:
        return None
    # (Lines a page apart share few places of the caches.)
    least = STREAM_BYTES if k.b * size % PAGE else STREAM_BYTES // 2
    if operand_bytes(roles, "b") < least or results > PANEL_BYTES:
        return None
    most = (registers - 3) // 2
    height = -(-row.extent // -(-row.extent // most))
    made = Choice(roles.swap, False, lanes, rows[0], height, cols[0], 2, parts=TASKS)
    return replace(made, streams=True)


def in_blocks(spec: Contraction, vector_bits: int, registers: int) -> Choice | None:
    """The choice for long sums in blocks of terms (see contraction_blocks.py); None for others."""
    if spec.bands or spec.picks or spec.pairs or spec.element not in ("float", "double"):
        return None
    lanes = vector_bits // (8 * BYTES[spec.accumulator])
    for roles in sorted((roles_of(spec, swap) for swap in (False, True)), key=_bytes_of_a):
        rows, cols = roles.of("m"), roles.of("n")
        if len(rows) != 1 or len(cols) != 1 or roles.of("batch") or len(roles.k_axes) != 1:
            return None
        packed = _beyond_caches(roles, rows[0], cols[0])
        if not packed and not _packs_near(roles, rows[0], cols[0], vector_bits):
            continue
        wide = 4 if registers == 32 else 2
        made = Choice(roles.swap, False, lanes, rows[0], 6, cols[0], wide, pack_a=True)
        return replace(made, pack_b=packed, depth=BLOCK_TERMS if packed else NEAR_BLOCK_TERMS)
    return None


def _bytes_of_a(roles: Roles) -> int:
    return operand_bytes(roles, "a")


def _beyond_caches(roles: Roles, row: int, col: int) -> bool:
    """Whether both operands are larger than the caches that cores share: of both, packed, some
    terms at a time stay near.
    """
    if min(operand_bytes(roles, side) for side in ("a", "b")) < BLOCKED_BYTES:
        return False
    least = min(roles.axes[row].extent, roles.axes[col].extent)
    return least >= BLOCKED_SIDE and roles.k_extent >= BLOCKED_TERMS and roles.axes[col].out == 1


def _packs_near(roles: Roles, row: int, col: int, vector_bits: int) -> bool:
    """Whether B is so large, and lies so, and so few rows meet it, that it pays to pack some terms
    at a time rather than all of them before, or none.
    """
    element, terms = roles.spec.element, roles.k_extent
    size, cols = BYTES[element], roles.axes[col]
    if cols.b != 1 or cols.extent * size < NEAR_TERM_BYTES or has_half_units(vector_bits):
        return False
    if operand_bytes(roles, "b") < NEAR_B_BYTES[element] or terms < NEAR_TERMS:
        return False
    least, most = NEAR_ROWS_FEW_REGISTERS
    if vector_registers(vector_bits) == 32:
        least, most = NEAR_ROWS[element]
        if cols.extent * size <= SHORT_TERM_BYTES:
            most = SHORT_TERM_ROWS
    return least <= roles.axes[row].extent <= most


@lru_cache(256)
def ranked(spec: Contraction, vector_bits: int, rank: int) -> Choice | None:
    """What the cost model thinks the best but `rank` others, of those with other tiles or packing
    than the better ones; None where there are not so many, or a sum is cut.
    """
    lanes, registers = vector_bits // (8 * BYTES[spec.accumulator]), vector_registers(vector_bits)
    best = choose(spec, vector_bits, registers)
    known = {_tile(best)}
    if best.parts > 1 or spec.bands:
        return None
    found = [c for s in (False, True) for c in _candidates(roles_of(spec, s), lanes, registers)]
    for choice in sorted(found, key=lambda c: c.cycles):
        if _tile(choice) in known:
            continue
        known.add(_tile(choice))
        if len(known) > rank:
            return replace(choice, parts=_parts(roles_of(spec, choice.swap), choice))
    return None


def _tile(choice: Choice) -> tuple[object, ...]:
    return choice.swap, choice.dot, choice.rows, choice.cols, choice.pack_a, choice.pack_b


def _candidates(roles: Roles, lanes: int, registers: int) -> Iterator[Choice]:
    yield from _outer_candidates(roles, lanes, registers)
    k_axes = roles.k_axes
    banded = {band.k for band in roles.spec.bands}
    if k_axes and roles.k_positions[-1] in banded:
        return
    if k_axes and (k_axes[-1].a, k_axes[-1].b) == (1, 1) and not roles.swap:
        yield from _dot_candidates(roles, lanes, registers)


def _row_axes(roles: Roles, col: int) -> list[int]:
    """Axes that a tile's rows may run along: of A; where that has few, any other of the result."""
    rows = [p for p in roles.of("m") if p not in roles.fixed]
    chosen = {p for p in rows if roles.axes[p].out == 1}
    if rows:
        chosen.add(max(rows, key=lambda p: roles.axes[p].extent))
    if not any(roles.axes[p].extent >= FEW_ROWS for p in chosen):
        free = [p for p in roles.of("n") + roles.of("batch") if p not in roles.fixed]
        others = [p for p in free if p != col]
        if others:
            chosen.add(max(others, key=lambda p: roles.axes[p].extent))
    return sorted(chosen) or [-1]


def _lane_axes(roles: Roles) -> list[int]:
    """Axes that lanes may run along: of B, or a batch axis of neighbours in both operands."""
    batch = [p for p in roles.of("batch") if (roles.axes[p].a, roles.axes[p].b) == (1, 1)]
    return [p for p in roles.of("n") + batch if p not in roles.fixed] or [-1]


def _tile_rows(extent: int, most: int) -> set[int]:
    """Row counts worth trying: the most registers allow, and what divides the extent evenly."""
    most = min(most, extent)
    tiles = -(-extent // most)
    exact = max(r for r in range(1, most + 1) if extent % r == 0)
    return {most, -(-extent // tiles), exact}


def _outer_candidates(roles: Roles, lanes: int, registers: int) -> Iterator[Choice]:
    spec = roles.spec
    for col in _lane_axes(roles):
        extent = roles.axes[col].extent if col >= 0 else 1
        width = min(lanes, 1 << (extent - 1).bit_length())
        for size in sorted({width, 1}, reverse=True):
            vectors = -(-extent // size)
            for cols in (1, 2, 3, 4, 6, 8):
                if cols > vectors:
                    break
                spare = 1 if registers == 32 or spec.accumulator in FLOATS else 2
                most = max(1, (registers - cols - spare) // cols)
                for row in _row_axes(roles, col):
                    rows_extent = roles.axes[row].extent if row >= 0 else 1
                    for rows in _tile_rows(rows_extent, min(most, 28)):
                        plain = Choice(roles.swap, False, size, row, rows, col, cols)
                        yield from _packings(roles, plain)


def _packings(roles: Roles, choice: Choice) -> Iterator[Choice]:
    """The candidate with both operands where they are, or packed where that pays (or is needed)."""
    row, col = roles.axes.get(choice.row), roles.axes.get(choice.col)
    must = choice.lanes > 1 and col is not None and col.b != 1
    if must and ((row is not None and row.b) or roles.whole_side == "b"):
        return
    packs = []
    cycles = _tile_cycles(roles, choice) + _store_cycles(roles, choice)
    for side in ("a", "b"):
        direct = _direct_cycles(roles, choice, side)
        packed = _pack_cycles(roles, choice, side)
        pack = (must and side == "b") or (packed < direct and side != roles.whole_side)
        packs.append(pack)
        cycles += packed if pack else direct
    yield replace(choice, pack_a=packs[0], pack_b=packs[1], cycles=cycles)


def _dot_candidates(roles: Roles, lanes: int, registers: int) -> Iterator[Choice]:
    extent = joined(roles.k_axes)[-1].extent
    size = min(lanes, 1 << (extent - 1).bit_length())
    if size == 1 or extent == 0:
        return
    for col in [p for p in roles.of("n") if p not in roles.fixed] or [-1]:
        columns = roles.axes[col].extent if col >= 0 else 1
        for cols in (1, 2, 3, 4, 5, 6, 7, 8, 10, 12):
            if cols > min(columns, size, (registers - 2) // 2):
                break
            most = max(1, (registers - cols - 1) // cols)
            for row in _row_axes(roles, col):
                rows_extent = roles.axes[row].extent if row >= 0 else 1
                for rows in _tile_rows(rows_extent, min(most, size)):
                    unroll = max(1, min(-(-2 * LATENCY // (rows * cols)), extent // size))
                    plain = Choice(False, True, size, row, rows, col, cols, unroll)
                    cycles = _dot_cycles(roles, plain, extent) + _store_cycles(roles, plain)
                    yield replace(plain, cycles=cycles)


# ---- the cost model ------------------------------------------------------------------------------


def _outer_count(roles: Roles, choice: Choice) -> int:
    """Iterations of the loops around the tiles of `row` and `col`."""
    return prod(
        axis.extent
        for position, axis in roles.axes.items()
        if axis.kind != "k" and position not in (choice.row, choice.col)
    )


def tiles(extent: int, size: int) -> list[tuple[int, int]]:
    """(how many, size) of the whole tiles of an axis and of its last, smaller one."""
    found = [(extent // size, size), (1, extent % size)]
    return [(count, part) for count, part in found if count and part]


def _step_cycles(roles: Roles, choice: Choice, rows: int, cols: int) -> float:
    """One multiply-add of a tile: two arithmetic and two load ports, six instructions."""
    fmas, loads, unroll = rows * cols, _loads(roles, choice, rows, cols), choice.unroll
    return max(fmas / 2, loads / 1.6, LATENCY / unroll, (fmas + loads + 4) / 5.5)


def _loads(roles: Roles, choice: Choice, rows: int, cols: int) -> int:
    """Loads per step of a tile: per operand, one for each index along which it varies."""
    row, col = roles.axes.get(choice.row), roles.axes.get(choice.col)
    total = 0
    for side in ("a", "b"):
        along_row = rows if row and getattr(row, side) else 1
        along_col = cols if col and getattr(col, side) else 1
        total += along_row * along_col
    return total


def _extents(roles: Roles, choice: Choice) -> tuple[int, int]:
    row, col = roles.axes.get(choice.row), roles.axes.get(choice.col)
    return (row.extent if row else 1), (col.extent if col else 1)


def _tile_cycles(roles: Roles, choice: Choice) -> float:
    row_extent, col_extent = _extents(roles, choice)
    steps = roles.k_extent
    vectors = -(-col_extent // choice.lanes)
    loops = sum(steps / (axis.extent or 1) for axis in joined(roles.k_axes)[-1:])
    total = 0.0
    for row_count, rows in tiles(row_extent, choice.rows):
        for col_count, cols in tiles(vectors, choice.cols):
            cycles = steps * _step_cycles(roles, choice, rows, cols) + 30 + 3 * loops
            total += row_count * col_count * cycles
    return total * _outer_count(roles, choice)


def _dot_cycles(roles: Roles, choice: Choice, extent: int) -> float:
    row_extent, col_extent = _extents(roles, choice)
    around = roles.k_extent // extent
    steps = around * -(-extent // choice.lanes)
    slow = 1.0
    if any(a and a % PAGE == 0 for a in _strides(roles, choice)):
        slow = 1.6
    total = 0.0
    for row_count, rows in tiles(row_extent, choice.rows):
        for col_count, cols in tiles(col_extent, choice.cols):
            # Operands of a step are rarely aligned: half of the loads cross a cache line.
            loads = 0.75 * _loads(roles, choice, rows, cols)
            step = max(_step_cycles(roles, choice, rows, cols), loads) * slow
            cycles = steps * step + 40 + 4 * around + 3.5 * rows * cols * choice.unroll
            total += row_count * col_count * cycles
    return _beside_memory(roles, choice, total * _outer_count(roles, choice))


def _beside_memory(roles: Roles, choice: Choice, cycles: float) -> float:
    """What the dot form takes where one side is small and the other one comes from memory, which it
    does while the first of the small side's tiles is met.
    """
    row_extent, col_extent = _extents(roles, choice)
    of_a, of_b = operand_bytes(roles, "a"), operand_bytes(roles, "b")
    if passes_rows(roles, choice):
        passes = -(-col_extent // choice.cols)
    elif of_a <= BLOCK_BYTES and of_b > PANEL_BYTES:
        passes = -(-row_extent // choice.rows)
    else:
        return cycles
    return max(cycles / passes, max(of_a, of_b) / MEMORY_BYTES) + cycles * (1 - 1 / passes)


def passes_rows(roles: Roles, choice: Choice) -> bool:
    """Whether A, in the dot form, is larger than the level-2 cache, and B near: a tile of its rows
    meets all columns before the next does.
    """
    of_a, of_b = operand_bytes(roles, "a"), operand_bytes(roles, "b")
    return choice.dot and of_b <= BLOCK_BYTES and of_a > PANEL_BYTES


def _strides(roles: Roles, choice: Choice) -> tuple[int, int]:
    """Bytes between the rows in A and between the columns in B."""
    size = BYTES[roles.spec.element]
    row, col = roles.axes.get(choice.row), roles.axes.get(choice.col)
    return abs(row.a) * size if row else 0, abs(col.b) * size if col else 0


def _store_cycles(roles: Roles, choice: Choice) -> float:
    rows, cols = _extents(roles, choice)
    elements = rows * cols * _outer_count(roles, choice)
    col = roles.axes.get(choice.col)
    if col is None or col.out == 1 or choice.lanes == 1:
        return elements * (1.5 / min(choice.lanes, cols) if not choice.dot else 1.0)
    return elements * (1.0 if stores_rows(roles, choice) else 2.5)


def _adding_cycles(roles: Roles, choice: Choice, parts: int) -> float:
    """What it costs that the sum's parts are added up along lanes, where those are not neighbours
    among the results: each is stored, and what it meets there is read, by itself.
    """
    col = roles.axes.get(choice.col)
    if parts == 1 or col is None or col.out == 1 or choice.lanes == 1:
        return 0.0
    return ADDED_ALONE * prod(axis.extent for axis in roles.spec.out_axes)


def stores_rows(roles: Roles, choice: Choice) -> bool:
    """Whether finished tiles are transposed, to be stored along the row axis."""
    row, col = roles.axes.get(choice.row), roles.axes.get(choice.col)
    if row is None or row.out != 1:
        return False
    return (col is None or col.out != 1) and choice.rows > 1 and choice.lanes > 1


def _direct_cycles(roles: Roles, choice: Choice, side: str) -> float:
    """What it costs to use an operand where it is instead of packed."""
    spec = roles.spec
    size = BYTES[spec.element]
    row_extent, col_extent = _extents(roles, choice)
    row_tiles = -(-row_extent // choice.rows)
    col_tiles = -(-col_extent // (choice.cols * choice.lanes))
    steps = roles.k_extent * row_tiles * col_tiles * _outer_count(roles, choice)
    inner = min((abs(getattr(axis, side)) for axis in roles.k_axes), default=0) * size
    wide = spec.element in FLOATS
    if _arrives_meanwhile(roles, choice):
        inner = 0  # as good as near
    if side == "b":
        near = 0.3
        far = 6.0 if inner and inner % PAGE == 0 else 1.5 if inner >= FAR else near
        if far > near and _stays_near(roles, choice, inner):
            far = near + (far - near) / row_tiles
        return steps * choice.cols * (far + wide)
    row_stride = _strides(roles, choice)[0]
    cost = choice.rows * (2.0 if wide else 0.0)
    if inner > 64 and row_stride > 64:
        cost += choice.rows * 0.7
    elif inner >= FAR:
        cost += 6.0 if inner % 2048 == 0 else 3.0
    elif row_stride % PAGE == 0 and choice.rows > WAYS:
        cost += choice.rows * 0.5
    return steps * cost


def _stays_near(roles: Roles, choice: Choice, inner: int) -> bool:
    """Whether a strip of B that a tile of rows has read is still in the caches for the next one:
    the parts of the sum are cut so, unless their lines share too few places.
    """
    depth = -(-roles.k_extent // _parts(roles, choice))
    lines = choice.cols * choice.lanes * BYTES[roles.spec.accumulator] + (
        LINE if inner % LINE else 0
    )
    return depth * lines <= STRIP_BYTES and depth * inner <= PANEL_BYTES


def _arrives_meanwhile(roles: Roles, choice: Choice) -> bool:
    """Whether a step takes so long that what it reads is there in time, however far apart it lies.

    Units half as wide as a vector need a cycle for a multiply-add, and some ten steps of a tile are
    under way at once: longer than the level-2 cache takes.
    """
    bits = 8 * BYTES[roles.spec.accumulator] * choice.lanes
    return not choice.dot and has_half_units(bits)


def _pack_cycles(roles: Roles, choice: Choice, side: str) -> float:
    """What packing an operand costs; infinite where it makes no sense."""
    position, other = (choice.row, choice.col) if side == "a" else (choice.col, choice.row)
    if position < 0 or choice.lanes == 1 or not getattr(roles.axes[position], side):
        return float("inf")
    if other >= 0 and getattr(roles.axes[other], side):
        return float("inf")
    elements = roles.k_extent * prod(
        axis.extent for axis in roles.axes.values() if axis.kind != "k" and getattr(axis, side) != 0
    )
    if elements * BYTES[roles.spec.accumulator] > LARGEST_PACK:
        return float("inf") if side == "a" else 1e3 * elements
    mode = pack_mode(roles, position, side, choice.lanes)
    rate = {"copy": 0.25, "transpose": 0.5, "element": 3.0}[mode]
    if side == "a" and mode == "copy":
        rate = 0.5
    if elements * BYTES[roles.spec.accumulator] > PANEL_BYTES:
        rate += 0.8
    return elements * rate + 100 + (2000 if elements > 4096 else 0)


def pack_mode(roles: Roles, position: int, side: str, lanes: int) -> str:
    """How an operand is packed along an axis: rows copied, blocks transposed, or by element."""
    if getattr(roles.axes[position], side) == 1:
        return "copy"
    inner = side_k_axes(roles, side)[-1:]
    if inner and getattr(inner[0], side) == 1 and inner[0].extent >= lanes:
        return "transpose"
    return "element"


def side_k_axes(roles: Roles, side: str) -> tuple[Axis, ...]:
    """The k loops as one operand sees them, in the common order, merged where it allows."""
    strides = [(axis.extent, getattr(axis, side)) for axis in roles.k_axes]
    return joined([Axis("k", extent, stride, stride, 0) for extent, stride in strides])


def operand_bytes(roles: Roles, side: str) -> int:
    """About how many bytes of an operand a contraction reads."""
    axes = [axis for axis in roles.axes.values() if getattr(axis, side) != 0]
    count = prod(axis.extent for axis in axes)
    reach: int = 1 + sum((axis.extent - 1) * abs(getattr(axis, side)) for axis in axes)
    return min(count, reach) * BYTES[roles.spec.element]


def _rows_around(roles: Roles, choice: Choice) -> int:
    """Iterations of the loops around tiles in which a strip of B is read again."""
    around = [p for p in roles.of("m") if p not in (choice.row, choice.col)]
    return prod(roles.axes[p].extent for p in around)


def reads_once(roles: Roles, choice: Choice) -> bool:
    """Whether A, read where it is, is larger than B and the level-2 cache: a tile of its rows meets
    all columns before the next does, and B stays in the cache.
    """
    if not _arrives_meanwhile(roles, choice) or choice.pack_a or _outer_count(roles, choice) > 1:
        return False
    col = roles.axes.get(choice.col)
    of_a = operand_bytes(roles, "a")
    return col is not None and col.out == 1 and of_a > max(PANEL_BYTES, operand_bytes(roles, "b"))


def _parts(roles: Roles, choice: Choice) -> int:
    """Into how many pieces to cut the sum: for tasks if tiles are few, for caches if k is long."""
    rows, cols = _extents(roles, choice)
    columns = choice.cols * (1 if choice.dot else choice.lanes)
    count = -(-rows // choice.rows) * -(-cols // columns) * _outer_count(roles, choice)
    depth = roles.k_extent // (choice.lanes * choice.unroll if choice.dot else 1)
    parts = 1
    if roles.spec.flops >= PARALLEL_FLOPS and count < TASKS:
        parts = min(-(-TASKS // count), depth // 32)
    if choice.dot and count > 2:
        of_a, of_b = operand_bytes(roles, "a"), operand_bytes(roles, "b")
        if rows <= choice.rows or cols <= columns:
            # One side goes by once, the other one meets all its tiles.
            near = of_b if cols <= columns else of_a
            parts = max(parts, min(-(-near // NEAR_BYTES), depth // 128))
        elif of_a + of_b > 2 * PANEL_BYTES:
            parts = max(parts, min(-(-(of_a + of_b) // BLOCK_BYTES), depth // 128))
    elif not choice.dot and (rows > choice.rows or _rows_around(roles, choice) > 1):
        # A strip of B as wide as a tile is read once per tile of rows.
        strip = roles.k_extent * columns * BYTES[roles.spec.accumulator]
        inner = min((abs(axis.b) for axis in roles.k_axes), default=0)
        far = inner * BYTES[roles.spec.element] >= FAR and not _arrives_meanwhile(roles, choice)
        if not choice.pack_b and far:
            parts = max(parts, min(-(-strip // STRIP_BYTES), depth // 64))
        if strip > PANEL_BYTES:
            few = prod(a.extent for a in roles.spec.out_axes) <= FEW_RESULTS
            parts = max(parts, -(-strip // (DEEP_STRIP_BYTES if few else PANEL_BYTES)))
    if reads_once(roles, choice):
        parts = max(parts, -(-operand_bytes(roles, "b") // BLOCK_BYTES))
    return max(1, min(parts, 64))
