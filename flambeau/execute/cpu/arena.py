"""One arena for all intermediate buffers of a program: offsets by lifetime."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flambeau.execute.cpu.body import Buffer

ALIGNMENT = 64
# Kernels may read whole vectors of a buffer's last elements under a mask; nothing reads past this.
PADDING = 64


@dataclass(frozen=True)
class Lifetime:
    """A buffer is written first in step `first` and read last in step `last` (inclusive)."""

    buffer: Buffer
    first: int
    last: int


def plan_arena(lifetimes: Sequence[Lifetime]) -> int:
    """Sets each buffer's `place` (byte offset); buffers alive together never overlap. Returns the
    size.
    """
    placed: list[tuple[int, int, Lifetime]] = []
    total = 0
    for lifetime in sorted(lifetimes, key=lambda x: (-rounded_size(x.buffer), x.first)):
        size = rounded_size(lifetime.buffer)
        busy = sorted(
            (start, stop)
            for start, stop, other in placed
            if other.first <= lifetime.last and lifetime.first <= other.last
        )
        offset = _best_gap(busy, size)
        lifetime.buffer.place = offset
        placed.append((offset, offset + size, lifetime))
        total = max(total, offset + size)
    return total


def rounded_size(buffer: Buffer) -> int:
    return max(-(-(buffer.bytes) // ALIGNMENT) * ALIGNMENT, ALIGNMENT)


def _best_gap(busy: Sequence[tuple[int, int]], size: int) -> int:
    """The start of the smallest gap between busy ranges that holds `size` bytes."""
    best, best_room, end = -1, 0, 0
    for start, stop in busy:
        room = start - end
        if room >= size and (best < 0 or room < best_room):
            best, best_room = end, room
        end = max(end, stop)
    return end if best < 0 else best
