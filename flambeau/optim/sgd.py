"""Stochastic gradient descent."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor, full_at_rest
from flambeau.optim.optimizer import same
from flambeau.optim.stepping import RuleOptimizer, check_execution
from flambeau.optim.updates import sgd_update


class SGD(RuleOptimizer):
    """Gradient descent with momentum (Sutskever et al., 2013, in PyTorch's form)."""

    _names = ("momentum_buffer",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if lr < 0.0:
            raise ValueError(f"Invalid learning rate: {lr}")
        if momentum < 0.0:
            raise ValueError(f"Invalid momentum value: {momentum}")
        if weight_decay < 0.0:
            raise ValueError(f"Invalid weight_decay value: {weight_decay}")
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        check_execution(foreach, fused, differentiable=differentiable)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def _new_state(self, group: dict[str, Any], param: Tensor) -> dict[str, Tensor]:
        momentum = group["momentum"]
        if momentum == 0 or group["dampening"] != 0 or not math.isfinite(momentum):
            return {}
        # The first buffer is the gradient, bit for bit: momentum * -0 + gradient.
        start = complex(-0.0, -0.0) if param.is_complex() else -0.0
        return {"momentum_buffer": full_at_rest(param, start)}

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        momentum = group["momentum"]
        scalars = {
            "lr": float(group["lr"]),
            "momentum": momentum,
            "dampening": group["dampening"],
            "weight_decay": float(group["weight_decay"]),
        }
        flags = {"nesterov": group["nesterov"], "maximize": group["maximize"]}
        if momentum == 0:
            self._apply(_plain, params, (), scalars, flags)
            return
        ready = self._applied.get((sgd_update, id(params[0])))
        if ready is not None and not self._exposed and same(ready[0], params):
            self._apply(sgd_update, params, self._names, scalars, {**flags, "first": False})
            return
        fresh: list[Tensor] = []
        known: list[Tensor] = []
        for param in params:
            state = self._state[param]
            if state.get("momentum_buffer") is None:
                state.update(self._first_state(group, param))
            first = state.get("momentum_buffer") is None
            (fresh if first else known).append(param)
        if fresh:
            self._apply(sgd_update, fresh, self._names, scalars, {**flags, "first": True})
        if known:
            self._apply(sgd_update, known, self._names, scalars, {**flags, "first": False})

    def _step_sparse(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """Only the rows that the gradients name; the momentum is sparse too."""
        lr, momentum = float(group["lr"]), group["momentum"]
        for param in params:
            grad: Any = -param._grad if group["maximize"] else param._grad
            if group["weight_decay"] != 0:
                grad = grad.add(param)  # refused, as in PyTorch
            if momentum != 0:
                state = self._state[param]
                buffer = state.get("momentum_buffer")
                if buffer is None:
                    buffer = grad.clone()
                else:
                    buffer = (buffer * momentum).add(grad, alpha=1 - group["dampening"])
                state["momentum_buffer"] = buffer
                grad = grad.add(buffer, alpha=momentum) if group["nesterov"] else buffer
            places, entries = grad._indices(), grad._entries
            if grad.sparse_dim() == 1:
                param.index_add_(0, places[0], entries, alpha=-lr)
            else:
                param.sub_(grad.to_dense(), alpha=lr)

    def _fixed(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (
            group["momentum"],
            group["dampening"],
            group["weight_decay"],
            group["nesterov"],
            group["maximize"],
        )

    def _changing(self, group: dict[str, Any], count: int) -> list[float]:
        return [float(group["lr"])]


def _plain(ops: Any, param: Any, grad: Any, **options: Any) -> tuple[Any]:
    """Descend without momentum, and so without state."""
    return (sgd_update(ops, param, grad, None, first=True, **options)[0],)
