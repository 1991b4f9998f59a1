"""Adafactor."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from flambeau.core.dtypes import finfo
from flambeau.functional.folding import folded
from flambeau.nn._torch import Tensor, zeros, zeros_like
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as red
from flambeau.optim.stepping import CountedOptimizer, Parts, check_lr, lr_arithmetic, reaches
from flambeau.optim.updates import Arithmetic, Value, is_zero


def _norm(x: Value, axes: tuple[int, ...]) -> Value:
    return el.sqrt(folded(red.sum_, x * x, axes, True))


def _blended(ops: Arithmetic, start: Value, end: Value, weight: Value, complement: Value) -> Value:
    """start + weight (end - start), from the nearer end; complement = 1 - weight."""
    near_end = ops.fma(start - end, complement, end)
    return ops.where(weight < 0.5, ops.fma(end - start, weight, start), near_end)


def _mean_square(x: Value, axis: int) -> Value:
    norm = _norm(x, (axis,))
    return norm * norm / float(x.shape[axis])


def _root_mean_square(ops: Arithmetic, x: Value) -> Value:
    norm = folded(red.sum_, x * x, tuple(range(x.ndim)), False)
    return ops.double(el.sqrt(norm)) / float(x.size**0.5)


def adafactor_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    row_var: Value,
    col_var: Value,
    variance: Value,
    *,
    decay: float,
    relative: Value,
    weight: Value,
    complement: Value,
    eps1: float,
    eps2: float,
    d: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Value, Value, Value, Value]:
    """Return (param, factors of the variance, or the variance of a vector) after a step.

    `relative` is the step's size in units of the parameter's root mean square, `weight` how much
    of the new variance counts, `complement` the rest.
    """
    if maximize:
        grad = -grad
    alpha = ops.maximum(_root_mean_square(ops, param), eps2) * relative
    if not is_zero(weight_decay):
        param = param * decay
    if len(grad.shape) > 1:
        row, column = len(grad.shape) - 1, len(grad.shape) - 2
        row_var = _blended(ops, row_var, _mean_square(grad, row), weight, complement)
        col_var = _blended(ops, col_var, _mean_square(grad, column), weight, complement)
        mean = folded(red.sum_, row_var, (column,), True) / float(grad.shape[column])
        estimate = row_var * col_var / ops.maximum(mean, eps1)
    else:
        estimate = variance = _blended(ops, variance, grad * grad, weight, complement)
    update = el.rsqrt(ops.maximum(estimate, eps1 * eps1)) * grad
    clipping = ops.maximum(_root_mean_square(ops, update) / d, 1.0)
    rate = ops.alike(-alpha / clipping, param)
    return ops.fma(update, rate, param), row_var, col_var, variance


class Adafactor(CountedOptimizer):
    """Adafactor (Shazeer and Stern, 2018), with relative step sizes bounded by `lr`."""

    _rule = staticmethod(adafactor_update)
    _names = ("row_var", "col_var", "variance")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is")
        most = 0.0
        if not most >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        for i in range(2):
            if eps[i] is not None and not reaches(eps[i], 0.0):
                raise ValueError(f"epsilon{i + 1} should be >= 0 but is: {eps[i]}")
        if not reaches(d, 1.0):
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not reaches(weight_decay, 0.0):
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def _prepare(self) -> Parts:
        """Nothing: what a parameter has no state for is refused when it steps."""
        return []

    def _new_state(self, group: dict[str, Any], param: Tensor) -> dict[str, Tensor]:
        if param.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        if param.dim() <= 1:
            return {"variance": zeros_like(param)}
        *batch, rows, columns = param.shape
        return {
            "row_var": zeros(*batch, rows, 1, dtype=param.dtype),
            "col_var": zeros(*batch, 1, columns, dtype=param.dtype),
        }

    def _constants(self, group: dict[str, Any]) -> dict[str, Any]:
        eps1, eps2 = group["eps"]
        if eps1 is None:
            # PyTorch takes that of the group's first parameter for all of them.
            first = next((p for p in group["params"] if p.grad is not None), group["params"][0])
            eps1 = finfo(first.dtype).eps
        names = ("d", "weight_decay", "maximize")
        return {"eps1": eps1, "eps2": eps2, **{name: group[name] for name in names}}

    def _scalars(self, group: dict[str, Any], count: int) -> dict[str, float]:
        lr, number = lr_arithmetic(group["lr"])
        weight = float(count) ** group["beta2_decay"]
        # PyTorch subtracts the weight from one in the dtype of the values.
        single = next(iter(group["params"])).dtype.itemsize <= 4
        complement = float(np.float32(1) - np.float32(weight)) if single else 1 - weight
        return {
            "decay": float(number(1) - lr * number(group["weight_decay"])),
            "relative": min(float(lr), 1 / count**0.5),
            "weight": weight,
            "complement": complement,
        }
