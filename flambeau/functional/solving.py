"""Linear systems: solve, inverse, determinant, and what starts from given factors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.core.notice import warn_once
from flambeau.core.shapes import broadcast_shapes
from flambeau.functional.factorisation import (
    ColumnMajor,
    LinAlgError,
    as_info,
    check_matrices,
    check_square,
    refuse_failure,
)
from flambeau.functional.folding import checked, result_type, write_outs
from flambeau.functional.options import WHOLE, not_implemented, other_names
from flambeau.functional.pointwise import write_out, write_same
from flambeau.ops import arithmetic as ar
from flambeau.ops import decomposition as dec
from flambeau.ops import elementwise as el
from flambeau.ops import matrix_algebra as ma
from flambeau.ops import reduction as red
from flambeau.ops import source, view
from flambeau.ops.value import Value
from flambeau.record.events import PureOp
from flambeau.record.recorder import record, record_many, unary
from flambeau.tensor.tensor import Tensor

# ---- inverse and determinant ---------------------------------------------------------------------


def _inverse(x: Value) -> tuple[Value, Value]:
    check_square("linalg.inv", x)
    inverted, info = dec.inverse.parts(dec.inverse(x), x)
    return inverted, as_info(info)


def _det(x: Value) -> Value:
    check_square("linalg.det", x, kernel="lu_cpu")
    return dec.determinant(x)


def _slogdet(x: Value) -> tuple[Value, Value]:
    check_square("linalg.slogdet", x)
    sign, log = dec.slogdet.parts(dec.slogdet(x), x)
    return sign, el.real(log) if log.dtype.is_complex else log


def _logdet(x: Value) -> Value:
    check_square("logdet", x, argument="input")
    sign, log = _slogdet(x)
    if x.dtype.is_complex:
        return el.complex_(log, el.atan2(el.imag(sign), el.real(sign)))
    return ar.where(ar.eq(sign, -1.0), float("nan"), log)


INV = ColumnMajor("linalg_inv_ex", _inverse)
DET = PureOp("linalg_det", _det)
SLOGDET = PureOp("linalg_slogdet", _slogdet)
LOGDET = PureOp("logdet", _logdet)
InvExResult = result_type("linalg_inv_ex", "inverse", "info")
LinalgSlogdetResult = result_type("linalg_slogdet", "sign", "logabsdet")
SlogdetResult = result_type("slogdet", "sign", "logabsdet")


def _refuse_singular(name: str, info: Tensor) -> None:
    refuse_failure(
        info,
        LinAlgError,
        lambda i: (
            f"{name}: {{batch}}The diagonal element {i} is zero, the inversion could not be "
            "completed because the input matrix is singular."
        ),
    )


def inv_ex(A: Tensor, *, check_errors: bool = False, out: Any = None) -> Any:
    """(inverse, info) of square matrices; info is the place of the first zero pivot."""
    results = record_many(INV, (checked("linalg_inv_ex", A, "A"),))
    if check_errors:
        _refuse_singular("linalg.inv_ex", results[1])
    return InvExResult(write_outs(results, out))


def inverse(input: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square matrices; LinAlgError where one is singular."""
    inverted, info = record_many(INV, (checked("inverse", input),))
    _refuse_singular("linalg.inv", info)
    return write_same(inverted, out)


