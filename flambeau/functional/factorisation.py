"""Factorisations of matrices: Cholesky, QR, SVD, eigenvalues, LU, with PyTorch's signatures.

Those that may fail look at the factorisation's `info` before they return, so they wait for it; the
`_ex` forms do not.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.shapes import Shape, contiguous_strides
from flambeau.functional.folding import checked, result_type, write_outs
from flambeau.functional.options import not_implemented
from flambeau.functional.pointwise import write_out, write_same
from flambeau.ops import arithmetic as ar
from flambeau.ops import decomposition as dec
from flambeau.ops import elementwise as el
from flambeau.ops import matrix_algebra as ma
from flambeau.ops import source
from flambeau.ops.value import Value
from flambeau.record.events import PureOp, operand_value
from flambeau.record.mapping import checked_later
from flambeau.record.recorder import record_many, unary
from flambeau.record.recording import LOCAL
from flambeau.record.trace import Trace
from flambeau.tensor.tensor import Tensor

LinAlgError = dec.LinAlgError

# ---- events ------------------------------------------------------------------------------------


class ColumnMajor(PureOp):
    """A pure op with results that lie column by column in memory, as LAPACK leaves them."""

    __slots__ = ("columns",)

    def __init__(
        self,
        name: str,
        function: Callable[..., Any],
        columns: tuple[int, ...] = (0,),
        grad_name: str | None = None,
    ) -> None:
        super().__init__(name, function, grad_name)
        self.columns = columns  # which of the results

    def apply(self, trace: Trace, key: tuple[Any, ...]) -> None:
        operands = [operand_value(trace, part) for part in key[1:-1]]
        result = self.function(*operands, *(key[-1] or ()))
        for place, value in enumerate(result if isinstance(result, tuple) else (result,)):
            strides = column_strides(value.shape) if place in self.columns else None
            trace.new_tensor(value, strides=strides, grad_name=self.grad_name)


def column_strides(shape: Shape) -> Shape:
    """The strides of matrices stored column by column, one after the other."""
    outer = contiguous_strides((*shape[:-2], max(shape[-2], 1) * max(shape[-1], 1)))
    return (*outer[:-1], 1, max(shape[-2], 1))


# ---- checks --------------------------------------------------------------------------------------


# Functions that say of integers which kernel they have not.
KERNEL_FIRST = {
    "cholesky": "cholesky_cpu", "cholesky_inverse": "cholesky_inverse_out_cpu",
    "cholesky_solve": "cholesky_solve_cpu", "geqrf": "geqrf_cpu",
    "triangular_solve": "triangular_solve_cpu", "linalg.solve_triangular": "triangular_solve_cpu",
}  # fmt: skip


def check_matrices(name: str, x: Value, *, kernel: str = "", argument: str = "A") -> None:
    """Refuses what is no batch of float matrices; `kernel` is what PyTorch says of halves."""
    if x.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")
    if x.dtype.kind not in "fc" and name in KERNEL_FIRST:
        raise not_implemented(KERNEL_FIRST[name], x.dtype)
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.scalar_name}"
        )
    if x.dtype in (dtypes.float16, dtypes.bfloat16):
        if kernel:
            raise not_implemented(kernel, x.dtype)
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {x.dtype.scalar_name}")


def check_square(name: str, x: Value, *, kernel: str = "", argument: str = "A") -> None:
    """`check_matrices`, and they must be square."""
    if x.ndim >= 2 and x.shape[-1] != x.shape[-2]:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are "
            f"{x.shape[-2]} by {x.shape[-1]} matrices"
        )
    check_matrices(name, x, kernel=kernel, argument=argument)


def refuse_failure(info: Tensor, error: type[Exception], words: Callable[[int], str]) -> None:
    """Raises for the first matrix whose `info` is not 0: `words` has "{batch}" where its place
    goes.
    """
    if LOCAL.levels and checked_later(info, lambda all_: refuse_failure(all_, error, words)):
        return
    values = np.asarray(info._values())
    if not values.any():
        return
    first = int(np.flatnonzero(values.ravel())[0])
    place = f"(Batch element {first}): " if values.ndim else ""
    raise error(words(int(values.ravel()[first])).replace("{batch}", place))


def as_info(value: Value) -> Value:
    """An info (or pivots) of a packed factorisation as int32."""
    real = el.real(value) if value.dtype.is_complex else value
    return ar.cast(real, dtypes.int32)


# ---- Cholesky ------------------------------------------------------------------------------------


def _cholesky(x: Value, name: str, upper: bool) -> tuple[Value, Value]:
    check_square(name, x, kernel="cholesky_cpu")
    factor, info = dec.cholesky.parts(dec.cholesky(x, upper=upper), x)
    return (ma.adjoint(factor) if upper else factor), as_info(info)


CHOLESKY = ColumnMajor("linalg_cholesky_ex", _cholesky)
CholeskyResult = result_type("linalg_cholesky_ex", "L", "info")


def cholesky_ex(
    input: Tensor, *, upper: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """(L, info) with L L^H = input; info is the order of the first minor that is not positive."""
    attributes = ("linalg.cholesky", bool(upper))
    results = record_many(CHOLESKY, (checked("linalg_cholesky_ex", input),), attributes)
    if check_errors:
        _refuse_indefinite("linalg.cholesky_ex", results[1])
    return CholeskyResult(write_outs(results, out))


def _refuse_indefinite(name: str, info: Tensor) -> None:
    refuse_failure(
        info,
        LinAlgError,
        lambda order: (
            f"{name}: {{batch}}The factorization could not be completed because the "
            "input is not positive-definite (the leading minor of order "
            f"{order} is not positive-definite)."
        ),
    )


def linalg_cholesky(input: Tensor, *, upper: bool = False, out: Tensor | None = None) -> Tensor:
    """L with L L^H = input (`linalg.cholesky`); LinAlgError if not positive-definite."""
    attributes = ("linalg.cholesky", bool(upper))
    factor, info = record_many(CHOLESKY, (checked("linalg_cholesky", input),), attributes)
    _refuse_indefinite("linalg.cholesky", info)
    return write_out(factor, out)


def cholesky(input: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """L with L L^H = input, or the upper U with U^H U = input; LinAlgError if there is none."""
    factor, info = record_many(CHOLESKY, (checked("cholesky", input),), ("cholesky", bool(upper)))
    _refuse_indefinite("cholesky", info)
    return write_same(factor, out)


# ---- QR ------------------------------------------------------------------------------------------


def _qr(x: Value, complete: bool) -> tuple[Value, ...]:
    check_matrices("linalg.qr", x, kernel="geqrf_cpu")
    return tuple(dec.qr.parts(dec.qr(x, complete=complete), x, complete=complete))


def _r_only(x: Value) -> Value:
    if x.tracked:
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please "
            "use linalg.qr(A, mode='reduced') if you are going to require gradients through "
            "linalg.qr."
        )
    return _qr(x, False)[1]


QR = ColumnMajor("linalg_qr", _qr, (0, 1))
QR_R = ColumnMajor("linalg_qr", _r_only)
LinalgQRResult = result_type("linalg_qr", "Q", "R")
QRResult = result_type("qr", "Q", "R")


def linalg_qr(A: Tensor, mode: str = "reduced", *, out: Any = None) -> Any:
    """(Q, R) with Q R = A; mode is "reduced", "complete" (Q square) or "r" (Q empty)."""
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), "
            "'r', or 'complete'"
        )
    checked("linalg_qr", A, "A")
    if mode == "r":
        from flambeau.functional.creation import empty

        results = [empty((0,), dtype=A.dtype), unary(QR_R, A)]
    else:
        results = record_many(QR, (A,), (mode == "complete",))
    return LinalgQRResult(write_outs(results, out))


def qr(input: Tensor, some: bool = True, *, out: Any = None) -> Any:
    """(Q, R) with Q R = input; Q is square unless `some`."""
    results = record_many(QR, (checked("qr", input),), (not some,))
    return QRResult(write_outs(results, out))


# ---- singular values -----------------------------------------------------------------------------


def _svd(x: Value, full: bool) -> tuple[Value, ...]:
    check_matrices("linalg.svd", x, kernel="linalg_svd_cpu")
    u, s, vh = dec.svd.parts(dec.svd(x, full=full), x, full=full)
    s = el.real(s) if s.dtype.is_complex else s
    s = source.with_derivative(s, x, partial(dec.by_singular_values, full=full))
    return u, s, vh


def _legacy_svd(x: Value, some: bool) -> tuple[Value, ...]:
    u, s, vh = _svd(x, not some)
    return u, s, ma.adjoint(vh)


def _svdvals(x: Value) -> Value:
    check_matrices("linalg.svd", x, kernel="linalg_svd_cpu")
    return dec.singular_values(x)


SVD = ColumnMajor("linalg_svd", _svd, (0, 2))
LEGACY_SVD = ColumnMajor("svd", _legacy_svd)
SVDVALS = PureOp("linalg_svd", _svdvals)
LinalgSVDResult = result_type("linalg_svd", "U", "S", "Vh")
SVDResult = result_type("svd", "U", "S", "V")


def _refuse_driver(name: str, driver: Any) -> None:
    if driver is not None:
        raise RuntimeError(
            f"torch.linalg.{name}: keyword argument `driver=` is only supported on CUDA inputs "
            "with cuSOLVER backend."
        )


def linalg_svd(
    A: Tensor, full_matrices: bool = True, *, driver: Any = None, out: Any = None
) -> Any:
    """(U, S, Vh) with U diag(S) Vh = A, S descending; U and Vh square if `full_matrices`."""
    _refuse_driver("svd", driver)
    results = record_many(SVD, (checked("linalg_svd", A, "A"),), (bool(full_matrices),))
    return LinalgSVDResult(write_outs(results, out))


def svdvals(A: Tensor, *, driver: Any = None, out: Tensor | None = None) -> Tensor:
    """The singular values, descending: [.., min(m, n)]."""
    _refuse_driver("svd", driver)
    return write_same(unary(SVDVALS, checked("linalg_svdvals", A, "A")), out)


def svd(input: Tensor, some: bool = True, compute_uv: bool = True, *, out: Any = None) -> Any:
    """(U, S, V) with U diag(S) V^H = input; without `compute_uv` U and V are zeros."""
    checked("svd", input)
    if compute_uv:
        results = record_many(LEGACY_SVD, (input,), (bool(some),))
    else:
        from flambeau.functional.creation import zeros

        m, n = input.shape[-2:]
        batch = tuple(input.shape[:-2])
        left, right = (zeros((*batch, k, k), dtype=input.dtype) for k in (m, n))
        results = [left, svdvals(input), right]
    return SVDResult(write_outs(results, out))


# ---- eigenvalues ---------------------------------------------------------------------------------


def _check_eigen(name: str, x: Value, kernel: str) -> None:
    if x.ndim >= 2 and x.shape[-1] == x.shape[-2] and x.dtype.kind not in "fc":
        if kernel == "linalg_eig_out_cpu":
            x.dtype.to_complex()
        raise not_implemented(kernel, x.dtype)
    check_square(name, x, kernel=kernel)


def _eigh(x: Value, uplo: str, vectors: bool) -> Any:
    _check_eigen("linalg.eigh", x, "linalg_eigh_cpu")
    values, columns = dec.eigh.parts(dec.eigh(x, uplo=uplo), x)
    values = el.real(values) if values.dtype.is_complex else values
    return (values, columns) if vectors else values


def _eig(x: Value, name: str, vectors: bool) -> Any:
    _check_eigen(name, x, "linalg_eig_out_cpu")
    x = ar.cast(x, x.dtype.to_complex())
    values, columns = dec.eig.parts(dec.eig(x), x)
    return (values, columns) if vectors else values


EIGH = ColumnMajor("linalg_eigh", _eigh, (1,))
EIG = ColumnMajor("linalg_eig", _eig, (1,))
EighResult = result_type("linalg_eigh", "eigenvalues", "eigenvectors")
EigResult = result_type("linalg_eig", "eigenvalues", "eigenvectors")


def _uplo(value: Any) -> str:
    if str(value).upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {value}")
    return str(value).upper()


def eigh(A: Tensor, UPLO: str = "L", *, out: Any = None) -> Any:
    """(eigenvalues ascending, eigenvectors in columns) of Hermitian matrices."""
    attributes = (_uplo(UPLO), True)
    results = record_many(EIGH, (checked("linalg_eigh", A, "A"),), attributes)
    return EighResult(write_outs(results, out))


def eigvalsh(A: Tensor, UPLO: str = "L", *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of Hermitian matrices, ascending."""
    return write_same(unary(EIGH, checked("linalg_eigvalsh", A, "A"), (_uplo(UPLO), False)), out)


