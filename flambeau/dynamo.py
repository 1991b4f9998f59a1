"""torch._dynamo: the few names that programs ask for. `flambeau.compiler` is what compiles."""

from __future__ import annotations

import contextlib
import sys
from types import SimpleNamespace
from typing import Any

from flambeau.compiler import (
    allow_in_graph,
    assume_constant_result,
    disable,
    is_compiling,
    list_backends,
    reset,
)

__all__ = [
    "OptimizedModule", "allow_in_graph", "assume_constant_result", "config", "disable",
    "eval_frame", "is_compiling",
    "is_dynamo_supported", "list_backends", "mark_dynamic", "mark_static",
    "mark_static_address", "reset",
]  # fmt: skip

__path__: list[str] = []  # torch._dynamo.eval_frame is this module too
eval_frame = sys.modules[__name__]

# What PyTorch's compiler could be told. Nothing here falls back or counts recompilations, so what
# is set is kept and changes nothing.
config = SimpleNamespace(
    accumulated_cache_size_limit=256,
    assume_static_by_default=True,
    cache_size_limit=8,
    capture_dynamic_output_shape_ops=False,
    capture_scalar_outputs=False,
    recompile_limit=8,
    suppress_errors=False,
    verbose=False,
)


class OptimizedModule:
    """What `torch.compile` makes of modules in PyTorch. Here a module stays what it is, so nothing
    is one, and making one raises NotImplementedError."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        raise NotImplementedError("OptimizedModule: torch.compile(module) is the module itself")


class TransformGetItemToIndex(contextlib.nullcontext[None]):
    """A block in which x[i] may have a batch of indices under vmap: it may anywhere."""


def is_dynamo_supported() -> bool:
    """True: functions are compiled everywhere."""
    return True


disallow_in_graph = forbid_in_graph = assume_constant_result


def mark_dynamic(t: Any, index: Any, **options: Any) -> None:
    """Accepted: a new size is a new program in any case."""


def graph_break(msg: str = "") -> None:
    """Accepted: a recording ends where a value is asked for."""


def mark_static(t: Any, index: Any = None) -> None:
    """Accepted: sizes are static in any case."""


def mark_static_address(t: Any, guard: bool = True) -> None:
    """Accepted: programs read tensors where they are."""


def set_logs(**components: Any) -> None:
    """torch._logging.set_logs: accepted; there are no such logs."""


def is_fake(x: Any) -> bool:
    """torch._subclasses.fake_tensor.is_fake: False, tensors have data."""
    return False
