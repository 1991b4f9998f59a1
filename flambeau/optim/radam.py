"""RAdam."""

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
from flambeau.optim.updates import (
    Arithmetic,
    Value,
    complement,
    decayed,
    is_zero,
    lerp,
    squared_average,
)


def radam_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    exp_avg: Value,
    exp_avg_sq: Value,
    *,
    lr: float,
    decay: float,
    bias_correction1: float,
    bias_correction2_sqrt: float,
    rectification: Value,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
) -> tuple[Value, Value, Value]:
    """Return (param, averages) after a step; `rectification` is 0 where the variance is unknown."""
    if maximize:
        grad = -grad
    if decoupled_weight_decay:
        if not is_zero(weight_decay):
            param = param * decay
    else:
        grad = decayed(ops, param, grad, weight_decay)
    exp_avg = lerp(ops, exp_avg, grad, complement(ops, beta1))
    exp_avg_sq = squared_average(ops, exp_avg_sq, grad, beta2)
    plain = exp_avg / bias_correction1 * lr
    # A quotient of a scalar and a tensor is a product with the reciprocal in PyTorch.
    adaptive = 1.0 / (ops.sqrt(exp_avg_sq) + eps) * bias_correction2_sqrt
    step = ops.where(rectification > 0.0, plain * adaptive * rectification, plain)
    return param - step, exp_avg, exp_avg_sq


def rectification(beta2: float, count: int) -> float:
    """The factor r_t of the paper's equation (13); 0 where too few steps make it undefined."""
    longest = 2 / (1 - beta2) - 1
    length = longest - 2 * count * beta2**count / (1 - beta2**count)
    if length <= 5.0:
        return 0.0
    return float(
        ((length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)) ** 0.5
    )


class RAdam(CountedOptimizer):
    """Rectified Adam (Liu et al., 2020)."""

    _rule = staticmethod(radam_update)
    _names = ("exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _constants(self, group: dict[str, Any]) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        names = ("eps", "weight_decay", "decoupled_weight_decay", "maximize")
        return {"beta1": beta1, "beta2": beta2, **{name: group[name] for name in names}}

    def _scalars(self, group: dict[str, Any], count: int) -> dict[str, float]:
        lr, number = lr_arithmetic(group["lr"])
        beta1, beta2 = group["betas"]
        return {
            "lr": float(lr),
            "decay": float(number(1) - lr * number(group["weight_decay"])),
            "bias_correction1": 1 - beta1**count,
            "bias_correction2_sqrt": (1 - beta2**count) ** 0.5,
            "rectification": rectification(beta2, count),
        }
