"""Counts and places that depend on the data: histograms, membership, indices of a fixed number.

The data are read on the host where the result's shape or cost depends on them.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.functional.counted import linspace
from flambeau.functional.creation import full
from flambeau.functional.folding import checked, result_type, write_outs
from flambeau.functional.from_data import tensor
from flambeau.functional.joining import stack
from flambeau.functional.options import checked_call, other_names
from flambeau.functional.parts import unbind
from flambeau.functional.pointwise import (
    NUMBERS,
    convert,
    floor_divide,
    remainder,
    write_out,
    write_same,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import reduction as red
from flambeau.ops import view
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.tensor.recording import record
from flambeau.tensor.tensor import Tensor, from_array

# ---- histograms ----------------------------------------------------------------------------------

_HISTOGRAM = result_type("histogram", "hist", "bin_edges")
_HISTOGRAMDD = result_type("histogramdd", "hist", "bin_edges")


def _limits(points: Any, axes: int, range: Sequence[float] | None) -> list[tuple[float, float]]:
    """The least and greatest edge of each axis."""
    if range is not None:
        if len(range) != 2 * axes:
            raise RuntimeError(
                f"torch.histogramdd: for a {axes}-dimensional histogram range should have "
                f"{2 * axes} elements, but got {len(range)}"
            )
        limits = [(float(range[2 * a]), float(range[2 * a + 1])) for a in builtins.range(axes)]
    elif len(points):
        limits = [(float(column.min()), float(column.max())) for column in points.T]
    else:
        limits = [(0.0, 1.0)] * axes
    for axis, (low, high) in enumerate(limits):
        if not (np.isfinite(low) and np.isfinite(high)):
            raise RuntimeError(
                f"torch.histogramdd: dimension {axis}'s range [{low:g}, {high:g}] is not finite"
            )
        if low > high:
            raise RuntimeError(
                f"torch.histogramdd: min should not exceed max, but got min {low:g} max {high:g} "
                f"for dimension {axis}"
            )
        if low == high:
            limits[axis] = (low - 0.5, high + 0.5)
    return limits


def _edges(
    input: Tensor, points: Any, bins: Sequence[Any], range: Sequence[float] | None
) -> list[Tensor]:
    """The bins' edges along each axis: those given, or equally spaced ones."""
    if isinstance(bins[0], Tensor):
        for axis, given in enumerate(bins):
            if given.ndim != 1:
                raise RuntimeError(
                    "torch.histogramdd: bins tensor should have one dimension, but got "
                    f"{given.ndim} dimensions in the bins tensor for dimension {axis}"
                )
            if given.dtype is not input.dtype:
                raise RuntimeError(
                    "torch.histogramdd: input tensor and bins tensors should have the same dtype, "
                    f"but got input with dtype {_cpp_name(input.dtype)} and bins for dimension "
                    f"{axis} with dtype {_cpp_name(given.dtype)}"
                )
        return [given.detach() for given in bins]
    for axis, count in enumerate(bins):
        if count <= 0:
            raise RuntimeError(
                f"torch.histogram(): bins must be > 0, but got {count} for dimension {axis}"
            )
    limits = _limits(points, len(bins), range)
    return [
        linspace(low, high, count + 1, dtype=input.dtype)
        for (low, high), count in zip(limits, bins)
    ]


def _cpp_name(dtype: Any) -> str:
    names = {"float32": "float", "float64": "double", "int64": "long int", "int32": "int"}
    return names.get(dtype.name, str(dtype.name))


def _counted(
    input: Tensor,
    points: Any,
    bins: Sequence[Any],
    range: Sequence[float] | None,
    weight: Tensor | None,
    density: bool,
) -> tuple[Tensor, list[Tensor]]:
    """The histogram of points [count, axes] and its edges."""
    if input.dtype.kind != "f":
        raise NotImplementedError(
            f"\"histogramdd\" not implemented for '{input.dtype.scalar_name}'"
        )
    edges = _edges(input, points, bins, range)
    arrays = [np.asarray(e._values()) for e in edges]
    shape = tuple(max(len(a) - 1, 0) for a in arrays)
    inside = np.ones(len(points), bool)
    places = []
    for column, bounds, count in zip(points.T, arrays, shape):
        place = np.searchsorted(bounds, column, side="right") - 1
        place[column == bounds[-1]] = count - 1
        inside &= (column >= bounds[0]) & (column <= bounds[-1])
        places.append(place)
    flat = np.ravel_multi_index([p[inside] for p in places], shape) if all(shape) else np.zeros(0)
    given = None if weight is None else np.asarray(weight._values()).ravel()[inside]
    counts = np.bincount(flat.astype(np.int64), given, int(np.prod(shape))).reshape(shape)
    if density:
        counts = counts / counts.sum()
        with np.errstate(all="ignore"):
            for axis, bounds in enumerate(arrays):
                widths = np.diff(bounds.astype(np.float64))
                counts = counts / widths.reshape([-1] + [1] * (len(shape) - axis - 1))
    return tensor(counts, dtype=input.dtype), edges


def _check_weight(shape: Sequence[int], weight: Tensor | None, weighed: Sequence[int]) -> None:
    if weight is not None and tuple(weighed) != tuple(shape[:-1]):
        raise RuntimeError(
            "torch.histogramdd: if weight tensor is provided it should have the same shape as the "
            f"input tensor excluding its innermost dimension, but got input with shape "
            f"{list(shape)} and weight with shape {list(weighed)}"
        )


