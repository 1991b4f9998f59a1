"""Environment variables that govern recording, read once."""

from __future__ import annotations

import os
from dataclasses import dataclass


@dataclass
class Options:
    """How programs are recorded and run.

    `sync`: each op runs at once in the reference executor (FLAMBEAU_SYNC=1). `executor`: "auto",
    "reference" or "compiled" (FLAMBEAU_EXECUTOR). `longest_recording`: events after which a
    recording runs in any case; `loop_check`: events from which a repetition in the stream ends it.
    `warm_up`: runs of a small program in the reference executor before it is compiled. `states`:
    how many states the tree may hold.
    """

    sync: bool = False
    executor: str = "auto"
    longest_recording: int = 2000
    loop_check: int = 64
    warm_up: int = 1
    states: int = 100_000


def from_environment() -> Options:
    executor = os.environ.get("FLAMBEAU_EXECUTOR", "auto")
    if executor not in ("auto", "reference", "compiled"):
        raise ValueError(f"FLAMBEAU_EXECUTOR must be auto, reference or compiled, got {executor!r}")
    return Options(sync=os.environ.get("FLAMBEAU_SYNC", "0") not in ("", "0"), executor=executor)


OPTIONS = from_environment()
