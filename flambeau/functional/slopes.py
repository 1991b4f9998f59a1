"""Numerical derivatives of samples on a grid."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from flambeau.core import dtypes
from flambeau.core.shapes import wrap_axis
from flambeau.functional.folding import checked
from flambeau.functional.joining import cat
from flambeau.functional.options import axis_name
from flambeau.functional.views import narrow, reshape
from flambeau.tensor.tensor import Tensor


def _even(x: Tensor, axis: int, step: Any, order: int) -> Tensor:
    """Central differences at equal steps; one-sided ones of `order` 1 or 2 at the ends."""
    count = x.shape[axis]

    def at(place: int) -> Tensor:
        return narrow(x, axis, place % count, 1)

    middle = (narrow(x, axis, 2, count - 2) - narrow(x, axis, 0, count - 2)) / (2 * step)
    if order == 1:
        first, last = (at(1) - at(0)) / step, (at(-1) - at(-2)) / step
    else:
        first = (-1.5 * at(0) + 2 * at(1) - 0.5 * at(2)) / step
        last = (1.5 * at(-1) - 2 * at(-2) + 0.5 * at(-3)) / step
    return cat((first, middle, last), axis)


def _uneven(x: Tensor, axis: int, places: Tensor, order: int) -> Tensor:
    """The same at given places along the axis."""
    count = x.shape[axis]
    shape = tuple(-1 if a == axis else 1 for a in range(x.ndim))
    steps = narrow(places, 0, 1, count - 1) - narrow(places, 0, 0, count - 1)
    if not steps.is_floating_point():
        steps = steps.to(x.dtype if x.is_floating_point() else (x / 1).dtype)
    h = reshape(steps, shape)

    def at(place: int) -> Tensor:
        return narrow(x, axis, place % count, 1)

    def step(place: int) -> Tensor:
        return narrow(h, axis, place % (count - 1), 1)

    left, right = narrow(h, axis, 0, count - 2), narrow(h, axis, 1, count - 2)
    middle = (
        -right / (left * (left + right)) * narrow(x, axis, 0, count - 2)
        + (right - left) / (left * right) * narrow(x, axis, 1, count - 2)
        + left / (right * (left + right)) * narrow(x, axis, 2, count - 2)
    )
    if order == 1:
        first, last = (at(1) - at(0)) / step(0), (at(-1) - at(-2)) / step(-1)
    else:
        a, b = step(0), step(1)
        first = (
            -(2 * a + b) / a / (a + b) * at(0) + (a + b) / a / b * at(1) - a / b / (a + b) * at(2)
        )
        a, b = step(-2), step(-1)
        last = (
            (2 * b + a) / b / (a + b) * at(-1) - (a + b) / a / b * at(-2) + b / a / (a + b) * at(-3)
        )
    return cat((first, middle, last), axis)


def _axes(input: Tensor, dim: Any) -> list[int]:
    rank = input.ndim
    if dim is None:
        return list(range(rank))
    axes = [wrap_axis(d, rank) for d in ((dim,) if isinstance(dim, int) else dim)]
    for axis in axes:
        if axes.count(axis) > 1:
            raise RuntimeError(f"dim {axis} appears multiple times in the list of dims")
    return axes


def _spacings(input: Tensor, spacing: Any, axes: list[int], given: bool) -> list[Any]:
    """A step or a vector of places for each axis."""
    if isinstance(spacing, Tensor):
        if spacing.ndim:
            raise TypeError(
                "gradient() received an invalid combination of arguments - got "
                "(Tensor, spacing=Tensor)"
            )
        spacing = spacing.item()
    if not isinstance(spacing, (list, tuple)):
        return [1 if spacing is None else spacing] * len(axes)
    if len(spacing) != len(axes):
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length "
            f"equal to 'self.dim() = {input.ndim}', since dim argument was not given, but got a "
            f"list of length {len(spacing)}"
            if not given
            else "torch.gradient expected spacing to be unspecified, a scalar or it's spacing and "
            f"dim arguments to have the same length, but got a spacing argument of length "
            f"{len(spacing)} and a dim argument of length {len(axes)}."
        )
    for axis, part in zip(axes, spacing):
        if not isinstance(part, Tensor):
            continue
        if part.ndim != 1:
            raise RuntimeError(
                "torch.gradient expected each element of spacing to have one dimension, but got "
                f"an element with {part.ndim} dimensions!"
            )
        if part.shape[0] != input.shape[axis]:
            raise RuntimeError(
                "torch.gradient expects each dimension size of the input to match the length of "
                f"its places in spacing, but got {input.shape[axis]} and {part.shape[0]}"
            )
    return list(spacing)


@axis_name
def gradient(
    input: Tensor, *, spacing: Any = None, dim: int | Sequence[int] | None = None,
    edge_order: int = 1,
) -> tuple[Tensor, ...]:  # fmt: skip
    """The derivative of samples along each dimension, by central differences.

    `spacing` is a step, a step per dimension, or a vector of places per dimension.
    """
    axes = _axes(checked("gradient", input), dim)
    if input.dtype is dtypes.uint8:
        raise RuntimeError("torch.gradient does not support uint8 input.")
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    for axis in axes:
        if input.shape[axis] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    spacings = _spacings(input, spacing, axes, dim is not None)
    return tuple(
        _uneven(input, axis, step, edge_order)
        if isinstance(step, Tensor)
        else _even(input, axis, step, edge_order)
        for axis, step in zip(axes, spacings)
    )


__all__ = ["gradient"]
METHODS: dict[str, Any] = {}
