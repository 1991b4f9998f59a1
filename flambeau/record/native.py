"""A plan's compiled form: the table of addresses a native program runs on, filled anew for each
run.
"""

from __future__ import annotations

import errno
import struct
import sys
import threading
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.errors import FoundNaN
from flambeau.execute import reference
from flambeau.execute.cpu import bounds
from flambeau.execute.cpu.pool import get_num_threads
from flambeau.graph.program import Program, scalar_words
from flambeau.record.observing import WATCH
from flambeau.record.recording import ERA
from flambeau.record.statistics import STATISTICS
from flambeau.record.storage import NO_MEMORY, Buffer, Storage, allocate

if TYPE_CHECKING:
    from flambeau.execute.cpu.compiled import CompiledProgram
    from flambeau.record.recording import Recording

SAMPLED = 16  # one run in so many of a small program is timed, and counts as so many
_SCALAR_CODES = {"b": "q", "i": "q", "f": "d", "c": "dd"}


def _arena_memory(nbytes: int) -> Buffer:
    """Memory for an arena; in the checking mode between guard pages."""
    if not bounds.switched_on() or sys.platform != "linux":
        return allocate(nbytes)
    try:
        owner, address = bounds.guarded(nbytes)
    except OSError as error:
        if error.errno != errno.ENOMEM:
            raise
        raise MemoryError(f"no room for {nbytes} bytes of intermediates") from None
    return Buffer(owner, address, nbytes)


class _Arena(threading.local):
    """Per thread: the memory that programs use for intermediates, shared by all of them."""

    def __init__(self) -> None:
        self.buffer: Buffer = allocate(1 << 16)
        self.token = object()  # another for each buffer: tables that know it keep no memory


ARENA = _Arena()


def in_real_numbers(program: Program, scalars: list[Any]) -> list[Any]:
    """The scalars, complex ones as two."""
    found: list[Any] = []
    for dtype, number in zip(program.scalars, scalars, strict=True):
        found += (number.real, number.imag) if dtype.is_complex else (number,)
    return found


def _begin_native_calls() -> None:
    from flambeau.record import native_calls

    native_calls.begin()


