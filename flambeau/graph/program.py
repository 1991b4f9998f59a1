"""A program as data: what is read, what is computed, what is written.

A program reads memory bases (flat 1-d arrays) and run-time scalars, computes values, and writes
results into new dense buffers and updates back into bases. It holds no data. Executors (reference,
CPU, CUDA) run it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from operator import attrgetter

from flambeau.core.dtypes import DType
from flambeau.graph.outline import Outline
from flambeau.ops.value import Value


@dataclass(frozen=True)
class Update:
    """Base number `base` takes the elements of `value` (1-d, its whole extent) at the end."""

    base: int
    value: Value


@dataclass(frozen=True)
class Program:
    """`bases[k]` is (dtype, extent in elements) of `input(role="base", index=k)`, a 1-d value.

    `scalars[i]` is the dtype (float64, int64, bool or complex128) of `input(role="scalar",
    index=i)`, a 0-d value. `results` are written to new buffers in row-major order of their shapes.
    All reads see the bases as they were before the program; an error raised while it runs leaves
    every base untouched.
    """

    bases: tuple[tuple[DType, int], ...]
    scalars: tuple[DType, ...]
    results: tuple[Value, ...]
    updates: tuple[Update, ...]

    def outputs(self) -> list[Value]:
        return [*self.results, *(update.value for update in self.updates)]

    def nodes(self) -> Sequence[Value]:
        """Every value that the outputs need, operands before users."""
        return self._nodes

    @cached_property
    def _nodes(self) -> list[Value]:
        return reachable(self.outputs())

    @cached_property
    def outline(self) -> Outline:
        """What it is without its sizes."""
        return Outline(self)

    def __str__(self) -> str:
        lines = [
            f"bases {[f'{d.name}[{n}]' for d, n in self.bases]}",
            f"scalars {[d.name for d in self.scalars]}",
        ]
        names = {}
        for number, value in enumerate(self.nodes()):
            names[value] = f"%{number}"
            operands = ", ".join(names[v] for v in value.inputs)
            attrs = ", ".join(
                f"{k}={v}" for k, v in value.attrs.items() if k not in ("shape", "source")
            )
            shape = "x".join(map(str, value.shape))
            lines.append(
                f"  %{number}:{value.dtype.name}[{shape}] = {value.primitive.name}({operands}"
                f"{'; ' if operands and attrs else ''}{attrs})"
            )
        lines += [f"  result {i} = {names[v]}" for i, v in enumerate(self.results)]
        lines += [f"  base {u.base} = {names[u.value]}" for u in self.updates]
        return "\n".join(lines)


_order = attrgetter("order")


def scalar_words(scalars: Sequence[DType]) -> list[int]:
    """Where each run-time scalar begins in the block that holds them, in words of 8 bytes, and the
    block's length: a complex128 takes two words, any other one.
    """
    return list(accumulate((1 + dtype.is_complex for dtype in scalars), initial=0))


def data_operands(value: Value) -> tuple[Value, ...]:
    """The operands whose data a value depends on: of a relink, not the one with the history."""
    return value.inputs[:1] if value.primitive.name == "relink" else value.inputs


def reachable(outputs: Iterable[Value], *, data: bool = False) -> list[Value]:
    """The values the outputs depend on (`data`: whose data they do), themselves included, operands
    first.
    """
    seen = set(outputs)
    stack = list(seen)
    while stack:
        value = stack.pop()
        for operand in data_operands(value) if data else value.inputs:
            if operand not in seen:
                seen.add(operand)
                stack.append(operand)
    return sorted(seen, key=_order)


def descending(roots: Sequence[Value]) -> list[tuple[int, Value]]:
    """A heap of values, the latest created first (for reverse traversal)."""
    heap = [(-value.order, value) for value in roots]
    heapq.heapify(heap)
    return heap
