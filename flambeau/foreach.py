"""torch._foreach_*: one function over lists of tensors, as optimizers and moving averages call it.

In a recording a loop over the tensors is one program anyway, so these are loops.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from flambeau.linalg import vector_norm
from flambeau.tensor.tensor import Tensor

UNARY = (
    "abs", "acos", "asin", "atan", "ceil", "cos", "cosh", "erf", "erfc", "exp", "expm1", "floor",
    "frac", "lgamma", "log", "log10", "log1p", "log2", "neg", "reciprocal", "round", "rsqrt",
    "sigmoid", "sign", "sin", "sinh", "sqrt", "tan", "tanh", "trunc",
)  # fmt: skip
# With tensors, numbers, or one of either.
BINARY = ("add", "sub", "mul", "div", "pow", "clamp_min", "clamp_max", "maximum", "minimum", "lerp")
TERNARY = ("addcmul", "addcdiv")
# The names that these have where one operand is a number.
_WITH_NUMBER = {"maximum": "clamp_min", "minimum": "clamp_max"}


def _several(tensors: Any, *lists: Any) -> list[Tensor]:
    """The first list, which must have tensors, and as many as the others have entries."""
    found = list(tensors)
    if not found:
        raise RuntimeError("Tensor list must have at least one tensor.")
    for other in lists:
        if len(other) != len(found):
            if len(other) and isinstance(other[0], Tensor):
                raise RuntimeError(
                    "Tensor lists must have the same number of tensors, "
                    f"got {len(found)} and {len(other)}"
                )
            raise RuntimeError("Tensor list must have same number of elements as scalar list.")
    return found


def _spread(value: Any, count: int) -> Sequence[Any]:
    """A list as it is; one number or tensor for each place."""
    return value if isinstance(value, (list, tuple)) else [value] * count


def _unary(name: str) -> Callable[..., Any]:
    def apply(self: Any) -> Any:
        made = [getattr(t, name)() for t in _several(self)]
        return self if name.endswith("_") else tuple(made)

    return apply


def _binary(name: str, in_place: str) -> Callable[..., Any]:
    def apply(self: Any, other: Any, *weight: Any, **options: Any) -> Any:
        if name == "pow" and not isinstance(self, (list, tuple)):  # a number to many powers
            return tuple([self**t for t in _several(other)])
        others = other if isinstance(other, (list, tuple)) else ()
        tensors = _several(self, others or self)
        weights = [_spread(w, len(tensors)) for w in (*weight, *_taken(options, "weight"))]
        made = []
        for place, (t, o) in enumerate(zip(tensors, _spread(other, len(tensors)))):
            called = name if isinstance(o, Tensor) else _WITH_NUMBER.get(name, name)
            if called in ("maximum", "minimum") and in_place:
                made.append(t.copy_(getattr(t, called)(o)))
                continue
            more = [w[place] for w in weights]
            made.append(getattr(t, called + in_place)(o, *more, **options))
        return self if in_place else tuple(made)

    return apply


def _taken(options: dict[str, Any], name: str) -> list[Any]:
    return [options.pop(name)] if name in options else []


def _ternary(name: str, in_place: str) -> Callable[..., Any]:
    def apply(self: Any, tensor1: Any, tensor2: Any, value: Any = 1, **options: Any) -> Any:
        values = options.get("scalars", value)
        values = values.tolist() if isinstance(values, Tensor) else values
        listed = (values,) if isinstance(values, (list, tuple)) else ()
        tensors = _several(self, tensor1, tensor2, *listed)
        rows = zip(tensors, tensor1, tensor2, _spread(values, len(tensors)))
        made = [getattr(t, name + in_place)(a, b, value=v) for t, a, b, v in rows]
        return self if in_place else tuple(made)

    return apply


def _norm(self: Any, ord: Any = 2, dtype: Any = None) -> Any:
    return tuple([vector_norm(t, ord, dtype=dtype) for t in _several(self)])


def _copy(self: Any, src: Any, non_blocking: bool = False) -> Any:
    for t, other in zip(_several(self, src), src):
        t.copy_(other)
    return self


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_foreach_norm": _norm,
    "_foreach_copy_": _copy,
    "_foreach_clone": _unary("clone"),
    "_foreach_max": _unary("max"),
    "_foreach_zero_": _unary("zero_"),
    "_foreach_mm": lambda self, mat2: tuple([a.mm(b) for a, b in zip(_several(self, mat2), mat2)]),
}
for _place in ("", "_"):
    FUNCTIONS |= {f"_foreach_{name}{_place}": _unary(name + _place) for name in UNARY}
    FUNCTIONS |= {f"_foreach_{name}{_place}": _binary(name, _place) for name in BINARY}
    FUNCTIONS |= {f"_foreach_{name}{_place}": _ternary(name, _place) for name in TERNARY}
