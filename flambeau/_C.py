"""torch._C: the few names of PyTorch's C++ part that programs in Python call."""

from __future__ import annotations

from typing import Any

from flambeau.functional.generators import Generator
from flambeau.tensor.tensor import Tensor

__all__ = ["Generator", "ScriptObject"]

_TensorMeta = type(Tensor)


class ScriptObject:
    """An object of TorchScript's; nothing is one."""


def _log_api_usage_once(event: str) -> None:
    """Nothing: no usage is logged."""


def _are_functorch_transforms_active() -> bool:
    """False: transforms work on recordings, not on wrapped tensors."""
    return False


def _get_tracing_state() -> None:
    """None: nothing is traced for TorchScript."""


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
