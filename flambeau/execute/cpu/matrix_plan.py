"""Products of float32 matrices on the CPU's matrix unit (Intel's AMX): when, and in which pieces.

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

import ctypes
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, lru_cache
from math import prod

from flambeau.core import settings
from flambeau.execute.cpu.contraction_plan import TASKS, choose
from flambeau.execute.cpu.contraction_spec import Axis, Contraction
from flambeau.execute.cpu.emit import vector_registers
from flambeau.execute.cpu.target import Target

BLOCK = 32  # rows and columns of a block of the result, and k indices of a step
HALF = 16
PARTS = 3
PART_BYTES = 2 * BLOCK * BLOCK
STEP_BYTES = PARTS * PART_BYTES  # 32 rows by 32 k of one operand
FLAG_BYTES = 64
# Cycles: of a step of a block (24 products of tiles), of storing a block, of packing an element
# (rows, columns that go through a transposition), of a kernel.
STEP_CYCLES, STORE_CYCLES, TRANSPOSE_CYCLES, KERNEL_CYCLES = 470, 700, 300, 400
PACK_CYCLES, TURNED_CYCLES = 0.6, 0.8
RIGHT_BYTES, LEFT_BYTES = 5 << 18, 5 << 16
DEEP_CHUNK, DEEP_BLOCKS = 128, 96
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

    `number`: 0 for A, 1 for B. `rows`: as the unit's left operand (else as its right one).
    """

    number: int
    rows: bool
    lead: Lead
    depth: int
    stride: int
    outer: tuple[tuple[int, int, int], ...]  # (position, extent, stride)

    @property
    def steps(self) -> int:
        return -(-self.depth // BLOCK)

    @property
    def block_bytes(self) -> int:
        """Of 32 rows: their parts, then their flags."""
        return self.steps * STEP_BYTES + FLAG_BYTES

    @property
    def blocks(self) -> int:
        return prod(extent for _, extent, _ in self.outer) * self.lead.blocks

    @property
    def bytes(self) -> int:
        return self.blocks * self.block_bytes

    @property
    def turned(self) -> bool:
        """Whether 16 x 16 pairs are transposed after they are packed in the order of memory."""
        return (self.stride == 1) != self.rows

    @property
    def cycles(self) -> float:
        elements = self.blocks * BLOCK * self.steps * BLOCK
        return elements * (TURNED_CYCLES if self.turned else PACK_CYCLES) + KERNEL_CYCLES


@dataclass(frozen=True, slots=True)
class MatrixPlan:
    """A contraction as products of matrices: its left and right side and the loops around.

    `turned`: vectors of the result run along the left side's lead, so blocks are transposed.
    """

    spec: Contraction
    left: Side
    right: Side
    outer: tuple[int, ...]
    turned: bool

    @property
    def by_rows(self) -> bool:
        """See Note [Where packed rows stay]: there are enough rows, and the right side fits."""
        right = self.right.lead.blocks * self.right.block_bytes
        rows = prod(self.spec.axes[p].extent for p in self.outer) * self.left.lead.blocks
        fits = right <= RIGHT_BYTES and self.left.block_bytes <= LEFT_BYTES
        return rows >= TASKS and fits and not self.deep

    @property
    def left_bytes(self) -> int:
        """Memory for the packed left side: all of it, or a block for each task."""
        return 2 * TASKS * self.left.block_bytes if self.by_rows else self.left.bytes

    @property
    def deep(self) -> bool:
        """See Note [Where packed rows stay]: the sum is long, the result small."""
        blocks = self.left.lead.blocks * self.right.lead.blocks
        whole = self.left.stride == 1 and self.left.lead.blocks >= TASKS
        return (
            not self.outer
            and self.left.depth >= 4 * DEEP_CHUNK
            and blocks <= DEEP_BLOCKS
            and self.chunk.left.bytes + self.chunk.right.bytes <= RIGHT_BYTES
            and not whole
        )

    @property
    def chunk(self) -> MatrixPlan:
        """The same product over DEEP_CHUNK k."""
        sides = [replace(side, depth=DEEP_CHUNK) for side in (self.left, self.right)]
        return replace(self, left=sides[0], right=sides[1])

    @property
    def deep_tasks(self) -> int:
        """Into how many pieces the sum is cut: each has memory of its own to go through."""
        return TASKS if self.left.depth >= 4096 else TASKS // 2

    @property
    def deep_task_bytes(self) -> int:
        """Memory of a task of a `deep` plan."""
        blocks = self.left.lead.blocks * self.right.lead.blocks
        packed = self.chunk.left.bytes + self.chunk.right.bytes
        return packed + blocks * 4 * BLOCK * BLOCK

    @property
    def cycles(self) -> float:
        """Of the products and the result, without packing."""
        count = prod(self.spec.axes[p].extent for p in self.outer)
        blocks = count * self.left.lead.blocks * self.right.lead.blocks
        stores = STORE_CYCLES + TRANSPOSE_CYCLES * self.turned
        return blocks * (self.left.steps * STEP_CYCLES + stores) + KERNEL_CYCLES


@cache
def has_matrix_unit() -> bool:
    """Whether this process may use the matrix unit: the CPU, the system and the user allow it."""
    if not settings.matrix_unit_wanted() or sys.platform != "linux":
        return False
    if platform.machine() != "x86_64":
        return False
    target = Target.host()
    if not all(target.has(f) for f in ("amx-tile", "amx-bf16")):
        return False
    arch_prctl, request_permission, tile_data = 158, 0x1023, 18
    system = ctypes.CDLL(None, use_errno=True)
    return int(system.syscall(arch_prctl, request_permission, tile_data)) == 0


@lru_cache(4096)
def matrix_plan(spec: Contraction, vector_bits: int, uses: tuple[int, int]) -> MatrixPlan | None:
    """The plan where the matrix unit is there and faster than vector instructions.

    uses: how many contractions of the program share the packed A, and B.
    """
    if vector_bits != 512 or spec.element != "float" or spec.out_element != "float":
        return None
    if spec.bands or spec.flops < 1 << 17 or not has_matrix_unit():
        return None
    plan = as_matrices(spec)
    if plan is None:
        return None
    cycles = plan.cycles
    for side in (plan.left, plan.right):
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
    along_rows = axes[cols[-1]].out != 1 and axes[rows[-1]].out == 1
    if along_rows:
        rows = _chain(axes, [p for p in axes if axes[p].kind == "m"], ("a",), HALF)
    else:
        cols = _chain(axes, [p for p in axes if axes[p].kind == "n"], ("b",), HALF)
    assert rows is not None and cols is not None
    outer = tuple([p for p in axes if p not in (*depth, *rows, *cols)])
    leads = [Lead(tuple(c), tuple([axes[p].extent for p in c]), 0) for c in (rows, cols)]
    swap = leads[1].extent > leads[0].extent
    sides = []
    for number, name, lead in ((0, "a", leads[0]), (1, "b", leads[1])):
        stride = getattr(axes[depth[-1]], name)
        lead = replace(lead, stride=getattr(axes[lead.axes[-1]], name))
        loops = [(p, axes[p].extent, getattr(axes[p], name)) for p in outer]
        around = tuple([loop for loop in loops if loop[2]])
        extent = prod(axes[p].extent for p in depth)
        if stride != 1 and lead.stride != 1:
            return None
        sides.append(Side(number, (number == 1) == swap, lead, extent, stride, around))
    left, right = sides[::-1] if swap else sides
    return MatrixPlan(spec, left, right, outer, along_rows != swap)


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
