"""Packing for the matrix unit: float32 operands into blocks of three bfloat16 parts.

A block has 32 rows of the lead; a step of it, 32 k, is laid out [part][half of the rows][16][32].
Of the left operand the last two are rows and k, of the right one pairs of k and (row, which of the
pair). Rows and k beyond the operand's extents are zeros. Behind its steps a block has its flags:
the largest magnitude's bits and the smallest's of those that are not 0, less one.
"""

from __future__ import annotations

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    Dimension,
    cut_dimensions,
    emit_stage,
    task_count,
    transposed,
)
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import ARGS, TABLE, operand_pointer, weighted_sum
from flambeau.execute.cpu.emit import F32, I16, I32, I64, PTR, Emitter, Loop, Reg, Type
from flambeau.execute.cpu.matrix_plan import BLOCK, HALF, PART_BYTES, PARTS, STEP_BYTES, Side

LANES = 16
FLOATS, WORDS, HALVES = F32.with_lanes(LANES), I32.with_lanes(LANES), I16.with_lanes(LANES)
MASK = Type("i1", LANES)
SOURCE, DESTINATION = 0, 1
PARALLEL_ELEMENTS = 1 << 16
TILE_BYTES = PART_BYTES // 2
PACKING = "pack.rows"


def pack_kernel(vector_bits: int, side: Side) -> tuple[str, int]:
    """(text, tasks) of the kernel that packs operand 0 into operand 1, `side.bytes` long."""
    e = Emitter(vector_bits)
    emit_packing(e, side)
    dimensions = [Dimension(extent) for _, extent, _ in side.outer]
    dimensions.append(Dimension(side.lead.blocks))
    many = side.blocks * BLOCK * side.depth >= PARALLEL_ELEMENTS
    cut = cut_dimensions(dimensions, TASKS if many else 1)

    def body(indices: tuple[Reg, ...], tails: tuple[bool, ...]) -> None:
        *around, block = indices
        terms = [(i, stride) for i, (_, _, stride) in zip(around, side.outer, strict=True)]
        first = weighted_sum(e, [(block, BLOCK)])
        terms.append((first, side.lead.stride))
        source = e.gep(operand_pointer(e, TABLE, ARGS, SOURCE), "float", weighted_sum(e, terms))
        number = e.i64(0)
        for index, dimension in zip(indices, dimensions, strict=True):
            number = weighted_sum(e, [(number, dimension.count), (index, 1)])
        offset = weighted_sum(e, [(number, side.block_bytes)])
        target = e.gep(operand_pointer(e, TABLE, ARGS, DESTINATION), "i8", offset)
        left = e.op("sub nsw", e.i64(side.lead.extent), first)
        e.call(PACKING, None, [source, target, left], declared=True)

    emit_stage(e, "pack", cut, body)
    parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
    with e.function("kernel", "i64", parameters) as registers:
        e.call("pack", None, registers, declared=True)
        e.line("ret i64 0")
    return e.module(), task_count(cut)


def emit_packing(e: Emitter, side: Side) -> None:
    """Defines @pack.rows(source, target, left), which packs a block of min(32, left) rows."""
    parameters = [("source", PTR), ("target", PTR), ("left", I64)]
    with e.function(PACKING, "internal void", parameters) as (source, target, left):
        start = [e.const(0, WORDS), e.const(-1, WORDS)]
        with e.loop(e.i64(0), e.i64(side.steps), carried=start) as steps:
            k = weighted_sum(e, [(steps.index, BLOCK)])
            at = e.gep(source, "float", weighted_sum(e, [(k, side.stride)]))
            step = e.gep(target, "i8", weighted_sum(e, [(steps.index, STEP_BYTES)]))
            rest = e.op("sub nsw", e.i64(side.depth), k)
            with e.loop(e.i64(0), e.i64(2), carried=steps.carried) as halves:
                tile = e.gep(step, "i8", weighted_sum(e, [(halves.index, TILE_BYTES)]))
                row = weighted_sum(e, [(halves.index, HALF)])
                here = e.gep(at, "float", weighted_sum(e, [(row, side.lead.stride)]))
                mine = e.op("sub nsw", left, row)
                with e.loop(e.i64(0), e.i64(HALF), carried=halves.carried) as rows:
                    _pack_row(e, side, here, tile, mine, rest, rows)
                if side.turned:
                    _turn(e, tile)
                halves.yield_(rows.carried)
            steps.yield_(halves.carried)
        flags = e.gep(target, "i8", e.i64(side.steps * STEP_BYTES))
        high, low = steps.carried
        e.store(flags, e.call("llvm.vector.reduce.umax.v16i32", I32, [high]))
        e.store(e.gep(flags, "i32", e.i64(1)), e.call("llvm.vector.reduce.umin.v16i32", I32, [low]))
        e.line("ret void")


