"""How long each kernel of a compiled program takes: on its own, or in the middle of a program."""

from __future__ import annotations

import math
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np

from flambeau.execute.cpu.compiled import CompiledProgram, single_record
from flambeau.execute.cpu.host_steps import run_host
from flambeau.execute.cpu.lower import HostStep
from flambeau.execute.cpu.pool import get_num_threads
from flambeau.execute.cpu.runner import RECORD_HEADER_WORDS
from flambeau.execute.cpu.runtime import run_functions


@dataclass(frozen=True, slots=True)
class KernelTime:
    """One kernel call of a program: what it computes, its tasks, its best time in seconds."""

    label: str
    seconds: float
    tasks: int
    parallel: bool
    text: str


def kernel_times(compiled: CompiledProgram, table: Any, rounds: int = 10) -> list[KernelTime]:
    """Times each kernel on a filled pointer table (int64 array), in order, `rounds` times over.

    This runs the program: what it updates is updated. The best of the rounds counts, less what an
    empty call takes. NotImplementedError for programs with host steps.
    """
    if not compiled.native:
        raise NotImplementedError("kernel_times: programs with host steps")
    call, threads = run_functions().releasing, get_num_threads()
    blob, address = compiled.blob, int(table.ctypes.data)
    programs, places = [], []
    at = 0
    while blob[at]:
        end = at + RECORD_HEADER_WORDS + int(blob[at + 3])
        programs.append(single_record(blob[at:end]))
        places.append(at)
        at = end
    entries = [int(p.ctypes.data) for p in programs]
    empty = np.zeros(RECORD_HEADER_WORDS, np.int64)
    idle = min(_timed(call, address, int(empty.ctypes.data), threads) for _ in range(20))
    best = [math.inf] * len(entries)
    for _ in range(rounds):
        for number, entry in enumerate(entries):
            best[number] = min(best[number], _timed(call, address, entry, threads))
    return [
        KernelTime(k.label, max(seconds - idle, 0.0), k.tasks, k.parallel, k.text)
        for k, seconds in zip(compiled.kernels, best, strict=True)
    ]


class SteppedRun:
    """A compiled program that runs step by step (kernels and host steps), with the same results."""

    def __init__(self, compiled: CompiledProgram) -> None:
        self.compiled = compiled
        # Kept alive here: the runner reads them. Of a host step there is none.
        self.records: list[Any] = []
        self.hosts: list[HostStep | None] = []
        blob = compiled.blob
        for segment in compiled.segments:
            if segment.host is not None:
                self.records.append(None)
                self.hosts.append(segment.host)
                continue
            at = segment.start
            while blob[at]:
                end = at + RECORD_HEADER_WORDS + int(blob[at + 3])
                self.records.append(single_record(blob[at:end]))
                self.hosts.append(None)
                at = end
        self.entries = [0 if r is None else int(r.ctypes.data) for r in self.records]
        empty = np.zeros(RECORD_HEADER_WORDS, np.int64)
        functions = run_functions()
        self.call = functions.releasing if compiled.parallel else functions.holding
        self.idle = min(_timed(self.call, 0, int(empty.ctypes.data), 1) for _ in range(9))

    def run(self, table: Any) -> tuple[int, list[float]]:
        """Runs on a filled pointer table; 0 or the word of a failure, and the seconds of each step
        (less what an empty call takes).
        """
        call, idle, address = self.call, self.idle, int(table.ctypes.data)
        threads = get_num_threads() if self.compiled.parallel else 1
        seconds: list[float] = []
        for entry, host in zip(self.entries, self.hosts, strict=True):
            start = perf_counter()
            if host is not None:
                run_host(host, self.compiled.program, table)
            else:
                code = call(address, entry, threads)
                if code:
                    return code, seconds
            seconds.append(max(perf_counter() - start - idle, 0.0))
        return 0, seconds


def _timed(call: Any, table: int, program: int, threads: int) -> float:
    start = perf_counter()
    call(table, program, threads)
    return perf_counter() - start