def inv(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The inverse of square matrices; LinAlgError where one is singular."""
    return inverse(checked("linalg_inv", A, "A"), out=out)


def det(input: Tensor) -> Tensor:
    """The determinants of square matrices."""
    result: Tensor = unary(DET, checked("det", input))
    return result


def linalg_det(A: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The determinants of square matrices (`linalg.det`)."""
    return write_out(unary(DET, checked("linalg_det", A, "A")), out)


def slogdet(input: Tensor, *, out: Any = None) -> Any:
    """(sign, log of the absolute value) of the determinants of square matrices."""
    return SlogdetResult(write_outs(record_many(SLOGDET, (checked("slogdet", input),)), out))


def linalg_slogdet(A: Tensor, *, out: Any = None) -> Any:
    """(sign, log of the absolute value) of determinants (`linalg.slogdet`)."""
    results = record_many(SLOGDET, (checked("linalg_slogdet", A, "A"),))
    return LinalgSlogdetResult(write_outs(results, out))


def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinants: NaN where one is negative, -inf where it is 0."""
    result: Tensor = unary(LOGDET, checked("logdet", input))
    return result


# ---- A X = B -------------------------------------------------------------------------------------


def _check_system(name: str, a: Value, b: Value, left: bool) -> None:
    if a.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{a.dtype.scalar_name} and B of type {b.dtype.scalar_name} instead"
        )
    if a.shape[-1] != b.shape[-2 if left else -1]:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {equation} "
            f"({a.shape[-2]}x{a.shape[-1]} and {b.shape[-2]}x{b.shape[-1]})"
        )


def same_batches(a: Value, b: Value) -> tuple[Value, Value]:
    batch = broadcast_shapes(a.shape[:-2], b.shape[:-2])
    return ar.expand(a, (*batch, *a.shape[-2:])), ar.expand(b, (*batch, *b.shape[-2:]))


def _solve(a: Value, b: Value, left: bool) -> tuple[Value, Value]:
    check_square("linalg.solve", a)
    vector = b.ndim == 1 or (b.ndim == a.ndim - 1 and b.shape == a.shape[:-1])
    if vector and not left:
        raise RuntimeError(
            "linalg.solve: Vector broadcasting of the left hand side is not supported for "
            "left=False. In this case linalg.solve is equivalent to B / A.squeeze(-1)"
        )
    if vector:
        b = view.reshape(b, shape=(*b.shape, 1))
    _check_system("linalg.solve", a, b, left)
    info_batch = a.shape[:-2]
    if not left:
        a, b = ma.swap_last(a), ma.swap_last(b)
    a, b = same_batches(a, b)
    result, info = dec.solve.parts(dec.solve(a, b), b)
    result = result if left else ma.swap_last(result)
    if vector:
        result = view.reshape(result, shape=result.shape[:-1])
    info = as_info(info)
    if info.shape != info_batch:  # one info a matrix, however many right sides it is for
        starts = tuple(0 for _ in info.shape)
        lead = info.ndim - len(info_batch)
        sizes = (1,) * lead + tuple(info_batch)
        info = view.slice_(info, starts=starts, sizes=sizes, steps=(1,) * info.ndim)
        info = view.reshape(info, shape=info_batch)
    return result, info


SOLVE = ColumnMajor("linalg_solve_ex", _solve)
SOLVE_ROWS = PureOp("linalg_solve_ex", _solve)


def _solve_event(a: Tensor, b: Tensor, left: bool) -> PureOp:
    vector = b.dim() == 1 or (b.dim() == a.dim() - 1 and b.shape == a.shape[:-1])
    return SOLVE if left and not vector else SOLVE_ROWS


SolveExResult = result_type("linalg_solve_ex", "result", "info")


def _refuse_unsolvable(name: str, info: Tensor) -> None:
    refuse_failure(
        info,
        LinAlgError,
        lambda i: f"{name}: {{batch}}The solver failed because the input matrix is singular.",
    )


def solve_ex(
    A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False, out: Any = None
) -> Any:
    """(X, info) of A X = B (or X A = B)."""
    checked("linalg_solve_ex", B, "B", 2)
    event = _solve_event(checked("linalg_solve_ex", A, "A"), B, left)
    results = record_many(event, (A, B), (bool(left),))
    if check_errors:
        _refuse_unsolvable("torch.linalg.solve_ex", results[1])
    return SolveExResult(write_outs(results, out))


def linalg_solve(A: Tensor, B: Tensor, *, left: bool = True, out: Tensor | None = None) -> Tensor:
    """X of A X = B (or X A = B); LinAlgError where A is singular."""
    checked("linalg_solve", B, "B", 2)
    event = _solve_event(checked("linalg_solve", A, "A"), B, left)
    result, info = record_many(event, (A, B), (bool(left),))
    _refuse_unsolvable("torch.linalg.solve", info)
    return write_out(result, out)


def triangular_of(a: Value, b: Value, upper: bool, left: bool, unit: bool) -> Value:
    """X of A X = B (X A = B) with A's triangle, batches broadcast."""
    a, b = same_batches(a, b)
    if left:
        return dec.solve_triangular(a, b, upper=upper, unit=unit)
    turned = dec.solve_triangular(ma.swap_last(a), ma.swap_last(b), upper=not upper, unit=unit)
    return ma.swap_last(turned)


def _solve_triangular(a: Value, b: Value, upper: bool, left: bool, unit: bool) -> Value:
    name = "linalg.solve_triangular"
    check_square(name, a, kernel="triangular_solve_cpu")
    if b.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor B must have at least 2 dimensions.")
    _check_system(name, a, b, left)
    return triangular_of(a, b, upper, left, unit)


SOLVE_TRIANGULAR = ColumnMajor("linalg_solve_triangular", _solve_triangular)


def solve_triangular(
    A: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """X of A X = B (or X A = B) with triangular A; infinities where its diagonal has a zero."""
    checked("linalg_solve_triangular", B, "B", 2)
    attributes = (bool(upper), bool(left), bool(unitriangular))
    operands = (checked("linalg_solve_triangular", A, "A"), B)
    return write_out(record(SOLVE_TRIANGULAR, operands, attributes), out)


def _legacy_triangular(b: Value, a: Value, upper: bool, transpose: bool, unit: bool) -> Any:
    check_square("triangular_solve", a, kernel="triangular_solve_cpu")
    _check_system("triangular_solve", a, b, True)
    coefficient = ma.swap_last(a) if transpose else a
    solution = triangular_of(coefficient, b, upper != transpose, True, unit)
    return solution, same_batches(a, b)[0]


TRIANGULAR_SOLVE = ColumnMajor("triangular_solve", _legacy_triangular, (0, 1))
TriangularSolveResult = result_type("triangular_solve", "solution", "cloned_coefficient")


REPLACED = (
    "torch.triangular_solve is deprecated in favor of torch.linalg.solve_triangularand will be "
    "removed in a future PyTorch release.\ntorch.linalg.solve_triangular has its arguments "
    "reversed and does not return a copy of one of the inputs.\nX = torch.triangular_solve(B, A)"
    ".solution\nshould be replaced with\nX = torch.linalg.solve_triangular(A, B)."
)


def triangular_solve(
    input: Tensor, A: Tensor, upper: bool = True, transpose: bool = False,
    unitriangular: bool = False, *, out: Any = None,
) -> Any:  # fmt: skip
    """(X, A) with A X = input: the legacy form of `linalg.solve_triangular`."""
    warn_once(REPLACED)
    attributes = (bool(upper), bool(transpose), bool(unitriangular))
    operands = (checked("triangular_solve", input), checked("triangular_solve", A, "A", 2))
    return TriangularSolveResult(write_outs(record_many(TRIANGULAR_SOLVE, operands, attributes),
                                            out))  # fmt: skip


# ---- from factors --------------------------------------------------------------------------------


def _cholesky_solve(b: Value, factor: Value, upper: bool) -> Value:
    check_square("cholesky_solve", factor, kernel="cholesky_solve_cpu")
    _check_system("cholesky_solve", factor, b, True)
    lower = ma.adjoint(factor) if upper else factor
    return dec.cholesky_solve(*same_batches(lower, b))


def _cholesky_inverse(factor: Value, upper: bool) -> Value:
    check_square("cholesky_inverse", factor, kernel="cholesky_inverse_cpu")
    ones = ar.cast(ma.eye(factor), factor.dtype)
    return _cholesky_solve(ones, factor, upper)


CHOLESKY_SOLVE = ColumnMajor("cholesky_solve", _cholesky_solve)
CHOLESKY_INVERSE = ColumnMajor("cholesky_inverse", _cholesky_inverse)


@other_names(input2="L")
def cholesky_solve(
    input: Tensor, L: Tensor, upper: bool = False, *, out: Tensor | None = None
) -> Tensor:
    """X of A X = input from A's Cholesky factor."""
    operands = (checked("cholesky_solve", input), checked("cholesky_solve", L, "input2", 2))
    return write_out(record(CHOLESKY_SOLVE, operands, (bool(upper),)), out)


@other_names(input="L")
def cholesky_inverse(L: Tensor, upper: bool = False, *, out: Tensor | None = None) -> Tensor:
    """The inverse of a matrix from its Cholesky factor."""
    checked("cholesky_inverse", L)
    return write_out(unary(CHOLESKY_INVERSE, L, (bool(upper),)), out)


def _order_of(pivots: Value, rows: int) -> Value:
    """The row of A that each row of L U is, from LAPACK's exchanges (from 1)."""
    batch = pivots.shape[:-1]
    order = ar.expand(source.iota(size=rows), (*batch, rows))
    places = order
    for j in range(pivots.shape[-1]):
        other = ar.sub(ar.cast(ma.narrow(pivots, -1, j, 1), dtypes.int64), 1)
        here, there = ar.eq(places, j), ar.eq(places, ar.expand(other, places.shape))
        value = ar.expand(_at(order, there), order.shape)
        moved = ar.where(there, ar.expand(ma.narrow(order, -1, j, 1), order.shape), order)
        order = ar.where(here, value, moved)
    return order


def _at(order: Value, here: Value) -> Value:
    chosen = ar.where(here, order, ar.zeros_like(order))
    folded = red.sum_(chosen, axes=(order.ndim - 1,))
    return view.reshape(folded, shape=(*folded.shape, 1))


def _check_pivots(both: Value, pivots: Value, name: str) -> None:
    if pivots.dtype is not dtypes.int32:
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    if pivots.shape[-1:] != (min(both.shape[-2:]),):
        raise RuntimeError(f"{name}: Number of pivots per batch should be same as the dimension "
                           "of the matrix")  # fmt: skip


def _lu_solve(both: Value, pivots: Value, b: Value, left: bool, adjoint: bool) -> Value:
    name = "linalg.lu_solve"
    check_square(name, both, kernel="lu_solve_cpu", argument="LU")
    _check_pivots(both, pivots, name)
    _check_system(name, both, b, left)
    exchange = dec.permutation(_order_of(pivots, both.shape[-1]), both.dtype)
    upper = ma.triu(both)
    if not left:  # X A = B is A^H X^H = B^H
        turned = _lu_apply(exchange, both, upper, ma.adjoint(b), not adjoint)
        return ma.adjoint(turned)
    return _lu_apply(exchange, both, upper, b, adjoint)


def _lu_apply(exchange: Value, both: Value, upper: Value, b: Value, adjoint: bool) -> Value:
    exchange, b = same_batches(exchange, b)
    if adjoint:
        half = triangular_of(ma.adjoint(upper), b, False, True, False)
        return ma.dot(exchange, triangular_of(ma.adjoint(both), half, True, True, True))
    half = triangular_of(both, ma.dot(ma.swap_last(exchange), b), False, True, True)
    return triangular_of(upper, half, True, True, False)


LU_SOLVE = ColumnMajor("linalg_lu_solve", _lu_solve)
LU_SOLVE_ROWS = PureOp("linalg_lu_solve", _lu_solve)


def linalg_lu_solve(
    LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """X of A X = B (X A = B, A^H X = B) from what `lu_factor` gave."""
    operands = tuple(checked("linalg_lu_solve", x) for x in (LU, pivots, B))
    event = LU_SOLVE if left else LU_SOLVE_ROWS
    return write_out(record(event, operands, (bool(left), bool(adjoint))), out)


def lu_solve(
    input: Tensor, LU_data: Tensor, LU_pivots: Tensor, *, out: Tensor | None = None
) -> Tensor:
    """X of A X = input from what `lu_factor` gave."""
    return linalg_lu_solve(LU_data, LU_pivots, checked("lu_solve", input), out=out)


def _lu_unpack(both: Value, pivots: Value) -> tuple[Value, Value, Value]:
    if both.ndim < 2:
        check_matrices("lu_unpack", both)
    exchange = dec.permutation(_order_of(pivots, both.shape[-2]), both.dtype)
    upper = ma.triu(ma.part(both, -2, 0, min(both.shape[-2:])))
    return exchange, dec.unit_lower(both), upper


LU_UNPACK = PureOp("lu_unpack", _lu_unpack)
LUUnpackResult = result_type("lu_unpack", "P", "L", "U")


def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True, *,
    out: Any = None,
) -> Any:  # fmt: skip
    """(P, L, U) from what `lu_factor` gave; what is not wanted is empty."""
    from flambeau.functional.creation import empty

    operands = (checked("lu_unpack", LU_data), checked("lu_unpack", LU_pivots, "LU_pivots", 2))
    if unpack_pivots and LU_pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype."
        )
    results = record_many(LU_UNPACK, operands)
    wanted = (unpack_pivots, unpack_data, unpack_data)
    nothing = empty((0,), dtype=LU_data.dtype)
    return LUUnpackResult(write_outs([r if w else nothing for r, w in zip(results, wanted)], out))


# ---- reflectors ----------------------------------------------------------------------------------


def _reflected(a: Value, tau: Value, columns: int) -> Value:
    """H_1 .. H_k times the first `columns` columns of the identity."""
    m = a.shape[-2]
    result = ar.cast(ma.eye(ar.full((*a.shape[:-2], m, columns), 0, a.dtype)), a.dtype)
    strict = dec.unit_lower(a)
    for i in reversed(range(tau.shape[-1])):
        v = ma.narrow(strict, -1, i, 1)
        scale = view.reshape(ma.narrow(tau, -1, i, 1), shape=(*tau.shape[:-1], 1, 1))
        result = ar.sub(result, ar.mul(ma.dot(v, ma.dot(ma.adjoint(v), result)), scale))
    return result


def _householder(a: Value, tau: Value) -> Value:
    name = "torch.linalg.householder_product"
    if a.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if a.shape[-2] < a.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if a.shape[-1] < tau.shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if a.dtype is not tau.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {tau.dtype.scalar_name} does not match input dtype "
            f"{a.dtype.scalar_name}"
        )
    if a.dtype.kind in WHOLE:
        raise not_implemented("orgqr_cpu", a.dtype)
    return _reflected(a, tau, a.shape[-1])


