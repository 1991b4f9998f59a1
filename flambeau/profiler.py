"""torch.profiler, on what `flambeau.explain` collects: labels, programs and their kernels."""

from __future__ import annotations

import contextlib
import enum
import gzip
import json
import os
import socket
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from flambeau.explaining.profiled import EventList
from flambeau.explaining.profiling import Asked, Label, Profiling

__all__ = [
    "ProfilerAction", "ProfilerActivity", "kineto_available", "profile", "record_function",
    "schedule", "supported_activities", "tensorboard_trace_handler",
]  # fmt: skip


class ProfilerActivity(enum.Enum):
    """What a profiler would look at."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


class ProfilerAction(enum.Enum):
    """What a profiler would do at a step."""

    NONE = 0
    WARMUP = 1
    RECORD = 2
    RECORD_AND_SAVE = 3


def kineto_available() -> bool:
    """False: PyTorch's profiler library is not there."""
    return False


def supported_activities() -> set[ProfilerActivity]:
    """What can be profiled: the CPU."""
    return {ProfilerActivity.CPU}


class record_function(contextlib.ContextDecorator):
    """A label for the profiler. Without one running it does nothing, as in PyTorch; with one, what
    is recorded inside it runs inside it.
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args
        self._open: list[Label] = []

    def _recreate_cm(self) -> record_function:
        return type(self)(self.name, self.args)

    def __enter__(self) -> record_function:
        self._open.append(Label(self.name))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.pop().end()


def schedule(
    *, wait: int, warmup: int, active: int, repeat: int = 0, skip_first: int = 0,
    skip_first_wait: int = 0,
) -> Callable[[int], ProfilerAction]:  # fmt: skip
    """What to do at a step: wait, warm up, record, and so on in a cycle."""
    if not (wait >= 0 and warmup >= 0 and active > 0 and repeat >= 0 and skip_first >= 0):
        raise AssertionError("Invalid profiler schedule arguments")
    cycle = wait + warmup + active

    def action(step: int) -> ProfilerAction:
        if step < 0:
            raise AssertionError(f"Step must be non-negative. Got {step}.")
        if step < skip_first:
            return ProfilerAction.NONE
        step -= skip_first
        if skip_first_wait != 0:
            step += wait
        if repeat > 0 and step / cycle >= repeat:
            return ProfilerAction.NONE
        place = step % cycle
        if place < wait:
            return ProfilerAction.NONE
        if place < wait + warmup:
            return ProfilerAction.WARMUP
        last = place == cycle - 1
        return ProfilerAction.RECORD_AND_SAVE if last else ProfilerAction.RECORD

    return action


class profile:
    """Profiles what runs in a `with` block, or between `start` and `stop`.

    The events are labels, batches, programs and their kernels (see docs/explain.md). Where
    `schedule` says so, `on_trace_ready(self)` is called with what a cycle has brought.
    """

    def __init__(
        self,
        *,
        activities: Iterable[ProfilerActivity] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Callable[[], str] | None = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        refused = {
            "experimental_config": experimental_config,
            "execution_trace_observer": execution_trace_observer,
            "custom_trace_id_callback": custom_trace_id_callback,
            "post_processing_timeout_s": post_processing_timeout_s,
        }
        for name, value in refused.items():
            if value is not None:
                raise NotImplementedError(f"profile({name}=...) is not supported")
        if use_cuda is not None:
            warnings.warn(
                "`use_cuda` is deprecated, use `activities` argument instead",
                FutureWarning,
                stacklevel=2,
            )
        wanted = supported_activities() if activities is None else set(activities)
        if not wanted & supported_activities():
            raise AssertionError("No valid profiler activities found")
        self.activities = wanted & supported_activities()
        # What modules are called is known in any case; stacks say it where they are wanted.
        self.with_modules = with_modules
        self.asked = Asked(record_shapes, profile_memory, with_stack or with_modules, with_flops)
        self.acc_events = acc_events
        self.schedule = schedule if schedule is not None else _always
        self.record_steps = schedule is not None
        self.on_trace_ready = on_trace_ready
        self.step_num = 0
        self.current_action = self.schedule(0)
        self.step_rec_fn: record_function | None = None
        self.profiler: Any = None
        self._events: EventList | None = None
        self._kept: list[Any] = []
        self._metadata: dict[str, Any] = {}

    def __enter__(self) -> profile:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begins: what happens first is up to the schedule."""
        self._pass(ProfilerAction.NONE, self.current_action)
        self._begin_step()

    def stop(self) -> None:
        """Ends. `on_trace_ready` is called if something was being recorded."""
        self._end_step()
        self._pass(self.current_action, None)

    def step(self) -> None:
        """Says that a step ends here and the next one begins."""
        self._end_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        self._pass(before, self.current_action)
        self._begin_step()

    def _begin_step(self) -> None:
        if self.record_steps:
            self.step_rec_fn = record_function(f"ProfilerStep#{self.step_num}")
            self.step_rec_fn.__enter__()

    def _end_step(self) -> None:
        if self.step_rec_fn is not None:
            self.step_rec_fn.__exit__(None, None, None)
            self.step_rec_fn = None

    def _pass(self, before: ProfilerAction, after: ProfilerAction | None) -> None:
        """What a change from one action to the next asks for."""
        recording = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)
        if before is ProfilerAction.RECORD and after in (
            ProfilerAction.NONE,
            ProfilerAction.WARMUP,
        ):
            warnings.warn(
                f"Incorrect schedule: RECORD followed by {after.name}", UserWarning, stacklevel=3
            )
        goes_on = before is ProfilerAction.RECORD and after in recording
        if self.profiler is not None and before in recording and not goes_on:
            self._close()
            if after is None or before is ProfilerAction.RECORD_AND_SAVE:
                self._ready()
        if after in recording and before is not ProfilerAction.RECORD:
            self.profiler = Profiling()
            self._events = None
            self.profiler.begin()

    def _close(self) -> None:
        assert self.profiler is not None
        self.profiler.end()
        events = self.profiler.events(self.asked)
        trace = events._trace | self._metadata
        if self.acc_events:
            self._kept += events
            events = self._kept
        options = {"memory": self.asked.memory, "flops": self.asked.flops}
        self._events = EventList(events, **options, trace=trace)
        self.profiler = None

    def _ready(self) -> None:
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def events(self) -> EventList:
        """All events of the last cycle (of all cycles with acc_events)."""
        if self._events is None:
            raise AssertionError("Profiler must be initialized before accessing events")
        return self._events

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """The events by name (and shapes, or the lines that recorded them), added up."""
        if self._events is None:
            raise AssertionError("Profiler must be initialized before getting key averages")
        return self._events.key_averages(
            group_by_input_shape, group_by_stack_n, group_by_overload_name
        )

    def export_chrome_trace(self, path: str, use_python_export: bool = False) -> None:
        """Writes the last cycle for chrome://tracing; packed where the path ends in `gz`."""
        if self._events is None:
            raise AssertionError("Profiler must be initialized before exporting chrome trace")
        text = json.dumps(self._events._trace)
        if str(path).endswith("gz"):
            with gzip.open(path, "wt", encoding="utf-8") as file:
                file.write(text)
        else:
            Path(path).write_text(text, "utf-8")

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Writes the lines that recorded the kernels, with their times (with_stack=True)."""
        self.events().export_stacks(path, metric)

    def export_memory_timeline(self, path: str, device: str | None = None) -> None:
        """NotImplementedError: see the memory of `flambeau explain`."""
        raise NotImplementedError(
            "export_memory_timeline() is not supported: `flambeau explain` shows memory over time"
        )

    def add_metadata(self, key: str, value: str) -> None:
        """Adds a text to the trace."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Adds a value, given as JSON, to the trace."""
        self._metadata[key] = json.loads(value)


def _always(_: int) -> ProfilerAction:
    return ProfilerAction.RECORD


def tensorboard_trace_handler(
    dir_name: str,
    worker_name: str | None = None,
    use_gzip: bool = False,
    use_python_export: bool = False,
) -> Callable[[profile], None]:
    """What writes each cycle's trace into a folder, as TensorBoard's profiler page reads it."""

    def handler(prof: profile) -> None:
        Path(dir_name).mkdir(parents=True, exist_ok=True)
        worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        prof.export_chrome_trace(str(Path(dir_name) / name))

    return handler


class emit_nvtx:
    """NotImplementedError: there are no CUDA ranges."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError(f"{type(self).__name__} is not supported: there are no traces")


class emit_itt(emit_nvtx):
    """NotImplementedError: there are no ITT ranges."""