def histogram(
    input: Tensor,
    bins: Any,
    *,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
    out: Any = None,
) -> Any:
    """(counts, edges) of all elements; `bins` is a number of equal bins or a vector of edges."""
    try:
        count = checked("histogram", input).numel()
        weighed = () if weight is None else tuple(weight.shape)
        if weight is not None and weighed == tuple(input.shape):
            weighed = (count,)
        _check_weight((count, 1), weight, weighed)
        points = np.asarray(input._values()).reshape(-1, 1)
        hist, edges = _counted(input, points, [bins], range, weight, density)
        return _HISTOGRAM(write_outs((hist, edges[0]), out))
    except Exception:
        refuse_misgiven()
        raise


@checked_call
def histogramdd(
    input: Tensor,
    bins: Any,
    range: Sequence[float] | None = None,
    weight: Tensor | None = None,
    density: bool = False,
) -> Any:
    """(counts, edges per axis) of points in the last dimension."""
    shape = tuple(checked("histogramdd", input).shape)
    if len(shape) < 2:
        raise RuntimeError(
            "torch.histogramdd: input tensor should have at least 2 dimensions, but got "
            f"{len(shape)}"
        )
    axes = shape[-1]
    bins = [bins] * axes if isinstance(bins, int) else list(bins)
    if len(bins) != axes:
        raise RuntimeError(
            "histogramdd: The size of bins must be equal to the innermost dimension of the input."
            if bins and not isinstance(bins[0], Tensor)
            else f"torch.histogramdd: expected {axes} sequences of bin edges for a {axes}-"
            f"dimensional histogram but got {len(bins)}"
        )
    _check_weight(shape, weight, () if weight is None else weight.shape)
    points = np.asarray(input._values()).reshape(-1, axes)
    hist, edges = _counted(input, points, bins, range, weight, density)
    return _HISTOGRAMDD((hist, tuple(edges)))


# ---- membership ----------------------------------------------------------------------------------

_DIRECT = 1 << 16  # comparisons that are made without reading the data


def _isin(x: Value, among: Value, invert: bool) -> Value:
    pairs = ar.eq(view.reshape(x, shape=(x.size, 1)), view.reshape(among, shape=(1, among.size)))
    found = view.reshape(red.max_(pairs, axes=(1,)), shape=x.shape)
    return ar.logical_not(found) if invert else found


ISIN = PureOp("isin", _isin)


@other_names(element="elements", test_element="test_elements")
def isin(
    elements: Any,
    test_elements: Any,
    *,
    assume_unique: bool = False,
    invert: bool = False,
    out: Tensor | None = None,
) -> Tensor:
    """Which elements are (`invert`: are not) among test_elements; assume_unique changes nothing."""
    tensors = isinstance(elements, Tensor), isinstance(test_elements, Tensor)
    others = [v for v in (elements, test_elements) if not isinstance(v, (Tensor, *NUMBERS))]
    if others or not any(tensors):
        refuse_misgiven()
    x, among = (v if isinstance(v, Tensor) else tensor(v) for v in (elements, test_elements))
    for given in (x, among):
        if given.dtype.kind in "bc":
            raise RuntimeError(
                f"Unsupported input type encountered for isin(): {given.dtype.scalar_name}"
            )
    if not x.numel() or not among.numel():
        return write_same(full(tuple(x.shape), bool(invert), dtype=dtypes.bool_), out)
    if x.numel() * among.numel() <= _DIRECT:
        return write_same(record(ISIN, (x, among), (bool(invert),)), out)
    found = np.isin(x._values(), among._values(), invert=invert)
    return write_same(from_array(found, dtypes.bool_), out)


# ---- places --------------------------------------------------------------------------------------


def nonzero_static(
    input: Tensor, *, size: int, fill_value: int = -1, out: Tensor | None = None
) -> Tensor:
    """The first `size` rows of nonzero(input), filled up with fill_value. Reads the data."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    array = np.asarray(checked("nonzero_static", input)._values())
    found = np.argwhere(array)[:size]
    places = np.full((size, array.ndim), fill_value, np.int64)
    places[: len(found)] = found
    return write_out(from_array(places, dtypes.int64), out)


def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """The places along each dimension of a shape that flat indices stand for."""
    try:
        if indices.dtype.kind != "i":
            raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
        if isinstance(shape, int):
            sizes: tuple[int, ...] = (shape,)
        elif isinstance(shape, (tuple, list)):
            for extent in shape:
                if not isinstance(extent, int):
                    raise TypeError(
                        f"expected 'shape' sequence to only contain ints, but got {type(extent)}"
                    )
            sizes = tuple(shape)
        else:
            raise TypeError(
                f"expected 'shape' to be int or sequence of ints, but got {type(shape)}"
            )
        if any(n < 0 for n in sizes):
            raise ValueError(f"'shape' cannot have negative values, but got {tuple(sizes)}")
        indices = convert(indices, dtypes.int64)
        places, step = [], 1
        for extent in reversed(sizes):
            shown = floor_divide(indices, step) if step != 1 else indices
            places.append(remainder(shown, extent))
            step *= extent
        if not places:
            return ()
        return unbind(stack(places[::-1], -1), -1)
    except Exception:
        refuse_misgiven()
        raise


METHODS: dict[str, Callable[..., Any]] = {
    "histogram": histogram, "nonzero_static": nonzero_static,
}  # fmt: skip
__all__ = ["histogram", "histogramdd", "isin", "nonzero_static", "unravel_index"]
