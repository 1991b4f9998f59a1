"""Products, sums and softmax of sparse tensors, in terms of gathers and index_add."""

from __future__ import annotations

from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.functional.joining import stack
from flambeau.functional.sparse_coordinates import SparseCOO
from flambeau.functional.sparse_tensors import Sparse, as_tensor, host
from flambeau.tensor.tensor import Tensor


def product(a: Tensor, b: Tensor) -> Any:
    """a @ b where at least one is sparse. RuntimeError for shapes and dtypes that do not fit."""
    for side in (a, b):
        if isinstance(side, SparseCOO) and (side.dense_dim() or side.dim() != 2):
            raise RuntimeError(
                f"addmm: matrices expected, got {side.dim()}D tensor"
                if side.dim() != 2
                else f"addmm: expected a matrix of scalars, got {side.dense_dim()} dense dimensions"
            )
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"expected scalar type {a.dtype.scalar_name} but found {b.dtype.scalar_name}"
        )
    if not isinstance(a, Sparse):
        if a.dim() == 1:
            return product(b.t(), a)
        return product(b.t(), a.t()).t()
    if isinstance(b, Sparse):
        return _sparse_sparse(a, b)
    if b.dim() == 1:
        return product(a, b.unsqueeze(1)).squeeze(1)
    return _sparse_dense(a._coordinates(), b)


def _sparse_dense(a: SparseCOO, b: Tensor) -> Tensor:
    if b.dim() != 2:
        raise RuntimeError(f"addmm: matrices expected, got {b.dim()}D tensor")
    if b.size(0) != a.size(1):
        raise RuntimeError(
            f"addmm: Argument #3 (dense): Expected dim 0 size {a.size(1)}, got {b.size(0)}"
        )
    rows, columns = a._places.unbind(0)
    terms = b.index_select(0, columns) * a._entries.unsqueeze(1)
    made: Tensor = terms.detach().new_zeros((a.size(0), b.size(1))).index_add(0, rows, terms)
    return made


def _sparse_sparse(a: Sparse, b: Sparse) -> Any:
    if a.size(1) != b.size(0):
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({a.size(0)}x{a.size(1)} and "
            f"{b.size(0)}x{b.size(1)})"
        )
    left, right = a._coordinates().coalesce(), b._coordinates().coalesce()
    (row, inner), (outer, column) = host(left._places), host(right._places)
    # The entries of `right` with row k are those from starts[k] to starts[k + 1].
    starts = np.searchsorted(outer, np.arange(a.size(1) + 1))
    counts = (starts[1:] - starts[:-1])[inner]
    first = np.repeat(np.arange(len(inner)), counts)
    offsets = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
    second = starts[inner][first] + offsets if len(first) else first
    entries = left._entries.index_select(0, as_tensor(first)) * right._entries.index_select(
        0, as_tensor(second)
    )
    places = as_tensor(np.stack([row[first], column[second]]))
    size = (a.size(0), b.size(1))
    made = SparseCOO.of(places, entries, size, False, "SparseSparseMatmulBackward0").coalesce()
    return made if isinstance(a, SparseCOO) else made.to_sparse_csr()


def added_product(input: Tensor, a: Any, b: Any, beta: Any, alpha: Any) -> Tensor:
    """beta * input + alpha * (a @ b), a sparse and the others dense."""
    made: Tensor = input * beta + product(a, b) * alpha
    return made


def sum_over(x: SparseCOO, dim: Any, keepdim: bool, dtype: Any) -> Any:
    """The sum over some dimensions (by default all): sparse where sparse dimensions are left."""
    summed_dtype = dtypes.int64 if x.dtype.kind in "ib" else x.dtype
    kind = dtype if dtype is not None else summed_dtype
    entries = x._entries if kind is x.dtype else x._entries.to(kind)
    whole = range(x.dim())
    given = list(whole) if dim is None else [dim] if isinstance(dim, int) else list(dim)
    axes = sorted({whole[axis] for axis in given} or set(whole))
    count = x.sparse_dim()
    dense_axes = [axis - count + 1 for axis in axes if axis >= count]
    if dense_axes:
        entries = entries.sum(dense_axes, keepdim)
    kept = [axis for axis in range(count) if axis not in axes]
    if not kept:
        made = entries.sum(0)
        return made.reshape([1] * count + list(made.shape)) if keepdim and dim is not None else made
    size = [
        1 if axis in axes else extent
        for axis, extent in enumerate(x.shape)
        if keepdim or axis not in axes
    ]
    rows = list(x._places.unbind(0))
    if keepdim:
        rows = [row * 0 if axis in axes else row for axis, row in enumerate(rows)]
    else:
        rows = [rows[axis] for axis in kept]
    summed = SparseCOO.of(stack(rows), entries, size, False, "SparseSumBackward0")
    return summed.coalesce()


def softmax_of(x: SparseCOO, dim: int, dtype: Any, logarithm: bool) -> SparseCOO:
    """Softmax over the stored elements of a dimension (the others count as -infinity)."""
    if x.dense_dim():
        raise NotImplementedError("softmax of a sparse tensor with dense dimensions: .to_dense()")
    whole = (x if dtype is None else x.to(dtype)).coalesce()
    places = host(whole._places)
    axis = range(x.dim())[dim]
    _, group = np.unique(np.delete(places, axis, 0), axis=1, return_inverse=True)
    where = as_tensor(group.reshape(-1))
    count = int(group.max()) + 1 if group.size else 0
    entries = whole._entries
    low = entries.detach().new_full((count,), -float("inf"))
    highest = low.scatter_reduce(0, where, entries.detach(), "amax")
    shifted = entries - highest.index_select(0, where)
    totals = entries.detach().new_zeros(count).index_add(0, where, shifted.exp())
    logs = shifted - totals.log().index_select(0, where)
    if logarithm:
        return whole._like(logs, "SparseLogSoftmaxBackward0")
    return whole._like(logs.exp(), "SparseSoftmaxBackward0")
