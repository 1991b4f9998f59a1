"""Packing for the matrix unit: float32 operands into blocks of three bfloat16 parts.

A block has 32 rows of the lead; a step of it, 32 k, is laid out [part][half of the rows][16][32].
Of the left operand the last two are a row and its k, of the right one pairs of k and (row, which
of the pair); k number i and i + 16 are neighbours in both. Rows and k beyond the operand's extents
are zeros. Behind its steps a block has its flags: the largest magnitude's bits and the smallest's
of those that are not 0, less one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from flambeau.execute.cpu.contraction_nest import (
    PARAMETERS,
    transposed,
)
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_spec import ARGS, TABLE, operand_pointer, weighted_sum
from flambeau.execute.cpu.emit import F32, I32, I64, PTR, Emitter, Reg, Type
from flambeau.execute.cpu.matrix_plan import (
    BLOCK,
    FLAG_BYTES,
    HALF,
    PART_BYTES,
    PARTS,
    Side,
)

LANES = 16
FLOATS, WORDS = F32.with_lanes(LANES), I32.with_lanes(LANES)
MASK = Type("i1", LANES)
SOURCE, DESTINATION, OPERANDS = 0, 1, 2
PARALLEL_ELEMENTS = 1 << 13
TILE_BYTES = PART_BYTES // 2
PACKING = "pack.rows"
UNROLLED = 2  # rows or pairs of k
GROUP = 4  # blocks that are packed together where their rows lie next to each other


def pack_kernel(vector_bits: int, side: Side) -> tuple[str, int, list[int]]:
    """(text, tasks, argument words) of the kernel that packs operand 0 into operand 1, `side.bytes`
    long. Sizes are words, so that operands of all shapes share a text.
    """
    e = Emitter(vector_bits)
    emit_packing(e, side, PACKING)
    many = side.blocks * BLOCK * side.depth >= PARALLEL_ELEMENTS
    words = [side.blocks, side.lead.blocks, side.lead.extent, side.depth, side.far]
    words += [number for _, extent, stride in side.outer for number in (extent, stride)]
    pack = _pack_block
    if not side.by_k:
        group = GROUP if side.blocks > GROUP else GROUP // 2
        pack = partial(_pack_group, group)
        words[0] = side.blocks // side.lead.blocks * -(-side.lead.blocks // group)
    tasks = min(TASKS, words[0]) if many else 1
    emit_blocks(e, words, tasks, lambda number, values: pack(e, side, number, values))
    return e.module(), tasks, words


def emit_blocks(
    e: Emitter, words: Sequence[int], tasks: int, pack: Callable[[Reg, Sequence[Reg]], None]
) -> None:
    """The kernel whose tasks share the blocks, of which `words` begins with the number: `pack` is
    given a block's number and the argument words.
    """
    parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
    with e.function("kernel", "i64", parameters) as (_, _, first, last):
        values = [
            e.load(e.gep(ARGS, "i64", e.i64(2 * OPERANDS + n)), I64) for n in range(len(words))
        ]
        low, high = [
            e.op("udiv", e.op("mul nsw", task, values[0]), e.i64(tasks)) for task in (first, last)
        ]
        with e.loop(low, high) as loop:
            pack(loop.index, values)
        e.line("ret i64 0")


def _pack_block(e: Emitter, side: Side, number: Reg, values: Sequence[Reg]) -> None:
    """Packs block `number` of all blocks; `values` are the kernel's argument words."""
    _, blocks, extent, depth, stride, *outer = values
    block, around = e.op("urem", number, blocks), e.op("udiv", number, blocks)
    row = weighted_sum(e, [(block, BLOCK)])
    offset = _place(e, side, row, e.i64(0), stride)
    for count, step in list(zip(outer[::2], outer[1::2], strict=True))[::-1]:
        index, around = e.op("urem", around, count), e.op("udiv", around, count)
        offset = e.op("add nsw", offset, e.op("mul nsw", index, step))
    source = e.gep(operand_pointer(e, TABLE, ARGS, SOURCE), side.memory, offset)
    size = weighted_sum(e, [(_steps(e, depth), side.step_bytes), (e.i64(FLAG_BYTES), 1)])
    target = operand_pointer(e, TABLE, ARGS, DESTINATION)
    target = e.gep(target, "i8", e.op("mul nsw", number, size))
    left = e.op("sub nsw", extent, row)
    e.call(PACKING, None, [source, target, left, depth, stride], declared=True)


