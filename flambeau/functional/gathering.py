"""Gathers and scatters along a dimension by index tensors; masks."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.core.errors import SHARED, WRITTEN_TWICE
from flambeau.core.shapes import broadcast_shapes, storage_extent, wrap_axis
from flambeau.functional.options import (
    axis_name,
    not_implemented,
    numpy_names,
    refuse_other_dtype,
    refuse_overflow,
    resize_out,
)
from flambeau.functional.views import reshape
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import indexed, source
from flambeau.ops import view as vw
from flambeau.ops.value import Value
from flambeau.record.events import InplaceOp, PureOp
from flambeau.record.recorder import in_place, record
from flambeau.tensor.tensor import Tensor

NUMBERS = (bool, int, float, complex)
INDEX_DTYPES = (dtypes.int32, dtypes.int64)


def delivered(result: Tensor, out: Tensor | None) -> Tensor:
    """The result, or `out`, which must be of its dtype, with the result in it."""
    if out is None:
        return result
    from flambeau.functional.pointwise import write_same

    return write_same(result, out)


def refuse_shared(
    out: Tensor | None, *inputs: Tensor, shape: tuple[int, ...] | None = None
) -> None:
    """RuntimeError where `out` shows an element twice, or shares memory with an input.

    With the result's `shape`, `out` is judged as it is after it was resized.
    """
    if out is None:
        return
    if shape is not None and tuple(out.shape) != shape:
        resize_out(out, shape)
    if any(s == 0 and n > 1 for n, s in zip(out.shape, out.stride())):
        raise RuntimeError(WRITTEN_TWICE)
    storage = out._settled()
    for given in inputs:
        if out._meta.numel and given._meta.numel and given._settled() is storage:
            mine, others = (_reach(t) for t in (out, given))
            if mine.start < others.stop and others.start < mine.stop:
                raise RuntimeError(SHARED)


def _reach(tensor: Tensor) -> range:
    """The elements of its storage that a tensor may touch."""
    start = tensor.storage_offset()
    return range(start, start + storage_extent(tuple(tensor.shape), tensor.stride()))


def bounded(index: Value, count: int, what: str) -> Value:
    """The index as int64 in 0 .. count - 1; raises as `what` words it when the program runs."""
    return indexed.take(source.iota(size=count), ar.cast(index, dtypes.int64), what=what)


def to_front(x: Value, axis: int) -> Value:
    return x if axis == 0 else vw.permute(x, order=(axis, *[a for a in range(x.ndim) if a != axis]))


def from_front(x: Value, axis: int) -> Value:
    if axis == 0:
        return x
    order = list(range(1, x.ndim))
    order.insert(axis, 0)
    return vw.permute(x, order=tuple(order))


def _ranked(x: Value) -> Value:
    return x if x.shape else vw.reshape(x, shape=(1,))


# ---- gather, scatter -----------------------------------------------------------------------------


def flat_places(x: Value, index: Value, axis: int, what: str) -> Value:
    """Where in flat x each element of `index` (same rank) points: its own place but for `axis`."""
    total = ar.full(index.shape, 0, dtypes.int64)
    step = 1
    for a in range(x.ndim - 1, -1, -1):
        if a == axis:
            place = bounded(index, x.shape[a], f"{what} {axis}")
        else:
            shape = tuple(n if b == a else 1 for b, n in enumerate(index.shape))
            place = ar.expand(
                vw.reshape(source.iota(size=index.shape[a]), shape=shape), index.shape
            )
        total = total + place * step
        step *= x.shape[a]
    return total


def flat_value(x: Value) -> Value:
    return vw.reshape(x, shape=(x.size,))


def _check_gather(x: Value, index: Value, axis: int) -> None:
    if not index.size:
        return
    if index.dtype not in INDEX_DTYPES:
        raise RuntimeError("gather(): Expected dtype int32/int64 for index")
    if max(index.ndim, 1) != max(x.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as input tensor")
    for a, (n, m) in enumerate(zip(index.shape, x.shape)):
        if a != axis and n > m:
            raise RuntimeError(
                f"Size does not match at dimension {a} expected index {list(index.shape)} to be no "
                f"larger than self {list(x.shape)} apart from dimension {axis}"
            )


def _gather(x: Value, index: Value, axis: int) -> Value:
    axis = wrap_axis(axis, x.ndim)
    _check_gather(x, index, axis)
    if not index.size:
        nothing = vw.slice_(flat_value(x), starts=(0,), sizes=(0,), steps=(1,))
        return vw.reshape(nothing, shape=index.shape)
    places = flat_places(_ranked(x), _ranked(index), axis, "gather")
    return vw.reshape(indexed.take(flat_value(x), places, what="gather"), shape=index.shape)


GATHER = PureOp("gather", _gather)


@numpy_names
def gather(
    input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False, out: Tensor | None = None
) -> Tensor:
    """out[i][j] = input[index[i][j]][j] for dim 0, and so on."""
    if sparse_grad:
        raise NotImplementedError("gather() with sparse_grad=True: there are no sparse gradients")
    refuse_other_dtype(out, input.dtype)
    refuse_shared(out, input, index, shape=tuple(index.shape))
    return delivered(record(GATHER, (input, index), (dim,)), out)


def _check_scatter(x: Value, index: Value, src: Value | None, axis: int, name: str) -> None:
    if index.dtype not in INDEX_DTYPES:
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    if src is not None and src.dtype is not x.dtype:
        raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
    if not index.size:
        return
    if max(index.ndim, 1) != max(x.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as self tensor")
    if src is not None and max(index.ndim, 1) != max(src.ndim, 1):
        raise RuntimeError("Index tensor must have the same number of dimensions as src tensor")
    bad = any(a != axis and n > m for a, (n, m) in enumerate(zip(index.shape, x.shape)))
    if src is None:
        if bad:
            raise RuntimeError(
                f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} "
                f"apart "
                f"from dimension {axis}"
            )
    elif bad or any(n > m for n, m in zip(index.shape, src.shape)):
        raise RuntimeError(
            f"Expected index {list(index.shape)} to be no larger than self {list(x.shape)} apart "
            f"from "
            f"dimension {axis} and to be no larger size than src {list(src.shape)}"
        )


def _window(src: Value, index: Value) -> Value:
    """The elements of src that `index` speaks of: its corner of the index's shape."""
    src, index = _ranked(src), _ranked(index)
    if src.shape == index.shape:
        return src
    return vw.slice_(src, starts=(0,) * src.ndim, sizes=index.shape, steps=(1,) * src.ndim)


