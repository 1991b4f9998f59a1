"""Resilient backpropagation."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor, full_at_rest
from flambeau.optim.stepping import CountedOptimizer, check_execution, check_lr
from flambeau.optim.updates import Arithmetic, Value


def rprop_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    prev: Value,
    step_size: Value,
    *,
    etaminus: float,
    etaplus: float,
    smallest: float,
    largest: float,
    maximize: bool,
) -> tuple[Value, Value, Value]:
    """Return (param, gradient that counted, step sizes): a change of sign takes no step."""
    if maximize:
        grad = -grad
    agreement = ops.sign(grad * prev)
    turned = agreement < 0.0
    factor = ops.where(ops.equal(agreement, 0.0), 1.0, agreement)
    factor = ops.where(turned, etaminus, ops.where(agreement > 0.0, etaplus, factor))
    step_size = ops.minimum(ops.maximum(step_size * factor, smallest), largest)
    grad = ops.where(turned, 0.0, grad)
    return param - ops.sign(grad) * step_size, grad, step_size


class Rprop(CountedOptimizer):
    """Rprop (Riedmiller and Braun, 1993)."""

    _rule = staticmethod(rprop_update)
    _names = ("prev", "step_size")
    _begin_with = ("lr",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        check_execution(foreach, None, capturable, differentiable)
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def _new_state(self, group: dict[str, Any], param: Tensor) -> dict[str, Tensor]:
        lr = float(group["lr"])
        start = complex(lr, lr) if param.is_complex() else lr
        return {"prev": full_at_rest(param, 0), "step_size": full_at_rest(param, start)}

    def _constants(self, group: dict[str, Any]) -> dict[str, Any]:
        (etaminus, etaplus), (smallest, largest) = group["etas"], group["step_sizes"]
        return {
            "etaminus": float(etaminus),
            "etaplus": float(etaplus),
            "smallest": float(smallest),
            "largest": float(largest),
            "maximize": group["maximize"],
        }

    def _scalars(self, group: dict[str, Any], count: int) -> dict[str, float]:
        return {}
