"""torch.accelerator: the GPU at hand, if any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from flambeau.core.device import cuda_device_count
from flambeau.core.device import device as Device


class Stream:
    """A queue of work. On the CPU, where there is only one, everything in it is done already.

    RuntimeError for devices that are not there.
    """

    device_index, device_type, stream_id = -1, 0, 0

    def __init__(self, device: Any = None, *, priority: int = 0, **ids: Any) -> None:
        self.device = _own_device(device)

    def query(self) -> bool:
        """Whether all work in it is done: True."""
        return True

    def synchronize(self) -> None:
        """Waits for all work in it."""

    def record_event(self, event: Any = None) -> Any:
        """RuntimeError: there are no marks in a CPU's work."""
        raise RuntimeError("cpu backend doesn't support events.")

    def wait_event(self, event: Event) -> None:
        """Lets later work wait for an event."""

    def wait_stream(self, other: Stream) -> None:
        """RuntimeError: there are no marks in a CPU's work."""
        raise RuntimeError("cpu backend doesn't support events.")

    def __enter__(self) -> Stream:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Stream)

    def __hash__(self) -> int:
        return hash((self.device_type, self.device_index, self.stream_id))

    def __repr__(self) -> str:
        return "torch.Stream device_type=cpu, device_index=-1, stream_id=0"


class Event:
    """A mark in a stream, which a CPU's streams do not have. RuntimeError for other devices."""

    device_index, device_type, event_id = -1, 0, 0

    def __init__(
        self, device: Any = None, *, enable_timing: bool = False, blocking: bool = False,
        interprocess: bool = False,
    ) -> None:  # fmt: skip
        self.device = _own_device(device)
        self._timed = enable_timing

    def record(self, stream: Any = None) -> None:
        """RuntimeError: there are no marks in a CPU's work."""
        raise RuntimeError("cpu backend doesn't support events.")

    def query(self) -> bool:
        """Whether the work before it is done: True."""
        return True

    def wait(self, stream: Any = None) -> None:
        """Lets a stream wait for it."""

    def synchronize(self) -> None:
        """Waits for it."""

    def elapsed_time(self, end_event: Event) -> float:
        """ValueError or RuntimeError: it was not recorded."""
        if not (self._timed and end_event._timed):
            raise ValueError("Both events must be created with argument 'enable_timing=True'.")
        raise RuntimeError("cpu backend doesn't support events.")

    def ipc_handle(self) -> Any:
        """NotImplementedError."""
        raise NotImplementedError("torch.Event ipc is not supported yet")

    def __repr__(self) -> str:
        return (
            "torch.Event device_type=cpu, device_index=-1, "
            f"event_flag={int(self._timed)}, event_id=0"
        )


def _own_device(given: Any) -> Device:
    device = Device(given) if isinstance(given, str) else given
    if device is not None and device.type != "cpu":
        raise RuntimeError(f"PyTorch is not linked with support for {device.type} devices")
    return Device("cpu")


def is_available() -> bool:
    """Whether there is an accelerator."""
    return cuda_device_count() > 0


def device_count() -> int:
    """How many accelerators there are."""
    return cuda_device_count()


def current_accelerator(check_available: bool = False) -> Device | None:
    """The kind of accelerator as a device without index; None where there is none."""
    return Device("cuda") if is_available() else None


def _refuse(name: str) -> NoReturn:
    if not is_available():
        raise RuntimeError("Cannot access accelerator device when none is available.")
    raise NotImplementedError(f"torch.accelerator.{name} is not implemented")


def current_device_index() -> int:
    """The index of the current accelerator. RuntimeError without one."""
    _refuse("current_device_index")


def set_device_index(device: Any) -> None:
    """Makes an accelerator the current one. RuntimeError without one."""
    _refuse("set_device_index")


def synchronize(device: Any = None) -> None:
    """Waits for the accelerator's work. RuntimeError without one."""
    _refuse("synchronize")


def _needs_device(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **options: Any) -> Any:
        _refuse(name)

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "RuntimeError without an accelerator."
    return refuse


current_stream, set_stream = _needs_device("current_stream"), _needs_device("set_stream")
current_device_idx = _needs_device("current_device_idx")
set_device_idx, device_index = _needs_device("set_device_idx"), _needs_device("device_index")
empty_cache, get_memory_info = _needs_device("empty_cache"), _needs_device("get_memory_info")
memory_stats, memory_allocated = _needs_device("memory_stats"), _needs_device("memory_allocated")
max_memory_allocated = _needs_device("max_memory_allocated")
memory_reserved = _needs_device("memory_reserved")
max_memory_reserved = _needs_device("max_memory_reserved")
reset_accumulated_memory_stats = _needs_device("reset_accumulated_memory_stats")
reset_peak_memory_stats = _needs_device("reset_peak_memory_stats")
