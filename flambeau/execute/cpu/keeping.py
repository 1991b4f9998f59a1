"""Compiled programs on disk: which kernels they call, in which order and with which words.

Beside the kernels' object code (objects.py), the next process that runs the same program then
neither compiles nor imports the compiler. An entry's key holds the program, the machine, and the
size and date of each source file of the compiler: whoever changes one compiles anew. What an entry
cannot hold, host steps and attributes that are no plain data, is compiled in every process.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core import settings
from flambeau.core.dtypes import DType
from flambeau.execute.cpu import bounds
from flambeau.execute.cpu.compiled import CompiledProgram, Segment
from flambeau.execute.cpu.engine import KERNEL, engine
from flambeau.execute.cpu.forms import Forms
from flambeau.execute.cpu.objects import object_key
from flambeau.execute.cpu.runner import RECORD_HEADER_WORDS
from flambeau.execute.cpu.sources import compiler_sources
from flambeau.execute.cpu.target import KernelCompileError, has_matrix_unit
from flambeau.execute.reference import heap
from flambeau.graph.program import Program, data_operands, reachable

LINKS = ("leaf", "history", "detach", "relink")  # they say nothing of the data
MUCH_TEXT = 1 << 18  # LLVM leaves some ten times as much in the heap, beside the first run
PLAIN = (int, float, bool, str, complex, type(None))


def compiled_program(program: Program, beside: Callable[[], None] | None = None) -> CompiledProgram:
    """The program compiled for this machine: as it lies on the disk, or now.

    `beside` begins what other threads do while it is compiled.
    """
    forms = _forms(program)
    key = program_key(program, forms)
    found = None
    if key is not None:
        try:
            found = _kept(program, key)
        except (ValueError, TypeError, LookupError, KernelCompileError):
            found = None  # no entry of ours
    if found is not None:
        found.forms = forms
        return found
    if beside is not None:
        beside()
    compiled = _compiled(program, forms)
    if sum(len(kernel.text) for kernel in compiled.kernels) >= MUCH_TEXT:
        heap.trim()
    if key is not None and compiled.native:
        _keep(compiled, key)
    return compiled


def _forms(program: Program) -> Forms:
    """As cost models say, or as was measured; without the tuner where nobody has asked for it."""
    asked = f"{__package__}.tuning" in sys.modules or settings.tuning_wanted()
    if asked and not bounds.switched_on():
        from flambeau.execute.cpu import tuning

        if tuning.switched_on():
            return tuning.tuned_forms(program, spelled_with_sources(program), _compiled)
    return Forms()


def _compiled(program: Program, forms: Forms) -> CompiledProgram:
    from flambeau.execute.cpu.compiler import compile_program

    return compile_program(program, forms=forms)


def program_key(program: Program, forms: Forms | None = None) -> bytes | None:
    """32 bytes that name what the compiler makes of a program; None where nothing is kept: without
    a cache, and in the checking mode, whose kernels are others.
    """
    if engine().cache is None or bounds.switched_on():
        return None
    spelled = spelled_with_sources(program)
    if spelled is None:
        return None
    tuned = "" if forms in (None, Forms()) else f"{forms}\n"
    return object_key(f"program {tuned}{spelled}", engine().target)


def spelled_with_sources(program: Program) -> str | None:
    """A program's spelling, and what else decides about its kernels; None where there is none."""
    sources, spelled = compiler_sources(), spelling(program)
    if sources is None or spelled is None:
        return None
    return f"{has_matrix_unit()} {settings.winograd_wanted()} {sources}\n{spelled}"


def spelling(program: Program) -> str | None:
    """All that decides what a program computes, as text; None where that is not plain data."""
    numbers = {}
    lines = [",".join(f"{dtype.name} {size}" for dtype, size in program.bases)]
    lines.append(",".join(dtype.name for dtype in program.scalars))
    try:
        # (Of a history that is linked anew, only the derivative is known: the data hang on none.)
        for number, value in enumerate(reachable(program.outputs(), data=True)):
            numbers[value] = number
            name = value.primitive.name
            attrs = "" if name in LINKS else _spelled(tuple(value.attrs.items()))
            operands = [numbers[v] for v in data_operands(value)]
            lines.append(f"{name} {value.dtype.name} {value.shape} {operands} {attrs}")
    except _NotPlain:
        return None
    lines.append(str([numbers[v] for v in program.results]))
    lines.append(str([(u.base, numbers[u.value]) for u in program.updates]))
    return "\n".join(lines)


class _NotPlain(Exception):
    """An attribute that has no spelling."""


def _spelled(value: Any) -> str:
    kind = type(value)
    if kind is tuple:
        return f"({','.join(map(_spelled, value))})"
    if kind in PLAIN:
        return repr(value)
    if kind is DType:
        return str(value.name)
    raise _NotPlain


def _kept(program: Program, key: bytes) -> CompiledProgram | None:
    """The program from the disk; None where it, or one of its kernels, is not there."""
    store = engine().cache
    payload = None if store is None else store.get(key)
    if payload is None:
        return None
    entry = json.loads(payload)
    names = [bytes.fromhex(name) for name in entry["kernels"]]
    loaded = engine().load_stored(names, (KERNEL,))
    if loaded is None:
        return None
    if not isinstance(entry["arena"], int):
        raise TypeError("the size of the arena")
    words: list[int] = []
    for which, tasks, parallel, arguments in entry["calls"]:
        words += [loaded[which][0], tasks, parallel, len(arguments), *arguments]
    words += [0] * RECORD_HEADER_WORDS
    return CompiledProgram(
        program,
        np.array(words, np.int64),
        [Segment(0)] if entry["calls"] else [],
        len(program.bases) + len(program.results) + 2,
        entry["arena"],
        entry["parallel"],
    )


def _keep(compiled: CompiledProgram, key: bytes) -> None:
    store, target = engine().cache, engine().target
    places: dict[str, int] = {}
    calls = []
    blob, at = compiled.blob.tolist(), 0
    for kernel in compiled.kernels:
        _, tasks, parallel, count = blob[at : at + RECORD_HEADER_WORDS]
        at += RECORD_HEADER_WORDS
        name = object_key(kernel.text, target).hex()
        which = places.setdefault(name, len(places))
        calls.append((which, tasks, parallel, blob[at : at + count]))
        at += count
    entry = {
        "kernels": list(places),
        "calls": calls,
        "arena": compiled.arena_bytes,
        "parallel": compiled.parallel,
    }
    if store is not None:
        store.put(key, json.dumps(entry).encode())
