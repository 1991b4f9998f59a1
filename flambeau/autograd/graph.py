"""torch.autograd.graph: what is kept for backward, and the graph's nodes, by PyTorch's names."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from flambeau.autograd import engine
from flambeau.autograd.engine import GradientEdge
from flambeau.autograd.hooks import RemovableHandle as RemovableHandle
from flambeau.autograd.node import Node, accumulation
from flambeau.autograd.saved_hooks import SavedTensorsHooks
from flambeau.tensor.tensor import Tensor

__all__ = [
    "GradientEdge",
    "Node",
    "allow_mutation_on_saved_tensors",
    "disable_saved_tensors_hooks",
    "get_gradient_edge",
    "increment_version",
    "register_multi_grad_hook",
    "save_on_cpu",
    "saved_tensors_hooks",
]


def get_gradient_edge(tensor: Any) -> GradientEdge:
    """Where the tensor's gradient arrives; `backward` and `grad` take it for the tensor."""
    if not tensor.requires_grad:
        raise RuntimeError(
            "It is not possible to get the gradient edge for a Tensor that does not require "
            "gradients"
        )
    node = accumulation(tensor) if tensor.grad_fn is None else tensor.grad_fn
    return GradientEdge(node, tensor.output_nr, tensor)


def increment_version(tensor: Any) -> None:
    """Tells autograd that tensors were written by something that it cannot see."""
    for one in (tensor,) if isinstance(tensor, Tensor) else tensor:
        one._settled().version += 1


class _SavedHooks:
    """Whether saved_tensors_hooks may be used: the message if not."""

    disabled: str | None = None


@contextlib.contextmanager
def disable_saved_tensors_hooks(error_message: str) -> Iterator[None]:
    """Within, saved_tensors_hooks raises RuntimeError(error_message)."""
    before, _SavedHooks.disabled = _SavedHooks.disabled, error_message
    try:
        yield
    finally:
        _SavedHooks.disabled = before


class allow_mutation_on_saved_tensors:
    """Not supported: what backward needs is checked for overwriting in any case."""

    def __init__(self) -> None:
        raise NotImplementedError(
            "autograd.graph.allow_mutation_on_saved_tensors is not supported: clone() what is "
            "overwritten before backward"
        )


class _MultiGradHook:
    """Counts the gradients that one backward pass delivers to several tensors."""

    def __init__(self, tensors: Sequence[Any], function: Callable[..., Any], mode: str) -> None:
        self.tensors = tensors
        self.function = function
        self.any = mode == "any"
        self.found: dict[int, Any] = {}
        self.handles = [
            t.register_hook(functools.partial(self._arrived, place))
            for place, t in enumerate(tensors)
        ]

    def _arrived(self, place: int, gradient: Any) -> None:
        if self.any:
            if not self.found:
                self.found[place] = gradient
                engine.at_end_of_pass(self.found.clear)
                self.function(gradient)
            return
        if not self.found:
            engine.at_end_of_pass(self._finish)
        self.found[place] = gradient

    def _finish(self) -> None:
        found, self.found = self.found, {}
        self.function([found.get(place) for place in range(len(self.tensors))])

    def remove(self) -> None:
        for handle in self.handles:
            handle.remove()

    def __enter__(self) -> _MultiGradHook:
        return self

    def __exit__(self, *exc: Any) -> None:
        self.remove()


def register_multi_grad_hook(
    tensors: Sequence[Any], fn: Callable[..., Any], *, mode: str = "all"
) -> Any:
    """Calls fn(gradients of all tensors, None where there is none) in each backward pass; with
    mode "any" fn(gradient) at the first of them.
    """
    if mode not in ("all", "any"):
        raise ValueError(f"Expects mode to be one of ('all', 'any') but got {mode}")
    return _MultiGradHook(list(tensors), fn, mode)


class saved_tensors_hooks(SavedTensorsHooks):
    """Within, ops keep for backward what pack_hook makes of their operands (see saved_hooks).

    RuntimeError where disable_saved_tensors_hooks is in force.
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        if _SavedHooks.disabled is not None:
            raise RuntimeError(_SavedHooks.disabled)
        super().__init__(pack_hook, unpack_hook)


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
