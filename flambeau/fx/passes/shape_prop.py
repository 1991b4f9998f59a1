"""Shapes and dtypes of every value of a graph, from a run of it."""

from __future__ import annotations

from typing import Any, NamedTuple

from flambeau.fx.interpreter import Interpreter
from flambeau.fx.node import Node, map_aggregate
from flambeau.tensor.tensor import Tensor

__all__ = ["ShapeProp", "TensorMetadata"]


class TensorMetadata(NamedTuple):
    """What a tensor is, without its data."""

    shape: Any
    dtype: Any
    requires_grad: bool
    stride: tuple[int, ...]
    memory_format: Any
    is_quantized: bool
    qparams: dict[str, Any]


def _described(value: Any) -> Any:
    if not isinstance(value, Tensor):
        return value
    stride = tuple(value.stride())
    return TensorMetadata(value.shape, value.dtype, value.requires_grad, stride, None, False, {})


class ShapeProp(Interpreter):
    """Runs a module and notes node.meta["tensor_meta"] and node.meta["type"]."""

    def run_node(self, n: Node) -> Any:
        """The value of one node, noted."""
        result = super().run_node(n)
        found: list[Any] = []

        def note(value: Any) -> Any:
            found.extend([value] if isinstance(value, Tensor) else [])
            return _described(value)

        described = map_aggregate(result, note)
        if found:
            n.meta["tensor_meta"] = described
        n.meta["type"] = type(result)
        return result

    def propagate(self, *args: Any) -> Any:
        """Runs the module on these inputs."""
        return self.run(*args)
