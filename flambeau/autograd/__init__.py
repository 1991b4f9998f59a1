"""Automatic differentiation by PyTorch's names."""

from __future__ import annotations

import importlib
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
    "set_multithreading_enabled",
]


# Modules of floors above, by the names they have here: the roof puts them in.
LATER: dict[str, str] = {}


class set_multithreading_enabled:
    """Accepted: a backward pass is one compiled program, whatever its threads."""

    def __init__(self, mode: bool) -> None:
        self.mode = mode

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def Variable(data: Any, requires_grad: bool = False, volatile: bool = False) -> Any:
    """The tensor itself: what wrapped tensors before PyTorch 0.4."""
    if not isinstance(data, Tensor):
        raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
    out = data.detach()
    return out.requires_grad_() if requires_grad else out


def __getattr__(name: str) -> Any:
    """The modules `functional` and `forward_ad`, imported when they are used, and `profiler`."""
    if name in LATER:
        return importlib.import_module(LATER[name])
    if name in ("functional", "forward_ad"):
        return importlib.import_module(f"flambeau.autograd.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
