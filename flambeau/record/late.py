"""Results that are made when somebody looks at them.

The gradient of a large table is zero but for the rows that a batch has touched, that of a layer's
weights a product of two small matrices. What a program computes of them is these rows, or these
matrices (see `flambeau.graph.sparse_rows` and `flambeau.graph.late_products`), and most programs
throw such a gradient away before anybody has looked: its storage has no memory until then.
"""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.dtypes import int64
from flambeau.execute import reference
from flambeau.graph.late_products import LateProduct, with_late_products
from flambeau.graph.program import Program
from flambeau.graph.sparse_rows import Late, with_sparse_rows
from flambeau.record.storage import (
    ALIGNMENT,
    NO_MEMORY,
    Buffer,
    Storage,
    allocate,
    no_memory,
)
from flambeau.record.worth import leaving_pays

if TYPE_CHECKING:
    from flambeau.record.native import NativeProgram
    from flambeau.record.plan import Plan

# Runs whose late results were wanted, after which the plan makes them itself (if they are half of
# all).
PATIENCE = 2


class Maker(Protocol):
    """How a late result is made: of which results, and of how many bytes it is."""

    @property
    def operands(self) -> tuple[int, ...]: ...

    @property
    def nbytes(self) -> int: ...

    def make(self, operands: tuple[Storage, ...], compiled: bool) -> Buffer:
        """Its memory, with the numbers that the program (`compiled`, or run by the reference
        executor) would have written.
        """
        ...


def with_late_results(program: Program) -> tuple[Program, Mapping[int, Maker]]:
    """The program, and how those of its results are made that it leaves to whoever looks. Results
    keep their numbers.
    """
    program, rows = with_sparse_rows(program)
    makers: dict[int, Maker] = {number: Rows(late) for number, late in rows.items()}
    lean, products = with_late_products(program, rows)
    if products and leaving_pays(program, sum(late.nbytes for late in products.values())):
        program = lean
        makers |= {number: Product(late) for number, late in products.items()}
    return program, makers


class LateStorage(Storage):
    """A storage that gets its memory when that is first asked for."""

    __slots__ = ("_compiled", "_maker", "_operands", "_plan", "_run")

    def __init__(
        self, plan: Plan, maker: Maker, operands: tuple[Storage, ...], compiled: bool, run: Any
    ) -> None:
        super().__init__(NO_MEMORY)
        del self.buffer  # whoever asks for it has it made
        self._maker = maker
        self._operands: tuple[Storage, ...] | None = operands
        self._compiled = compiled
        self._plan = weakref.ref(plan)
        self._run = run  # equal for those of one run (native code takes a number)

    @property
    def nbytes(self) -> int:
        return self._maker.nbytes

    @property
    def operands(self) -> tuple[Storage, ...]:
        """What it is made of, until it is."""
        return self._operands or ()

    @property
    def made(self) -> bool:
        """Whether it has its memory."""
        return self._operands is None

    def __getattr__(self, name: str) -> Any:
        """`buffer`, while the slot is empty."""
        if name != "buffer":
            raise AttributeError(name)
        from flambeau.record.flushing import settling

        with settling():
            operands = self._operands
            if operands is not None:
                self.buffer = self._maker.make(operands, self._compiled)
                self._operands = None
                plan = self._plan()
                if plan is not None and plan.looked != self._run:
                    plan.looked = self._run
                    plan.look_at_late()
            return object.__getattribute__(self, name)


class Rows:
    """A table: the rows in their places."""

    def __init__(self, late: Late) -> None:
        self.operands = late.compact, late.table
        self.nbytes = late.nbytes

    def make(self, operands: tuple[Storage, ...], compiled: bool) -> Buffer:
        rows, table = operands
        places = table.array(int64)
        try:
            raw = np.zeros(self.nbytes + ALIGNMENT, np.uint8)
        except MemoryError:
            raise no_memory(self.nbytes) from None
        address = address_of(raw)
        start = -address % ALIGNMENT
        width = self.nbytes // places.size
        compact = np.asarray(rows.buffer).reshape(-1, width)
        (touched,) = places.nonzero()
        whole = raw[start : start + self.nbytes].reshape(-1, width)
        if compact[0].any():  # (scaled by what is no number)
            whole[:] = compact[0]
        whole[touched] = compact[places[touched]]
        return Buffer(raw, address + start, self.nbytes, start)


class Product:
    """A product of matrices, as a program of its own."""

    def __init__(self, late: LateProduct) -> None:
        self.operands = late.left, late.right
        self.nbytes = late.nbytes
        self.program = late.program
        self.native: NativeProgram | None = None

    def make(self, operands: tuple[Storage, ...], compiled: bool) -> Buffer:
        result = Storage(allocate(self.nbytes))
        native = self.compile() if compiled else None
        if native is None:
            bases = zip(operands, self.program.bases, strict=True)
            arrays = [storage.array(dtype) for storage, (dtype, _) in bases]
            (found,) = reference.execute(self.program, arrays, ())
            result.array(self.program.results[0].dtype)[:] = found.ravel()
            return result.buffer
        table = native.addresses([(storage, 0) for storage in operands], [result])
        code = native.run_table(np.array(table, np.int64))
        assert code == 0, code  # nothing in it is checked
        return result.buffer

    def compile(self) -> NativeProgram | None:
        """The compiled program; None where there is no room for more machine code."""
        from flambeau.execute.cpu.target import NoRoomForCode
        from flambeau.record.native import NativeProgram

        if self.native is None:
            try:
                self.native = NativeProgram(self.program)
            except NoRoomForCode:
                return None
        return self.native
