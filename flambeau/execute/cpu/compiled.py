"""A compiled program: machine code, the words that the runner walks, and how to run them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.execute.cpu import bounds, runtime
from flambeau.graph.program import Program

if TYPE_CHECKING:
    from flambeau.execute.cpu.loops import KernelCode
    from flambeau.execute.cpu.lower import HostStep


@dataclass
class Segment:
    """A run of native kernel calls (their place in the blob), or a host step."""

    start: int
    host: HostStep | None = None
    first: int = 0  # the number of its first kernel


@dataclass
class CompiledProgram:
    """Machine code for a program.

    The pointer table has a slot per base, per result, one for the run-time scalars (8 bytes each:
    float64, int64, bool as int64) and one for the arena (`arena_bytes`, 64-byte aligned). `blob`
    is the program that `runtime.call_run` takes. If `segments` holds host steps, only `run`
    executes the whole. `made` are its kernels, unless it comes from the disk.
    """

    program: Program
    blob: Any
    segments: list[Segment]
    table_slots: int
    arena_bytes: int
    parallel: bool
    made: list[KernelCode] | None = None
    groups: list[int] = field(default_factory=list)  # of each kernel, where `made`
    timings: dict[str, float] = field(default_factory=dict)
    # For the checking mode: (place in the arena, bytes) that nobody reads after a kernel (number).
    ended: dict[int, list[tuple[int, int]]] = field(default_factory=dict)

    @property
    def native(self) -> bool:
        """Whether one `call_run` on `address` executes the whole program."""
        return all(s.host is None for s in self.segments)

    @property
    def address(self) -> int:
        return int(self.blob.ctypes.data)

    @property
    def kernels(self) -> list[KernelCode]:
        """Its kernels in the order of their calls."""
        if self.made is None:
            from flambeau.execute.cpu.compiler import compile_program

            self.made = compile_program(self.program).kernels
        return self.made

    def run(
        self,
        base_addresses: Sequence[int],
        result_addresses: Sequence[int],
        scalars_address: int,
        arena_address: int,
    ) -> int:
        """Executes the program; 0, or the word that `runtime.failure` explains (nothing was
        updated then).

        A host step raises what its primitive raises.
        """
        table = np.array(
            [*base_addresses, *result_addresses, scalars_address, arena_address], np.int64
        )
        return self.run_table(table)

    def run_table(self, table: Any) -> int:
        """As `run`, on a pointer table (int64 array)."""
        if bounds.switched_on():
            from flambeau.execute.cpu.checked_runs import run_checked

            return run_checked(self, table)
        for segment in self.segments:
            if segment.host is not None:
                from flambeau.execute.cpu.host_steps import run_host

                run_host(segment.host, self.program, table)
                continue
            code = runtime.call_run(
                address_of(table), self.address + 8 * segment.start, release_gil=self.parallel
            )
            if code:
                return code
        return 0
