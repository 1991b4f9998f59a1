"""Automatic differentiation by PyTorch's names."""

from __future__ import annotations

from typing import Any

from flambeau.autograd import grad_mode, graph
from flambeau.autograd.anomaly_mode import detect_anomaly, set_detect_anomaly
from flambeau.autograd.engine import backward, grad
from flambeau.autograd.function import Function
from flambeau.autograd.gradcheck import gradcheck, gradgradcheck
from flambeau.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    no_grad,
    set_grad_enabled,
)
from flambeau.tensor.tensor import Tensor

__all__ = [
    "Function",
    "Variable",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "grad",
    "grad_mode",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_grad_enabled",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def Variable(data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
    """The tensor itself: what wrapped tensors before PyTorch 0.4."""
    if not isinstance(data, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
    out = data.detach()
    return out.requires_grad_() if requires_grad else out


def __getattr__(name: str) -> Any:
    """The module `functional`, imported when it is used."""
    if name == "functional":
        import importlib

        return importlib.import_module("flambeau.autograd.functional")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