def _scatter(x: Value, index: Value, src: Any, axis: int, mode: str) -> Value:
    """mode: "set", "add", "multiply"; or a kind of scatter_reduce, with "+self" or without."""
    axis = wrap_axis(axis, x.ndim)
    tensor = src.shape != () or not _is_number(src)
    _check_scatter(x, index, src if tensor else None, axis, "scatter")
    if not index.size:
        return x
    rows = _window(src, index) if tensor else ar.expand(ar.cast(src, x.dtype), _ranked(index).shape)
    places = flat_places(_ranked(x), _ranked(index), axis, "scatter")
    return vw.reshape(_folded(flat_value(x), places, rows, mode), shape=x.shape)


def _is_number(value: Value) -> bool:
    return value.primitive is source.input_ and value.attrs["role"] == "scalar"


def _folded(flat: Value, places: Value, rows: Value, mode: str) -> Value:
    kind, _, include = mode.partition("+")
    if kind == "mean" and flat.dtype.kind == "b":
        raise not_implemented("scatter_gather_tensor_cpu_reduce_mean", flat.dtype)
    if kind == "set":
        return indexed.put_set(flat, places, rows, what="scatter")
    if kind in ("multiply", "prod", "amax", "amin"):
        if flat.dtype.is_complex:
            raise NotImplementedError(f"scatter with reduce={kind!r} of a complex tensor")
        return indexed.put_reduce(
            flat,
            places,
            rows,
            reduce="prod" if kind == "multiply" else kind,
            include_self=kind == "multiply" or bool(include),
            what="scatter",
        )
    if kind in ("sum", "mean") and not include:
        zero = ar.full(places.shape, 0, flat.dtype)
        flat = indexed.put_set(flat, places, zero, what="scatter")
    total = indexed.put_add(ar.widened(flat), places, ar.widened(rows), what="scatter")
    total = ar.cast(total, flat.dtype)  # half types are added up in float32
    if kind != "mean":
        return total
    start = ar.full(flat.shape, 1, dtypes.int64)
    if not include:
        start = indexed.put_set(
            start, places, ar.full(places.shape, 0, dtypes.int64), what="scatter"
        )
    count = indexed.put_add(start, places, ar.full(places.shape, 1, dtypes.int64), what="scatter")
    count = ar.maximum(count, 1)
    if flat.dtype.is_floating_point or flat.dtype.is_complex:
        return ar.div(total, ar.cast(count, flat.dtype))
    return ar.binary(el.floor_divide, total, ar.cast(count, flat.dtype))


