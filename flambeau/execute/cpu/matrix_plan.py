"""Products of float32 and bfloat16 matrices on the CPU's matrix unit (Intel's AMX): when, and in
which pieces. What the unit multiplies is bfloat16, so that such operands are one part, and exact.

Note [float32 products in three parts]
The unit multiplies bfloat16 (8 significant bits) and adds in float32. A float32 x is cut into three
of them, each rounded to nearest, without a rest: x = high + mid + low, where |mid| <= 2^-8 |x| and
|low| <= 2^-17 |x|. Of the nine products of x = (h, m, l) and y = (H, M, L) six are added,

    hH + (hM + mH) + (mM + hL + lH)

and each is exact in float32. The three left out (mL, lM, lL) are below 2^-24 |x y| together: half a
unit in the last place, what one rounding of a float32 costs. Sums are rounded as sums of float32
are; the unit adds 16 products by themselves before it adds them to the total, so that in all the
error is no larger than that of a chain of fused multiply-adds (tests/execute/test_cpu_matrix.py
compares both with float64). Six passes of a unit that is twenty times as fast remain three to four
times as fast as vector instructions.

Two things differ from float32 arithmetic, and are kept away from the unit: infinity has no rest
(inf - inf is NaN), and the unit takes denormal numbers for zero. While an operand is packed its
largest and its smallest magnitude (other than 0) are noted for every 32 rows. Where they are
outside `safe exponents` a block is computed with vector instructions from the operands themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import prod

from flambeau.execute.cpu.contraction_plan import TASKS, choose
from flambeau.execute.cpu.contraction_spec import Axis, Contraction
from flambeau.execute.cpu.emit import vector_registers
from flambeau.execute.cpu.target import has_matrix_unit

BLOCK = 32  # rows and columns of a block of the result, and k indices of a step
HALF = 16
PARTS = 3
ELEMENT_PARTS = {"float": PARTS, "bfloat": 1}
PART_BYTES = 2 * BLOCK * BLOCK
STEP_BYTES = PARTS * PART_BYTES  # 32 rows by 32 k of one operand
FLAG_BYTES = 64
BLOCK_RESULT = 4 * BLOCK * BLOCK
# Cycles: of a step of a block (24 products of tiles), of storing a block, of packing an element
# (rows, columns that go through a transposition), of a kernel.
STEP_CYCLES, STORE_CYCLES, KERNEL_CYCLES = 470, 700, 400
PACK_CYCLES, TURNED_CYCLES = 0.6, 0.2
# The same of bfloat16 operands.
PLAIN_STEP_CYCLES, PLAIN_PACK_CYCLES = 75, 0.2
# What should stay in the level-2 cache: a block of a chunk of the sum, a panel of such blocks of
# the left side, all of a small right side.
CHUNK_BYTES, PANEL_BYTES, BATCH_BYTES = 13 << 14, 13 << 16, 1 << 19
# A step of a `deep` sum, the most blocks of a panel of its result, and of one side of it.
DEEP_CHUNK, DEEP_BLOCKS, DEEP_SIDE = 128, 96, 16
ADVANTAGE = 0.85  # of the vector instructions' time, below which the unit is taken


@dataclass(frozen=True, slots=True)
class Lead:
    """One loop of several axes that lie one after another: rows of A, or columns of B.

    `axes` are positions among the contraction's axes, outermost first, with their extents.
    """

    axes: tuple[int, ...]
    extents: tuple[int, ...]
    stride: int

    @property
    def extent(self) -> int:
        return prod(self.extents)

    @property
    def blocks(self) -> int:
        return -(-self.extent // BLOCK)


@dataclass(frozen=True, slots=True)
class Side:
    """How an operand is packed: its lead and k loops, and (extent, stride) of loops around them.

    `number`: 0 for A, 1 for B. `rows`: as the unit's left operand (else as its right one). `near`:
    the smaller of the lead's and k's strides, along which vectors are loaded. `parts`: of an
    element, 3 of float32, 1 of bfloat16.
    """

    number: int
    rows: bool
    lead: Lead
    depth: int
    stride: int
    outer: tuple[tuple[int, int, int], ...]  # (position, extent, stride)
    near: int = 1
    parts: int = PARTS

    @property
    def memory(self) -> str:
        """The LLVM type of the operand's elements in memory."""
        return "i16" if self.parts == 1 else "float"

    @property
    def step_bytes(self) -> int:
        """Of 32 rows by 32 k."""
        return self.parts * PART_BYTES

    @property
    def by_k(self) -> bool:
        """Whether vectors are loaded along k."""
        return self.stride == self.near

    @property
    def steps(self) -> int:
        return -(-self.depth // BLOCK)

    @property
    def block_bytes(self) -> int:
        """Of 32 rows: their parts, then their flags."""
        return self.steps * self.step_bytes + FLAG_BYTES

    @property
    def blocks(self) -> int:
        return prod(extent for _, extent, _ in self.outer) * self.lead.blocks

    @property
    def bytes(self) -> int:
        return self.blocks * self.block_bytes

    @property
    def far(self) -> int:
        """The stride of the one of lead and k that vectors are not loaded along."""
        return self.lead.stride if self.by_k else self.stride

    @property
    def turned(self) -> bool:
        """Whether 16 x 16 pairs are transposed after they are packed in the order of memory."""
        return self.by_k != self.rows

    @property
    def cycles(self) -> float:
        elements = self.blocks * BLOCK * self.steps * BLOCK
        cycles = PLAIN_PACK_CYCLES if self.parts == 1 else PACK_CYCLES
        cycles += self.turned * TURNED_CYCLES
        return elements * cycles + KERNEL_CYCLES


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """A contraction as products of matrices: its left and right side and the loops around.

    Vectors of the result run along the right side's lead.
    """

    spec: Contraction
    left: Side
    right: Side
    outer: tuple[int, ...]

    @property
    def count(self) -> int:
        """Iterations of the loops around."""
        return prod(self.spec.axes[p].extent for p in self.outer)

    @property
    def form(self) -> str:
        """One of the five of Note [Where packed operands stay]."""
        right = self.right.lead.blocks * self.right.block_bytes
        steep = self.left.stride != 1 and self.right.stride != 1
        if not self.outer and self.left.depth >= 4 * DEEP_CHUNK and steep:
            return "deep"
        if self.count >= TASKS and right <= BATCH_BYTES and len(self.right.outer) > 0:
            return "batched"
        if self.count * self.left.lead.blocks >= TASKS:
            return "rows"
        large = self.right.bytes > PANEL_BYTES and self.right.lead.blocks >= TASKS
        return "columns" if large and not self.outer and self.left.bytes <= PANEL_BYTES else "apart"

    @property
    def panels(self) -> tuple[int, int]:
        """Into how many ranges of blocks the left and the right side are cut."""
        rows, cols = self.left.lead.blocks, self.right.lead.blocks
        if self.form == "rows":
            most = max(1, PANEL_BYTES // self.pieces.block_bytes)
            return min(rows, max(-(-rows // most), -(-TASKS // self.count))), 1
        if self.form != "deep":
            return 1, 1
        return _deep_panels(rows, cols)

    @property
    def pieces(self) -> Side:
        """The left side over as many k as are multiplied at once in the form `rows`."""
        steps = self.left.steps
        chunks = -(-steps * self.left.step_bytes // CHUNK_BYTES)
        if chunks == 1:
            return self.left
        return replace(self.left, depth=-(-steps // chunks) * BLOCK)

    @property
    def high(self) -> int:
        """The most blocks of a panel of the left side."""
        return -(-self.left.lead.blocks // self.panels[0])

    @property
    def chunks(self) -> int:
        """Into how many pieces the sum is cut in the form `rows`."""
        return -(-self.left.steps // self.pieces.steps) if self.form == "rows" else 1

    @property
    def chunk(self) -> MatrixPlan:
        """The same product over DEEP_CHUNK k."""
        sides = [replace(side, depth=DEEP_CHUNK) for side in (self.left, self.right)]
        return replace(self, left=sides[0], right=sides[1])

    @property
    def task_bytes(self) -> int:
        """Memory that a task packs into."""
        left, right = self.left, self.right
        if self.form == "rows":
            totals = right.lead.blocks * BLOCK_RESULT if self.chunks > 1 else 0
            return self.high * (self.pieces.block_bytes + totals)
        if self.form == "columns":
            return right.block_bytes
        if self.form == "batched":
            return left.block_bytes + right.lead.blocks * right.block_bytes
        rows, cols = self.panels
        step = DEEP_CHUNK // BLOCK * left.step_bytes + FLAG_BYTES
        return step * (-(-left.lead.blocks // rows) + -(-right.lead.blocks // cols))

    @property
    def packed(self) -> tuple[Side, ...]:
        """The sides that kernels of their own pack."""
        found = {
            "apart": (self.left, self.right),
            "rows": (self.right,),
            "columns": (self.left,),
        }
        return found.get(self.form, ())

    @property
    def cycles(self) -> float:
        """Of the products and the result, with the packing that their kernel does."""
        rows, cols = self.left.lead.blocks, self.right.lead.blocks
        step = PLAIN_STEP_CYCLES if self.left.parts == 1 else STEP_CYCLES
        if self.form == "apart" and max(self.left.bytes, self.right.bytes) > PANEL_BYTES:
            step *= 2  # memory beyond the level-2 cache limits it
        total: float = self.count * rows * cols * (self.left.steps * step + STORE_CYCLES)
        of_rows, of_cols = self.panels
        if self.left not in self.packed:
            total += self.left.cycles * of_cols
        if self.right not in self.packed:
            total += self.right.cycles * of_rows
        return total + KERNEL_CYCLES


@lru_cache(1024)
def _deep_panels(rows: int, cols: int) -> tuple[int, int]:
    """The panels of so many blocks that pack the least twice."""
    fits = [
        (rows * c + cols * r, r, c)
        for r in range(-(-rows // DEEP_SIDE), rows + 1)
        for c in range(-(-cols // DEEP_SIDE), cols + 1)
        if -(-rows // r) * -(-cols // c) <= DEEP_BLOCKS
    ]
    _, r, c = min(fits)
    return r, c


@lru_cache(4096)
def matrix_plan(
    spec: Contraction, vector_bits: int, uses: tuple[int, int], wanted: bool = False
) -> MatrixPlan | None:
    """The plan where the matrix unit is there and faster than vector instructions.

    uses: how many contractions of the program share the packed A, and B. wanted: also where the
    cost model says that it is slower.
    """
    if vector_bits != 512 or spec.element not in ELEMENT_PARTS or spec.out_element != spec.element:
        return None
    if spec.bands or spec.flops < 1 << 17 or not has_matrix_unit():
        return None
    plan = as_matrices(spec)
    if plan is None or wanted:
        return plan
    cycles = plan.cycles
    for side in plan.packed:
        cycles += side.cycles / uses[side.number]
    fastest = choose(spec, vector_bits, vector_registers(vector_bits)).cycles
    return plan if cycles < ADVANTAGE * fastest else None


def as_matrices(spec: Contraction) -> MatrixPlan | None:
    """The contraction as matrix products, if both operands are whole along k or along a lead."""
    axes = {p: axis for p, axis in enumerate(spec.axes) if axis.extent != 1}
    depth = _chain(axes, [p for p in axes if axes[p].kind == "k"], ("a", "b"), 1)
    if depth is None or len(depth) != sum(axis.kind == "k" for axis in axes.values()):
        return None
    rows = _chain(axes, [p for p in axes if axes[p].kind == "m"], ("a",), 1)
    cols = _chain(axes, [p for p in axes if axes[p].kind == "n"], ("b",), 1)
    if rows is None or cols is None:
        return None
    swap = axes[cols[-1]].out != 1 and axes[rows[-1]].out == 1
    if swap:
        rows = _chain(axes, [p for p in axes if axes[p].kind == "m"], ("a",), HALF)
    else:
        cols = _chain(axes, [p for p in axes if axes[p].kind == "n"], ("b",), HALF)
    assert rows is not None and cols is not None
    outer = tuple([p for p in axes if p not in (*depth, *rows, *cols)])
    leads = [Lead(tuple(c), tuple([axes[p].extent for p in c]), 0) for c in (rows, cols)]
    sides = []
    for number, name, lead in ((0, "a", leads[0]), (1, "b", leads[1])):
        stride = getattr(axes[depth[-1]], name)
        lead = replace(lead, stride=getattr(axes[lead.axes[-1]], name))
        loops = [(p, axes[p].extent, getattr(axes[p], name)) for p in outer]
        around = tuple([loop for loop in loops if loop[2]])
        extent = prod(axes[p].extent for p in depth)
        if stride != 1 and lead.stride != 1:
            return None
        parts = ELEMENT_PARTS[spec.element]
        sides.append(Side(number, (number == 1) == swap, lead, extent, stride, around, 1, parts))
    left, right = sides[::-1] if swap else sides
    return MatrixPlan(spec, left, right, outer)


def _chain(
    axes: dict[int, Axis], positions: Sequence[int], names: tuple[str, ...], whole: int
) -> list[int] | None:
    """The longest run of axes that are one loop in memory, outermost first; None without axes.

    All but its outermost have extents that `whole` divides.
    """

    def strides(p: int) -> list[int]:
        return [getattr(axes[p], name) for name in names]

    best: list[int] | None = None
    most = 0
    for start in positions:
        chain = [start]
        while axes[chain[0]].extent % whole == 0:
            inner = axes[chain[0]]
            wanted = [inner.extent * s for s in strides(chain[0])]
            found = [p for p in positions if p not in chain and strides(p) == wanted]
            if not found:
                break
            chain.insert(0, found[0])
        size = prod(axes[p].extent for p in chain)
        if size > most:
            best, most = chain, size
    return best
