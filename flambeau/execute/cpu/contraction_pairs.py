"""Products of bfloat16 on AVX-512: an instruction multiplies two pairs of numbers in each lane and
adds both products to a float32 sum (vdpbf16ps).

Note [Pairs]
    Two bfloat16 numbers that follow each other along the sum are 32 bits. For all that moves them
    (packing, transposing, broadcasting) a pair is what a float32 is; only the multiply-add knows
    better (`Contraction.pairs`). So a contraction over an even number of terms is one of half as
    many pairs. An operand whose rows go along the sum has its pairs in memory as it is; of another,
    two rows at a time are zipped first. As in PyTorch's products on such machines, denormal numbers
    count as zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from flambeau.execute.cpu.contraction_nest import PARAMETERS
from flambeau.execute.cpu.contraction_plan import TASKS
from flambeau.execute.cpu.contraction_schedule import PACK_ELEMENTS
from flambeau.execute.cpu.contraction_spec import (
    ARGS,
    TABLE,
    Axis,
    Contraction,
    operand_pointer,
    weighted_sum,
)
from flambeau.execute.cpu.emit import I64, Emitter, Reg, Type
from flambeau.execute.cpu.target import Target

LEAST_FLOPS = 1 << 15
REUSE = 16  # how often each pair must be read, so that zipping is worth it
NARROWEST = 4  # lanes of the instruction


@dataclass(frozen=True, slots=True)
class Zip:
    """An operand whose pairs lie apart: `depth` times two rows, `stride` apart, of `width`
    neighbours; (extent, stride) of the loops around, outermost first.
    """

    outer: tuple[tuple[int, int], ...]
    depth: int
    stride: int
    width: int

    @property
    def rows(self) -> int:
        """Of pairs."""
        return self.depth * prod(extent for extent, _ in self.outer)

    @property
    def bytes(self) -> int:
        return 4 * self.rows * self.width


@dataclass(frozen=True, slots=True)
class PairPlan:
    """A contraction of pairs, and how its two operands become such (None: they are)."""

    spec: Contraction
    zips: tuple[Zip | None, Zip | None]


def multiplies_pairs(vector_bits: int) -> bool:
    """Whether this machine has the instruction, for vectors of that width."""
    host = Target.host()
    return vector_bits == 512 and host.has("avx512bf16") and host.has("avx512vl")


def pair_plan(spec: Contraction, vector_bits: int) -> PairPlan | None:
    """How to compute a contraction of bfloat16 in pairs; None where that is not possible, or not
    worth it.
    """
    if spec.element != "bfloat" or spec.bands or spec.picks or spec.flops < LEAST_FLOPS:
        return None
    sums = [p for p, axis in enumerate(spec.axes) if axis.kind == "k" and axis.extent > 1]
    if len(sums) != 1 or spec.axes[sums[0]].extent % 2 or not multiplies_pairs(vector_bits):
        return None
    sides = [_side(spec, sums[0], side) for side in ("a", "b")]
    if sides[0] is None or sides[1] is None:
        return None
    (a, zip_a), (b, zip_b) = sides[0], sides[1]
    axes = [
        Axis(axis.kind, axis.extent // (1 + (p == sums[0])), a[p], b[p], axis.out)
        for p, axis in enumerate(spec.axes)
    ]
    pairs = Contraction(tuple(axes), pairs=True)
    return PairPlan(pairs, (zip_a, zip_b))


def _side(spec: Contraction, k: int, side: str) -> tuple[list[int], Zip | None] | None:
    """An operand's strides in pairs, and how it is zipped; None where it cannot be."""
    axes = spec.axes
    strides = [getattr(axis, side) if axis.extent > 1 else 0 for axis in axes]
    others = [p for p, stride in enumerate(strides) if stride and p != k]
    if min(strides) < 0:
        return None
    if strides[k] == 1:
        if any(strides[p] % 2 for p in others):
            return None
        return [stride // 2 if p != k else 1 for p, stride in enumerate(strides)], None
    lead = next((p for p in others if strides[p] == 1), -1)
    if lead < 0 or not strides[k]:
        return None
    around = [p for p in others if p != lead]
    outer = tuple([(axes[p].extent, strides[p]) for p in around])
    zipped = Zip(outer, axes[k].extent // 2, strides[k], axes[lead].extent)
    if spec.flops < 4 * REUSE * zipped.rows * zipped.width:
        return None
    made = [0] * len(axes)
    made[lead], made[k] = 1, zipped.width
    total = zipped.width * zipped.depth
    for p in reversed(around):
        made[p] = total
        total *= axes[p].extent
    return made, zipped


def zip_kernel(vector_bits: int, zipped: Zip) -> tuple[str, int, list[int]]:
    """(text, tasks, words) of the kernel that makes pairs of operand 0 in operand 1."""
    e = Emitter(vector_bits)
    rows, width = zipped.rows, zipped.width
    tasks = TASKS if rows * width >= PACK_ELEMENTS and rows >= TASKS else 1
    with e.function("kernel", "i64", [*PARAMETERS, ("first", I64), ("last", I64)]) as registers:
        source, target = (operand_pointer(e, TABLE, ARGS, number) for number in (0, 1))
        ends = [e.op("mul nsw", task, e.i64(rows)) for task in registers[2:]]
        begin, end = (e.op("udiv", place, e.i64(tasks)) for place in ends)
        with e.loop(begin, end) as loop:
            at = e.gep(source, "i16", _row_place(e, zipped, loop.index))
            to = e.gep(target, "i32", weighted_sum(e, [(loop.index, width)]))
            lanes = vector_bits // 32
            whole = width - width % lanes
            for start, stop, step in ((0, whole, lanes), (whole, width, 1)):
                if start < stop:
                    with e.loop(e.i64(start), e.i64(stop), step) as piece:
                        _zip_piece(e, zipped, at, to, piece.index, step)
        e.line("ret i64 0")
    return e.module(), tasks, []


def _row_place(e: Emitter, zipped: Zip, number: Reg) -> Reg:
    """Where the first of the two rows begins that a row of pairs is made of."""
    depth = e.i64(zipped.depth)
    terms = [(e.op("urem", number, depth), 2 * zipped.stride)]
    rest = e.op("udiv", number, depth)
    for extent, stride in reversed(zipped.outer):
        terms.append((e.op("urem", rest, e.i64(extent)), stride))
        rest = e.op("udiv", rest, e.i64(extent))
    return weighted_sum(e, terms)


def _zip_piece(e: Emitter, zipped: Zip, at: Reg, to: Reg, start: Reg, lanes: int) -> None:
    halves = []
    for row in range(2):
        place = weighted_sum(e, [(start, 1), (e.i64(row * zipped.stride), 1)])
        halves.append(e.load(e.gep(at, "i16", place), Type("i16", lanes)))
    low, high = (e.cast("zext", half, "i32") for half in halves)
    pairs = e.op("or", low, e.op("shl", high, e.const(16, high.type)))
    e.store(e.gep(to, "i32", start), pairs)


def with_pairs_added(e: Emitter, a: Reg, b: Reg, total: Reg) -> Reg:
    """total + the two products of each lane's pairs."""
    lanes = total.type.lanes
    wide = max(lanes, NARROWEST)
    given = [total, a, b]
    if lanes == 1:
        given = [e.insert(e.const(0, Type("float", wide)), x, 0) for x in given]
    elif lanes < wide:
        given = [e.shuffle(x, x, [i if i < lanes else -1 for i in range(wide)]) for x in given]
    given[1:] = [e.bitcast(x, Type("bfloat", 2 * wide)) for x in given[1:]]
    name = f"llvm.x86.avx512bf16.dpbf16ps.{32 * wide}"
    made = e.call(name, Type("float", wide), given)
    if lanes == 1:
        return e.extract(made, 0)
    return made if lanes == wide else e.shuffle(made, made, range(lanes))