def _pack_group(together: int, e: Emitter, side: Side, number: Reg, values: Sequence[Reg]) -> None:
    """Packs a group of blocks whose rows lie next to each other: 32 k of all of them, then the
    next, so that pages and lines of memory are used as they come.
    """
    _, blocks, extent, depth, stride, *outer = values
    groups = e.op("udiv", weighted_sum(e, [(blocks, 1), (e.i64(together - 1), 1)]), e.i64(together))
    group, around = e.op("urem", number, groups), e.op("udiv", number, groups)
    low = weighted_sum(e, [(group, together)])
    high = e.intrinsic("llvm.smin", weighted_sum(e, [(low, 1), (e.i64(together), 1)]), blocks)
    before = e.op("mul nsw", around, blocks)
    offset = e.i64(0)
    for count, step in list(zip(outer[::2], outer[1::2], strict=True))[::-1]:
        index, around = e.op("urem", around, count), e.op("udiv", around, count)
        offset = e.op("add nsw", offset, e.op("mul nsw", index, step))
    count = _steps(e, depth)
    size = weighted_sum(e, [(count, side.step_bytes), (e.i64(FLAG_BYTES), 1)])
    source = e.gep(operand_pointer(e, TABLE, ARGS, SOURCE), side.memory, offset)
    target = operand_pointer(e, TABLE, ARGS, DESTINATION)
    with e.loop(e.i64(0), count) as steps, e.loop(low, high) as loop:
        row = weighted_sum(e, [(loop.index, BLOCK)])
        at = e.gep(source, side.memory, _place(e, side, row, e.i64(0), stride))
        place = e.op("mul nsw", e.op("add nsw", before, loop.index), size)
        to = e.gep(target, "i8", place)
        flags = e.gep(to, "i8", weighted_sum(e, [(count, side.step_bytes)]))
        block = at, to, flags, e.op("sub nsw", extent, row), depth, stride
        call_step(e, side, f"{PACKING}.step", block, steps.index)


def _steps(e: Emitter, depth: Reg) -> Reg:
    return e.op("udiv", weighted_sum(e, [(depth, 1), (e.i64(BLOCK - 1), 1)]), e.i64(BLOCK))


def _place(e: Emitter, side: Side, row: Reg, k: Reg, stride: Reg) -> Reg:
    """The element offset of (row, k); `stride` is that of the far one."""
    near, far = (k, row) if side.by_k else (row, k)
    near = weighted_sum(e, [(near, side.near)])
    if far.name == "0":
        return near
    return e.op("add nsw", near, e.op("mul nsw", far, stride))


def emit_packing(e: Emitter, side: Side, name: str) -> None:
    """Defines @name(source, target, left, depth, stride): packs min(32, left) rows of `depth` k."""
    emit_step(e, side, f"{name}.step")
    parameters = [("source", PTR), ("target", PTR), ("left", I64), ("depth", I64), ("stride", I64)]
    with e.function(name, "internal void", parameters) as (source, target, left, depth, stride):
        count = _steps(e, depth)
        flags = e.gep(target, "i8", weighted_sum(e, [(count, side.step_bytes)]))
        with e.loop(e.i64(0), count) as steps:
            block = source, target, flags, left, depth, stride
            call_step(e, side, f"{name}.step", block, steps.index)
        e.line("ret void")


def call_step(e: Emitter, side: Side, name: str, block: Sequence[Reg], step: Reg) -> None:
    """Packs one step of a block: its source, target, flags, rows left, depth and stride."""
    source, target, flags, left, depth, stride = block
    k = weighted_sum(e, [(step, BLOCK)])
    at = e.gep(source, side.memory, _place(e, side, e.i64(0), k, stride))
    to = e.gep(target, "i8", weighted_sum(e, [(step, side.step_bytes)]))
    rest = e.op("sub nsw", depth, k)
    e.call(name, None, [at, to, flags, left, rest, step, stride], declared=True)


