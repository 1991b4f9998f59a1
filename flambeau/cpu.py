"""torch.cpu: the device that is always there."""

from __future__ import annotations

from typing import Any

from flambeau.record.recorder import flush


def is_available() -> bool:
    """Whether there is a CPU."""
    return True


def device_count() -> int:
    """One: all cores work together."""
    return 1


def current_device() -> str:
    """The only one."""
    return "cpu"


def synchronize(device: Any = None) -> None:
    """Computes what has been recorded."""
    flush()


def is_initialized() -> bool:
    """True: the CPU needs no preparation."""
    return True


def set_device(device: Any) -> None:
    """Accepted: there is one CPU."""


class Stream:
    """A queue of work: everything on the CPU is in one."""

    def __init__(self, priority: int = -1) -> None:
        pass

    def wait_stream(self, stream: Any) -> None:
        """Work is done in order already."""

    def record_event(self) -> None:
        """Work is done in order already."""

    def wait_event(self, event: Any) -> None:
        """Work is done in order already."""


class Event:
    """A mark in the queue."""

    def query(self) -> bool:
        """Whether work up to the mark is done."""
        return True

    def record(self, stream: Any = None) -> None:
        """Work is done in order already."""

    def synchronize(self) -> None:
        """Computes what has been recorded."""
        flush()

    def wait(self, stream: Any = None) -> None:
        """Work is done in order already."""


_stream = Stream()


def current_stream(device: Any = None) -> Stream:
    """The only stream."""
    return _stream


class StreamContext:
    """A context in which a stream is the current one."""

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


stream = StreamContext


__path__: list[str] = []  # so that `import torch.cpu.amp` may ask below it


def __getattr__(name: str) -> Any:
    if name == "amp":
        from flambeau.amp import cpu as amp

        return amp
    raise AttributeError(f"module 'torch.cpu' has no attribute '{name}'")
