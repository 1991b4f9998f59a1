"""Copies: of a view, or of a whole tensor with one of its views overwritten."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.layout import contiguous_format
from flambeau.core.notice import warn_once
from flambeau.core.shapes import wrap_axis
from flambeau.functional import axis_order, parts, views
from flambeau.functional.conversion import clone
from flambeau.functional.gathering import _index_rows, _ranked, delivered, from_front, to_front
from flambeau.functional.inplace import copy_
from flambeau.functional.options import axis_name, not_implemented
from flambeau.ops import arithmetic as ar
from flambeau.ops import source
from flambeau.ops import view as vw
from flambeau.ops.value import Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import in_place, record
from flambeau.tensor.tensor import Tensor

# ---- a part of a copy overwritten ----------------------------------------------------------------


def _overwritten(name: str, whole: Tensor, part: Callable[[Tensor], Tensor], src: Tensor) -> Tensor:
    copy = clone(whole)
    target = part(copy)
    if tuple(target.shape) != tuple(src.shape):
        raise RuntimeError(
            f"expected src to have a size equal to the slice of self. src size = "
            f"{list(src.shape)}, slice size = {list(target.shape)}"
        )
    if not isinstance(src, Tensor):
        raise TypeError(f"{name}(): argument 'src' must be Tensor, not {type(src).__name__}")
    copy_(target, src)
    return copy


@axis_name
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with src in place of input.select(dim, index)."""
    return _overwritten("select_scatter", input, lambda x: views.select(x, dim, index), src)


def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy with src in place of input.diagonal(offset, dim1, dim2)."""
    try:
        return _overwritten(
            "diagonal_scatter", input, lambda x: parts.diagonal(x, offset, dim1, dim2), src
        )
    except Exception:
        refuse_misgiven()
        raise


def _slice(input: Tensor, dim: int, start: int | None, end: int | None, step: int) -> Tensor:
    rank = len(input.shape)
    if not rank:
        raise RuntimeError("slice() cannot be applied to a 0-dim tensor.")
    if step <= 0:
        raise RuntimeError("slice step must be positive")
    axis = wrap_axis(dim, rank)
    index = (slice(None),) * axis + (slice(start, end, step),)
    shown: Tensor = input[index]
    return shown


@axis_name
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
    *,
    out: Tensor | None = None,
) -> Tensor:
    """A copy with src in place of elements start:end:step of a dimension."""
    made = _overwritten("slice_scatter", input, lambda x: _slice(x, dim, start, end, step), src)
    return delivered(made, out)


def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy with src in place of input.as_strided(size, stride, storage_offset)."""
    try:
        return _overwritten(
            "as_strided_scatter",
            input,
            lambda x: parts.as_strided(x, size, stride, storage_offset),
            src,
        )
    except Exception:
        refuse_misgiven()
        raise


# ---- slices folded in ----------------------------------------------------------------------------

_KINDS = ("prod", "mean", "amax", "amin")


def _index_reduce(x: Value, index: Value, rows: Value, axis: int, mode: str) -> Value:
    """`mode` is a kind, with "+self" where the element that is there takes part."""
    from flambeau.functional.gathering import _folded

    if x.dtype.kind == "b" and (x.ndim < 2 or mode.startswith("mean")):
        raise not_implemented("index_func_", x.dtype)
    if not index.size or not rows.size:
        return x
    axis, places = _index_rows(x, index, rows, axis, "index_reduce")
    if x.shape and not x.shape[axis]:
        raise IndexError("index out of range in self")
    front = to_front(_ranked(x), axis)
    given = to_front(_ranked(rows), axis)
    width = front.size // front.shape[0]
    column = vw.reshape(source.iota(size=width), shape=(1, width))
    flat = ar.add(vw.reshape(ar.mul(places, width), shape=(places.size, 1)), column)
    result = _folded(
        vw.reshape(front, shape=(front.size,)),
        flat,
        vw.reshape(given, shape=(places.size, width)),
        mode,
    )
    return vw.reshape(from_front(vw.reshape(result, shape=front.shape), axis), shape=x.shape)


INDEX_REDUCE = PureOp("index_reduce", _index_reduce)
INDEX_REDUCE_ = InplaceOp("index_reduce_", _index_reduce, "IndexReduceBackward0", apart=True)


BETA = "index_reduce() is in beta and the API may change at any time."


