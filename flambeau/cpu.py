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


__path__: list[str] = []  # so that `import torch.cpu.amp` may ask below it


def __getattr__(name: str) -> Any:
    if name == "amp":
        from flambeau.amp import cpu as amp

        return amp
    raise AttributeError(f"module 'torch.cpu' has no attribute '{name}'")