def emit_step(e: Emitter, side: Side, name: str, coming: int = 0) -> None:
    """Defines @name(source, target, flags, left, rest, number, stride): packs 32 rows by 32 k.

    Asks for the memory `coming` elements after what it reads, if that is not 0.
    """
    parameters = [("source", PTR), ("target", PTR), ("flags", PTR)]
    parameters += [("left", I64), ("rest", I64), ("number", I64), ("stride", I64)]
    if side.parts == 1:
        emit_plain_step(e, side, name, parameters, coming)
        return
    pack = _pack_rows if side.by_k else _pack_pairs
    with e.function(name, "internal void", parameters) as registers:
        source, target, flags, left, rest, number, stride = registers
        start = [e.const(0, WORDS), e.const(-1, WORDS)]
        with e.loop(e.i64(0), e.i64(2), carried=start) as halves:
            tile = e.gep(target, "i8", weighted_sum(e, [(halves.index, TILE_BYTES)]))
            row = weighted_sum(e, [(halves.index, HALF)])
            here = e.gep(source, "float", _place(e, side, row, e.i64(0), stride))
            mine = e.op("sub nsw", left, row)
            found = pack(e, side.near, stride, here, tile, mine, rest, halves.carried, coming)
            if side.turned:
                turn_parts(e, tile)
            halves.yield_(found)
        store_flags(e, flags, halves.carried, e.cmp("icmp eq", number, e.i64(0)))
        e.line("ret void")


def store_flags(e: Emitter, flags: Reg, found: Sequence[Reg], first: Reg) -> None:
    """Adds what was found to the flags in memory, or begins with it."""
    high = e.call("llvm.vector.reduce.umax.v16i32", I32, [found[0]])
    low = e.call("llvm.vector.reduce.umin.v16i32", I32, [found[1]])
    for place, value, name, none in ((0, high, "llvm.umax", 0), (1, low, "llvm.umin", -1)):
        at = e.gep(flags, "i32", e.i64(place))
        before = e.select(first, e.const(none, I32), e.load(at, I32))
        e.store(at, e.intrinsic(name, value, before))


def _pack_rows(
    e: Emitter,
    near: int,
    stride: Reg,
    source: Reg,
    tile: Reg,
    left: Reg,
    rest: Reg,
    flags: list[Reg],
    coming: int,
) -> list[Reg]:
    """16 rows whose k lie next to each other: a vector has the k of a row.

    The last row stands for those that are not there (`left` may be negative, as `source` is that of
    a later half): what becomes of them is not used.
    """
    masks = [_first_lanes(e, rest), _first_lanes(e, e.op("sub nsw", rest, e.i64(LANES)))]
    last = weighted_sum(e, [(left, 1), (e.i64(-1), 1)])
    with e.loop(e.i64(0), e.i64(HALF), UNROLLED, carried=flags) as rows:
        found = list(rows.carried)
        for number in range(UNROLLED):
            index = weighted_sum(e, [(rows.index, 1), (e.i64(number), 1)])
            row = e.intrinsic("llvm.smin", index, last)
            at = e.gep(source, "float", e.op("mul nsw", row, stride))
            x = masked_floats(e, at, masks[0], near)
            y = masked_floats(e, e.gep(at, "float", e.i64(LANES * near)), masks[1], near)
            if coming:
                e.prefetch(e.gep(at, "float", e.i64(coming)))
                e.prefetch(e.gep(at, "float", e.i64(coming + LANES)))
            found = _pack_pair(e, tile, index, x, y, found)
        rows.yield_(found)
    return rows.carried


