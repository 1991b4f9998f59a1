"""The few names of PyTorch's C++ module that Python programs use."""

from __future__ import annotations

from typing import Any

from flambeau.functional.generators import Generator
from flambeau.tensor import overriding
from flambeau.tensor.overriding import disabled as _disabled_torch_function_impl
from flambeau.tensor.tensor import Tensor as TensorBase

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "Generator",
    "TensorBase",
    "_disabled_torch_function_impl",
]


class DisableTorchFunctionSubclass:
    """Within, subclasses of Tensor do not take over ops; modes still do."""

    modes = False

    def __enter__(self) -> None:
        local = overriding.LOCAL
        self.before = local.off, local.modes_off
        local.off, local.modes_off = True, self.modes or local.modes_off

    def __exit__(self, *exc: Any) -> None:
        overriding.LOCAL.off, overriding.LOCAL.modes_off = self.before


class DisableTorchFunction(DisableTorchFunctionSubclass):
    """Within, nothing takes over ops."""

    modes = True


def _log_api_usage_once(event: str) -> None:
    """Nothing is logged."""


def _get_tracing_state() -> None:
    """None: programs are recorded as they run."""
