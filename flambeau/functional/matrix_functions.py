"""Norms, ranks and functions of matrices; least squares; inverses and systems of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.errors import LinAlgError
from flambeau.core.shapes import wrap_axis
from flambeau.functional.factorisation import (
    check_matrices,
    check_square,
    linalg_qr,
    refuse_failure,
)
from flambeau.functional.folding import checked, dtype_of, folded, result_type, wide, write_outs
from flambeau.functional.moments import vector_norm, vector_norm_of
from flambeau.functional.options import WHOLE, axis_name, other_names
from flambeau.functional.pointwise import write_out, write_same
from flambeau.functional.solving import inv, linalg_solve
from flambeau.ops import arithmetic as ar
from flambeau.ops import decomposition as dec
from flambeau.ops import elementwise as el
from flambeau.ops import matrix_algebra as ma
from flambeau.ops import matrix_functions as mf
from flambeau.ops import reduction as red
from flambeau.ops import view
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import record, unary
from flambeau.tensor.tensor import Tensor, from_array

ORDERS: tuple[Any, ...] = (1, -1, 2, -2, math.inf, -math.inf)

# ---- norms ---------------------------------------------------------------------------------------


def _matrix_norm(x: Value, order: Any, axes: tuple[int, int], keepdim: bool, dtype: Any) -> Value:
    if x.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    if x.dtype.kind not in "fc":
        raise RuntimeError(
            "linalg.matrix_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.scalar_name}"
        )
    rows, columns = (wrap_axis(a, x.ndim) for a in axes)
    if rows == columns:
        raise RuntimeError("linalg.matrix_norm: dims must be different. Got "
                           f"({axes[0]}, {axes[1]})")  # fmt: skip
    if order == "fro":
        return vector_norm_of(x, 2.0, (rows, columns), keepdim, dtype)
    x = ar.cast(x, dtype or x.dtype)
    if order in ("nuc", 2.0, -2.0):
        return _spectral_norm(x, order, rows, columns, keepdim)
    result_dtype = x.dtype.to_real()
    size = el.abs_(wide(x))
    along, across = (rows, columns) if abs(order) == 1 else (columns, rows)
    sums = folded(red.sum_, size, (along,), True)
    chosen = folded(red.max_ if order > 0 else red.min_, sums, (across,), True)
    return ar.cast(_kept(chosen, rows, columns, keepdim), result_dtype)


def _kept(x: Value, rows: int, columns: int, keepdim: bool) -> Value:
    if keepdim:
        return x
    shape = tuple(n for a, n in enumerate(x.shape) if a not in (rows, columns))
    return view.reshape(x, shape=shape)


def _spectral_norm(x: Value, order: Any, rows: int, columns: int, keepdim: bool) -> Value:
    others = tuple(a for a in range(x.ndim) if a not in (rows, columns))
    turned = view.permute(x, order=(*others, rows, columns))
    check_matrices("linalg.svd", turned, kernel="linalg_svd_cpu")
    values = dec.singular_values(turned)
    last = (values.ndim - 1,)
    if order == "nuc":
        norm = red.sum_(values, axes=last)
    else:
        norm = (red.max_ if order > 0 else red.min_)(values, axes=last)
    shape = tuple(1 if a in (rows, columns) else n for a, n in enumerate(x.shape))
    return view.reshape(norm, shape=shape) if keepdim else norm


MATRIX_NORM = PureOp("linalg_matrix_norm", _matrix_norm, "LinalgVectorNormBackward0")


def matrix_norm(
    A: Tensor, ord: Any = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The matrix norm over two axes: "fro", "nuc", 1, -1, 2, -2, inf or -inf."""
    if isinstance(ord, str):
        if ord not in ("fro", "nuc"):
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
        order: Any = ord
    else:
        order = float(ord)
        if order not in ORDERS:
            raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    axes = tuple(int(d) for d in dim)
    if len(axes) != 2:
        raise RuntimeError(
            f"linalg.matrix_norm: dim must be a 2-tuple. Got {', '.join(map(str, axes))}"
        )
    attributes = (order, axes, bool(keepdim), dtype_of(dtype))
    return write_out(unary(MATRIX_NORM, checked("linalg_matrix_norm", A, "A"), attributes), out)


