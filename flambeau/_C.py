"""torch._C: the few names of PyTorch's C++ part that programs in Python use."""

from __future__ import annotations

from typing import Any

from flambeau.functional.generators import Generator
from flambeau.tensor import overriding
from flambeau.tensor.overriding import disabled as _disabled_torch_function_impl
from flambeau.tensor.tensor import Tensor
from flambeau.tensor.tensor import Tensor as TensorBase

__all__ = [
    "DisableTorchFunction",
    "DisableTorchFunctionSubclass",
    "Generator",
    "ScriptObject",
    "TensorBase",
    "_disabled_torch_function_impl",
]

_TensorMeta = type(Tensor)


class ScriptObject:
    """An object of TorchScript's; nothing is one."""


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
    """Nothing: no usage is logged."""


def _are_functorch_transforms_active() -> bool:
    """False: transforms work on recordings, not on wrapped tensors."""
    return False


def _get_tracing_state() -> None:
    """None: programs are recorded as they run."""


def _jit_setting(enabled: Any = None) -> bool:
    """Accepted: there is no TorchScript whose executor could be set."""
    return False


_jit_set_profiling_executor = _jit_set_profiling_mode = _jit_setting
_jit_override_can_fuse_on_cpu = _jit_override_can_fuse_on_gpu = _jit_setting
_jit_set_texpr_fuser_enabled = _jit_set_nvfuser_enabled = _jit_setting
_jit_can_fuse_on_cpu = _jit_can_fuse_on_gpu = _jit_setting


def _assert(condition: Any, message: Any) -> None:
    """torch._assert: AssertionError with the message unless the condition holds."""
    if not condition:
        raise AssertionError(message)