SCATTER = PureOp("scatter", _scatter)
SCATTER_VALUE = PureOp("scatter", _scatter, "ScatterBackward1")
SCATTER_ADD = PureOp("scatter_add", _scatter)
SCATTER_REDUCE = PureOp("scatter_reduce", _scatter)
SCATTER_ = InplaceOp("scatter_", _scatter, "ScatterBackward0", apart=True)
SCATTER_VALUE_ = InplaceOp("scatter_", _scatter, "ScatterBackward1", apart=True)
SCATTER_ADD_ = InplaceOp("scatter_add_", _scatter, "ScatterAddBackward0", apart=True)
SCATTER_REDUCE_ = InplaceOp("scatter_reduce_", _scatter, "ScatterReduceBackward0", apart=True)
_REDUCTIONS = ("sum", "prod", "mean", "amax", "amin")


def _scatter_mode(reduce: Any) -> str:
    if reduce is None:
        return "set"
    if reduce not in ("add", "multiply"):
        raise RuntimeError("reduce argument must be either add or multiply.")
    return str(reduce)


def _scatter_source(src: Any, value: Any) -> Any:
    if (src is None) == (value is None):
        raise TypeError("scatter() needs exactly one of src and value")
    return value if src is None else src


@axis_name
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """A copy with src (or a value) written, added or multiplied (`reduce`) at index along dim."""
    operand, mode = _scatter_source(src, value), _scatter_mode(reduce)
    refuse_overflow(operand, input.dtype)
    op = SCATTER if isinstance(operand, Tensor) else SCATTER_VALUE
    return delivered(record(op, (input, index, operand), (dim, mode)), out)


@axis_name
def scatter_(
    self: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: Any = None
) -> Tensor:
    """scatter in place."""
    operand, mode = _scatter_source(src, value), _scatter_mode(reduce)
    refuse_overflow(operand, self.dtype)
    in_place(
        SCATTER_ if isinstance(operand, Tensor) else SCATTER_VALUE_,
        self,
        (index, operand),
        (dim, mode),
    )
    return self


