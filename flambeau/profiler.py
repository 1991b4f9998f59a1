"""torch.profiler: labels and schedules; the profiler itself is Python's."""

from __future__ import annotations

import contextlib
import enum
from collections.abc import Callable
from typing import Any

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
    """None: nothing is profiled."""
    return set()


class record_function(contextlib.ContextDecorator):
    """A label for the profiler. Without one running it does nothing, as in PyTorch."""

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name, self.args = name, args

    def __enter__(self) -> record_function:
        return self

    def __exit__(self, *_: object) -> None:
        pass


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
    """NotImplementedError: profile with Python's cProfile; `flambeau run --report` tells more."""

    def __init__(self, *args: Any, **options: Any) -> None:
        raise NotImplementedError(
            "torch.profiler.profile is not supported: ops are recorded and compiled together, so "
            "there is no time of a single op; use Python's cProfile, or `flambeau run --report`"
        )


class EventList(list[Any]):
    """What a profiler has seen. Nothing makes one."""


def tensorboard_trace_handler(
    dir_name: str, worker_name: str | None = None, use_gzip: bool = False
) -> Any:
    """NotImplementedError: there are no traces."""
    raise NotImplementedError("tensorboard_trace_handler() is not supported: there are no traces")