def norm(
    A: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *,
    out: Tensor | None = None, dtype: Any = None,
) -> Tensor:  # fmt: skip
    """The vector or matrix norm, as `ord` and `dim` say (`linalg.norm`)."""
    checked("linalg_norm", A, "A")
    axes = (dim,) if isinstance(dim, int) else None if dim is None else tuple(dim)
    if isinstance(ord, str) or (
        ord is not None and (len(axes) == 2 if axes is not None else A.dim() == 2)
    ):
        return matrix_norm(A, ord, axes or (-2, -1), keepdim, dtype=dtype, out=out)
    if ord is not None and axes is None and A.dim() != 1:
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.dim()}D."
        )
    return vector_norm(A, 2 if ord is None else ord, axes, keepdim, dtype=dtype, out=out)


def cond(A: Tensor, p: Any = None, *, out: Tensor | None = None) -> Tensor:
    """The condition number in a matrix norm (the spectral one unless told)."""
    try:
        from flambeau.functional.factorisation import svdvals
        from flambeau.functional.pointwise import mul

        if A.dim() < 2:
            raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
        if isinstance(p, str) and p not in ("fro", "nuc"):
            raise RuntimeError(f"linalg.cond got an invalid norm type: {p}")
        if p is None or (not isinstance(p, str) and abs(p) == 2):
            values = svdvals(A)
            first, last = values[..., 0], values[..., -1]
            return write_out(last / first if p == -2 else first / last, out)
        if A.shape[-1] != A.shape[-2]:
            raise RuntimeError(
                "linalg.cond: A must be batches of square matrices, but they are "
                f"{A.shape[-2]} by {A.shape[-1]} matrices"
            )
        from flambeau.functional.solving import inv_ex

        inverted, info = inv_ex(A)
        result = mul(matrix_norm(A, p), matrix_norm(inverted, p))
        from flambeau.functional.ternary import where

        return write_out(where(info == 0, result, math.inf), out)
    except Exception:
        refuse_misgiven()
        raise


# ---- pseudo-inverse, rank, least squares ---------------------------------------------------------


def _tolerance(value: Any, a: Value, default: float) -> Value:
    real = a.dtype.to_real()
    if value is None:
        return ar.full(a.shape[:-2], default, real)
    value = ar.cast(value, real)
    return ar.expand(value, a.shape[:-2])


def _default_rtol(a: Value, atol_given: bool) -> float:
    eps = float(np.finfo(a.dtype.to_real().numpy).eps)
    return 0.0 if atol_given else eps * max(a.shape[-2:])


def _pinv(a: Value, atol: Any, rtol: Any, hermitian: bool) -> Value:
    if a.ndim < 2 or a.dtype.kind not in "fc" or a.dtype in (dtypes.float16, dtypes.bfloat16):
        shape = ", ".join(map(str, a.shape))
        raise RuntimeError(
            f"linalg.pinv({a.dtype.scalar_name}{{[{shape}]}}): expected a tensor with 2 or more "
            "dimensions of float, double, cfloat or cdouble types"
        )
    if hermitian:
        check_square("linalg.pinv", a)
    low = _tolerance(atol, a, 0.0)
    high = _tolerance(rtol, a, _default_rtol(a, atol is not None))
    return mf.pseudo_inverse(a, low, high, hermitian=hermitian)


def _matrix_rank(a: Value, atol: Any, rtol: Any, hermitian: bool) -> Value:
    if a.ndim < 2:
        raise RuntimeError(
            "torch.linalg.matrix_rank: The input tensor input must have at least 2 dimensions."
        )
    if a.dtype.kind not in "fc" or a.dtype in (dtypes.float16, dtypes.bfloat16):
        raise RuntimeError("This function doesn't handle types other than float and double")
    if not a.size:
        return ar.full(a.shape[:-2], 0, dtypes.int64)
    if hermitian:
        check_square("linalg.matrix_rank", a)
        values, _ = dec.eigh.parts(dec.eigh(a, uplo="L"), a)
        values = el.abs_(values)
    else:
        values = dec.singular_values(a)
    last = (values.ndim - 1,)
    low = _tolerance(atol, a, 0.0)
    high = _tolerance(rtol, a, _default_rtol(a, atol is not None))
    floor = ar.maximum(low, ar.mul(high, red.max_(values, axes=last)))
    above = ar.gt(values, view.reshape(floor, shape=(*floor.shape, 1)))
    return red.sum_(ar.cast(above, dtypes.int64), axes=last)


