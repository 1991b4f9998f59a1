"""Pictures of functions: activations and their derivatives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.autograd.modes import enable_grad
from flambeau.functional.counted import linspace
from flambeau.nn import functional as F
from flambeau.nn.modules.module import Module
from flambeau.plot.canvas import colours, muted, plain, pyplot
from flambeau.tensor.tensor import Tensor

COMMON = ("relu", "leaky_relu", "gelu", "silu", "tanh", "sigmoid")


def activations(
    functions: Sequence[str | Callable[[Tensor], Tensor]] = COMMON,
    limits: tuple[float, float] = (-4.0, 4.0),
    *,
    ax: Any = None,
) -> Any:
    """Activation functions on the left, their derivatives on the right; gives both axes.

    `functions` are names of `nn.functional`, modules or functions of one tensor; `ax` two axes.
    """
    if isinstance(functions, str) or callable(functions):
        functions = [functions]
    if not functions:
        raise ValueError("there are no functions")
    low, high = limits
    if not low < high:
        raise ValueError(f"limits must be (low, high), got {limits}")
    named = [_named(function) for function in functions]
    if ax is None:
        _, ax = pyplot().subplots(1, 2, figsize=(8.4, 3.6), layout="constrained")
    pair = np.ravel(np.asarray(ax, dtype=object))
    if len(pair) != 2:
        raise ValueError(f"activations draws into two axes, got {len(pair)}")
    with enable_grad():
        for place, (name, function) in enumerate(named):
            x = linspace(low, high, 801).requires_grad_()
            y = function(x)
            if not isinstance(y, Tensor) or y.shape != x.shape:
                raise ValueError(f"{name} does not give a number for each number")
            y.sum().backward()
            line = ("-", "--", "-.")[place // 6 % 3]
            style = {"color": colours(pair[0])[place % 6], "linewidth": 1.8, "linestyle": line}
            pair[0].plot(x.tolist(), y.tolist(), label=name, **style)
            pair[1].plot(x.tolist(), x.grad.tolist(), label=name, **style)
    for axis, title in zip(pair, ("function", "derivative")):
        axis.set_title(title)
        axis.set_xlim(low, high)
        for draw in (axis.axhline, axis.axvline):
            draw(0, color=muted(axis), linewidth=0.7, zorder=0)
        axis.grid(alpha=0.2)
        plain(axis)
    pair[0].legend(frameon=False)
    return pair


def _named(function: Any) -> tuple[str, Callable[[Tensor], Tensor]]:
    if isinstance(function, str):
        found = getattr(F, function, None) or getattr(Tensor, function, None)
        if found is None:
            raise ValueError(f"nn.functional has no {function!r}")
        return function, found
    if not callable(function):
        raise TypeError(f"a name or a function is needed, got {type(function).__name__}")
    if isinstance(function, Module):
        return type(function).__name__, function
    return getattr(function, "__name__", type(function).__name__), function
