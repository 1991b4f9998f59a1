"""Adagrad."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor, full_at_rest
from flambeau.optim.stepping import (
    RuleOptimizer,
    check_execution,
    check_lr,
    check_range,
    lr_arithmetic,
)
from flambeau.optim.updates import adagrad_update


class Adagrad(RuleOptimizer):
    """Adagrad (Duchi, Hazan and Singer, 2011)."""

    _names = ("sum",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_lr(lr)
        check_range(lr_decay, "Invalid lr_decay value")
        check_range(weight_decay, "Invalid weight_decay value")
        check_range(initial_accumulator_value, "Invalid initial_accumulator_value value")
        check_range(eps, "Invalid epsilon value")
        check_execution(foreach, fused, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            self._start(group)

    def _start(self, group: dict[str, Any]) -> None:
        for param in group["params"]:
            state = self._start_counting(param)
            if "sum" not in state:
                start = group["initial_accumulator_value"]
                state["sum"] = full_at_rest(
                    param, complex(start, start) if param.is_complex() else start
                )

    def share_memory(self) -> None:
        """Move the accumulators to shared memory."""
        for group in self.param_groups:
            for param in group["params"]:
                self._state[param]["sum"].share_memory_()

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        self._start(group)
        lr, number = lr_arithmetic(group["lr"])
        for count, members in self._cohorts(params).items():
            scalars = {
                "step_size": float(lr / number(1 + (count - 1) * group["lr_decay"])),
                "weight_decay": group["weight_decay"],
                "eps": group["eps"],
            }
            flags = {"maximize": group["maximize"]}
            self._apply(adagrad_update, members, self._names, scalars, flags)

    def _step_sparse(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Only the rows that the gradients name."""
        if group["weight_decay"] != 0:
            raise RuntimeError("weight_decay option is not compatible with sparse gradients")
        self._start(group)
        lr, number = lr_arithmetic(group["lr"])
        for count, members in self._cohorts(params).items():
            step_size = float(lr / number(1 + (count - 1) * group["lr_decay"]))
            for param in members:
                found: Any = param._grad
                grad = (-found if group["maximize"] else found).coalesce()
                place, entries = tuple(grad.indices().unbind(0)), grad.values()
                sums = self._state[param]["sum"]
                sums[place] = sums[place] + entries * entries
                scale = sums[place].sqrt() + group["eps"]
                param[place] = param[place] - entries / scale * step_size

    def _fixed(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(group[name] for name in ("lr_decay", "weight_decay", "eps", "maximize"))

    def _changing(self, group: dict[str, Any], count: int) -> list[float]:
        lr, number = lr_arithmetic(group["lr"])
        return [float(lr / number(1 + (count - 1) * group["lr_decay"]))]
