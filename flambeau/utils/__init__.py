"""torch.utils: its modules, loaded when first used, and what stands in none of them."""

from __future__ import annotations

import importlib
from typing import Any

from flambeau.tensor.tensor import Tensor

_SUBMODULES = frozenset(
    """_pytree benchmark bottleneck checkpoint collect_env cpp_extension data deterministic
    dlpack flop_counter hooks model_zoo tensorboard""".split()
)
_ABSENT = {
    "bottleneck": "the standard library's cProfile",
    "collect_env": "the command `flambeau env`",
    "cpp_extension": "NumPy or llvmlite: Flambeau has no C++ interface",
    "flop_counter": "counting by hand",
}


def set_module(obj: Any, mod: str) -> None:
    """Sets the module's name that an object tells."""
    if not isinstance(mod, str):
        raise TypeError("The mod argument should be a string")
    obj.__module__ = mod


def swap_tensors(t1: Tensor, t2: Tensor) -> None:
    """Exchanges what two tensors are: class, data, history and attributes. NotImplementedError."""
    raise NotImplementedError("swap_tensors() is not supported: use t1.data, t2.data = ...")


def __getattr__(name: str) -> Any:
    if name in _SUBMODULES and name not in _ABSENT:
        return importlib.import_module(f"flambeau.utils.{name}")
    if name == "_pytree":
        return importlib.import_module("flambeau.utils.trees")
    instead = f": use {_ABSENT[name]} instead" if name in _ABSENT else " yet"
    raise AttributeError(f"flambeau has no torch.utils.{name}{instead}")
