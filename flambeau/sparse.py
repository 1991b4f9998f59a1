"""torch.sparse: functions of sparse tensors."""

from __future__ import annotations

import sys
from typing import Any

from flambeau.core.dtypes import int64
from flambeau.core.layout import sparse_coo, sparse_csc, sparse_csr
from flambeau.functional.counted import arange
from flambeau.functional.from_data import tensor
from flambeau.functional.rearranging import repeat_interleave
from flambeau.functional.solving import linalg_solve as solve
from flambeau.functional.sparse_compressed import Compressed
from flambeau.functional.sparse_coordinates import SparseCOO
from flambeau.functional.sparse_making import sparse_coo_tensor
from flambeau.functional.sparse_products import added_product, product, softmax_of, sum_over
from flambeau.functional.sparse_tensors import Sparse
from flambeau.tensor.tensor import Tensor

__all__ = [
    "addmm",
    "check_sparse_tensor_invariants",
    "log_softmax",
    "mm",
    "sampled_addmm",
    "softmax",
    "spdiags",
    "spsolve",
    "sum",
]


def mm(mat1: Tensor, mat2: Tensor, reduce: str = "sum") -> Any:
    """The product of two matrices, sparse or dense. NotImplementedError for other reductions."""
    if reduce != "sum":
        raise NotImplementedError(f"sparse.mm with reduce={reduce!r} is not supported")
    if isinstance(mat1, Sparse) or isinstance(mat2, Sparse):
        return product(mat1, mat2)
    return mat1.mm(mat2)


def addmm(mat: Tensor, mat1: Any, mat2: Tensor, *, beta: Any = 1.0, alpha: Any = 1.0) -> Tensor:
    """beta * mat + alpha * (mat1 @ mat2), where mat1 is sparse."""
    return added_product(mat, mat1, mat2, beta, alpha)


def sum(input: Any, dim: Any = None, dtype: Any = None) -> Any:
    """The sum over dimensions (by default all); sparse where sparse dimensions are left."""
    if not isinstance(input, SparseCOO):
        word = input.layout_word if isinstance(input, Sparse) else "Strided"
        raise RuntimeError(f"coalesce expected sparse coordinate tensor layout but got {word}")
    return sum_over(input, dim, False, dtype)


def softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """Softmax over the stored elements of a dimension."""
    return softmax_of(input, dim, dtype, logarithm=False)


def log_softmax(input: Any, dim: int, *, dtype: Any = None) -> Any:
    """The logarithm of `softmax`."""
    return softmax_of(input, dim, dtype, logarithm=True)


def sampled_addmm(
    input: Any, mat1: Tensor, mat2: Tensor, *, beta: Any = 1.0, alpha: Any = 1.0, out: Any = None
) -> Any:
    """alpha * (mat1 @ mat2) + beta * input at the places of the CSR matrix `input` alone."""
    if not isinstance(input, Compressed) or input.layout is not sparse_csr:
        word = input.layout_word if isinstance(input, Sparse) else "Strided"
        raise RuntimeError(f"Expected result to have sparse csr layout, but got {word}")
    if out is not None:
        raise NotImplementedError("sparse.sampled_addmm(out=...) is not supported")
    starts, columns = input.crow_indices(), input.col_indices()
    rows = repeat_interleave(arange(starts.numel() - 1), starts[1:] - starts[:-1])
    products = (mat1[rows] * mat2.t()[columns]).sum(-1)
    return input._like(products * alpha + input.values() * beta, "SparseSampledAddmmBackward0")


def spdiags(diagonals: Tensor, offsets: Tensor, shape: Any, layout: Any = None) -> Any:
    """A sparse matrix with rows of `diagonals` on the diagonals `offsets`.

    Column j of a row belongs to column j of the matrix; what falls outside is left out.
    """
    rows = diagonals if diagonals.ndim == 2 else diagonals.unsqueeze(0)
    which = offsets if offsets.ndim == 1 else offsets.unsqueeze(0)
    if diagonals.ndim not in (1, 2):
        raise RuntimeError("Diagonals must be vector or matrix")
    if len(shape) != 2:
        raise RuntimeError("Output shape must be 2d")
    if which.ndim != 1 or which.numel() != rows.shape[0]:
        raise RuntimeError(
            f"Number of diagonals ({rows.shape[0]}) does not match the number of offsets "
            f"({which.numel()})"
        )
    distances = which.tolist()
    if len(set(distances)) != len(distances):
        raise RuntimeError("Offset tensor contains duplicate values")
    count, width = shape
    places = [
        (number, column - distance, column)
        for number, distance in enumerate(distances)
        for column in range(max(0, distance), min(rows.shape[1], width, count + distance))
    ]
    numbers, heights, columns = (list(part) for part in zip(*places)) if places else ([], [], [])
    values = rows[tensor(numbers, dtype=int64), tensor(columns, dtype=int64)]
    made = sparse_coo_tensor(tensor([heights, columns], dtype=int64), values, tuple(shape))
    if layout is None or layout is sparse_coo:
        return made
    if layout is sparse_csr:
        return made.to_sparse_csr()
    if layout is sparse_csc:
        return made.to_sparse_csc()
    raise RuntimeError(
        f"Only output layouts (Sparse, SparseCsc, SparseCsr) are supported, got {layout}"
    )


def spsolve(input: Any, other: Tensor, *, left: bool = True) -> Tensor:
    """X of input X = other (X input = other) for a CSR matrix, by a dense factorisation."""
    made: Tensor = solve(input.to_dense(), other, left=left)
    return made


class check_sparse_tensor_invariants:
    """Whether indices are compared with sizes: off, and NotImplementedError to turn it on."""

    def __init__(self, enable: bool = True) -> None:
        if enable:
            self.enable()

    @staticmethod
    def is_enabled() -> bool:
        """False."""
        return False

    @staticmethod
    def enable() -> None:
        """NotImplementedError: pass check_invariants=True to sparse_coo_tensor."""
        raise NotImplementedError(
            "check_sparse_tensor_invariants: pass check_invariants=True to sparse_coo_tensor"
        )

    @staticmethod
    def disable() -> None:
        """They are off."""

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        pass


def __getattr__(name: str) -> Any:
    """The legacy types: torch.sparse.FloatTensor(indices, values, size)."""
    from flambeau.core import dtypes

    kinds = {
        "FloatTensor": dtypes.float32, "DoubleTensor": dtypes.float64,
        "HalfTensor": dtypes.float16, "IntTensor": dtypes.int32, "LongTensor": dtypes.int64,
    }  # fmt: skip
    if name == "torch":  # programs write torch.sparse.torch.eye(10)
        return sys.modules["flambeau"]
    if name not in kinds:
        raise AttributeError(f"flambeau has no torch.sparse.{name}")

    def make(*parts: Any) -> Any:
        if len(parts) == 2 and isinstance(parts[0], int):
            parts = (parts,)
        return sparse_coo_tensor(*parts, dtype=kinds[name])

    return make
