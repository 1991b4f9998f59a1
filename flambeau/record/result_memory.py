"""A bound on the memory that plans keep between their runs.

A plan gives its results the memory of its last run where nobody holds that any more. Programs of
many shapes would so keep the results of all of them: the plans that have not run for long give
theirs back.
"""

from __future__ import annotations

import os
import weakref
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from flambeau.record.plan import Plan

LARGE = 1 << 16  # bytes of results from which a plan counts
SOFT = 1 << 28  # bytes that plans may keep that have not run lately
RECENT = 32  # runs of large plans that are "lately"


def _quarter_of_memory() -> int:
    try:
        return max(SOFT, os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4)
    except (AttributeError, OSError, ValueError):
        return 4 * SOFT


HARD = _quarter_of_memory()  # bytes that all plans may keep


class ResultMemory:
    """The large plans that keep memory, and how much they do (at most `held` bytes)."""

    def __init__(self) -> None:
        self.plans: list[weakref.ref[Plan]] = []
        self.held = 0
        self.trigger = SOFT

    def keep(self, plan: Plan, now: int) -> None:
        """Notes that a plan keeps memory from now on."""
        self.plans.append(weakref.ref(plan))
        self.held += plan.kept_bytes
        if self.held > self.trigger:
            self.sweep(plan, now)

    def give_back(self) -> None:
        """Takes memory from all plans."""
        for reference in self.plans:
            plan = reference()
            if plan is not None:
                plan.release()
        self.plans, self.held, self.trigger = [], 0, SOFT

    def sweep(self, current: Plan, now: int) -> None:
        """Takes memory from the plans whose last run is longest ago."""
        alive = {id(p): p for p in (reference() for reference in self.plans) if p is not None}
        keeping = sorted((p for p in alive.values() if p.cache), key=lambda p: p.tick)
        held = sum(p.kept_bytes for p in keeping)
        left = []
        for plan in keeping:
            old = plan.tick < now - RECENT and held > SOFT
            if plan is not current and (old or held > HARD):
                plan.release()
                held -= plan.kept_bytes
            else:
                left.append(weakref.ref(plan))
        self.plans, self.held = left, held
        self.trigger = max(SOFT, held + held // 4)


RESULT_MEMORY = ResultMemory()
