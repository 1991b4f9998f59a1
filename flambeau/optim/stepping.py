"""What the optimisers with a pure update rule share."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from flambeau.nn._torch import Tensor, enable_grad, float32
from flambeau.optim.engine import Rule, Together, apply_updates
from flambeau.optim.optimizer import Optimizer, same
from flambeau.record import recorder


def check_lr(lr: Any) -> None:
    """Raise ValueError for a learning rate that is none."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not lr >= 0.0:
        raise ValueError(f"Invalid learning rate: {lr}")


def lr_arithmetic(lr: Any) -> tuple[Any, Callable[[Any], Any]]:
    """Return the learning rate as a number, and the type that further arithmetic on it has.

    PyTorch computes with a learning rate that is a float32 tensor in float32, not in double.
    """
    if isinstance(lr, Tensor) and lr.dtype == float32:
        return np.float32(lr.item()), np.float32
    return float(lr), float


def check_range(value: Any, message: str, below: float | None = None) -> None:
    """Raise ValueError(message: value) unless 0 <= value (< below)."""
    if not value >= 0.0 or (below is not None and not value < below):
        raise ValueError(f"{message}: {value}")


def check_execution(
    foreach: bool | None = None,
    fused: bool | None = None,
    capturable: bool = False,
    differentiable: bool = False,
) -> None:
    """Refuse what would change the meaning; `foreach`, `fused`, `capturable` only change speed."""
    if fused and differentiable:
        raise RuntimeError("`fused` does not support `differentiable`")
    if fused and foreach:
        raise RuntimeError("`fused` and `foreach` cannot be `True` together.")
    if differentiable:
        raise NotImplementedError(
            "differentiable=True (a backward pass through the optimizer's step) is not supported"
        )


class Update:
    """One application of a rule, as a compiled function remembers it."""

    __slots__ = ("all", "counts", "first", "fixed", "group", "optimizer", "params", "scalar")

    def __init__(
        self,
        optimizer: RuleOptimizer,
        group: dict[str, Any],
        params: Sequence[Tensor],
        counts: bool,
        scalar: int,
    ) -> None:
        self.optimizer = optimizer
        self.group = group
        self.params = list(params)
        self.all = list(group["params"])
        self.first = id(params[0])
        self.fixed = optimizer._fixed(group)
        self.counts = counts  # whether the parameters are counted together
        self.scalar = scalar  # where its scalars stand in the recording


class RuleOptimizer(Optimizer):
    """An optimiser whose step applies one rule of `flambeau.optim.updates` to each group."""

    _group: dict[str, Any]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Update the parameters; `closure` recomputes the loss, which is returned."""
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        exposed = self._exposed
        if exposed:
            self._read_steps()
        for group in self.param_groups:
            params = [param for param in group["params"] if param._grad is not None]
            if params:
                self._group = group
                self._step_group(group, params)
        if exposed:
            self._write_steps()
        recorder.end_step()
        return loss

    def _step_group(self, group: dict[str, Any], params: list[Tensor]) -> None:
        raise NotImplementedError

    def _fixed(self, group: dict[str, Any]) -> tuple[Any, ...]:
        """The hyper-parameters of a group that choose its program."""
        raise NotImplementedError

    def _changing(self, group: dict[str, Any], count: int) -> list[float]:
        """The run-time scalars of step number `count`, in the order of `_step_group`."""
        raise NotImplementedError

    def repeats(self, update: Update) -> bool:
        """Whether the step that a compiled function remembers is the one to take now."""
        group = update.group
        together = self._together.get(update.first)
        if (
            self._exposed
            or self._fixed(group) != update.fixed
            or not same(group["params"], update.all)
        ):
            return False
        if together is None:
            return not update.counts
        return update.counts and same(together[0], update.params)

    def replay(self, update: Update) -> list[float]:
        """Count a step that a compiled function repeats; return its scalars."""
        together = self._together.get(update.first)
        if together is None:
            return self._changing(update.group, 0)
        together[1] += 1
        return self._changing(update.group, together[1])

    def _apply(
        self,
        rule: Rule,
        params: Sequence[Tensor],
        names: Sequence[str],
        scalars: dict[str, float],
        flags: dict[str, bool],
    ) -> None:
        """Apply `rule` to `params`, whose state tensors go by `names`; keep the new state."""
        place_in_cache = (rule, id(params[0]))
        cached = self._applied.get(place_in_cache)
        together = None
        if cached is not None and same(cached[0], params) and not self._exposed:
            _, states, together = cached
            if together is None:  # the second step in a row with these states
                together = Together(states)
                self._applied[place_in_cache] = (cached[0], states, together)
        else:
            states = [self._state[p].get(name) for p in params for name in names]
            self._applied[place_in_cache] = (list(params), states, None)
        capture = recorder.LOCAL.capture
        if capture is not None:
            capture.updates.append(
                Update(
                    self,
                    self._group,
                    params,
                    id(params[0]) in self._together,
                    len(recorder.LOCAL.rec.scalars),
                )
            )
        grads = [param._grad for param in params]
        made = apply_updates(rule, params, grads, states, scalars, flags, together)
        for place, which, tensor in made:
            self._state[params[place]][names[which]] = tensor
        if made:
            del self._applied[place_in_cache]
