"""Tensors that are counted: ranges, evenly spaced values, diagonals, indices of triangles."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from flambeau.core import dtypes
from flambeau.core.calls import refuse_misgiven
from flambeau.core.dtypes import DType
from flambeau.functional.constants import (
    MakeOp,
)
from flambeau.functional.from_data import tensor
from flambeau.functional.options import (
    checked_dtype,
    checked_options,
    finish,
)
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import source, view
from flambeau.ops.value import Value
from flambeau.tensor.recording import record
from flambeau.tensor.tensor import Tensor


def _arange(start: Value, step: Value, count: int, dtype: DType) -> Value:
    if dtype.is_floating_point:
        wide = dtypes.float64
        value = ar.add(
            ar.as_value(start, wide),
            ar.mul(ar.as_value(step, wide), ar.cast(source.iota(size=count), wide)),
        )
        return ar.cast(value, dtype)
    value = ar.add(
        ar.as_value(start, dtypes.int64),
        ar.mul(ar.as_value(step, dtypes.int64), source.iota(size=count)),
    )
    return ar.cast(value, dtype)


def _linspace(start: Value, end: Value, steps: int, dtype: DType) -> Value:
    """From both ends to the middle, as PyTorch rounds it."""
    work = dtype if dtype.is_floating_point else dtypes.float64
    if dtype.name in ("float16", "bfloat16"):
        work = dtypes.float32
    # (As tensors: between numbers alone the default dtype would round.)
    low, high = (ar.expand(ar.as_value(v, work), (1,)) for v in (start, end))
    index = source.iota(size=steps)
    if steps == 1:
        return ar.cast(low, dtype)
    step = ar.div(ar.sub(high, low), float(steps - 1))
    # Of float32, product and sum are rounded once (PyTorch has an instruction for that).
    wide = dtypes.float64 if dtype is dtypes.float32 else work
    low, high, step = (ar.cast(v, wide) for v in (low, high, step))
    forward = ar.add(low, ar.mul(step, ar.cast(index, wide)))
    backward = ar.sub(high, ar.mul(step, ar.cast(ar.sub(steps - 1, index), wide)))
    made = ar.cast(el.where(ar.lt(index, steps // 2), forward, backward), work)
    return ar.cast(made, dtype)


def _eye(rows: int, columns: int, dtype: DType) -> Value:
    row = view.reshape(source.iota(size=rows), shape=(rows, 1))
    return ar.cast(ar.eq(row, source.iota(size=columns)), dtype)


ARANGE = MakeOp("arange", _arange)
LINSPACE = MakeOp("linspace", _linspace)
LOGSPACE = MakeOp(
    "logspace",
    lambda start, end, steps, base, dtype: ar.cast(
        ar.apply(el.pow_, (base, _linspace(start, end, steps, dtypes.float64)), dtypes.float64),
        dtype,
    ),
)
EYE = MakeOp("eye", _eye)


def arange(
    start: Any,
    end: Any = None,
    step: Any = 1,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """start, start + step, ... below end."""
    if device is not None or layout is not None:
        checked_options(device, layout, pin_memory)
    if end is None:
        start, end = 0, start
    whole = type(start) is type(end) is type(step) is int
    if not whole:
        start, end, step = (v.item() if hasattr(v, "item") else v for v in (start, end, step))
        for bound in (start, end):
            if bound - bound != 0:
                raise RuntimeError(f"unsupported range: {start:g} -> {end:g}")
    if step == 0:
        raise RuntimeError("step must be nonzero")
    if (step > 0 and start > end) or (step < 0 and start < end):
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")
    if dtype is None:
        floats = not whole and any(isinstance(v, float) for v in (start, end, step))
        kind = dtypes.get_default_dtype() if floats else dtypes.int64
    else:
        kind = checked_dtype(dtype)
    if not whole and (kind if out is None else out.dtype) is dtypes.int64:
        start, end, step = int(start), int(end), int(step)
        if step == 0:
            raise ValueError("step must be nonzero")
    count = max(0, math.ceil((end - start) / step))
    if not whole and not kind.is_floating_point:
        start, step = int(start), int(step)
    made = record(ARANGE, (start, step), (count, kind, None))
    return finish(made, requires_grad, out) if requires_grad or out is not None else made


def range_(
    start: Any,
    end: Any,
    step: Any = 1,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """arange that includes its end (deprecated in PyTorch)."""
    import warnings

    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior "
        "is inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
        stacklevel=2,
    )
    checked_options(device, layout, pin_memory)
    kind = checked_dtype(dtype)
    count = math.floor((end - start) / step) + 1
    return finish(record(ARANGE, (start, step), (count, kind, None)), requires_grad, out)


def _steps(name: str, start: Any, end: Any, steps: Any) -> int:
    """The number of steps, with the errors of linspace and logspace."""
    if isinstance(steps, float) or not hasattr(steps, "__index__"):
        kinds = ", ".join(type(v).__name__ for v in (start, end, steps))
        raise TypeError(f"{name}() received an invalid combination of arguments - got ({kinds})")
    ranks = [
        f"{which} with {bound.ndim} dimension(s)"
        for which, bound in (("start", start), ("end", end))
        if isinstance(bound, Tensor) and bound.ndim
    ]
    if ranks:
        raise RuntimeError(
            f"{name} only supports 0-dimensional start and end tensors, but got "
            f"{' and '.join(ranks)}."
        )
    if int(steps) < 0:
        raise RuntimeError("number of steps must be non-negative")
    return int(steps)


def _ends(start: Any, end: Any, kind: DType) -> tuple[float, float]:
    """The first and last value; those of integers are truncated before anything is computed."""
    if kind.kind == "i":
        start, end = int(start), int(end)
    return float(start), float(end)


def linspace(
    start: Any,
    end: Any,
    steps: int,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`steps` evenly spaced values from start to end."""
    try:
        checked_options(device, layout, None)
        steps = _steps("linspace", start, end, steps)
        kind = checked_dtype(dtype)
        return finish(
            record(LINSPACE, _ends(start, end, kind), (steps, kind, None)), requires_grad, out
        )
    except Exception:
        refuse_misgiven()
        raise


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """`steps` values base ** x for x evenly spaced from start to end."""
    try:
        checked_options(device, layout, None)
        steps = _steps("logspace", start, end, steps)
        kind = checked_dtype(dtype)
        attributes = (steps, float(base), kind, None)
        return finish(record(LOGSPACE, _ends(start, end, kind), attributes), requires_grad, out)
    except Exception:
        refuse_misgiven()
        raise


def eye(
    n: int,
    m: int | None = None,
    *,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Ones on the diagonal, zeros elsewhere."""
    checked_options(device, layout, None)
    for name, extent in (("n", n), ("m", n if m is None else m)):
        if extent < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {extent}")
    return finish(
        record(EYE, (), (int(n), int(n if m is None else m), checked_dtype(dtype), None)),
        requires_grad,
        out,
    )


def tril_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Indices of the lower triangle, 2 x n."""
    checked_options(device, layout, pin_memory)
    return tensor(np.stack(np.tril_indices(row, offset, col)), dtype=dtype or dtypes.int64)


def triu_indices(
    row: int, col: int, offset: int = 0, *, dtype: Any = None, layout: Any = None,
    device: Any = None, pin_memory: bool = False,
) -> Tensor:  # fmt: skip
    """Indices of the upper triangle, 2 x n."""
    checked_options(device, layout, pin_memory)
    return tensor(np.stack(np.triu_indices(row, offset, col)), dtype=dtype or dtypes.int64)


# Names of the torch namespace.
__all__ = ["arange", "eye", "linspace", "logspace", "tril_indices", "triu_indices"]
