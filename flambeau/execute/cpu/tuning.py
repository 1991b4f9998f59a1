"""Kernels chosen by measuring them on the user's machine.

Where several kernels can compute a contraction (on the matrix unit or with vector instructions, in
tiles of several sizes) or a program (its images with the batch innermost or not, its convolutions
of 3 x 3 in Winograd's form or not), each is timed on memory of its own, and the fastest is taken.
What was found is kept on disk, keyed by the CPU and by what the program computes, and holds from
then on, with any number of threads: bits do not change from run to run. It takes some compiling,
once for each program.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from contextlib import ContextDecorator
from functools import cache
from time import perf_counter
from typing import Any

import numpy as np

from flambeau.core import settings
from flambeau.execute.cpu import winograd
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.engine import engine
from flambeau.execute.cpu.forms import DEFAULT, UNIT, VECTOR, Form, Forms
from flambeau.execute.cpu.objects import object_key
from flambeau.graph.program import Program, scalar_words

ROUNDS = 7
# What another form has to be faster by (of the time, and in seconds): less is noise, and not worth
# other bits.
ENOUGH, GAIN = 0.95, 2e-6
# Multiply-adds of a program's contractions below which nothing is measured.
SMALL = 200_000
CANDIDATES = (Form(VECTOR), Form(UNIT), Form(VECTOR, 1), Form(VECTOR, 2))

Compile = Callable[[Program, Forms], CompiledProgram]


class _State:
    """How many `tune` contexts are open, in all threads, and what was found in this process."""

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self.open = 0
        self.found: dict[bytes, Forms] = {}


_STATE = _State()


@cache
def _asked() -> bool:
    return settings.tuning_wanted()


def switched_on() -> bool:
    """Whether programs that are compiled now are tuned."""
    return _STATE.open > 0 or _asked()


class tune(ContextDecorator):
    """Chooses the kernels of programs that are compiled inside by timing them on this machine.

    A context or a decorator: `with flambeau.tune(): train()`. What was measured is kept in the disk
    cache, so that later runs under it only look it up; FLAMBEAU_TUNE=1 does the same for a whole
    process. `enabled=False` changes nothing. Results may differ from untuned ones in their last
    bits, but not from run to run. Programs that are compiled before stay as they are.
    """

    def __init__(self, enabled: bool = True) -> None:
        if not isinstance(enabled, bool):
            raise TypeError(f"tune expects enabled to be a bool, got {type(enabled).__name__}")
        self.enabled = enabled

    def __enter__(self) -> tune:
        with _STATE.lock:
            _STATE.open += self.enabled
        return self

    def __exit__(self, *exception: object) -> None:
        with _STATE.lock:
            _STATE.open -= self.enabled


def tuned_forms(program: Program, spelled: str | None, compiling: Compile) -> Forms:
    """The fastest forms of a program: as found before, or measured now.

    `spelled` says all that the program computes; None where it cannot be kept.
    """
    if work(program) < SMALL or spelled is None:
        return Forms()
    key = object_key(f"tuned forms\n{spelled}", engine().target)
    with _STATE.lock:
        known = _STATE.found.get(key)
        if known is None:
            known = _stored(key)
            if known is None:
                known = fastest(program, compiling)
                store = engine().cache
                if store is not None:
                    store.put(key, json.dumps(known.as_dict()).encode())
            _STATE.found[key] = known
        return known


def _stored(key: bytes) -> Forms | None:
    store = engine().cache
    payload = None if store is None else store.get(key)
    return None if payload is None else Forms.from_dict(json.loads(payload))


def work(program: Program) -> int:
    """Multiply-adds of the program's contractions."""
    total = 0
    for v in program.nodes():
        if v.primitive.name == "dot":
            total += v.size * v.inputs[0].shape[-1]
        elif v.primitive.name == "conv":
            kernel = v.inputs[1]
            total += v.size * (kernel.size // max(kernel.shape[0] * kernel.shape[1], 1))
    return total


def fastest(program: Program, compiling: Compile) -> Forms:
    """Measures: layouts first, then the contractions, each by itself."""
    memory = _Memory(program)
    best, times = Forms(), memory.times(compiling(program, Forms()))
    if times is None:
        return best  # parts of it run on the host
    if any(v.primitive.name == "conv" for v in program.nodes()):
        other = Forms(innermost=False)
        found = memory.times(compiling(program, other))
        if found is not None and sum(found.values()) < ENOUGH * sum(times.values()):
            best, times = other, found
    if any(winograd.possible(v) and winograd.can_gain(v) for v in program.nodes()):
        plain, tiled = [compiling(program, best._replace(winograd=w)) for w in (False, True)]
        # As a whole: what the kernels leave in the caches for each other decides.
        if memory.whole(tiled) < ENOUGH * memory.whole(plain):
            best, times = best._replace(winograd=True), memory.times(tiled) or times
    taken: dict[int, Form] = {}
    least = dict(times)
    for form in CANDIDATES:
        groups = dict.fromkeys(times, form)
        found = memory.times(compiling(program, best._replace(groups=groups)))
        for number, seconds in (found or {}).items():
            before = least.get(number, 0.0)
            if seconds < min(ENOUGH * before, before - GAIN):
                least[number], taken[number] = seconds, form
    if not taken:
        return best
    mixed = best._replace(groups={k: f for k, f in taken.items() if f != DEFAULT})
    found = memory.times(compiling(program, mixed))
    whole = sum(times.values())
    faster = found is not None and sum(found.values()) < min(ENOUGH * whole, whole - GAIN)
    return mixed if faster else best


class _Memory:
    """Memory to run a program's kernels on, which are no one's data."""

    def __init__(self, program: Program) -> None:
        self.program = program
        random = np.random.default_rng(0)
        self.bases = []
        for dtype, size in program.bases:
            array = np.zeros(size * dtype.itemsize + 64, np.uint8)
            if dtype.kind == "f" and dtype.itemsize >= 4:
                part = array[: size * dtype.itemsize].view(dtype.numpy)
                part[:] = random.random(size) * 0.1 + 0.05
            self.bases.append(array)
        self.results = [np.zeros(v.size * v.dtype.itemsize + 64, np.uint8) for v in program.results]
        self.scalars = np.zeros(max(scalar_words(program.scalars)[-1], 1), np.uint64)

    def times(self, compiled: CompiledProgram) -> dict[int, float] | None:
        """Seconds of each group of kernels, by number; None where parts are no kernels."""
        from flambeau.execute.cpu.profile import kernel_times

        if not compiled.native:
            return None
        arena = np.zeros(compiled.arena_bytes + 128, np.uint8)
        table = self.table(arena)
        found: dict[int, float] = {}
        kernels = kernel_times(compiled, table, ROUNDS)
        for number, kernel in zip(compiled.groups, kernels, strict=True):
            found[number] = found.get(number, 0.0) + kernel.seconds
        return found

    def table(self, arena: Any) -> Any:
        """The addresses of all memory, in a compiled program's order."""
        places = [_aligned(a) for a in (*self.bases, *self.results)]
        return np.array([*places, _aligned(self.scalars), _aligned(arena, 64)], np.int64)

    def whole(self, compiled: CompiledProgram) -> float:
        """Seconds of a run of all kernels, one after the other."""
        arena = np.zeros(compiled.arena_bytes + 128, np.uint8)
        table = self.table(arena)
        times = []
        for _ in range(ROUNDS):
            start = perf_counter()
            compiled.run_table(table, [])
            times.append(perf_counter() - start)
        return min(times[1:])


def _aligned(array: Any, to: int = 1) -> int:
    place: int = array.ctypes.data
    return place + -place % to
