"""Averaged stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor, float32, full_at_rest, tensor
from flambeau.optim.stepping import (
    CountedOptimizer,
    check_execution,
    check_lr,
    check_range,
    lr_arithmetic,
)
from flambeau.optim.updates import Arithmetic, Value, decayed


def asgd_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    eta: Value,
    mu: Value,
    ax: Value,
    *,
    new_eta: Value,
    new_mu: Value,
    lambd: float,
    weight_decay: float,
    maximize: bool,
) -> tuple[Value, Value, Value, Value]:
    """Return (param, next step size, next weight, average) after a step with step size `eta`."""
    if maximize:
        grad = -grad
    grad = decayed(ops, param, grad, weight_decay)
    rate = ops.double(eta)
    param = param * ops.alike(1.0 - rate * lambd, param)
    param = ops.fma(grad, -rate, param)
    ax = ops.where(ops.equal(mu, 1.0), param, ax + (param - ax) * mu)
    return param, new_eta, new_mu, ax


class ASGD(CountedOptimizer):
    """Averaged SGD (Polyak and Juditsky, 1992)."""

    _rule = staticmethod(asgd_update)
    _names = ("eta", "mu", "ax")
    _begin_with = ("lr",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range(weight_decay, "Invalid weight_decay value")
        check_execution(foreach, None, capturable, differentiable)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, group: dict[str, Any], param: Tensor) -> dict[str, Tensor]:
        return {
            "eta": tensor(float(group["lr"]), dtype=float32),
            "mu": tensor(1.0, dtype=float32),
            "ax": full_at_rest(param, 0),
        }

    def _constants(self, group: dict[str, Any]) -> dict[str, Any]:
        return {name: group[name] for name in ("lambd", "weight_decay", "maximize")}

    def _scalars(self, group: dict[str, Any], count: int) -> dict[str, float]:
        lr, number = lr_arithmetic(group["lr"])
        lambd, alpha = group["lambd"], group["alpha"]
        return {
            "new_eta": float(
                lr / (number(1) + number(lambd) * lr * number(count)) ** number(alpha)
            ),
            "new_mu": 1 / max(1, count - group["t0"]),
        }