def _ormqr(a: Value, tau: Value, other: Value, left: bool, transpose: bool) -> Value:
    if a.ndim < 2:
        raise RuntimeError("torch.ormqr: input must have at least 2 dimensions.")
    if other.ndim < 2:
        raise RuntimeError("torch.ormqr: other must have at least 2 dimensions.")
    axis = -2 if left else -1
    if tau.shape[-1] != min(other.shape[axis], a.shape[-1]):
        raise RuntimeError(
            f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{axis}], input.shape[-1])"
        )
    if a.dtype.kind in WHOLE:
        raise not_implemented("ormqr_cpu", a.dtype)
    q = _reflected(a, tau, a.shape[-2])
    q = ma.adjoint(q) if transpose else q
    return ma.dot(q, other) if left else ma.dot(other, q)


def _geqrf(x: Value) -> tuple[Value, Value]:
    from flambeau.ops.matrix_functions import householder

    check_matrices("geqrf", x, kernel="geqrf_cpu", argument="input")
    a, tau = ma.unpacked(householder(x), [x.shape[-2:], (min(x.shape[-2:]),)])
    return a, tau


HOUSEHOLDER = ColumnMajor("linalg_householder_product", _householder)
ORMQR = ColumnMajor("ormqr", _ormqr)
GEQRF = ColumnMajor("geqrf", _geqrf)
GeqrfResult = result_type("geqrf", "a", "tau")


