"""torch.accelerator: the GPU at hand, if any."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from flambeau.core.device import cuda_device_count
from flambeau.core.device import device as Device


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
