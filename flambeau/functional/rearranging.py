"""One tensor's elements in other places: repeats, flips, triangles, diagonals, padding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.errors import not_a_tensor
from flambeau.core.shapes import Shape, dense_strides_like, wrap_axis
from flambeau.functional.conversion import clone
from flambeau.functional.neural import ImageOp
from flambeau.functional.options import axis_name, refuse_overflow, refusing
from flambeau.functional.pointwise import write_out as delivered
from flambeau.functional.views import flatten, integer, integers, reshape
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import indexed, source
from flambeau.ops import view as vw
from flambeau.ops.value import Value
from flambeau.record.events import Event, InplaceOp, PureOp
from flambeau.record.recorder import in_place, record, unary, with_scalar
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor, from_array

# ---- repeats -------------------------------------------------------------------------------------


def _repeat(x: Value, repeats: Shape) -> Value:
    shape = (1,) * (len(repeats) - x.ndim) + x.shape
    thin = tuple(n for extent in shape for n in (1, extent))
    thick = tuple(n for count, extent in zip(repeats, shape, strict=True) for n in (count, extent))
    whole = tuple(count * extent for count, extent in zip(repeats, shape, strict=True))
    return vw.reshape(ar.expand(vw.reshape(x, shape=thin), thick), shape=whole)


REPEAT = PureOp("repeat", _repeat)


def repeat(self: Tensor, *given: Any, repeats: Any = None) -> Tensor:
    """The tensor repeated along each dimension; further counts in front make new dimensions."""
    counts = integers(given if repeats is None else (repeats,), "repeat", "repeats")
    if len(counts) < len(self._meta.shape):
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    if any(count < 0 for count in counts):
        raise RuntimeError(
            f"Trying to create tensor with negative dimension "
            f"{next(c for c in counts if c < 0)}: {list(counts)}"
        )
    made: Tensor = unary(REPEAT, self, (counts,))
    return made


def tile(input: Tensor, *given: Any, dims: Any = None) -> Tensor:
    """repeat with missing counts in front taken as 1."""
    try:
        counts = integers(given if dims is None else (dims,), "tile", "dims")
        return repeat(input, (1,) * (len(input._meta.shape) - len(counts)) + counts)
    except Exception:
        refuse_misgiven()
        raise


def _interleave(x: Value, count: int, axis: int) -> Value:
    thin = x.shape[: axis + 1] + (1,) + x.shape[axis + 1 :]
    thick = x.shape[: axis + 1] + (count,) + x.shape[axis + 1 :]
    whole = x.shape[:axis] + (x.shape[axis] * count,) + x.shape[axis + 1 :]
    return vw.reshape(ar.expand(vw.reshape(x, shape=thin), thick), shape=whole)


INTERLEAVE = PureOp("repeat_interleave", _interleave, "ViewBackward0")


@axis_name
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element of a dimension (or of the flat tensor) repeated in place.

    Counts in a tensor are read on the host; alone, a tensor of counts gives each index repeated.
    """
    from flambeau.functional.indexing import index_select

    if repeats is None:
        return _repeated_places(input, input.numel(), output_size)
    x = input if dim is not None else flatten(input)
    axis = wrap_axis(0 if dim is None else dim, len(x._meta.shape))
    if not x._meta.shape:
        x = reshape(x, (1,))
    if isinstance(repeats, Tensor):
        places = _repeated_places(repeats, x._meta.shape[axis], output_size)
        return index_select(x, axis, places)
    count = integer(repeats, "repeat_interleave", "repeats")
    if count < 0:
        raise RuntimeError("Repeats must be non-negative")
    made: Tensor = unary(INTERLEAVE, x, (count, axis))
    return made


def _repeated_places(repeats: Tensor, extent: int, output_size: int | None) -> Tensor:
    counts = np.asarray(repeats._values())
    if counts.ndim > 1:
        raise RuntimeError("repeat_interleave only accept 1D vector as repeat")
    if repeats.dtype not in (dtypes.int32, dtypes.int64):
        raise RuntimeError("repeats has to be Long or Int tensor")
    if counts.size != 1 and counts.size != extent:
        raise RuntimeError(
            f"repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{counts.size} and input.size(0) = {extent}"
        )
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    places = np.repeat(np.arange(extent), np.broadcast_to(counts.reshape(-1), (extent,)))
    if output_size is not None and output_size != places.size:
        raise RuntimeError("allocated size does not match required size")
    return from_array(places.astype(np.int64), dtypes.int64)


# ---- flips, rolls, turns -------------------------------------------------------------------------

