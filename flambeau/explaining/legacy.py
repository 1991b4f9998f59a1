"""torch.autograd.profiler: the profiler by its older names."""

from __future__ import annotations

from typing import Any

from flambeau.explaining.profiled import EventList, FunctionEvent, FunctionEventAvg
from flambeau.explaining.profiling import Asked, Profiling
from flambeau.profiler import emit_itt, emit_nvtx, kineto_available, record_function

__all__ = [
    "EventList", "FunctionEvent", "FunctionEventAvg", "emit_itt", "emit_nvtx", "kineto_available",
    "profile", "record_function",
]  # fmt: skip


class profile:
    """Profiles what runs in a `with` block; not if `enabled` is False.

    NotImplementedError for other devices.
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
    ) -> None:
        if use_device is not None or use_kineto or not use_cpu:
            raise NotImplementedError(
                "autograd.profiler.profile: use_device, use_kineto and use_cpu=False are not"
                " supported: the CPU is what is profiled"
            )
        self.enabled = enabled
        self.use_cuda = use_cuda  # nothing runs there
        self.asked = Asked(record_shapes, profile_memory, with_stack or with_modules, with_flops)
        self.entered = False
        self.function_events: EventList | None = None
        self._profiling: Profiling | None = None

    def __enter__(self) -> profile:
        if not self.enabled:
            return self
        if self.entered:
            raise RuntimeError("Profiler context manager is not reentrant")
        self.entered = True
        self._profiling = Profiling()
        self._profiling.begin()
        return self

    def __exit__(self, *_: object) -> None:
        if self._profiling is not None:
            self._profiling.end()
            self.function_events = self._profiling.events(self.asked)

    def _found(self) -> EventList:
        if self.function_events is None:
            raise RuntimeError("Profiler didn't finish running")
        return self.function_events

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """The events by name, added up."""
        return self._found().key_averages(
            group_by_input_shape, group_by_stack_n, group_by_overload_name
        )

    def table(self, *args: Any, **options: Any) -> str:
        """The events as a table; see `EventList.table`."""
        return self._found().table(*args, **options)

    def total_average(self) -> FunctionEventAvg:
        """All events as one."""
        return self._found().total_average()

    @property
    def self_cpu_time_total(self) -> float:
        """The time of all events, in microseconds."""
        return self._found().self_cpu_time_total

    def export_chrome_trace(self, path: str) -> None:
        """Writes the trace as JSON."""
        self._found().export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Writes the lines that recorded the kernels, with their times (with_stack=True)."""
        self._found().export_stacks(path, metric)

    def __str__(self) -> str:
        if self.function_events is None:
            return "<unfinished torch.autograd.profile>"
        return str(self.function_events)

    __repr__ = __str__
