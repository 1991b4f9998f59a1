"""What this machine can do: multiply-adds and bytes a second.

Measured in a fraction of a second, and the best that was ever seen kept on disk: beside other
processes a measurement says too little.
"""

from __future__ import annotations

import contextlib
import json
import math
from time import perf_counter
from typing import NamedTuple

import numpy as np

from flambeau.core.addresses import address_of
from flambeau.core.dtypes import float32
from flambeau.execute.cpu.compiler import compile_program
from flambeau.execute.cpu.objects import default_cache
from flambeau.execute.cpu.pool import get_num_threads
from flambeau.execute.cpu.target import Target
from flambeau.graph.program import Program
from flambeau.ops import arithmetic as ar
from flambeau.ops import contraction, source, view
from flambeau.ops.value import Value

SIDE = 768  # of the matrices
LENGTH = 1 << 23  # floats of the stream: more than caches hold
SHORT = 1 << 17  # and of one that stays in the cache
CACHED = 1 << 22  # bytes that a kernel may touch and find them in the cache
ROUNDS = 6


class Machine(NamedTuple):
    """Floating point operations (two for a multiply-add) and bytes that it reaches in a second."""

    flops: float
    bandwidth: float  # of memory
    cached: float  # of the cache
    threads: int
    cpu: str

    def shortest(self, flops: float, nbytes: float) -> float:
        """Seconds that so much work and so many bytes take at the least."""
        return max(flops / self.flops, nbytes / self.rate(nbytes))

    def rate(self, nbytes: float) -> float:
        """The bandwidth that holds for a kernel that touches so many bytes."""
        return self.cached if nbytes <= CACHED else self.bandwidth


def machine() -> Machine:
    """This machine with the threads of this process."""
    threads, host = get_num_threads(), Target.host()
    cache = default_cache()
    name = f"{host.cpu}/{host.vector_bits}/{threads}"
    file = None if cache is None else cache.directory / "machine.json"
    known: dict[str, list[float]] = {}
    found = [_product_rate(), _stream_rate(LENGTH), _stream_rate(SHORT)]
    if file is not None:
        try:
            read = json.loads(file.read_text("utf-8"))
            known = read if isinstance(read, dict) else {}
            before = known.get(name, found)
            if len(before) == len(found):
                found = [max(a, float(b)) for a, b in zip(found, before)]
        except (OSError, ValueError, TypeError):
            pass
        with contextlib.suppress(OSError):
            file.write_text(json.dumps({**known, name: found}), "utf-8")
    flops, bandwidth, cached = found
    return Machine(flops, bandwidth, cached, threads, host.cpu)


def _best_seconds(program: Program) -> float:
    compiled = compile_program(program)
    bases = [np.ones(size, dtype.numpy) for dtype, size in program.bases]
    results = [np.ones(v.size, v.dtype.numpy) for v in program.results]
    raw = np.zeros(compiled.arena_bytes + 64, np.uint8)
    arena = address_of(raw) + -address_of(raw) % 64
    places = [address_of(a) for a in bases], [address_of(a) for a in results]
    scalars = np.zeros(1, np.uint64)
    best = math.inf
    for _ in range(ROUNDS):
        start = perf_counter()
        compiled.run(*places, address_of(scalars), arena)
        best = min(best, perf_counter() - start)
    return best


def _product_rate() -> float:
    size = SIDE * SIDE
    a, b = _base(0, size), _base(1, size)
    shape = (SIDE, SIDE)
    result = contraction.dot(view.reshape(a, shape=shape), view.reshape(b, shape=shape))
    program = Program(((float32, size), (float32, size)), (), (result,), ())
    return 2 * SIDE**3 / _best_seconds(program)


def _stream_rate(length: int) -> float:
    x = _base(0, length)
    program = Program(((float32, length),), (), (ar.add(x, 1.0),), ())
    return 2 * 4 * length / _best_seconds(program)


def _base(index: int, size: int) -> Value:
    return source.input_(role="base", index=index, shape=(size,), dtype=float32)
