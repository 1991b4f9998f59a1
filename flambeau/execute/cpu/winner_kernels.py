"""What kernels that sum over windows' winners share; see Note [Sums over winners] (winners.py)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from flambeau.execute.cpu.contraction_nest import PARAMETERS
from flambeau.execute.cpu.contraction_spec import ARGS, TABLE, operand_pointer, weighted_sum
from flambeau.execute.cpu.emit import I8, I64, Emitter, Reg, Type
from flambeau.execute.cpu.winners import ImagesPlan, WeightsPlan

FIRST, SECOND, SCRATCH, PLACES = range(4)
WINNERS_RESERVED = 4


class WinnerKernel:
    """One kernel's text, and pieces of it."""

    def __init__(self, plan: WeightsPlan | ImagesPlan) -> None:
        self.base = plan
        self.e = Emitter(plan.vector_bits)
        self.vector = Type(plan.element, plan.lanes)

    def entry(self, stage: str) -> None:
        """Defines @kernel, which runs a stage."""
        e = self.e
        with e.function("kernel", "i64", [*PARAMETERS, ("first", I64), ("last", I64)]) as registers:
            e.call(stage, None, registers, declared=True)
            e.line("ret i64 0")

    def parameters(self) -> list[Reg]:
        """Those of a stage, which the functions it calls get, too."""
        return [Reg(f"%{name}", type_) for name, type_ in PARAMETERS]

    def operand(self, number: int) -> Reg:
        return operand_pointer(self.e, TABLE, ARGS, number)

    def at(self, pointer: Reg, *terms: tuple[Reg | int, int]) -> Reg:
        """The element at a sum of products."""
        e = self.e
        known = [(e.i64(r) if isinstance(r, int) else r, n) for r, n in terms]
        return e.gep(pointer, self.base.element, weighted_sum(e, known))

    def clear(self, pointer: Reg, size: int | Reg) -> None:
        """Zeros, in whole vectors."""
        e = self.e
        stop = e.i64(size) if isinstance(size, int) else size
        with e.loop(e.i64(0), stop, self.base.lanes) as loop:
            e.store(self.at(pointer, (loop.index, 1)), e.const(0, self.vector))

    def window(self, n: Reg, out: Reg, row: Reg, col: Reg) -> tuple[Reg, Reg, Reg]:
        """A window's cotangent, and the row and the column of its winner in it."""
        e, windows = self.e, self.base.windows
        cotangent = self.operand(FIRST if isinstance(self.base, ImagesPlan) else SECOND)
        index = (n, out, row, col)
        ct = e.load(
            self.at(cotangent, *zip(index, windows.cotangent, strict=True)), Type(self.base.element)
        )
        place = weighted_sum(e, list(zip(index, windows.places, strict=True)))
        place = e.cast("zext", e.load(e.gep(self.operand(PLACES), "i8", place), I8), "i64")
        width = e.i64(windows.sizes[1])
        return ct, e.op("udiv", place, width), e.op("urem", place, width)

    def channels(self, block: Reg) -> tuple[Reg, Reg]:
        """A block's first channel, and how many it has."""
        begin = weighted_sum(self.e, [(block, self.base.block)])
        left = self.e.op("sub nsw", self.e.i64(self.base.channels), begin)
        return begin, self.e.intrinsic("llvm.smin", left, self.e.i64(self.base.block))

    def end_of(self, part: Reg, size: int, end: int) -> Reg:
        """The end of a part that begins there, and has so many or, as the last one, fewer."""
        behind = weighted_sum(self.e, [(part, 1), (self.e.i64(size), 1)])
        return self.e.intrinsic("llvm.smin", behind, self.e.i64(end))

    def for_blocks(self, block: Reg, emit: Callable[[int], None]) -> None:
        """Emits what is done with the channels of a block; the last block may have fewer."""
        e, plan = self.e, self.base
        last = plan.channels - (plan.blocks - 1) * plan.block
        if plan.blocks == 1 or last == plan.block:
            emit(last)
            return
        with e.when(e.cmp("icmp slt", block, e.i64(plan.blocks - 1))):
            emit(plan.block)
        with e.when(e.cmp("icmp eq", block, e.i64(plan.blocks - 1))):
            emit(last)

    def index(self, parts: Sequence[Reg | int]) -> list[Reg]:
        """A result's index, in the order of its axes."""
        found = dict(zip(self.base.positions, parts, strict=True))
        ordered = [found[position] for position in sorted(found) if position >= 0]
        return [self.e.i64(part) if isinstance(part, int) else part for part in ordered]