def _pack_pairs(
    e: Emitter,
    near: int,
    stride: Reg,
    source: Reg,
    tile: Reg,
    left: Reg,
    rest: Reg,
    flags: list[Reg],
    coming: int,
) -> list[Reg]:
    """16 rows that lie next to each other: a vector has one k of all of them."""
    mask, none = _first_lanes(e, left), e.const(0, MASK)
    with e.loop(e.i64(0), e.i64(HALF), UNROLLED, carried=flags) as pairs:
        found = list(pairs.carried)
        for number in range(UNROLLED):
            index = weighted_sum(e, [(pairs.index, 1), (e.i64(number), 1)])
            vectors = []
            for start in (0, HALF):
                k = weighted_sum(e, [(index, 1), (e.i64(start), 1)])
                is_there = e.cmp("icmp slt", k, rest)
                there = e.temp(MASK, f"select i1 {is_there}, {mask.typed}, {none.typed}")
                at = e.gep(source, "float", e.op("mul nsw", k, stride))
                vectors.append(masked_floats(e, at, there, near))
                if coming:
                    e.prefetch(e.gep(at, "float", e.i64(coming)))
            found = _pack_pair(e, tile, index, vectors[0], vectors[1], found)
        pairs.yield_(found)
    return pairs.carried


def _between(e: Emitter, count: Reg, most: int) -> Reg:
    return e.intrinsic("llvm.smax", e.intrinsic("llvm.smin", count, e.i64(most)), e.i64(0))


def _first_lanes(e: Emitter, count: Reg) -> Reg:
    """A mask of the first `count` lanes (any number)."""
    few = e.cast("trunc", _between(e, count, LANES), "i32")
    return e.cmp("icmp slt", e.lane_numbers(LANES, "i32"), e.splat(few, LANES))


def range_mask(e: Emitter, first: Reg, low: Reg, high: Reg, lanes: int = LANES) -> Reg:
    """A mask of the lanes whose numbers, from `first` on, are in low .. high - 1."""
    ends = []
    for bound in (low, high):
        few = _between(e, e.op("sub nsw", bound, first), lanes)
        ends.append(e.op("shl", e.i64(1), few))
    # 2^high - 2^low has the bits between set, as long as high is not below low.
    bits = e.op("sub", e.intrinsic("llvm.umax", ends[1], ends[0]), ends[0])
    return e.bitcast(e.cast("trunc", bits, f"i{lanes}"), Type("i1", lanes))


def masked_floats(e: Emitter, pointer: Reg, mask: Reg, stride: int = 1) -> Reg:
    """16 elements `stride` apart, zeros where the mask is not set."""
    name = "llvm.masked.load.v16f32.p0"
    if stride != 1:
        name = "llvm.masked.gather.v16f32.v16p0"
        places = e.vector_const([i * stride for i in range(LANES)], "i64")
        pointer = e.gep(pointer, "float", places)
    return e.call(name, FLOATS, [pointer, Reg("4", I32), mask, e.const(0, FLOATS)])


def _line(e: Emitter, tile: Reg, number: Reg, part: int) -> Reg:
    """Line `number`, of 64 bytes, of a part of a half."""
    place = weighted_sum(e, [(number, 2 * BLOCK), (e.i64(part), PART_BYTES)])
    return e.gep(tile, "i8", place)


def _pack_pair(e: Emitter, tile: Reg, number: Reg, x: Reg, y: Reg, flags: list[Reg]) -> list[Reg]:
    """Stores the parts of x in the lower and those of y in the upper halves of words."""
    for part, word in enumerate(paired_parts(e, x, y)):
        e.store(_line(e, tile, number, part), word, 64)
    return magnitudes(e, (x, y), flags)


def paired_parts(e: Emitter, x: Reg, y: Reg) -> list[Reg]:
    """The parts of x in the lower and those of y in the upper halves of words."""
    return [
        e.op("or", e.op("lshr", a, e.const(16, WORDS)), b)
        for a, b in zip(float_parts(e, x), float_parts(e, y), strict=True)
    ]


def magnitudes(e: Emitter, values: Sequence[Reg], flags: Sequence[Reg]) -> list[Reg]:
    """The flags (largest magnitude, smallest but for 0, less one) with those of more values."""
    high, low = flags
    for value in values:
        size = e.op("and", e.bitcast(value, WORDS), e.const(0x7FFFFFFF, WORDS))
        high = e.intrinsic("llvm.umax", high, size)
        low = e.intrinsic("llvm.umin", low, e.op("add", size, e.const(-1, WORDS)))
    return [high, low]


