"""Convolutions of 3 x 3 in Winograd's form beside the plain one: layers alone, networks whole.

    python bench/winograd.py [--rounds 7] [--networks vgg16,resnet18]

Layers are timed kernel by kernel, the same one again and again; networks (one image, inference) run
as a whole, the two forms in turns. Ratios say how many times less Winograd's form takes. With
FLAMBEAU_MATRIX_UNIT=0 both use vector instructions only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT)]
os.environ.setdefault("FLAMBEAU_CACHE", "0")

import numpy as np

import flambeau
from flambeau.core.dtypes import float32
from flambeau.execute.cpu import compiler
from flambeau.execute.cpu.compiled import CompiledProgram
from flambeau.execute.cpu.forms import Forms
from flambeau.execute.cpu.tuning import _Memory
from flambeau.graph.program import Program
from flambeau.ops import contraction, source, view
from flambeau.vision import models

LAYERS = (  # images, channels, outputs, pixels of a side
    (1, 128, 128, 112), (1, 128, 256, 56), (1, 256, 256, 56), (1, 256, 512, 28), (1, 512, 512, 28),
    (1, 512, 512, 14), (8, 128, 128, 28), (8, 256, 256, 14), (32, 128, 128, 16),
)  # fmt: skip
FORMS = (Forms(), Forms(winograd=True))


def layer(images: int, channels: int, outputs: int, side: int) -> Program:
    """A padded convolution."""
    sizes = images * channels * side * side, outputs * channels * 9
    x, w = [source.program_input("base", n, (size,), float32) for n, size in enumerate(sizes)]
    x = view.reshape(x, shape=(images, 1, channels, side, side))
    x = view.pad(x, low=(0, 0, 0, 1, 1), high=(0, 0, 0, 1, 1), interior=(0,) * 5, value=0)
    w = view.reshape(w, shape=(1, outputs, channels, 3, 3))
    y = contraction.conv(x, w, strides=(1, 1), dilations=(1, 1))
    return Program(tuple([(float32, n) for n in sizes]), (), (y,), ())


def network(name: str) -> Program:
    """The program of a pass of one image."""
    made: list[Program] = []
    compile_program = compiler.compile_program

    def remember(program: Program, **options: Any) -> CompiledProgram:
        made.append(program)
        return compile_program(program, **options)

    compiler.compile_program = remember
    try:
        model = getattr(models, name)().eval()
        x = flambeau.randn(1, 3, 224, 224)
        x.sum().item()
        with flambeau.no_grad():
            for _ in range(2):
                model(x).sum().item()
    finally:
        compiler.compile_program = compile_program
    return max(made, key=lambda program: len(program.nodes()))


def whole(program: Program, rounds: int) -> list[float]:
    """Median seconds of a run in each form, in turns."""
    memory = _Memory(program)
    runs = []
    for forms in FORMS:
        compiled = compiler.compile_program(program, forms=forms)
        arena = np.zeros(compiled.arena_bytes + 128, np.uint8)
        runs.append((compiled, memory.table(arena), arena))
    times: list[list[float]] = [[], []]
    for _ in range(rounds + 2):
        for (compiled, table, _), seen in zip(runs, times):
            start = time.perf_counter()
            compiled.run_table(table, [])
            seen.append(time.perf_counter() - start)
    return [statistics.median(seen[2:]) for seen in times]


def alone(program: Program) -> list[float]:
    """Seconds of the kernels, each by itself."""
    memory = _Memory(program)
    found = [memory.times(compiler.compile_program(program, forms=forms)) for forms in FORMS]
    return [sum((times or {}).values()) for times in found]


def main() -> None:
    parser = argparse.ArgumentParser(description="3 x 3 convolutions in Winograd's form.")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--networks", default="vgg16,resnet18,resnet50", help="empty: layers only")
    chosen = parser.parse_args()
    print(f"{'layer':28} {'plain ms':>9} {'winograd':>9} {'ratio':>6}")
    for shape in LAYERS:
        plain, tiled = alone(layer(*shape))
        images, channels, outputs, side = shape
        name = f"{images} x {channels} -> {outputs}, {side} x {side}"
        print(f"{name:28} {plain * 1e3:9.2f} {tiled * 1e3:9.2f} {plain / tiled:6.2f}", flush=True)
    for name in filter(None, chosen.networks.split(",")):
        plain, tiled = whole(network(name), chosen.rounds)
        print(f"{name:28} {plain * 1e3:9.2f} {tiled * 1e3:9.2f} {plain / tiled:6.2f}", flush=True)


if __name__ == "__main__":
    main()
