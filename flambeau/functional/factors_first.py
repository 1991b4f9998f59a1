"""Old overloads that take the factor first: `x.add_(-0.1, g)` for `x.add_(g, alpha=-0.1)`."""

from __future__ import annotations

import numbers
from collections.abc import Callable
from typing import Any

from flambeau.record.places import warn_user
from flambeau.tensor.tensor import Tensor

_warned: list[str] = []


def is_factor(value: Any) -> bool:
    """Whether PyTorch takes it for a number: a tensor without dimensions is one."""
    return value.ndim == 0 if isinstance(value, Tensor) else isinstance(value, numbers.Number)


def factor_first(
    function: Callable[..., Tensor], tensor: Any, given: tuple[Any, ...], factor: str,
    names: tuple[str, ...], **options: Any,
) -> Tensor:  # fmt: skip
    """`function(tensor, *operands, factor=..)` of the arguments (factor, *operands).

    TypeError where they are not that: `names` are those of the operands.
    """
    name = function.__name__
    if len(given) != len(names) + 1 or not is_factor(given[0]):
        raise too_many(name, len(names), len(given))
    warn_of_overload(name, f"Number {factor}", names, f"Number {factor} = 1")
    return function(tensor, *given[1:], **{factor: given[0]}, **options)


def too_many(name: str, wanted: int, given: int) -> TypeError:
    """The error of a call with more positional arguments than there are."""
    return TypeError(f"{name}() takes {wanted + 1} positional arguments but {given + 1} were given")


def warn_of_overload(name: str, old: str, names: tuple[str, ...], new: str) -> None:
    """PyTorch's warning, given for the first such overload that a process uses."""
    if _warned:
        return
    _warned.append(name)
    operands = ", ".join(f"Tensor {operand}" for operand in names)
    warn_user(
        f"This overload of {name} is deprecated:\n\t{name}({old}, {operands})\nConsider using one "
        f"of the following signatures instead:\n\t{name}({operands}, *, {new})"
    )
