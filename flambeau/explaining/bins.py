"""Time by kind along a run of unknown length, and the memory of the process: bounded in size."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

COUNT = 480
FIRST_WIDTH = 2e-3  # seconds


class Bins:
    """Seconds of each kind in bins of equal width; the width doubles when the last one is full."""

    def __init__(self, kinds: Sequence[str]) -> None:
        self.width = FIRST_WIDTH
        self.kinds = {kind: [0.0] * COUNT for kind in kinds}
        self.memory = [0] * COUNT
        self._next_look = 0.0

    def _fit(self, stop: float) -> None:
        while stop >= COUNT * self.width:
            half = COUNT // 2
            for values in self.kinds.values():
                values[:] = [values[2 * n] + values[2 * n + 1] for n in range(half)] + [0.0] * half
            self.memory[:] = [
                max(self.memory[2 * n], self.memory[2 * n + 1]) for n in range(half)
            ] + [0] * half
            self.width *= 2

    def add(self, kind: str, start: float, stop: float) -> None:
        """Adds a stretch of time, in seconds since the start."""
        self._fit(stop)
        values, width = self.kinds[kind], self.width
        first, last = int(max(start, 0.0) / width), int(stop / width)
        if first == last:
            values[first] += stop - start
            return
        values[first] += (first + 1) * width - start
        for n in range(first + 1, last):
            values[n] += width
        values[last] += stop - last * width

    def remember_memory(self, now: float) -> None:
        """Notes how much memory the process has, at most once a bin."""
        if now < self._next_look:
            return
        self._fit(now)
        self._next_look = now + max(self.width, 0.02)
        self.memory[int(now / self.width)] = resident_bytes()


def resident_bytes() -> int:
    """Bytes of the process that are in memory; 0 where the system does not say."""
    try:
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError, IndexError):
        return 0
