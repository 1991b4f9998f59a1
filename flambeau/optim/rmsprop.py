"""RMSprop."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor, full_at_rest
from flambeau.optim.stepping import RuleOptimizer, check_execution, check_lr, check_range
from flambeau.optim.updates import rmsprop_update


class RMSprop(RuleOptimizer):
    """RMSprop (Hinton, 2012), centred (Graves, 2013) as an option."""

    _names = ("square_avg", "grad_avg", "momentum_buffer")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_lr(lr)
        check_range(eps, "Invalid epsilon value")
        check_range(momentum, "Invalid momentum value")
        check_range(weight_decay, "Invalid weight_decay value")
        check_range(alpha, "Invalid alpha value")
        check_execution(foreach, None, capturable, differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def _new_state(self, group: dict[str, Any], param: Tensor) -> dict[str, Tensor]:
        names = ["square_avg"]
        if group["momentum"] > 0:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")
        return {name: full_at_rest(param, 0) for name in names}

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        for param in () if self._counted(params) else params:
            state = self._start_counting(param)
            if "square_avg" not in state:
                state.update(self._first_state(group, param))
        self._cohorts(params)  # counted, though the rule does not depend on it
        scalars = {
            "lr": float(group["lr"]),
            **{name: group[name] for name in ("alpha", "eps", "weight_decay", "momentum")},
        }
        flags = {"centered": group["centered"], "maximize": group["maximize"]}
        self._apply(rmsprop_update, params, self._names, scalars, flags)

    def _fixed(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(
            group[name]
            for name in ("alpha", "eps", "weight_decay", "momentum", "centered", "maximize")
        )

    def _changing(self, group: dict[str, Any], count: int) -> list[float]:
        return [float(group["lr"])]
