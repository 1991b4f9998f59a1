"""Loop nests whose iterations are dealt out to tasks, and shuffles that whole tiles go through."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from flambeau.execute.cpu.emit import I64, PTR, Emitter, Reg

PARAMETERS = (("table", PTR), ("args", PTR))


@dataclass(frozen=True, slots=True)
class Dimension:
    """A loop of `count` iterations, cut into `cut` ranges that belong to different tasks.

    `tail`: the last iteration runs another version of the body. `rank`: loops of a lower one are
    cut first, and neighbouring tasks have the same range of them, as if they were further out.
    """

    count: int
    tail: bool = False
    cut: int = 1
    rank: int = 0


Body = Callable[[tuple[Reg, ...], tuple[bool, ...]], None]


def by_rank(dimensions: Sequence[Dimension]) -> list[int]:
    """The loops' numbers in the order in which they are cut."""
    return sorted(range(len(dimensions)), key=lambda number: dimensions[number].rank)


def cut_dimensions(dimensions: Sequence[Dimension], tasks: int) -> tuple[Dimension, ...]:
    """Cuts the outermost loops into at least `tasks` ranges altogether, where there are so many;
    into evenly many rather than one less, so that two threads have equally many.
    """
    cuts = list(dimensions)
    total = 1
    for number in by_rank(dimensions):
        count = dimensions[number].count
        cut = max(1, min(count, -(-tasks // total)))
        if 1 < cut < count and total * cut % 2 and total * cut > tasks:
            cut += 1
        total *= cut
        cuts[number] = replace(dimensions[number], cut=cut)
    return tuple(cuts)


def task_count(dimensions: Sequence[Dimension]) -> int:
    total = 1
    for dimension in dimensions:
        total *= dimension.cut
    return total


def emit_stage(e: Emitter, name: str, dimensions: Sequence[Dimension], body: Body) -> None:
    """Defines `void @name(table, args, first, last)`: the iterations of tasks first .. last - 1.

    body(indices, tails) emits one iteration: a register per dimension, and whether this is its
    tail version.
    """
    parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
    with e.function(name, "internal void", parameters) as (_, _, first, last):
        with e.loop(first, last) as tasks:
            bounds = _task_bounds(e, dimensions, tasks.index)
            _nest(e, dimensions, bounds, (), (), body)
        e.line("ret void")


def range_number(e: Emitter, index: Reg, dimension: Dimension) -> Reg:
    """Which of a dimension's ranges an index is in."""
    cut = dimension.cut
    if cut == 1:
        return e.i64(0)
    ends = e.op("add nsw", e.op("mul nsw", index, e.i64(cut)), e.i64(cut - 1))
    return e.op("udiv", ends, e.i64(dimension.count))


def task_number(e: Emitter, indices: Sequence[Reg], dimensions: Sequence[Dimension]) -> Reg:
    """The task that an iteration belongs to."""
    number = e.i64(0)
    for place in by_rank(dimensions):
        dimension = dimensions[place]
        if dimension.cut > 1:
            number = e.op("mul nsw", number, e.i64(dimension.cut))
            number = e.op("add nsw", number, range_number(e, indices[place], dimension))
    return number


def _task_bounds(e: Emitter, dimensions: Sequence[Dimension], task: Reg) -> list[tuple[Reg, Reg]]:
    """The range of each loop that belongs to a task: its digits in the mixed base of the cuts."""
    bounds = [(e.i64(0), e.i64(dimension.count)) for dimension in dimensions]
    for place in reversed(by_rank(dimensions)):
        dimension = dimensions[place]
        if dimension.cut == 1:
            continue
        count, cut = e.i64(dimension.count), e.i64(dimension.cut)
        digit = e.op("urem", task, cut)
        task = e.op("udiv", task, cut)
        ends = [digit, e.op("add nsw", digit, e.i64(1))]
        low, high = [e.op("udiv", e.op("mul nsw", end, count), cut) for end in ends]
        bounds[place] = low, high
    return bounds


def _nest(
    e: Emitter,
    dimensions: Sequence[Dimension],
    bounds: Sequence[tuple[Reg, Reg]],
    indices: tuple[Reg, ...],
    tails: tuple[bool, ...],
    body: Body,
) -> None:
    level = len(indices)
    if level == len(dimensions):
        body(indices, tails)
        return
    dimension, (low, high) = dimensions[level], bounds[level]
    final = e.i64(dimension.count - 1)
    if dimension.count == 1 and dimension.cut == 1:
        _nest(e, dimensions, bounds, (*indices, e.i64(0)), (*tails, dimension.tail), body)
        return
    if not dimension.tail:
        with e.loop(low, high) as loop:
            _nest(e, dimensions, bounds, (*indices, loop.index), (*tails, False), body)
        return
    whole = final
    if dimension.cut > 1:
        whole = e.select(e.cmp("icmp slt", high, final), high, final)
    with e.loop(low, whole) as loop:
        _nest(e, dimensions, bounds, (*indices, loop.index), (*tails, False), body)
    if dimension.cut == 1:
        _nest(e, dimensions, bounds, (*indices, final), (*tails, True), body)
        return
    with e.when(e.cmp("icmp sgt", high, final)):
        _nest(e, dimensions, bounds, (*indices, final), (*tails, True), body)


BLOCK_BITS = 128  # within which machines interleave two vectors, or pick blocks of two, at once


def transposed(e: Emitter, rows: Sequence[Reg]) -> list[Reg]:
    """The matrix of 2**p rows, vectors of 2**q lanes, transposed, in vectors of 2**q lanes."""
    if len(rows) == rows[0].type.lanes:
        return _transposed_square(e, rows)
    # Each round interleaves row i with row i + half: the top bit of the row number becomes the
    # lowest bit of the flat position, so that p rounds exchange row and column bits.
    vectors = list(rows)
    lanes = vectors[0].type.lanes
    half = len(vectors) // 2
    rounds = len(vectors).bit_length() - 1
    low = [i // 2 + (i % 2) * lanes for i in range(lanes)]
    high = [i + lanes // 2 for i in low]
    for _ in range(rounds):
        mixed = []
        for a, b in zip(vectors[:half], vectors[half:], strict=True):
            mixed += [e.shuffle(a, b, low), e.shuffle(a, b, high)]
        vectors = mixed
    return vectors


def _transposed_square(e: Emitter, rows: Sequence[Reg]) -> list[Reg]:
    """Each round exchanges one bit of the number of vectors with one of the number of lanes, by
    shuffles that need no vector of indices: first within blocks of 128 bits, then whole blocks.

    The fence between is no instruction. LLVM, which looks through chains of shuffles for better
    ones, in time that grows exponentially with their length, does not look through it.
    """
    vectors, lanes = list(rows), len(rows)
    block = min(lanes, BLOCK_BITS // vectors[0].type.bits)
    bit = block // 2
    while bit:  # the halves of blocks are interleaved
        low = [i // block * block + i % block // 2 + i % 2 * lanes for i in range(lanes)]
        _exchange(e, vectors, bit, low, [i + block // 2 for i in low])
        bit //= 2
    if block < lanes and vectors[0].type.element in ("float", "double"):
        vectors = [e.intrinsic("llvm.arithmetic.fence", v) for v in vectors]
    bit = block
    while bit < lanes:  # even and odd blocks are told apart
        even = [i // block * 2 * block + i % block for i in range(lanes)]
        _exchange(e, vectors, bit, even, [i + block for i in even])
        bit *= 2
    return vectors


def _exchange(
    e: Emitter, vectors: list[Reg], bit: int, first: Sequence[int], second: Sequence[int]
) -> None:
    """Shuffles each pair of vectors whose numbers differ in `bit`."""
    for k in range(len(vectors)):
        if not k & bit:
            a, b = vectors[k], vectors[k + bit]
            vectors[k], vectors[k + bit] = e.shuffle(a, b, first), e.shuffle(a, b, second)


def lane_sums(e: Emitter, vectors: Sequence[Reg]) -> Reg:
    """One lane per vector: the sum of its lanes, added up pairwise in a fixed order."""
    count, lanes = len(vectors), vectors[0].type.lanes
    size = 1 << (count - 1).bit_length()
    work = [*vectors, *[vectors[-1]] * (size - count)]
    if size > lanes:
        raise NotImplementedError(f"sums of {count} vectors of {lanes} lanes at once")
    opcode = "fadd" if vectors[0].type.is_float else "add"
    # A round with distance d halves the number of vectors: lanes with bit d of their number clear
    # take the sums of lanes l and l + d of the first of a pair, the others those of the second.
    distance = 1
    while len(work) > 1:
        near = [i if not i & distance else lanes + i - distance for i in range(lanes)]
        far = [i + distance for i in near]
        work = [
            e.op(opcode, e.shuffle(x, y, near), e.shuffle(x, y, far))
            for x, y in zip(work[::2], work[1::2], strict=True)
        ]
        distance *= 2
    total = work[0]
    while lanes > size:
        lanes //= 2
        low, high = (lane_range(e, total, start, lanes) for start in (0, lanes))
        total = e.op(opcode, low, high)
    return lane_range(e, total, 0, count)


def lane_range(e: Emitter, vector: Reg, start: int, lanes: int) -> Reg:
    """Lanes start .. start + lanes - 1 of a vector."""
    if lanes == vector.type.lanes:
        return vector
    if lanes == 1:
        return e.extract(vector, start)
    return e.shuffle(vector, vector, range(start, start + lanes))