def _index_mode(reduce: str, include_self: bool) -> str:
    warn_once(BETA)
    if reduce not in _KINDS:
        raise RuntimeError(
            f"index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    return reduce + ("+self" if include_self else "")


@axis_name
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """A copy with source's slices folded into those at `index` of a dimension."""
    mode = _index_mode(reduce, include_self)
    return delivered(record(INDEX_REDUCE, (input, index, source), (dim, mode)), out)


@axis_name
def index_reduce_(
    self: Tensor, dim: int, index: Tensor, source: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """index_reduce in place."""
    in_place(INDEX_REDUCE_, self, (index, source), (dim, _index_mode(reduce, include_self)))
    return self


# ---- views, copied -------------------------------------------------------------------------------


def _copying(name: str, function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its views copied into memory of their own."""

    def apply(input: Tensor, *args: Any, out: Any = None, **kwargs: Any) -> Any:
        try:
            shown = function(input, *args, **kwargs)
            if isinstance(shown, Tensor):
                return delivered(clone(shown, memory_format=contiguous_format), out)
            copies = tuple(clone(part, memory_format=contiguous_format) for part in shown)
            if out is None:
                return copies
            if len(out) != len(copies):
                raise RuntimeError(
                    f"{name}() expected an out= argument of length {len(copies)}, got length "
                    f"{len(out)}"
                )
            for part, target in zip(copies, out):
                delivered(part, target)
            return None
        except Exception:
            refuse_misgiven()
            raise

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = f"A copy of what `{name.removesuffix('_copy')}` shows, in its own memory."
    return apply


def _view(input: Tensor, size: Any = None, dtype: Any = None) -> Tensor:
    if isinstance(size, DType):
        size, dtype = None, size
    return views.reshape(input, size) if dtype is None else views.view(input, dtype)


def _narrow(input: Tensor, dim: int, start: int, length: int) -> Tensor:
    if input.dim() <= dim and input.dim():
        raise RuntimeError(
            "Expected dim < static_cast<int64_t>(self_sizes.size()) to be true, but got false.  "
            "(Could this error message be improved?  If so, please report an enhancement request "
            "to PyTorch.)"
        )
    return views.narrow(input, dim, start, length)


alias_copy = _copying("alias_copy", lambda x: x)
as_strided_copy = _copying("as_strided_copy", parts.as_strided)
detach_copy = _copying("detach_copy", lambda x: x.detach())
diagonal_copy = _copying("diagonal_copy", parts.diagonal)
expand_copy = _copying("expand_copy", views.expand)
narrow_copy = _copying("narrow_copy", _narrow)
permute_copy = _copying("permute_copy", axis_order.permute)
select_copy = _copying("select_copy", views.select)
slice_copy = _copying(
    "slice_copy",
    lambda x, dim=0, start=None, end=None, step=1: _slice(x, dim, start, end, step),
)
split_copy = _copying("split_copy", parts.split)
split_with_sizes_copy = _copying("split_with_sizes_copy", parts.split_with_sizes)
squeeze_copy = _copying("squeeze_copy", views.squeeze)
t_copy = _copying("t_copy", axis_order.t)
transpose_copy = _copying("transpose_copy", axis_order.transpose)
unbind_copy = _copying("unbind_copy", parts.unbind)
unfold_copy = _copying("unfold_copy", parts.unfold)
unsqueeze_copy = _copying("unsqueeze_copy", views.unsqueeze)
view_as_real_copy = _copying("view_as_real_copy", parts.view_as_real)
view_copy = _copying("view_copy", _view)


def slice_inverse(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """This tensor's memory in the shape of src, of which it is a slice: undoes a slicing.

    What was sliced is not looked at, as in PyTorch: src says it all.
    """
    return parts.as_strided(input, src.shape, src.stride(), src.storage_offset())


# ---- parts by kind of dimension ------------------------------------------------------------------


def _sections(name: str, axis_of: Callable[[int], int], least: int) -> Callable[..., Any]:
    def apply(input: Tensor, indices_or_sections: Any = None, *more: Any, **named: Any) -> Any:
        try:
            given = named.pop("indices", named.pop("sections", indices_or_sections))
            if named:
                raise TypeError(
                    f"{name}() got an unexpected keyword argument '{next(iter(named))}'"
                )
            if more:
                given = (given, *more)
            rank = len(input.shape)
            if rank < least:
                raise RuntimeError(
                    f"torch.{name} requires a tensor with at least {least} dimension, but got a "
                    f"tensor with {rank} dimensions!"
                )
            axis = axis_of(rank)
            if isinstance(given, int) and (given <= 0 or input.shape[axis] % given):
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {axis}, but the size of the "
                    f"dimension {input.shape[axis]} is not divisible by the split_size {given}!"
                )
            return parts.tensor_split(input, given, axis)
        except Exception:
            refuse_misgiven()
            raise

    apply.__name__ = apply.__qualname__ = name
    apply.__doc__ = "Parts along one dimension: so many equal ones, or cut at indices (views)."
    return apply


hsplit = _sections("hsplit", lambda rank: 0 if rank == 1 else 1, 1)
vsplit = _sections("vsplit", lambda rank: 0, 2)
dsplit = _sections("dsplit", lambda rank: 2, 3)


# PyTorch's "unsafe" ones merely skip bookkeeping of in-place writes.
unsafe_chunk, unsafe_split = parts.chunk, parts.split
unsafe_split_with_sizes = parts.split_with_sizes

METHODS: dict[str, Callable[..., Any]] = {
    "select_scatter": select_scatter, "diagonal_scatter": diagonal_scatter,
    "slice_scatter": slice_scatter, "as_strided_scatter": as_strided_scatter,
    "index_reduce": index_reduce, "index_reduce_": index_reduce_, "narrow_copy": narrow_copy,
    "slice_inverse": slice_inverse, "hsplit": hsplit, "vsplit": vsplit, "dsplit": dsplit,
    "unsafe_chunk": unsafe_chunk, "unsafe_split": unsafe_split,
    "unsafe_split_with_sizes": unsafe_split_with_sizes,
}  # fmt: skip
__all__ = [
    *(name for name in METHODS if not name.endswith("_")),
    "alias_copy", "as_strided_copy", "detach_copy", "diagonal_copy", "expand_copy", "permute_copy",
    "select_copy", "slice_copy", "split_copy", "split_with_sizes_copy", "squeeze_copy", "t_copy",
    "transpose_copy", "unbind_copy", "unfold_copy", "unsqueeze_copy", "view_as_real_copy",
    "view_copy",
]  # fmt: skip
