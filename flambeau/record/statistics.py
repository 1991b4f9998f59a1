"""Counts of what has happened since the start, and the sentence they make."""

from __future__ import annotations

import numpy as np

# What native code counts (see `flambeau.record.replay`): runs, events, nanoseconds; and, as Python
# does, runs of plans with large results. MANY is not 0 while runs of known programs that are heavy
# are Python's to count (see `flambeau.record.worth.Early`).
TALLY = np.zeros(5, np.int64)
RUNS, EVENTS, NANOSECONDS, TICKS, MANY = range(5)


class Statistics:
    """What has happened since the start, for `report`; of compiled code what Python has run."""

    states: int = 0
    plans: int = 0
    compiled_programs: int = 0
    runs: int = 0
    reference_runs: int = 0
    compile_seconds: float = 0.0
    seconds: float = 0.0
    reference_seconds: float = 0.0
    events: int = 0
    reference_events: int = 0

    @property
    def compiled_runs(self) -> int:
        """Runs of compiled programs, from Python and from native code."""
        return self.runs + int(TALLY[RUNS])

    @property
    def compiled_events(self) -> int:
        """Recorded ops that these have computed."""
        return self.events + int(TALLY[EVENTS])

    @property
    def compiled_seconds(self) -> float:
        """Seconds in compiled code, by samples."""
        return self.seconds + float(TALLY[NANOSECONDS]) * 1e-9


STATISTICS = Statistics()


def report() -> str:
    """How much of the run came from compiled programs, in a sentence or two."""
    s = STATISTICS
    runs = s.compiled_runs + s.reference_runs
    if not runs:
        return "Flambeau: nothing was computed."
    events = s.compiled_events + s.reference_events
    share = 100.0 * s.compiled_events / events if events else 0.0
    return (
        f"Flambeau: {share:.1f} % of {events} recorded ops came from compiled programs "
        f"({s.compiled_runs} runs of {s.compiled_programs} compiled programs, "
        f"{s.reference_runs} runs in the reference executor; {s.compile_seconds:.2f} s compiling, "
        f"{s.compiled_seconds:.2f} s in compiled code, {s.reference_seconds:.2f} s in NumPy)."
    )
