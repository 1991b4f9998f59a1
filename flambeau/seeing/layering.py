"""Drawing a directed graph in layers: which layer, in what order, and where.

After Sugiyama: layers by longest paths, edges through several layers get a point in each, orders by
medians of neighbours with few crossings kept, positions as near to the neighbours as the widths
allow (pool adjacent violators).
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

SWEEPS, SHIFTS = 10, 12
GAP, BEND = 18.0, 10.0  # between boxes; the room that an edge passing by takes


@dataclass(frozen=True)
class Placed:
    """Centres of the nodes, the layer of each, and for each edge the xs it has in its layers."""

    x: list[float]
    layer: list[int]
    paths: list[list[tuple[int, float]]]  # (layer, x) from the edge's source to its target
    width: float


def place(widths: Sequence[float], edges: Sequence[tuple[int, int]]) -> Placed:
    """Places nodes of these widths; an edge (a, b) leads from a, in a layer before, to b.

    Layer 0 is that of the nodes without successors. The graph must have no cycles.
    """
    count = len(widths)
    layer = _layers(count, edges)
    sizes, at = list(widths), list(layer)
    chains: list[list[int]] = []
    for a, b in edges:
        chain = [a]
        for between in range(layer[a] - 1, layer[b], -1):
            chain.append(len(sizes))
            sizes.append(BEND)
            at.append(between)
        chains.append([*chain, b])
    before: list[list[int]] = [[] for _ in sizes]
    after: list[list[int]] = [[] for _ in sizes]
    for chain in chains:
        for a, b in pairwise(chain):
            after[a].append(b)
            before[b].append(a)
    rows = _ordered(_first_order(at, before), before, after)
    x = _positions(rows, sizes, before, after)
    left = min((x[n] - sizes[n] / 2 for n in range(len(sizes))), default=0.0)
    x = [value - left for value in x]
    width = max((x[n] + sizes[n] / 2 for n in range(len(sizes))), default=0.0)
    return Placed(x[:count], layer, [[(at[n], x[n]) for n in chain] for chain in chains], width)


def _layers(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    """The longest way to a node without successors."""
    sources: list[list[int]] = [[] for _ in range(count)]
    waiting = [0] * count
    for a, b in edges:
        sources[b].append(a)
        waiting[a] += 1
    layer = [0] * count
    ready = [n for n in range(count) if not waiting[n]]
    done = 0
    while ready:
        node = ready.pop()
        done += 1
        for source in sources[node]:
            layer[source] = max(layer[source], layer[node] + 1)
            waiting[source] -= 1
            if not waiting[source]:
                ready.append(source)
    if done != count:
        raise ValueError("the graph has a cycle")
    return layer


def _first_order(at: list[int], before: list[list[int]]) -> list[list[int]]:
    """Each layer's nodes in the order in which a walk from layer 0 meets them."""
    rows: list[list[int]] = [[] for _ in range(max(at, default=-1) + 1)]
    seen = [False] * len(at)
    stack = [n for n in range(len(at)) if at[n] == 0][::-1]
    while stack:
        node = stack.pop()
        if seen[node]:
            continue
        seen[node] = True
        rows[at[node]].append(node)
        stack += before[node][::-1]
    return rows


def _ordered(
    rows: list[list[int]], before: list[list[int]], after: list[list[int]]
) -> list[list[int]]:
    best, fewest = [list(row) for row in rows], _crossings(rows, before)
    for sweep in range(SWEEPS):
        if not fewest:
            break
        neighbours = before if sweep % 2 else after
        order = range(len(rows)) if sweep % 2 == 0 else range(len(rows) - 1, -1, -1)
        rank: dict[int, float] = {n: k for row in rows for k, n in enumerate(row)}
        for number in order:
            row = rows[number]
            middle = {n: _median([rank[m] for m in neighbours[n]], rank[n]) for n in row}
            row.sort(key=middle.__getitem__)
            rank.update({n: k for k, n in enumerate(row)})
        now = _crossings(rows, before)
        if now < fewest:
            best, fewest = [list(row) for row in rows], now
    return best


def _median(values: list[float], otherwise: float) -> float:
    if not values:
        return otherwise
    values.sort()
    half = len(values) // 2
    return values[half] if len(values) % 2 else (values[half - 1] + values[half]) / 2


def _crossings(rows: list[list[int]], before: list[list[int]]) -> int:
    """How many pairs of edges between neighbouring layers cross."""
    total = 0
    for number, row in enumerate(rows[:-1]):
        rank = {n: k for k, n in enumerate(rows[number + 1])}
        passed: list[int] = []
        for node in row:
            ends = [rank[m] for m in before[node]]
            total += sum(len(passed) - bisect_right(passed, end) for end in ends)
            for end in ends:
                insort(passed, end)
    return total


def _positions(
    rows: list[list[int]], sizes: list[float], before: list[list[int]], after: list[list[int]]
) -> list[float]:
    x = [0.0] * len(sizes)
    for row in rows:
        for node, value in zip(row, _apart([0.0] * len(row), [sizes[n] for n in row])):
            x[node] = value
    for shift in range(SHIFTS):
        order = rows if shift % 2 == 0 else rows[::-1]
        for row in order:
            wanted = []
            for node in row:
                near = after[node] if shift % 2 == 0 else before[node]
                near = near or before[node] or after[node]
                wanted.append(sum(x[m] for m in near) / len(near) if near else x[node])
            for node, value in zip(row, _apart(wanted, [sizes[n] for n in row])):
                x[node] = value
    return x


def _apart(wanted: list[float], sizes: list[float]) -> list[float]:
    """The positions nearest to those wanted, in order and without overlap."""
    offsets, offset = [], 0.0
    for place, size in enumerate(sizes):
        offset += (sizes[place - 1] + size) / 2 + GAP if place else 0.0
        offsets.append(offset)
    blocks: list[list[float]] = []  # (sum, count) of what stands at one place, less its offset
    for value, offset in zip(wanted, offsets):
        blocks.append([value - offset, 1.0])
        while len(blocks) > 1 and blocks[-2][0] / blocks[-2][1] > blocks[-1][0] / blocks[-1][1]:
            total, number = blocks.pop()
            blocks[-1][0] += total
            blocks[-1][1] += number
    means = [total / number for total, number in blocks for _ in range(int(number))]
    return [mean + offset for mean, offset in zip(means, offsets)]
