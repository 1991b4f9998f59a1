"""Applies an update rule to the parameters of a group."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from flambeau.nn._torch import Tensor, is_tensor, maximum, no_grad

Rule = Callable[..., tuple[Any, ...]]


class EagerArithmetic:
    """`updates.Arithmetic` on tensors, one operation at a time."""

    @staticmethod
    def fma(a: Any, b: Any, c: Tensor) -> Tensor:
        """Return a * b + c."""
        if is_tensor(a) and is_tensor(b):
            return c.addcmul(a, b)
        return c.add(b, alpha=a) if is_tensor(b) else c.add(a, alpha=b)

    @staticmethod
    def sqrt(x: Tensor) -> Tensor:
        """Return the square root."""
        return x.sqrt()

    @staticmethod
    def maximum(x: Tensor, y: Tensor) -> Tensor:
        """Return the larger of each pair."""
        return maximum(x, y)


_EAGER = EagerArithmetic()


def apply_updates(
    rule: Rule,
    params: Sequence[Tensor],
    grads: Sequence[Tensor],
    states: Sequence[Sequence[Tensor | None]],
    scalars: Mapping[str, float],
    flags: Mapping[str, bool],
) -> list[list[Tensor | None]]:
    """Apply `rule` to every parameter, in place; return the states.

    `states[i]` holds the state tensors of `params[i]` in the rule's order, None where one is not
    in use or not there yet. Tensors that are there are overwritten; one that the rule makes is new
    in what is returned. `scalars` may change from step to step, `flags` choose the program.
    """
    results: list[list[Tensor | None]] = []
    with no_grad():
        for param, grad, state in zip(params, grads, states):
            new_param, *new_state = rule(_EAGER, param, grad, *state, **scalars, **flags)
            param.copy_(new_param)
            kept: list[Tensor | None] = []
            for old, new in zip(state, new_state):
                if old is not None and new is not None:
                    old.copy_(new)
                    kept.append(old)
                else:
                    # A rule may hand the gradient itself on as state.
                    kept.append(new.clone() if new is grad else new)
            results.append(kept)
    return results
