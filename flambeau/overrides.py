"""torch.overrides: Flambeau's functions do not ask arguments for `__torch_function__`."""

from __future__ import annotations

from typing import Any

from flambeau.tensor.tensor import Tensor

__all__ = ["has_torch_function", "is_tensor_like", "is_tensor_method_or_property"]


def has_torch_function(relevant_args: Any) -> bool:
    """False: there are no overrides."""
    return False


def is_tensor_like(inp: Any) -> bool:
    """Whether it is a tensor, or says that it stands for one."""
    return isinstance(inp, Tensor) or hasattr(type(inp), "__torch_function__")


def is_tensor_method_or_property(func: Any) -> bool:
    """Whether it is a member of Tensor."""
    return getattr(func, "__name__", None) in dir(Tensor)
