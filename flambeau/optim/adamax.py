"""Adamax."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor
from flambeau.optim.stepping import (
    CountedOptimizer,
    check_betas,
    check_execution,
    check_lr,
    check_range,
    lr_arithmetic,
)
from flambeau.optim.updates import Arithmetic, Value, complement, decayed, lerp


def adamax_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    exp_avg: Value,
    exp_inf: Value,
    *,
    step_size: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Value, Value, Value]:
    """Return (param, average, decaying maximum) after a step; step_size = lr / (1 - beta1^t)."""
    if maximize:
        grad = -grad
    grad = decayed(ops, param, grad, weight_decay)
    exp_avg = lerp(ops, exp_avg, grad, complement(ops, beta1))
    exp_inf = ops.maximum(exp_inf * beta2, ops.absolute(grad) + eps)
    return param + (exp_avg * -step_size) / exp_inf, exp_avg, exp_inf


class Adamax(CountedOptimizer):
    """Adam with the infinity norm (Kingma and Ba, 2015)."""

    _rule = staticmethod(adamax_update)
    _names = ("exp_avg", "exp_inf")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range(eps, "Invalid epsilon value")
        check_betas(betas)
        check_range(weight_decay, "Invalid weight_decay value")
        check_execution(foreach, None, capturable, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _constants(self, group: dict[str, Any]) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        kept = {name: group[name] for name in ("eps", "weight_decay", "maximize")}
        return {"beta1": beta1, "beta2": beta2, **kept}

    def _scalars(self, group: dict[str, Any], count: int) -> dict[str, float]:
        lr, number = lr_arithmetic(group["lr"])
        return {"step_size": float(lr / number(1 - group["betas"][0] ** count))}
