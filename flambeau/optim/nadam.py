"""NAdam."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor, float32, tensor
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


def nadam_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    mu_product: Value,
    exp_avg: Value,
    exp_avg_sq: Value,
    *,
    decay: float,
    mu: float,
    mu_next: float,
    gradient_share: float,
    momentum_share: float,
    bias_correction2: float,
    beta1: float,
    beta2: float,
    eps: float,
    weight_decay: float,
    decoupled_weight_decay: bool,
    maximize: bool,
    tensor_lr: bool,
) -> tuple[Value, Value, Value, Value]:
    """Return (param, product of the momenta so far, averages) after a step.

    The shares are lr (1 - mu) and lr mu_next, both negated; `tensor_lr`: PyTorch computes with
    a learning rate in float32.
    """
    if maximize:
        grad = -grad
    if decoupled_weight_decay:
        if not is_zero(weight_decay):
            param = param * decay
    else:
        grad = decayed(ops, param, grad, weight_decay)
    mu_product = mu_product * mu
    exp_avg = lerp(ops, exp_avg, grad, complement(ops, beta1))
    exp_avg_sq = squared_average(ops, exp_avg_sq, grad, beta2)
    denominator = ops.sqrt(exp_avg_sq / bias_correction2) + eps
    product = ops.double(mu_product)
    left = mu_product if tensor_lr else product
    share = gradient_share / ops.alike(1.0 - product, left)
    param = param + grad * ops.alike(share, grad) / denominator
    share = momentum_share / ops.alike(1.0 - product * mu_next, left)
    param = param + exp_avg * ops.alike(share, grad) / denominator
    return param, mu_product, exp_avg, exp_avg_sq


class NAdam(CountedOptimizer):
    """Adam with Nesterov momentum (Dozat, 2016)."""

    _rule = staticmethod(nadam_update)
    _names = ("mu_product", "exp_avg", "exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_range(momentum_decay, "Invalid momentum_decay value")
        check_execution(foreach, None, capturable, differentiable)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, group: dict[str, Any], param: Tensor) -> dict[str, Tensor]:
        state = super()._new_state(group, param)
        return {**state, "mu_product": tensor(1.0, dtype=float32)}

    def _constants(self, group: dict[str, Any]) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        names = ("eps", "weight_decay", "decoupled_weight_decay", "maximize")
        # The momenta are computed from it, and are scalars of every step.
        kept = {name: group[name] for name in names}
        return {"beta1": beta1, "beta2": beta2, **kept, "tensor_lr": _is_single(group["lr"])}

    def _scalars(self, group: dict[str, Any], count: int) -> dict[str, float]:
        lr, number = lr_arithmetic(group["lr"])
        beta1, beta2 = group["betas"]
        slowing = group["momentum_decay"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (count * slowing))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((count + 1) * slowing))
        return {
            "decay": float(number(1) - lr * number(group["weight_decay"])),
            "mu": mu,
            "mu_next": mu_next,
            "gradient_share": float(-lr * number(1.0 - mu)),
            "momentum_share": float(-lr * number(mu_next)),
            "bias_correction2": 1 - beta2**count,
        }


def _is_single(lr: Any) -> bool:
    return isinstance(lr, Tensor) and lr.dtype == float32
