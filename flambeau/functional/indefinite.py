"""L D L^T of symmetric matrices and systems solved with it, with PyTorch's signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flambeau.core import dtypes
from flambeau.functional.factorisation import (
    ColumnMajor,
    as_info,
    check_matrices,
    check_square,
    refuse_failure,
)
from flambeau.functional.folding import checked, result_type, write_outs
from flambeau.functional.options import refuse_other_dtype
from flambeau.functional.pointwise import write_same
from flambeau.functional.solving import same_batches
from flambeau.ops import arithmetic as ar
from flambeau.ops import indefinite as ind
from flambeau.ops.source import detach, no_derivative, with_derivative
from flambeau.ops.value import Value
from flambeau.record.recorder import record, record_many
from flambeau.tensor.tensor import Tensor


def _factor(x: Value, hermitian: bool) -> tuple[Value, Value, Value]:
    check_square("torch.linalg.ldl_factor_ex", x, kernel="ldl_factor_kernel_cpu")
    data = detach(x) if x.tracked else x
    both, pivots, info = ind.ldl.parts(ind.ldl(data, hermitian=hermitian), data)
    both = with_derivative(both, (x,), no_derivative("linalg_ldl_factor_ex"))
    return both, as_info(pivots), as_info(info)


LDL_FACTOR = ColumnMajor("linalg_ldl_factor_ex", _factor, grad_name="NotImplemented")
LDLFactorResult = result_type("linalg_ldl_factor", "LD", "pivots")
LDLFactorExResult = result_type("linalg_ldl_factor_ex", "LD", "pivots", "info")


def _factored(A: Any, hermitian: bool, name: str) -> list[Tensor]:
    return record_many(LDL_FACTOR, (checked(name, A),), (bool(hermitian),))


def _refuse_zero(name: str, info: Tensor) -> None:
    refuse_failure(
        info,
        RuntimeError,
        lambda place: (
            f"{name}: {{batch}}The diagonal element {place} is zero, and using it on solving "
            "systems of linear equations divides by zero."
        ),
    )


def _write(results: list[Tensor], out: Any) -> list[Tensor]:
    for result, target in zip(results, out or (), strict=False):
        refuse_other_dtype(target, result.dtype)
    return write_outs(results, out)


def ldl_factor_ex(
    A: Tensor, *, hermitian: bool = False, check_errors: bool = False, out: Any = None
) -> Any:
    """(LD, pivots, info) of symmetric (or Hermitian) A: L and the blocks of D in one triangle."""
    results = _factored(A, hermitian, "linalg_ldl_factor_ex")
    if check_errors:
        _refuse_zero("torch.linalg.ldl_factor_ex", results[2])
    return LDLFactorExResult(_write(results, out))


def ldl_factor(A: Tensor, *, hermitian: bool = False, out: Any = None) -> Any:
    """(LD, pivots) of symmetric (or Hermitian) A; RuntimeError where a block of D is zero."""
    both, pivots, info = _factored(A, hermitian, "linalg_ldl_factor")
    _refuse_zero("torch.linalg.ldl_factor", info)
    return LDLFactorResult(_write([both, pivots], out))


def _solve(both: Value, pivots: Value, b: Value, hermitian: bool) -> Value:
    name = "torch.linalg.ldl_solve"
    if b.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected B to have at least 2 dimensions, but it has {b.ndim} dimensions "
            "instead"
        )
    check_square(name, both, kernel="ldl_solve_kernel_cpu", argument="LD")
    if both.shape[:-1] != pivots.shape:
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with "
            f"shape {list(pivots.shape)} instead"
        )
    if pivots.dtype.kind != "i":
        raise RuntimeError(
            f"{name}: Expected pivots to be integers. Got {pivots.dtype.scalar_name}"
        )
    if both.dtype is not b.dtype:
        raise RuntimeError(
            f"Expected b and A to have the same dtype, but found b of type {b.dtype.scalar_name} "
            f"and A of type {both.dtype.scalar_name} instead."
        )
    if both.shape[-1] != b.shape[-2]:
        n, shape = both.shape[-1], b.shape[-2:]
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {n} by {n} but each b matrix "
            f"is {shape[0]} by {shape[1]}"
        )
    check_matrices(name, b, argument="B")
    data = [detach(v) if v.tracked else v for v in (both, b)]
    left, right = same_batches(*data)
    places = ar.expand(ar.cast(pivots, dtypes.int64), left.shape[:-1])
    result = ind.ldl_solve(left, places, right, hermitian=hermitian)
    return with_derivative(result, (both, b), no_derivative("linalg_ldl_solve"))


LDL_SOLVE = ColumnMajor("linalg_ldl_solve", _solve, grad_name="NotImplemented")


def ldl_solve(
    LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False, out: Tensor | None = None
) -> Tensor:
    """X of A X = B from what `ldl_factor` gave for A."""
    operands = tuple(checked("linalg_ldl_solve", x) for x in (LD, pivots, B))
    return write_same(record(LDL_SOLVE, operands, (bool(hermitian),)), out)


METHODS: dict[str, Callable[..., Any]] = {}

# Names of the torch namespace: none; torch.linalg has them.
__all__: list[str] = []
