"""torch.sparse: functions of sparse tensors."""

from __future__ import annotations

from typing import Any

from flambeau.functional.sparse_coordinates import SparseCOO
from flambeau.functional.sparse_products import added_product, product, softmax_of, sum_over
from flambeau.functional.sparse_tensors import Sparse
from flambeau.tensor.tensor import Tensor

__all__ = ["addmm", "check_sparse_tensor_invariants", "log_softmax", "mm", "softmax", "sum"]


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
    from flambeau.functional.sparse_making import sparse_coo_tensor

    kinds = {
        "FloatTensor": dtypes.float32, "DoubleTensor": dtypes.float64,
        "HalfTensor": dtypes.float16, "IntTensor": dtypes.int32, "LongTensor": dtypes.int64,
    }  # fmt: skip
    if name not in kinds:
        raise AttributeError(f"flambeau has no torch.sparse.{name}")

    def make(*parts: Any) -> Any:
        if len(parts) == 2 and isinstance(parts[0], int):
            parts = (parts,)
        return sparse_coo_tensor(*parts, dtype=kinds[name])

    return make
