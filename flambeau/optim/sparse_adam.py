"""SparseAdam."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from flambeau.nn._torch import Tensor, enable_grad, no_grad, zeros_like
from flambeau.optim.optimizer import Optimizer
from flambeau.optim.stepping import check_betas


class SparseAdam(Optimizer):
    """Adam that updates only the rows (and moments) that a sparse gradient names."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        none = 0.0  # asked in PyTorch's order, for the errors of what cannot be compared
        if not none < lr:
            raise ValueError(f"Invalid learning rate: {lr}")
        if not none < eps:
            raise ValueError(f"Invalid epsilon value: {eps}")
        check_betas(betas)
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "maximize": maximize})
        for kind, refused, reason in (
            ("Sparse", "is_sparse", "requires dense parameter tensors"),
            ("Complex", "is_complex", "does not support complex parameters"),
        ):
            found = [
                [i, j]
                for i, group in enumerate(self.param_groups)
                for j, param in enumerate(group["params"])
                if (param.is_sparse if refused == "is_sparse" else param.is_complex())
            ]
            if found:
                raise ValueError(f"{kind} params at indices {found}: SparseAdam {reason}")

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the rows that the gradients name; `closure` recomputes the loss."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with no_grad():
            for group in self.param_groups:
                for param in group["params"]:
                    if param.grad is not None:
                        self._step_param(group, param)
        return loss

    def _step_param(self, group: dict[str, Any], param: Tensor) -> None:
        grad = param.grad
        assert grad is not None
        if not grad.is_sparse:
            raise RuntimeError(
                "SparseAdam does not support dense gradients, please consider Adam instead"
            )
        state = self._state[param]
        if not state:
            state["step"] = 0
            state["exp_avg"] = zeros_like(param)
            state["exp_avg_sq"] = zeros_like(param)
        state["step"] += 1
        grad = grad.coalesce()
        if group["maximize"]:
            grad = -grad
        place, values = tuple(grad.indices().unbind(0)), grad.values()
        if values.numel() == 0:
            return
        beta1, beta2 = group["betas"]
        moments = []
        for name, new, beta in (("exp_avg", values, beta1), ("exp_avg_sq", values * values, beta2)):
            old = state[name][place]
            moments.append(old + (new - old) * (1 - beta))
            state[name][place] = moments[-1]
        count = state["step"]
        step_size = float(group["lr"]) * (1 - beta2**count) ** 0.5 / (1 - beta1**count)
        update = moments[0] / (moments[1].sqrt() + group["eps"])
        param[place] = param[place] - update * step_size
