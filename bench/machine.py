"""What this machine can do, measured: bytes a second read and copied, float32 operations a second.

    python bench/machine.py [--threads 2]

Small loops in LLVM text, compiled by Flambeau's own engine and run on plain threads: a sum over a
large array, a copy that writes past the caches, multiply-adds that touch registers alone, and
products of bfloat16 tiles where the CPU has a matrix unit. They are the ceiling that the figures
of the other benches are fractions of.
"""

from __future__ import annotations

import argparse
import ctypes
import math
import os
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]

from flambeau.execute.cpu.engine import engine, kernel_addresses

ALIGNMENT = 4096
UNROLL = 8
# One call of @kernel: %table holds addresses, %args a count of elements or of rounds.
Kernel = Callable[[int, int, int, int], int]


def _lanes() -> int:
    return engine().target.vector_bits // 32


def _loop(body: str, carried: str, before: str = "", after: str = "", step: int = 1) -> str:
    """A kernel that counts %i from 0 to the first argument word."""
    return f"""
define i64 @kernel(ptr %table, ptr %args, i64 %first, i64 %last) {{
entry:
  %count = load i64, ptr %args
  %p0 = load ptr, ptr %table
  %q1 = getelementptr i64, ptr %table, i64 1
  %p1 = load ptr, ptr %q1
{before}
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
{carried}
{body}
  %next = add nuw nsw i64 %i, {step}
  %more = icmp slt i64 %next, %count
  br i1 %more, label %loop, label %done
done:
{after}
  ret i64 0
}}
"""


def _sum_text() -> str:
    """Sums of UNROLL parts of the array side by side: a single run is read at half the speed."""
    lanes = _lanes()
    vector = f"<{lanes} x float>"
    carried, body, after = [], [], []
    for n in range(UNROLL):
        carried.append(f"  %a{n} = phi {vector} [ zeroinitializer, %entry ], [ %b{n}, %loop ]")
        body += [
            f"  %o{n} = mul i64 %part, {n}",
            f"  %s{n} = add i64 %i, %o{n}",
            f"  %g{n} = getelementptr float, ptr %p0, i64 %s{n}",
            f"  %v{n} = load {vector}, ptr %g{n}, align 4",
            f"  %b{n} = fadd {vector} %a{n}, %v{n}",
        ]
        after += [
            f"  %r{n} = getelementptr {vector}, ptr %p1, i64 {n}",
            f"  store {vector} %b{n}, ptr %r{n}, align 64",
        ]
    before = "  %one = getelementptr i64, ptr %args, i64 1\n  %part = load i64, ptr %one"
    return _loop("\n".join(body), "\n".join(carried), before, "\n".join(after), step=lanes)


def _copy_text() -> str:
    lanes = _lanes()
    vector = f"<{lanes} x float>"
    body = []
    for n in range(UNROLL):
        body += [
            f"  %o{n} = add i64 %i, {n * lanes}",
            f"  %g{n} = getelementptr float, ptr %p0, i64 %o{n}",
            f"  %v{n} = load {vector}, ptr %g{n}, align 64",
            f"  %h{n} = getelementptr float, ptr %p1, i64 %o{n}",
            f"  store {vector} %v{n}, ptr %h{n}, align 64, !nontemporal !0",
        ]
    return _loop("\n".join(body), "", step=UNROLL * lanes) + "!0 = !{i32 1}\n"


FMA_CHAINS = 12


def _fma_text() -> str:
    lanes = _lanes()
    vector = f"<{lanes} x float>"
    carried, body, after = [], [], []
    for n in range(FMA_CHAINS):
        carried.append(f"  %a{n} = phi {vector} [ zeroinitializer, %entry ], [ %b{n}, %loop ]")
        operands = f"{vector} %x, {vector} %x, {vector} %a{n}"
        body.append(f"  %b{n} = call {vector} @llvm.fma.v{lanes}f32({operands})")
        after += [
            f"  %r{n} = getelementptr {vector}, ptr %p1, i64 {n}",
            f"  store {vector} %b{n}, ptr %r{n}, align 64",
        ]
    declared = f"declare {vector} @llvm.fma.v{lanes}f32({vector}, {vector}, {vector})\n"
    before = f"  %x = load {vector}, ptr %p0, align 64"
    return declared + _loop("\n".join(body), "\n".join(carried), before, "\n".join(after))


