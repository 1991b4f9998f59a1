"""A compiled program: machine code, the words that the runner walks, and how to run them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.interrupts import is_interrupt
from flambeau.execute.cpu import bounds, runtime
from flambeau.execute.cpu.runner import PARALLEL, RECORD_HEADER_WORDS
from flambeau.graph.program import Program

if TYPE_CHECKING:
    from flambeau.execute.cpu.forms import Forms
    from flambeau.execute.cpu.loops import KernelCode
    from flambeau.execute.cpu.lower import HostStep


# The code of a kernel that leaves its data to the reference executor.
DECLINED = 2


def declined(code: int) -> bool:
    """Whether a result word of a program's run says so."""
    return code & 0xFFFFFFFF == DECLINED


def single_record(record: Any) -> Any:
    """A program of one record of another (int64 arrays), out of its chain."""
    alone = np.concatenate([record, np.zeros(RECORD_HEADER_WORDS, np.int64)])
    alone[2] &= PARALLEL
    return alone


class Segment(NamedTuple):
    """A run of native kernel calls (their place in the blob), or a host step."""

    start: int
    host: HostStep | None = None
    first: int = 0  # the number of its first kernel


class CompiledProgram:
    """Machine code for a program.

    The pointer table has a slot per base, per result, one for the run-time scalars (8 bytes each:
    float64, int64, bool as int64) and one for the arena (`arena_bytes`, 64-byte aligned). `blob`
    is the program that `runtime.call_run` takes. If `segments` holds host steps, only `run`
    executes the whole. `made` are its kernels, unless it comes from the disk.
    """

    def __init__(
        self,
        program: Program,
        blob: Any,
        segments: list[Segment],
        table_slots: int,
        arena_bytes: int,
        parallel: bool,
        made: list[KernelCode] | None = None,
        forms: Forms | None = None,
        groups: Sequence[int] = (),
        timings: dict[str, float] | None = None,
        ended: dict[int, list[tuple[int, int]]] | None = None,
    ) -> None:
        self.program = program
        self.blob = blob
        self.segments = segments
        self.table_slots = table_slots
        self.arena_bytes = arena_bytes
        self.parallel = parallel
        self.made = made
        self.forms = forms  # that it was compiled with; None: as cost models say
        self.groups = groups  # of each kernel, where `made`
        self.timings = timings or {}
        # In the checking mode: (place in the arena, bytes) that nobody reads after a kernel.
        self.ended = ended or {}

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

            self.made = compile_program(self.program, forms=self.forms).kernels
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
        codes: list[int] = []
        self.run_table(table, codes)
        return codes[0]

    def run_table(self, table: Any, codes: list[int]) -> None:
        """As `run`, on a pointer table (int64 array); the number is added to `codes`.

        An interrupt that comes later than the first segment is raised when all has run.
        """
        if bounds.switched_on():
            from flambeau.execute.cpu.checked_runs import run_checked

            codes.append(run_checked(self, table))
            return
        ended: list[int] = []  # a number for each segment that has run
        late: BaseException | None = None
        while len(ended) < len(self.segments) and not any(ended):
            segment = self.segments[len(ended)]
            try:
                if segment.host is not None:
                    from flambeau.execute.cpu.host_steps import run_host

                    run_host(segment.host, self.program, table)
                    ended.append(0)
                else:
                    place = self.address + 8 * segment.start
                    calls = runtime.call_run, (address_of(table),), (place,), (self.parallel,)
                    ended += map(*calls)
            except BaseException as error:
                if not ended or not is_interrupt(error):
                    raise
                late = error
        codes.append(ended[-1] if ended else 0)
        if late is not None:
            raise late
