"""Running compiled programs: the encoding of a program, and the one foreign call that runs it."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from flambeau.execute.cpu.entrances import entrances
from flambeau.execute.cpu.pool import get_num_threads, native
from flambeau.execute.cpu.runner import MAX_TASKS, RECORD_HEADER_WORDS


class Record(NamedTuple):
    """One kernel call of a program: where the kernel is, its tasks, and its argument words.

    `parallel` tasks may run in any order and at the same time, on any thread.
    """

    address: int
    arguments: Sequence[int]
    tasks: int = 1
    parallel: bool = False


def encode_program(records: Sequence[Record]) -> npt.NDArray[np.int64]:
    """The int64 array that `run` walks; keep it alive while the program may run.

    Raises ValueError for a record without a kernel, with negative tasks, or with more than
    2**24 - 1 parallel ones.
    """
    words: list[int] = []
    for number, record in enumerate(records):
        if record.address == 0:
            raise ValueError(f"record {number} has no kernel address")
        if record.tasks < 0 or (record.parallel and record.tasks > MAX_TASKS):
            raise ValueError(f"record {number} has {record.tasks} tasks")
        words += [record.address, record.tasks, int(record.parallel), len(record.arguments)]
        words += record.arguments
    words += [0] * RECORD_HEADER_WORDS
    return np.array(words, dtype=np.int64)


RunFunction = Callable[[int, int, int], int]


class RunFunctions(NamedTuple):
    """The raw foreign functions (table address, program address, threads) -> result word."""

    releasing: RunFunction
    """Lets other Python threads run meanwhile."""
    holding: RunFunction
    """Keeps the interpreter's lock: cheaper, for programs of a few microseconds."""


@cache
def run_functions() -> RunFunctions:
    """The foreign functions that run a program; compiles (or loads) the runner on first use."""
    address = native().run
    # c_void_p converts in half the time of the integer types; the thread count rides along as one.
    pointer, word = ctypes.c_void_p, ctypes.c_int64
    releasing = ctypes.CFUNCTYPE(word, pointer, pointer, pointer)(address)
    builtin = entrances()
    if builtin is not None:
        return RunFunctions(releasing, builtin.run)
    return RunFunctions(releasing, ctypes.PYFUNCTYPE(word, pointer, pointer, pointer)(address))


def call_run(table_address: int, program_address: int, release_gil: bool) -> int:
    """Runs a program over a table of buffer addresses; 0, or the word that `failure` explains."""
    functions = run_functions()
    function = functions.releasing if release_gil else functions.holding
    return function(table_address, program_address, get_num_threads())


class Failure(NamedTuple):
    """Which record of a program failed, and the code its kernel returned (1 .. 2**32 - 1)."""

    record: int
    code: int


def failure(result: int) -> Failure | None:
    """What a result word of `run` says: None for success."""
    if result == 0:
        return None
    return Failure((result >> 32) - 1, result & 0xFFFFFFFF)
