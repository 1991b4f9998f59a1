"""Concatenations that are never computed: their parts are written where they belong.

Note [Joined in place]
A concatenation that is read as a whole (by a matrix product, or as a result) needs memory of its
own. Where its parts are computed by kernels, these write each element a second time, into its
place in the whole: `concat(tanh(a), tanh(b))` has the stores of the two tanh and no pass over both
afterwards. A part that nobody else reads is written there only. The whole has no kernel; who reads
it comes after all who write into it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import product

from flambeau.core.shapes import contiguous_strides
from flambeau.execute.cpu.body import Buffer
from flambeau.execute.cpu.lower import Destination
from flambeau.execute.cpu.phases import interleave
from flambeau.execute.cpu.storing import SCATTERS, contraction_core, is_host, same_elements
from flambeau.ops.primitive import (
    ATTENTION,
    CONTRACTION,
    RANDOM,
    RECURRENCE,
    SCAN,
    SORT,
    SOURCE,
    VIEW,
)
from flambeau.ops.source import detach
from flambeau.ops.value import Value

# Small parts have kernels of their own only where the parts are large on average.
LEAST_ELEMENTS, LEAST_PART, LEAST_ON_AVERAGE = 256, 64, 1024


@dataclass
class Joins:
    """The concatenations of a program that are joined in place, each with what it consists of."""

    parts: dict[Value, list[Value]] = field(default_factory=dict)

    @property
    def stored(self) -> list[Value]:
        """What must be stored for it."""
        return [*self.parts, *[p for parts in self.parts.values() for p in parts]]

    def ordered(self, nodes: Sequence[Value]) -> list[Value]:
        """The nodes with the copies of parts that no kernel computes, each before its whole."""
        result: list[Value] = []
        known = set(nodes)
        for v in nodes:
            for part in self.parts.get(v, ()):
                if part not in known:
                    known.add(part)
                    result.append(part)
            result.append(v)
        return result

    def writers(self, v: Value) -> list[Value]:
        """The values whose kernels write into `v`: itself unless it is joined in place."""
        if v not in self.parts:
            return [v]
        return [w for part in self.parts[v] for w in self.writers(part)]

    def destinations(self, buffers: dict[Value, Buffer]) -> list[tuple[Value, Destination]]:
        """Where each part's elements go besides its own buffer."""
        found: list[tuple[Value, Destination]] = []
        places: dict[Value, list[Destination]] = {}
        for v in reversed(list(self.parts)):
            strides = buffers[v].strides or contiguous_strides(v.shape)
            here = [Destination(buffers[v], v.shape, strides, 0), *places.get(v, ())]
            if v.primitive is interleave:
                found += interleaved(v, self.parts[v], here)
                continue
            axis, start = v.attrs["axis"], 0
            for x, part in zip(v.inputs, self.parts[v], strict=True):
                for whole in here:
                    assert whole.strides is not None
                    offset = whole.offset + start * whole.strides[axis]
                    target = Destination(whole.buffer, x.shape, whole.strides, offset)
                    if part in self.parts:
                        places.setdefault(part, []).append(target)
                    else:
                        found.append((part, target))
                start += x.shape[axis]
        return found


def interleaved(
    v: Value, parts: Sequence[Value], wholes: Sequence[Destination]
) -> list[tuple[Value, Destination]]:
    """Where the elements of an interleaving's parts go."""
    found = []
    steps = v.attrs["steps"]
    lead = v.ndim - len(steps)
    for x, part, starts in zip(v.inputs, parts, product(*map(range, steps)), strict=True):
        for whole in wholes:
            assert whole.strides is not None
            space = list(zip(whole.strides[lead:], steps, starts, strict=True))
            offset = whole.offset + sum([stride * start for stride, _, start in space])
            strides = (*whole.strides[:lead], *[stride * step for stride, step, _ in space])
            found.append((part, Destination(whole.buffer, x.shape, strides, offset)))
    return found


def joined_in_place(
    nodes: Sequence[Value], results: Sequence[Value], updated: set[Value], turned: set[Value]
) -> Joins:
    """Chooses them. `updated` values go into bases, `turned` ones have the batch innermost."""
    wanted = {core for v in results if (core := same_elements(v)).primitive.name == "concat"}
    for v in nodes:
        if v.primitive.family == CONTRACTION:
            cores = [contraction_core(x) for x in v.inputs]
            wanted |= {core for core in cores if core.primitive.name == "concat"}
    joins = Joins()
    chosen: dict[Value, list[Value]] = {}
    for v in reversed(nodes):
        if v.primitive is interleave:
            chosen[v] = [_part(x, set() if v in turned else turned) for x in v.inputs]
            continue
        if v not in wanted or v in updated or v in turned or is_host(v):
            continue
        least = min(x.size for x in v.inputs)
        small = least < LEAST_PART and v.size < LEAST_ON_AVERAGE * len(v.inputs)
        if v.size < LEAST_ELEMENTS or small or not least:
            continue
        parts = []
        for x in v.inputs:
            part = _part(x, turned)
            if part.primitive.name == "concat":
                wanted.add(part)
            parts.append(part)
        chosen[v] = parts
    for v in nodes:
        if v in chosen:
            # A part that is a concatenation itself, but was not chosen, is computed by a kernel.
            joins.parts[v] = chosen[v]
    return joins


def _part(x: Value, turned: set[Value]) -> Value:
    """The value whose kernel can write `x` elsewhere too; a copy of x where there is none."""
    core = same_elements(x)
    family, name = core.primitive.family, core.primitive.name
    whole = name == "concat" and core.shape == x.shape
    apart = family in (SOURCE, RANDOM, RECURRENCE, ATTENTION, SCAN, SORT)
    if apart or (family == VIEW and not whole):
        return detach(x)
    if core in turned or is_host(core) or name in SCATTERS or core.shape != x.shape:
        return detach(x)
    return core