def float_parts(e: Emitter, x: Reg) -> list[Reg]:
    """The three bfloat16 parts of 16 floats, as the bits of floats whose lower half is zero.

    Halfway cases are rounded away from zero: the next part makes up for either choice.
    """
    found = []
    for number in range(PARTS):
        bits = e.bitcast(x, WORDS)
        if number < PARTS - 1:
            bits = e.op("add", bits, e.const(0x8000, WORDS))
            bits = e.op("and", bits, e.const(-0x10000, WORDS))
            x = e.op("fsub", x, e.bitcast(bits, FLOATS))
        found.append(bits)
    return found


def emit_plain_step(
    e: Emitter, side: Side, name: str, parameters: Sequence[tuple[str, Type]], coming: int
) -> None:
    """`emit_step` of bfloat16 elements, which are copied: two successive k are a pair."""
    with e.function(name, "internal void", parameters) as registers:
        source, target, _, left, rest, _, stride = registers
        none = e.const(0, MASK)
        of_k = range_mask(e, e.i64(0), e.i64(0), rest, BLOCK)
        with e.loop(e.i64(0), e.i64(2)) as halves:
            tile = e.gep(target, "i8", weighted_sum(e, [(halves.index, TILE_BYTES)]))
            row = weighted_sum(e, [(halves.index, HALF)])
            here = e.gep(source, side.memory, _place(e, side, row, e.i64(0), stride))
            mine = e.op("sub nsw", left, row)
            if side.by_k:
                count = _between(e, mine, HALF)
                with e.loop(e.i64(0), count) as rows:
                    at = e.gep(here, side.memory, e.op("mul nsw", rows.index, stride))
                    e.store(_line(e, tile, rows.index, 0), masked_shorts(e, at, of_k), 64)
                    if coming:
                        e.prefetch(e.gep(at, side.memory, e.i64(coming)))
                with e.loop(count, e.i64(HALF)) as rows:
                    e.store(_line(e, tile, rows.index, 0), e.const(0, WORDS), 64)
            else:
                lanes = _first_lanes(e, mine)
                with e.loop(e.i64(0), e.i64(HALF)) as pairs:
                    words = []
                    for number in range(2):
                        k = weighted_sum(e, [(pairs.index, 2), (e.i64(number), 1)])
                        is_there = e.cmp("icmp slt", k, rest)
                        there = e.temp(MASK, f"select i1 {is_there}, {lanes.typed}, {none.typed}")
                        at = e.gep(here, side.memory, e.op("mul nsw", k, stride))
                        words.append(e.cast("zext", masked_shorts(e, at, there), "i32"))
                        if coming:
                            e.prefetch(e.gep(at, side.memory, e.i64(coming)))
                    high = e.op("shl", words[1], e.const(16, WORDS))
                    e.store(_line(e, tile, pairs.index, 0), e.op("or", high, words[0]), 64)
            if side.turned:
                turn_parts(e, tile, 1)
        e.line("ret void")


def masked_shorts(e: Emitter, pointer: Reg, mask: Reg) -> Reg:
    """As many 16-bit elements as the mask has lanes, zeros where it is not set."""
    lanes = mask.type.lanes
    shorts = Type("i16", lanes)
    arguments = [pointer, Reg("2", I32), mask, e.const(0, shorts)]
    return e.call(f"llvm.masked.load.v{lanes}i16.p0", shorts, arguments)


def turn_parts(e: Emitter, tile: Reg, count: int = PARTS) -> None:
    """Transposes the parts of a half: 16 x 16 pairs each."""
    with e.loop(e.i64(0), e.i64(count)) as parts:
        base = e.gep(tile, "i8", weighted_sum(e, [(parts.index, PART_BYTES)]))
        places = [e.gep(base, "i8", e.i64(row * 2 * BLOCK)) for row in range(HALF)]
        rows = [e.load(place, WORDS, 64) for place in places]
        for place, row in zip(places, transposed(e, rows), strict=True):
            e.store(place, row, 64)
