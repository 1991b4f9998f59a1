"""What tensors that hold their data say at once, and small writes to them, by one native call each.

The kernels are those of `execute/cpu/data_kernels`. All here gives None (a write: False) where a
tensor is pending, strange, large, or watched: then the caller goes the way through NumPy or a
program, which gives the same.
"""

from __future__ import annotations

import struct
from functools import lru_cache
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.addresses import address_of
from flambeau.core.dtypes import DType
from flambeau.record.entering import PLAIN
from flambeau.record.meta import Meta, meta_of, plain_meta
from flambeau.record.observing import WATCH
from flambeau.record.options import OPTIONS
from flambeau.record.recorder import LOCAL, done_by_python
from flambeau.tensor.making import fresh
from flambeau.tensor.tensor import Tensor

SMALL = 1 << 14  # elements; for more of them Python's part does not count
MANY_BINS = 1 << 12
DEEPEST = 4  # dimensions whose places are counted out
REAL = (dtypes.float32, dtypes.float64)
INTEGERS = (dtypes.uint8, dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)
KNOWN = frozenset((*REAL, *INTEGERS, dtypes.bool_))
_FORMS = {dtypes.float32: "<f4x", dtypes.float64: "<d", dtypes.bool_: "<?7x"}
_packed = {dtype: struct.Struct(form).pack for dtype, form in _FORMS.items()}
_bits = struct.Struct("<q").unpack

Asked = tuple[int, int, Any]  # a kernel, the address of its words, and what holds these


def _call(name: str) -> Any:
    """A native call; None where there is none, or where somebody watches."""
    call = getattr(PLAIN, name)
    if call is None:
        done_by_python()
        return None
    if LOCAL.capture is not None or WATCH.observer is not None or OPTIONS.sync:
        return None
    return call


def _asked(kernel: int, *words: int) -> Asked:
    held = np.array(words, np.int64)
    return kernel, address_of(held), held


def _plain(meta: Meta) -> bool:
    return meta.dtype in KNOWN and meta.steps is None and 0 < meta.numel <= SMALL


# ---- answers -------------------------------------------------------------------------------------


@lru_cache(maxsize=1 << 12)
def _same(a: Meta, b: Meta) -> Asked | None:
    from flambeau.execute.cpu import data_kernels

    if not (_plain(a) and _plain(b)) or a.dtype is not b.dtype or a.extents != b.extents:
        return None
    return _asked(data_kernels.same(a.dtype), a.numel)


def same(a: Tensor, b: Tensor) -> bool | None:
    """Whether two tensors have the same elements."""
    call = _call("answer")
    known = None if call is None else _same(a._meta, b._meta)
    if known is None:
        return None
    found = call(known[0], LOCAL.rec, known[1], 0, a, b)
    return None if found is None else found == 1


@lru_cache(maxsize=1 << 12)
def _nonzero(meta: Meta) -> tuple[Asked, Asked] | None:
    from flambeau.execute.cpu import data_kernels

    rank = len(meta.extents)
    if not _plain(meta) or not 0 < rank <= DEEPEST:
        return None
    count = _asked(data_kernels.count_nonzero(meta.dtype), meta.numel)
    return count, _asked(data_kernels.places(meta.dtype, rank), *meta.extents)


def nonzero(x: Tensor) -> Tensor | None:
    """The places of what is not zero, laid out as PyTorch does it: by columns."""
    call = _call("answer")
    known = None if call is None else _nonzero(x._meta)
    if known is None:
        return None
    counting, placing = known
    count = call(counting[0], LOCAL.rec, counting[1], 0, x)
    if not count:
        return None
    made = fresh(meta_of(dtypes.int64, (count, len(x._meta.extents)), (1, count)))
    found = call(placing[0], LOCAL.rec, placing[1], count, x, made)
    return made if found == count else None


@lru_cache(maxsize=1 << 12)
def _bins(meta: Meta, bins: int, low: float, high: float) -> Asked | None:
    from flambeau.execute.cpu import data_kernels

    if not _plain(meta) or meta.dtype not in REAL or bins > MANY_BINS:
        return None
    with np.errstate(all="ignore"):
        first, last = np.array([low, high]).astype(meta.dtype.numpy)
        if not (last > first and np.isfinite((last - first) * first.dtype.type(bins))):
            return None
    edges = element_bits(low, meta.dtype), element_bits(high, meta.dtype)
    return _asked(data_kernels.bins(meta.dtype), meta.numel, bins, *edges)


