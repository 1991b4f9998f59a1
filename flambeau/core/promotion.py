"""Type promotion: the dtype PyTorch computes in for given operands.

Operands fall into three ranks: tensors with dimensions, 0-d tensors, Python numbers. A lower rank
changes the result only where its category (bool < integer < float < complex) is above what the
higher ranks have.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from flambeau.core import dtypes
from flambeau.core.dtypes import NAMED, DType, get_default_dtype, set_default_dtype

__all__ = ["can_cast", "get_default_dtype", "promote_types", "result_dtype", "set_default_dtype"]

# A tensor as (dtype, whether it is 0-d), a bare dtype (as a tensor with dimensions), or the type of
# a Python number.
Operand = tuple[DType, bool] | DType | type

_CATEGORY = {"b": 0, "i": 1, "f": 2, "c": 3}
# Unsigned integers beyond uint8 promote with nothing but floats.
_WIDE_UNSIGNED = frozenset({dtypes.uint16, dtypes.uint32, dtypes.uint64})

# Answers by (default dtype, *operands). Programs use few combinations; the bound only guards
# against a stream of ever different operand counts.
_answers: dict[tuple[object, ...], DType] = {}
_MAX_ANSWERS = 4096


def _promote(a: DType, b: DType) -> DType:
    if a is b:
        return a
    if _CATEGORY[a.kind] > _CATEGORY[b.kind]:
        a, b = b, a
    # From here on the category of `b` is at least that of `a`.
    if b.kind == "f":
        if a.kind != "f":
            return b
        narrow, wide = sorted((a, b), key=lambda d: d.itemsize)
        return dtypes.float32 if narrow.itemsize == wide.itemsize else wide
    if a in _WIDE_UNSIGNED or b in _WIDE_UNSIGNED:
        raise _UnsupportedError
    if b.kind == "c":
        if a is dtypes.float64 or a is dtypes.complex128:
            return dtypes.complex128
        return b
    if a.kind == "b":
        return b
    narrow, wide = sorted((a, b), key=lambda d: d.itemsize)
    if narrow.itemsize == wide.itemsize:
        return dtypes.int16  # uint8 and int8
    return wide


class _UnsupportedError(Exception):
    """No common type; the caller's order of operands goes into the message."""


def _promotion_table() -> tuple[tuple[DType | None, ...], ...]:
    rows = []
    for a in dtypes.ALL:
        row: list[DType | None] = []
        for b in dtypes.ALL:
            try:
                row.append(_promote(a, b))
            except _UnsupportedError:
                row.append(None)
        rows.append(tuple(row))
    return tuple(rows)


_TABLE = _promotion_table()


def promote_types(type1: DType, type2: DType) -> DType:
    """The smallest dtype of the higher category that holds both.

    RuntimeError for uint16, uint32 and uint64 with anything but floats, as in PyTorch.
    """
    for at, given in enumerate((type1, type2), 1):
        _check_dtype(given, f"promote_types(): argument 'type{at}' (position {at})")
    if type1.name in NAMED or type2.name in NAMED:
        raise RuntimeError(
            "Promotion for Float8 Types is not supported, attempted to promote "
            f"{type1.scalar_name} and {type2.scalar_name}"
        )
    found = _TABLE[type1.index][type2.index]
    if found is None:
        raise RuntimeError(
            "Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
            f"{type1.scalar_name} and {type2.scalar_name}"
        )
    return found


def _check_dtype(given: object, place: str) -> None:
    if not isinstance(given, DType):
        raise TypeError(f"{place} must be torch.dtype, not {type(given).__name__}")


def result_dtype(operands: Iterable[Operand]) -> DType:
    """The dtype an op on these operands computes in.

    An operand is (dtype, whether 0-d), a dtype, or the type of a number. TypeError for types that
    are no numbers; RuntimeError where PyTorch has no promotion.
    """
    key = (dtypes.get_default_dtype(), *operands)
    found = _answers.get(key)
    if found is None:
        found = _result_dtype(key[1:])
        if len(_answers) >= _MAX_ANSWERS:
            _answers.clear()
        _answers[key] = found
    return found


def _result_dtype(operands: tuple[Operand, ...]) -> DType:
    ranks: list[DType | None] = [None, None, None]
    for operand in operands:
        if isinstance(operand, DType):
            rank, dtype = 0, operand
        elif isinstance(operand, tuple):
            rank, dtype = int(operand[1]), operand[0]
        else:
            rank, dtype = 2, number_dtype(operand)
        before = ranks[rank]
        ranks[rank] = dtype if before is None else promote_types(before, dtype)
    dimensioned, zero_dim, numbers = ranks
    result = _combine(dimensioned, _combine(zero_dim, numbers))
    if result is None:
        raise ValueError("result_dtype needs at least one operand")
    return result


def _combine(higher: DType | None, lower: DType | None) -> DType | None:
    if higher is None or lower is None:
        return lower if higher is None else higher
    if higher.is_complex:
        return higher
    if higher.is_floating_point:
        return higher.to_complex() if lower.is_complex else higher
    if lower.kind in "fc":
        # Unlike promote_types, also where `higher` is a wide unsigned type and `lower` complex.
        return lower
    return promote_types(higher, lower) if higher.kind == "b" else higher


def number_dtype(kind: type) -> DType:
    """The dtype of a Python (or NumPy) number of this type, taken as a scalar operand."""
    if issubclass(kind, (bool, np.bool_)):
        return dtypes.bool_
    if issubclass(kind, (int, np.integer)):
        return dtypes.int64
    if issubclass(kind, (float, np.floating)):
        return dtypes.get_default_dtype()
    if issubclass(kind, (complex, np.complexfloating)):
        return dtypes.default_complex_dtype()
    raise TypeError(f"expected a Tensor or a number, but got {kind.__name__}")


def can_cast(from_: DType, to: DType) -> bool:
    """Whether an in-place op may write a result of dtype `from_` into a tensor of dtype `to`."""
    _check_dtype(from_, "can_cast(): argument 'from_' (position 1)")
    _check_dtype(to, "can_cast(): argument 'to' (position 2)")
    source, target = _CATEGORY[from_.kind], _CATEGORY[to.kind]
    if source >= 2:
        return source <= target
    return source == 1 <= target or source == 0
