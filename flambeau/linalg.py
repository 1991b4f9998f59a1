"""torch.linalg: factorisations, systems, norms and functions of (batches of) matrices."""

from __future__ import annotations

from flambeau.functional.factorisation import (
    LinAlgError,
    cholesky_ex,
    eig,
    eigh,
    eigvals,
    eigvalsh,
    lu_factor,
    lu_factor_ex,
    svdvals,
)
from flambeau.functional.factorisation import linalg_cholesky as cholesky
from flambeau.functional.factorisation import linalg_lu as lu
from flambeau.functional.factorisation import linalg_qr as qr
from flambeau.functional.factorisation import linalg_svd as svd
from flambeau.functional.indefinite import ldl_factor, ldl_factor_ex, ldl_solve
from flambeau.functional.linear_algebra import linalg_cross as cross
from flambeau.functional.linear_algebra import matmul, multi_dot
from flambeau.functional.matrix_functions import (
    cond,
    lstsq,
    matrix_exp,
    matrix_norm,
    matrix_power,
    matrix_rank,
    norm,
    pinv,
    tensorinv,
    tensorsolve,
    vecdot,
)
from flambeau.functional.matrix_functions import linalg_vander as vander
from flambeau.functional.moments import vector_norm
from flambeau.functional.parts import diagonal as _diagonal
from flambeau.functional.solving import (
    householder_product,
    inv,
    inv_ex,
    solve_ex,
    solve_triangular,
)
from flambeau.functional.solving import linalg_det as det
from flambeau.functional.solving import linalg_lu_solve as lu_solve
from flambeau.functional.solving import linalg_slogdet as slogdet
from flambeau.functional.solving import linalg_solve as solve
from flambeau.tensor.overriding import register
from flambeau.tensor.tensor import Tensor

__all__ = [
    "LinAlgError", "cholesky", "cholesky_ex", "cond", "cross", "det", "diagonal", "eig", "eigh",
    "eigvals", "eigvalsh", "householder_product", "inv", "inv_ex", "ldl_factor", "ldl_factor_ex",
    "ldl_solve", "lstsq", "lu", "lu_factor", "lu_factor_ex", "lu_solve", "matmul", "matrix_exp",
    "matrix_norm", "matrix_power", "matrix_rank", "multi_dot", "norm", "pinv", "qr", "slogdet",
    "solve", "solve_ex", "solve_triangular", "svd", "svdvals", "tensorinv", "tensorsolve",
    "vander", "vecdot", "vector_norm",
]  # fmt: skip


def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """A view of a diagonal of the last two axes (unless told), as the last axis."""
    return _diagonal(A, offset, dim1, dim2)


register(globals(), __all__)