def histogram(x: Tensor, bins: int, low: float, high: float) -> Tensor | None:
    """How many elements lie in each of so many equally wide bins between two finite numbers."""
    call = _call("answer")
    known = None if call is None else _bins(x._meta, bins, low + 0.0, high + 0.0)
    if known is None:
        return None
    made = fresh(plain_meta(x._meta.dtype, (bins,)), 0)
    return None if call(known[0], LOCAL.rec, known[1], 0, x, made) is None else made


@lru_cache(maxsize=1 << 12)
def _occurrences(meta: Meta) -> tuple[Asked, Asked] | None:
    from flambeau.execute.cpu import data_kernels

    if not _plain(meta) or meta.dtype not in INTEGERS or len(meta.extents) != 1:
        return None
    largest, counting = data_kernels.largest(meta.dtype), data_kernels.occurrences(meta.dtype)
    return _asked(largest, meta.numel), _asked(counting, meta.numel)


def occurrences(x: Tensor, least: int) -> Tensor | None:
    """How often each of 0, 1, .. (at least so many numbers) occurs."""
    call = _call("answer")
    known = None if call is None else _occurrences(x._meta)
    if known is None:
        return None
    largest, counting = known
    most = call(largest[0], LOCAL.rec, largest[1], 0, x)
    if most is None or not 0 <= most < MANY_BINS or least > MANY_BINS:
        return None
    made = fresh(plain_meta(dtypes.int64, (max(most + 1, least),)), 0)
    return made if call(counting[0], LOCAL.rec, counting[1], most, x, made) == 0 else None


# ---- writes --------------------------------------------------------------------------------------


def element_bits(element: Any, dtype: DType) -> int:
    """The bits of an element, given as `as_element` has it."""
    pack = _packed.get(dtype)
    found: int = element if pack is None else _bits(pack(element))[0]
    return found


@lru_cache(maxsize=1 << 12)
def _chosen(x: Meta, mask: Meta) -> Asked | None:
    from flambeau.execute.cpu import data_kernels

    if not (_plain(x) and _plain(mask)):
        return None
    kernel = data_kernels.chosen(x.dtype.itemsize)
    return _asked(kernel, mask.numel, x.numel // mask.numel)


def fill_chosen(x: Tensor, mask: Tensor, element: Any) -> bool:
    """Writes an element where a mask of x's first dimensions holds; whether that is done."""
    call = _call("write")
    known = None if call is None else _chosen(x._meta, mask._meta)
    if known is None:
        return False
    bits = element_bits(element, x._meta.dtype)
    return call(known[0], LOCAL.rec, known[1], bits, x, 0, mask) is True


@lru_cache(maxsize=1 << 12)
def _written(shown: Meta, source: Meta | None) -> Asked | None:
    from flambeau.execute.cpu import data_kernels

    if shown.dtype not in KNOWN or not 0 < shown.numel <= SMALL:
        return None
    steps: tuple[int, ...] = (0,) * len(shown.extents)
    if source is not None and source.extents:
        steps = source.strides
    axes: list[tuple[int, int, int]] = []  # extents, steps there and here: joined where they can be
    for extent, there, here in zip(shown.extents, shown.strides, steps):
        if extent == 1:
            continue
        if axes and axes[-1][1:] == (there * extent, here * extent):
            axes[-1] = (axes[-1][0] * extent, there, here)
        else:
            axes.append((extent, there, here))
    if len(axes) > 2:
        return None
    rows, columns = [(1, 1, 1)] * (2 - len(axes)) + axes
    lines = source is not None and columns[1:] == (1, 1)
    kernel = data_kernels.written(shown.dtype.itemsize, source is not None, lines)
    return _asked(kernel, *rows, *columns)


def write(x: Tensor, shown: Meta, distance: int, element: Any, source: Tensor | None) -> bool:
    """Writes an element, or the elements of a tensor of this dtype and shape (or of one element),
    to a view of x, as `plain_data.write` has it; whether that is done.
    """
    call = _call("write")
    if call is None:
        return False
    if source is None:
        known = _written(shown, None)
        if known is None:
            return False
        bits = element_bits(element, shown.dtype)
        return call(known[0], LOCAL.rec, known[1], bits, x, distance) is True
    known = _written(shown, source._meta)
    return known is not None and (
        call(known[0], LOCAL.rec, known[1], 0, x, distance, source) is True
    )