PINV = PureOp("linalg_pinv", _pinv)
MATRIX_RANK = PureOp("linalg_matrix_rank", _matrix_rank)


def pinv(
    A: Tensor, rcond: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """The pseudo-inverse; singular values up to max(atol, rtol * largest) count as zero."""
    operands = (checked("linalg_pinv", A, "A"), atol, rcond if rtol is None else rtol)
    return write_out(record(PINV, operands, (bool(hermitian),)), out)


def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """The pseudo-inverse; singular values up to rcond * largest count as zero."""
    return pinv(input, rcond=rcond)


def matrix_rank(
    A: Tensor, tol: Any = None, hermitian: bool = False, *, atol: Any = None, rtol: Any = None,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """How many singular values exceed max(atol, rtol * largest), as int64."""
    operands = (checked("linalg_matrix_rank", A, "A"), tol if atol is None else atol, rtol)
    return write_out(record(MATRIX_RANK, operands, (bool(hermitian),)), out)


LstsqResult = result_type("linalg_lstsq", "solution", "residuals", "rank", "singular_values")


def lstsq(
    A: Tensor, B: Tensor, rcond: float | None = None, *, driver: str | None = None, out: Any = None
) -> Any:
    """X of least |A X - B| (and least |X|): (solution, residuals, rank, singular_values).

    The drivers differ in what else they give; the solution always comes from the SVD.
    """
    driver = "gelsy" if driver is None else driver
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            "torch.linalg.lstsq: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    checked("linalg_lstsq", A, "A"), checked("linalg_lstsq", B, "B", 2)
    if A.dim() < 2:
        raise RuntimeError("torch.linalg.lstsq: input must have at least 2 dimensions.")
    if B.dim() < 1:
        raise RuntimeError("torch.linalg.lstsq: other must have at least 1 dimension.")
    if A.dtype is not B.dtype:
        raise RuntimeError(
            f"torch.linalg.lstsq: Expected input and other to have the same dtype, but got input's "
            f"dtype {A.dtype.scalar_name} and other's dtype {B.dtype.scalar_name}"
        )
    if A.dtype.kind in WHOLE:
        raise RuntimeError("This function doesn't handle types other than float and double")
    vector = B.dim() == 1 or (B.dim() == A.dim() - 1 and B.shape == A.shape[:-1])
    right = B.unsqueeze(-1) if vector else B
    if right.shape[-2] != A.shape[-2]:
        raise RuntimeError(
            f"torch.linalg.lstsq: input.size(-2) should match other.size({-1 if vector else -2})"
        )
    m, n = A.shape[-2:]
    if driver == "gels":
        _refuse_deficient(A.detach())
    eps = float(np.finfo(A.dtype.to_real().numpy).eps) * max(m, n)
    solution = pinv(A, rtol=eps if rcond is None else float(rcond)) @ right
    extra = _lstsq_extra(A, right, solution, driver, eps, rcond)
    results = [solution.squeeze(-1) if vector else solution, *extra]
    return LstsqResult(write_outs(results, out))


def _refuse_deficient(a: Tensor) -> None:
    """LinAlgError where the triangle of A (that of A^H for more columns) has a zero."""
    if not a.numel():
        return
    upper = linalg_qr(a if a.shape[-2] >= a.shape[-1] else a.mH, "r").R
    zero = np.diagonal(np.asarray(upper._values()), axis1=-2, axis2=-1) == 0
    zero &= np.asarray((a != 0).any()._values())  # of zeros alone LAPACK gives zeros
    refuse_failure(
        from_array(np.where(zero.any(-1), zero.argmax(-1) + 1, 0), dtypes.int64),
        LinAlgError,
        lambda place: (
            "torch.linalg.lstsq: {batch}The least squares solution could not be computed "
            f"because the input matrix does not have full rank (error code: {place})."
        ),
    )


def _lstsq_extra(
    a: Tensor, b: Tensor, x: Tensor, driver: str, eps: float, rcond: float | None
) -> list[Tensor]:
    """(residuals, rank, singular values) of a solved least-squares problem."""
    from flambeau.functional.creation import empty
    from flambeau.functional.factorisation import svdvals

    real = a.dtype.to_real()
    m, n = a.shape[-2:]
    ranks = matrix_rank(a.detach(), rtol=eps if rcond is None else float(rcond))
    values = svdvals(a.detach()) if driver in ("gelsd", "gelss") else empty((0,), dtype=real)
    residuals = (a @ x - b).abs().square().sum(-2)
    full = driver == "gels" or (driver != "gelsy" and bool((ranks._values() == n).all()))
    if m <= n or not full:
        residuals = residuals.flatten()[:0]
    if driver == "gels":
        ranks = empty((0,), dtype=dtypes.int64)
    return [residuals, ranks, values]


# ---- powers and exponentials ---------------------------------------------------------------------


def _power_zero(x: Value) -> Value:
    """The identity; a (zero) gradient reaches x."""
    one = ar.cast(ma.eye(x), x.dtype)
    return el.where(ar.full(x.shape, True, dtypes.bool_), one, x)


POWER_ZERO = PureOp("linalg_matrix_power", _power_zero)


def matrix_power(input: Tensor, n: int, *, out: Tensor | None = None) -> Tensor:
    """The matrix times itself, n times; its inverse for negative n."""
    checked("matrix_power", input)
    if not hasattr(n, "__index__"):
        raise TypeError(
            f"linalg_matrix_power(): argument 'n' (position 2) must be int, not {type(n).__name__}"
        )
    if input.dim() < 2:
        raise RuntimeError(
            "linalg.matrix_power: The input tensor A must have at least 2 dimensions."
        )
    if input.shape[-1] != input.shape[-2]:
        raise RuntimeError(
            "linalg.matrix_power: A must be batches of square matrices, but they are "
            f"{input.shape[-2]} by {input.shape[-1]} matrices"
        )
    if n == 0:
        return write_same(unary(POWER_ZERO, input), out)
    base, left = (inv(input), -n) if n < 0 else (input, n)
    result: Tensor | None = None
    while left:
        if left & 1:
            result = base if result is None else result @ base
        left >>= 1
        base = base @ base if left else base
    assert result is not None
    return write_same(result.clone() if abs(n) == 1 else result, out)


def _matrix_exp(x: Value) -> Value:
    low = x.dtype in (dtypes.float16, dtypes.bfloat16)
    a = ar.cast(x, dtypes.float32) if low else x
    check_square("linalg.matrix_exp", a)
    return ar.cast(mf.matrix_exp(a), x.dtype)


MATRIX_EXP = PureOp("linalg_matrix_exp", _matrix_exp)


@other_names(input="A")
def matrix_exp(A: Tensor) -> Tensor:
    """The exponentials of square matrices."""
    result: Tensor = unary(MATRIX_EXP, checked("linalg_matrix_exp", A, "A"))
    return result


# ---- tensors as matrices -------------------------------------------------------------------------


def tensorinv(A: Tensor, ind: int = 2, *, out: Tensor | None = None) -> Tensor:
    """The inverse for `tensordot`: the first `ind` axes are the rows."""
    try:
        if ind <= 0:
            raise RuntimeError("Expected a strictly positive integer for 'ind'")
        head, tail = tuple(A.shape[:ind]), tuple(A.shape[ind:])
        if math.prod(head) != math.prod(tail):
            raise RuntimeError(
                "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
                f"prod(self.shape[:ind]), but got {math.prod(tail)} != {math.prod(head)}"
            )
        size = math.prod(tail)
        return write_out(inv(A.reshape(size, size)).reshape(*tail, *head), out)
    except Exception:
        refuse_misgiven()
        raise


def tensorsolve(
    A: Tensor, B: Tensor, dims: Sequence[int] | None = None, *, out: Tensor | None = None
) -> Tensor:
    """X of tensordot(A, X, X.dim()) = B; `dims` of A are moved to the right first."""
    try:
        if dims is not None:
            moved = [wrap_axis(d, A.dim()) for d in dims]
            A = A.permute(*[a for a in range(A.dim()) if a not in moved], *moved)
        shape = tuple(A.shape[B.dim() :])
        if math.prod(shape) != math.prod(A.shape[: B.dim()]):
            raise RuntimeError(
                "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
                f"prod(self.shape[:other.ndim]), but got {math.prod(shape)} != "
                f"{math.prod(A.shape[: B.dim()])}"
            )
        size = math.prod(shape)
        result = linalg_solve(A.reshape(-1, size), B.reshape(-1))
        return write_out(result.reshape(shape), out)
    except Exception:
        refuse_misgiven()
        raise


def _vecdot(a: Value, b: Value, dim: int) -> Value:
    dtype = a.dtype
    if dtype.kind in WHOLE:
        raise RuntimeError(
            "linalg.vecdot: Expected a floating point or complex tensor as input. Got "
            f"{dtype.scalar_name}"
        )
    if dtype is not b.dtype:
        raise RuntimeError(
            "linalg.vecdot: Expected x and y to have the same dtype, but found x of type "
            f"{dtype.scalar_name} and y of type {b.dtype.scalar_name} instead"
        )
    a, b = ar.broadcast(a, b)
    if not a.ndim:
        wrap_axis(dim, 0)
        return ar.mul(ar.conj(a), b)
    axis = wrap_axis(dim, a.ndim)
    product = red.sum_(wide(ar.mul(ar.conj(a), b)), axes=(axis,))
    return ar.cast(product, dtype)


VECDOT = PureOp("linalg_vecdot", _vecdot)


@axis_name
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1, out: Tensor | None = None) -> Tensor:
    """sum(conj(x) y) along `dim`."""
    operands = (checked("linalg_vecdot", x, "x"), checked("linalg_vecdot", y, "y", 2))
    return write_out(record(VECDOT, operands, (int(dim),)), out)


def linalg_vander(x: Tensor, N: int | None = None) -> Tensor:
    """The powers 0 .. N - 1 of `x` along a new last axis."""
    try:
        x = x.reshape(1) if x.dim() == 0 else x
        count = x.shape[-1] if N is None else N
        if count <= 1:
            raise RuntimeError(f"N must be greater than 1.  Got {count}")
        if x.dtype is dtypes.bool_:
            raise RuntimeError(
                "linalg.vander supports floating point, complex, and integer tensors, but got Bool"
            )
        from flambeau.functional.joining import cat
        from flambeau.functional.ordering import cumprod

        column = x.unsqueeze(-1)
        powers = cumprod(column.expand(*x.shape, count - 1), -1)
        return cat([column.new_ones(column.shape), powers], -1)
    except Exception:
        refuse_misgiven()
        raise


def vander(x: Tensor, N: int | None = None, increasing: bool = False) -> Tensor:
    """The powers of a vector as columns, descending unless `increasing`."""
    if x.dim() != 1:
        raise RuntimeError("x must be a one-dimensional tensor.")
    count = x.shape[0] if N is None else N
    if count < 0:
        raise ValueError("N must be non-negative.")
    if count <= 1:
        kind = dtypes.int64 if x.dtype.kind in "bi" else x.dtype
        return from_array(np.ones((x.shape[0], count), kind.numpy), kind)
    table = linalg_vander(x.long() if x.dtype is dtypes.bool_ else x, count)
    return table if increasing else table.flip(-1)


def removed(name: str, words: str) -> Callable[..., Any]:
    """A function that PyTorch has taken away: RuntimeError."""

    def call(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            f"This function was deprecated since version 1.9 and is now removed. {words}".strip()
        )

    call.__name__ = call.__qualname__ = name
    call.__doc__ = "Removed from PyTorch: RuntimeError."
    return call


_REMOVED = {
    "eig": "`torch.linalg.eig` returns complex tensors of dtype `cfloat` or `cdouble` rather than "
    "real tensors mimicking complex tensors.",
    "symeig": "The default behavior has changed from using the upper triangular portion of the "
    "matrix by default to using the lower triangular portion.",
    "lstsq": "`torch.lstsq` is deprecated in favor of `torch.linalg.lstsq`.",
    "solve": "`torch.solve` is deprecated in favor of `torch.linalg.solve`. `torch.linalg.solve` "
    "has its arguments reversed and does not return the LU factorization.",
}
REMOVED = {name: removed(name, words) for name, words in _REMOVED.items()}
REMOVED_NAMES = {**REMOVED, "matrix_rank": removed("matrix_rank", "")}

METHODS: dict[str, Callable[..., Any]] = {
    "pinverse": pinverse, "matrix_power": matrix_power, "matrix_exp": matrix_exp, **REMOVED,
}  # fmt: skip
_PUBLIC = ["pinverse", "matrix_power", "matrix_exp", "vander"]
__all__ = _PUBLIC  # the removed names are in REMOVED_NAMES
