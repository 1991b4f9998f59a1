"""torch.linalg, as far as it is there: vector norms, and QR of tensors without gradients."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np

from flambeau.functional.moments import vector_norm
from flambeau.tensor.tensor import Tensor, from_array

__all__ = ["QR", "norm", "qr", "vector_norm"]


class QR(NamedTuple):
    """The factors of a QR factorisation."""

    Q: Any
    R: Any


def norm(A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False) -> Tensor:
    """The vector norm; matrix norms are not there yet."""
    if ord is not None and (
        not isinstance(ord, (int, float))
        or (dim is None and A.dim() == 2)
        or (isinstance(dim, tuple) and len(dim) == 2)
    ):
        raise NotImplementedError("linalg.norm: matrix norms are not supported yet")
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim)


def qr(A: Tensor, mode: Literal["reduced", "complete"] = "reduced") -> QR:
    """The QR factorisation (LAPACK); NotImplementedError where a gradient is required."""
    if A.requires_grad:
        raise NotImplementedError("linalg.qr: the derivative is not supported yet; use A.detach()")
    if mode not in ("reduced", "complete"):
        raise NotImplementedError(f"linalg.qr: mode {mode!r} is not supported yet")
    q, r = np.linalg.qr(A._values(), mode)
    return QR(from_array(q, A.dtype), from_array(r, A.dtype))


def __getattr__(name: str) -> Any:
    raise AttributeError(f"flambeau has no torch.linalg.{name} yet")
