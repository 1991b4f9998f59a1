"""Adam and AdamW."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from flambeau.nn._torch import Tensor, full_at_rest
from flambeau.optim.stepping import (
    RuleOptimizer,
    check_betas,
    check_execution,
    check_lr,
    check_range,
    lr_arithmetic,
)
from flambeau.optim.updates import adam_update


class Adam(RuleOptimizer):
    """Adam (Kingma and Ba, 2015), with AMSGrad and decoupled weight decay as options."""

    _names = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and foreach and not capturable:
            raise ValueError(
                "lr as a Tensor is not supported for capturable=False and foreach=True"
            )
        check_lr(lr)
        check_range(eps, "Invalid epsilon value")
        check_betas(betas)
        check_range(weight_decay, "Invalid weight_decay value")
        kinds = {isinstance(beta, Tensor) for beta in betas}
        if len(kinds) != 1 or not all(isinstance(beta, (float, Tensor)) for beta in betas):
            raise ValueError("betas must be either both floats or both Tensors")
        for i, beta in enumerate(betas):
            if not isinstance(beta, Tensor):
                continue
            if beta.requires_grad:
                raise NotImplementedError("betas that require a gradient are not supported")
            if foreach and not capturable:
                raise ValueError(
                    f"betas[{i}] as a Tensor is not supported for capturable=False and foreach=True"
                )
            if beta.numel() != 1:
                raise ValueError(f"Tensor betas[{i}] must be 1-element")
        check_execution(foreach, fused, capturable, differentiable)
        defaults = {
            "lr": lr,
            "betas": tuple(betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _new_state(self, group: dict[str, Any], param: Tensor) -> dict[str, Tensor]:
        names = self._names if group["amsgrad"] else self._names[:2]
        return {name: full_at_rest(param, 0) for name in names}

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        amsgrad = group["amsgrad"]
        for param in () if self._counted(params) else params:
            state = self._start_counting(param)
            if "exp_avg" not in state:
                state.update(self._first_state(group, param))
        lr, number = lr_arithmetic(group["lr"])
        beta1, beta2 = (float(beta) for beta in group["betas"])
        weight_decay = group["weight_decay"]
        flags = {
            "amsgrad": amsgrad,
            "maximize": group["maximize"],
            "decoupled_weight_decay": group["decoupled_weight_decay"],
        }
        for count, members in self._cohorts(params).items():
            scalars = {
                "decay": float(number(1) - lr * number(weight_decay)),
                "weight_decay": weight_decay,
                "beta1": beta1,
                "beta2": beta2,
                "step_size": float(lr / number(1 - beta1**count)),
                "bias_correction2_sqrt": (1 - beta2**count) ** 0.5,
                "eps": group["eps"],
            }
            self._apply(adam_update, members, self._names, scalars, flags)

    def _step_sparse(self, group: dict[str, Any], params: list[Tensor]) -> None:
        """RuntimeError: see SparseAdam."""
        raise RuntimeError(
            "Adam does not support sparse gradients, please consider SparseAdam instead"
        )

    def _fixed(self, group: dict[str, Any]) -> tuple[Any, ...]:
        return (
            group["betas"],
            group["eps"],
            group["weight_decay"],
            group["amsgrad"],
            group["maximize"],
            group["decoupled_weight_decay"],
        )

    def _changing(self, group: dict[str, Any], count: int) -> list[float]:
        lr, (beta1, beta2) = group["lr"], group["betas"]
        if lr.__class__ is beta1.__class__ is beta2.__class__ is float:
            return [
                float(1 - lr * group["weight_decay"]),
                lr / (1 - beta1**count),
                (1 - beta2**count) ** 0.5,
            ]
        lr, number = lr_arithmetic(lr)
        return [
            float(number(1) - lr * number(group["weight_decay"])),
            float(lr / number(1 - float(beta1) ** count)),
            float((1 - float(beta2) ** count) ** 0.5),
        ]


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter, 2019)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            # A state_dict of an older PyTorch's AdamW does not say so.
            group["decoupled_weight_decay"] = True