class _Runner:
    """A kernel on so many threads, each with memory of its own."""

    def __init__(self, text: str, threads: int, floats: int) -> None:
        address = kernel_addresses([text])[0]
        words = [ctypes.c_int64] * 4
        self.call = ctypes.CFUNCTYPE(ctypes.c_int64, *words)(address)
        self.arrays = [[_aligned(floats) for _ in range(2)] for _ in range(threads)]

    def seconds(self, count: int, rounds: int = 3) -> float:
        """The best time of `rounds` in which every thread calls the kernel once."""
        best = math.inf
        for _ in range(rounds):
            barrier = threading.Barrier(len(self.arrays) + 1)
            workers = [
                threading.Thread(target=self._work, args=(barrier, arrays, count))
                for arrays in self.arrays
            ]
            for worker in workers:
                worker.start()
            barrier.wait()
            began = time.perf_counter()
            for worker in workers:
                worker.join()
            best = min(best, time.perf_counter() - began)
        return best

    def _work(self, barrier: threading.Barrier, arrays: list[np.ndarray], count: int) -> None:
        table = np.array([a.ctypes.data for a in arrays], np.int64)
        arguments = np.array([count, count], np.int64)
        barrier.wait()
        self.call(table.ctypes.data, arguments.ctypes.data, 0, 1)


def _aligned(floats: int) -> np.ndarray:
    raw = np.ones(floats + ALIGNMENT // 4, np.float32)
    start = -raw.ctypes.data % ALIGNMENT // 4
    return raw[start : start + floats]


def _whole(megabytes: int, threads: int) -> int:
    step = UNROLL * _lanes()
    return max(int(megabytes * 1e6 / 4 / threads) // step, 1) * step


def read_bytes(threads: int, megabytes: int = 200) -> float:
    """Bytes a second that the threads read together from `megabytes` of memory."""
    floats = _whole(megabytes, threads)
    spent = _Runner(_sum_text(), threads, floats).seconds(floats // UNROLL)
    return 4.0 * floats * threads / spent


def copied_bytes(threads: int, megabytes: int = 200) -> float:
    """Bytes a second, read and written, of copies of `megabytes`."""
    floats = _whole(megabytes, threads)
    return 8.0 * floats * threads / _Runner(_copy_text(), threads, floats).seconds(floats)


def vector_flops(threads: int) -> float:
    """float32 operations a second of vector multiply-adds in registers."""
    count = 1 << 22
    floats = _lanes() * FMA_CHAINS
    spent = _Runner(_fma_text(), threads, floats).seconds(count)
    return 2.0 * _lanes() * FMA_CHAINS * count * threads / spent


def product_flops(threads: int, size: int = 1024, rounds: int = 8) -> float:
    """float32 operations a second of square matrix products, the best of ours."""
    import flambeau

    before = flambeau.get_num_threads()
    flambeau.set_num_threads(threads)
    try:
        a, b = flambeau.randn(size, size), flambeau.randn(size, size)
        best = math.inf
        for _ in range(rounds):
            began = time.perf_counter()
            (a @ b).data_ptr()
            best = min(best, time.perf_counter() - began)
    finally:
        flambeau.set_num_threads(before)
    return 2 * size**3 / best


@dataclass(frozen=True)
class Machine:
    """The speeds of so many threads together, a second."""

    threads: int
    read: float
    copied: float
    vector: float
    product: float

    @property
    def flops(self) -> float:
        """What a program's arithmetic is compared with: the faster of two units."""
        return max(self.vector, self.product)

    def __str__(self) -> str:
        return (
            f"{self.threads} threads: {self.read / 1e9:.1f} GB/s read, "
            f"{self.copied / 1e9:.1f} GB/s copied (read and written), "
            f"{self.vector / 1e9:.0f} GFLOP/s multiply-adds of vectors, "
            f"{self.product / 1e9:.0f} GFLOP/s in a product of matrices"
        )

    def as_dict(self) -> dict[str, float]:
        return asdict(self)


def measured(threads: int) -> Machine:
    return Machine(
        threads,
        read_bytes(threads),
        copied_bytes(threads),
        vector_flops(threads),
        product_flops(threads),
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    print(measured(parser.parse_args().threads))


if __name__ == "__main__":
    main()
