"""What governs recording: the environment (see core/settings.py), asked once, and limits."""

from __future__ import annotations

from dataclasses import dataclass

from flambeau.core import settings


@dataclass
class Options:
    """How programs are recorded and run.

    `sync`: each op runs at once in the reference executor (FLAMBEAU_SYNC=1). `executor`: "auto",
    "reference" or "compiled" (FLAMBEAU_EXECUTOR). `longest_recording`: events after which a
    recording runs in any case; `loop_check`: events from which a repetition in the stream ends it.
    `warm_up`: runs of a small program in the reference executor before it is compiled;
    `always_compile`: none (torch.use_deterministic_algorithms). `states`: how many states the tree
    may hold. `watch_nan`: programs must not give NaN (debug(nan=True)). `background`: programs are
    compiled beside the reference executor, see background.py (FLAMBEAU_BACKGROUND=1). `settled`:
    runs of a plan that say that it comes back again and again: from then on it may be one native
    call (replay.py).
    """

    sync: bool = False
    executor: str = "auto"
    longest_recording: int = 2000
    loop_check: int = 32
    warm_up: int = 1
    always_compile: bool = False
    states: int = 100_000
    watch_nan: bool = False
    background: bool = False
    settled: int = 16


def from_environment() -> Options:
    return Options(
        sync=settings.synchronous(),
        executor=settings.executor(),
        background=settings.background_wanted(),
    )


OPTIONS = from_environment()
