"""Matrix products, Flambeau against PyTorch, side by side: shapes, dtypes, and the machine's peak.

    python bench/products.py [--cases square,4096] [--threads 1] [--rounds 5] [--seconds 0.1]

A case is chosen by any part of its name. Measured as in steps.py: a process for each framework,
blocks in turns. A step is the products and whatever makes the framework compute them
(`data_ptr`). The share is of what the machine can do at all: for wide products of arithmetic, in
float32 and float64 that of fused multiply-adds, in bfloat16 that of the matrix unit where there is
one; for vectors of memory, the bytes of the operands at the speed at which a copy moves them.
`--peaks` prints only those speeds. With several threads a peak counts once for each.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "bench")]

import models
import numpy as np
import steps

REPEATS = 100_000


@dataclass(frozen=True)
class Product:
    """A table's row: a (rows x inner) times b (inner x columns), `batch` times.

    form: two letters for a and b, `n` as they are, `t` transposed in memory; chain: so many
    products after each other in a program, with a ReLU between.
    """

    rows: int
    inner: int
    columns: int
    dtype: str = "float32"
    form: str = "nn"
    batch: int = 0
    chain: int = 1

    @property
    def name(self) -> str:
        sizes = f"{self.rows}x{self.inner}x{self.columns}"
        kind = f" {self.form}" if self.form != "nn" else ""
        many = f" b{self.batch}" if self.batch else ""
        return f"{self.dtype} {sizes}{kind}{many}" + (f" chain{self.chain}" * (self.chain > 1))

    @property
    def flops(self) -> int:
        return 2 * self.rows * self.inner * self.columns * max(1, self.batch) * self.chain

    @property
    def bytes(self) -> int:
        size = {"float32": 4, "float64": 8, "bfloat16": 2}[self.dtype]
        elements = (self.rows + self.columns) * self.inner + self.rows * self.columns
        return size * elements * max(1, self.batch) * self.chain

    def build(self, torch: Any) -> Any:
        dtype, lead = getattr(torch, self.dtype), (self.batch,) if self.batch else ()

        def operand(rows: int, columns: int, form: str) -> Any:
            stored = (columns, rows) if form == "t" else (rows, columns)
            x = torch.randn(*lead, *stored).to(dtype) / self.inner**0.5
            return x.transpose(-1, -2) if form == "t" else x

        a = operand(self.rows, self.inner, self.form[0])
        weights = [operand(self.inner, self.columns, self.form[1]) for _ in range(self.chain)]
        return Step(a, weights)


@dataclass(frozen=True)
class Step:
    """Stands where `models.Built` does."""

    a: Any
    weights: list[Any]

    def step(self) -> float:
        x = self.a
        for number, weight in enumerate(self.weights):
            x = (x if number == 0 else x.relu()) @ weight
        x.data_ptr()
        return 0.0


SQUARE = [Product(n, n, n) for n in (64, 256, 1024, 4096)]
SHAPES = [
    Product(1024, 1024, 1024, form="nt"),
    Product(1024, 1024, 1024, form="tn"),
    Product(512, 512, 512, chain=4),
    Product(64, 784, 512, form="nt"),
    Product(512, 64, 784, form="tn"),
    Product(32, 16384, 128),
    Product(32, 16384, 128, form="nt"),
    Product(32, 128, 16384),
    Product(128, 32, 16384, form="tn"),
    Product(256, 256, 64, batch=32),
    Product(1, 4096, 4096),
    Product(1, 4096, 4096, form="nt"),
    Product(4096, 4096, 1),
    Product(8, 4096, 4096),
    Product(8, 4096, 4096, form="nt"),
    Product(4096, 4096, 8, form="nt"),
    Product(60000, 784, 10, form="nt"),
    Product(10, 60000, 784, form="tn"),
]
BFLOAT16 = [
    Product(*sizes, dtype="bfloat16", form=form, batch=batch)
    for sizes, form, batch in (
        ((256, 256, 256), "nn", 0),
        ((1024, 1024, 1024), "nn", 0),
        ((1024, 1024, 1024), "nt", 0),
        ((1024, 1024, 1024), "tn", 0),
        ((4096, 4096, 4096), "nn", 0),
        ((64, 784, 512), "nt", 0),
        ((32, 16384, 128), "nt", 0),
        ((256, 256, 64), "nn", 32),
        ((1, 4096, 4096), "nt", 0),
    )
]
FLOAT64 = [
    Product(*sizes, dtype="float64", form=form)
    for sizes, form in (
        ((256,) * 3, "nn"),
        ((1024,) * 3, "nn"),
        ((64, 784, 512), "nt"),
        ((8, 4096, 4096), "nn"),
    )
]
PRODUCTS = {p.name: p for p in (*SQUARE, *SHAPES, *BFLOAT16, *FLOAT64)}
CASES = {name: models.Case(name, p.build, 1.0) for name, p in PRODUCTS.items()}


# ---- what the machine can do ---------------------------------------------------------------------


def peaks() -> dict[str, float]:
    """GFLOP/s of one core in each dtype, and under "bytes" GB/s that a copy reads and writes."""
    from flambeau.execute.cpu.target import has_matrix_unit

    found = {dtype: _multiply_adds(element) for dtype, element in ELEMENTS.items()}
    found["bfloat16"] = _matrix_unit() if has_matrix_unit() else _pairs() or found["float32"]
    source = np.ones(1 << 26, np.float32)
    target = np.zeros_like(source)
    spent = min(_seconds(lambda: np.copyto(target, source)) for _ in range(3))
    return {**found, "bytes": 2 * source.nbytes / spent / 1e9}


ELEMENTS = {"float32": "float", "float64": "double"}


def _multiply_adds(element: str) -> float:
    from flambeau.execute.cpu.emit import Emitter, Type
    from flambeau.execute.cpu.target import Target

    bits = Target.host().vector_bits
    e, lanes = Emitter(bits), bits // (32 if element == "float" else 64)

    def body(totals: list[Any]) -> list[Any]:
        return [e.fma(totals[-1], total, total) for total in totals[:-1]] + totals[-1:]

    return 2 * lanes * 12 * _speed(e, [Type(element, lanes)] * 13, body)


def _pairs() -> float:
    """Of products of bfloat16 in pairs, 0 where there is no such instruction."""
    from flambeau.execute.cpu.contraction_pairs import multiplies_pairs, with_pairs_added
    from flambeau.execute.cpu.emit import Emitter, Type
    from flambeau.execute.cpu.target import Target

    bits = Target.host().vector_bits
    if not multiplies_pairs(bits):
        return 0.0
    e, lanes = Emitter(bits), bits // 32

    def body(totals: list[Any]) -> list[Any]:
        *sums, a, b = totals
        return [*[with_pairs_added(e, a, b, total) for total in sums], a, b]

    return 4 * lanes * 12 * _speed(e, [Type("float", lanes)] * 14, body)


def _matrix_unit() -> float:
    from flambeau.execute.cpu.emit import Emitter
    from flambeau.execute.cpu.matrix_tiles import unit_instruction

    e = Emitter(512)

    def body(totals: list[Any]) -> list[Any]:
        for tile in range(4):
            unit_instruction(e, "tdpbf16ps", tile, 4 + tile // 2, 6 + tile % 2)
        return totals

    return 4 * 2 * 16 * 16 * 32 * _speed(e, [], body, unit=True)


def _speed(e: Any, types: list[Any], body: Callable[[Any], Any], *, unit: bool = False) -> float:
    """Billions of bodies a second."""
    from contextlib import nullcontext

    from flambeau.execute.cpu import engine
    from flambeau.execute.cpu.contraction_nest import PARAMETERS
    from flambeau.execute.cpu.emit import I64
    from flambeau.execute.cpu.matrix_tiles import unit_instruction, with_unit

    parameters = [*PARAMETERS, ("first", I64), ("last", I64)]
    with e.function("kernel", "i64", parameters) as (table, _, _, last):
        with with_unit(e) if unit else nullcontext():
            for tile in range(8 if unit else 0):
                unit_instruction(e, "tilezero", tile)
            start = [e.load(e.gep(table, "i8", e.i64(64 * n)), t, 1) for n, t in enumerate(types)]
            with e.loop(e.i64(0), last, carried=start) as loop:
                loop.yield_(body(loop.carried))
        for place, total in enumerate(loop.carried):
            e.store(e.gep(table, "i8", e.i64(64 * place)), total, 1)
        e.line("ret i64 0")
    (address,) = engine.kernel_addresses([e.module()])
    memory = np.zeros(4096, np.int8)
    call = ctypes.CFUNCTYPE(ctypes.c_int64, *[ctypes.c_void_p] * 4)(address)
    return (
        REPEATS
        / min(_seconds(lambda: call(memory.ctypes.data, 0, 0, REPEATS)) for _ in (1, 2, 3))
        / 1e9
    )


def _seconds(run: Callable[[], object]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


# ---- the table -----------------------------------------------------------------------------------


def row(product: Product, columns: list[steps.Column], limits: dict[str, float]) -> str:
    """A line of the table, once both columns are measured."""
    if failures := [c.failure for c in columns if c.failure]:
        return f"{product.name:34} failed: {failures[0]}"
    theirs, ours = [sorted(c.blocks)[len(c.blocks) // 2] for c in columns]
    speed = product.flops / ours / 1e9
    share = speed / limits[product.dtype]
    if min(product.rows, product.columns) == 1:
        share = product.bytes / ours / 1e9 / limits["bytes"]
    times = steps.ratio(columns[0], columns[1]) or 0.0
    return (
        f"{product.name:34}{steps.micro(theirs):>12}{steps.micro(ours):>12}{times:8.2f}"
        f"{speed:10.0f}{100 * share:7.0f} %"
    )


def main() -> None:
    options = argparse.ArgumentParser(description="Matrix products beside PyTorch.")
    options.add_argument("--cases", default="", help="parts of names, comma-separated")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--rounds", type=int, default=5)
    options.add_argument("--seconds", type=float, default=0.1, help="length of a block")
    options.add_argument("--peaks", action="store_true", help="only what the machine can do")
    options.add_argument("--serve", help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.serve:
        models.CASES.update(CASES)
        steps.serve(chosen.serve, chosen.threads)
        return
    one = peaks()
    speeds = ", ".join(f"{name} {value:.0f}" for name, value in one.items())
    print(f"a core's peaks (GFLOP/s, GB/s): {speeds}", flush=True)
    if chosen.peaks:
        return
    limits = {name: value * chosen.threads for name, value in one.items()}
    parts = chosen.cases.split(",")
    names = [name for name in PRODUCTS if any(part in name for part in parts)]
    if not names:
        options.error(f"no such case; there are {', '.join(PRODUCTS)}")
    frameworks = [steps.Framework(n, chosen.threads, __file__) for n in ("torch", "flambeau")]
    columns = [steps.Column(framework, compiled=False) for framework in frameworks]
    print(f"{'':34}{'PyTorch':>12}{'Flambeau':>12}{'ratio':>8}{'GFLOP/s':>10}{'share':>9}")
    try:
        for name in names:
            steps.measure(name, columns, chosen.rounds, chosen.seconds)
            print(row(PRODUCTS[name], columns, limits), flush=True)
    finally:
        for framework in frameworks:
            framework.close()


if __name__ == "__main__":
    main()