def householder_product(A: Tensor, tau: Tensor, *, out: Tensor | None = None) -> Tensor:
    """The first columns of H_1 .. H_k, reflectors in A's columns below the diagonal."""
    checked("linalg_householder_product", tau, "tau", 2)
    return write_out(record(HOUSEHOLDER, (checked("linalg_householder_product", A), tau)), out)


def orgqr(input: Tensor, input2: Tensor, *, out: Tensor | None = None) -> Tensor:
    """`linalg.householder_product`."""
    return householder_product(input, input2, out=out)


@other_names(input2="tau", input3="other")
def ormqr(
    input: Tensor, tau: Tensor, other: Tensor, left: bool = True, transpose: bool = False, *,
    out: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Q other (other Q, Q^H other) with the square Q of `geqrf`."""
    operands = tuple(checked("ormqr", x) for x in (input, tau, other))
    return write_out(record(ORMQR, operands, (bool(left), bool(transpose))), out)


def geqrf(input: Tensor, *, out: Any = None) -> Any:
    """(a, tau): R and the reflectors of Q in one matrix, as LAPACK packs them."""
    return GeqrfResult(write_outs(record_many(GEQRF, (checked("geqrf", input),)), out))


METHODS: dict[str, Callable[..., Any]] = {
    "inverse": inverse, "det": det, "slogdet": slogdet, "logdet": logdet,
    "triangular_solve": triangular_solve, "cholesky_solve": cholesky_solve,
    "cholesky_inverse": cholesky_inverse, "lu_solve": lu_solve, "orgqr": orgqr, "ormqr": ormqr,
    "geqrf": geqrf,
}  # fmt: skip
__all__ = [*METHODS, "lu_unpack"]