@axis_name
def scatter_add(
    input: Tensor, dim: int, index: Tensor, src: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """A copy with elements of src added at index along dim."""
    return delivered(record(SCATTER_ADD, (input, index, src), (dim, "add")), out)


@axis_name
def scatter_add_(self: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """scatter_add in place."""
    in_place(SCATTER_ADD_, self, (index, src), (dim, "add"))
    return self


def _reduce_mode(reduce: str, include_self: bool) -> str:
    if reduce not in _REDUCTIONS:
        raise RuntimeError(
            f"reduce argument must be either sum, prod, mean, amax or amin, got {reduce}"
        )
    return reduce + ("+self" if include_self else "")


@axis_name
def scatter_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
    out: Tensor | None = None,
) -> Tensor:
    """A copy with elements of src folded in at index along dim: sum, prod, mean, amax or amin."""
    mode = _reduce_mode(reduce, include_self)
    return delivered(record(SCATTER_REDUCE, (input, index, src), (dim, mode)), out)


@axis_name
def scatter_reduce_(
    self: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """scatter_reduce in place."""
    in_place(SCATTER_REDUCE_, self, (index, src), (dim, _reduce_mode(reduce, include_self)))
    return self


# ---- whole slices along a dimension --------------------------------------------------------------


def refuse_no_rows(x: Value, index: Value, axis: int) -> None:
    """Shapes alone show that no index is in range where a dimension has no slices."""
    if index.size and not x.shape[axis]:
        if x.ndim > 1:
            raise RuntimeError("index_select(): self indexing axis dim should be positive")
        raise IndexError("index out of range in self")


def _index_select(x: Value, index: Value, axis: int) -> Value:
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype not in INDEX_DTYPES:
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    axis = wrap_axis(axis, x.ndim)
    if not x.shape:
        if index.size != 1:
            raise RuntimeError(
                f"index_select(): Index to scalar can have only 1 value, got {index.size} value(s)"
            )
        return vw.reshape(indexed.take(_ranked(x), _ranked(index), what="index_select"), shape=())
    refuse_no_rows(x, index, axis)
    index = _ranked(ar.cast(index, dtypes.int64))
    return from_front(indexed.take(to_front(x, axis), index, what="index_select"), axis)


INDEX_SELECT = PureOp("index_select", _index_select)


@numpy_names
def index_select(input: Tensor, dim: int, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The slices at `index` (a vector, no negative entries) of a dimension."""
    refuse_shared(out, input, index)
    return delivered(record(INDEX_SELECT, (input, index), (dim,)), out)


def _index_rows(x: Value, index: Value, rows: Value, axis: int, name: str) -> tuple[int, Value]:
    """Checks index_add's and index_copy's operands; the axis and the index as a vector."""
    kind: type[Exception] = RuntimeError if name == "index_add" else IndexError
    if index.ndim > 1:
        raise IndexError(f"{name}_(): Index should have dimension 1 or 0 (got {index.ndim})")
    if name == "index_copy" and index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"index_copy_(): Expected a long tensor for index, but got {index.dtype.scalar_name}"
        )
    if index.dtype not in INDEX_DTYPES:
        raise RuntimeError(
            f"{name}_(): Expected dtype int32/int64 for index but got: {index.dtype.scalar_name}"
        )
    if rows.dtype is not x.dtype:
        if name == "index_add":
            raise RuntimeError("index_add_(): self and source must have the same scalar type")
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{x.dtype.scalar_name} and (source) {rows.dtype.scalar_name}"
        )
    axis = wrap_axis(axis, x.ndim)
    have = rows.shape[axis] if axis < rows.ndim else 1
    if have != index.size:
        tail = f": ({have}), for dim: {axis}" if name == "index_add" else f" ({have})"
        raise kind(
            f"{name}_(): Number of indices ({index.size}) should be equal to source.size(dim){tail}"
        )
    if rows.shape[:axis] + rows.shape[axis + 1 :] != x.shape[:axis] + x.shape[axis + 1 :]:
        raise RuntimeError(
            f"{name}_(): source of shape {list(rows.shape)} must match self of shape "
            f"{list(x.shape)} "
            f"outside of dimension {axis}"
        )
    what = f"{name} {axis}"
    if name == "index_add" and x.ndim < 2:
        what = "index_add of vectors"  # PyTorch has other words there
    return axis, bounded(_ranked(index), x.shape[axis] if x.shape else 1, what)


def _index_add(x: Value, index: Value, rows: Value, alpha: Any, axis: int) -> Value:
    axis, places = _index_rows(x, index, rows, axis, "index_add")
    if not x.size and x.ndim > 1:
        return x  # (PyTorch does not look at the indices then)
    added = to_front(_ranked(ar.mul(rows, alpha)), axis)
    result = indexed.put_add(
        to_front(_ranked(x), axis), places, ar.cast(added, x.dtype), what="index_add"
    )
    return vw.reshape(from_front(result, axis), shape=x.shape)


def _index_copy(x: Value, index: Value, rows: Value, axis: int) -> Value:
    axis, places = _index_rows(x, index, rows, axis, "index_copy")
    result = indexed.put_set(
        to_front(_ranked(x), axis), places, to_front(_ranked(rows), axis), what="index_copy"
    )
    return vw.reshape(from_front(result, axis), shape=x.shape)


def _index_fill(x: Value, index: Value, value: Value, axis: int) -> Value:
    if index.dtype not in INDEX_DTYPES:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise IndexError("Index has to be a vector/scalar")
    if value.shape:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    axis = wrap_axis(axis, x.ndim)
    index = _ranked(ar.cast(index, dtypes.int64))
    extent = x.shape[axis] if x.shape else 1
    untouched = ar.full((extent,), False, dtypes.bool_)
    hit = ar.full(index.shape, True, dtypes.bool_)
    filled = indexed.put_set(untouched, index, hit, what=f"index {axis}")
    along = tuple(extent if a == axis else 1 for a in range(x.ndim))
    mask = ar.expand(vw.reshape(filled, shape=along), x.shape)
    return el.where(mask, ar.expand(ar.cast(value, x.dtype), x.shape), x)


INDEX_ADD, INDEX_ADD_ = (
    PureOp("index_add", _index_add),
    InplaceOp("index_add_", _index_add, "IndexAddBackward0", apart=True),
)
INDEX_COPY = PureOp("index_copy", _index_copy)
INDEX_COPY_ = InplaceOp("index_copy_", _index_copy, "IndexCopyBackward0", apart=True)
# By whether the value is a tensor.
INDEX_FILL = {
    False: PureOp("index_fill", _index_fill),
    True: PureOp("index_fill", _index_fill, "IndexFillBackward1"),
}
INDEX_FILL_ = {
    False: InplaceOp("index_fill_", _index_fill, "IndexFillBackward0", apart=True),
    True: InplaceOp("index_fill_", _index_fill, "IndexFillBackward1", apart=True),
}


@axis_name
def index_add(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    *,
    alpha: Any = 1,
    out: Tensor | None = None,
) -> Tensor:
    """A copy with alpha * source's slices added to those at `index` of a dimension."""
    refuse_overflow(alpha, input.dtype)
    return delivered(record(INDEX_ADD, (input, index, source, alpha), (dim,)), out)


@axis_name
def index_add_(self: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """index_add in place."""
    refuse_overflow(alpha, self.dtype)
    in_place(INDEX_ADD_, self, (index, source, alpha), (dim,))
    return self


@axis_name
def index_copy(
    input: Tensor, dim: int, index: Tensor, source: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """A copy with source's slices in place of those at `index` of a dimension."""
    return delivered(record(INDEX_COPY, (input, index, source), (dim,)), out)


@axis_name
def index_copy_(self: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """index_copy in place."""
    in_place(INDEX_COPY_, self, (index, source), (dim,))
    return self


def _refuse_fill(value: Any, dtype: DType) -> None:
    """RuntimeError where index_fill's number does not fit the dtype."""
    if isinstance(value, complex) and not dtype.is_complex:
        raise RuntimeError(
            "index_fill_(): Converting complex Scalar to non-complex type is not supported"
        )
    refuse_overflow(value, dtype)


@numpy_names
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with a number (or 0-d tensor) in the slices at `index` of a dimension."""
    _refuse_fill(value, input.dtype)
    made: Tensor = record(INDEX_FILL[isinstance(value, Tensor)], (input, index, value), (dim,))
    return made


@axis_name
def index_fill_(self: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """index_fill in place."""
    _refuse_fill(value, self.dtype)
    in_place(INDEX_FILL_[isinstance(value, Tensor)], self, (index, value), (dim,))
    return self


# ---- flat indices --------------------------------------------------------------------------------


def _from_end(index: Value, count: int, name: str) -> Value:
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"{name}(): Expected a long tensor for index, but got {index.dtype.scalar_name}"
        )
    return ar.where(ar.lt(index, 0), index + count, index)


def _take(x: Value, index: Value) -> Value:
    places = _from_end(index, x.size, "take")
    if index.size and not x.size:
        raise IndexError("take(): tried to take from an empty tensor")
    return indexed.take(flat_value(x), places, what="take")


TAKE = PureOp("take", _take)
FROM_END = PureOp("from_end", lambda index, count: _from_end(index, count, "take_along_dim"))


def take(input: Tensor, index: Tensor, *, out: Tensor | None = None) -> Tensor:
    """Elements of the flat tensor, in the index's shape."""
    try:
        refuse_shared(out, input, index)
        return delivered(record(TAKE, (input, index)), out)
    except Exception:
        refuse_misgiven()
        raise


def _put(x: Value, index: Value, rows: Value, accumulate: bool) -> Value:
    if rows.dtype is not x.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{x.dtype.scalar_name} and source.dtype = {rows.dtype.scalar_name}"
        )
    if rows.size != index.size:
        raise RuntimeError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {rows.size}, index.numel() = {index.size}"
        )
    if index.size and not x.size:
        raise IndexError("put_(): Tried to put elements into an empty tensor")
    write = indexed.put_add if accumulate else indexed.put_set
    places = _from_end(flat_value(index), x.size, "put_")
    return vw.reshape(write(flat_value(x), places, flat_value(rows), what="take"), shape=x.shape)


PUT, PUT_ = PureOp("put", _put), InplaceOp("put_", _put, "PutBackward0")


def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with elements of source written (or added) at flat indices."""
    try:
        made: Tensor = record(PUT, (input, index, source), (bool(accumulate),))
        return made
    except Exception:
        refuse_misgiven()
        raise


def put_(self: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """put in place."""
    try:
        in_place(PUT_, self, (index, source), (bool(accumulate),))
        return self
    except Exception:
        refuse_misgiven()
        raise


@numpy_names
def take_along_dim(
    input: Tensor, indices: Tensor, dim: int | None = None, *, out: Tensor | None = None
) -> Tensor:
    """Elements at `indices` along a dimension (broadcast elsewhere), or of the flat tensor."""
    from flambeau.functional.views import expand

    if indices.dtype is not dtypes.int64:
        raise RuntimeError(
            "torch.take_along_dim(): dtype of indices should be Long but got "
            f"{indices.dtype.scalar_name}"
        )
    if dim is None:
        return gather(reshape(input, (-1,)), 0, reshape(indices, (-1,)), out=out)
    shape, places = tuple(input._meta.shape), tuple(indices._meta.shape)
    if len(shape) != len(places):
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            "but "
            f"got {len(shape)} dimensions for input, and {len(places)} dimensions for indices"
        )
    axis = wrap_axis(dim, len(shape))
    rest = broadcast_shapes(
        tuple(1 if a == axis else n for a, n in enumerate(shape)),
        tuple(1 if a == axis else n for a, n in enumerate(places)),
    )
    whole = tuple(shape[axis] if a == axis else n for a, n in enumerate(rest))
    wanted = tuple(places[axis] if a == axis else n for a, n in enumerate(rest))
    indices = record(FROM_END, (indices,), (shape[axis],))
    return gather(expand(input, whole), axis, expand(indices, wanted), out=out)


METHODS: dict[str, Callable[..., Any]] = {
    "gather": gather,
    "scatter": scatter,
    "scatter_": scatter_,
    "scatter_add": scatter_add,
    "scatter_add_": scatter_add_,
    "scatter_reduce": scatter_reduce,
    "scatter_reduce_": scatter_reduce_,
    "index_select": index_select,
    "index_add": index_add,
    "index_add_": index_add_,
    "index_copy": index_copy,
    "index_copy_": index_copy_,
    "index_fill": index_fill,
    "index_fill_": index_fill_,
    "take": take,
    "put": put,
    "put_": put_,
    "take_along_dim": take_along_dim,
}