def _pack_row(
    e: Emitter, side: Side, source: Reg, tile: Reg, left: Reg, rest: Reg, loop: Loop
) -> None:
    """Row `loop.index` of a tile in the order of memory: a row's 32 k, or 16 rows' pairs of k."""
    number = loop.index
    zero = e.i64(0)
    if side.stride == 1:
        there = e.cmp("icmp slt", number, left)
        count = e.select(there, rest, zero)
        at = e.gep(source, "float", weighted_sum(e, [(number, side.lead.stride)]))
        x = _masked(e, at, count)
        y = _masked(e, e.gep(at, "float", e.i64(LANES)), e.op("sub nsw", count, e.i64(LANES)))
        order = list(range(2 * LANES))
    else:
        k = weighted_sum(e, [(number, 2)])
        vectors = []
        for one in (0, 1):
            mine = weighted_sum(e, [(k, 1), (e.i64(one), 1)])
            count = e.select(e.cmp("icmp slt", mine, rest), left, zero)
            at = e.gep(source, "float", weighted_sum(e, [(mine, side.stride)]))
            vectors.append(_masked(e, at, count))
        x, y = vectors
        order = [i // 2 + (i % 2) * LANES for i in range(2 * LANES)]
    at = e.gep(tile, "i8", weighted_sum(e, [(number, 2 * BLOCK)]))
    for part, (a, b) in enumerate(zip(_parts(e, x), _parts(e, y), strict=True)):
        e.store(e.gep(at, "i8", e.i64(part * PART_BYTES)), e.shuffle(a, b, order), 64)
    loop.yield_(_flags(e, loop.carried, (x, y)))


def _masked(e: Emitter, pointer: Reg, count: Reg) -> Reg:
    """Up to 16 elements, as far as `count` goes; zeros beyond."""
    most = e.intrinsic("llvm.smin", count, e.i64(LANES))
    few = e.cast("trunc", e.intrinsic("llvm.smax", most, e.i64(0)), "i32")
    mask = e.cmp("icmp slt", e.lane_numbers(LANES, "i32"), e.splat(few, LANES))
    name = "llvm.masked.load.v16f32.p0"
    return e.call(name, FLOATS, [pointer, Reg("4", I32), mask, e.const(0, FLOATS)])


def _parts(e: Emitter, x: Reg) -> list[Reg]:
    """The three bfloat16 parts of 16 floats, as bits."""
    found = []
    for number in range(PARTS):
        part = e.call("llvm.x86.avx512bf16.cvtneps2bf16.512", Type("bfloat", LANES), [x])
        bits = e.bitcast(part, HALVES)
        found.append(bits)
        if number < PARTS - 1:
            wide = e.op("shl", e.cast("zext", bits, "i32"), e.const(16, WORDS))
            x = e.op("fsub", x, e.bitcast(wide, FLOATS))
    return found


def _flags(e: Emitter, flags: list[Reg], vectors: tuple[Reg, Reg]) -> list[Reg]:
    high, low = flags
    for x in vectors:
        size = e.op("and", e.bitcast(x, WORDS), e.const(0x7FFFFFFF, WORDS))
        high = e.intrinsic("llvm.umax", high, size)
        low = e.intrinsic("llvm.umin", low, e.op("add", size, e.const(-1, WORDS)))
    return [high, low]


def _turn(e: Emitter, tile: Reg) -> None:
    """Transposes the three parts of a half: 16 x 16 pairs each."""
    with e.loop(e.i64(0), e.i64(PARTS)) as parts:
        base = e.gep(tile, "i8", weighted_sum(e, [(parts.index, PART_BYTES)]))
        places = [e.gep(base, "i8", e.i64(row * 2 * BLOCK)) for row in range(HALF)]
        rows = [e.load(place, WORDS, 64) for place in places]
        for place, row in zip(places, transposed(e, rows), strict=True):
            e.store(place, row, 64)
