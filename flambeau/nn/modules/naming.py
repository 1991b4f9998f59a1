"""Whom an error of arguments names: `nn.Conv2d(3)` says Conv2d, wherever `__init__` stands."""

from __future__ import annotations

from collections.abc import Iterable
from types import FunctionType
from typing import Any

# Bases that PyTorch has no `__init__` in; other bases it names in errors, as Python does.
BASES = frozenset(
    (
        "_Blocks _ConstantPadNd _Conv _ConvTransposeNd _DividedAvgPoolNd _FractionalMaxPoolNd "
        "_InPlace _MaxUnpoolNd _Pad _ZeroPadNd"
    ).split()
)


def give_names(classes: Iterable[Any]) -> None:
    """Gives each class whose `__init__` is that of one of these bases one of its own name."""
    for cls in classes:
        owner = next(base for base in cls.__mro__ if "__init__" in vars(base))
        if owner is not cls and owner.__name__ in BASES:
            cls.__init__ = named(vars(owner)["__init__"], cls)


def named(function: Any, owner: type) -> FunctionType:
    """The same function as one of a class."""
    made = FunctionType(
        function.__code__,
        function.__globals__,
        function.__name__,
        function.__defaults__,
        function.__closure__,
    )
    made.__kwdefaults__ = function.__kwdefaults__
    made.__annotations__ = function.__annotations__
    made.__doc__ = function.__doc__
    made.__qualname__ = f"{owner.__qualname__}.__init__"
    return made