FLIP = PureOp(
    "flip", lambda x, axes: vw.flip(x, axes=axes) if axes else x, preserves=True, copies=True
)


def flip(input: Tensor, *axes_: Any, dims: Any = None) -> Tensor:
    """The elements in reverse order along dimensions `dims` (a tuple, or several numbers)."""
    try:
        rank = len(input._meta.shape)
        if not axes_ and dims is None:
            refuse_misgiven()
        given = integers(axes_ if dims is None else (dims,), "flip", "dims")
        axes = tuple(sorted([wrap_axis(d, rank) for d in given]))
        if len(axes) > 1 and len(set(axes)) != len(axes):
            twice = next(a for a in axes if axes.count(a) > 1)
            raise RuntimeError(f"dim {twice} appears multiple times in the list of dims")
        made: Tensor = unary(FLIP, input, (axes if rank else (),))
        return made
    except Exception:
        refuse_misgiven()
        raise


def fliplr(input: Tensor) -> Tensor:
    """The columns in reverse order."""
    try:
        if len(input._meta.shape) < 2:
            raise RuntimeError("Input must be >= 2-d.")
        return flip(input, (1,))
    except Exception:
        refuse_misgiven()
        raise


def flipud(input: Tensor) -> Tensor:
    """The rows in reverse order."""
    try:
        if not input._meta.shape:
            raise RuntimeError("Input must be >= 1-d.")
        return flip(input, (0,))
    except Exception:
        refuse_misgiven()
        raise


def _roll(x: Value, shifts: Shape, axes: Shape) -> Value:
    if not axes:
        return vw.reshape(_roll(vw.reshape(x, shape=(x.size,)), shifts, (0,)), shape=x.shape)
    for shift, axis in zip(shifts, axes, strict=True):
        extent = x.shape[axis]
        shift = shift % extent if extent else 0
        if shift:
            x = vw.concat(
                part(x, axis, extent - shift, shift), part(x, axis, 0, extent - shift), axis=axis
            )
    return x


def part(x: Value, axis: int, start: int, size: int) -> Value:
    """`size` elements of an axis from `start` on."""
    starts = tuple(start if a == axis else 0 for a in range(x.ndim))
    sizes = tuple(size if a == axis else n for a, n in enumerate(x.shape))
    return vw.slice_(x, starts=starts, sizes=sizes, steps=(1,) * x.ndim)


ROLL = ImageOp("roll", _roll)


def roll(input: Tensor, shifts: Any, dims: Any = None) -> Tensor:
    """The elements moved along dimensions (or along the flat tensor), round the end."""
    try:
        amounts = integers((shifts,), "roll", "shifts")
        given = () if dims is None else integers((dims,), "roll", "dims")
        axes = tuple(wrap_axis(d, len(input._meta.shape)) for d in given)
        if (not axes and len(amounts) != 1) or (axes and len(amounts) != len(axes)):
            raise RuntimeError(
                f"shifts and dimensions must align. shifts: {len(amounts)}, dims:{len(axes)}"
            )
        made: Tensor = unary(ROLL, input, (amounts, axes)) if input._meta.numel else clone(input)
        return made
    except Exception:
        refuse_misgiven()
        raise


class Rot90Op(Event):
    """A quarter turn, k times: a flip in the operand's memory order, then a transposed layout."""

    __slots__ = ()

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        k, a, b = key[2]
        meta = trace.tensors[key[1]].meta
        x = trace.read(key[1])
        order = list(range(x.ndim))
        if k % 2:
            order[a], order[b] = b, a
        axes = {0: (), 1: (b,), 2: tuple(sorted((a, b))), 3: (a,)}[k]
        dense = dense_strides_like(meta.shape, meta.strides)
        strides = tuple(dense[axis] for axis in order)
        turned = vw.permute(vw.flip(x, axes=axes), order=tuple(order))
        trace.new_tensor(turned, strides=strides, grad_name=self.grad_name)


ROT90 = Rot90Op("rot90")


def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """A quarter turn, k times, in the plane of two dimensions."""
    if not isinstance(input, Tensor):
        raise not_a_tensor("rot90", "input", 1, input)
    rank = len(input._meta.shape)
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if rank < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {rank}")
    a, b = (wrap_axis(d, rank) for d in dims)
    if a == b:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    made: Tensor = unary(ROT90, input, (k % 4, a, b))
    return made


# ---- triangles and diagonals ---------------------------------------------------------------------


