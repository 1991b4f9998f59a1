"""Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor
from flambeau.optim.stepping import CountedOptimizer, check_execution, check_lr, check_range
from flambeau.optim.updates import Arithmetic, Value, decayed, squared_average


def adadelta_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    square_avg: Value,
    acc_delta: Value,
    *,
    lr: float,
    rho: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Value, Value, Value]:
    """Return (param, average of squared gradients, of squared steps) after a step."""
    if maximize:
        grad = -grad
    grad = decayed(ops, param, grad, weight_decay)
    square_avg = squared_average(ops, square_avg, grad, rho)
    delta = ops.sqrt(acc_delta + eps) / ops.sqrt(square_avg + eps) * grad
    return ops.fma(delta, -lr, param), square_avg, squared_average(ops, acc_delta, delta, rho)


class Adadelta(CountedOptimizer):
    """Adadelta (Zeiler, 2012)."""

    _rule = staticmethod(adadelta_update)
    _names = ("square_avg", "acc_delta")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_range(eps, "Invalid epsilon value")
        check_range(weight_decay, "Invalid weight_decay value")
        check_execution(foreach, None, capturable, differentiable)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _constants(self, group: dict[str, Any]) -> dict[str, Any]:
        return {name: group[name] for name in ("rho", "eps", "weight_decay", "maximize")}

    def _scalars(self, group: dict[str, Any], count: int) -> dict[str, float]:
        return {"lr": float(group["lr"])}