def eig(A: Tensor, *, out: Any = None) -> Any:
    """(eigenvalues, eigenvectors in columns of norm 1) of square matrices, complex."""
    results = record_many(EIG, (checked("linalg_eig", A, "input"),), ("linalg.eig", True))
    return EigResult(write_outs(results, out))


def eigvals(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The eigenvalues of square matrices, complex."""
    attributes = ("linalg.eigvals", False)
    return write_out(unary(EIG, checked("linalg_eigvals", A, "input"), attributes), out)


# ---- LU ------------------------------------------------------------------------------------------


def _check_lu(x: Value, name: str) -> None:
    if x.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(x.shape)} instead"
        )
    if x.dtype.kind not in "fc" or x.dtype in (dtypes.float16, dtypes.bfloat16):
        raise not_implemented("lu_cpu", x.dtype)


def _lu_factor(x: Value) -> tuple[Value, Value, Value]:
    _check_lu(x, "torch.lu_factor")
    both, pivots, _, info = dec.lu.parts(dec.lu(x), x)
    return both, ar.add(as_info(pivots), 1), as_info(info)


def _lu(x: Value) -> tuple[Value, Value, Value]:
    _check_lu(x, "linalg.lu")
    both, _, order, _ = dec.lu.parts(dec.lu(x), x)
    exchange = source.detach(dec.permutation(order, x.dtype))
    upper = ma.triu(ma.part(both, -2, 0, min(x.shape[-2:])))
    return exchange, dec.unit_lower(both), upper


LU_FACTOR = ColumnMajor("linalg_lu_factor_ex", _lu_factor)
LU = PureOp("linalg_lu", _lu)
LUResult = result_type("linalg_lu", "P", "L", "U")
LUFactorResult = result_type("linalg_lu_factor", "LU", "pivots")
LUFactorExResult = result_type("linalg_lu_factor_ex", "LU", "pivots", "info")


def _refuse_no_pivot(name: str, pivot: bool) -> None:
    if not pivot:
        raise RuntimeError(f"{name}: LU without pivoting is not implemented on the CPU")


def lu_factor_ex(
    A: Tensor, *, pivot: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """(LU, pivots from 1, info): L and U in one matrix, as LAPACK packs them."""
    _refuse_no_pivot("linalg.lu_factor", pivot)
    results = record_many(LU_FACTOR, (checked("linalg_lu_factor_ex", A, "A"),))
    if check_errors:
        _refuse_zero_pivot("torch.linalg.lu_factor_ex", results[2])
    return LUFactorExResult(write_outs(results, out))


def _refuse_zero_pivot(name: str, info: Tensor) -> None:
    refuse_failure(
        info,
        RuntimeError,
        lambda i: (
            f"{name}: {{batch}}U[{i},{i}] is zero and using it on lu_solve would result in "
            "a division by zero. If you still want to perform the factorization, consider calling "
            "linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        ),
    )


def lu_factor(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """(LU, pivots from 1); RuntimeError where U has a zero on its diagonal."""
    _refuse_no_pivot("linalg.lu_factor", pivot)
    both, pivots, info = record_many(LU_FACTOR, (checked("linalg_lu_factor", A, "A"),))
    _refuse_zero_pivot("torch.linalg.lu_factor", info)
    return LUFactorResult(write_outs([both, pivots], out))


def linalg_lu(A: Tensor, *, pivot: bool = True, out: Any = None) -> Any:
    """(P, L, U) with P L U = A."""
    _refuse_no_pivot("linalg.lu", pivot)
    return LUResult(write_outs(record_many(LU, (checked("linalg_lu", A, "A"),)), out))


def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
    """(LU, pivots from 1), and with `get_infos` what failed: the legacy form of `lu_factor_ex`."""
    _refuse_no_pivot("linalg.lu_factor", pivot)
    results = record_many(LU_FACTOR, (checked("lu", A, "A"),))
    return tuple(write_outs(results if get_infos else results[:2], out))


METHODS: dict[str, Callable[..., Any]] = {
    "cholesky": cholesky, "lu": lu, "qr": qr, "svd": svd,
}  # fmt: skip
__all__ = [*METHODS]
