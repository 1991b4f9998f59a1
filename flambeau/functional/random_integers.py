"""Random integers: from a range, or in an order."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flambeau.core import dtypes, random_streams
from flambeau.core.calls import refuse_misgiven
from flambeau.functional.generators import Generator
from flambeau.functional.options import (
    checked_device,
    checked_dtype,
    finish,
    not_implemented,
    shape_of,
)
from flambeau.functional.randomness import fill_random, like, make_random, no_more
from flambeau.tensor.tensor import Tensor


def randint(
    low: Any = None,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = dtypes.int64,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Integers in [low, high)."""
    if size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if low is None:
        low = 0
    if device is not None:
        checked_device(device)
    kind = dtypes.int64
    if dtype is not None and dtype is not kind:
        kind = checked_dtype(dtype)
    low, high = int(low), int(high)
    if low >= high:
        raise RuntimeError(
            f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
        )
    shape = shape_of((size,), "randint")
    made = make_random("random_range", shape, kind, _range(kind.name, low, high), generator)
    return finish(made, requires_grad, out) if requires_grad or out is not None else made


@lru_cache(maxsize=256)
def _range(dtype: str, low: int, high: int) -> tuple[tuple[str, Any], ...]:
    return tuple(random_streams.range_attributes(dtype, low, high).items())


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    out: Tensor | None = None,
    dtype: Any = dtypes.int64,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """A random permutation of 0 .. n - 1."""
    if n.__class__ is not int:
        refuse_misgiven()
    if n < 0:
        raise RuntimeError(f"n must be non-negative, got {n}")
    kind = checked_dtype(dtype)
    if kind.kind in "bc":
        raise not_implemented("randperm", kind)
    if kind.kind == "i" and n > dtypes.iinfo(kind).max:
        raise RuntimeError(f"value cannot be converted to type {kind.name}_t without overflow")
    held = {"float16": 2**11 + 1, "float32": 2**24 + 1}.get(kind.name, n)
    if n > held:
        raise RuntimeError(f"n cannot be greater than {held} for {kind.scalar_name} type.")
    made = make_random("permutation", (int(n),), kind, {}, generator)
    return finish(made, requires_grad, out)


def randint_like(
    input: Tensor, low: Any = None, high: Any = None, *, generator: Generator | None = None,
    dtype: Any = None, layout: Any = None, device: Any = None, requires_grad: bool = False,
    pin_memory: bool = False, memory_format: Any = None,
) -> Tensor:  # fmt: skip
    """Integers in [low, high), or [0, the one given), in the shape and dtype of `input`."""
    start, end = (0, low) if high is None else (low, high)
    first, last = 0 if start is None else int(start), int(end)
    options = dtype, layout, device, requires_grad, memory_format
    return like(lambda t: random_(t, first, last, generator=generator), input, *options)


_NOT_GIVEN: Any = object()


def random_(
    self: Tensor,
    from_: int | None = _NOT_GIVEN,
    to: int | None = _NOT_GIVEN,
    *,
    generator: Generator | None = None,
    **named: Any,
) -> Tensor:
    """Fills with integers: of the dtype's whole range, of [0, to), of [from, to), or (`to` None) of
    all from there on.
    """
    low, high = named.pop("from", from_), to
    no_more("random_", named)
    for name, given in (("from", low), ("to", high)):
        if given not in (None, _NOT_GIVEN) and not hasattr(type(given), "__index__"):
            raise TypeError(f"random_(): argument '{name}' must be int, not {type(given).__name__}")
    if low is not _NOT_GIVEN and high is _NOT_GIVEN:
        low, high = 0, low
    elif low is _NOT_GIVEN:
        low, high = (None, None) if high is _NOT_GIVEN else (0, high)
    if low is None and high is not None:
        raise TypeError("random_(): argument 'from' must be int, not NoneType")
    parameters = random_streams.range_attributes(self.dtype.name, low, high)
    return fill_random(self, "random_range", parameters, generator)


METHODS: dict[str, Callable[..., Any]] = {"random_": random_}

# Names of the torch namespace.
__all__ = ["randint", "randint_like", "randperm"]
