"""Muon."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

from flambeau.core.dtypes import bfloat16, float32
from flambeau.functional.folding import folded
from flambeau.nn._torch import Tensor, no_grad, zeros_like
from flambeau.ops import arithmetic as ar
from flambeau.ops import elementwise as el
from flambeau.ops import reduction as red
from flambeau.ops.contraction import dot, swap_last
from flambeau.optim.stepping import RuleOptimizer, check_lr
from flambeau.optim.updates import Arithmetic, Value, complement, lerp


def _orthogonalised(
    update: Value, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Value:
    """The nearest semi-orthogonal matrix, roughly: Newton-Schulz iterations in bfloat16."""
    a, b, c = coefficients
    tall = update.shape[0] > update.shape[1]
    x = ar.cast(update, bfloat16)
    if tall:
        x = swap_last(x)
    wide = ar.cast(x, float32)
    norm = ar.cast(el.sqrt(folded(red.sum_, wide * wide, (0, 1), False)), bfloat16)
    x = x / ar.maximum(norm, eps)
    for _ in range(steps):
        gram = dot(x, swap_last(x))
        step = _combined(gram, b, dot(gram, gram, wide=True), c)
        x = _combined(x, a, dot(step, x, wide=True), 1.0)
    return swap_last(x) if tall else x


def _combined(x: Value, alpha: float, y: Value, beta: float) -> Value:
    """alpha x + beta y of a bfloat16 matrix and sums of products, rounded once."""
    total = ar.cast(x, float32) * alpha + y * beta
    return ar.cast(total, bfloat16)


def muon_update(
    ops: Arithmetic,
    param: Value,
    grad: Value,
    momentum_buffer: Value,
    *,
    lr: float,
    decay: float,
    momentum: float,
    nesterov: bool,
    a: float,
    b: float,
    c: float,
    ns_steps: int,
    eps: float,
    ratio: float,
) -> tuple[Value, Value]:
    """Return (param, momentum buffer) after a step; `ratio` scales the learning rate."""
    momentum_buffer = lerp(ops, momentum_buffer, grad, complement(ops, momentum))
    update = lerp(ops, grad, momentum_buffer, momentum) if nesterov else momentum_buffer
    update = ar.cast(_orthogonalised(update, (a, b, c), ns_steps, eps), param.dtype)
    return ops.fma(update, ops.double(-lr) * ratio, param * decay), momentum_buffer


class Muon(RuleOptimizer):
    """Momentum orthogonalised by Newton-Schulz iterations (Jordan et al., 2024), for matrices."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.775, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        check_lr(lr, "Learning rate should be >= 0 but is")
        if not momentum >= 0.0:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not weight_decay >= 0.0:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for param in group["params"]:
                if param.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with size: "
                        f"{param.size()}"
                    )

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        if group["ns_steps"] >= 100:
            raise ValueError("Number of steps must be less than 100 for computational efficiency")
        if len(group["ns_coefficients"]) != 3:
            raise ValueError("Coefficients must be a tuple of exactly 3 values")
        shapes: dict[tuple[int, ...], list[Tensor]] = {}
        for param in params:
            if param.is_complex():
                raise RuntimeError("Muon does not support complex parameters")
            state = self._state[param]
            if "momentum_buffer" not in state:
                with no_grad():
                    state["momentum_buffer"] = zeros_like(param)
            shapes.setdefault(tuple(param.shape), []).append(param)
        ratios = {shape: _ratio(group["adjust_lr_fn"], *shape) for shape in shapes}
        lr, decay = self._changing(group, 0)
        a, b, c = group["ns_coefficients"]
        names = ("momentum", "nesterov", "ns_steps", "eps")
        for shape, members in shapes.items():
            scalars = {
                "lr": lr,
                "decay": decay,
                **{name: group[name] for name in names},
                "a": a,
                "b": b,
                "c": c,
                "ratio": ratios[shape],
            }
            self._apply(muon_update, members, ("momentum_buffer",), scalars, {})

    def _fixed(self, group: dict[str, Any]) -> tuple[Any, ...]:
        names = ("momentum", "nesterov", "ns_coefficients", "ns_steps", "eps", "adjust_lr_fn")
        return tuple(group[name] for name in names)

    def _changing(self, group: dict[str, Any], count: int) -> list[float]:
        lr = float(group["lr"])
        return [lr, 1 - lr * group["weight_decay"]]


def _ratio(adjust: str | None, rows: int, columns: int) -> float:
    """What the learning rate of a matrix is multiplied by."""
    if adjust == "match_rms_adamw":
        return 0.2 * math.sqrt(max(rows, columns))
    return math.sqrt(max(1, rows / columns))
