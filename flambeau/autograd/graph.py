"""torch.autograd.graph: what is kept for backward, and the graph's nodes, by PyTorch's names."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.autograd.engine import RemovableHandle
from flambeau.autograd.node import Node

__all__ = ["Node", "RemovableHandle", "save_on_cpu", "saved_tensors_hooks"]


class saved_tensors_hooks:
    """Not supported: what backward needs is decided when a program is made, not op by op."""

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        raise NotImplementedError(
            "autograd.graph.saved_tensors_hooks is not supported: a recorded program decides as a "
            "whole what it keeps for backward, so there is no saved tensor to hand to a hook"
        )


class save_on_cpu:
    """Keeps what backward needs on the CPU: where all tensors are there, nothing is to be done."""

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        if pin_memory:
            raise NotImplementedError("autograd.graph.save_on_cpu: pin_memory=True needs a GPU")
        self.device_type = device_type

    def __enter__(self) -> None:
        return None

    def __exit__(self, *exc: Any) -> None:
        return None
