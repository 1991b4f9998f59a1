"""Who watches a program run: `flambeau explain` and the profiler. Nobody does otherwise.

An observer is called where something takes long enough that asking for it costs nothing: once a
flush, a run of compiled code, an event that is new, a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from flambeau.record.native import NativeProgram
    from flambeau.record.plan import Plan
    from flambeau.record.recording import Recording
    from flambeau.record.tree import State


class Observer:
    """What is told of a run; by itself it only lets everything happen."""

    # Whether it is told of every run of compiled code; else, where small programs run over and
    # over, of one in so many (native.SAMPLED).
    every_run = True
    # Whether it is told of every flush; else, of none.
    every_flush = True

    def flushing(self, rec: Recording, run: Callable[[Recording], Plan | None]) -> Plan | None:
        """A recording runs: `run(rec)` does it."""
        return run(rec)

    def running(self, native: NativeProgram, table: Any) -> int:
        """Compiled code runs, on a table of addresses: `native.run_table(table)` does it."""
        return native.run_table(table)

    def calling(self, native: NativeProgram, table: Any) -> int:
        """The same for a compiled function's program, which runs without a recording."""
        return self.running(native, table)

    def planned(self, plan: Plan, rec: Recording) -> None:
        """A plan has been made for what `rec` has recorded; it runs now."""

    def missed(self, before: State, after: State, seconds: float) -> None:
        """An event was new at `before`; the slow path has made `after` of it."""

    def loading(self, advance: Callable[[], Any]) -> Any:
        """A loader is asked for a batch: `advance()` gives it."""
        return advance()

    def fetching(self, dataset: Any, indices: Any, fetch: Callable[[Any], Any]) -> Any:
        """A batch is made of a dataset's samples, on any thread: `fetch(indices)` does it."""
        return fetch(indices)


class _Watch:
    observer: Observer | None = None


WATCH = _Watch()
