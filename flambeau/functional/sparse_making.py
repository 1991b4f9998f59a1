"""How sparse tensors are made: of their parts, or of dense tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from flambeau.core.layout import sparse_coo, sparse_csc, sparse_csr
from flambeau.functional.folding import checked
from flambeau.functional.from_data import as_tensor as dense_of
from flambeau.functional.options import checked_options, other_names
from flambeau.functional.sparse_compressed import NAMES, Compressed, compressed
from flambeau.functional.sparse_coordinates import SparseCOO, empty_coo, mask_of
from flambeau.functional.sparse_products import product
from flambeau.functional.sparse_tensors import Sparse, as_tensor, host
from flambeau.tensor.tensor import Tensor

__all__ = [
    "hspmm", "smm", "sparse_bsc_tensor", "sparse_bsr_tensor", "sparse_compressed_tensor",
    "sparse_coo_tensor", "sparse_csc_tensor", "sparse_csr_tensor", "spmm", "sspaddmm",
]  # fmt: skip


def _values(values: Any, dtype: Any, requires_grad: bool) -> Tensor:
    """The values; detached where the sparse tensor is to be a leaf of its own."""
    made: Tensor = values if isinstance(values, Tensor) else dense_of(values)
    if dtype is not None and made.dtype is not dtype:
        made = made.to(dtype)
    return made.detach().clone().requires_grad_() if requires_grad else made


def _places(indices: Any) -> Tensor:
    made: Tensor = indices if isinstance(indices, Tensor) else dense_of(np.asarray(indices))
    whole: Tensor = made.detach().long()
    return whole


def sparse_coo_tensor(
    indices: Any = None,
    values: Any = None,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
    is_coalesced: bool | None = None,
) -> SparseCOO:
    """A tensor of indices [sparse_dim, nnz] and values [nnz, ...]; the rest is zero.

    RuntimeError where the parts do not fit each other; indices are compared with the size only
    with `check_invariants`. The gradient of a leaf (`requires_grad=True`) is taken at its places.
    """
    checked_options(device, None, pin_memory)
    if values is None:
        return empty_coo(tuple(indices if size is None else size), dtype)
    places, entries = _places(indices), _values(values, dtype, requires_grad)
    if places.dim() == 1:
        places = places.unsqueeze(1)
    if places.dim() != 2:
        raise RuntimeError(f"indices must be sparse_dim x nnz, but got: {list(places.shape)}")
    if entries.dim() == 0:
        entries = entries.reshape(1).expand(places.size(1))
    if size is None:
        found = host(places)
        lead = (found.max(1) + 1).tolist() if found.shape[1] else [0] * found.shape[0]
        size = (*lead, *entries.shape[1:])
    size = tuple(int(extent) for extent in size)
    if len(size) != places.size(0) + entries.dim() - 1:
        raise RuntimeError(
            f"'len(size) == sparse_dim + dense_dim' is not satisfied: len(size) = {len(size)}, "
            f"sparse_dim = {places.size(0)}, dense_dim = {entries.dim() - 1}"
        )
    if places.size(1) != entries.size(0):
        raise RuntimeError(
            f"indices and values must have same nnz, but got nnz from indices: {places.size(1)}, "
            f"nnz from values: {entries.size(0)}"
        )
    if check_invariants:
        _check(host(places), size)
    name = None if requires_grad else "SparseCooTensorWithDimsAndTensorsBackward0"
    return SparseCOO.of(places, entries, size, bool(is_coalesced), name, requires_grad)


def _check(places: Any, size: tuple[int, ...]) -> None:
    for axis, row in enumerate(places):
        if row.size and row.min() < 0:
            raise RuntimeError(f"found negative index {row.min()} for dim {axis}")
        if row.size and row.max() >= size[axis]:
            raise RuntimeError(
                f"size is inconsistent with indices: for dim {axis}, size is {size[axis]} but "
                f"found index {row.max()}"
            )


def _of_parts(
    axis: int, starts: Any, plain: Any, values: Any, size: Any, dtype: Any, requires_grad: bool
) -> Compressed:
    first, second = _places(starts), _places(plain)
    entries = _values(values, dtype, requires_grad)
    if first.dim() != 1 or second.dim() != 1 or entries.dim() != 1:
        raise NotImplementedError(
            "compressed layouts are supported for matrices of numbers only (no batches, no blocks)"
        )
    if second.size(0) != entries.size(0):
        raise RuntimeError(
            f"number of elements in {NAMES[axis][1]} ({second.size(0)}) and values "
            f"({entries.size(0)}) must be the same"
        )
    if size is None:
        found = host(second)
        size = [0, 0]
        size[axis] = first.size(0) - 1
        size[1 - axis] = int(found.max()) + 1 if found.size else 0
    name = None if requires_grad else "SparseCompressedTensorBackward0"
    return Compressed.of(first, second, entries, tuple(size), axis, name, requires_grad)


def sparse_csr_tensor(
    crow_indices: Any,
    col_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Compressed:
    """A matrix with compressed rows: row i has the entries crow_indices[i] to crow_indices[i + 1].

    NotImplementedError for batches and for `check_invariants=True`.
    """
    return _compressed_tensor(
        0, crow_indices, col_indices, values, size, dtype, device, pin_memory, requires_grad,
        check_invariants,
    )  # fmt: skip


def sparse_csc_tensor(
    ccol_indices: Any,
    row_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Compressed:
    """A matrix with compressed columns. NotImplementedError as for sparse_csr_tensor."""
    return _compressed_tensor(
        1, ccol_indices, row_indices, values, size, dtype, device, pin_memory, requires_grad,
        check_invariants,
    )  # fmt: skip


def _compressed_tensor(
    axis: int, starts: Any, plain: Any, values: Any, size: Any, dtype: Any, device: Any,
    pin_memory: bool, requires_grad: bool, check_invariants: bool | None,
) -> Compressed:  # fmt: skip
    checked_options(device, None, pin_memory)
    if check_invariants:
        raise NotImplementedError("check_invariants=True is not supported for compressed layouts")
    return _of_parts(axis, starts, plain, values, size, dtype, requires_grad)


def sparse_compressed_tensor(
    compressed_indices: Any,
    plain_indices: Any,
    values: Any,
    size: Any = None,
    *,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    pin_memory: bool = False,
    requires_grad: bool = False,
    check_invariants: bool | None = None,
) -> Compressed:
    """A matrix with compressed rows or columns, as `layout` says. RuntimeError for others."""
    if layout not in (sparse_csr, sparse_csc):
        raise NotImplementedError(f"sparse_compressed_tensor(): the layout {layout} is not there")
    axis = 0 if layout is sparse_csr else 1
    return _compressed_tensor(
        axis, compressed_indices, plain_indices, values, size, dtype, device, pin_memory,
        requires_grad, check_invariants,
    )  # fmt: skip


def _no_blocks(name: str) -> Callable[..., Any]:
    def refuse(*args: Any, **options: Any) -> Any:
        raise NotImplementedError(f"{name}(): sparse layouts of blocks are not supported")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "NotImplementedError: sparse layouts of blocks are not supported."
    return refuse


sparse_bsr_tensor, sparse_bsc_tensor = map(_no_blocks, ("sparse_bsr_tensor", "sparse_bsc_tensor"))


# ---- of dense tensors ----------------------------------------------------------------------------


def to_sparse(
    self: Any, sparseDims: int | None = None, *, layout: Any = None, blocksize: Any = None,
    dense_dim: int | None = None,
) -> Any:  # fmt: skip
    """The elements that are not zero, in coordinates of the first `sparseDims` dimensions.

    NotImplementedError for layouts of blocks.
    """
    _check_dense(dense_dim)
    if blocksize is not None or layout not in (None, sparse_coo, sparse_csr, sparse_csc):
        raise NotImplementedError("to_sparse(): sparse layouts of blocks are not supported")
    if isinstance(self, Sparse):
        made = self._coordinates()
        if sparseDims not in (None, made.sparse_dim()):
            raise NotImplementedError(
                "to_sparse(): another number of sparse dimensions: .to_dense()"
            )
    else:
        made = _coordinates_of(self, self.dim() if sparseDims is None else sparseDims)
    if layout is sparse_csr:
        return compressed(made, 0)
    return compressed(made, 1) if layout is sparse_csc else made


def _check_dense(dense_dim: int | None) -> None:
    if dense_dim:
        raise NotImplementedError("to_sparse(): dense_dim other than 0: say sparse_dim instead")


def _coordinates_of(dense: Tensor, count: int) -> SparseCOO:
    if not 0 <= count <= dense.dim() or (count == 0 and dense.dim()):
        raise RuntimeError(
            f"dense_to_sparse: sparse_dim argument must be in [0,{dense.dim()}] range, but "
            f"{count} is given"
        )
    if dense.dim() == 0:
        raise NotImplementedError("to_sparse() of a tensor without dimensions")
    data = np.asarray(checked("to_sparse", dense)._values())
    inner = tuple(range(count, dense.dim()))
    places = np.stack(np.nonzero(data.any(inner) if inner else data))
    index = as_tensor(places)
    entries = dense[tuple(index.unbind(0))]
    return SparseCOO.of(index, entries, dense.shape, True, "ToSparseBackward0")


def to_sparse_csr(self: Tensor, dense_dim: Any = None) -> Any:
    """The matrix with compressed rows."""
    _check_dense(dense_dim)
    return to_sparse(self, layout=sparse_csr)


def to_sparse_csc(self: Tensor, dense_dim: Any = None) -> Any:
    """The matrix with compressed columns."""
    _check_dense(dense_dim)
    return to_sparse(self, layout=sparse_csc)


def sparse_mask(self: Tensor, mask: Any) -> Any:
    """The elements at the places of a sparse tensor."""
    if not isinstance(mask, SparseCOO):
        raise NotImplementedError("sparse_mask(): the mask must have the layout torch.sparse_coo")
    return mask_of(self, mask)


# ---- products ------------------------------------------------------------------------------------


def spmm(input: Tensor, mat2: Tensor) -> Any:
    """The product of two matrices, sparse or dense."""
    made: Any = input.mm(mat2) if isinstance(input, Sparse) else product(input, mat2)
    return made


@other_names(mat2="mat")
def smm(input: Tensor, mat: Tensor) -> Any:
    """The product of a sparse and a dense matrix, as a sparse one."""
    return to_sparse(product(input, mat))


def hspmm(mat1: Tensor, mat2: Tensor) -> Any:
    """The product of a sparse and a dense matrix, with sparse rows and dense columns."""
    return to_sparse(product(mat1, mat2), 1)


def sspaddmm(input: Any, mat1: Tensor, mat2: Tensor, *, beta: Any = 1, alpha: Any = 1) -> Any:
    """beta * input + alpha * (mat1 @ mat2), all sparse but mat2."""
    return input.mul(beta).add(to_sparse(product(mat1, mat2)), alpha=alpha)


METHODS: dict[str, Callable[..., Any]] = {
    "to_sparse": to_sparse, "to_sparse_coo": to_sparse, "to_sparse_csr": to_sparse_csr,
    "to_sparse_csc": to_sparse_csc, "to_sparse_bsr": _no_blocks("to_sparse_bsr"),
    "to_sparse_bsc": _no_blocks("to_sparse_bsc"), "sparse_mask": sparse_mask, "smm": smm,
    "sspaddmm": sspaddmm,
}  # fmt: skip
SPARSE_NAMES = {"dsmm": spmm, "hsmm": hspmm, "saddmm": sspaddmm}