class NativeProgram:
    """A program compiled for this CPU."""

    def __init__(self, program: Program) -> None:
        from flambeau.execute.cpu.keeping import compiled_program
        from flambeau.execute.cpu.runtime import run_functions

        self.program = program
        self.compiled = compiled_program(program, _begin_native_calls)
        releasing, holding = run_functions()
        self.call = releasing if self.compiled.parallel else holding
        self.parallel = self.compiled.parallel
        self.pack_scalars = struct.Struct(
            "".join(_SCALAR_CODES[d.kind] for d in program.scalars)
        ).pack_into
        self.base_count = len(program.bases)
        others = len(program.results) + 2
        self.pack_bases = struct.Struct(f"{self.base_count}Q").pack_into
        self.pack_others = struct.Struct(f"{others}Q").pack_into
        self.arena_at: object = None  # the token of the one that the table has
        self.table: Any = np.zeros(self.base_count + others, np.int64)
        self.table_address = address_of(self.table)
        self.has_complex = any(d.is_complex for d in program.scalars)
        self.scalar_block: Any = np.zeros(max(scalar_words(program.scalars)[-1], 1), np.uint64)
        self.scalar_address = address_of(self.scalar_block)
        # One foreign call where the whole program is native; else the compiler's own walk over
        # segments.
        segments = self.compiled.segments
        self.entry = self.compiled.address + 8 * segments[0].start if segments else 0
        self.whole = self.compiled.native and bool(segments) and not bounds.switched_on()
        self.alone = self.whole and not self.parallel  # on one thread, in one call
        self.on_one_thread = (self.table_address,), (self.entry,), (1,)
        self.arena_bytes = self.compiled.arena_bytes
        self.careful: CompiledProgram | None = None  # with host steps in place of NumPy's loops

    def addresses(self, bases: list[tuple[Storage, int]], storages: list[Storage]) -> list[int]:
        """What stands in the table: bases, results, the scalars, the arena."""
        found = [s.buffer.address + offset for s, offset in bases]
        found += [s.buffer.address for s in storages]
        found += (self.scalar_address, self.arena().address)  # (last: buffers may take it to make)
        return found

    def arena(self) -> Buffer:
        """The thread's memory for intermediates, with room for this program's."""
        arena = ARENA.buffer
        if arena.nbytes < self.arena_bytes:
            # First the old one goes, also from the tables that know it: there may be no room.
            ERA[0] += 1
            ARENA.token, ARENA.buffer = object(), NO_MEMORY
            arena = ARENA.buffer = _arena_memory(self.arena_bytes)
        return arena

    def run(self, rec: Recording, storages: list[Storage], moved: bool, codes: list[Any]) -> None:
        """Runs on the recording's bases; results go to the storages' buffers, which are not where
        they were in the run before if they have `moved`. `codes` gets a 0 as soon as all is
        computed, also where an interrupt comes at the same moment. (One thread at a time: see
        `settling`.)
        """
        scalars = rec.scalars
        addresses = [
            s.buffer.address + start if start else s.buffer.address for s, start in rec.bases
        ]
        statistics = STATISTICS
        statistics.events += rec.state.depth
        runs = statistics.runs = statistics.runs + 1
        if moved or self.arena_at is not ARENA.token:
            self.place(storages)
        self.pack_bases(self.table, 0, *addresses)
        if scalars:
            if self.has_complex:
                scalars = in_real_numbers(self.program, scalars)
            self.pack_scalars(self.scalar_block, 0, *scalars)
        observer = WATCH.observer
        unseen = observer is None or not observer.every_run
        if unseen and self.alone and runs % SAMPLED:
            # One step for the interpreter: an interrupt finds the call's result in the list.
            codes += map(self.call, *self.on_one_thread)
        else:
            self.timed(self.table, codes)
        if codes[0] and self.is_declined(codes[0]):
            code = codes.pop()
            codes += map(self.again, (self.table,), (code,))
        if codes[0]:
            self.explain(rec, codes[0])

    def is_declined(self, code: int) -> bool:
        """Whether a kernel has left its data to the reference executor."""
        from flambeau.execute.cpu.compiled import declined

        return declined(code)

    def again(self, table: Any, code: int) -> int:
        """What comes of a run on a table whose code was this: where a kernel has declined, of the
        program with host steps.
        """
        if not self.is_declined(code):
            return code
        if self.careful is None:
            from flambeau.execute.cpu.compiler import compile_program

            self.careful = compile_program(self.program, loops=False)
        arena = allocate(self.careful.arena_bytes)
        given = table.copy()
        given[-1] = arena.address
        codes: list[int] = []
        self.careful.run_table(given, codes)
        return codes[0]

    def place(self, storages: list[Storage]) -> None:
        """Writes the addresses of the results, the scalars and the arena into the table."""
        arena = self.arena()
        found = [s.buffer.address for s in storages]
        found += (self.scalar_address, arena.address)
        self.pack_others(self.table, 8 * self.base_count, *found)
        self.arena_at = ARENA.token

    def timed(self, table: Any, codes: list[Any], called: bool = False) -> None:
        """Runs on a table that is filled, by the clock; what came of it is added to `codes`.
        `called`: as a compiled function's program, without a recording.
        """
        start, observer = perf_counter(), WATCH.observer
        if observer is None:
            self.run_table(table, codes)
            share = SAMPLED if self.alone else 1
        else:
            share = SAMPLED if self.alone and not observer.every_run else 1
            told = observer.calling if called else observer.running
            codes.append(told(self, table))
        STATISTICS.seconds += (perf_counter() - start) * share

    def run_table(self, table: Any, codes: list[Any] | None = None) -> int:
        """Runs on a table that is filled; not 0 where a kernel has refused its data. That number is
        added to `codes`.
        """
        if codes is None:
            codes = []
        if self.whole:
            threads = get_num_threads() if self.parallel else 1
            codes += map(self.call, (address_of(table),), (self.entry,), (threads,))
        else:
            self.compiled.run_table(table, codes)
        code: int = codes[0]
        return code

    def explain(self, rec: Recording, code: int) -> Any:
        """A kernel refused its data: the reference executor raises the exception that says why.
        (Where one has only declined them, `run` goes on.)
        """
        from flambeau.record.plan import base_array

        if self.is_declined(code):
            return

        arrays = [
            base_array(s, offset, dtype, extent).copy()
            for (s, offset), (dtype, extent) in zip(rec.bases, self.program.bases, strict=True)
        ]
        try:
            reference.execute(self.program, arrays, rec.scalars)
        except FoundNaN:
            raise reference.first_nan(self.program, arrays, rec.scalars) from None
        raise RuntimeError(
            f"compiled program failed with code {code}, but the reference executor does not: "
            "please report this (FLAMBEAU_EXECUTOR=reference avoids it)"
        )