def _triangle(x: Value, k: int, lower: bool) -> Value:
    rows, columns = x.shape[-2:]
    distance = source.iota(size=columns) - vw.reshape(source.iota(size=rows), shape=(rows, 1))
    keep = ar.le(distance, k) if lower else ar.ge(distance, k)
    return el.where(ar.expand(keep, x.shape), x, ar.zeros_like(x))


TRIL = PureOp("tril", lambda x, k: _triangle(x, k, True))
TRIU = PureOp("triu", lambda x, k: _triangle(x, k, False))
TRIL_ = InplaceOp("tril_", lambda x, k: _triangle(x, k, True), "TrilBackward0")
TRIU_ = InplaceOp("triu_", lambda x, k: _triangle(x, k, False), "TriuBackward0")


def _matrix(input: Tensor, name: str) -> None:
    if len(input._meta.shape) < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")


def tril(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The lower triangles of matrices, zeros elsewhere."""
    try:
        _matrix(input, "tril")
        return delivered(unary(TRIL, input, (diagonal,)), out)
    except Exception:
        refuse_misgiven()
        raise


def triu(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """The upper triangles of matrices, zeros elsewhere."""
    try:
        _matrix(input, "triu")
        return delivered(unary(TRIU, input, (diagonal,)), out)
    except Exception:
        refuse_misgiven()
        raise


def tril_(self: Tensor, diagonal: int = 0) -> Tensor:
    """tril in place."""
    _matrix(self, "tril")
    in_place(TRIL_, self, (), (diagonal,))
    return self


def triu_(self: Tensor, diagonal: int = 0) -> Tensor:
    """triu in place."""
    _matrix(self, "triu")
    in_place(TRIU_, self, (), (diagonal,))
    return self


def _diag_embed(x: Value, k: int, a: int, b: int) -> Value:
    n, size = x.shape[-1], x.shape[-1] + abs(k)
    top, left = (-k, 0) if k < 0 else (0, k)
    square = vw.reshape(x, shape=(*x.shape, 1))
    on = ar.eq(source.iota(size=n), vw.reshape(source.iota(size=n), shape=(n, 1)))
    whole = (*x.shape, n)
    square = el.where(ar.expand(on, whole), ar.expand(square, whole), ar.full(whole, 0, x.dtype))
    rest = (0,) * (x.ndim - 1)
    square = vw.pad(
        square,
        low=(*rest, top, left),
        high=(*rest, size - n - top, size - n - left),
        interior=(0,) * (x.ndim + 1),
        value=0,
    )
    order, rank = [0] * (x.ndim + 1), x.ndim + 1
    others = iter(range(rank - 2))
    for axis in range(rank):
        order[axis] = rank - 2 if axis == a else rank - 1 if axis == b else next(others)
    return vw.permute(square, order=tuple(order))


DIAG_EMBED = PureOp("diag_embed", _diag_embed)


def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Square matrices (dim1, dim2 of the result) with the last dimension as their diagonal."""
    try:
        rank = len(input._meta.shape) + 1
        a, b = wrap_axis(dim1, rank), wrap_axis(dim2, rank)
        if a == b:
            raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
        made: Tensor = unary(DIAG_EMBED, input, (offset, a, b))
        return made
    except Exception:
        refuse_misgiven()
        raise


DIAGONAL_COPY = PureOp("diagonal_copy", lambda x: x, "DiagonalBackward0_copy")


def diag(input: Tensor, diagonal: int = 0, *, out: Tensor | None = None) -> Tensor:
    """A matrix with the vector on its diagonal, or a matrix's diagonal (a copy)."""
    try:
        from flambeau.functional import parts

        rank = len(input._meta.shape)
        if rank not in (1, 2):
            raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {rank}D")
        if rank == 1:
            return delivered(diag_embed(input, diagonal), out)
        return delivered(unary(DIAGONAL_COPY, parts.diagonal(input, diagonal)), out)
    except Exception:
        refuse_misgiven()
        raise


def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with all elements on its diagonal."""
    try:
        return diag_embed(flatten(input), offset)
    except Exception:
        refuse_misgiven()
        raise


# ---- padding -------------------------------------------------------------------------------------


def _pad_constant(x: Value, value: Value, widths: Shape) -> Value:
    """`widths` are (low, high) of the last axis, then of the one before, ..."""
    low, high = pad_amounts(x.ndim, widths)
    for axis in range(x.ndim):
        if x.shape[axis] + low[axis] + high[axis] < 0:
            raise RuntimeError(
                f"The input size {x.shape[axis]}, plus negative padding {low[axis]} and "
                f"{high[axis]}, resulted in a negative output size, which is invalid. Check "
                f"dimension "
                f"{axis} of your input."
            )
    if value.primitive is source.constant_:
        return vw.pad(x, low=low, high=high, interior=(0,) * x.ndim, value=value.attrs["value"])
    padded = vw.pad(x, low=low, high=high, interior=(0,) * x.ndim, value=0)
    inside: Value | None = None
    for axis in range(x.ndim):
        if low[axis] <= 0 and high[axis] <= 0:
            continue
        extent = padded.shape[axis]
        place = source.iota(size=extent)
        within = ar.logical_and(ar.ge(place, low[axis]), ar.lt(place, extent - max(high[axis], 0)))
        shape = tuple(extent if a == axis else 1 for a in range(x.ndim))
        within = ar.expand(vw.reshape(within, shape=shape), padded.shape)
        inside = within if inside is None else ar.logical_and(inside, within)
    if inside is None:
        return padded
    return el.where(inside, padded, ar.expand(ar.cast(value, x.dtype), padded.shape))


def pad_amounts(rank: int, widths: Shape) -> tuple[Shape, Shape]:
    """Low and high padding per axis from PyTorch's list, which starts at the last axis."""
    low, high = [0] * rank, [0] * rank
    for place in range(len(widths) // 2):
        low[rank - 1 - place], high[rank - 1 - place] = widths[2 * place], widths[2 * place + 1]
    return tuple(low), tuple(high)


def _pad_zero(x: Value, widths: Shape) -> Value:
    return _pad_constant(x, source.constant(0, x.dtype), widths)


def _pad_by_place(x: Value, widths: Shape, mode: str) -> Value:
    """Padding whose elements are elements of the operand: rows taken along each padded axis."""
    low, high = pad_amounts(x.ndim, widths)
    for axis in range(x.ndim):
        if low[axis] or high[axis]:
            x = _take_axis(x, axis, places(x.shape[axis], low[axis], high[axis], mode))
    return x


def places(extent: int, low: int, high: int, mode: str) -> list[int]:
    """The operand's place that each place of a padded axis shows."""
    result = []
    for place in range(-low, extent + high):
        if mode == "replicate":
            place = min(max(place, 0), extent - 1)
        elif mode == "circular":  # what a negative width cuts off is not repeated
            first = max(-low, 0)
            place = first + (place - first) % (extent - first - max(-high, 0))
        else:
            period = 2 * (extent - 1)
            place = abs(place) % period if period else 0
            place = period - place if place >= extent else place
        result.append(place)
    return result


def _take_axis(x: Value, axis: int, order: list[int]) -> Value:
    """Concatenates runs of the axis: forward runs, reversed runs and repeats of one place."""
    runs: list[Value] = []
    start = 0
    while start < len(order):
        stop = start + 1
        step = order[stop] - order[start] if stop < len(order) else 1
        while stop < len(order) and step in (-1, 0, 1) and order[stop] - order[stop - 1] == step:
            stop += 1
        size = stop - start
        if step == 0:
            one = part(x, axis, order[start], 1)
            run = ar.expand(one, x.shape[:axis] + (size,) + x.shape[axis + 1 :])
        elif step == -1 and size > 1:
            run = vw.flip(part(x, axis, order[stop - 1], size), axes=(axis,))
        else:
            run = part(x, axis, order[start], size)
        runs.append(run)
        start = stop
    return vw.concat(*runs, axis=axis) if len(runs) > 1 else runs[0]


PAD_NOTHING = PureOp("constant_pad_nd", lambda x: x, preserves=True)
PAD_ZERO = ImageOp("constant_pad_nd", _pad_zero)
PAD_VALUE = ImageOp("constant_pad_nd", _pad_constant)
PAD_CIRCULAR = PureOp("pad", lambda x, widths: _pad_by_place(x, widths, "circular"), "CopySlices")
PAD_REFLECT = {
    d: ImageOp(
        "reflection_pad",
        refusing(f"reflection_pad{d}d", partial(_pad_by_place, mode="reflect"), "b"),
        f"ReflectionPad{d}DBackward0",
    )
    for d in (1, 2, 3)
}
PAD_REPLICATE = {
    d: ImageOp(
        "replication_pad",
        refusing(f"replication_pad{d}d", partial(_pad_by_place, mode="replicate"), "b"),
        f"ReplicationPad{d}DBackward0",
    )
    for d in (1, 2, 3)
}


def pad(input: Tensor, pad: Any, mode: str = "constant", value: Any = None) -> Tensor:
    """`input` padded: `pad` holds (low, high) of the last dimension, of the one before, ...

    mode is "constant" (any rank; negative widths cut), "reflect", "replicate" or "circular".
    """
    try:
        rank, widths = len(input._meta.shape), integers((pad,), "pad", "pad")
        if len(widths) % 2:
            raise RuntimeError("Padding length must be divisible by 2")
        if len(widths) > 2 * rank:
            raise RuntimeError(
                "Padding length should be less than or equal to two times the input dimension but "
                f"got padding length {len(widths)} and input of dimension {rank}"
            )
        made: Tensor
        if mode == "constant":
            if not any(widths):
                made = unary(PAD_NOTHING, input)
            elif value is None or (not isinstance(value, Tensor) and value == 0):
                made = unary(PAD_ZERO, input, (widths,))
            elif isinstance(value, (bool, int, float)):
                refuse_overflow(float(value), input.dtype)
                made = with_scalar(PAD_VALUE, input, value, (widths,))
            elif not isinstance(value, Tensor) or value.ndim:
                refuse_misgiven()
                kind = type(value).__name__
                raise TypeError(f"pad(): argument 'value' (position 4) must be float, not {kind}")
            else:
                made = record(PAD_VALUE, (input, value), (widths,))
            return made
        if value is not None and value != 0:
            raise ValueError(f'Padding mode "{mode}" doesn\'t take in value argument')
        if mode not in ("reflect", "replicate", "circular"):
            raise NotImplementedError(f"Unrecognised padding mode {mode}")
        _check_padding(input, widths, mode)
        if mode == "circular":
            made = unary(PAD_CIRCULAR, input, (widths,))
        else:
            made = unary(
                (PAD_REFLECT if mode == "reflect" else PAD_REPLICATE)[len(widths) // 2],
                input,
                (widths,),
            )
        return made
    except Exception:
        refuse_misgiven()
        raise


def _check_padding(input: Tensor, widths: Shape, mode: str) -> None:
    shape, padded = input._meta.shape, len(widths) // 2
    if not (1 <= padded <= 3 and len(shape) in (padded + 1, padded + 2)):
        raise NotImplementedError(
            "Only 2D, 3D, 4D, 5D padding with non-constant padding are supported for now"
        )
    for place in range(padded):
        axis = len(shape) - 1 - place
        low, high, extent = widths[2 * place], widths[2 * place + 1], shape[axis]
        if mode == "reflect" and (low >= extent or high >= extent):
            raise RuntimeError(
                f"Argument #{4 + 2 * place}: Padding size should be less than the corresponding "
                f"input "
                f"dimension, but got: padding ({low}, {high}) at dimension {axis} of input "
                f"{list(shape)}"
            )
        if mode == "circular" and (low > extent or high > extent):
            raise RuntimeError("Padding value causes wrapping around more than once.")
        if extent == 0:
            raise RuntimeError(
                f"Expected a non-empty dimension {axis} to pad, but got input of shape "
                f"{list(shape)}"
            )
        if extent + low + high < 1:
            raise RuntimeError(
                f"Padding ({low}, {high}) leaves nothing of dimension {axis} of input {list(shape)}"
            )


def _one_hot(index: Value, count: int) -> Value:
    checked = indexed.take(source.iota(size=count), index, what="one_hot")
    hot = ar.eq(vw.reshape(checked, shape=(*index.shape, 1)), source.iota(size=count))
    return ar.cast(hot, dtypes.int64)


ONE_HOT = PureOp("one_hot", _one_hot)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """A last dimension of zeros, one at each class. Without num_classes the data is read."""
    try:
        if tensor.dtype is not dtypes.int64:
            raise RuntimeError("one_hot is only applicable to index tensor of type LongTensor.")
        count = integer(num_classes, "one_hot", "num_classes")
        if count == -1:
            if not tensor.numel():
                raise RuntimeError("Can not infer total number of classes from empty tensor.")
            count = int(tensor._values().max()) + 1
        elif count < 1:
            raise RuntimeError(
                "num_classes should be positive"
                if tensor.numel()
                else "Can not infer total number of classes from empty tensor."
            )
        made: Tensor = unary(ONE_HOT, tensor, (count,))
        return made
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {
    "repeat": repeat,
    "tile": tile,
    "repeat_interleave": repeat_interleave,
    "flip": flip,
    "fliplr": fliplr,
    "flipud": flipud,
    "roll": roll,
    "rot90": rot90,
    "tril": tril,
    "triu": triu,
    "tril_": tril_,
    "triu_": triu_,
    "diag_embed": diag_embed,
    "diag": diag,
    "diagflat": diagflat,
}
