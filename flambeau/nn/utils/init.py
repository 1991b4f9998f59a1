"""Making a module without drawing its parameters."""

from __future__ import annotations

import inspect
from typing import Any

from flambeau.functional.generators import get_rng_state, set_rng_state
from flambeau.nn.modules.module import Module

__all__ = ["skip_init"]


def skip_init(module_cls: type[Any], *args: Any, **kwargs: Any) -> Any:
    """Return module_cls(*args, **kwargs), the generator left as if nothing had been drawn.

    No promise is made about the values of its parameters.
    """
    if not issubclass(module_cls, Module):
        raise RuntimeError(f"Expected a Module; got {module_cls}")
    if "device" not in inspect.signature(module_cls).parameters:
        raise RuntimeError("Module must support a 'device' arg to skip initialization")
    before = get_rng_state()
    try:
        return module_cls(*args, **kwargs)
    finally:
        set_rng_state(before)
