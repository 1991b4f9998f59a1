"""Views with the axes in another order: transpose, permute, movedim, Tensor.T and its like."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from flambeau.core.calls import refuse_misgiven
from flambeau.core.shapes import Shape, Strides, wrap_axis
from flambeau.functional.options import other_names
from flambeau.functional.views import ALIAS, integers, show
from flambeau.ops import view as vw
from flambeau.ops.value import Value
from flambeau.record.events import Layout, ViewOp
from flambeau.tensor.tensor import Tensor


def _permute_layout(shape: Shape, strides: Strides, offset: int, order: Shape) -> Layout:
    return tuple(shape[a] for a in order), tuple(strides[a] for a in order), offset


def _permute_value(x: Value, order: Shape) -> Value:
    return vw.permute(x, order=order)


PERMUTE = ViewOp("permute", _permute_layout, _permute_value)
TRANSPOSE = ViewOp("transpose", _permute_layout, _permute_value)
T = ViewOp("t", _permute_layout, _permute_value)
REVERSED: tuple[tuple[Shape], ...] = ((),), ((0,),), ((1, 0),)  # attributes by rank


def permute(input: Tensor, *given: Any, dims: Any = None) -> Tensor:
    """The view whose dimension i is dims[i] of the input."""
    try:
        order = integers(given if dims is None else (dims,), "permute", "dims")
        return show(PERMUTE, input, _order(len(input._meta.extents), order))
    except Exception:
        refuse_misgiven()
        raise


@lru_cache(maxsize=1 << 10)
def _order(rank: int, given: Shape) -> tuple[Shape]:
    """An order of all axes, none of them negative."""
    if len(given) != rank:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            "length "
            f"of the desired ordering of dimensions i.e. input.dim() = {rank} is not equal to "
            f"len(dims) = {len(given)}"
        )
    order = tuple([wrap_axis(d, rank) for d in given])
    if len(set(order)) != rank:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    return (order,)


def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """The view with two dimensions swapped."""
    try:
        rank = len(input._meta.extents)
        a, b = wrap_axis(dim0, rank), wrap_axis(dim1, rank)
        order = list(range(rank))
        if rank:
            order[a], order[b] = b, a
        return show(TRANSPOSE, input, (tuple(order),))
    except Exception:
        refuse_misgiven()
        raise


swapdims = transpose
swapaxes = other_names(axis0="dim0", axis1="dim1")(transpose)


def t(input: Tensor) -> Tensor:
    """The transposed view of a matrix; vectors and numbers stay."""
    try:
        rank = len(input._meta.extents)
        if rank > 2:
            raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {rank}D")
        return show(T, input, REVERSED[rank])
    except Exception:
        refuse_misgiven()
        raise


IDENTITY = "This function is the identity in these cases."
CONJUGATE = "Consider using x.conj()."


_warned: set[str] = set()


def _warn_once(words: str) -> None:
    """A warning at the user's line, the first time only."""
    if words not in _warned:
        _warned.add(words)
        warnings.warn(words, UserWarning, stacklevel=4)


def _as_it_is(self: Tensor, name: str, advice: str) -> Tensor:
    """What the transpositions give for a 0-d tensor, with PyTorch's warning."""
    from flambeau.functional.conversion import conj

    _warn_once(f"{name} is deprecated on 0-D tensors. {advice}")
    return conj(self) if advice is CONJUGATE else self


def reverse_axes(self: Tensor) -> Tensor:
    """Tensor.T: the view with the dimensions in reverse."""
    rank = len(self._meta.shape)
    if rank == 0:
        return _as_it_is(self, "Tensor.T", IDENTITY)
    if rank == 2:
        return show(PERMUTE, self, REVERSED[2])
    _warn_once(
        "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
        "deprecated and it will throw an error in a future release. Consider `x.mT` to "
        "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to "
        "reverse the dimensions of a tensor."
    )
    return show(PERMUTE, self, (tuple(range(rank))[::-1],))


def matrix_transpose(self: Tensor) -> Tensor:
    """Tensor.mT: the view with the last two dimensions swapped."""
    rank = len(self._meta.shape)
    if rank == 0:
        return _as_it_is(self, "Tensor.mT", IDENTITY)
    if rank < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {rank}-D tensor."
        )
    return transpose(self, -2, -1)


def hermitian(self: Tensor) -> Tensor:
    """Tensor.H: the conjugate transpose of a matrix."""
    rank = len(self._meta.shape)
    if rank not in (0, 2):
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {rank}-D tensor."
        )
    return adjoint(self) if rank else _as_it_is(self, "Tensor.H", CONJUGATE)


def adjoint(input: Tensor) -> Tensor:
    """The conjugate with the last two dimensions swapped."""
    from flambeau.functional.conversion import conj

    if not input._meta.shape:
        return _as_it_is(input, "adjoint()", CONJUGATE)
    if len(input._meta.extents) < 2:
        raise RuntimeError(
            "tensor.adjoint() is only supported on matrices or batches of matrices. Got "
            f"{len(input._meta.extents)}-D tensor."
        )
    return conj(transpose(input, -2, -1))


def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """The view with source dimensions at the destinations; the others keep their order."""
    try:
        rank = len(input._meta.extents)
        first, last = (
            integers((source,), "movedim", "source"),
            integers((destination,), "movedim", "destination"),
        )
        if len(first) != len(last):
            raise RuntimeError(
                f"movedim: Invalid source or destination dims: source ({list(first)} dims) should "
                f"contain the same number of dims as destination ({list(last)} dims)"
            )
        sources, places = [wrap_axis(d, rank) for d in first], [wrap_axis(d, rank) for d in last]
        for words, axes, given in (("source", sources, first), ("destination", places, last)):
            if len(set(axes)) != len(axes):
                raise RuntimeError(f"movedim: repeated dim in `{words}` ({list(given)})")
        if not rank:
            return show(ALIAS, input, ())
        order: list[int | None] = [None] * rank
        for axis, place in zip(sources, places, strict=True):
            order[place] = axis
        rest = iter([a for a in range(rank) if a not in sources])
        return show(PERMUTE, input, (tuple([next(rest) if a is None else a for a in order]),))
    except Exception:
        refuse_misgiven()
        raise


moveaxis = movedim


METHODS: dict[str, Callable[..., Any]] = {
    "permute": permute,
    "transpose": transpose,
    "swapaxes": swapaxes,
    "swapdims": swapdims,
    "t": t,
    "adjoint": adjoint,
    "movedim": movedim,
    "moveaxis": moveaxis,
}
PROPERTIES: dict[str, Callable[[Any], Any]] = {
    "T": reverse_axes,
    "mT": matrix_transpose,
    "H": hermitian,
    "mH": adjoint,
}
